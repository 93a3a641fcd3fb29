package fc

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/cron"
)

// triggerTypes are the accepted ones. Those but http, timer and oss never fire here (section 3.14).
var triggerTypes = []string{"http", "timer", "oss", "log", "mns_topic", "cdn_events", "eventbridge", "tablestore"}

// build adds a trigger to its function.
func (t *madeTrigger) build(f *sluice.Function) error {
	name := t.Doc.text("triggerName")
	config := document{}
	if err := json.Unmarshal(t.Doc["triggerConfig"], &config); err != nil {
		return faultf("InvalidArgument", "triggerConfig of trigger '%s' is not an object", name)
	}
	switch t.Doc.text("triggerType") {
	case "http":
		var c struct {
			Auth    string   `json:"authType"`
			Methods []string `json:"methods"`
		}
		if err := config.read(&c); err != nil {
			return err
		}
		h := &sluice.HTTPTrigger{Name: name, Auth: strings.ToLower(c.Auth)}
		for _, m := range c.Methods {
			h.Methods = append(h.Methods, strings.ToUpper(m))
		}
		if !slices.Contains([]string{"anonymous", "function", "jwt"}, h.Auth) {
			return faultf("InvalidArgument", "authType %q of trigger '%s' is not anonymous, function or jwt", c.Auth, name)
		}
		f.HTTP = h
	case "timer":
		var c struct {
			Cron    string `json:"cronExpression"`
			Payload string `json:"payload"`
			Enable  bool   `json:"enable"`
		}
		if err := config.read(&c); err != nil {
			return err
		}
		if _, err := cron.Parse(c.Cron); err != nil {
			return faultf("InvalidArgument", "cronExpression of timer '%s': %v", name, err)
		}
		f.Timers = append(f.Timers, sluice.Timer{Name: name, Schedule: c.Cron, Payload: c.Payload, Disabled: !c.Enable})
	case "oss":
		var c struct {
			Events []string `json:"events"`
			Filter struct {
				Key struct{ Prefix, Suffix string } `json:"key"`
			} `json:"filter"`
		}
		if err := config.read(&c); err != nil {
			return err
		}
		arn := strings.Split(t.Doc.text("sourceArn"), ":") // acs:oss:{region}:{account}:{bucket}
		if len(arn) != 5 || arn[1] != "oss" || arn[4] == "" {
			return faultf("InvalidArgument", "sourceArn of trigger '%s' names no bucket", name)
		}
		if len(c.Events) == 0 {
			return faultf("InvalidArgument", "trigger '%s' has no events", name)
		}
		f.Objects = append(f.Objects, sluice.ObjectEvents{Name: name, Bucket: arn[4], Events: c.Events, Prefix: c.Filter.Key.Prefix, Suffix: c.Filter.Key.Suffix})
	}
	return nil
}

// triggerDocument reads the request's body. triggerConfig is text with JSON in it in API version
// 2023-03-30.
func (q *query) triggerDocument() (document, error) {
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	var s string
	if json.Unmarshal(d["triggerConfig"], &s) == nil && s != "" {
		if !json.Valid([]byte(s)) {
			return nil, faultf("InvalidArgument", "triggerConfig is not JSON")
		}
		d["triggerConfig"] = json.RawMessage(s)
	}
	if s := d.text("qualifier"); s != "" && s != latest {
		return nil, faultf("AliasNotFound", "alias or version '%s' does not exist", s)
	}
	return d, nil
}

// showTrigger is a trigger as the API answers it.
func (a *API) showTrigger(q *query, m *made, f *madeFunction, t *madeTrigger) document {
	d := document{}
	for k, v := range t.Doc {
		d[k] = v
	}
	d.set("triggerId", t.ID)
	d.missing("qualifier", latest)
	if !t.Created.IsZero() {
		d.set("createdTime", stamp(t.Created))
		d.set("lastModifiedTime", stamp(t.Modified))
	}
	url := ""
	if t.Doc.text("triggerType") == "http" {
		url = a.triggerURL(m, f.name())
	}
	if q.v3 {
		d.set("status", "ACTIVE")
		d.set("triggerConfig", string(t.Doc["triggerConfig"]))
		if url != "" {
			d.set("httpTrigger", map[string]string{"urlInternet": url, "urlIntranet": url})
		}
	} else if url != "" {
		d.set("urlInternet", url)
		d.set("urlIntranet", url)
	}
	return d
}

// triggerURL is where a function's HTTP trigger answers.
func (a *API) triggerURL(m *made, function string) string {
	base := string(m.App) + ".localhost"
	if a.o.Public != nil {
		base = a.o.Public(m.App)
	}
	if m.Service != "" {
		return "http://" + base + proxyPrefix + m.Service + "/" + function + "/"
	}
	host := strings.ToLower(function) + ".fc.localhost"
	if _, port, err := net.SplitHostPort(base); err == nil {
		host = net.JoinHostPort(host, port)
	}
	return "http://" + host + "/"
}

func (a *API) createTrigger(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, true)
	if err != nil {
		return nil, err
	}
	d, err := q.triggerDocument()
	if err != nil {
		return nil, err
	}
	name, kind := d.text("triggerName"), d.text("triggerType")
	switch {
	case !serviceName.MatchString(name):
		return nil, faultf("InvalidArgument", "trigger name %q is not valid", name)
	case !slices.Contains(triggerTypes, kind):
		return nil, faultf("InvalidArgument", "trigger type %q is not supported: known are %s", kind, strings.Join(triggerTypes, ", "))
	}
	for _, t := range f.Triggers {
		if t.Doc.text("triggerName") == name {
			return nil, faultf("TriggerAlreadyExists", "trigger '%s' already exists in function '%s'", name, f.name())
		}
		if kind == "http" && t.Doc.text("triggerType") == "http" {
			return nil, faultf("TriggerAlreadyExists", "function '%s' has an http trigger already", f.name())
		}
	}
	d.missing("triggerConfig", map[string]any{})
	t := &madeTrigger{ID: id(), Doc: d, Created: a.o.Now(), Modified: a.o.Now()}
	if err := t.build(&sluice.Function{}); err != nil {
		return nil, err
	}
	if kind != "http" && kind != "timer" && kind != "oss" {
		a.o.Log.Warn("a trigger of this type never fires here", "app", m.App, "function", f.name(), "type", kind)
	}
	f.Triggers = append(f.Triggers, t)
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.tagged(a.showTrigger(q, m, f, t)), nil
}

// trigger finds the trigger that a request's path names.
func (a *API) trigger(ctx context.Context, q *query, change bool) (*made, *madeFunction, *madeTrigger, error) {
	m, f, err := a.function(ctx, q, change)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, t := range f.Triggers {
		if t.Doc.text("triggerName") == q.args["trigger"] {
			return m, f, t, nil
		}
	}
	return nil, nil, nil, faultf("TriggerNotFound", "trigger '%s' does not exist in function '%s'", q.args["trigger"], f.name())
}

func (a *API) listTriggers(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, false)
	if err != nil {
		return nil, err
	}
	var list []named
	for _, t := range f.Triggers {
		list = append(list, named{t.Doc.text("triggerName"), a.showTrigger(q, m, f, t)})
	}
	return q.page("triggers", list)
}

func (a *API) getTrigger(ctx context.Context, q *query) (any, error) {
	m, f, t, err := a.trigger(ctx, q, false)
	if err != nil {
		return nil, err
	}
	return q.tagged(a.showTrigger(q, m, f, t)), nil
}

func (a *API) updateTrigger(ctx context.Context, q *query) (any, error) {
	m, f, t, err := a.trigger(ctx, q, true)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(a.showTrigger(q, m, f, t)); err != nil {
		return nil, err
	}
	d, err := q.triggerDocument()
	if err != nil {
		return nil, err
	}
	if kind := d.text("triggerType"); kind != "" && kind != t.Doc.text("triggerType") {
		return nil, faultf("InvalidArgument", "the type of trigger '%s' cannot be changed", q.args["trigger"])
	}
	for k, v := range d {
		if k != "triggerName" {
			t.Doc[k] = v
		}
	}
	if err := t.build(&sluice.Function{}); err != nil {
		return nil, err
	}
	t.Modified = a.o.Now()
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.tagged(a.showTrigger(q, m, f, t)), nil
}

func (a *API) deleteTrigger(ctx context.Context, q *query) (any, error) {
	m, f, t, err := a.trigger(ctx, q, true)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(a.showTrigger(q, m, f, t)); err != nil {
		return nil, err
	}
	f.Triggers = slices.DeleteFunc(f.Triggers, func(o *madeTrigger) bool { return o == t })
	return nil, a.save(ctx, m)
}

package fc

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
)

// dialectName is App.Dialect of apps made here.
const dialectName = "aliyun"

// accountApp is the app of the functions of FC 3.0, which have no service.
const accountApp = "fc"

// made is one app as the API shows it: a service of FC 2.0 with its functions, or the functions of FC
// 3.0. Those that came through the API are kept, whole, in App.Spec, so that a rollback takes back what
// the API shows, too.
type made struct {
	App       sluice.AppName  `json:"-"`
	Template  bool            `json:"-"`                 // an app's template describes it: it can only be read
	Service   string          `json:"service,omitempty"` // "" in FC 3.0
	About     document        `json:"about,omitempty"`   // the service
	Functions []*madeFunction `json:"functions,omitempty"`
	Domains   []document      `json:"domains,omitempty"`
}

type madeFunction struct {
	ID       string         `json:"id"`
	Doc      document       `json:"doc"` // without its code
	Code     pack           `json:"code"`
	Triggers []*madeTrigger `json:"triggers,omitempty"`
	Async    document       `json:"async,omitempty"`
	Created  time.Time      `json:"created"`
	Modified time.Time      `json:"modified"`
}

type madeTrigger struct {
	ID       string    `json:"id"`
	Doc      document  `json:"doc"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
}

func (f *madeFunction) name() string { return f.Doc.text("functionName") }

// catalog is everything that a principal may see, as deployed now.
func (a *API) catalog(ctx context.Context, who access.Principal) ([]*made, error) {
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []*made
	api := map[sluice.AppName]bool{}
	for _, app := range apps {
		if app.Dialect != dialectName || len(app.Spec) == 0 || !who.Admin() && who.App != app.Name {
			continue
		}
		m := &made{}
		if err := json.Unmarshal(app.Spec, m); err != nil {
			return nil, fmt.Errorf("read the description of app %q: %w", app.Name, err)
		}
		m.App, api[app.Name] = app.Name, true
		list = append(list, m)
	}
	templates := map[[2]string]*made{}
	for _, s := range a.o.Functions.List(who.App) {
		v, ok := a.o.Functions.Version(s.App, s.Name)
		if api[s.App] || !ok {
			continue
		}
		key := [2]string{string(s.App), s.Group}
		m := templates[key]
		if m == nil {
			m = &made{App: s.App, Template: true, Service: s.Group, About: document{}}
			m.About.set("serviceName", s.Group)
			templates[key], list = m, append(list, m)
		}
		m.Functions = append(m.Functions, describe(v))
	}
	slices.SortStableFunc(list, func(a, b *made) int { return cmp.Compare(a.App, b.App) })
	return list, nil
}

// service finds the service that a request's path names; in FC 3.0 the one without a name, which the
// first function makes.
func (a *API) service(ctx context.Context, q *query, change bool) (*made, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	name := q.args["service"]
	var template *made
	for _, m := range all {
		switch {
		case m.Service != name:
		case !m.Template:
			return m, nil
		default:
			template = m
		}
	}
	switch {
	case q.v3 && !change:
		return &made{App: accountApp}, nil
	case q.v3 && (q.who.Admin() || q.who.App == accountApp):
		return &made{App: accountApp}, a.free(ctx, accountApp)
	case q.v3:
		return nil, faultf("AccessDenied", "this key may not make functions")
	case template == nil:
		return nil, faultf("ServiceNotFound", "service '%s' does not exist", name)
	case change:
		return nil, template.readOnly()
	}
	return template, nil
}

func (m *made) readOnly() error {
	return faultf("AccessDenied", "app '%s' has been deployed from a template: change that and deploy it again", m.App)
}

// free refuses the name of an app that a template deployed.
func (a *API) free(ctx context.Context, name sluice.AppName) error {
	apps, err := a.o.Apps.List(ctx)
	if err == nil && slices.ContainsFunc(apps, func(app *sluice.App) bool { return app.Name == name }) {
		err = faultf("AccessDenied", "an app called '%s' has been deployed from a template, and functions without a service need that name", name)
	}
	return err
}

// function finds the function that a request's path names.
func (a *API) function(ctx context.Context, q *query, change bool) (*made, *madeFunction, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, nil, err
	}
	service, name := q.args["service"], q.args["function"]
	if s, f, ok := strings.Cut(name, "$"); ok && q.v3 {
		service, name = s, f // as functions that came from FC 2.0 are named
	}
	known := service == ""
	for _, m := range all {
		if m.Service != service {
			continue
		}
		known = true
		for _, f := range m.Functions {
			switch {
			case f.name() != name:
			case change && m.Template:
				return nil, nil, m.readOnly()
			default:
				return m, f, nil
			}
		}
	}
	switch {
	case !known:
		return nil, nil, faultf("ServiceNotFound", "service '%s' does not exist", service)
	case q.v3:
		return nil, nil, faultf("FunctionNotFound", "function '%s' does not exist", name)
	}
	return nil, nil, faultf("FunctionNotFound", "function '%s' does not exist in service '%s'", name, service)
}

// notFound is why a call finds no function: a service may be there that has none at all.
func (a *API) notFound(ctx context.Context, who access.Principal, service, name string, err error) error {
	var f *fault
	if a.o.Apps == nil || !errors.As(err, &f) || f.code != "ServiceNotFound" {
		return err
	}
	if _, none := a.service(ctx, &query{who: who, args: map[string]string{"service": service}}, false); none == nil {
		return faultf("FunctionNotFound", "function '%s' does not exist in service '%s'", name, service)
	}
	return err
}

// save deploys an app as it is described now. One of FC 3.0 with nothing left in it is removed.
func (a *API) save(ctx context.Context, m *made) error {
	if m.Service == "" && len(m.Functions)+len(m.Domains) == 0 {
		return a.remove(ctx, m)
	}
	app, err := a.build(m)
	if err != nil {
		return err
	}
	err = a.o.Apps.Deploy(ctx, app)
	if sluice.KindOf(err) == sluice.Conflict {
		err = faultf("ConcurrentUpdateError", "app '%s' was changed at the same time", m.App)
	}
	a.sweep(ctx)
	return err
}

// remove takes an app away, if it is there.
func (a *API) remove(ctx context.Context, m *made) error {
	err := a.o.Apps.Remove(ctx, m.App)
	if sluice.KindOf(err) == sluice.Missing {
		err = nil
	}
	a.sweep(ctx)
	return err
}

// build makes the app that a description asks for.
func (a *API) build(m *made) (*sluice.App, error) {
	spec, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	app := &sluice.App{Name: m.App, Title: m.Service, Dialect: dialectName, Dir: a.codeDir(), Spec: spec}
	for _, f := range m.Functions {
		fn, err := f.build(m.Service)
		if err != nil {
			return nil, err
		}
		fn.Code, fn.Opt = a.codeFile(f.Code), a.layers(fn)
		app.Functions = append(app.Functions, *fn)
	}
	return app, nil
}

var serviceName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`)

func (a *API) createService(ctx context.Context, q *query) (any, error) {
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	name := d.text("serviceName")
	if !serviceName.MatchString(name) {
		return nil, faultf("InvalidArgument", "service name %q is not valid: letters, digits, _ and -, at most 128, not beginning with a digit or -", name)
	}
	if !q.who.Admin() {
		return nil, faultf("AccessDenied", "only the operator's key may make services")
	}
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, func(m *made) bool { return m.Service == name }) {
		return nil, faultf("ServiceAlreadyExists", "service '%s' already exists", name)
	}
	app, err := a.appName(ctx, name)
	if err != nil {
		return nil, err
	}
	now := stamp(a.o.Now())
	d.set("serviceId", id())
	d.set("createdTime", now)
	d.set("lastModifiedTime", now)
	d.missing("description", "")
	d.missing("role", "")
	d.missing("internetAccess", true)
	m := &made{App: app, Service: name, About: d}
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.tagged(d), nil
}

// appName is the name of the app for a service: the service's own when that can be a host name and is
// free.
func (a *API) appName(ctx context.Context, service string) (sluice.AppName, error) {
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return "", err
	}
	label := strings.Trim(strings.ReplaceAll(strings.ToLower(service), "_", "-"), "-")
	if len(label) > 50 {
		label = strings.TrimRight(label[:50], "-")
	}
	name := sluice.AppName(label)
	taken := slices.ContainsFunc(apps, func(app *sluice.App) bool { return app.Name == name })
	if label != service || taken || label == accountApp {
		sum := sha256.Sum256([]byte(service))
		name = sluice.AppName(strings.TrimLeft(label+"-"+hex.EncodeToString(sum[:4]), "-"))
	}
	return name, nil
}

func (a *API) listServices(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	var list []named
	for _, m := range all {
		if m.Service != "" && !slices.ContainsFunc(list, func(n named) bool { return n.name == m.Service }) {
			list = append(list, named{m.Service, m.About})
		}
	}
	return q.page("services", list)
}

func (a *API) getService(ctx context.Context, q *query) (any, error) {
	m, err := a.service(ctx, q, false)
	if err != nil {
		return nil, err
	}
	return q.tagged(m.About), nil
}

func (a *API) updateService(ctx context.Context, q *query) (any, error) {
	m, err := a.service(ctx, q, true)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(m.About); err != nil {
		return nil, err
	}
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	for k, v := range d {
		if k != "serviceName" && k != "serviceId" && k != "createdTime" {
			m.About[k] = v
		}
	}
	m.About.set("lastModifiedTime", stamp(a.o.Now()))
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.tagged(m.About), nil
}

func (a *API) deleteService(ctx context.Context, q *query) (any, error) {
	m, err := a.service(ctx, q, true)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(m.About); err != nil {
		return nil, err
	}
	if len(m.Functions)+len(m.Domains) > 0 {
		return nil, faultf("ServiceNotEmpty", "service '%s' still has functions or custom domains", m.Service)
	}
	return nil, a.remove(ctx, m)
}

// tagged adds a document's Etag to the answer.
func (q *query) tagged(d document) document {
	q.w.Header().Set("Etag", etag(d))
	return d
}

// unchanged holds a request's If-Match against what it is about to change.
func (q *query) unchanged(d document) error {
	if want := q.r.Header.Get("If-Match"); want != "" && want != etag(d) {
		return faultf("PreconditionFailed", "the resource has been modified: its Etag is %s", etag(d))
	}
	return nil
}

func etag(d document) string {
	b, _ := json.Marshal(d) // fields are JSON already
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// stamp is a moment as the API writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// id names a resource for ever.
func id() string { return strings.ToLower(sluice.NewRequestID()) }

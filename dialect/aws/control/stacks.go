package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

const (
	cfnNamespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
	stackApp     = "aws-stacks" // keeps what is known of stacks, in its Spec
)

// Objects is what stacks need of the object room: templates and code come from there.
type Objects interface {
	Get(ctx context.Context, bucket, key string) (*object.Content, error)
}

// stack is one stack of CloudFormation. Its app has what it made.
type stack struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	App       sluice.AppName    `json:"app"`
	Template  string            `json:"template,omitempty"` // "" before the first deploy
	Params    map[string]string `json:"params,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	Status    string            `json:"status"`
	Reason    string            `json:"reason,omitempty"`
	Created   string            `json:"created"`
	Updated   string            `json:"updated,omitempty"`
	Outputs   []sluice.Output   `json:"outputs,omitempty"`
	Resources []resource        `json:"resources,omitempty"`
	Events    []event           `json:"events,omitempty"` // newest first
	Changes   []*changeSet      `json:"changes,omitempty"`
}

// resource is one that a stack has made.
type resource struct {
	Logical  string `json:"logical"`
	Physical string `json:"physical"`
	Type     string `json:"type"`
	Time     string `json:"time"`
}

// event is one line of a stack's history.
type event struct {
	ID, Logical, Physical, Type, Status, Reason, Time string
}

// changeSet is a deploy that waits to be told to begin.
type changeSet struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`
	Kind     string            `json:"kind"` // CREATE or UPDATE
	Template string            `json:"template"`
	Params   map[string]string `json:"params,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Status   string            `json:"status"`
	Reason   string            `json:"reason,omitempty"`
	Executed string            `json:"executed,omitempty"` // ExecutionStatus
	Created  string            `json:"created"`
	Actions  []change          `json:"actions,omitempty"`
}

type change struct{ Action, Logical, Physical, Type string }

// maxEvents is how much of a stack's history is kept.
const maxEvents = 500

// action is one of CloudFormation's. Those that change something come one after the other.
type action struct {
	reads bool
	do    func(c *Control, ctx context.Context, q *stackQuery) (element, error)
}

var actions = map[string]action{
	"CreateStack": {false, (*Control).createStack}, "UpdateStack": {false, (*Control).updateStack}, "DeleteStack": {false, (*Control).deleteStack},
	"DescribeStacks": {true, (*Control).describeStacks}, "DescribeStackEvents": {true, (*Control).describeEvents}, "DescribeStackResources": {true, (*Control).describeResources},
	"DescribeStackResource": {true, (*Control).describeResource}, "ListStackResources": {true, (*Control).listResources}, "ListStacks": {true, (*Control).listStacks},
	"ListExports": {true, (*Control).listExports}, "GetTemplate": {true, (*Control).getTemplate}, "GetTemplateSummary": {true, (*Control).templateSummary},
	"ValidateTemplate": {true, (*Control).templateSummary}, "CreateChangeSet": {false, (*Control).createChangeSet}, "DescribeChangeSet": {true, (*Control).describeChangeSet},
	"ExecuteChangeSet": {false, (*Control).executeChangeSet}, "DeleteChangeSet": {false, (*Control).deleteChangeSet}, "ListChangeSets": {true, (*Control).listChangeSets},
}

// stackQuery is one request to CloudFormation whose signer is known.
type stackQuery struct {
	form   url.Values
	region string
	known  *stacks
}

// stacks are all that is known.
type stacks struct {
	Stacks []*stack `json:"stacks"`
}

// serveStacks serves CloudFormation (aws.md 7.4).
func (c *Control) serveStacks(w http.ResponseWriter, r *http.Request, id string) error {
	who, body, err := admit(c.stacks, w, r)
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return wrongf("The request is not a form: %v", err)
	}
	for k, v := range r.URL.Query() {
		form[k] = append(form[k], v...)
	}
	name := form.Get("Action")
	act, ok := actions[name]
	ctx := r.Context()
	switch {
	case !ok:
		return &fault{status: http.StatusBadRequest, kind: "InvalidAction", msg: "sluice does not serve " + name + " of CloudFormation"}
	case c.o.Apps == nil:
		return &fault{status: http.StatusServiceUnavailable, kind: "ServiceUnavailable", msg: "stacks cannot be managed on this server"}
	case !who.Principal.Admin():
		return &fault{status: http.StatusForbidden, kind: "AccessDenied", msg: "this key is of app " + string(who.Principal.App) + ", and stacks are the operator's"}
	}
	if !act.reads {
		select {
		case c.changing <- struct{}{}:
			defer func() { <-c.changing }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	known, err := c.stacksNow(ctx)
	if err != nil {
		return err
	}
	out, err := act.do(c, ctx, &stackQuery{form: form, region: who.Region, known: known})
	if err != nil {
		return err
	}
	return queryAnswer(w, cfnNamespace, name, out, id)
}

// wrongf is CloudFormation's error for nearly everything.
func wrongf(format string, args ...any) *fault {
	f := invalidf(format, args...)
	f.kind = "ValidationError"
	return f
}

func (c *Control) stacksNow(ctx context.Context) (*stacks, error) {
	apps, err := c.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	known := &stacks{}
	for _, app := range apps {
		if app.Name == stackApp && app.Dialect == "aws" {
			return known, json.Unmarshal(app.Spec, known)
		}
	}
	return known, nil
}

// save writes what is known.
func (c *Control) save(ctx context.Context, q *stackQuery) error {
	if len(q.known.Stacks) == 0 {
		return c.o.Apps.Remove(ctx, stackApp)
	}
	text, err := json.Marshal(q.known)
	if err != nil {
		return err
	}
	if err := c.folder(); err != nil {
		return err
	}
	return c.o.Apps.Deploy(ctx, &sluice.App{Name: stackApp, Title: "stacks of CloudFormation", Dialect: "aws", Region: q.region, Dir: c.o.Dir, Spec: text})
}

// stack is the one that a request names, by name or id.
func (q *stackQuery) stack(field string) (*stack, error) {
	name := q.form.Get(field)
	for _, s := range q.known.Stacks {
		if s.Name == name || s.ID == name {
			return s, nil
		}
	}
	if name == "" {
		return nil, wrongf("1 validation error detected: Value null at 'stackName' failed to satisfy constraint: Member must not be null")
	}
	return nil, wrongf("Stack with id %s does not exist", name)
}

// members are the items of a list: Name.member.1.Key …
func (q *stackQuery) members(list string, keys ...string) []map[string]string {
	var out []map[string]string
	for i := 1; i <= 1000; i++ {
		item := map[string]string{}
		for _, key := range keys {
			if v, ok := q.form[list+".member."+strconv.Itoa(i)+"."+key]; ok {
				item[key] = v[0]
			}
		}
		if len(item) == 0 {
			return out
		}
		out = append(out, item)
	}
	return out
}

// newStack notes a stack that has nothing yet.
func (c *Control) newStack(ctx context.Context, q *stackQuery, name, status string) (*stack, error) {
	if !stackName.MatchString(name) {
		return nil, wrongf("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", name)
	}
	app := sluice.AppName(strings.ToLower(name)[:min(len(name), 63)])
	for _, s := range q.known.Stacks {
		if s.Name == name {
			return nil, &fault{status: http.StatusBadRequest, kind: "AlreadyExistsException", msg: "Stack [" + name + "] already exists"}
		} else if s.App == app {
			return nil, wrongf("Stack [%s] has the app %s, and names of apps do not tell capitals apart", s.Name, app)
		}
	}
	apps, err := c.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(apps, func(a *sluice.App) bool { return a.Name == app }) {
		return nil, wrongf("there is an app %s already, which is no stack", app)
	}
	s := &stack{Name: name, ID: "arn:aws:cloudformation:" + q.region + ":" + account + ":stack/" + name + "/" + uuid.NewString(), App: app, Status: status, Created: c.now()}
	q.known.Stacks = append(q.known.Stacks, s)
	return s, nil
}

// tell adds a line to a stack's history.
func (c *Control) tell(s *stack, logical, physical, typ, status, reason string) {
	e := event{uuid.NewString(), logical, physical, typ, status, reason, c.now()}
	s.Events = slices.Insert(s.Events, 0, e)
	s.Events = s.Events[:min(len(s.Events), maxEvents)]
}

// become gives a stack another status.
func (c *Control) become(s *stack, status, reason string) {
	s.Status, s.Reason = status, reason
	c.tell(s, s.Name, s.ID, "AWS::CloudFormation::Stack", status, reason)
}

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

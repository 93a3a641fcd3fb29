package cfn

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// Options are what a template is read with besides its tree.
type Options struct {
	Dir     string // the template's folder, absolute; for files that AWS::Include names
	Stack   string
	Region  string // "" is us-east-1
	Account string // "" is 000000000000

	Params   map[string]string // values of parameters
	Defaults map[string]string // values of parameters that Params and the template do not have to have
	Env      func(string) (string, bool)
	Import   func(name string) (string, bool) // what other stacks export; nil: nothing
	Skip     []string                         // logical ids to leave out
}

// Names says what Ref and Fn::GetAtt of a resource are. The second result is false when the resource
// has no such attribute.
type Names interface {
	Ref(r *Resource) (*Value, bool)
	GetAtt(r *Resource, attr string) (*Value, bool)
}

// Resource is one resource of a template.
type Resource struct {
	ID      string
	Type    string
	At      sluice.Place
	Props   *Value // not resolved; never nil
	Meta    *Value
	Body    *Value // all of it, as written; nil when it was made
	Skipped bool   // left out by Options.Skip: only its names are known
	Made    bool   // by a transform, not by the template itself

	done map[string]*Value // properties that were resolved
	busy map[string]bool   // those that are being resolved
}

// Template is a template whose parameters and conditions have values.
type Template struct {
	Root  *Value
	Names Names // set it before anything is resolved that refers to resources

	o         Options
	params    map[string]*Value
	values    map[string]*Value // of the pseudo parameters
	conds     map[string]truth
	resources []*Resource
	byID      map[string]*Resource
	absent    map[string]string // resources that are not there → why
	aliases   map[string]string
	evals     int
	depth     int
	errs      []*sluice.Error
	notices   []sluice.Notice
	told      map[string]bool
}

// limits of resolving, against templates that double themselves.
const (
	maxEvals = 1_000_000
	maxText  = 1 << 20
)

// New takes a template's parameters, conditions and resources. What is wrong with them Err tells.
func New(root *Value, o Options) *Template {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	t := &Template{Root: root, o: o, params: map[string]*Value{}, conds: map[string]truth{}, byID: map[string]*Resource{},
		absent: map[string]string{}, aliases: map[string]string{}, told: map[string]bool{}}
	t.pseudo()
	if !root.IsMap() {
		t.Fail(root.At, "a template is a map with Resources", "the template is %s", Kind(root))
		return t
	}
	for _, key := range []string{"Parameters", "Conditions", "Mappings", "Resources", "Outputs", "Globals"} {
		if v := root.Get(key); !v.IsNull() && !v.IsMap() {
			t.Fail(v.At, "", "%s is %s, not a map", key, Kind(v))
			return t
		}
	}
	t.parameters()
	if len(t.errs) > 0 {
		return t // what follows would only repeat it
	}
	for _, f := range t.Root.Get("Conditions").Entries() {
		t.named(template.Text(f.At, f.Key))
	}
	t.list()
	return t
}

func (t *Template) pseudo() {
	at := sluice.Place{}
	t.values = map[string]*Value{
		"AWS::Region": template.Text(at, t.o.Region), "AWS::AccountId": template.Text(at, t.o.Account), "AWS::StackName": template.Text(at, t.o.Stack),
		"AWS::Partition": template.Text(at, "aws"), "AWS::URLSuffix": template.Text(at, "amazonaws.com"), "AWS::NotificationARNs": template.List(at),
		"AWS::StackId": template.Text(at, fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", t.o.Region, t.o.Account, t.o.Stack, uuidOf(t.o.Stack))),
	}
}

// list collects the resources whose conditions hold.
func (t *Template) list() {
	rs := t.Root.Get("Resources")
	if rs.IsNull() {
		t.Fail(t.Root.At, "", "the template has no Resources")
		return
	}
	for _, f := range t.expand(rs) {
		v := f.Value
		typ := v.Get("Type")
		if !v.IsMap() || typ.Str() == "" {
			t.Fail(f.At, "", "resource %q has no Type", f.Key)
			continue
		}
		props := v.Get("Properties")
		if props.IsNull() {
			props = &Value{At: f.At, Fields: []Field{}}
		} else if !props.IsMap() {
			t.Fail(props.At, "", "Properties of resource %q are %s, not a map", f.Key, Kind(props))
			continue
		}
		if c := v.Get("Condition"); c != nil && !t.Holds(c) {
			t.absent[f.Key] = fmt.Sprintf("its condition %s does not hold", c.Str())
			continue
		}
		t.Add(&Resource{ID: f.Key, Type: typ.Str(), At: f.At, Props: props, Meta: v.Get("Metadata"), Body: v})
	}
	for _, id := range t.o.Skip {
		if t.byID[id] == nil && t.absent[id] == "" {
			t.Warn(rs.At, "there is no resource %q to leave out", id)
		}
	}
}

// CheckDependencies notes what DependsOn names and the template does not have. Call it when all resources
// that a transform makes are added.
func (t *Template) CheckDependencies() {
	for _, f := range t.Root.Get("Resources").Entries() {
		deps := f.Value.Get("DependsOn")
		if deps != nil && !deps.IsList() {
			deps = template.List(deps.At, deps)
		}
		for _, d := range deps.Items() {
			if name := d.Str(); t.byID[name] == nil && t.absent[name] == "" && t.Alias(name) == nil && !d.IsMap() {
				t.Fail(d.At, t.meant(name), "resource %q depends on %q, which the template does not have", f.Key, name)
			}
		}
	}
}

// Add adds a resource, as a transform does. One whose id is taken already is not added.
func (t *Template) Add(r *Resource) {
	if t.byID[r.ID] != nil {
		return
	}
	if r.Props == nil {
		r.Props = &Value{At: r.At, Fields: []Field{}}
	}
	r.Skipped = r.Skipped || slices.Contains(t.o.Skip, r.ID)
	t.byID[r.ID] = r
	t.resources = append(t.resources, r)
}

// AddAlias makes name, "Function.Alias" for example, stand for a resource.
func (t *Template) AddAlias(name, id string) { t.aliases[name] = id }

// Alias is the resource that a name with a dot stands for; nil when it stands for none.
func (t *Template) Alias(name string) *Resource { return t.byID[t.aliases[name]] }

// Resources are the resources that are there, in the template's order, made ones last.
func (t *Template) Resources() []*Resource { return slices.Clone(t.resources) }

// Resource finds a resource by its logical id; nil when it is not there.
func (t *Template) Resource(id string) *Resource { return t.byID[id] }

// Absent says why a resource of the template is not there; "" when there is no such resource.
func (t *Template) Absent(id string) string { return t.absent[id] }

// meant is the hint for a name that no resource has.
func (t *Template) meant(name string) string {
	if n := Nearest(name, t.ids()); n != "" {
		return "did you mean " + strconv.Quote(n) + "?"
	}
	return ""
}

func (t *Template) ids() []string { return slices.Sorted(maps.Keys(t.byID)) }

// Stack is what AWS::StackName says.
func (t *Template) Stack() string { return t.o.Stack }

// Region is what AWS::Region says.
func (t *Template) Region() string { return t.o.Region }

// Account is what AWS::AccountId says.
func (t *Template) Account() string { return t.o.Account }

// Dir is the template's folder.
func (t *Template) Dir() string { return t.o.Dir }

// Prop is a property of a resource, resolved; nil when it is not there. Resolving it once is enough.
func (t *Template) Prop(r *Resource, key string) *Value {
	if v, ok := r.done[key]; ok {
		return v
	}
	raw := r.Props.Get(key)
	if raw == nil {
		return nil
	}
	if r.busy[key] {
		t.Fail(raw.At, "", "%s of resource %q needs itself", key, r.ID)
		return &Value{At: raw.At, Broken: true}
	}
	if r.done == nil {
		r.done, r.busy = map[string]*Value{}, map[string]bool{}
	}
	r.busy[key] = true
	v := t.Eval(raw)
	delete(r.busy, key)
	r.done[key] = v
	return v
}

// Outputs are the template's outputs whose conditions hold.
func (t *Template) Outputs() []sluice.Output {
	var outs []sluice.Output
	for _, f := range t.expand(t.Root.Get("Outputs")) {
		if c := f.Value.Get("Condition"); c != nil && !t.Holds(c) {
			continue
		}
		raw := f.Value.Get("Value")
		if raw == nil {
			t.Fail(f.At, "", "output %q has no Value", f.Key)
			continue
		}
		v := t.Eval(raw)
		if v == nil || v.Broken {
			continue
		}
		if v.IsMap() || v.IsList() {
			t.Fail(raw.At, "", "Value of output %q is %s, not text", f.Key, Kind(v))
			continue
		}
		out := sluice.Output{Name: f.Key, Value: v.Str()}
		if name := t.Eval(f.Value.Get("Export").Get("Name")); name != nil {
			out.Export = name.Str()
		}
		outs = append(outs, out)
	}
	return outs
}

// Fail notes an error.
func (t *Template) Fail(at sluice.Place, hint, format string, args ...any) {
	e := &sluice.Error{Code: sluice.Invalid, At: at, Hint: hint, Msg: fmt.Sprintf(format, args...)}
	if t.once("error " + e.Error()) {
		t.errs = append(t.errs, e)
	}
}

// Warn notes a line for the person who deploys.
func (t *Template) Warn(at sluice.Place, format string, args ...any) {
	t.notice(sluice.Notice{At: at, Text: fmt.Sprintf(format, args...)})
}

// Note tells what nobody has to act on.
func (t *Template) Note(at sluice.Place, format string, args ...any) {
	t.notice(sluice.Notice{At: at, Text: fmt.Sprintf(format, args...), Info: true})
}

func (t *Template) notice(n sluice.Notice) {
	if t.once("notice " + n.At.String() + n.Text) {
		t.notices = append(t.notices, n)
	}
}

func (t *Template) once(what string) bool {
	if t.told[what] {
		return false
	}
	t.told[what] = true
	return true
}

// Notices are the lines for the person who deploys, in the order of the template.
func (t *Template) Notices() []sluice.Notice {
	slices.SortStableFunc(t.notices, func(a, b sluice.Notice) int {
		if c := strings.Compare(a.At.File, b.At.File); c != 0 {
			return c
		}
		return a.At.Line - b.At.Line
	})
	return t.notices
}

// Err joins all errors that were noted, in the order of the template; nil when there are none.
func (t *Template) Err() error {
	slices.SortStableFunc(t.errs, func(a, b *sluice.Error) int {
		if c := strings.Compare(a.At.File, b.At.File); c != 0 {
			return c
		}
		return a.At.Line - b.At.Line
	})
	all := make([]error, len(t.errs))
	for i, e := range t.errs {
		all[i] = e
	}
	return errors.Join(all...)
}

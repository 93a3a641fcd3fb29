package components

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// kind is what an instance's component makes.
type kind uint8

const (
	ignored kind = iota // warned of; its outputs are ""
	global              // holds values only
	function
	multiFunction
	gateway
	websocket
	bucket
	website
)

// components are the ones that sluice runs, by name without "@serverless/tencent-".
var components = map[string]kind{
	"serverless-global": global, "global": global, "scf": function, "multi-scf": multiFunction,
	"apigateway": gateway, "websocket": websocket, "cos": bucket, "website": website,
}

// needless are components that make what sluice has no use for.
var needless = []string{"vpc", "cam-role", "cam-policy", "cam", "cls", "cdn", "ssl", "dns", "eb", "monitor"}

// instance is one component of the app with its inputs.
type instance struct {
	r         *reading
	name      string
	component string
	kind      kind
	v1        bool
	inputs    *value
	dir       string // of its file, absolute
	app       string
	stage     string
	org       string
	at        sluice.Place

	out     *value // what outputs made
	busy    bool   // it is being looked at
	placing bool   // its region is
}

// short is a component's name as components lists it.
func short(component string) string {
	s := component
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, "@")
	return strings.TrimPrefix(strings.TrimPrefix(s, "tencent-"), "component-")
}

// add lists an instance.
func (r *reading) add(in *instance) {
	in.r, in.kind = r, components[short(in.component)]
	switch {
	case in.kind != ignored:
	case slices.Contains(needless, short(in.component)):
		r.warn(in.at, "%s: component %s is not needed here, and ignored", in.name, in.component)
	default:
		r.unsupported(in.at, "%s: sluice does not run the component %q", in.name, in.component)
	}
	if slices.ContainsFunc(r.instances, func(o *instance) bool { return o.name == in.name }) {
		r.fail(in.at, "", "two instances are called %q", in.name)
		return
	}
	r.instances = append(r.instances, in)
}

// single reads a file of the second edition.
func (r *reading) single(file string, v *value) {
	in := &instance{dir: filepath.Dir(filepath.Join(r.in.Dir, file)), at: v.At, stage: r.stage, inputs: v.Get("inputs")}
	if c := v.Get("component"); c != nil {
		in.component, in.at = c.Text, c.At
	}
	text := func(key, or string) string {
		for _, from := range []*value{v, r.root} {
			if s := r.eval(in, from.Get(key), 0); s != nil && !s.IsMap() && !s.IsList() && s.Text != "" {
				return s.Text
			}
		}
		return or
	}
	in.org = text("org", "")
	in.app = text("app", cmp.Or(r.app.Title, string(r.app.Name)))
	if s := r.eval(in, v.Get("name"), 0); s != nil {
		in.name = s.Text
	}
	in.name = cmp.Or(in.name, sluice.DNSLabel(filepath.Base(in.dir)), "app")
	if s := text("stage", ""); s != "" && r.in.Environment == "" && r.in.Params["stage"] == "" {
		in.stage = s
	}
	if in.inputs == nil {
		in.inputs = &value{At: v.At, Fields: []field{}}
	}
	view{r: r, in: in, v: v, or: v.At}.known(in.name, "org", "app", "stage", "component", "name", "inputs")
	r.add(in)
}

// multi reads a file of the first edition: a key for each instance.
func (r *reading) multi() {
	for _, f := range r.root.Fields {
		c := f.Value.Get("component")
		if c == nil {
			if f.Value.IsMap() {
				r.warn(f.At, "%q has no component, and is ignored", f.Key)
			}
			continue
		}
		in := &instance{
			name: f.Key, component: c.Text, v1: true, inputs: f.Value.Get("inputs"), at: f.At, dir: filepath.Dir(filepath.Join(r.in.Dir, r.in.File)),
			app: cmp.Or(r.app.Title, string(r.app.Name)), stage: r.stage,
		}
		if in.inputs == nil {
			in.inputs = &value{At: f.At, Fields: []field{}}
		}
		r.add(in)
	}
}

// view looks at the instance's inputs.
func (in *instance) view() view { return view{r: in.r, in: in, v: in.inputs, or: in.at} }

// region is where the cloud would have the instance.
func (in *instance) region() string {
	v := in.inputs.Get("region")
	if v.IsList() && len(v.List) > 0 {
		v = v.List[0]
	}
	if v.IsNull() || in.placing { // its region is said to be ${region}
		return scf.DefaultRegion
	}
	in.placing = true
	defer func() { in.placing = false }()
	if v = in.r.eval(in, v, 1); v != nil && !v.IsMap() && v.Text != "" {
		return v.Text
	}
	return scf.DefaultRegion
}

// build writes an instance's part of the App.
func (r *reading) build(in *instance) {
	if in.kind != ignored && in.kind != global && r.app.Region == "" {
		r.app.Region = in.region()
	}
	switch in.kind {
	case function:
		r.function(in)
	case multiFunction:
		r.functions(in)
	case gateway:
		r.gateway(in)
	case websocket:
		r.websocket(in)
	case bucket:
		r.bucket(in)
	case website:
		r.website(in)
	}
}

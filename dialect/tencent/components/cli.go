package components

import (
	"cmp"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

const (
	typeNamespace = "TencentCloud::Serverless::Namespace"
	typeFunction  = "TencentCloud::Serverless::Function"
)

// cli reads template.yaml of SCF's command line: namespaces with functions in them.
func (r *reading) cli() {
	in := &instance{r: r, name: string(r.app.Name), component: "scf", app: r.app.Title, stage: r.stage, at: r.root.At, kind: function,
		inputs: &value{At: r.root.At, Fields: []field{}}, dir: filepath.Dir(filepath.Join(r.in.Dir, r.in.File))}
	root := view{r: r, in: in, v: r.root, or: r.root.At}
	defaults := root.at("Globals", "Function")
	for _, ns := range root.at("Resources").entries() {
		if t := ns.at("Type").str(); t != typeNamespace {
			r.unsupported(ns.place(), "resource %q has type %q, which sluice does not run", ns.key, t)
			continue
		}
		for _, e := range ns.entries() {
			if e.key == "Type" {
				continue
			}
			if t := e.at("Type").str(); t != typeFunction {
				r.unsupported(e.place(), "resource %q has type %q, which sluice does not run", e.key, t)
				continue
			}
			r.cliFunction(in, ns.key, e, defaults)
		}
	}
	if len(r.app.Functions) == 0 && len(r.errs) == 0 {
		r.fail(r.root.At, "", "the template has no function")
	}
}

// cliKeys are the properties that mean something here, by what serverless.yml calls them.
var cliKeys = map[string]string{
	"CodeUri": "codeUri", "Handler": "handler", "Runtime": "runtime", "MemorySize": "memorySize", "Timeout": "timeout", "InitTimeout": "initTimeout",
	"Description": "description", "Role": "role", "Type": "type", "Environment": "environment",
}

// renamed is a map of properties with the names of serverless.yml.
func (r *reading) renamed(what string, w view) view {
	out := &value{At: w.place(), Fields: []field{}}
	for _, e := range w.entries() {
		to, ok := cliKeys[e.key]
		switch {
		case e.key == "Events":
		case !ok:
			r.warn(e.or, "%s: %q is ignored", what, e.key)
		case e.key == "Environment":
			out.Fields = append(out.Fields, field{Key: to, At: e.or, Value: of(e.place(), pairs{"variables", orNull(e.at("Variables").v, e.place())})})
		default:
			out.Fields = append(out.Fields, field{Key: to, At: e.or, Value: e.v})
		}
	}
	w.v = out
	return w
}

func (r *reading) cliFunction(in *instance, namespace string, e entry, defaults view) {
	p := e.at("Properties")
	i := r.oneFunction(&functionInput{in: in, w: r.renamed(e.key, p), under: r.renamed("Globals", defaults), name: e.key})
	fn := &r.app.Functions[i]
	fn.At = e.or
	if fn.Group = namespace; namespace == scf.DefaultNamespace {
		fn.Group = ""
	}
	for _, t := range p.at("Events").entries() {
		props, kind := t.at("Properties"), strings.ToLower(t.at("Type").str())
		switch kind {
		case "timer":
			r.trigger(in, i, kind, view{r, in, of(t.place(), pairs{"name", t.key, "parameters", pairs{
				"cronExpression", orNull(props.at("CronExpression").v, t.place()), "enable", orNull(props.at("Enable").v, t.place()),
				"argument", orNull(props.at("Message").v, t.place())}}), t.or})
		case "cos":
			r.trigger(in, i, kind, view{r, in, of(t.place(), pairs{"name", cmp.Or(props.at("Bucket").str(), t.key), "parameters", pairs{
				"events", orNull(props.at("Events").v, t.place()), "enable", orNull(props.at("Enable").v, t.place()),
				"filter", pairs{"prefix", props.at("Filter", "Prefix").str(), "suffix", props.at("Filter", "Suffix").str()}}}), t.or})
		case "apigw":
			id := props.at("ServiceId").str()
			if !serviceID.MatchString(id) {
				id = apispec.ServiceID(string(r.app.Name), in.stage, namespace, e.key, t.key)
			}
			s := r.service(id, in, t.place())
			s.Environment = cmp.Or(props.at("StageName").str(), defaultEnvironment)
			f := targetOf(fn)
			f.Integrated = props.at("IntegratedResponse").is(false)
			method, path := strings.ToUpper(cmp.Or(props.at("HttpMethod").str(), "ANY")), "/"+e.key
			s.APIs = append(s.APIs, apispec.API{ID: apispec.APIID(id, path, method), Name: t.key, Path: path, Method: method, Protocol: apispec.HTTP,
				Type: apispec.SCF, Timeout: defaultServiceTimeout, Function: f, At: t.place()})
		default:
			r.trigger(in, i, kind, t.view)
		}
	}
}

package components

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// The defaults of functions (section 2.1).
const (
	defaultRuntime = "Nodejs10.15"
	defaultHandler = "index.main_handler"
	defaultMemory  = 128 // MB
	defaultTimeout = 3   // seconds
)

var (
	functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// pushAddress is what the cloud gives to functions to push to (section 1.7).
	pushAddress = regexp.MustCompile(`^https?://set-[A-Za-z0-9_-]+\.cb-[A-Za-z0-9-]+\.apigateway\.tencentyun\.com/api-[a-z0-9]+/?$`)
)

// functionKeys are the inputs of a function that mean something here. Those that do not are told of.
var functionKeys = []string{"name", "namespace", "src", "codeUri", "type", "handler", "entryFile", "runtime", "region", "description",
	"memorySize", "timeout", "initTimeout", "environment", "installDependency", "asyncRunEnable", "ignoreTriggers", "protocolType",
	"protocolParams", "instanceConcurrencyConfig", "events", "role", "enableRoleAuth", "functions", "triggers"}

// functionInput is a function as one of the template's forms describes it.
type functionInput struct {
	in    *instance
	w     view // where its settings are
	under view // where those that it does not have are; may be the same
	name  string
}

// at is a setting of the function.
func (f *functionInput) at(keys ...string) view {
	if v := f.w.at(keys...); !v.missing() {
		return v
	}
	if v := f.under.at(keys...); !v.missing() {
		return v
	}
	return f.w.at(keys...)
}

// functionName is what the component scf calls its function.
func (in *instance) functionName() string {
	if n := in.view().at("name"); !n.missing() {
		return n.str()
	}
	if in.v1 {
		return in.name
	}
	return in.name + "-" + in.stage + "-" + in.app
}

// function reads an instance of scf.
func (r *reading) function(in *instance) {
	w := in.view()
	w.known(in.name, functionKeys...)
	f := &functionInput{in: in, w: w, under: w, name: in.functionName()}
	fn := r.oneFunction(f)
	if w.at("ignoreTriggers").is(false) {
		return
	}
	for _, e := range w.at("events").items() {
		if !e.v.IsMap() {
			r.fail(e.place(), "", "want a trigger here, not %s", shown(e.v))
			continue
		}
		for _, t := range e.entries() {
			r.trigger(in, fn, t.key, t.view)
		}
	}
}

// functions reads an instance of multi-scf.
func (r *reading) functions(in *instance) {
	w := in.view()
	w.known(in.name, functionKeys...)
	byKey := map[string]int{}
	for _, e := range w.at("functions").entries() {
		e.known(in.name+" "+e.key, functionKeys...)
		name := e.at("name").str()
		byKey[e.key] = r.oneFunction(&functionInput{in: in, w: e.view, under: w, name: cmp.Or(name, in.name+"-"+in.stage+"-"+in.app+"-"+e.key)})
	}
	if len(byKey) == 0 {
		r.fail(w.place(), "", "%s: multi-scf has no functions", in.name)
	}
	for _, t := range w.at("triggers").items() {
		kind := t.at("type").str()
		if kind == "apigw" {
			r.sharedGateway(in, t, byKey)
			continue
		}
		name := cmp.Or(t.at("function").str(), t.at("parameters", "function").str())
		i, ok := byKey[name]
		if !ok {
			r.fail(t.place(), "", "%s: there is no function %q", in.name, name)
			continue
		}
		r.trigger(in, i, kind, t)
	}
}

// oneFunction adds a function to the App, and returns its place there.
func (r *reading) oneFunction(f *functionInput) int {
	in := f.in
	fn := sluice.Function{
		Name: sluice.FunctionName(f.name), At: f.w.place(),
		Group:       strings.TrimSpace(f.at("namespace").str()),
		Handler:     cmp.Or(f.at("handler").str(), defaultHandler),
		Runtime:     r.runtime(f.at("runtime")),
		MemoryMB:    f.at("memorySize").num(defaultMemory, 64, 122880),
		Timeout:     time.Duration(f.at("timeout").num(defaultTimeout, 1, 86400)) * time.Second,
		InitTimeout: time.Duration(f.at("initTimeout").num(0, 1, 300)) * time.Second,
		Description: f.at("description").str(),
		Env:         map[string]string{},
	}
	if fn.Group == scf.DefaultNamespace {
		fn.Group = ""
	}
	if in.inputs != nil && f.w.v == in.inputs {
		fn.At = in.at
	}
	if !functionName.MatchString(f.name) {
		r.fail(f.w.place(), "2 to 60 letters, digits, _ and -, a letter first", "function name %q is not valid", f.name)
	}
	src := f.at("src")
	if src.missing() {
		src = f.at("codeUri")
	}
	r.code(f, &fn, src)
	r.environment(f, &fn)
	extra := scf.Extra{}
	switch kind := strings.ToLower(f.at("type").str()); kind {
	case "", "event":
	case "web", "http":
		fn.Runtime = scf.WebRuntime(fn.Runtime)
		if strings.EqualFold(f.at("protocolType").str(), "WS") {
			extra.Sockets = true
			extra.SocketIdle = time.Duration(f.at("protocolParams", "wsParams", "idleTimeOut").num(0, 1, 7200)) * time.Second
			if f.at("timeout").missing() {
				r.warn(f.w.place(), "function %q ends each WebSocket connection after %d s: that is its timeout, for want of another", f.name, defaultTimeout)
			}
		}
		fn.Concurrency = f.at("instanceConcurrencyConfig", "maxConcurrency").num(0, 1, 100)
	default:
		r.fail(f.at("type").place(), "event or web", "function type %q is not known", kind)
	}
	if role := f.at("role"); !role.missing() {
		extra.Role = role.str()
	}
	fn.Extra = extra.Marshal()
	r.app.Functions = append(r.app.Functions, fn)
	return len(r.app.Functions) - 1
}

// runtimes of the cloud, in lower case, as it spells them.
var runtimes = map[string]string{
	"python2.7": "Python2.7", "python3.6": "Python3.6", "python3.7": "Python3.7", "python3.9": "Python3.9", "python3.10": "Python3.10",
	"nodejs6.10": "Nodejs6.10", "nodejs8.9": "Nodejs8.9", "nodejs10.15": "Nodejs10.15", "nodejs12.16": "Nodejs12.16",
	"nodejs14.18": "Nodejs14.18", "nodejs16.13": "Nodejs16.13", "nodejs18.15": "Nodejs18.15", "nodejs20.19": "Nodejs20.19",
	"go1": "Go1", "customruntime": "CustomRuntime",
}

func (r *reading) runtime(w view) string {
	name := cmp.Or(w.str(), defaultRuntime)
	low := strings.ToLower(name)
	if known, ok := runtimes[low]; ok {
		return known
	}
	if strings.HasPrefix(low, "php") || strings.HasPrefix(low, "java") || strings.HasPrefix(low, "customimage") {
		r.fail(w.place(), "functions run in Python, Node.js, Go or with a bootstrap of their own (CustomRuntime)", "sluice does not run the runtime %s", name)
		return name
	}
	if !strings.HasPrefix(low, "nodejs") && !strings.HasPrefix(low, "python") {
		r.fail(w.place(), "there are: "+strings.Join(slices.Sorted(maps.Values(runtimes)), ", "), "runtime %q is not known", name)
	}
	return name
}

// code finds a function's files and how they are made runnable.
func (r *reading) code(f *functionInput, fn *sluice.Function, src view) {
	where := src
	if src.v.IsMap() {
		if !src.at("bucket").missing() || !src.at("object").missing() || !src.at("cosBucketName").missing() {
			r.fail(src.place(), "name a folder with src", "code that lies in a bucket cannot be deployed")
			return
		}
		fn.Ignore = src.at("exclude").strs()
		where = src.at("src")
	}
	fn.Code = r.folder(where, where.str())
	if r.in.NoBuild {
		return
	}
	has := func(pattern string) bool {
		m, err := filepath.Glob(filepath.Join(escape(fn.Code), pattern))
		return err == nil && len(m) > 0
	}
	install := f.at("installDependency").is(false)
	switch low := strings.ToLower(fn.Runtime); {
	case low == "go1" && has("*.go"):
		fn.Build = &sluice.Build{Kind: "go", Dir: fn.Code, Package: ".", Output: fn.Handler}
	case low == "customruntime" && has("*.go") && !has("bootstrap"):
		fn.Build = &sluice.Build{Kind: "go", Dir: fn.Code, Package: ".", Output: "bootstrap"}
	case strings.HasPrefix(low, "node") && has("package.json") && (install || !has("node_modules")):
		fn.Build = &sluice.Build{Kind: "npm", Dir: fn.Code}
	case strings.HasPrefix(low, "python") && has("requirements.txt") && install:
		fn.Build = &sluice.Build{Kind: "pip", Dir: fn.Code}
	}
}

// environment reads a function's variables.
func (r *reading) environment(f *functionInput, fn *sluice.Function) {
	for _, w := range []view{f.under.at("environment"), f.w.at("environment")} {
		vars := w.at("variables")
		if w.v.IsList() { // key and value apart
			for _, e := range w.items() {
				r.setEnv(fn, e.at("key").str(), e.at("value"))
			}
			continue
		}
		if vars.missing() {
			continue
		}
		for _, e := range vars.entries() {
			r.setEnv(fn, e.key, e.view)
		}
	}
}

func (r *reading) setEnv(fn *sluice.Function, name string, w view) {
	if !variableName.MatchString(name) {
		r.fail(w.place(), "", "%q cannot be the name of an environment variable", name)
		return
	}
	fn.Env[name] = w.str()
	if pushAddress.MatchString(fn.Env[name]) {
		r.urls = append(r.urls, foreign{w.place(), len(r.app.Functions), name})
	}
}

// trigger reads one trigger of a function.
func (r *reading) trigger(in *instance, i int, kind string, w view) {
	fn := &r.app.Functions[i]
	p := w.at("parameters")
	if p.missing() {
		p = w
	}
	name := cmp.Or(w.at("name").str(), p.at("name").str())
	switch strings.ToLower(kind) {
	case "timer":
		t := sluice.Timer{Name: cmp.Or(name, fmt.Sprintf("timer-%d", len(fn.Timers))), Schedule: p.at("cronExpression").str(),
			Payload: p.at("argument").str(), Disabled: !p.at("enable").is(true)}
		if _, err := scf.ParseSchedule(t.Schedule); err != nil {
			r.fail(p.at("cronExpression").place(), "cronExpression has 7 fields: second minute hour day month weekday year", "timer of function %q: %v", fn.Name, err)
		}
		fn.Timers = append(fn.Timers, t)
	case "cos":
		b := cmp.Or(p.at("bucket").str(), name)
		b, _, _ = strings.Cut(b, ".") // its host name is given, mostly
		if b == "" {
			r.fail(w.place(), "", "cos trigger of function %q names no bucket", fn.Name)
			return
		}
		if !p.at("enable").is(true) {
			return
		}
		events := p.at("events").strs()
		if len(events) == 0 {
			events = []string{"cos:ObjectCreated:*"}
		}
		fn.Objects = append(fn.Objects, sluice.ObjectEvents{Name: name, Bucket: fullBucket(b), Events: events,
			Prefix: p.at("filter", "prefix").str(), Suffix: p.at("filter", "suffix").str()})
	case "apigw":
		r.functionGateway(in, fn, name, p)
	case "cmq", "ckafka", "cls", "mps", "clb", "vod":
		r.warn(w.place(), "function %q: triggers of the kind %s are ignored", fn.Name, kind)
	default:
		r.fail(w.place(), "there are timer, apigw and cos", "trigger kind %q of function %q is not known", kind, fn.Name)
	}
}

// targetOf is a function as APIs name it.
func targetOf(fn *sluice.Function) apispec.Function {
	return apispec.Function{Name: scf.Name(fn), Namespace: fn.Group}
}

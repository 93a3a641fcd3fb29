package sdevs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
)

// runtimes are the accepted ones (section 3.2); whether one can run here shows when it is called.
var runtimes = []string{"nodejs6", "nodejs8", "nodejs10", "nodejs12", "nodejs14", "nodejs16", "nodejs18", "nodejs20",
	"nodejs22", "python2.7", "python3", "python3.9", "python3.10", "python3.12", "go1", "java8", "java11", "php7.2",
	"dotnetcore2.1", "dotnetcore3.1", "custom", "custom.debian10", "custom.debian11", "custom.debian12"}

// owners remembers what of the App came from where, for gateways to refer to.
type owners struct {
	functions []owned
	hosts     map[string]string // host name → the bucket or function that it shows
	buckets   map[string]string // host name → bucket
}

// owned is one function with the name that the cloud knows it by.
type owned struct {
	service, name string // service is "" in FC 3.0
	index         int    // in App.Functions
	http          bool
}

func (o *owners) host(host, what string) {
	if o.hosts == nil {
		o.hosts = map[string]string{}
	}
	o.hosts[host] = what
}

// service is a module's service name (FC 2.0).
func (m *module) service() string {
	v := m.props().at("service")
	if v.v.IsMap() {
		return v.at("name").str()
	}
	return v.str()
}

var functionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$-]{0,63}$`)

// fc2 reads a module of component fc: one function of a service.
func (r *reading) fc2(m *module) {
	p := m.props()
	fn := p.at("function")
	if fn.v.IsNull() {
		if fn.missing() && p.at("service").missing() {
			r.fail(m.at, "a module of component fc has props.service and props.function", "module %q has no function", m.name)
		}
		return // a service alone holds nothing
	}
	service := m.service()
	r.typos(fn, functionProps)
	f := &sluice.Function{
		Name: sluice.FunctionName(fn.at("name").or(m.name)), Group: service, At: m.at,
		MemoryMB:    fn.at("memorySize").num(128, 64, 32768),
		Timeout:     fn.at("timeout").seconds(3, 1, 86400),
		Concurrency: fn.at("instanceConcurrency").num(1, 1, 200),
		Description: fn.at("description").str(),
		Initializer: fn.at("initializer").or(fn.at("instanceLifecycleConfig", "initializer", "handler").str()),
		PreStop:     fn.at("instanceLifecycleConfig", "preStop", "handler").str(),
		PreFreeze:   fn.at("instanceLifecycleConfig", "preFreeze", "handler").str(),
		Port:        fn.at("caPort").num(0, 1, 65535),
		Layers:      fn.at("layers").strs(""),
	}
	if w := p.at("service"); service == "" && !w.broken() && !w.at("name").broken() {
		r.fail(w.place(), "give it props.service.name", "module %q has no service", m.name)
	}
	if f.Initializer != "" {
		f.InitTimeout = fn.at("initializationTimeout").seconds(3, 1, 300)
	}
	r.life(f, fn.at("instanceLifecycleConfig"))
	r.common(m, f, fn, fn.at("codeUri"))
	r.provision(f, fn)
	r.async(f, fn.at("asyncConfiguration"))
	r.health(f, fn.at("customHealthCheckConfig"))
	for _, t := range p.at("triggers").items() {
		r.trigger(m, f, t.at("name").str(), t.at("type").str(), t.at("config"), t)
	}
	for _, d := range p.at("customDomains").items() {
		r.customDomain(m, f, d, d.at("routeConfigs"))
	}
	r.addFunction(m, f)
}

// fc3 reads a module of component fc3: one function.
func (r *reading) fc3(m *module) {
	p := m.props()
	life := p.at("instanceLifecycleConfig")
	f := &sluice.Function{
		Name: sluice.FunctionName(p.at("functionName").or(m.name)), At: m.at,
		MemoryMB:    p.at("memorySize").num(512, 64, 32768),
		Timeout:     p.at("timeout").seconds(3, 1, 86400),
		Concurrency: p.at("instanceConcurrency").num(1, 1, 200),
		Description: p.at("description").str(),
		Initializer: life.at("initializer", "handler").str(),
		PreStop:     life.at("preStop", "handler").str(),
		PreFreeze:   life.at("preFreeze", "handler").str(),
		Port:        p.at("customRuntimeConfig", "port").num(0, 1, 65535),
	}
	if f.Initializer != "" {
		f.InitTimeout = life.at("initializer", "timeout").seconds(3, 1, 300)
	}
	for _, l := range p.at("layers").strs("") {
		if !strings.HasPrefix(l, "official/") {
			f.Layers = append(f.Layers, l)
		}
	}
	r.life(f, life)
	r.common(m, f, p, p.at("code"))
	r.provision(f, p)
	r.async(f, p.at("asyncInvokeConfig"))
	r.health(f, p.at("customRuntimeConfig", "healthCheckConfig"))
	for _, t := range p.at("triggers").items() {
		r.trigger(m, f, t.at("triggerName").str(), t.at("triggerType").str(), t.at("triggerConfig"), t)
	}
	if d := p.at("customDomain"); !d.v.IsNull() {
		r.customDomain(m, f, d, d.at("route"))
	}
	r.addFunction(m, f)
}

// life reads what both generations say alike of the hooks of an instance's life.
func (r *reading) life(f *sluice.Function, v view) {
	f.InitCommand = v.at("initializer", "command").strs("")
	if len(f.InitCommand) > 0 && f.InitTimeout == 0 {
		f.InitTimeout = v.at("initializer", "timeout").seconds(3, 1, 300)
	}
	if f.PreStop != "" {
		f.StopTime = v.at("preStop", "timeout").seconds(0, 1, 90)
	}
	if f.PreFreeze != "" {
		f.FreezeTime = v.at("preFreeze", "timeout").seconds(0, 1, 90)
	}
}

// common reads what both generations spell alike.
func (r *reading) common(m *module, f *sluice.Function, p, code view) {
	if !functionName.MatchString(string(f.Name)) {
		r.fail(p.place(), "use letters, digits, _ and -, at most 64, not beginning with a digit", "function name %q of module %q is not valid", f.Name, m.name)
	}
	rt := p.at("runtime")
	f.Runtime = rt.str()
	switch {
	case rt.missing():
		r.fail(p.place(), "known are: "+strings.Join(runtimes, ", "), "module %q has no runtime", m.name)
	case f.Runtime == "custom-container":
		r.fail(rt.place(), "use runtime custom with the program itself, or leave it out with --skip "+m.name, "module %q wants a container image, which sluice does not run", m.name)
	case f.Runtime != "" && !slices.Contains(runtimes, f.Runtime):
		hint := suggest(f.Runtime, runtimes)
		if hint == "" {
			hint = "known are: " + strings.Join(runtimes, ", ")
		}
		r.fail(rt.place(), hint, "runtime %q of module %q is not known", f.Runtime, m.name)
	}
	f.Handler = p.at("handler").str()
	custom := strings.HasPrefix(f.Runtime, "custom")
	if f.Handler == "" && !custom {
		f.Handler = "index.handler"
		if f.Runtime == "go1" {
			f.Handler = "main"
		}
	}
	if custom {
		c := p.at("customRuntimeConfig")
		for _, word := range append(c.at("command").strs(""), c.at("args").strs("")...) {
			f.Command = append(f.Command, local(word))
		}
		if len(f.Command) == 0 {
			f.Command = []string{"./bootstrap"}
		}
		if f.Port == 0 {
			f.Port = 9000
		}
	}
	r.environ(m, f, p.at("environmentVariables"))
	for _, w := range []view{p.at("ossBucket"), code} {
		if w.name == "ossBucket" && !w.v.IsNull() && code.v.IsNull() || w.v.IsMap() && !w.at("ossBucketName").v.IsNull() {
			r.fail(w.place(), "put the code into a folder and name that", "code of module %q is in a bucket of the cloud", m.name)
			return
		}
	}
	r.code(m, f, code)
}

// local is a path below /code, where the cloud unpacks code, as one below the working folder.
func local(word string) string {
	if rest, ok := strings.CutPrefix(word, "/code/"); ok {
		return "./" + rest
	}
	return word
}

func (r *reading) environ(m *module, f *sluice.Function, w view) {
	for _, e := range w.pairs() {
		if strings.HasPrefix(e.name, "FC_") {
			r.fail(e.place(), "names that begin with FC_ are the platform's", "environment variable %s of module %q cannot be set", e.name, m.name)
			continue
		}
		if f.Env == nil {
			f.Env = map[string]string{}
		}
		switch {
		case e.v.IsMap() || e.v.IsList():
			f.Env[e.name] = r.vars.json(e.v, m)
		default:
			f.Env[e.name] = e.str()
		}
	}
}

// code reads where the code is: a folder or archive, or {src, excludes}.
func (r *reading) code(m *module, f *sluice.Function, w view) {
	src := w
	if w.v.IsMap() {
		src = w.at("src")
		f.Ignore = w.at("excludes").strs("")
		if len(f.Ignore) == 0 {
			f.Ignore = w.at("exclude").strs("")
		}
	}
	if src.missing() {
		r.fail(src.place(), `codeUri (or code) names the folder, "./" is the template's own`, "module %q has no code", m.name)
		return
	}
	if src.str() == "" {
		return
	}
	if ext := filepath.Ext(src.str()); (ext == ".zip" || ext == ".jar") && !isFile(r.under(src.str())) && len(m.actionDirs()) == 0 {
		r.fail(src.place(), r.nearFile(src.str()), "%s %q of module %q does not exist", src.name, src.str(), m.name)
		return
	}
	if b := r.goModule(m, f, src); b != nil {
		f.Code, f.Build = r.under(src.str()), b
	} else {
		f.Code = r.folder(m, src)
		if isDir(f.Code) {
			f.Build = r.goBuild(m, f, f.Code)
		}
	}
	if isDir(f.Code) {
		f.Ignore = append(r.fcignore(f.Code), f.Ignore...)
	}
}

// provision reads how many instances there shall be.
func (r *reading) provision(f *sluice.Function, p view) {
	c := p.at("provisionConfig")
	if f.MinInstances = c.at("defaultTarget").num(0, 0, 10_000); f.MinInstances == 0 {
		f.MinInstances = c.at("target").num(0, 0, 10_000)
	}
	if f.MaxInstances = p.at("concurrencyConfig", "reservedConcurrency").num(0, 0, 100_000); f.MaxInstances == 0 {
		f.MaxInstances = p.at("asyncConfiguration", "maximumInstances").num(0, 0, 100_000)
	}
}

// trigger reads one trigger: http, timer and oss run here.
func (r *reading) trigger(m *module, f *sluice.Function, name, typ string, config, w view) {
	switch strings.ToLower(typ) {
	case "http":
		if f.HTTP != nil {
			r.warn(w.place(), "function %q has a second http trigger, which is ignored", f.Name)
			return
		}
		f.HTTP = &sluice.HTTPTrigger{Name: name, Auth: strings.ToLower(config.at("authType").or("anonymous"))}
		for _, verb := range config.at("methods").strs(", ") {
			f.HTTP.Methods = append(f.HTTP.Methods, strings.ToUpper(verb))
		}
		if f.HTTP.Auth != "anonymous" && f.HTTP.Auth != "function" {
			r.warn(config.at("authType").place(), "authType %q of function %q is not known here; requests have to be signed", f.HTTP.Auth, f.Name)
			f.HTTP.Auth = "function"
		}
	case "timer":
		r.timer(f, name, config, w)
	case "oss":
		r.objectEvents(f, name, config, w)
	case "":
		r.fail(w.place(), "", "a trigger of function %q has no type", f.Name)
	default:
		r.warn(w.place(), "trigger %q of function %q is of type %s, which nothing fires here", name, f.Name, typ)
	}
}

// customDomain reads a host that shows the function.
func (r *reading) customDomain(m *module, f *sluice.Function, d, routes view) {
	host := hostOf(d.at("domainName").str())
	if host == "" { // auto: the one that every function has anyway
		return
	}
	if f.HTTP == nil {
		r.warn(d.place(), "function %q has a custom domain but no http trigger; it gets one", f.Name)
		f.HTTP = &sluice.HTTPTrigger{Name: "http", Auth: "anonymous"}
	}
	r.show(f, host, d.place(), routes.items())
	r.owners.host(host, string(f.Name))
}

// fcDomain reads a module that gives a function a host.
func (r *reading) fcDomain(m *module) {
	p := m.props()
	host := hostOf(p.at("domainName").str())
	var routes []view
	for _, key := range []string{"routeConfig", "routeConfigs", "routes"} {
		if w := p.at(key); !w.v.IsNull() {
			if w.v.IsMap() && !w.at("routes").v.IsNull() {
				w = w.at("routes")
			}
			routes = append(routes, w.items()...)
		}
	}
	if len(routes) == 0 {
		r.fail(m.at, "", "module %q has no routes", m.name)
	}
	for _, route := range routes {
		service, name := route.at("serviceName").str(), route.at("functionName").str()
		o := r.function(service, name)
		if o == nil {
			r.noFunction(route.at("functionName"), service, name)
			continue
		}
		f := &r.app.Functions[o.index]
		if f.HTTP == nil {
			group := f.Group
			if group == "" {
				group = string(r.app.Name)
			}
			f.HTTP, o.http = &sluice.HTTPTrigger{Name: "http", Auth: "anonymous", Hosts: []string{localHost(o.name, group)}}, true
		}
		if host != "" && r.owners.buckets[host] == "" {
			r.show(f, host, route.place(), []view{route})
			r.owners.host(host, string(f.Name))
		}
	}
}

// addFunction puts a function into the App, with the hosts that it always has.
func (r *reading) addFunction(m *module, f *sluice.Function) {
	if f.HTTP != nil {
		group := f.Group
		if group == "" {
			group = string(r.app.Name)
			f.HTTP.Hosts = append(f.HTTP.Hosts, m.fcapp())
		}
		f.HTTP.Hosts = append([]string{localHost(string(f.Name), group)}, f.HTTP.Hosts...)
		r.output(m, "url", m.outputs().GetFold("url").GetFold("system_url"))
	}
	r.owners.functions = append(r.owners.functions, owned{f.Group, string(f.Name), len(r.app.Functions), f.HTTP != nil})
	r.app.Functions = append(r.app.Functions, *f)
}

// localHost is where a function with an http trigger answers without any domain: the stand-in for
// the test domain that "auto" asks the cloud for.
func localHost(name, group string) string {
	host := "localhost"
	for _, s := range []string{group, name} {
		if l := sluice.DNSLabel(s); l != "" {
			host = l + "." + host
		}
	}
	return host
}

// output is a named value shown to the person who deploys.
func (r *reading) output(m *module, name string, v *value) {
	if v != nil && v.Text != "" {
		r.app.Outputs = append(r.app.Outputs, sluice.Output{Name: m.name + "." + name, Value: v.Text})
	}
}

// nameFunctions gives functions of different services that share a name one each, in the way of
// functions migrated to FC 3.0: {service}${function}.
func (r *reading) nameFunctions() {
	count := map[sluice.FunctionName]int{}
	seen := map[string]sluice.Place{}
	for _, f := range r.app.Functions {
		count[f.Name]++
		id := f.Group + "/" + string(f.Name)
		if at, twice := seen[id]; twice {
			r.fail(f.At, "", "function %q is defined twice, also at %s", strings.TrimPrefix(id, "/"), at)
		}
		seen[id] = f.At
	}
	for i := range r.app.Functions {
		f := &r.app.Functions[i]
		if count[f.Name] > 1 && f.Group != "" {
			name := sluice.FunctionName(f.Group + "$" + string(f.Name))
			r.warn(f.At, "several services have a function %q; this one is called %q", f.Name, name)
			f.Name = name
		}
	}
}

// function finds a function by the names that the cloud knows; service may be "".
func (r *reading) function(service, name string) *owned {
	var found *owned
	for i := range r.owners.functions {
		o := &r.owners.functions[i]
		if o.name == name && (o.service == service || service == "" || o.service == "") {
			if o.service == service {
				return o
			}
			if found == nil {
				found = o
			}
		}
	}
	return found
}

// noFunction notes that a name is no function of the template.
func (r *reading) noFunction(w view, service, name string) {
	var known []string
	for _, o := range r.owners.functions {
		known = append(known, o.name)
	}
	what := fmt.Sprintf("function %q", name)
	if service != "" {
		what += fmt.Sprintf(" of service %q", service)
	}
	if !w.broken() {
		r.fail(w.place(), suggest(name, known), "%s is not in this template", what)
	}
}

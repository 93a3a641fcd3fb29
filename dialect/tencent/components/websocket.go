package components

import (
	"cmp"
	_ "embed"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// shim is the handler of the websocket component's function: it offers the global on(route, …) to the
// user's file (section 4.4).
//
//go:embed shim.js
var shim string

const (
	shimFile    = "sluice_websocket.js"
	shimHandler = "sluice_websocket.main_handler"
)

// socketFunction is what the websocket component calls its function.
func (in *instance) socketFunction() string {
	w := in.view()
	for _, n := range []view{w.at("functionName"), w.at("faas", "name")} {
		if !n.missing() {
			return n.str()
		}
	}
	if in.v1 {
		return in.name
	}
	return in.name + "-" + in.stage + "-" + in.app
}

// socketService is the service of the websocket component, and its environment.
func (in *instance) socketService() (id, environment string) {
	g := in.gatewayInputs()
	return in.serviceOf(cmpView(g.at("id"), g.at("serviceId"))), cmp.Or(g.at("environment").str(), defaultEnvironment)
}

func (in *instance) gatewayInputs() view {
	w := in.view()
	return cmpView(w.at("apigw"), w.at("apigatewayConf"))
}

// cmpView is the first that is there, else the last.
func cmpView(list ...view) view {
	for _, w := range list {
		if !w.missing() {
			return w
		}
	}
	return list[len(list)-1]
}

// websocket reads an instance of websocket: one function that plays all roles of one API.
func (r *reading) websocket(in *instance) {
	w := in.view()
	w.known(in.name, "region", "entryFile", "src", "code", "faas", "functionName", "functionConf", "apigw", "apigatewayConf", "name")
	conf := cmpView(w.at("faas"), w.at("functionConf"))
	conf.known(in.name+" function", "name", "runtime", "timeout", "memorySize", "environments", "environment", "handler", "qualifier", "namespace", "description")
	g := in.gatewayInputs()
	g.known(in.name+" apigw", "isDisabled", "id", "serviceId", "name", "serviceName", "description", "cors", "enableCORS", "protocols", "environment",
		"timeout", "serviceTimeout", "customDomains", "uplinkAction", "closeOnTransportError", "cleanupOn", "maxMessageBytes", "uplinkConcurrency", "origins")
	id, environment := in.socketService()
	api := apispec.APIID(id, "/", "GET")
	fn := sluice.Function{
		Name: sluice.FunctionName(in.socketFunction()), At: in.at, Runtime: r.runtime(conf.at("runtime")), Group: conf.at("namespace").str(),
		MemoryMB: conf.at("memorySize").num(defaultMemory, 64, 122880), Timeout: time.Duration(conf.at("timeout").num(10, 1, 86400)) * time.Second,
		Description: conf.at("description").str(), Env: map[string]string{}, Handler: conf.at("handler").str(),
	}
	if !functionName.MatchString(string(fn.Name)) {
		r.fail(in.at, "2 to 60 letters, digits, _ and -, a letter first", "function name %q is not valid", fn.Name)
	}
	if !strings.HasPrefix(fn.Runtime, "Nodejs") {
		r.fail(conf.at("runtime").place(), "", "%s: the websocket component runs Node.js, not %s", in.name, fn.Runtime)
	}
	f := &functionInput{in: in, w: conf, under: conf}
	r.code(f, &fn, cmpView(w.at("src"), w.at("code")))
	r.environment(f, &fn)
	for _, e := range conf.at("environments").items() {
		r.setEnv(&fn, cmp.Or(e.at("key").str(), e.at("envKey").str()), cmpView(e.at("value"), e.at("envVal")))
	}
	fn.Env["SERVERLESS"], fn.Env["wsBackUrl"] = "1", r.pushURL(api)
	fn.Env["SLS_ENTRY_FILE"] = cmp.Or(w.at("entryFile").str(), "sls.js")
	if fn.Handler == "" {
		fn.Handler, fn.Files = shimHandler, map[string]string{shimFile: shim}
	}
	fn.Extra = (&scf.Extra{}).Marshal()
	r.app.Functions = append(r.app.Functions, fn)
	if g.at("isDisabled").is(false) {
		return
	}
	s := r.service(id, in, in.at)
	s.Name = cmp.Or(g.at("name").str(), g.at("serviceName").str(), s.Name)
	s.Environment = environment
	for _, d := range g.at("customDomains").items() {
		r.domain(s, d)
	}
	t := targetOf(&fn)
	a := apispec.API{
		ID: api, Name: "index", Path: "/", Method: "GET", Protocol: apispec.WebSocket, Type: apispec.SCF, At: in.at,
		Timeout:  cmpView(g.at("timeout"), g.at("serviceTimeout")).num(defaultServiceTimeout, 1, maxServiceTimeout),
		Roles:    apispec.Roles{Register: t, Transport: t, Cleanup: t},
		Settings: apispec.Settings{UplinkAction: apispec.DataSend},
	}
	r.settings(g, &a)
	s.APIs = append(s.APIs, a)
}

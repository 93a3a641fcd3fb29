package components

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

const (
	defaultEnvironment    = "release"
	defaultServiceTimeout = 15   // seconds
	maxServiceTimeout     = 1800 // seconds
	pushPath              = "/_tencent/push/"
)

var serviceID = regexp.MustCompile(`^service-[0-9a-z]{8}$`)

// pushURL is where functions push to the connections of an API.
func (r *reading) pushURL(api string) string {
	admin := "http://127.0.0.1:4566"
	if r.in.Endpoint != nil {
		admin = r.in.Endpoint("apigateway")
	}
	return strings.TrimSuffix(admin, "/") + pushPath + api
}

// address is where clients on this machine find a service: host, and path without its final slash.
func (r *reading) address(id string) string {
	host := string(r.app.Name) + ".localhost"
	if r.in.Public != nil {
		host = r.in.Public(r.app.Name)
	}
	return host + "/_tencent/" + id
}

// serviceOf is the id of the service that an instance of apigateway or websocket makes.
func (in *instance) serviceOf(w view) string {
	if id := w.str(); serviceID.MatchString(id) {
		return id
	}
	return apispec.ServiceID(string(in.r.app.Name), in.stage, in.name)
}

// apiOf is the id of an API of a service, unless w names one.
func apiOf(w view, service, path, method string) string {
	if id := w.str(); strings.HasPrefix(id, "api-") {
		return id
	}
	return apispec.APIID(service, path, strings.ToUpper(method))
}

// service is the service of an id, made when it is first asked for.
func (r *reading) service(id string, in *instance, at sluice.Place) *apispec.Service {
	for _, s := range r.services {
		if s.ID == id {
			return s
		}
	}
	s := &apispec.Service{ID: id, Name: "serverless", Region: in.region(), Environment: defaultEnvironment}
	s.SubDomain = apispec.SubDomain(id, scf.AppID, s.Region)
	r.services = append(r.services, s)
	r.places[id] = at
	return s
}

// gatewayKeys and endpointKeys are the inputs of apigateway that mean something here.
var (
	gatewayKeys = []string{"serviceId", "region", "protocols", "serviceName", "serviceDesc", "description", "environment", "netTypes",
		"customDomains", "endpoints"}
	endpointKeys = []string{"path", "method", "protocol", "serviceType", "apiId", "apiName", "apiDesc", "description", "enableCORS", "responseType",
		"serviceTimeout", "param", "function", "serviceConfig", "serviceMockReturnMessage", "authType", "businessType", "isBase64Encoded",
		"isBase64Trigger", "base64EncodedTriggerRules", "uplinkAction", "closeOnTransportError", "cleanupOn", "maxMessageBytes", "uplinkConcurrency", "origins"}
)

// gateway reads an instance of apigateway.
func (r *reading) gateway(in *instance) {
	w := in.view()
	w.known(in.name, gatewayKeys...)
	r.serviceInputs(in, w, in.serviceOf(w.at("serviceId")), func(e view) {
		r.endpoint(in, in.serviceOf(w.at("serviceId")), e, nil)
	})
}

// serviceInputs reads what services have in common, wherever they are described.
func (r *reading) serviceInputs(in *instance, w view, id string, each func(view)) *apispec.Service {
	s := r.service(id, in, w.place())
	s.Name = cmp.Or(w.at("serviceName").str(), s.Name)
	s.Description = cmp.Or(w.at("serviceDesc").str(), w.at("description").str())
	s.Environment = cmp.Or(w.at("environment").str(), defaultEnvironment)
	if !slices.Contains([]string{"release", "prepub", "test"}, s.Environment) {
		r.fail(w.at("environment").place(), "release, prepub or test", "environment %q is not known", s.Environment)
	}
	for _, d := range w.at("customDomains").items() {
		r.domain(s, d)
	}
	for _, e := range w.at("endpoints").items() {
		each(e)
	}
	return s
}

// domain reads a custom domain.
func (r *reading) domain(s *apispec.Service, w view) {
	name := w
	if w.v.IsMap() {
		name = w.at("domain")
	}
	d := apispec.Domain{Name: strings.ToLower(strings.TrimSpace(name.str())), Keep: true}
	if d.Name == "" || strings.ContainsAny(d.Name, "/:@ ") {
		r.fail(name.place(), "", "%q is no host name", d.Name)
		return
	}
	if mapped := w.at("pathMappingSet"); w.v.IsMap() && !mapped.missing() && !w.at("isDefaultMapping").is(true) {
		for _, m := range mapped.items() {
			if m.at("environment").str() == s.Environment {
				d.Keep, d.Base = false, strings.TrimSuffix(m.at("path").str(), "/")
			}
		}
	}
	s.Domains = append(s.Domains, d)
	if !slices.Contains(r.app.Domains, d.Name) {
		r.app.Domains = append(r.app.Domains, d.Name)
	}
}

// endpoint reads one API. fn is the function that it is a trigger of; nil when it stands by itself.
func (r *reading) endpoint(in *instance, service string, w view, fn *sluice.Function) {
	w.known(in.name+" endpoint", endpointKeys...)
	s := r.service(service, in, w.place())
	a := apispec.API{
		Path: cmp.Or(w.at("path").str(), "/"), Method: strings.ToUpper(cmp.Or(w.at("method").str(), "ANY")), At: w.place(),
		Protocol: strings.ToUpper(cmp.Or(w.at("protocol").str(), apispec.HTTP)),
		Type:     strings.ToUpper(cmp.Or(w.at("serviceType").str(), apispec.SCF)),
		Timeout:  w.at("serviceTimeout").num(defaultServiceTimeout, 1, maxServiceTimeout),
		CORS:     w.at("enableCORS").is(false), Mock: w.at("serviceMockReturnMessage").str(), Base64: w.at("isBase64Encoded").is(false),
	}
	if path := strings.TrimPrefix(a.Path, "="); !strings.HasPrefix(path, "/") {
		a.Path = "/" + path
	}
	if a.Protocol == apispec.WebSocket {
		a.Method = "GET"
	}
	a.ID = apiOf(w.at("apiId"), service, a.Path, a.Method)
	a.Name = cmp.Or(w.at("apiName").str(), "index")
	if slices.ContainsFunc(s.APIs, func(o apispec.API) bool { return o.ID == a.ID }) {
		r.fail(w.place(), "", "service %s has the API %s %s twice", s.Name, a.Method, a.Path)
		return
	}
	if auth := strings.ToUpper(w.at("authType").str()); auth != "" && auth != "NONE" {
		r.unsupported(w.at("authType").place(), "%s: sluice does not check authType %s", in.name, auth)
		return // open to everybody is not what was asked for
	}
	for _, p := range w.at("param").items() {
		a.Params = append(a.Params, apispec.Param{Name: p.at("name").str(), Position: strings.ToUpper(cmp.Or(p.at("position").str(), "QUERY")),
			Required: p.at("required").is(false), Default: p.at("defaultValue").str()})
	}
	if w.at("isBase64Trigger").is(false) {
		for _, t := range w.at("base64EncodedTriggerRules").items() {
			a.Triggers = append(a.Triggers, apispec.Base64Rule{Name: t.at("name").str(), Values: t.at("value").strs()})
		}
	}
	switch a.Protocol {
	case apispec.HTTP, "HTTPS":
		a.Protocol = apispec.HTTP
		if !r.backend(in, w, &a, fn) {
			return
		}
	case apispec.WebSocket:
		switch a.Type {
		case apispec.SCF:
			r.roles(in, w, &a, fn)
		case apispec.Sockets:
			r.server(in, w, &a)
		default:
			r.unsupported(w.at("serviceType").place(), "%s: WebSocket APIs in front of %s are not served", in.name, a.Type)
			return
		}
	default:
		r.fail(w.at("protocol").place(), "HTTP or WEBSOCKET", "protocol %q is not known", a.Protocol)
	}
	s.APIs = append(s.APIs, a)
}

// backend reads what answers an HTTP API.
func (r *reading) backend(in *instance, w view, a *apispec.API, fn *sluice.Function) bool {
	f := w.at("function")
	switch a.Type {
	case apispec.SCF:
		a.Function = apispec.Function{Name: f.at("functionName").str(), Namespace: f.at("functionNamespace").str(), Qualifier: f.at("functionQualifier").str()}
		if fn != nil {
			a.Function.Name, a.Function.Namespace = scf.Name(fn), fn.Group
		}
		a.Function.Integrated = f.at("isIntegratedResponse").is(fn != nil)
		if a.Function.Name == "" {
			r.fail(w.place(), "function: {functionName: …}", "%s: API %s %s names no function", in.name, a.Method, a.Path)
		}
	case apispec.Server:
		r.server(in, w, a)
	case apispec.Mock:
	default:
		r.unsupported(w.at("serviceType").place(), "%s: serviceType %s is not served", in.name, a.Type)
		return false
	}
	return true
}

// server reads the server that answers an API.
func (r *reading) server(in *instance, w view, a *apispec.API) {
	c := w.at("serviceConfig")
	a.Backend = apispec.Backend{URL: c.at("url").str(), Path: c.at("path").str(), Method: strings.ToUpper(c.at("method").str())}
	if a.Backend.URL == "" {
		r.fail(w.place(), "serviceConfig: {url: …}", "%s: API %s %s names no server", in.name, a.Method, a.Path)
	}
}

// roles reads the functions of a WebSocket API, and how it is to behave (section 1.1).
func (r *reading) roles(in *instance, w view, a *apispec.API, fn *sluice.Function) {
	f := w.at("function")
	role := func(name string) apispec.Function {
		if f.at(name + "FunctionName").missing() {
			return apispec.Function{}
		}
		return apispec.Function{
			Name:      f.at(name + "FunctionName").str(),
			Namespace: cmp.Or(f.at(name+"FunctionNamespace").str(), f.at("functionNamespace").str()),
			Qualifier: cmp.Or(f.at(name+"FunctionQualifier").str(), f.at("functionQualifier").str()),
		}
	}
	a.Roles = apispec.Roles{Register: role("register"), Transport: role("transport"), Cleanup: role("cleanup")}
	switch {
	case a.Roles.Transport.Name != "":
	case fn != nil && scf.TakesSockets(fn): // and nobody else is asked
		a.Function = targetOf(fn)
		return
	case fn != nil:
		a.Roles.Transport = targetOf(fn)
	}
	if a.Roles.Transport.Name == "" {
		r.fail(w.place(), "function: {transportFunctionName: …}", "%s: WebSocket API %s has no transport function", in.name, a.Path)
	}
	r.settings(w, a)
}

// settings reads how a WebSocket API behaves where the cloud's documents leave it open.
func (r *reading) settings(w view, a *apispec.API) {
	set := &a.Settings
	set.UplinkAction = cmp.Or(w.at("uplinkAction").str(), set.UplinkAction)
	if !slices.Contains([]string{"", apispec.DataRecv, apispec.DataSend}, set.UplinkAction) {
		r.fail(w.at("uplinkAction").place(), apispec.DataRecv+" or "+apispec.DataSend, "uplinkAction %q is not known", set.UplinkAction)
	}
	set.IgnoreFailures = !w.at("closeOnTransportError").is(true)
	set.MaxMessage = w.at("maxMessageBytes").num(0, 1, 16<<20)
	set.Uplink = w.at("uplinkConcurrency").num(0, 1, 256)
	set.Origins = w.at("origins").strs()
	switch on := w.at("cleanupOn").str(); on {
	case "", "all":
	case "client":
		set.CleanupOnClient = true
	default:
		r.fail(w.at("cleanupOn").place(), "all or client", "cleanupOn %q is not known", on)
	}
}

// functionGateway reads an apigw trigger of a function.
func (r *reading) functionGateway(in *instance, fn *sluice.Function, name string, p view) {
	p.known(string(fn.Name)+" apigw", append([]string{"name", "parameters", "usagePlan"}, gatewayKeys...)...)
	id := p.at("serviceId").str()
	if !serviceID.MatchString(id) {
		id = apispec.ServiceID(string(r.app.Name), in.stage, in.name, scf.Namespace(fn), scf.Name(fn), name)
	}
	s := r.serviceInputs(in, p, id, func(e view) { r.endpoint(in, id, e, fn) })
	if p.at("endpoints").missing() {
		f := targetOf(fn)
		f.Integrated = true
		s.APIs = append(s.APIs, apispec.API{ID: apispec.APIID(id, "/"+scf.Name(fn), "ANY"), Name: "index", Path: "/" + scf.Name(fn), Method: "ANY",
			Protocol: apispec.HTTP, Type: apispec.SCF, Timeout: defaultServiceTimeout, Function: f, At: p.place()})
	}
}

// sharedGateway reads an apigw trigger of multi-scf, whose APIs name its functions.
func (r *reading) sharedGateway(in *instance, t view, byKey map[string]int) {
	p := t.at("parameters")
	id := in.serviceOf(p.at("serviceId"))
	s := r.service(id, in, t.place())
	s.Name = cmp.Or(p.at("serviceName").str(), p.at("name").str(), s.Name)
	s.Environment = cmp.Or(p.at("environment").str(), defaultEnvironment)
	apis := p.at("apis")
	if apis.missing() {
		apis = p.at("endpoints")
	}
	for _, e := range apis.items() {
		f := e.at("function")
		key := f.v
		if f.v.IsMap() {
			key = f.at("name").v
		}
		i, ok := 0, false
		if key != nil {
			i, ok = byKey[key.Text]
		}
		if !ok {
			r.fail(e.place(), "", "%s: API %s names no function of %s", in.name, e.at("path").str(), in.name)
			continue
		}
		r.endpoint(in, id, view{r, in, withoutText(e.v, "function"), e.or}, &r.app.Functions[i])
	}
}

// withoutText is a map without a key whose value is a text.
func withoutText(v *value, key string) *value {
	out := &value{At: v.At, Fields: []field{}}
	for _, f := range v.Fields {
		if f.Key != key || f.Value.IsMap() {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

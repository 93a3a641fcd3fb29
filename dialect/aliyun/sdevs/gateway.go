package sdevs

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// gateway reads a module of component apigateway or api-gateway: one API group.
func (r *reading) gateway(m *module) {
	p := m.props()
	g := apigroup.Group{
		Name:      m.group(),
		Region:    m.regionOr(),
		SubDomain: m.subDomain(),
		Stage:     strings.ToUpper(p.at("stageName").or("RELEASE")),
	}
	if stages := []string{"RELEASE", "PRE", "TEST"}; !slices.Contains(stages, g.Stage) {
		r.fail(p.at("stageName").place(), suggest(g.Stage, stages), "stageName %q of module %q is not known", g.Stage, m.name)
	}
	if base := strings.Trim(p.at("basePath").str(), "/"); base != "" {
		g.BasePath = "/" + base
	}
	for _, key := range []string{"customerDomain", "customDomain"} {
		for _, d := range p.at(key).items() {
			w := d
			if d.v.IsMap() {
				w = d.at("domainName")
			}
			if h := hostOf(w.str()); h != "" && !slices.Contains(g.Domains, h) {
				g.Domains = append(g.Domains, h)
			}
		}
	}
	g.Settings = r.gatewaySettings(p.at("sluice"))
	names := map[string]bool{}
	for _, w := range p.at("apis").items() {
		a := r.api(m, w)
		if names[a.Name] {
			r.fail(w.place(), "", "API %q of module %q is defined twice", a.Name, m.name)
		}
		names[a.Name] = true
		g.APIs = append(g.APIs, a)
		if a.WebSocketType == apigroup.Notify && a.Auth == "ANONYMOUS" && !g.Settings.NotifyLocal {
			r.warn(a.Place, "API %q lets anyone who reaches the server push to devices; \"sluice: {notifyAllow: loopback}\" among the module's props keeps it to this machine", a.Name)
		}
	}
	if len(g.APIs) == 0 && p.at("apis").missing() {
		r.warn(m.at, "module %q has no apis", m.name)
	}
	spec, err := json.Marshal(g)
	if err != nil {
		r.fail(m.at, "", "module %q: %v", m.name, err)
		return
	}
	for _, e := range r.app.Endpoints {
		if e.Name == m.name {
			return
		}
	}
	hosts := append(slices.Clone(g.Domains), g.SubDomain)
	for _, h := range g.Domains {
		if r.owners.hosts[h] == "" && !slices.Contains(r.app.Domains, h) {
			r.app.Domains = append(r.app.Domains, h)
		}
	}
	r.app.Endpoints = append(r.app.Endpoints, sluice.Endpoint{Name: m.name, Hosts: hosts, Spec: spec, At: m.at})
	r.app.Outputs = append(r.app.Outputs, sluice.Output{Name: m.name + ".domain", Value: hosts[0]})
}

// gatewaySettings reads the prop that is ours alone.
func (r *reading) gatewaySettings(w view) apigroup.Settings {
	r.typos(w, gatewaySettingProps)
	limits := w.at("throttle")
	r.typos(limits, throttleProps)
	s := apigroup.Settings{
		Life:            time.Duration(w.at("connectionLifetime").num(0, 0, 30*24*3600)) * time.Second,
		LatestDevice:    w.at("duplicateDevice").one("ALL", "ALL", "LATEST") == "LATEST",
		NotifyLocal:     w.at("notifyAllow").one("ANY", "ANY", "LOOPBACK") == "LOOPBACK",
		RequireRegister: w.at("requireRegister").yes(),
		NoFarewell:      w.at("unregisterOnDisconnect").or("true") == "false",

		UnregisteredIdle: time.Duration(w.at("unregisteredIdle").num(0, 0, 30*24*3600)) * time.Second,
		Throttle: apigroup.Throttle{
			Instance: limits.at("instance").num(0, 0, 1e9),
			Group:    limits.at("group").num(0, 0, 1e9),
			API:      limits.at("api").num(0, 0, 1e9),
		},
	}
	if w.at("fcFormatErrorStatus").one("502", "502", "503") == "503" {
		s.FormatStatus = http.StatusServiceUnavailable
	}
	return s
}

// one reads a word of a closed set, def when it is not there.
func (w view) one(def string, known ...string) string {
	s := strings.ToUpper(strings.TrimSpace(w.str()))
	if s == "" {
		return def
	}
	if !slices.Contains(known, s) {
		w.m.r.fail(w.place(), suggest(s, known), "%s %q of module %q is not known", w.name, w.str(), w.m.name)
		return def
	}
	return s
}

var verbs = []string{"ANY", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}

// api reads one API with the defaults of its component (section 2.1).
func (r *reading) api(m *module, w view) apigroup.API {
	req, svc := w.at("requestConfig"), w.at("serviceConfig")
	r.typos(w, apiProps)
	r.typos(req, requestProps)
	r.typos(svc, serviceProps)
	r.typos(svc.at("functionComputeConfig"), functionComputeProps)
	protocols := "HTTP,HTTPS"
	if m.kind == apigateway {
		protocols = "HTTP,HTTPS,WS"
	}
	a := apigroup.API{
		Name:          w.at("apiName").str(),
		Description:   w.at("description").str(),
		Place:         w.place(),
		Method:        req.at("requestHttpMethod").one("ANY", verbs...),
		Path:          req.at("requestPath").or("/*"),
		Mode:          req.at("requestMode").one(apigroup.Passthrough, apigroup.Passthrough, apigroup.Mapping, apigroup.MappingPassthrough),
		BodyFormat:    req.at("bodyFormat").one("", "FORM", "STREAM"),
		WebSocketType: w.at("webSocketApiType").one(apigroup.Common, apigroup.Common, apigroup.Register, apigroup.Unregister, apigroup.Notify),
		Auth:          w.at("authType").one("ANONYMOUS", "ANONYMOUS", "APP", "APPOPENID", "OPENID"),
		AppCodeAuth:   w.at("appCodeAuthType").one("", "DEFAULT", "DISABLE", "HEADER", "HEADER_QUERY"),
		ForceNonce:    w.at("forceNonceCheck").yes(),
		ResultType:    strings.ToUpper(w.at("resultType").or(svc.at("resultType").or("JSON"))),
	}
	if a.Name == "" {
		a.Name = "api" + strconv.Itoa(w.place().Line)
		r.fail(w.place(), "", "an API of module %q has no apiName", m.name)
	}
	for _, word := range req.at("requestProtocol").strs(", ") {
		a.Protocols = append(a.Protocols, strings.ToUpper(word))
	}
	if len(a.Protocols) == 0 {
		a.Protocols = strings.Split(protocols, ",")
	}
	for _, proto := range a.Protocols {
		if known := []string{"HTTP", "HTTPS", "WS"}; !slices.Contains(known, proto) {
			r.fail(req.at("requestProtocol").place(), suggest(proto, known), "requestProtocol %q of API %q is not known", proto, a.Name)
		}
	}
	if !strings.HasPrefix(a.Path, "/") {
		r.fail(req.at("requestPath").place(), `write "/`+a.Path+`"`, "requestPath %q of API %q does not begin with a slash", a.Path, a.Name)
	}
	r.parameters(w, &a)
	a.Backend = r.backend(m, svc, &a)
	return a
}

// parameters reads what the mapping modes accept and pass on.
func (r *reading) parameters(w view, a *apigroup.API) {
	in := func(p view) string {
		where := p.at("location").one(apigroup.InQuery, apigroup.InPath, apigroup.InQuery, apigroup.InHead, "HEADER", apigroup.InBody)
		return strings.TrimSuffix(where, "ER") // both spellings of HEAD
	}
	for _, p := range w.at("requestParameters").items() {
		q := apigroup.RequestParam{
			Name: p.at("apiParameterName").str(), In: in(p), Type: p.at("parameterType").or("String"),
			Required: strings.EqualFold(p.at("required").str(), "REQUIRED") || p.at("required").yes(),
			Default:  p.at("defaultValue").str(), Pattern: p.at("regularExpression").str(),
			Enum: p.at("enumValue").strs(","),
			Min:  p.at("minValue").float(), Max: p.at("maxValue").float(),
			MinLength: p.at("minLength").count(), MaxLength: p.at("maxLength").count(),
		}
		if q.Pattern != "" {
			if _, err := regexp.Compile(q.Pattern); err != nil {
				r.fail(p.at("regularExpression").place(), "", "regularExpression of parameter %q of API %q: %v", q.Name, a.Name, err)
			}
		}
		a.RequestParams = append(a.RequestParams, q)
	}
	request := map[string]string{} // service parameter → request parameter
	for _, p := range w.at("serviceParametersMap").items() {
		request[p.at("serviceParameterName").str()] = p.at("requestParameterName").str()
	}
	for _, p := range w.at("serviceParameters").items() {
		q := apigroup.ServiceParam{Name: p.at("serviceParameterName").str(), In: in(p), Source: apigroup.FromRequest}
		if q.Request = request[q.Name]; q.Request == "" {
			q.Request = q.Name
		}
		switch strings.ToUpper(p.at("parameterCatalog").str()) {
		case "CONSTANT":
			q.Source, q.Request, q.Value = apigroup.FromConstant, "", p.at("constantValue").or(p.at("defaultValue").str())
		case "SYSTEM":
			q.Source = apigroup.FromSystem
		}
		a.ServiceParams = append(a.ServiceParams, q)
	}
	for _, p := range w.at("constantParameters").items() {
		a.ServiceParams = append(a.ServiceParams, apigroup.ServiceParam{Name: p.at("serviceParameterName").str(), In: in(p), Source: apigroup.FromConstant, Value: p.at("constantValue").str()})
	}
	for _, p := range w.at("systemParameters").items() {
		a.ServiceParams = append(a.ServiceParams, apigroup.ServiceParam{Name: p.at("serviceParameterName").str(), In: in(p), Source: apigroup.FromSystem, Request: p.at("parameterName").str()})
	}
}

func (w view) float() *float64 {
	if w.v.IsNull() {
		return nil
	}
	f, err := strconv.ParseFloat(w.str(), 64)
	if err != nil || f-f != 0 {
		w.wrong("a number")
		return nil
	}
	return &f
}

func (w view) count() *int {
	if w.v.IsNull() {
		return nil
	}
	n := w.num(0, 0, 1<<30)
	return &n
}

// backend reads who answers an API (section 2.5).
func (r *reading) backend(m *module, svc view, a *apigroup.API) apigroup.Backend {
	b := apigroup.Backend{Timeout: time.Duration(svc.at("serviceTimeout").num(10_000, 1, 600_000)) * time.Millisecond}
	if svc.at("mock").yes() {
		return r.mock(svc, b)
	}
	protocol := svc.at("serviceProtocol")
	def := "FUNCTIONCOMPUTE"
	if m.kind == apiGateway {
		def = "HTTP"
	}
	switch p := strings.ToUpper(protocol.or(def)); p {
	case "HTTP", "HTTPS":
		r.httpBackend(svc, a, &b, strings.ToLower(p))
	case "FUNCTIONCOMPUTE":
		r.fcBackend(m, svc, a, &b)
	case "OSS":
		c := svc.at("ossConfig")
		b.Type, b.Bucket, b.Key = apigroup.OSS, c.at("bucketName").str(), strings.TrimPrefix(c.at("key").str(), "/")
		if action := c.at("action").or("GetObject"); action != "GetObject" {
			r.fail(c.at("action").place(), "only GetObject is read", "action %q of API %q is not supported", action, a.Name)
		}
		if b.Bucket == "" {
			r.fail(c.place(), "give it serviceConfig.ossConfig.bucketName", "API %q has no bucket", a.Name)
		}
	case "MOCK":
		return r.mock(svc, b)
	case "EVENTBRIDGE":
		r.fail(protocol.place(), "call a function that does the work, or an HTTP service", "API %q sends to EventBridge, which sluice does not have", a.Name)
	default:
		known := []string{"HTTP", "HTTPS", "FunctionCompute", "OSS", "MOCK"}
		r.fail(protocol.place(), suggest(protocol.str(), known), "serviceProtocol %q of API %q is not supported", protocol.str(), a.Name)
	}
	return b
}

func (r *reading) mock(svc view, b apigroup.Backend) apigroup.Backend {
	b.Type, b.MockBody = apigroup.Mock, svc.at("mockResult").str()
	b.MockStatus = svc.at("mockStatusCode").num(200, 100, 599)
	for _, h := range svc.at("mockHeaders").items() {
		b.MockHeaders = append(b.MockHeaders, apigroup.Header{Name: h.at("headerName").str(), Value: h.at("headerValue").str()})
	}
	return b
}

// misspelled is a key that the official API spells wrongly, or right.
func misspelled(w view) string {
	return strings.ToUpper(w.at("contentTypeCatagory").or(w.at("contentTypeCategory").or("CLIENT")))
}

func (r *reading) httpBackend(svc view, a *apigroup.API, b *apigroup.Backend, scheme string) {
	b.Type = apigroup.HTTP
	b.Method = svc.at("serviceHttpMethod").one("ANY", verbs...)
	if misspelled(svc) != "CLIENT" {
		b.ContentType = svc.at("contentTypeValue").str()
	}
	b.Path = slashed(svc.at("servicePath").str())
	addr := svc.at("serviceAddress")
	text := addr.str()
	if text == "" && a.WebSocketType == apigroup.Notify {
		return // a notification goes to a device, never to its backend
	}
	if text == "" {
		if len(r.app.Buckets) == 1 && addr.missing() {
			bucket := r.app.Buckets[0].Name
			r.warn(svc.place(), "API %q has no serviceAddress; bucket %q, the only one, is taken", a.Name, bucket)
			b.Bucket, b.Address = bucket, "https://"+bucketHost(bucket, r.app.Region)
		} else if addr.missing() {
			r.fail(svc.place(), "serviceConfig.serviceAddress is https://host, or the address of a bucket of the template", "API %q has no serviceAddress", a.Name)
		}
		return
	}
	if !strings.Contains(text, "://") {
		text = scheme + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.fail(addr.place(), "write https://host or http://host:port", "serviceAddress %q of API %q is not an address", addr.str(), a.Name)
		return
	}
	b.Address = u.Scheme + "://" + u.Host
	if base := strings.TrimRight(u.Path, "/"); base != "" {
		b.Path = base + b.Path
	}
	if b.Bucket = r.owners.buckets[strings.ToLower(u.Hostname())]; b.Bucket != "" {
		r.uploadedTo(svc.at("servicePath").place(), a.Name, b)
	}
}

func slashed(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}

func (r *reading) fcBackend(m *module, svc view, a *apigroup.API, b *apigroup.Backend) {
	c := svc.at("functionComputeConfig")
	if c.v.IsNull() {
		c = svc // some templates leave the level out
	}
	def := "HTTPTRIGGER"
	if m.kind == apiGateway {
		def = "FCEVENT"
		if c.at("fcBaseUrl").str() != "" {
			def = "HTTPTRIGGER"
		}
	}
	b.Qualifier = c.at("qualifier").str()
	if q := strings.ToUpper(b.Qualifier); q == "LATEST" {
		b.Qualifier = ""
	}
	if c.at("fcType").one(def, "FCEVENT", "HTTPTRIGGER") == "FCEVENT" {
		b.Type = apigroup.FCEvent
		r.named(c, a, b)
		return
	}
	b.Type = apigroup.FCHTTP
	b.Path = slashed(c.at("path").or(svc.at("servicePath").str()))
	b.Method = c.at("method").one("ANY", verbs...)
	b.OnlyBusinessPath = c.at("onlyBusinessPath").yes()
	if misspelled(c) != "CLIENT" {
		b.ContentType = c.at("contentTypeValue").str()
	}
	base := c.at("fcBaseUrl")
	if b.BaseURL = base.str(); b.BaseURL == "" {
		if !base.broken() {
			r.named(c, a, b)
		}
		return
	}
	u, err := url.Parse(withScheme(b.BaseURL))
	if err != nil || u.Host == "" {
		r.fail(base.place(), "use ${module.output.url.system_url}", "fcBaseUrl %q of API %q is not an address", b.BaseURL, a.Name)
		return
	}
	if o := r.functionAt(u); o != nil {
		r.bind(b, o)
		return
	}
	r.warn(base.place(), "API %q calls a function elsewhere, %s", a.Name, u.Host)
}

// named finds the function that serviceName and functionName name; "auto", or nothing, is the only
// one of the template.
func (r *reading) named(c view, a *apigroup.API, b *apigroup.Backend) {
	service, name := c.at("serviceName").str(), c.at("functionName").str()
	if strings.EqualFold(service, "auto") {
		service = ""
	}
	if name == "" && c.at("functionName").broken() {
		return
	}
	if name != "" && !strings.EqualFold(name, "auto") {
		if o := r.function(service, name); o != nil {
			r.bind(b, o)
		} else {
			r.noFunction(c.at("functionName"), service, name)
		}
		return
	}
	var only []*owned
	for i := range r.owners.functions {
		o := &r.owners.functions[i]
		if (service == "" || o.service == service) && (b.Type == apigroup.FCEvent || o.http) {
			only = append(only, o)
		}
	}
	if len(only) != 1 {
		var names []string
		for _, o := range only {
			names = append(names, o.name)
		}
		hint := "give it serviceConfig.functionComputeConfig.functionName"
		if len(names) > 0 {
			hint += ": one of " + strings.Join(names, ", ")
		}
		r.fail(c.place(), hint, "API %q names no function, and the template has %d that could be meant", a.Name, len(only))
		return
	}
	r.bind(b, only[0])
}

func (r *reading) bind(b *apigroup.Backend, o *owned) {
	f := &r.app.Functions[o.index]
	b.Service, b.Function = f.Group, string(f.Name)
}

// functionAt finds the function that an address of the cloud calls: by the path of its proxy, or by
// a host of the function's own.
func (r *reading) functionAt(u *url.URL) *owned {
	if rest, ok := strings.CutPrefix(u.Path, "/2016-08-15/proxy/"); ok {
		parts := strings.Split(strings.Trim(rest, "/"), "/")
		if len(parts) < 2 {
			return nil
		}
		service, _, _ := strings.Cut(parts[0], ".")
		return r.function(service, parts[1])
	}
	host := strings.ToLower(u.Hostname())
	for i := range r.owners.functions {
		o := &r.owners.functions[i]
		if h := r.app.Functions[o.index].HTTP; h != nil && slices.Contains(h.Hosts, host) {
			return o
		}
	}
	return nil
}

package sam

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// api is one API on its way into the App.
type api struct {
	spec apispec.API
	at   sluice.Place
	keys map[string]sluice.Place // of routes
}

// api makes an API without its parts.
func (b *builder) api(r *cfn.Resource) {
	p := b.props(r)
	id, _ := b.Ref(r)
	a := &api{at: r.At, keys: map[string]sluice.Place{}, spec: apispec.API{ID: id.Str(), Logical: r.ID, Name: p.at("Name").or(r.ID),
		Protocol: p.at("ProtocolType").str(), REST: b.rest[r.ID],
		RouteSelectionExpression:  p.at("RouteSelectionExpression").str(),
		APIKeySelectionExpression: p.at("ApiKeySelectionExpression").str(),
		Description:               p.at("Description").str(), Version: p.at("Version").str(),
		DisableExecuteAPI: p.at("DisableExecuteApiEndpoint").truth(false), DisableSchemaValidation: p.at("DisableSchemaValidation").truth(false),
		CORS: b.cors(p.at("CorsConfiguration")),
	}}
	for _, kind := range p.at("BinaryMediaTypes").strs() {
		a.spec.Binary = append(a.spec.Binary, strings.ReplaceAll(kind, "~1", "/")) // as SAM writes it
	}
	if tags := p.at("Tags"); tags.v.IsMap() {
		a.spec.Tags = tags.texts()
	}
	body := p.at("Body")
	if a.spec.Protocol == "" && !body.missing() {
		a.spec.Protocol = apispec.HTTP
	}
	switch a.spec.Protocol {
	case apispec.WebSocket:
		if w := p.at("RouteSelectionExpression"); a.spec.RouteSelectionExpression == "" && !w.broken() {
			b.fail(w.place(), "$request.body.action is the usual one", "WebSocket API %q has no RouteSelectionExpression", r.ID)
		}
	case apispec.HTTP:
	default:
		w := p.at("ProtocolType")
		if !w.broken() {
			b.fail(w.place(), "known are: WEBSOCKET, HTTP", "ProtocolType of API %q is %q", r.ID, a.spec.Protocol)
		}
	}
	b.apis = append(b.apis, a)
	if to := p.at("Target").str(); to != "" { // the short form: one integration, one route, one stage
		i := apispec.Integration{ID: apispec.ID(7, b.t.Stack(), r.ID, "target"), Type: "HTTP_PROXY", URI: to, Method: "ANY", PayloadFormat: "1.0"}
		if strings.HasPrefix(to, "arn:") {
			i.Type, i.PayloadFormat, i.URI = "AWS_PROXY", "2.0", b.arn("apigateway", "")
			i.URI = "arn:aws:apigateway:" + b.t.Region() + ":lambda:path/2015-03-31/functions/" + to + "/invocations"
		}
		a.spec.Current.Integrations = append(a.spec.Current.Integrations, i)
		key := p.at("RouteKey").or("$default")
		a.spec.Current.Routes = append(a.spec.Current.Routes, apispec.Route{ID: apispec.ID(7, b.t.Stack(), r.ID, "route"), Key: key, Integration: i.ID})
		a.keys[key] = r.At
		a.spec.Stages = append(a.spec.Stages, apispec.Stage{Name: "$default", AutoDeploy: true})
	}
}

func (b *builder) cors(w view) *apispec.CORS {
	if w.missing() || w.broken() {
		return nil
	}
	c := &apispec.CORS{Origins: w.at("AllowOrigins").strs(), Methods: w.at("AllowMethods").strs(), Headers: w.at("AllowHeaders").strs(),
		Expose: w.at("ExposeHeaders").strs(), Credentials: w.at("AllowCredentials").truth(false)}
	if age := w.at("MaxAge"); !age.missing() {
		n := age.num(0, -1, math.MaxInt32)
		c.MaxAge = &n
	}
	return c
}

// owner is the API that a resource belongs to; nil, with an error noted, when there is none.
func (b *builder) owner(r *cfn.Resource) *api {
	w := b.props(r).at("ApiId").need()
	id := w.str()
	for _, a := range b.apis {
		if a.spec.ID == id {
			return a
		}
	}
	if id != "" && !b.skippedRef(r, "ApiId") {
		b.fail(w.place(), "refer to it with !Ref", "ApiId of resource %q is no API of this template", r.ID)
	}
	return nil
}

// skippedRef reports whether a property refers to a resource that is left out.
func (b *builder) skippedRef(r *cfn.Resource, key string) bool {
	to := b.t.Resource(target(b.t.Pick(r.Props.Get(key))))
	return to != nil && to.Skipped
}

// serviceURI takes the service out of the URI of an integration of type AWS.
var serviceURI = regexp.MustCompile(`^arn:[^:]*:apigateway:[^:]*:([^:]+):(action|path)/(.*)$`)

// integration adds what routes call to its API.
func (b *builder) integration(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	uri := p.at("IntegrationUri")
	i := apispec.Integration{ID: b.id(r), Type: strings.ToUpper(p.at("IntegrationType").need().str()), URI: uri.str(), Subtype: p.at("IntegrationSubtype").str(),
		Method: p.at("IntegrationMethod").str(), ContentHandling: p.at("ContentHandlingStrategy").str(), PassthroughBehaviour: p.at("PassthroughBehavior").str(),
		RequestParameters: p.at("RequestParameters").texts(), RequestTemplates: p.at("RequestTemplates").texts(), TemplateSelection: p.at("TemplateSelectionExpression").str(),
		TimeoutMS: p.at("TimeoutInMillis").num(0, 50, math.MaxInt32), PayloadFormat: p.at("PayloadFormatVersion").str()}
	if w := p.at("ConnectionType"); w.str() == "VPC_LINK" {
		if !strings.HasPrefix(i.URI, "http://") && !strings.HasPrefix(i.URI, "https://") {
			r.Skipped = b.refuse(r, w.place(), "integration %q goes through a VPC link to %q, which is no address", r.ID, i.URI)
			return
		}
		b.t.Warn(w.place(), "integration %q goes to %s without its VPC link", r.ID, i.URI)
	}
	for _, status := range p.at("ResponseParameters").pairs() {
		to := map[string]string{}
		for _, x := range status.at("ResponseParameters").items() {
			to[x.at("Destination").need().str()] = x.at("Source").str()
		}
		if i.ResponseParameters == nil {
			i.ResponseParameters = map[string]map[string]string{}
		}
		i.ResponseParameters[status.key] = to
	}
	if i.Subtype != "" {
		r.Skipped = b.refuse(r, p.at("IntegrationSubtype").place(), "integration %q calls %s, which sluice does not run", r.ID, i.Subtype)
		return
	}
	switch i.Type {
	case "AWS_PROXY", "AWS":
		m := serviceURI.FindStringSubmatch(i.URI)
		switch {
		case uri.broken():
		case i.URI == "":
			uri.need()
		case m == nil && strings.Contains(i.URI, ":function:"): // HTTP APIs take the function's own ARN
			i.URI = "arn:aws:apigateway:" + b.t.Region() + ":lambda:path/2015-03-31/functions/" + i.URI + "/invocations"
			b.calls(uri, i.URI, "integration", r.ID)
		case m == nil:
			b.fail(uri.place(), "it is arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function's ARN}/invocations", "IntegrationUri of %q is %q", r.ID, i.URI)
		case m[1] == "lambda":
			b.calls(uri, i.URI, "integration", r.ID)
		case m[1] == "dynamodb":
		default:
			r.Skipped = b.refuse(r, uri.place(), "integration %q calls the service %s, which sluice does not run", r.ID, m[1])
			return
		}
	case "HTTP", "HTTP_PROXY":
		uri.need()
	case "MOCK", "":
	default:
		b.fail(p.at("IntegrationType").place(), "known are: AWS_PROXY, AWS, HTTP, HTTP_PROXY, MOCK", "IntegrationType of %q is %q", r.ID, i.Type)
	}
	a.spec.Current.Integrations = append(a.spec.Current.Integrations, i)
}

// calls warns when a URI calls a function that the app does not have.
func (b *builder) calls(w view, uri, what, name string) {
	_, arn, _ := strings.Cut(uri, "/functions/")
	arn = strings.TrimSuffix(arn, "/invocations")
	if arn == "" || strings.Contains(arn, "${stageVariables.") || b.function(arn) != nil {
		return
	}
	b.t.Warn(w.place(), "%s %q calls function %q, which is not one of this template", what, name, functionOf(arn))
}

// integrationResponse adds one to its integration.
func (b *builder) integrationResponse(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	w := p.at("IntegrationId").need()
	i := a.spec.Current.Integration(w.str())
	if i == nil {
		if !w.broken() && !b.skippedRef(r, "IntegrationId") {
			b.fail(w.place(), "refer to it with !Ref", "IntegrationId of resource %q is no integration of its API", r.ID)
		}
		return
	}
	i.Responses = append(i.Responses, apispec.IntegrationResponse{ID: b.id(r), Key: p.at("IntegrationResponseKey").need().str(),
		ContentHandling: p.at("ContentHandlingStrategy").str(), Parameters: p.at("ResponseParameters").texts(),
		Templates: p.at("ResponseTemplates").texts(), TemplateSelection: p.at("TemplateSelectionExpression").str()})
}

// httpRoute is the shape of an HTTP API's route key.
var httpRoute = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|ANY) /\S*$`)

// route adds a route to its API.
func (b *builder) route(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	key, target := p.at("RouteKey").need(), p.at("Target")
	rt := apispec.Route{ID: b.id(r), Key: key.str(), AuthorizationType: p.at("AuthorizationType").str(), Authorizer: p.at("AuthorizerId").str(),
		Scopes: p.at("AuthorizationScopes").strs(), APIKeyRequired: p.at("ApiKeyRequired").truth(false), OperationName: p.at("OperationName").str(),
		ModelSelectionExpression: p.at("ModelSelectionExpression").str(), RequestModels: p.at("RequestModels").texts(),
		ResponseSelection: p.at("RouteResponseSelectionExpression").str()}
	for _, e := range p.at("RequestParameters").pairs() {
		if rt.RequestParameters == nil {
			rt.RequestParameters = map[string]apispec.Parameter{}
		}
		required := e.view
		if e.v.IsMap() {
			required = e.at("Required")
		}
		rt.RequestParameters[e.key] = apispec.Parameter{Required: required.truth(false)}
	}
	switch rt.AuthorizationType {
	case "", "NONE", "AWS_IAM":
	case "CUSTOM", "JWT":
		if w := p.at("AuthorizerId").need(); rt.Authorizer != "" && a.spec.Current.Authorizer(rt.Authorizer) == nil && !b.skippedRef(r, "AuthorizerId") {
			b.fail(w.place(), "refer to it with !Ref", "AuthorizerId of route %q is no authorizer of its API", r.ID)
		}
	default:
		b.fail(p.at("AuthorizationType").place(), "known are: NONE, AWS_IAM, CUSTOM, JWT", "AuthorizationType of route %q is %q", r.ID, rt.AuthorizationType)
	}
	to, ok := strings.CutPrefix(target.str(), "integrations/")
	if rt.Integration = to; target.str() != "" && (!ok || a.spec.Current.Integration(to) == nil) {
		if b.targetSkipped(r, to) {
			b.t.Warn(r.At, "left out: route %q, for its integration is", rt.Key)
			r.Skipped = true
			return
		}
		b.fail(target.place(), "it is integrations/ and the id of one", "Target of route %q is no integration of its API", r.ID)
	}
	b.addRoute(a, r.ID, key, rt)
}

// targetSkipped reports whether an id is that of an integration which is left out.
func (b *builder) targetSkipped(r *cfn.Resource, id string) bool {
	return slices.ContainsFunc(b.t.Resources(), func(o *cfn.Resource) bool {
		return o.Type == "AWS::ApiGatewayV2::Integration" && o.Skipped && b.id(o) == id
	})
}

func (b *builder) addRoute(a *api, id string, key view, rt apispec.Route) {
	custom := !strings.HasPrefix(rt.Key, "$")
	switch first, twice := a.keys[rt.Key]; {
	case rt.Key == "":
		return
	case twice:
		b.fail(key.place(), "", "route %q has the key %q, as the one at %s has", id, rt.Key, first)
		return
	case a.spec.Protocol == apispec.HTTP && rt.Key != "$default" && !httpRoute.MatchString(rt.Key):
		b.fail(key.place(), `it is $default, or a method and a path: "GET /items/{id}"`, "key of route %q is %q", id, rt.Key)
	case a.spec.Protocol == apispec.WebSocket && !custom && rt.Key != "$connect" && rt.Key != "$disconnect" && rt.Key != "$default":
		b.fail(key.place(), cfn.Suggest(rt.Key, []string{"$connect", "$disconnect", "$default"}), "key of route %q is %q", id, rt.Key)
	case a.spec.Protocol == apispec.WebSocket && rt.Key != "$connect" && rt.AuthorizationType != "" && rt.AuthorizationType != "NONE":
		b.fail(key.place(), "connections are authorized when they begin", "route %q has an AuthorizationType, which only $connect can have", id)
	}
	a.keys[rt.Key] = key.place()
	a.spec.Current.Routes = append(a.spec.Current.Routes, rt)
}

// routeResponse makes a route answer its client.
func (b *builder) routeResponse(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	w := p.at("RouteId").need()
	for i := range a.spec.Current.Routes {
		if rt := &a.spec.Current.Routes[i]; rt.ID == w.str() {
			rt.Responses = append(rt.Responses, p.at("RouteResponseKey").need().str())
			return
		}
	}
	if w.str() != "" && !b.skippedRef(r, "RouteId") {
		b.fail(w.place(), "refer to it with !Ref", "RouteId of resource %q is no route of its API", r.ID)
	}
}

// authorizer adds one to its API.
func (b *builder) authorizer(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	uri := p.at("AuthorizerUri")
	z := apispec.Authorizer{ID: b.id(r), Name: p.at("Name").or(r.ID), Type: p.at("AuthorizerType").need().str(), URI: uri.str(),
		IdentitySource: p.at("IdentitySource").strs(), PayloadFormat: p.at("AuthorizerPayloadFormatVersion").str(), Simple: p.at("EnableSimpleResponses").truth(false)}
	if w := p.at("AuthorizerResultTtlInSeconds"); !w.missing() {
		n := w.num(0, 0, 3600)
		z.TTL = &n
	}
	if w := p.at("JwtConfiguration"); !w.missing() {
		z.JWT = &apispec.JWT{Issuer: w.at("Issuer").str(), Audience: w.at("Audience").strs()}
	}
	switch z.Type {
	case "REQUEST", "TOKEN":
		if strings.Contains(z.URI, ":function:") {
			b.calls(uri, z.URI, "authorizer", r.ID)
		} else if !uri.broken() && !strings.Contains(z.URI, "/functions/") {
			b.fail(uri.place(), "it is arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function's ARN}/invocations", "AuthorizerUri of %q is %q", r.ID, z.URI)
		}
	case "JWT":
		if z.JWT == nil {
			b.fail(r.At, "", "authorizer %q has no JwtConfiguration", r.ID)
		}
	default:
		if !p.at("AuthorizerType").broken() && z.Type != "" {
			b.fail(p.at("AuthorizerType").place(), "known are: REQUEST, JWT", "AuthorizerType of %q is %q", r.ID, z.Type)
		}
	}
	a.spec.Current.Authorizers = append(a.spec.Current.Authorizers, z)
}

// model adds a JSON schema to its API.
func (b *builder) model(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	m := apispec.Model{ID: b.id(r), Name: p.at("Name").need().str(), ContentType: p.at("ContentType").str()}
	if w := p.at("Schema").need(); w.v.IsMap() {
		m.Schema = w.v.JSON()
	} else if m.Schema = w.str(); m.Schema != "" && !json.Valid([]byte(m.Schema)) {
		b.fail(w.place(), "", "Schema of model %q is not JSON", r.ID)
	}
	a.spec.Current.Models = append(a.spec.Current.Models, m)
}

var stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// stage adds a stage to its API. A template's stages serve what the template says: its deployments are
// made with it.
func (b *builder) stage(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	w := p.at("StageName").need()
	s := apispec.Stage{Name: w.str(), Variables: p.at("StageVariables").texts(), AutoDeploy: p.at("AutoDeploy").truth(false), Deployment: p.at("DeploymentId").str()}
	switch {
	case s.Name == "":
		return
	case s.Name == "$default" && a.spec.Protocol == apispec.WebSocket:
		b.fail(w.place(), "give it another name", "stage %q: a WebSocket API has no stage $default", r.ID)
	case s.Name != "$default" && !stageName.MatchString(s.Name):
		b.fail(w.place(), "use letters, digits, _ and -", "stage name %q is not valid", s.Name)
	case a.spec.Stage(s.Name) != nil:
		b.fail(w.place(), "", "API %q has two stages %q", a.spec.Logical, s.Name)
		return
	}
	if s.Deployment == "" && !s.AutoDeploy && !p.at("DeploymentId").broken() && !b.deployed(a, s.Name) {
		b.t.Warn(r.At, "stage %q has neither DeploymentId nor AutoDeploy; on AWS it would serve nothing", s.Name)
	}
	if d := p.at("DefaultRouteSettings"); !d.missing() {
		s.Default = &apispec.RouteSettings{Burst: d.at("ThrottlingBurstLimit").num(0, 0, math.MaxInt32), Rate: d.at("ThrottlingRateLimit").float()}
	}
	if l := p.at("AccessLogSettings"); !l.missing() {
		s.Access = &apispec.AccessLog{Destination: l.at("DestinationArn").str(), Format: l.at("Format").str()}
	}
	for _, e := range p.at("RouteSettings").pairs() {
		if s.Settings == nil {
			s.Settings = map[string]apispec.RouteSettings{}
		}
		s.Settings[e.key] = apispec.RouteSettings{Burst: e.at("ThrottlingBurstLimit").num(0, 0, math.MaxInt32), Rate: e.at("ThrottlingRateLimit").float()}
	}
	a.spec.Stages = append(a.spec.Stages, s)
}

// deployed reports whether a deployment names a stage itself.
func (b *builder) deployed(a *api, stage string) bool {
	return slices.ContainsFunc(b.t.Resources(), func(r *cfn.Resource) bool {
		return r.Type == "AWS::ApiGatewayV2::Deployment" && b.props(r).at("StageName").str() == stage && b.props(r).at("ApiId").str() == a.spec.ID
	})
}

// deployment makes the stage that it names, if there is none.
func (b *builder) deployment(r *cfn.Resource) {
	a := b.owner(r)
	if name := b.props(r).at("StageName").str(); a != nil && name != "" && a.spec.Stage(name) == nil {
		a.spec.Stages = append(a.spec.Stages, apispec.Stage{Name: name, Deployment: b.id(r)})
	}
}

// domainName records a host name as the app's. Its certificate is the server's to have.
func (b *builder) domainName(r *cfn.Resource) {
	if host := strings.ToLower(b.props(r).at("DomainName").need().str()); host != "" && !slices.Contains(b.app.Domains, host) {
		b.app.Domains = append(b.app.Domains, host)
	}
}

// apiMapping shows a stage under a domain.
func (b *builder) apiMapping(r *cfn.Resource) {
	a := b.owner(r)
	if a == nil {
		return
	}
	p := b.props(r)
	m := apispec.Mapping{Domain: strings.ToLower(p.at("DomainName").need().str()), Path: strings.Trim(p.at("ApiMappingKey").str(), "/"), Stage: p.at("Stage").need().str()}
	if m.Stage != "" && a.spec.Stage(m.Stage) == nil {
		b.fail(p.at("Stage").place(), "", "Stage of mapping %q is no stage of its API", r.ID)
	}
	if m.Domain != "" && !slices.Contains(b.app.Domains, m.Domain) {
		b.app.Domains = append(b.app.Domains, m.Domain)
	}
	a.spec.Mappings = append(a.spec.Mappings, m)
}

// apiKeys gives every API the keys of the usage plans that name it.
func (b *builder) apiKeys() {
	for _, r := range b.t.Resources() {
		if r.Type != "AWS::ApiGateway::UsagePlanKey" || r.Skipped {
			continue
		}
		p := b.props(r)
		key, plan := p.at("KeyId").need().str(), p.at("UsagePlanId").need().str()
		var k *apispec.Key
		for _, o := range b.t.Resources() {
			if o.Type != "AWS::ApiGateway::ApiKey" || o.Skipped || b.id(o) != key || !b.props(o).at("Enabled").truth(true) {
				continue
			}
			w := b.props(o).at("Value")
			if k = (&apispec.Key{ID: key, Value: w.str()}); k.Value == "" && !w.broken() {
				b.fail(o.At, "give it one, best by a parameter with NoEcho", "API key %q has no Value", o.ID)
			}
		}
		for _, o := range b.t.Resources() {
			if o.Type != "AWS::ApiGateway::UsagePlan" || o.Skipped || b.id(o) != plan || k == nil {
				continue
			}
			for _, s := range b.props(o).at("ApiStages").items() {
				for _, a := range b.apis {
					if a.spec.ID == s.at("ApiId").str() && !slices.Contains(a.spec.Keys, *k) {
						a.spec.Keys = append(a.spec.Keys, *k)
					}
				}
			}
		}
	}
}

// endpoints writes the APIs into the App.
func (b *builder) endpoints() {
	b.apiKeys()
	for _, a := range b.apis {
		if len(a.spec.Stages) == 0 {
			b.t.Warn(a.at, "API %q has no stage: no client can reach it", a.spec.Logical)
		}
		for _, rt := range a.spec.Current.Routes {
			if rt.APIKeyRequired && len(a.spec.Keys) == 0 {
				b.t.Warn(a.keys[rt.Key], "route %q of API %q wants an API key, and the API has none; give it an AWS::ApiGateway::ApiKey with a Value, in a usage plan", rt.Key, a.spec.Logical)
			}
		}
		spec, err := json.Marshal(a.spec)
		if err != nil {
			b.fail(a.at, "", "API %q: %v", a.spec.Logical, err)
			continue
		}
		b.app.Endpoints = append(b.app.Endpoints, sluice.Endpoint{Name: a.spec.Logical, At: a.at, Spec: spec,
			Hosts: []string{a.spec.ID + ".execute-api." + b.t.Region() + ".amazonaws.com"}})
	}
}

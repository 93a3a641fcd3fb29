package sam

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// The logical ids of the APIs that functions' events get when they name none.
const (
	implicitREST = "ServerlessRestApi"
	implicitHTTP = "ServerlessHttpApi"
)

// auth is what the events of an API's functions have to know of its authorizers.
type auth struct {
	def    string                // the default authorizer
	types  map[string]string     // authorizer → AuthorizationType
	ids    map[string]string     // authorizer → logical id
	scopes map[string]*cfn.Value // authorizer → scopes
	key    *cfn.Value            // ApiKeyRequired of the API
}

// implicitAPIs adds the APIs that no template has to spell out.
func (b *builder) implicitAPIs() {
	for _, r := range b.t.Resources() {
		if r.Type != "AWS::Serverless::Function" || r.Skipped {
			continue
		}
		for _, e := range fields(b.t.Pick(r.Props.Get("Events"))) {
			ev := b.t.Pick(e.Value)
			p := b.t.Pick(ev.Get("Properties"))
			switch typ := b.text(ev.Get("Type")); {
			case typ == "Api" && p.Get("RestApiId") == nil:
				b.make(r, implicitREST, "AWS::Serverless::Api", "StageName", "Prod", "Name", cfn.Ref(r.At, "AWS::StackName"))
			case typ == "HttpApi" && p.Get("ApiId") == nil:
				b.make(r, implicitHTTP, "AWS::Serverless::HttpApi", "Name", cfn.Ref(r.At, "AWS::StackName"))
			}
		}
	}
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9]+`)

// logical is s as a part of a logical id.
func logical(s string) string { return notInID.ReplaceAllString(s, "") }

// invocation is the URI of an integration or authorizer that calls a function.
func invocation(v *cfn.Value) *cfn.Value {
	if v == nil {
		return nil
	}
	return template.Map(v.At, "Fn::Join", template.List(v.At, template.Text(v.At, ""), template.List(v.At,
		cfn.Sub(v.At, "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"), v, template.Text(v.At, "/invocations"))))
}

// expandREST makes an HTTP API of a REST API.
func (b *builder) expandREST(r *cfn.Resource) {
	p := r.Props
	b.rest[r.ID] = true
	if p.Get("StageName") == nil {
		b.fail(r.At, "", "resource %q has no StageName", r.ID)
	}
	props := template.Map(r.At, "ProtocolType", "HTTP", "Name", nameOr(p, r.ID), "Description", p.Get("Description"),
		"DisableExecuteApiEndpoint", p.Get("DisableExecuteApiEndpoint"), "CorsConfiguration", b.restCORS(r, b.t.Pick(p.Get("Cors"))), "BinaryMediaTypes", p.Get("BinaryMediaTypes"), "Body", b.definition(r))
	b.finishAPI(r, props, p.Get("Variables"), nil)
	b.authorizers(r, b.t.Pick(p.Get("Auth")), true)
}

// expandHTTP makes an API of CloudFormation of an HTTP API of SAM.
func (b *builder) expandHTTP(r *cfn.Resource) {
	p := r.Props
	cors := b.t.Pick(p.Get("CorsConfiguration"))
	if cors != nil && !cors.IsMap() {
		all := template.List(cors.At, template.Text(cors.At, "*"))
		if cors = template.Map(cors.At, "AllowOrigins", all, "AllowMethods", all, "AllowHeaders", all); !b.on(b.t.Pick(p.Get("CorsConfiguration"))) {
			cors = nil
		}
	}
	props := template.Map(r.At, "ProtocolType", "HTTP", "Name", nameOr(p, r.ID), "Description", p.Get("Description"),
		"DisableExecuteApiEndpoint", p.Get("DisableExecuteApiEndpoint"), "CorsConfiguration", cors, "Body", b.definition(r))
	if p.Get("StageName") == nil {
		r.Props = p.With("StageName", template.Text(r.At, "$default"))
	}
	b.finishAPI(r, props, p.Get("StageVariables"), p)
	b.authorizers(r, b.t.Pick(p.Get("Auth")), false)
}

func nameOr(p *cfn.Value, id string) *cfn.Value {
	if v := p.Get("Name"); v != nil {
		return v
	}
	return template.Text(p.At, id)
}

// finishAPI gives an API its stage and its domain. settings has the stage's throttles, if any.
func (b *builder) finishAPI(r *cfn.Resource, props, variables, settings *cfn.Value) {
	p := r.Props
	stage := p.Get("StageName")
	name := logical(b.text(stage))
	id := r.ID + name + "Stage"
	switch {
	case name == "default" && strings.HasPrefix(b.text(stage), "$"):
		id = r.ID + "ApiGatewayDefaultStage"
	case name == "":
		id = r.ID + "Stage"
	}
	r.Type, r.Props = "AWS::ApiGatewayV2::Api", props
	b.make(r, id, "AWS::ApiGatewayV2::Stage", "ApiId", cfn.Ref(r.At, r.ID), "StageName", stage, "AutoDeploy", true, "StageVariables", variables,
		"DefaultRouteSettings", settings.Get("DefaultRouteSettings"), "RouteSettings", settings.Get("RouteSettings"))
	b.t.AddAlias(r.ID+".Stage", id)
	b.make(r, r.ID+"Deployment", "AWS::ApiGatewayV2::Deployment", "ApiId", cfn.Ref(r.At, r.ID))
	b.t.AddAlias(r.ID+".Deployment", r.ID+"Deployment")
	if d := b.t.Pick(p.Get("Domain")); d != nil {
		b.domain(r, d, id)
	}
}

// domain makes the custom domain of an API of SAM.
func (b *builder) domain(r *cfn.Resource, d *cfn.Value, stage string) {
	id := r.ID + "DomainName"
	b.make(r, id, "AWS::ApiGatewayV2::DomainName", "DomainName", d.Get("DomainName"))
	b.t.AddAlias(r.ID+".DomainName", id)
	paths := b.t.Pick(d.Get("BasePath"))
	if paths == nil || paths.Str() == "/" {
		paths = template.List(r.At, template.Text(r.At, ""))
	} else if !paths.IsList() {
		paths = template.List(r.At, paths)
	}
	for i, path := range paths.List {
		if s := path.Str(); s == "/" {
			path = template.Text(path.At, "")
		}
		b.make(r, r.ID+"ApiMapping"+strconv.Itoa(i), "AWS::ApiGatewayV2::ApiMapping", "DomainName", cfn.Ref(r.At, id), "ApiId", cfn.Ref(r.At, r.ID),
			"Stage", cfn.Ref(r.At, stage), "ApiMappingKey", path)
	}
}

// restCORS is the Cors of a REST API, whose texts are quoted, as that of an HTTP API.
func (b *builder) restCORS(r *cfn.Resource, v *cfn.Value) *cfn.Value {
	if v == nil {
		return nil
	}
	list := func(v *cfn.Value, def string) *cfn.Value {
		s := def
		if v != nil {
			s = strings.Trim(b.text(v), "'")
		}
		if s == "" {
			return nil
		}
		out := template.List(r.At)
		for _, e := range strings.Split(s, ",") {
			out.List = append(out.List, template.Text(r.At, strings.TrimSpace(e)))
		}
		return out
	}
	if !v.IsMap() || cfn.IsFunction(v) {
		return template.Map(v.At, "AllowOrigins", list(v, "*"), "AllowMethods", list(nil, "*"))
	}
	out := template.Map(v.At, "AllowOrigins", list(v.Get("AllowOrigin"), "*"), "AllowMethods", list(v.Get("AllowMethods"), "*"),
		"AllowHeaders", list(v.Get("AllowHeaders"), ""), "AllowCredentials", v.Get("AllowCredentials"))
	if s := strings.Trim(b.text(v.Get("MaxAge")), "'"); s != "" {
		out = out.With("MaxAge", template.Text(v.At, s))
	}
	return out
}

// definition is the OpenAPI document of an API: in the template, or in a file beside it.
func (b *builder) definition(r *cfn.Resource) *cfn.Value {
	if body := r.Props.Get("DefinitionBody"); body != nil {
		return body
	}
	uri := b.t.Pick(r.Props.Get("DefinitionUri"))
	if uri == nil {
		return nil
	}
	s := b.text(uri)
	if uri.IsMap() && !cfn.IsFunction(uri) || strings.HasPrefix(s, "s3://") {
		b.fail(uri.At, "put the file beside the template and name its path", "DefinitionUri of resource %q is in a bucket of the cloud", r.ID)
		return nil
	}
	body, err := cfn.ReadFile(filepath.Join(b.t.Dir(), filepath.FromSlash(s)), s)
	if err != nil {
		b.fail(uri.At, b.nearFile(s), "DefinitionUri of resource %q: %v", r.ID, err)
		return nil
	}
	return body
}

// authorizers makes those of an API, and remembers them for its functions' events.
func (b *builder) authorizers(r *cfn.Resource, a *cfn.Value, rest bool) {
	m := &auth{types: map[string]string{"AWS_IAM": "AWS_IAM"}, ids: map[string]string{}, scopes: map[string]*cfn.Value{}}
	b.auth[r.ID] = m
	if a == nil {
		return
	}
	m.def, m.key = b.text(a.Get("DefaultAuthorizer")), a.Get("ApiKeyRequired")
	for _, f := range fields(b.t.Pick(a.Get("Authorizers"))) {
		v := b.t.Pick(f.Value)
		id := r.ID + logical(f.Key) + "Authorizer"
		identity := b.t.Pick(v.Get("Identity"))
		api := cfn.Ref(v.At, r.ID)
		switch {
		case v.Get("JwtConfiguration") != nil:
			jwt := b.t.Pick(v.Get("JwtConfiguration"))
			source := v.Get("IdentitySource")
			if source == nil {
				source = template.Text(v.At, "$request.header.Authorization")
			}
			b.make(r, id, "AWS::ApiGatewayV2::Authorizer", "ApiId", api, "Name", f.Key, "AuthorizerType", "JWT", "IdentitySource", template.List(v.At, source),
				"JwtConfiguration", template.Map(v.At, "Issuer", first(jwt, "issuer", "Issuer"), "Audience", first(jwt, "audience", "Audience")))
			m.types[f.Key], m.scopes[f.Key] = "JWT", v.Get("AuthorizationScopes")
		case v.Get("FunctionArn") != nil:
			typ := "REQUEST"
			if rest && b.text(v.Get("FunctionPayloadType")) != "REQUEST" {
				typ = "TOKEN"
			}
			format := v.Get("AuthorizerPayloadFormatVersion")
			if rest {
				format = template.Text(v.At, "1.0")
			}
			b.make(r, id, "AWS::ApiGatewayV2::Authorizer", "ApiId", api, "Name", f.Key, "AuthorizerType", typ, "AuthorizerUri", invocation(v.Get("FunctionArn")),
				"IdentitySource", b.sources(v, identity, typ), "AuthorizerPayloadFormatVersion", format, "EnableSimpleResponses", v.Get("EnableSimpleResponses"),
				"AuthorizerResultTtlInSeconds", identity.Get("ReauthorizeEvery"))
			m.types[f.Key] = "CUSTOM"
		default:
			b.refuse(r, f.At, "authorizer %q of resource %q is neither a function nor JWT, and sluice runs no other", f.Key, r.ID)
			m.types[f.Key] = "NONE"
			continue
		}
		m.ids[f.Key] = id
	}
}

func first(v *cfn.Value, keys ...string) *cfn.Value {
	for _, k := range keys {
		if c := v.Get(k); c != nil {
			return c
		}
	}
	return nil
}

// sources are where an authorizer of SAM finds who is asking.
func (b *builder) sources(v, identity *cfn.Value, typ string) *cfn.Value {
	out := template.List(v.At)
	if typ == "TOKEN" {
		header := b.text(identity.Get("Header"))
		if header == "" {
			header = "Authorization"
		}
		out.List = append(out.List, template.Text(v.At, "$request.header."+header))
		return out
	}
	for _, kind := range [][2]string{{"Headers", "$request.header."}, {"QueryStrings", "$request.querystring."}, {"StageVariables", "$stageVariables."}, {"Context", "$context."}} {
		list := b.t.Pick(identity.Get(kind[0]))
		if list == nil {
			continue
		}
		for _, e := range list.List {
			out.List = append(out.List, template.Text(v.At, kind[1]+b.text(e)))
		}
	}
	return out
}

// routeEvent makes the route of an HttpApi or Api event.
func (b *builder) routeEvent(r *cfn.Resource, name, typ string, ev, p *cfn.Value) {
	ref, id := b.t.Pick(p.Get("ApiId")), implicitHTTP
	if typ == "Api" {
		ref, id = b.t.Pick(p.Get("RestApiId")), implicitREST
	}
	if ref != nil {
		if id = target(ref); id == "" {
			id = ref.Str() // SAM takes the logical id alone, too
		}
	}
	api := b.t.Resource(id)
	m := b.auth[id]
	if api == nil || api.Type != "AWS::ApiGatewayV2::Api" {
		if api == nil || !api.Skipped {
			b.fail(ev.At, "refer to it with !Ref", "event %q of function %q names no API of this template", name, r.ID)
		}
		return
	}
	method, path := strings.ToUpper(b.text(p.Get("Method"))), b.text(p.Get("Path"))
	if method == "" || method == "*" || method == "X-AMAZON-APIGATEWAY-ANY-METHOD" {
		method = "ANY"
	}
	key := method + " " + path
	if path == "" || path == "$default" {
		key = "$default"
	}
	format := p.Get("PayloadFormatVersion")
	switch {
	case typ == "Api":
		format = template.Text(ev.At, "1.0")
	case format == nil:
		format = template.Text(ev.At, "2.0")
	}
	integration := r.ID + logical(name) + "Integration"
	b.makeAt(ev, r, integration, "AWS::ApiGatewayV2::Integration", "ApiId", cfn.Ref(ev.At, id), "IntegrationType", "AWS_PROXY", "IntegrationMethod", "POST",
		"IntegrationUri", invocation(cfn.GetAtt(ev.At, r.ID, "Arn")), "PayloadFormatVersion", format, "TimeoutInMillis", p.Get("TimeoutInMillis"))
	a := b.t.Pick(p.Get("Auth"))
	who := b.text(a.Get("Authorizer"))
	if who == "" && m != nil {
		who = m.def
	}
	kind, scopes := template.Text(ev.At, "NONE"), a.Get("AuthorizationScopes")
	var authorizer *cfn.Value
	required := a.Get("ApiKeyRequired")
	if m != nil && required == nil {
		required = m.key
	}
	if who != "" && who != "NONE" {
		switch {
		case m == nil || m.types[who] == "":
			var known []string
			if m != nil {
				for k := range m.types {
					known = append(known, k)
				}
			}
			slices.Sort(known)
			b.fail(ev.At, cfn.Suggest(who, known), "event %q of function %q: its API has no authorizer %q", name, r.ID, who)
		default:
			kind = template.Text(ev.At, m.types[who])
			if m.ids[who] != "" {
				authorizer = cfn.Ref(ev.At, m.ids[who])
			}
			if scopes == nil {
				scopes = m.scopes[who]
			}
		}
	}
	b.makeAt(ev, r, r.ID+logical(name)+"Route", "AWS::ApiGatewayV2::Route", "ApiId", cfn.Ref(ev.At, id), "RouteKey", key,
		"Target", cfn.Sub(ev.At, "integrations/${"+integration+"}"), "AuthorizationType", kind, "AuthorizerId", authorizer,
		"AuthorizationScopes", scopes, "ApiKeyRequired", required)
}

// makeAt is make for what stands in a place of its own.
func (b *builder) makeAt(at *cfn.Value, from *cfn.Resource, id, typ string, props ...any) {
	if r := b.make(from, id, typ, props...); r != nil && r.Made {
		r.At = at.At
	}
}

// expandWebSocket makes an API of CloudFormation of a WebSocket API of SAM (aws.md 7.3).
func (b *builder) expandWebSocket(r *cfn.Resource) {
	p := r.Props
	ref := cfn.Ref(r.At, r.ID)
	props := template.Map(r.At, "ProtocolType", "WEBSOCKET", "Name", nameOr(p, r.ID))
	for _, key := range []string{"RouteSelectionExpression", "ApiKeySelectionExpression", "Description", "DisableExecuteApiEndpoint", "DisableSchemaValidation", "Tags"} {
		if v := p.Get(key); v != nil {
			props = props.With(key, v)
		}
	}
	stage, id := p.Get("StageName"), r.ID+"DefaultStage"
	if stage == nil {
		stage = template.Text(r.At, "default")
	} else if name := logical(b.text(stage)); name != "" {
		id = r.ID + name + "Stage"
	}
	r.Type, r.Props = "AWS::ApiGatewayV2::Api", props
	b.make(r, id, "AWS::ApiGatewayV2::Stage", "ApiId", ref, "StageName", stage, "AutoDeploy", true, "StageVariables", p.Get("StageVariables"),
		"DefaultRouteSettings", p.Get("DefaultRouteSettings"), "RouteSettings", p.Get("RouteSettings"), "AccessLogSettings", p.Get("AccessLogSettings"))
	b.t.AddAlias(r.ID+".Stage", id)
	if d := b.t.Pick(p.Get("Domain")); d != nil {
		b.domain(r, d, id)
	}
	routes := b.t.Pick(p.Get("Routes"))
	if len(fields(routes)) == 0 {
		b.fail(r.At, "", "resource %q has no Routes", r.ID)
	}
	a := b.t.Pick(p.Get("Auth"))
	if a != nil && routes.Get("$connect") == nil {
		b.fail(a.At, "add the route $connect", "Auth of resource %q needs a $connect route", r.ID)
	}
	for _, f := range fields(routes) {
		v := b.t.Pick(f.Value)
		if v == nil {
			continue
		}
		if !strings.HasPrefix(f.Key, "$") && notInID.MatchString(f.Key) {
			b.fail(f.At, "use letters and digits, or describe the API with AWS::ApiGatewayV2 resources", "route key %q of resource %q is not alphanumeric", f.Key, r.ID)
		}
		if v.Get("FunctionArn") == nil {
			b.fail(f.At, "", "route %q of resource %q has no FunctionArn", f.Key, r.ID)
			continue
		}
		k := logical(f.Key)
		if k != "" {
			k = strings.ToUpper(k[:1]) + strings.ToLower(k[1:])
		}
		integration := r.ID + k + "Integration"
		b.makeAt(f.Value, r, integration, "AWS::ApiGatewayV2::Integration", "ApiId", ref, "IntegrationType", "AWS_PROXY", "IntegrationMethod", "POST",
			"IntegrationUri", invocation(v.Get("FunctionArn")), "TimeoutInMillis", v.Get("IntegrationTimeout"))
		more := []any{"ApiId", ref, "RouteKey", f.Key, "Target", cfn.Sub(v.At, "integrations/${"+integration+"}")}
		for _, key := range []string{"OperationName", "ApiKeyRequired", "ModelSelectionExpression", "RequestModels", "RequestParameters", "RouteResponseSelectionExpression"} {
			more = append(more, key, v.Get(key))
		}
		if f.Key == "$connect" && a != nil {
			more = append(more, b.connectAuth(r, a)...)
		}
		b.makeAt(f.Value, r, r.ID+k+"Route", "AWS::ApiGatewayV2::Route", more...)
		b.make(r, r.ID+k+"Permission", "AWS::Lambda::Permission")
	}
}

// connectAuth is what the $connect route of a WebSocket API of SAM says of authorization.
func (b *builder) connectAuth(r *cfn.Resource, a *cfn.Value) []any {
	typ := b.text(a.Get("AuthType"))
	if typ == "" && a.Get("AuthArn") != nil {
		typ = "CUSTOM"
	}
	switch typ {
	case "", "NONE":
		return nil
	case "AWS_IAM":
		return []any{"AuthorizationType", "AWS_IAM"}
	case "CUSTOM":
		name := a.Get("Name")
		if name == nil {
			name = template.Text(a.At, r.ID+"Authorizer")
		}
		id := r.ID + "ConnectAuthorizer"
		b.makeAt(a, r, id, "AWS::ApiGatewayV2::Authorizer", "ApiId", cfn.Ref(a.At, r.ID), "Name", name, "AuthorizerType", "REQUEST",
			"AuthorizerUri", invocation(a.Get("AuthArn")), "IdentitySource", a.Get("IdentitySource"))
		return []any{"AuthorizationType", "CUSTOM", "AuthorizerId", cfn.Ref(a.At, id)}
	}
	b.fail(a.At, "known are: NONE, AWS_IAM, CUSTOM", "AuthType of resource %q is %q", r.ID, typ)
	return nil
}

package sls

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// restRoute is an http event.
type restRoute struct{ httpRoute }

func (s *service) restEvent(f *fn, v *cfn.Value, at sluice.Place) {
	r, ok := s.request(f, v, at, "http")
	if !ok {
		return
	}
	r.path = "/" + strings.Trim(r.path, "/")
	switch in := strings.ToLower(strings.ReplaceAll(r.event.Get("integration").Str(), "_", "-")); in {
	case "", "lambda-proxy", "aws-proxy":
	default:
		s.unsupported(at, f, "has an http event with integration %s, and sluice runs lambda-proxy only", in)
		return
	}
	for _, key := range []string{"request", "response", "async"} {
		if x := r.event.Get(key); !x.IsNull() && x.Str() != "false" {
			s.v.warn(x.At, "%s of an http event of function %q is not applied", key, f.key)
		}
	}
	s.rest = append(s.rest, restRoute{r})
}

// restAPI makes the REST API of the service.
func (s *service) restAPI() {
	if len(s.rest) == 0 {
		return
	}
	at := s.rest[0].at
	api := s.get("apiGateway", "restApiId")
	if api == nil {
		api = cfn.Ref(at, "ApiGatewayRestApi")
		name := s.get("apiName")
		if s.get("apiGateway", "shouldStartNameWithService").Str() == "true" {
			name = or(name, at, s.name+"-"+s.stage)
		}
		s.add(at, "ApiGatewayRestApi", "AWS::Serverless::Api", "Name", or(name, at, s.stage+"-"+s.name), "StageName", s.stage, "Cors", s.restCORS(at),
			"Description", s.get("apiGateway", "description"), "DisableExecuteApiEndpoint", s.get("apiGateway", "disableDefaultEndpoint"))
		s.output(at, "ServiceEndpoint", cfn.Sub(at, "https://${ApiGatewayRestApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"+s.stage))
	}
	for _, r := range s.rest {
		integration := "ApiGatewayIntegration" + r.f.id
		s.add(r.at, integration, "AWS::ApiGatewayV2::Integration", "ApiId", api, "IntegrationType", "AWS_PROXY", "IntegrationUri", invocation(r.f.arn()), "IntegrationMethod", "POST",
			"PayloadFormatVersion", "1.0", "TimeoutInMillis", or2(r.event.Get("timeoutInMillis"), s.get("apiGateway", "timeoutInMillis")))
		kind, authorizer, scopes := s.restAuthorizer(r, api)
		s.add(r.at, s.free("ApiGatewayMethod"+r.id()), "AWS::ApiGatewayV2::Route", "ApiId", api, "RouteKey", r.key(), "Target", cfn.Sub(r.at, "integrations/${"+integration+"}"),
			"AuthorizationType", kind, "AuthorizerId", authorizer, "AuthorizationScopes", scopes, "ApiKeyRequired", r.event.Get("private"), "OperationName", r.event.Get("operationId"))
	}
	s.apiKeys(api)
}

// restCORS joins what the paths say of CORS: sluice answers preflights for the whole API.
func (s *service) restCORS(at sluice.Place) *cfn.Value {
	var origins, headers []string
	var credentials, age *cfn.Value
	any := false
	add := func(to *[]string, v *cfn.Value) {
		for _, e := range items(listOf(v)) {
			for _, one := range strings.Split(e.Str(), ",") {
				if one = strings.TrimSpace(one); one != "" && !slices.Contains(*to, one) {
					*to = append(*to, one)
				}
			}
		}
	}
	for _, r := range s.rest {
		c := r.event.Get("cors")
		if c.IsNull() || c.Str() == "false" {
			continue
		}
		any = true
		add(&origins, or2(c.Get("origins"), c.Get("origin")))
		add(&headers, c.Get("headers"))
		if v := c.Get("allowCredentials"); v != nil {
			credentials = v
		}
		if v := c.Get("maxAge"); v != nil {
			age = v
		}
	}
	if !any {
		return nil
	}
	if len(origins) == 0 {
		origins = []string{"*"}
	}
	if len(headers) == 0 {
		headers = []string{"Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key", "X-Amz-Security-Token", "X-Amz-User-Agent", "X-Amzn-Trace-Id"}
	}
	return template.Map(at, "AllowOrigin", "'"+strings.Join(origins, ",")+"'", "AllowHeaders", "'"+strings.Join(headers, ",")+"'", "AllowMethods", "'*'",
		"AllowCredentials", credentials, "MaxAge", age)
}

// restAuthorizer is who decides about a route of a REST API.
func (s *service) restAuthorizer(r restRoute, api *cfn.Value) (kind string, id, scopes *cfn.Value) {
	a := r.event.Get("authorizer")
	if a.IsNull() {
		return "NONE", nil, nil
	}
	named, typ := a, ""
	if a.IsMap() && !cfn.IsFunction(a) {
		typ = strings.ToUpper(a.Get("type").Str())
		if given := a.Get("authorizerId"); given != nil {
			return "CUSTOM", given, nil
		}
		if named = a.Get("arn"); named == nil {
			named = a.Get("name")
		}
	}
	switch {
	case strings.EqualFold(named.Str(), "aws_iam") || typ == "AWS_IAM":
		return "AWS_IAM", nil, nil
	case typ == "COGNITO_USER_POOLS" || strings.Contains(named.Str(), ":cognito-idp:"):
		s.unsupported(a.At, r.f, "has an authorizer of Cognito, which sluice does not run")
		return "NONE", nil, nil
	}
	arn, name := s.authorizerFunction(named, a.At, "authorizer of "+r.key())
	if arn == nil {
		return "NONE", nil, nil
	}
	if given := a.Get("name"); given.Str() != "" {
		name = given.Str()
	}
	if typ != "REQUEST" {
		typ = "TOKEN"
	}
	sources := template.List(a.At)
	for _, one := range strings.Split(or(a.Get("identitySource"), a.At, "method.request.header.Authorization").Str(), ",") {
		if one = strings.TrimSpace(one); one != "" {
			sources.List = append(sources.List, template.Text(a.At, strings.Replace(one, "method.request.", "$request.", 1)))
		}
	}
	ttl := a.Get("resultTtlInSeconds")
	if ttl == nil {
		ttl = number(a.At, 300)
	}
	// One function may be asked in several ways: each is an authorizer of its own.
	logicalID, way := title(logical(name))+"ApiGatewayAuthorizer", typ+sources.JSON()+ttl.Str()
	for n := 2; s.ways[logicalID] != "" && s.ways[logicalID] != way; n++ {
		logicalID = title(logical(name)) + "ApiGatewayAuthorizer" + number(a.At, n).Str()
	}
	s.ways[logicalID] = way
	s.add(a.At, logicalID, "AWS::ApiGatewayV2::Authorizer", "ApiId", api, "Name", name, "AuthorizerType", typ, "AuthorizerUri", invocation(arn), "IdentitySource", sources,
		"AuthorizerPayloadFormatVersion", "1.0", "AuthorizerResultTtlInSeconds", ttl)
	return "CUSTOM", cfn.Ref(a.At, logicalID), nil
}

// apiKeys makes the keys of private routes: names, or maps of name and value. A key without a value gets
// one of the cloud's there, which nobody here could know.
func (s *service) apiKeys(api *cfn.Value) {
	list := s.get("apiGateway", "apiKeys")
	if list == nil {
		list = s.get("apiKeys")
	}
	var keys []*cfn.Value
	for _, k := range items(list) {
		if k.IsMap() && k.Get("name") == nil && k.Get("value") == nil {
			for _, f := range k.Fields { // of a usage plan, by its name
				keys = append(keys, items(listOf(f.Value))...)
			}
			continue
		}
		keys = append(keys, k)
	}
	for i, k := range keys {
		id := "ApiGatewayApiKey" + number(k.At, i+1).Str()
		value := k.Get("value")
		if value == nil {
			s.v.fail(k.At, "write {name: "+k.Str()+", value: ${env:API_KEY}}", "API key %q has no value", or(k.Get("name"), k.At, k.Str()).Str())
			continue
		}
		s.add(k.At, id, "AWS::ApiGateway::ApiKey", "Name", k.Get("name"), "Value", value, "Enabled", or2(k.Get("enabled"), template.Bool(k.At, true)))
		s.add(k.At, "ApiGatewayUsagePlan", "AWS::ApiGateway::UsagePlan", "ApiStages", template.List(k.At, template.Map(k.At, "ApiId", api, "Stage", s.stage)))
		s.add(k.At, "ApiGatewayUsagePlanKey"+number(k.At, i+1).Str(), "AWS::ApiGateway::UsagePlanKey", "KeyId", cfn.Ref(k.At, id), "KeyType", "API_KEY", "UsagePlanId", cfn.Ref(k.At, "ApiGatewayUsagePlan"))
	}
}

package sls

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// httpRoute is an httpApi event.
type httpRoute struct {
	f            *fn
	at           sluice.Place
	method, path string // "ANY"; "" is $default
	event        *cfn.Value
}

func (r httpRoute) key() string {
	if r.path == "" {
		return "$default"
	}
	return r.method + " " + r.path
}

// id is the key as a part of a logical id.
func (r httpRoute) id() string {
	if r.path == "" {
		return "Default"
	}
	var b strings.Builder
	b.WriteString(title(strings.ToLower(r.method)))
	for _, seg := range strings.Split(strings.Trim(r.path, "/"), "/") {
		if name, ok := strings.CutPrefix(seg, "{"); ok {
			seg = strings.Trim(name, "+}") + "Var"
		}
		b.WriteString(title(logical(seg)))
	}
	return b.String()
}

var verbs = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY", "*"}

// request reads the method and the path of an event: "GET /a", or a map of both.
func (s *service) request(f *fn, v *cfn.Value, at sluice.Place, kind string) (r httpRoute, ok bool) {
	r = httpRoute{f: f, at: at, event: v}
	if v.IsMap() {
		r.method, r.path = v.Get("method").Str(), v.Get("path").Str()
	} else {
		var spaced bool
		if r.method, r.path, spaced = strings.Cut(strings.TrimSpace(v.Str()), " "); !spaced && r.method != "*" {
			r.path = r.method
			r.method = "*"
		}
		r.event = template.Map(at)
	}
	r.method, r.path = strings.ToUpper(r.method), strings.TrimSpace(r.path)
	if !slices.Contains(verbs, r.method) && (r.method != "" || kind == "http") {
		s.v.fail(at, "known are: get, post, put, patch, delete, head, options, any", "an %s event of function %q has method %q", kind, f.key, strings.ToLower(r.method))
		return r, false
	}
	if r.method == "*" || r.method == "" {
		r.method = "ANY"
	}
	return r, true
}

func (s *service) httpEvent(f *fn, v *cfn.Value, at sluice.Place) {
	r, ok := s.request(f, v, at, "httpApi")
	if !ok {
		return
	}
	switch {
	case r.path == "*" || r.path == "":
		if r.path = ""; r.method != "ANY" {
			s.v.fail(at, "path: /", "an httpApi event of function %q has a method but no path", f.key)
		}
	case !strings.HasPrefix(r.path, "/"):
		r.path = "/" + r.path
	}
	s.http = append(s.http, r)
}

// httpAPI makes the HTTP API of the service.
func (s *service) httpAPI() {
	if len(s.http) == 0 {
		return
	}
	at := s.http[0].at
	api := s.get("httpApi", "id")
	external := api != nil
	if !external {
		api = cfn.Ref(at, "HttpApi")
		s.add(at, "HttpApi", "AWS::ApiGatewayV2::Api", "Name", or(s.get("httpApi", "name"), at, s.stage+"-"+s.name), "ProtocolType", "HTTP",
			"CorsConfiguration", cors(s.get("httpApi", "cors"), at), "DisableExecuteApiEndpoint", s.get("httpApi", "disableDefaultEndpoint"))
		s.add(at, "HttpApiStage", "AWS::ApiGatewayV2::Stage", "ApiId", api, "StageName", "$default", "AutoDeploy", true)
		s.output(at, "HttpApiId", api)
		s.output(at, "HttpApiUrl", cfn.Sub(at, "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"))
	}
	for _, r := range s.http {
		integration := "HttpApiIntegration" + r.f.id
		s.add(r.at, integration, "AWS::ApiGatewayV2::Integration", "ApiId", api, "IntegrationType", "AWS_PROXY", "IntegrationUri", invocation(r.f.arn()), "IntegrationMethod", "POST",
			"PayloadFormatVersion", or(s.get("httpApi", "payload"), r.at, "2.0"))
		kind, authorizer, scopes := s.httpAuthorizer(r, api)
		s.add(r.at, s.free("HttpApiRoute"+r.id()), "AWS::ApiGatewayV2::Route", "ApiId", api, "RouteKey", r.key(), "Target", cfn.Sub(r.at, "integrations/${"+integration+"}"),
			"AuthorizationType", kind, "AuthorizerId", authorizer, "AuthorizationScopes", scopes)
	}
}

// cors is what an HTTP API or a function's URL answers to preflights.
func cors(v *cfn.Value, at sluice.Place) *cfn.Value {
	if v.IsNull() || v.Str() == "false" {
		return nil
	}
	list := func(words ...string) *cfn.Value {
		out := template.List(at)
		for _, w := range words {
			out.List = append(out.List, template.Text(at, w))
		}
		return out
	}
	get := func(key string, def *cfn.Value) *cfn.Value {
		c := v.Get(key)
		if c == nil {
			return def
		}
		if !c.IsList() && !c.IsNull() {
			return template.List(c.At, c)
		}
		return c
	}
	return template.Map(at, "AllowOrigins", get("allowedOrigins", list("*")),
		"AllowHeaders", get("allowedHeaders", list("Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key", "X-Amz-Security-Token", "X-Amz-User-Agent", "X-Amzn-Trace-Id")),
		"AllowMethods", get("allowedMethods", list("*")), "ExposeHeaders", get("exposedResponseHeaders", nil), "AllowCredentials", v.Get("allowCredentials"), "MaxAge", v.Get("maxAge"))
}

// httpAuthorizer is who decides about a route of an HTTP API.
func (s *service) httpAuthorizer(r httpRoute, api *cfn.Value) (kind string, id, scopes *cfn.Value) {
	a := r.event.Get("authorizer")
	if a.IsNull() {
		return "NONE", nil, nil
	}
	name := a.Str()
	if a.IsMap() {
		name, scopes = a.Get("name").Str(), a.Get("scopes")
		if scopes != nil && !scopes.IsList() {
			scopes = template.List(scopes.At, scopes)
		}
		if given := a.Get("id"); given != nil {
			if strings.EqualFold(a.Get("type").Str(), "request") {
				return "CUSTOM", given, nil
			}
			return "JWT", given, scopes
		}
	}
	if strings.EqualFold(name, "aws_iam") || strings.EqualFold(a.Get("type").Str(), "aws_iam") {
		return "AWS_IAM", nil, nil
	}
	all := s.get("httpApi", "authorizers")
	z := all.Get(name)
	if z == nil {
		s.v.fail(a.At, cfn.Suggest(name, all.Keys()), "provider.httpApi.authorizers has no %q", name)
		return "NONE", nil, nil
	}
	logicalID := "HttpApiAuthorizer" + title(logical(name))
	if z.Get("type").Str() != "request" {
		s.add(z.At, logicalID, "AWS::ApiGatewayV2::Authorizer", "ApiId", api, "Name", name, "AuthorizerType", "JWT", "IdentitySource", listOf(or(z.Get("identitySource"), z.At, "$request.header.Authorization")),
			"JwtConfiguration", template.Map(z.At, "Issuer", z.Get("issuerUrl"), "Audience", listOf(z.Get("audience"))))
		return "JWT", cfn.Ref(a.At, logicalID), scopes
	}
	named := z.Get("functionArn")
	if named == nil {
		named = z.Get("functionName")
	}
	arn, _ := s.authorizerFunction(named, z.At, "authorizer "+name)
	if arn == nil {
		return "NONE", nil, nil
	}
	s.add(z.At, logicalID, "AWS::ApiGatewayV2::Authorizer", "ApiId", api, "Name", or(z.Get("name"), z.At, name), "AuthorizerType", "REQUEST", "AuthorizerUri", invocation(arn),
		"IdentitySource", listOf(z.Get("identitySource")), "AuthorizerPayloadFormatVersion", or(z.Get("payloadVersion"), z.At, "2.0"), "EnableSimpleResponses", z.Get("enableSimpleResponses"),
		"AuthorizerResultTtlInSeconds", z.Get("resultTtlInSeconds"))
	return "CUSTOM", cfn.Ref(a.At, logicalID), nil
}

// listOf is v as a list.
func listOf(v *cfn.Value) *cfn.Value {
	if v == nil || v.IsList() {
		return v
	}
	return template.List(v.At, v)
}

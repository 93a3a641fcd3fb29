package sam

import (
	"math"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// methods are the operations of a path, as OpenAPI spells them.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}

// definitions adds the routes of an OpenAPI document that its API does not have from elsewhere.
func (b *builder) definitions(r *cfn.Resource) {
	doc := b.props(r).at("Body")
	i := slices.IndexFunc(b.apis, func(a *api) bool { return a.spec.Logical == r.ID })
	if doc.missing() || doc.broken() || i < 0 {
		return
	}
	a := b.apis[i]
	schemes := b.schemes(r, a, doc)
	if cors := doc.at("x-amazon-apigateway-cors"); !cors.missing() && a.spec.CORS == nil {
		a.spec.CORS = &apispec.CORS{Origins: cors.at("allowOrigins").strs(), Methods: cors.at("allowMethods").strs(), Headers: cors.at("allowHeaders").strs(),
			Expose: cors.at("exposeHeaders").strs(), Credentials: cors.at("allowCredentials").truth(false)}
		if age := cors.at("maxAge"); !age.missing() {
			n := age.num(0, -1, 86400)
			a.spec.CORS.MaxAge = &n
		}
	}
	for _, path := range doc.at("paths").pairs() {
		for _, op := range path.pairs() {
			if !slices.Contains(methods, strings.ToLower(op.key)) {
				continue
			}
			method := strings.ToUpper(op.key)
			if strings.HasPrefix(op.key, "x-") {
				method = "ANY"
			}
			key := method + " " + path.key
			if path.key == "/$default" || path.key == "$default" {
				key = "$default"
			}
			if _, have := a.keys[key]; have {
				continue
			}
			in := op.at("x-amazon-apigateway-integration")
			if in.missing() {
				b.t.Warn(op.place(), "%s of API %q has no integration", key, r.ID)
				continue
			}
			id := apispec.ID(7, b.t.Stack(), r.ID, key)
			i := apispec.Integration{ID: id, Type: strings.ToUpper(in.at("type").or("aws_proxy")), URI: in.at("uri").str(), Method: in.at("httpMethod").str(),
				TimeoutMS: in.at("timeoutInMillis").num(0, 50, math.MaxInt32), PayloadFormat: in.at("payloadFormatVersion").or("1.0"),
				RequestParameters: in.at("requestParameters").texts(), RequestTemplates: in.at("requestTemplates").texts(), PassthroughBehaviour: in.at("passthroughBehavior").str()}
			if m := serviceURI.FindStringSubmatch(i.URI); m != nil && m[1] != "lambda" && m[1] != "dynamodb" {
				b.refuse(r, in.place(), "%s of API %q calls the service %s, which sluice does not run", key, r.ID, m[1])
				continue
			} else if m != nil && m[1] == "lambda" {
				b.calls(in.at("uri"), i.URI, "API", r.ID)
			}
			for _, status := range in.at("responseParameters").pairs() {
				if i.ResponseParameters == nil {
					i.ResponseParameters = map[string]map[string]string{}
				}
				i.ResponseParameters[status.key] = status.texts()
			}
			for _, resp := range in.at("responses").pairs() {
				k := resp.key
				if k == "default" {
					k = "$default"
				}
				i.Responses = append(i.Responses, apispec.IntegrationResponse{Key: k, Parameters: resp.at("responseParameters").texts(), Templates: resp.at("responseTemplates").texts()})
			}
			rt := apispec.Route{ID: apispec.ID(7, b.t.Stack(), r.ID, key, "route"), Key: key, Integration: id, OperationName: op.at("operationId").str()}
			security := op.at("security")
			if security.missing() {
				security = doc.at("security")
			}
			for _, s := range security.items() {
				for _, e := range s.pairs() {
					if z, ok := schemes[e.key]; ok {
						rt.AuthorizationType, rt.Authorizer, rt.Scopes = z.kind, z.id, e.strs()
					}
				}
			}
			a.spec.Current.Integrations = append(a.spec.Current.Integrations, i)
			b.addRoute(a, r.ID, op.view, rt)
		}
	}
}

// scheme is a security scheme of an OpenAPI document: an AuthorizationType and an authorizer's id.
type scheme struct{ kind, id string }

// schemes adds the authorizers of an OpenAPI document to its API.
func (b *builder) schemes(r *cfn.Resource, a *api, doc view) map[string]scheme {
	out := map[string]scheme{}
	list := doc.at("components", "securitySchemes").pairs()
	list = append(list, doc.at("securityDefinitions").pairs()...)
	for _, s := range list {
		z := s.at("x-amazon-apigateway-authorizer")
		if z.missing() {
			if s.at("x-amazon-apigateway-authtype").str() == "awsSigv4" {
				out[s.key] = scheme{kind: "AWS_IAM"}
			}
			continue
		}
		au := apispec.Authorizer{ID: apispec.ID(7, b.t.Stack(), r.ID, s.key, "authorizer"), Name: s.key, URI: z.at("authorizerUri").str(),
			PayloadFormat: z.at("authorizerPayloadFormatVersion").str(), Simple: z.at("enableSimpleResponses").truth(false)}
		for _, src := range z.at("identitySource").strs() {
			for _, one := range strings.Split(src, ",") {
				au.IdentitySource = append(au.IdentitySource, strings.Replace(strings.TrimSpace(one), "method.request.", "$request.", 1))
			}
		}
		if ttl := z.at("authorizerResultTtlInSeconds"); !ttl.missing() {
			n := ttl.num(0, 0, 3600)
			au.TTL = &n
		}
		kind := "CUSTOM"
		switch typ := strings.ToUpper(z.at("type").str()); typ {
		case "JWT":
			au.Type, kind = typ, typ
			au.JWT = &apispec.JWT{Issuer: z.at("jwtConfiguration", "issuer").str(), Audience: z.at("jwtConfiguration", "audience").strs()}
		case "REQUEST", "TOKEN":
			au.Type = typ
			if typ == "TOKEN" && len(au.IdentitySource) == 0 {
				au.IdentitySource = []string{"$request.header." + s.at("name").or("Authorization")}
			}
		default:
			b.refuse(r, z.place(), "authorizer %q of API %q is of type %s, which sluice does not run", s.key, r.ID, typ)
			continue
		}
		a.spec.Current.Authorizers = append(a.spec.Current.Authorizers, au)
		out[s.key] = scheme{kind, au.ID}
	}
	return out
}

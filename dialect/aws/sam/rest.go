package sam

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// expandV1 turns the resources of REST APIs (API Gateway v1), as the Serverless Framework and CDK write
// them, into those of HTTP APIs that behave as REST APIs do: a method becomes a route and an integration.
func (b *builder) expandV1() {
	for _, r := range b.t.Resources() {
		typ, ok := strings.CutPrefix(r.Type, "AWS::ApiGateway::")
		if !ok || r.Skipped {
			continue
		}
		p, api := r.Props, r.Props.Get("RestApiId")
		become := func(typ string, props ...any) {
			r.Type, r.Props = "AWS::ApiGatewayV2::"+typ, template.Map(r.At, props...)
		}
		switch typ {
		case "RestApi":
			b.rest[r.ID] = true
			become("Api", "ProtocolType", "HTTP", "Name", p.Get("Name"), "Description", p.Get("Description"),
				"DisableExecuteApiEndpoint", p.Get("DisableExecuteApiEndpoint"), "BinaryMediaTypes", p.Get("BinaryMediaTypes"), "Body", p.Get("Body"))
		case "Method":
			b.expandMethod(r)
		case "Deployment":
			if stage := p.Get("StageName"); stage != nil {
				d := p.Get("StageDescription")
				b.make(r, r.ID+"Stage", "AWS::ApiGatewayV2::Stage", "ApiId", api, "StageName", stage, "AutoDeploy", true, "StageVariables", d.Get("Variables"), "AccessLogSettings", d.Get("AccessLogSetting"))
			}
			become("Deployment", "ApiId", api)
		case "Stage":
			become("Stage", "ApiId", api, "StageName", p.Get("StageName"), "AutoDeploy", true, "StageVariables", p.Get("Variables"), "AccessLogSettings", p.Get("AccessLogSetting"))
		case "Authorizer":
			if kind := p.Get("Type"); b.text(kind) == "COGNITO_USER_POOLS" {
				r.Skipped = b.refuse(r, kind.At, "authorizer %q asks Cognito, which sluice does not run", r.ID)
				continue
			}
			become("Authorizer", "ApiId", api, "Name", p.Get("Name"), "AuthorizerType", p.Get("Type"), "AuthorizerUri", p.Get("AuthorizerUri"),
				"IdentitySource", b.restSources(p.Get("IdentitySource")), "AuthorizerPayloadFormatVersion", "1.0", "AuthorizerResultTtlInSeconds", p.Get("AuthorizerResultTtlInSeconds"))
		case "DomainName":
			become("DomainName", "DomainName", p.Get("DomainName"))
		case "BasePathMapping":
			become("ApiMapping", "ApiId", api, "DomainName", p.Get("DomainName"), "Stage", p.Get("Stage"), "ApiMappingKey", p.Get("BasePath"))
		case "RequestValidator", "Model", "GatewayResponse":
			b.t.Warn(r.At, "%s %q is not applied", r.Type, r.ID)
		}
	}
}

// restSources are an authorizer's identity sources, "method.request.header.Auth, …", as API Gateway v2 writes them.
func (b *builder) restSources(v *cfn.Value) *cfn.Value {
	if v == nil {
		return nil
	}
	list := template.List(v.At)
	for one := range strings.SplitSeq(b.text(v), ",") {
		if one = strings.TrimSpace(one); one != "" {
			list.List = append(list.List, template.Text(v.At, strings.Replace(one, "method.request.", "$request.", 1)))
		}
	}
	return list
}

// expandMethod makes a route and its integration of a method.
func (b *builder) expandMethod(r *cfn.Resource) {
	p := r.Props
	api, in := p.Get("RestApiId"), b.t.Pick(p.Get("Integration"))
	kind := strings.ToUpper(b.text(in.Get("Type")))
	switch {
	case b.text(p.Get("AuthorizationType")) == "COGNITO_USER_POOLS":
		r.Skipped = b.refuse(r, p.Get("AuthorizationType").At, "method %q asks Cognito, which sluice does not run", r.ID)
	case kind == "AWS":
		r.Skipped = b.refuse(r, in.Get("Type").At, "method %q has an integration of type AWS, and of REST APIs sluice runs AWS_PROXY, HTTP_PROXY, HTTP and MOCK", r.ID)
	}
	path, ok := b.pathOf(p.Get("ResourceId"))
	if !ok {
		b.fail(r.At, "refer to an AWS::ApiGateway::Resource, or to RootResourceId of its API", "ResourceId of method %q is no resource of this template", r.ID)
		r.Skipped = true
	}
	if r.Skipped {
		return
	}
	id := r.ID + "Integration"
	b.make(r, id, "AWS::ApiGatewayV2::Integration", "ApiId", api, "IntegrationType", in.Get("Type"), "IntegrationUri", in.Get("Uri"), "IntegrationMethod", in.Get("IntegrationHttpMethod"),
		"ConnectionType", in.Get("ConnectionType"), "PayloadFormatVersion", "1.0", "TimeoutInMillis", in.Get("TimeoutInMillis"), "RequestParameters", in.Get("RequestParameters"), "RequestTemplates", in.Get("RequestTemplates"))
	if answers := b.t.Pick(in.Get("IntegrationResponses")); kind == "MOCK" && answers.IsList() && len(answers.List) > 0 {
		first := b.t.Pick(answers.List[0])
		b.make(r, id+"Response", "AWS::ApiGatewayV2::IntegrationResponse", "ApiId", api, "IntegrationId", cfn.Ref(r.At, id), "IntegrationResponseKey", first.Get("StatusCode"),
			"ResponseParameters", first.Get("ResponseParameters"), "ResponseTemplates", first.Get("ResponseTemplates"))
	}
	r.Type = "AWS::ApiGatewayV2::Route"
	r.Props = template.Map(r.At, "ApiId", api, "RouteKey", strings.ToUpper(b.text(p.Get("HttpMethod")))+" "+path, "Target", cfn.Sub(r.At, "integrations/${"+id+"}"),
		"AuthorizationType", p.Get("AuthorizationType"), "AuthorizerId", p.Get("AuthorizerId"), "AuthorizationScopes", p.Get("AuthorizationScopes"),
		"ApiKeyRequired", p.Get("ApiKeyRequired"), "OperationName", p.Get("OperationName"))
}

// pathOf is the path of the resource that a value refers to: "/" of an API's root, else its parent's and
// its own part.
func (b *builder) pathOf(v *cfn.Value) (string, bool) {
	var parts []string
	for range 50 { // deeper is a circle
		r := b.t.Resource(target(b.t.Pick(v)))
		switch {
		case r == nil:
			return "", false
		case b.rest[r.ID] || r.Type == "AWS::ApiGateway::RestApi":
			slices.Reverse(parts)
			return "/" + strings.Join(parts, "/"), true
		case r.Type != "AWS::ApiGateway::Resource":
			return "", false
		}
		parts = append(parts, b.text(r.Props.Get("PathPart")))
		v = r.Props.Get("ParentId")
	}
	return "", false
}

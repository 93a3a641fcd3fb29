package sls

import (
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// socketRoute is a websocket event.
type socketRoute struct {
	f     *fn
	at    sluice.Place
	key   *cfn.Value
	event *cfn.Value
}

// websocketEvent reads both forms: a route's key, or a map with one. routeKey is what an old plugin called
// it.
func (s *service) websocketEvent(f *fn, v *cfn.Value, at sluice.Place) {
	key := v
	if v.IsMap() {
		if key = v.Get("route"); key == nil {
			key = v.Get("routeKey")
		}
	} else {
		v = template.Map(at)
	}
	if key.Str() == "" {
		s.v.fail(at, "route: $connect", "a websocket event of function %q has no route", f.key)
		return
	}
	s.socket = append(s.socket, socketRoute{f, at, key, v})
}

// websockets makes the WebSocket API of the service (aws.md 7.5).
func (s *service) websockets() {
	if len(s.socket) == 0 {
		return
	}
	at := s.socket[0].at
	api := s.get("apiGateway", "websocketApiId")
	external := api != nil
	if !external {
		api = cfn.Ref(at, "WebsocketsApi")
		expression := s.get("websocketsApiRouteSelectionExpression")
		if expression == nil {
			expression = s.get("websocketApiRouteSelectionExpression") // as many spell it
		}
		s.add(at, "WebsocketsApi", "AWS::ApiGatewayV2::Api", "Name", or(or2(s.get("websocketsApiName"), s.get("websocketApiName")), at, s.stage+"-"+s.name+"-websockets"), "ProtocolType", "WEBSOCKET",
			"RouteSelectionExpression", or(expression, at, "$request.body.action"), "Description", or(s.get("websocketsDescription"), at, "Serverless Websockets"))
	}
	for _, e := range s.socket {
		s.socketRoute(e, api)
	}
	s.add(at, "WebsocketsDeployment", "AWS::ApiGatewayV2::Deployment", "ApiId", api)
	s.add(at, "WebsocketsDeploymentStage", "AWS::ApiGatewayV2::Stage", "ApiId", api, "StageName", s.stage, "DeploymentId", cfn.Ref(at, "WebsocketsDeployment"),
		"AccessLogSettings", s.socketLog())
	if !external {
		s.output(at, "ServiceEndpointWebsocket", cfn.Sub(at, "wss://${WebsocketsApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"+s.stage))
	}
}

// socketLogFormat is what the framework logs of an event when a template does not say.
const socketLogFormat = `$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] "$context.eventType $context.routeKey $context.connectionId" $context.requestId`

// socketLog is the access log of the API: provider.logs.websocket is true, or a map; nil is none. What a
// map says of levels is about a log of executions, which is the functions' own here.
func (s *service) socketLog() *cfn.Value {
	logs := s.get("logs", "websocket")
	if logs.IsNull() || logs.Str() == "false" || logs.Get("accessLogging").Str() == "false" {
		return nil
	}
	s.add(logs.At, "WebsocketsLogGroup", "AWS::Logs::LogGroup", "LogGroupName", "/aws/websocket/"+s.name+"-"+s.stage)
	return template.Map(logs.At, "DestinationArn", cfn.Sub(logs.At, "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${WebsocketsLogGroup}"),
		"Format", or(logs.Get("format"), logs.At, socketLogFormat))
}

func (s *service) socketRoute(e socketRoute, api *cfn.Value) {
	f, id := e.f, logical(e.key.Str())
	integration := f.id + "WebsocketsIntegration"
	s.add(e.at, integration, "AWS::ApiGatewayV2::Integration", "ApiId", api, "IntegrationType", "AWS_PROXY", "IntegrationUri", invocation(f.arn()))
	s.add(e.at, f.id+"LambdaPermissionWebsockets", "AWS::Lambda::Permission", "FunctionName", f.arn(), "Action", "lambda:InvokeFunction", "Principal", "apigateway.amazonaws.com")
	selection := e.event.Get("routeResponseSelectionExpression")
	kind, authorizer := s.socketAuthorizer(e, api)
	route := s.free(id + "WebsocketsRoute")
	s.add(e.at, route, "AWS::ApiGatewayV2::Route", "ApiId", api, "RouteKey", e.key, "AuthorizationType", kind, "AuthorizerId", authorizer,
		"RouteResponseSelectionExpression", selection, "Target", cfn.Sub(e.at, "integrations/${"+integration+"}"))
	if selection.Str() == "$default" {
		s.add(e.at, id+"WebsocketsRouteResponse", "AWS::ApiGatewayV2::RouteResponse", "ApiId", api, "RouteId", cfn.Ref(e.at, route), "RouteResponseKey", "$default")
	}
}

// socketAuthorizer is who decides about a route: AuthorizationType and AuthorizerId.
func (s *service) socketAuthorizer(e socketRoute, api *cfn.Value) (kind string, id *cfn.Value) {
	a := e.event.Get("authorizer")
	if a.IsNull() {
		return "NONE", nil
	}
	if e.key.Str() != "$connect" {
		s.v.fail(a.At, "connections are authorized when they begin", "route %q of function %q has an authorizer, which only $connect can have", e.key.Str(), e.f.key)
		return "NONE", nil
	}
	named, sources := a, (*cfn.Value)(nil)
	if a.IsMap() && !cfn.IsFunction(a) {
		sources = a.Get("identitySource")
		if named = a.Get("arn"); named == nil {
			named = a.Get("name")
		}
	}
	if strings.EqualFold(named.Str(), "aws_iam") || strings.EqualFold(a.Get("type").Str(), "aws_iam") {
		return "AWS_IAM", nil
	}
	arn, name := s.authorizerFunction(named, a.At, "authorizer of route $connect")
	if arn == nil {
		return "NONE", nil
	}
	if sources == nil {
		sources = template.List(a.At, template.Text(a.At, "route.request.header.Auth"))
	} else if !sources.IsList() {
		sources = template.List(sources.At, sources)
	}
	logicalID := title(logical(name)) + "WebsocketsAuthorizer"
	s.add(a.At, logicalID, "AWS::ApiGatewayV2::Authorizer", "ApiId", api, "Name", name, "AuthorizerType", "REQUEST", "AuthorizerUri", invocation(arn), "IdentitySource", sources)
	return "CUSTOM", cfn.Ref(a.At, logicalID)
}

// authorizerFunction is the ARN of the function that a key, an ARN or a reference means, and a name for it.
func (s *service) authorizerFunction(v *cfn.Value, at sluice.Place, what string) (arn *cfn.Value, name string) {
	switch text := v.Str(); {
	case cfn.IsFunction(v):
		return v, tableOf(v)
	case strings.HasPrefix(text, "arn:"):
		_, fn, _ := strings.Cut(text, ":function:")
		fn, _, _ = strings.Cut(fn, ":")
		return v, fn
	case s.function(text) != nil:
		return s.function(text).arn(), text
	}
	if v == nil || !v.Broken {
		s.v.fail(at, cfn.Suggest(v.Str(), s.keys()), "%s: there is no function %q", what, v.Str())
	}
	return nil, ""
}

// keys are those of the functions.
func (s *service) keys() []string {
	var out []string
	for _, f := range s.fns {
		out = append(out, f.key)
	}
	return out
}

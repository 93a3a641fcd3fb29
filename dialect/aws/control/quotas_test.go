package control

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

func TestAnAPIHasSoMuchAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.control.o.Quotas = apispec.Quotas{Routes: 2, Integrations: 2, Stages: 1, Authorizers: 1, Timeout: 5 * time.Second}
	base, _, in := w.chat()
	authorizer := func(name string) string {
		return `{"name":"` + name + `","authorizerType":"REQUEST","authorizerUri":"` + uri + `","identitySource":["route.request.header.Auth"]}`
	}
	w.do(201, "POST", base+"/routes", `{"routeKey":"a","target":"integrations/`+in+`"}`)
	w.do(201, "POST", base+"/integrations", `{"integrationType":"MOCK","timeoutInMillis":5000}`)
	w.do(201, "POST", base+"/stages", `{"stageName":"one"}`)
	w.do(201, "POST", base+"/authorizers", authorizer("a"))
	for kind, c := range map[string][2]string{
		"Routes":       {"/routes", `{"routeKey":"b"}`},
		"Integrations": {"/integrations", `{"integrationType":"MOCK"}`},
		"Stages":       {"/stages", `{"stageName":"two"}`},
		"Authorizers":  {"/authorizers", authorizer("b")},
	} {
		got := w.do(429, "POST", base+c[0], c[1])
		if want := "Maximum number of " + kind + " for this API has been reached. Please contact AWS if you need additional " + kind + "."; got.text("type") != "ConflictException" || got.text("message") != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
	for _, ms := range []string{"49", "5001"} {
		if got := w.do(400, "PATCH", base+"/integrations/"+in, `{"timeoutInMillis":`+ms+`}`); got.text("message") != "Timeout should be between 50 ms and 5000 ms" {
			t.Errorf("%s ms: %v", ms, got)
		}
	}
	// What goes makes room, and another API has its own.
	w.do(204, "DELETE", base+"/stages/one", "")
	w.do(201, "POST", base+"/stages", `{"stageName":"two"}`)
	w.chat()
}

func TestDefaultsOfQuotasAreAWS(t *testing.T) {
	if got := (apispec.Quotas{}).Filled(); got != (apispec.Quotas{Routes: 300, Integrations: 300, Stages: 10, Authorizers: 10, Timeout: 29 * time.Second}) {
		t.Errorf("%+v", got)
	}
	w := newWorld(t)
	base, _, _ := w.chat()
	for i := range 10 {
		w.do(201, "POST", base+"/stages", `{"stageName":"s`+string(rune('a'+i))+`"}`)
	}
	w.do(429, "POST", base+"/stages", `{"stageName":"more"}`)
}

func TestStacksKeepToTheQuotasOfAPIs(t *testing.T) {
	w := newWorld(t).withBucket()
	api := func(timeout string) string {
		return strings.ReplaceAll(`
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: quiet, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  Mock: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Api, IntegrationType: MOCK, TimeoutInMillis: MS}}
  Any: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Mock}'}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}}
`, "MS", timeout)
	}
	w.stack(400, "CreateStack", []string{"Timeout should be between 50 ms and 29000 ms"}, "StackName", "quiet", "TemplateBody", api("29001"))
	w.control.o.Quotas.Routes = -1 // without limit
	w.stack(200, "CreateStack", nil, "StackName", "quiet", "TemplateBody", api("29000"))
	w.control.o.Quotas.Integrations = 1
	w.stack(400, "UpdateStack", []string{"Maximum number of Integrations"}, "StackName", "quiet", "TemplateBody", api("29000")+"  More: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Api, IntegrationType: MOCK}}\n")
}

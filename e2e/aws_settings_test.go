package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// pongs is a WebSocket API that answers every message without a function.
const pongs = `Transform: AWS::Serverless-2016-10-31
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: pongs, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  Mock: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Api, IntegrationType: MOCK, RequestTemplates: {$default: '{"statusCode":200}'}}}
  Says: {Type: AWS::ApiGatewayV2::IntegrationResponse, Properties: {ApiId: !Ref Api, IntegrationId: !Ref Mock, IntegrationResponseKey: $default, ResponseTemplates: {$default: pong}}}
  Any: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Mock}'}}
  Answer: {Type: AWS::ApiGatewayV2::RouteResponse, Properties: {ApiId: !Ref Api, RouteId: !Ref Any, RouteResponseKey: $default}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}}
`

// TestQuotasAreSettings: a quota of AWS's is set in a file, another in a flag, and clients meet both.
func TestQuotasAreSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"template.yaml": pongs, "sluice.conf": "aws:\n  websocket: {max-frame: 100, request-burst: 2}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary, admin, public := serve(t, "--config", filepath.Join(dir, "sluice.conf"), "--aws.strict", "--aws.websocket.request-rate=0.001")
	if out, err := exec.CommandContext(t.Context(), binary, "deploy", "--admin", admin, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conn, _, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(public, "http")+"/prod")
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, conn: conn, dead: conn}
	t.Cleanup(func() { conn.Close() })
	for i, want := range []string{"^pong$", "^pong$", `^{"message": "Too Many Requests", "connectionId":"[A-Za-z0-9_-]{15}=", "requestId":"[A-Za-z0-9_-]{15}="}$`} {
		if err := wsutil.WriteClientText(conn, []byte("ping")); err != nil {
			t.Fatal(err)
		}
		if got := g.next(); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("answer %d: %s", i, got)
		}
	}
	if err := wsutil.WriteClientText(conn, []byte(strings.Repeat("x", 101))); err != nil {
		t.Fatal(err)
	}
	if got, want := g.next(), "1009"; !strings.Contains(got, want) {
		t.Errorf("a frame of 101 bytes: %s", got)
	}
}

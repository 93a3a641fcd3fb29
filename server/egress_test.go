package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/deploy"
)

func TestHowFunctionsOfAWSComeToUsIsASetting(t *testing.T) {
	for way, want := range map[string][2]bool{"auto": {true, true}, "hook": {true, false}, "proxy": {false, true}, "off": {false, false}} {
		c := config.Default()
		c.AWS.Inject = way
		runWith(t, c, t.TempDir(), func(_ context.Context, s *Server) {
			for cloud, want := range map[string][2]bool{"aws": want, "aliyun": {true, true}} {
				env := s.injected(&sluice.App{Name: "a", Dialect: cloud})
				if got := [2]bool{env["SLUICE_EGRESS"] != "", env["HTTPS_PROXY"] != ""}; got != want {
					t.Errorf("%s, %s: hook and proxy %v, want %v", cloud, way, got, want)
				}
			}
		})
	}
	c := config.Default()
	c.AWS.Inject = "namespace"
	if err := c.Validate(); err == nil {
		t.Error("namespace is taken")
	}
}

// page is an HTTP API of AWS without a function.
const page = `Transform: AWS::Serverless-2016-10-31
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: page, ProtocolType: HTTP}}
  Behind: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: GET, IntegrationUri: BEHIND, PayloadFormatVersion: '1.0'}}
  Any: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Behind}'}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: $default, AutoDeploy: true}}
`

// TestFunctionsReachAppsByTheNamesThatACloudGivesThem: what the cloud serves itself, and nobody here, says so.
// Those that still run while the server stops do, too, when the public listener takes nobody any more.
func TestFunctionsReachAppsByTheNamesThatACloudGivesThem(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") }))
	defer behind.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(strings.ReplaceAll(page, "BEHIND", behind.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, t.TempDir(), func(ctx context.Context, s *Server) {
		if _, err := s.Deploy(ctx, deploy.Input{Dir: dir, Name: "page", Env: func(string) (string, bool) { return "", false }}, func(client.Line) {}); err != nil {
			t.Fatal(err)
		}
		var own string
		for name := range s.hosts.table.Load().byHost {
			if strings.HasSuffix(name, ".execute-api.us-east-1.amazonaws.com") {
				own = name
			}
		}
		proxy := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.egress.Addr()})}
		defer proxy.CloseIdleConnections()
		requests := []struct {
			host, want string
			status     int
		}{
			{own, "a page", 200},
			{"page.localhost", "a page", 200},
			{"nobody.execute-api.us-east-1.amazonaws.com", "sluice does not serve nobody.execute-api", 502},
			{"bedrock-runtime.us-east-1.amazonaws.com", "--aws.passthrough=bedrock-runtime ", 400},
		}
		for _, stopping := range []bool{false, true} {
			if stopping {
				if err := s.gateway.Drain(ctx, 0); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range requests {
				resp, err := (&http.Client{Transport: proxy}).Get("http://" + c.host + "/")
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
					t.Errorf("%s: %d %s, want %d %s", c.host, resp.StatusCode, body, c.status, c.want)
				}
			}
		}
	})
}

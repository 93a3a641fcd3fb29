package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function/egress"
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

// TestPushesOfFunctionsAreAnsweredAsAtThePublicListener: those that are served before net/http, and all others.
func TestPushesOfFunctionsAreAnsweredAsAtThePublicListener(t *testing.T) {
	run(t, t.TempDir(), func(ctx context.Context, s *Server) {
		if err := deploySockets(ctx, t, s); err != nil {
			t.Fatal(err)
		}
		guest, _, _, err := ws.Dial(ctx, "ws://"+s.public[0].Addr().String()+"/prod")
		if err != nil {
			t.Fatal(err)
		}
		defer guest.Close()
		guest.SetDeadline(time.Now().Add(time.Minute))
		keys, err := s.keys.AppKey(ctx, "quiet")
		if err != nil {
			t.Fatal(err)
		}
		var own string
		for name := range s.hosts.table.Load().byHost {
			if strings.HasSuffix(name, ".amazonaws.com") {
				own = name
			}
		}
		var hook egress.Hook
		if err := json.Unmarshal([]byte(s.egressEnv()["SLUICE_EGRESS"]), &hook); err != nil {
			t.Fatal(err)
		}
		type answer struct {
			Status int
			Body   string
			Header http.Header
		}
		ask := func(addr string) func(method, host, id, body, signed string) answer {
			tr := &http.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			}}
			t.Cleanup(tr.CloseIdleConnections)
			return func(method, host, id, body, signed string) answer {
				r, _ := http.NewRequestWithContext(ctx, method, "http://"+host+"/prod/@connections/"+url.PathEscape(id), strings.NewReader(body))
				sigv4.Sign(r, []byte(signed), keys, "us-east-1", "execute-api", time.Now())
				resp, err := tr.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, _ := io.ReadAll(resp.Body)
				for _, k := range []string{"Date", "X-Amzn-Requestid", "X-Amz-Apigw-Id"} {
					if resp.Header.Get(k) == "" {
						delete(resp.Header, k)
					} else {
						resp.Header.Set(k, "some")
					}
				}
				return answer{resp.StatusCode, string(got), resp.Header}
			}
		}
		public, function := ask(s.public[0].Addr().String()), ask(hook.Clear)
		id := s.gateway.List(ctx, "quiet", "", sluice.ConnID{}, 1)[0].ID.String()
		gone := id[:14] + string(id[14]^1) + "="
		for _, c := range []struct {
			method, host, id, body, signed string
			status                         int
		}{
			{"POST", own, id, "one", "one", 200},
			{"POST", own, id, "two", "two", 200},
			{"GET", own, id, "", "", 200},
			{"POST", own, id, "three", "three", 200}, // behind one that is no push
			{"POST", own, gone, "four", "four", 410},
			{"POST", own, id, "five", "nine", 403},
			{"POST", "quiet.localhost", id, "six", "six", 200},
			{"POST", "quiet.localhost", gone, "seven", "seven", 410},
		} {
			want, got := public(c.method, c.host, c.id, c.body, c.signed), function(c.method, c.host, c.id, c.body, c.signed)
			want.Header.Set("Keep-Alive", egress.KeepAlive)
			if c.method == "GET" {
				want.Body = got.Body // when it was active last
			}
			if diff := cmp.Diff(want, got); diff != "" || got.Status != c.status {
				t.Errorf("%s %s %q: %d, want %d; the public listener's and ours:\n%s", c.method, c.host, c.body, got.Status, c.status, diff)
			}
			for range 2 {
				if c.status != 200 || c.body == "" {
					continue
				}
				if b, err := wsutil.ReadServerText(guest); err != nil || string(b) != c.body {
					t.Errorf("the client heard %q (%v), want %q", b, err, c.body)
				}
			}
		}
		// What nobody owns is not the only app's.
		if got := function("POST", "nobody.execute-api.us-east-1.amazonaws.com", id, "eight", "eight"); got.Status != 502 {
			t.Errorf("at a name that is nobody's: %d", got.Status)
		}
	})
}

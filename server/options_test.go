package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
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
)

// sockets is a template of a WebSocket API without a function.
const sockets = `Transform: AWS::Serverless-2016-10-31
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: quiet, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  Mock: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Api, IntegrationType: MOCK, TimeoutInMillis: 29000}}
  Any: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Mock}'}}
  Other: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: other, Target: !Sub 'integrations/${Mock}'}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}}
`

// settings are those of a file.
func settings(t *testing.T, text string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Default(), file, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// deploySockets deploys the template.
func deploySockets(ctx context.Context, t *testing.T, s *Server) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(sockets), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Deploy(ctx, deploy.Input{Dir: dir, Name: "quiet", Env: func(string) (string, bool) { return "", false }}, func(client.Line) {})
	return err
}

// ended is the code with which a connection ends on which a client says something.
func ended(ctx context.Context, t *testing.T, s *Server, say []byte) ws.StatusCode {
	t.Helper()
	conn, _, _, err := ws.Dial(ctx, "ws://"+s.public[0].Addr().String()+"/prod")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if len(say) > 0 {
		if err := wsutil.WriteClientText(conn, say); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = wsutil.ReadServerData(conn)
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) {
		t.Fatalf("not closed: %v", err)
	}
	return closed.Code
}

func TestQuotasOfTheSettingsFileTakeEffect(t *testing.T) {
	small := settings(t, "aws: {websocket: {max-message: 1KB, idle: 2s}}")
	runWith(t, small, t.TempDir(), func(ctx context.Context, s *Server) {
		if err := deploySockets(ctx, t, s); err != nil {
			t.Fatal(err)
		}
		if code := ended(ctx, t, s, bytes.Repeat([]byte("x"), 1025)); code != 1009 {
			t.Errorf("a message of 1025 bytes: %d", code)
		}
		if code := ended(ctx, t, s, bytes.Repeat([]byte("x"), 1024)); code != 1001 {
			t.Errorf("a message of 1024 bytes, and then none: %d", code)
		}
	})
}

func TestQuotasOfAPIsAreForDeploysOnly(t *testing.T) {
	data := t.TempDir()
	run(t, data, func(ctx context.Context, s *Server) {
		if err := deploySockets(ctx, t, s); err != nil {
			t.Fatal(err)
		}
	})
	// A server with smaller quotas runs what is there, and refuses it when it comes again.
	smaller := settings(t, "aws.api.max-routes: 1\naws.websocket: {timeout: 5s, max-message: 1KB}")
	runWith(t, smaller, data, func(ctx context.Context, s *Server) {
		if code := ended(ctx, t, s, bytes.Repeat([]byte("x"), 1025)); code != 1009 {
			t.Errorf("a message of 1025 bytes: %d", code)
		}
		err := deploySockets(ctx, t, s)
		for _, want := range []string{
			"template.yaml:3: API Api: Maximum number of Routes for this API has been reached. Please contact AWS if you need additional Routes. (it has 2, 1 are the most)",
			"API Api, integration of $default, other: Timeout should be between 50 ms and 5000 ms",
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
		}
		if hint := sluice.HintOf(err); !strings.Contains(hint, "aws.") {
			t.Errorf("hint %q", hint)
		}
	})
}

func TestHostsOfBucketsAreSettings(t *testing.T) {
	c := settings(t, "tencent: {cos: {hosts: {files.example.com: files-1250000000}}}")
	runWith(t, c, t.TempDir(), func(ctx context.Context, s *Server) {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.admin.Addr().String()+"/a.txt", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "files.example.com"
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != 404 || !strings.Contains(string(b), "<Code>NoSuchBucket</Code>") {
			t.Errorf("%d %s", res.StatusCode, b)
		}
	})
}

// TestDocumentedDefaultsAreTheDefaults sets every setting of a cloud to the default that is documented.
func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	for _, strict := range []bool{false, true} {
		said, unsaid := config.Default(), config.Default()
		for _, s := range said.Settings() {
			value, own, ok := strings.Cut(s.Default, ", strict ")
			if ok && strict {
				value = own
			}
			if s.Cloud() == "" || value == "" {
				continue
			}
			if err := said.Set(s.Key, value); err != nil {
				t.Errorf("%s: %v", s.Key, err)
			}
		}
		got, want := cloudOptions(said), cloudOptions(unsaid)
		if diff := cmp.Diff(want.AWS.Sockets.Filled(strict), got.AWS.Sockets.Filled(strict)); diff != "" {
			t.Errorf("strict %v (-default +documented):\n%s", strict, diff)
		}
		if diff := cmp.Diff(want.AWS.Quotas.Filled(), got.AWS.Quotas.Filled()); diff != "" {
			t.Errorf("(-default +documented):\n%s", diff)
		}
		if got.Aliyun.MaxTables != 64 || got.Aliyun.StrictTables {
			t.Errorf("%+v", got.Aliyun)
		}
	}
}

package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/deploy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run starts a server on a folder, calls f when it is ready, and waits until it has stopped.
func run(t *testing.T, data string, f func(ctx context.Context, s *Server)) {
	t.Helper()
	runWith(t, config.Default(), data, f)
}

// runWith is run with settings.
func runWith(t *testing.T, c config.Config, data string, f func(ctx context.Context, s *Server)) {
	t.Helper()
	c.Data, c.Listen, c.Admin, c.Drain = data, []string{"127.0.0.1:0"}, "127.0.0.1:0", 50*time.Millisecond
	s, err := Open(t.Context(), Options{Config: c, Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), func(ctx context.Context) error { f(ctx, s); return nil }); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if _, err := os.Stat(filepath.Join(data, client.StateFile)); err == nil {
		t.Error("the state file outlived the server")
	}
}

// site makes an app of one page behind an API gateway.
func site(t *testing.T, name, text string) deploy.Input {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"s.yaml": strings.ReplaceAll(`edition: 1.0.0
name: NAME
services:
  pages: {component: oss, props: {region: cn-hangzhou, bucket: NAME-site, codeUri: ./site, acl: public-read, website: {index: index.html}}}
  gateway:
    component: apigateway
    props:
      regionId: cn-hangzhou
      groupName: NAME
      apis:
        - apiName: page
          requestConfig: {requestPath: '/*', requestProtocol: 'HTTP,HTTPS', requestHttpMethod: GET}
          serviceConfig: {serviceProtocol: HTTP, serviceAddress: 'https://NAME-site.oss-cn-hangzhou.aliyuncs.com', servicePath: '/*'}
`, "NAME", name),
		"site/index.html": text,
	}
	for f, body := range files {
		path := filepath.Join(dir, f)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return deploy.Input{Dir: dir, Env: func(string) (string, bool) { return "", false }}
}

// get asks the public listener for / under a host name.
func get(t *testing.T, s *Server, host string) (int, string) {
	t.Helper()
	req, _ := http.NewRequest("GET", "http://"+s.public[0].Addr().String()+"/", nil)
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestAppsAnswerUnderTheirOwnHosts(t *testing.T) {
	data := t.TempDir()
	run(t, data, func(ctx context.Context, s *Server) {
		if code, body := get(t, s, "localhost"); code != 404 || !strings.Contains(body, "No app answers for localhost") {
			t.Errorf("without an app: %d %s", code, body)
		}
		quiet := func(client.Line) {}
		if _, err := s.Deploy(ctx, site(t, "one", "first"), quiet); err != nil {
			t.Fatal(err)
		}
		if _, body := get(t, s, "anything.example"); body != "first" {
			t.Errorf("the only app does not answer for every host: %s", body)
		}
		app, err := s.Deploy(ctx, site(t, "two", "second"), quiet)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]string{"one.localhost": "first", "TWO.localhost:8080": "second"} {
			if _, body := get(t, s, host); body != want {
				t.Errorf("%s shows %q, want %q", host, body, want)
			}
		}
		if code, _ := get(t, s, "anything.example"); code != 404 {
			t.Errorf("with two apps a strange host answers %d", code)
		}
		if !strings.HasPrefix(app.HTTP[0], "http://two.localhost:") {
			t.Errorf("address of the second app: %v", app.HTTP)
		}
	})
	// Another process on the same folder finds both again, without a deploy.
	run(t, data, func(_ context.Context, s *Server) {
		for host, want := range map[string]string{"one.localhost": "first", "two.localhost": "second"} {
			if _, body := get(t, s, host); body != want {
				t.Errorf("after a restart %s shows %q, want %q", host, body, want)
			}
		}
	})
}

func TestConsoleAnswersToThisMachineOnly(t *testing.T) {
	run(t, t.TempDir(), func(_ context.Context, s *Server) {
		for _, c := range []struct {
			host, origin string
			want         int
		}{
			{"localhost:4566", "", 200}, {"127.0.0.1:4566", "", 200}, {"[::1]:4566", "", 200},
			{"evil.example", "", 403}, {"localhost.evil.example:4566", "", 403},
		} {
			req, _ := http.NewRequest("GET", "http://"+s.admin.Addr().String()+client.Prefix+"status", nil)
			req.Host = c.host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var r client.Ready
			json.NewDecoder(resp.Body).Decode(&r)
			resp.Body.Close()
			if resp.StatusCode != c.want || c.want == 200 && r.Version != "test" {
				t.Errorf("host %s: %d %+v, want %d", c.host, resp.StatusCode, r, c.want)
			}
		}
		req, _ := http.NewRequest("DELETE", "http://"+s.admin.Addr().String()+client.Prefix+"apps/x", nil)
		req.Host = "localhost:4566"
		req.Header.Set("Origin", "https://evil.example")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("another site's page may remove apps: %d", resp.StatusCode)
		}
	})
}

func TestADomainOfTwoAppsIsTheFirstOnesAndWarnedOf(t *testing.T) {
	run(t, t.TempDir(), func(ctx context.Context, s *Server) {
		var warned []string
		for _, name := range []string{"two", "one"} {
			in := site(t, name, name)
			file := filepath.Join(in.Dir, "s.yaml")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(b), "groupName:", "customerDomain: [shop.example, two.localhost]\n      groupName:", 1)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Deploy(ctx, in, func(l client.Line) {
				if l.Event == "warning" {
					warned = append(warned, l.Text)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		if len(warned) != 1 || !strings.Contains(warned[0], `app "two" claims shop.example`) {
			t.Errorf("warnings: %q", warned)
		}
		for host, want := range map[string]string{"shop.example": "one", "two.localhost": "two"} {
			if _, body := get(t, s, host); body != want {
				t.Errorf("%s shows %q", host, body)
			}
		}
	})
}

func TestWhatAKilledDeployLeftIsSweptAway(t *testing.T) {
	data := t.TempDir()
	left := []string{filepath.Join(data, "uploads", "app-1"), filepath.Join(data, "apps", "_builds", "tmp-1")}
	for _, dir := range left {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run(t, data, func(context.Context, *Server) {
		for _, dir := range left {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is still there", dir)
			}
		}
	})
}

func TestASecondServerOnTheFolderIsRefused(t *testing.T) {
	data := t.TempDir()
	run(t, data, func(ctx context.Context, s *Server) {
		c := s.cfg
		c.Listen, c.Admin = []string{"127.0.0.1:0"}, "127.0.0.1:0"
		if _, err := Open(ctx, Options{Config: c, Log: s.log}); err == nil {
			t.Fatal("two servers share a data folder")
		}
		c.Listen = []string{s.public[0].Addr().String()}
		if _, err := Open(ctx, Options{Config: c, Log: s.log}); err == nil || !strings.Contains(err.Error(), "is taken by another program") {
			t.Fatalf("a taken port: %v", err)
		}
	})
}

func TestRevisionsKeepNoAddressOfOurs(t *testing.T) {
	run(t, t.TempDir(), func(ctx context.Context, s *Server) {
		in := site(t, "one", "x")
		f := filepath.Join(in.Dir, "s.yaml")
		b, _ := os.ReadFile(f)
		os.WriteFile(f, append(b, []byte(`  fn:
    component: fc
    props:
      region: cn-hangzhou
      service: {name: one}
      function: {name: fn, runtime: nodejs18, handler: index.handler, codeUri: ./site, environmentVariables: {endpoint: '{{ endpoint }}'}}
`)...), 0o644)
		app, err := s.read(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		port := s.admin.Addr().String()
		if kept, _ := json.Marshal(app.Functions); strings.Contains(string(kept), port) {
			t.Errorf("the revision would keep %s: %s", port, kept)
		}
		env, err := s.environment(ctx, app, &app.Functions[0], in.Dir)
		if err != nil || env["endpoint"] != "http://"+port {
			t.Errorf("the function finds %q at its endpoint, want http://%s (%v)", env["endpoint"], port, err)
		}
	})
}

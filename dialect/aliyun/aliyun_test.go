package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
	"github.com/sluicehq/sluice/table"
)

// sockets fakes the gateway room: it keeps what was pushed.
type sockets struct {
	dialect.Sockets
	pushed []string
}

func (s *sockets) PushAliases(_ context.Context, as []sluice.Alias, f sluice.Frame) (reached []gateway.Reach) {
	for _, a := range as {
		s.pushed = append(s.pushed, a.Scope+" "+a.Name+" "+string(f.Data))
		reached = append(reached, gateway.Reach{Delivered: 1, Outcome: sluice.Queued})
	}
	return reached
}

func (s *sockets) PushGroup(_ context.Context, _ gateway.Group, _ sluice.Frame, _ ...sluice.ConnID) int {
	return 0
}

func (s *sockets) Leave(context.Context, sluice.ConnID, gateway.Group) sluice.Outcome {
	return sluice.Queued
}

func (s *sockets) Join(context.Context, sluice.ConnID, gateway.Group) sluice.Outcome {
	return sluice.Queued
}

// echoes is a Starter of functions that say how they were called.
type echoes struct{}

func (echoes) Runs(string, string) bool { return true }

func (echoes) Start(_ context.Context, v *function.Version, _ function.Spawner, _ function.LogSink) (function.Instance, error) {
	return &echo{v: v, done: make(chan struct{})}, nil
}

type echo struct {
	v    *function.Version
	done chan struct{}
}

func (*echo) ID() string              { return "echo" }
func (e *echo) Done() <-chan struct{} { return e.done }
func (*echo) Stop(context.Context)    {}
func (e *echo) Invoke(_ context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if inv.Kind == sluice.InvokeHTTP {
		return sluice.Result{Payload: []byte(string(e.v.Spec.Name) + " " + inv.HTTP.Path), HTTP: &sluice.HTTPResponse{Status: 200}}, nil
	}
	b, _ := json.Marshal(map[string]any{"statusCode": 200, "body": string(e.v.Spec.Name) + " event"})
	return sluice.Result{Payload: b}, nil
}

type world struct {
	dialect.Dialect
	rooms   dialect.Rooms
	sockets *sockets
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	store := memory.New()
	w := &world{sockets: &sockets{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.rooms = dialect.Rooms{
		Functions: function.New(function.Options{Starters: []function.Starter{echoes{}}, NoPrewarm: true}),
		Sockets:   w.sockets,
		Admin:     "http://127.0.0.1:4566",
		Public:    func(app sluice.AppName) string { return string(app) + ".localhost:8080" },
	}
	w.rooms.Keys, err = access.Open(ctx, store)
	must(err)
	w.rooms.Tables, err = table.Open(ctx, store, table.Options{})
	must(err)
	bodies, err := disk.Open(t.TempDir())
	must(err)
	w.rooms.Objects, err = object.Open(ctx, store, bodies, object.Options{})
	must(err)
	w.Dialect, err = New(w.rooms, Options{})
	must(err)
	t.Cleanup(func() { w.rooms.Functions.Stop(context.Background()) })
	return w
}

// deploy puts an app's functions into service and returns its front.
func (w *world) deploy(t *testing.T, app *sluice.App) *dialect.Front {
	t.Helper()
	for _, f := range app.Functions {
		if err := w.rooms.Functions.Deploy(t.Context(), &function.Version{App: app.Name, Dialect: Name, Spec: f}); err != nil {
			t.Fatal(err)
		}
	}
	front, err := w.Front(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return front
}

func endpoint(t *testing.T, name string, g apigroup.Group) sluice.Endpoint {
	t.Helper()
	spec, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	return sluice.Endpoint{Name: name, Spec: spec}
}

func fetch(t *testing.T, h http.Handler, r *http.Request) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(b)
}

func anAPI(path, kind string, b apigroup.Backend) apigroup.API {
	b.Timeout = 5 * time.Second
	return apigroup.API{Name: path, Path: path, Method: "ANY", Mode: "PASSTHROUGH", WebSocketType: kind, Protocols: []string{"HTTP", "HTTPS", "WS"}, Auth: "ANONYMOUS", Backend: b}
}

func barrage(t *testing.T) *sluice.App {
	return &sluice.App{
		Name: "barrage", Dialect: Name,
		Functions: []sluice.Function{
			{Name: "register", Group: "svc", Runtime: "nodejs20"},
			{Name: "control", Group: "svc", Runtime: "nodejs20", HTTP: &sluice.HTTPTrigger{Name: "http", Auth: "anonymous", Hosts: []string{"control.svc.localhost"}}},
		},
		Endpoints: []sluice.Endpoint{endpoint(t, "gateway", apigroup.Group{Name: "g", Stage: "RELEASE", SubDomain: "g.alicloudapi.localhost", Domains: []string{"barrage.localhost"}, APIs: []apigroup.API{
			anAPI("/r/*", apigroup.Register, apigroup.Backend{Type: apigroup.FCEvent, Function: "register", Service: "svc"}),
			anAPI("/api/*", apigroup.Common, apigroup.Backend{Type: apigroup.FCHTTP, Function: "control", Service: "svc", Path: "/"}),
			anAPI("/notify", apigroup.Notify, apigroup.Backend{Type: apigroup.HTTP, Address: "http://www.aliyun.com", Path: "/"}),
			anAPI("/player/*", apigroup.Common, apigroup.Backend{Type: apigroup.HTTP, Bucket: "wall", Path: "/www-player/*"}),
			anAPI("/*", apigroup.Common, apigroup.Backend{Type: apigroup.HTTP, Bucket: "wall", Path: "/www-screen/"}),
		}})},
	}
}

func TestTheFlagshipsFront(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"screen/index.html": "the screen", "player/index.html": "the player", "player/help/index.html": "help"} {
		p := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.rooms.Objects.EnsureBucket(t.Context(), "barrage", &sluice.Bucket{Name: "wall", ACL: "public-read"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"screen", "player"} {
		site := &sluice.Site{Bucket: "wall", Prefix: "www-" + s + "/", Website: &sluice.Website{Index: "index.html", SubDir: true}}
		if _, _, err := w.rooms.Objects.Sync(t.Context(), site, filepath.Join(dir, s)); err != nil {
			t.Fatal(err)
		}
	}
	front := w.deploy(t, barrage(t))
	for _, tc := range []struct {
		url, to string
		status  int
		body    string
	}{
		{"http://barrage.localhost/", "", 200, "the screen"},
		{"http://anything:8080/", "", 200, "the screen"},
		{"http://barrage.localhost/player", "/player/", 302, ""},
		{"http://barrage.localhost/player/", "", 200, "the player"},
		{"http://barrage.localhost/player/help", "/player/help/", 302, ""},
		{"http://barrage.localhost/player/help/", "", 200, "help"},
		{"http://barrage.localhost/api/send", "", 200, "control /send"},
		{"http://barrage.localhost/r", "", 200, "register event"},
		{"http://control.svc.localhost/x", "", 200, "control /x"},
		{"http://control-svc.fc.localhost/x", "", 200, "control /x"},
		{"http://barrage.localhost/2016-08-15/proxy/svc/control/x", "", 200, "control /x"},
	} {
		res, body := fetch(t, front.HTTP, httptest.NewRequest("GET", tc.url, nil))
		if res.StatusCode != tc.status || tc.status == 200 && body != tc.body || res.Header.Get("Location") != tc.to {
			t.Errorf("%s: %d to %q %q", tc.url, res.StatusCode, res.Header.Get("Location"), body)
		}
	}
	if res, _ := fetch(t, front.HTTP, httptest.NewRequest("GET", "http://barrage.localhost/nowhere", nil)); res.StatusCode != 404 {
		t.Errorf("a missing page: %d", res.StatusCode)
	}
	r := httptest.NewRequest("POST", "http://barrage.localhost/notify", strings.NewReader("hi"))
	r.Header.Set("x-ca-deviceid", "d1")
	if res, _ := fetch(t, front.HTTP, r); res.StatusCode != 200 {
		t.Errorf("notify: %d", res.StatusCode)
	}
	if diff := cmp.Diff([]string{"barrage/gateway d1 NF#hi"}, w.sockets.pushed); diff != "" {
		t.Error(diff)
	}
	ep, refusal := front.Socket(&sluice.Handshake{Host: "barrage.localhost:8080", Path: "/"})
	if ep == nil || refusal != nil || len(front.Endpoints) != 1 || front.Endpoints[0] != ep || ep.Name != "gateway" || ep.App != "barrage" {
		t.Errorf("endpoint %+v", ep)
	}
	want := []sluice.Output{{Name: "/*", Value: "/"}, {Name: "/player/*", Value: "/player/"}}
	if diff := cmp.Diff(want, front.Addresses); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"control-svc.fc.localhost", "control.svc.localhost", "g.alicloudapi.localhost", "barrage.localhost"}, front.Hosts); diff != "" {
		t.Error(diff)
	}
}

func TestAppsWithoutAPIGroups(t *testing.T) {
	w := newWorld(t)
	open := func() *sluice.HTTPTrigger { return &sluice.HTTPTrigger{Auth: "anonymous"} }
	one := w.deploy(t, &sluice.App{Name: "one", Functions: []sluice.Function{{Name: "f", Runtime: "custom", HTTP: open()}, {Name: "g", Runtime: "custom"}}})
	if _, body := fetch(t, one.HTTP, httptest.NewRequest("GET", "http://one.localhost/x", nil)); body != "f /x" {
		t.Errorf("the only function: %q", body)
	}
	if _, body := fetch(t, one.HTTP, httptest.NewRequest("GET", "http://one.localhost/2016-08-15/proxy/-/f/x", nil)); body != "f /x" {
		t.Errorf("by its path: %q", body)
	}
	if one.Socket != nil {
		t.Error("no WebSocket here")
	}
	two := w.deploy(t, &sluice.App{Name: "two", Functions: []sluice.Function{{Name: "f", Runtime: "custom", HTTP: open()}, {Name: "g", Runtime: "custom", HTTP: open()}}})
	if res, body := fetch(t, two.HTTP, httptest.NewRequest("GET", "http://two.localhost/x", nil)); res.StatusCode != 404 || !strings.Contains(body, "DomainNameNotFound") {
		t.Errorf("none of two functions: %d %q", res.StatusCode, body)
	}
	if _, body := fetch(t, two.HTTP, httptest.NewRequest("GET", "http://g.fc.localhost/x", nil)); body != "g /x" {
		t.Errorf("by its host: %q", body)
	}
}

func TestBrokenEndpointIsTold(t *testing.T) {
	w := newWorld(t)
	_, err := w.Front(t.Context(), &sluice.App{Name: "x", Endpoints: []sluice.Endpoint{{Name: "gw", Spec: []byte("{"), At: sluice.Place{File: "s.yaml", Line: 3}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "s.yaml:3: ") {
		t.Error(err)
	}
}

func TestAppKeyAndCodeOpenSignedAPIs(t *testing.T) {
	w := newWorld(t)
	a := anAPI("/*", apigroup.Common, apigroup.Backend{Type: apigroup.Mock, MockBody: "in"})
	a.Auth = "APP"
	front := w.deploy(t, &sluice.App{Name: "x", Endpoints: []sluice.Endpoint{endpoint(t, "gw", apigroup.Group{Stage: "RELEASE", APIs: []apigroup.API{a}})}})
	key, err := w.rooms.Keys.AppKey(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]int{AppCode(key.Secret): 200, "wrong": 400} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "APPCODE "+code)
		if res, _ := fetch(t, front.HTTP, r); res.StatusCode != want {
			t.Errorf("code %s: %d, want %d", code, res.StatusCode, want)
		}
	}
	ours := &apps{keys: w.rooms.Keys, app: "x"}
	if s, ok, err := ours.Secret(t.Context(), key.ID); s != key.Secret || !ok || err != nil {
		t.Errorf("own key: %v %v", ok, err)
	}
	foreign, err := w.rooms.Keys.AppKey(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	if s, ok, _ := ours.Secret(t.Context(), foreign.ID); s == "" || ok {
		t.Error("another app's key is known and not allowed")
	}
	if s, _, err := ours.Secret(t.Context(), "nobody"); s != "" || err != nil {
		t.Errorf("unknown key: %v", err)
	}
}

func TestAPIsAreToldApart(t *testing.T) {
	w := newWorld(t)
	ask := func(method, url string, pairs ...string) *http.Request {
		r := httptest.NewRequest(method, url, nil)
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
		return r
	}
	for _, tc := range []struct {
		name  string
		r     *http.Request
		claim bool
		says  string // in the answer
	}{
		{"tablestore", ask("POST", "http://127.0.0.1:4566/GetRow", "x-ots-apiversion", "2015-12-31", "x-ots-instancename", "i"), true, "x-ots-requestid"},
		{"oss", ask("GET", "http://b.oss-cn-hangzhou.aliyuncs.com/k"), true, "x-oss-request-id"},
		{"oss with a date for a bucket", ask("GET", "http://127.0.0.1:4566/2016-08-15/k", "Authorization", "OSS a:b"), true, "x-oss-request-id"},
		{"function compute", ask("POST", "http://127.0.0.1:4566/2016-08-15/services/s/functions/f/invocations"), true, "x-fc-request-id"},
		{"the console", ask("GET", "http://127.0.0.1:4566/_sluice/"), false, ""},
		{"a service that we have not", ask("POST", "http://ecs.cn-hangzhou.aliyuncs.com/?Action=RunInstances"), true, "servicenotsupported"},
		{"another cloud", ask("POST", "http://127.0.0.1:4566/2015-03-31/functions/f/invocations"), false, ""},
	} {
		h := w.APIs.For(tc.r)
		if (h != nil) != tc.claim {
			t.Errorf("%s: claimed %v", tc.name, !tc.claim)
		}
		if h == nil {
			continue
		}
		res, body := fetch(t, h, tc.r)
		if !strings.Contains(strings.ToLower(fmt.Sprint(res.Header, body)), tc.says) {
			t.Errorf("%s: %d %v", tc.name, res.StatusCode, res.Header)
		}
	}
}

func TestEnvironmentAndExports(t *testing.T) {
	w := newWorld(t)
	env, err := w.Environment(t.Context(), &sluice.App{Name: "x"}, &sluice.Function{Name: "f"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SLUICE_TABLESTORE_ENDPOINT", "SLUICE_OSS_ENDPOINT", "SLUICE_FC_ENDPOINT"} {
		if env[name] != "http://127.0.0.1:4566" {
			t.Errorf("%s=%q", name, env[name])
		}
	}
	secret, who, err := w.rooms.Keys.Lookup(t.Context(), env["FC_ACCESS_KEY_ID"], env["FC_SECURITY_TOKEN"])
	if err != nil || secret != env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] || who.App != "x" || who.Function != "f" || !strings.HasPrefix(env["FC_ACCESS_KEY_ID"], "STS.") {
		t.Errorf("credentials: %v %v", who, err)
	}
	out := w.Exports(access.Credentials{ID: "i", Secret: "s"}, "http://a")
	want := map[string]string{"SLUICE_TABLESTORE_ENDPOINT": "http://a", "SLUICE_OSS_ENDPOINT": "http://a", "SLUICE_FC_ENDPOINT": "http://a", "ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
}

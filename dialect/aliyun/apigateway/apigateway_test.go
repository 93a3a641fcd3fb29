package apigateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/gateway"
)

// rooms fakes what a group hangs on.
type rooms struct {
	invoke    func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
	pushAlias func(a sluice.Alias, f sluice.Frame) (int, sluice.Outcome) // for each of PushAliases
	pushes    int
	pushGroup func(group gateway.Group, f sluice.Frame) int
	join      func(id sluice.ConnID, group gateway.Group) sluice.Outcome
	leave     func(id sluice.ConnID, group gateway.Group) sluice.Outcome
	site      func(w http.ResponseWriter, r *http.Request, bucket, key string)
	secret    func(key string) (string, bool)
	code      func(code string) bool
}

func (f *rooms) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return f.invoke(ctx, inv)
}

func (f *rooms) PushAliases(_ context.Context, as []sluice.Alias, fr sluice.Frame) []gateway.Reach {
	f.pushes++
	reached := make([]gateway.Reach, len(as))
	for i, a := range as {
		reached[i].Delivered, reached[i].Outcome = f.pushAlias(a, fr)
	}
	return reached
}

func (f *rooms) PushGroup(_ context.Context, grp gateway.Group, fr sluice.Frame, _ ...sluice.ConnID) int {
	return f.pushGroup(grp, fr)
}

func (f *rooms) Join(_ context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome {
	return f.join(id, grp)
}

func (f *rooms) Leave(_ context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome {
	return f.leave(id, grp)
}

func (f *rooms) ServeSite(w http.ResponseWriter, r *http.Request, bucket, key string) {
	f.site(w, r, bucket, key)
}

func (f *rooms) Secret(_ context.Context, key string) (string, bool, error) {
	s, ok := f.secret(key)
	return s, ok, nil
}

func (f *rooms) Code(_ context.Context, code string) (bool, error) { return f.code(code), nil }

// api is an API with the defaults that the template reader gives.
func api(path string, change ...func(*apigroup.API)) apigroup.API {
	a := apigroup.API{
		Name: path, Path: path, Method: "ANY", Mode: apigroup.Passthrough, WebSocketType: apigroup.Common,
		Protocols: []string{"HTTP", "HTTPS", "WS"}, Auth: "ANONYMOUS",
		Backend: apigroup.Backend{Type: apigroup.Mock, Timeout: 2 * time.Second, MockBody: path, Path: "/"},
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

// eventAPI is an API of a type, answered by an event function.
func eventAPI(path, kind, function string) apigroup.API {
	return api(path, func(a *apigroup.API) {
		a.WebSocketType = kind
		a.Backend = apigroup.Backend{Type: apigroup.FCEvent, Function: function, Timeout: 2 * time.Second}
	})
}

var noon = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newGroup(t testing.TB, f *rooms, apis ...apigroup.API) *Group {
	t.Helper()
	g, err := New(Options{
		App: "barrage", Endpoint: "gateway",
		Group:     apigroup.Group{Name: "g", Stage: "RELEASE", SubDomain: "g.cn-hangzhou.alicloudapi.localhost", Domains: []string{"wall.example"}, APIs: apis},
		Functions: f, Sockets: f, Sites: f, Apps: f,
		Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// do sends an HTTP request and returns the whole answer.
func do(t testing.TB, h http.Handler, r *http.Request) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func get(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }

// with sets headers, given in pairs.
func with(r *http.Request, pairs ...string) *http.Request {
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

// answered makes a function's answer out of JSON text.
func answered(body string) (sluice.Result, error) { return sluice.Result{Payload: []byte(body)}, nil }

// wsAnswer is what a client reads out of the socket.
type wsAnswer struct {
	Status int                        `json:"status"`
	Header map[string]json.RawMessage `json:"header"`
	Body   string                     `json:"body"`
}

// say sends a message in the socket of a bound device and reads the one answer.
func sayTo(t testing.TB, g *Group, message string) (wsAnswer, sluice.Reply) {
	t.Helper()
	reply := g.Handle(t.Context(), &sluice.Event{
		Kind: sluice.Message, ID: "REQ-1",
		Conn:  sluice.Conn{ID: sluice.ConnID{1}, Alias: &sluice.Alias{Scope: g.scope, Name: "a1b2c3d4"}},
		Frame: sluice.Frame{Data: []byte(message)},
	})
	if len(reply.Send) != 1 {
		t.Fatalf("%d frames, want 1", len(reply.Send))
	}
	var a wsAnswer
	if err := json.Unmarshal(reply.Send[0].Data, &a); err != nil {
		t.Fatalf("answer %s: %v", reply.Send[0].Data, err)
	}
	return a, reply
}

func (a wsAnswer) head(name string) string {
	var s string
	json.Unmarshal(a.Header[name], &s)
	return s
}

func TestTemplateErrorsNameTheirAPI(t *testing.T) {
	for name, a := range map[string]apigroup.API{
		"relative path":   api("x"),
		"star in between": api("/a/*/b"),
		"bad pattern":     api("/p", func(a *apigroup.API) { a.RequestParams = []apigroup.RequestParam{{Name: "q", Pattern: "(?=x)"}} }),
	} {
		_, err := New(Options{Group: apigroup.Group{APIs: []apigroup.API{a}}})
		if err == nil || sluice.KindOf(err) != sluice.Invalid || !strings.Contains(err.Error(), a.Name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGroupsAreToldApartByHost(t *testing.T) {
	f := &rooms{}
	a, b := newGroup(t, f, api("/*")), newGroup(t, f, api("/*"))
	b.o.Group.Domains, b.o.Group.SubDomain = []string{"other.example"}, ""
	gs := Groups{a, b}
	if gs.Find("WALL.example:8080") != a || gs.Find("other.example") != b || gs.Find("x") != nil {
		t.Error("hosts find the wrong groups")
	}
	if (Groups{a}).Find("anything") != a {
		t.Error("a group that is alone must answer for every host")
	}
	res, _ := do(t, gs, get("http://nobody.example/"))
	if res.StatusCode != 404 || res.Header.Get("X-Ca-Error-Code") != "I404DO" {
		t.Errorf("unknown domain: %d %v", res.StatusCode, res.Header)
	}
	if ep, _ := gs.Socket(&sluice.Handshake{Host: "other.example:8080"}); ep != b.endpoint {
		t.Error("the handshake's host finds the wrong endpoint")
	}
	c := newGroup(t, f, api("/*", func(a *apigroup.API) { a.Protocols = []string{"HTTP"} }))
	if c.Endpoint() != nil {
		t.Error("a group without WS has no endpoint")
	}
}

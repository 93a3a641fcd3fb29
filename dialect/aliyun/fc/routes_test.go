package fc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
)

func TestHostsThatSeveralFunctionsShare(t *testing.T) {
	fs := &functions{invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		return sluice.Result{Payload: []byte(string(inv.Function) + " " + inv.HTTP.Path + "?" + inv.HTTP.RawQuery)}, nil
	}}
	fn := func(name string, hosts []string, routes ...sluice.Route) sluice.Function {
		return sluice.Function{Name: sluice.FunctionName(name), Group: "svc", Runtime: "custom",
			HTTP: &sluice.HTTPTrigger{Auth: "anonymous", Hosts: hosts, Routes: routes}}
	}
	rest := sluice.Route{Host: "A.example", Path: "/api/*", Rewrite: []sluice.Rewrite{
		{Kind: "regex", Match: "^/api/([a-z]+)/([0-9]+)$", To: "/$1s?id=$2"},
		{Kind: "wildcard", Match: "^/api/v1/*", To: "/$1x"},
		{Kind: "equal", Match: "/api/v1/old", To: "/new"},
		{Kind: "wildcard", Match: "/end", To: "/found"},
	}}
	app := &sluice.App{Name: "app", Functions: []sluice.Function{
		fn("pages", []string{"a.example"}),
		fn("rest", nil, rest, sluice.Route{Host: "b.example", Path: "/only", Methods: []string{"GET"}}),
		fn("users", nil, sluice.Route{Host: "a.example", Path: "/api/users/*"}),
		{Name: "quiet"},
	}}
	hosts, err := Domains(Options{Functions: fs, Keys: fakeKeys{}}, app)
	if err != nil || len(hosts) != 2 {
		t.Fatalf("%v %v", hosts, err)
	}
	for in, want := range map[string]string{
		"GET a.example/":                "pages /?",
		"GET a.example/apis":            "pages /apis?",
		"GET a.example/api":             "rest /api?",
		"GET a.example/api/x/y?q=1":     "rest /api/x/y?q=1",
		"GET a.example/api/users/7?q=1": "users /api/users/7?q=1",
		"GET a.example/api/v1/a/b":      "rest /a/bx?",
		"GET a.example/api/v1/old":      "rest /new?",
		"GET a.example/api/room/7?q=1":  "rest /rooms?id=7&q=1",
		"GET a.example/api/b/end":       "rest /found?",
		"GET b.example/only":            "rest /only?",
		"PUT b.example/only":            "MethodNotSupported",
		"GET b.example/other":           "DomainNameNotFound",
	} {
		method, url, _ := strings.Cut(in, " ")
		host, _, _ := strings.Cut(url, "/")
		if _, got := do(t, hosts[host], httptest.NewRequest(method, "http://"+url, nil)); got != want && !strings.Contains(got, `"ErrorCode":"`+want) {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for _, bad := range []sluice.Rewrite{{Kind: "regex", Match: "("}, {Kind: "magic"}} {
		app.Functions[1].HTTP.Routes = []sluice.Route{{Host: "x", Rewrite: []sluice.Rewrite{bad}}}
		if _, err := Domains(Options{Functions: fs, Keys: fakeKeys{}}, app); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestEventsNameTheFunctionsOwnPath(t *testing.T) {
	var ev event
	fs := &functions{invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		return sluice.Result{}, json.Unmarshal(inv.Payload, &ev)
	}}
	fn := &sluice.Function{Name: "f", Runtime: "go1", HTTP: open}
	NewTrigger(Options{Functions: fs, Keys: fakeKeys{}}, "app", fn).ServeProxy(httptest.NewRecorder(), httptest.NewRequest("GET", "/2016-08-15/proxy/-/f/a%20b", nil))
	if ev.RawPath != "/a b" || ev.RequestContext.HTTP.Path != "/a b" {
		t.Errorf("%+v", ev)
	}
}

func TestHTTPTriggersCanBeCalledAsynchronously(t *testing.T) {
	store := memory.New()
	fs := &functions{invoke: func(context.Context, sluice.Invocation) (sluice.Result, error) {
		t.Error("nobody waits for this call")
		return sluice.Result{}, nil
	}}
	o := Options{Functions: fs, Keys: fakeKeys{}, Later: NewQueue(store, fs, nil)}
	for i, fn := range []*sluice.Function{{Name: "f", Runtime: "go1", HTTP: open}, {Name: "f", Group: "svc", Runtime: "custom", HTTP: open}} {
		res, body := do(t, NewTrigger(o, "app", fn), post("/x", "hi", "X-Fc-Invocation-Type", "Async"))
		if res.StatusCode != http.StatusAccepted || body != "" || res.Header.Get("X-Fc-Request-Id") == "" || left(t, store) != i+1 {
			t.Errorf("%d %s, %d calls wait", res.StatusCode, body, left(t, store))
		}
	}
	res, _ := do(t, NewTrigger(o, "app", &sluice.Function{Name: "f", Runtime: "go1", HTTP: open}), post("/x", strings.Repeat("x", maxAsync+1), "X-Fc-Invocation-Type", "Async"))
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("too large: %d", res.StatusCode)
	}
}

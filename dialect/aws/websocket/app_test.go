package websocket

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/gateway"
)

func TestHandshakesFindTheirStage(t *testing.T) {
	second := func(id string, stages ...apispec.Stage) *apispec.API {
		return chat(func(a *apispec.API) { a.ID, a.Name, a.Stages = id, id, stages })
	}
	both := deploy(t, &rooms{}, Options{},
		chat(func(a *apispec.API) {
			a.Stages = []apispec.Stage{{Name: "prod"}, {Name: "Prod"}}
			a.Mappings = []apispec.Mapping{{Domain: "ws.Example.com", Stage: "prod"}, {Domain: "ws.example.com", Path: "v2/chat", Stage: "Prod"}, {Domain: "only.example.com", Path: "a", Stage: "prod"}}
		}),
		second("zyx9876543", apispec.Stage{Name: "prod"}, apispec.Stage{Name: "dev"}),
		second("closed9876", apispec.Stage{Name: "live"}),
	)
	both.list[2].spec.DisableExecuteAPI = true
	alone := deploy(t, &rooms{}, Options{}, chat(func(a *apispec.API) { a.Stages = []apispec.Stage{{Name: "Prod"}, {Name: "dev"}} }))
	for _, tc := range []struct {
		s                *served
		host, path, want string
	}{
		{both, "abcd123456.execute-api.us-east-1.amazonaws.com", "/prod", "abcd123456/prod"},
		{both, "ABCD123456.execute-api.eu-west-1.amazonaws.com:443", "/prod/", "abcd123456/prod"},
		{both, "abcd123456.execute-api.localhost:8080", "/Prod", "abcd123456/Prod"},
		{both, "abcd123456.execute-api.localhost:8080", "/PROD", ""},
		{both, "abcd123456.execute-api.localhost", "/", ""},
		{both, "abcd123456.execute-api.localhost", "/prod/more", ""},
		{both, "abcd123456.execute-api.localhost", "/dev", ""},
		{both, "zyx9876543.execute-api.localhost", "/dev", "zyx9876543/dev"},
		{both, "nobody1234.execute-api.localhost", "/prod", ""},
		{both, "ws.example.com", "/", "abcd123456/prod"},
		{both, "WS.example.com:8443", "", "abcd123456/prod"},
		{both, "ws.example.com", "/v2/chat", "abcd123456/Prod"},
		{both, "ws.example.com", "/v2/chat/", "abcd123456/Prod"},
		{both, "ws.example.com", "/v2", ""},
		{both, "ws.example.com", "/prod", ""},
		{both, "only.example.com", "/a", "abcd123456/prod"},
		{both, "only.example.com", "/", ""},
		{both, "127.0.0.1:8080", "/_aws/ws/zyx9876543/prod", "zyx9876543/prod"},
		{both, "127.0.0.1:8080", "/_aws/execute-api/zyx9876543/prod", "zyx9876543/prod"},
		{both, "127.0.0.1:8080", "/_aws/ws/nobody1234/prod", ""},
		{both, "chat.localhost:8080", "/dev", "zyx9876543/dev"},
		{both, "chat.localhost:8080", "/prod", ""}, // two have it
		{both, "chat.localhost:8080", "/", ""},
		{both, "closed9876.execute-api.localhost", "/live", ""},
		{both, "chat.localhost", "/_aws/ws/closed9876/live", "closed9876/live"},
		{alone, "chat.localhost:8080", "/", "abcd123456/Prod"},
		{alone, "chat.localhost:8080", "/dev", "abcd123456/dev"},
		{alone, "chat.localhost:8080", "/nope", ""},
		{alone, "192.0.2.9", "/Prod/", "abcd123456/Prod"},
	} {
		h := handshake()
		h.Host, h.Path = tc.host, tc.path
		ep, refusal := tc.s.Socket(h)
		switch {
		case ep != nil && ep.Name != tc.want, ep == nil && tc.want != "":
			t.Errorf("%s%s: %+v, want %q", tc.host, tc.path, ep, tc.want)
		case ep == nil && (refusal.Status != 403 || string(refusal.Body) != `{"message":"Forbidden"}` || refusal.Header["x-amzn-ErrorType"][0] != "ForbiddenException"):
			t.Errorf("%s%s: %+v", tc.host, tc.path, refusal)
		}
	}
	want := []string{
		"abcd123456.execute-api.us-east-1.amazonaws.com", "abcd123456.execute-api.localhost", "ws.example.com", "only.example.com",
		"zyx9876543.execute-api.us-east-1.amazonaws.com", "zyx9876543.execute-api.localhost",
		"closed9876.execute-api.us-east-1.amazonaws.com", "closed9876.execute-api.localhost",
	}
	if diff := cmp.Diff(want, both.Hosts()); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, ep := range both.Endpoints() {
		names = append(names, ep.Name)
	}
	if diff := cmp.Diff([]string{"abcd123456/prod", "abcd123456/Prod", "zyx9876543/prod", "zyx9876543/dev", "closed9876/live"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsClaimedOfPlainRequests(t *testing.T) {
	s := deploy(t, &rooms{}, Options{}, chat(func(a *apispec.API) {
		a.Mappings = []apispec.Mapping{{Domain: "ws.example.com", Path: "chat", Stage: "prod"}}
	}))
	for _, tc := range []struct {
		url         string
		app, shared bool
	}{
		{"http://abcd123456.execute-api.localhost/anything", true, true},
		{"http://ws.example.com/chat", true, false},
		{"http://ws.example.com/other", false, false},
		{"http://chat.localhost/prod/@connections/x", true, true},
		{"http://chat.localhost/prod/%40connections/x", true, true},
		{"http://chat.localhost/@connections/x", true, true},
		{"http://chat.localhost/prod/@groups/g/x", true, true},
		{"http://chat.localhost/prod", false, false},
		{"http://chat.localhost/index.html", false, false},
		{"http://chat.localhost/_aws/execute-api/abcd123456/prod/@connections/x", true, true},
		{"http://127.0.0.1:4566/2015-03-31/functions", false, false},
		{"http://127.0.0.1:4566/bucket/folder/@groups/x", false, false},
		{"http://127.0.0.1:4566/bucket/@groups/x?X-Amz-Credential=K%2F20260101%2Fus-east-1%2Fs3%2Faws4_request", false, false},
	} {
		r := httptest.NewRequest("POST", tc.url, nil)
		if got := s.Claims(r); got != tc.app {
			t.Errorf("app claims %s: %t", tc.url, got)
		}
		if got := s.apis.Claims(r); got != tc.shared {
			t.Errorf("all claim %s: %t", tc.url, got)
		}
	}
}

func TestARevisionReplacesTheOneBefore(t *testing.T) {
	s := deploy(t, &rooms{}, Options{}, chat())
	if _, err := s.apis.App(appOf(t, "chat", chat(func(a *apispec.API) { a.ID = "new1234567" }))); err != nil {
		t.Fatal(err)
	}
	if s.apis.byID("abcd123456") != nil || s.apis.byID("new1234567") == nil {
		t.Error("the former revision is served")
	}
	s.apis.Forget("chat")
	if s.apis.byID("new1234567") != nil {
		t.Error("an app that is removed is served")
	}
	if x, err := s.apis.App(appOf(t, "plain", &apispec.API{ID: "http123456", Protocol: apispec.HTTP})); err != nil || !x.Empty() {
		t.Error("an HTTP API is taken", err)
	}
}

func TestAFrozenSnapshotIsServed(t *testing.T) {
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(func(a *apispec.API) {
		frozen := a.Current
		frozen.Routes = frozen.Routes[:3]
		a.Stages[0].Frozen = &frozen
	}))
	if got := s.say(`{"action":"sendmessage"}`); got != "" {
		t.Error(got)
	}
	if got := s.say(`{"action":"ask"}`); got == "pong" {
		t.Error("a route that was not deployed exists")
	}
}

func TestRoutesAreChosen(t *testing.T) {
	for _, tc := range []struct{ expr, text, want string }{
		{"$request.body.action", `{"action":"join"}`, "join"},
		{"${request.body.service}/${request.body.action}", `{"service":"chat","action":"join"}`, "chat/join"},
		{"$request.body.action", `{"action":1}`, "1"},
		{"$request.body.action", `{"action":"other"}`, "$default"},
		{"$request.body.action", `{"action":"$default"}`, "$default"},
		{"$request.body.action", `{"action":"$connect"}`, "$default"},
		{"$request.body.action", `{"action":"$disconnect"}`, "$default"},
		{"$request.body.action", `{"action":["a","b"]}`, "[a, b]"},
		{"$request.body.action", `7`, "$default"},
		{"$request.body.action", `["join"]`, "$default"},
		{"$request.body.action", ``, "$default"},
		{"$request.body.action", `join`, "$default"},
		{"$request.body.action", `{"action":"join"} `, "join"},
		{"$request.body.action", `{"action":"join"}{}`, "$default"},
		{`\$default`, `{"action":"join"}`, "$default"},
		{"join", `x`, "join"},
	} {
		var routes []apispec.Route
		for _, key := range []string{"$connect", "$disconnect", "$default", "join", "chat/join", "1", "[a, b]"} {
			routes = append(routes, apispec.Route{ID: key, Key: key, Integration: "say", Responses: []string{"$default"}})
		}
		s := deploy(t, &rooms{}, Options{}, chat(func(a *apispec.API) {
			a.RouteSelectionExpression = tc.expr
			a.Current = apispec.Snapshot{Routes: routes, Integrations: []apispec.Integration{{ID: "say", Type: "MOCK", Responses: []apispec.IntegrationResponse{
				{Key: "$default", Templates: map[string]string{"$default": "$context.routeKey"}},
			}}}}
		}))
		if got := s.say(tc.text); got != tc.want {
			t.Errorf("%s on %s: %q, want %q", tc.expr, tc.text, got, tc.want)
		}
	}
}

func TestQuotasAreOnByDefault(t *testing.T) {
	p := deploy(t, &rooms{}, Options{}, chat()).Endpoints()[0].Policy
	want := gateway.Policy{
		OpenTimeout: 44 * time.Second, EventTimeout: 39 * time.Second,
		Idle: 10 * time.Minute, Activity: gateway.MessagesAndPings, Ping: 30 * time.Second, MaxPings: 2,
		GoAway: sluice.CloseSpec{Code: 1001, Reason: "Going away"}, NoBinary: true,
		MaxFrame: 32768, MaxMessage: 131072, MaxPush: 131072, MaxQueue: 1 << 20, MaxQueued: 256, PushWait: time.Second, Uplink: 256,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	strict := deploy(t, &rooms{}, Options{Strict: true, Settings: Settings{Idle: -1, Ping: -1, AcceptBinary: true, Ordered: true}}, chat())
	want.Idle, want.Ping, want.NoBinary, want.Uplink, want.MaxLife = 0, 0, false, 1, 2*time.Hour
	if diff := cmp.Diff(want, strict.Endpoints()[0].Policy); diff != "" {
		t.Error(diff)
	}
	if c, r := strict.apis.connects, strict.apis.requests; c.rate != 500 || r.rate != 10000 || r.burst != 5000 {
		t.Errorf("%+v %+v", c, r)
	}
}

func TestSettingsChangeTheQuotas(t *testing.T) {
	big := Settings{MaxFrame: 1 << 20, MaxMessage: 2 << 20, Timeout: 2 * time.Second, MaxPings: 5, MaxLife: time.Hour, ConnectRate: 3, RequestRate: 4, MaxAuthorizer: 100}
	s := deploy(t, &rooms{invoke: answers(`{"principalId":"p","policyDocument":{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}},"context":{"a":"12"}}`)}, Options{Strict: true, Settings: big},
		chat(withAuthorizer("auth"), func(a *apispec.API) { a.Current.Integrations[0].TimeoutMS = 29000 }))
	p := s.Endpoints()[0].Policy
	// A connection's queue has room for its longest message, and an integration gets no more time than there is.
	if p.MaxFrame != 1<<20 || p.MaxMessage != 2<<20 || p.MaxPush != 2<<20 || p.MaxQueue != 2<<20 || p.MaxPings != 5 || p.MaxLife != time.Hour || p.OpenTimeout != 17*time.Second {
		t.Errorf("%+v", p)
	}
	if c, r := s.apis.connects, s.apis.requests; c.rate != 3 || r.rate != 4 || r.burst != 4 {
		t.Errorf("%+v %+v", c, r)
	}
	if r := s.connect(handshake()); r.Refuse == nil || r.Refuse.Status != 500 {
		t.Errorf("an answer of 101 bytes: %s", shown(r.Refuse))
	}
	off := deploy(t, &rooms{}, Options{Strict: true, Settings: Settings{MaxLife: -1, ConnectRate: -1, RequestRate: -1, MaxPings: -1}}, chat())
	if p := off.Endpoints()[0].Policy; p.MaxLife != 0 || p.MaxPings != 0 || off.apis.connects != nil || off.apis.requests != nil {
		t.Errorf("%+v", p)
	}
}

func BenchmarkMessage(b *testing.B) {
	s := deploy(b, &rooms{invoke: answers(`{"statusCode":200}`)}, Options{}, chat())
	b.ReportAllocs()
	for b.Loop() {
		s.say(`{"action":"sendmessage","data":"hello, world"}`)
	}
}

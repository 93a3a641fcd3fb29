package apigateway

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/gateway"
)

// notifying is a group with all types of APIs, under settings.
func notifying(t *testing.T, f *rooms, s apigroup.Settings) *Group {
	t.Helper()
	g, err := New(Options{App: "barrage", Endpoint: "gateway", Functions: f, Sockets: f, Sites: f, Apps: f,
		Group: apigroup.Group{Name: "g", Stage: "RELEASE", SubDomain: "g.localhost", Settings: s, APIs: []apigroup.API{
			api("/notify", func(a *apigroup.API) { a.WebSocketType = apigroup.Notify }),
			api("/r", func(a *apigroup.API) { a.WebSocketType = apigroup.Register }),
			api("/u", func(a *apigroup.API) { a.WebSocketType = apigroup.Unregister }),
		}}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNotifyAllowLoopbackKeepsStrangersOut(t *testing.T) {
	f := &rooms{pushAlias: func(sluice.Alias, sluice.Frame) (int, sluice.Outcome) { return 1, sluice.Queued }}
	for _, c := range []struct {
		from  string
		local bool
		want  int
	}{
		{"127.0.0.1:999", true, 200}, {"[::1]:999", true, 200}, {"[::ffff:127.0.0.1]:999", true, 200},
		{"192.168.1.7:999", true, 403}, {"192.168.1.7:999", false, 200},
	} {
		g := notifying(t, f, apigroup.Settings{NotifyLocal: c.local})
		r := httptest.NewRequest("POST", "/notify", strings.NewReader("hi"))
		r.RemoteAddr = c.from
		r.Header.Set("x-ca-deviceid", "d1")
		r.Header.Set("X-Forwarded-For", "127.0.0.1") // anyone can write that
		res, _ := do(t, g, r)
		if res.StatusCode != c.want {
			t.Errorf("from %s, local %v: %d, want %d", c.from, c.local, res.StatusCode, c.want)
		}
		if code := res.Header.Get("X-Ca-Error-Code"); c.want == 403 && code != string(A403PR) {
			t.Errorf("from %s: code %q", c.from, code)
		}
	}
}

func TestRequireRegisterNotifiesOnlyRegisteredDevices(t *testing.T) {
	members := map[string]bool{}
	f := &rooms{
		pushAlias: func(sluice.Alias, sluice.Frame) (int, sluice.Outcome) {
			t.Error("a device was notified by its alias alone")
			return 1, sluice.Queued
		},
		join:  func(_ sluice.ConnID, g gateway.Group) sluice.Outcome { members[g.Name] = true; return sluice.Queued },
		leave: func(_ sluice.ConnID, g gateway.Group) sluice.Outcome { delete(members, g.Name); return sluice.Queued },
		pushGroup: func(g gateway.Group, _ sluice.Frame) int {
			if members[g.Name] {
				return 1
			}
			return 0
		},
	}
	g := notifying(t, f, apigroup.Settings{RequireRegister: true})
	conn := sluice.Conn{Alias: &sluice.Alias{Scope: g.scope, Name: "d1"}}
	send := func(kind, path string) {
		t.Helper()
		g.Handle(t.Context(), &sluice.Event{Kind: sluice.Message, Conn: conn, Frame: sluice.Frame{
			Data: []byte(`{"method":"GET","path":"` + path + `","headers":{"x-ca-websocket_api_type":["` + kind + `"]}}`)}})
	}
	notify := func(want int) {
		t.Helper()
		if res, _ := do(t, g, with(httptest.NewRequest("POST", "/notify", strings.NewReader("hi")), "x-ca-deviceid", "d1")); res.StatusCode != want {
			t.Errorf("notify answers %d, want %d", res.StatusCode, want)
		}
	}
	notify(404)
	send(apigroup.Register, "/r")
	notify(200)
	send(apigroup.Unregister, "/u")
	notify(404)
}

func TestSettingsReachThePolicy(t *testing.T) {
	p := notifying(t, &rooms{}, apigroup.Settings{LatestDevice: true, Life: 90e9}).endpoint.Policy
	if !p.ExclusiveAlias || p.MaxLife != 90e9 || string(p.LifeNotice) != "CR" {
		t.Errorf("policy %+v", p)
	}
	if g := notifying(t, &rooms{}, apigroup.Settings{NoFarewell: true}); g.unregister != nil {
		t.Error("a lost device is unregistered though the template says not to")
	}
}

package websocket

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/kv/memory"
)

func TestIdleConnectionsGoAway(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{Settings: Settings{Idle: 200 * time.Millisecond, Ping: -1}}, nil)
	b, _ := l.dial(t)
	if code, reason := b.closed(); code != 1001 || reason != "Going away" {
		t.Errorf("the client sees %d %q", code, reason)
	}
	if end := f.next(t, "DISCONNECT"); *end.Context.DisconnectCode != 1001 || *end.Context.DisconnectReason != "Going away" {
		t.Errorf("the function sees %+v", end.Context)
	}
}

func TestConnectionsEndWithTheirLifeAndWithTheServer(t *testing.T) {
	f := newBackend()
	for name, end := range map[string]func(t *testing.T) *browser{
		"life": func(t *testing.T) *browser {
			b, _ := goLive(t, f, Options{Settings: Settings{MaxLife: 300 * time.Millisecond}}, nil).dial(t)
			return b
		},
		"server": func(t *testing.T) *browser {
			l := goLive(t, f, Options{}, nil)
			b, _ := l.dial(t)
			f.next(t, "CONNECT")
			drained := make(chan struct{})
			go func() { defer close(drained); l.gw.Drain(t.Context(), 10*time.Millisecond) }()
			t.Cleanup(func() { <-drained })
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := end(t)
			if code, reason := b.closed(); code != 1001 || reason != "Going away" {
				t.Errorf("the client sees %d %q", code, reason)
			}
			b.conn.Close()
			if e := f.next(t, "DISCONNECT"); *e.Context.DisconnectCode != 1001 || *e.Context.DisconnectReason != "Going away" {
				t.Errorf("the function sees %+v", e.Context)
			}
		})
	}
}

func TestClientsThatDoNotAnswerPingsAreLost(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{Settings: Settings{Ping: 100 * time.Millisecond}}, nil)
	b, _ := l.dial(t)
	if h, err := ws.ReadHeader(b.in); err != nil || h.OpCode != ws.OpPing {
		t.Errorf("%v %v", h, err)
	}
	if end := f.next(t, "DISCONNECT"); *end.Context.DisconnectCode != 1006 || *end.Context.DisconnectReason != "" {
		t.Errorf("the function sees %+v", end.Context)
	}
}

func TestTheEndIsToldAfterACrash(t *testing.T) {
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	f := newBackend()
	first := goLive(t, f, Options{}, store)
	first.dial(t)
	id := f.next(t, "CONNECT").Context.ConnectionID
	// Run ends without a drain: nobody is told.
	first.stop()
	goLive(t, f, Options{}, store)
	end := f.next(t, "DISCONNECT")
	if end.Context.ConnectionID != id || *end.Context.DisconnectCode != 1006 || end.Context.Identity.UserAgent != "test" {
		t.Errorf("%+v", end.Context)
	}
}

func TestARedeployRoutesLiveConnectionsAnewUnverified(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{}, nil)
	b, _ := l.dial(t)
	b.send(ws.OpText, `{"action":"later"}`)
	if got := b.read(); !strings.Contains(got, "Forbidden") {
		t.Error(got)
	}
	x, err := l.apis.App(appOf(t, "chat", chat(func(a *apispec.API) {
		a.Current.Routes = append(a.Current.Routes, apispec.Route{ID: "l", Key: "later", Integration: "fn"})
	})))
	if err != nil {
		t.Fatal(err)
	}
	l.router.app.Store(x)
	b.send(ws.OpText, `{"action":"later"}`)
	if e := f.next(t, "MESSAGE"); e.Context.RouteKey != "later" {
		t.Errorf("%+v", e.Context)
	}
}

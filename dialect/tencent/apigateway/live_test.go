package apigateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
	"github.com/sluicehq/sluice/kv/memory"
)

// push posts to the push address and returns errNo.
func (l *live) push(action, id, kind, data string) int {
	l.t.Helper()
	body, err := json.Marshal(map[string]any{"websocket": map[string]string{"action": action, "secConnectionID": id, "dataType": kind, "data": data}})
	if err != nil {
		l.t.Fatal(err)
	}
	r := httptest.NewRequest("POST", PushPath+"api-etj7lhtw", strings.NewReader(string(body)))
	r.RemoteAddr = "127.0.0.1:9"
	w := httptest.NewRecorder()
	l.apis.ServeHTTP(w, r)
	var out struct {
		No int `json:"errNo"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		l.t.Fatal(err)
	}
	return out.No
}

func TestMessagesGoUpAndPushesComeDown(t *testing.T) {
	t.Parallel()
	l := goLive(t, newFunctions(), memory.New(), chat())
	c := l.join()
	c.send(ws.OpText, "hello")
	call, e := l.f.next(t, "trans")
	if fmt.Sprint(e) != "map[action:data recv data:hello dataType:text secConnectionID:"+c.id+"]" || call.App != "chat" {
		t.Fatalf("%v of app %s", e, call.App)
	}
	c.send(ws.OpBinary, "\x00\xff")
	if _, e := l.f.next(t, "trans"); e["dataType"] != "binary" || e["data"] != base64.StdEncoding.EncodeToString([]byte("\x00\xff")) {
		t.Fatal(e)
	}
	if no := l.push("data send", c.id, "text", "down"); no != 0 {
		t.Fatal(no)
	}
	c.hears(ws.OpText, "down")
	if no := l.push("data send", c.id, "binary", "AP8="); no != 0 {
		t.Fatal(no)
	}
	c.hears(ws.OpBinary, "\x00\xff")
	if no := l.push("data send", c.id, "text", strings.Repeat("x", defaultMessage+1)); no != pushTooLarge {
		t.Fatal(no)
	}
	if no := l.push("data send", c.id, "text", strings.Repeat("x", defaultMessage)); no != 0 {
		t.Fatal(no)
	}
	c.hears(ws.OpText, strings.Repeat("x", defaultMessage))
	c.send(ws.OpClose, string(ws.NewCloseFrameBody(1000, "")))
	if _, e := l.f.next(t, "clean"); fmt.Sprint(e) != "map[action:closing secConnectionID:"+c.id+"]" {
		t.Fatal(e)
	}
	if no := l.push("data send", c.id, "text", "late"); no != pushNotFound {
		t.Fatal(no)
	}
	l.f.none(t, "clean")
}

func TestOneProtocolOfAListIsChosen(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.replies(map[string]scf.Outcome{"reg": ok(`{"errNo":0,"websocket":{"secWebSocketProtocol":"chat,binary"}}`)})
	l := goLive(t, f, nil, chat())
	_, res := l.dial("/release", "Sec-WebSocket-Protocol: chat, binary")
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Fatal(res.Status, res.Header)
	}
}

func TestMessagesAreCompressedWhenTheRegisterFunctionSaysSo(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		"":                   "",
		"x-webkit-something": "",
		"permessage-deflate; client_max_window_bits, other": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
	} {
		f := newFunctions()
		f.replies(map[string]scf.Outcome{"reg": ok(fmt.Sprintf(`{"errNo":0,"websocket":{"secWebSocketExtensions":%q}}`, says))})
		l := goLive(t, f, nil, chat())
		if _, res := l.dial("/release", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"); res.Header.Get("Sec-WebSocket-Extensions") != want {
			t.Errorf("%q: %q, want %q", says, res.Header.Get("Sec-WebSocket-Extensions"), want)
		}
		if _, res := l.dial("/release"); res.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%q: compressed for a client that did not offer it", says)
		}
	}
}

func TestARefusedConnectionNeverWas(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.replies(map[string]scf.Outcome{"reg": ok(`{"errNo":7,"errMsg":"no"}`)})
	l := goLive(t, f, memory.New(), chat())
	_, res := l.dial("/release/")
	if res.StatusCode != 403 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatal(res.Status, res.Header)
	}
	_, e := f.next(t, "reg")
	if no := l.push("data send", e["secConnectionID"].(string), "text", "x"); no != pushNotFound {
		t.Fatal(no)
	}
	f.none(t, "clean")
}

func TestNobodyIsReachedWhileTheRegisterFunctionRuns(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	l := goLive(t, f, nil, chat())
	var no atomic.Int64
	f.answers(func(_ context.Context, c scf.Call) (scf.Outcome, error) {
		var e socketEvent
		if err := json.Unmarshal(c.Payload, &e); err != nil {
			return scf.Outcome{}, err
		}
		if c.Name == "reg" {
			no.Store(int64(l.push("data send", e.WebSocket["secConnectionID"].(string), "text", "early")))
		}
		return ok(`{"errNo":0}`), nil
	})
	c := l.join()
	if no.Load() != pushNotFound {
		t.Fatal(no.Load())
	}
	if got := l.push("data send", c.id, "text", "now"); got != 0 {
		t.Fatal(got)
	}
	c.hears(ws.OpText, "now")
}

// Whatever ends a connection, cleanup runs once; and the push that cleanup functions make for the same id
// starts nothing again.
func TestCleanupRunsOnceForEveryEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(l *live, c *client){
		"a close frame":    func(_ *live, c *client) { c.send(ws.OpClose, string(ws.NewCloseFrameBody(1001, "bye"))) },
		"a lost transport": func(_ *live, c *client) { c.conn.Close() },
		"a push of closing": func(l *live, c *client) {
			if no := l.push("closing", c.id, "", ""); no != 0 {
				l.t.Errorf("closing: %d", no)
			}
			c.closed(1000)
			c.conn.Close()
		},
		"a message that is too large": func(_ *live, c *client) {
			h := ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: defaultMessage + 1}
			if err := ws.WriteHeader(c.conn, h); err != nil {
				c.t.Error(err)
			}
			c.closed(1009)
		},
		"a transport function that fails": func(_ *live, c *client) {
			c.send(ws.OpText, "fail")
			c.closed(1011)
		},
		"idleness": func(_ *live, c *client) { c.closed(1001) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFunctions()
			l := goLive(t, f, memory.New(), chat(func(a *apispec.API) {
				if name == "idleness" {
					a.Timeout = 1
				}
			}))
			f.answers(func(_ context.Context, c scf.Call) (scf.Outcome, error) {
				var e socketEvent
				if err := json.Unmarshal(c.Payload, &e); err != nil {
					return scf.Outcome{}, err
				}
				switch {
				case c.Name == "trans":
					return scf.Outcome{Status: scf.StatusException, ErrMsg: "boom"}, nil
				case c.Name == "clean":
					if no := l.push("closing", e.WebSocket["secConnectionID"].(string), "text", ""); no != pushNotFound {
						t.Errorf("closing in cleanup: %d", no)
					}
				}
				return ok(`{"errNo":0}`), nil
			})
			c := l.join()
			end(l, c)
			if _, e := f.next(t, "clean"); e["secConnectionID"] != c.id {
				t.Fatal(e)
			}
			f.none(t, "clean")
		})
	}
}

func TestFailuresOfTheTransportFunctionMayBeIgnored(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.replies(map[string]scf.Outcome{"trans": {Status: scf.StatusTimeout}})
	l := goLive(t, f, nil, chat(func(a *apispec.API) { a.Settings.IgnoreFailures = true }))
	c := l.join()
	c.send(ws.OpText, "x")
	f.next(t, "trans")
	if no := l.push("data send", c.id, "text", "still here"); no != 0 {
		t.Fatal(no)
	}
	c.hears(ws.OpText, "still here")
}

func TestCleanupMayBeForClientsThatCloseOnly(t *testing.T) {
	t.Parallel()
	l := goLive(t, newFunctions(), nil, chat(func(a *apispec.API) { a.Settings.CleanupOnClient = true }))
	c := l.join()
	c.conn.Close()
	l.f.none(t, "clean")
	c = l.join()
	c.send(ws.OpClose, string(ws.NewCloseFrameBody(1000, "")))
	l.f.next(t, "clean")
}

// Messages reach the function in their order, one at a time, and cleanup comes after the last.
func TestMessagesOfAConnectionKeepTheirOrder(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	var running atomic.Int64
	f.answers(func(_ context.Context, c scf.Call) (scf.Outcome, error) {
		if c.Name == "trans" {
			if running.Add(1) > 1 {
				t.Error("two messages of a connection at once")
			}
			time.Sleep(time.Millisecond) // long enough for the next to overtake, if it could
			running.Add(-1)
		}
		return ok(`{"errNo":0}`), nil
	})
	l := goLive(t, f, memory.New(), chat())
	c := l.join()
	const n = 50
	for i := range n {
		c.send(ws.OpText, fmt.Sprint(i))
	}
	c.conn.Close()
	for i := range n {
		if _, e := f.next(t, "trans"); e["data"] != fmt.Sprint(i) {
			t.Fatalf("message %d: %v", i, e)
		}
	}
	f.next(t, "clean")
}

func TestOneFunctionMayPlayAllRoles(t *testing.T) {
	t.Parallel()
	all := apispec.Function{Name: "reg"}
	l := goLive(t, newFunctions(), nil, chat(func(a *apispec.API) { a.Roles = apispec.Roles{Register: all, Transport: all, Cleanup: all} }))
	c := l.join()
	c.send(ws.OpText, "x")
	if _, e := l.f.next(t, "reg"); e["action"] != "data recv" {
		t.Fatal(e)
	}
	c.conn.Close()
	if _, e := l.f.next(t, "reg"); e["action"] != "closing" {
		t.Fatal(e)
	}
}

// A server that dies owes the ends of its connections, and tells them when it is back, by the same ids.
func TestAfterACrashCleanupRunsForWhoWasLost(t *testing.T) {
	t.Parallel()
	store := memory.New()
	f := newFunctions()
	l := goLive(t, f, store, chat())
	var lost []*client
	for range 20 {
		lost = append(lost, l.join())
	}
	f.answers(func(ctx context.Context, c scf.Call) (scf.Outcome, error) {
		<-ctx.Done() // as dead
		return scf.Outcome{}, ctx.Err()
	})
	l.stop()
	again := newFunctions()
	goLive(t, again, store, chat())
	left := map[any]bool{}
	for range lost {
		_, e := again.next(t, "clean")
		left[e["secConnectionID"]] = true
	}
	for _, c := range lost {
		if !left[c.id] {
			t.Errorf("nobody was told of the end of %s", c.id)
		}
	}
	again.none(t, "clean")
}

// No instance took the call: it is made again. The function's own failure is its own.
func TestCallsThatReachNobodyAreMadeAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []sluice.EventKind{sluice.Open, sluice.Message, sluice.Close} {
		f := newFunctions()
		var tries atomic.Int64
		f.answers(func(context.Context, scf.Call) (scf.Outcome, error) {
			if tries.Add(1) == 1 {
				return scf.Outcome{Status: scf.StatusBusy}, nil
			}
			return scf.Outcome{Status: scf.StatusException}, nil
		})
		ev := handshake(nil)
		ev.Kind, ev.Cause = kind, sluice.PeerLost
		if socketOf(t, f, chat()).Handle(t.Context(), ev); tries.Load() != 2 {
			t.Errorf("%v: tried %d times", kind, tries.Load())
		}
	}
}

func TestTheAddressesOfAnAPI(t *testing.T) {
	t.Parallel()
	l := goLive(t, newFunctions(), nil, chat())
	for _, c := range []struct {
		host, path string
		want       bool
	}{
		{"chat.localhost:8080", "/release", true},
		{"chat.localhost:8080", "/release/", true},
		{"chat.localhost:8080", "/", true}, // the only one that can be meant
		{"chat.localhost:8080", "/test/", false},
		{"service-01era6ni-1250000000.gz.apigw.tencentcs.com", "/release/", true},
		{"service-01era6ni-1256773370.ap-shanghai.apigateway.myqcloud.com", "/release", true},
		{"service-01era6ni-1250000000.gz.apigw.tencentcs.com", "/", false},
		{"service-notthere-1250000000.gz.apigw.tencentcs.com", "/release/", false},
		{"127.0.0.1", "/_tencent/service-01era6ni/release/", true},
		{"127.0.0.1", "/_tencent/service-01era6ni/release", true},
		{"127.0.0.1", "/_tencent/service-notthere/release/", false},
		{"127.0.0.1", "/_tencent/push/api-etj7lhtw", false},
		{"chat.localhost", "/release/more", false},
	} {
		if ep, _ := l.app.Load().Socket(&sluice.Handshake{Host: c.host, Path: c.path, Method: http.MethodGet}); (ep != nil) != c.want {
			t.Errorf("%s%s: %v", c.host, c.path, ep)
		}
	}
}

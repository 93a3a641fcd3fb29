package apigateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// socketOf is the handler of an app's only WebSocket API.
func socketOf(t *testing.T, f *functions, app *sluice.App) *socket {
	t.Helper()
	x, err := New(Options{Functions: f, IDs: ids(t)}).App(app)
	if err != nil {
		t.Fatal(err)
	}
	return x.services[0].calls[0].socket
}

func handshake(header http.Header) *sluice.Event {
	e := &sluice.Event{Kind: sluice.Open, ID: "C6AF9AC6-7B61-41E6-9A41-93E8DEADBEEF"}
	e.Conn.ID = sluice.ConnID{1, 2, 3}
	e.Conn.Handshake = &sluice.Handshake{Method: "GET", Path: "/release/test/7", RawQuery: "name=Ann&a&b=1&b=2", Host: "chat.localhost:8080", Header: header,
		Remote: netip.MustParseAddrPort("10.0.2.14:555")}
	for _, line := range header.Values("Sec-Websocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			e.Conn.Handshake.Subprotocols = append(e.Conn.Handshake.Subprotocols, strings.TrimSpace(p))
		}
	}
	return e
}

func TestTheEventsOfAConnection(t *testing.T) {
	t.Parallel()
	app := chat(func(a *apispec.API) {
		a.Path = "/test/{testvar}"
		a.Params = []apispec.Param{{Name: "name", Position: "QUERY"}, {Name: "X-Room", Position: "HEADER", Default: "hall"}, {Name: "testvar", Position: "PATH"}}
	})
	s := socketOf(t, newFunctions(), app)
	golden(t, "register", s.register(handshake(http.Header{"User-Agent": {"test"},
		"Sec-Websocket-Protocol": {"chat", "binary"}, "Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"}})))
	golden(t, "register-bare", s.register(handshake(http.Header{})))
	conn := sluice.Conn{ID: sluice.ConnID{1, 2, 3}}
	golden(t, "text", s.upload(&sluice.Event{Kind: sluice.Message, Conn: conn, Frame: sluice.Frame{Data: []byte("a<b & \"c\" 中")}}))
	golden(t, "binary", s.upload(&sluice.Event{Kind: sluice.Message, Conn: conn, Frame: sluice.Frame{Data: []byte{0, 255, 1}, Binary: true}}))
	golden(t, "closing", s.closing(&sluice.Event{Kind: sluice.Close, Conn: conn, Code: 1000}))
	s.Settings.UplinkAction = apispec.DataSend
	golden(t, "text-shim", s.upload(&sluice.Event{Kind: sluice.Message, Conn: conn, Frame: sluice.Frame{Data: []byte("hi")}}))
}

// What register functions answer, and what clients see of it (section 1.4).
func TestOnlyErrNoDecides(t *testing.T) {
	t.Parallel()
	offer := http.Header{"Sec-Websocket-Protocol": {"chat, binary"}}
	for _, c := range []struct {
		name, reply string
		status      int // 0: accepted
		body        string
		protocol    string
	}{
		{name: "as documented", reply: `{"errNo":0,"errMsg":"ok","websocket":{"action":"connecting","secConnectionID":"x","secWebSocketProtocol":"chat","secWebSocketExtensions":""}}`, protocol: "chat"},
		{name: "alone", reply: `{"errNo":0}`},
		{name: "as text", reply: `{"errNo":"0"}`},
		{name: "as a fraction", reply: `{"errNo":0.0}`},
		{name: "with data", reply: `{"errNo":0,"errMsg":"ok","data":{"a":1},"websocket":{"action":"connecting"}}`},
		{name: "the whole list", reply: `{"errNo":0,"websocket":{"secWebSocketProtocol":"chat,binary"}}`, protocol: "chat"},
		{name: "the list in another order", reply: `{"errNo":0,"websocket":{"secWebSocketProtocol":"other, binary"}}`, protocol: "binary"},
		{name: "a protocol that was not offered", reply: `{"errNo":0,"websocket":{"secWebSocketProtocol":"mqtt"}}`},
		{name: "an empty protocol", reply: `{"errNo":0,"websocket":{"secWebSocketProtocol":""}}`},
		{name: "a null protocol", reply: `{"errNo":0,"websocket":{"secWebSocketProtocol":null,"secWebSocketExtensions":"permessage-deflate"}}`},
		{name: "odd members", reply: `{"errNo":0,"errMsg":7,"websocket":"none"}`},
		{name: "encoded twice", reply: `"{\"errNo\":0,\"websocket\":{\"secWebSocketProtocol\":\"chat\"}}"`, protocol: "chat"},
		{name: "an integrated response", reply: `{"isBase64Encoded":false,"statusCode":200,"headers":{},"body":"{\"errNo\":0}"}`},
		{name: "an integrated refusal", reply: `{"statusCode":200,"body":"{\"errNo\":5,\"errMsg\":\"no\"}"}`, status: 403, body: `{"errNo":5,"errMsg":"no"}`},
		{name: "a refusal", reply: `{"errNo":101,"errMsg":"not found <web> socket"}`, status: 403, body: `{"errNo":101,"errMsg":"not found <web> socket"}`},
		{name: "a refusal in text", reply: `{"errNo":"101"}`, status: 403, body: `{"errNo":"101","errMsg":""}`},
		{name: "a negative refusal", reply: `{"errNo":-1}`, status: 403, body: `{"errNo":-1,"errMsg":""}`},
		{name: "errNo is true", reply: `{"errNo":true}`, status: 403, body: `{"errNo":true,"errMsg":""}`},
		{name: "null", reply: `null`, status: 502},
		{name: "a text", reply: `"connected"`, status: 502},
		{name: "false", reply: `false`, status: 502},
		{name: "true", reply: `true`, status: 502},
		{name: "a list", reply: `[{"errNo":0}]`, status: 502},
		{name: "an empty object", reply: `{}`, status: 502},
		{name: "errNo is null", reply: `{"errNo":null}`, status: 502},
		{name: "another spelling", reply: `{"errno":0}`, status: 502},
		{name: "a status", reply: `{"statusCode":200,"body":"ok"}`, status: 502},
		{name: "another status", reply: `{"statusCode":403,"body":"{\"errNo\":0}"}`, status: 502},
		{name: "nothing", reply: ``, status: 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFunctions()
			f.replies(map[string]scf.Outcome{"reg": ok(c.reply)})
			got := socketOf(t, f, chat()).Handle(t.Context(), handshake(offer))
			if c.status == 502 && c.body == "" {
				c.body = `{"errNo":502,"errMsg":"register function failed"}`
			}
			if c.status != 0 {
				if got.Refuse == nil || got.Refuse.Status != c.status || string(got.Refuse.Body) != c.body || got.Duty != sluice.KeepDuty {
					t.Fatalf("got %+v, want %d %s", got, c.status, c.body)
				}
				return
			}
			if got.Refuse != nil || got.Subprotocol != c.protocol || got.Duty != sluice.OweClose {
				t.Fatalf("got %+v %+v, want it accepted with %q", got, got.Refuse, c.protocol)
			}
		})
	}
}

// How the register function fails, and what clients see of it.
func TestARegisterFunctionThatFailsRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		out    scf.Outcome
		err    error
		stops  bool
		status int
		body   string
	}{
		{name: "an exception", out: scf.Outcome{Status: scf.StatusException, Payload: []byte(`{"errNo":0}`)}, status: 502, body: `{"errNo":502,"errMsg":"register function failed"}`},
		{name: "no function", out: scf.Outcome{Status: scf.StatusNoFunction}, status: 502, body: `{"errNo":502,"errMsg":"register function failed"}`},
		{name: "a timeout", out: scf.Outcome{Status: scf.StatusTimeout}, status: 504, body: `{"errNo":504,"errMsg":"register function timeout"}`},
		{name: "a server that stops", err: context.Canceled, stops: true, status: 502, body: `{"errNo":502,"errMsg":"register function failed"}`},
	} {
		f := newFunctions()
		f.answers(func(context.Context, scf.Call) (scf.Outcome, error) { return c.out, c.err })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if c.stops {
			cancel()
		}
		got := socketOf(t, f, chat()).Handle(ctx, handshake(nil))
		if got.Refuse == nil || got.Refuse.Status != c.status || string(got.Refuse.Body) != c.body {
			t.Errorf("%s: got %+v", c.name, got.Refuse)
		}
	}
}

func TestARegisterFunctionMayTakeUntilTheServiceTimeout(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.answers(func(ctx context.Context, c scf.Call) (scf.Outcome, error) {
		<-ctx.Done()
		return scf.Outcome{}, ctx.Err()
	})
	app := chat(func(a *apispec.API) { a.Timeout = 1 })
	app.Functions[0].InitTimeout = 0
	s := socketOf(t, f, app)
	if p := s.endpoint.Policy; p.OpenTimeout != time.Second+defaultInit || p.Idle != time.Second {
		t.Fatalf("open %v, idle %v", p.OpenTimeout, p.Idle)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := s.Handle(ctx, handshake(nil)); got.Refuse == nil || got.Refuse.Status != 504 {
		t.Fatalf("got %+v", got.Refuse)
	}
}

func TestFunctionsThatAreAbsent(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	s := socketOf(t, f, chat(func(a *apispec.API) { a.Roles.Register, a.Roles.Cleanup = apispec.Function{}, apispec.Function{} }))
	if got := s.Handle(t.Context(), handshake(nil)); got.Refuse != nil || got.Duty != sluice.KeepDuty {
		t.Fatalf("without a register function everybody gets in, and nothing is owed: got %+v", got)
	}
	if s.Handle(t.Context(), &sluice.Event{Kind: sluice.Close}); len(f.calls) != 0 {
		t.Fatal("nobody is there to be called")
	}
}

func TestOriginsMayBeLimited(t *testing.T) {
	t.Parallel()
	s := socketOf(t, newFunctions(), chat(func(a *apispec.API) { a.Settings.Origins = []string{"https://chat.example"} }))
	if got := s.Handle(t.Context(), handshake(http.Header{"Origin": {"https://evil.example"}})); got.Refuse == nil || got.Refuse.Status != 403 {
		t.Fatalf("got %+v", got)
	}
	if got := s.Handle(t.Context(), handshake(http.Header{"Origin": {"https://chat.example"}})); got.Refuse != nil {
		t.Fatalf("got %+v", got.Refuse)
	}
}

func TestUnknownAPIsRefuse(t *testing.T) {
	t.Parallel()
	l := goLive(t, newFunctions(), nil, chat())
	_, res := l.dial("/prepub/")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 404 || string(body) != `{"message":"There is no api match current request"}` {
		t.Fatalf("%s %s %v", res.Status, body, err)
	}
}

func FuzzRegister(f *testing.F) {
	for _, s := range []string{`{"errNo":0}`, `"{\"errNo\":0}"`, `{"statusCode":200,"body":"{\"errNo\":0}"}`, `{"errNo":0,"websocket":{"secWebSocketProtocol":["a"]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v := readRegister(b)
		if v.accepted() && v.errNo == nil {
			t.Fatal("accepted without errNo")
		}
		if v.errNo != nil && !json.Valid(plain(errno{v.errNo, v.errMsg})) {
			t.Fatalf("%s cannot be told", v.errNo)
		}
	})
}

package websocket

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/kv"
)

// event is what functions of these tests look at in theirs.
type event struct {
	Context struct {
		RouteKey, EventType, ConnectionID string
		ConnectedAt                       int64
		Identity                          struct{ UserAgent string }
		DisconnectCode                    *int    `json:"disconnectStatusCode"`
		DisconnectReason                  *string `json:"disconnectReason"`
	} `json:"requestContext"`
	Headers map[string]string
	Body    *string
	Base64  bool `json:"isBase64Encoded"`
}

// backend is a function that tells of every event and answers as it is told to.
type backendFunc struct {
	events chan event

	mu     sync.Mutex // guards answer
	answer func(ctx context.Context, e event) string
}

// answers says how events are answered from now on.
func (f *backendFunc) answers(how func(ctx context.Context, e event) string) {
	f.mu.Lock()
	f.answer = how
	f.mu.Unlock()
}

func (f *backendFunc) Refuse(sluice.AppName, string) error { return nil }

func (f *backendFunc) Later(context.Context, sluice.AppName, string, []byte, sluice.ConnID) error {
	return errors.New("there is no queue")
}

func (f *backendFunc) Invoke(ctx context.Context, _ sluice.AppName, _ string, payload []byte, _ sluice.ConnID) (sluice.Result, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return sluice.Result{}, err
	}
	out := `{"statusCode":200}`
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	if answer != nil {
		out = answer(ctx, e)
	}
	f.events <- e
	return sluice.Result{Payload: []byte(out)}, nil
}

// next is the next event of a kind.
func (f *backendFunc) next(t *testing.T, kind string) event {
	t.Helper()
	for {
		select {
		case e := <-f.events:
			if e.Context.EventType == kind {
				return e
			}
		case <-time.After(time.Minute):
			t.Fatalf("no %s event", kind)
		}
	}
}

// live is an app on a real gateway.
type live struct {
	*served
	router *router
	gw     *gateway.Gateway
	at     string
	stop   func()
}

// router gives the gateway what is deployed.
type router struct{ app atomic.Pointer[App] }

func (r *router) Route(h *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	return r.app.Load().Socket(h)
}

func (r *router) Endpoint(_ sluice.AppName, name string) *gateway.Endpoint {
	for _, ep := range r.app.Load().Endpoints() {
		if ep.Name == name {
			return ep
		}
	}
	return nil
}

func goLive(t *testing.T, f *backendFunc, o Options, store kv.Store, change ...func(*apispec.API)) *live {
	t.Helper()
	r := &router{}
	l := &live{router: r, gw: gateway.New(gateway.Options{Router: r, Store: store, Plain: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.app.Load().ServeHTTP(w, q) })})}
	o.Functions, o.Sockets, o.Now = f, l.gw, time.Now
	l.served = deploy(t, &rooms{}, o, chat(change...))
	r.app.Store(l.App)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.at = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.gw.Run(ctx) })
	running.Go(func() { l.gw.Serve(ctx, ln) })
	l.stop = func() { cancel(); running.Wait() }
	t.Cleanup(l.stop)
	return l
}

func newBackend() *backendFunc { return &backendFunc{events: make(chan event, 100)} }

// browser is a client with a socket.
type browser struct {
	t    *testing.T
	conn net.Conn
	in   io.Reader
}

// dial opens a socket with headers, and returns the answer's when it is refused.
func (l *live) dial(t *testing.T, headers ...string) (*browser, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", l.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	head := "GET /prod HTTP/1.1\r\nHost: abcd123456.execute-api.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nUser-Agent: test\r\n"
	for _, h := range headers {
		head += h + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, conn, in}, res
}

func (b *browser) send(op ws.OpCode, data string) {
	b.t.Helper()
	if err := wsutil.WriteClientMessage(b.conn, op, []byte(data)); err != nil {
		b.t.Fatal(err)
	}
}

// frame is the next frame that is no ping.
func (b *browser) frame() ws.Frame {
	b.t.Helper()
	for {
		h, err := ws.ReadHeader(b.in)
		if err != nil {
			b.t.Fatal(err)
		}
		f := ws.Frame{Header: h, Payload: make([]byte, min(h.Length, 1<<20))}
		if _, err := io.ReadFull(b.in, f.Payload); err != nil {
			b.t.Fatal(err)
		}
		if h.OpCode != ws.OpPing {
			return f
		}
	}
}

func (b *browser) read() string {
	b.t.Helper()
	f := b.frame()
	if f.Header.OpCode != ws.OpText {
		b.t.Fatalf("frame %v %q", f.Header.OpCode, f.Payload)
	}
	return string(f.Payload)
}

// closed is how the gateway closes.
func (b *browser) closed() (code int, reason string) {
	b.t.Helper()
	f := b.frame()
	if f.Header.OpCode != ws.OpClose {
		b.t.Fatalf("frame %v %.100q", f.Header.OpCode, f.Payload)
	}
	if len(f.Payload) == 0 {
		return 1005, ""
	}
	c, r := ws.ParseCloseFrameData(f.Payload)
	return int(c), r
}

// manage makes a call over HTTP, as functions do.
func (l *live) manage(t testing.TB, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+l.at+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "abcd123456.execute-api.us-east-1.amazonaws.com"
	sigv4.Sign(r, []byte(body), credentials("CHAT", ""), "us-east-1", "execute-api", time.Now())
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestAConnectionsWholeLife(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{}, nil)
	early, late := make(chan int, 1), make(chan int, 1)
	f.answers(func(_ context.Context, e event) string {
		path := "/prod/@connections/" + strings.ReplaceAll(e.Context.ConnectionID, "=", "%3D")
		switch e.Context.RouteKey {
		case "$connect":
			status, _ := l.manage(t, "POST", path, "too early")
			early <- status
			return `{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"v2"}}`
		case "sendmessage":
			if status, body := l.manage(t, "POST", path, "pushed"); status != 200 || body != "" {
				t.Errorf("push: %d %s", status, body)
			}
			return `{"statusCode":500,"body":"unseen"}`
		case "$disconnect":
			status, _ := l.manage(t, "POST", path, "to itself")
			late <- status
		}
		return `{"statusCode":200,"body":"answered"}`
	})
	b, res := l.dial(t, "Sec-WebSocket-Protocol: v1, v2", "x-Custom: 1", "Sec-WebSocket-Extensions: permessage-deflate")
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Protocol") != "v2" || res.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	open := f.next(t, "CONNECT")
	if got := <-early; got != 410 {
		t.Errorf("push to a handshake: %d", got)
	}
	if open.Headers["x-Custom"] != "1" || open.Headers["Sec-WebSocket-Key"] == "" || open.Headers["Connection"] != "" {
		t.Errorf("headers %v", open.Headers)
	}
	b.send(ws.OpText, `{"action":"sendmessage"}`)
	if got := b.read(); got != "pushed" {
		t.Error(got)
	}
	b.send(ws.OpText, `{"action":"ask"}`)
	if got := b.read(); got != "answered" {
		t.Error(got)
	}
	b.send(ws.OpText, `{"action":"nope"}`)
	if got := b.read(); !strings.HasPrefix(got, `{"message": "Forbidden", "connectionId":"`+open.Context.ConnectionID+`", "requestId":"`) {
		t.Error(got)
	}
	path := "/prod/@connections/" + open.Context.ConnectionID
	status, text := l.manage(t, "GET", path, "")
	var got description
	if err := json.Unmarshal([]byte(text), &got); status != 200 || err != nil || got.Identity.UserAgent != "test" || got.Identity.SourceIP != "127.0.0.1" || got.ConnectedAt != isoTime(time.UnixMilli(open.Context.ConnectedAt)) {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := l.manage(t, "PUT", "/prod/@groups/room/"+open.Context.ConnectionID, ""); status != 204 {
		t.Errorf("join: %d", status)
	}
	if status, body := l.manage(t, "POST", "/prod/@groups/room", "to all"); status != 200 || body != `{"sent":1}` || b.read() != "to all" {
		t.Errorf("group: %d %s", status, body)
	}
	if status, body := l.manage(t, "POST", "/prod/@connections", `{"connectionIds":["`+open.Context.ConnectionID+`"],"data":"to many"}`); status != 200 || body != `{"sent":1,"gone":[],"failed":[]}` || b.read() != "to many" {
		t.Errorf("batch: %d %s", status, body)
	}
	l.manage(t, "POST", path, "last")
	if status, _ := l.manage(t, "DELETE", path, ""); status != 204 {
		t.Errorf("delete: %d", status)
	}
	if got := b.read(); got != "last" {
		t.Error(got)
	}
	if code, reason := b.closed(); code != 1000 || reason != "" {
		t.Errorf("closed %d %q", code, reason)
	}
	end := f.next(t, "DISCONNECT")
	if *end.Context.DisconnectCode != 1000 || *end.Context.DisconnectReason != "Connection Closed Normally" || end.Context.ConnectionID != open.Context.ConnectionID || end.Context.ConnectedAt != open.Context.ConnectedAt {
		t.Errorf("%+v", end.Context)
	}
	if got := <-late; got != 410 {
		t.Errorf("push from its own $disconnect: %d", got)
	}
	if status, body := l.manage(t, "POST", path, "late"); status != 410 || body != "" {
		t.Errorf("push after the end: %d %s", status, body)
	}
	if status, body := l.manage(t, "GET", "/prod/@groups/room", ""); body != `{"size":0}` {
		t.Errorf("group after the end: %d %s", status, body)
	}
}

func TestASubprotocolIsNeverEchoed(t *testing.T) {
	l := goLive(t, newBackend(), Options{}, nil)
	if _, res := l.dial(t, "Sec-WebSocket-Protocol: v1"); res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// TestTheAnswerToAHandshakeIsExact: the function's subprotocol is the client's answer, whether it was offered
// or not, and nothing else that the function says.
func TestTheAnswerToAHandshakeIsExact(t *testing.T) {
	const plain = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n"
	for _, tc := range []struct{ says, want string }{
		{`{"statusCode":200,"headers":{"Set-Cookie":"a=b","X-Own":"1"},"body":"hello"}`, ""},
		{`{"statusCode":200,"headers":{"sec-websocket-PROTOCOL":"v2"}}`, "Sec-WebSocket-Protocol: v2\r\n"},
		{`{"statusCode":200,"multiValueHeaders":{"Sec-WebSocket-Protocol":["v1"]}}`, "Sec-WebSocket-Protocol: v1\r\n"},
		{`{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"v9"}}`, "Sec-WebSocket-Protocol: v9\r\n"},
	} {
		f := newBackend()
		f.answers(func(context.Context, event) string { return tc.says })
		l := goLive(t, f, Options{}, nil)
		conn, err := net.Dial("tcp", l.at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, "GET /prod/ HTTP/1.1\r\nHost: abcd123456.execute-api.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Protocol: v1, v2\r\n\r\n")
		in, got := bufio.NewReader(conn), ""
		for !strings.HasSuffix(got, "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			got += line
		}
		if want := plain + tc.want + "\r\n"; got != want {
			t.Errorf("%s:\n%q, want\n%q", tc.says, got, want)
		}
	}
}

func TestARefusedHandshakeHasNoEnd(t *testing.T) {
	f := newBackend()
	f.answers(func(context.Context, event) string { return `{"statusCode":401,"body":"who"}` })
	l := goLive(t, f, Options{}, nil)
	_, res := l.dial(t)
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 401 || res.Header.Get("X-Amz-Apigw-Id") == "" || len(body) != 0 {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	f.next(t, "CONNECT")
	if len(f.events) != 0 {
		t.Error("more events")
	}
	if res, err := http.Get("http://" + l.at + "/prod"); err != nil || res.StatusCode != 426 {
		t.Errorf("no upgrade: %v %v", res, err)
	}
}

func TestHowConnectionsEnd(t *testing.T) {
	frame := func(op ws.OpCode, fin bool, n int) []byte {
		f := ws.NewFrame(op, fin, bytes.Repeat([]byte("x"), n))
		var b bytes.Buffer
		if err := ws.WriteFrame(&b, ws.MaskFrame(f)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, tc := range []struct {
		name         string
		do           func(b *browser)
		sees         int // the client; 0 is nothing
		code         int
		reason       string
		clientReason string
	}{
		{"closed without a code", func(b *browser) { b.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(nil)))) }, 1005, 1005, "Client-side close frame status not set", ""},
		{"closed with a code", func(b *browser) {
			b.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "bye")))))
		}, 4001, 4001, "bye", ""},
		{"lost", func(b *browser) { b.conn.Close() }, 0, 1006, "", ""},
		{"bytes", func(b *browser) { b.send(ws.OpBinary, "x") }, 1003, 1003, "", "-"},
		{"a frame too long", func(b *browser) { b.conn.Write(frame(ws.OpText, true, DefaultMaxFrame+1)) }, 1009, 1009, "", "-"},
		{"a message too long", func(b *browser) {
			b.conn.Write(frame(ws.OpText, false, DefaultMaxFrame))
			for range 3 {
				b.conn.Write(frame(ws.OpContinuation, false, DefaultMaxFrame))
			}
			b.conn.Write(frame(ws.OpContinuation, true, 1))
		}, 1009, 1009, "", "-"},
		{"not UTF-8", func(b *browser) { b.send(ws.OpText, "\xff") }, 1007, 1007, "", "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newBackend()
			l := goLive(t, f, Options{}, nil)
			b, _ := l.dial(t)
			b.t = t
			f.next(t, "CONNECT")
			tc.do(b)
			if tc.sees != 0 {
				if code, reason := b.closed(); code != tc.sees || tc.clientReason != "-" && reason != tc.clientReason {
					t.Errorf("the client sees %d %q", code, reason)
				}
			}
			end := f.next(t, "DISCONNECT")
			if *end.Context.DisconnectCode != tc.code || *end.Context.DisconnectReason != tc.reason {
				t.Errorf("the function sees %d %q", *end.Context.DisconnectCode, *end.Context.DisconnectReason)
			}
		})
	}
}

func TestTheLongestMessageComesInFrames(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{}, nil, func(a *apispec.API) {
		a.Current.Routes = append(a.Current.Routes, apispec.Route{ID: "d", Key: "$default", Integration: "fn"})
	})
	b, _ := l.dial(t)
	part := bytes.Repeat([]byte("x"), DefaultMaxFrame)
	for i := range 4 {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpText
		}
		if err := ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewFrame(op, i == 3, bytes.Clone(part)))); err != nil {
			t.Fatal(err)
		}
	}
	if e := f.next(t, "MESSAGE"); len(*e.Body) != DefaultMaxMessage {
		t.Errorf("%d bytes", len(*e.Body))
	}
	if status, _ := l.manage(t, "POST", "/prod/@connections/"+f.id(t, l), strings.Repeat("y", DefaultMaxMessage)); status != 200 {
		t.Errorf("push: %d", status)
	}
	got := 0
	for got < DefaultMaxMessage {
		got += len(b.frame().Payload)
	}
}

// id is the only open connection.
func (f *backendFunc) id(t *testing.T, l *live) string {
	t.Helper()
	conns := l.gw.List(t.Context(), "chat", "", sluice.ConnID{}, 2)
	if len(conns) != 1 {
		t.Fatalf("%d connections", len(conns))
	}
	return conns[0].ID.String()
}

func TestBytesAreTakenWhenTheyMay(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{Settings: Settings{AcceptBinary: true}}, nil, func(a *apispec.API) {
		a.Current.Routes = append(a.Current.Routes, apispec.Route{ID: "d", Key: "$default", Integration: "fn"})
	})
	b, _ := l.dial(t)
	b.send(ws.OpBinary, `{"action":"sendmessage"}`)
	if e := f.next(t, "MESSAGE"); e.Context.RouteKey != "$default" || !e.Base64 || *e.Body != "eyJhY3Rpb24iOiJzZW5kbWVzc2FnZSJ9" {
		t.Errorf("%+v", e)
	}
}

func TestMessagesRunAtOnceUnlessOrdered(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		f := newBackend()
		second, release := make(chan struct{}), make(chan struct{})
		f.answers(func(ctx context.Context, e event) string {
			if e.Body == nil {
				return `{"statusCode":200}`
			}
			if strings.Contains(*e.Body, "first") {
				select {
				case <-second:
				case <-release:
				}
			} else {
				close(second)
			}
			return `{"statusCode":200}`
		})
		l := goLive(t, f, Options{Settings: Settings{Ordered: ordered}}, nil)
		b, _ := l.dial(t)
		b.send(ws.OpText, `{"action":"sendmessage","n":"first"}`)
		b.send(ws.OpText, `{"action":"sendmessage","n":"second"}`)
		if ordered {
			select {
			case <-second:
				t.Error("the second began before the first was answered")
			case <-time.After(100 * time.Millisecond):
			}
			close(release)
		}
		f.next(t, "MESSAGE")
		f.next(t, "MESSAGE")
	}
}

func TestAFullQueueAnswers429AndTheConnectionStays(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{}, nil)
	b, _ := l.dial(t)
	f.next(t, "CONNECT")
	path := "/prod/@connections/" + f.id(t, l)
	big := strings.Repeat("x", DefaultMaxMessage)
	sent := 0
	for {
		status, body := l.manage(t, "POST", path, big)
		if status == 429 {
			if !strings.HasPrefix(body, `{"message": "Too Many Requests", "connectionId":"`) {
				t.Error(body)
			}
			break
		}
		if status != 200 || sent > 1000 {
			t.Fatalf("push %d: %d %s", sent, status, body)
		}
		sent++
	}
	for range sent {
		if got := b.read(); len(got) != len(big) {
			t.Fatalf("%d bytes", len(got))
		}
	}
	if status, _ := l.manage(t, "POST", path, "again"); status != 200 || b.read() != "again" {
		t.Errorf("after that: %d", status)
	}
}

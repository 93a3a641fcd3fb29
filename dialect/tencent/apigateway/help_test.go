package apigateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/kv"
)

var update = flag.Bool("update", false, "rewrite testdata")

// golden compares JSON with a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), pretty.String()); d != "" {
		t.Fatalf("%s: -want +got\n%s", name, d)
	}
}

func ids(t testing.TB) *IDs {
	t.Helper()
	x, err := NewIDs(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// functions answer calls as the test says, and remember them.
type functions struct {
	calls chan scf.Call

	mu     sync.Mutex // guards answer
	answer func(ctx context.Context, c scf.Call) (scf.Outcome, error)
}

func newFunctions() *functions { return &functions{calls: make(chan scf.Call, 10_000)} }

func (f *functions) answers(how func(ctx context.Context, c scf.Call) (scf.Outcome, error)) {
	f.mu.Lock()
	f.answer = how
	f.mu.Unlock()
}

// replies makes a function's answers by its name; others accept.
func (f *functions) replies(by map[string]scf.Outcome) {
	f.answers(func(_ context.Context, c scf.Call) (scf.Outcome, error) {
		if out, ok := by[c.Name]; ok {
			return out, nil
		}
		return ok(`{"errNo":0}`), nil
	})
}

func ok(payload string) scf.Outcome {
	return scf.Outcome{Status: scf.StatusOK, Payload: []byte(payload)}
}

func (f *functions) Invoke(ctx context.Context, c scf.Call) (scf.Outcome, error) {
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	out, err := ok(`{"errNo":0,"errMsg":"ok"}`), error(nil)
	if answer != nil {
		out, err = answer(ctx, c)
	}
	f.calls <- c
	return out, err
}

// socketEvent is the part of an event that tests look at.
type socketEvent struct {
	WebSocket map[string]any `json:"websocket"`
}

// next is the next call of a function.
func (f *functions) next(t *testing.T, name string) (scf.Call, map[string]any) {
	t.Helper()
	for {
		select {
		case c := <-f.calls:
			if c.Name == name {
				var e socketEvent
				if err := json.Unmarshal(c.Payload, &e); err != nil {
					t.Fatal(err)
				}
				return c, e.WebSocket
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s was not called", name)
		}
	}
}

// none fails when a function has been called, or is soon.
func (f *functions) none(t *testing.T, name string) {
	t.Helper()
	for {
		select {
		case c := <-f.calls:
			if c.Name == name {
				t.Fatalf("%s was called: %s", name, c.Payload)
			}
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

// chat is an app with one WebSocket API, as the seed's.
func chat(change ...func(*apispec.API)) *sluice.App {
	api := apispec.API{
		ID: "api-etj7lhtw", Path: "/", Method: "GET", Protocol: apispec.WebSocket, Type: apispec.SCF, Timeout: 800,
		Roles: apispec.Roles{Register: apispec.Function{Name: "reg"}, Transport: apispec.Function{Name: "trans"}, Cleanup: apispec.Function{Name: "clean"}},
	}
	for _, f := range change {
		f(&api)
	}
	return appOf("chat", specOf("service-01era6ni", api))
}

func specOf(id string, apis ...apispec.API) apispec.Service {
	return apispec.Service{ID: id, Name: "ChatDemo", Region: "ap-guangzhou", Environment: "release",
		SubDomain: apispec.SubDomain(id, scf.AppID, "ap-guangzhou"), APIs: apis}
}

func appOf(name sluice.AppName, services ...apispec.Service) *sluice.App {
	app := &sluice.App{Name: name, Dialect: "tencent"}
	for _, s := range services {
		ep, err := s.Endpoint(sluice.Place{})
		if err != nil {
			panic(err)
		}
		app.Endpoints = append(app.Endpoints, ep)
	}
	for _, f := range []string{"reg", "trans", "clean", "http"} {
		app.Functions = append(app.Functions, sluice.Function{Name: sluice.FunctionName(f), Timeout: 3 * time.Second, InitTimeout: time.Second})
	}
	return app
}

// live is an app on a real gateway.
type live struct {
	t    *testing.T
	f    *functions
	apis *APIs
	app  atomic.Pointer[App]
	gw   *gateway.Gateway
	at   string
	stop func()
}

func (l *live) Route(h *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	return l.app.Load().Socket(h)
}

func (l *live) Endpoint(_ sluice.AppName, name string) *gateway.Endpoint {
	for _, ep := range l.app.Load().Endpoints() {
		if ep.Name == name {
			return ep
		}
	}
	return nil
}

func goLive(t *testing.T, f *functions, store kv.Store, app *sluice.App) *live {
	t.Helper()
	l := &live{t: t, f: f}
	l.gw = gateway.New(gateway.Options{Router: l, Store: store, Shards: 2, Plain: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.app.Load().ServeHTTP(w, r) })})
	l.apis = New(Options{Functions: f, Sockets: l.gw, IDs: ids(t)})
	x, err := l.apis.App(app)
	if err != nil {
		t.Fatal(err)
	}
	l.app.Store(x)
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

// client has a socket.
type client struct {
	t    *testing.T
	conn net.Conn
	in   io.Reader
	id   string
}

// dial sends a handshake to a path with headers, and returns the answer.
func (l *live) dial(path string, headers ...string) (*client, *http.Response) {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.at)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	head := "GET " + path + " HTTP/1.1\r\nHost: chat.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
	for _, h := range headers {
		head += h + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		l.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return &client{t: l.t, conn: conn, in: in}, res
}

// join opens a connection and learns its id.
func (l *live) join(headers ...string) *client {
	l.t.Helper()
	c, res := l.dial("/release/", headers...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		l.t.Fatalf("handshake: %s", res.Status)
	}
	if l.app.Load().services[0].calls[0].Roles.Register.Name != "" {
		_, e := l.f.next(l.t, "reg")
		c.id = e["secConnectionID"].(string)
	}
	return c
}

func (c *client) send(op ws.OpCode, data string) {
	c.t.Helper()
	if err := wsutil.WriteClientMessage(c.conn, op, []byte(data)); err != nil {
		c.t.Fatal(err)
	}
}

// frame is the next frame that is no ping.
func (c *client) frame() ws.Frame {
	c.t.Helper()
	for {
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			c.t.Fatal(err)
		}
		f := ws.Frame{Header: h, Payload: make([]byte, min(h.Length, 1<<21))}
		if _, err := io.ReadFull(c.in, f.Payload); err != nil {
			c.t.Fatal(err)
		}
		if h.OpCode != ws.OpPing {
			return f
		}
	}
}

func (c *client) hears(op ws.OpCode, want string) {
	c.t.Helper()
	if f := c.frame(); f.Header.OpCode != op || string(f.Payload) != want {
		c.t.Fatalf("frame %v %.200q, want %.200q", f.Header.OpCode, f.Payload, want)
	}
}

// closed waits for a close frame.
func (c *client) closed(want int) {
	c.t.Helper()
	f := c.frame()
	if f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("frame %v %.200q", f.Header.OpCode, f.Payload)
	}
	code, _ := ws.ParseCloseFrameData(f.Payload)
	if int(code) != want {
		c.t.Fatalf("close %d, want %d", code, want)
	}
}

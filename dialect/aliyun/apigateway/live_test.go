package apigateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/gateway"
)

// live is a group on a real gateway.
type live struct {
	g  *Group
	gw *gateway.Gateway
	at string
}

func (l *live) Route(*sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	return l.g.endpoint, nil
}
func (l *live) Endpoint(sluice.AppName, string) *gateway.Endpoint { return l.g.endpoint }

// goLive serves the group that build makes on a socket of this machine.
func goLive(t *testing.T, build func(s Sockets) *Group) *live {
	t.Helper()
	l := &live{}
	l.gw = gateway.New(gateway.Options{Router: l})
	l.g = build(l.gw)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.at = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.gw.Run(ctx) })
	running.Go(func() { l.gw.Serve(ctx, ln) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return l
}

// client is a device with a socket.
type client struct {
	t    *testing.T
	conn net.Conn
}

func (l *live) dial(t *testing.T) *client {
	t.Helper()
	conn, _, _, err := ws.Dial(t.Context(), "ws://"+l.at+"/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &client{t, conn}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() string {
	c.t.Helper()
	b, err := wsutil.ReadServerText(c.conn)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

// closed reads to the server's close frame and returns its code.
func (c *client) closed() (ws.StatusCode, error) {
	c.t.Helper()
	for {
		h, err := ws.ReadHeader(c.conn)
		if err != nil {
			return 0, err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(c.conn, payload); err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(payload)
			return code, nil
		}
	}
}

func TestStoppingServerSaysCRAndGoesAway(t *testing.T) {
	l := goLive(t, func(Sockets) *Group { return newGroup(t, &rooms{}, api("/*")) })
	c := l.dial(t)
	c.send("RG#d1")
	c.read()
	go l.gw.Drain(context.WithoutCancel(t.Context()), 0)
	if got := c.read(); got != "CR" {
		t.Errorf("%q", got)
	}
	if code, err := c.closed(); code != 1001 {
		t.Errorf("closed with %d (%v)", code, err)
	}
}

func TestOneDeviceOnARealGateway(t *testing.T) {
	gone := make(chan sluice.Invocation, 10)
	f := &rooms{invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		if strings.Contains(string(inv.Payload), `"x-ca-unregister-reason"`) {
			gone <- inv
		}
		return answered(`{"statusCode":200,"headers":{"x-ca-group":"wall"},"body":"welcome"}`)
	}}
	l := goLive(t, func(s Sockets) *Group {
		g := newGroup(t, f, eventAPI("/r/*", apigroup.Register, "f"), eventAPI("/u", apigroup.Unregister, "f"), notifyAPI())
		g.o.Sockets = s
		return g
	})
	a := l.dial(t)
	a.send("H1")
	if got := a.read(); got != "HF#NotRegistered" {
		t.Errorf("heartbeat before bind: %q", got)
	}
	a.send("RG#d1")
	ro := strings.Split(a.read(), "#")
	if len(ro) != 3 || ro[0] != "RO" || ro[2] != "25000" {
		t.Fatalf("bind: %q", ro)
	}
	a.send("H1")
	if got := a.read(); got != "HO#"+ro[1] {
		t.Errorf("heartbeat: %q, credential %q", got, ro[1])
	}
	a.send(`{"path":"/r","headers":{"x-ca-websocket_api_type":["REGISTER"],"x-ca-seq":["0"]}}`)
	if got := a.read(); !strings.HasPrefix(got, `{"status":200,"header":{"x-ca-seq":"0","x-ca-request-id":"`) || !strings.HasSuffix(got, `"body":"welcome"}`) {
		t.Errorf("register: %s", got)
	}
	notify := func(pairs ...string) (int, string) {
		res, body := do(t, l.g, with(httptest.NewRequest("POST", "/notify", strings.NewReader("嗨#1")), pairs...))
		return res.StatusCode, body
	}
	if status, _ := notify("x-ca-deviceid", "d1"); status != http.StatusOK || a.read() != "NF#嗨#1" {
		t.Errorf("notify: %d", status)
	}
	a.send("NO")
	if status, body := notify("x-ca-group", "wall"); status != 200 || body != `{"delivered":1,"failed":[]}` || a.read() != "NF#嗨#1" {
		t.Errorf("group: %d %s", status, body)
	}
	b := l.dial(t)
	b.send("RG#d1")
	b.read()
	if _, body := notify("x-ca-deviceid", "d1,d2"); body != `{"delivered":2,"failed":["d2"]}` || a.read() != b.read() {
		t.Errorf("two tabs: %s", body)
	}
	b.conn.Close()
	ws.WriteHeader(a.conn, ws.Header{Fin: true, OpCode: ws.OpClose, Masked: true})
	select {
	case inv := <-gone:
		if !strings.Contains(string(inv.Payload), `"x-ca-deviceid":"d1"`) || !strings.Contains(string(inv.Payload), `"x-ca-unregister-reason":"client-close"`) {
			t.Errorf("farewell %s", inv.Payload)
		}
	case <-time.After(time.Minute):
		t.Error("nobody told the backend that the device is gone")
	}
	for status := 0; status != 404; time.Sleep(time.Millisecond) { // until the end of the other has been seen, too
		if status, _ = notify("x-ca-deviceid", "d1"); t.Context().Err() != nil {
			t.Fatal(status)
		}
	}
	if len(gone) != 0 {
		t.Error("the end was told twice")
	}
}

package wall

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// device is a client of the gateway as the pages are: RG, REGISTER, heartbeats, NF.
type device struct {
	t    *testing.T
	id   string
	conn net.Conn
	r    io.Reader
	got  chan string // what came down, command words included

	frames []frame // of the last push, not yet asked for
}

// connect opens a socket and registers as kind ("screen" or "admin").
func connect(t *testing.T, s *server, id, kind string) *device {
	t.Helper()
	d := &device{t: t, id: id, got: make(chan string, 100_000)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, s.WS())
	if err != nil {
		t.Fatal(err)
	}
	d.conn, d.r = conn, conn
	if br != nil {
		d.r = br
	}
	t.Cleanup(func() { conn.Close() })
	go d.read()
	d.send("RG#" + id)
	d.expect("RO#")
	d.send(fmt.Sprintf(`{"method":"GET","host":"x","path":"/r","querys":{"docId":"devs","type":%q,"userId":%q,"token":%q},"headers":{"x-ca-websocket_api_type":["REGISTER"],"x-ca-seq":["0"]},"isBase64":0,"body":""}`, kind, id, s.token))
	var resp struct{ Status int }
	if text := d.expect("{"); json.Unmarshal([]byte(text), &resp) != nil || resp.Status != 200 {
		t.Fatalf("REGISTER answered %s", text)
	}
	return d
}

func (d *device) read() { // ends when the socket does
	defer close(d.got)
	rw := struct {
		io.Reader
		io.Writer
	}{d.r, d.conn}
	for {
		data, _, err := wsutil.ReadServerData(rw)
		if err != nil {
			return
		}
		d.got <- string(data)
	}
}

func (d *device) send(text string) {
	d.t.Helper()
	if err := wsutil.WriteClientText(d.conn, []byte(text)); err != nil {
		d.t.Fatal(err)
	}
}

// expect waits for the next text that begins with prefix; others are dropped.
func (d *device) expect(prefix string) string {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case text, ok := <-d.got:
			if !ok {
				d.t.Fatalf("device %s: the socket closed before %q came", d.id, prefix)
			}
			if strings.HasPrefix(text, prefix) {
				return text
			}
		case <-timeout:
			d.t.Fatalf("device %s: %q did not come", d.id, prefix)
		}
	}
}

// vanish breaks the connection without a close frame.
func (d *device) vanish() {
	if tcp, ok := d.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	d.conn.Close()
}

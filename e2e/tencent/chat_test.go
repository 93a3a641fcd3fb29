// Package tencent runs apps of Tencent Cloud on the real binary.
package tencent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice/e2e/live"
)

const (
	folder = "../testdata/tencent-chat"
	people = "chat-cos-1250000000"  // the bucket of who is there
	done   = "chat-done-1250000000" // the bucket of the crowd's cleanups
)

// patience is how long a test waits for what comes next.
const patience = 4 * time.Minute

func TestMain(m *testing.M) { os.Exit(live.Main(m)) }

// launch runs the chat. Its functions bring no SDK: sluice fetches it, as the cloud's runtimes have it.
func launch(t *testing.T, data string, args ...string) *live.Server {
	t.Helper()
	want, err := os.ReadFile("../requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	if has, err := os.ReadFile("../.venv/requirements.txt"); err != nil || !bytes.Equal(want, has) {
		t.Skip("Python packages cannot be installed here: run .ci/python, which \"make test\" does, where a package registry is reached")
	}
	return live.Launch(t, data, append([]string{"dev", folder, "--no-reload"}, args...)...)
}

// client is somebody in the chat.
type client struct {
	conn *net.TCPConn
	in   *bufio.Reader
}

// join opens a socket of the chat.
func join(s *live.Server) (*client, error) { return open(s, "/release/") }

// open opens a socket.
func open(s *live.Server, path string) (*client, error) {
	addr := strings.TrimPrefix(s.Public[0], "http://")
	conn, err := net.DialTimeout("tcp", strings.Replace(addr, "localhost", "127.0.0.1", 1), 20*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn.(*net.TCPConn), bufio.NewReaderSize(conn, 512)}
	conn.SetReadDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, addr)
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(res.Body)
		conn.Close()
		return nil, fmt.Errorf("handshake answered %s: %s", res.Status, body)
	}
	return c, nil
}

func (c *client) say(text string) error { return wsutil.WriteClientText(c.conn, []byte(text)) }

// hear is the next message.
func (c *client) hear() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			return "", err
		}
		b := make([]byte, min(h.Length, 1<<20))
		if _, err := io.ReadFull(c.in, b); err != nil {
			return "", err
		}
		switch h.OpCode {
		case ws.OpText:
			return string(b), nil
		case ws.OpPing:
		default:
			return "", fmt.Errorf("frame %v %q", h.OpCode, b)
		}
	}
}

func (c *client) hears(want string) error {
	got, err := c.hear()
	if err == nil && got != want {
		err = fmt.Errorf("heard %q, want %q", got, want)
	}
	return err
}

// vanish ends a connection as a phone does that loses its network: no close frame, no FIN.
func (c *client) vanish() {
	c.conn.SetLinger(0)
	c.conn.Close()
}

// keys are the objects of a bucket.
func keys(t *testing.T, s *live.Server, bucket string) []string {
	t.Helper()
	out, err := s.Sluice("object", "ls", bucket, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(out) {
		var o struct{ Key string }
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		list = append(list, o.Key)
	}
	return list
}

// become waits until a bucket has n objects, and looks whether it stays so.
func become(t *testing.T, s *live.Server, bucket string, n int) []string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		list := keys(t, s, bucket)
		if len(list) == n {
			return list
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %d objects, want %d", bucket, len(list), n)
		}
		time.Sleep(50 * time.Millisecond) // a bucket tells nobody here
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The trace of the article's chat (tencent.md section 5).
func TestTheArticlesChat(t *testing.T) {
	s := launch(t, "")
	var c [3]*client
	for i := range c {
		var err error
		c[i], err = join(s)
		must(t, err)
		defer c[i].conn.Close()
		become(t, s, people, i+1)
	}
	ann, bob, cid := c[0], c[1], c[2]
	must(t, ann.say("hi"))
	must(t, bob.hears("hi(===Online people:3===)"))
	must(t, cid.hears("hi(===Online people:3===)"))
	must(t, wsutil.WriteClientMessage(cid.conn, ws.OpClose, ws.NewCloseFrameBody(1000, "")))
	become(t, s, people, 2)
	must(t, ann.say("x"))
	must(t, bob.hears("x(===Online people:2===)"))
	must(t, bob.say("y"))
	must(t, ann.hears("y(===Online people:2===)")) // and nothing of her own before it
	ann.vanish()
	bob.vanish()
	become(t, s, people, 0)
	res, err := http.Get(s.URL("/"))
	must(t, err)
	page, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(page), "<title>Chat</title>") {
		t.Fatalf("%s %s %v", res.Status, page, err)
	}
}

// A thousand are there: each message reaches all others once. A hundred vanish, and their objects with
// them. The server is killed, and when it is back the rest is cleaned up, too; nobody twice.
func TestAThousandInOneRoom(t *testing.T) {
	const all, lost = 1000, 100
	data := t.TempDir()
	s := launch(t, data, "--template", "crowd.yml")
	crowd := make([]*client, all)
	t.Cleanup(func() {
		for _, c := range crowd {
			if c != nil {
				c.conn.Close()
			}
		}
	})
	each(t, all, func(i int) (err error) {
		crowd[i], err = join(s)
		return err
	})
	become(t, s, people, all)
	must(t, crowd[0].say("one"))
	each(t, all-1, func(i int) error { return crowd[i+1].hears("one") })
	must(t, crowd[1].say("two"))
	each(t, all, func(i int) error { // who heard "one" twice, or what they said themselves, hears that here
		if i == 1 {
			return nil
		}
		return crowd[i].hears("two")
	})
	must(t, crowd[2].say("three"))
	must(t, crowd[1].hears("three"))

	for _, c := range crowd[all-lost:] {
		c.vanish()
	}
	become(t, s, people, all-lost)
	once(t, become(t, s, done, lost), lost)

	s.Kill()
	s = launch(t, data, "--template", "crowd.yml")
	become(t, s, people, 0)
	once(t, become(t, s, done, all), all)
}

// once checks that as many were cleaned up, each once. Keys are id/request.
func once(t *testing.T, runs []string, n int) {
	t.Helper()
	ids := map[string]bool{}
	for _, k := range runs {
		id, _, _ := strings.Cut(k, "/")
		ids[id] = true
	}
	if len(ids) != n || len(runs) != n {
		t.Fatalf("%d connections were cleaned up in %d runs, want %d in as many", len(ids), len(runs), n)
	}
}

// each does something n times, some at once.
func each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	const workers = 16
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				if err := do(i); err != nil {
					errs[w] = fmt.Errorf("%d: %w", i, err)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

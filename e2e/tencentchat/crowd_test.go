// Package tencentchat runs the chat for Tencent on the real binary: a thousand connections, a hundred of
// which vanish, kill -9, and two browsers.
package tencentchat

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice/e2e/live"
)

const (
	folder = "../../apps/tencent-chat"
	bucket = "tencent-chat-1250000000"
)

// patience is how long a test waits for what comes next.
const patience = 4 * time.Minute

func TestMain(m *testing.M) { os.Exit(live.Main(m)) }

func launch(t *testing.T, data string) *live.Server {
	t.Helper()
	return live.Launch(t, data, "dev", folder, "--no-reload")
}

// entry is a message.
type entry struct{ Key, ID, By, Name, Text string }

// frame is what a page is told.
type frame struct {
	Type, ID, Name, By, Last, Code, Message string
	People, RetryAfter                      int
	You                                     struct{ Name, By string }
	Names                                   []string
	Entry                                   entry
	Entries                                 []entry
}

// client is a page without a browser.
type client struct {
	conn *net.TCPConn
	in   *bufio.Reader
}

func address(s *live.Server) string {
	return strings.Replace(strings.TrimPrefix(s.Public[0], "http://"), "localhost", "127.0.0.1", 1)
}

// join opens a socket, as a browser does.
func join(s *live.Server, query url.Values) (*client, error) {
	conn, err := net.DialTimeout("tcp", address(s), 20*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn.(*net.TCPConn), bufio.NewReaderSize(conn, 512)}
	conn.SetReadDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /release/?%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", query.Encode(), address(s))
	res, err := http.ReadResponse(c.in, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(res.Body)
		err = fmt.Errorf("handshake answered %s: %s", res.Status, body)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// named is somebody in the chat who leaves with the test.
func named(t *testing.T, s *live.Server, name string) *client {
	t.Helper()
	c, err := join(s, url.Values{"name": {name}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *client) send(text string) error { return wsutil.WriteClientText(c.conn, []byte(text)) }

func (c *client) say(id, text string) error {
	b, err := json.Marshal(map[string]string{"action": "say", "id": id, "text": text})
	if err != nil {
		return err
	}
	return c.send(string(b))
}

// next is the next frame of one of the types; others are dropped.
func (c *client) next(types ...string) (f frame, err error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			return f, err
		}
		b := make([]byte, min(h.Length, 1<<20))
		if _, err := io.ReadFull(c.in, b); err != nil {
			return f, err
		}
		switch h.OpCode {
		case ws.OpText:
			f = frame{}
			if err := json.Unmarshal(b, &f); err != nil {
				return f, err
			}
			for _, t := range types {
				if f.Type == t {
					return f, nil
				}
			}
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(b)
			return f, closed(code)
		case ws.OpPing:
		default:
			return f, fmt.Errorf("frame %v %q", h.OpCode, b)
		}
	}
}

// closed is the code that a connection ended with.
type closed ws.StatusCode

func (c closed) Error() string { return fmt.Sprintf("closed with %d", c) }

// hears makes sure of the next message.
func (c *client) hears(text string) error {
	f, err := c.next("said", "error")
	if err == nil && f.Entry.Text != text {
		err = fmt.Errorf("heard %+v, want %q", f, text)
	}
	return err
}

// vanish ends a connection as a program does that is killed: no close frame.
func (c *client) vanish() {
	c.conn.SetLinger(0)
	c.conn.Close()
}

// keys are the objects of the chat with a prefix.
func keys(t *testing.T, s *live.Server, prefix string) []string {
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
		if strings.HasPrefix(o.Key, prefix) {
			list = append(list, o.Key)
		}
	}
	return list
}

// become waits until there are n objects with a prefix.
func become(t *testing.T, s *live.Server, prefix string, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) { // a bucket tells nobody here
		got := len(keys(t, s, prefix))
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d objects %s*, want %d", got, prefix, n)
		}
	}
}

// log is what the cleanup function says, of all servers of a test.
type log struct {
	mu   sync.Mutex
	runs map[string]int // by connection
}

var cleanedUp = regexp.MustCompile(`msg=\\*"cleaned up\\*" conn=([A-Za-z0-9=]+)`)

// follow reads the log of a server until that ends.
func (l *log) follow(t *testing.T, s *live.Server) {
	t.Helper()
	cmd := exec.Command(s.Cmd.Path, "logs", "tencent-chat-cleanup", "--follow", "--json", "--admin", s.Admin)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	go func() { // ends with the process
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if m := cleanedUp.FindStringSubmatch(sc.Text()); m != nil {
				l.mu.Lock()
				l.runs[m[1]]++
				l.mu.Unlock()
			}
		}
	}()
}

// become waits until n connections were cleaned up, and makes sure that each was once.
func (l *log) become(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		l.mu.Lock()
		got, twice := len(l.runs), 0
		for _, k := range l.runs {
			if k > 1 {
				twice++
			}
		}
		l.mu.Unlock()
		if got > n || twice > 0 || got < n && time.Now().After(deadline) {
			t.Fatalf("%d connections were cleaned up, %d of them more than once; want %d", got, twice, n)
		}
		if got == n {
			return
		}
	}
}

func TestAThousandChat(t *testing.T) {
	const all, lost = 1000, 100
	data := t.TempDir()
	s := launch(t, data)
	cleanups := &log{runs: map[string]int{}}
	cleanups.follow(t, s)
	crowd := make([]*client, all)
	t.Cleanup(func() {
		for _, c := range crowd {
			if c != nil {
				c.conn.Close()
			}
		}
	})
	begin := time.Now()
	each(t, all, func(i int) (err error) {
		crowd[i], err = join(s, url.Values{"name": {fmt.Sprintf("p%d", i)}})
		return err
	})
	t.Logf("%d came within %v", all, time.Since(begin).Round(time.Millisecond))
	become(t, s, "people/", all)
	become(t, s, "names/", all)

	// One message reaches all others, and who said it: once, for the next that each hears is the next.
	for i, text := range []string{"one", "two", "three"} {
		begin := time.Now()
		must(t, crowd[i].say(text, text))
		each(t, all, func(i int) error { return crowd[i].hears(text) })
		t.Logf("%q was heard by all within %v", text, time.Since(begin).Round(time.Millisecond))
	}
	must(t, crowd[7].send(`{"action":"hello","id":"h"}`))
	f, err := crowd[7].next("hello", "said")
	if err != nil || f.People != all || len(f.Entries) != 3 || f.You.Name != "p7" {
		t.Fatalf("%+v, %v", f, err)
	}

	for _, c := range crowd[all-lost:] {
		c.vanish()
	}
	become(t, s, "people/", all-lost)
	become(t, s, "names/", all-lost)
	cleanups.become(t, lost)
	must(t, crowd[0].say("four", "four"))
	each(t, all-lost, func(i int) error { return crowd[i].hears("four") })

	s.Kill()
	s = launch(t, data)
	cleanups.follow(t, s)
	become(t, s, "people/", 0)
	become(t, s, "names/", 0)
	cleanups.become(t, all)
	late := named(t, s, "late")
	must(t, late.send(`{"action":"hello"}`))
	if f, err := late.next("hello"); err != nil || f.People != 1 || len(f.Entries) != 4 || f.Entries[3].Text != "four" {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestBadClientsGetClearAnswers(t *testing.T) {
	s := launch(t, "")
	ann := named(t, s, "  Ann\u202e\n")
	become(t, s, "people/", 1)
	other := named(t, s, "Ann")
	if f, err := ann.next("joined"); err != nil || f.Name != "Ann 2" || f.People != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	for sent, want := range map[string]string{
		`{"action":"say","id":"1","text":" "}`:                                 "invalid",
		`{"action":"say","text":"no id"}`:                                      "invalid",
		`{"action":"say","id":"a b","text":"hi"}`:                              "invalid",
		`{"action":"say","id":"1","text":"` + strings.Repeat("x", 1001) + `"}`: "invalid",
		`{"action":"fly"}`:                                                     "invalid",
		`["say"]`:                                                              "invalid",
		`not JSON`:                                                             "invalid",
	} {
		must(t, ann.send(sent))
		if f, err := ann.next("error", "said"); err != nil || f.Code != want || f.Message == "" {
			t.Errorf("%.60s: %+v, %v", sent, f, err)
		}
	}
	must(t, wsutil.WriteClientBinary(ann.conn, []byte(`{"action":"ping"}`)))
	if f, err := ann.next("error", "pong"); err != nil || f.Code != "invalid" {
		t.Errorf("binary: %+v, %v", f, err)
	}
	for range 2 { // the second is the same again
		must(t, other.say("once", "once only"))
		must(t, other.hears("once only"))
	}
	must(t, other.say("next", "next"))
	must(t, ann.hears("once only"))
	must(t, ann.hears("next"))
	slow := false
	for i := range 12 {
		must(t, other.say(fmt.Sprintf("fast%d", i), "fast"))
		f, err := other.next("said", "error")
		must(t, err)
		slow = slow || f.Code == "slow" && f.RetryAfter > 0
	}
	if !slow {
		t.Error("14 messages at once were all taken")
	}
	if got := len(keys(t, s, "history/")); got != 10 {
		t.Errorf("%d messages are kept", got)
	}

	// A page that comes back takes its own name, and the line that it lost is closed.
	first, err := join(s, url.Values{"name": {"Cid"}, "session": {"tab"}})
	must(t, err)
	second, err := join(s, url.Values{"name": {"Cid"}, "session": {"tab"}})
	must(t, err)
	defer second.conn.Close()
	var code closed
	if _, err := first.next("error"); !errors.As(err, &code) || code != 1000 {
		t.Errorf("the line before: %v", err)
	}
	first.conn.Close()
	become(t, s, "people/", 3)
	must(t, second.send(`{"action":"hello"}`))
	if f, err := second.next("hello"); err != nil || f.You.Name != "Cid" || f.People != 3 || strings.Join(f.Names, ",") != "Ann,Ann 2,Cid" {
		t.Errorf("%+v, %v", f, err)
	}
	other.vanish()
	if f, err := ann.next("left"); err != nil || f.Name != "Ann 2" || f.People != 2 {
		t.Errorf("%+v, %v", f, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
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
	must(t, errors.Join(errs...))
}

package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// entry is one line of a room's log.
type entry struct {
	Seq                      int64
	Kind, Nick, Text, To, ID string
}

// frame is what a page is told.
type frame struct {
	Type, ID, Room, Nick, Code, Message string
	Seq                                 int64
	People                              []string
	Entries                             []entry
	More                                bool
	Rooms                               map[string]int64
}

// client is a page without a browser.
type client struct {
	t      *testing.T
	conn   net.Conn
	frames chan frame // what came, in order; closed with the connection
}

var clients atomic.Int64

// dial connects with a name and a session of its own.
func (s *server) dial(ctx context.Context, query url.Values) (net.Conn, io.Reader, error) {
	if !query.Has("session") {
		query.Set("session", fmt.Sprintf("browser-%d.tab", clients.Add(1)))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, "ws://"+s.address+"/live?"+query.Encode())
	if err != nil || br == nil {
		return conn, conn, err
	}
	return conn, br, nil
}

// connect is a client that is there but in no room.
func (s *server) connect(t *testing.T, nick string) *client {
	t.Helper()
	conn, r, err := s.dial(t.Context(), url.Values{"nick": {nick}})
	if err != nil {
		t.Fatalf("%s: %v", nick, err)
	}
	c := &client{t: t, conn: conn, frames: make(chan frame, 10_000)}
	t.Cleanup(func() { conn.Close() })
	go func() { // ends with the connection
		defer close(c.frames)
		for {
			b, err := wsutil.ReadServerText(struct {
				io.Reader
				io.Writer
			}{r, conn})
			var f frame
			if err != nil || json.Unmarshal(b, &f) != nil {
				return
			}
			c.frames <- f
		}
	}()
	return c
}

// join is a client in a room.
func (s *server) join(t *testing.T, nick, room string) *client {
	t.Helper()
	c := s.connect(t, nick)
	c.send(map[string]any{"action": "join", "room": room, "id": "join"})
	if f := c.answer("join"); f.Type != "joined" {
		t.Fatalf("%s: join answered %+v", nick, f)
	}
	return c
}

func (c *client) send(v any) {
	c.t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = wsutil.WriteClientText(c.conn, b)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

var errSilent = errors.New("nothing came")

// next is the next frame that a test takes; others are dropped.
func (c *client) next(limit time.Duration, take func(*frame) bool) (frame, error) {
	timeout := time.After(limit)
	for {
		select {
		case f, ok := <-c.frames:
			if !ok {
				return f, io.EOF
			}
			if take(&f) {
				return f, nil
			}
		case <-timeout:
			return frame{}, errSilent
		}
	}
}

// answer is that to a request.
func (c *client) answer(id string) frame {
	c.t.Helper()
	f, err := c.next(time.Minute, func(f *frame) bool { return f.ID == id && f.Type != "log" })
	if err != nil {
		c.t.Fatalf("answer to %s: %v", id, err)
	}
	return f
}

// hears waits for an entry.
func (c *client) hears(kind, nick, text string) entry {
	c.t.Helper()
	var found entry
	_, err := c.next(time.Minute, func(f *frame) bool {
		for _, e := range f.Entries {
			if f.Type == "log" && e.Kind == kind && e.Nick == nick && e.Text == text {
				found = e
				return true
			}
		}
		return false
	})
	if err != nil {
		c.t.Fatalf("%s %s %q: %v", kind, nick, text, err)
	}
	return found
}

package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

func TestMessageComesBack(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{}, &handler{handle: echo})
		c := s.dial()
		c.text("hello")
		c.want("hello")
		c.closeFrame(1000)
		c.wantClose(1000)
		c.wantEnd()
	})
}

func TestOpenSeesTheHandshakeAndSetsTheAnswer(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		opens := make(chan *sluice.Event, 1)
		s := start(t, streams, Policy{}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			if ev.Kind != sluice.Open {
				return echo(context.Background(), ev)
			}
			opens <- ev
			return sluice.Reply{
				Subprotocol: "b", Header: http.Header{"X-Hi": {"there"}, "Upgrade": {"no"}, "X-Bad": {"a\r\nb"}},
				Attrs: map[string]string{"user": "u"}, Send: []sluice.Frame{{Data: []byte("welcome")}},
			}
		}})
		c := s.connect()
		c.write([]byte(handshake + "X-One: 1\r\nSec-WebSocket-Protocol: a, b\r\n\r\n"))
		c.write(masked(0x81, []byte("early"))) // before the 101
		resp := c.response()
		if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "b" || resp.Header.Get("X-Hi") != "there" ||
			resp.Header.Get("X-Bad") != "" || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Errorf("answer %d %v", resp.StatusCode, resp.Header)
		}
		c.want("welcome")
		c.want("early")
		ev := receive(t, opens, "Open")
		h := ev.Conn.Handshake
		if ev.Seq != 1 || h == nil || h.Path != "/path" || h.RawQuery != "q=1" || h.Host != "app.localhost" || h.Header.Get("X-One") != "1" {
			t.Errorf("Open %+v %+v", ev, h)
		}
		sn, out := s.Get(t.Context(), ev.Conn.ID)
		if out != sluice.Queued || sn.Attrs["user"] != "u" || sn.Subprotocol != "b" || sn.Handshake != nil || sn.Remote != ev.Conn.Remote {
			t.Errorf("Get = %v %+v", out, sn)
		}
	})
}

func TestRefusedOpenIsAnHTTPAnswerAndNoClose(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		var kinds sync.Map
		s := start(t, streams, Policy{}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			kinds.Store(ev.Kind, true)
			return sluice.Reply{Duty: sluice.OweClose, Refuse: &sluice.Refusal{Status: 403, Header: http.Header{"X-Why": {"no"}}, Body: []byte(`{"message":"Forbidden"}`)}}
		}})
		c := s.connect()
		resp := c.greet()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 403 || resp.Header.Get("X-Why") != "no" || string(body) != `{"message":"Forbidden"}` {
			t.Errorf("refused with %d %v %q", resp.StatusCode, resp.Header, body)
		}
		c.wantEnd()
		c.Close()
		eventually(t, "the slot is free", func() bool { return s.Stats().Live == 0 })
		if _, told := kinds.Load(sluice.Close); told {
			t.Error("Close of a refused connection")
		}
	})
}

func TestUnknownPathAndBadHandshakeAreRefused(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{})
		for _, tc := range []struct {
			request string
			status  int
		}{
			{strings.Replace(handshake, "/path", "/nobody", 1) + "\r\n", 404},
			{strings.Replace(handshake, "Version: 13", "Version: 8", 1) + "\r\n", 426},
			{strings.Replace(handshake, "dGhl", "", 1) + "\r\n", 400},
		} {
			c := s.connect()
			c.write([]byte(tc.request))
			if resp := c.response(); resp.StatusCode != tc.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tc.status)
			}
			c.wantEnd()
			c.Close()
		}
	})
}

func TestPushBeforeThe101IsPending(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		opened, goOn := make(chan sluice.ConnID, 1), make(chan bool)
		s := start(t, streams, Policy{}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			if ev.Kind == sluice.Open {
				opened <- ev.Conn.ID
				<-goOn
			}
			return sluice.Reply{}
		}})
		c := s.connect()
		c.write([]byte(handshake + "\r\n"))
		id := receive(t, opened, "Open")
		if out := s.Push(t.Context(), id, sluice.Frame{Data: []byte("x")}); out != sluice.Pending {
			t.Errorf("push while opening: %v", out)
		}
		close(goOn)
		if resp := c.response(); resp.StatusCode != 101 {
			t.Fatal(resp.Status)
		}
		if out := s.Push(t.Context(), id, sluice.Frame{Data: []byte("y")}); out != sluice.Queued {
			t.Errorf("push when open: %v", out)
		}
		c.want("y")
	})
}

func TestMessagesAreHandledInOrder(t *testing.T) {
	for _, uplink := range []int{1, 16} {
		t.Run(fmt.Sprint("uplink ", uplink), func(t *testing.T) {
			both(t, func(t *testing.T, streams bool) {
				const n = 1000
				var mu sync.Mutex
				started, running := map[uint64]bool{}, 0
				problems := map[string]bool{}
				s := start(t, streams, Policy{AutoAccept: true, Uplink: uplink, MaxPending: 10}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
					if ev.Kind != sluice.Message {
						return sluice.Reply{}
					}
					mu.Lock()
					running++
					if running > uplink {
						problems["too many at once"] = true
					}
					if want := fmt.Sprint(ev.Seq); string(ev.Frame.Data) != want {
						problems["message "+string(ev.Frame.Data)+" has seq "+want] = true
					}
					// Events are handed over in order; of those before this one, only such that are being
					// handled at the same time can have been overtaken on the way to their goroutine.
					overtaken := 0
					for seq := max(1, int(ev.Seq)-100); seq < int(ev.Seq); seq++ {
						if !started[uint64(seq)] {
							overtaken++
						}
					}
					if overtaken >= uplink {
						problems["out of order"] = true
					}
					started[ev.Seq] = true
					mu.Unlock()
					defer func() { mu.Lock(); running--; mu.Unlock() }()
					return sluice.Reply{Send: []sluice.Frame{ev.Frame}}
				}})
				c := s.dial()
				go func() {
					for i := range n {
						c.Write(masked(0x81, fmt.Append(nil, i+1)))
					}
				}()
				got := map[string]bool{}
				for range n {
					f, err := c.next()
					if err != nil {
						t.Fatal(err)
					}
					got[string(f.data)] = true
					if uplink == 1 && string(f.data) != fmt.Sprint(len(got)) {
						t.Fatalf("reply %d is %q", len(got), f.data)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if len(got) != n || len(problems) > 0 {
					t.Errorf("%d different replies, problems %v", len(got), problems)
				}
			})
		})
	}
}

func TestCloseIsToldOnceAndLast(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const n = 60
		var mu sync.Mutex
		closes, late := map[sluice.ConnID]int{}, 0
		s := start(t, streams, Policy{Uplink: 4}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			mu.Lock()
			defer mu.Unlock()
			if closes[ev.Conn.ID] > 0 {
				late++
			}
			switch ev.Kind {
			case sluice.Open:
				return sluice.Reply{Duty: sluice.OweClose}
			case sluice.Close:
				closes[ev.Conn.ID]++
			}
			return sluice.Reply{}
		}})
		var wg sync.WaitGroup
		for i := range n {
			c := s.dial()
			wg.Go(func() {
				for range 5 {
					c.Write(masked(0x81, []byte("m")))
				}
				switch i % 3 {
				case 0:
					c.Write(masked(0x88, []byte{3, 232}))
				case 1:
					c.Conn.Close()
				}
			})
			wg.Go(func() {
				for _, sn := range s.List(t.Context(), "app", "", sluice.ConnID{}, 3) {
					if i%2 == 0 {
						s.Close(t.Context(), sn.ID, sluice.CloseSpec{})
					}
				}
			})
		}
		wg.Wait()
		for {
			page := s.List(t.Context(), "app", "ws", sluice.ConnID{}, 0)
			if len(page) == 0 {
				break
			}
			for _, sn := range page {
				s.Close(t.Context(), sn.ID, sluice.CloseSpec{})
			}
		}
		eventually(t, "all Closes are told", func() bool { mu.Lock(); defer mu.Unlock(); return len(closes) == n })
		mu.Lock()
		defer mu.Unlock()
		for id, times := range closes {
			if times != 1 {
				t.Errorf("Close of %v told %d times", id, times)
			}
		}
		if late > 0 {
			t.Errorf("%d events after Close", late)
		}
	})
}

func TestCloseTellsCauseAndCode(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		events := make(chan *sluice.Event, 9)
		h := &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			if ev.Kind == sluice.Message && string(ev.Frame.Data) == "fail" {
				return sluice.Reply{Close: &sluice.CloseSpec{Code: 1011}}
			}
			if ev.Kind == sluice.Message {
				panic("deliberate")
			}
			if ev.Kind == sluice.Close {
				events <- ev
			}
			return sluice.Reply{Duty: sluice.OweClose}
		}}
		patient, idle := start(t, streams, Policy{MaxMessage: 100}, h), start(t, streams, Policy{Idle: 150 * time.Millisecond}, h)
		for _, tc := range []struct {
			name  string
			do    func(c *client)
			cause sluice.Cause
			code  int
			sent  int // close code that the client sees; 0 none
		}{
			{"client closes", func(c *client) { c.closeFrame(3001) }, sluice.ClientClose, 3001, 3001},
			{"client closes without a code", func(c *client) { c.write(masked(0x88, nil)) }, sluice.ClientClose, 1005, 1005},
			{"transport breaks", func(c *client) { c.Conn.Close() }, sluice.PeerLost, 1006, 0},
			{"idle", func(c *client) {}, sluice.Idle, 1001, 1001},
			{"too big", func(c *client) { c.text(strings.Repeat("x", 101)) }, sluice.Violation, 1009, 1009},
			{"backend fails", func(c *client) { c.text("fail") }, sluice.BackendFail, 1011, 1011},
			{"handler panics", func(c *client) { c.text("boom") }, sluice.BackendFail, 1011, 1011},
		} {
			s := patient
			if tc.cause == sluice.Idle {
				s = idle
			}
			c := s.dial()
			tc.do(c)
			ev := receive(t, events, "Close: "+tc.name)
			if ev.Cause != tc.cause || ev.Code != tc.code {
				t.Errorf("%s: told %v %d, want %v %d", tc.name, ev.Cause, ev.Code, tc.cause, tc.code)
			}
			if tc.sent != 0 {
				c.wantClose(tc.sent)
			}
			if out := s.Push(t.Context(), ev.Conn.ID, sluice.Frame{}); out != sluice.Gone {
				t.Errorf("%s: push after the end: %v", tc.name, out)
			}
			c.Conn.Close()
		}
	})
}

func TestServerClosesWhenTheClientDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, false, Policy{AutoAccept: true}, &handler{})
	c := s.dial()
	begin := time.Now()
	s.Close(t.Context(), s.List(t.Context(), "", "", sluice.ConnID{}, 0)[0].ID, sluice.CloseSpec{Code: 4000, Reason: "bye"})
	c.wantClose(4000)
	c.wantEnd()
	if took := time.Since(begin); took < closeTimeout-time.Second || took > closeTimeout+20*time.Second {
		t.Errorf("hung up after %v", took)
	}
}

func TestNobodyFindsAConnectionThatWasClosed(t *testing.T) {
	t.Parallel()
	s := start(t, false, Policy{AutoAccept: true}, &handler{})
	for range 20 {
		c := s.dial()
		id := s.List(t.Context(), "", "", sluice.ConnID{}, 0)[0].ID
		first := s.Close(t.Context(), id, sluice.CloseSpec{})
		push, again := s.Push(t.Context(), id, sluice.Frame{}), s.Close(t.Context(), id, sluice.CloseSpec{})
		if first != sluice.Queued || push != sluice.Gone || again != sluice.Gone {
			t.Errorf("closed %v, push %v, closed again %v", first, push, again)
		}
		c.wantClose(1000)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	a := address{node: 65535, shard: 63, slot: maxSlots - 1, gen: genMask}
	id := a.id()
	if got, ok := parse(id); !ok || got != a {
		t.Errorf("parse = %+v %v", got, ok)
	}
	if s := id.String(); len(s) != 16 || !strings.HasSuffix(s, "=") {
		t.Errorf("text form %q", s)
	}
	for i := range id {
		bad := id
		bad[i] ^= 0x10
		if Check(bad) {
			t.Errorf("byte %d may be wrong", i)
		}
	}
	g := New(Options{Node: 1, Router: &router{}})
	outs := g.PushMany(t.Context(), []sluice.ConnID{{}, {1}, address{node: 1}.id(), address{node: 2}.id(), address{node: 1, shard: 63, slot: 9}.id()}, sluice.Frame{})
	want := []sluice.Outcome{sluice.NotFound, sluice.NotFound, sluice.Gone, sluice.Gone, sluice.Gone}
	if diff := cmp.Diff(want, outs); diff != "" {
		t.Error(diff)
	}
}

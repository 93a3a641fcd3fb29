package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// closed reads to the close frame and returns its code and reason.
func (c *client) closed() string {
	c.t.Helper()
	for {
		f, err := c.next()
		if err != nil {
			return err.Error()
		}
		if f.first == 0x88 {
			return fmt.Sprintf("%d %s", binary.BigEndian.Uint16(f.data), f.data[2:])
		}
	}
}

func TestActivityKeepsAConnection(t *testing.T) {
	const idle, pause, rounds = 5 * time.Second, 200 * time.Millisecond, 32
	acts := map[string]func(*server, *client, sluice.ConnID){
		"nothing": func(*server, *client, sluice.ConnID) {},
		"message": func(_ *server, c *client, _ sluice.ConnID) { c.Write(masked(0x81, []byte("m"))) },
		"ping":    func(_ *server, c *client, _ sluice.ConnID) { c.Write(masked(0x89, nil)) },
		"pong":    func(_ *server, c *client, _ sluice.ConnID) { c.Write(masked(0x8a, nil)) },
		"push": func(s *server, _ *client, id sluice.ConnID) {
			s.Push(context.Background(), id, sluice.Frame{Data: []byte("p")})
		},
	}
	both(t, func(t *testing.T, streams bool) {
		var rows []func(act bool)
		for kind, keep := range map[Activity]string{
			AnyFrame: "message ping pong", Messages: "message push", MessagesAndPings: "message push ping",
		} {
			for name, act := range acts {
				s := start(t, streams, Policy{AutoAccept: true, Idle: idle, Activity: kind}, &handler{})
				c := s.dial()
				id := s.conns(1)[0]
				rows = append(rows, func(again bool) {
					if again {
						act(s, c, id)
						return
					}
					_, out := s.Get(t.Context(), id)
					if kept := out == sluice.Queued; kept != strings.Contains(keep, name) {
						t.Errorf("activity %d, %s: kept %v", kind, name, kept)
					}
				})
			}
		}
		for round := range rounds + 1 {
			for _, row := range rows {
				row(round < rounds)
			}
			time.Sleep(pause)
		}
	})
}

func TestPolicySaysHowConnectionsGo(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		bye := sluice.CloseSpec{Code: 1001, Reason: "Going away"}
		for name, p := range map[string]Policy{
			"idle": {AutoAccept: true, Idle: 100 * time.Millisecond, GoAway: bye},
			"life": {AutoAccept: true, MaxLife: 100 * time.Millisecond, GoAway: bye},
		} {
			if got := start(t, streams, p, &handler{}).dial().closed(); got != "1001 Going away" {
				t.Errorf("%s: closed with %s", name, got)
			}
		}
		s := start(t, streams, Policy{AutoAccept: true, GoAway: bye}, &handler{})
		c := s.dial()
		drained := make(chan error, 1)
		go func() { drained <- s.Drain(context.Background(), 0) }()
		if got := c.closed(); got != "1001 Going away" {
			t.Errorf("drain: closed with %s", got)
		}
		c.closeFrame(1001)
		if err := receive(t, drained, "end of Drain"); err != nil {
			t.Error(err)
		}
	})
}

func TestBinaryMessagesMayBeRefused(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true, NoBinary: true, MaxMessage: 100}, &handler{handle: echo})
		for _, tc := range []struct {
			frame []byte
			code  int
		}{
			{masked(0x82, []byte("b")), 1003},
			{masked(0x02, []byte("fragment")), 1003},
			{masked(0x82, make([]byte, 200)), 1003},
			{masked(0x81, make([]byte, 200)), 1009},
			{masked(0x81, []byte{0xff}), 1007},
		} {
			c := s.dial()
			c.text("text")
			c.want("text")
			c.write(tc.frame)
			c.wantClose(tc.code)
		}
	})
}

func TestClientThatAnswersNoPingsIsLost(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		ends := make(chan *sluice.Event, 1)
		s := start(t, streams, Policy{Ping: time.Second, MaxPings: 2}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			if ev.Kind == sluice.Close {
				ends <- ev
			}
			return sluice.Reply{Duty: sluice.OweClose}
		}})
		c := s.dial()
		ping := func() {
			t.Helper()
			if f, err := c.next(); err != nil || f.first != 0x89 {
				t.Fatalf("got %v (%v), want a ping", f, err)
			}
		}
		for range 4 {
			ping()
			c.write(masked(0x8a, nil))
		}
		ping() // and the next two bring nothing
		ping()
		c.wantEnd()
		if ev := receive(t, ends, "Close"); ev.Cause != sluice.PeerLost || ev.Code != 1006 {
			t.Errorf("told %v %d", ev.Cause, ev.Code)
		}
	})
}

func TestConnectionHasItsOwnIdleTime(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const long, middle, short = 5 * time.Second, 3 * time.Second, 200 * time.Millisecond
		h := &handler{
			control: func(_ ControlConn, data []byte, _ bool) Control {
				if string(data) == "soon" {
					return Control{Consumed: true, Idle: short, Send: []sluice.Frame{{Data: []byte("ok")}}}
				}
				return Control{}
			},
			handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
				if string(ev.Frame.Data) == "late" {
					return sluice.Reply{Idle: long, Send: []sluice.Frame{{Data: []byte("ok")}}}
				}
				return sluice.Reply{}
			},
		}
		for _, tc := range []struct {
			name        string
			says        []string
			idle        time.Duration
			least, most time.Duration
		}{
			{"shorter than the policy's", []string{"soon"}, time.Hour, short, patience},
			{"longer than the policy's", []string{"late"}, middle, long, patience},
			{"and changed again", []string{"late", "soon"}, time.Hour, short, long},
			{"where the policy has none", []string{"soon"}, 0, short, patience},
		} {
			t.Run(tc.name, func(t *testing.T) {
				s := start(t, streams, Policy{AutoAccept: true, Idle: tc.idle}, h)
				c := s.dial()
				begin := time.Now()
				for _, word := range tc.says {
					begin = time.Now()
					c.text(word)
					c.want("ok")
				}
				c.wantClose(1001)
				if took := time.Since(begin); took < tc.least-tickLength || took > tc.most {
					t.Errorf("closed after %v", took)
				}
			})
		}
	})
}

// fill pushes until a push waits in vain, and returns how many did not.
func (s *server) fill(id sluice.ConnID, data []byte) (n int) {
	s.t.Helper()
	for ; n < 100_000; n++ {
		switch out := s.Push(s.t.Context(), id, sluice.Frame{Data: data, Binary: true}); out {
		case sluice.Queued:
		case sluice.Overflow:
			return n
		default:
			s.t.Fatalf("push %d: %v", n, out)
		}
	}
	s.t.Fatal("the queue is never full")
	return 0
}

func TestPushesWaitForRoom(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const wait = time.Second
		for name, p := range map[string]Policy{
			"bytes":    {AutoAccept: true, PushWait: wait, MaxQueue: 256 << 10},
			"messages": {AutoAccept: true, PushWait: wait, MaxQueue: 1 << 30, MaxQueued: 4},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t, streams, p, &handler{handle: echo})
				c := s.dial()
				id := s.conns(1)[0]
				data := make([]byte, 64<<10)
				n := s.fill(id, data)
				begin := time.Now()
				if outs := s.PushMany(t.Context(), []sluice.ConnID{id, id}, sluice.Frame{Data: data, Binary: true}); outs[0] != sluice.Overflow || outs[1] != sluice.Overflow {
					t.Errorf("pushes to a full queue: %v", outs)
				}
				if took := time.Since(begin); took < wait {
					t.Errorf("gave up after %v", took)
				}
				if sent := s.PushGroup(t.Context(), Group{App: "app", Name: "g"}, sluice.Frame{Data: data}); sent != 0 {
					t.Errorf("sent to %d of no group", sent)
				}
				s.Join(t.Context(), id, Group{App: "app", Name: "g"})
				if sent := s.PushGroup(t.Context(), Group{App: "app", Name: "g"}, sluice.Frame{Data: data}); sent != 0 {
					t.Errorf("sent to %d members without room", sent)
				}
				if _, out := s.Get(t.Context(), id); out != sluice.Queued {
					t.Fatalf("the connection is %v", out)
				}
				c.write(masked(0x89, []byte("pong has room"))) // and closes nothing

				// Those that wait when the client reads on go in, in their order.
				const late = 5
				outs := make(chan sluice.Outcome, late)
				for i := range late {
					posted := make(chan bool)
					go func() {
						ctx, cancel := context.WithTimeout(context.Background(), patience)
						defer cancel()
						close(posted)
						for { // a busy machine may let a wait end
							out := s.Push(ctx, id, sluice.Frame{Data: fmt.Append(nil, "late ", i)})
							if out == sluice.Overflow && ctx.Err() == nil {
								continue
							}
							outs <- out
							return
						}
					}()
					<-posted
				}
				seen := 0
				for i := 0; i < n || seen < late; {
					f, err := c.next()
					switch {
					case err != nil:
						t.Fatal(err)
					case f.first == 0x82:
						if seen > 0 || len(f.data) != len(data) {
							t.Fatalf("message %d: %v", i, f)
						}
						i++
					case f.first == 0x81:
						seen++
					}
				}
				for range late {
					if out := receive(t, outs, "outcome"); out != sluice.Queued {
						t.Errorf("push that waited: %v", out)
					}
				}
				c.text("still here")
				for {
					f, err := c.next()
					if err != nil {
						t.Fatal(err)
					}
					if string(f.data) == "still here" {
						break
					}
				}
				if n := s.Stats().Overflows; n != 0 {
					t.Errorf("%d connections overflowed", n)
				}
			})
		}
	})
}

func TestPushesThatWaitEndWithTheConnection(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true, PushWait: 500 * time.Millisecond, MaxQueued: 2}, &handler{})
		c := s.dial()
		id := s.conns(1)[0]
		data := make([]byte, 256<<10)
		s.fill(id, data)
		outs := make(chan sluice.Outcome, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { outs <- s.Push(ctx, id, sluice.Frame{Data: data}) }()
		time.Sleep(20 * time.Millisecond)
		cancel()
		if out := receive(t, outs, "outcome"); out != sluice.Overflow {
			t.Errorf("push whose caller went: %v", out)
		}
		go func() { outs <- s.Push(t.Context(), id, sluice.Frame{Data: data}) }()
		time.Sleep(20 * time.Millisecond)
		c.Close()
		if out := receive(t, outs, "outcome"); out != sluice.Gone && out != sluice.Overflow {
			t.Errorf("push to a connection that ended: %v", out)
		}
	})
}

func TestPushesThatWaitKeepTheirOrder(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const n = 400
		s := start(t, streams, Policy{AutoAccept: true, PushWait: patience, MaxQueued: 2}, &handler{})
		c := s.dial()
		id := s.conns(1)[0]
		done := make(chan bool)
		go func() {
			defer close(done)
			for i := range n {
				if out := s.Push(context.Background(), id, sluice.Frame{Data: []byte(fmt.Sprintf("%06d%s", i, strings.Repeat("x", 64<<10)))}); out != sluice.Queued {
					t.Errorf("push %d: %v", i, out)
				}
			}
		}()
		for i := range n {
			f, err := c.next()
			if err != nil || string(f.data[:6]) != fmt.Sprintf("%06d", i) {
				t.Fatalf("message %d: %v (%v)", i, f, err)
			}
		}
		<-done
	})
}

func TestClientThatIsNotReadIsNotSilent(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const idle = 3 * time.Second
		goOn := make(chan bool)
		s := start(t, streams, Policy{AutoAccept: true, Idle: idle, MaxPending: 1, Ping: idle / 2, MaxPings: 1}, &handler{handle: func(ctx context.Context, ev *sluice.Event) sluice.Reply {
			<-goOn
			return echo(ctx, ev)
		}})
		c := s.dial()
		c.text("one")
		c.text("two") // waits, and nothing more is read
		time.Sleep(idle + time.Second)
		close(goOn)
		for _, want := range []string{"one", "two"} {
			f, err := c.next()
			for err == nil && f.first == 0x89 { // pings
				f, err = c.next()
			}
			if err != nil || string(f.data) != want {
				t.Fatalf("got %v (%v), want %q", f, err, want)
			}
		}
	})
}

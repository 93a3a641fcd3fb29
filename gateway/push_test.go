package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

// onlyConn waits for one open connection and returns its id.
func (s *server) conns(n int) []sluice.ConnID {
	s.t.Helper()
	var ids []sluice.ConnID
	eventually(s.t, fmt.Sprintf("%d connections are open", n), func() bool {
		ids = ids[:0]
		for _, sn := range s.List(s.t.Context(), "", "", sluice.ConnID{}, n+1) {
			ids = append(ids, sn.ID)
		}
		return len(ids) == n
	})
	return ids
}

func TestPushesArriveInOrderOfTheirCalls(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{})
		c := s.dial()
		id := s.conns(1)[0]
		for i := range 500 {
			if out := s.Push(t.Context(), id, sluice.Frame{Data: fmt.Append(nil, i)}); out != sluice.Queued {
				t.Fatal(out)
			}
		}
		for i := range 500 {
			c.want(fmt.Sprint(i))
		}
		if out := s.Push(t.Context(), id, sluice.Frame{Data: make([]byte, 1<<20+1)}); out != sluice.TooLarge {
			t.Errorf("too large a push: %v", out)
		}
		s.Push(t.Context(), id, sluice.Frame{Data: []byte("\xff")})
		if f, _ := c.next(); f.first != 0x82 {
			t.Errorf("text that is not UTF-8 went out as %v", f)
		}
	})
}

func TestBigPushArrivesWhole(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true, MaxPush: 8 << 20, MaxQueue: 32 << 20}, &handler{})
		c := s.dial()
		id := s.conns(1)[0]
		big := strings.Repeat("0123456789", 400_000)
		for range 3 {
			s.Push(t.Context(), id, sluice.Frame{Data: []byte(big)})
			s.Push(t.Context(), id, sluice.Frame{Data: []byte("small")})
		}
		for range 3 {
			c.want(big)
			c.want("small")
		}
		eventually(t, "nothing is queued any more", func() bool {
			at, _ := s.locate(id)
			return at.conn.queued.Load() == 0
		})
	})
}

func TestClientThatNeverReadsIsClosed(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		ends := make(chan *sluice.Event, 1)
		s := start(t, streams, Policy{MaxQueue: 64 << 10, SlowCode: 4008}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			if ev.Kind == sluice.Close {
				ends <- ev
			}
			return sluice.Reply{Duty: sluice.OweClose}
		}})
		s.dial()
		id := s.conns(1)[0]
		data := make([]byte, 32<<10)
		out := sluice.Queued
		for i := 0; out == sluice.Queued && i < 10_000; i++ {
			out = s.Push(t.Context(), id, sluice.Frame{Data: data, Binary: true})
		}
		if out != sluice.Overflow && out != sluice.Gone {
			t.Fatalf("last push: %v", out)
		}
		if ev := receive(t, ends, "Close"); ev.Cause != sluice.Violation || ev.Code != 4008 {
			t.Errorf("told %v %d", ev.Cause, ev.Code)
		}
		eventually(t, "the connection is gone", func() bool { return s.Push(t.Context(), id, sluice.Frame{}) == sluice.Gone })
		if s.Stats().Overflows != 1 {
			t.Errorf("stats %+v", s.Stats())
		}
	})
}

func TestBlockedHandlerStopsReading(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		goOn := make(chan bool)
		var mu sync.Mutex
		var seen []string
		s := start(t, streams, Policy{AutoAccept: true, MaxPending: 4}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			<-goOn
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, string(ev.Frame.Data))
			return sluice.Reply{}
		}})
		c := s.dial()
		payload := strings.Repeat("p", 10<<10)
		const n = 3000 // 30 MB: more than any socket buffer
		sent := make(chan bool)
		go func() {
			defer close(sent)
			for i := range n {
				c.Write(masked(0x81, fmt.Append(nil, i, " ", payload)))
			}
		}()
		eventually(t, "reading stops", func() bool {
			in := s.Stats().MessagesIn
			time.Sleep(50 * time.Millisecond)
			return in > 0 && in == s.Stats().MessagesIn
		})
		if in := s.Stats().MessagesIn; in > 10 {
			t.Errorf("%d messages read though only 4 may wait", in)
		}
		select {
		case <-sent:
			t.Fatal("all was sent: nothing stopped it")
		default:
		}
		close(goOn)
		receive(t, sent, "end of sending")
		eventually(t, "all are handled", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == n })
		for i, m := range seen {
			if !strings.HasPrefix(m, fmt.Sprint(i, " ")) {
				t.Fatalf("message %d is %.10q", i, m)
			}
		}
	})
}

func TestGroups(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{})
		ctx, grp := t.Context(), Group{"app", "room"}
		clients := map[sluice.ConnID]*client{}
		for range 10 {
			c := s.dial()
			for _, id := range s.conns(len(clients) + 1) {
				if clients[id] == nil {
					clients[id] = c
				}
			}
		}
		ids := s.conns(10)
		for _, id := range ids {
			for range 2 {
				if out := s.Join(ctx, id, grp); out != sluice.Queued {
					t.Fatal(out)
				}
			}
		}
		if out := s.Join(ctx, ids[0], Group{"other", "room"}); out != sluice.Forbidden {
			t.Errorf("join of another app's group: %v", out)
		}
		if n := s.GroupSize(ctx, grp); n != 10 {
			t.Errorf("size %d", n)
		}
		if n := s.PushGroup(ctx, grp, sluice.Frame{Data: []byte("all")}); n != 10 {
			t.Errorf("sent %d", n)
		}
		if n := s.PushGroup(ctx, grp, sluice.Frame{Data: []byte("some")}, ids[3], ids[4]); n != 8 {
			t.Errorf("sent %d", n)
		}
		s.Leave(ctx, ids[0], grp)
		clients[ids[1]].Close()
		eventually(t, "the closed one has left", func() bool { return s.GroupSize(ctx, grp) == 8 })
		if n := s.PushGroup(ctx, grp, sluice.Frame{Data: []byte("rest")}); n != 8 {
			t.Errorf("sent %d", n)
		}
		for i, id := range ids {
			want := []string{"all", "some", "rest"}
			switch i {
			case 0:
				want = []string{"all", "some"}
			case 1:
				continue
			case 3, 4:
				want = []string{"all", "rest"}
			}
			for _, m := range want {
				clients[id].want(m)
			}
		}
		if n := s.Count(ctx, "app"); n != 9 {
			t.Errorf("count %d", n)
		}
		for _, id := range ids {
			s.Close(ctx, id, sluice.CloseSpec{})
		}
		eventually(t, "the group is gone", func() bool { return s.GroupSize(ctx, grp) == 0 && s.Count(ctx, "app") == 0 })
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	s := start(t, false, Policy{AutoAccept: true}, &handler{})
	for range 25 {
		s.dial()
	}
	all := s.conns(25)
	var paged []sluice.ConnID
	for after := (sluice.ConnID{}); ; {
		page := s.List(t.Context(), "app", "ws", after, 10)
		if len(page) == 0 {
			break
		}
		for _, sn := range page {
			paged = append(paged, sn.ID)
			after = sn.ID
		}
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Error(diff)
	}
	if n := len(s.List(t.Context(), "app", "other", sluice.ConnID{}, 0)); n != 0 {
		t.Errorf("%d connections of an unknown endpoint", n)
	}
}

func TestPushManyBuildsOneAnswerForEach(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{})
		var clients []*client
		for range 5 {
			clients = append(clients, s.dial())
		}
		ids := append(s.conns(5), sluice.ConnID{1, 2}, address{node: 7, slot: 5000}.id())
		want := []sluice.Outcome{sluice.Queued, sluice.Queued, sluice.Queued, sluice.Queued, sluice.Queued, sluice.NotFound, sluice.Gone}
		if diff := cmp.Diff(want, s.PushMany(t.Context(), ids, sluice.Frame{Data: []byte("m")})); diff != "" {
			t.Error(diff)
		}
		for _, c := range clients {
			c.want("m")
		}
	})
}

// nodes is a Relay between gateways of one test.
type nodes map[uint16]*Gateway

func (n nodes) Request(ctx context.Context, node uint16, body []byte) ([]byte, error) {
	if n[node] == nil {
		return nil, fmt.Errorf("ask %d: %w", node, ErrNoNode)
	}
	if node == 3 {
		return nil, errors.New("timeout")
	}
	return n[node].ServeRelay(ctx, body), nil
}

func (n nodes) Nodes() (all []uint16) {
	for node := range n {
		all = append(all, node)
	}
	return all
}

func TestOtherNodesConnectionsAreReached(t *testing.T) {
	t.Parallel()
	all := nodes{}
	bind := func(c ControlConn, data []byte, _ bool) Control {
		return Control{Consumed: true, Alias: &sluice.Alias{Scope: "s", Name: string(data)}, Send: []sluice.Frame{{Data: []byte("ok")}}}
	}
	var servers []*server
	for _, node := range []uint16{1, 2} {
		s := start(t, false, Policy{AutoAccept: true}, &handler{control: bind}, func(o *Options) { o.Node, o.Relay = node, all })
		all[node] = s.Gateway
		servers = append(servers, s)
	}
	all[3] = all[1]
	ctx, here, there := t.Context(), servers[0], servers[1]
	c := there.dial()
	c.text("dev")
	c.want("ok")
	id := there.conns(1)[0]
	if out := here.Push(ctx, id, sluice.Frame{Data: []byte("1")}); out != sluice.Queued {
		t.Error(out)
	}
	if outs := here.PushMany(ctx, []sluice.ConnID{id, id}, sluice.Frame{Data: []byte("2")}); outs[1] != sluice.Queued {
		t.Error(outs)
	}
	names := []sluice.Alias{{Scope: "s", Name: "nobody"}, {Scope: "s", Name: "dev"}, {Scope: "other", Name: "dev"}}
	if diff := cmp.Diff([]Reach{{0, sluice.NotFound}, {1, sluice.Queued}, {0, sluice.NotFound}}, here.PushAliases(ctx, names, sluice.Frame{Data: []byte("3")})); diff != "" {
		t.Error(diff)
	}
	grp := Group{"app", "g"}
	if out := here.Join(ctx, id, grp); out != sluice.Queued {
		t.Error(out)
	}
	if n := here.PushGroup(ctx, grp, sluice.Frame{Data: []byte("4")}); n != 1 || here.GroupSize(ctx, grp) != 1 {
		t.Error(n)
	}
	for _, m := range []string{"1", "2", "2", "3", "4"} {
		c.want(m)
	}
	sn, out := here.Get(ctx, id)
	if out != sluice.Queued || sn.ID != id || sn.Alias == nil || sn.Alias.Name != "dev" {
		t.Errorf("Get = %+v %v", sn, out)
	}
	if app, ep, out := here.Owner(ctx, id); app != sn.App || ep != sn.Endpoint || out != sluice.Queued {
		t.Errorf("Owner = %q %q %v", app, ep, out)
	}
	if out := here.Leave(ctx, id, grp); out != sluice.Queued {
		t.Error(out)
	}
	if out := here.Close(ctx, id, sluice.CloseSpec{Code: 4001}); out != sluice.Queued {
		t.Error(out)
	}
	c.wantClose(4001)
	if out := here.Push(ctx, id, sluice.Frame{}); out != sluice.Gone {
		t.Errorf("closed there: %v", out)
	}
	if out := here.Push(ctx, address{node: 9}.id(), sluice.Frame{}); out != sluice.Gone {
		t.Errorf("dead node: %v", out)
	}
	if out := here.Push(ctx, address{node: 3}.id(), sluice.Frame{}); out != 0 {
		t.Errorf("silent node: %v", out)
	}
}

func FuzzRelay(f *testing.F) {
	r := request{op: opPush, ids: []sluice.ConnID{{1}}, frame: sluice.Frame{Data: []byte("x"), Binary: true}, group: Group{"a", "b"}}
	f.Add(r.encode())
	g := New(Options{Node: 1, Router: &router{}})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again request
		if r.decode(b) && (!again.decode(r.encode()) || !cmp.Equal(r, again, cmp.AllowUnexported(request{}))) {
			t.Errorf("%+v became %+v", r, again)
		}
		g.ServeRelay(t.Context(), b)
	})
}

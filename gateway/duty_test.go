package gateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// rows counts the Closes that a store owes.
func rows(t *testing.T, store kv.Store) (n int) {
	t.Helper()
	err := store.View(t.Context(), func(r kv.Reader) error {
		n = 0
		it := r.Scan([]byte("JC"), kv.PrefixEnd([]byte("JC")), kv.ScanOpts{Limit: 10_000})
		defer it.Close()
		for it.Next() {
			n++
		}
		return it.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// journaled runs a server whose endpoint owes a Close from Open on, and reports Closes.
func journaled(t *testing.T, streams bool, store kv.Store, p Policy, alias bool) (*server, chan *sluice.Event) {
	closes := make(chan *sluice.Event, 100)
	s := start(t, streams, p, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
		switch ev.Kind {
		case sluice.Close:
			closes <- ev
			return sluice.Reply{}
		case sluice.Open:
			r := sluice.Reply{Duty: sluice.OweClose, Attrs: map[string]string{"k": "v"}}
			if alias {
				r.Alias = &sluice.Alias{Scope: "s", Name: "dev"}
			}
			return r
		}
		switch string(ev.Frame.Data) {
		case "no":
			return sluice.Reply{Duty: sluice.NoClose, Send: []sluice.Frame{ev.Frame}}
		case "attrs":
			return sluice.Reply{Attrs: map[string]string{"k": "new"}, Send: []sluice.Frame{ev.Frame}}
		}
		return sluice.Reply{}
	}}, func(o *Options) { o.Store = store })
	return s, closes
}

func TestOwedCloseIsInTheJournalBeforeThe101(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		store := memory.New()
		s, closes := journaled(t, streams, store, Policy{}, false)
		c := s.dial()
		if n := rows(t, store); n != 1 {
			t.Fatalf("%d rows when the 101 has come", n)
		}
		c.closeFrame(1000)
		receive(t, closes, "Close")
		eventually(t, "the row is gone", func() bool { return rows(t, store) == 0 })
		eventually(t, "the slot is free", func() bool { return s.Stats().Live == 0 })
	})
}

func TestNoCloseIsToldWhenItIsNotOwed(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		store := memory.New()
		s, closes := journaled(t, streams, store, Policy{}, false)
		c := s.dial()
		c.text("no")
		c.want("no")
		if n := rows(t, store); n != 0 {
			t.Errorf("%d rows", n)
		}
		c.closeFrame(1000)
		c.wantEnd()
		eventually(t, "the slot is free", func() bool { return s.Stats().Live == 0 })
		if len(closes) > 0 {
			t.Error("Close was told")
		}
	})
}

func TestClosesOwedByAFormerLifeAreTold(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const n = 40
		store := memory.New()
		s, closes := journaled(t, streams, store, Policy{}, false)
		for range n {
			s.dial()
		}
		ids := map[sluice.ConnID]bool{}
		for _, id := range s.conns(n) {
			ids[id] = true
		}
		changed := s.dial()
		changed.text("attrs")
		changed.want("attrs")
		s.stop() // nothing is told in a stop: like a kill for the journal
		if len(closes) != 0 || rows(t, store) != n+1 {
			t.Fatalf("%d closes told, %d rows", len(closes), rows(t, store))
		}

		s, closes = journaled(t, streams, store, Policy{}, false)
		renewed := 0
		for range n + 1 {
			ev := receive(t, closes, "Close of the former life")
			if ev.Cause != sluice.PeerLost || ev.Code != 1006 || ev.Conn.App != "app" || ev.Seq < 2 {
				t.Errorf("told %+v", ev)
			}
			if ev.Conn.Attrs["k"] == "new" {
				renewed++
			}
			delete(ids, ev.Conn.ID)
			if out := s.Push(t.Context(), ev.Conn.ID, sluice.Frame{}); out != sluice.Gone {
				t.Errorf("push to a former life: %v", out)
			}
		}
		if len(ids) != 0 || renewed != 1 {
			t.Errorf("%d not told, %d with new attributes", len(ids), renewed)
		}
		eventually(t, "the journal is empty", func() bool { return rows(t, store) == 0 })
	})
}

func TestClosesWaitForTheirEndpointToBeDeployed(t *testing.T) {
	t.Parallel()
	store := memory.New()
	s, _ := journaled(t, false, store, Policy{}, false)
	s.dial()
	ep := s.router.ep.Load()
	s.stop()
	g := New(Options{Node: 7, Store: store, Router: &router{}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	<-g.ready
	if err := g.Sweep(ctx); err != nil || rows(t, store) != 1 {
		t.Errorf("sweep without the endpoint: %v, %d rows", err, rows(t, store))
	}
	g.opt.Router.(*router).ep.Store(ep)
	if err := g.Sweep(ctx); err != nil || rows(t, store) != 0 {
		t.Errorf("sweep with the endpoint: %v, %d rows", err, rows(t, store))
	}
	cancel()
	<-done
}

// pushDev pushes to all connections of the alias dev.
func (s *server) pushDev(text string) Reach {
	s.t.Helper()
	return s.PushAliases(s.t.Context(), []sluice.Alias{{Scope: "s", Name: "dev"}}, sluice.Frame{Data: []byte(text)})[0]
}

func TestAliasThatComesBackIsSparedTheClose(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		store := memory.New()
		s, closes := journaled(t, streams, store, Policy{AliasGrace: 3 * time.Second}, true)
		first := s.dial()
		first.Close()
		eventually(t, "the first is gone", func() bool { return s.Count(t.Context(), "app") == 0 })
		second := s.dial() // within the grace
		eventually(t, "the first one's slot is free", func() bool { return s.Stats().Live == 1 })
		third := s.dial() // two live ones
		second.Close()
		eventually(t, "the second one's slot is free", func() bool { return s.Stats().Live == 1 })
		if len(closes) > 0 || rows(t, store) != 1 {
			t.Errorf("%d closes, %d rows", len(closes), rows(t, store))
		}
		if r := s.pushDev("hi"); r.Delivered != 1 || r.Outcome != sluice.Queued {
			t.Error(r)
		}
		third.want("hi")
		third.Close()
		receive(t, closes, "Close when nobody came back")
		eventually(t, "the journal is empty", func() bool { return rows(t, store) == 0 })
		if r := s.pushDev(""); r.Delivered != 0 || r.Outcome != sluice.NotFound {
			t.Error(r)
		}
	})
}

func TestGraceBeginsWhenAllMessagesAreAnswered(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		goOn, closes := make(chan bool), make(chan *sluice.Event, 1)
		s := start(t, streams, Policy{AliasGrace: time.Second, Idle: 2 * time.Second}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			switch ev.Kind {
			case sluice.Message:
				<-goOn
			case sluice.Close:
				closes <- ev
			}
			return sluice.Reply{Duty: sluice.OweClose, Alias: &sluice.Alias{Scope: "s", Name: "dev"}}
		}})
		c := s.dial()
		c.text("slow")
		eventually(t, "the message is being handled", func() bool { return s.Stats().MessagesIn == 1 })
		c.Close()
		eventually(t, "the connection is gone", func() bool { return s.Count(t.Context(), "app") == 0 })
		time.Sleep(2500 * time.Millisecond) // past every timeout that the open connection had
		begin := time.Now()
		close(goOn)
		receive(t, closes, "Close")
		if took := time.Since(begin); took < 900*time.Millisecond {
			t.Errorf("told %v after the last answer", took)
		}
	})
}

func TestAliasThatComesBackAfterARestartIsSparedTheClose(t *testing.T) {
	t.Parallel()
	store := memory.New()
	const grace = 3 * time.Second
	s, _ := journaled(t, false, store, Policy{AliasGrace: grace}, true)
	s.dial()
	s.stop()
	s, closes := journaled(t, false, store, Policy{AliasGrace: grace}, true)
	s.dial()
	eventually(t, "only the new one's row is left", func() bool { return rows(t, store) == 1 })
	if len(closes) > 0 {
		t.Error("Close was told")
	}
}

func TestExclusiveAliasClosesTheOlderConnection(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s, closes := journaled(t, streams, nil, Policy{ExclusiveAlias: true}, true)
		first := s.dial()
		second := s.dial()
		first.wantClose(1008)
		if ev := receive(t, closes, "Close"); ev.Cause != sluice.ServerClose {
			t.Errorf("told %v", ev.Cause)
		}
		if n := s.pushDev("x").Delivered; n != 1 {
			t.Errorf("delivered to %d", n)
		}
		second.want("x")
	})
}

func TestClientThatVanishesWhileOpeningIsToldWhenAccepted(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		for _, duty := range []sluice.Duty{sluice.OweClose, sluice.KeepDuty} {
			store := memory.New()
			opened, goOn, closes := make(chan bool, 1), make(chan bool), make(chan *sluice.Event, 1)
			s := start(t, streams, Policy{}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
				if ev.Kind == sluice.Close {
					closes <- ev
					return sluice.Reply{}
				}
				opened <- true
				<-goOn
				return sluice.Reply{Duty: duty, Send: []sluice.Frame{{Data: []byte("hi")}}}
			}}, func(o *Options) { o.Store = store })
			c := s.connect()
			c.write([]byte(handshake + "\r\n"))
			receive(t, opened, "Open")
			c.Close()
			close(goOn)
			if duty == sluice.OweClose {
				if ev := receive(t, closes, "Close"); ev.Cause != sluice.PeerLost || ev.Code != 1006 || ev.Seq != 2 {
					t.Errorf("told %+v", ev)
				}
			}
			eventually(t, "the slot is free and the journal empty", func() bool { return s.Stats().Live == 0 && rows(t, store) == 0 })
			s.stop()
			if len(closes) > 0 {
				t.Error("Close was told")
			}
		}
	})
}

// slowStore makes every write of the journal wait for a token.
type slowStore struct {
	kv.Store
	tokens chan bool
}

func (s *slowStore) Update(ctx context.Context, l kv.Locks, fn func(kv.Txn) error) error {
	select {
	case ok := <-s.tokens:
		if !ok {
			return kv.ErrUnavailable
		}
		return s.Store.Update(ctx, l, fn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestReplyGoesOutBeforeLaterPushesEvenWhenTheJournalIsSlow(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		store := &slowStore{memory.New(), make(chan bool, 10)}
		store.tokens <- true // the life
		handled := make(chan bool)
		s := start(t, streams, Policy{AutoAccept: true}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
			defer close(handled)
			return sluice.Reply{Duty: sluice.OweClose, Send: []sluice.Frame{{Data: []byte("reply")}}}
		}}, func(o *Options) { o.Store = store })
		c := s.dial()
		id := s.conns(1)[0]
		c.text("register")
		<-handled
		eventually(t, "the reply waits for the journal", func() bool {
			at, _ := s.locate(id)
			held := make(chan bool, 1)
			at.shard.loop.Post(func() { held <- at.conn.work != nil && at.conn.work.held == 1 })
			return <-held
		})
		for i := range 3 {
			s.Push(t.Context(), id, sluice.Frame{Data: fmt.Append(nil, "push", i)})
		}
		if n := rows(t, store.Store); n != 0 {
			t.Fatalf("%d rows", n)
		}
		store.tokens <- true
		for _, m := range []string{"reply", "push0", "push1", "push2"} {
			c.want(m)
		}
	})
}

func TestPromiseThatCannotBeKeptIsNotMade(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		store := &slowStore{memory.New(), make(chan bool, 10)}
		store.tokens <- true
		s, _ := journaled(t, streams, store, Policy{}, false)
		store.tokens <- false
		c := s.connect()
		if resp := c.greet(); resp.StatusCode != 503 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

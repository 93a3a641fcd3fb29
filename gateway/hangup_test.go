package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
)

func TestAppThatGoesIsToldOfAllItsConnectionsFirst(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		store := memory.New()
		s, closes := journaled(t, streams, store, Policy{AliasGrace: time.Hour}, true)
		gone := s.dial()
		gone.Close() // its grace has begun
		eventually(t, "the first is gone", func() bool { return s.Count(t.Context(), "app") == 0 })
		s.dial() // never answers a close frame
		if err := s.HangUp(t.Context(), "other", sluice.CloseSpec{Code: 1001}, 0); err != nil || s.Count(t.Context(), "app") != 1 {
			t.Fatalf("another app: %v, %d left", err, s.Count(t.Context(), "app"))
		}
		if err := s.HangUp(t.Context(), "app", sluice.CloseSpec{Code: 1001, Reason: "removed"}, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if n := len(closes); n != 1 { // one alias, which had come back
			t.Errorf("%d closes are told when HangUp returns", n)
		}
		if live, owed := s.Stats().Live, rows(t, store); live != 0 || owed != 0 {
			t.Errorf("%d slots in use, %d closes owed", live, owed)
		}
	})
}

func TestHangUpWaitsForRunningEventsButNotForEver(t *testing.T) {
	goOn, told := make(chan bool), make(chan bool, 1)
	s := start(t, false, Policy{}, &handler{handle: func(_ context.Context, ev *sluice.Event) sluice.Reply {
		switch ev.Kind {
		case sluice.Message:
			<-goOn
		case sluice.Close:
			told <- true
		}
		return sluice.Reply{Duty: sluice.OweClose}
	}})
	c := s.dial()
	c.text("slow")
	eventually(t, "the message is being handled", func() bool { return s.Stats().MessagesIn == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.HangUp(ctx, "app", sluice.CloseSpec{}, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while an event runs: %v", err)
	}
	close(goOn)
	if err := s.HangUp(t.Context(), "app", sluice.CloseSpec{}, 0); err != nil || len(told) != 1 {
		t.Errorf("%v, told %d times", err, len(told))
	}
}

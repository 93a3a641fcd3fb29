package fc

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
)

const (
	maxAsync     = 128 << 10 // bytes of an asynchronous event (section 3.2)
	asyncRetries = 3         // after a function's own failure (section 3.11)
	asyncAge     = 5 * time.Hour
	asyncPause   = 500 * time.Millisecond // before the first retry; doubles each time
	asyncLongest = 5 * time.Minute        // pause
)

// Why a call is given up, as destinations are told.
const (
	exhausted = "RetriesExhausted"
	tooOld    = "EventAgeExceeded"
)

// NewQueue makes the queue of asynchronous calls (section 3.11). log may be nil.
func NewQueue(store kv.Store, f Functions, log *slog.Logger) *function.Queue {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := destinations{f, log}
	return function.NewQueue(function.QueueOptions{Store: store, Functions: f, Space: "fc", Failed: retry, Ended: d.tell, Log: log})
}

// retry says when a call is made again.
func retry(t *function.Try) (time.Duration, string) {
	rules := asyncRules(t.Version)
	pause := min(asyncPause<<min(t.Tries-1, 20), asyncLongest)
	old := time.Since(t.Since)+pause > rules.MaxAge
	switch {
	case sluice.KindOf(t.Err) == sluice.Missing || old:
		return 0, tooOld
	case t.Err == nil && t.Failures > rules.Retries:
		return 0, exhausted
	}
	return pause, ""
}

// asyncRules are those of a function, or of one that says nothing.
func asyncRules(v *function.Version) sluice.AsyncCalls {
	r := sluice.AsyncCalls{Retries: asyncRetries}
	if v != nil && v.Spec.Async != nil {
		r = *v.Spec.Async
	}
	r.MaxAge = cmp.Or(r.MaxAge, asyncAge)
	return r
}

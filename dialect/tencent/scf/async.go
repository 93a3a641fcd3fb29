package scf

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
)

// How asynchronous calls are made again, as the cloud documents it under "Error Types and Retry Policies":
// twice after the function's own failure, a minute apart; a call that did not reach the function, until
// it is six hours old.
const (
	asyncRetries = 2
	asyncPause   = time.Minute
	asyncAge     = 6 * time.Hour
	busyPause    = time.Second // doubles each time
	busyLongest  = 5 * time.Minute
)

// attrTrigger in an Invocation's Attrs tells the function by what it is called (TRIGGER_SRC).
const attrTrigger = "trigger"

// calls are the room's functions as a queue calls them: framed in their logs.
type calls struct{ s *SCF }

// Invoke runs one queued call.
func (c calls) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	v, ok := c.s.functions.Version(inv.App, inv.Function)
	if !ok {
		return sluice.Result{}, sluice.Errorf(sluice.Missing, "function %q is gone", inv.Function)
	}
	if bytes.HasPrefix(inv.Payload, timerStart) {
		inv.Attrs = map[string]string{attrTrigger: "Timer"}
	}
	return c.s.call(ctx, v, inv)
}

// Version is what a function is now.
func (c calls) Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool) {
	return c.s.functions.Version(app, name)
}

// NewQueue makes the queue of asynchronous calls. pause is the time before a failed call is made again; 0
// is a minute. log may be nil.
func NewQueue(store kv.Store, s *SCF, pause time.Duration, log *slog.Logger) *function.Queue {
	if pause == 0 {
		pause = asyncPause
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return function.NewQueue(function.QueueOptions{Store: store, Functions: calls{s}, Space: "scf", Log: log,
		Failed: func(t *function.Try) (time.Duration, string) { return retry(t, pause) },
		Ended: func(t *function.Try, gaveUp string) []sluice.Invocation {
			if gaveUp != "" {
				log.Error("asynchronous call given up", "app", t.Call.App, "function", t.Call.Function, "request", t.Call.RequestID, "why", gaveUp, "err", t.Err)
			}
			return nil
		},
	})
}

// retry says what becomes of a call that failed.
func retry(t *function.Try, pause time.Duration) (time.Duration, string) {
	retries, age := asyncRetries, asyncAge
	if t.Version == nil {
		return 0, "the function is gone"
	}
	if a := t.Version.Spec.Async; a != nil {
		retries = a.Retries
		if a.MaxAge > 0 {
			age = a.MaxAge
		}
	}
	if t.Err == nil {
		if t.Failures > retries {
			return 0, "it has failed too often"
		}
	} else {
		pause = min(busyPause<<min(t.Tries-1, 20), busyLongest)
	}
	if time.Since(t.Since)+pause > age {
		return 0, "it is too old"
	}
	return pause, ""
}

package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

const (
	timerLook = time.Minute // how long a timer may be late when the clock is set
	timerWait = time.Second // after the store has failed
)

// timerSpace begins the keys of timers: then come app, function and timer, with a zero byte between.
var timerSpace = []byte("Q/timer/")

// TimerOptions set up the timers of one dialect. All are needed, but for Log.
type TimerOptions struct {
	Store     kv.Store
	Functions *Functions
	Queue     *Queue // gets the calls; in the same store
	Dialect   string // whose functions
	// Schedule reads a timer's schedule: next is its first moment after t, zero for none.
	Schedule func(text string) (next func(t time.Time) time.Time, err error)
	// Payload is the event of the call that a timer wants at a moment.
	Payload func(v *Version, t sluice.Timer, at time.Time) []byte
	Log     *slog.Logger // nil is slog.Default()
}

// Timers calls functions at the times that their timers say. Each timer has a row with the moment when
// it is next due, which goes on in the same transaction in which the call is made: so a restart neither
// repeats a call nor forgets one. A timer that was due while nothing ran, however often, fires once at
// the start. One that is disabled, gone or given another schedule begins anew.
type Timers struct {
	o    TimerOptions
	rows map[string]*due // by key, as they are in the store, of the timers that are known; only Run touches it
}

// due is one timer as the store has it.
type due struct {
	Schedule string `json:"schedule"`
	At       int64  `json:"at"` // unix ms
}

// errTimerMoved says that a row is not what we know it to be.
var errTimerMoved = errors.New("timer has been moved")

// NewTimers makes the timers of a dialect.
func NewTimers(o TimerOptions) *Timers {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Timers{o: o, rows: map[string]*due{}}
}

// Run fires timers until ctx ends. It follows deploys and removals as they happen.
func (t *Timers) Run(ctx context.Context) error {
	for {
		changed := t.o.Functions.changed()
		wait := t.look(ctx)
		alarm := time.NewTimer(wait)
		select {
		case <-alarm.C:
		case <-changed:
		case <-ctx.Done():
			alarm.Stop()
			return nil
		}
		alarm.Stop()
	}
}

// look fires what is due, and says when to look again.
func (t *Timers) look(ctx context.Context) time.Duration {
	wait := timerLook
	seen := map[string]bool{}
	for _, s := range t.o.Functions.List("") {
		v, ok := t.o.Functions.Version(s.App, s.Name)
		if !ok || v.Dialect != t.o.Dialect {
			continue
		}
		for _, timer := range v.Spec.Timers {
			key := timerKey(v.App, v.Spec.Name, timer.Name)
			if seen[string(key)] {
				continue // its name is taken
			}
			seen[string(key)] = true
			at, err := t.serve(ctx, v, timer, key)
			switch {
			case errors.Is(err, errTimerMoved):
				wait = 0 // another process was faster
			case err != nil && ctx.Err() == nil:
				t.o.Log.Error("serve a timer", "app", v.App, "function", v.Spec.Name, "timer", timer.Name, "err", err)
				wait = min(wait, timerWait)
			case err == nil && !at.IsZero():
				wait = min(wait, max(time.Until(at), 0))
			}
		}
	}
	// Functions that this process has not seen may still be on their way back after a restart.
	for key := range t.rows {
		if seen[key] {
			continue
		}
		if err := t.put(ctx, []byte(key), nil); err != nil {
			wait = min(wait, timerWait)
		}
	}
	return wait
}

func timerKey(app sluice.AppName, f sluice.FunctionName, timer string) []byte {
	return fmt.Appendf(bytes.Clone(timerSpace), "%s\x00%s\x00%s", app, f, timer)
}

// serve fires one timer if it is due, and says when it is next; zero is never.
func (t *Timers) serve(ctx context.Context, v *Version, timer sluice.Timer, key []byte) (time.Time, error) {
	row, err := t.row(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	if timer.Disabled {
		if row != nil {
			err = t.put(ctx, key, nil)
		}
		return time.Time{}, err
	}
	if row != nil && row.Schedule == timer.Schedule && (row.At == 0 || time.Until(time.UnixMilli(row.At)) > 0) {
		return row.when(), nil
	}
	next, err := t.o.Schedule(timer.Schedule)
	if err != nil {
		t.o.Log.Warn("a timer has no schedule and never fires", "app", v.App, "function", v.Spec.Name, "timer", timer.Name, "err", err)
		next = func(time.Time) time.Time { return time.Time{} }
	}
	now := time.Now()
	if row == nil || row.Schedule != timer.Schedule {
		row = newDue(timer.Schedule, next(now))
		return row.when(), t.put(ctx, key, row)
	}
	after := next(row.when()) // intervals keep their pace
	if !after.IsZero() && !after.After(now) {
		after = next(now)
	}
	moved := newDue(timer.Schedule, after)
	call := sluice.Invocation{App: v.App, Function: v.Spec.Name, RequestID: sluice.NewRequestID(), Payload: t.o.Payload(v, timer, row.when())}
	err = t.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		val, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		var was due
		if json.Unmarshal(val, &was) != nil || was != *row {
			return errTimerMoved
		}
		tx.Put(key, moved.encode())
		t.o.Queue.PutWith(tx, call)
		return nil
	})
	if err != nil {
		delete(t.rows, string(key)) // whatever became of it, the store knows
		return time.Time{}, err
	}
	t.o.Queue.Wake()
	t.rows[string(key)] = moved
	return moved.when(), nil
}

func newDue(schedule string, at time.Time) *due {
	d := &due{Schedule: schedule}
	if !at.IsZero() {
		d.At = at.UnixMilli()
	}
	return d
}

// when is the moment when the timer is due; zero is never.
func (d *due) when() time.Time {
	if d.At == 0 {
		return time.Time{}
	}
	return time.UnixMilli(d.At)
}

func (d *due) encode() []byte {
	b, _ := json.Marshal(d) // a text and a number
	return b
}

// row reads a timer's row; nil when it has none, or none that can be read.
func (t *Timers) row(ctx context.Context, key []byte) (*due, error) {
	if d := t.rows[string(key)]; d != nil {
		return d, nil
	}
	var d *due
	err := t.o.Store.View(ctx, func(r kv.Reader) error {
		d = nil
		val, ok, err := r.Get(key)
		if err != nil || !ok {
			return err
		}
		d = new(due)
		if json.Unmarshal(val, d) != nil {
			d = nil
		}
		return nil
	})
	if err == nil && d != nil {
		t.rows[string(key)] = d
	}
	return d, err
}

// put writes a timer's row; nil takes it away.
func (t *Timers) put(ctx context.Context, key []byte, d *due) error {
	err := t.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		if d == nil {
			tx.Delete(key)
		} else {
			tx.Put(key, d.encode())
		}
		return nil
	})
	if err != nil {
		return err
	}
	delete(t.rows, string(key))
	if d != nil {
		t.rows[string(key)] = d
	}
	return nil
}

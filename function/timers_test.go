package function

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// clockwork is a room with timers, whose schedules are intervals as Go writes them.
type clockwork struct {
	store kv.Store
	room  *Functions

	mu    sync.Mutex
	fail  error // of the transactions that make calls
	began time.Time
	fired []string // "timer due@fired"
}

// Invoke notes a call that a timer made.
func (c *clockwork) Invoke(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fired = append(c.fired, string(inv.App)+"/"+string(inv.Payload)+"@"+time.Since(c.began).String())
	return sluice.Result{}, nil
}

// Version knows no function.
func (c *clockwork) Version(sluice.AppName, sluice.FunctionName) (*Version, bool) { return nil, false }

// flaky is a store whose transactions fail when a test says so, but for those of the very beginning.
type flaky struct {
	kv.Store
	c *clockwork
}

func (f flaky) Update(ctx context.Context, locks kv.Locks, fn func(kv.Txn) error) error {
	f.c.mu.Lock()
	err := f.c.fail
	f.c.mu.Unlock()
	if err != nil && time.Since(f.c.began) > 0 {
		return err
	}
	return f.Store.Update(ctx, locks, fn)
}

func newClockwork(t *testing.T, store kv.Store, timers ...sluice.Timer) *clockwork {
	c := &clockwork{store: store, room: New(Options{NoPrewarm: true}), began: time.Now()}
	t.Cleanup(func() { c.room.Stop(context.Background()) })
	c.deploy(t, timers...)
	return c
}

func (c *clockwork) deploy(t *testing.T, timers ...sluice.Timer) {
	t.Helper()
	for _, dialect := range []string{"mine", "other"} {
		v := &Version{App: sluice.AppName(dialect), Dialect: dialect, Spec: sluice.Function{Name: "f", Runtime: "fake", Timers: timers}}
		if err := c.room.Deploy(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs the timers for a while.
func (c *clockwork) run(t *testing.T, d time.Duration) {
	t.Helper()
	c.runNodes(t, d, 1)
}

// runNodes runs the timers for a while in several processes.
func (c *clockwork) runNodes(t *testing.T, d time.Duration, nodes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	for range nodes {
		queue := NewQueue(QueueOptions{Store: c.store, Functions: c, Space: "mine"})
		timers := NewTimers(TimerOptions{
			Store: flaky{c.store, c}, Functions: c.room, Queue: queue, Dialect: "mine", Log: slog.New(slog.DiscardHandler),
			Schedule: func(text string) (func(time.Time) time.Time, error) {
				if text == "never" {
					return func(time.Time) time.Time { return time.Time{} }, nil
				}
				d, err := time.ParseDuration(text)
				return func(t time.Time) time.Time { return t.Add(d) }, err
			},
			Payload: func(_ *Version, timer sluice.Timer, at time.Time) []byte {
				return []byte(timer.Name + " " + at.Sub(c.began).String())
			},
		})
		running.Go(func() { queue.Run(ctx) })
		running.Go(func() { timers.Run(ctx) })
	}
}

func (c *clockwork) want(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.fired); diff != "" {
		t.Error(diff)
	}
	c.fired = nil
}

// rows counts the timers in the store.
func (c *clockwork) rows(t *testing.T) (n int) {
	t.Helper()
	err := c.store.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan(timerSpace, kv.PrefixEnd(timerSpace), kv.ScanOpts{Limit: 100})
		defer it.Close()
		for n = 0; it.Next(); n++ {
		}
		return it.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTimersFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClockwork(t, memory.New(), sluice.Timer{Name: "a", Schedule: "20s"}, sluice.Timer{Name: "b", Schedule: "45s"},
			sluice.Timer{Name: "off", Schedule: "1s", Disabled: true}, sluice.Timer{Name: "odd", Schedule: "soon"},
			sluice.Timer{Name: "never", Schedule: "never"}, sluice.Timer{Name: "a", Schedule: "1s"})
		c.run(t, 50*time.Second)
		c.want(t, "mine/a 20s@20s", "mine/a 40s@40s", "mine/b 45s@45s")
	})
}

func TestTimersOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, a := memory.New(), sluice.Timer{Name: "a", Schedule: "20s"}
		c := newClockwork(t, store, a)
		c.run(t, 25*time.Second)
		c.want(t, "mine/a 20s@20s")
		c.run(t, 20*time.Second) // and again, as a process that starts at 25 s
		c.want(t, "mine/a 40s@40s")
		time.Sleep(60 * time.Second) // away from 45 s to 105 s: what was due at 60 s, 80 s and 100 s is late, and one call
		c.run(t, 30*time.Second)
		c.want(t, "mine/a 1m0s@1m45s", "mine/a 2m5s@2m5s")
	})
}

func TestTimersWaitForTheirFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sluice.Timer{Name: "a", Schedule: "20s"}
		c := newClockwork(t, memory.New(), a)
		c.run(t, 15*time.Second)
		if err := c.room.Remove(t.Context(), "mine", "f"); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*time.Second, func() { c.deploy(t, a) })
		c.run(t, 20*time.Second) // the process is there before its functions
		c.want(t, "mine/a 20s@25s")
	})
}

func TestTimersFollowDeploys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sluice.Timer{Name: "a", Schedule: "20s"}
		c := newClockwork(t, memory.New(), a)
		other := a
		other.Schedule = "7s"
		off := other
		off.Disabled = true
		time.AfterFunc(5*time.Second, func() { c.deploy(t, a) })      // the same: it keeps its time
		time.AfterFunc(21*time.Second, func() { c.deploy(t, other) }) // 28 s, 35 s
		time.AfterFunc(36*time.Second, func() { c.deploy(t, off) })
		time.AfterFunc(50*time.Second, func() { c.deploy(t, other) }) // 57 s
		time.AfterFunc(60*time.Second, func() { c.room.Remove(context.Background(), "mine", "f") })
		c.run(t, 90*time.Second)
		c.want(t, "mine/a 20s@20s", "mine/a 28s@28s", "mine/a 35s@35s", "mine/a 57s@57s")
		if n := c.rows(t); n != 0 {
			t.Errorf("%d rows of timers that are gone", n)
		}
	})
}

func TestTimersDisabledWhileAwayBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sluice.Timer{Name: "a", Schedule: "20s"}
		c := newClockwork(t, memory.New(), a)
		c.run(t, 15*time.Second)
		off := a
		off.Disabled = true
		c.deploy(t, off)
		c.run(t, 15*time.Second)
		c.deploy(t, a)
		c.run(t, 21*time.Second)
		c.want(t, "mine/a 50s@50s")
	})
}

func TestTimersTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClockwork(t, memory.New(), sluice.Timer{Name: "a", Schedule: "20s"})
		c.fail = errors.New("disk full")
		time.AfterFunc(22*time.Second+time.Millisecond, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.fail = nil
		})
		c.run(t, 30*time.Second)
		c.want(t, "mine/a 20s@23s")
	})
}

func TestTimersOfSeveralNodesFireOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClockwork(t, memory.New(), sluice.Timer{Name: "a", Schedule: "20s"})
		c.runNodes(t, 50*time.Second, 3)
		c.want(t, "mine/a 20s@20s", "mine/a 40s@40s")
	})
}

package function

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// callee answers calls as a test says.
type callee func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)

func (c callee) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return c(ctx, inv)
}

func (c callee) Version(app sluice.AppName, name sluice.FunctionName) (*Version, bool) {
	return &Version{App: app, Spec: sluice.Function{Name: name}}, name != ""
}

// later is a queue whose calls are given up after three failures, one second apart.
func later(store kv.Store, f callee) *Queue {
	return NewQueue(QueueOptions{
		Store: store, Functions: f, Space: "test", AtOnce: 8, Log: slog.New(slog.DiscardHandler),
		Failed: func(t *Try) (time.Duration, string) {
			if t.Failures == 3 {
				return 0, "enough"
			}
			return time.Second, ""
		},
	})
}

// runFor runs a queue for a while.
func runFor(t *testing.T, q *Queue, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := q.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, q *Queue, calls ...sluice.Invocation) {
	t.Helper()
	if err := q.Put(t.Context(), calls...); err != nil {
		t.Fatal(err)
	}
}

// rows counts the keys that begin so.
func rows(t *testing.T, s kv.Store, prefix string) (n int) {
	t.Helper()
	err := s.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan([]byte(prefix), kv.PrefixEnd([]byte(prefix)), kv.ScanOpts{Limit: 10_000})
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

// wantEmpty checks that neither calls nor leases are left.
func wantEmpty(t *testing.T, s kv.Store) {
	t.Helper()
	if calls, leases := rows(t, s, "Q/test/"), rows(t, s, "L"); calls != 0 || leases != 0 {
		t.Errorf("%d calls and %d leases are left", calls, leases)
	}
}

func TestQueuedCallsKeepEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		want := []sluice.Invocation{
			{App: "app", Function: "f", Qualifier: "live", RequestID: "R1", Payload: []byte{0, 255}, Conn: sluice.ConnID{1, 2}, Attrs: map[string]string{"a": "b"}},
			{App: "app", Function: "g", RequestID: "R2", Kind: sluice.InvokeHTTP, HTTP: &sluice.HTTPRequest{
				Method: "PUT", Path: "/a", RawQuery: "x=1", Host: "h", Header: http.Header{"X": {"1", "2"}}, Remote: "r", URI: "/u"}},
		}
		var mu sync.Mutex
		got := map[string]sluice.Invocation{}
		q := later(store, func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			got[inv.RequestID] = inv
			return sluice.Result{}, nil
		})
		put(t, q, want...)
		if rows(t, store, "Q/test/") != 2 {
			t.Error("what is put must be in the store")
		}
		runFor(t, q, time.Second)
		if diff := cmp.Diff(want, []sluice.Invocation{got["R1"], got["R2"]}); diff != "" {
			t.Error(diff)
		}
		wantEmpty(t, store)
	})
}

func TestQueueMakesEachCallOnceAndFewAtOnce(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(strconv.Itoa(nodes)+" nodes", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				var mu sync.Mutex
				made, most := map[string]int{}, 0
				var running sync.WaitGroup
				for range nodes {
					now := 0
					q := later(store, func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
						mu.Lock()
						made[inv.RequestID]++
						now++
						most = max(most, now)
						mu.Unlock()
						time.Sleep(40 * time.Second) // longer than a lease
						mu.Lock()
						now--
						mu.Unlock()
						return sluice.Result{}, nil
					})
					running.Go(func() { runFor(t, q, 10*time.Minute) })
				}
				for i := range 50 {
					put(t, later(store, nil), sluice.Invocation{App: "app", Function: "f", RequestID: strconv.Itoa(i)})
				}
				running.Wait()
				for id, n := range made {
					if n != 1 {
						t.Errorf("call %s was made %d times", id, n)
					}
				}
				if len(made) != 50 || most != 8 {
					t.Errorf("%d calls were made, %d at once in one process", len(made), most)
				}
				wantEmpty(t, store)
			})
		})
	}
}

func TestQueueGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := later(store, func(ctx context.Context, _ sluice.Invocation) (sluice.Result, error) {
			<-ctx.Done()
			return sluice.Result{}, ctx.Err()
		})
		put(t, q, sluice.Invocation{Function: "f"})
		runFor(t, q, time.Minute)
		if rows(t, store, "Q/test/") != 1 || rows(t, store, "L") != 0 {
			t.Fatal("the call must wait for the next start, without a lease")
		}
		n := 0
		runFor(t, later(store, func(context.Context, sluice.Invocation) (sluice.Result, error) {
			n++
			return sluice.Result{}, nil
		}), time.Second)
		if n != 1 {
			t.Errorf("%d calls", n)
		}
		wantEmpty(t, store)
	})
}

func TestCallsOfADeadNodeAreMadeAfterTheirLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		dead := later(store, nil)
		put(t, dead, sluice.Invocation{Function: "f"})
		due, _, err := dead.due(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := dead.claim(t.Context(), due); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		began := time.Now()
		var at []time.Duration
		runFor(t, later(store, func(context.Context, sluice.Invocation) (sluice.Result, error) {
			at = append(at, time.Since(began))
			return sluice.Result{}, nil
		}), time.Minute)
		if diff := cmp.Diff([]time.Duration{leaseLife}, at); diff != "" {
			t.Error(diff)
		}
		wantEmpty(t, store)
	})
}

func TestQueueAsksItsDialectAboutFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		began := time.Now()
		type try struct {
			At              time.Duration
			Tries, Failures int
			Err             bool
		}
		var tries []try
		var ended, told []string
		q := NewQueue(QueueOptions{
			Store: store, Space: "test", Log: slog.New(slog.DiscardHandler),
			Functions: callee(func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
				switch {
				case inv.Function == "tell":
					told = append(told, string(inv.Payload))
					return sluice.Result{}, nil
				case len(tries) == 1:
					return sluice.Result{}, sluice.Errorf(sluice.Throttled, "busy")
				}
				return sluice.Result{Failure: &sluice.Failure{Message: "boom"}}, nil
			}),
			Failed: func(t *Try) (time.Duration, string) {
				tries = append(tries, try{time.Since(began), t.Tries, t.Failures, t.Err != nil})
				if t.Failures == 2 {
					return 0, "enough"
				}
				return time.Duration(t.Tries) * time.Minute, ""
			},
			Ended: func(t *Try, gaveUp string) []sluice.Invocation {
				ended = append(ended, string(t.Call.Function)+":"+gaveUp)
				if t.Call.Function == "tell" {
					return nil
				}
				return []sluice.Invocation{{Function: "tell", Payload: []byte(gaveUp + " since " + t.Since.Sub(began).String())}}
			},
		})
		put(t, q, sluice.Invocation{Function: "f"})
		runFor(t, q, time.Hour)
		if diff := cmp.Diff([]try{{0, 1, 1, false}, {time.Minute, 2, 1, true}, {3 * time.Minute, 3, 2, false}}, tries); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"f:enough", "tell:"}, ended); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"enough since 0s"}, told); diff != "" {
			t.Error(diff)
		}
		wantEmpty(t, store)
	})
}

func TestQueuedCallsBelongToTheirTransaction(t *testing.T) {
	store := memory.New()
	q := later(store, nil)
	no := errors.New("no")
	for want, fail := range []error{no, nil} {
		err := store.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
			q.PutWith(tx, sluice.Invocation{Function: "f"})
			return fail
		})
		if n := rows(t, store, "Q/test/"); !errors.Is(err, fail) || n != want {
			t.Errorf("%v, %d calls", err, n)
		}
	}
}

func TestUnreadableCallsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := later(store, func(context.Context, sluice.Invocation) (sluice.Result, error) { return sluice.Result{}, nil })
		err := store.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
			tx.Put(append([]byte("Q/test/"), make([]byte, 16)...), []byte("{"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		put(t, q, sluice.Invocation{Function: "f"})
		runFor(t, q, time.Second)
		wantEmpty(t, store)
	})
}

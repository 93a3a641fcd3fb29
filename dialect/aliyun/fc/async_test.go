package fc

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// left counts the calls that wait in a store.
func left(t *testing.T, s kv.Store) int {
	t.Helper()
	n := 0
	err := s.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan(asyncSpace, kv.PrefixEnd(asyncSpace), kv.ScanOpts{Limit: 1000})
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

type invokeFunc func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)

func (f invokeFunc) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return f(ctx, inv)
}

func (f invokeFunc) List(sluice.AppName) []function.Status { return nil }

func (f invokeFunc) Version(sluice.AppName, sluice.FunctionName) (*function.Version, bool) {
	return nil, false
}

func TestAsynchronousCallsAreMade(t *testing.T) {
	store := memory.New()
	made := make(chan sluice.Invocation, 300)
	f := invokeFunc(func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		made <- inv
		return sluice.Result{}, nil
	})
	q := NewQueue(store, f, nil)
	a, _ := newAPI(nil)
	a.o.Later = q
	res, body := do(t, a, fcSign(post("/2016-08-15/services/svc/functions/f/invocations", "hi", "X-Fc-Invocation-Type", "Async"), "mine", "my secret"))
	if res.StatusCode != 202 || body != "" {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if left(t, store) != 1 {
		t.Error("a call that is accepted must be in the store")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	inv := <-made
	if inv.App != "app" || inv.Function != "f" || string(inv.Payload) != "hi" || inv.RequestID != res.Header.Get("X-Fc-Request-Id") {
		t.Errorf("%+v", inv)
	}
	for i := range 200 { // more than run at once
		if err := q.Put(t.Context(), sluice.Invocation{App: "app", Function: "f", RequestID: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for range 200 {
		seen[(<-made).RequestID]++
	}
	for left(t, store) > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	running.Wait()
	if len(seen) != 200 || len(made) != 0 {
		t.Errorf("%d different calls, %d more", len(seen), len(made))
	}
}

func TestAsynchronousCallsOutliveAStop(t *testing.T) {
	store := memory.New()
	began := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	q := NewQueue(store, invokeFunc(func(ctx context.Context, _ sluice.Invocation) (sluice.Result, error) {
		close(began)
		<-ctx.Done()
		return sluice.Result{}, ctx.Err()
	}), nil)
	if err := q.Put(ctx, sluice.Invocation{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	go func() { <-began; cancel() }()
	q.Run(ctx)
	if left(t, store) != 1 {
		t.Fatal("the call must wait for the next start")
	}
	ctx, cancel = context.WithCancel(context.Background())
	n := 0
	NewQueue(store, invokeFunc(func(context.Context, sluice.Invocation) (sluice.Result, error) {
		n++
		time.AfterFunc(50*time.Millisecond, cancel)
		return sluice.Result{}, nil
	}), nil).Run(ctx)
	if n != 1 || left(t, store) != 0 {
		t.Errorf("%d calls, %d left", n, left(t, store))
	}
}

func TestAsynchronousRetries(t *testing.T) {
	failed := sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "boom"}}
	busy := sluice.Errorf(sluice.Throttled, "busy")
	for _, tc := range []struct {
		name   string
		answer func(try int) (sluice.Result, error)
		at     []time.Duration
	}{
		{"keeps failing", func(int) (sluice.Result, error) { return failed, nil }, []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}},
		{"fails once", func(try int) (sluice.Result, error) {
			if try == 1 {
				return failed, nil
			}
			return sluice.Result{}, nil
		}, []time.Duration{0, 500 * time.Millisecond}},
		{"busy does not count as failing", func(try int) (sluice.Result, error) {
			if try < 6 {
				return sluice.Result{}, busy
			}
			return sluice.Result{}, nil
		}, []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond, 15500 * time.Millisecond}},
		{"is not there", func(int) (sluice.Result, error) { return sluice.Result{}, sluice.Errorf(sluice.Missing, "gone") }, []time.Duration{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				began := time.Now()
				var at []time.Duration
				q := NewQueue(store, invokeFunc(func(context.Context, sluice.Invocation) (sluice.Result, error) {
					at = append(at, time.Since(began).Round(10*time.Millisecond))
					return tc.answer(len(at))
				}), nil)
				if err := q.Put(t.Context(), sluice.Invocation{Function: "f"}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				q.Run(ctx)
				if diff := cmp.Diff(tc.at, at); diff != "" || left(t, store) != 0 {
					t.Errorf("%d left, %s", left(t, store), diff)
				}
			})
		})
	}
}

func TestAsynchronousCallsThatAreRefused(t *testing.T) {
	a, _ := newAPI(nil)
	const path = "/2016-08-15/services/svc/functions/f/invocations"
	big := make([]byte, maxAsync+1)
	if res, _ := do(t, a, fcSign(post(path, "", "X-Fc-Invocation-Type", "Async"), "mine", "my secret")); res.StatusCode != 503 {
		t.Errorf("without a queue: %d", res.StatusCode)
	}
	a.o.Later = NewQueue(memory.New(), nil, nil)
	if res, _ := do(t, a, fcSign(post(path, string(big), "X-Fc-Invocation-Type", "Async"), "mine", "my secret")); res.StatusCode != 400 {
		t.Errorf("too large: %d", res.StatusCode)
	}
}

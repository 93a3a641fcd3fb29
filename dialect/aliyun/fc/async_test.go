package fc

import (
	"context"
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
	space := []byte("Q/fc/")
	err := s.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan(space, kv.PrefixEnd(space), kv.ScanOpts{Limit: 1000})
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
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		made := make(chan sluice.Invocation, 1)
		q := NewQueue(store, invokeFunc(func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
			made <- inv
			return sluice.Result{}, nil
		}), nil)
		a, _ := newAPI(nil)
		a.o.Later = q
		res, body := do(t, a, fcSign(post("/2016-08-15/services/svc/functions/f/invocations", "hi", "X-Fc-Invocation-Type", "Async"), "mine", "my secret"))
		if res.StatusCode != 202 || body != "" {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		if left(t, store) != 1 {
			t.Error("a call that is accepted must be in the store")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		q.Run(ctx)
		if inv := <-made; inv.App != "app" || inv.Function != "f" || string(inv.Payload) != "hi" || inv.RequestID != res.Header.Get("X-Fc-Request-Id") {
			t.Errorf("%+v", inv)
		}
		if left(t, store) != 0 {
			t.Error("a call that is made must leave the store")
		}
	})
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

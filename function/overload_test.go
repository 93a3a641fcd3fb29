package function

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice"
)

// flood calls f every pause for a time, and says how many calls were served in the second half of it a
// second, how long the slowest of those took, and how long the slowest refusal.
func flood(t *testing.T, f *Functions, pause, spell time.Duration) (served float64, slowest, refusal time.Duration, refused int) {
	t.Helper()
	var mu sync.Mutex
	var calls sync.WaitGroup
	began := time.Now()
	half, end := began.Add(spell/2), began.Add(spell)
	for at := began; at.Before(end); at = at.Add(pause) {
		time.Sleep(time.Until(at))
		calls.Go(func() {
			at := time.Now()
			res, err := call(f, "f", "")
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && res.Failure == nil:
				slowest = max(slowest, now.Sub(at))
				if now.After(half) && !now.After(end) {
					served++
				}
			case sluice.KindOf(err) == sluice.Throttled:
				refusal = max(refusal, now.Sub(at))
				refused++
			default:
				t.Error(err, res.Failure)
			}
		})
	}
	calls.Wait()
	return served / (spell / 2).Seconds(), slowest, refusal, refused
}

func TestAtTwiceTheLoadThePeakIsServedSoonAndTheRestRefusedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		most     int
		computes bool
		takes    time.Duration
		peak     float64
	}{
		"waits":                   {most: 4, takes: 20 * time.Millisecond, peak: 200},
		"waits long":              {most: 4, takes: 900 * time.Millisecond, peak: 4 / 0.9},
		"computes":                {most: 64, computes: true, takes: 10 * time.Millisecond, peak: 200},
		"computes in one process": {most: 1, computes: true, takes: 5 * time.Millisecond, peak: 200},
	} {
		t.Run(name, func(t *testing.T) {
			born := time.Now()
			s := &fakes{
				start:  func(context.Context, *Version, int) error { time.Sleep(100 * time.Millisecond); return nil },
				invoke: slow(c.takes),
				wanted: func(*fake) time.Duration {
					if !c.computes {
						return 1
					}
					return time.Since(born) + 1
				},
			}
			room(t, s, Options{ColdParallel: 2, NoPrewarm: true}, func(t *testing.T, f *Functions) {
				born = time.Now()
				deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances, s.Timeout = c.most, 10*time.Second }))
				served, slowest, refusal, refused := flood(t, f, time.Duration(float64(time.Second)/c.peak/2), 20*time.Second)
				if served < 0.9*c.peak || slowest > 2*time.Second+2*c.takes || refusal > 0 || refused == 0 {
					t.Errorf("%.0f of %.0f served a second, the last after %v; %d refused within %v", served, c.peak, slowest, refused, refusal)
				}
			})
		})
	}
}

func TestASlowStartDoesNotRefuseCalls(t *testing.T) {
	s := &fakes{
		start: func(context.Context, *Version, int) error { time.Sleep(5 * time.Second); return nil },
		invoke: func(ctx context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error) {
			if string(inv.Payload) == "first" { // it connects to its database
				return slow(4*time.Second)(ctx, i, inv)
			}
			return slow(10*time.Millisecond)(ctx, i, inv)
		},
	}
	room(t, s, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances = 1 }))
		for _, payloads := range [][]string{slices.Repeat([]string{""}, 50), append([]string{"first"}, slices.Repeat([]string{""}, 50)...)} {
			var calls sync.WaitGroup
			for _, p := range payloads {
				calls.Go(func() {
					if _, err := call(f, "f", p); err != nil {
						t.Error(err)
					}
				})
			}
			calls.Wait()
			time.Sleep(time.Hour) // nothing is left of the instance
		}
	})
}

func TestAFunctionThatMayHaveMoreInstancesGetsThemBeforeItsCallsAreRefused(t *testing.T) {
	s := &fakes{
		start:  func(context.Context, *Version, int) error { time.Sleep(100 * time.Millisecond); return nil },
		invoke: slow(2 * time.Second),
		wanted: func(*fake) time.Duration { return 1 },
	}
	room(t, s, Options{ColdParallel: 2}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		for range 3 {
			call(f, "f", "")
		}
		var calls sync.WaitGroup
		for range 64 {
			calls.Go(func() {
				if _, err := call(f, "f", ""); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	})
}

func TestACallIsRefusedBeforeItIsMadeAsWhenItIs(t *testing.T) {
	s := &fakes{invoke: slow(time.Second)}
	room(t, s, Options{QueueMin: 8}, func(t *testing.T, f *Functions) {
		if err := f.Refuse("app", "f"); err != nil {
			t.Error(err)
		}
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances = 1 }))
		var calls sync.WaitGroup
		for n := range 9 { // one runs
			if err := f.Refuse("app", "f"); err != nil {
				t.Errorf("with %d there: %v", n, err)
			}
			calls.Go(func() { call(f, "f", "") })
			synctest.Wait()
		}
		err := f.Refuse("app", "f")
		if _, made := call(f, "f", ""); err == nil || made == nil || err.Error() != made.Error() || sluice.KindOf(err) != sluice.Throttled {
			t.Errorf("%v, and when it is made %v", err, made)
		}
		if got := stats(t, f, "f"); got.Throttled != 2 {
			t.Errorf("%+v", got)
		}
		calls.Wait()
		if err := f.Refuse("app", "f"); err != nil {
			t.Error(err)
		}
	})
}

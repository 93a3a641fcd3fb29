package function

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice"
)

func TestABurstStartsAsManyInstancesAsAllowed(t *testing.T) {
	for _, c := range []struct{ calls, conc, most, want int }{{16, 1, 64, 16}, {16, 1, 5, 5}, {16, 4, 64, 4}, {1, 10, 64, 1}} {
		s := &fakes{invoke: slow(time.Second), start: func(context.Context, *Version, int) error { time.Sleep(50 * time.Millisecond); return nil }}
		room(t, s, Options{NoPrewarm: true, ColdParallel: 2}, func(t *testing.T, f *Functions) {
			deploy(t, f, fn("f", func(s *sluice.Function) { s.Concurrency, s.MaxInstances = c.conc, c.most }))
			var wg sync.WaitGroup
			for range c.calls {
				wg.Go(func() {
					if res, err := call(f, "f", ""); err != nil || res.Failure != nil {
						t.Error(err, res.Failure)
					}
				})
			}
			wg.Wait()
			if n, _ := s.count(); n != c.want {
				t.Errorf("%+v: %d instances", c, n)
			}
		})
	}
}

func TestBootsRunAtMostAFewAtATime(t *testing.T) {
	var now, most atomic.Int32
	s := &fakes{invoke: slow(time.Second), start: func(context.Context, *Version, int) error {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(50 * time.Millisecond)
		now.Add(-1)
		return nil
	}}
	room(t, s, Options{NoPrewarm: true, ColdParallel: 3}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() { call(f, "f", "") })
		}
		wg.Wait()
		if most.Load() != 3 {
			t.Errorf("%d at a time", most.Load())
		}
	})
}

func TestASlowInitializerDoesNotKeepOthersFromStarting(t *testing.T) {
	s := &fakes{start: func(_ context.Context, v *Version, _ int) error {
		if v.Spec.Name == "slow" {
			time.Sleep(20 * time.Second)
		}
		return nil
	}}
	room(t, s, Options{ColdParallel: 1}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("slow", nil))
		synctest.Wait()
		deploy(t, f, fn("f", nil))
		began := time.Now()
		if _, err := call(f, "f", ""); err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestShortQueuesWaitRatherThanStart(t *testing.T) {
	service := time.Millisecond
	s := &fakes{start: func(context.Context, *Version, int) error { time.Sleep(50 * time.Millisecond); return nil }}
	s.invoke = func(ctx context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error) {
		return slow(service)(ctx, i, inv)
	}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		call(f, "f", "")
		burst := func(n int) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() { call(f, "f", "") })
			}
			wg.Wait()
		}
		burst(10)
		if n, _ := s.count(); n != 1 {
			t.Errorf("%d instances for a queue that drains in 10 ms", n)
		}
		service = time.Second // now each call is slower than a start: whoever waits that long gets one
		burst(3)
		if n, _ := s.count(); n != 3 {
			t.Errorf("%d instances for three slow calls", n)
		}
	})
}

// oneDrains has 16 callers, each of whom makes so many calls, and expects that one instance was enough.
func oneDrains(t *testing.T, s *fakes, times int, call func()) {
	t.Helper()
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range times {
				call()
			}
		})
	}
	callers.Wait()
	if starts, _ := s.count(); starts != 1 {
		t.Errorf("%d instances were started for a queue that one could drain", starts)
	}
}

// A busy machine lets goroutines wait that were given an instance: that is no call's time, and another process
// would make it worse.
func TestAQueueThatMovesSlowlyForOtherReasonsStartsNothing(t *testing.T) {
	s := &fakes{
		start:  func(context.Context, *Version, int) error { time.Sleep(5 * time.Millisecond); return nil },
		invoke: slow(100 * time.Microsecond),
		wanted: func(*fake) time.Duration { return 1 },
	}
	room(t, s, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		for range 10 {
			call(f, "f", "")
		}
		oneDrains(t, s, 20, func() {
			p, err := f.enter(&sluice.Invocation{App: "app", Function: "f"})
			if err != nil {
				t.Error(err)
				return
			}
			m, _, err := p.acquire(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(5 * time.Millisecond) // until the goroutine runs
			inv := &sluice.Invocation{App: "app", Function: "f", RequestID: sluice.NewRequestID()}
			c := m.begin(false, inv)
			c.land(m.inst.Invoke(c.ctx, inv))
			f.calls.Done()
		})
	})
}

// The first call of an instance is slow (its code is read for the first time), and says nothing about the next.
func TestSlowFirstCallsStartNoMoreInstances(t *testing.T) {
	var mu sync.Mutex
	called := map[*fake]bool{}
	s := &fakes{
		start: func(context.Context, *Version, int) error { time.Sleep(5 * time.Millisecond); return nil },
		invoke: func(ctx context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error) {
			mu.Lock()
			first := !called[i]
			called[i] = true
			mu.Unlock()
			if first {
				return slow(200*time.Millisecond)(ctx, i, inv)
			}
			return slow(time.Millisecond)(ctx, i, inv)
		},
		wanted: func(*fake) time.Duration { return 1 },
	}
	room(t, s, Options{ColdParallel: 2}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		for range 2 {
			call(f, "f", "")
		}
		oneDrains(t, s, 100, func() { call(f, "f", "") })
	})
}

// An instance that does one short call after the other leaves processors idle between them.
func TestAQueueThatLastsGetsInstancesAsLongAsProcessorsAreIdle(t *testing.T) {
	for _, c := range []struct {
		name string
		idle func(instances int) float64
		want int
	}{
		{"idle until there are four", func(n int) float64 { return 1 - 0.2*float64(n) }, 4},
		{"never idle", func(int) float64 { return 0.2 }, 1},
		{"nobody tells", nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fakes{
				start:  func(context.Context, *Version, int) error { time.Sleep(5 * time.Millisecond); return nil },
				invoke: slow(time.Millisecond),
				wanted: func(*fake) time.Duration { return 1 },
			}
			if c.idle != nil {
				// What the sum since the boot grows by is what was idle since the last look.
				var sum float64
				last := time.Time{}
				s.idle = func() float64 {
					now := time.Now()
					all := float64(now.UnixMilli())
					if last.IsZero() {
						last, sum = now, all/2
					}
					_, live := s.count()
					sum += c.idle(live) * float64(now.Sub(last).Milliseconds())
					last = now
					return sum / all
				}
			}
			room(t, s, Options{ColdParallel: 2}, func(t *testing.T, f *Functions) {
				deploy(t, f, fn("f", nil))
				for range 3 {
					call(f, "f", "")
				}
				var callers sync.WaitGroup
				end := time.Now().Add(10 * time.Second)
				for range 16 {
					callers.Go(func() {
						for time.Now().Before(end) {
							call(f, "f", "")
						}
					})
				}
				callers.Wait()
				if starts, _ := s.count(); starts != c.want {
					t.Errorf("%d instances, not %d", starts, c.want)
				}
			})
		})
	}
}

// A server that listens on a port of its own lets no second one start.
func TestCallsWaitForTheStartThatGoesWell(t *testing.T) {
	s := &fakes{invoke: slow(time.Second), start: func(_ context.Context, _ *Version, nth int) error {
		if nth > 1 {
			return failing(sluice.Crashed, "address in use")
		}
		time.Sleep(2 * time.Second)
		return nil
	}}
	room(t, s, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.Timeout = time.Minute }))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if res, err := call(f, "f", ""); err != nil || res.Failure != nil {
					t.Error(err, res.Failure)
				}
			})
		}
		wg.Wait()
		if n, live := s.count(); n < 2 || live != 1 {
			t.Errorf("%d starts, %d instances", n, live)
		}
	})
}

func TestCallsWaitForAFirstInstanceAsLongAsItMayStart(t *testing.T) {
	starts := 8 * time.Second
	s := &fakes{start: func(context.Context, *Version, int) error {
		time.Sleep(starts)
		return nil
	}}
	room(t, s, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		short := func(s *sluice.Function) { s.Timeout, s.InitTimeout = 3*time.Second, 10*time.Second }
		deploy(t, f, fn("f", short))
		if res, err := call(f, "f", ""); err != nil || !res.Cold {
			t.Error(res, err)
		}
		starts = time.Minute // longer than any starter would let it
		deploy(t, f, fn("g", short))
		began := time.Now()
		if _, err := call(f, "g", ""); sluice.KindOf(err) != sluice.Throttled || time.Since(began) != 13*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestFailedStartsBackOffAndPark(t *testing.T) {
	s := &fakes{start: func(context.Context, *Version, int) error { return failing(sluice.InitFail, "no table") }}
	room(t, s, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		began := time.Now()
		for range 5 {
			res, err := call(f, "f", "")
			if err != nil || res.Failure == nil || res.Failure.Message != "no table" {
				t.Fatal(res, err)
			}
		}
		var at []time.Duration
		for _, when := range s.starts {
			at = append(at, when.Sub(began))
		}
		if got := fmt.Sprint(at); got != "[0s 0s 100ms 300ms 700ms]" {
			t.Errorf("starts at %s", got)
		}
		for range 10 { // parked: answered at once, nothing is started
			now := time.Now()
			res, err := call(f, "f", "")
			if err != nil || res.Failure == nil || res.Failure.Message != "no table" || time.Since(now) != 0 {
				t.Fatal(res, err)
			}
		}
		if n, _ := s.count(); n != 5 {
			t.Errorf("%d starts", n)
		}
		if st, _ := f.Status("app", "f"); !st.Parked || st.InitError != "no table" || st.Stats.Errors != 15 {
			t.Errorf("%+v", st)
		}
		time.Sleep(parkRetry) // the cause may have gone
		s.start = nil
		if res, err := call(f, "f", ""); err != nil || res.Failure != nil {
			t.Error(res, err)
		}
		if st, _ := f.Status("app", "f"); st.Parked || st.InitError != "" {
			t.Errorf("%+v", st)
		}
	})
}

func TestDeployUnparks(t *testing.T) {
	s := &fakes{start: func(context.Context, *Version, int) error { return failing(sluice.BadEntry, "no handler") }}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		synctest.Wait()
		if st, _ := f.Status("app", "f"); !st.Parked || st.InitError != "no handler" {
			t.Errorf("a missing handler shows before the first call: %+v", st)
		}
		if res, _ := call(f, "f", ""); res.Failure == nil || res.Failure.Kind != sluice.BadEntry {
			t.Errorf("%+v", res)
		}
		if n, _ := s.count(); n != 1 {
			t.Errorf("%d starts", n)
		}
		s.start = nil
		deploy(t, f, fn("f", nil))
		if res, err := call(f, "f", ""); err != nil || res.Failure != nil {
			t.Error(res, err)
		}
	})
}

func TestABurstOnABrokenFunctionIsAnswered(t *testing.T) {
	s := &fakes{start: func(context.Context, *Version, int) error {
		time.Sleep(50 * time.Millisecond)
		return errors.New("disk full")
	}}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := call(f, "f", ""); sluice.KindOf(err) != sluice.Internal || !strings.Contains(err.Error(), "disk full") {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		wg.Wait()
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestCrashesSlowTheNextStartsDown(t *testing.T) {
	s := &fakes{invoke: func(_ context.Context, i *fake, _ *sluice.Invocation) (sluice.Result, error) {
		i.end()
		return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Message: "exit status 1"}}, nil
	}}
	room(t, s, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		began := time.Now()
		for range 5 {
			if res, err := call(f, "f", ""); err != nil || res.Failure == nil || res.Failure.Kind != sluice.Crashed {
				t.Fatal(res, err)
			}
		}
		if d := time.Since(began); d != 700*time.Millisecond {
			t.Errorf("took %v", d)
		}
		s.invoke = nil
		call(f, "f", "") // a success ends it
		s.invoke = func(_ context.Context, i *fake, _ *sluice.Invocation) (sluice.Result, error) {
			i.end()
			return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed}}, nil
		}
		call(f, "f", "")
		began = time.Now()
		call(f, "f", "")
		if d := time.Since(began); d != 0 {
			t.Errorf("after a success the first restart took %v", d)
		}
	})
}

func TestIdleInstancesGoAndAFreshOneStays(t *testing.T) {
	s := &fakes{invoke: slow(time.Second)}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { call(f, "f", "") })
		}
		wg.Wait()
		if got := stats(t, f, "f").Idle; got != 8 {
			t.Errorf("%d idle", got)
		}
		time.Sleep(30 * time.Second)
		if got := stats(t, f, "f").Idle; got != 8 {
			t.Errorf("%d idle within the minute", got)
		}
		time.Sleep(40 * time.Second)
		if got := stats(t, f, "f").Idle; got != 1 {
			t.Errorf("%d idle after the minute", got)
		}
		started, _ := s.count()
		time.Sleep(300 * time.Second)
		if n, live := s.count(); n != started+1 || live != 1 {
			t.Errorf("%d starts after %d, %d live: the last is replaced by a fresh one", n, started, live)
		}
		time.Sleep(time.Hour)
		if n, live := s.count(); n != started+1 || live != 1 {
			t.Errorf("%d starts, %d live: the fresh one stays", n, live)
		}
		if res, _ := call(f, "f", ""); res.Cold {
			t.Error("a prewarmed call is cold")
		}
	})
}

func TestAStartThatNoCallWaitsForAnyMoreIsNotMade(t *testing.T) {
	s := &fakes{
		start: func(context.Context, *Version, int) error { time.Sleep(100 * time.Millisecond); return nil },
		invoke: func(context.Context, *fake, *sluice.Invocation) (sluice.Result, error) {
			time.Sleep(time.Millisecond)
			return sluice.Result{}, nil
		},
	}
	room(t, s, Options{ColdParallel: 1, NoPrewarm: true}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				if _, err := call(f, "f", ""); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		time.Sleep(10 * time.Second)
		if n, _ := s.count(); n > 2 {
			t.Errorf("%d starts for calls that the first served", n)
		}
	})
}

func TestCallsComeBeforePrewarming(t *testing.T) {
	s := &fakes{start: func(context.Context, *Version, int) error { time.Sleep(200 * time.Millisecond); return nil }}
	room(t, s, Options{ColdParallel: 2, PrewarmMB: 1 << 20}, func(t *testing.T, f *Functions) {
		for i := range 100 {
			deploy(t, f, fn(fmt.Sprint(i), nil))
		}
		time.Sleep(time.Second)
		if n, _ := s.count(); n > 6 {
			t.Errorf("%d starts in a second, of one at a time", n)
		}
		began := time.Now()
		for _, name := range []string{"99", "50", "98"} {
			if res, err := call(f, name, ""); err != nil || res.Failure != nil {
				t.Fatal(err, res.Failure)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("three calls waited %v behind the prewarmed", took)
		}
		time.Sleep(time.Minute)
		if n, live := s.count(); n != 100 || live != 100 {
			t.Errorf("%d starts, %d live", n, live)
		}
	})
}

func TestWithoutPrewarmingNothingStays(t *testing.T) {
	s := &fakes{}
	room(t, s, Options{NoPrewarm: true, IdleTTL: 10 * time.Second}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		if res, _ := call(f, "f", ""); !res.Cold {
			t.Error("the first call is not cold")
		}
		time.Sleep(12 * time.Second)
		if n, live := s.count(); n != 1 || live != 0 {
			t.Errorf("%d starts, %d live", n, live)
		}
	})
}

func TestMinInstancesStay(t *testing.T) {
	s := &fakes{}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MinInstances = 3 }))
		time.Sleep(time.Hour)
		if _, live := s.count(); live != 3 {
			t.Errorf("%d live", live)
		}
	})
}

func TestPrewarmedInstancesKeepToTheirMemory(t *testing.T) {
	s := &fakes{}
	room(t, s, Options{PrewarmMB: 300}, func(t *testing.T, f *Functions) { // a fake counts as 128 MB
		for _, name := range []string{"a", "b", "c", "d"} {
			deploy(t, f, fn(name, nil))
			time.Sleep(2 * time.Second)
		}
		if _, live := s.count(); live != 2 {
			t.Errorf("%d live", live)
		}
		if stats(t, f, "a").Idle != 0 || stats(t, f, "d").Idle != 1 {
			t.Error("the functions used longest ago lose theirs first")
		}
	})
}

func TestOneSlowCallIsNotTheAverage(t *testing.T) {
	var a average
	a.add(3*time.Millisecond, seasoned)
	a.add(time.Millisecond, seasoned)
	if a.value != 2*time.Millisecond {
		t.Errorf("of 3 and 1 ms: %v", a.value)
	}
	for range 100 {
		a.add(time.Millisecond, seasoned)
	}
	if a.add(101*time.Millisecond, seasoned); a.value > 7*time.Millisecond {
		t.Errorf("of many 1 ms and one of 101: %v", a.value)
	}
}

package function

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

func TestInstancesThatComputeAreNotMoreThanProcessors(t *testing.T) {
	for name, c := range map[string]struct {
		busy  int // percent of its time that an instance wants a processor
		least int
		most  int
	}{"that compute": {90, 2, 2}, "that wait": {10, 16, 16}} {
		born := time.Now()
		s := &fakes{
			start: func(context.Context, *Version, int) error { time.Sleep(10 * time.Millisecond); return nil },
			invoke: func(context.Context, *fake, *sluice.Invocation) (sluice.Result, error) {
				time.Sleep(100 * time.Millisecond)
				return sluice.Result{}, nil
			},
			wanted: func(*fake) time.Duration { return time.Since(born)*time.Duration(c.busy)/100 + 1 },
		}
		room(t, s, Options{ColdParallel: 2, NoPrewarm: true}, func(t *testing.T, f *Functions) {
			born = time.Now()
			deploy(t, f, fn("f", nil))
			var callers sync.WaitGroup
			for range 16 {
				callers.Go(func() {
					for range 20 {
						if _, err := call(f, "f", ""); err != nil {
							t.Error(err)
						}
					}
				})
			}
			callers.Wait()
			if n, _ := s.count(); n < c.least || n > c.most {
				t.Errorf("%d instances %s on two processors", n, name)
			}
		})
	}
}

func TestInstancesWithoutCallsDoNotSayThatCallsWait(t *testing.T) {
	for name, c := range map[string]struct {
		part     time.Duration // of 10 of a call that it wants a processor
		computes bool
	}{"computes": {8, true}, "waits": {1, false}} {
		var mu sync.Mutex
		wanted := map[*fake]time.Duration{}
		s := &fakes{
			invoke: func(_ context.Context, i *fake, _ *sluice.Invocation) (sluice.Result, error) {
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				wanted[i] += c.part * time.Millisecond
				return sluice.Result{}, nil
			},
			wanted: func(i *fake) time.Duration { mu.Lock(); defer mu.Unlock(); return wanted[i] + 1 },
		}
		room(t, s, Options{ColdParallel: 2, NoPrewarm: true}, func(t *testing.T, f *Functions) {
			v := fn("f", nil)
			v.Spec.MinInstances = 10
			deploy(t, f, v)
			time.Sleep(time.Second)
			p := f.pools[key{v.App, v.Spec.Name}]
			var computes bool
			for range 20 {
				if _, err := call(f, "f", ""); err != nil {
					t.Error(err)
				}
				p.mu.Lock()
				computes = p.compute(time.Now())
				p.mu.Unlock()
			}
			if computes != c.computes {
				t.Errorf("a function that %s: said to compute is %v", name, computes)
			}
		})
	}
}

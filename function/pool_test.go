package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicehq/sluice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes starts instances that do what their functions say. The zero value answers at once.
type fakes struct {
	start  func(ctx context.Context, v *Version, nth int) error
	invoke func(ctx context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error)

	wanted func(i *fake) time.Duration // nil: nobody can tell
	idle   func() float64              // of the machine's processors; nil: nobody can tell

	mu     sync.Mutex
	starts []time.Time
	live   int
	stops  int
	logs   LogSink
}

type fake struct {
	of   *fakes
	v    *Version
	n    int
	done chan struct{}
	once sync.Once
}

func (i *fake) Wanted() time.Duration {
	if i.of.wanted == nil {
		return 0
	}
	return i.of.wanted(i)
}

func (f *fakes) Runs(dialect, runtime string) bool { return runtime == "fake" }

func (f *fakes) Start(ctx context.Context, v *Version, s Spawner, logs LogSink) (Instance, error) {
	f.mu.Lock()
	f.starts = append(f.starts, time.Now())
	n := len(f.starts)
	f.logs = logs
	f.mu.Unlock()
	if f.start != nil {
		if err := f.start(ctx, v, n); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	f.live++
	f.mu.Unlock()
	return &fake{of: f, v: v, n: n, done: make(chan struct{})}, nil
}

func (f *fakes) count() (starts, live int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.starts), f.live
}

func (i *fake) ID() string            { return fmt.Sprint("i", i.n) }
func (i *fake) Done() <-chan struct{} { return i.done }
func (i *fake) end()                  { i.once.Do(func() { close(i.done) }) }

func (i *fake) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	select {
	case <-i.done:
		return sluice.Result{}, ErrInstanceGone
	default:
	}
	if i.of.invoke == nil {
		return sluice.Result{Payload: inv.Payload}, nil
	}
	return i.of.invoke(ctx, i, inv)
}

func (i *fake) Stop(ctx context.Context) {
	i.end()
	i.of.mu.Lock()
	defer i.of.mu.Unlock()
	i.of.live--
	i.of.stops++
}

// slow answers after d, or with a TimedOut failure at the end of ctx, as an instance must.
func slow(d time.Duration) func(context.Context, *fake, *sluice.Invocation) (sluice.Result, error) {
	return func(ctx context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error) {
		select {
		case <-time.After(d):
			return sluice.Result{Payload: []byte(i.v.Revision)}, nil
		case <-ctx.Done():
			i.end()
			return sluice.Result{Failure: &sluice.Failure{Kind: sluice.TimedOut}}, nil
		}
	}
}

func failing(kind sluice.FailureKind, msg string) error {
	return &StartError{Failure: sluice.Failure{Kind: kind, Message: msg}}
}

// processors tells of a machine that is as idle as idle says.
func (f *fakes) processors() (idle, all uint64) {
	if f.idle == nil {
		return 0, 0
	}
	all = uint64(time.Now().UnixMilli())
	return uint64(f.idle() * float64(all)), all
}

// room runs a test in a bubble where time jumps.
func room(t *testing.T, s *fakes, o Options, test func(t *testing.T, f *Functions)) {
	synctest.Test(t, func(t *testing.T) {
		o.Starters, o.Log = []Starter{s}, slog.New(slog.DiscardHandler)
		f := New(o)
		f.processors.read = s.processors
		ctx, cancel := context.WithCancel(context.Background())
		var run sync.WaitGroup
		run.Go(func() { f.Run(ctx) })
		test(t, f)
		cancel()
		run.Wait()
		if _, live := s.count(); live != 0 {
			t.Errorf("%d instances are left", live)
		}
	})
}

func fn(name string, change func(*sluice.Function)) *Version {
	v := &Version{App: "app", Revision: "1", Spec: sluice.Function{Name: sluice.FunctionName(name), Runtime: "fake", Timeout: time.Minute}}
	if change != nil {
		change(&v.Spec)
	}
	return v
}

func deploy(t *testing.T, f *Functions, v *Version) {
	t.Helper()
	if err := f.Deploy(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

func call(f *Functions, name, payload string) (sluice.Result, error) {
	return f.Invoke(context.Background(), sluice.Invocation{App: "app", Function: sluice.FunctionName(name), Payload: []byte(payload)})
}

func stats(t *testing.T, f *Functions, name string) Stats {
	t.Helper()
	s, ok := f.Status("app", sluice.FunctionName(name))
	if !ok {
		t.Fatalf("no function %q", name)
	}
	return s.Stats
}

func TestCallsThatReachNoFunction(t *testing.T) {
	room(t, &fakes{}, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		if _, err := call(f, "none", ""); sluice.KindOf(err) != sluice.Missing {
			t.Errorf("none: %v", err)
		}
		deploy(t, f, fn("java", func(s *sluice.Function) { s.Runtime = "java11" }))
		_, err := call(f, "java", "")
		if sluice.KindOf(err) != sluice.Unavailable || !strings.Contains(sluice.HintOf(err), "java11") {
			t.Errorf("java: %v, hint %q", err, sluice.HintOf(err))
		}
		if err := f.Deploy(t.Context(), &Version{}); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("nameless: %v", err)
		}
		f.Stop(t.Context())
		if _, err := call(f, "java", ""); sluice.KindOf(err) != sluice.Unavailable {
			t.Errorf("stopped: %v", err)
		}
		if err := f.Deploy(t.Context(), fn("f", nil)); sluice.KindOf(err) != sluice.Unavailable {
			t.Errorf("deploy after stop: %v", err)
		}
	})
}

func TestCallsInARowUseOneInstance(t *testing.T) {
	s := &fakes{}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		for n := range 100 {
			res, err := call(f, "f", fmt.Sprint(n))
			if err != nil || string(res.Payload) != fmt.Sprint(n) || res.Instance != "i1" {
				t.Fatal(res, err)
			}
		}
		if got := stats(t, f, "f"); got.Invocations != 100 || got.Idle != 1 || got.InFlight != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	s := &fakes{invoke: slow(30 * time.Second)}
	room(t, s, Options{QueueMin: 20}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances = 1 }))
		synctest.Wait() // its instance is there
		var full, late, fine atomic.Int32
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				began := time.Now()
				_, err := call(f, "f", "")
				switch took := time.Since(began); {
				case err == nil:
					fine.Add(1)
				case sluice.KindOf(err) != sluice.Throttled:
					t.Error(err)
				case took == 0:
					full.Add(1)
				case took == 10*time.Second:
					late.Add(1)
				default:
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		wg.Wait()
		if full.Load() != 9 || late.Load() != 20 || fine.Load() != 1 {
			t.Errorf("%d found it full, %d waited too long, %d ran", full.Load(), late.Load(), fine.Load())
		}
		if got := stats(t, f, "f"); got.Throttled != 29 || got.Queued != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestTimeoutsCountFromDispatch(t *testing.T) {
	s := &fakes{invoke: slow(2 * time.Second)}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances, s.Timeout = 1, 3*time.Second }))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if res, err := call(f, "f", ""); err != nil || res.Failure != nil {
					t.Error(err, res.Failure)
				}
			})
		}
		wg.Wait()
		s.invoke = slow(time.Hour)
		began := time.Now()
		if res, err := call(f, "f", ""); err != nil || res.Failure == nil || res.Failure.Kind != sluice.TimedOut || time.Since(began) != 3*time.Second {
			t.Errorf("%+v %v after %v", res, err, time.Since(began))
		}
		s.invoke = nil
		if res, _ := call(f, "f", ""); res.Instance != "i2" {
			t.Errorf("served by %s", res.Instance)
		}
	})
}

func TestDeployTakesTheQueueOver(t *testing.T) {
	s := &fakes{invoke: slow(5 * time.Second)}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		one := func(s *sluice.Function) { s.MaxInstances = 1 }
		deploy(t, f, fn("f", one))
		got := make(chan string, 10)
		var wg sync.WaitGroup
		ask := func() {
			wg.Go(func() {
				res, err := call(f, "f", "")
				if err != nil || res.Failure != nil {
					t.Error(err, res.Failure)
				}
				got <- string(res.Payload)
			})
			synctest.Wait()
		}
		ask()
		ask()
		v := fn("f", one)
		v.Revision = "2"
		deploy(t, f, v)
		ask()
		if d := stats(t, f, "f"); d.Queued != 1 || d.Busy != 1 {
			t.Errorf("%+v", d)
		}
		wg.Wait()
		close(got)
		var all []string
		for g := range got {
			all = append(all, g)
		}
		if len(all) != 3 || strings.Count(strings.Join(all, ""), "1") != 1 {
			t.Errorf("versions %v: one call was in flight on the first", all)
		}
		synctest.Wait()
		if _, live := s.count(); live != 1 {
			t.Errorf("%d live", live)
		}
	})
}

func TestRemoveAnswersWhoWaits(t *testing.T) {
	s := &fakes{invoke: slow(5 * time.Second)}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances = 1 }))
		var wg sync.WaitGroup
		wg.Go(func() {
			if res, err := call(f, "f", ""); err != nil || res.Failure != nil {
				t.Error("a running call ends: ", err, res.Failure)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := call(f, "f", ""); sluice.KindOf(err) != sluice.Missing {
				t.Error(err)
			}
		})
		synctest.Wait()
		f.Remove(t.Context(), "app", "f")
		f.Remove(t.Context(), "app", "f")
		wg.Wait()
		if len(f.List("")) != 0 {
			t.Error("still listed")
		}
	})
}

func TestACallerMayLeave(t *testing.T) {
	var ended atomic.Int32
	s := &fakes{invoke: func(ctx context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error) {
		defer ended.Add(1)
		return slow(5*time.Second)(ctx, i, inv)
	}}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", func(s *sluice.Function) { s.MaxInstances = 1 }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 { // one runs, one waits
			wg.Go(func() {
				_, err := f.Invoke(ctx, sluice.Invocation{App: "app", Function: "f"})
				if sluice.KindOf(err) != sluice.Timeout || !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := stats(t, f, "f"); d.InFlight != 1 || d.Queued != 0 || ended.Load() != 0 {
			t.Errorf("the call that runs goes on, the other does not: %+v", d)
		}
		time.Sleep(5 * time.Second)
		if d := stats(t, f, "f"); d.InFlight != 0 || ended.Load() != 1 || d.Idle != 1 {
			t.Errorf("%+v, %d ended", d, ended.Load())
		}
	})
}

func TestStopLetsCallsEnd(t *testing.T) {
	for _, c := range []struct {
		patience time.Duration
		cut      bool
	}{{10 * time.Second, false}, {time.Second, true}} {
		s := &fakes{invoke: slow(5 * time.Second)}
		room(t, s, Options{}, func(t *testing.T, f *Functions) {
			deploy(t, f, fn("f", nil))
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					res, err := call(f, "f", "")
					if err != nil || (res.Failure != nil) != c.cut {
						t.Error(res.Failure, err)
					}
				})
			}
			time.Sleep(100 * time.Millisecond) // until each has an instance
			ctx, cancel := context.WithTimeout(t.Context(), c.patience)
			defer cancel()
			if err := f.Stop(ctx); (err != nil) != c.cut {
				t.Error(err)
			}
			if _, live := s.count(); live != 0 {
				t.Errorf("%d live after Stop", live)
			}
			wg.Wait()
		})
	}
}

func TestACallNeverBegunGoesToAnotherInstance(t *testing.T) {
	s := &fakes{}
	first := true
	s.invoke = func(_ context.Context, i *fake, _ *sluice.Invocation) (sluice.Result, error) {
		if first {
			first = false
			i.end()
			return sluice.Result{}, ErrInstanceGone
		}
		return sluice.Result{}, nil
	}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		if res, err := call(f, "f", ""); err != nil || res.Instance != "i2" {
			t.Error(res, err)
		}
		if d := stats(t, f, "f"); d.Invocations != 1 || d.InFlight != 0 {
			t.Errorf("%+v", d)
		}
	})
}

func TestAnIdleInstanceThatDiesIsForgotten(t *testing.T) {
	var last *fake
	s := &fakes{invoke: func(_ context.Context, i *fake, _ *sluice.Invocation) (sluice.Result, error) {
		last = i
		return sluice.Result{}, nil
	}}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		call(f, "f", "")
		last.end()
		synctest.Wait()
		if d := stats(t, f, "f"); d.Idle != 0 {
			t.Errorf("%+v", d)
		}
		if res, err := call(f, "f", ""); err != nil || res.Instance != "i2" {
			t.Error(res, err)
		}
	})
}

func TestTheLogTailIsTheCallsOwn(t *testing.T) {
	s := &fakes{}
	s.invoke = func(_ context.Context, i *fake, inv *sluice.Invocation) (sluice.Result, error) {
		s.logs.Log(LogLine{Request: inv.RequestID, Text: "raw", Line: "time raw"})
		s.logs.Log(LogLine{Request: "other", Text: "no"})
		s.logs.Log(LogLine{Text: "no"})
		for n := range 1000 {
			s.logs.Log(LogLine{Request: inv.RequestID, Text: fmt.Sprintf("line %4d", n)})
		}
		return sluice.Result{}, nil
	}
	room(t, s, Options{}, func(t *testing.T, f *Functions) {
		deploy(t, f, fn("f", nil))
		res, _ := call(f, "f", "")
		if n := len(res.LogTail); n != 4096 || !strings.HasSuffix(string(res.LogTail), "line  998\nline  999\n") || strings.Contains(string(res.LogTail), "no") {
			t.Errorf("%d bytes: %q", n, res.LogTail)
		}
		if len(f.tails.open) != 0 {
			t.Errorf("%d tails are kept", len(f.tails.open))
		}
	})
}

func TestListIsByAppAndName(t *testing.T) {
	room(t, &fakes{}, Options{NoPrewarm: true}, func(t *testing.T, f *Functions) {
		other := fn("a", nil)
		other.App = "other"
		deploy(t, f, other)
		deploy(t, f, fn("b", nil))
		deploy(t, f, fn("a", nil))
		names := func(list []Status) string {
			var s []string
			for _, l := range list {
				s = append(s, string(l.App)+"/"+string(l.Name))
			}
			return strings.Join(s, " ")
		}
		if got := names(f.List("")); got != "app/a app/b other/a" {
			t.Error(got)
		}
		if got := names(f.List("app")); got != "app/a app/b" {
			t.Error(got)
		}
		if v, ok := f.Version("other", "a"); !ok || v != other {
			t.Error("no version")
		}
	})
}

func TestLines(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", MaxLine)
	for _, c := range []struct {
		name string
		in   []string
		want []string
	}{
		{"whole", []string{"a\nb\n"}, []string{"a", "b"}},
		{"in pieces", []string{"a", "b\r", "\nc"}, []string{"ab", "c"}},
		{"empty", []string{"\n\n"}, []string{"", ""}},
		{"long", []string{big + "yy\n"}, []string{big, "yy"}},
		{"long in pieces", []string{"z", big, big, "\n"}, []string{"z" + big[1:], "x" + big[1:], "x"}},
	} {
		var got []string
		w := &LineWriter{Line: func(b []byte) { got = append(got, string(b)) }}
		for _, s := range c.in {
			w.Write([]byte(s))
		}
		w.Flush()
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s: %d lines, want %d", c.name, len(got), len(c.want))
		}
	}
}

package functions

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/dialect/aliyun/fc"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
)

// room is sluice's room of functions with all that starts them, in this process.
type room struct {
	*function.Functions
	ctx     context.Context
	temp    string
	prewarm bool
	stop    func()
}

// spares is how many booted instances are kept (process.NodeOptions); prewarm starts instances before they are called.
func newRoom(ctx context.Context, temp string, spares int, prewarm bool) *room {
	quiet := slog.New(slog.DiscardHandler)
	spawner := process.NewSpawner(process.Options{Log: quiet})
	node := process.NewNode(process.NodeOptions{Dir: filepath.Join(temp, "shim"), Spares: spares, Log: quiet})
	python := process.NewPython(process.PythonOptions{Dir: filepath.Join(temp, "shim"), Spares: spares, Log: quiet})
	f := function.New(function.Options{Spawner: spawner, Log: quiet, NoPrewarm: !prewarm,
		Starters: []function.Starter{node, python, &lambda.Provided{}, &fc.Custom{Keys: nobody{}}}})
	life, end := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { f.Run(life) })
	return &room{f, ctx, temp, prewarm, func() {
		late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		f.Stop(late)
		end()
		ran.Wait()
		node.Close()
		python.Close()
		spawner.Close()
	}}
}

// nobody has keys.
type nobody struct{}

func (nobody) Temporary(string, access.Principal, time.Duration) access.Credentials {
	return access.Credentials{}
}

func (nobody) Lookup(context.Context, string, string) (secret string, p access.Principal, err error) {
	return "", p, fmt.Errorf("nobody has keys")
}

// function makes a version whose code is one file.
func (r *room) function(name, dialect, runtime, file, code string, concurrency int) (*function.Version, error) {
	root, err := os.MkdirTemp(r.temp, name+"-*")
	if err != nil {
		return nil, err
	}
	mode := os.FileMode(0o644)
	if file == "bootstrap" {
		mode = 0o755
	}
	if err := os.WriteFile(filepath.Join(root, file), []byte(code), mode); err != nil {
		return nil, err
	}
	return &function.Version{App: "bench", Dialect: dialect, Revision: "1", Root: root,
		Env: map[string]string{"PATH": os.Getenv("PATH")},
		Spec: sluice.Function{Name: sluice.FunctionName(name), Group: "bench", Runtime: runtime, Handler: "index.handler",
			MemoryMB: 256, Timeout: 20 * time.Second, Concurrency: concurrency, MaxInstances: 1}}, nil
}

// call invokes once.
func (r *room) call(v *function.Version, payload []byte) error {
	res, err := r.Invoke(r.ctx, sluice.Invocation{App: v.App, Function: v.Spec.Name, Payload: payload})
	switch {
	case err != nil:
		return err
	case res.Failure != nil:
		return fmt.Errorf("%s: %s", v.Spec.Name, res.Failure.Message)
	case len(res.Payload) == 0:
		return fmt.Errorf("%s answered nothing", v.Spec.Name)
	}
	return nil
}

// warm is the median time of a call in µs.
func (r *room) warm(v *function.Version, payload []byte) measure.Side {
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		return typical(300, time.Second, func() error { return r.call(v, payload) })
	}}
}

// rate is calls a second of so many callers.
func (r *room) rate(v *function.Version, payload []byte, callers int) measure.Side {
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		return perSecond(callers, func() error { return r.call(v, payload) })
	}}
}

// fromZero is the median time in ms to the first answer of a function that has nothing running; pause is
// for what the room does in the background once it has deployed one.
func (r *room) fromZero(v *function.Version, payload []byte, pause time.Duration) measure.Side {
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		var took []float64
		for range 5 {
			r.Remove(r.ctx, v.App, v.Spec.Name)
			time.Sleep(pause)
			if err := r.Deploy(r.ctx, v); err != nil {
				return 0, err
			}
			if err := r.prewarmed(v, pause/2); err != nil {
				return 0, err
			}
			t := time.Now()
			if err := r.call(v, payload); err != nil {
				return 0, err
			}
			took = append(took, time.Since(t).Seconds()*1e3)
		}
		return measure.Median(took), nil
	}}
}

// prewarmed waits until a function has the instance that the room starts before it is called, if it does so, and
// then for a pause.
func (r *room) prewarmed(v *function.Version, pause time.Duration) error {
	for end := time.Now().Add(20 * time.Second); r.prewarm; time.Sleep(10 * time.Millisecond) {
		if s, _ := r.Status(v.App, v.Spec.Name); s.Stats.Idle > 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not started before it is called", v.Spec.Name)
		}
	}
	time.Sleep(pause)
	return nil
}

// crowdOf makes functions that are alike.
func crowdOf(r *room, fail func(error)) (all []*function.Version) {
	for i := range crowd {
		v, err := r.function(fmt.Sprintf("crowd%d", i), "aws", "nodejs20.x", "index.js", jsonHandler, 1)
		if err != nil {
			fail(err)
			return nil
		}
		all = append(all, v)
	}
	return all
}

// burst is the time in ms to the last of the first answers of functions that are all called at once; pause is
// for the room's pool to fill, once a start has told it of what kind.
func (r *room) burst(all []*function.Version, pause time.Duration) measure.Side {
	deploy := func() error {
		for _, v := range all {
			r.Remove(r.ctx, v.App, v.Spec.Name)
			if err := r.Deploy(r.ctx, v); err != nil {
				return err
			}
		}
		return nil
	}
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		err := deploy()
		if err == nil && pause > 0 {
			if err = r.call(all[0], event); err == nil {
				err = deploy()
			}
			time.Sleep(pause)
		}
		if err != nil {
			return 0, err
		}
		defer func() {
			for _, v := range all {
				r.Remove(r.ctx, v.App, v.Spec.Name)
			}
		}()
		return atOnce(len(all), func(i int) error { return r.call(all[i], event) })
	}}
}

// atOnce is the time in ms of n calls that begin together.
func atOnce(n int, call func(i int) error) (float64, error) {
	done := make(chan error, n)
	t := time.Now()
	for i := range n {
		go func() { done <- call(i) }() // waited for below
	}
	var first error
	for range n {
		if err := <-done; first == nil {
			first = err
		}
	}
	return time.Since(t).Seconds() * 1e3, first
}

// typical is the median time of one of n calls in µs, of those that fit into the time.
func typical(n int, within time.Duration, call func() error) (float64, error) {
	for range min(n/5, 50) {
		if err := call(); err != nil {
			return 0, err
		}
	}
	var took []float64
	for end := time.Now().Add(within); len(took) < n && time.Now().Before(end); {
		t := time.Now()
		if err := call(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(t).Nanoseconds())/1e3)
	}
	return measure.Median(took), nil
}

// inTurns compares two calls' times in µs: 20 times 100 of one, then 100 of the other, so that each pair meets the
// same machine. theirs measures; ours is then theirs by the median of the pairs' ratios.
func inTurns(c measure.Case, ours, theirs func() error) measure.Case {
	figure := 0.0
	c.Unit, c.Cost, c.Rounds, c.Ours.Name = "µs", true, 7, "sluice"
	c.Reference.Take = func() (float64, error) {
		var base, ratios []float64
		for range 20 {
			var took [2]float64
			for i, call := range []func() error{theirs, ours} {
				us, err := typical(100, time.Second, call)
				if err != nil {
					return 0, err
				}
				took[i] = us
			}
			base, ratios = append(base, took[0]), append(ratios, took[1]/took[0])
		}
		figure = measure.Median(base) * measure.Median(ratios)
		return measure.Median(base), nil
	}
	c.Ours.Take = func() (float64, error) { return figure, nil }
	return c
}

// perSecond is how many calls so many callers make in a second.
func perSecond(callers int, call func() error) (float64, error) {
	var wg sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	warm := time.Now().Add(300 * time.Millisecond)
	end := warm.Add(1200 * time.Millisecond)
	for i := range callers {
		wg.Go(func() {
			for {
				if errs[i] = call(); errs[i] != nil {
					return
				}
				if now := time.Now(); now.After(end) {
					return
				} else if now.After(warm) {
					counts[i]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for i := range callers {
		if errs[i] != nil {
			return 0, errs[i]
		}
		sum += counts[i]
	}
	return float64(sum) / 1.2, nil
}

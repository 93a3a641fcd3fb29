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
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
)

// room is sluice's room of functions with all that starts them, in this process.
type room struct {
	*function.Functions
	ctx  context.Context
	temp string
	stop func()
}

// spares is how many booted instances are kept (process.NodeOptions); prewarm starts instances before they are called.
func newRoom(ctx context.Context, temp string, spares int, prewarm bool) *room {
	quiet := slog.New(slog.DiscardHandler)
	spawner := process.NewSpawner(process.Options{Log: quiet})
	node := process.NewNode(process.NodeOptions{Dir: filepath.Join(temp, "shim"), Spares: spares, Log: quiet})
	python := process.NewPython(process.PythonOptions{Dir: filepath.Join(temp, "shim"), Spares: spares, Log: quiet})
	f := function.New(function.Options{Spawner: spawner, Log: quiet, NoPrewarm: !prewarm,
		Starters: []function.Starter{node, python, &lambda.Provided{}}})
	life, end := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { f.Run(life) })
	return &room{f, ctx, temp, func() {
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
			if pause > 0 {
				time.Sleep(pause / 2)
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

// typical is the median time of one of n calls in µs, of those that fit into the time.
func typical(n int, within time.Duration, call func() error) (float64, error) {
	for range 50 {
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

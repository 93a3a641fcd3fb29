package scf

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// CustomRuntime starts functions whose program, bootstrap, fetches its calls from the runtime API
// (section 2.6): one listener for each instance, so that none can answer for another.
type CustomRuntime struct{}

var _ function.Starter = CustomRuntime{}

// Runs reports whether it is Tencent's custom runtime.
func (CustomRuntime) Runs(d, runtime string) bool {
	return d == dialect && strings.EqualFold(runtime, "CustomRuntime")
}

// Start starts the function's program and returns when it is ready for calls.
func (CustomRuntime) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	path, args, err := script(v, "bootstrap", 0)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for function %q: %w", v.Spec.Name, err)
	}
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	c := &custom{ready: make(chan struct{}), calls: make(chan *task)}
	// The program may be quicker than run: its first request waits in the listener.
	c.program, err = run(ctx, v, s, logs, path, args, map[string]string{
		"SCF_RUNTIME_API": host, "SCF_RUNTIME_API_PORT": port, "_HANDLER": cmp.Or(v.Spec.Handler, defaultHandler),
	})
	if err != nil {
		ln.Close()
		return nil, err
	}
	c.Serve(ln, c.routes())
	err = c.await(ctx, typeStartLate, "the program has not called /runtime/init/ready", func() bool {
		select {
		case <-c.ready:
			return true
		default:
			return false
		}
	})
	if err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// custom is an instance whose program fetches its calls.
type custom struct {
	*program
	once  sync.Once
	ready chan struct{} // closed when the program is
	calls chan *task    // to be fetched

	mu      sync.Mutex
	current *task // what the program works on; mu guards it
}

// task is one call on its way through a program.
type task struct {
	inv  *sluice.Invocation
	done chan sluice.Result // takes one
}

// Invoke lets the program fetch a call, and waits for what it hands in.
func (c *custom) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if !c.Begin(inv.RequestID) {
		return sluice.Result{}, function.ErrInstanceGone
	}
	defer c.End(inv.RequestID)
	began := time.Now()
	t := &task{inv: inv, done: make(chan sluice.Result, 1)}
	select {
	case c.calls <- t:
	case <-c.Process.Exited():
		return sluice.Result{}, function.ErrInstanceGone
	case <-ctx.Done():
		return c.Finish(c.over(ctx), began), nil
	}
	select {
	case res := <-t.done:
		return c.Finish(res, began), nil
	case <-c.Process.Exited():
		c.Wait() // it may have handed in something as its last act
		select {
		case res := <-t.done:
			return c.Finish(res, began), nil
		default:
			return c.Finish(sluice.Result{Failure: c.exit()}, began), nil
		}
	case <-ctx.Done():
		return c.Finish(c.over(ctx), began), nil
	}
}

// over is the result of a call whose context has ended.
func (p *program) over(ctx context.Context) sluice.Result {
	f := p.late()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		f = &sluice.Failure{Kind: sluice.Crashed, Message: "stopped"}
	}
	return sluice.Result{Failure: f}
}

// routes is the runtime API.
func (c *custom) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /runtime/init/ready", func(http.ResponseWriter, *http.Request) { c.isReady() })
	mux.HandleFunc("GET /runtime/invocation/next", c.next)
	mux.HandleFunc("POST /runtime/invocation/response", func(w http.ResponseWriter, r *http.Request) { c.hand(w, r, answered) })
	mux.HandleFunc("POST /runtime/invocation/error", func(w http.ResponseWriter, r *http.Request) { c.hand(w, r, thrown) })
	return mux
}

func (c *custom) isReady() { c.once.Do(func() { close(c.ready) }) }

// next answers with a call as soon as there is one. Who asks for it is ready, too.
func (c *custom) next(w http.ResponseWriter, r *http.Request) {
	c.isReady()
	var t *task
	select {
	case t = <-c.calls:
	case <-c.Process.Exited():
		return
	case <-r.Context().Done():
		return
	}
	c.mu.Lock()
	c.current = t
	c.mu.Unlock()
	h := w.Header()
	for name, v := range map[string]string{ // clients look for these spellings
		"request_id":         t.inv.RequestID,
		"memory_limit_in_mb": strconv.Itoa(c.Version.Spec.MemoryMB),
		"time_limit_in_ms":   strconv.FormatInt(c.Version.Spec.Timeout.Milliseconds(), 10),
	} {
		h[name] = []string{v}
	}
	body := event(t.inv)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// event is what a call tells its function.
func event(inv *sluice.Invocation) []byte {
	if len(inv.Payload) == 0 {
		return []byte("{}")
	}
	return inv.Payload
}

// hand ends the call that the program works on with what it says.
func (c *custom) hand(w http.ResponseWriter, r *http.Request, result func(body []byte) sluice.Result) {
	c.mu.Lock()
	t := c.current
	c.current = nil
	c.mu.Unlock()
	if t == nil {
		http.Error(w, "no invocation is outstanding: ask for one with GET /runtime/invocation/next", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSync+1))
	switch {
	case err != nil:
		t.done <- sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "the answer broke off: " + err.Error()}}
		http.Error(w, err.Error(), http.StatusBadRequest)
	case len(body) > maxSync:
		t.done <- tooBig()
		http.Error(w, fmt.Sprintf("the answer has more than %d bytes", maxSync), http.StatusRequestEntityTooLarge)
	default:
		t.done <- result(body)
	}
}

func tooBig() sluice.Result {
	return sluice.Result{Failure: &sluice.Failure{Kind: sluice.TooBig, Message: fmt.Sprintf("the answer has more than %d bytes", maxSync)}}
}

// answered is what a program returned: JSON as it is, anything else as a JSON text.
func answered(body []byte) sluice.Result {
	if !json.Valid(body) {
		body = plain(string(body))
	}
	return sluice.Result{Payload: body}
}

// thrown is what a program says of its own failure.
func thrown(body []byte) sluice.Result {
	text := strings.ToValidUTF8(string(body), "\uFFFD")
	first, _, _ := strings.Cut(text, "\n")
	return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: first, Stack: strings.Split(strings.TrimRight(text, "\n"), "\n")}}
}

// at is a path within a version's code.
func at(v *function.Version, name string) string {
	return filepath.Join(v.Root, filepath.FromSlash(name))
}

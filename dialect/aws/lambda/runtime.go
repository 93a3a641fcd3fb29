package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/gorpc"
)

const (
	initLimit = 10 * time.Second // for a program to ask for its first call (section 3.3)
	attrTail  = "tail"           // in an Invocation's Attrs asks for the last lines of the call's log
)

// Provided starts functions of the provided.* runtimes, of go1.x and of any program that fetches its
// calls from the runtime API (section 3.5): one listener for each instance, so that none can answer
// for another.
type Provided struct {
	// Init is how long a program may take to ask for its first call; 0 is 10 s, or the function's own
	// timeout when that is longer.
	Init time.Duration
}

var _ function.Starter = (*Provided)(nil)

// Runs reports whether it is a runtime of AWS's whose program brings its own client.
func (p *Provided) Runs(d, runtime string) bool {
	return d == dialect && (runtime == "provided" || strings.HasPrefix(runtime, "provided.") || runtime == "go1.x")
}

// Start starts the function's program and returns when it asks for a call, or serves calls itself.
func (p *Provided) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	path, err := bootstrap(v)
	if err != nil {
		return nil, err
	}
	if !servesRPC(v, path) {
		return p.start(ctx, v, s, logs, path, 0)
	}
	return p.startServed(ctx, v, s, logs, path)
}

// startServed starts a program that may serve its calls, on a port that is free.
func (p *Provided) startServed(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, path string) (function.Instance, error) {
	return function.OnFreePort(ctx, func(port int) (function.Instance, error) { return p.start(ctx, v, s, logs, path, port) })
}

// start starts a program; port is where it may serve calls, 0 is nowhere.
func (p *Provided) start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, path string, port int) (function.Instance, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for function %q: %w", v.Spec.Name, err)
	}
	in := &environment{asked: make(chan struct{}), failed: make(chan sluice.Failure, 1), calls: make(chan *task)}
	own := map[string]string{"AWS_LAMBDA_RUNTIME_API": ln.Addr().String()}
	if port != 0 {
		own[rpcPort] = strconv.Itoa(port)
	}
	in.Program, err = function.RunProgram(ctx, s, v, logs, sluice.NewRequestID()[:13], path, nil, v.Environ(own))
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	in.Serve(ln, in.routes())
	serving := make(chan *gorpc.Client, 1)
	if port != 0 {
		in.Go(func() {
			if c := in.dial(port); c != nil {
				serving <- c
				<-in.Process.Exited()
				c.Close()
			}
		})
	}
	limit := time.NewTimer(cmp.Or(p.Init, max(initLimit, v.Spec.Timeout)))
	defer limit.Stop()
	var f sluice.Failure
	select {
	case <-in.asked:
		return in, nil
	case c := <-serving:
		return &served{in, c}, nil
	case f = <-in.failed:
	case <-in.Process.Exited():
		select {
		case f = <-in.failed: // it has said why before it went
		default:
			in.Wait() // for its last words
			f = in.exit()
			f.Kind = sluice.InitFail
			if said := in.Said(); said != "" {
				f.Stack = strings.Split(said, "\n")
			}
		}
	case <-limit.C:
		f = sluice.Failure{Kind: sluice.InitFail, Type: "Sandbox.Timedout", Message: "the program has not asked for a call after " + cmp.Or(p.Init, max(initLimit, v.Spec.Timeout)).String()}
	case <-ctx.Done():
		in.Kill()
		return nil, ctx.Err()
	}
	in.Kill()
	return nil, &function.StartError{Failure: f}
}

// bootstrap is a function's program: bootstrap at the root of its code, or what go1.x's handler names.
func bootstrap(v *function.Version) (string, error) {
	name := "bootstrap"
	if v.Spec.Runtime == "go1.x" {
		name = cmp.Or(v.Spec.Handler, name)
	}
	places := []string{filepath.Join(v.Root, name)}
	if opt := v.Env["SLUICE_LAYERS"]; opt != "" {
		places = append(places, filepath.Join(opt, name))
	}
	for _, path := range places {
		info, err := os.Stat(path)
		switch {
		case err != nil:
		case info.IsDir() || info.Mode()&0o111 == 0:
			return "", &function.StartError{Failure: sluice.Failure{Kind: sluice.BadEntry, Type: "Runtime.InvalidEntrypoint",
				Message: "RequestId: unknown Error: fork/exec " + path + ": permission denied"}}
		default:
			return path, nil
		}
	}
	return "", &function.StartError{Failure: sluice.Failure{Kind: sluice.BadEntry, Type: "Runtime.InvalidEntrypoint",
		Message: "RequestId: unknown Error: Couldn't find valid bootstrap(s): [" + strings.Join(places, " ") + "]"}}
}

// environment is one running program: the cloud's execution environment. It takes one call at a time.
type environment struct {
	*function.Program

	once   sync.Once
	asked  chan struct{}       // closed when the program asks for the first time
	failed chan sluice.Failure // takes what the program says of its own start
	calls  chan *task          // to be fetched

	mu      sync.Mutex // guards the fields below
	current *task      // what the program works on
	last    string     // the request that it worked on last
}

// task is one call on its way through the program.
type task struct {
	ctx  context.Context
	inv  *sluice.Invocation
	done chan sluice.Result // takes one
}

// exit is the failure of a program that has ended.
func (e *environment) exit() sluice.Failure {
	return sluice.Failure{Kind: sluice.Crashed, Type: exitError, Message: e.Process.ExitText()}
}

// Invoke lets the program fetch a call, and waits for what it hands in. A call whose time is over takes
// the program with it (section 3.3).
func (e *environment) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if !e.Begin(inv.RequestID) {
		return sluice.Result{}, function.ErrInstanceGone
	}
	defer e.End(inv.RequestID)
	t := &task{ctx: ctx, inv: inv, done: make(chan sluice.Result, 1)}
	started := time.Now()
	select {
	case e.calls <- t:
	case <-e.Done():
		return sluice.Result{}, function.ErrInstanceGone
	case <-ctx.Done():
		return e.finish(sluice.Result{Failure: e.late()}, started, inv), nil
	}
	select {
	case res := <-t.done:
		return e.finish(res, started, inv), nil
	case <-e.Process.Exited():
		select {
		case res := <-t.done: // its last act
			return e.finish(res, started, inv), nil
		default:
		}
		f := e.exit()
		return e.finish(sluice.Result{Failure: &f}, started, inv), nil
	case <-ctx.Done():
		return e.finish(sluice.Result{Failure: e.late()}, started, inv), nil
	}
}

func (e *environment) late() *sluice.Failure {
	e.Kill()
	return &sluice.Failure{Kind: sluice.TimedOut, Type: "Sandbox.Timedout", Message: "the function has not answered in time"}
}

func (e *environment) finish(res sluice.Result, started time.Time, inv *sluice.Invocation) sluice.Result {
	res = e.Finish(res, started)
	if inv.Attrs[attrTail] != "" { // its last lines may still be in the pipe
		e.Settle(context.Background())
	}
	return res
}

// routes is the runtime API, and as much of the extensions API as layers need to idle.
func (e *environment) routes() http.Handler {
	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"invocation/next", e.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", e.response)
	mux.HandleFunc("POST "+base+"invocation/{id}/error", e.failure)
	mux.HandleFunc("POST "+base+"init/error", e.initError)
	mux.HandleFunc("GET "+base+"restore/next", func(w http.ResponseWriter, _ *http.Request) {
		refuseRuntime(w, http.StatusForbidden, "InvalidStateTransition", "State transition from Ready to Restoring failed for runtime. Error: SnapStart is not enabled")
	})
	mux.HandleFunc("GET /2018-06-01/ping", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "pong") })
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", NewRequestID())
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"functionName": PhysicalName(&e.Version.Spec), "functionVersion": Latest, "handler": e.Version.Spec.Handler})
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	accept := func(w http.ResponseWriter, _ *http.Request) { accepted(w) }
	for _, path := range []string{"POST /2020-01-01/extension/init/error", "POST /2020-01-01/extension/exit/error", "PUT /2020-08-15/logs", "PUT /2022-07-01/telemetry"} {
		mux.HandleFunc(path, accept)
	}
	return mux
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"status":"OK"}`)
}

func refuseRuntime(w http.ResponseWriter, status int, kind, msg string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"errorMessage": msg, "errorType": kind})
}

// next answers with a call as soon as there is one.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	e.once.Do(func() { close(e.asked) })
	var t *task
	select {
	case t = <-e.calls:
	case <-r.Context().Done():
		return
	}
	e.mu.Lock()
	e.current, e.last = t, t.inv.RequestID
	e.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", t.inv.RequestID)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline(t.ctx).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", e.arn(t.inv))
	for attr, name := range map[string]string{"trace": "Lambda-Runtime-Trace-Id", "client": "Lambda-Runtime-Client-Context"} {
		if v := t.inv.Attrs[attr]; v != "" {
			h.Set(name, v)
		}
	}
	body := t.inv.Payload
	if len(body) == 0 {
		body = []byte("{}")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// deadline is when a call's time is over; 15 minutes from now when nothing says so.
func deadline(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(15 * time.Minute)
}

// arn is the name that a call was made by.
func (e *environment) arn(inv *sluice.Invocation) string {
	return cmp.Or(inv.Attrs["arn"], ARN(e.Version.Env["AWS_REGION"], PhysicalName(&e.Version.Spec)))
}

// take ends the call that the program works on; nil, and the answer given, when id is not that one.
func (e *environment) take(w http.ResponseWriter, id string) *task {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch t := e.current; {
	case t != nil && t.inv.RequestID == id:
		e.current = nil
		return t
	case t == nil && id == e.last:
		refuseRuntime(w, http.StatusForbidden, "InvalidStateTransition", "State transition from Ready to InvocationResponse failed for runtime. Error: State transition is not allowed")
	default:
		refuseRuntime(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	}
	return nil
}

// response takes a result, whole or streamed.
func (e *environment) response(w http.ResponseWriter, r *http.Request) {
	mode := r.Header.Get("Lambda-Runtime-Function-Response-Mode")
	if mode != "" && mode != "streaming" && mode != "buffered" {
		refuseRuntime(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode: "+mode)
		return
	}
	t := e.take(w, r.PathValue("id"))
	if t == nil {
		return
	}
	if mode == "streaming" && t.inv.Stream != nil {
		res := relay(r, t)
		accepted(w)
		t.done <- res
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	switch {
	case err != nil:
		t.done <- sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Type: exitError, Message: "its response broke off"}}
		refuseRuntime(w, http.StatusBadRequest, "RequestEntityTooLarge", err.Error())
	case len(body) > maxResponse:
		t.done <- sluice.Result{Failure: hugeResponse()}
		refuseRuntime(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponse))
	case trailed(r) != nil:
		t.done <- sluice.Result{Failure: trailed(r)}
		accepted(w)
	default:
		if r.Header.Get("Content-Type") == streamedHTTP {
			body = unstream(body)
		}
		t.done <- sluice.Result{Payload: body}
		accepted(w)
	}
}

func hugeResponse() *sluice.Failure {
	return &sluice.Failure{Kind: sluice.TooBig, Type: "Function.ResponseSizeTooLarge", Message: "the response is too large"}
}

// failure takes what went wrong in a call.
func (e *environment) failure(w http.ResponseWriter, r *http.Request) {
	t := e.take(w, r.PathValue("id"))
	if t == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		body = nil
	}
	t.done <- sluice.Result{Failure: failureOf(sluice.Handled, r.Header.Get("Lambda-Runtime-Function-Error-Type"), body)}
	accepted(w)
}

// initError takes what went wrong before the first call.
func (e *environment) initError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		body = nil
	}
	select {
	case e.failed <- *failureOf(sluice.InitFail, r.Header.Get("Lambda-Runtime-Function-Error-Type"), body):
	default: // it has said so already
	}
	accepted(w)
}

// failureOf reads an error as a runtime reports it; what it says stays what callers get.
func failureOf(kind sluice.FailureKind, named string, body []byte) *sluice.Failure {
	var o struct {
		Type    string          `json:"errorType"`
		Message string          `json:"errorMessage"`
		Stack   json.RawMessage `json:"stackTrace"`
		Trace   []string        `json:"trace"`
	}
	f := &sluice.Failure{Kind: kind, Type: named}
	if err := json.Unmarshal(body, &o); err == nil {
		f.Type, f.Message, f.Body = cmp.Or(o.Type, named), o.Message, body
		f.Stack = o.Trace
		if f.Stack == nil && json.Unmarshal(o.Stack, &f.Stack) != nil {
			f.Stack = nil // Go's has objects in it
		}
	}
	f.Type = cmp.Or(f.Type, "Runtime.Unknown")
	return f
}

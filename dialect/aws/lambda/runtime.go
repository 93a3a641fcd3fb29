package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/gorpc"
)

const (
	initLimit = 10 * time.Second       // for a program to ask for its first call (section 3.3)
	stopGrace = 500 * time.Millisecond // between SIGTERM and SIGKILL (section 3.3)
	tailWait  = 20 * time.Millisecond  // for the last lines of a call's log
	attrTail  = "tail"                 // in an Invocation's Attrs asks for the last lines of the call's log
	earlyMax  = 2 << 10                // bytes of output kept for the message of a start that fails
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
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return nil, fmt.Errorf("find a port for function %q: %w", v.Spec.Name, err)
		}
		in, err := p.start(ctx, v, s, logs, path, port)
		var failed *function.StartError
		if errors.As(err, &failed) && portTaken(&failed.Failure) && try < portTries && ctx.Err() == nil {
			continue
		}
		return in, err
	}
}

// start starts a program; port is where it may serve calls, 0 is nowhere.
func (p *Provided) start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, path string, port int) (function.Instance, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for function %q: %w", v.Spec.Name, err)
	}
	in := &environment{id: sluice.NewRequestID()[:13], v: v, logs: logs, done: make(chan struct{}), asked: make(chan struct{}),
		failed: make(chan sluice.Failure, 1), calls: make(chan *task)}
	in.lines.Line = in.line
	env := maps.Clone(v.Env)
	env["AWS_LAMBDA_RUNTIME_API"] = ln.Addr().String()
	if port != 0 {
		env[rpcPort] = strconv.Itoa(port)
	}
	var list []string
	for name, val := range env {
		list = append(list, name+"="+val)
	}
	slices.Sort(list)
	in.proc, err = s.Spawn(ctx, function.Command{Path: path, Dir: v.Root, Env: list, Memory: v.Spec.MemoryMB, Out: &in.lines})
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	server := &http.Server{Handler: in.routes(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	in.wg.Go(func() { server.Serve(ln) })
	in.wg.Go(func() {
		<-in.proc.Exited()
		in.spoil()
		server.Close()
	})
	serving := make(chan *gorpc.Client, 1)
	if port != 0 {
		in.wg.Go(func() {
			if c := in.dial(port); c != nil {
				serving <- c
				<-in.proc.Exited()
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
	case <-in.proc.Exited():
		select {
		case f = <-in.failed: // it has said why before it went
		default:
			f = in.exit()
			f.Kind = sluice.InitFail
		}
	case <-limit.C:
		f = sluice.Failure{Kind: sluice.InitFail, Type: "Sandbox.Timedout", Message: "the program has not asked for a call after " + cmp.Or(p.Init, max(initLimit, v.Spec.Timeout)).String()}
	case <-ctx.Done():
		in.kill()
		return nil, ctx.Err()
	}
	in.kill()
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
	id    string
	v     *function.Version
	logs  function.LogSink
	proc  function.Process
	lines function.LineWriter
	done  chan struct{}
	wg    sync.WaitGroup

	once   sync.Once
	asked  chan struct{}       // closed when the program asks for the first time
	failed chan sluice.Failure // takes what the program says of its own start
	calls  chan *task          // to be fetched

	mu      sync.Mutex // guards the fields below
	dead    bool
	current *task  // what the program works on
	request string // the newest request, to which output belongs
	early   []byte // the last output before the first call
}

// task is one call on its way through the program.
type task struct {
	ctx  context.Context
	inv  *sluice.Invocation
	done chan sluice.Result // takes one
}

// ID names the instance.
func (e *environment) ID() string { return e.id }

// Done is closed when the instance takes no more calls.
func (e *environment) Done() <-chan struct{} { return e.done }

func (e *environment) spoil() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.dead {
		e.dead = true
		close(e.done)
	}
}

// kill ends the process and waits for it.
func (e *environment) kill() {
	e.spoil()
	e.proc.Kill()
	e.wg.Wait()
	e.lines.Flush()
}

// Stop ends the program: SIGTERM, a short grace, SIGKILL.
func (e *environment) Stop(ctx context.Context) {
	e.spoil()
	e.proc.Terminate()
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-e.proc.Exited():
	case <-t.C:
	case <-ctx.Done():
	}
	e.kill()
}

// line is one line of the program's output.
func (e *environment) line(b []byte) {
	e.mu.Lock()
	request := e.request
	if request == "" {
		e.early = append(append(e.early, b[:min(len(b), earlyMax)]...), '\n')
		e.early = e.early[max(0, len(e.early)-earlyMax):]
	}
	e.mu.Unlock()
	e.logs.Log(function.LogLine{Time: time.Now(), App: e.v.App, Function: e.v.Spec.Name, Request: request, Instance: e.id, Text: string(b)})
}

// exit is the failure of a program that has ended.
func (e *environment) exit() sluice.Failure {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := sluice.Failure{Kind: sluice.Crashed, Type: exitError, Message: e.proc.ExitText()}
	if len(e.early) > 0 && e.request == "" {
		f.Stack = strings.Split(strings.TrimSpace(string(e.early)), "\n")
	}
	return f
}

// Invoke lets the program fetch a call, and waits for what it hands in. A call whose time is over takes
// the program with it (section 3.3).
func (e *environment) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	t := &task{ctx: ctx, inv: inv, done: make(chan sluice.Result, 1)}
	started := time.Now()
	select {
	case e.calls <- t:
	case <-e.done:
		return sluice.Result{}, function.ErrInstanceGone
	case <-ctx.Done():
		return e.finish(sluice.Result{Failure: e.late()}, started, inv), nil
	}
	select {
	case res := <-t.done:
		return e.finish(res, started, inv), nil
	case <-e.proc.Exited():
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
	e.kill()
	return &sluice.Failure{Kind: sluice.TimedOut, Type: "Sandbox.Timedout", Message: "the function has not answered in time"}
}

func (e *environment) finish(res sluice.Result, started time.Time, inv *sluice.Invocation) sluice.Result {
	res.Instance, res.Took = e.id, time.Since(started)
	res.MemoryMB = e.proc.PeakMB()
	if inv.Attrs[attrTail] != "" { // its last lines may still be in the pipe
		select {
		case <-time.After(tailWait):
		case <-e.proc.Exited():
		}
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
		json.NewEncoder(w).Encode(map[string]string{"functionName": PhysicalName(&e.v.Spec), "functionVersion": Latest, "handler": e.v.Spec.Handler})
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
	e.current, e.request = t, t.inv.RequestID
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
	return cmp.Or(inv.Attrs["arn"], ARN(e.v.Env["AWS_REGION"], PhysicalName(&e.v.Spec)))
}

// take ends the call that the program works on; nil, and the answer given, when id is not that one.
func (e *environment) take(w http.ResponseWriter, id string) *task {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch t := e.current; {
	case t != nil && t.inv.RequestID == id:
		e.current = nil
		return t
	case t == nil && id == e.request:
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

package process

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// instance is a process that speaks frames. It is generic until load has made it a version's.
type instance struct {
	id   string
	proc function.Process
	sock *os.File
	w    writer
	ctl  chan frame    // HELLO, READY, INITERR
	done chan struct{} // closed when it takes no more calls
	dead chan struct{} // closed when the process has gone and every call is answered

	turn    chan struct{} // holds a token while somebody reads, and owns the fields up to broken
	in      frames
	answers uint64          // given so far
	until   time.Time       // the socket's deadline for reading
	watched <-chan struct{} // of the context whose end wakes who reads
	unwatch func() bool
	broken  chan struct{} // closed by lost: there is nothing more to read
	lost    func()
	wake    func() // has who reads look whether it should go on

	version atomic.Pointer[loaded]

	mu      sync.Mutex // guards the fields below
	calls   map[uint32]*call
	last    uint32
	retired bool
	stuck   bool   // a call that ran out of time may still run in it
	words   []byte // the plain output before load, for the error of a failed boot
}

// loaded is what an instance became.
type loaded struct {
	v         *function.Version
	logs      function.LogSink
	maxResult int
}

// call is one call in flight. Whoever takes it out of instance.calls sends its answer.
type call struct {
	id   uint32
	rid  string
	done chan sluice.Result // 1 slot
	http *sluice.HTTPResponse
	body []byte // while CHUNKs come

	stream sluice.Stream // takes what comes in its place; nil when nobody does
	ctx    context.Context
}

var errDead = errors.New("the process has ended")

// hookDefault is the time of the life cycle hooks that are given none.
const hookDefault = 3 * time.Second

// exitGrace is how long an instance may take to exit when it is told to; tests give it more.
var exitGrace = 300 * time.Millisecond

// newInstance spawns a process with a socket as its fd 3.
func newInstance(ctx context.Context, s function.Spawner, c function.Command) (*instance, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, &sluice.Error{Code: sluice.Unavailable, Msg: err.Error(), Err: err}
	}
	defer theirs.Close()
	i := &instance{
		id: strings.ToLower(sluice.NewRequestID()), sock: ours, ctl: make(chan frame, 1),
		done: make(chan struct{}), dead: make(chan struct{}), calls: map[uint32]*call{},
		turn: make(chan struct{}, 1), broken: make(chan struct{}),
	}
	lines := &function.LineWriter{Line: i.plain}
	c.Files, c.Out = []*os.File{theirs}, lines
	if i.proc, err = s.Spawn(ctx, c); err != nil {
		ours.Close()
		return nil, err
	}
	i.w.init(ours)
	i.in.r = bufio.NewReaderSize(newSocketReader(ours), 16<<10)
	i.unwatch = func() bool { return false }
	i.wake = func() { ours.SetReadDeadline(time.Unix(1, 0)) }
	i.lost = sync.OnceFunc(func() { close(i.broken) })
	go i.keep(lines)
	return i, nil
}

// handle takes one frame from the instance.
func (i *instance) handle(f frame) {
	switch f.kind {
	case frameHello, frameReady, frameInitError:
		select {
		case i.ctl <- f:
		default: // it repeats itself
		}
	case frameResult:
		head, err := resultHead(f.meta)
		if err != nil {
			i.answer(f.id, sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Message: "the instance sent a malformed frame"}})
			return
		}
		if f.flags&flagMore == 0 {
			i.answer(f.id, sluice.Result{Payload: f.body, HTTP: head})
			return
		}
		i.mu.Lock()
		c := i.calls[f.id]
		if c != nil {
			c.http, c.body = head, f.body
		}
		i.mu.Unlock()
		if c != nil && c.stream != nil {
			c.stream.Begin(head)
			c.stream.Write(c.ctx, f.body)
		}
	case frameChunk:
		i.chunk(f)
	case frameError:
		fail := failure(f)
		if fail.Kind == sluice.Crashed { // it is about to exit
			i.mu.Lock()
			i.retire()
			i.mu.Unlock()
		}
		i.answer(f.id, sluice.Result{Failure: fail})
	case frameLog:
		i.logFrame(f)
	case framePing:
		i.w.send(appendFrame(nil, frame{kind: framePong, id: f.id}))
	}
}

func (i *instance) chunk(f frame) {
	l := i.version.Load()
	i.mu.Lock()
	c := i.calls[f.id]
	if c == nil || l == nil {
		i.mu.Unlock()
		return
	}
	if c.stream != nil {
		i.mu.Unlock()
		c.stream.Write(c.ctx, f.body) // it knows of its error itself
		if f.flags&flagMore == 0 {
			i.answer(f.id, sluice.Result{})
		}
		return
	}
	c.body = append(c.body, f.body...)
	res := sluice.Result{Payload: c.body, HTTP: c.http}
	i.mu.Unlock()
	if len(res.Payload) > l.maxResult {
		i.answer(f.id, sluice.Result{Failure: &sluice.Failure{Kind: sluice.TooBig, Message: fmt.Sprintf("the answer has more than %d bytes", l.maxResult)}})
	} else if f.flags&flagMore == 0 {
		i.answer(f.id, res)
	}
}

// answer ends a call. A second answer finds nobody.
func (i *instance) answer(id uint32, res sluice.Result) {
	i.mu.Lock()
	c := i.calls[id]
	delete(i.calls, id)
	kill := i.stuck && len(i.calls) == 0
	i.mu.Unlock()
	if c != nil {
		i.answers++
		c.done <- res
	}
	if kill {
		i.proc.Kill()
	}
}

var kinds = map[string]sluice.FailureKind{
	"handled": sluice.Handled, "crash": sluice.Crashed, "entry": sluice.BadEntry, "init": sluice.InitFail, "big": sluice.TooBig,
}

// failure reads an ERROR or INITERR.
func failure(f frame) *sluice.Failure {
	var meta struct {
		Kind, Type, Message string
		Stack               []string
		Thrown              bool
	}
	if json.Unmarshal(f.meta, &meta) != nil || kinds[meta.Kind] == 0 {
		return &sluice.Failure{Kind: sluice.Crashed, Message: "the instance sent a malformed frame"}
	}
	return &sluice.Failure{Kind: kinds[meta.Kind], Thrown: meta.Thrown, Type: meta.Type, Message: meta.Message, Stack: meta.Stack, Body: f.body}
}

// retire closes done; mu is held.
func (i *instance) retire() {
	if !i.retired {
		i.retired = true
		close(i.done)
	}
}

// kill ends the process at once, waits until it is gone, and says how it ended.
func (i *instance) kill() string {
	i.proc.Kill()
	<-i.dead
	return i.proc.ExitText()
}

// control waits for the next frame about the instance itself.
func (i *instance) control(ctx context.Context) (frame, error) {
	select {
	case f := <-i.ctl:
		return f, nil
	default:
	}
	select {
	case f := <-i.ctl:
		return f, nil
	case <-i.dead:
		select {
		case f := <-i.ctl: // its last frame
			return f, nil
		default:
			return frame{}, errDead
		}
	case <-ctx.Done():
		return frame{}, ctx.Err()
	}
}

// loadSpec is the body of LOAD.
type loadSpec struct {
	Handler   string            `json:"handler"`
	Hooks     map[string]string `json:"hooks"` // initialize, preStop, preFreeze
	Root      string            `json:"root"`
	Env       map[string]string `json:"env"`
	Egress    json.RawMessage   `json:"egress,omitempty"`
	App       string            `json:"app"`
	Name      string            `json:"name"`
	Instance  string            `json:"instance"`
	Group     string            `json:"group"`
	HTTP      bool              `json:"http,omitempty"` // it has a trigger of that kind
	Version   string            `json:"version"`
	Conc      int               `json:"conc"`
	MemMB     int               `json:"memMB"`
	TimeoutMs int64             `json:"timeoutMs"`
	InitMs    int64             `json:"initMs"`
	Max       int               `json:"max"`
}

// egressVariable holds, as JSON, which hosts the shim connects elsewhere (package egress writes it).
const egressVariable = "SLUICE_EGRESS"

// load makes a generic instance one of v: its module loaded, its initializer done.
func (i *instance) load(ctx context.Context, v *function.Version, logs function.LogSink, maxResult int) error {
	i.version.Store(&loaded{v: v, logs: logs, maxResult: maxResult})
	spec := &v.Spec
	initTime := cmp.Or(spec.InitTimeout, initDefault)
	meta := loadSpec{
		Handler: spec.Handler, Hooks: map[string]string{}, Root: v.Root, Env: maps.Clone(v.Env),
		App: string(v.App), Name: string(spec.Name), Instance: i.id, Group: spec.Group, HTTP: spec.HTTP != nil, Version: v.Revision,
		Conc: max(spec.Concurrency, 1), MemMB: spec.MemoryMB, TimeoutMs: spec.Timeout.Milliseconds(), InitMs: initTime.Milliseconds(), Max: maxResult,
	}
	if meta.Env == nil {
		meta.Env = map[string]string{}
	}
	if e := meta.Env[egressVariable]; json.Valid([]byte(e)) {
		meta.Egress = json.RawMessage(e)
	}
	delete(meta.Env, egressVariable)
	for which, name := range map[string]string{hookInit: spec.Initializer, hookStop: spec.PreStop, hookFreeze: spec.PreFreeze} {
		if name != "" {
			meta.Hooks[which] = name
		}
	}
	b, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	i.w.send(appendFrame(nil, frame{kind: frameLoad, body: b}))

	limit := max(loadTime, spec.InitTimeout)
	lctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f, err := i.control(lctx)
	switch {
	case errors.Is(err, errDead):
		return startFailed(sluice.InitFail, "", "the process ended while it loaded the function: "+i.proc.ExitText())
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return startFailed(sluice.InitFail, "", fmt.Sprintf("loading the function took longer than %v", limit))
	case f.kind == frameInitError:
		return &function.StartError{Failure: *failure(f)}
	case f.kind != frameReady:
		return errFrame
	}
	if spec.Initializer == "" {
		return nil
	}
	ictx, cancel := context.WithTimeout(ctx, initTime)
	defer cancel()
	res, err := i.hook(ictx, hookInit)
	switch {
	case err != nil:
		return startFailed(sluice.InitFail, "", "the process ended before its initializer")
	case ctx.Err() != nil:
		return ctx.Err()
	case res.Failure == nil:
		return nil
	case res.Failure.Kind == sluice.TimedOut:
		return startFailed(sluice.InitFail, "", fmt.Sprintf("the initializer took longer than %v", initTime))
	case res.Failure.Kind == sluice.Crashed && res.Failure.Body == nil:
		return startFailed(sluice.InitFail, res.Failure.Type, "the process ended in its initializer: "+res.Failure.Message)
	}
	res.Failure.Kind = sluice.InitFail
	return &function.StartError{Failure: *res.Failure}
}

func startFailed(kind sluice.FailureKind, typ, msg string) error {
	return &function.StartError{Failure: sluice.Failure{Kind: kind, Type: typ, Message: msg}}
}

// The hooks by their names in frames.
const (
	hookInit   = "initialize"
	hookStop   = "preStop"
	hookFreeze = "preFreeze"
)

func (i *instance) ID() string            { return i.id }
func (i *instance) Done() <-chan struct{} { return i.done }

// MemoryMB is the resident size now.
func (i *instance) MemoryMB() int { return i.proc.MemoryMB() }

// Wanted is the processor time that its main thread, which runs handlers, has used or waited for.
func (i *instance) Wanted() time.Duration {
	if p, ok := i.proc.(interface{ Wanted() time.Duration }); ok {
		return p.Wanted()
	}
	return 0
}

// Invoke runs one call. At the end of ctx the process is killed: at once when the call is alone in it,
// else when the others have ended; it takes no more calls meanwhile.
func (i *instance) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	res, _, err := i.InvokeFor(ctx, context.Background(), inv)
	return res, err
}

// InvokeFor is Invoke for a caller who may leave: when its context ends first, rest waits for the
// result in its place.
func (i *instance) InvokeFor(ctx, caller context.Context, inv *sluice.Invocation) (res sluice.Result, rest func() sluice.Result, err error) {
	var room [320]byte
	meta, err := invokeMeta(ctx, room[:0], inv)
	if err != nil {
		return res, nil, err
	}
	c, err := i.send(&call{rid: inv.RequestID, stream: inv.Stream, ctx: ctx}, frameInvoke, meta, inv.Payload)
	if err != nil {
		return res, nil, err
	}
	res, ok := i.wait(ctx, caller, c)
	if !ok {
		return res, func() sluice.Result {
			res, _ := i.wait(ctx, context.Background(), c)
			return i.invoked(res)
		}, nil
	}
	return i.invoked(res), nil, nil
}

// invoked adds to a result what we know of the process.
func (i *instance) invoked(res sluice.Result) sluice.Result {
	res.Instance = i.id
	if p, ok := i.proc.(interface{ PeakMB() int }); ok {
		res.MemoryMB = p.PeakMB()
	}
	if spec := &i.version.Load().v.Spec; spec.PreFreeze != "" {
		end := time.Now().Add(cmp.Or(spec.FreezeTime, hookDefault))
		i.w.send(appendFrame(nil, frame{kind: frameHook, meta: hookMeta(end.UnixMilli(), hookFreeze)}))
	}
	return res
}

// send sends a request, whose answer somebody must wait for.
func (i *instance) send(c *call, kind byte, meta, body []byte) (*call, error) {
	c.done = make(chan sluice.Result, 1)
	i.mu.Lock()
	if i.retired {
		i.mu.Unlock()
		return nil, function.ErrInstanceGone
	}
	for i.last++; i.last == 0 || i.calls[i.last] != nil; i.last++ {
	}
	c.id = i.last
	i.calls[c.id] = c
	i.mu.Unlock()
	i.w.sendFrame(frame{kind: kind, id: c.id, meta: meta, body: body})
	return c, nil
}

// wait waits for an answer, or for the end of ctx, which stops the call; false when caller ended before
// either.
func (i *instance) wait(ctx, caller context.Context, c *call) (sluice.Result, bool) {
	for ctx.Err() == nil {
		select {
		case res := <-c.done:
			return res, true
		default:
		}
		if caller.Err() != nil {
			return sluice.Result{}, false
		}
		select { // without Done, which costs a timer each
		case i.turn <- struct{}{}:
			i.readFor(ctx, caller, c)
			continue
		default:
		}
		select {
		case res := <-c.done:
			return res, true
		case i.turn <- struct{}{}:
			i.readFor(ctx, caller, c)
		case <-i.broken:
			return <-c.done, true // with how the process has ended
		case <-ctx.Done():
		case <-caller.Done():
		}
	}
	return i.abandon(ctx, c), true
}

// abandon stops a call whose time is over.
func (i *instance) abandon(ctx context.Context, c *call) sluice.Result {
	i.mu.Lock()
	_, waiting := i.calls[c.id]
	delete(i.calls, c.id)
	if !waiting {
		i.mu.Unlock()
		return <-c.done // answered in the same moment
	}
	i.stuck = true
	alone := len(i.calls) == 0
	i.retire()
	i.mu.Unlock()
	if alone {
		i.proc.Kill()
	} else {
		i.w.send(appendFrame(nil, frame{kind: frameCancel, id: c.id}))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return sluice.Result{Failure: &sluice.Failure{Kind: sluice.TimedOut, Message: "timed out"}}
	}
	return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Message: "stopped"}}
}

// hook runs one life cycle function.
func (i *instance) hook(ctx context.Context, which string) (sluice.Result, error) {
	c, err := i.send(&call{}, frameHook, hookMeta(deadlineMs(ctx), which), nil)
	if err != nil {
		return sluice.Result{}, err
	}
	res, _ := i.wait(ctx, context.Background(), c)
	return res, nil
}

// Stop ends the instance: the pre-stop hook, an order to exit, then SIGKILL.
func (i *instance) Stop(ctx context.Context) {
	i.mu.Lock()
	alive := !i.retired
	i.mu.Unlock()
	if spec := &i.version.Load().v.Spec; alive && spec.PreStop != "" && ctx.Err() == nil {
		hctx, cancel := context.WithTimeout(ctx, cmp.Or(spec.StopTime, hookDefault))
		i.hook(hctx, hookStop)
		cancel()
	}
	i.mu.Lock()
	i.retire()
	i.mu.Unlock()
	if ctx.Err() == nil {
		i.w.send(appendFrame(nil, frame{kind: frameStop}))
		t := time.NewTimer(exitGrace)
		defer t.Stop()
		select {
		case <-i.dead:
		case <-t.C:
		case <-ctx.Done():
		}
	}
	i.kill()
}

package function

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
)

// Options set up the room. Zero values mean what their comments say.
type Options struct {
	Starters     []Starter     // asked in order; the first that Runs a runtime gets it
	Spawner      Spawner       // handed to the Starters
	Logs         LogSink       // gets every log line; may be nil
	Log          *slog.Logger  // our own log; default slog.Default()
	IdleTTL      time.Duration // an instance unused for so long is stopped; default 300 s
	MaxInstances int           // of one function that says nothing itself; default 64
	QueueMin     int           // calls that may wait for one function at the least; default 128
	ColdParallel int           // boots at the same time; default the number of processors
	NoPrewarm    bool          // start nothing before the first call
	PrewarmMB    int           // resident memory that never-called instances may take; default a quarter of the machine's
}

// Functions is the room: all deployed functions and their instances. New does nothing; Run keeps it
// in order; Stop ends it.
type Functions struct {
	o     Options
	tails *tails

	processors processors

	boots chan struct{} // one token per boot
	ahead chan struct{} // one token for boots that no call waits for

	base context.Context // ends when work must stop at once
	halt context.CancelFunc

	wg    sync.WaitGroup // goroutines of pools
	calls sync.WaitGroup // invocations that run; added to under mu while not stopped

	mu      sync.RWMutex // guards the fields below
	pools   map[key]*pool
	stopped bool
	change  chan struct{} // closed with the next deploy or removal
}

type key struct {
	app  sluice.AppName
	name sluice.FunctionName
}

// New returns an empty room.
func New(o Options) *Functions {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.IdleTTL = cmp.Or(o.IdleTTL, 300*time.Second)
	o.MaxInstances = cmp.Or(o.MaxInstances, 64)
	o.QueueMin = cmp.Or(o.QueueMin, 128)
	o.ColdParallel = cmp.Or(o.ColdParallel, runtime.NumCPU())
	if o.PrewarmMB == 0 {
		o.PrewarmMB = machineMB() / 4
	}
	f := &Functions{
		o:     o,
		tails: &tails{next: o.Logs, open: map[string]*tail{}},
		boots: make(chan struct{}, o.ColdParallel),
		ahead: make(chan struct{}, 1),
		pools: map[key]*pool{},

		change: make(chan struct{}),
	}
	f.processors.read = processorTime
	f.base, f.halt = context.WithCancel(context.Background())
	return f
}

// Run scales idle functions in, once a second, until ctx ends; then it stops what Stop has not
// stopped yet, at once.
func (f *Functions) Run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			f.tidy(now)
		case <-ctx.Done():
			f.Stop(ctx)
			return nil
		}
	}
}

// Stop refuses new calls, lets running ones finish until ctx ends, then stops all instances. When it
// returns nothing is left running; the error is ctx's when calls were cut off. It may be called more
// than once.
func (f *Functions) Stop(ctx context.Context) error {
	f.mu.Lock()
	f.stopped = true
	pools := f.all()
	f.mu.Unlock()
	for _, p := range pools {
		for _, w := range p.retire(nil) {
			w.ready <- grant{err: errStopping()}
		}
	}
	var err error
	idle := make(chan struct{})
	go func() { f.calls.Wait(); f.wg.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
		err = ctx.Err()
		f.halt()
		<-idle
	}
	f.halt()
	return err
}

func errStopping() error { return sluice.Errorf(sluice.Unavailable, "the server is stopping") }

// Deploy makes v the version that new calls go to, at once. Calls that wait go with it; calls in
// flight end on the old version, whose instances then stop. One instance is started in the
// background, so that an error of its initializer shows in Status before the first call.
func (f *Functions) Deploy(ctx context.Context, v *Version) error {
	if v.App == "" || v.Spec.Name == "" {
		return sluice.Errorf(sluice.Invalid, "a function needs an app and a name")
	}
	p := newPool(f, v)
	k := key{v.App, v.Spec.Name}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errStopping()
	}
	old := f.pools[k]
	f.pools[k] = p
	f.tell()
	if old != nil {
		old.retire(p)
	}
	p.prewarm(max(p.least, f.prewarmed()))
	return nil
}

// prewarmed is how many instances a function gets before it is called.
func (f *Functions) prewarmed() int {
	if f.o.NoPrewarm {
		return 0
	}
	return 1
}

// Remove takes a function away. Calls in flight end; calls that wait are answered Missing. Removing
// what is not there is no error.
func (f *Functions) Remove(ctx context.Context, app sluice.AppName, name sluice.FunctionName) error {
	f.mu.Lock()
	p := f.pools[key{app, name}]
	delete(f.pools, key{app, name})
	f.tell()
	f.mu.Unlock()
	if p == nil {
		return nil
	}
	for _, w := range p.retire(nil) {
		w.ready <- grant{err: missing(app, name)}
	}
	return nil
}

// tell wakes those who wait for a change; mu is held.
func (f *Functions) tell() {
	close(f.change)
	f.change = make(chan struct{})
}

// changed is closed when a function is deployed or removed from now on.
func (f *Functions) changed() <-chan struct{} {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.change
}

func missing(app sluice.AppName, name sluice.FunctionName) error {
	return sluice.Errorf(sluice.Missing, "app %q has no function %q", app, name)
}

// Invoke runs one call. A Result means that the function was reached, or that it failed to start by
// its own fault (Failure says which). An error means that nothing ran: Missing, Throttled (the queue
// is full or would take more than a second and a fifth of the timeout, or the call waited for min(timeout, 10 s), for a first instance
// as long as that may take to start besides), Unavailable (nothing here runs its runtime) or the end of ctx. Once a call runs it runs
// to its end, even when ctx ends and the caller has left; its payload must not be changed until then.
func (f *Functions) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	if inv.RequestID == "" {
		inv.RequestID = sluice.NewRequestID()
	}
	if inv.Stream != nil {
		t := &tap{caller: ctx, to: inv.Stream}
		defer t.shut()
		inv.Stream = t
	}
	for {
		p, err := f.enter(&inv)
		if err != nil {
			return sluice.Result{}, err
		}
		m, cold, err := p.acquire(ctx)
		if errors.Is(err, errRetired) {
			f.calls.Done()
			continue // a deploy came between
		}
		if err != nil {
			f.calls.Done()
			var s *StartError
			if errors.As(err, &s) {
				failure := s.Failure
				return sluice.Result{Failure: &failure, Cold: true}, nil
			}
			return sluice.Result{}, err
		}
		res, err := f.run(ctx, m, cold, &inv)
		if errors.Is(err, ErrInstanceGone) {
			continue // it died idle, before this call began
		}
		return res, err
	}
}

// Refuse is the error with which Invoke would turn a call away at once, Throttled, and counts the call; nil when it
// would not. It is for who has the choice of not making a call before he has anything to make it with.
func (f *Functions) Refuse(app sluice.AppName, name sluice.FunctionName) error {
	f.mu.RLock()
	p := f.pools[key{app, name}]
	f.mu.RUnlock()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired || len(p.free) > 0 || len(p.queue) == 0 {
		return nil
	}
	err := p.refuse()
	if err != nil {
		p.called = time.Now()
		p.peak = max(p.peak, p.inFlight+len(p.queue)+1)
	}
	return err
}

// enter finds the pool for a call and counts the call as running.
func (f *Functions) enter(inv *sluice.Invocation) (*pool, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.stopped {
		return nil, errStopping()
	}
	p := f.pools[key{inv.App, inv.Function}]
	if p == nil {
		return nil, missing(inv.App, inv.Function)
	}
	f.calls.Add(1)
	return p, nil
}

// leaver is an Instance whose calls can be left: when caller ends before the call does, rest waits for
// the result in its place. Others cost such a call a goroutine from its beginning.
type leaver interface {
	InvokeFor(ctx, caller context.Context, inv *sluice.Invocation) (res sluice.Result, rest func() sluice.Result, err error)
}

// run runs a call to its end, or until the caller leaves; then the call goes on without it.
func (f *Functions) run(ctx context.Context, m *member, cold bool, inv *sluice.Invocation) (sluice.Result, error) {
	c := m.begin(cold, inv)
	if l, ok := m.inst.(leaver); ok {
		res, rest, err := l.InvokeFor(c.ctx, ctx, inv)
		if rest == nil {
			defer f.calls.Done()
			return c.land(res, err)
		}
		go func() {
			defer f.calls.Done()
			c.land(rest(), nil)
		}()
		return sluice.Result{}, left(ctx)
	}
	type answer struct {
		res sluice.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		defer f.calls.Done()
		res, err := c.land(m.inst.Invoke(c.ctx, inv))
		done <- answer{res, err}
	}()
	select {
	case a := <-done:
		return a.res, a.err
	case <-ctx.Done():
		return sluice.Result{}, left(ctx)
	}
}

// left is the error for a caller whose context ended.
func left(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &sluice.Error{Code: sluice.Timeout, Msg: "the caller's time is over", Err: ctx.Err()}
	}
	return &sluice.Error{Code: sluice.Unavailable, Msg: "the caller has left", Err: ctx.Err()}
}

// Status is the state of one function.
type Status struct {
	App         sluice.AppName      `json:"app"`
	Name        sluice.FunctionName `json:"name"`
	Group       string              `json:"group,omitempty"`
	Runtime     string              `json:"runtime"`
	Revision    string              `json:"revision"`
	Parked      bool                `json:"parked,omitempty"`    // its starts keep failing: calls are answered InitError at once
	InitError   string              `json:"initError,omitempty"` // of the last start; "" when it succeeded
	InitErrorAt time.Time           `json:"initErrorAt,omitzero"`
	Stats       Stats               `json:"stats"`
}

// Stats are a function's numbers now, and its counters since its last deploy.
type Stats struct {
	Starting int `json:"starting"` // instances
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Draining int `json:"draining"`
	InFlight int `json:"inFlight"` // calls
	Queued   int `json:"queued"`

	Invocations uint64        `json:"invocations"`
	ColdStarts  uint64        `json:"coldStarts"` // calls that an instance was started for
	Errors      uint64        `json:"errors"`     // calls that failed
	Throttled   uint64        `json:"throttled"`
	Service     time.Duration `json:"service"` // moving average of a call
	Start       time.Duration `json:"start"`   // moving average of a start
}

// List says how the functions of an app are, by name; of all apps when app is "".
func (f *Functions) List(app sluice.AppName) []Status {
	f.mu.RLock()
	pools := f.all()
	f.mu.RUnlock()
	var list []Status
	for _, p := range pools {
		if app == "" || p.v.App == app {
			list = append(list, p.status(time.Now()))
		}
	}
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Status says how one function is; false when there is none.
func (f *Functions) Status(app sluice.AppName, name sluice.FunctionName) (Status, bool) {
	f.mu.RLock()
	p := f.pools[key{app, name}]
	f.mu.RUnlock()
	if p == nil {
		return Status{}, false
	}
	return p.status(time.Now()), true
}

// Version is what new calls of a function go to; false when there is none.
func (f *Functions) Version(app sluice.AppName, name sluice.FunctionName) (*Version, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if p := f.pools[key{app, name}]; p != nil {
		return p.v, true
	}
	return nil, false
}

// all lists the pools; mu is held.
func (f *Functions) all() []*pool {
	list := make([]*pool, 0, len(f.pools))
	for _, p := range f.pools {
		list = append(list, p)
	}
	return list
}

// tidy scales functions in. Never-called instances beyond the memory budget go too, those of the
// function that was called longest ago first.
func (f *Functions) tidy(now time.Time) {
	f.mu.RLock()
	pools := f.all()
	f.mu.RUnlock()
	slices.SortFunc(pools, func(a, b *pool) int { return b.lastCall().Compare(a.lastCall()) })
	budget := f.o.PrewarmMB
	for _, p := range pools {
		budget -= p.prewarmedMB()
		p.scaleIn(now, budget >= 0)
	}
}

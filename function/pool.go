package function

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/internal/until"
)

// ErrInstanceGone is what an Instance's Invoke returns for a call that surely has not begun because
// the instance had ended before. The call then goes to another instance.
var ErrInstanceGone = errors.New("the instance is gone")

// errRetired means that a newer version has taken the pool's place.
var errRetired = errors.New("retired")

const (
	maxQueueWait = 10 * time.Second // and never longer than the function's timeout, but for a first start
	leastWait    = time.Second      // a call may be let into the queue to wait so long, or for a fifth of its timeout
	firstStart   = time.Minute      // of a function that has no time of its own to get ready
	stopGrace    = 10 * time.Second // for one instance to stop, a pre-stop hook without a time of its own included
	keepWindow   = 60               // seconds over which the peak load keeps instances
)

// pool is the instances of one version of one function, and the calls that wait for them.
type pool struct {
	f       *Functions
	v       *Version
	starter Starter // nil when nothing here runs the runtime

	conc, most, least, queueMax int
	wait                        time.Duration // for a queued call
	bound                       time.Duration // of expected waiting: with more, no call is queued

	ctx    context.Context // of starts; ends when the pool is retired
	cancel context.CancelFunc
	wanted chan struct{} // one token when a call waits

	mu       sync.Mutex // guards the fields below; see the package's lock order
	retired  bool
	members  map[*member]struct{}
	free     []*member // members with a free slot, hottest last
	queue    []*waiter // oldest first
	starting int
	draining int // members that have left and still run
	inFlight int
	peak     int             // most calls at once since the last scaleIn
	peaks    [keepWindow]int // the same, per second
	second   int             // index into peaks
	called   time.Time       // last call
	moved    time.Time       // when an instance last took one of the queue, or could have
	lasts    time.Time       // since when the queue, if there is one, has not been empty
	added    time.Time       // when an instance was last started
	health   health
	service  average
	warm     average // as service, without the first calls of instances; with those that run out of time
	start    average
	retry    *time.Timer // looks at the queue again
	retryAt  time.Time
	stats    Stats     // its counters only
	looked   time.Time // at what instances want of the processors
	computes bool      // what was seen, or true while that is not known
	proved   bool      // that they compute
}

// member is an instance in a pool.
type member struct {
	pool    *pool
	inst    Instance
	init    time.Duration
	born    time.Time
	leaving chan struct{} // closed when it takes no more calls
	done    chan struct{} // closed when it has left and its last call has ended

	// Guarded by pool.mu.
	busy    int
	used    bool // has had a call
	left    bool
	idleAt  time.Time
	crashed bool
	ended   bool          // by itself, before anybody asked it to
	since   time.Time     // when it last began to have calls
	had     time.Duration // how long it has had some, until then
	wanted  time.Duration // of processors, when last looked at
	worked  time.Duration // then: for how long it had had calls
}

// waiter is a call in a queue. Whoever takes it out of the queue sends its grant.
type waiter struct {
	pool  atomic.Pointer[pool] // changes when a deploy takes the queue over
	at    time.Time
	ready chan grant // 1 slot
}

// grant is a slot of an instance, or why there is none.
type grant struct {
	m    *member
	cold bool // the instance was started for this call
	err  error
}

func newPool(f *Functions, v *Version) *pool {
	p := &pool{f: f, v: v, members: map[*member]struct{}{}, called: time.Now(), wanted: make(chan struct{}, 1)}
	p.conc = max(v.Spec.Concurrency, 1)
	p.most = cmp.Or(v.Spec.MaxInstances, f.o.MaxInstances)
	p.least = min(v.Spec.MinInstances, p.most)
	p.queueMax = max(p.most*p.conc*8, f.o.QueueMin)
	p.wait = min(p.timeout(), maxQueueWait)
	p.bound = min(max(leastWait, p.timeout()/5), p.wait)
	p.ctx, p.cancel = context.WithCancel(f.base)
	for _, s := range f.o.Starters {
		if s.Runs(v.Dialect, v.Spec.Runtime) {
			p.starter = s
			break
		}
	}
	return p
}

// timeout is how long a call may run; 3 s, as in most clouds, when the template says nothing.
func (p *pool) timeout() time.Duration { return cmp.Or(p.v.Spec.Timeout, 3*time.Second) }

// acquire finds a slot for a call. The caller must release it.
func (p *pool) acquire(ctx context.Context) (*member, bool, error) {
	now := time.Now()
	p.mu.Lock()
	switch {
	case p.retired:
		p.mu.Unlock()
		return nil, false, errRetired
	case p.starter == nil:
		p.mu.Unlock()
		return nil, false, &sluice.Error{Code: sluice.Unavailable,
			Msg:  "nothing here runs the runtime " + p.v.Spec.Runtime + " of function " + string(p.v.Spec.Name),
			Hint: "use a Node.js or custom runtime, or install what runs " + p.v.Spec.Runtime}
	}
	p.called = now
	p.peak = max(p.peak, p.inFlight+len(p.queue)+1)
	if n := len(p.free); n > 0 {
		m := p.free[n-1]
		p.occupy(m, now)
		p.mu.Unlock()
		return m, false, nil
	}
	if p.health.parked(now) && len(p.members) == 0 && p.starting == 0 {
		err := p.health.err
		p.stats.Errors++
		p.mu.Unlock()
		return nil, false, err
	}
	if err := p.refuse(); err != nil {
		p.mu.Unlock()
		return nil, false, err
	}
	w := &waiter{at: now, ready: make(chan grant, 1)}
	w.pool.Store(p)
	if len(p.queue) == 0 {
		p.lasts = now
	}
	p.queue = append(p.queue, w)
	select {
	case p.wanted <- struct{}{}:
	default:
	}
	p.grow(now)
	p.mu.Unlock()

	t := time.NewTimer(p.wait)
	defer t.Stop()
	var err error
	for waits := true; waits; {
		select {
		case g := <-w.ready:
			return g.m, g.cold, g.err
		case <-t.C:
			more := w.patience()
			t.Reset(more)
			waits = more > 0
		case <-ctx.Done():
			err, waits = left(ctx), false
		}
	}
	if q, ok := w.leave(); ok {
		if err == nil {
			err = q.waitedTooLong()
		}
		return nil, false, err
	}
	g := <-w.ready // it was granted in the same moment
	if err != nil && g.m != nil {
		g.m.pool.release(g.m)
		return nil, false, err
	}
	return g.m, g.cold, g.err
}

// refuse turns a call away that would have to wait when the queue is full or would take too long; nil when it may wait.
// mu is held.
func (p *pool) refuse() (err error) {
	if len(p.queue) >= p.queueMax {
		err = sluice.Errorf(sluice.Throttled, "function %q has %d calls waiting already", p.v.Spec.Name, p.queueMax)
	} else if wait := p.expected(); wait > p.bound {
		err = sluice.Errorf(sluice.Throttled, "function %q would let a call wait for %v", p.v.Spec.Name, wait.Round(time.Millisecond))
	}
	if err != nil {
		p.stats.Throttled++
	}
	return err
}

// patience is how much longer a call waits whose time in the queue is over: while its function has no
// instance yet and one is starting, that one's time to get ready.
func (w *waiter) patience() time.Duration {
	p := w.pool.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.members) > 0 || p.starting == 0 {
		return 0
	}
	return time.Until(w.at.Add(p.wait + cmp.Or(p.v.Spec.InitTimeout, firstStart)))
}

// leave takes w out of its queue, wherever that is now; false when somebody has granted it.
func (w *waiter) leave() (*pool, bool) {
	for {
		p := w.pool.Load()
		p.mu.Lock()
		if w.pool.Load() != p {
			p.mu.Unlock()
			continue
		}
		defer p.mu.Unlock()
		i := slices.Index(p.queue, w)
		if i < 0 {
			return p, false
		}
		p.queue = slices.Delete(p.queue, i, i+1)
		return p, true
	}
}

// waitedTooLong answers a call that found no slot in time: with the reason why none could be
// started when there is one.
func (p *pool) waitedTooLong() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.members) == 0 && p.health.err != nil {
		p.stats.Errors++
		return p.health.err
	}
	p.stats.Throttled++
	return sluice.Errorf(sluice.Throttled, "function %q had no free instance for %v", p.v.Spec.Name, p.wait)
}

// occupy takes a slot of m, which is in free when it has one; mu is held.
func (p *pool) occupy(m *member, now time.Time) {
	if m.busy == 0 {
		m.since = now
	}
	m.busy++
	p.inFlight++
	if m.busy == p.conc {
		if i := slices.Index(p.free, m); i >= 0 {
			p.free = slices.Delete(p.free, i, i+1)
		}
	}
}

// release gives a slot back: to the oldest waiting call, else to the top of the stack.
func (p *pool) release(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	full := m.busy == p.conc
	m.busy--
	if m.left {
		if m.busy == 0 {
			close(m.done)
		}
		return
	}
	if full {
		p.free = append(p.free, m)
	}
	m.idleAt = time.Now()
	p.moved = m.idleAt
	if m.busy == 0 {
		m.had += m.idleAt.Sub(m.since)
	}
	p.serve(m, false)
	if p.retired && m.busy == 0 {
		p.part(m)
	}
}

// serve hands m's free slots to waiting calls; mu is held and m is in free if it has slots.
func (p *pool) serve(m *member, cold bool) {
	for m.busy < p.conc && len(p.queue) > 0 && !m.left {
		w := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.occupy(m, m.idleAt)
		w.ready <- grant{m: m, cold: cold}
	}
}

// part takes m out of the pool; its last call, or this, closes done. mu is held.
func (p *pool) part(m *member) {
	if m.left {
		return
	}
	m.left = true
	close(m.leaving)
	delete(p.members, m)
	p.draining++
	if i := slices.Index(p.free, m); i >= 0 {
		p.free = slices.Delete(p.free, i, i+1)
	}
	if m.busy == 0 {
		close(m.done)
	}
}

// flight is a call in a slot of an instance.
type flight struct {
	m     *member
	cold  bool // the instance was started for it
	first bool // of its instance
	inv   *sluice.Invocation
	ctx   *until.Context // ends at the function's timeout
	began time.Time
}

// begin dispatches a call to the slot that acquire found. land ends it.
func (m *member) begin(cold bool, inv *sluice.Invocation) *flight {
	p := m.pool
	c := &flight{m: m, cold: cold, inv: inv, began: time.Now()}
	c.ctx = until.New(p.f.base, c.began.Add(p.timeout()))
	p.mu.Lock()
	c.first = !m.used
	m.used = true
	p.mu.Unlock()
	p.f.tails.begin(inv.RequestID)
	return c
}

// land takes what came of the call, counts it, and gives the slot back.
func (c *flight) land(res sluice.Result, err error) (sluice.Result, error) {
	m, p := c.m, c.m.pool
	took := time.Since(c.began)
	c.ctx.Release()
	tail := p.f.tails.end(c.inv.RequestID)
	if errors.Is(err, ErrInstanceGone) {
		p.mu.Lock()
		p.crashed(m)
		p.part(m)
		p.mu.Unlock()
		p.release(m)
		return sluice.Result{}, err
	}

	res.Cold = c.cold
	res.Took = cmp.Or(res.Took, took)
	if c.first {
		res.Init = cmp.Or(res.Init, m.init)
	}
	if res.Instance == "" {
		res.Instance = m.inst.ID()
	}
	if res.LogTail == nil {
		res.LogTail = tail
	}

	p.mu.Lock()
	p.stats.Invocations++
	if c.cold {
		p.stats.ColdStarts++
	}
	failed := err != nil || res.Failure != nil
	if failed {
		p.stats.Errors++
	}
	switch {
	case !failed || res.Failure != nil && res.Failure.Kind == sluice.Handled:
		p.health.succeed()
		p.service.add(took, 5)
		if !c.first {
			p.warm.add(took, seasoned)
		}
	case res.Failure != nil && res.Failure.Kind == sluice.TimedOut:
		p.warm.add(took, seasoned)
	case res.Failure != nil && res.Failure.Kind == sluice.Crashed:
		p.crashed(m)
	}
	select {
	case <-m.inst.Done():
		p.part(m) // at once, so that no other call gets it
	default:
	}
	p.mu.Unlock()
	p.release(m)
	if err != nil && sluice.KindOf(err) == sluice.Internal {
		err = sluice.Errorf(sluice.Internal, "invoke function %q: %w", p.v.Spec.Name, err)
	}
	return res, err
}

// crashed counts m's end as a crash, once; mu is held.
func (p *pool) crashed(m *member) {
	if !m.crashed && (!m.left || m.ended) {
		m.crashed = true
		p.health.crash(time.Now())
	}
}

// tend waits for m's end and sees to it that nothing is left of it.
func (p *pool) tend(m *member) {
	select {
	case <-m.inst.Done():
		p.mu.Lock()
		m.ended = !m.left
		if m.busy == 0 {
			p.crashed(m) // else its calls' results say so
		}
		p.part(m)
		p.grow(time.Now())
		p.mu.Unlock()
	case <-m.leaving:
	}
	<-m.done
	ctx, cancel := context.WithTimeout(p.f.base, stopGrace+p.v.Spec.StopTime)
	m.inst.Stop(ctx)
	cancel()
	p.mu.Lock()
	p.draining--
	p.mu.Unlock()
}

// retire ends the pool: idle instances stop, busy ones when their calls have ended. The waiting
// calls go to heir, or are returned for the caller to answer.
func (p *pool) retire(heir *pool) []*waiter {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	if p.retry != nil {
		p.retry.Stop()
	}
	for m := range p.members {
		if m.busy == 0 {
			p.part(m)
		}
	}
	waiting := p.queue
	p.queue = nil
	if heir == nil {
		return waiting
	}
	heir.mu.Lock() // nobody else knows heir yet
	defer heir.mu.Unlock()
	for _, w := range waiting {
		w.pool.Store(heir)
	}
	heir.queue = waiting
	heir.grow(time.Now())
	return nil
}

func (p *pool) status(now time.Time) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{App: p.v.App, Name: p.v.Spec.Name, Group: p.v.Spec.Group, Runtime: p.v.Spec.Runtime,
		Revision: p.v.Revision, Parked: p.health.parked(now), Stats: p.stats}
	if p.health.err != nil {
		s.InitError, s.InitErrorAt = p.health.err.Error(), p.health.at
	}
	for m := range p.members {
		if m.busy > 0 {
			s.Stats.Busy++
		} else {
			s.Stats.Idle++
		}
	}
	s.Stats.Starting, s.Stats.Draining = p.starting, p.draining
	s.Stats.InFlight, s.Stats.Queued = p.inFlight, len(p.queue)
	s.Stats.Service, s.Stats.Start = p.service.value, p.start.value
	return s
}

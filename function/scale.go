package function

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice"
)

const (
	parkAfter = 5                      // failed starts in a row
	parkRetry = 30 * time.Second       // a parked function may try one start so long after the last
	aliveFor  = 10 * time.Second       // an instance so old ends the back-off
	maxDelay  = 10 * time.Second       // of the back-off
	bootShare = 250 * time.Millisecond // a boot is bound by the processor only at its beginning
	bootCost  = 40 * time.Millisecond  // of processor for an instance, or its successor in a pool of booted ones
	lookEvery = 50 * time.Millisecond  // at what instances want of the processors, while calls wait

	seasoned = 20 // calls of a version make it quick; and as many, one that was slow for some reason not slow

	backlogTime = 200 * time.Millisecond // a queue that has not been empty for so long asks for another instance
)

// health is how a version's starts have gone. It says when the next may be made.
type health struct {
	fails  int   // starts and crashes in a row
	starts int   // failed starts in a row
	err    error // of the last failed start; nil after a good one
	at     time.Time
	after  time.Time // no start before
}

func (h *health) succeed() { h.fails, h.after = 0, time.Time{} }

// crash makes the next starts wait 0, 100 ms, 200 ms, 400 ms … 10 s.
func (h *health) crash(now time.Time) {
	h.fails++
	if h.fails > 1 {
		h.after = now.Add(min(100*time.Millisecond<<min(h.fails-2, 20), maxDelay))
	}
}

func (h *health) fail(now time.Time, err error) {
	h.crash(now)
	h.starts++
	h.err, h.at = err, now
	var s *StartError
	if errors.As(err, &s) && s.Failure.Kind == sluice.BadEntry {
		h.starts = parkAfter // the code will not change under us
	}
}

func (h *health) started() { h.starts, h.err = 0, nil }

// parked reports whether starting is pointless for now.
func (h *health) parked(now time.Time) bool {
	return h.starts >= parkAfter && now.Sub(h.at) < parkRetry
}

// average is a moving average; zero before the first value.
type average struct {
	value time.Duration
	n     int
}

// add adds a value to an average of about the last of.
func (a *average) add(d time.Duration, of int) {
	a.n = min(a.n+1, of)
	a.value += (max(d, 1) - a.value) / time.Duration(a.n)
}

// grow starts instances for waiting calls, if starting one promises to be sooner than waiting for
// those there are. It is called whenever that may have changed; mu is held.
func (p *pool) grow(now time.Time) {
	for !p.retired {
		q, live := len(p.queue), len(p.members)
		if q == 0 || p.starting*p.conc >= q || live+p.starting >= p.most {
			return
		}
		if p.health.fails > 0 && p.starting > 0 {
			return // one try at a time
		}
		if d := p.health.after.Sub(now); d > 0 {
			p.lookAgain(now, d)
			return
		}
		each := cmp.Or(p.warm.value, p.service.value) // 0 until the first has ended: with an instance a processor, let it
		if live > 0 && p.start.value > 0 && (each > 0 || live+p.starting >= p.f.o.ColdParallel) {
			worth := max(p.start.value, bootCost)
			drained := each * time.Duration(q) / time.Duration(live*p.conc)
			waited := now.Sub(latest(p.queue[0].at, p.moved)) // a queue that moves is slow for other reasons
			if drained <= worth && waited < worth && !p.backlog(now) {
				p.lookAgain(now, worth-waited)
				return
			}
		}
		if live+p.starting >= p.f.o.ColdParallel && p.compute(now) {
			p.lookAgain(now, lookEvery)
			return
		}
		p.boot()
	}
}

// backlog reports whether another instance would help though those there drain the queue sooner than it could be
// started: because the queue never is empty, and processors are idle that the instances leave. One comes at a
// time. mu is held.
func (p *pool) backlog(now time.Time) bool {
	return p.starting == 0 && now.Sub(p.lasts) >= backlogTime && now.Sub(p.added) >= backlogTime && p.f.processors.spare(now)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// expected is how long another call would wait in the queue, by the average of those before. It is nothing
// while that is not known, while nothing runs that could tell, and for as many calls as run at once: they
// are the next. Instances that may yet be started count as there: their starts are in nobody's average; so they
// do while those there have had few calls, which are slower than later ones. mu is held.
func (p *pool) expected() time.Duration {
	live, q := len(p.members), len(p.queue)
	n := p.most
	if live+p.starting >= p.f.o.ColdParallel && p.proved && p.warm.n == seasoned {
		n = live
	}
	if live == 0 || q < n*p.conc {
		return 0
	}
	return p.warm.value * time.Duration(q) / time.Duration(n*p.conc)
}

// compute reports whether calls compute, rather than wait for something: then more instances than there are
// processors would answer no more of them, and their boots would take time from those there are. They do when
// their instances want the processors for a quarter of the time that they have calls; the rest may be ours. It
// is true, too, until it has been looked at twice; mu is held.
func (p *pool) compute(now time.Time) bool {
	since := now.Sub(p.looked)
	if since < lookEvery {
		return p.computes
	}
	p.looked, p.computes, p.proved = now, true, false
	var sum, busy time.Duration
	for m := range p.members {
		wanted, worked := m.wanted, m.worked
		if w, ok := m.inst.(wanter); ok {
			m.wanted = w.Wanted()
		}
		if m.worked = m.had; m.busy > 0 {
			m.worked += now.Sub(m.since)
		}
		switch {
		case m.wanted == 0: // nobody can tell
			p.computes = false
			return false
		case wanted > 0:
			sum += m.wanted - wanted
			busy += m.worked - worked
		}
	}
	if busy > 0 && since < 10*lookEvery {
		p.computes = sum > busy/4
		p.proved = p.computes
	}
	return p.computes
}

// lookAgain calls grow after d, unless a sooner look is planned; mu is held.
func (p *pool) lookAgain(now time.Time, d time.Duration) {
	at := now.Add(d)
	if p.retryAt.After(now) && !p.retryAt.After(at) {
		return
	}
	p.retryAt = at
	if p.retry != nil {
		p.retry.Reset(d)
		return
	}
	p.retry = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.retryAt = time.Time{}
		p.grow(time.Now())
	})
}

// prewarm starts instances until there are n.
func (p *pool) prewarm(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.starter != nil && !p.retired && len(p.members)+p.starting < n {
		p.boot()
	}
}

// boot starts one instance in the background; mu is held and the pool is not retired.
func (p *pool) boot() {
	ahead := len(p.queue) == 0 && len(p.members)+p.starting >= p.least // of any need
	p.starting++
	p.added = time.Now()
	p.f.wg.Go(func() {
		inst, took, err := p.startOne(ahead)
		now := time.Now()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starting--
		switch {
		case err == nil:
			p.join(inst, took, now)
		case errors.Is(err, errUnneeded):
		case !p.retired:
			p.startFailed(err, now)
		}
		p.grow(now)
	})
}

// startOne starts an instance when it gets one of the tokens that keep boots from crowding the
// processors. It holds the token only while a boot is bound by them: an initializer that waits for
// a database must not keep others from starting. One instance at a time is started ahead of any need,
// so that the deploy of many functions leaves processors to calls; a call in the meantime is a need.
func (p *pool) startOne(ahead bool) (Instance, time.Duration, error) {
	if ahead {
		select {
		case p.f.ahead <- struct{}{}:
		case <-p.wanted:
			ahead = false
		case <-p.ctx.Done():
			return nil, 0, p.ctx.Err()
		}
	}
	leave := func() {
		if ahead {
			<-p.f.ahead
		}
	}
	select {
	case p.f.boots <- struct{}{}:
	case <-p.ctx.Done():
		leave()
		return nil, 0, p.ctx.Err()
	}
	if !ahead && !p.needed() {
		<-p.f.boots
		return nil, 0, errUnneeded
	}
	began := time.Now()
	done := make(chan struct{})
	p.f.wg.Go(func() {
		t := time.NewTimer(bootShare)
		defer t.Stop()
		select {
		case <-t.C:
		case <-done:
		}
		<-p.f.boots
		leave()
	})
	defer close(done)
	inst, err := p.starter.Start(p.ctx, p.v, p.f.o.Spawner, p.f.tails)
	return inst, time.Since(began), err
}

// errUnneeded means that the calls that a start was for have been served before it could begin.
var errUnneeded = errors.New("unneeded")

// needed reports whether a start that may begin now still has a reason.
func (p *pool) needed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) > 0 || len(p.members)+p.starting <= max(p.least, 1)
}

// join adds a started instance and gives it to waiting calls; mu is held.
func (p *pool) join(inst Instance, took time.Duration, now time.Time) {
	p.health.started()
	p.start.add(took, 5)
	m := &member{pool: p, inst: inst, init: took, born: now, idleAt: now, leaving: make(chan struct{}), done: make(chan struct{})}
	p.members[m] = struct{}{}
	p.free = append(p.free, m)
	p.f.wg.Go(func() { p.tend(m) })
	if p.retired {
		p.part(m)
		return
	}
	p.moved = now
	p.serve(m, true)
}

// startFailed answers the calls that the instance was started for, or all when there will be no
// further try; mu is held.
func (p *pool) startFailed(err error, now time.Time) {
	if sluice.KindOf(err) == sluice.Internal {
		var s *StartError
		if !errors.As(err, &s) {
			err = sluice.Errorf(sluice.Internal, "start function %q: %w", p.v.Spec.Name, err)
		}
	}
	p.health.fail(now, err)
	p.f.o.Log.Warn("function does not start", "app", p.v.App, "function", p.v.Spec.Name, "err", err, "failures", p.health.starts)
	if len(p.members)+p.starting > 0 {
		return // they will serve the queue; a server with a port of its own lets no second one start
	}
	n := min(p.conc, len(p.queue))
	if p.health.parked(now) {
		n = len(p.queue)
	}
	for _, w := range p.queue[:n] {
		w.ready <- grant{err: err}
	}
	p.stats.Errors += uint64(n)
	p.queue = slices.Delete(p.queue, 0, n)
}

// scaleIn stops instances that the load of the last minute does not need and those idle for too
// long; the last one gives way to a fresh one that has run no call. It runs once a second.
func (p *pool) scaleIn(now time.Time, affordable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired {
		return
	}
	p.second = (p.second + 1) % keepWindow
	p.peaks[p.second] = max(p.peak, p.inFlight+len(p.queue))
	p.peak = 0
	keep := max((slices.Max(p.peaks[:])+p.conc-1)/p.conc, p.least, 1)
	for _, m := range slices.Clone(p.free) { // coldest first
		if now.Sub(m.born) > aliveFor {
			p.health.succeed()
		}
		n := len(p.members)
		if m.busy > 0 || n <= p.least {
			continue
		}
		idle := now.Sub(m.idleAt)
		switch {
		case !m.used && n == 1 && affordable && !p.f.o.NoPrewarm: // the prewarmed one
		case !m.used && !affordable, idle > p.f.o.IdleTTL, n > keep && idle > keepWindow*time.Second:
			p.part(m)
			if n == 1 && p.starting == 0 && affordable && !p.f.o.NoPrewarm {
				p.boot()
			}
		}
	}
	for n := len(p.members) + p.starting; n < p.least && p.starter != nil && !p.health.after.After(now) && !p.health.parked(now); n++ {
		p.boot()
	}
	p.grow(now)
}

// lastCall is when the function was called last, or deployed.
func (p *pool) lastCall() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.called
}

// prewarmedMB is what the instances take that have had no call.
func (p *pool) prewarmedMB() int {
	p.mu.Lock()
	var fresh []Instance
	for m := range p.members {
		if !m.used {
			fresh = append(fresh, m.inst)
		}
	}
	p.mu.Unlock()
	mb := 0
	for _, inst := range fresh {
		if i, ok := inst.(interface{ MemoryMB() int }); ok {
			mb += i.MemoryMB()
		} else {
			mb += cmp.Or(p.v.Spec.MemoryMB, 128)
		}
	}
	return mb
}

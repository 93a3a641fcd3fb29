package process

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/function"
)

// spares keeps instances that are booted and have no user code yet, so that a start needs only to load it.
// A kind is what must be fixed before the boot.
type spares[K comparable] struct {
	least int // of each kind
	boot  func(context.Context, K, function.Spawner) (*instance, error)
	log   *slog.Logger

	base context.Context // of boots
	halt context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	closed bool
	kinds  map[K]*spare
}

// spare are the spares of one kind.
type spare struct {
	spawner function.Spawner
	idle    []*instance
	booting bool
	starts  []time.Time // recent ones, and always the last
	dropped bool        // other kinds have taken its place
}

const (
	refillDelay = 20 * time.Millisecond // the reply that a start was for goes first
	startWindow = 10 * time.Second
	maxKinds    = 8 // that have spares; the one used longest ago goes
)

// newSpares keeps at least so many of each kind: 0 means 1, and fewer than that none.
func newSpares[K comparable](least int, boot func(context.Context, K, function.Spawner) (*instance, error), log *slog.Logger) *spares[K] {
	s := &spares[K]{least: cmp.Or(least, 1), boot: boot, log: log, kinds: map[K]*spare{}}
	s.base, s.halt = context.WithCancel(context.Background())
	return s
}

// close stops those that nobody has taken. Instances that were handed out are their pools' to stop.
func (s *spares[K]) close() {
	s.mu.Lock()
	s.closed = true
	var idle []*instance
	for _, g := range s.kinds {
		idle = append(idle, g.idle...)
		g.idle = nil
	}
	s.mu.Unlock()
	s.halt()
	for _, i := range idle {
		i.kill()
	}
	s.wg.Wait()
}

// start makes a booted instance one of v, a spare if there is one. The next spares are booted afterwards: both at
// once would take turns on the processors, and somebody waits for the one.
func (s *spares[K]) start(ctx context.Context, k K, sp function.Spawner, v *function.Version, logs function.LogSink, maxResult int) (function.Instance, error) {
	inst := s.take(k, sp)
	defer s.refill(k)
	for try := 1; inst == nil; try++ {
		var err error
		if inst, err = s.boot(ctx, k, sp); err != nil && (try == bootTries || !errors.Is(err, errDead)) {
			return nil, err
		}
	}
	if err := inst.load(ctx, v, logs, maxResult); err != nil {
		inst.kill()
		return nil, err
	}
	return inst, nil
}

// take returns a booted instance of a kind, nil when there is none.
func (s *spares[K]) take(k K, sp function.Spawner) *instance {
	if s.least < 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.kinds[k]
	if g == nil {
		s.dropOldest()
		g = &spare{}
		s.kinds[k] = g
	}
	g.spawner = sp
	now := time.Now()
	g.starts = append(slices.DeleteFunc(g.starts, func(t time.Time) bool { return now.Sub(t) > startWindow }), now)
	for len(g.idle) > 0 {
		i := g.idle[len(g.idle)-1]
		g.idle = g.idle[:len(g.idle)-1]
		select {
		case <-i.dead:
		default:
			return i
		}
	}
	return nil
}

// dropOldest makes room for a kind; mu is held.
func (s *spares[K]) dropOldest() {
	if s.closed || len(s.kinds) < maxKinds {
		return
	}
	var oldest K
	var at time.Time
	for k, g := range s.kinds {
		if last := g.starts[len(g.starts)-1]; at.IsZero() || last.Before(at) {
			oldest, at = k, last
		}
	}
	g := s.kinds[oldest]
	g.dropped = true
	delete(s.kinds, oldest)
	for _, i := range g.idle {
		s.wg.Go(func() { i.kill() })
	}
	g.idle = nil
}

// refill boots instances in the background, one after the other, until there are as many as the
// starts of late ask for.
func (s *spares[K]) refill(k K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.kinds[k]
	if g == nil || s.closed || g.booting {
		return
	}
	g.booting = true
	s.wg.Go(func() {
		select {
		case <-time.After(refillDelay):
		case <-s.base.Done():
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for !s.closed && !g.dropped && len(g.idle) < min(s.least+len(g.starts)/4, max(s.least, runtime.NumCPU()*2)) {
			spawner := g.spawner
			s.mu.Unlock()
			i, err := s.boot(s.base, k, spawner)
			s.mu.Lock()
			switch {
			case err != nil:
				if !s.closed {
					s.log.Warn("an instance for functions to come does not start", "err", err)
				}
				g.booting = false
				return
			case s.closed || g.dropped:
				s.wg.Go(func() { i.kill() })
			default:
				g.idle = append(g.idle, i)
			}
		}
		g.booting = false
	})
}

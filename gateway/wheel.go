package gateway

import (
	"math"
	"time"
)

// Time for timeouts goes in ticks since the gateway was made, beginning with 1.
const tickLength = 50 * time.Millisecond

// spokes is the size of the wheel: a round takes 102 seconds. What is due later stays for the next
// round.
const spokes = 2048

const never = math.MaxUint32

// Timeouts that no policy sets.
const (
	handshakeTimeout = 10 * time.Second
	closeTimeout     = 5 * time.Second  // for the client's answer to our close frame
	lingerTimeout    = 2 * time.Second  // for the client to read why it was turned away
	stuckTimeout     = 30 * time.Second // for a full socket to take another byte
)

// wheel finds the connections whose time has come. A connection is in it once, at the earliest of
// its deadlines or before: activity only makes a deadline later, so nothing moves when a frame comes.
type wheel struct {
	heads [spokes]uint32 // slot+1
	past  uint32         // the tick up to which all is done
	soon  uint32         // no spoke before this tick has anybody; never when nobody is in
}

func (s *shard) tick() uint32 {
	return uint32(s.time().Sub(s.g.started)/tickLength) + 1 // monotonic: a clock that is set matters not
}

// in is the tick when d has passed from now.
func (s *shard) in(d time.Duration) uint32 { return later(s.tick(), d) }

func later(t uint32, d time.Duration) uint32 { return sum(t, ticks(d)) }

// ticks is d in ticks, not less.
func ticks(d time.Duration) uint32 { return uint32(min((d+tickLength-1)/tickLength, never)) }

func sum(t, n uint32) uint32 {
	if n >= never-t {
		return never
	}
	return t + n
}

// atTick is the time at which a tick began.
func (g *Gateway) atTick(t uint32) time.Time {
	return g.started.Add(time.Duration(t-1) * tickLength).Round(0)
}

// schedule sees to it that the wheel looks at c in time.
func (s *shard) schedule(c *conn) {
	t := s.deadline(c)
	if t == never || c.due != 0 && c.due <= t {
		return
	}
	s.wheel.remove(s, c)
	s.wheel.add(s, c, t)
}

func (w *wheel) add(s *shard, c *conn, t uint32) {
	c.due = max(t, w.past+1)
	head := &w.heads[c.due%spokes]
	c.back, c.forward = 0, *head
	if *head != 0 {
		s.slot(*head - 1).back = c.slot + 1
	}
	*head = c.slot + 1
	if w.soon == 0 || c.due < w.soon {
		w.soon = c.due
	}
}

func (w *wheel) remove(s *shard, c *conn) {
	if c.due == 0 {
		return
	}
	if c.back != 0 {
		s.slot(c.back - 1).forward = c.forward
	} else {
		w.heads[c.due%spokes] = c.forward
	}
	if c.forward != 0 {
		s.slot(c.forward - 1).back = c.back
	}
	c.due, c.forward, c.back = 0, 0, 0
}

// advance looks at everybody who is due by now.
func (w *wheel) advance(s *shard) {
	now := s.tick()
	if w.soon == 0 || w.soon > now {
		w.past = max(w.past, now)
		return
	}
	from := max(w.past+1, w.soon)
	if now-from >= spokes {
		from = now - spokes + 1
	}
	w.past = now
	for t := from; t <= now; t++ {
		for n := w.heads[t%spokes]; n != 0; {
			c := s.slot(n - 1)
			n = c.forward
			if c.due <= now {
				w.remove(s, c)
				s.expire(c)
				s.schedule(c)
			}
		}
	}
	w.soon = 0
	for t := now + 1; t <= now+spokes; t++ {
		if w.heads[t%spokes] != 0 {
			w.soon = t
			return
		}
	}
}

// sleep is how long nothing is due.
func (w *wheel) sleep(s *shard) time.Duration {
	if w.soon == 0 {
		return -1
	}
	return max(time.Until(s.g.atTick(w.soon)), time.Millisecond)
}

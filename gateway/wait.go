package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// waiting is a push that waits for room in a connection's queue (Policy.PushWait).
type waiting struct {
	place
	out    *wire.Outgoing
	until  time.Time
	over   atomic.Bool         // whoever sets it decides what became of it: its sender, or the shard
	answer chan sluice.Outcome // the shard's
}

// settle is the shard's answer. It reports false when the sender has given up.
func (w *waiting) settle(o sluice.Outcome) bool {
	if !w.over.CompareAndSwap(false, true) {
		return false
	}
	w.answer <- o
	return true
}

// await waits for what becomes of a push that waits.
func (g *Gateway) await(ctx context.Context, w *waiting) sluice.Outcome {
	timer := time.NewTimer(time.Until(w.until))
	defer timer.Stop()
	select {
	case o := <-w.answer:
		return o
	case <-g.done:
		return sluice.Gone
	case <-timer.C:
	case <-ctx.Done():
	}
	if !w.over.CompareAndSwap(false, true) {
		return <-w.answer
	}
	w.shard.loop.Post(func() { // what nobody waits for any more need not be kept
		if w.conn.gen() == w.gen {
			w.shard.letIn(w.conn)
		}
	})
	return sluice.Overflow
}

// await puts a push at the end of those that wait.
func (s *shard) await(w *waiting) {
	c := w.conn
	if c.gen() != w.gen || c.state() != open {
		w.settle(sluice.Gone)
		return
	}
	b := c.busy()
	b.waiting = append(b.waiting, w)
	c.pub.Store(c.pub.Load() | crowdedBit) // later pushes wait behind it
	s.letIn(c)
}

// letIn queues pushes that wait, as far as there is room.
func (s *shard) letIn(c *conn) {
	if !c.crowded() || c.state() != open {
		return
	}
	b, p := c.work, &c.ep.Load().Policy
	for len(b.waiting) > 0 {
		w := b.waiting[0]
		if !w.over.Load() {
			size := load(w.out.Frame(false))
			if !c.reserve(p, size) {
				return
			}
			if w.settle(sluice.Queued) {
				s.push(c, w.gen, w.out)
			} else {
				c.queued.Add(-size)
			}
		}
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
	}
	b.waiting = nil
	c.pub.Store(c.pub.Load() &^ crowdedBit)
	c.rested()
}

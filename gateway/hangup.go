package gateway

import (
	"context"
	"time"

	"github.com/sluicehq/sluice"
)

// hangUpLook is how often HangUp looks whether all is told.
const hangUpLook = 20 * time.Millisecond

// HangUp ends all of an app's connections on this node for good: before the app itself goes, which has to
// hear of it. Each gets a close frame and until limit to answer, then its socket is closed; nobody is waited for
// to come back within a grace. It returns when every Close that is owed has been told, also of those who come
// meanwhile, or with ctx's error.
func (g *Gateway) HangUp(ctx context.Context, app sluice.AppName, spec sluice.CloseSpec, limit time.Duration) error {
	// Those that have ended already go first: whose owner is back on another connection is spared the Close.
	g.each(ctx, func(s *shard) int { return s.hangUpAll(app, nil, false) })
	for end := time.Now().Add(limit); ; {
		late := time.Now().After(end)
		if g.each(ctx, func(s *shard) int { return s.hangUpAll(app, &spec, late) }) == 0 {
			return ctx.Err()
		}
		select {
		case <-time.After(hangUpLook):
		case <-g.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hangUpAll takes an app's connections one step further to their end and returns how many are not there
// yet. Without a spec, open ones stay.
func (s *shard) hangUpAll(app sluice.AppName, spec *sluice.CloseSpec, late bool) (left int) {
	for _, chunk := range *s.slots.Load() {
		for i := range chunk {
			c := &chunk[i]
			ep := c.ep.Load()
			if c.state() == free || ep == nil || ep.App != app {
				continue
			}
			slot, gen := c.slot, c.gen()
			if c.state() == open && spec != nil {
				s.shut(c, sluice.ServerClose, *spec)
			}
			if late && c.connected() {
				s.hangUp(c)
			}
			if w := c.work; w != nil && w.end != nil && !w.end.told && w.end.grace != 1 {
				w.end.grace = 1 // the tick before all others: it has passed
				s.finish(c)
			}
			if s.slot(slot).gen() == gen {
				left++
			}
		}
	}
	return left
}

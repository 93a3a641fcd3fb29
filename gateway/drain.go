package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// Drain stops accepting and closes all connections, evenly over a window so that their clients do
// not all come back at once. It returns when every Close that is owed has been told and HTTP requests
// have ended, or with ctx's error when that takes too long. Run goes on.
func (g *Gateway) Drain(ctx context.Context, window time.Duration) error {
	g.drain.Do(func() { close(g.draining) })
	var web sync.WaitGroup
	web.Go(func() { g.plain.shutdown(ctx) })
	defer web.Wait()

	var mu sync.Mutex // guards all
	var all []place
	g.each(ctx, func(s *shard) int {
		mu.Lock()
		defer mu.Unlock()
		for _, chunk := range *s.slots.Load() {
			for i := range chunk {
				switch c := &chunk[i]; c.state() {
				case greeting:
					s.hangUp(c)
				case open:
					all = append(all, place{shard: s, conn: c, gen: c.gen()})
				}
			}
		}
		return 0
	})
	mu.Lock()
	places := all
	mu.Unlock()
	begin := time.Now()
	for i, at := range places {
		if wait := time.Until(begin.Add(window * time.Duration(i) / time.Duration(len(places)))); wait > 0 {
			select {
			case <-time.After(wait):
			case <-g.done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		at.shard.loop.Post(func() {
			if at.conn.gen() == at.gen {
				at.shard.drain(at.conn)
			}
		})
	}
	for g.live.Load() > 0 {
		select {
		case <-g.quiet:
		case <-g.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (g *Gateway) isDraining() bool { return isClosed(g.draining) }
func (g *Gateway) isDone() bool     { return isClosed(g.done) }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// drain tells one client to go.
func (s *shard) drain(c *conn) {
	if c.state() != open {
		return
	}
	p := &c.ep.Load().Policy
	if p.DrainNotice != nil {
		s.own(c, wire.Text, p.DrainNotice)
	}
	s.shut(c, sluice.Drain, p.goAway(s.g.opt.DrainCode, "server is stopping"))
}

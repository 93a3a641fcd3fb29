package gateway

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// place is where a connection is.
type place struct {
	node  uint16 // another node; 0 when it is here
	shard *shard
	conn  *conn
	gen   uint32
}

// locate finds a connection without asking its shard. Queued says that it is open.
func (g *Gateway) locate(id sluice.ConnID) (place, sluice.Outcome) {
	a, ok := parse(id)
	switch {
	case !ok:
		return place{}, sluice.NotFound
	case a.node != g.opt.Node && a.node != 0 && g.opt.Relay != nil:
		return place{node: a.node}, 0
	case a.node != g.opt.Node, int(a.shard) >= len(g.shards):
		return place{}, sluice.Gone
	}
	s := g.shards[a.shard]
	c := s.slot(a.slot)
	if c == nil {
		return place{}, sluice.Gone
	}
	word := c.pub.Load()
	if word>>8 != a.gen {
		return place{}, sluice.Gone
	}
	switch state(word & 7) {
	case greeting, opening:
		return place{}, sluice.Pending
	case open:
		return place{shard: s, conn: c, gen: a.gen}, sluice.Queued
	}
	return place{}, sluice.Gone
}

// Push sends a message to one connection. The outcome is zero when another node that holds it
// could not be asked in time.
func (g *Gateway) Push(ctx context.Context, id sluice.ConnID, f sluice.Frame) sluice.Outcome {
	at, out := g.locate(id)
	if at.node != 0 {
		return g.ask(ctx, at.node, request{op: opPush, ids: []sluice.ConnID{id}, frame: f}, 1)[0]
	}
	if out != sluice.Queued {
		return out
	}
	o := outgoing(f)
	out, w := at.count(o)
	switch {
	case w != nil:
		return g.await(ctx, w)
	case out == sluice.Queued && !at.shard.loop.Post(func() { at.shard.push(at.conn, at.gen, o) }):
		return sluice.Gone
	}
	return out
}

// count makes room for a message in a connection's queue, which shard.push will use. When there is none
// and the endpoint lets pushes wait, the message waits, and the outcome is what await says.
func (at place) count(o *wire.Outgoing) (sluice.Outcome, *waiting) {
	ep := at.conn.ep.Load()
	if ep == nil {
		return sluice.Gone, nil
	}
	if o.Size() > ep.Policy.maxPush() {
		return sluice.TooLarge, nil
	}
	if at.conn.deflate() {
		o.Frame(true) // compress here, not on the shard
	}
	if !at.conn.crowded() && at.conn.reserve(&ep.Policy, load(o.Frame(false))) {
		return sluice.Queued, nil
	}
	if wait := ep.Policy.PushWait; wait > 0 {
		w := &waiting{place: at, out: o, until: time.Now().Add(wait), answer: make(chan sluice.Outcome, 1)}
		if !at.shard.loop.Post(func() { at.shard.await(w) }) {
			return sluice.Gone, nil
		}
		return 0, w
	}
	at.shard.loop.Post(func() {
		if at.conn.gen() == at.gen {
			at.shard.overflow(at.conn)
		}
	})
	return sluice.Overflow, nil
}

// PushMany sends one message to many connections and returns an outcome for each, in order. The
// frame is built once, and each shard and each other node is asked once.
func (g *Gateway) PushMany(ctx context.Context, ids []sluice.ConnID, f sluice.Frame) []sluice.Outcome {
	outs := make([]sluice.Outcome, len(ids))
	here := make([]place, 0, len(ids))
	var asked [maxShards]bool
	away := map[uint16][]int{}
	late := map[int]*waiting{}
	o := outgoing(f)
	for i, id := range ids {
		at, out := g.locate(id)
		if at.node != 0 {
			away[at.node] = append(away[at.node], i)
			continue
		}
		if out == sluice.Queued {
			var w *waiting
			if out, w = at.count(o); w != nil {
				late[i] = w
			}
		}
		if out == sluice.Queued {
			here = append(here, at)
			asked[at.shard.index] = true
		}
		outs[i] = out
	}
	for i, s := range g.shards {
		if asked[i] {
			s.loop.Post(func() {
				for _, at := range here {
					if at.shard == s {
						s.push(at.conn, at.gen, o)
					}
				}
			})
		}
	}
	g.askEach(ctx, away, ids, f, outs)
	for i, w := range late {
		outs[i] = g.await(ctx, w)
	}
	return outs
}

// Close closes a connection with a code and a reason; the zero code is 1000. When it returns, nobody finds
// the connection any more. The outcome is zero when that took longer than ctx.
func (g *Gateway) Close(ctx context.Context, id sluice.ConnID, spec sluice.CloseSpec) sluice.Outcome {
	at, out := g.locate(id)
	if at.node != 0 {
		return g.ask(ctx, at.node, request{op: opClose, ids: []sluice.ConnID{id}, spec: spec}, 1)[0]
	}
	if out != sluice.Queued {
		return out
	}
	was := make(chan bool, 1)
	if !at.shut(spec, was) {
		return sluice.Gone
	}
	select {
	case open := <-was:
		if open {
			return sluice.Queued
		}
	case <-ctx.Done():
		return 0
	case <-g.done:
	}
	return sluice.Gone
}

// closeHere begins to close a connection of this node. Shards may call it.
func (g *Gateway) closeHere(id sluice.ConnID, spec sluice.CloseSpec) {
	if at, out := g.locate(id); out == sluice.Queued {
		at.shut(spec, make(chan bool, 1))
	}
}

// shut has the shard close a connection and say whether it was open. It is false when the shard has ended.
func (at place) shut(spec sluice.CloseSpec, was chan<- bool) bool {
	return at.shard.loop.Post(func() {
		found := at.conn.gen() == at.gen && at.conn.state() == open
		if found {
			at.shard.shut(at.conn, sluice.ServerClose, spec)
		}
		was <- found
	})
}

// Get returns a snapshot of an open connection. Its maps are shared and must not be changed.
func (g *Gateway) Get(ctx context.Context, id sluice.ConnID) (sluice.Conn, sluice.Outcome) {
	at, out := g.locate(id)
	if at.node != 0 {
		return g.askGet(ctx, at.node, id)
	}
	if out != sluice.Queued {
		return sluice.Conn{}, out
	}
	answer := make(chan *sluice.Conn, 1)
	if !at.shard.loop.Post(func() {
		if at.conn.gen() != at.gen || at.conn.state() != open {
			answer <- nil
			return
		}
		sn := at.shard.snapshot(at.conn)
		answer <- &sn
	}) {
		return sluice.Conn{}, sluice.Gone
	}
	select {
	case sn := <-answer:
		if sn != nil {
			return *sn, sluice.Queued
		}
	case <-ctx.Done():
		return sluice.Conn{}, 0
	case <-g.done:
	}
	return sluice.Conn{}, sluice.Gone
}

// List returns open connections of this node in the order of their ids, from the one after a given
// id on (the zero id is the beginning). An empty app or endpoint is any; limit 0 is 100.
func (g *Gateway) List(ctx context.Context, app sluice.AppName, endpoint string, after sluice.ConnID, limit int) []sluice.Conn {
	limit = orDefault(limit, 100)
	type page struct {
		shard uint8
		conns []sluice.Conn
	}
	answers := make(chan page, len(g.shards))
	g.each(ctx, func(s *shard) int {
		p := page{shard: s.index}
		for _, chunk := range *s.slots.Load() {
			for i := range chunk {
				c := &chunk[i]
				if len(p.conns) == limit {
					break
				}
				if c.state() != open {
					continue
				}
				if id, ep := s.id(c), c.ep.Load(); (app == "" || ep.App == app) && (endpoint == "" || ep.Name == endpoint) && bytes.Compare(id[:], after[:]) > 0 {
					p.conns = append(p.conns, s.snapshot(c))
				}
			}
		}
		answers <- p
		return 0
	})
	pages := make([][]sluice.Conn, len(g.shards))
	for range len(answers) {
		p := <-answers
		pages[p.shard] = p.conns
	}
	all := slices.Concat(pages...) // ids order by shard first
	return all[:min(len(all), limit)]
}

// Count returns how many connections of an app are open on this node.
func (g *Gateway) Count(ctx context.Context, app sluice.AppName) int {
	return g.each(ctx, func(s *shard) int { return s.opens[app] })
}

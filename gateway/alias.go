package gateway

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// aliases is this node's directory of second names.
type aliases struct {
	mu    sync.Mutex // guards names; held for a look-up only
	names map[sluice.Alias][]sluice.ConnID
}

// add binds a name to one more connection and returns those that had it before.
func (a *aliases) add(name sluice.Alias, id sluice.ConnID) (others []sluice.ConnID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names == nil {
		a.names = map[sluice.Alias][]sluice.ConnID{}
	}
	others = slices.Clone(a.names[name])
	a.names[name] = append(a.names[name], id)
	return others
}

func (a *aliases) remove(name sluice.Alias, id sluice.ConnID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := a.names[name]
	if i := slices.Index(ids, id); i >= 0 {
		ids = slices.Delete(ids, i, i+1)
	}
	if len(ids) == 0 {
		delete(a.names, name)
		return
	}
	a.names[name] = ids
}

func (a *aliases) ids(name sluice.Alias) []sluice.ConnID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.names[name])
}

func (a *aliases) alive(name sluice.Alias) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.names[name]) > 0
}

// bind gives c a second name; it reports whether that is a change.
func (s *shard) bind(c *conn, name sluice.Alias) bool {
	x := c.more()
	if x.alias != nil && *x.alias == name {
		return false
	}
	old := x.alias
	x.alias = &name
	if c.state() == lost || c.work != nil && c.work.end != nil {
		return true
	}
	id := s.id(c)
	if old != nil {
		s.g.aliases.remove(*old, id)
	}
	others := s.g.aliases.add(name, id)
	if c.ep.Load().Policy.ExclusiveAlias {
		for _, other := range others {
			s.g.closeHere(other, sluice.CloseSpec{Code: wire.CodePolicy, Reason: "replaced by a newer connection"})
		}
	}
	return true
}

// Reach is whom a push to an alias has reached: how many connections took it, and Queued when any did;
// else NotFound when nobody has the name, and otherwise the best that happened.
type Reach struct {
	Delivered int
	Outcome   sluice.Outcome
}

// PushAliases sends one message to all connections of some second names, on all nodes, and returns one
// Reach for each name, in order. The frame is built once, and every node asked once.
func (g *Gateway) PushAliases(ctx context.Context, names []sluice.Alias, f sluice.Frame) []Reach {
	var asked sync.WaitGroup
	var answers [][]byte
	asked.Go(func() { answers = g.everybody(ctx, request{op: opPushAliases, aliases: names, frame: f}) })
	reaches := make([]Reach, len(names))
	g.pushAliasesHere(ctx, names, f, func(i int, o sluice.Outcome) { reaches[i].add(o) })
	asked.Wait()
	for _, answer := range answers {
		for len(answer) >= 5 {
			if i := binary.BigEndian.Uint32(answer); int64(i) < int64(len(reaches)) {
				reaches[i].add(sluice.Outcome(answer[4]))
			}
			answer = answer[5:]
		}
	}
	for i := range reaches {
		if reaches[i].Outcome == 0 {
			reaches[i].Outcome = sluice.NotFound
		}
	}
	return reaches
}

// pushAliasesHere tells the outcomes on this node: of which name, and what.
func (g *Gateway) pushAliasesHere(ctx context.Context, names []sluice.Alias, f sluice.Frame, tell func(int, sluice.Outcome)) {
	var ids []sluice.ConnID
	var of []int
	for i, name := range names {
		for _, id := range g.aliases.ids(name) {
			ids, of = append(ids, id), append(of, i)
		}
	}
	if len(ids) == 0 {
		return
	}
	for k, o := range g.PushMany(ctx, ids, f) {
		tell(of[k], o)
	}
}

// best are the outcomes of a push that reached nobody, the most telling last.
var best = []sluice.Outcome{0, sluice.Gone, sluice.Forbidden, sluice.Pending, sluice.TooLarge, sluice.Overflow, sluice.Queued}

func (r *Reach) add(o sluice.Outcome) {
	if o == sluice.Queued {
		r.Delivered++
	}
	if slices.Index(best, o) > slices.Index(best, r.Outcome) {
		r.Outcome = o
	}
}

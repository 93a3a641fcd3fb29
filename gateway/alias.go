package gateway

import (
	"context"
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

// PushAlias sends a message to all connections that have a second name, on all nodes. It returns how
// many took it; the outcome is Queued when any did, NotFound when nobody has the name, and otherwise
// the best that happened.
func (g *Gateway) PushAlias(ctx context.Context, name sluice.Alias, f sluice.Frame) (delivered int, out sluice.Outcome) {
	outs := g.PushMany(ctx, g.aliases.ids(name), f)
	for _, answer := range g.everybody(ctx, request{op: opPushAlias, alias: name, frame: f}) {
		for _, b := range answer {
			outs = append(outs, sluice.Outcome(b))
		}
	}
	best := []sluice.Outcome{sluice.Queued, sluice.Overflow, sluice.TooLarge, sluice.Pending, sluice.Forbidden, sluice.Gone}
	out = sluice.NotFound
	for _, o := range outs {
		if o == sluice.Queued {
			delivered++
		}
		if i := slices.Index(best, o); i >= 0 && (out == sluice.NotFound || i < slices.Index(best, out)) {
			out = o
		}
	}
	return delivered, out
}

package gateway

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/sluicehq/sluice"
)

// Group names a set of connections of one app, for fan-out. It exists while it has members, and a
// connection leaves its groups when it closes.
type Group struct {
	App  sluice.AppName `json:"app"`
	Name string         `json:"name"`
}

// members is one shard's part of a group.
type members struct {
	group Group
	conns []*conn
}

// membership is a connection's side of it.
type membership struct {
	of *members
	at int // its place in of.conns
}

// Join puts a connection into a group. Queued means that it is, or is about to be: pushes made after
// Join reach it. Joining twice is joining once.
func (g *Gateway) Join(ctx context.Context, id sluice.ConnID, grp Group) sluice.Outcome {
	return g.regroup(ctx, id, grp, opJoin, (*shard).join)
}

// Leave takes a connection out of a group.
func (g *Gateway) Leave(ctx context.Context, id sluice.ConnID, grp Group) sluice.Outcome {
	return g.regroup(ctx, id, grp, opLeave, (*shard).leave)
}

func (g *Gateway) regroup(ctx context.Context, id sluice.ConnID, grp Group, op byte, do func(*shard, *conn, Group)) sluice.Outcome {
	at, out := g.locate(id)
	if at.node != 0 {
		return g.ask(ctx, at.node, request{op: op, ids: []sluice.ConnID{id}, group: grp}, 1)[0]
	}
	if out != sluice.Queued {
		return out
	}
	if at.conn.ep.Load() == nil || at.conn.ep.Load().App != grp.App {
		return sluice.Forbidden
	}
	if !at.shard.loop.Post(func() {
		if at.conn.gen() == at.gen && at.conn.state() == open {
			do(at.shard, at.conn, grp)
		}
	}) {
		return sluice.Gone
	}
	return sluice.Queued
}

func (s *shard) join(c *conn, grp Group) {
	x := c.more()
	m := s.groups[grp]
	if m == nil {
		m = &members{group: grp}
		s.groups[grp] = m
	}
	if slices.ContainsFunc(x.groups, func(in membership) bool { return in.of == m }) {
		return
	}
	x.groups = append(x.groups, membership{m, len(m.conns)})
	m.conns = append(m.conns, c)
}

func (s *shard) leave(c *conn, grp Group) {
	if x := c.ext; x != nil {
		for i, in := range x.groups {
			if in.of.group == grp {
				x.groups = slices.Delete(x.groups, i, i+1)
				s.part(in)
				return
			}
		}
	}
}

func (s *shard) leaveAll(c *conn) {
	if x := c.ext; x != nil {
		for _, in := range x.groups {
			s.part(in)
		}
		x.groups = nil
	}
}

// part takes one member out; the last one takes its place.
func (s *shard) part(in membership) {
	m := in.of
	last := len(m.conns) - 1
	if moved := m.conns[last]; in.at != last {
		m.conns[in.at] = moved
		for i := range moved.ext.groups {
			if moved.ext.groups[i].of == m {
				moved.ext.groups[i].at = in.at
			}
		}
	}
	m.conns[last] = nil
	if m.conns = m.conns[:last]; last == 0 {
		delete(s.groups, m.group)
	}
}

// PushGroup sends a message to a group on all nodes, save some of its members, and returns to how
// many it was queued. A member that is too slow is not counted, and closed unless its endpoint has PushWait.
func (g *Gateway) PushGroup(ctx context.Context, grp Group, f sluice.Frame, except ...sluice.ConnID) (sent int) {
	sent = g.pushGroupHere(ctx, grp, f, except)
	for _, answer := range g.everybody(ctx, request{op: opPushGroup, ids: except, group: grp, frame: f}) {
		sent += count(answer)
	}
	return sent
}

func (g *Gateway) pushGroupHere(ctx context.Context, grp Group, f sluice.Frame, except []sluice.ConnID) int {
	o := outgoing(f)
	size := load(o.Frame(false))
	left := make(map[sluice.ConnID]bool, len(except))
	for _, id := range except {
		left[id] = true
	}
	return g.each(ctx, func(s *shard) (sent int) {
		m := s.groups[grp]
		if m == nil {
			return 0
		}
		// A member that is too slow leaves while we go; going backwards meets everybody once.
		for i := len(m.conns) - 1; i >= 0; i-- {
			c := m.conns[i]
			if len(left) > 0 && left[s.id(c)] {
				continue
			}
			p := &c.ep.Load().Policy
			if o.Size() > p.maxPush() {
				continue
			}
			if c.crowded() || !c.reserve(p, size) {
				if p.PushWait <= 0 {
					s.overflow(c)
				}
				continue
			}
			s.push(c, c.gen(), o)
			sent++
		}
		return sent
	})
}

// GroupSize counts a group's members on all nodes.
func (g *Gateway) GroupSize(ctx context.Context, grp Group) int {
	n := g.groupSizeHere(ctx, grp)
	for _, answer := range g.everybody(ctx, request{op: opGroupSize, group: grp}) {
		n += count(answer)
	}
	return n
}

func (g *Gateway) groupSizeHere(ctx context.Context, grp Group) int {
	return g.each(ctx, func(s *shard) int {
		if m := s.groups[grp]; m != nil {
			return len(m.conns)
		}
		return 0
	})
}

// count reads a number that a node answered with.
func count(answer []byte) int {
	if len(answer) != 4 {
		return 0
	}
	return int(binary.BigEndian.Uint32(answer))
}

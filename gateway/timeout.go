package gateway

import (
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// deadline is the tick at which something has to be done about c; never when nothing has.
func (s *shard) deadline(c *conn) uint32 {
	switch c.state() {
	case greeting, closing, lingering:
		return c.until
	case lost:
		if w := c.work; w != nil && w.end != nil && !w.end.asked && w.end.grace != 0 {
			return w.end.grace
		}
		return never
	case open:
	default:
		return never
	}
	p := &c.ep.Load().Policy
	t := uint32(never)
	if p.Idle > 0 {
		t = min(t, later(c.active, p.Idle))
	}
	if p.Ping > 0 {
		t = min(t, later(max(c.active, c.pinged), p.Ping))
	}
	if p.MaxLife > 0 {
		t = min(t, s.lifeEnd(c, p))
	}
	if c.is(wantWrite) && c.out != nil {
		t = min(t, later(c.out.moved, stuckTimeout))
	}
	return t
}

// lifeEnd is when the life notice is due, or the end when there is none or it has been sent.
func (s *shard) lifeEnd(c *conn, p *Policy) uint32 {
	if c.is(noticed) {
		return later(c.born, p.MaxLife+orDefault(p.NoticeGrace, 30*time.Second))
	}
	return later(c.born, p.MaxLife)
}

// expire does what is due for c. More than one thing may be.
func (s *shard) expire(c *conn) {
	now := s.tick()
	switch c.state() {
	case greeting, closing, lingering:
		if c.until <= now {
			s.hangUp(c)
		}
		return
	case lost:
		s.finish(c)
		return
	case open:
	default:
		return
	}
	p := &c.ep.Load().Policy
	switch {
	case c.is(wantWrite) && c.out != nil && later(c.out.moved, stuckTimeout) <= now:
		s.end(c, sluice.PeerLost, wire.CodeAbnormal, "")
		s.hangUp(c)
	case p.Idle > 0 && later(c.active, p.Idle) <= now:
		s.shut(c, sluice.Idle, sluice.CloseSpec{Code: wire.CodeGoingAway, Reason: "idle timeout"})
	case p.MaxLife > 0 && s.lifeEnd(c, p) <= now:
		if p.LifeNotice == nil || c.is(noticed) {
			s.shut(c, sluice.MaxLife, sluice.CloseSpec{Code: wire.CodeGoingAway, Reason: "connection life span passed"})
			return
		}
		c.set(noticed)
		s.own(c, wire.Text, p.LifeNotice)
	case p.Ping > 0 && later(max(c.active, c.pinged), p.Ping) <= now:
		c.pinged = now
		s.own(c, wire.Ping, nil)
	}
}

// orDefault is v, or d when v is zero.
func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

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
	t = min(t, idleEnd(c, p))
	if p.Ping > 0 {
		t = min(t, later(max(c.active, c.pinged), p.Ping), lostAt(c, p))
	}
	if p.MaxLife > 0 {
		t = min(t, s.lifeEnd(c, p))
	}
	if c.is(wantWrite) && c.out != nil {
		t = min(t, later(c.out.moved, stuckTimeout))
	}
	return t
}

// idleEnd is when c has been idle for too long.
func idleEnd(c *conn, p *Policy) uint32 {
	switch {
	case c.idle != 0:
		return sum(c.used, c.idle)
	case p.Idle > 0:
		return later(c.used, p.Idle)
	}
	return never
}

// lostAt is when c has left too many pings without an answer.
func lostAt(c *conn, p *Policy) uint32 {
	if p.Ping <= 0 || p.MaxPings <= 0 {
		return never
	}
	return later(c.active, time.Duration(p.MaxPings+1)*p.Ping)
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
	case c.is(paused) && (lostAt(c, p) <= now || idleEnd(c, p) <= now): // who is not heard is not silent
		c.active, c.used = now, now
	case lostAt(c, p) <= now:
		s.end(c, sluice.PeerLost, wire.CodeAbnormal, "")
		s.hangUp(c)
	case idleEnd(c, p) <= now:
		s.shut(c, sluice.Idle, p.goAway(wire.CodeGoingAway, "idle timeout"))
	case p.MaxLife > 0 && s.lifeEnd(c, p) <= now:
		if p.LifeNotice == nil || c.is(noticed) {
			s.shut(c, sluice.MaxLife, p.goAway(wire.CodeGoingAway, "connection life span passed"))
			return
		}
		c.set(noticed)
		s.own(c, wire.Text, p.LifeNotice)
	case p.Ping > 0 && later(max(c.active, c.pinged), p.Ping) <= now:
		c.pinged = now
		s.own(c, wire.Ping, nil)
	}
}

// goAway is how a connection closes that has to go: as the policy says, or as given.
func (p *Policy) goAway(code int, reason string) sluice.CloseSpec {
	if p.GoAway.Code != 0 {
		return p.GoAway
	}
	return sluice.CloseSpec{Code: code, Reason: reason}
}

// orDefault is v, or d when v is zero.
func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

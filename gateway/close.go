package gateway

import (
	"errors"
	"io"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// Close is the current connection's close frame.
func (s *shard) Close(code int, reason string) {
	c := s.cur
	if c.state() == open {
		s.end(c, sluice.ClientClose, code, reason)
		s.raw(c, wire.AppendClose(nil, code, ""))
		c.until = s.in(closeTimeout)
		s.schedule(c)
	}
	// The handshake is complete: the server hangs up first (RFC 6455 section 7.1.1).
	c.set(hangUpAfter)
	s.touch(c)
}

// shut closes an open connection from our side: a close frame, then a while for the answer.
func (s *shard) shut(c *conn, cause sluice.Cause, spec sluice.CloseSpec) {
	if c.state() != open {
		return
	}
	spec.Code = orDefault(spec.Code, wire.CodeNormal)
	s.end(c, cause, spec.Code, spec.Reason)
	s.raw(c, wire.AppendClose(nil, spec.Code, spec.Reason))
	c.until = s.in(closeTimeout)
	s.schedule(c)
	if c.is(paused) {
		s.resumeSoon(c)
	}
}

// violate ends a connection whose bytes cannot be read any further.
func (s *shard) violate(c *conn, err *wire.CloseError) {
	if c.state() != open {
		s.hangUp(c)
		return
	}
	s.count.violations.Add(1)
	s.g.log.Debug("client broke the protocol or a limit", "app", c.ep.Load().App, "conn", s.id(c).String(), "err", err)
	s.shut(c, sluice.Violation, sluice.CloseSpec{Code: err.Code, Reason: err.Reason})
	c.in = nil
	c.set(lingerAfter | paused)
}

// broken ends a connection whose transport is at its end.
func (s *shard) broken(c *conn, err error) {
	if c.state() == open {
		if !errors.Is(err, io.EOF) {
			s.g.log.Debug("connection broke", "conn", s.id(c).String(), "err", err)
		}
		s.end(c, sluice.PeerLost, wire.CodeAbnormal, "")
	}
	s.hangUp(c)
}

// end notes how an open connection ended. Nobody finds it any more.
func (s *shard) end(c *conn, cause sluice.Cause, code int, reason string) {
	w := c.busy()
	if w.end != nil {
		return
	}
	if c.state() == open {
		c.become(closing)
		s.leaveAll(c)
		app := c.ep.Load().App
		if s.opens[app]--; s.opens[app] == 0 {
			delete(s.opens, app)
		}
		s.count.closed.Add(1)
	}
	if x := c.ext; x != nil && x.alias != nil {
		s.g.aliases.remove(*x.alias, s.id(c))
	}
	for _, o := range w.late {
		c.queued.Add(-load(o.Frame(false)))
	}
	w.late = nil
	for _, p := range w.waiting {
		p.settle(sluice.Gone)
	}
	w.waiting = nil
	w.end = &ending{cause: cause, code: code, reason: reason}
	s.finish(c)
}

// hangUp closes the socket.
func (s *shard) hangUp(c *conn) {
	if !c.connected() {
		return
	}
	s.loop.Close(c.sock)
	if c.out != nil {
		c.out.off = 0
		s.drop(c)
	}
	c.in = nil
	c.unset(paused | unarmed | wantWrite | hangUpAfter | lingerAfter)
	before := c.state()
	c.become(lost)
	w := c.busy()
	w.rest = nil
	if before == greeting {
		w.end = &ending{told: true}
	}
	s.finish(c) // an opening one waits for its answer
}

// finish goes on with the end of a connection as far as it can: when all its events are answered,
// Close is told if it is owed; when that is done and the socket is closed, the slot is free.
func (s *shard) finish(c *conn) {
	w := c.work
	if w == nil || w.end == nil || w.running > 0 || len(w.pending) > 0 || len(w.duties) > 0 {
		return
	}
	e := w.end
	if !e.told {
		switch {
		case e.asked:
			return
		case !c.is(owes):
			e.told = true
		case s.spared(c):
			return
		default:
			e.asked = true
			s.handle(c, &sluice.Event{Kind: sluice.Close, Cause: e.cause, Code: e.code, Reason: e.reason})
			return
		}
	}
	if c.state() == lost {
		s.free(c)
	}
}

// spared reports that Close is not to be told now, because the alias's owner may still be with us: on
// another connection, or on one that comes within the grace.
func (s *shard) spared(c *conn) bool {
	grace := c.ep.Load().Policy.AliasGrace
	if grace <= 0 || c.ext == nil || c.ext.alias == nil {
		return false
	}
	e := c.work.end
	if s.g.aliases.alive(*c.ext.alias) {
		s.told(c)
		return true
	}
	if c.state() != lost {
		return true // the grace begins when the socket is closed
	}
	if e.grace == 0 {
		e.grace = s.in(grace)
		s.schedule(c)
	}
	return s.tick() < e.grace
}

// told ends the duty to tell a connection's end: it is told, or need not be.
func (s *shard) told(c *conn) {
	c.work.end.asked, c.work.end.told = true, true
	s.promise(c, duty{})
	s.finish(c)
}

// resumeSoon reads on after a pause, when what is being done now is done.
func (s *shard) resumeSoon(c *conn) {
	if c.is(resuming) {
		return
	}
	c.set(resuming)
	token := c.token()
	s.loop.Post(func() {
		if c := s.find(token); c != nil {
			c.unset(resuming)
			s.resume(c)
		}
	})
}

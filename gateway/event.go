package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
	"github.com/sluicehq/sluice/internal/until"
)

// feed reads frames. What it finds comes back through Message, Ping, Pong and Close.
func (s *shard) feed(c *conn, b []byte) {
	defer s.guard(c)
	p := &c.ep.Load().Policy
	lim := wire.Limits{MaxFrame: orDefault(p.MaxFrame, 1<<20), MaxMessage: p.maxMessage(), Deflate: c.deflate(), NoBinary: p.NoBinary}
	s.cur = c
	in, n, err := wire.Feed(c.in, b, lim, s)
	c.in = in
	if err != nil {
		s.violate(c, err)
		return
	}
	if n < len(b) && c.is(paused) && c.state() == open {
		c.busy().rest = slices.Clone(b[n:])
	}
}

// guard keeps a panic of a Control to its connection.
func (s *shard) guard(c *conn) {
	if v := recover(); v != nil {
		s.g.panicked(c.ep.Load(), s.id(c), "", v)
		s.shut(c, sluice.BackendFail, sluice.CloseSpec{Code: wire.CodeInternal})
		c.in = nil
		c.set(lingerAfter | paused)
	}
}

func (g *Gateway) panicked(ep *Endpoint, id sluice.ConnID, request string, v any) {
	g.workers.panics.Add(1)
	g.log.Error("handler panicked", "app", ep.App, "conn", id.String(), "request", request, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// Message is a complete message of the current connection.
func (s *shard) Message(data []byte, binary bool) bool {
	c := s.cur
	c.active = s.tick()
	c.used = c.active
	if c.state() != open {
		return true // it came after our close frame
	}
	s.count.messagesIn.Add(1)
	ep := s.endpoint(c)
	if ep.Policy.FrameRate > 0 && !s.admits(c, &ep.Policy) {
		return true
	}
	if binary && ep.Policy.TextOnly && utf8.Valid(data) {
		binary = false
	}
	cc := ControlConn{ID: s.id(c), ConnectedAt: time.UnixMilli(c.opened), Owes: c.is(owes)}
	if x := c.ext; x != nil && x.alias != nil {
		cc.Alias = x.alias.Name
	}
	ctl := ep.Handler.Control(cc, data, binary)
	if ctl.Alias != nil && s.bind(c, *ctl.Alias) && c.is(willOwe) {
		s.promise(c, duty{put: true})
	}
	s.idleFor(c, ctl.Idle)
	for _, f := range ctl.Send {
		if c.state() == open {
			s.send(c, f)
		}
	}
	if ctl.Close != nil {
		s.shut(c, sluice.ServerClose, *ctl.Close)
	}
	if ctl.Consumed || c.state() != open && ctl.Close != nil {
		return true
	}
	w := c.busy()
	c.seq++
	w.pending = append(w.pending, message{c.seq, s.time(), slices.Clone(data), binary})
	w.bytes += len(data)
	s.next(c)
	// Few big messages are as much as many small ones.
	if len(w.pending) >= orDefault(ep.Policy.MaxPending, 256) || w.bytes > ep.Policy.maxMessage() {
		c.set(paused)
		return false
	}
	return true
}

// Ping answers a ping.
func (s *shard) Ping(data []byte) bool {
	s.heard(Messages)
	if s.cur.state() == open {
		s.own(s.cur, wire.Pong, data)
	}
	return true
}

// Pong is a sign of life.
func (s *shard) Pong([]byte) bool {
	s.heard(Messages, MessagesAndPings)
	return true
}

// heard notes a frame of the current connection that is no message, and counts not where activity is
// of certain kinds.
func (s *shard) heard(not ...Activity) {
	c := s.cur
	c.active = s.tick()
	if !slices.Contains(not, c.ep.Load().Policy.Activity) {
		c.used = c.active
	}
}

// idleFor gives c its own idle time, from now on.
func (s *shard) idleFor(c *conn, d time.Duration) {
	if d <= 0 || c.state() != open {
		return
	}
	c.idle, c.used = ticks(d), s.tick()
	s.schedule(c)
}

// next hands over messages that wait, as far as the endpoint takes more at once.
func (s *shard) next(c *conn) {
	w, p := c.work, &c.ep.Load().Policy
	for len(w.pending) > 0 && w.running < orDefault(p.Uplink, 1) && (w.end == nil || !w.end.asked) {
		m := w.pending[0]
		w.pending[0] = message{}
		w.bytes -= len(m.data)
		if w.pending = w.pending[1:]; len(w.pending) == 0 {
			w.pending = nil
		}
		s.handle(c, &sluice.Event{Kind: sluice.Message, Seq: m.seq, At: m.at, Frame: sluice.Frame{Data: m.data, Binary: m.binary}})
	}
	if c.is(paused) && c.state() == open && len(w.pending) <= orDefault(p.MaxPending, 256)/2 && w.bytes <= p.maxMessage()/2 {
		s.resumeSoon(c)
	}
}

// handle has a worker ask the endpoint about an event.
func (s *shard) handle(c *conn, ev *sluice.Event) {
	ep := s.endpoint(c)
	ev.ID = requestID()
	ev.Conn = s.snapshot(c)
	if ev.Seq == 0 {
		c.seq++
		ev.Seq = c.seq
		ev.At = s.time()
	}
	c.busy().running++
	s.g.workers.do(func() {
		reply, told := s.g.call(s.g.workers.base, ep, ev)
		s.loop.Do(func() { s.replied(c, ev, &reply, told) })
	})
}

// call asks an endpoint about an event. It reports false when the gateway stopped before that ended.
func (g *Gateway) call(ctx context.Context, ep *Endpoint, ev *sluice.Event) (reply sluice.Reply, told bool) {
	timeout := orDefault(ep.Policy.EventTimeout, 30*time.Second)
	if ev.Kind == sluice.Open {
		timeout = orDefault(ep.Policy.OpenTimeout, 30*time.Second)
	}
	within := until.New(ctx, time.Now().Add(timeout))
	defer within.Release()
	defer func() {
		if v := recover(); v != nil {
			g.panicked(ep, ev.Conn.ID, ev.ID, v)
			reply = sluice.Reply{Close: &sluice.CloseSpec{Code: wire.CodeInternal}}
			if ev.Kind == sluice.Open {
				reply = sluice.Reply{Refuse: &sluice.Refusal{Status: 500}}
			}
		}
		told = ctx.Err() == nil
	}()
	return ep.Handler.Handle(within, ev), true
}

// replied takes the answer to an event.
func (s *shard) replied(c *conn, ev *sluice.Event, r *sluice.Reply, told bool) {
	switch {
	case ev.Kind == sluice.Close:
		c.work.running--
		if told {
			s.told(c)
		}
		return
	case ev.Kind == sluice.Open && r.Refuse != nil:
		c.work.running--
		s.refuse(c, r.Refuse)
		return
	}
	changed := false
	if r.Attrs != nil {
		if n := attrsSize(r.Attrs); n <= maxAttrs {
			attrs := make(map[string]string, len(r.Attrs))
			for k, v := range r.Attrs {
				attrs[k] = strings.Clone(v) // a part of the handshake's head would keep all of it
			}
			c.more().attrs = attrs
			changed = true
		} else {
			s.g.log.Warn("attributes are too big and were not kept", "conn", s.id(c).String(), "request", ev.ID, "bytes", n)
		}
	}
	if r.Alias != nil && s.bind(c, *r.Alias) {
		changed = true
	}
	switch {
	case r.Duty == sluice.OweClose && !c.is(willOwe), r.Duty != sluice.NoClose && c.is(willOwe) && changed:
		c.work.held++
		s.promise(c, duty{put: true, reply: r, event: ev})
	case r.Duty == sluice.NoClose && c.is(willOwe):
		c.work.held++
		s.promise(c, duty{reply: r, event: ev})
	default:
		s.apply(c, ev, r)
	}
}

// apply does what an answer says, once the journal has what it needs.
func (s *shard) apply(c *conn, ev *sluice.Event, r *sluice.Reply) {
	w := c.work
	w.running--
	if ev.Kind == sluice.Open {
		offer := w.offer
		w.offer = nil
		s.accept(c, r, offer, c.more().handshake)
		if c.state() == free {
			return // it vanished before, and its end is nobody's business
		}
	}
	s.idleFor(c, r.Idle)
	for _, f := range r.Send {
		if c.state() == open {
			s.send(c, f)
		}
	}
	if w.held == 0 {
		for _, o := range w.late {
			s.push(c, c.gen(), o)
		}
		w.late = nil
	}
	if r.Close != nil {
		cause := sluice.ServerClose
		if r.Close.Code == wire.CodeInternal {
			cause = sluice.BackendFail
		}
		s.shut(c, cause, *r.Close)
	}
	s.next(c)
	s.finish(c)
	c.rested()
}

// maxAttrs is what a connection's attributes may take, names and values together.
// It holds what an authorizer of AWS may say about a client.
const maxAttrs = 12 << 10

func attrsSize(attrs map[string]string) (n int) {
	for k, v := range attrs {
		n += len(k) + len(v)
	}
	return n
}

// requestID makes the name of an event: a random UUID.
func requestID() string {
	var b [16]byte
	for i := range 2 {
		n := rand.Uint64()
		for j := range 8 {
			b[i*8+j] = byte(n >> (8 * j))
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var t [36]byte
	hex.Encode(t[:8], b[:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:], b[10:])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}

// outgoing builds the frame of a push. Text that is not UTF-8 goes as binary: a client would have to
// close the connection otherwise.
func outgoing(f sluice.Frame) *wire.Outgoing {
	return wire.NewOutgoing(f.Data, f.Binary || !utf8.Valid(f.Data))
}

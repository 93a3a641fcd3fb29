package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// greet reads the first request of a connection.
func (s *shard) greet(c *conn, b []byte) {
	if w := c.work; w != nil && w.rest != nil {
		b = append(w.rest, b...)
		w.rest = nil
	}
	req, verdict := wire.ParseRequest(b)
	switch verdict {
	case wire.Incomplete:
		c.busy().rest = slices.Clone(b)
		c.until = min(c.until, s.in(handshakeTimeout)) // it may have been kept alive
		s.schedule(c)
	case wire.Plain:
		if !s.post(c, b) {
			s.handOver(c, slices.Clone(b))
		}
	case wire.Bad:
		s.refuse(c, &sluice.Refusal{Status: req.Status})
	case wire.Upgrade:
		if len(b) > req.Size {
			c.busy().rest = slices.Clone(b[req.Size:])
		}
		s.route(c, req, b)
	}
}

// handOver gives a connection to net/http, with what has been read of it.
func (s *shard) handOver(c *conn, head []byte) {
	if c.out != nil { // the answer to a push before this request
		if s.flush(c); c.out != nil {
			s.hangUp(c) // it does not read what it asked for
		}
		if !c.connected() {
			return
		}
	}
	sock, isTLS := s.loop.Release(c.sock), c.is(overTLS)
	s.free(c)
	s.g.workers.do(func() { // it takes system calls that are not worth a shard's time
		nc, err := sock.NetConn()
		if err != nil {
			s.g.log.Warn("cannot hand a connection to the HTTP server", "err", err)
			return
		}
		s.g.plain.serve(nc, head, isTLS)
	})
}

// handshakeOf is a client's handshake as routers see it.
func handshakeOf(req *wire.Request, remote netip.AddrPort, isTLS bool) *sluice.Handshake {
	return &sluice.Handshake{
		Method: req.Method, Path: req.Path, RawQuery: req.RawQuery, Host: req.Host, Header: req.Header,
		Remote: remote, TLS: isTLS, Subprotocols: req.Subprotocols,
	}
}

// route finds the endpoint of a handshake and asks it, unless it takes everybody. head is all that has been
// read of the connection; nil when net/http has read it, which has looked for tunnels itself.
func (s *shard) route(c *conn, req *wire.Request, head []byte) {
	h := handshakeOf(req, c.remote(), c.is(overTLS))
	ep, refusal := s.g.opt.Router.Route(h)
	if s.g.isDraining() {
		ep, refusal = nil, &sluice.Refusal{Status: http.StatusServiceUnavailable}
	}
	if ep == nil {
		if refusal == nil {
			refusal = &sluice.Refusal{Status: http.StatusNotFound}
		}
		s.refuse(c, refusal)
		return
	}
	if ep.Tunnel != nil {
		if head == nil { // it has become a tunnel in this moment
			s.refuse(c, &sluice.Refusal{Status: http.StatusServiceUnavailable})
			return
		}
		s.handOver(c, slices.Clone(head))
		return
	}
	c.ep.Store(ep)
	if !ep.Policy.AutoAccept || ep.Policy.KeepHandshake { // somebody will look
		h.Spelling = req.Spelling()
	}
	if ep.Policy.AutoAccept {
		s.accept(c, &sluice.Reply{}, req, h)
		c.rested()
		return
	}
	c.busy().offer = req
	c.more().handshake = h
	c.become(opening)
	if c.busy().rest != nil {
		c.set(paused)
	}
	s.handle(c, &sluice.Event{Kind: sluice.Open})
}

// refuse answers a handshake with an HTTP response and hangs up.
func (s *shard) refuse(c *conn, r *sluice.Refusal) {
	s.count.refused.Add(1)
	c.busy().end = &ending{told: true} // there is nothing to tell
	if c.state() == lost {
		s.finish(c)
		return
	}
	body, header := r.Body, r.Header
	if body == nil {
		body, header = []byte(http.StatusText(r.Status)+"\n"), http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
		for k, v := range r.Header {
			header[k] = v
		}
	}
	c.become(lingering)
	s.raw(c, wire.AppendRefusal(nil, r.Status, header, body))
	c.set(lingerAfter)
	c.until = s.in(closeTimeout)
	s.schedule(c)
}

// accept writes the 101: from here on the connection is open.
func (s *shard) accept(c *conn, r *sluice.Reply, offer *wire.Request, h *sluice.Handshake) {
	p := &c.ep.Load().Policy
	if p.KeepHandshake {
		c.more().handshake = h
	} else if c.ext != nil {
		c.ext.handshake = nil
	}
	if c.state() == lost { // it vanished meanwhile, after it was accepted
		s.end(c, sluice.PeerLost, wire.CodeAbnormal, "")
		return
	}
	if r.Subprotocol != "" {
		c.more().subprotocol = strings.Clone(r.Subprotocol) // not the whole head with it
		if !slices.Contains(offer.Subprotocols, r.Subprotocol) {
			s.g.log.Debug("the client did not offer this subprotocol, and will not like it", "conn", s.id(c).String(), "subprotocol", r.Subprotocol)
		}
	}
	deflate := p.Deflate && offer.Deflate && !r.NoDeflate
	s.raw(c, s.keep(wire.AppendAccept(s.spot(256), offer.Key, r.Subprotocol, deflate, r.Header)))
	if deflate {
		c.pub.Store(c.pub.Load() | deflateBit)
	}
	c.become(open)
	c.active = s.tick()
	c.used = c.active
	if x := c.ext; x != nil && x.alias == nil && x.subprotocol == "" && x.attrs == nil && x.handshake == nil && x.rate == nil && x.groups == nil {
		c.ext = nil
	}
	s.opens[c.ep.Load().App]++
	s.count.opened.Add(1)
	s.schedule(c)
	if s.g.isDraining() {
		s.drain(c)
	}
	if c.is(paused) || c.work != nil && c.work.rest != nil {
		c.set(paused)
		s.resume(c)
	}
}

// addrPort reads a peer's address; it is zero for what has none.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

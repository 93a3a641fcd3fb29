package gateway

import (
	"errors"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/reactor"
	"github.com/sluicehq/sluice/gateway/wire"
)

// chunk is how many connections are made at once. They never move.
const chunk = 256

// slice is how many sockets are written in one turn before sockets are read again.
const slice = 64

// shard is one loop with its connections. Everything in it belongs to the loop's goroutine, except
// slots, count and what conn says. It implements reactor.Events and wire.Sink.
type shard struct {
	g        *Gateway
	index    uint8
	loop     *reactor.Loop
	firstGen uint32
	slots    atomic.Pointer[[]*[chunk]conn]
	unused   []uint32 // free slots
	wheel    wheel

	now    time.Time // of this turn when fresh; see time
	fresh  bool
	cur    *conn   // whose frames are being read
	dirty  []*conn // to be flushed, from firstDirty on
	first  int
	joined []byte // buffer to join frames in
	arena  []byte // where small frames of our own are built
	spare  []*queue
	groups map[Group]*members
	opens  map[sluice.AppName]int // open connections
	count  counters
}

type counters struct {
	opened, refused, closed, messagesIn, framesOut, bytesIn, bytesOut, writes, overflows, violations atomic.Uint64
}

func newShard(g *Gateway, index uint8) *shard {
	s := &shard{g: g, index: index, joined: make([]byte, 0, maxWrite), groups: map[Group]*members{}, opens: map[sluice.AppName]int{}}
	s.slots.Store(new([]*[chunk]conn))
	return s
}

// time is the time of this turn: one reading of the clock for all that happens in it.
func (s *shard) time() time.Time {
	if !s.fresh {
		s.now, s.fresh = time.Now(), true
	}
	return s.now
}

// slot finds a slot; nil when it was never used. Anybody may call it.
func (s *shard) slot(n uint32) *conn {
	chunks := *s.slots.Load()
	if int(n/chunk) >= len(chunks) {
		return nil
	}
	return &chunks[n/chunk][n%chunk]
}

// find finds the connection of a token; nil when it is gone.
func (s *shard) find(token uint64) *conn {
	c := s.slot(uint32(token >> genBits))
	if c == nil || c.gen() != uint32(token&genMask) || !c.connected() {
		return nil
	}
	return c
}

// make takes a free slot.
func (s *shard) make() *conn {
	if len(s.unused) == 0 {
		old := *s.slots.Load()
		base := uint32(len(old) * chunk)
		if base >= maxSlots {
			return nil
		}
		fresh := new([chunk]conn)
		chunks := append(old[:len(old):len(old)], fresh)
		for i := range uint32(chunk) {
			c := &fresh[chunk-1-i]
			c.slot = base + chunk - 1 - i
			c.pub.Store(s.firstGen << 8)
			s.unused = append(s.unused, c.slot)
		}
		s.slots.Store(&chunks)
	}
	n := len(s.unused) - 1
	c := s.slot(s.unused[n])
	s.unused = s.unused[:n]
	s.g.live.Add(1)
	return c
}

// free gives a slot back. Its id is gone for ever.
func (s *shard) free(c *conn) {
	s.wheel.remove(s, c)
	if x := c.ext; x != nil && x.alias != nil {
		s.g.aliases.remove(*x.alias, s.id(c))
	}
	c.pub.Store((c.gen() + 1) & genMask << 8)
	c.ep.Store(nil)
	c.in, c.work, c.ext = nil, nil, nil
	c.seq, c.flags = 0, c.flags&dirty
	s.unused = append(s.unused, c.slot)
	if s.g.live.Add(-1) == 0 {
		select {
		case s.g.quiet <- struct{}{}:
		default:
		}
	}
}

// Accepted takes a new socket.
func (s *shard) Accepted(sock reactor.Socket, remote netip.AddrPort) {
	s.admit(sock, remote, false, nil, nil)
}

// AcceptFailed is for the operator: no descriptors, or no memory.
func (s *shard) AcceptFailed(err error) {
	s.g.log.Warn("cannot accept connections, trying again", "err", err)
}

// admit makes a connection of a socket. When net/http has read the handshake already, req is it and
// rest is what followed it.
func (s *shard) admit(sock reactor.Socket, remote netip.AddrPort, isTLS bool, req *wire.Request, rest []byte) {
	if s.g.isDone() || req == nil && s.g.isDraining() {
		sock.Close()
		return
	}
	c := s.make()
	if c == nil {
		sock.Close()
		return
	}
	c.become(greeting)
	h, err := s.loop.Attach(sock, c.token())
	if err != nil {
		s.g.log.Warn("cannot take a connection", "err", err)
		s.free(c)
		return
	}
	c.sock, c.addr, c.port = h, remote.Addr().As16(), remote.Port()
	c.opened, c.born = s.time().UnixMilli(), s.tick()
	c.active, c.used, c.idle, c.pinged = c.born, c.born, 0, 0
	c.until = s.in(handshakeTimeout)
	if isTLS {
		c.set(overTLS)
	}
	s.schedule(c)
	if req != nil {
		if len(rest) > 0 {
			c.busy().rest = rest
		}
		s.route(c, req, nil)
	}
}

// Readable reads what has come for a connection.
func (s *shard) Readable(token uint64) {
	c := s.find(token)
	if c == nil {
		return
	}
	if c.is(paused) {
		c.set(unarmed)
		s.rearm(c)
		return
	}
	b, err := s.loop.Read(c.sock)
	if err != nil {
		if !errors.Is(err, reactor.ErrAgain) {
			s.broken(c, err)
		}
		return
	}
	s.count.bytesIn.Add(uint64(len(b)))
	s.read(c, b)
}

// read uses bytes of a client, as far as its state allows.
func (s *shard) read(c *conn, b []byte) {
	switch c.state() {
	case greeting:
		s.greet(c, b)
	case opening:
		c.set(paused)
		w := c.busy()
		w.rest = append(w.rest, b...)
	case open, closing:
		s.feed(c, b)
	}
}

// Writable goes on with what the socket had no room for.
func (s *shard) Writable(token uint64) {
	if c := s.find(token); c != nil && c.is(wantWrite) {
		c.unset(wantWrite)
		s.rearm(c)
		s.touch(c)
	}
}

// Broken ends a connection whose peer went away while it was not being read.
func (s *shard) Broken(token uint64) {
	if c := s.find(token); c != nil {
		s.broken(c, io.ErrUnexpectedEOF)
	}
}

// rearm tells the socket what is wanted.
func (s *shard) rearm(c *conn) {
	if err := s.loop.Want(c.sock, c.token(), !c.is(unarmed), c.is(wantWrite)); err != nil {
		s.g.log.Error("cannot watch a connection", "conn", s.id(c).String(), "err", err)
	}
}

// resume reads on after a pause: first what is left of the last read, then the socket.
func (s *shard) resume(c *conn) {
	if !c.is(paused) || !c.connected() {
		return
	}
	c.unset(paused)
	if w := c.work; w != nil && w.rest != nil {
		rest := w.rest
		w.rest = nil
		s.read(c, rest)
	}
	if c.is(unarmed) && !c.is(paused) && c.connected() {
		c.unset(unarmed)
		s.rearm(c)
	}
	c.rested()
}

// Turn ends a turn of the loop: timeouts, then one write for each connection that has something to
// be written.
func (s *shard) Turn(now time.Time) time.Duration {
	s.now, s.fresh = now, true
	s.wheel.advance(s)
	for n := range slice {
		if s.first == len(s.dirty) {
			s.dirty, s.first = s.dirty[:0], 0
			break
		}
		var c *conn
		if last := len(s.dirty) - 1; n%4 == 0 { // one message need not wait for a broadcast that came before
			c, s.dirty[last] = s.dirty[last], nil
			s.dirty = s.dirty[:last]
		} else {
			c, s.dirty[s.first] = s.dirty[s.first], nil
			s.first++
		}
		c.unset(dirty)
		if c.connected() {
			s.flush(c)
		}
	}
	s.fresh = false
	if len(s.dirty) > 0 {
		return 0
	}
	return s.wheel.sleep(s)
}

// abandon is the end of Run: every client is told so, as far as its socket takes that at once.
func (s *shard) abandon() {
	for _, chunk := range *s.slots.Load() {
		for i := range chunk {
			if c := &chunk[i]; c.connected() {
				if c.state() == open && c.out == nil {
					bye := c.ep.Load().Policy.goAway(s.g.opt.DrainCode, "")
					s.loop.Write(c.sock, wire.AppendClose(nil, bye.Code, bye.Reason)) // whoever does not get it sees the socket close
				}
				s.loop.Close(c.sock)
				c.become(lost)
			}
		}
	}
}

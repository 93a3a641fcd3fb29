package gateway

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/reactor"
	"github.com/sluicehq/sluice/gateway/wire"
)

// state is where a connection is in its life.
type state uint32

const (
	free      state = iota
	greeting        // its first request is being read
	opening         // its Open event is being answered
	open            // the 101 is written
	closing         // a close frame is on its way
	lingering       // nothing more is written; what comes is thrown away until the peer hangs up
	lost            // the socket is closed; its last events are not answered yet
)

// flag is a yes-or-no of a connection, for its shard only.
type flag uint16

const (
	dirty       flag = 1 << iota // in the shard's list of connections to flush
	paused                       // what comes is not read for now
	unarmed                      // reading is switched off at the socket
	wantWrite                    // the socket is full
	owes                         // the journal says that its end is to be told
	willOwe                      // so it will say when the duties under way are done
	hangUpAfter                  // close the socket when the queue is empty
	lingerAfter                  // linger when the queue is empty
	noticed                      // the life notice has been sent
	overTLS
	resuming // a resume is posted
)

// conn is one connection. Idle, it is these bytes and nothing else. It belongs to its shard, except
// for the first three fields.
type conn struct {
	pub    atomic.Uint32            // generation << 8 | crowded << 4 | deflate << 3 | state: what everybody may know
	queued atomic.Int64             // what waits for the socket, that in the mailbox included: bytes, and oneFrame a frame
	ep     atomic.Pointer[Endpoint] // nil before the route is found

	seq    uint64
	opened int64       // unix milliseconds
	in     *wire.State // an unfinished frame or message; nil else
	out    *queue      // what waits to be written; nil else
	work   *work       // events under way; nil else
	ext    *extra      // what most connections do not have; nil else
	sock   reactor.Handle
	slot   uint32
	flags  flag

	port uint16
	addr [16]byte

	born    uint32 // ticks (wheel.go): when it was accepted
	active  uint32 // the last frame of the client
	used    uint32 // the last activity of the policy's kind
	idle    uint32 // ticks without that which this connection has; 0 is the policy's
	pinged  uint32 // the last ping to it
	until   uint32 // the end of a state that has one: greeting, closing, lingering, grace
	due     uint32 // when the wheel looks at it; 0 when it is not in the wheel
	forward uint32 // slot+1 of its neighbours in the wheel
	back    uint32
}

const (
	deflateBit = 1 << 3
	crowdedBit = 1 << 4
)

func (c *conn) is(f flag) bool  { return c.flags&f != 0 }
func (c *conn) set(f flag)      { c.flags |= f }
func (c *conn) unset(f flag)    { c.flags &^= f }
func (c *conn) state() state    { return state(c.pub.Load() & 7) }
func (c *conn) gen() uint32     { return c.pub.Load() >> 8 }
func (c *conn) deflate() bool   { return c.pub.Load()&deflateBit != 0 }
func (c *conn) crowded() bool   { return c.pub.Load()&crowdedBit != 0 } // pushes wait for room
func (c *conn) become(s state)  { c.pub.Store(c.pub.Load()&^7 | uint32(s)) }
func (c *conn) token() uint64   { return uint64(c.slot)<<genBits | uint64(c.gen()) }
func (c *conn) connected() bool { s := c.state(); return s != free && s != lost }
func (c *conn) remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port)
}

// extra is what only some connections have.
type extra struct {
	alias       *sluice.Alias
	subprotocol string
	attrs       map[string]string
	handshake   *sluice.Handshake
	groups      []membership
	rate        *rate
}

// work is what is under way for a connection.
type work struct {
	rest    []byte    // bytes of the client that came before they could be used
	pending []message // wait for Handle
	bytes   int       // of pending
	running int       // events being handled
	duties  []duty    // for the journal, in order; the first is being done when writing
	writing bool
	held    int              // replies that wait for the journal
	late    []*wire.Outgoing // pushes made after such a reply
	waiting []*waiting       // pushes that wait for room in the queue
	offer   *wire.Request    // the handshake, while opening
	end     *ending          // set when the connection has ended
}

// message is one that waits for Handle.
type message struct {
	seq    uint64
	at     time.Time
	data   []byte
	binary bool
}

// ending is how a connection ended.
type ending struct {
	cause  sluice.Cause
	code   int
	reason string
	told   bool   // Close has been told, or need not be
	asked  bool   // it is being told
	grace  uint32 // the tick until which its alias may come back; 0 before that has begun
}

func (c *conn) busy() *work {
	if c.work == nil {
		c.work = new(work)
	}
	return c.work
}

func (c *conn) more() *extra {
	if c.ext == nil {
		c.ext = new(extra)
	}
	return c.ext
}

// rested gives back what a connection at rest does not need.
func (c *conn) rested() {
	if w := c.work; w != nil && w.rest == nil && len(w.pending) == 0 && w.running == 0 && len(w.duties) == 0 &&
		w.held == 0 && len(w.late) == 0 && len(w.waiting) == 0 && w.offer == nil && w.end == nil {
		c.work = nil
	}
}

func (s *shard) id(c *conn) sluice.ConnID {
	return address{s.g.opt.Node, s.index, c.slot, c.gen()}.id()
}

// snapshot is the connection as others see it.
func (s *shard) snapshot(c *conn) sluice.Conn {
	ep := c.ep.Load()
	sn := sluice.Conn{
		ID: s.id(c), App: ep.App, Endpoint: ep.Name, Remote: c.remote(),
		ConnectedAt: time.UnixMilli(c.opened), LastActive: s.g.atTick(c.active),
	}
	if sn.LastActive.Before(sn.ConnectedAt) {
		sn.LastActive = sn.ConnectedAt // ticks are coarser than milliseconds
	}
	if x := c.ext; x != nil {
		sn.Alias, sn.Subprotocol, sn.Attrs, sn.Handshake = x.alias, x.subprotocol, x.attrs, x.handshake
	}
	return sn
}

// endpoint is the connection's endpoint as it is deployed now. One that is not deployed any more
// keeps serving the connections it has.
func (s *shard) endpoint(c *conn) *Endpoint {
	ep := c.ep.Load()
	if now := s.g.opt.Router.Endpoint(ep.App, ep.Name); now != nil && now != ep {
		c.ep.Store(now)
		return now
	}
	return ep
}

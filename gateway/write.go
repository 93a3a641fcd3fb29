package gateway

import (
	"errors"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/reactor"
	"github.com/sluicehq/sluice/gateway/wire"
)

// maxWrite is the most that is joined into one write.
const maxWrite = 64 << 10

// Small frames of our own (replies, pongs) are built one behind the other in blocks of arenaSize.
const (
	arenaSize  = 16 << 10
	smallFrame = 2 << 10
)

// queue is what waits to be written to one connection.
type queue struct {
	frames []piece // from first on
	first  int
	off    int    // bytes of the first one that are written
	moved  uint32 // the tick of the last progress, while the socket is full
}

// piece is bytes that wait; size is what they count in conn.queued.
type piece struct {
	b    []byte
	size int64
}

// oneFrame is what a frame counts in conn.queued besides its bytes.
const oneFrame = 1 << 40

func load(b []byte) int64 { return oneFrame + int64(len(b)) }

// Limits of a policy that both sides of the mailbox need.
func (p *Policy) maxMessage() int { return orDefault(p.MaxMessage, 1<<20) }
func (p *Policy) maxPush() int    { return orDefault(p.MaxPush, p.maxMessage()) }

// holds reports whether a queue may hold n, as conn.queued counts; with times its limits.
func (p *Policy) holds(n, times int64) bool {
	bytes, frames := n&(oneFrame-1), n>>40
	return bytes <= times*int64(min(orDefault(p.MaxQueue, 1<<20), 1<<30)) && (p.MaxQueued <= 0 || frames <= times*int64(p.MaxQueued))
}

// reserve makes room for a message in the queue, for which shard.push will use it. Anybody may call it.
func (c *conn) reserve(p *Policy, size int64) bool {
	if p.holds(c.queued.Add(size), 1) {
		return true
	}
	c.queued.Add(-size)
	return false
}

// touch puts c among those that are flushed at the end of the turn.
func (s *shard) touch(c *conn) {
	if !c.is(dirty) {
		c.set(dirty)
		s.dirty = append(s.dirty, c)
	}
}

// enqueue queues bytes that conn.queued counts already, as size.
func (s *shard) enqueue(c *conn, b []byte, size int64) {
	if c.out == nil {
		if n := len(s.spare); n > 0 {
			c.out, s.spare = s.spare[n-1], s.spare[:n-1]
		} else {
			c.out = new(queue)
		}
	}
	c.out.frames = append(c.out.frames, piece{b, size})
	s.count.framesOut.Add(1)
	if !c.is(wantWrite) {
		s.touch(c)
	}
}

// raw queues bytes that are no frame of a message: an HTTP answer, a close frame. They are never
// too many.
func (s *shard) raw(c *conn, b []byte) {
	c.queued.Add(load(b))
	s.enqueue(c, b, load(b))
}

// own queues a frame that is for this connection alone.
func (s *shard) own(c *conn, op wire.Op, data []byte) {
	size := wire.HeaderSize(len(data)) + len(data)
	if size > smallFrame {
		s.put(c, wire.AppendFrame(make([]byte, 0, size), op, data))
		return
	}
	s.put(c, s.keep(wire.AppendFrame(s.spot(size), op, data)))
}

// spot is where n bytes may be built in the arena, by appending; keep keeps them there, if they fitted.
func (s *shard) spot(n int) []byte {
	if cap(s.arena)-len(s.arena) < n {
		s.arena = make([]byte, 0, arenaSize)
	}
	return s.arena[len(s.arena):]
}

func (s *shard) keep(b []byte) []byte {
	if n := len(s.arena) + len(b); n <= cap(s.arena) {
		s.arena = s.arena[:n]
	}
	return b[:len(b):len(b)]
}

// send queues a message for this connection alone.
func (s *shard) send(c *conn, f sluice.Frame) {
	s.spoken(c)
	if c.deflate() {
		s.put(c, outgoing(f).Frame(true))
		return
	}
	op := wire.Text
	if f.Binary || !utf8.Valid(f.Data) {
		op = wire.Binary
	}
	s.own(c, op, f.Data)
}

// spoken notes a message to the client.
func (s *shard) spoken(c *conn) {
	if c.ep.Load().Policy.Activity != AnyFrame {
		c.used = s.tick()
	}
}

// put queues a frame, or closes the connection when that is too much.
func (s *shard) put(c *conn, b []byte) {
	size, p, times := load(b), &c.ep.Load().Policy, int64(1)
	if p.PushWait > 0 {
		times = 2
	}
	if !p.holds(c.queued.Add(size), times) {
		c.queued.Add(-size)
		s.overflow(c)
		return
	}
	s.enqueue(c, b, size)
}

// push queues a message from the mailbox; the sender has counted it.
func (s *shard) push(c *conn, gen uint32, o *wire.Outgoing) {
	size := load(o.Frame(false))
	switch {
	case c.gen() != gen || c.state() != open:
		c.queued.Add(-size)
	case c.work != nil && c.work.held > 0:
		c.work.late = append(c.work.late, o)
	default:
		s.spoken(c)
		s.enqueue(c, o.Frame(c.deflate()), size)
	}
}

// overflow closes a connection that does not read what it is sent.
func (s *shard) overflow(c *conn) {
	if c.state() != open {
		return
	}
	p := &c.ep.Load().Policy
	s.count.overflows.Add(1)
	s.drop(c)
	s.shut(c, sluice.Violation, sluice.CloseSpec{Code: orDefault(p.SlowCode, wire.CodePolicy), Reason: "too slow"})
}

// drop forgets what is queued, except the rest of a frame that has begun to go out.
func (s *shard) drop(c *conn) {
	q := c.out
	if q == nil {
		return
	}
	keep := q.first
	if q.off > 0 {
		keep++
	}
	for i := keep; i < len(q.frames); i++ {
		c.queued.Add(-q.frames[i].size)
		q.frames[i] = piece{}
	}
	q.frames = q.frames[:keep]
	s.recycle(c)
}

// recycle gives an empty queue back.
func (s *shard) recycle(c *conn) {
	q := c.out
	if q == nil || q.first < len(q.frames) {
		return
	}
	c.out = nil
	if cap(q.frames) <= 64 && len(s.spare) < 1024 {
		*q = queue{frames: q.frames[:0]}
		s.spare = append(s.spare, q)
	}
}

// flush writes what is queued for c, in one write. What does not fit goes out in later turns.
func (s *shard) flush(c *conn) {
	q := c.out
	if q == nil || c.is(wantWrite) {
		s.drained(c)
		return
	}
	b := q.frames[q.first].b[q.off:]
	if len(q.frames)-q.first > 1 && len(b) < maxWrite/2 {
		b = append(s.joined[:0], b...)
		for _, f := range q.frames[q.first+1:] {
			room := maxWrite - len(b)
			b = append(b, f.b[:min(room, len(f.b))]...)
			if len(f.b) >= room {
				break
			}
		}
	}
	n, err := s.loop.Write(c.sock, b)
	s.count.writes.Add(1)
	s.count.bytesOut.Add(uint64(n))
	if err != nil && !errors.Is(err, reactor.ErrAgain) {
		s.broken(c, err)
		return
	}
	q.wrote(c, n)
	s.letIn(c)
	if q.first == len(q.frames) {
		s.recycle(c)
		s.drained(c)
		return
	}
	if n < len(b) {
		q.moved = s.tick()
		c.set(wantWrite)
		s.rearm(c)
		s.schedule(c)
		return
	}
	s.touch(c)
}

// wrote takes n written bytes off.
func (q *queue) wrote(c *conn, n int) {
	n += q.off
	for q.first < len(q.frames) && n >= len(q.frames[q.first].b) {
		f := &q.frames[q.first]
		n -= len(f.b)
		c.queued.Add(-f.size)
		*f = piece{}
		q.first++
	}
	q.off = n
	if q.first > 256 && q.first > len(q.frames)/2 {
		n := copy(q.frames, q.frames[q.first:])
		clear(q.frames[n:])
		q.frames, q.first = q.frames[:n], 0
	}
}

// drained goes on with what waited for the queue to become empty.
func (s *shard) drained(c *conn) {
	switch {
	case c.out != nil:
	case c.is(hangUpAfter):
		s.hangUp(c)
	case c.is(lingerAfter):
		c.unset(lingerAfter)
		c.become(lingering)
		c.in = nil
		c.until = s.in(lingerTimeout)
		s.schedule(c)
		s.loop.CloseWrite(c.sock)
		c.set(paused)
		s.resume(c)
	}
}

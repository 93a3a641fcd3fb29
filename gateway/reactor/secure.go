package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"time"
)

// TLS costs a goroutine during the handshake only. Then its descriptor is the loop's as others are, and
// crypto/tls reads and writes on the loop's goroutine: a read that finds nothing is a passing error to
// it, and what it writes is collected and sent with one call.

// Secure makes the server's side of a TLS connection that loops can own. It has to be attached before
// anybody reads it.
func Secure(c *net.TCPConn, cfg *tls.Config) *tls.Conn {
	return tls.Server(&line{Conn: c, fd: -1}, cfg)
}

// line is the connection under a session: a net.Conn that blocks, or, while a loop has it, a descriptor.
type line struct {
	net.Conn
	fd   int32 // -1 while it blocks
	loop *Loop
	out  []byte // what the descriptor has not taken
	err  error  // of sending
}

// errWait is to crypto/tls a read that ran out of time, after which it can be tried again.
type errWait struct{}

func (errWait) Error() string   { return ErrAgain.Error() }
func (errWait) Timeout() bool   { return true }
func (errWait) Temporary() bool { return true }

// Read reads what is there.
func (n *line) Read(b []byte) (int, error) {
	if n.fd < 0 {
		return n.Conn.Read(b)
	}
	got, err := n.loop.raw.read(n.fd, b)
	if errors.Is(err, ErrAgain) {
		return 0, errWait{}
	}
	return len(got), err
}

// Write sends b, or keeps it for flush.
func (n *line) Write(b []byte) (int, error) {
	if n.fd < 0 {
		if rest := n.out; len(rest) > 0 {
			n.out = nil
			if _, err := n.Conn.Write(rest); err != nil {
				return 0, err
			}
		}
		return n.Conn.Write(b)
	}
	if n.out == nil {
		n.out = n.loop.sealed[:0]
	}
	n.out = append(n.out, b...)
	return len(b), nil
}

// flush sends what was kept, as far as it goes. A turn's writes share one buffer of the loop.
func (n *line) flush() {
	if len(n.out) == 0 || n.err != nil {
		return
	}
	k, err := n.loop.raw.write(n.fd, n.out)
	if err != nil && !errors.Is(err, ErrAgain) {
		n.err = err
	}
	rest := n.out[k:]
	if cap(n.out) >= cap(n.loop.sealed) && cap(n.out) <= 2*readSize {
		n.loop.sealed = n.out[:0]
	}
	if n.out = nil; len(rest) > 0 && n.err == nil {
		n.out = append(make([]byte, 0, len(rest)), rest...)
	}
}

// Close closes whichever it is.
func (n *line) Close() error {
	if n.fd < 0 {
		return n.Conn.Close()
	}
	closeFD(n.fd)
	return nil
}

// A descriptor never waits, so it has no deadlines.

func (n *line) SetDeadline(t time.Time) error      { return n.deadline(net.Conn.SetDeadline, t) }
func (n *line) SetReadDeadline(t time.Time) error  { return n.deadline(net.Conn.SetReadDeadline, t) }
func (n *line) SetWriteDeadline(t time.Time) error { return n.deadline(net.Conn.SetWriteDeadline, t) }

func (n *line) deadline(set func(net.Conn, time.Time) error, t time.Time) error {
	if n.fd < 0 {
		return set(n.Conn, t)
	}
	return nil
}

// session is a TLS connection in a loop. Until it has settled, its goroutine shakes hands.
type session struct {
	loop  *Loop
	h     Handle
	tls   *tls.Conn
	line  *line
	token uint64

	read, write bool // what is wanted
	more        bool // there may be something to read that the descriptor does not tell of
	settled     bool
	shut, gone  bool
	armed       uint8 // what the descriptor is watched for: 1 to read, 2 to write
	err         error // what reading ended with
}

// secured marks handles and tokens of sessions.
const (
	securedHandle = Handle(1 << 30)
	securedToken  = 1 << 62
)

// secureLine is the line of a connection that Secure has made.
func secureLine(c net.Conn) (*tls.Conn, *line) {
	if t, ok := c.(*tls.Conn); ok {
		if n, ok := t.NetConn().(*line); ok {
			return t, n
		}
	}
	return nil, nil
}

func (l *Loop) attachSession(t *tls.Conn, n *line, token uint64) Handle {
	for l.lastSession = max(l.lastSession+1, securedHandle); l.sessions[l.lastSession] != nil; l.lastSession++ {
		if l.lastSession == math.MaxInt32 {
			l.lastSession = securedHandle
		}
	}
	st := &session{loop: l, h: l.lastSession, tls: t, line: n, token: token, read: true}
	l.sessions[st.h] = st
	l.wg.Go(func() {
		err := t.Handshake()
		if !l.Post(func() { st.settle(err) }) {
			t.Close()
		}
	})
	return st.h
}

// settle makes the descriptor the loop's.
func (s *session) settle(err error) {
	tcp, ok := s.line.Conn.(*net.TCPConn)
	if s.gone || err != nil || !ok {
		s.fail(err)
		return
	}
	fd, err := dup(tcp)
	if err != nil {
		s.fail(err)
		return
	}
	if err := s.loop.raw.add(fd, securedToken|uint64(s.h)); err != nil {
		closeFD(fd)
		s.fail(err)
		return
	}
	tcp.Close()
	s.line.Conn, s.line.fd, s.line.loop = nil, fd, s.loop
	s.settled, s.armed = true, 1
	if s.shut {
		s.closeWrite()
	}
	s.more = true // it may have come with the handshake
	s.arm()
	s.ready(true, s.write)
}

// fail ends a session that has not settled.
func (s *session) fail(err error) {
	if s.gone {
		return
	}
	if s.err = err; err == nil {
		s.err = net.ErrClosed
	}
	s.more = true
	s.ready(true, false)
}

// ready reports what has happened, as far as it is wanted.
func (s *session) ready(read, write bool) {
	if read && s.read && !s.gone {
		s.loop.events.Readable(s.token)
	}
	if write && s.write && !s.gone && len(s.line.out) == 0 {
		s.loop.events.Writable(s.token)
	}
}

// happened takes an event of the descriptor.
func (s *session) happened(read, write, broken bool) {
	switch {
	case read && s.read:
		s.ready(true, false)
	case broken:
		s.loop.events.Broken(s.token)
	}
	if write && !s.gone {
		s.line.flush()
		s.arm()
		s.ready(false, true)
	}
}

// take reads as much as there is, up to a buffer. What it could not, comes in another turn.
func (s *session) take() ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.settled {
		return nil, ErrAgain
	}
	n := 0
	var err error
	for err == nil && n < len(s.loop.buf) {
		var k int
		k, err = s.tls.Read(s.loop.buf[n:])
		n += k
	}
	s.more = false
	var wait errWait
	if err != nil && !errors.As(err, &wait) {
		s.err = err
	}
	if n > 0 && (err == nil || s.err != nil) {
		s.again()
	}
	if len(s.line.out) > 0 { // crypto/tls answers by itself
		s.line.flush()
		s.arm()
	}
	switch {
	case n > 0:
		return s.loop.buf[:n], nil
	case s.err != nil:
		return nil, s.err
	}
	return nil, ErrAgain
}

// again reports in the next turn that there is more to read.
func (s *session) again() {
	s.more = true
	s.loop.Post(func() {
		if s.more {
			s.ready(true, false)
		}
	})
}

func (s *session) send(b []byte) (int, error) {
	if !s.settled || len(s.line.out) > 0 {
		return 0, ErrAgain
	}
	_, err := s.tls.Write(b)
	s.line.flush()
	if s.line.err != nil {
		err = s.line.err
	}
	if err != nil {
		return 0, err
	}
	s.arm()
	return len(b), nil
}

func (s *session) want(read, write bool) {
	back := read && !s.read && s.more
	s.read, s.write = read, write
	if s.settled {
		s.arm()
	}
	if back {
		s.again()
	}
}

// arm watches the descriptor for what is wanted, and for room for what is left.
func (s *session) arm() {
	read, write := s.read, s.write || len(s.line.out) > 0
	var mask uint8
	if read {
		mask |= 1
	}
	if write {
		mask |= 2
	}
	if mask != s.armed {
		s.armed = mask
		s.loop.raw.modify(s.line.fd, securedToken|uint64(s.h), read, write)
	}
}

func (s *session) closeWrite() {
	s.shut = true
	if s.settled {
		s.tls.CloseWrite()
		s.line.flush()
		s.arm()
	}
}

// release gives the connection up; it blocks again.
func (s *session) release() Socket {
	s.forget()
	if !s.settled {
		return Socket{fd: -1, conn: s.tls}
	}
	n := s.line
	s.loop.raw.remove(n.fd)
	c, err := netConn(n.fd)
	closeFD(n.fd)
	if n.Conn, n.fd, n.loop = c, -1, nil; err != nil {
		n.Conn = gone{}
	}
	return Socket{fd: -1, conn: s.tls}
}

// gone is what is left of a connection that could not be given up.
type gone struct{ net.Conn }

func (gone) Read([]byte) (int, error)         { return 0, io.EOF }
func (gone) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (gone) Close() error                     { return nil }
func (gone) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (gone) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (gone) SetDeadline(time.Time) error      { return net.ErrClosed }
func (gone) SetReadDeadline(time.Time) error  { return net.ErrClosed }
func (gone) SetWriteDeadline(time.Time) error { return net.ErrClosed }

func (s *session) forget() {
	s.gone = true
	delete(s.loop.sessions, s.h)
}

// close says goodbye. What the descriptor has no room for is written aside.
func (s *session) close() {
	s.forget()
	if !s.settled {
		s.loop.wg.Go(func() { s.tls.Close() }) // ends the handshake
		return
	}
	n := s.line
	s.tls.CloseWrite()
	n.flush()
	if len(n.out) == 0 || n.err != nil {
		n.Close()
		return
	}
	s.loop.raw.remove(n.fd)
	c, err := netConn(n.fd)
	closeFD(n.fd)
	if err != nil {
		return
	}
	rest := n.out
	s.loop.wg.Go(func() {
		c.SetWriteDeadline(time.Now().Add(lastWrite))
		c.Write(rest)
		c.Close()
	})
}

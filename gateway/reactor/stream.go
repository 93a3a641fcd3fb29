package reactor

import (
	"math"
	"net"
	"sync"
	"time"
)

// streamBuffer is what a stream's reader reads at once: it is there for each, also for idle ones.
const streamBuffer = 4 << 10

// lastWrite is how long a closing stream may take to write what it was given.
const lastWrite = 5 * time.Second

// stream is a net.Conn in a loop. Its goroutines touch conn, next and the bytes they were given;
// everything else belongs to the loop.
type stream struct {
	loop  *Loop
	h     Handle
	conn  net.Conn
	token uint64
	next  chan struct{} // lets the reader go on; closed by the loop at the end

	read, write bool // what is wanted
	data        []byte
	err         error // what reading ended with
	got, taken  bool  // the reader waits for what it brought to be taken; it was
	writing     bool
	sending     sync.Mutex // held while bytes are under way; only NetConn of a released stream waits for it
	werr        error
	shut        bool // CloseWrite was asked for
	ended       bool // the end has been told
	gone        bool // closed or released
	released    bool // the net.Conn is somebody else's
}

func (l *Loop) attachStream(s Socket, token uint64) Handle {
	for l.last >= 0 || l.streams[l.last] != nil {
		l.last = (l.last - 1) | math.MinInt32 // downwards, and round again
	}
	st := &stream{loop: l, h: l.last, conn: s.conn, token: token, next: make(chan struct{}, 1), read: true}
	l.streams[st.h] = st
	l.wg.Go(st.run)
	return st.h
}

// run reads. The buffer is the loop's between a Post and the next receive from next.
func (s *stream) run() {
	buf := make([]byte, streamBuffer)
	for {
		n, err := s.conn.Read(buf)
		if !s.loop.Post(func() { s.arrived(buf[:n], err) }) || err != nil {
			return
		}
		if _, more := <-s.next; !more {
			return
		}
	}
}

func (s *stream) arrived(data []byte, err error) {
	if !s.gone {
		s.data, s.err, s.got = data, err, true
		s.offer()
	}
}

// offer reports what has come, when it is wanted.
func (s *stream) offer() {
	for !s.gone && s.read && s.got && !s.ended {
		s.taken = false
		s.loop.events.Readable(s.token)
		if s.gone || !s.taken {
			return
		}
		if s.err == nil {
			s.got = false
			s.next <- struct{}{}
		}
	}
}

func (s *stream) take() ([]byte, error) {
	switch {
	case !s.got || s.taken:
		return nil, ErrAgain
	case len(s.data) > 0:
		data := s.data
		s.data, s.taken = nil, true
		return data, nil
	case s.err == nil: // a Read of nothing
		s.taken = true
		return nil, ErrAgain
	}
	s.taken, s.ended = true, true
	return nil, s.err
}

func (s *stream) send(b []byte) (int, error) {
	if s.werr != nil {
		return 0, s.werr
	}
	if s.writing {
		return 0, ErrAgain
	}
	s.writing = true
	s.sending.Lock()
	out := append([]byte(nil), b...)
	s.loop.wg.Go(func() {
		_, err := s.conn.Write(out)
		s.sending.Unlock()
		if !s.loop.Post(func() { s.wrote(err) }) {
			s.conn.Close()
		}
	})
	return len(b), nil
}

func (s *stream) wrote(err error) {
	s.writing, s.werr = false, err
	switch {
	case s.released:
	case s.gone:
		s.hangUp()
	case s.shut:
		s.closeWrite()
	case s.write:
		s.loop.events.Writable(s.token)
	}
}

func (s *stream) want(read, write bool) {
	s.read, s.write = read, write
	if read && s.got || write && !s.writing {
		s.loop.Post(func() {
			s.offer()
			if !s.gone && s.write && !s.writing {
				s.loop.events.Writable(s.token)
			}
		})
	}
}

func (s *stream) closeWrite() {
	s.shut = true
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok && !s.writing {
		s.loop.wg.Go(func() { c.CloseWrite() })
	}
}

func (s *stream) release() Socket {
	s.released = true
	s.forget()
	return Socket{fd: -1, conn: s.conn, sending: &s.sending}
}

func (s *stream) close() {
	s.forget()
	if s.writing {
		s.conn.SetWriteDeadline(time.Now().Add(lastWrite))
		return
	}
	s.hangUp()
}

func (s *stream) forget() {
	s.gone = true
	delete(s.loop.streams, s.h)
	close(s.next)
}

// hangUp closes the net.Conn aside: TLS says goodbye and may have to wait for that.
func (s *stream) hangUp() {
	s.loop.wg.Go(func() { s.conn.Close() })
}

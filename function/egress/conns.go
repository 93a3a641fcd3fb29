package egress

import (
	"bufio"
	"net"
	"sync"
)

// conns is a listener for connections that we have accepted, or made of others, ourselves. It also
// knows those that no http.Server knows, to close them at the end.
type conns struct {
	c    chan net.Conn
	quit chan struct{}
	busy sync.WaitGroup // one per connection in open

	mu     sync.Mutex // guards the fields below
	closed bool
	open   map[net.Conn]struct{}
}

func newConns() *conns {
	return &conns{c: make(chan net.Conn), quit: make(chan struct{}), open: map[net.Conn]struct{}{}}
}

// put hands c to Accept, or closes it when there will be no Accept.
func (l *conns) put(c net.Conn) {
	select {
	case l.c <- c:
	case <-l.quit:
		c.Close()
	}
}

// Accept returns the next connection.
func (l *conns) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.quit:
		return nil, errServing
	}
}

// Close ends Accept and closes what is open.
func (l *conns) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.quit)
	for c := range l.open {
		c.Close()
	}
	return nil
}

// Addr says nothing: there is no socket behind it.
func (l *conns) Addr() net.Addr { return &net.TCPAddr{} }

// track closes c when l closes, until the returned function is called.
func (l *conns) track(c net.Conn) (forget func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy.Add(1)
	l.open[c] = struct{}{}
	if l.closed {
		c.Close()
	}
	return func() {
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
		l.busy.Done()
	}
}

// peeked is a connection of which something has been read ahead.
type peeked struct {
	net.Conn
	r    *bufio.Reader
	name string // of the host that the client believes to speak to, when it has told
}

// Read reads what was read ahead first.
func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// CloseWrite tells the other side that no more comes, where the connection can.
func (p *peeked) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return p.Conn.Close()
}

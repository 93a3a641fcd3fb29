package reactor

import (
	"net"
	"sync"
)

// Socket is a connection that belongs to no loop: a descriptor or a net.Conn.
type Socket struct {
	fd      int32 // -1 when there is a conn
	conn    net.Conn
	sending *sync.Mutex // held while a loop's last bytes to conn are under way; nil for most
}

// FromConn makes a Socket of a net.Conn, which must not be used any more. With raw, a TCP
// connection gives up its descriptor where the system allows that.
func FromConn(c net.Conn, raw bool) Socket {
	if tcp, ok := c.(*net.TCPConn); ok && raw {
		if fd, err := dup(tcp); err == nil {
			c.Close()
			return Socket{fd: fd}
		}
	}
	return Socket{fd: -1, conn: c}
}

// NetConn makes a net.Conn of the Socket, which must not be used any more. It waits
// for bytes that its loop is still writing.
func (s Socket) NetConn() (net.Conn, error) {
	if s.conn != nil {
		if s.sending != nil {
			s.sending.Lock()
			defer s.sending.Unlock()
		}
		return s.conn, nil
	}
	return netConn(s.fd)
}

// Close closes the connection.
func (s Socket) Close() {
	if s.conn != nil {
		s.conn.Close()
		return
	}
	closeFD(s.fd)
}

package reactor

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported says whether loops can own descriptors on this system.
const Supported = true

// Tokens that are not the caller's. A listener's token is listening with its descriptor.
const (
	bell      = ^uint64(0)
	listening = 1 << 63
)

// acceptBurst is how many connections one turn takes from a listener, so that other loops get some.
const acceptBurst = 16

// acceptRest is how long accepting rests after a failure.
const acceptRest = 100 * time.Millisecond

// epoll watches descriptors. All of its calls on sockets are non-blocking and go without the
// scheduler's knowledge (RawSyscall); only the sleep tells it.
type epoll struct {
	fd     int
	event  int // eventfd, edge-triggered, so that nobody needs to read it
	ready  [256]unix.EpollEvent
	resume time.Time // when the resting listeners are watched again
	rest   []*Listener
}

func newEpoll() (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &epoll{fd: fd, event: event}
	if err := p.ctl(unix.EPOLL_CTL_ADD, int32(event), bell, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *epoll) close() {
	unix.Close(p.event)
	unix.Close(p.fd)
}

func (p *epoll) wake() {
	one := [8]byte{1}
	unix.RawSyscall(unix.SYS_WRITE, uintptr(p.event), uintptr(unsafe.Pointer(&one)), 8)
}

func (p *epoll) ctl(op int, fd int32, token uint64, mask uint32) error {
	ev := unix.EpollEvent{Events: mask, Fd: int32(token), Pad: int32(token >> 32)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

func (p *epoll) add(fd int32, token uint64) error {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, token, unix.EPOLLIN)
}

func (p *epoll) remove(fd int32) { p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0) }

func (p *epoll) modify(fd int32, token uint64, read, write bool) error {
	var mask uint32
	if read {
		mask |= unix.EPOLLIN
	}
	if write {
		mask |= unix.EPOLLOUT
	}
	return p.ctl(unix.EPOLL_CTL_MOD, fd, token, mask)
}

// wait looks once without sleeping, which is all that a busy loop needs, and sleeps only when that
// brought nothing.
func (p *epoll) wait(l *Loop, timeout time.Duration) {
	if len(p.rest) > 0 {
		timeout = p.relisten(timeout)
	}
	size := uintptr(len(p.ready))
	r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.ready[0])), size, 0, 0, 0)
	n := int(r)
	if errno != 0 {
		n = 0
	}
	if n == 0 && timeout != 0 && l.sleep() {
		ms := -1
		if timeout > 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		n, _ = unix.EpollWait(p.fd, p.ready[:], ms) // EINTR is a turn without events
		l.asleep.Store(false)
	}
	for i := range max(n, 0) {
		ev := &p.ready[i]
		token := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		switch {
		case token == bell:
		case token&listening != 0:
			p.accept(l, int32(token))
		default:
			if ev.Events&unix.EPOLLIN != 0 {
				l.events.Readable(token)
			} else if ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
				l.events.Broken(token)
				continue
			}
			if ev.Events&unix.EPOLLOUT != 0 {
				l.events.Writable(token)
			}
		}
	}
}

func (p *epoll) read(fd int32, buf []byte) ([]byte, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil, ErrAgain
	case errno != 0:
		return nil, os.NewSyscallError("read", errno)
	case n == 0:
		return nil, io.EOF
	}
	return buf[:n], nil
}

func (p *epoll) write(fd int32, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, ErrAgain
	case errno != 0:
		return 0, os.NewSyscallError("write", errno)
	}
	return int(n), nil
}

func (p *epoll) shutdown(fd int32) {
	unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

func closeFD(fd int32) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// dup copies the descriptor of a connection out of Go's own poller.
func dup(c *net.TCPConn) (int32, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	return dupRaw(rc)
}

func dupRaw(rc syscall.RawConn) (int32, error) {
	fd := -1
	var errno error
	err := rc.Control(func(old uintptr) { fd, errno = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return int32(fd), errors.Join(err, errno)
}

func netConn(fd int32) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close() // FileConn has its own copy
	return net.FileConn(f)
}

// Listener is a listening descriptor that loops accept from by themselves.
type Listener struct{ fd int32 }

// RawListener makes a Listener of a TCP listener, which stays open and must not be accepted from.
func RawListener(ln *net.TCPListener) (*Listener, error) {
	rc, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := dupRaw(rc)
	if err != nil {
		return nil, err
	}
	// Accepted sockets inherit these: no call for each of them.
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60)
	return &Listener{fd}, nil
}

// Close closes the descriptor. No loop may listen to it any more.
func (ln *Listener) Close() { closeFD(ln.fd) }

// Listen begins to accept from a listener. Several loops may share it: each connection wakes one.
func (l *Loop) Listen(ln *Listener) error {
	return l.raw.ctl(unix.EPOLL_CTL_ADD, ln.fd, listening|uint64(ln.fd), unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

// Unlisten stops accepting from a listener.
func (l *Loop) Unlisten(ln *Listener) {
	l.raw.remove(ln.fd)
	for i, r := range l.raw.rest {
		if r.fd == ln.fd {
			l.raw.rest = append(l.raw.rest[:i], l.raw.rest[i+1:]...)
			break
		}
	}
}

func (p *epoll) accept(l *Loop, fd int32) {
	for range acceptBurst {
		var sa unix.RawSockaddrAny
		size := uint32(unix.SizeofSockaddrAny)
		r, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			l.events.Accepted(Socket{fd: int32(r)}, address(&sa))
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH:
			// that one connection is gone; there may be more
		default:
			// No descriptors or no memory: the listener would be reported again and again.
			p.remove(fd)
			p.rest = append(p.rest, &Listener{fd})
			p.resume = time.Now().Add(acceptRest)
			l.events.AcceptFailed(os.NewSyscallError("accept4", errno))
			return
		}
	}
}

// relisten takes resting listeners back when it is time, and returns how long to sleep at most.
func (p *epoll) relisten(timeout time.Duration) time.Duration {
	left := time.Until(p.resume)
	if left > 0 {
		if timeout < 0 || timeout > left {
			return left
		}
		return timeout
	}
	for _, ln := range p.rest {
		p.ctl(unix.EPOLL_CTL_ADD, ln.fd, listening|uint64(ln.fd), unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	}
	p.rest = nil
	return timeout
}

// address reads the kernel's form of a peer's address.
func address(sa *unix.RawSockaddrAny) netip.AddrPort {
	port := func(p uint16) uint16 { // network order in memory
		b := (*[2]byte)(unsafe.Pointer(&p))
		return uint16(b[0])<<8 | uint16(b[1])
	}
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), port(in.Port))
	}
	return netip.AddrPort{}
}

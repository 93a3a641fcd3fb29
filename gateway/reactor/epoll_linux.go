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

// busyEvents is how many events in a turn promise that the next one has some, too.
const busyEvents = 8

// epoll watches descriptors. All of its calls on sockets are non-blocking and go without the
// scheduler's knowledge (RawSyscall); only the sleep tells it.
type epoll struct {
	fd        int
	file      *os.File        // fd, in Go's own poller
	raw       syscall.RawConn // of file
	until     time.Time       // file's read deadline
	ask       func(uintptr) bool
	found     int    // by ask
	nap       func() // asks until something is ready
	event     int    // eventfd, edge-triggered, so that nobody needs to read it
	ready     [256]unix.EpollEvent
	busy      bool                // the last look brought many events
	listeners map[int32]*Listener // those whose turn is here
	resume    time.Time           // when the resting ones are watched again
	rest      []*Listener
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
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's poller takes it
		unix.Close(event)
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &epoll{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), event: event, listeners: map[int32]*Listener{}}
	p.ask = func(uintptr) bool { // made once, so that sleeping allocates nothing
		p.found = p.look()
		return p.found > 0
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	p.nap = func() { p.raw.Read(p.ask) } // its error is that the time is over
	if err := p.ctl(unix.EPOLL_CTL_ADD, int32(event), bell, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *epoll) close() {
	unix.Close(p.event)
	p.file.Close()
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

// wait looks without sleeping as long as the loop is busy, and sleeps when it is not or a look has
// brought nothing.
func (p *epoll) wait(l *Loop, timeout time.Duration) {
	if len(p.rest) > 0 {
		timeout = p.relisten(l, timeout)
	}
	n := 0
	asleep := timeout != 0 && !p.busy && l.sleep()
	if !asleep {
		n = p.look()
		asleep = n == 0 && timeout != 0 && l.sleep()
	}
	if asleep {
		n = p.sleep(l, timeout)
	}
	p.busy = n >= busyEvents
	for i := range max(n, 0) {
		ev := &p.ready[i]
		token := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		switch {
		case token == bell:
		case token&listening != 0:
			p.accept(l, p.listeners[int32(token)])
		case token&securedToken != 0:
			if s := l.sessions[Handle(token&^securedToken)]; s != nil {
				s.happened(ev.Events&unix.EPOLLIN != 0, ev.Events&unix.EPOLLOUT != 0, ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0)
			}
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

// sleep waits until something is ready, as goroutines wait for sockets: a thread that sat in the kernel
// would have to be found missing, and replaced, by the scheduler each time.
func (p *epoll) sleep(l *Loop, timeout time.Duration) int {
	now := time.Now()
	if timeout < 0 {
		timeout = time.Hour // and then a turn without events
	}
	until := now.Add(timeout)
	if p.until.After(until) || !p.until.After(now) {
		p.until = until
		p.file.SetReadDeadline(until)
	}
	p.found = 0
	l.rest(until, p.nap)
	return p.found
}

// look asks what is ready now.
func (p *epoll) look() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.ready[0])), uintptr(len(p.ready)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
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

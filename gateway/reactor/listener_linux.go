package reactor

import (
	"net"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptBurst is how many connections a loop takes from a listener before it is another's turn.
const acceptBurst = 16

// acceptRest is how long accepting rests after a failure.
const acceptRest = 100 * time.Millisecond

// Listener is a listening descriptor that loops accept from by themselves, in turns. Were all of them
// watching it, each connection would wake another loop for itself; so a few wake one.
type Listener struct {
	fd    int32
	taken int // in this turn; for the loop whose turn it is

	mu    sync.Mutex // guards loops
	loops []*Loop    // the first has the turn
}

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
	return &Listener{fd: fd}, nil
}

// Close closes the descriptor. Loops that still listen to it do not any more.
func (ln *Listener) Close() {
	ln.mu.Lock()
	ln.loops = nil
	ln.mu.Unlock()
	closeFD(ln.fd)
}

// turn reports whether it is l's turn.
func (ln *Listener) turn(l *Loop) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	return len(ln.loops) > 0 && ln.loops[0] == l
}

// leave takes l out, and returns whose turn it is now when it was l's.
func (ln *Listener) leave(l *Loop) (next *Loop) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	i := slices.Index(ln.loops, l)
	if i >= 0 {
		ln.loops = slices.Delete(ln.loops, i, i+1)
	}
	if i == 0 && len(ln.loops) > 0 {
		next = ln.loops[0]
	}
	return next
}

// rotate ends l's turn and returns whose it is now; nil when it stays l's.
func (ln *Listener) rotate(l *Loop) (next *Loop) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if len(ln.loops) < 2 || ln.loops[0] != l {
		return nil
	}
	copy(ln.loops, ln.loops[1:])
	ln.loops[len(ln.loops)-1] = l
	return ln.loops[0]
}

// Listen begins to accept from a listener, in turns with other loops that do.
func (l *Loop) Listen(ln *Listener) error {
	ln.mu.Lock()
	ln.loops = append(ln.loops, l)
	ln.mu.Unlock()
	if ln.turn(l) {
		return l.raw.watch(ln)
	}
	return nil
}

// Unlisten stops accepting from a listener.
func (l *Loop) Unlisten(ln *Listener) {
	next := ln.leave(l)
	l.raw.unwatch(ln)
	give(ln, next)
}

// leave ends the turns of a loop that ends.
func (p *epoll) leave(l *Loop) {
	for _, ln := range p.listeners {
		l.Unlisten(ln)
	}
	for len(p.rest) > 0 {
		l.Unlisten(p.rest[0])
	}
}

// give has a loop take its turn, or the one after it when that has ended.
func give(ln *Listener, next *Loop) {
	for next != nil && !next.Post(func() { next.raw.take(next, ln) }) {
		next = ln.leave(next)
	}
}

// take begins a turn, unless it has passed meanwhile.
func (p *epoll) take(l *Loop, ln *Listener) {
	if !ln.turn(l) {
		return
	}
	if err := p.watch(ln); err != nil {
		p.pause(l, ln, err)
	}
}

func (p *epoll) watch(ln *Listener) error {
	p.listeners[ln.fd] = ln
	return p.ctl(unix.EPOLL_CTL_ADD, ln.fd, listening|uint64(ln.fd), unix.EPOLLIN)
}

func (p *epoll) unwatch(ln *Listener) {
	if p.listeners[ln.fd] == ln {
		delete(p.listeners, ln.fd)
		p.remove(ln.fd)
	}
	p.rest = slices.DeleteFunc(p.rest, func(r *Listener) bool { return r == ln })
}

// pause lets a listener rest: without descriptors or memory it would be reported again and again.
func (p *epoll) pause(l *Loop, ln *Listener, err error) {
	p.unwatch(ln)
	p.rest = append(p.rest, ln)
	p.resume = time.Now().Add(acceptRest)
	l.events.AcceptFailed(err)
}

// relisten takes resting listeners back when it is time, and returns how long to sleep at most.
func (p *epoll) relisten(l *Loop, timeout time.Duration) time.Duration {
	left := time.Until(p.resume)
	if left > 0 {
		if timeout < 0 || timeout > left {
			return left
		}
		return timeout
	}
	rest := p.rest
	p.rest = nil
	for _, ln := range rest {
		p.take(l, ln)
	}
	return timeout
}

// accept takes what a listener has, until its turn here ends.
func (p *epoll) accept(l *Loop, ln *Listener) {
	if ln == nil {
		return // it was given up in this turn
	}
	for ln.taken < acceptBurst {
		var sa unix.RawSockaddrAny
		size := uint32(unix.SizeofSockaddrAny)
		r, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(ln.fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			ln.taken++
			l.events.Accepted(Socket{fd: int32(r)}, address(&sa))
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH:
			// that one connection is gone; there may be more
		default:
			p.pause(l, ln, os.NewSyscallError("accept4", errno))
			return
		}
	}
	ln.taken = 0
	if next := ln.rotate(l); next != nil {
		p.unwatch(ln)
		give(ln, next)
	}
}

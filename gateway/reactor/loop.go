package reactor

import (
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Handle names a socket within its loop. It is valid from Attach until Close or Release.
type Handle int32

// ErrAgain says that a socket has nothing to read or no room to write. Wait for the event.
var ErrAgain = errors.New("reactor: try again")

// readSize is the most that one Read returns of a descriptor: one buffer for all of a loop.
const readSize = 64 << 10

// Events are what a loop reports, one at a time. They must not block. Tokens are the
// caller's own; of a closed socket no event comes after the turn in which it was closed, but the
// same turn may still bring one.
type Events interface {
	// Accepted hands over a new socket of a Listener: attach it or close it.
	Accepted(s Socket, remote netip.AddrPort)
	// AcceptFailed reports that accepting rests for a while, for lack of descriptors mostly.
	AcceptFailed(err error)
	// Readable says that one Read will return bytes or the end. It comes again until it does not.
	Readable(token uint64)
	// Writable follows Want with write, when a Write will take bytes again.
	Writable(token uint64)
	// Broken says that the peer is gone, of a socket that is not being read.
	Broken(token uint64)
	// Turn ends each turn of the loop. It returns how long the loop may sleep when nothing happens;
	// 0 asks for another turn at once, a negative duration is for ever.
	Turn(now time.Time) time.Duration
}

// poller sleeps until something happens.
type poller interface {
	wait(l *Loop, timeout time.Duration)
	wake()
	leave(l *Loop) // gives turns of listeners to others
	close()
}

// Loop is one goroutine with its sockets. While it sleeps, another may do a turn for it (Do).
type Loop struct {
	events  Events
	turn    sync.Mutex // held but for the sleep: who has it is the loop
	until   time.Time  // when the sleep ends by itself
	poll    poller
	raw     *epoll // nil when this loop has no descriptors; else the same as poll
	buf     []byte
	streams map[Handle]*stream
	last    Handle // of a stream

	sessions    map[Handle]*session
	lastSession Handle
	sealed      []byte // where sessions' writes are collected

	stopped bool
	wg      sync.WaitGroup // goroutines of streams

	asleep atomic.Bool
	mu     sync.Mutex // guards mail and closed
	mail   []func()
	spare  []func()
	closed bool
}

// New makes a loop. With raw it can own descriptors where the system allows that (Linux); without, or
// elsewhere, it has streams only.
func New(events Events, raw bool) (*Loop, error) {
	l := &Loop{events: events, streams: map[Handle]*stream{}, sessions: map[Handle]*session{}}
	if raw && Supported {
		p, err := newEpoll()
		if err != nil {
			return nil, err
		}
		l.raw, l.poll, l.buf = p, p, make([]byte, readSize)
		return l, nil
	}
	l.poll = newSleeper()
	return l, nil
}

// Run turns the loop until Stop. It closes the streams that are left, waits for their goroutines and
// returns; descriptors that are left are the caller's to close before.
func (l *Loop) Run() {
	l.turn.Lock()
	defer l.turn.Unlock()
	for {
		wait := l.events.Turn(time.Now())
		if l.stopped {
			break
		}
		l.poll.wait(l, wait)
		l.yield()
		l.deliver()
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.deliver() // what was posted before that is not lost
	l.poll.leave(l)
	for h := range l.streams {
		l.Close(h)
	}
	for h := range l.sessions {
		l.Close(h)
	}
	l.wg.Wait()
	l.poll.close()
}

// Stop ends Run behind everything that was posted before. It may be called from anywhere, once.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Post has the loop call fn, in the order of posting. It reports false, and fn is not called, when
// the loop has ended.
func (l *Loop) Post(fn func()) bool {
	if !l.put(fn) {
		return false
	}
	if l.asleep.CompareAndSwap(true, false) {
		l.poll.wake()
	}
	return true
}

// Do is Post for a caller who holds no lock: when the loop sleeps, the caller does its turn itself, which
// spares two changes of goroutine.
func (l *Loop) Do(fn func()) bool {
	if !l.put(fn) {
		return false
	}
	if l.asleep.CompareAndSwap(true, false) && !l.help() {
		l.poll.wake()
	}
	return true
}

func (l *Loop) put(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.mail = append(l.mail, fn)
	}
	return !l.closed
}

// slack is how late a turn may be that the loop is not woken for.
const slack = time.Millisecond

// help turns a sleeping loop until no mail is left. It reports false when the loop itself has to wake up.
func (l *Loop) help() bool {
	if !l.turn.TryLock() {
		return false // it falls asleep or wakes up just now
	}
	defer l.turn.Unlock()
	for {
		l.deliver()
		now := time.Now()
		wait := l.events.Turn(now)
		if wait == 0 || l.stopped || wait > 0 && l.until.After(now.Add(wait+slack)) {
			return false
		}
		if l.sleep() {
			return true
		}
	}
}

// yield lets those who post go first: they may have more to post, and what comes together goes out together.
func (l *Loop) yield() {
	l.mu.Lock()
	some := len(l.mail) > 0
	l.mu.Unlock()
	if some {
		runtime.Gosched()
	}
}

// deliver runs what was posted.
func (l *Loop) deliver() {
	l.mu.Lock()
	mail := l.mail
	l.mail, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	for i, fn := range mail {
		mail[i] = nil
		fn()
	}
	if cap(mail) <= 1<<14 {
		l.spare = mail[:0]
	}
}

// sleep marks the loop as asleep; it reports false when there is mail, and the loop must not sleep.
// From true on, the next Post wakes the poller, or Do takes the turn.
func (l *Loop) sleep() bool {
	l.asleep.Store(true)
	l.mu.Lock()
	empty := len(l.mail) == 0
	l.mu.Unlock()
	return empty || !l.asleep.CompareAndSwap(true, false)
}

// rest lets others have the turn while nap sleeps until a time.
func (l *Loop) rest(until time.Time, nap func()) {
	l.until = until
	l.turn.Unlock()
	nap()
	l.turn.Lock()
	l.asleep.Store(false)
}

// The methods below belong to who has the turn.

// Attach takes a socket into the loop and begins to read it. When it fails, the socket is closed.
func (l *Loop) Attach(s Socket, token uint64) (Handle, error) {
	if s.conn != nil {
		if t, n := secureLine(s.conn); t != nil && l.raw != nil {
			return l.attachSession(t, n, token), nil
		}
		return l.attachStream(s, token), nil
	}
	if err := l.raw.add(s.fd, token); err != nil {
		s.Close()
		return 0, err
	}
	return Handle(s.fd), nil
}

// Release takes a socket out of the loop without closing it. A stream may be released only from
// within Readable, when Read has taken what there was.
func (l *Loop) Release(h Handle) Socket {
	if h < 0 {
		return l.streams[h].release()
	}
	if h >= securedHandle {
		return l.sessions[h].release()
	}
	l.raw.remove(int32(h))
	return Socket{fd: int32(h)}
}

// Read returns what has come: once for each Readable. The bytes may be changed and are valid until the
// event returns. The error is ErrAgain, io.EOF, or that of the socket.
func (l *Loop) Read(h Handle) ([]byte, error) {
	if h < 0 {
		return l.streams[h].take()
	}
	if h >= securedHandle {
		return l.sessions[h].take()
	}
	return l.raw.read(int32(h), l.buf)
}

// Write sends as much of b as the socket takes now. ErrAgain comes when that is nothing.
func (l *Loop) Write(h Handle, b []byte) (int, error) {
	if h < 0 {
		return l.streams[h].send(b)
	}
	if h >= securedHandle {
		return l.sessions[h].send(b)
	}
	return l.raw.write(int32(h), b)
}

// Want sets which events are reported. Right after Attach it is read and not write.
func (l *Loop) Want(h Handle, token uint64, read, write bool) error {
	if h < 0 {
		l.streams[h].want(read, write)
		return nil
	}
	if h >= securedHandle {
		l.sessions[h].want(read, write)
		return nil
	}
	return l.raw.modify(int32(h), token, read, write)
}

// CloseWrite tells the peer that no more bytes follow those written.
func (l *Loop) CloseWrite(h Handle) {
	if h < 0 {
		l.streams[h].closeWrite()
		return
	}
	if h >= securedHandle {
		l.sessions[h].closeWrite()
		return
	}
	l.raw.shutdown(int32(h))
}

// Close closes a socket. What was written before still goes out.
func (l *Loop) Close(h Handle) {
	if h < 0 {
		l.streams[h].close()
		return
	}
	if h >= securedHandle {
		l.sessions[h].close()
		return
	}
	Socket{fd: int32(h)}.Close()
}

// sleeper is the poller of a loop without descriptors.
type sleeper struct {
	bell  chan struct{}
	timer *time.Timer
}

func newSleeper() *sleeper {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &sleeper{bell: make(chan struct{}, 1), timer: t}
}

func (p *sleeper) wait(l *Loop, timeout time.Duration) {
	if timeout == 0 || !l.sleep() {
		return
	}
	if timeout < 0 {
		timeout = time.Hour // and then a turn without events
	}
	p.timer.Reset(timeout)
	l.rest(time.Now().Add(timeout), func() {
		select {
		case <-p.bell:
		case <-p.timer.C:
		}
	})
	p.timer.Stop()
}

func (p *sleeper) wake() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

func (p *sleeper) leave(*Loop) {}

func (p *sleeper) close() {}

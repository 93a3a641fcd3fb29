package process

import (
	"os"
	"sync"
	"syscall"
)

// writer sends frames so that no caller ever waits for a process that does not read: one write when
// the socket takes it, else a goroutine writes what is left. Frames that come while another is being
// written leave together.
type writer struct {
	sock *os.File
	raw  syscall.RawConn
	wg   sync.WaitGroup // of the goroutine that writes what is left

	mu    sync.Mutex // guards the fields below
	buf   []byte     // waits
	spare []byte
	busy  bool // somebody writes
	dead  bool // the other side is gone
}

// keepBuffer is the largest buffer that an idle instance holds on to.
const keepBuffer = 16 << 10

func (w *writer) init(sock *os.File) {
	w.sock = sock
	w.raw, _ = sock.SyscallConn() // fails only for a nil file
}

// send sends whole frames, which the caller must not touch any more.
func (w *writer) send(b []byte) { w.add(func(buf []byte) []byte { return append(buf, b...) }) }

// sendFrame sends a frame with a body of any length.
func (w *writer) sendFrame(f frame) {
	w.add(func(buf []byte) []byte { return appendCall(buf, f) })
}

func (w *writer) add(appendTo func([]byte) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return
	}
	w.buf = appendTo(w.buf)
	if w.busy {
		return
	}
	w.busy = true
	for len(w.buf) > 0 && !w.dead {
		b := w.swap()
		w.mu.Unlock()
		n, err := writeNow(w.raw, b)
		w.mu.Lock()
		switch {
		case err != nil:
			w.dead = true
		case n < len(b):
			rest := b[n:]
			w.wg.Go(func() { w.finish(rest) })
			return // still busy
		default:
			w.recycle(b)
		}
	}
	w.busy = false
}

// finish writes what the socket would not take, and what has come since.
func (w *writer) finish(b []byte) {
	for len(b) > 0 {
		_, err := w.sock.Write(b)
		w.mu.Lock()
		if err != nil {
			w.dead = true
		}
		if b = w.swap(); w.dead || len(b) == 0 {
			w.busy, b = false, nil
		}
		w.mu.Unlock()
	}
}

// swap takes what waits; mu is held.
func (w *writer) swap() []byte {
	b := w.buf
	w.buf, w.spare = w.spare[:0], nil
	return b
}

// recycle keeps a written buffer for later, unless it is large; mu is held.
func (w *writer) recycle(b []byte) {
	if cap(b) <= keepBuffer {
		w.spare = b[:0]
	}
}

// wait waits for the goroutine; the socket is closed.
func (w *writer) wait() {
	w.mu.Lock()
	w.dead = true
	w.mu.Unlock()
	w.wg.Wait()
}

package function

import (
	"bytes"
	"sync"
)

// tailSize is how much of an invocation's log its Result carries.
const tailSize = 4 << 10

// tails keeps the last lines of each running call on their way to the next sink.
type tails struct {
	next LogSink
	mu   sync.Mutex // guards open and what is in it
	open map[string]*tail
}

type tail struct {
	calls int // with this request id; more than one only when a caller repeats it
	buf   []byte
}

func (t *tails) begin(request string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.open[request]
	if b == nil {
		b = &tail{}
		t.open[request] = b
	}
	b.calls++
}

func (t *tails) end(request string) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.open[request]
	if b.calls--; b.calls == 0 {
		delete(t.open, request)
	}
	return bytes.Clone(b.buf[max(0, len(b.buf)-tailSize):])
}

// Log takes a line.
func (t *tails) Log(l LogLine) {
	if l.Request != "" {
		t.mu.Lock()
		if b := t.open[l.Request]; b != nil {
			text := l.Line
			if text == "" {
				text = l.Text
			}
			if len(text) > tailSize {
				text = text[len(text)-tailSize:]
			}
			b.buf = append(append(b.buf, text...), '\n')
			if n := len(b.buf); n > 2*tailSize {
				b.buf = append(b.buf[:0], b.buf[n-tailSize:]...)
			}
		}
		t.mu.Unlock()
	}
	if t.next != nil {
		t.next.Log(l)
	}
}

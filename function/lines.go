package function

import "bytes"

// MaxLine is the longest log line in bytes; what is longer is cut into several.
const MaxLine = 64 << 10

// LineWriter cuts a stream into lines, for a Command's Out. It holds at most MaxLine bytes and never
// blocks but in Line. One goroutine at a time may use it.
type LineWriter struct {
	// Line gets each line without its newline. The bytes are valid until it returns.
	Line func(line []byte)
	part []byte
}

// Write never fails.
func (w *LineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			for len(w.part)+len(p) >= MaxLine {
				k := MaxLine - len(w.part)
				w.emit(p[:k])
				p = p[k:]
			}
			w.part = append(w.part, p...)
			break
		}
		line := p[:i]
		for len(w.part)+len(line) > MaxLine {
			k := MaxLine - len(w.part)
			w.emit(line[:k])
			line = line[k:]
		}
		w.emit(line)
		p = p[i+1:]
	}
	return n, nil
}

// emit hands over what is kept followed by rest.
func (w *LineWriter) emit(rest []byte) {
	line := rest
	if len(w.part) > 0 {
		line = append(w.part, rest...)
		w.part = w.part[:0]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	w.Line(line)
}

// Flush hands over a last line that had no newline.
func (w *LineWriter) Flush() {
	if len(w.part) > 0 {
		w.emit(nil)
	}
}

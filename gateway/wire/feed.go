package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Limits are what a client may send, in bytes. Zero is without limit.
type Limits struct {
	MaxFrame   int  // of one frame, as on the wire
	MaxMessage int  // of one message, as on the wire and inflated
	Deflate    bool // permessage-deflate was agreed
	NoBinary   bool // binary messages are refused
}

// Sink takes what Feed finds, in order. Bytes are valid until the method returns. When a method
// returns false, Feed stops behind what it has just handed over.
type Sink interface {
	Message(data []byte, binary bool) bool
	Ping(data []byte) bool
	Pong(data []byte) bool
	// Close is the client's close frame; nothing follows it. Code is CodeNoStatus when it had none.
	Close(code int, reason string)
}

// CloseError is a violation of the protocol or a limit: the connection ends with this code.
type CloseError struct {
	Code   int
	Reason string
}

// Error is the reason with its code.
func (e *CloseError) Error() string { return fmt.Sprintf("close %d: %s", e.Code, e.Reason) }

func violation(reason string) *CloseError { return &CloseError{CodeProtocol, reason} }

// State is what is left unfinished between two reads: part of a frame, or of a fragmented message.
type State struct {
	head  [ws.MaxHeaderSize]byte // a header that has not come whole
	nhead int

	frame ws.Header // the frame being read
	in    bool      // frame is valid
	done  int       // bytes of its payload read

	ctl []byte // payload of a control frame that has not come whole

	op      Op     // of the message being read; 0 when none is
	packed  bool   // it is compressed
	msg     []byte // its payload so far
	checked int    // bytes of msg known to be whole UTF-8 characters
}

// Feed reads a client's bytes. It unmasks in place, so b is changed, and reports how many bytes it
// took: all, unless the Sink stopped it or the client closed. state is nil when nothing is unfinished,
// and the State to hand to the next call is returned. After an error the stream cannot be read on.
func Feed(state *State, b []byte, lim Limits, sink Sink) (next *State, n int, err *CloseError) {
	for n < len(b) {
		if state == nil || !state.in {
			h, size, whole := nextHeader(&state, b[n:])
			n += size
			if !whole {
				return state, n, nil
			}
			if err := checkHeader(state, h, lim); err != nil {
				return state, n, err
			}
			if state != nil && state.idle() {
				state = nil // it only held the beginning of this header
			}
			// The common case: a whole unfragmented message lies in the buffer.
			if h.Length <= int64(len(b)-n) && h.Fin && h.Rsv == 0 && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
				data := b[n : n+int(h.Length)]
				n += len(data)
				ws.Cipher(data, h.Mask, 0)
				if h.OpCode == ws.OpText && !utf8.Valid(data) {
					return state, n, badText()
				}
				if !sink.Message(data, h.OpCode == ws.OpBinary) {
					return state, n, nil
				}
				continue
			}
			if state == nil {
				state = new(State)
			}
			state.frame, state.in, state.done = h, true, 0
			if h.OpCode == ws.OpText || h.OpCode == ws.OpBinary {
				state.op, state.packed = h.OpCode, h.Rsv1()
			}
		}
		part := b[n : n+int(min(state.frame.Length-int64(state.done), int64(len(b)-n)))]
		n += len(part)
		more, err := state.payload(part, lim, sink)
		if state.idle() {
			state = nil
		}
		if err != nil || !more {
			return state, n, err
		}
	}
	// A frame without payload may be waiting for nothing more.
	if state != nil && state.in && state.frame.Length == 0 {
		_, err = state.payload(nil, lim, sink)
		if state.idle() {
			state = nil
		}
	}
	return state, n, err
}

func (s *State) idle() bool { return !s.in && s.op == 0 && s.nhead == 0 }

// nextHeader reads a frame header, from what an earlier read left and from b. When the header is not
// whole yet, all of b is kept in the State.
func nextHeader(state **State, b []byte) (h ws.Header, n int, whole bool) {
	s := *state
	if s == nil || s.nhead == 0 {
		if size := headerSize(b); size > 0 && size <= len(b) {
			return parseHeader(b), size, true
		}
		if s == nil {
			s = new(State)
			*state = s
		}
	}
	had := s.nhead
	for i, c := range b {
		s.head[s.nhead] = c
		s.nhead++
		if size := headerSize(s.head[:s.nhead]); size == s.nhead {
			s.nhead = 0
			return parseHeader(s.head[:]), i + 1, true
		}
	}
	return h, s.nhead - had, false
}

// headerSize is the length of the header that begins b, 0 when b is too short to tell. A client's
// header without a mask is as long as its first bytes say, so that it is refused at once.
func headerSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	size := 2
	switch b[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if b[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// parseHeader reads a whole header. A length that is out of range comes out negative.
func parseHeader(b []byte) ws.Header {
	h := ws.Header{Fin: b[0]&0x80 != 0, Rsv: b[0] >> 4 & 7, OpCode: Op(b[0] & 0x0f), Masked: b[1]&0x80 != 0, Length: int64(b[1] & 0x7f)}
	rest := b[2:]
	switch h.Length {
	case 126:
		h.Length, rest = int64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		h.Length, rest = int64(binary.BigEndian.Uint64(rest)), rest[8:]
	}
	if h.Masked {
		copy(h.Mask[:], rest)
	}
	return h
}

// checkHeader holds a frame against the protocol and the limits.
func checkHeader(s *State, h ws.Header, lim Limits) *CloseError {
	if h.Length < 0 {
		return violation("frame length out of range")
	}
	state := ws.StateServerSide
	if lim.Deflate {
		state = state.Set(ws.StateExtended)
	}
	var have int64
	if s != nil && s.op != 0 {
		state = state.Set(ws.StateFragmented)
		have = int64(len(s.msg))
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return violation(err.Error())
	}
	// With the extension agreed, RSV1 marks the first frame of a compressed message and nothing else.
	if h.Rsv != 0 && (!h.Rsv1() || h.Rsv != ws.Rsv(true, false, false) || h.OpCode.IsControl() || h.OpCode == ws.OpContinuation) {
		return violation("unexpected reserved bits")
	}
	if h.OpCode.IsControl() {
		return nil
	}
	if lim.NoBinary && h.OpCode == ws.OpBinary {
		return &CloseError{CodeUnsupported, "binary messages are not accepted"}
	}
	if lim.MaxFrame > 0 && h.Length > int64(lim.MaxFrame) {
		return &CloseError{CodeTooBig, "frame too big"}
	}
	if lim.MaxMessage > 0 && h.Length > int64(lim.MaxMessage)-have {
		return &CloseError{CodeTooBig, "message too big"}
	}
	return nil
}

func badText() *CloseError { return &CloseError{CodeBadData, "invalid UTF-8"} }

// payload takes the next bytes of the current frame and hands over what they complete.
func (s *State) payload(part []byte, lim Limits, sink Sink) (more bool, err *CloseError) {
	ws.Cipher(part, s.frame.Mask, s.done)
	s.done += len(part)
	whole := int64(s.done) == s.frame.Length
	if s.frame.OpCode.IsControl() {
		if s.done > len(part) || !whole {
			s.ctl = append(s.ctl, part...)
			part = s.ctl
		}
		if !whole {
			return true, nil
		}
		s.in, s.ctl = false, nil
		return control(s.frame.OpCode, part, sink)
	}
	s.msg = grow(s.msg, len(part), s.frame.Length-int64(s.done)+int64(len(part)))
	s.msg = append(s.msg, part...)
	if s.op == Text && !s.packed {
		n, ok := wholeRunes(s.msg[s.checked:])
		s.checked += n
		if !ok || whole && s.frame.Fin && s.checked < len(s.msg) {
			return false, badText()
		}
	}
	if !whole {
		return true, nil
	}
	s.in = false
	if !s.frame.Fin {
		return true, nil
	}
	data, op, packed := s.msg, s.op, s.packed
	s.msg, s.op, s.packed, s.checked = nil, 0, false, 0
	if packed {
		limit := lim.MaxMessage
		if limit == 0 {
			limit = 1 << 30
		}
		inflated, err := inflate(data, limit)
		switch {
		case err == errInflated:
			return false, &CloseError{CodeTooBig, "message too big"}
		case err != nil:
			return false, &CloseError{CodeBadData, "invalid compressed data"}
		case op == Text && !utf8.Valid(inflated):
			return false, badText()
		}
		data = inflated
	}
	return sink.Message(data, op == Binary), nil
}

// grow makes room for n more bytes of a frame of which rest are still to come, n included. It
// never reserves more than twice what has really arrived, whatever a header promises, and at least half as
// much again: else a message in many small frames would be copied with each.
func grow(b []byte, n int, rest int64) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	size := len(b) + max(int(min(rest, int64(len(b)+2*n))), n+len(b)/2)
	return append(make([]byte, 0, size), b...)
}

// wholeRunes is the length of the whole characters that begin b; ok is false when what follows them
// can never become a character.
func wholeRunes(b []byte) (n int, ok bool) {
	// Only the last three bytes can be the beginning of a character that is not whole.
	for i := len(b) - 1; i >= 0 && i >= len(b)-3; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i, utf8.Valid(b[:i])
			}
			break
		}
	}
	return len(b), utf8.Valid(b)
}

// control hands over a control frame.
func control(op Op, data []byte, sink Sink) (more bool, err *CloseError) {
	switch op {
	case ws.OpPing:
		return sink.Ping(data), nil
	case ws.OpPong:
		return sink.Pong(data), nil
	}
	if len(data) == 0 {
		sink.Close(CodeNoStatus, "")
		return false, nil
	}
	if len(data) == 1 {
		return false, violation("close frame of one byte")
	}
	code := int(binary.BigEndian.Uint16(data))
	if !SendableCode(code) {
		return false, violation("invalid close code")
	}
	if !utf8.Valid(data[2:]) {
		return false, badText()
	}
	sink.Close(code, string(data[2:]))
	return false, nil
}

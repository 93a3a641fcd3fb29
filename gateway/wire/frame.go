package wire

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Op is an RFC 6455 opcode.
type Op = ws.OpCode

// The opcodes that a server sends.
const (
	Text       = ws.OpText
	Binary     = ws.OpBinary
	CloseFrame = ws.OpClose
	Ping       = ws.OpPing
	Pong       = ws.OpPong
)

// Close codes (RFC 6455 section 7.4.1 and the registry).
const (
	CodeNormal      = 1000
	CodeGoingAway   = 1001
	CodeProtocol    = 1002
	CodeUnsupported = 1003
	CodeNoStatus    = 1005 // never on the wire: a close frame without a code
	CodeAbnormal    = 1006 // never on the wire: no close frame at all
	CodeBadData     = 1007
	CodePolicy      = 1008
	CodeTooBig      = 1009
	CodeInternal    = 1011
	CodeRestart     = 1012
)

// maxCloseReason is what a control frame of 125 bytes leaves beside the code.
const maxCloseReason = 123

// HeaderSize is the length of a server's frame header for a payload of n bytes.
func HeaderSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n <= 0xffff:
		return 4
	default:
		return 10
	}
}

// AppendFrame appends a whole server frame.
func AppendFrame(dst []byte, op Op, payload []byte) []byte {
	return append(appendHead(dst, byte(op), len(payload)), payload...)
}

// appendHead appends the header of a final frame; first is the opcode, perhaps with RSV1.
func appendHead(dst []byte, first byte, n int) []byte {
	dst = append(dst, 0x80|first)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}

// AppendClose appends a close frame. A code that may not be sent becomes an empty close frame; a
// reason is cut to 123 bytes, between characters.
func AppendClose(dst []byte, code int, reason string) []byte {
	if !SendableCode(code) {
		return AppendFrame(dst, CloseFrame, nil)
	}
	if len(reason) > maxCloseReason {
		n := maxCloseReason
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	if !utf8.ValidString(reason) {
		reason = ""
	}
	dst = appendHead(dst, byte(CloseFrame), 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, uint16(code)), reason...)
}

// SendableCode reports whether a close frame may carry code (RFC 6455 section 7.4): registered codes
// up to 1014, and 3000 to 4999.
func SendableCode(code int) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}

// Outgoing is one message on its way to any number of receivers. It is built once; the compressed
// form is made when the first receiver wants it.
type Outgoing struct {
	plain    []byte // header and payload
	head     int
	once     sync.Once
	deflated []byte
}

// NewOutgoing builds the frame of a message. It keeps nothing of data.
func NewOutgoing(data []byte, binary bool) *Outgoing {
	op := Text
	if binary {
		op = Binary
	}
	head := HeaderSize(len(data))
	return &Outgoing{plain: AppendFrame(make([]byte, 0, head+len(data)), op, data), head: head}
}

// Size is the length of the message, without its header.
func (o *Outgoing) Size() int { return len(o.plain) - o.head }

// Frame is the frame's bytes, which are shared and must not be changed.
func (o *Outgoing) Frame(deflate bool) []byte {
	if !deflate || o.Size() < minDeflate {
		return o.plain
	}
	o.once.Do(func() { o.deflated = deflateFrame(Op(o.plain[0]&0x0f), o.plain[o.head:]) })
	return o.deflated
}

package scf

import (
	"encoding/binary"
	"errors"
)

// maxPacket is the largest frame of a connection that a web function holds, in bytes (section 1.10).
const maxPacket = 1 << 20

const opClose = 0x8

// The close codes that we send or look for ourselves; RFC 6455 7.4 names them.
const (
	codeNormal    = 1000
	codeGoingAway = 1001
	codeNone      = 1005 // a close frame without a code
	codeTooBig    = 1009
	codeExtension = 1010
	codeInternal  = 1011
)

var errPacket = errors.New("a WebSocket frame is larger than 1 MB")

// frames follows one direction of a WebSocket connection whose bytes it does not change: where its frames
// begin and how it is closed. The zero value is at the beginning.
type frames struct {
	head []byte // what is known of a frame's head that is not complete
	left uint64 // bytes of the current frame's payload that have not come
	last bool   // the current frame closes the connection
	body []byte // of a closing frame, its first two bytes as they came
	mask [4]byte

	closed bool // a closing frame has come
	code   int  // its
}

// rests reports whether the next byte begins a frame.
func (f *frames) rests() bool { return len(f.head) == 0 && f.left == 0 }

// scan looks at the next bytes. Its error is errPacket: the bytes must not go on.
func (f *frames) scan(b []byte) error {
	for len(b) > 0 && !f.closed {
		if f.left > 0 {
			n := min(uint64(len(b)), f.left)
			if f.last {
				f.body = append(f.body, b[:min(n, uint64(2-min(len(f.body), 2)))]...)
			}
			b, f.left = b[n:], f.left-n
		} else {
			f.head, b = append(f.head, b[0]), b[1:]
			if err := f.begin(); err != nil {
				return err
			}
		}
		if f.rests() && f.last {
			f.closed, f.code = true, codeNone
			if len(f.body) == 2 {
				f.code = int(f.body[0]^f.mask[0])<<8 | int(f.body[1]^f.mask[1])
			}
		}
	}
	return nil
}

// begin reads the head of a frame, when it is complete.
func (f *frames) begin() error {
	if len(f.head) < 2 {
		return nil
	}
	size, wide := uint64(f.head[1]&0x7f), 0
	switch size {
	case 126:
		wide = 2
	case 127:
		wide = 8
	}
	all := 2 + wide
	if f.head[1]&0x80 != 0 {
		all += 4
	}
	if len(f.head) < all {
		return nil
	}
	switch wide {
	case 2:
		size = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 8:
		size = binary.BigEndian.Uint64(f.head[2:])
	}
	f.mask = [4]byte{}
	if f.head[1]&0x80 != 0 {
		copy(f.mask[:], f.head[all-4:])
	}
	f.last, f.left = f.head[0]&0xf == opClose, size
	f.head = f.head[:0]
	if size > maxPacket {
		return errPacket
	}
	return nil
}

// closeFrame closes a connection. Those of clients are masked, here with zeros.
func closeFrame(code int, ofClient bool) []byte {
	if ofClient {
		return []byte{0x80 | opClose, 0x82, 0, 0, 0, 0, byte(code >> 8), byte(code)}
	}
	return []byte{0x80 | opClose, 2, byte(code >> 8), byte(code)}
}

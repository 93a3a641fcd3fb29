package process

import (
	"bufio"
	"encoding/binary"
	"errors"
)

// The types of frames between us and a shim (function/DESIGN.md lists who sends which).
const (
	frameHello byte = iota + 1
	frameLoad
	frameReady
	frameInvoke
	frameResult
	frameError
	frameChunk
	frameLog
	frameCancel
	frameHook
	framePing
	framePong
	frameStop
	frameInitError
)

const (
	flagMore   byte = 1 // CHUNKs of the same id follow
	headerSize      = 12
	maxFrame        = 16 << 20
	chunkSize       = 1 << 20 // of bodies that are longer
	maxMeta         = 1<<16 - 1
)

// frame is one unit of the protocol. Its body is the receiver's to keep.
type frame struct {
	kind, flags byte
	id          uint32 // of the call; 0 when it is about none
	meta, body  []byte
}

var errFrame = errors.New("malformed frame")

// appendFrame adds one frame to b.
func appendFrame(b []byte, f frame) []byte {
	var h [headerSize]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(len(f.meta)+len(f.body)))
	h[4], h[5] = f.kind, f.flags
	binary.LittleEndian.PutUint16(h[6:], uint16(len(f.meta)))
	binary.LittleEndian.PutUint32(h[8:], f.id)
	b = append(b, h[:]...)
	b = append(b, f.meta...)
	return append(b, f.body...)
}

// appendCall adds a frame whose body may be of any length.
func appendCall(b []byte, f frame) []byte {
	rest := f.body
	for len(rest) > chunkSize {
		f.body, f.flags = rest[:chunkSize], flagMore
		b = appendFrame(b, f)
		rest = rest[chunkSize:]
		f.kind, f.meta = frameChunk, nil
	}
	f.body, f.flags = rest, 0
	return appendFrame(b, f)
}

// frames reads frames. It believes no length before the bytes have come, and after an error that
// passes (a deadline) it goes on where it was.
type frames struct {
	r    *bufio.Reader
	f    frame  // being read, when b is not nil
	b    []byte // its meta and body
	have int
	n, m int
}

// next reads one frame.
func (r *frames) next() (frame, error) {
	if r.b == nil {
		h, err := r.r.Peek(headerSize)
		if err != nil {
			return frame{}, err
		}
		r.n, r.m = int(binary.LittleEndian.Uint32(h)), int(binary.LittleEndian.Uint16(h[6:]))
		r.f = frame{kind: h[4], flags: h[5], id: binary.LittleEndian.Uint32(h[8:])}
		if r.n > maxFrame || r.m > r.n {
			return frame{}, errFrame
		}
		r.r.Discard(headerSize)
		const trust = 1 << 20
		r.b, r.have = make([]byte, min(r.n, trust)), 0
	}
	for r.have < r.n {
		if r.have == len(r.b) {
			r.b = append(r.b, make([]byte, min(r.n-r.have, len(r.b)))...)
		}
		k, err := r.r.Read(r.b[r.have:])
		if r.have += k; err != nil && r.have < r.n {
			return frame{}, err
		}
	}
	f := r.f
	f.meta, f.body = r.b[:r.m:r.m], r.b[r.m:]
	r.b = nil
	return f, nil
}

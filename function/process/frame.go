package process

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
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

// readFrame reads one frame. It believes no length before the bytes have come.
func readFrame(r *bufio.Reader) (frame, error) {
	h, err := r.Peek(headerSize)
	if err != nil {
		if len(h) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	n, m := int(binary.LittleEndian.Uint32(h)), int(binary.LittleEndian.Uint16(h[6:]))
	f := frame{kind: h[4], flags: h[5], id: binary.LittleEndian.Uint32(h[8:])}
	if n > maxFrame || m > n {
		return frame{}, errFrame
	}
	r.Discard(headerSize)
	const trust = 1 << 20
	b := make([]byte, min(n, trust))
	for have := 0; have < n; {
		if have == len(b) {
			b = append(b, make([]byte, min(n-have, len(b)))...)
		}
		k, err := io.ReadFull(r, b[have:])
		if have += k; err != nil {
			return frame{}, io.ErrUnexpectedEOF
		}
	}
	f.meta, f.body = b[:m:m], b[m:]
	return f, nil
}

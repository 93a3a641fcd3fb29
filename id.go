package sluice

import (
	"crypto/rand"
	"encoding/hex"
)

// NewRequestID makes the id of a request: a random UUID (version 4) in upper case, as the clouds that
// we speak write theirs.
func NewRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[:8], b[:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:], b[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	for i, c := range out {
		if c >= 'a' {
			out[i] = c - 32
		}
	}
	return string(out[:])
}

package apigateway

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/sluicehq/sluice"
)

// IDs spells connection ids as secConnectionIDs: 32 characters of base64 without + and /, since apps use
// them as object keys, in SQL and in JSON (section 1.2). Nobody without the key can make one, so that an id
// is proof that its owner's app has handed it out; and it leads to its connection without a directory.
//
// An id's 24 bytes are the 11 of the ConnID under a mask, and a tag of 13. The tag is a keyed digest of the
// ConnID and of the smallest counter for which the text is free of + and /; the mask is one of the tag.
type IDs struct{ block cipher.Block }

const (
	tagSize = 13
	idSize  = len(sluice.ConnID{}) + tagSize
)

// NewIDs makes IDs of a key of 32 bytes.
func NewIDs(key []byte) (*IDs, error) {
	b, err := aes.NewCipher(key)
	return &IDs{b}, err
}

// String is the secConnectionID of a connection, always the same.
func (x *IDs) String(id sluice.ConnID) string {
	var out [idSize]byte
	for n := uint32(0); ; n++ {
		var in, digest [aes.BlockSize]byte
		in[0] = 1
		binary.BigEndian.PutUint32(in[1:], n)
		copy(in[5:], id[:])
		x.block.Encrypt(digest[:], in[:])
		copy(out[len(id):], digest[:])
		copy(out[:], id[:])
		x.mask(&out)
		if s := base64.StdEncoding.EncodeToString(out[:]); !strings.ContainsAny(s, "+/") {
			return s // after three tries, mostly
		}
	}
}

// Parse finds the connection that a text names; false when we have not made it.
func (x *IDs) Parse(s string) (id sluice.ConnID, ok bool) {
	var b [idSize]byte
	if len(s) != base64.StdEncoding.EncodedLen(idSize) {
		return id, false
	}
	if n, err := base64.StdEncoding.Decode(b[:], []byte(s)); err != nil || n != idSize {
		return id, false
	}
	x.mask(&b)
	copy(id[:], b[:])
	return id, x.String(id) == s
}

// mask lays the mask over the first bytes of an id, or takes it away.
func (x *IDs) mask(b *[idSize]byte) {
	var in, mask [aes.BlockSize]byte
	in[0] = 2
	copy(in[aes.BlockSize-tagSize:], b[idSize-tagSize:])
	x.block.Encrypt(mask[:], in[:])
	for i := range idSize - tagSize {
		b[i] ^= mask[i]
	}
}

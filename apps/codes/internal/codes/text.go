package codes

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// alphabet is Crockford's base 32: no I, L, O and U.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	bodyLen  = 12                // characters of a short code after its prefix, the check character among them
	bodyBits = 5 * (bodyLen - 1) // what tells codes apart
	maxText  = 64                // bytes of any code
	rounds   = 6                 // of the permutation
	half     = bodyBits / 2      // bits of its left half
	leftMask = uint64(1)<<half - 1
	rightLen = bodyBits - half
	rightMsk = uint64(1)<<rightLen - 1
)

// double multiplies by x in the field of 32 elements, modulo x⁵+x²+1.
func double(v byte) byte {
	v <<= 1
	if v&32 != 0 {
		v ^= 0b100101
	}
	return v
}

// check is the check character's value: with it the characters, as a polynomial over the field of 32
// elements, have the root x. A wrong character, and two that changed places, are always seen.
func check(body string) byte {
	var sum byte
	for i := range len(body) {
		d := strings.IndexByte(alphabet, body[i])
		if d < 0 { // only in a prefix
			d = int(body[i] & 31)
		}
		sum = double(sum) ^ byte(d)
	}
	return double(sum)
}

// Short writes a number below 2⁵⁵ as a code for people: PREFIX-XXXX-XXXX-XXXX.
func Short(prefix string, n uint64) string {
	body := make([]byte, bodyLen)
	for i := bodyLen - 2; i >= 0; i-- {
		body[i] = alphabet[n&31]
		n >>= 5
	}
	body[bodyLen-1] = alphabet[check(prefix+string(body[:bodyLen-1]))]
	return group(prefix, string(body))
}

func group(prefix, body string) string {
	if prefix != "" {
		prefix += "-"
	}
	return prefix + body[:4] + "-" + body[4:8] + "-" + body[8:]
}

// ReadShort reads a short code as people type it: in any case, with or without dashes and spaces, O for 0,
// I and L for 1. shape says whether the text looks like one, ok whether its check character is right.
func ReadShort(s string) (code string, shape, ok bool) {
	var b strings.Builder
	for _, r := range strings.ToUpper(s) {
		switch {
		case r == '-' || r == ' ':
		case r == 'O':
			b.WriteByte('0')
		case r == 'I' || r == 'L':
			b.WriteByte('1')
		case r >= '0' && r <= '9' || r >= 'A' && r <= 'Z':
			b.WriteRune(r)
		default:
			return "", false, false
		}
	}
	all := b.String()
	cut := len(all) - bodyLen
	if cut < 0 || cut > maxPrefix || strings.Contains(all[cut:], "U") {
		return "", false, false
	}
	last := len(all) - 1
	return group(all[:cut], all[cut:]), true, alphabet[check(all[:last])] == all[last]
}

// maxPrefix is how long a prefix may be.
const maxPrefix = 8

// goodPrefix reports whether a prefix survives [ReadShort].
func goodPrefix(p string) bool {
	for _, r := range p {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') || strings.ContainsRune("ILO", r) {
			return false
		}
	}
	return len(p) <= maxPrefix
}

// goodText reports whether a code may have this text: letters, digits, dots, dashes and underscores.
func goodText(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("._-", r) {
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

// spellings are the texts under which what a person typed may be stored, the likeliest first; typo says
// that it looks like a short code and its check character is wrong.
func spellings(typed string) (texts []string, typo bool) {
	typed = strings.TrimSpace(typed)
	add := func(s string) {
		for _, t := range texts {
			if s == t {
				return
			}
		}
		texts = append(texts, s)
	}
	if goodText(typed) {
		add(typed)
	}
	if len(typed) == 36 && goodText(typed) {
		add(strings.ToLower(typed))
	}
	code, shape, ok := ReadShort(typed)
	if shape {
		add(code)
	}
	return texts, shape && !ok
}

// Maker makes the codes of one job: code number i is always the same and no two are alike.
type Maker struct {
	block  cipher.Block
	prefix string
	uuid   bool
}

// NewMaker makes codes from a secret: short ones with the prefix, or UUIDs.
func NewMaker(secret, prefix string, uuid bool) *Maker {
	key := sha256.Sum256([]byte(secret))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key's length is right
	}
	return &Maker{block: block, prefix: prefix, uuid: uuid}
}

// Code returns code number i.
func (m *Maker) Code(i int64) string {
	var in, out [aes.BlockSize]byte
	if m.uuid {
		binary.BigEndian.PutUint64(in[:], uint64(i))
		m.block.Encrypt(out[:], in[:])
		out[6], out[8] = out[6]&0x0f|0x40, out[8]&0x3f|0x80
		h := hex.EncodeToString(out[:])
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
	// A Feistel network turns the number into another one, each into a different one.
	left, right := uint64(i)>>rightLen&leftMask, uint64(i)&rightMsk
	mix := func(round byte, v uint64) uint64 {
		in[0] = round
		binary.BigEndian.PutUint64(in[8:], v)
		m.block.Encrypt(out[:], in[:])
		return binary.BigEndian.Uint64(out[:])
	}
	for round := byte(0); round < rounds; round += 2 {
		left ^= mix(round, right) & leftMask
		right ^= mix(round+1, left) & rightMsk
	}
	return Short(m.prefix, left<<rightLen|right)
}

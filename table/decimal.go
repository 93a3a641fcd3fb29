package table

import (
	"math"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
)

// A decimal is ±d₁.d₂…dₙ·10^exp with no zero at either end; zero has no digits. Up to 38 digits and
// exponents from -130 to 125 are what DynamoDB takes (and what one byte of exponent holds).
type decimal struct {
	neg    bool
	digits []byte // 0…9, not ASCII
	exp    int
}

const (
	maxDigits = 38
	minExp    = -130
	maxExp    = 125
)

func parseDecimal(s string) (decimal, error) {
	bad := func(why string) (decimal, error) {
		if len(s) > 64 {
			s = s[:64] + "…"
		}
		return decimal{}, sluice.Errorf(sluice.Invalid, "number %q %s", s, why)
	}
	rest := s
	var d decimal
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		d.neg, rest = rest[0] == '-', rest[1:]
	}
	shift := 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		n, err := strconv.Atoi(rest[i+1:])
		if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
			return bad("is not a number")
		}
		shift, rest = n, rest[:i]
	}
	whole, frac, _ := strings.Cut(rest, ".")
	if whole+frac == "" {
		return bad("is not a number")
	}
	digits := []byte(whole + frac)
	for i, c := range digits {
		if c < '0' || c > '9' {
			return bad("is not a number")
		}
		digits[i] = c - '0'
	}
	d.exp = len(whole) - 1 + shift
	for len(digits) > 0 && digits[0] == 0 {
		digits = digits[1:]
		d.exp--
	}
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
	}
	if len(digits) == 0 {
		return decimal{}, nil
	}
	d.digits = digits
	switch {
	case len(digits) > maxDigits:
		return bad("has more than 38 significant digits")
	case d.exp > maxExp || d.exp < minExp:
		return bad("is out of range")
	}
	return d, nil
}

// String is the canonical text: plain digits, no exponent, no needless zero.
func (d decimal) String() string {
	if len(d.digits) == 0 {
		return "0"
	}
	b := make([]byte, 0, 2+len(d.digits)+max(d.exp, -d.exp, 0))
	if d.neg {
		b = append(b, '-')
	}
	if d.exp < 0 {
		b = append(b, "0."...)
		for i := -1; i > d.exp; i-- {
			b = append(b, '0')
		}
	}
	for i, c := range d.digits {
		if i > 0 && i == d.exp+1 {
			b = append(b, '.')
		}
		b = append(b, '0'+c)
	}
	for i := len(d.digits); i <= d.exp; i++ {
		b = append(b, '0')
	}
	return string(b)
}

// append writes the body whose bytes order as the numbers do (DESIGN.md, keys).
func (d decimal) append(b []byte) []byte {
	if len(d.digits) == 0 {
		return append(b, 0x80)
	}
	var flip byte
	mark := byte(0xa0)
	if d.neg {
		flip, mark = 0xff, 0x60
	}
	b = append(b, mark, byte(d.exp-minExp)^flip)
	for i := 0; i < len(d.digits); i += 2 {
		pair := d.digits[i] * 10
		if i+1 < len(d.digits) {
			pair += d.digits[i+1]
		}
		b = append(b, (pair+1)^flip)
	}
	return append(b, flip)
}

// pack is a number as databases with base-100 digits have it: a byte of sign and exponent, the digits, and
// an end after the fewer digits of a negative one. bucket hashes it.
func (d decimal) pack() []byte {
	if len(d.digits) == 0 {
		return []byte{0x80}
	}
	digits, exp := d.digits, d.exp+1 // of 0.ddd
	if exp%2 != 0 {
		digits, exp = append([]byte{0}, digits...), exp+1
	}
	b := []byte{byte(exp/2 - 64)}
	if d.neg {
		b[0] = ^b[0]
	}
	for i := 0; i < len(digits); i += 2 {
		pair := digits[i] * 10
		if i+1 < len(digits) {
			pair += digits[i+1]
		}
		if d.neg {
			b = append(b, 101-pair)
		} else {
			b = append(b, pair+1)
		}
	}
	if d.neg && len(b) <= 20 {
		b = append(b, 102)
	}
	return b
}

// cutDecimal reads a body from the front of s.
func cutDecimal(s string) (d decimal, rest string, err error) {
	if s == "" {
		return d, "", errCorrupt
	}
	var flip byte
	switch s[0] {
	case 0x80:
		return d, s[1:], nil
	case 0xa0:
	case 0x60:
		d.neg, flip = true, 0xff
	default:
		return d, "", errCorrupt
	}
	if len(s) < 2 {
		return d, "", errCorrupt
	}
	d.exp = int(s[1]^flip) + minExp
	for i := 2; i < len(s) && len(d.digits) <= maxDigits; i++ {
		c := s[i] ^ flip
		if c > 100 {
			return d, "", errCorrupt
		}
		if c == 0 {
			n := len(d.digits)
			if n > 0 && d.digits[n-1] == 0 {
				d.digits = d.digits[:n-1] // padding of the last pair
				n--
			}
			if n == 0 || n > maxDigits || d.digits[0] == 0 || d.digits[n-1] == 0 {
				return d, "", errCorrupt
			}
			return d, s[i+1:], nil
		}
		d.digits = append(d.digits, (c-1)/10, (c-1)%10)
	}
	return d, "", errCorrupt
}

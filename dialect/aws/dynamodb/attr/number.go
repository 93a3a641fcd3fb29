package attr

import (
	"encoding/binary"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// What a number may have (aws.md 5.4).
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
	farExponent = 1 << 40 // more than any number has digits
)

// The texts of refused numbers.
const (
	notNumber = "The parameter cannot be converted to a numeric value"
	overflow  = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	underflow = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	precision = "Attempting to store more than 38 significant digits in a Number"
)

// ParseNumber returns the canonical text of a number: plain notation, no needless zero, no plus sign,
// no negative zero.
func ParseNumber(s string) (string, *Error) {
	if isCanonicalInt(s) {
		return s, nil
	}
	if s == "" {
		return "", Invalid(notNumber)
	}
	rest, neg := s, false
	if rest[0] == '-' || rest[0] == '+' {
		neg, rest = rest[0] == '-', rest[1:]
	}
	shift := 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		n, err := strconv.ParseInt(rest[i+1:], 10, 64)
		if err != nil {
			return "", Invalid(notNumber + ": " + s)
		}
		// Whatever is so far out of the range may be brought nearer, where it cannot wrap.
		shift, rest = int(max(min(n, farExponent), -farExponent)), rest[:i]
	}
	whole, frac, _ := strings.Cut(rest, ".")
	digits := whole + frac
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return "", Invalid(notNumber + ": " + s)
	}
	return canonical(neg, digits, len(whole)-1+shift)
}

// isCanonicalInt spares the usual numbers all work.
func isCanonicalInt(s string) bool {
	if len(s) == 0 || len(s) > 18 {
		return false
	}
	d := s
	if d[0] == '-' {
		d = d[1:]
	}
	if d == "" || d[0] == '0' && s != "0" {
		return false
	}
	for i := range len(d) {
		if d[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// canonical writes ±d.ddd·10^exp, whose digits may have zeros at either end.
func canonical(neg bool, digits string, exp int) (string, *Error) {
	n := len(digits)
	if digits = strings.TrimLeft(digits, "0"); digits != "" {
		exp -= n - len(digits)
	} else {
		exp -= n - 1 // AWS looks at the last zero: 0.0e126 is in its range, 0e126 is not
	}
	digits = strings.TrimRight(digits, "0")
	n = len(digits)
	switch {
	case exp > maxExponent:
		return "", Invalid(overflow)
	case exp < minExponent:
		return "", Invalid(underflow)
	case n > maxDigits:
		return "", Invalid(precision)
	case n == 0:
		return "0", nil
	}
	var b strings.Builder
	if neg {
		b.WriteByte('-')
	}
	switch {
	case exp < 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -exp-1))
		b.WriteString(digits)
	case n <= exp+1:
		b.WriteString(digits)
		b.WriteString(strings.Repeat("0", exp+1-n))
	default:
		b.WriteString(digits[:exp+1])
		b.WriteByte('.')
		b.WriteString(digits[exp+1:])
	}
	return b.String(), nil
}

// Add is the exact sum of two canonical numbers; an error when it does not fit DynamoDB's range.
func Add(a, b string) (string, *Error) {
	if len(a) < 18 && len(b) < 18 {
		x, errX := strconv.ParseInt(a, 10, 64)
		y, errY := strconv.ParseInt(b, 10, 64)
		if errX == nil && errY == nil {
			return strconv.FormatInt(x+y, 10), nil
		}
	}
	x, places := integer(a)
	y, more := integer(b)
	if places < more {
		x.Mul(x, tens(more-places))
		places = more
	} else {
		y.Mul(y, tens(places-more))
	}
	if x.Add(x, y).Sign() == 0 {
		return "0", nil
	}
	digits := x.String()
	digits, neg := strings.CutPrefix(digits, "-")
	if len(strings.TrimRight(digits, "0")) > maxDigits {
		return "", Invalid(overflow) // sic: what AWS says of a sum that would lose digits
	}
	return canonical(neg, digits, len(digits)-1-places)
}

// Subtract is the exact difference of two canonical numbers.
func Subtract(a, b string) (string, *Error) {
	if rest, neg := strings.CutPrefix(b, "-"); neg {
		return Add(a, rest)
	}
	if b == "0" {
		return a, nil
	}
	return Add(a, "-"+b)
}

// integer returns a canonical number without its point, and how many places that had been from the right.
func integer(s string) (n *big.Int, places int) {
	whole, frac, _ := strings.Cut(s, ".")
	n, ok := new(big.Int).SetString(whole+frac, 10)
	if !ok {
		n = new(big.Int) // not canonical: no value of this package
	}
	return n, len(frac)
}

func tens(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// shuffle puts a set of numbers in the order in which AWS answers with it. Sets have none, but recorded
// answers do, and clients' tests compare with them: it is that of a Java HashSet of BigDecimals.
func shuffle(list []table.Value) []table.Value {
	if len(list) < 2 {
		return list
	}
	buckets := uint32(16)
	for int(buckets)*3/4 < len(list) {
		buckets *= 2
	}
	bucket := func(v table.Value) int {
		h := javaHash(v.Str)
		return int((h ^ h>>16) & (buckets - 1))
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b table.Value) int { return bucket(a) - bucket(b) })
	return list
}

// javaHash is BigDecimal.hashCode.
func javaHash(s string) (h uint32) {
	n, places := integer(s)
	words := n.FillBytes(make([]byte, (n.BitLen()+31)/32*4))
	for ; len(words) > 0; words = words[4:] {
		h = 31*h + binary.BigEndian.Uint32(words)
	}
	if n.Sign() < 0 {
		h = -h
	}
	return 31*h + uint32(places)
}

// numberSize is one byte, one for each two digits of the whole part and of the fraction, and one for a
// minus sign. Zeros at the ends do not count; zero is one byte. AWS's guide says less.
func numberSize(s string) int {
	if s == "0" {
		return 1
	}
	size := 1
	s, neg := strings.CutPrefix(s, "-")
	if neg {
		size++
	}
	whole, frac, _ := strings.Cut(s, ".")
	switch {
	case frac == "":
		whole = strings.TrimRight(whole, "0")
	case whole == "0":
		whole, frac = "", strings.TrimLeft(frac, "0")
	}
	return size + (len(whole)+1)/2 + (len(frac)+1)/2
}

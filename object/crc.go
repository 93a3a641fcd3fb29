package object

import "hash/crc64"

var ecma = crc64.MakeTable(crc64.ECMA)

// combine returns the CRC-64 of two byte strings put together, from the CRC of each and the length
// of the second.
func combine(a, b uint64, n int64) uint64 { return CombineCRC(crc64.ECMA, a, b, n) }

// CombineCRC is the CRC of two byte strings put together, from the CRC of each and the length of the second;
// poly is the polynomial in the reversed form of hash/crc32 and hash/crc64. Running n zero bytes through a
// CRC is a linear map over GF(2); the map for one zero byte is squared again and again, and those of the set
// bits of n are applied to the first CRC.
func CombineCRC(poly, a, b uint64, n int64) uint64 {
	if n <= 0 {
		return a
	}
	var m [64]uint64 // column i: what one zero bit makes of bit i
	m[0] = poly
	for i := 1; i < 64; i++ {
		m[i] = 1 << (i - 1)
	}
	for range 3 { // one bit becomes eight
		m = square(m)
	}
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = times(&m, a)
		}
		m = square(m)
	}
	return a ^ b
}

func times(m *[64]uint64, v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func square(m [64]uint64) (s [64]uint64) {
	for i := range m {
		s[i] = times(&m, m[i])
	}
	return s
}

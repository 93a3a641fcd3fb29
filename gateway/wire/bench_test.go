package wire

import "testing"

// BenchmarkFragments is 1 MB in fragments of 64 bytes: its cost is to grow with the size, not with its square.
func BenchmarkFragments(b *testing.B) {
	frame := func(first byte) []byte { return append([]byte{first, 0x80 | 64, 0, 0, 0, 0}, make([]byte, 64)...) }
	in := frame(byte(Binary))
	for range 1<<14 - 2 {
		in = append(in, frame(0)...)
	}
	in = append(in, frame(0x80)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Feed(nil, append([]byte(nil), in...), Limits{}, &record{}); err != nil {
			b.Fatal(err)
		}
	}
}

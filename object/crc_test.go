package object

import (
	"crypto/rand"
	"hash/crc64"
	"testing"
)

func TestCRCsOfTwoPartsCombine(t *testing.T) {
	for _, n := range [][2]int{{0, 0}, {0, 5}, {5, 0}, {1, 1}, {3, 4096}, {70_000, 1}, {1000, 123_457}} {
		data := make([]byte, n[0]+n[1])
		rand.Read(data)
		a, b := data[:n[0]], data[n[0]:]
		got := combine(crc64.Checksum(a, ecma), crc64.Checksum(b, ecma), int64(len(b)))
		if want := crc64.Checksum(data, ecma); got != want {
			t.Errorf("%v bytes: %x, want %x", n, got, want)
		}
	}
}

func FuzzSegment(f *testing.F) {
	g := segment{Size: 3, Inline: []byte("abc")}
	f.Add(g.encode())
	f.Add((&segment{Size: 9, Body: "b"}).encode())
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, val []byte) {
		g, err := decodeSegment(segmentKey("0", 7), val)
		if err != nil {
			return
		}
		if g.n != 7 || g.Body == "" && g.Size != int64(len(g.Inline)) {
			t.Errorf("decoded %+v", g)
		}
	})
}

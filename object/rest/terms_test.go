package rest

import (
	"testing"
	"time"
)

func TestTimesAreWholeSecondsWithThreeNoughts(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 462e6, time.FixedZone("", 3600))
	if got := Stamp(at); got != "2024-05-06T06:08:09.000Z" {
		t.Errorf("got %s", got)
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=7-", "bytes=5-2", "bytes=99999999999999999999-", "bytes= 1-2,4-5"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		s, kind := parseRange(header, max(size, 0))
		if (kind == inside || kind == overlapping) && (s.from < 0 || s.to < s.from || s.to > max(size, 0)) {
			t.Errorf("%q of %d is %v", header, size, s)
		}
	})
}

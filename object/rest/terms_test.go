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

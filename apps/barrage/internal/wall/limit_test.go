package wall_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func TestRateLimitHoldsPerDeviceAndSaysHowLong(t *testing.T) {
	h := newHall(t)
	h.set(t, wall.SettingsChange{Rate: to(int64(30))})
	for range 10 {
		h.send(t, "x", "")
	}
	_, err := h.Send(t.Context(), wall.Post{Message: "x", FromID: "p1"})
	e, ok := errors.AsType[*wall.Error](err)
	if !ok || e.Kind != wall.Slow || e.After != 2*time.Second {
		t.Fatalf("the eleventh: %v", err)
	}
	if _, err := h.Send(t.Context(), wall.Post{Message: "x", FromID: "p2"}); err != nil {
		t.Fatalf("another device: %v", err)
	}
	h.clock.pass(e.After)
	h.send(t, "x", "")
}

func TestRetryOfAnAcceptedPostIsNotLimited(t *testing.T) {
	h := newHall(t)
	h.set(t, wall.SettingsChange{Rate: to(int64(1))})
	for i := range 10 {
		h.send(t, "x", fmt.Sprint(i))
	}
	h.send(t, "x", "3")
}

func TestRetriesTakeNothingFromTheLimit(t *testing.T) {
	h := newHall(t)
	h.set(t, wall.SettingsChange{Rate: to(int64(1))})
	for range 20 {
		h.send(t, "x", "same")
	}
	for i := range 9 {
		h.send(t, "x", fmt.Sprint(i))
	}
}

func TestLimiterNeverLetsMoreThroughThanItsRate(t *testing.T) {
	c := &clock{t: time.UnixMilli(0)}
	l := wall.NewLimiter(c.now)
	passed := 0
	for range 6000 { // ten minutes, ten tries a second
		if l.Take("x", 60, 5) == 0 {
			passed++
		}
		c.pass(100 * time.Millisecond)
	}
	if passed < 600 || passed > 605 {
		t.Fatalf("%d passed in ten minutes at 60 a minute", passed)
	}
}

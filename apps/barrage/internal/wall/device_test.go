package wall_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func TestDeviceThatTheGatewayForgotIsForgotten(t *testing.T) {
	h := newHall(t)
	h.pages.gone = func(d string) bool { return d == "s2" }
	h.register(t, wall.Device{ID: "s2", Type: wall.TypeScreen})
	h.send(t, "x", "")
	if s, _ := h.State(t.Context(), "s2", 0); s.Registered || s.Screens != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestScreenThatComesLaterFindsWhatItMissed(t *testing.T) {
	h := newHall(t)
	h.send(t, "one", "")
	h.clock.pass(time.Second)
	if err := h.Control(t.Context(), "clear"); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(time.Second)
	h.send(t, "two", "")
	h.send(t, "three", "")
	s, err := h.State(t.Context(), "s9", 100)
	if err != nil || len(s.Recent) != 2 || s.Recent[0].Message != "two" || s.Recent[1].Message != "three" {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.Messages != 3 || s.Registered {
		t.Fatalf("%+v", s)
	}
}

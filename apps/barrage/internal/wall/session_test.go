package wall_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
	"github.com/sluicehq/sluice/apps/barrage/internal/walltest"
)

func TestSessions(t *testing.T) {
	h := newHall(t)
	if _, _, err := h.Login(t.Context(), "wrong"); kind(err) != wall.Unauthorized {
		t.Fatalf("wrong password: %v", err)
	}
	token, expires, err := h.Login(t.Context(), "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", ".", "a.b.c", token + "x", strings.Replace(token, ".", "9.", 1)} {
		if err := h.CheckSession(t.Context(), bad); kind(err) != wall.Unauthorized {
			t.Errorf("token %q: %v", bad, err)
		}
	}
	if err := h.CheckSession(t.Context(), token); err != nil {
		t.Error(err)
	}
	other := wall.New(wall.Options{Store: h.store, Now: h.clock.now, AdminPassword: "open sesame"})
	if err := other.CheckSession(t.Context(), token); err != nil {
		t.Errorf("another instance: %v", err)
	}
	changed := wall.New(wall.Options{Store: h.store, Now: h.clock.now, AdminPassword: "new password"})
	if err := changed.CheckSession(t.Context(), token); kind(err) != wall.Unauthorized {
		t.Errorf("after the password changed: %v", err)
	}
	h.clock.pass(expires.Sub(h.clock.now()))
	if err := h.CheckSession(t.Context(), token); kind(err) != wall.Unauthorized {
		t.Errorf("after its end: %v", err)
	}
}

func TestGuessingPasswordsIsLimited(t *testing.T) {
	h := newHall(t)
	for range 10 {
		h.Login(t.Context(), "guess")
	}
	if _, _, err := h.Login(t.Context(), "open sesame"); kind(err) != wall.Slow {
		t.Fatalf("the eleventh: %v", err)
	}
}

func TestGeneratedPasswordIsAnnouncedOnceAndWorks(t *testing.T) {
	store := walltest.New()
	var said []string
	open := func(announce func(string)) *wall.Wall {
		w := wall.New(wall.Options{Store: store, Announce: announce})
		if err := w.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w
	}
	register := open(nil) // does not make one
	if err := register.CheckSession(t.Context(), "1.x.y"); kind(err) != wall.Unauthorized {
		t.Fatal(err)
	}
	control := open(func(p string) { said = append(said, p) })
	open(func(p string) { said = append(said, p) })
	if len(said) != 1 || len(said[0]) != 12 {
		t.Fatalf("announced %q", said)
	}
	token, _, err := control.Login(t.Context(), said[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := register.CheckSession(t.Context(), token); err != nil {
		t.Fatalf("a function that was there before the password: %v", err)
	}
}

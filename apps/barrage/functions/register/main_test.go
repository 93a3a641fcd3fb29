package main

import (
	"errors"
	"testing"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
	"github.com/sluicehq/sluice/apps/barrage/internal/walltest"
)

func TestOnlyASessionRegistersAModerator(t *testing.T) {
	w := wall.New(wall.Options{Store: walltest.New(), AdminPassword: "pass"})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, _, err := w.Login(t.Context(), "pass")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		query map[string]string
		kind  wall.Kind // of the refusal; empty for none
	}{
		{"screen", map[string]string{"docId": "devs", "type": "screen", "userId": "d1"}, ""},
		{"player", map[string]string{"docId": "devs", "type": "player", "userId": "p1"}, ""},
		{"moderator with a session", map[string]string{"docId": "devs", "type": "admin", "token": token}, ""},
		{"moderator without", map[string]string{"docId": "devs", "type": "admin"}, wall.Unauthorized},
		{"no type", map[string]string{"docId": "devs"}, wall.Invalid},
		{"another room", map[string]string{"docId": "other", "type": "screen"}, wall.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := register(t.Context(), w, wall.Event{Headers: map[string]string{"x-ca-deviceid": "d1"}, QueryParameters: c.query})
			var kind wall.Kind
			if e, ok := errors.AsType[*wall.Error](err); ok {
				kind = e.Kind
			}
			if kind != c.kind {
				t.Errorf("%v", err)
			}
		})
	}
}

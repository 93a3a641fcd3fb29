package wall_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
	"github.com/sluicehq/sluice/apps/barrage/internal/walltest"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// pages is a notifier that keeps what every device was told.
type pages struct {
	gone func(device string) bool
	fail func(device string) bool
	hold chan struct{} // when not nil, a push waits for its end

	mu   sync.Mutex
	told map[string][]wall.Frame
}

func (p *pages) Notify(ctx context.Context, devices []string, body []byte) (gone, failed []string, err error) {
	var frames []wall.Frame
	if body[0] != '[' {
		body = []byte("[" + string(body) + "]")
	}
	if err := json.Unmarshal(body, &frames); err != nil {
		return nil, nil, err
	}
	if p.hold != nil {
		<-p.hold
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range devices {
		switch {
		case p.gone != nil && p.gone(d):
			gone = append(gone, d)
		case p.fail != nil && p.fail(d):
			failed, err = append(failed, d), errors.New("unreachable")
		default:
			p.told[d] = append(p.told[d], frames...)
		}
	}
	return gone, failed, err
}

// of returns the frames of one type that a device was told.
func (p *pages) of(device, kind string) (out []wall.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.told[device] {
		if f.Type == kind {
			out = append(out, f)
		}
	}
	return out
}

type hall struct {
	*wall.Wall
	store *walltest.Memory
	pages *pages
	clock *clock
}

// newHall is a wall with a screen s1 and a moderator a1, without a rate limit.
func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{store: walltest.New(), pages: &pages{told: map[string][]wall.Frame{}}, clock: &clock{t: time.UnixMilli(1_700_000_000_000)}}
	h.Wall = wall.New(wall.Options{Store: h.store, Notify: h.pages, Now: h.clock.now, AdminPassword: "open sesame"})
	t.Cleanup(h.Close)
	if err := h.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.register(t, wall.Device{ID: "s1", Type: wall.TypeScreen})
	h.register(t, wall.Device{ID: "a1", Type: wall.TypeAdmin})
	return h
}

func (h *hall) register(t *testing.T, d wall.Device) {
	t.Helper()
	if err := h.Register(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func (h *hall) set(t *testing.T, c wall.SettingsChange) {
	t.Helper()
	if _, err := h.ChangeSettings(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (h *hall) send(t *testing.T, text, cid string) wall.Receipt {
	t.Helper()
	r, err := h.Send(t.Context(), wall.Post{Message: text, FromID: "p1", FromName: "Ann", CID: cid})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// texts are the messages that the screen was shown.
func (h *hall) texts() (out []string) {
	for _, f := range h.pages.of("s1", "message") {
		out = append(out, f.Message)
	}
	return out
}

func kind(err error) wall.Kind {
	if e, ok := errors.AsType[*wall.Error](err); ok {
		return e.Kind
	}
	return ""
}

func to[T any](v T) *T { return &v }

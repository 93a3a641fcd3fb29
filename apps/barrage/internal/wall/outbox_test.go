package wall_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func TestThousandMessagesOfOnePlayerArriveInOrder(t *testing.T) {
	h := newHall(t)
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprint("m", i))
		h.send(t, want[i], fmt.Sprint("c", i))
	}
	if got := h.texts(); !slices.Equal(got, want) {
		t.Fatalf("the screen was shown %d messages, not the thousand in order", len(got))
	}
}

func TestCrowdIsBatchedAndNothingIsLost(t *testing.T) {
	h := newHall(t)
	var wg sync.WaitGroup
	for p := range 20 {
		wg.Go(func() {
			for i := range 25 {
				if _, err := h.Send(t.Context(), wall.Post{Message: fmt.Sprintf("%d/%02d", p, i), FromID: fmt.Sprint("p", p)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last := map[string]string{}
	texts := h.texts()
	for _, s := range texts {
		player, n, _ := strings.Cut(s, "/")
		if n <= last[player] {
			t.Fatalf("player %s: %s after %s", player, n, last[player])
		}
		last[player] = n
	}
	if len(texts) != 500 {
		t.Fatalf("%d of 500 messages arrived", len(texts))
	}
}

func TestOfManyRequestsTheLatestStaysUntilItsPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		h.pages.hold = make(chan struct{})
		var answered []string
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			wg.Go(func() {
				h.send(t, name, "")
				answered = append(answered, name)
			})
			synctest.Wait()
		}
		if !slices.Equal(answered, []string{"a", "b"}) {
			t.Errorf("%q were answered while a later one waited", answered)
		}
		close(h.pages.hold)
		wg.Wait()
		if got := h.texts(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("when all were answered the screen had been shown %q", got)
		}
	})
}

func TestUnreachableScreenIsTriedAgainInOrder(t *testing.T) {
	h := newHall(t)
	failures := 2
	h.pages.fail = func(d string) bool {
		if d == "s1" && failures > 0 {
			failures--
			return true
		}
		return false
	}
	h.register(t, wall.Device{ID: "s2", Type: wall.TypeScreen})
	h.send(t, "first", "")
	h.send(t, "second", "")
	h.Close()
	if got := h.texts(); !slices.Equal(got, []string{"first", "second"}) {
		t.Fatalf("shown %q", got)
	}
	if got := h.pages.of("s2", "message"); len(got) != 2 {
		t.Fatalf("the other screen was shown %d messages", len(got))
	}
}

func TestHeartsAreMergedAndCounted(t *testing.T) {
	h := newHall(t)
	r := h.send(t, "love me", "")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := h.Like(t.Context(), fmt.Sprint("p", i), 2); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h.Close()
	sum, frames := int64(0), h.pages.of("s1", "hearts")
	for _, f := range frames {
		sum += f.N
	}
	if sum != 100 || len(frames) > 25 {
		t.Fatalf("%d hearts in %d frames", sum, len(frames))
	}
	if s, _ := h.State(t.Context(), "", 0); s.Likes != 100 {
		t.Fatalf("%+v", s)
	}
	if m, _ := h.Message(t.Context(), r.ID); m.Likes != 100 {
		t.Fatalf("%+v", m)
	}
}

package wall_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func TestWordFilterMasksOrHolds(t *testing.T) {
	h := newHall(t)
	h.set(t, wall.SettingsChange{Status: to(wall.ModeWords), FilterWords: to("bad")})
	if r := h.send(t, "so B A D", ""); r.CheckStatus != wall.StatusPassed {
		t.Fatalf("masked message has state %d", r.CheckStatus)
	}
	if got := h.texts(); !slices.Equal(got, []string{"so * * *"}) {
		t.Fatalf("shown %q", got)
	}
	h.set(t, wall.SettingsChange{Action: to(wall.ActionHold)})
	if r := h.send(t, "so bad", ""); r.CheckStatus != wall.StatusWaiting {
		t.Fatalf("held message has state %d", r.CheckStatus)
	}
	if w := h.pages.of("a1", "waiting"); len(w) != 1 || w[0].Message != "so bad" {
		t.Fatalf("moderators were asked %+v", w)
	}
	h.send(t, "so good", "")
	if got := h.texts(); len(got) != 2 || got[1] != "so good" {
		t.Fatalf("shown %q", got)
	}
	if m, _ := h.Find(t.Context(), wall.Search{Status: 1, Query: "B A D"}); len(m) != 1 || m[0].Original != "so B A D" {
		t.Fatalf("what was written is not kept: %+v", m)
	}
}

func TestTwoModeratorsPassAMessageOnce(t *testing.T) {
	h := newHall(t)
	h.register(t, wall.Device{ID: "phone", Type: wall.TypePlayer, User: "p1"})
	h.set(t, wall.SettingsChange{Status: to(wall.ModeApprove)})
	r := h.send(t, "may I?", "c1")
	var passed, decided int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := h.Decide(t.Context(), r.ID, wall.StatusPassed)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				passed++
			case kind(err) == wall.Decided:
				decided++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h.Close()
	if passed != 1 || decided != 7 || len(h.texts()) != 1 {
		t.Fatalf("passed %d times, refused %d times, shown %d times", passed, decided, len(h.texts()))
	}
	if f := h.pages.of("phone", "state"); len(f) != 1 || f[0].CID != "c1" || *f[0].CheckStatus != wall.StatusPassed {
		t.Fatalf("the player was told %+v", f)
	}
	if f := h.pages.of("a1", "decided"); len(f) != 1 {
		t.Fatalf("moderators were told %+v", f)
	}
}

func TestModerationTransitions(t *testing.T) {
	h := newHall(t)
	h.set(t, wall.SettingsChange{Status: to(wall.ModeApprove)})
	r := h.send(t, "x", "c1")
	if _, err := h.Decide(t.Context(), r.ID, 0); kind(err) != wall.Invalid {
		t.Errorf("back to waiting: %v", err)
	}
	if _, err := h.Decide(t.Context(), r.ID+1, wall.StatusPassed); kind(err) != wall.NotFound {
		t.Errorf("no such message: %v", err)
	}
	if _, err := h.Decide(t.Context(), r.ID, wall.StatusRejected); err != nil {
		t.Error(err)
	}
	if _, err := h.Decide(t.Context(), r.ID, wall.StatusPassed); kind(err) != wall.Decided {
		t.Errorf("passing a rejected one: %v", err)
	}
	if got := h.texts(); len(got) != 0 {
		t.Errorf("shown %q", got)
	}
	got, err := h.Receipts(t.Context(), "p1", []string{"c1", "unknown"})
	if err != nil || len(got) != 1 || got[0].CheckStatus != wall.StatusRejected {
		t.Errorf("receipts %+v, %v", got, err)
	}
}

func TestBulkDecisionKeepsOrderAndSkipsWhatOthersDecided(t *testing.T) {
	h := newHall(t)
	h.set(t, wall.SettingsChange{Status: to(wall.ModeApprove)})
	var ids []int64
	for i := range 10 {
		ids = append(ids, h.send(t, fmt.Sprint(i), "").ID)
	}
	if _, err := h.Decide(t.Context(), ids[3], wall.StatusRejected); err != nil {
		t.Fatal(err)
	}
	changed, decided, err := h.DecideMany(t.Context(), append(ids, 5), wall.StatusPassed)
	if err != nil || len(changed) != 9 || !slices.Equal(decided, []int64{ids[3], 5}) {
		t.Fatalf("changed %v, decided %v, %v", changed, decided, err)
	}
	h.Close()
	if got := strings.Join(h.texts(), ""); got != "012456789" {
		t.Fatalf("shown %q", got)
	}
}

func TestErasedMessageLeavesTheScreenAndHistory(t *testing.T) {
	h := newHall(t)
	r := h.send(t, "oops", "c1")
	if err := h.Erase(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if f := h.pages.of("s1", "erase"); len(f) != 1 || !slices.Equal(f[0].IDs, []int64{r.ID}) {
		t.Fatalf("screen was told %+v", f)
	}
	if s, _ := h.State(t.Context(), "s1", 50); len(s.Recent) != 0 {
		t.Fatalf("still there: %+v", s.Recent)
	}
	if again := h.send(t, "oops", "c1"); again.ID != r.ID || again.CheckStatus != wall.StatusRejected {
		t.Fatalf("a retry of an erased message: %+v", again)
	}
}

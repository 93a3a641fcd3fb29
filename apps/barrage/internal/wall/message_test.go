package wall_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
	"github.com/sluicehq/sluice/apps/barrage/internal/walltest"
)

func TestOpenWallShowsAMessageAtOnce(t *testing.T) {
	h := newHall(t)
	r, err := h.Send(t.Context(), wall.Post{Message: " hi\nthere ", FromID: "p1", FromName: "Ann", Color: "#FF0000", FontSize: "40px"})
	if err != nil || r.CheckStatus != wall.StatusPassed || r.ID == 0 {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	shown := h.pages.of("s1", "message")
	if len(shown) != 1 || shown[0].Message != "hi there" || shown[0].From != "Ann" || shown[0].Color != "#ff0000" || shown[0].FontSize != "40px" || shown[0].ID != r.ID {
		t.Fatalf("screen was shown %+v", shown)
	}
	if w := h.pages.of("a1", "waiting"); len(w) != 0 {
		t.Fatalf("moderators were asked: %+v", w)
	}
}

func TestRetriedPostIsStoredOnce(t *testing.T) {
	h := newHall(t)
	a, b := h.send(t, "once", "c1"), h.send(t, "once", "c1")
	if a != b {
		t.Errorf("first %+v, again %+v", a, b)
	}
	if got := h.texts(); len(got) != 1 {
		t.Errorf("shown %q", got)
	}
	if c := h.send(t, "once", "c2"); c.ID == a.ID {
		t.Error("another cid is another message")
	}
}

func TestConcurrentRetriesStoreOnce(t *testing.T) {
	h := newHall(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := h.Send(t.Context(), wall.Post{Message: "x", FromID: "p1", CID: "c1"})
			if err != nil && kind(err) != wall.Busy {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := h.texts(); len(got) != 1 {
		t.Fatalf("shown %q", got)
	}
}

func TestPostThatDiedBetweenItsWritesIsTakenOverOnce(t *testing.T) {
	for _, died := range []struct {
		name, call, table string
		late              bool // the write was done before the death
	}{
		{"before the message", "put", "barrage", false},
		{"after the message", "put", "barrage", true},
		{"before the receipt", "update", "receipt", false},
	} {
		t.Run(died.name, func(t *testing.T) {
			h := newHall(t)
			die := func(call, table string) error {
				if call == died.call && table == died.table {
					return errors.New("killed")
				}
				return nil
			}
			if died.late {
				h.store.After = die
			} else {
				h.store.Before = die
			}
			post := wall.Post{Message: "survivor", FromID: "p1", CID: "c1"}
			if _, err := h.Send(t.Context(), post); err == nil {
				t.Fatal("the first try did not die")
			}
			h.store.Before, h.store.After = nil, nil
			if _, err := h.Send(t.Context(), post); kind(err) != wall.Busy {
				t.Fatalf("while the first try may still run: %v", err)
			}
			h.clock.pass(11 * time.Second)
			r, err := h.Send(t.Context(), post)
			if err != nil {
				t.Fatal(err)
			}
			again, err := h.Send(t.Context(), post)
			if err != nil || again != r {
				t.Fatalf("%+v, then %+v, %v", r, again, err)
			}
			if got := h.texts(); !slices.Equal(got, []string{"survivor"}) {
				t.Fatalf("shown %q", got)
			}
			if all, _ := h.Find(t.Context(), wall.Search{Status: -1}); len(all) != 1 {
				t.Fatalf("stored %+v", all)
			}
		})
	}
}

func TestUnfitPostsAreRefused(t *testing.T) {
	h := newHall(t)
	family := "👨‍👩‍👧‍👦"
	for _, c := range []struct {
		name string
		post wall.Post
		ok   bool
	}{
		{"empty", wall.Post{FromID: "p", Message: " \n"}, false},
		{"invisible", wall.Post{FromID: "p", Message: "\u200b\u200d"}, false},
		{"120 letters", wall.Post{FromID: "p", Message: strings.Repeat("字", 120)}, true},
		{"121 letters", wall.Post{FromID: "p", Message: strings.Repeat("字", 121)}, false},
		{"120 families", wall.Post{FromID: "p", Message: strings.Repeat(family, 120)}, true},
		{"121 families", wall.Post{FromID: "p", Message: strings.Repeat(family, 121)}, false},
		{"60 flags", wall.Post{FromID: "p", Message: strings.Repeat("🇨🇳", 120)}, true},
		{"no device", wall.Post{Message: "x"}, false},
		{"a device that ends the list", wall.Post{FromID: "a,b", Message: "x"}, false},
		{"a device with a line end", wall.Post{FromID: "a\r\nx", Message: "x"}, false},
		{"long name", wall.Post{FromID: "p", FromName: strings.Repeat("n", 25), Message: "x"}, false},
		{"bad cid", wall.Post{FromID: "p", CID: "a b", Message: "x"}, false},
		{"not UTF-8", wall.Post{FromID: "p", Message: "\xff\xfe"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.Send(t.Context(), c.post)
			if c.ok && err != nil || !c.ok && kind(err) != wall.Invalid {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestVandalismIsCleaned(t *testing.T) {
	h := newHall(t)
	h.send(t, "a\u202eb"+strings.Repeat("\u0301", 50)+"\x07", "")
	if got := h.texts()[0]; got != "ab"+strings.Repeat("\u0301", 4) {
		t.Fatalf("shown %q", got)
	}
	_, err := h.Send(t.Context(), wall.Post{Message: "x", FromID: "p1", Color: "url(evil)", FontSize: "9000px"})
	if f := h.pages.of("s1", "message")[1]; err != nil || f.Color != "#ffffff" || f.FontSize != "40px" {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestSearchPagesThroughHistory(t *testing.T) {
	h := newHall(t)
	for i := range 30 {
		h.send(t, fmt.Sprintf("Hello %d", i), "")
	}
	var got []string
	for before := int64(0); ; {
		page, err := h.Find(t.Context(), wall.Search{Status: -1, Query: "hello", Before: before, Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			got = append(got, m.Message)
		}
		before = page[len(page)-1].ID
	}
	if len(got) != 30 || got[0] != "Hello 29" || got[29] != "Hello 0" {
		t.Fatalf("%q", got)
	}
}

func FuzzSend(f *testing.F) {
	f.Add("hello 👋", "Ann", "#fff", "28px")
	f.Add("\u202e\u0301\xff", "\u200d", "red", "-1")
	f.Fuzz(func(t *testing.T, message, name, color, size string) {
		w := wall.New(wall.Options{Store: walltest.New()})
		if err := w.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := w.Send(t.Context(), wall.Post{Message: message, FromName: name, Color: color, FontSize: size, FromID: "p"})
		if err != nil && kind(err) != wall.Invalid {
			t.Fatal(err)
		}
		s, err := w.State(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Recent {
			if m.Message == "" || strings.ContainsAny(m.Message, "\n\r\u202e") || len([]rune(m.Message)) > 1000 {
				t.Fatalf("%q is on the wall", m.Message)
			}
		}
	})
}

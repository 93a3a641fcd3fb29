package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/apps/chat/internal/chat"
	"github.com/sluicehq/sluice/apps/chat/internal/chattest"
)

// house is a chat on a table and lines in memory.
type house struct {
	*chat.Chat
	t     *testing.T
	store *chattest.Store
	lines *chattest.Lines
}

func newHouse(t *testing.T, o chat.Options) *house {
	h := &house{t: t, store: &chattest.Store{}, lines: &chattest.Lines{}}
	o.Store, o.Push, o.Log = h.store, h.lines, slog.New(slog.NewTextHandler(t.Output(), nil))
	h.Chat = chat.New(o)
	return h
}

// comes connects and joins a room; what it is told so far is dropped.
func (h *house) comes(conn, nick, room string) {
	h.t.Helper()
	if err := h.Connect(h.t.Context(), conn, map[string]string{"nick": nick, "session": "browser-" + conn + ".tab"}); err != nil {
		h.t.Fatal(err)
	}
	if f := h.asks(conn, "join", map[string]any{"room": room}); f.Type != "joined" {
		h.t.Fatalf("%s joins: %+v", nick, f)
	}
}

// asks sends a request and returns the answer.
func (h *house) asks(conn, action string, fields map[string]any) chattest.Frame {
	h.t.Helper()
	if fields == nil {
		fields = map[string]any{}
	}
	if fields["id"] == nil {
		fields["id"] = "request"
	}
	body, err := json.Marshal(fields)
	if err != nil {
		h.t.Fatal(err)
	}
	h.lines.Take(conn)
	if err := h.Message(h.t.Context(), conn, action, body); err != nil {
		h.t.Fatal(err)
	}
	for _, f := range h.lines.Take(conn) {
		if f.ID == fields["id"] && f.Type != "log" {
			return f
		}
	}
	return chattest.Frame{}
}

// told is what a connection's log pushes said since the last look, an entry a line.
func (h *house) told(conn string) string {
	var lines []string
	for _, f := range h.lines.Take(conn) {
		for _, e := range f.Entries {
			if f.Type == "log" {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s%s", e.Kind, e.Nick, e.Text, e.To)))
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestPeopleHearEachOther(t *testing.T) {
	h := newHouse(t, chat.Options{})
	h.comes("1", "Ann", "Lobby")
	h.comes("2", "Bob", " #lobby ")
	if got, want := h.told("1"), "join Bob"; got != want {
		t.Errorf("Ann was told %q, want %q", got, want)
	}
	if f := h.asks("2", "say", map[string]any{"room": "lobby", "id": "m1", "text": " hello\x00 "}); f.Type != "ack" || f.Seq != 3 {
		t.Errorf("%+v", f)
	}
	if got, want := h.told("1"), "say Bob hello"; got != want {
		t.Errorf("Ann was told %q, want %q", got, want)
	}
	h.asks("2", "typing", map[string]any{"room": "lobby"})
	if got := h.lines.Take("1"); len(got) != 1 || got[0].Type != "typing" || got[0].Nick != "Bob" {
		t.Errorf("typing: %+v", got)
	}
	if f := h.asks("1", "who", map[string]any{"room": "lobby"}); !slices.Equal(f.People, []string{"Ann", "Bob"}) {
		t.Errorf("who: %v", f.People)
	}
	if f := h.asks("2", "leave", map[string]any{"room": "lobby"}); f.Type != "left" {
		t.Errorf("%+v", f)
	}
	if got, want := h.told("1"), "leave Bob"; got != want {
		t.Errorf("Ann was told %q, want %q", got, want)
	}
	if f := h.asks("2", "say", map[string]any{"room": "lobby", "id": "m2", "text": "am I there?"}); f.Code != "notin" {
		t.Errorf("%+v", f)
	}
	if err := h.Disconnect(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if keys := h.store.Keys("conn#1"); keys != nil {
		t.Errorf("left behind: %v", keys)
	}
}

func TestNamesAreDifferent(t *testing.T) {
	h := newHouse(t, chat.Options{})
	h.comes("1", "Ann", "lobby")
	h.comes("2", "ANN", "lobby")
	h.comes("3", "ann", "lobby")
	h.comes("4", "Bob", "lobby")
	want := []string{"Ann", "ANN 2", "ann 3", "Bob"}
	if f := h.asks("1", "who", map[string]any{"room": "lobby"}); !slices.Equal(f.People, want) {
		t.Errorf("who: %q, want %q", f.People, want)
	}
	h.told("1")
	if f := h.asks("4", "rename", map[string]any{"nick": "Ann"}); f.Nicks["lobby"] != "Ann 4" {
		t.Errorf("%+v", f)
	}
	if f := h.asks("4", "rename", map[string]any{"nick": "ANN 4"}); f.Nicks["lobby"] != "ANN 4" {
		t.Errorf("%+v", f)
	}
	if got, want := h.told("1"), "rename Bob Ann 4\nrename Ann 4 ANN 4"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if f := h.asks("4", "say", map[string]any{"room": "lobby", "id": "m", "text": "me"}); f.Type != "ack" || h.told("1") != "say ANN 4 me" {
		t.Errorf("%+v", f)
	}
}

func TestSameMessageIsStoredOnce(t *testing.T) {
	h := newHouse(t, chat.Options{})
	h.comes("1", "Ann", "lobby")
	first := h.asks("1", "say", map[string]any{"room": "lobby", "id": "m", "text": "once"})
	again := h.asks("1", "say", map[string]any{"room": "lobby", "id": "m", "text": "once"})
	if again.Type != "ack" || again.Seq != first.Seq || again.At != first.At {
		t.Errorf("again: %+v, first: %+v", again, first)
	}
	h.asks("1", "say", map[string]any{"room": "lobby", "id": "n", "text": "twice"})
	f := h.asks("1", "history", map[string]any{"room": "lobby", "before": 100})
	if len(f.Entries) != 2 || f.Entries[0].Text != "once" || f.Entries[1].Text != "twice" || f.More {
		t.Errorf("%+v", f)
	}
}

func TestWhoComesBackTakesItsPlaceAndWhatItMissed(t *testing.T) {
	h := newHouse(t, chat.Options{})
	h.comes("1", "Ann", "lobby")
	h.comes("2", "Bob", "lobby")
	h.asks("1", "say", map[string]any{"room": "lobby", "id": "a", "text": "heard"})
	h.lines.Cut("2") // and nobody knows yet
	if err := h.Connect(t.Context(), "3", map[string]string{"nick": "Bob", "session": "browser-2.tab"}); err != nil {
		t.Fatal(err)
	}
	h.told("1")
	f := h.asks("3", "join", map[string]any{"room": "lobby", "after": 2})
	if f.Nick != "Bob" || len(f.Entries) != 1 || f.Entries[0].Text != "heard" || f.Seq != 3 {
		t.Errorf("%+v", f)
	}
	if err := h.Disconnect(t.Context(), "2"); err != nil { // late
		t.Fatal(err)
	}
	if got := h.told("1"); got != "" {
		t.Errorf("the others were told %q", got)
	}
	h.asks("1", "say", map[string]any{"room": "lobby", "id": "b", "text": "welcome back"})
	if got, want := h.told("3"), "say Ann welcome back"; got != want {
		t.Errorf("Bob was told %q, want %q", got, want)
	}
}

func TestThoseWhoAreGoneAreCleanedUpAtOnce(t *testing.T) {
	h := newHouse(t, chat.Options{})
	h.comes("1", "Ann", "lobby")
	h.comes("2", "Bob", "lobby")
	h.asks("2", "join", map[string]any{"room": "other"})
	h.comes("3", "Cy", "other")
	h.lines.Cut("2")
	h.told("1")
	h.told("3")
	if err := h.Message(t.Context(), "1", "typing", []byte(`{"room":"lobby"}`)); err != nil {
		t.Fatal(err)
	}
	if got, want := h.told("1"), "leave Bob"; got != want {
		t.Errorf("the room was told %q, want %q", got, want)
	}
	if got, want := h.told("3"), "leave Bob"; got != want {
		t.Errorf("the other room was told %q, want %q", got, want)
	}
	if keys := h.store.Keys("conn#2"); keys != nil {
		t.Errorf("left behind: %v", keys)
	}
}

func TestRateIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, chat.Options{Rate: 3})
		h.comes("1", "Ann", "lobby")
		h.asks("1", "ping", nil)
		h.asks("1", "ping", nil)
		f := h.asks("1", "ping", nil)
		if f.Code != "slow" || f.RetryAfter <= 0 || f.RetryAfter > 10 {
			t.Errorf("%+v", f)
		}
		time.Sleep(time.Duration(f.RetryAfter * float64(time.Second)))
		if f := h.asks("1", "ping", nil); f.Type != "pong" || f.Rooms["lobby"] != 1 {
			t.Errorf("%+v", f)
		}
	})
}

func TestWriterThatDiesHoldsNobodyUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, chat.Options{})
		h.comes("1", "Ann", "lobby")
		died := errors.New("power cut")
		h.store.Before = func(changes []chat.Change) error {
			if strings.HasPrefix(changes[0].Key.PK, "log#") && changes[0].Set["text"] == "lost" {
				return died
			}
			return nil
		}
		if err := h.Message(t.Context(), "1", "say", []byte(`{"room":"lobby","id":"a","text":"lost"}`)); !errors.Is(err, died) {
			t.Fatal(err)
		}
		h.lines.Take("1")
		if err := h.Message(t.Context(), "1", "say", []byte(`{"room":"lobby","id":"b","text":"kept"}`)); err != nil {
			t.Fatal(err)
		}
		if got, want := h.told("1"), "void\nsay Ann kept"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestPingFindsWhatALostCourierLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, chat.Options{})
		h.comes("1", "Ann", "lobby")
		h.store.Before = func(changes []chat.Change) error {
			if _, ok := changes[0].Set["delivered"]; ok {
				return errors.New("power cut")
			}
			return nil
		}
		h.Message(t.Context(), "1", "say", []byte(`{"room":"lobby","id":"a","text":"hello"}`))
		h.store.Before = nil
		if got, want := h.told("1"), "say Ann hello"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if f := h.asks("1", "join", map[string]any{"room": "lobby", "after": 2}); f.Seq != 2 || f.Entries != nil {
			t.Errorf("who knows more than the courier wrote is told %+v", f)
		}
		h.comes("2", "Bob", "lobby") // while the lost one still has the lease
		if got := h.told("2"); got != "" {
			t.Errorf("told %q", got)
		}
		if f := h.asks("2", "ping", nil); !f.More || f.Rooms["lobby"] != 1 {
			t.Errorf("%+v", f)
		}
		time.Sleep(6 * time.Second)
		h.Message(t.Context(), "2", "ping", []byte(`{"id":"p"}`))
		if got, want := h.told("2"), "say Ann hello\njoin Bob"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestCrowdHearsTheSameInOrder(t *testing.T) {
	h := newHouse(t, chat.Options{Rate: 1000})
	const people, each = 20, 20
	for i := range people {
		h.comes(fmt.Sprint(i), fmt.Sprintf("p%d", i), "hall")
	}
	for i := range people {
		h.lines.Take(fmt.Sprint(i))
	}
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() {
			for n := range each {
				body := fmt.Sprintf(`{"room":"hall","id":"%d-%d","text":"%03d"}`, i, n, n)
				if err := h.Message(context.Background(), fmt.Sprint(i), "say", []byte(body)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range people {
		var seqs []int64
		last := map[string]string{}
		for _, f := range h.lines.Take(fmt.Sprint(i)) {
			for _, e := range f.Entries {
				seqs = append(seqs, e.Seq)
				if e.Text <= last[e.Nick] {
					t.Fatalf("%s said %s after %s", e.Nick, e.Text, last[e.Nick])
				}
				last[e.Nick] = e.Text
			}
		}
		for k, seq := range seqs {
			if seq != int64(people+1+k) {
				t.Fatalf("p%d: number %d comes as the %d.", i, seq, k+1)
			}
		}
		if len(seqs) != people*each {
			t.Fatalf("p%d heard %d of %d", i, len(seqs), people*each)
		}
	}
}

func TestHistoryComesInPages(t *testing.T) {
	h := newHouse(t, chat.Options{Rate: 1000})
	h.comes("1", "Ann", "lobby")
	for i := range 70 {
		h.asks("1", "say", map[string]any{"room": "lobby", "id": fmt.Sprint("m", i), "text": fmt.Sprint(i)})
		if i == 30 {
			for n := range 120 { // comings and goings count for nothing
				conn := fmt.Sprint("guest", n)
				h.comes(conn, conn, "lobby")
				h.Disconnect(t.Context(), conn)
			}
		}
	}
	h.comes("2", "Bob", "lobby")
	f := h.asks("2", "join", map[string]any{"room": "lobby"})
	if len(f.Entries) != 50 || f.Entries[0].Text != "20" || f.Entries[49].Text != "69" || !f.More {
		t.Fatalf("the newest: %d entries, %+v", len(f.Entries), f.Entries[0])
	}
	f = h.asks("2", "history", map[string]any{"room": "lobby", "before": f.Entries[0].Seq})
	if len(f.Entries) != 20 || f.Entries[0].Text != "0" || f.More {
		t.Fatalf("before them: %d entries, more %v", len(f.Entries), f.More)
	}
	f = h.asks("2", "history", map[string]any{"room": "lobby", "after": 1, "limit": 5})
	if len(f.Entries) != 5 || f.Entries[0].Seq != 2 || !f.More {
		t.Fatalf("after: %+v", f)
	}
}

func TestRoomsHaveAnEnd(t *testing.T) {
	h := newHouse(t, chat.Options{People: 2, Rate: 1000})
	h.comes("1", "Ann", "lobby")
	h.comes("2", "Bob", "lobby")
	if err := h.Connect(t.Context(), "3", map[string]string{"nick": "Cy", "session": "browser-3.tab"}); err != nil {
		t.Fatal(err)
	}
	if f := h.asks("3", "join", map[string]any{"room": "lobby"}); f.Code != "full" {
		t.Errorf("%+v", f)
	}
	for i := range 20 {
		h.asks("3", "join", map[string]any{"room": fmt.Sprint("room", i)})
	}
	if f := h.asks("3", "join", map[string]any{"room": "one-more"}); f.Code != "full" {
		t.Errorf("%+v", f)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	h := newHouse(t, chat.Options{})
	h.comes("1", "Ann", "lobby")
	for body, route := range map[string]string{
		`{"id":"r"}`: "$default",
		`{"id":"r","room":"lobby","text":"` + strings.Repeat("é", 2001) + `"}`: "say",
		`{"id":"r","room":"lobby","text":"\u200b\u202e"}`:                      "say",
		`{"id":"r","room":"a b/c"}`:                                            "join",
		`{"id":"r","room":""}`:                                                 "who",
		`{"id":"r","nick":"\u2066"}`:                                           "rename",
	} {
		h.lines.Take("1")
		if err := h.Message(t.Context(), "1", route, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if got := h.lines.Take("1"); len(got) != 1 || got[0].Code != "invalid" || got[0].ID != "r" || got[0].Message == "" {
			t.Errorf("%s %.40s: %+v", route, body, got)
		}
	}
	if f := h.asks("9", "ping", nil); f.Code != "unknown" {
		t.Errorf("a connection that is not known: %+v", f)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("say", []byte(`{"id":"m","room":"lobby","text":"hello"}`))
	f.Add("rename", []byte(`{"nick":"x"}`))
	f.Add("history", []byte(`{"room":"lobby","after":-9223372036854775808,"limit":-1}`))
	f.Fuzz(func(t *testing.T, route string, body []byte) {
		h := newHouse(t, chat.Options{})
		h.comes("1", "Ann", "lobby")
		h.lines.Take("1")
		if err := h.Message(t.Context(), "1", route, body); err != nil {
			t.Error(err)
		}
	})
}

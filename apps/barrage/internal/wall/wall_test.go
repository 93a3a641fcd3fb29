package wall_test

import (
	"context"
	"encoding/json"
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

func TestDeviceThatTheGatewayForgotIsForgotten(t *testing.T) {
	h := newHall(t)
	h.pages.gone = func(d string) bool { return d == "s2" }
	h.register(t, wall.Device{ID: "s2", Type: wall.TypeScreen})
	h.send(t, "x", "")
	if s, _ := h.State(t.Context(), "s2", 0); s.Registered || s.Screens != 1 {
		t.Fatalf("%+v", s)
	}
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

package chat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func types(frames []Frame) string {
	var s []string
	for _, f := range frames {
		s = append(s, strings.TrimSpace(f.Type+" "+f.Name+f.Code))
	}
	return strings.Join(s, ", ")
}

func TestComingAndGoingIsTold(t *testing.T) {
	w := play(t)
	w.come("1", " Ann\t\u202eLee ", "a")
	w.come("2", "Bob", "b")
	w.come("3", "Bob", "c")
	w.come("4", "", "d")
	w.leave("2")
	w.leave("2") // done twice it does nothing
	if got := types(w.heard["1"]); got != "joined Bob, joined Bob 2, joined Guest, left Bob" {
		t.Errorf("heard %s", got)
	}
	if w.with(peoplePrefix) != 3 || w.with(namesPrefix) != 3 {
		t.Errorf("%v", w.objects)
	}
	f := w.send("1", `{"action":"hello"}`)[0]
	if f.You.Name != "Ann Lee" || f.People != 3 || strings.Join(f.Names, ",") != "Ann Lee,Bob 2,Guest" {
		t.Errorf("%+v", f)
	}
}

func TestACrowdIsNotToldWhoComes(t *testing.T) {
	w := play(t)
	for i := range Crowd + 5 {
		w.come(fmt.Sprint(i), "p", fmt.Sprint("s", i))
	}
	if n := len(w.heard["0"]); n != Crowd-1 {
		t.Errorf("heard %d times of others", n)
	}
	if f := w.say("0", "m", "hi"); f.People != Crowd+5 {
		t.Errorf("%+v", f)
	}
}

func TestAPageThatComesBackKeepsItsName(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	w.come("2", "Bob", "b")
	w.come("3", "Bob", "b") // the line 2 was lost
	if len(w.closed) != 1 || w.closed[0] != "2" {
		t.Errorf("closed %v", w.closed)
	}
	w.leave("2")
	if got := types(w.heard["1"]); got != "joined Bob" {
		t.Errorf("heard %s", got)
	}
	w.leave("3")
	if w.with(namesPrefix) != 1 || types(w.heard["1"]) != "joined Bob, left Bob" {
		t.Errorf("%v, %s", w.objects, types(w.heard["1"]))
	}
}

func TestANameIsFreeAgainWhenItsOwnerNeverCame(t *testing.T) {
	w := play(t)
	w.bucket.fail = func(op, key string) error {
		if op == "put" && strings.HasPrefix(key, peoplePrefix) {
			return errors.New("broken off")
		}
		return nil
	}
	if _, err := w.chat.Register(t.Context(), []byte(`{"queryString":{"name":"Ann"},"websocket":{"secConnectionID":"1"}}`)); err == nil {
		t.Fatal("registered")
	}
	w.bucket.fail = nil
	w.come("2", "Ann", "b")
	w.clock = w.clock.Add(fresh + time.Second)
	w.come("3", "Ann", "c")
	if got := w.send("3", `{"action":"hello"}`)[0]; strings.Join(got.Names, ",") != "Ann,Ann 2" || got.You.Name != "Ann" {
		t.Errorf("%+v", got)
	}
}

func TestAMessageReachesEverybodyOnce(t *testing.T) {
	w := play(t)
	for _, id := range []string{"1", "2", "3"} {
		w.come(id, "p"+id, id)
	}
	first := w.say("1", "m1", " hello\x00 <b> ")
	if first.Type != "said" || first.Entry.Text != "hello <b>" || first.Entry.Name != "p1" {
		t.Errorf("%+v", first)
	}
	w.chat = w.instance() // the same again, at another instance: acknowledged, and told to nobody else
	if again := w.say("1", "m1", "hello"); again.Entry == nil || *again.Entry != *first.Entry {
		t.Errorf("%+v", again)
	}
	for _, id := range []string{"2", "3"} {
		if got := types(w.heard[id]); strings.Count(got, "said") != 1 {
			t.Errorf("%s heard %s", id, got)
		}
	}
	w.come("4", "late", "4")
	f := w.send("4", `{"action":"hello","id":"h"}`)[0]
	if f.ID != "h" || len(f.Entries) != 1 || *f.Entries[0] != *first.Entry {
		t.Errorf("%+v", f)
	}
	if f := w.send("4", `{"action":"hello","after":"`+first.Entry.Key+`"}`)[0]; len(f.Entries) != 0 {
		t.Errorf("%+v", f)
	}
	if f := w.send("4", `{"action":"ping"}`)[0]; f.Type != "pong" || f.Last != first.Entry.Key || f.People != 4 {
		t.Errorf("%+v", f)
	}
}

func TestPeopleAreListedOnlyAfterAChange(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	w.come("2", "Bob", "b")
	w.lists[peoplePrefix] = 0
	for i := range 5 {
		w.say("1", fmt.Sprint(i), "hi")
	}
	if n := w.lists[peoplePrefix]; n != 1 {
		t.Errorf("listed %d times", n)
	}
	other := w.chat
	w.chat = w.instance()
	w.come("3", "Cid", "c") // at another instance
	w.chat = other
	w.say("1", "new", "hi")
	if got := types(w.heard["3"]); got != "said" {
		t.Errorf("who is new heard %s", got)
	}
}

func TestLaterMessagesStandLaterThoughClocksDiffer(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	first := w.say("1", "1", "first")
	w.clock = w.clock.Add(-time.Minute)
	if second := w.say("1", "2", "second"); second.Entry.Key <= first.Entry.Key {
		t.Errorf("%s after %s", second.Entry.Key, first.Entry.Key)
	}
}

func TestTheHistoryEnds(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	for i := range 3 * Keep {
		w.say("1", fmt.Sprint("m", i), "hi")
		w.clock = w.clock.Add(2 * time.Second)
		if n := w.with(historyPrefix); n > Keep+slack {
			t.Fatalf("%d messages are kept", n)
		}
	}
	f := w.send("1", `{"action":"hello"}`)[0]
	if len(f.Entries) != Keep || f.Entries[Keep-1].ID != fmt.Sprint("m", 3*Keep-1) || len(w.chat.entries) > 2*(Keep+slack)+Keep {
		t.Errorf("%d entries, %d known", len(f.Entries), len(w.chat.entries))
	}
}

func TestBadRequestsAreAnswered(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	for data, code := range map[string]string{
		`{"action":"say","id":"1","text":" \u0007 "}`:                               "invalid",
		`{"action":"say","text":"hi"}`:                                              "invalid",
		`{"action":"say","id":"a/b","text":"hi"}`:                                   "invalid",
		`{"action":"say","id":"1","text":"` + strings.Repeat("é", MaxText+1) + `"}`: "invalid",
		`{"action":"fly","id":"1"}`:                                                 "invalid",
		`[]`:                                                                        "invalid",
		``:                                                                          "invalid",
	} {
		if got := w.send("1", data); len(got) != 1 || got[0].Code != code || got[0].Message == "" {
			t.Errorf("%.50s: %+v", data, got)
		}
	}
	w.heard["nobody"] = nil
	if got := w.send("nobody", `{"action":"hello"}`); types(got) != "error unknown" {
		t.Errorf("%s", types(got))
	}
	if f := w.say("1", "long", strings.Repeat("é", MaxText)); f.Type != "said" {
		t.Errorf("%+v", f)
	}
	for i := range rate - 1 {
		w.say("1", fmt.Sprint(i), "hi")
	}
	if f := w.say("1", "fast", "hi"); f.Code != "slow" || f.ID != "fast" || f.RetryAfter != 10 {
		t.Errorf("%+v", f)
	}
	w.clock = w.clock.Add(rateTime)
	if f := w.say("1", "fast", "hi"); f.Type != "said" {
		t.Errorf("%+v", f)
	}
	for _, b := range []string{``, `{}`, `{"websocket":7}`} {
		for _, call := range []func() (any, error){
			func() (any, error) { return w.chat.Register(t.Context(), []byte(b)) },
			func() (any, error) { return w.chat.Transport(t.Context(), []byte(b)) },
			func() (any, error) { return w.chat.Cleanup(t.Context(), []byte(b)) },
		} {
			if _, err := call(); err == nil {
				t.Errorf("event %q was taken", b)
			}
		}
	}
}

func TestFailuresAreTold(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	w.bucket.fail = func(op, key string) error {
		if strings.HasPrefix(key, historyPrefix) {
			return errors.New("no bucket")
		}
		return nil
	}
	if f := w.say("1", "m", "hi"); f.Code != "failed" || f.ID != "m" {
		t.Errorf("%+v", f)
	}
	w.lines.fail = errors.New("no gateway")
	if _, err := w.chat.Transport(t.Context(), []byte(`{"websocket":{"secConnectionID":"1","data":"x"}}`)); err == nil {
		t.Error("a page that cannot be answered has to come back")
	}
}

func TestWhoCannotBeReachedForLongIsTakenOut(t *testing.T) {
	w := play(t)
	w.come("1", "Ann", "a")
	w.come("2", "Bob", "b")
	w.come("3", "Cid", "c")
	delete(w.heard, "2") // and nobody cleans up
	w.say("1", "a", "hi")
	w.clock = w.clock.Add(patience / 2)
	w.say("1", "b", "hi")
	if w.with(peoplePrefix) != 3 {
		t.Error("taken out at once, though cleanup may be on its way")
	}
	w.clock = w.clock.Add(patience)
	w.transport("1", `{"action":"say","id":"c","text":"hi"}`)
	if w.with(peoplePrefix) != 2 || w.with(namesPrefix) != 2 {
		t.Errorf("%v", w.objects)
	}
	if got := types(w.heard["3"]); !strings.HasSuffix(got, "said, left Bob") {
		t.Errorf("heard %s", got)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(`{"queryString":{"name":["a"],"x":true},"websocket":{"secConnectionID":"1"}}`, `{"action":"say","id":"1","text":"hi"}`)
	f.Add(`{"queryString":[]}`, `{"action":"hello","after":"\u0000"}`)
	f.Fuzz(func(t *testing.T, ev, data string) {
		w := play(t)
		w.come("1", data, "s")
		w.chat.Register(t.Context(), []byte(ev))
		w.chat.Transport(t.Context(), []byte(ev))
		w.transport("1", data)
		w.chat.Cleanup(t.Context(), []byte(ev))
	})
}

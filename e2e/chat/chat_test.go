package chat

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice/e2e/browser"
	"github.com/sluicehq/sluice/e2e/live"
)

// TestCrowdHearsEachMessageOnceAndInOrder has 200 clients in one room, who all speak at once. A push that
// fails on a busy machine leaves a hole in the numbers: like a page, its client asks for what is missing. That
// has to be rare.
func TestCrowdHearsEachMessageOnceAndInOrder(t *testing.T) {
	s := start(t, "")
	const n, each = 200, 3
	crowd := make([]*client, n)
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < n; i += 10 {
				crowd[i] = s.connect(t, fmt.Sprintf("p%d", i))
				crowd[i].send(map[string]any{"action": "join", "room": "hall", "id": "join"})
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	begin := time.Now()
	heard := make([][]entry, n)
	var healed, joined atomic.Int32
	all := make(chan struct{}) // closed when everybody has joined: who joins later has no claim to what was said before
	for i, c := range crowd {
		wg.Go(func() {
			said, last := 0, int64(0)
			filling, filled := false, int64(0) // filled is up to which number it was asked for: a push of that may still come
			seen := map[string]bool{}
			look := time.NewTicker(5 * time.Second)
			defer look.Stop()
			fill := func() {
				if filling {
					return
				}
				filling = true
				c.send(map[string]any{"action": "history", "room": "hall", "id": "fill", "after": last, "limit": 100})
			}
			say := func() {
				if said++; said <= each {
					c.send(map[string]any{"action": "say", "room": "hall", "id": fmt.Sprintf("p%d-%d", i, said), "text": fmt.Sprintf("%d", said)})
				}
			}
			begun := all
			for deadline := time.After(4 * time.Minute); len(heard[i]) < n*each; {
				select {
				case <-begun:
					begun = nil
					say()
				case <-look.C:
					filling = false // the answer may be what was lost
					c.send(map[string]any{"action": "ping", "id": "ping"})
				case f, ok := <-c.frames:
					if !ok {
						t.Errorf("p%d was cut off", i)
						return
					}
					if f.ID == "fill" {
						filling = false
					}
					for _, e := range f.Entries {
						if f.Type != "log" && f.ID != "fill" || e.Seq <= filled || f.ID == "fill" && e.Seq <= last {
							continue
						}
						if last != 0 && e.Seq > last+1 {
							if !filling {
								healed.Add(1)
							}
							fill()
							break
						}
						if f.ID == "fill" {
							filled = e.Seq
						}
						if last != 0 && e.Seq <= last {
							t.Errorf("p%d: number %d follows %d", i, e.Seq, last)
							return
						}
						if last = e.Seq; e.Kind != "say" {
							continue
						}
						if seen[e.ID] {
							t.Errorf("p%d heard %q twice", i, e.Text)
						}
						seen[e.ID] = true
						heard[i] = append(heard[i], e)
					}
					switch {
					case f.Type == "error":
						t.Errorf("p%d: %s %s", i, f.Code, f.Message)
						return
					case f.Type == "pong" && f.Rooms["hall"] > last, f.ID == "fill" && f.More:
						fill()
					case f.Type == "joined":
						if joined.Add(1) == n {
							close(all)
						}
					case f.Type == "ack":
						say()
					}
				case <-deadline:
					t.Errorf("p%d heard %d of %d", i, len(heard[i]), n*each)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d clients heard %d messages each in %v, %d of them with help", n, n*each, time.Since(begin).Round(time.Millisecond), healed.Load())
	if healed.Load() > n/10 {
		t.Errorf("%d pushes failed", healed.Load())
	}
	for i := range heard {
		said := map[string]string{}
		for _, e := range heard[i] {
			if e.Text <= said[e.Nick] {
				t.Fatalf("p%d: %s said %q after %q", i, e.Nick, e.Text, said[e.Nick])
			}
			said[e.Nick] = e.Text
		}
	}
}

// TestKillLosesNothingAcknowledged kills the server while people talk. A page comes back, has every message
// that was acknowledged once, and sees who is there now.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	s := start(t, "")
	wire := live.Stretch(t, s.address)
	page := open(t, browser.Start(t), "http://"+wire.Address, "Ada", "plans", 1280, 800)
	var talkers []*client
	for i := range 5 {
		talkers = append(talkers, s.join(t, fmt.Sprintf("talker %d", i), "plans"))
	}
	page.Shows("#people-list", "talker 4")
	var mu sync.Mutex
	var acked []string
	var wg sync.WaitGroup
	for i, c := range talkers {
		wg.Go(func() {
			for n := 0; ; n++ {
				text := fmt.Sprintf("t%d-%d.", i, n)
				if wsutil.WriteClientText(c.conn, fmt.Appendf(nil, `{"action":"say","room":"plans","id":"t%d-%d","text":%q}`, i, n, text)) != nil {
					return
				}
				f, err := c.next(time.Minute, func(f *frame) bool { return f.Type == "ack" || f.Type == "error" })
				if err != nil {
					return
				}
				if f.Type == "error" { // it may have been too fast
					time.Sleep(300 * time.Millisecond)
					continue
				}
				mu.Lock()
				acked = append(acked, text)
				mu.Unlock()
			}
		})
	}
	browser.Eventually(t, 4*time.Minute, "60 acknowledged messages", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acked) >= 60
	})
	wire.Lead("")
	s.kill()
	wg.Wait()
	page.Shows("#status", "Coming back")
	page.Picture("chat-away", 1280, 800)
	write(page, "written while away") // is sent after the return
	page.Shows("#log", "Sending…")

	again := start(t, s.data)
	wire.Lead(again.address)
	page.Wait("the page is back", func() bool { return page.Eval("String(document.getElementById('status').hidden)") == "true" })
	back := again.join(t, "reader", "plans")
	page.Wait("only those who are there", func() bool {
		people := strings.Split(page.Text("#people-list li > span:last-child"), "\n")
		return slices.Equal(people, []string{"Ada (you)", "reader"})
	})
	page.Wait("the message that was written while away", func() bool {
		return strings.Count(page.Text(".bubble"), "written while away") == 1 && !strings.Contains(page.Text("#log"), "Sending")
	})
	shown := strings.Split(page.Text(".bubble"), "\n")
	for _, text := range acked {
		if n := len(slices.DeleteFunc(slices.Clone(shown), func(s string) bool { return s != text })); n != 1 {
			t.Errorf("the page shows %q %d times", text, n)
		}
	}
	back.send(map[string]any{"action": "who", "room": "plans", "id": "who"})
	if f := back.answer("who"); !slices.Equal(f.People, []string{"Ada", "reader"}) {
		t.Errorf("people: %v", f.People)
	}
	// Those who were cut off left, in the log as well.
	left := map[string]bool{}
	back.send(map[string]any{"action": "history", "room": "plans", "after": 1, "limit": 100, "id": "h"})
	for f := back.answer("h"); ; f = back.answer("h") {
		for _, e := range f.Entries {
			if e.Kind == "leave" {
				left[e.Nick] = true
			}
		}
		if !f.More {
			break
		}
		back.send(map[string]any{"action": "history", "room": "plans", "after": f.Entries[len(f.Entries)-1].Seq, "limit": 100, "id": "h"})
	}
	if len(left) < len(talkers) {
		t.Errorf("left: %v", left)
	}
}

func TestBadClientsGetClearAnswers(t *testing.T) {
	s := start(t, "", "--param", "Rate=8")
	for name, query := range map[string]url.Values{
		"no name":         {},
		"a name of space": {"nick": {" \u202e "}},
		"a long name":     {"nick": {strings.Repeat("x", 25)}},
		"no session":      {"nick": {"Ann"}, "session": {""}},
	} {
		_, _, err := s.dial(t.Context(), query)
		if refused, ok := errors.AsType[ws.StatusError](err); !ok || int(refused) != 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := s.join(t, "Ann", "lobby")
	for sent, want := range map[string]string{
		`{"action":"say","room":"elsewhere","id":"1","text":"hi"}`:                            "notin",
		`{"action":"say","room":"lobby","id":"1","text":" "}`:                                 "invalid",
		`{"action":"say","room":"lobby","id":"1","text":"` + strings.Repeat("x", 2001) + `"}`: "invalid",
		`{"action":"fly","id":"1"}`:                                                           "invalid",
		`{"action":"join","room":"no/slash","id":"1"}`:                                        "invalid",
		`not JSON`: "invalid",
		`{"action":"say","room":"lobby","id":"` + strings.Repeat("x", 65) + `","text":"a long identity"}`: "invalid",
	} {
		if err := wsutil.WriteClientText(c.conn, []byte(sent)); err != nil {
			t.Fatal(err)
		}
		if f, err := c.next(time.Minute, func(f *frame) bool { return f.Type != "log" }); err != nil || f.Type != "error" || f.Code != want || f.Message == "" {
			t.Errorf("%.60s: %+v, %v", sent, f, err)
		}
	}
	other := s.join(t, "ann", "lobby") // the same name to the eye
	if e := c.hears("join", "ann 2", ""); e.Seq == 0 {
		t.Error("no number")
	}
	for range 2 { // the second is the same message again
		other.send(map[string]any{"action": "say", "room": "lobby", "id": "once", "text": "once only"})
	}
	if a, b := other.answer("once"), other.answer("once"); a.Type != "ack" || a.Seq != b.Seq {
		t.Errorf("acknowledged as %d and %d", a.Seq, b.Seq)
	}
	c.hears("say", "ann 2", "once only")
	for range 20 {
		other.send(map[string]any{"action": "ping", "id": "fast"})
	}
	if f, err := other.next(time.Minute, func(f *frame) bool { return f.Code == "slow" }); err != nil {
		t.Errorf("20 at once: %+v, %v", f, err)
	}
}

package wall

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sluicehq/sluice/e2e/browser"
)

// Where the pages say things: the screen's log for screen readers, the player's own messages, the
// moderator's queue.
const (
	onScreen = "ol[role=log] li"
	mine     = "main ol li"
	inQueue  = "main ol li .said"
)

// login opens the moderator's page and passes its door.
func login(t *testing.T, s *server, p *browser.Page) {
	t.Helper()
	p.Do(chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", "a guess"))
	p.Click("form button.primary", "")
	p.Do(chromedp.WaitVisible("[role=alert]")) // a guess is refused
	p.Do(chromedp.Reload(), chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", adminPassword))
	p.Click("form button.primary", "")
	p.Do(chromedp.WaitVisible(".desk"))
}

// write sends a message as a player does: types it and presses the button.
func write(t *testing.T, p *browser.Page, text string) {
	t.Helper()
	p.Do(chromedp.WaitVisible("form.composer textarea"), chromedp.SendKeys("form.composer textarea", text), chromedp.WaitEnabled("button.send"))
	p.Click("button.send", "")
	p.Shows(mine, text)
}

// TestWallInABrowser walks through an evening: two screens, a phone, a moderator; the three modes; a
// screen whose connection breaks.
func TestWallInABrowser(t *testing.T) {
	s := start(t, "")
	b := browser.Start(t)
	screens := []*browser.Page{browser.Open(t, b, s.URL("/"), 1920, 1080), browser.Open(t, b, s.URL("/"), 1280, 720)}
	for _, sc := range screens {
		sc.Do(chromedp.WaitVisible(".join svg")) // the QR code
	}
	moderator := browser.Open(t, b, s.URL("/admin/"), 1440, 900)
	login(t, s, moderator)
	browser.Eventually(t, patience, "two screens and a moderator registered", func() bool { return len(devices(t, s)) >= 3 })
	player := browser.Open(t, b, s.URL("/player/"), 390, 844)

	// Mode 0: a message appears on both screens.
	write(t, player, "Hello wall")
	for _, sc := range screens {
		sc.Shows(onScreen, "Hello wall")
	}

	// Mode 2: held, then released by the moderator; a rejected one never appears.
	moderator.Click("[role=radiogroup] button", modeName(moderator, 2))
	browser.Eventually(t, patience, "mode 2", func() bool { return mode(t, s) == 2 })
	write(t, player, "First look")
	moderator.Shows(inQueue, "First look")
	write(t, player, "Never shown")
	moderator.Shows(inQueue, "Never shown")
	for _, sc := range screens {
		sc.Lacks(onScreen, "First look")
	}
	moderator.Click("main ol li:nth-of-type(1) .acts .ok", "")
	for _, sc := range screens {
		sc.Shows(onScreen, "First look")
	}
	moderator.Click("main ol li:nth-of-type(1) .acts .bad", "")
	browser.Eventually(t, patience, "the queue is empty", func() bool { return moderator.Text(inQueue) == "" })

	// Mode 1: words of the list are masked.
	moderator.Click("[role=radiogroup] button", modeName(moderator, 1))
	browser.Eventually(t, patience, "mode 1", func() bool { return mode(t, s) == 1 })
	s.set(s.admin(), map[string]any{"filterWords": "rude", "action": "mask"})
	write(t, player, "How RuDe of me")
	for _, sc := range screens {
		sc.Shows(onScreen, "How **** of me")
		sc.Lacks(onScreen, "Never shown")
	}
	// … or held.
	s.set(s.admin(), map[string]any{"action": "hold"})
	write(t, player, "rude again")
	moderator.Shows(inQueue, "rude again")
	moderator.Click("main ol li:nth-of-type(1) .acts .bad", "")

	// A screen loses its connection, comes back by itself, and has missed nothing.
	s.set(s.admin(), map[string]any{"status": 0})
	for _, c := range s.Conns() {
		if _, err := s.Sluice("conns", "close", c, "--code", "1012"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if _, err := s.say("someone", fmt.Sprint("away-", i), fmt.Sprint("while you were away ", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sc := range screens {
		for i := range 3 {
			sc.Shows(onScreen, fmt.Sprint("while you were away ", i))
		}
	}

	// Pictures, with some life on the wall, for people to look at.
	s.set(s.admin(), map[string]any{"status": 0, "rate": 0})
	for _, size := range sizes {
		wall := browser.Open(t, b, s.URL("/"), size.w, size.h)
		wall.Do(chromedp.WaitVisible(".join"))
		for i, text := range crowd {
			if _, err := s.call(anyone, "POST", "/api/send", map[string]string{"message": text, "fromId": fmt.Sprint("p", i), "fromName": names[i%len(names)],
				"color": colors[i%len(colors)], "fontSize": "28px", "cid": size.name + fmt.Sprint(i)}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(350 * time.Millisecond) // an evening has its pace
		}
		wall.Shows(onScreen, crowd[len(crowd)-1])
		wall.Picture("screen-"+size.name, size.w, size.h)
	}
	s.set(s.admin(), map[string]any{"status": 2})
	for i, text := range crowd[:4] {
		s.call(anyone, "POST", "/api/send", map[string]string{"message": text, "fromId": fmt.Sprint("q", i), "fromName": names[i], "color": colors[i], "fontSize": "28px", "cid": fmt.Sprint("q", i)}, nil)
	}
	moderator.Shows(inQueue, crowd[3])
	for _, size := range sizes {
		player.Picture("player-"+size.name, size.w, size.h)
		moderator.Picture("admin-"+size.name, size.w, size.h)
	}
}

// What the pictures show.
var (
	sizes = []struct {
		name string
		w, h int64
	}{{"phone", 390, 844}, {"laptop", 1440, 900}, {"4k", 3840, 2160}}
	crowd  = []string{"Sluice is live!", "弹幕来了 🎉", "Greetings from row 12", "太好看了吧", "What a talk", "哈哈哈哈", "Encore! Encore!", "这个墙不错", "Question: does it scale?", "前方高能", "Hello from the balcony", "👏👏👏"}
	names  = []string{"Mia", "阿晴", "Noah", "小鱼", "Zoe", "Kenji", "Ana", "老王"}
	colors = []string{"#ffffff", "#ffd95a", "#5fe0f2", "#ff7eb6", "#9ef29e", "#9aa8ff"}
)

// modeName is what the moderator's page calls a mode, in whichever language it is.
func modeName(p *browser.Page, mode int) string {
	return p.Eval(fmt.Sprintf("document.querySelectorAll('[role=radiogroup][aria-labelledby=mode] button')[%d].textContent", mode))
}

// mode is the moderation mode that is in force.
func mode(t *testing.T, s *server) int {
	t.Helper()
	var st struct{ Status int }
	if _, err := s.call(anyone, "GET", "/api/status", nil, &st); err != nil {
		t.Fatal(err)
	}
	return st.Status
}

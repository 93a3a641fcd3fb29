package wall

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Where the pages say things: the screen's log for screen readers, the player's own messages, the
// moderator's queue.
const (
	onScreen = "ol[role=log] li"
	mine     = "main ol li"
	inQueue  = "main ol li .said"
)

// login opens the moderator's page and passes its door.
func login(t *testing.T, s *server, p *page) {
	t.Helper()
	p.do(chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", "a guess"), chromedp.Click("form button.primary"))
	p.do(chromedp.WaitVisible("[role=alert]")) // a guess is refused
	p.do(chromedp.Reload(), chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", adminPassword), chromedp.Click("form button.primary"))
	p.do(chromedp.WaitVisible(".desk"))
}

// write sends a message as a player does: types it and presses the button.
func (p *page) write(text string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible("form.composer textarea"), chromedp.SendKeys("form.composer textarea", text), chromedp.WaitEnabled("button.send"), chromedp.Click("button.send"))
	p.shows(mine, text)
}

// TestWallInABrowser walks through an evening: two screens, a phone, a moderator; the three modes; a
// screen whose connection breaks.
func TestWallInABrowser(t *testing.T) {
	s := start(t, "")
	b := browser(t)
	screens := []*page{open(t, b, s.url("/"), 1920, 1080), open(t, b, s.url("/"), 1280, 720)}
	for _, sc := range screens {
		sc.do(chromedp.WaitVisible(".join svg")) // the QR code
	}
	moderator := open(t, b, s.url("/admin/"), 1440, 900)
	login(t, s, moderator)
	eventually(t, 20*time.Second, "two screens and a moderator registered", func() bool { return len(devices(t, s)) >= 3 })
	player := open(t, b, s.url("/player/"), 390, 844)

	// Mode 0: a message appears on both screens.
	player.write("Hello wall")
	for _, sc := range screens {
		sc.shows(onScreen, "Hello wall")
	}

	// Mode 2: held, then released by the moderator; a rejected one never appears.
	moderator.click("[role=radiogroup] button", modeName(t, moderator, 2))
	eventually(t, 10*time.Second, "mode 2", func() bool { return mode(t, s) == 2 })
	player.write("First look")
	moderator.shows(inQueue, "First look")
	player.write("Never shown")
	moderator.shows(inQueue, "Never shown")
	for _, sc := range screens {
		sc.lacks(onScreen, "First look")
	}
	moderator.do(chromedp.Click("main ol li:nth-of-type(1) .acts .ok"))
	for _, sc := range screens {
		sc.shows(onScreen, "First look")
	}
	moderator.do(chromedp.Click("main ol li:nth-of-type(1) .acts .bad"))
	eventually(t, 10*time.Second, "the queue is empty", func() bool { return moderator.text(inQueue) == "" })

	// Mode 1: words of the list are masked.
	moderator.click("[role=radiogroup] button", modeName(t, moderator, 1))
	eventually(t, 10*time.Second, "mode 1", func() bool { return mode(t, s) == 1 })
	s.set(s.admin(), map[string]any{"filterWords": "rude", "action": "mask"})
	player.write("How RuDe of me")
	for _, sc := range screens {
		sc.shows(onScreen, "How **** of me")
		sc.lacks(onScreen, "Never shown")
	}
	// … or held.
	s.set(s.admin(), map[string]any{"action": "hold"})
	player.write("rude again")
	moderator.shows(inQueue, "rude again")
	moderator.do(chromedp.Click("main ol li:nth-of-type(1) .acts .bad"))

	// A screen loses its connection, comes back by itself, and has missed nothing.
	s.set(s.admin(), map[string]any{"status": 0})
	for _, c := range s.conns(t) {
		if _, err := s.sluice("conns", "close", c, "--code", "1012"); err != nil {
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
			sc.shows(onScreen, fmt.Sprint("while you were away ", i))
		}
	}

	// Pictures, with some life on the wall.
	for i, text := range []string{"Sluice is live!", "弹幕来了 🎉", "Greetings from row 12", "太好看了吧", "What a talk", "哈哈哈哈", "Encore!", "♥ ♥ ♥", "Question: does it scale?", "前方高能"} {
		color := []string{"#ffffff", "#ffd95a", "#5fe0f2", "#ff7eb6", "#9ef29e"}[i%5]
		if _, err := s.call(anyone, "POST", "/api/send", map[string]string{"message": text, "fromId": fmt.Sprint("p", i), "fromName": fmt.Sprint("Guest ", i), "color": color, "fontSize": "28px", "cid": fmt.Sprint("pic", i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	screens[0].shows(onScreen, "前方高能")
	s.set(s.admin(), map[string]any{"status": 2})
	for i, text := range []string{"May I be on the wall?", "我也要上墙", "First time here"} {
		s.say(fmt.Sprint("q", i), "q", text)
	}
	moderator.shows(inQueue, "First time here")
	for _, size := range []struct {
		name string
		w, h int64
	}{{"phone", 390, 844}, {"laptop", 1440, 900}, {"4k", 3840, 2160}} {
		screens[0].picture("screen-"+size.name, size.w, size.h)
		player.picture("player-"+size.name, size.w, size.h)
		moderator.picture("admin-"+size.name, size.w, size.h)
	}
}

// modeName is what the moderator's page calls a mode, in whichever language it is.
func modeName(t *testing.T, p *page, mode int) string {
	t.Helper()
	name, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelectorAll('[role=radiogroup][aria-labelledby=mode] button')[%d].textContent", mode)))
	if err != nil {
		t.Fatal(err)
	}
	return name
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

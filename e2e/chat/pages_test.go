package chat

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sluicehq/sluice/e2e/browser"
)

// open opens the chat and goes into a room.
func open(t *testing.T, b context.Context, address, nick, room string, w, h int64) *browser.Page {
	t.Helper()
	p := browser.Open(t, b, address+"/", w, h)
	p.Do(chromedp.WaitVisible("#enter"), chromedp.SetValue("#enter-room", room), chromedp.SendKeys("#enter-nick", nick))
	p.Click("#enter button", "Join")
	p.Shows("#people-list", nick)
	return p
}

// write types a message and sends it.
func write(p *browser.Page, text string) {
	p.Do(chromedp.SendKeys("#text", text+"\r"))
}

func TestTwoPeopleChat(t *testing.T) {
	s := start(t, "")
	b := browser.Start(t)
	// Two names of one machine are two browsers to the page: each has its own storage.
	_, port, _ := strings.Cut(s.address, ":")
	welcome := browser.Open(t, b, "http://"+s.address+"/", 1280, 800)
	welcome.Do(chromedp.WaitVisible("#enter"))
	welcome.Picture("chat-welcome", 1280, 800)
	welcome.Picture("chat-welcome-phone", 390, 844)
	ada := open(t, b, "http://"+s.address, "Ada", "lobby", 1280, 800)
	grace := open(t, b, "http://localhost:"+port, "Grace", "lobby", 390, 844)
	ada.Shows("#people-list", "Grace")
	ada.Shows("#log", "Grace joined")

	ada.Do(chromedp.SendKeys("#text", "Good morning, Grace! ☀️"))
	grace.Shows("#typing", "Ada is typing")
	ada.Do(chromedp.SendKeys("#text", "\r"))
	grace.Shows(".bubble", "Good morning, Grace!")
	grace.Wait("no one is typing", func() bool { return grace.Text("#typing") == "" })

	// A text is a text; an address is a link.
	write(ada, `<img src=x onerror="document.title='pwned'"> see https://example.com/a_(b)?c=1&d=2, and javascript:alert(1)`)
	grace.Shows(".bubble", "<img src=x")
	if got := grace.Eval(`[...document.querySelectorAll('.bubble a')].map(a => a.href + ' ' + a.rel).join()`); got != "https://example.com/a_(b)?c=1&d=2 noopener noreferrer nofollow" {
		t.Errorf("links: %q", got)
	}
	if got := grace.Eval(`String(document.querySelectorAll('#log img').length) + document.title`); strings.Contains(got, "pwned") || !strings.HasPrefix(got, "0") {
		t.Errorf("markup came alive: %q", got)
	}

	write(grace, "Good morning! Is the machine running?")
	write(grace, "I found a moth in relay 70 😄")
	ada.Shows(".bubble", "relay 70")
	write(ada, "🎉")
	write(ada, "First actual case of a bug being found. I’ll tape it into the log book.")
	grace.Shows(".bubble", "log book")
	grace.Wait("sent marks are gone", func() bool { return !strings.Contains(grace.Text("#log"), "Sending") })

	// What is said in a room that is not open is marked.
	ada.Do(chromedp.SendKeys("#add-room", "Engine Plans\r"))
	ada.Shows("#room-name", "engine-plans")
	write(grace, "Lunch?")
	ada.Shows("#room-list .unread .badge", "1")
	ada.Picture("chat-rooms", 1280, 800)
	ada.Click("#room-list a", "lobby")
	ada.Shows("#log .new", "New")
	ada.Shows(".bubble", "Lunch?")

	// A new name is seen by all; a name that is taken gets a number.
	grace.Click("#open-rooms", "")
	grace.Click("#rename", "")
	grace.Do(chromedp.SetValue("#name-nick", "ada"), chromedp.SendKeys("#name-nick", "\r"))
	ada.Shows("#people-list", "ada 2")
	ada.Shows("#log", "Grace is now ada 2")
	grace.Click("#rename", "")
	grace.Picture("chat-phone-name", 390, 844)
	grace.Do(chromedp.SetValue("#name-nick", "Grace"))
	grace.Click("#name button", "Change")
	grace.Click("[data-close]", "")
	ada.Wait("Grace again", func() bool { return strings.Contains(ada.Text("#people-list"), "Grace") })

	for _, text := range []string{"Yes, at noon.", "I’ll bring the nanoseconds."} {
		write(grace, text)
	}
	ada.Shows(".bubble", "nanoseconds")
	ada.Do(chromedp.SendKeys("#text", "See you"))
	grace.Shows("#typing", "Ada is typing")
	grace.Picture("chat-phone", 390, 844)
	grace.Eval(`document.getElementById('theme').click(); ''`)
	grace.Picture("chat-phone-dark", 390, 844)
	ada.Picture("chat-laptop", 1280, 800)
	ada.Click("#theme", "")
	ada.Picture("chat-laptop-dark", 1280, 800)
	ada.Click("#emoji", "")
	ada.Picture("chat-emoji", 1280, 800)

	// The log survives a reload, and so do name, room and place.
	grace.Do(chromedp.Reload())
	grace.Shows(".bubble", "Good morning, Grace!")
	grace.Wait("who is there", func() bool {
		return strings.Contains(grace.Text("#people-list"), "Ada") && strings.Contains(grace.Text("#people-list"), "Grace (you)")
	})
	grace.Click("#open-rooms", "")
	grace.Picture("chat-phone-rooms", 390, 844)
}

func TestOldMessagesComeWhenAsked(t *testing.T) {
	s := start(t, "", "--param", "Rate=1000")
	c := s.join(t, "Archive", "lobby")
	for i := range 120 {
		id := fmt.Sprintf("m%d", i)
		c.send(map[string]any{"action": "say", "room": "lobby", "id": id, "text": fmt.Sprintf("message %d.", i)})
		if f := c.answer(id); f.Type != "ack" {
			t.Fatalf("%+v", f)
		}
	}
	p := open(t, browser.Start(t), "http://"+s.address, "Ada", "lobby", 1000, 700)
	p.Shows(".bubble", "message 119.")
	p.Lacks(".bubble", "message 60.")
	p.Wait("the oldest message", func() bool {
		p.Eval(`document.getElementById('scroll').scrollTop = 0; ''`)
		return strings.Contains(p.Text(".bubble"), "message 0.")
	})
	if got := strings.Count(p.Text(".bubble"), "message "); got != 120 {
		t.Errorf("%d messages, want 120", got)
	}
}

package tencentchat

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sluicehq/sluice/e2e/browser"
	"github.com/sluicehq/sluice/e2e/live"
)

// open opens the chat and comes in.
func open(t *testing.T, b context.Context, host, name string, w, h int64) *browser.Page {
	t.Helper()
	p := browser.Open(t, b, "http://"+host+"/", w, h)
	p.Do(chromedp.WaitVisible("#enter"), chromedp.SendKeys("#name", name+"\r"))
	p.Shows("#me", name)
	return p
}

func write(p *browser.Page, text string) {
	p.Do(chromedp.SendKeys("#text", text+"\r"))
}

func TestTwoPeopleChat(t *testing.T) {
	data := t.TempDir()
	s := launch(t, data)
	b := browser.Start(t)
	// Two names of one machine are two browsers to the page: each has its own storage.
	wire := live.Stretch(t, address(s))
	_, port, _ := strings.Cut(wire.Address, ":")
	welcome := browser.Open(t, b, "http://"+wire.Address+"/", 1280, 800)
	welcome.Do(chromedp.WaitVisible("#enter"))
	welcome.Picture("tencent-chat-welcome", 1280, 800)
	welcome.Picture("tencent-chat-welcome-phone", 390, 844)
	ada := open(t, b, wire.Address, "Ada", 1280, 800)
	grace := open(t, b, "localhost:"+port, "Grace", 390, 844)
	ada.Shows("#log .note", "Grace came in")
	ada.Shows("#count", "2 here")
	grace.Shows("#count", "2 here")

	write(ada, "Good morning, Grace! ☀️")
	grace.Shows(".bubble", "Good morning, Grace!")
	// A text is a text; an address is a link.
	write(ada, `<img src=x onerror="document.title='pwned'"> see https://example.com/a?c=1&d=2, and javascript:alert(1)`)
	grace.Shows(".bubble", "<img src=x")
	if got := grace.Eval(`[...document.querySelectorAll('.bubble a')].map(a => a.href + ' ' + a.rel).join()`); got != "https://example.com/a?c=1&d=2 noopener noreferrer nofollow" {
		t.Errorf("links: %q", got)
	}
	if got := grace.Eval(`document.querySelectorAll('#log img').length + document.title`); got != "0The lobby" {
		t.Errorf("markup came alive: %q", got)
	}
	for i := range 3 {
		write(grace, fmt.Sprintf("I found a moth in relay %d 😄", 70+i))
	}
	ada.Shows(".bubble", "relay 72")
	write(ada, "First actual case of a bug being found.")
	grace.Shows(".bubble", "First actual case")
	ada.Wait("all is sent", func() bool { return !strings.Contains(ada.Text("#log"), "…") })
	ada.Click("#count", "")
	ada.Shows("#people li", "Ada (you)")
	ada.Shows("#people li", "Grace")
	ada.Picture("tencent-chat-laptop", 1280, 800)
	grace.Picture("tencent-chat-phone", 390, 844)
	ada.Eval(`document.documentElement.style.colorScheme = 'dark'`)
	ada.Picture("tencent-chat-laptop-dark", 1280, 800)

	// The server is killed: what is written meanwhile is sent once it is back, and stands there once.
	wire.Lead("")
	s.Kill()
	ada.Shows("#status", "No connection")
	write(ada, "written while away")
	ada.Shows("#log", "Waiting")
	ada.Picture("tencent-chat-away", 1280, 800)
	s = launch(t, data)
	wire.Lead(address(s))
	grace.Shows(".bubble", "written while away")
	ada.Wait("it is sent", func() bool { return !strings.Contains(ada.Text("#log"), "…") })
	for _, p := range []*browser.Page{ada, grace} {
		p.Shows("#count", "2 here")
		p.Lacks("#me", "2") // both have their names again
		if got := p.Text(".bubble"); strings.Count(got, "written while away") != 1 || strings.Count(got, "relay 71") != 1 {
			t.Errorf("the page shows %q", got)
		}
	}
	late := browser.Open(t, b, "http://"+wire.Address+"/", 1000, 700) // another tab of the same browser
	late.Shows(".bubble", "Good morning, Grace!")
	late.Shows("#me", "Ada 2")
	ada.Shows("#count", "3 here")
}

package original

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/e2e/browser"
)

// Where the pages say things.
const (
	mine    = ".barrage-list-content"
	waiting = ".barrage-item-container"
)

// The words of the moderator's page for its modes.
var modes = []string{"无控制", "设置过滤字段", "设置管理员拦截"}

// page is one tab of the app.
type page struct {
	*browser.Page
	t *testing.T
}

// open opens a page of the app and waits for what its scripts make of it.
func open(t *testing.T, b context.Context, url string) *page {
	t.Helper()
	p := browser.Open(t, b, url, 1280, 800)
	p.Do(chromedp.WaitReady("#root > *"))
	return &page{p, t}
}

// note makes the big screen remember what it draws on its canvas.
func (p *page) note() {
	p.t.Helper()
	p.Eval(`(() => { window.drawn = {}; for (const f of ['fillText', 'strokeText']) { const was = CanvasRenderingContext2D.prototype[f];
		CanvasRenderingContext2D.prototype[f] = function (text) { window.drawn[text] = true; return was.apply(this, arguments) } } return '' })()`)
}

func drawn(p *page) string {
	p.t.Helper()
	return p.Eval("Object.keys(window.drawn).join('\\n')")
}

// draws waits until the screen draws a message.
func (p *page) draws(text string) {
	p.t.Helper()
	p.Wait("the screen draws "+text, func() bool { return strings.Contains(drawn(p), text) })
}

// write sends a message as a player does.
func (p *page) write(text string) {
	p.t.Helper()
	p.Do(chromedp.WaitVisible(".barrage-input input"), chromedp.SendKeys(".barrage-input input", text), chromedp.Click(".barrage-btn"))
	p.Shows(mine, text)
}

// choose sets a mode as the moderator does.
func (p *page) choose(mode int) {
	p.t.Helper()
	p.Do(chromedp.Click(".control-container .next-select", chromedp.NodeVisible))
	p.Click(".next-menu-item", modes[mode])
	p.Click(".control-container button", "确认修改")
	p.Click(".next-dialog-footer button", "确认")
}

// registered waits until a screen can be reached.
func registered(t *testing.T, s *server) {
	t.Helper()
	browser.Eventually(t, 20*time.Second, "a message reaches a screen", func() bool {
		_, answer := s.call("POST", "/api/send", `{"message":"probe","fromId":"probe","fromName":"probe","color":"red"}`)
		return answer != "[]"
	})
}

func TestThePublishedAppWorksWithItsOverlay(t *testing.T) {
	app := checkout(t)
	before := sums(t, app)
	s := start(t, app)
	if diff := cmp.Diff(before, sums(t, app)); diff != "" {
		t.Errorf("the application's files changed: %s", diff)
	}
	s.expect("GET", "/api/", "", 200, "Hello ServerlessDevs")
	b := browser.Start(t)
	wall := open(t, b, s.Public[0]+"/")
	wall.note()
	registered(t, s)
	wall.draws("probe说：probe")
	player := open(t, b, s.Public[0]+"/player/")
	moderator := open(t, b, s.Public[0]+"/admin/")

	player.write("straight to the wall")
	wall.draws("说：straight to the wall")

	for _, mode := range []int{2, 1} {
		moderator.choose(mode)
		browser.Eventually(t, 20*time.Second, "the mode is set", func() bool {
			_, status := s.call("GET", "/api/status", "")
			return strings.Contains(status, `"status":`+string(rune('0'+mode)))
		})
		good, bad := "passed in mode "+string(rune('0'+mode)), "rejected in mode "+string(rune('0'+mode))
		player.write(bad)
		moderator.Shows(waiting, bad)
		moderator.Click(waiting+" .btn", "拒绝")
		moderator.Wait("the rejected message is gone", func() bool { return !strings.Contains(moderator.Text(waiting), bad) })
		player.write(good)
		moderator.Shows(waiting, good)
		if strings.Contains(drawn(wall), good) {
			t.Fatalf("mode %d: a message is on the wall before the moderator has seen it", mode)
		}
		moderator.Click(waiting+" .btn", "通过")
		wall.draws("说：" + good)
		if strings.Contains(drawn(wall), bad) {
			t.Fatalf("mode %d: a rejected message is on the wall", mode)
		}
	}

	moderator.choose(0)
	browser.Eventually(t, 20*time.Second, "mode 0", func() bool {
		_, status := s.call("GET", "/api/status", "")
		return strings.Contains(status, `"status":0`)
	})
	player.write("straight again")
	wall.draws("说：straight again")
}

// Without the overlay the app fails as it does on the cloud (aliyun.md 6.5).
func TestThePublishedAppFailsAsPublishedWithoutItsOverlay(t *testing.T) {
	s := start(t, checkout(t), "--no-overlay")
	s.expect("GET", "/api/status", "", 200, `{"id":1,"filterWords":"","status":0}`)
	b := browser.Start(t)
	wall := open(t, b, s.Public[0]+"/")
	wall.note()
	registered(t, s)
	wall.draws("probe说：probe") // mode 0 needs no overlay
	moderator := open(t, b, s.Public[0]+"/admin/")

	// What the moderator's page posts, the SDK cannot encode: the mode never changes.
	s.expect("POST", "/api/status", `{"status":2,"filterWords":[]}`, 500, "")
	s.expect("GET", "/api/status", "", 200, `"status":0`)

	// Set past the page, the mode holds messages in a table whose key has another type.
	s.expect("POST", "/api/status", `{"status":2,"filterWords":" "}`, 200, "")
	s.expect("POST", "/api/send", `{"message":"lost","fromId":"a","fromName":"a","color":"red"}`, 200, "Validate PK type fail")
	s.expect("GET", "/api/barrage", "", 200, "Validate PK type fail")
	if got := moderator.Text(waiting); got != "" {
		t.Errorf("the moderator sees %q", got)
	}
}

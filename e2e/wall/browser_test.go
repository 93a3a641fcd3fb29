package wall

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser starts Chromium once for a test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("no Chromium found: install it (Debian: apt-get install chromium)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("lang", "en"), chromedp.UserDataDir(t.TempDir()))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// page is one tab.
type page struct {
	t   *testing.T
	ctx context.Context
}

// open opens a page in a tab of its own at a size. What its scripts throw fails the test.
func open(t *testing.T, parent context.Context, url string, w, h int64) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("%s: the page threw: %s", url, e.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(w, h), chromedp.Navigate(url), chromedp.WaitReady("body"))
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.fail(err)
	}
}

// fail ends the test with a picture of how the page looks.
func (p *page) fail(err error) {
	p.t.Helper()
	if png, e := chromedp.Run(p.ctx, chromedp.CaptureScreenshot()); e == nil {
		os.MkdirAll("../out", 0o755)
		os.WriteFile("../out/failed.png", png, 0o644)
	}
	p.t.Fatal(err)
}

// text is what the elements of a selector say, a line each.
func (p *page) text(selector string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => e.textContent).join('\\n')", selector)))
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// shows waits until an element says something.
func (p *page) shows(selector, want string) {
	p.t.Helper()
	eventually(p.t, 20*time.Second, fmt.Sprintf("%s shows %q", selector, want), func() bool { return strings.Contains(p.text(selector), want) })
}

// lacks makes sure that no element of a selector says something now.
func (p *page) lacks(selector, text string) {
	p.t.Helper()
	if got := p.text(selector); strings.Contains(got, text) {
		p.t.Fatalf("%s shows %q", selector, text)
	}
}

// click clicks the first element of a selector that says a text, once it is there.
func (p *page) click(selector, says string) {
	p.t.Helper()
	expr := fmt.Sprintf("(() => { const e = [...document.querySelectorAll(%q)].find(e => e.textContent.includes(%q)); e?.click(); return !!e })()", selector, says)
	eventually(p.t, 20*time.Second, fmt.Sprintf("click %s %q", selector, says), func() bool {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expr))
		if err != nil {
			p.t.Fatal(err)
		}
		return ok
	})
}

// picture writes a screenshot for people to look at (and for the README) under e2e/out.
func (p *page) picture(name string, w, h int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(w, h))
	time.Sleep(700 * time.Millisecond) // for the eye: transitions end, danmaku fly in
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll("../out", 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("../out", name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
	if len(png) < 5000 {
		p.t.Errorf("%s: a screenshot of %d bytes shows nothing", name, len(png))
	}
}

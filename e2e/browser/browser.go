// Package browser looks at pages as people do, in Chromium: for the tests of the apps.
package browser

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

// patience is how long a page may take for what a test waits for.
const patience = time.Minute

// out is where pictures go, seen from a package below e2e.
const out = "../out"

// Start starts Chromium once for a test. It ends with the test.
func Start(t *testing.T) context.Context {
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
		chromedp.Flag("disable-sync", true), chromedp.Flag("lang", "en"))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(func() {
		stop()
		chromedp.FromContext(alloc).Allocator.Wait() // until it has ended, all its processes too, and its folder is gone
	})
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// Page is one tab. Its methods end the test, with a picture of the page, when what they want does not
// come about in time.
type Page struct {
	t   *testing.T
	ctx context.Context
}

// Open opens an address in a tab of its own, w by h pixels. What its scripts throw fails the test.
func Open(t *testing.T, browser context.Context, url string, w, h int64) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &Page{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("%s: the page threw: %s", url, e.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.EmulateViewport(w, h), chromedp.Navigate(url), chromedp.WaitReady("body"))
	return p
}

// Do does what a person would.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.failed()
		p.t.Fatal(err)
	}
}

// Eval is the value of an expression, a string.
func (p *Page) Eval(expr string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[string](expr))
	if err != nil {
		p.failed()
		p.t.Fatalf("%s: %v", expr, err)
	}
	return v
}

// Text is what the elements of a selector say, a line each.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return p.Eval(fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => e.textContent).join('\\n')", selector))
}

// Shows waits until an element says something.
func (p *Page) Shows(selector, want string) {
	p.t.Helper()
	p.Wait(fmt.Sprintf("%s shows %q", selector, want), func() bool { return strings.Contains(p.Text(selector), want) })
}

// Lacks makes sure that no element of a selector says something now.
func (p *Page) Lacks(selector, text string) {
	p.t.Helper()
	if got := p.Text(selector); strings.Contains(got, text) {
		p.failed()
		p.t.Fatalf("%s shows %q", selector, text)
	}
}

// Click clicks the first element of a selector that says a text, spaces aside, once it is there.
func (p *Page) Click(selector, says string) {
	p.t.Helper()
	expr := fmt.Sprintf(`(() => { const bare = (s) => s.replace(/\s/g, ''); const e = [...document.querySelectorAll(%q)].find(e => bare(e.textContent).includes(bare(%q))); e?.click(); return String(!!e) })()`, selector, says)
	p.Wait(fmt.Sprintf("click %s %q", selector, says), func() bool { return p.Eval(expr) == "true" })
}

// Wait is Eventually, with a picture of what is there instead.
func (p *Page) Wait(what string, ok func() bool) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.failed()
		}
	}()
	Eventually(p.t, patience, what, ok)
}

// Picture writes a screenshot, w by h pixels, for people to look at (and for the README) under e2e/out.
func (p *Page) Picture(name string, w, h int64) {
	p.t.Helper()
	p.Do(chromedp.EmulateViewport(w, h))
	time.Sleep(700 * time.Millisecond) // for the eye: transitions end, danmaku fly in
	png, err := p.save(name)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(png) < 5000 {
		p.t.Errorf("%s: a screenshot of %d bytes shows nothing", name, len(png))
	}
}

// failed shows how a page looks when a test fails.
func (p *Page) failed() {
	p.t.Helper()
	if _, err := p.save(strings.ReplaceAll(p.t.Name(), "/", "-") + "-failed"); err != nil {
		p.t.Log(err)
	}
}

func (p *Page) save(name string) ([]byte, error) {
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(out, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(out, name+".png"), png, 0o644)
	}
	return png, err
}

// Eventually waits for a condition, which is asked every 20 ms.
func Eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", limit, what)
		}
	}
}

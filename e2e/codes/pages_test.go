package codes

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sluicehq/sluice/e2e/browser"
)

// TestAdministrationInABrowser walks through a campaign's life: it is made, its codes are made with a
// progress bar, imported, found, used by somebody on the other page, revoked, exported; the trail tells.
func TestAdministrationInABrowser(t *testing.T) {
	s := start(t, "")
	b := browser.Start(t)
	p := browser.Open(t, b, s.URL("/admin/"), 1440, 900)
	p.Do(chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", "a guess"), chromedp.Click("form button.primary"))
	p.Shows("[role=alert]", "Wrong password")
	p.Picture("codes-login-laptop", 1440, 900)
	p.Do(chromedp.Reload(), chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", adminPassword), chromedp.Click("form button.primary"))
	p.Do(chromedp.WaitVisible(".desk"))

	p.Click("button", "New campaign")
	p.Do(chromedp.WaitVisible("input[name=name]"), chromedp.SendKeys("input[name=name]", "Summer sale"), chromedp.SendKeys("input[name=prefix]", "summer"),
		chromedp.SendKeys("input[name=value]", "10% off everything"), chromedp.SetValue("input[name=perUser]", "1"))
	p.Picture("codes-new-laptop", 1440, 900)
	p.Click("form button", "Create campaign")
	p.Shows(".title h2", "Summer sale")

	p.Click(".tabs button", "Make codes")
	p.Do(chromedp.WaitVisible("input[name=num]"), chromedp.SetValue("input[name=num]", "60000"), chromedp.Click("form button.primary"))
	p.Do(chromedp.WaitVisible("[role=progressbar]"))
	p.Wait("the bar moves", func() bool {
		return p.Eval("document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow') ?? '100'") > "0"
	})
	p.Picture("codes-progress-laptop", 1440, 900)
	p.Shows(".tiles", "60,000")

	file := filepath.Join(t.TempDir(), "old.csv")
	var text strings.Builder
	text.WriteString("code,start,end\n")
	for i := range 3000 {
		fmt.Fprintf(&text, "OLD-%05d,2020-01-01,2090-01-01\n", i)
	}
	text.WriteString("not a code\n")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Click(".tabs button", "Import & export")
	p.Do(chromedp.WaitVisible("input[type=file]"), chromedp.SetUploadFiles("input[type=file]", []string{file}))
	p.Click("form button", "Import")
	p.Shows(".result", "3,000 codes added, 1 line left out")
	p.Shows("li", "Line 3002")
	p.Shows(".tiles", "63,000")
	p.Click(".card button", "Export")
	p.Shows(".result", "63,000 codes exported")
	p.Picture("codes-transfer-laptop", 1440, 900)

	// Somebody uses one.
	id := p.Eval("location.hash.slice(2)")
	var found struct{ Codes []struct{ Code string } }
	s.must("GET", "/api/campaigns/"+id+"/codes?after=P&limit=1", nil, &found) // the imported ones come before
	code := found.Codes[0].Code
	phone := browser.Open(t, b, s.URL("/"), 390, 844)
	wrong := code[:len(code)-1] + "0" // one other character is always noticed, two are but 31 times in 32
	if strings.HasSuffix(code, "0") {
		wrong = code[:len(code)-1] + "1"
	}
	phone.Do(chromedp.WaitVisible("#code"), chromedp.SendKeys("#code", wrong), chromedp.Click("#use"))
	phone.Shows("#told", "typing error")
	phone.Do(chromedp.SetValue("#code", strings.ToLower(strings.ReplaceAll(code, "-", " "))), chromedp.SendKeys("#user", "ann@example.org"), chromedp.Click("#use"))
	phone.Shows("#told", "Summer sale: 10% off everything")
	phone.Picture("codes-redeem-phone", 390, 844)
	phone.Do(chromedp.Click("#check"))
	phone.Shows("#told", "was used")
	phone.Picture("codes-redeem-laptop", 1280, 800)

	list := s.codes("/api/campaigns/"+id, 100)
	for i := range 45 { // a week's life, for the pictures
		if _, _, err := s.send(http.DefaultClient, "POST", "/api/use", map[string]string{"code": list[2*i+1], "user": fmt.Sprint("user-", i, "@example.org")}, ""); err != nil {
			t.Fatal(err)
		}
	}
	p.Do(chromedp.Reload(), chromedp.WaitVisible(".tiles"))
	p.Shows(".tag", "used")
	p.Click("td button", "Revoke")
	p.Shows(".tag", "revoked")
	p.Picture("codes-admin-laptop", 1440, 900)
	p.Picture("codes-admin-phone", 390, 844)
	p.Eval("document.documentElement.style.colorScheme = 'dark'")
	p.Picture("codes-dark-laptop", 1440, 900)
	p.Eval("document.documentElement.style.colorScheme = ''")
	p.Click(".tabs button", "Settings")
	p.Do(chromedp.WaitVisible("input[name=total]"))
	p.Picture("codes-settings-phone", 390, 844)
	p.Click(".tabs button", "Jobs")
	p.Shows("td", "Import")
	p.Click("button", "Audit trail")
	p.Shows("td", "create campaign")
	p.Shows("td", "revoke")
	p.Picture("codes-audit-laptop", 1440, 900)
	p.Click("button", "Log out")
	p.Do(chromedp.WaitVisible("#password"))
}

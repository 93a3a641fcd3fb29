package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
	"github.com/sluicehq/sluice/apps/codes/internal/codestest"
)

// site is the API over a book in memory, and an administrator's cookie.
type site struct {
	http.Handler
	cookie string
}

func newSite(t *testing.T) *site {
	t.Helper()
	b := codes.New(codes.Options{Store: codestest.New(), AdminPassword: "pass", Log: slog.New(slog.DiscardHandler)})
	if err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &site{Handler: routes(b)}
	rec := s.send(t, "POST", "/login", `{"password":"pass"}`)
	if rec.Code != 200 {
		t.Fatal(rec.Code, rec.Body)
	}
	s.cookie = rec.Result().Cookies()[0].Value
	return s
}

// send makes a request; head are pairs of headers.
func (s *site) send(t *testing.T, method, path, body string, head ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

// admin makes a request of our page and decodes the answer.
func (s *site) admin(t *testing.T, method, path, body string, head ...string) (int, map[string]any) {
	t.Helper()
	rec := s.send(t, method, path, body, append(head, "Cookie", "codes="+s.cookie, "X-Codes", "1")...)
	var v map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s %s answered %d %q", method, path, rec.Code, rec.Body)
	}
	return rec.Code, v
}

func TestAdministratorsRoutesNeedASession(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ method, path string }{
		{"GET", "/session"}, {"GET", "/campaigns"}, {"POST", "/campaigns"}, {"PATCH", "/campaigns/classic"}, {"GET", "/campaigns/classic/export"},
		{"POST", "/campaigns/classic/generate"}, {"POST", "/campaigns/classic/import"}, {"POST", "/campaigns/classic/revoke"}, {"GET", "/audit"},
		{"GET", "/codes/x"}, {"DELETE", "/codes/x"}, {"POST", "/codes/x/revoke"}, {"GET", "/campaigns/classic/jobs"}, {"POST", "/campaigns/classic/jobs/x/work"},
	} {
		heads := [][]string{nil, {"Cookie", "codes=1.2.3", "X-Codes", "1"}, {"Authorization", "Bearer " + s.cookie + "0"}}
		if c.method != "GET" { // what another site's form could send
			heads = append(heads, []string{"Cookie", "codes=" + s.cookie})
		}
		for _, head := range heads {
			if rec := s.send(t, c.method, c.path, "{}", head...); rec.Code != 401 || !strings.Contains(rec.Body.String(), "unauthorized") {
				t.Errorf("%s %s with %v: %d %s", c.method, c.path, head, rec.Code, rec.Body)
			}
		}
	}
	if rec := s.send(t, "POST", "/login", `{"password":"guess"}`); rec.Code != 401 {
		t.Error(rec.Code)
	}
	if rec := s.send(t, "GET", "/campaigns", "", "Authorization", "Bearer "+s.cookie); rec.Code != 200 {
		t.Error("a bearer token:", rec.Code)
	}
}

func TestACampaignsWayThroughTheAPI(t *testing.T) {
	s := newSite(t)
	const body = `{"name":"Summer sale","type":"coupon","prefix":"SUMMER","value":"10% off","perUser":1}`
	status, c := s.admin(t, "POST", "/campaigns", body, "Idempotency-Key", "k")
	if status != 200 {
		t.Fatal(status, c)
	}
	at := "/campaigns/" + c["id"].(string)
	if _, again := s.admin(t, "POST", "/campaigns", body, "Idempotency-Key", "k"); again["id"] != c["id"] {
		t.Error("the key made another", again)
	}
	for range 2 {
		if status, j := s.admin(t, "POST", at+"/generate", `{"num":450}`, "Idempotency-Key", "k"); status != 200 || j["state"] != "done" || j["made"] != 450.0 {
			t.Fatal(status, j)
		}
	}
	_, page := s.admin(t, "GET", at+"/codes?limit=2", "")
	list := page["codes"].([]any)
	if len(list) != 2 || page["more"] != true {
		t.Fatal(page)
	}
	code := list[0].(map[string]any)["code"].(string)
	use := func(user, key string) (int, string) {
		rec := s.send(t, "POST", "/use", fmt.Sprintf(`{"code":%q,"user":%q}`, strings.ToLower(code), user), "Idempotency-Key", key)
		return rec.Code, rec.Body.String()
	}
	for _, c := range []struct {
		user, key, says string
		status          int
	}{{"ann", "1", `"value":"10% off"`, 200}, {"ann", "1", `"again":true`, 200}, {"bob", "2", `"used"`, 409}, {"ann", "", `"used"`, 409}} {
		if status, body := use(c.user, c.key); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%+v: %d %s", c, status, body)
		}
	}
	if rec := s.send(t, "POST", "/query", fmt.Sprintf(`{"code":%q}`, code)); !strings.Contains(rec.Body.String(), "ACTIVED") || strings.Contains(rec.Body.String(), "ann") {
		t.Error("the public sees", rec.Body)
	}
	if _, got := s.admin(t, "GET", "/codes/"+code, ""); got["user"] != "ann" {
		t.Error("the administrator sees", got)
	}
	rec := s.send(t, "GET", at+"/export?state=actived&limit=10", "", "Cookie", "codes="+s.cookie)
	if rec.Code != 200 || strings.Count(rec.Body.String(), "\n") != 2 || rec.Header().Get("X-Next") != "" {
		t.Error(rec.Code, rec.Body)
	}
	if status, in := s.admin(t, "POST", at+"/import", "code\nOLD-1\nOLD 2\n", "Content-Type", "application/x-www-form-urlencoded"); status != 200 || in["added"] != 1.0 || in["count"] != 1.0 {
		t.Error(status, in)
	}
	if status, c := s.admin(t, "PATCH", at, `{"paused":true,"end":"2099-01-01"}`); status != 200 || c["paused"] != true {
		t.Error(status, c)
	}
	if _, st := s.admin(t, "GET", at+"/statistics?exact=1", ""); st["codes"] != 451.0 || st["used"] != 1.0 {
		t.Error(st)
	}
	_, trail := s.admin(t, "GET", "/audit", "")
	var actions []string
	for _, d := range trail["audit"].([]any) {
		actions = append(actions, d.(map[string]any)["action"].(string))
	}
	if got := strings.Join(actions, ", "); got != "change campaign, import, export, generate done, generate, create campaign, login" {
		t.Error(got)
	}
}

func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ method, path, body, says string }{
		{"POST", "/campaigns", `{`, "JSON"}, {"POST", "/campaigns", `{"nmae":"x"}`, "nmae"}, {"POST", "/campaigns", `{"name":"x","type":"toy"}`, "gift"},
		{"POST", "/campaigns/classic/generate", `{"num":1.5}`, "JSON"}, {"POST", "/campaigns/classic/generate", `{"num":0}`, "num is"},
		{"POST", "/campaigns/none/generate", `{"num":1}`, "no campaign"}, {"GET", "/campaigns/none/statistics", ``, "no campaign"},
		{"GET", "/campaigns/classic/codes?limit=x", ``, "limit"}, {"GET", "/campaigns/classic/export?limit=1000000", ``, "limit"},
		{"PATCH", "/campaigns/classic", `{"end":"later"}`, "a time like"}, {"GET", "/campaigns/classic/jobs/none", ``, "no job"},
		{"POST", "/campaigns/classic/import?line=x", ``, "line"}, {"GET", "/codes/none", ``, "no such code"}, {"POST", "/campaigns/classic/generate?wait=100", `{"num":1}`, "wait"},
	} {
		status, v := s.admin(t, c.method, c.path, c.body)
		if text, _ := v["message"].(string); status < 400 || status > 404 || !strings.Contains(text, c.says) {
			t.Errorf("%s %s %s: %d %v", c.method, c.path, c.body, status, v)
		}
	}
}

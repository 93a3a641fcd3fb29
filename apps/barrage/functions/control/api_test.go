package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
	"github.com/sluicehq/sluice/apps/barrage/internal/walltest"
)

// site is the API over a wall in memory, and a moderator's session.
type site struct {
	http.Handler
	token string
}

func newSite(t *testing.T) *site {
	t.Helper()
	w := wall.New(wall.Options{Store: walltest.New(), AdminPassword: "pass", Rate: 60})
	t.Cleanup(w.Close)
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &site{Handler: routes(w)}
	status, body := s.call(t, "", "POST", "/login", `{"password":"pass"}`)
	if status != 200 {
		t.Fatal(status, body)
	}
	s.token = body["token"].(string)
	return s
}

// call makes a request and decodes an answer that is a JSON object.
func (s *site) call(t *testing.T, token, method, path, body string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if strings.Contains(body, "=") && !strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	var v map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s %s answered %d %q", method, path, rec.Code, rec.Body)
	}
	return rec.Code, v
}

func TestModeratorsRoutesNeedASession(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/session", ""}, {"POST", "/status", `{"status":0}`}, {"GET", "/barrage", ""}, {"PUT", "/barrage", `{"ids":[1],"checkStatus":1}`},
		{"GET", "/barrage/1", ""}, {"PUT", "/barrage/1", `{"checkStatus":1}`}, {"DELETE", "/barrage/1", ""}, {"POST", "/screen", `{"action":"clear"}`},
	} {
		for _, token := range []string{"", "1.2.3", s.token + "0"} {
			if status, body := s.call(t, token, c.method, c.path, c.body); status != 401 || body["error"] != "unauthorized" {
				t.Errorf("%s %s with token %q: %d %v", c.method, c.path, token, status, body)
			}
		}
	}
}

func TestWordListIsForModeratorsOnly(t *testing.T) {
	s := newSite(t)
	if status, _ := s.call(t, s.token, "POST", "/status", `status=1&filterWords=bad`); status != 200 {
		t.Fatal(status)
	}
	if _, body := s.call(t, "", "GET", "/status", ""); body["filterWords"] != "" || body["status"] != 1.0 || body["id"] != 1.0 {
		t.Errorf("the public sees %v", body)
	}
	if _, body := s.call(t, s.token, "GET", "/status", ""); body["filterWords"] != "bad" {
		t.Errorf("moderators see %v", body)
	}
}

func TestAMessagesWayThroughTheAPI(t *testing.T) {
	s := newSite(t)
	s.call(t, s.token, "POST", "/status", `{"status":2}`)
	status, sent := s.call(t, "", "POST", "/send", `{"message":"hi","fromId":"p1","fromName":"Ann","cid":"c1","fontSize":"28px","color":"red"}`)
	if status != 200 || sent["checkStatus"] != 0.0 || sent["cid"] != "c1" {
		t.Fatal(status, sent)
	}
	id := fmt.Sprintf("%.0f", sent["id"])
	_, all := s.call(t, s.token, "GET", "/barrage?checkStatus=0", "")
	m, ok := all["1,"+id].(map[string]any)
	if !ok || m["message"] != "hi" || m["fromName"] != "Ann" || m["gid"] != 1.0 || m["checkStatus"] != 0.0 {
		t.Fatalf("the list is %v", all)
	}
	if status, m := s.call(t, s.token, "PUT", "/barrage/"+id, `{"checkStatus":1}`); status != 200 || m["checkStatus"] != 1.0 {
		t.Fatal(status, m)
	}
	if status, body := s.call(t, s.token, "PUT", "/barrage/"+id, `{"checkStatus":2}`); status != 409 || body["error"] != "decided" {
		t.Fatal(status, body)
	}
	if _, body := s.call(t, "", "POST", "/receipts", `{"fromId":"p1","cids":["c1"]}`); fmt.Sprint(body["receipts"]) == "[]" {
		t.Fatal(body)
	}
	if _, body := s.call(t, "", "GET", "/wall?recent=10", ""); len(body["recent"].([]any)) != 1 {
		t.Fatal(body)
	}
	if status, _ := s.call(t, s.token, "DELETE", "/barrage/"+id, ""); status != 200 {
		t.Fatal(status)
	}
	if status, _ := s.call(t, s.token, "GET", "/barrage/"+id, ""); status != 404 {
		t.Fatal(status)
	}
}

func TestRefusalsSayWhyAndWhen(t *testing.T) {
	s := newSite(t)
	for i := range 10 {
		if status, body := s.call(t, "", "POST", "/send", fmt.Sprintf(`{"message":"%d","fromId":"p1"}`, i)); status != 200 {
			t.Fatal(status, body)
		}
	}
	status, body := s.call(t, "", "POST", "/send", `{"message":"x","fromId":"p1"}`)
	if after, _ := body["retryAfter"].(float64); status != 429 || body["error"] != "slow" || after <= 0 || after > 1 {
		t.Errorf("too fast: %d %v", status, body)
	}
	for _, c := range []struct{ path, body string }{
		{"/send", `{`}, {"/send", ``}, {"/send", `{"message":"","fromId":"p2"}`}, {"/send", `{"message":{},"fromId":"p2"}`},
		{"/like", `{"fromId":"p2","count":0}`}, {"/send", `{"message":"` + strings.Repeat("x", 300<<10) + `"}`},
	} {
		if status, body := s.call(t, "", "POST", c.path, c.body); status != 400 || body["error"] != "invalid" {
			t.Errorf("%s %.40s: %d %v", c.path, c.body, status, body)
		}
	}
}

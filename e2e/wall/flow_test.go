package wall

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/e2e/browser"
)

// frame is one thing that a page is told; a push carries one or an array of them.
type frame struct {
	Type     string `json:"type"`
	ID       int64  `json:"id"`
	From     string `json:"from"`
	FromName string `json:"fromName"`
	Message  string `json:"message"`
}

// next waits for the next frame of a type and returns it; frames of other types are dropped. Frames of
// one push that follow it stay for the next call.
func (d *device) next(kind string) frame {
	d.t.Helper()
	for {
		for len(d.frames) > 0 {
			f := d.frames[0]
			d.frames = d.frames[1:]
			if f.Type == kind {
				return f
			}
		}
		text := strings.TrimPrefix(d.expect("NF#"), "NF#")
		if strings.HasPrefix(text, "[") {
			if err := json.Unmarshal([]byte(text), &d.frames); err != nil {
				d.t.Fatalf("push %s: %v", text, err)
			}
			continue
		}
		var f frame
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			d.t.Fatalf("push %s: %v", text, err)
		}
		d.frames = append(d.frames, f)
	}
}

// admin is an HTTP client with a moderator's session.
func (s *server) admin() *http.Client {
	s.t.Helper()
	var login struct{ Token string }
	if _, err := s.call(http.DefaultClient, "POST", "/api/login", map[string]string{"password": adminPassword}, &login); err != nil {
		s.t.Fatal(err)
	}
	s.token = login.Token
	return &http.Client{Transport: withToken(login.Token)}
}

type withToken string

func (t withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+string(t))
	return http.DefaultTransport.RoundTrip(r)
}

func (s *server) set(admin *http.Client, settings map[string]any) {
	s.t.Helper()
	if _, err := s.call(admin, "POST", "/api/status", settings, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) say(player, cid, text string) (id int64, err error) {
	var r struct{ ID int64 }
	_, err = s.call(http.DefaultClient, "POST", "/api/send", map[string]string{
		"message": text, "fromId": player, "fromName": player, "cid": cid, "color": "#ffffff", "fontSize": "28px"}, &r)
	return r.ID, err
}

func TestThousandMessagesArriveInOrderOfEachPlayer(t *testing.T) {
	s := start(t, "")
	s.set(s.admin(), map[string]any{"status": 0, "rate": 0})
	screen := connect(t, s, "screen-1", "screen")
	const players, each = 4, 250
	var wg sync.WaitGroup
	for p := range players {
		wg.Go(func() {
			name := fmt.Sprintf("player-%d", p)
			for i := range each {
				if _, err := s.say(name, fmt.Sprintf("c%d", i), fmt.Sprintf("%d", i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[string]int{}
	for range players * each {
		f := screen.next("message")
		if want := fmt.Sprint(seen[f.From]); f.Message != want {
			t.Fatalf("%s: message %s came, want %s", f.From, f.Message, want)
		}
		seen[f.From]++
	}
	wg.Wait()
}

func TestModerationModes(t *testing.T) {
	s := start(t, "")
	admin := s.admin()
	screens := []*device{connect(t, s, "screen-1", "screen"), connect(t, s, "screen-2", "screen")}
	moderator := connect(t, s, "admin-1", "admin")

	// Mode 0: straight to every screen.
	s.set(admin, map[string]any{"status": 0, "rate": 0})
	s.say("ann", "1", "hello wall")
	for _, sc := range screens {
		if f := sc.next("message"); f.Message != "hello wall" {
			t.Fatalf("mode 0 showed %q", f.Message)
		}
	}
	// Mode 2: held until a moderator passes it; a rejected one never comes.
	s.set(admin, map[string]any{"status": 2})
	no, _ := s.say("ann", "2", "not this")
	yes, _ := s.say("ann", "3", "but this")
	for _, want := range []string{"not this", "but this"} {
		if f := moderator.next("waiting"); f.Message != want {
			t.Fatalf("moderator was shown %q, want %q", f.Message, want)
		}
	}
	for id, status := range map[int64]int{no: 2, yes: 1} {
		if _, err := s.call(admin, "PUT", fmt.Sprintf("/api/barrage/%d", id), map[string]int{"checkStatus": status}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, sc := range screens {
		if f := sc.next("message"); f.Message != "but this" {
			t.Fatalf("mode 2 showed %q", f.Message)
		}
	}
	// Mode 1: words are masked, in other cases and widths too.
	s.set(admin, map[string]any{"status": 1, "filterWords": "darn", "action": "mask"})
	s.say("ann", "4", "oh ＤＡＲＮ it")
	if f := screens[0].next("message"); f.Message != "oh **** it" {
		t.Fatalf("mode 1 showed %q", f.Message)
	}
	// Mode 1, hold: what has a word waits.
	s.set(admin, map[string]any{"status": 1, "filterWords": "darn", "action": "hold"})
	s.say("ann", "5", "d a r n")
	if f := moderator.next("waiting"); f.Message != "d a r n" {
		t.Fatalf("mode 1 held %q", f.Message)
	}
	// A stranger may not moderate.
	if code, err := s.call(http.DefaultClient, "PUT", fmt.Sprintf("/api/barrage/%d", yes), map[string]int{"checkStatus": 2}, nil); code != 401 && code != 403 {
		t.Fatalf("without a session: %d %v", code, err)
	}
	if code, _ := s.call(http.DefaultClient, "POST", "/api/login", map[string]string{"password": "guess"}, nil); code != 401 && code != 403 {
		t.Fatalf("login with a guess: %d", code)
	}
}

func TestScreenThatLeavesIsUnregistered(t *testing.T) {
	s := start(t, "")
	connect(t, s, "stays", "screen")
	leaves := connect(t, s, "leaves", "screen")
	browser.Eventually(t, patience, "two devices", func() bool { return len(devices(t, s)) == 2 })
	leaves.vanish()
	browser.Eventually(t, patience, "one device", func() bool {
		d := devices(t, s)
		return len(d) == 1 && d["stays"]
	})
}

// devices reads the equipment table as an operator does.
func devices(t *testing.T, s *server) map[string]bool {
	t.Helper()
	out, err := s.Sluice("table", "export", "barrage/equipment")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for sc := bufio.NewScanner(strings.NewReader(out)); sc.Scan(); {
		var row struct{ Key []string }
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		got[row.Key[0]] = true
	}
	return got
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	s := start(t, "")
	s.set(s.admin(), map[string]any{"status": 0, "rate": 0})
	for i := range 5 {
		connect(t, s, fmt.Sprintf("lost-%d", i), "screen")
	}
	// Players send until the server dies under them.
	var mu sync.Mutex
	acked := map[int64]string{}
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("p%d-%d", p, i)
				id, err := s.say(fmt.Sprintf("player-%d", p), text, text)
				if err != nil {
					return
				}
				mu.Lock()
				acked[id] = text
				mu.Unlock()
			}
		})
	}
	browser.Eventually(t, patience, "100 acknowledged messages", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acked) >= 100
	})
	s.Kill()
	wg.Wait()

	again := start(t, s.Data)
	out, err := again.Sluice("table", "export", "barrage/barrage")
	if err != nil {
		t.Fatal(err)
	}
	stored := map[int64]string{}
	for sc := bufio.NewScanner(strings.NewReader(out)); sc.Scan(); {
		var row struct {
			Key     []int64
			Columns struct{ Message string }
		}
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		stored[row.Key[1]] = row.Columns.Message
	}
	for id, text := range acked {
		if stored[id] != text {
			t.Errorf("message %d %q was acknowledged and is %q after the restart", id, text, stored[id])
		}
	}
	// unregister has run for every connection that was lost.
	browser.Eventually(t, patience, "no device left", func() bool { return len(devices(t, again)) == 0 })
	again.Stop()
}

func TestSecondStartFindsItsData(t *testing.T) {
	s := start(t, "")
	s.set(s.admin(), map[string]any{"status": 2})
	s.say("ann", "1", "kept")
	s.Stop()
	again := start(t, s.Data)
	var state struct{ Status int }
	if _, err := again.call(again.admin(), "GET", "/api/status", nil, &state); err != nil || state.Status != 2 {
		t.Fatalf("status after a restart: %d, %v", state.Status, err)
	}
	var found map[string]struct{ Message string }
	if _, err := again.call(again.admin(), "GET", "/api/barrage", nil, &found); err != nil || len(found) != 1 {
		t.Fatalf("messages after a restart: %v, %v", found, err)
	}
	again.Stop()
}

package codes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/browser"
)

// TestOfAThousandClientsOneUsesTheCode lets 1,000 clients use one code at once, in a campaign without limits
// and in one with both; then once more while the server is killed and started again. Every client insists
// until it has an answer.
func TestOfAThousandClientsOneUsesTheCode(t *testing.T) {
	s := start(t, "")
	plain := s.campaign(map[string]any{"name": "Plain", "type": "gift"})
	limited := s.campaign(map[string]any{"name": "Limited", "type": "gift", "perUser": 1, "total": 3})
	for _, c := range []string{plain, limited} {
		s.must("POST", c+"/generate", map[string]any{"num": 3}, nil)
	}
	var now atomic.Pointer[server] // nil while it is away: its port may be somebody else's then
	now.Store(s)
	stampede := func(code string, kill bool) {
		t.Helper()
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 200, MaxIdleConnsPerHost: 200}}
		defer client.CloseIdleConnections()
		var won, answered atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				user := fmt.Sprint("client-", i)
				for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
					s := now.Load()
					if s == nil {
						continue
					}
					status, body, err := s.send(client, "POST", "/api/use", map[string]string{"code": code, "user": user}, "key-"+user)
					if err == nil && status == 200 {
						won.Add(1)
						winner.Store(user)
					} else if err != nil || status != 409 || !strings.Contains(string(body), `"used"`) {
						if time.Now().Before(end) {
							continue
						}
						t.Errorf("%s: %d %s %v", user, status, body, err)
					}
					answered.Add(1)
					return
				}
			})
		}
		if kill {
			browser.Eventually(t, 4*time.Minute, "the stampede has begun", func() bool { return answered.Load() > 100 })
			dying := now.Swap(nil)
			dying.Kill()
			now.Store(start(t, dying.Data))
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 1,000 clients have used the code", won.Load())
			return
		}
		var c struct{ State, User string }
		now.Load().must("GET", "/api/codes/"+code, nil, &c)
		if c.State != "ACTIVED" || c.User != winner.Load() {
			t.Errorf("the code is %v, the winner %v", c, winner.Load())
		}
	}
	for _, c := range []string{plain, limited} {
		list := s.codes(c, 3)
		stampede(list[0], false)
		stampede(list[1], true)
		// Killed before anybody has an answer: whoever was decided hears of it by asking again.
		var st struct{ Used int64 }
		now.Load().must("GET", c+"/statistics?exact=1", nil, &st)
		if st.Used != 2 {
			t.Errorf("%d codes are used", st.Used)
		}
		s = now.Load()
		s.t = t
	}
}

// TestAHundredThousandCodesSurviveAKill makes 100,000 codes; the soak makes a million.
func TestAHundredThousandCodesSurviveAKill(t *testing.T) { makeCodes(t, 100_000) }

func TestSoakAMillionCodesSurviveAKill(t *testing.T) {
	if os.Getenv("SLUICE_SOAK") == "" {
		t.Skip("takes minutes: make soak runs it")
	}
	makeCodes(t, 1_000_000)
}

// makeCodes makes codes in one campaign, kills the server in the middle, and expects each code once.
func makeCodes(t *testing.T, num int64) {
	s := start(t, "")
	c := s.campaign(map[string]any{"name": "Many", "type": "activation", "prefix": "MANY"})
	begun := time.Now()
	var j job
	status, b, err := s.send(http.DefaultClient, "POST", c+"/generate?wait=0", map[string]any{"num": num}, "the-order")
	if err != nil || status != 200 || json.Unmarshal(b, &j) != nil {
		t.Fatal(status, string(b), err)
	}
	for last := int64(-1); j.Made < num/3; {
		s.must("POST", c+"/jobs/"+j.ID+"/work?wait=1", nil, &j)
		if j.Made < last || j.State != "running" {
			t.Fatal("progress", j)
		}
		last = j.Made
	}
	// Killed while it works.
	dying := make(chan struct{})
	go func() {
		defer close(dying)
		s.send(http.DefaultClient, "POST", c+"/jobs/"+j.ID+"/work?wait=30", nil, "") // its end is the kill's doing
	}()
	browser.Eventually(t, 4*time.Minute, "the job moves", func() bool {
		var now job
		s.must("GET", c+"/jobs/"+j.ID, nil, &now)
		return now.Made > j.Made
	})
	s.Kill()
	<-dying
	s = start(t, s.Data)
	// The same order again is the same job, and it goes on where it was.
	status, b, err = s.send(http.DefaultClient, "POST", c+"/generate?wait=0", map[string]any{"num": num}, "the-order")
	var again job
	if err != nil || status != 200 || json.Unmarshal(b, &again) != nil || again.ID != j.ID || again.Made < j.Made {
		t.Fatal(status, string(b), err)
	}
	for again.State == "running" {
		s.must("POST", c+"/jobs/"+j.ID+"/work?wait=5", nil, &again)
	}
	took := time.Since(begun)
	if again.State != "done" || again.Made != num {
		t.Fatal(again)
	}
	most := functionMemory(t, s.Cmd.Process.Pid)
	// All at once is refused where it does not fit one answer.
	if status, b, err := s.send(http.DefaultClient, "GET", c+"/export", nil, ""); err != nil || (status == 200) != (num <= 100_000) {
		t.Errorf("an export of all: %d %.300s %v", status, b, err)
	}
	var n int64
	last := ""
	for after := ""; n <= num; after = last {
		status, part, err := s.send(http.DefaultClient, "GET", c+"/export?limit=50000&after="+after, nil, "")
		if err != nil || status != 200 {
			t.Fatalf("%d %.300s %v", status, part, err)
		}
		before := n
		for line := range strings.Lines(string(part)) {
			code, _, _ := strings.Cut(line, ",")
			if code == "code" {
				continue
			}
			if n++; code <= last { // they come in order: an equal one would be a duplicate
				t.Fatalf("%q after %q", code, last)
			}
			last = code
		}
		if n == before {
			break
		}
	}
	if n != num {
		t.Errorf("%d codes in the export, want %d", n, num)
	}
	t.Logf("%d codes in %v with a kill, %.0f a second; the functions needed at most %d MB before and %d MB after the export",
		num, took.Round(time.Second), float64(num)/took.Seconds(), most>>20, functionMemory(t, s.Cmd.Process.Pid)>>20)
	if most > 80<<20 {
		t.Errorf("a function needed %d MB", most>>20)
	}
}

// functionMemory is the most memory that any of the app's functions has ever needed, in bytes.
func functionMemory(t *testing.T, pid int) (most int) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("needs /proc")
	}
	for _, path := range found {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.TrimSpace(value)
		}
		if fields["PPid"] != strconv.Itoa(pid) {
			continue
		}
		if kb, err := strconv.Atoi(strings.TrimSuffix(fields["VmHWM"], " kB")); err == nil {
			most = max(most, kb<<10)
		}
	}
	if most == 0 {
		t.Error("no function was found")
	}
	return most
}

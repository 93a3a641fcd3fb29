package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/socket"
)

const (
	players  = 1000
	screens  = 4
	speakers = 64 // connections that the players' phones use at a time
	password = "a wall of words"
)

// barrage is the wall app on sluice and the program beside it.
type barrage struct {
	w       *measure.Workshop
	sluice  *measure.Running
	program *measure.Process
	client  *http.Client
	ours    stage
	floor   stage
}

// stage is one server with its screens.
type stage struct {
	base    string
	token   string // with which screens register, where they do
	screens []*socket.Conn
	shown   []atomic.Int64
	wg      sync.WaitGroup
}

func openWall(w *measure.Workshop) (b *barrage, err error) {
	b = &barrage{w: w, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: speakers}, Timeout: 30 * time.Second}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.sluice, err = w.Run("dev", filepath.Join(w.Source, "apps/barrage"), "--no-reload", "--param", "adminPassword="+password); err != nil {
		return nil, err
	}
	if b.program, err = w.Serve("endtoend/floor"); err != nil {
		return nil, err
	}
	b.ours.base, b.floor.base = "http://"+b.sluice.Host(), "http://"+b.program.Addr
	var login struct{ Token string }
	if err := b.post(b.ours.base+"/api/login", "", map[string]string{"password": password}, &login); err != nil {
		return nil, err
	}
	if err := b.post(b.ours.base+"/api/status", login.Token, map[string]any{"status": 0, "rate": 0}, nil); err != nil {
		return nil, err
	}
	b.ours.token = login.Token
	return b, nil
}

func (b *barrage) close() {
	socket.HangUp(b.ours.screens)
	socket.HangUp(b.floor.screens)
	b.ours.wg.Wait()
	b.floor.wg.Wait()
	if b.sluice != nil {
		b.sluice.Kill()
	}
	if b.program != nil {
		b.program.Kill()
	}
}

// open brings the screens in, with a token as Alibaba's devices register.
func (s *stage) open(token string) (err error) {
	if s.screens, err = socket.Dial(strings.TrimPrefix(s.base, "http://"), "/", screens); err != nil {
		return err
	}
	s.shown = make([]atomic.Int64, screens)
	for i, c := range s.screens {
		if token != "" {
			id := fmt.Sprintf("screen-%d", i)
			c.Say("RG#" + id)
			if text, err := c.Hear(); err != nil || !strings.HasPrefix(text, "RO#") {
				return fmt.Errorf("RG answered %q: %v", text, err)
			}
			c.Say(fmt.Sprintf(`{"method":"GET","host":"x","path":"/r","querys":{"docId":"devs","type":"screen","userId":%q,"token":%q},"headers":{"x-ca-websocket_api_type":["REGISTER"],"x-ca-seq":["0"]},"isBase64":0,"body":""}`, id, token))
			if text, err := c.Hear(); err != nil || !strings.Contains(text, `"status":200`) {
				return fmt.Errorf("REGISTER answered %q: %v", text, err)
			}
		}
		if token == "" {
			if err := greet(c); err != nil {
				return err
			}
			c.SetReadDeadline(time.Time{})
		}
		s.wg.Go(func() {
			for {
				text, err := c.Hear()
				if err != nil {
					return
				}
				s.shown[i].Add(int64(strings.Count(text, `"type":"message"`)))
			}
		})
	}
	return nil
}

// side is how many messages a second go from the players onto all screens, each player saying one.
func (b *barrage) side(name string, s *stage) measure.Side {
	return measure.Side{Name: name, Take: func() (float64, error) {
		if s.screens == nil { // not before: they answer no pings
			if err := s.open(s.token); err != nil {
				return 0, err
			}
		}
		before := make([]int64, screens)
		for i := range before {
			before[i] = s.shown[i].Load()
		}
		var next atomic.Int64
		errs := make(chan error, speakers)
		t := time.Now()
		for range speakers {
			go func() { // waited for below
				for i := next.Add(1); i <= players; i = next.Add(1) {
					name := fmt.Sprintf("player-%d", i)
					if err := b.post(s.base+"/api/send", "", map[string]string{"message": "hello from " + name, "fromId": name, "fromName": name,
						"cid": fmt.Sprintf("%d-%d", t.UnixNano(), i), "color": "#ffffff", "fontSize": "28px"}, nil); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		var first error
		for range speakers {
			if err := <-errs; first == nil {
				first = err
			}
		}
		if first != nil {
			return 0, first
		}
		for i := range before {
			for end := time.Now().Add(20 * time.Second); s.shown[i].Load() < before[i]+players; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					return 0, fmt.Errorf("%s: screen %d showed %d messages", name, i, s.shown[i].Load()-before[i])
				}
			}
		}
		return players / time.Since(t).Seconds(), nil
	}}
}

func (b *barrage) post(url, token string, body, out any) error {
	j, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest("POST", url, bytes.NewReader(j))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s answered %s: %s", url, resp.Status, said)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(said, out)
}

// Package codes runs the real binary with the real codes app, and with its Python edition, and looks at them
// as their users do: by the four events, over HTTP, in Chromium, with kill -9.
package codes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/live"
)

func TestMain(m *testing.M) { os.Exit(live.Main(m)) }

const adminPassword = "a drawer of codes"

// server is one running app.
type server struct {
	*live.Server
	t     *testing.T
	token string // of an administrator
}

// start runs sluice dev on the codes app with a data folder of its own ("" makes a fresh one), waits until
// it is ready, and logs in.
func start(t *testing.T, data string) *server {
	t.Helper()
	s := &server{t: t, Server: live.Launch(t, data, "dev", "../../apps/codes", "--no-reload", "--param", "adminPassword="+adminPassword)}
	var l struct{ Token string }
	s.must("POST", "/api/login", map[string]string{"password": adminPassword}, &l)
	s.token = l.Token
	return s
}

// send makes a request as an administrator; a body that is not a string is sent as JSON.
func (s *server) send(client *http.Client, method, path string, body any, key string) (int, []byte, error) {
	var r io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return 0, nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, s.URL(path), r)
	if err != nil {
		return 0, nil, err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// must is send that has to succeed.
func (s *server) must(method, path string, body, out any) {
	s.t.Helper()
	status, b, err := s.send(http.DefaultClient, method, path, body, "")
	if err == nil && status != 200 {
		err = fmt.Errorf("%d %s", status, b)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// job is what the API tells of one.
type job struct {
	ID, State string
	Num, Made int64
}

// campaign makes a campaign and returns its path.
func (s *server) campaign(fields map[string]any) string {
	s.t.Helper()
	var c struct{ ID string }
	s.must("POST", "/api/campaigns", fields, &c)
	return "/api/campaigns/" + c.ID
}

// codes are the first codes of a campaign.
func (s *server) codes(campaign string, n int) []string {
	s.t.Helper()
	var page struct{ Codes []struct{ Code string } }
	s.must("GET", fmt.Sprintf("%s/codes?limit=%d", campaign, n), nil, &page)
	var list []string
	for _, c := range page.Codes {
		list = append(list, c.Code)
	}
	return list
}

// invoke calls a function with an event and returns its result.
func (s *server) invoke(function, event string) string {
	s.t.Helper()
	out, err := s.Sluice("invoke", function, "--data-text", event)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

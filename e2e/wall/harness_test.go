// Package wall runs the real binary with the real barrage app and looks at it as its users do: in
// Chromium, over raw sockets, with kill -9.
package wall

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/live"
)

func TestMain(m *testing.M) { os.Exit(live.Main(m)) }

// server is one running wall.
type server struct {
	*live.Server
	t     *testing.T
	token string // of a moderator, once admin was called
}

// patience is how long a test waits for what comes next.
const patience = time.Minute

const adminPassword = "a wall of words"

// start runs sluice dev on the barrage app with a data folder of its own ("" makes a fresh one) and waits
// until it is ready.
func start(t *testing.T, data string, extra ...string) *server {
	t.Helper()
	return launch(t, data, append([]string{"dev", "../../apps/barrage", "--no-reload", "--param", "adminPassword=" + adminPassword}, extra...)...)
}

// launch runs sluice dev or serve with the arguments and waits until it is ready.
func launch(t *testing.T, data string, args ...string) *server {
	t.Helper()
	return &server{Server: live.Launch(t, data, args...), t: t}
}

// anyone is a client without a session.
var anyone = http.DefaultClient

// call sends one JSON request and decodes the answer.
func (s *server) call(client *http.Client, method, path string, body, out any) (int, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, s.URL(path), r)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err
	}
	if out != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(b, out); err != nil {
			return resp.StatusCode, fmt.Errorf("%s %s: %w: %s", method, path, err, b)
		}
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	return resp.StatusCode, nil
}

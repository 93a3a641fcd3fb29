// Package wall runs the real binary with the real barrage app and looks at it as its users do: in
// Chromium, over raw sockets, with kill -9.
package wall

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary string // the sluice under test, built once

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sluice")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build sluice: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// ready is the line that --json prints first.
type ready struct {
	Event  string   `json:"event"`
	Public []string `json:"public"`
	Admin  string   `json:"admin"`
	App    struct {
		Name      string   `json:"name"`
		WebSocket []string `json:"websocket"`
		HTTP      []string `json:"http"`
	} `json:"app"`
}

// server is one running binary.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	data string
	ready
	token string // of a moderator, once admin was called
	mu    sync.Mutex
	out   bytes.Buffer // all of its output, for failures
}

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
	if data == "" {
		data = t.TempDir()
	}
	s := &server{t: t, data: data}
	s.cmd = exec.Command(binary, append(args, "--json", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")...)
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = lockedWriter{s}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan []byte)
	go func() { // ends with the process
		defer close(lines)
		sc := bufio.NewScanner(stdout)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			io.WriteString(lockedWriter{s}, sc.Text()+"\n")
			lines <- bytes.Clone(sc.Bytes())
		}
	}()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("server said:\n%s", s.said())
		}
	})
	timeout := time.After(3 * time.Minute) // a cold build of the functions
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("server ended before it was ready:\n%s", s.said())
			}
			if json.Unmarshal(line, &s.ready) == nil && s.Event == "ready" {
				go func() { // drains what comes later, so that the server never blocks
					for range lines {
					}
				}()
				return s
			}
		case <-timeout:
			t.Fatalf("server was not ready in time:\n%s", s.said())
		}
	}
}

type lockedWriter struct{ s *server }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.out.Write(b)
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// kill ends the server as a power cut would.
func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
}

// stop ends it as Ctrl-C does, and expects a clean end.
func (s *server) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGINT)
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			s.t.Fatalf("after Ctrl-C: %v\n%s", err, s.said())
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("still runs 30 s after Ctrl-C:\n%s", s.said())
	}
}

// sluice runs a client command against the server and returns what it prints.
func (s *server) sluice(args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--admin", s.Admin)...)
	var out, errb bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errb
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("sluice %s: %w: %s", strings.Join(args, " "), err, errb.String())
	}
	return out.String(), err
}

// url is an address of the app.
func (s *server) url(path string) string { return s.Public[0] + path }

// ws is the address of the app's socket.
func (s *server) ws() string { return "ws" + strings.TrimPrefix(s.Public[0], "http") + "/" }

// conns are the ids of the live connections.
func (s *server) conns(t *testing.T) []string {
	t.Helper()
	out, err := s.sluice("conns", "ls", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(out) {
		var c struct{ ID string }
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	return ids
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
	req, err := http.NewRequest(method, s.url(path), r)
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

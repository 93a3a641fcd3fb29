// Package chat runs the real binary with the real chat app and looks at it as its users do: in Chromium,
// over raw sockets, with kill -9.
package chat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var binary string // the sluice under test, built once

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e-chat-*")
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

// server is one running binary with the chat.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	data    string
	address string // host:port of the public listener

	mu  sync.Mutex
	out bytes.Buffer // all of its output, for failures
}

// start runs sluice dev on the chat, at a port of its own, and waits until it is ready. data "" is a fresh folder.
func start(t *testing.T, data string, args ...string) *server {
	t.Helper()
	if data == "" {
		data = t.TempDir()
	}
	s := &server{t: t, data: data}
	s.cmd = exec.Command(binary, append([]string{"dev", "../../apps/chat", "--no-reload", "--json", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = output{s}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("server said:\n%s", s.said())
		}
	})
	ready := make(chan string, 1)
	go func() { // ends with the process
		sc := bufio.NewScanner(stdout)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			fmt.Fprintln(output{s}, sc.Text())
			var line struct {
				Event  string
				Public []string
			}
			if json.Unmarshal(sc.Bytes(), &line) == nil && line.Event == "ready" {
				ready <- strings.Replace(strings.TrimPrefix(line.Public[0], "http://"), "localhost", "127.0.0.1", 1)
			}
		}
		close(ready)
	}()
	select {
	case s.address = <-ready:
		if s.address == "" {
			t.Fatalf("server ended before it was ready:\n%s", s.said())
		}
	case <-time.After(5 * time.Minute): // a cold build of the functions
		t.Fatalf("server was not ready in time:\n%s", s.said())
	}
	return s
}

// output keeps what a server prints.
type output struct{ s *server }

func (o output) Write(b []byte) (int, error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	return o.s.out.Write(b)
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

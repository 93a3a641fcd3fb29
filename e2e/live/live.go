// Package live runs the real binary for tests: sluice dev or serve as a process of its own, which can be
// killed.
package live

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the project, seen from a package below e2e.
const root = "../.."

var binary string // the sluice under test, built once

// Main builds sluice and runs a package's tests: func TestMain(m *testing.M) { os.Exit(live.Main(m)) }.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sluice")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build sluice: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Ready is the line that --json prints first.
type Ready struct {
	Event  string   `json:"event"`
	Public []string `json:"public"`
	Admin  string   `json:"admin"`
	App    struct {
		Name      string                         `json:"name"`
		WebSocket []string                       `json:"websocket"`
		HTTP      []string                       `json:"http"`
		Outputs   []struct{ Name, Value string } `json:"outputs"`
	} `json:"app"`
}

// Server is one running binary.
type Server struct {
	Ready
	Data string // its data folder
	Cmd  *exec.Cmd

	t   *testing.T
	mu  sync.Mutex
	out bytes.Buffer // all of its output, for failures
}

// Launch runs sluice dev or serve with the arguments, on a data folder ("" makes a fresh one) and ports of
// its own, and waits until it is ready. It ends with the test.
func Launch(t *testing.T, data string, args ...string) *Server {
	t.Helper()
	if data == "" {
		data = t.TempDir()
	}
	s := &Server{t: t, Data: data}
	s.Cmd = exec.Command(binary, append(args, "--json", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")...)
	s.Cmd.WaitDelay = 10 * time.Second // a process that it left behind may hold its output
	stdout, err := s.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Cmd.Stderr = lockedWriter{s}
	if err := s.Cmd.Start(); err != nil {
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
		s.Kill()
		if t.Failed() {
			t.Logf("server said:\n%s", s.Said())
		}
	})
	timeout := time.After(5 * time.Minute) // a cold build of the functions
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("server ended before it was ready:\n%s", s.Said())
			}
			if json.Unmarshal(line, &s.Ready) == nil && s.Event == "ready" {
				s.Admin = byNumber(s.Admin)
				for i, p := range s.Public {
					s.Public[i] = byNumber(p)
				}
				go func() { // drains what comes later, so that the server never blocks
					for range lines {
					}
				}()
				return s
			}
		case <-timeout:
			t.Fatalf("server was not ready in time:\n%s", s.Said())
		}
	}
}

// byNumber is an address that needs no resolver: of a name's two addresses Node on a busy machine may give up
// the one that answers, for it has waited a quarter of a second, and keep the other.
func byNumber(address string) string {
	return strings.Replace(address, "//localhost:", "//127.0.0.1:", 1)
}

type lockedWriter struct{ s *Server }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.out.Write(b)
}

// Said is all that the server has printed.
func (s *Server) Said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// Kill ends the server as a power cut would.
func (s *Server) Kill() {
	if s.Cmd.ProcessState == nil {
		s.Cmd.Process.Kill()
		s.Cmd.Wait()
	}
}

// Stop ends it as Ctrl-C does, and expects a clean end.
func (s *Server) Stop() {
	s.t.Helper()
	s.Cmd.Process.Signal(syscall.SIGINT)
	done := make(chan error, 1)
	go func() { done <- s.Cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			s.t.Fatalf("after Ctrl-C: %v\n%s", err, s.Said())
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("still runs 30 s after Ctrl-C:\n%s", s.Said())
	}
}

// Sluice runs a client command against the server and returns what it prints.
func (s *Server) Sluice(args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--admin", s.Admin)...)
	var out, errb bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errb
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("sluice %s: %w: %s", strings.Join(args, " "), err, errb.String())
	}
	return out.String(), err
}

// URL is an address of the app.
func (s *Server) URL(path string) string { return s.Public[0] + path }

// WS is the address of the app's socket.
func (s *Server) WS() string { return "ws" + strings.TrimPrefix(s.Public[0], "http") + "/" }

// Conns are the ids of the live connections.
func (s *Server) Conns() []string {
	s.t.Helper()
	out, err := s.Sluice("conns", "ls", "--json")
	if err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(out) {
		var c struct{ ID string }
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	return ids
}

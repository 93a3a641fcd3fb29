// Package original runs the public application devsapp/start-barrage as it was published on the real
// binary, and looks at it in Chromium as its users do. The application is not ours to ship: the tests run
// when START_BARRAGE names a checkout of it.
package original

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is the binary that runs the application.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	Event  string   `json:"event"`
	Public []string `json:"public"`

	mu  sync.Mutex
	out bytes.Buffer
}

// checkout copies the application to a folder that the test may change, or skips the test.
func checkout(t *testing.T) string {
	t.Helper()
	from := os.Getenv("START_BARRAGE")
	if from == "" {
		t.Skip("START_BARRAGE names no checkout of github.com/devsapp/start-barrage")
	}
	dir := filepath.Join(t.TempDir(), "start-barrage")
	for _, sub := range []string{"hook", "src"} {
		if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(filepath.Join(from, sub))); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(from, "publish.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "publish.yaml"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sums are the digests of an application's files, but for what npm adds.
func sums(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return filepath.SkipDir
		case d.IsDir() || d.Name() == "package-lock.json":
			return nil
		}
		b, err := os.ReadFile(path)
		all[path] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// start runs sluice dev on the application until the test ends, and waits until it is ready.
func start(t *testing.T, app string, extra ...string) *server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sluice")
	build := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, out)
	}
	s := &server{t: t}
	s.cmd = exec.Command(binary, append([]string{"dev", app, "--json", "--no-reload", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, extra...)...)
	s.cmd.Stderr = s
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	ready := make(chan []byte, 1)
	go func() { // ends with the process
		defer close(drained)
		defer close(ready)
		sc := bufio.NewScanner(stdout)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			fmt.Fprintln(s, sc.Text())
			if bytes.Contains(sc.Bytes(), []byte(`"ready"`)) {
				select {
				case ready <- bytes.Clone(sc.Bytes()):
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		s.cmd.Process.Signal(os.Interrupt)
		<-drained
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
		if t.Failed() {
			t.Logf("server said:\n%s", s.said())
		}
	})
	select {
	case line := <-ready:
		if json.Unmarshal(line, s) != nil || len(s.Public) == 0 {
			t.Fatalf("server ended before it was ready:\n%s", s.said())
		}
	case <-time.After(5 * time.Minute): // npm installs three times
		t.Fatalf("server was not ready in time:\n%s", s.said())
	}
	return s
}

// Write keeps the server's output for failures.
func (s *server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// call sends one request with a JSON body, unless it is "", and returns status and text of the answer.
func (s *server) call(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.Public[0]+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// expect makes sure of an answer's status, and of its text unless want is "".
func (s *server) expect(method, path, body string, status int, want string) {
	s.t.Helper()
	if code, got := s.call(method, path, body); code != status || want != "" && !strings.Contains(got, want) {
		s.t.Fatalf("%s %s: got %d %s, want %d %s", method, path, code, got, status, want)
	}
}

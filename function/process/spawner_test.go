//go:build unix

package process

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/function"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

func TestMain(m *testing.M) {
	exitGrace = patience // on a busy machine a program takes its time to exit
	goleak.VerifyTestMain(m)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newSpawner(t testing.TB, o Options) *Spawner {
	t.Helper()
	o.Log = quiet()
	s := NewSpawner(o)
	t.Cleanup(s.Close)
	return s
}

func spawn(t testing.TB, s *Spawner, c function.Command) function.Process {
	t.Helper()
	p, err := s.Spawn(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exited(t testing.TB, p function.Process) string {
	t.Helper()
	select {
	case <-p.Exited():
		return p.ExitText()
	case <-time.After(patience):
		t.Fatal("process does not exit")
		return ""
	}
}

// gone waits until no process has the number pid.
func gone(t testing.TB, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); unix.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); bytes.Contains(b, []byte(") Z ")) {
			return // an orphan that nobody reaps in this container
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func sh(script string) function.Command {
	return function.Command{Path: "sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

func TestExitIsTold(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	for _, c := range []struct{ script, want string }{
		{"exit 0", "exit status 0"},
		{"exit 7", "exit status 7"},
		{"kill -9 $$", "signal: killed"},
	} {
		if got := exited(t, spawn(t, s, sh(c.script))); got != c.want {
			t.Errorf("%s: %q, want %q", c.script, got, c.want)
		}
	}
}

func TestKillReachesTheWholeGroup(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	file := filepath.Join(t.TempDir(), "pid")
	p := spawn(t, s, sh("sleep 600 & echo $! > "+file+".part; mv "+file+".part "+file+"; wait"))
	grandchild := readPid(t, file)
	p.Kill()
	p.Kill()
	exited(t, p)
	gone(t, grandchild)
	p.Kill()
}

func TestWhatALeaderLeavesBehindIsKilled(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	file := filepath.Join(t.TempDir(), "pid")
	exited(t, spawn(t, s, sh("sleep 600 & echo $! > "+file)))
	gone(t, readPid(t, file))
}

func readPid(t *testing.T, file string) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil {
			n, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no pid file")
	return 0
}

func TestTerminateLetsAProcessFinish(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	ready := make(chan struct{}, 10)
	c := sh("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
	c.Out = &function.LineWriter{Line: func([]byte) { ready <- struct{}{} }}
	p := spawn(t, s, c)
	<-ready
	p.Terminate()
	if got := exited(t, p); got != "exit status 3" {
		t.Error(got)
	}
}

func TestOutputIsWholeWhenExitIsTold(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	var n, longest int
	c := sh("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo last")
	var last string
	w := &function.LineWriter{Line: func(b []byte) { n += len(b); longest = max(longest, len(b)); last = string(b) }}
	c.Out = w
	exited(t, spawn(t, s, c))
	if n != 10_000_004 || last != "last" || longest > function.MaxLine {
		t.Errorf("got %d bytes, last line %q, longest %d", n, last, longest)
	}
}

func TestNothingIsInherited(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	var out strings.Builder
	c := function.Command{Path: "/usr/bin/env", Out: &out}
	exited(t, spawn(t, s, c))
	if out.String() != "" {
		t.Errorf("environment %q", out.String())
	}
}

func TestFilesBecomeFd3(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Its limits come a moment after its start, in any order.
	c := sh("echo hello >&3; while [ $(ulimit -n) != 4096 ] || [ $(ulimit -c) != 0 ]; do :; done; ulimit -c >&3")
	c.Files = []*os.File{w}
	exited(t, spawn(t, s, c))
	w.Close()
	var b bytes.Buffer
	b.ReadFrom(r)
	if b.String() != "hello\n0\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	if _, err := s.Spawn(t.Context(), function.Command{Path: "no-such-program-here"}); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("got %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

func TestMemoryHogIsKilled(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{})
	c := sh("x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 600")
	c.Memory = 32
	p := spawn(t, s, c)
	if got := exited(t, p); got != "out of memory: signal: killed" {
		t.Error(got)
	}
	if peak := p.(*child).PeakMB(); peak < 32 {
		t.Errorf("peak %d MB", peak)
	}
}

func TestWhoComputesWantsAProcessor(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("nobody can tell")
	}
	s := newSpawner(t, Options{})
	p := spawn(t, s, sh("while :; do :; done")).(*child)
	for p.Wanted() < 50*time.Millisecond {
		time.Sleep(time.Millisecond)
	}
	p.Kill()
	<-p.Exited()
	if got := p.Wanted(); got != 0 {
		t.Errorf("a process that is gone wanted %v", got)
	}
}

func TestCloseKillsWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := NewSpawner(Options{Log: quiet()})
	var pids []int
	for range 5 {
		pids = append(pids, spawn(t, s, sh("sleep 600")).Pid())
	}
	s.Close()
	s.Close()
	for _, pid := range pids {
		gone(t, pid)
	}
	if _, err := s.Spawn(context.Background(), sh("true")); err != ErrClosed {
		t.Errorf("got %v", err)
	}
}

func TestIsolateMayWrapTheCommand(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, Options{Isolate: func(c *function.Command, _ *os.ProcAttr) error {
		c.Args = append([]string{c.Path}, c.Args...)
		c.Path = "env"
		return nil
	}})
	if got := exited(t, spawn(t, s, sh("exit 4"))); got != "exit status 4" {
		t.Error(got)
	}
}

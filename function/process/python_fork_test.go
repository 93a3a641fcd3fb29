//go:build unix

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestPythonInstancesAreForksAndDieWithTheirServer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("no fork servers here")
	}
	w := newPythonWorld(t, nil)
	change := func(v *function.Version) { v.Spec.Timeout = 20 * time.Second }
	w.deploy("f", misbehavingPython, change)
	w.deploy("g", misbehavingPython, change)
	server := pidOf(t, w.invoke("f", "parent"))
	if other := pidOf(t, w.invoke("g", "parent")); other != server || server == os.Getpid() {
		t.Fatalf("functions of one app are forks of %d and %d", server, other)
	}
	pid := pidOf(t, w.invoke("f", "pid"))
	var wg sync.WaitGroup
	wg.Go(func() {
		if res := w.invoke("g", "spin"); res.Failure == nil || res.Failure.Kind != sluice.Crashed || res.Failure.Message != "signal: killed" {
			t.Errorf("%q %+v", res.Payload, res.Failure)
		}
	})
	waitFor(t, func() bool { s, _ := w.f.Status("app", "g"); return s.Stats.InFlight == 1 })
	unix.Kill(server, unix.SIGKILL)
	wg.Wait()
	gone(t, pid)
	waitFor(t, func() bool { return w.invoke("f", "echo").Failure == nil })
	if again := pidOf(t, w.invoke("f", "parent")); again == server {
		t.Error("the dead server is still there")
	}
}

// TestPythonDiesWithUs kills a supervisor, which is this test in another process.
func TestPythonDiesWithUs(t *testing.T) {
	if file := os.Getenv("SLUICE_TEST_PIDS"); file != "" {
		w := newPythonWorld(t, nil)
		w.deploy("f", misbehavingPython, nil)
		text := fmt.Sprint(pidOf(t, w.invoke("f", "parent")), " ", pidOf(t, w.invoke("f", "pid")))
		go w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte("spin")})
		waitFor(t, func() bool { s, _ := w.f.Status("app", "f"); return s.Stats.InFlight == 1 })
		write(t, file+".part", text)
		os.Rename(file+".part", file)
		select {}
	}
	t.Parallel()
	needPython(t)
	if runtime.GOOS != "linux" {
		t.Skip("no parent-death signal here")
	}
	file := filepath.Join(t.TempDir(), "pids")
	cmd := exec.Command(os.Args[0], "-test.run=^TestPythonDiesWithUs$")
	cmd.Env = append(os.Environ(), "SLUICE_TEST_PIDS="+file, "TMPDIR="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var server, pid int
	waitFor(t, func() bool {
		b, _ := os.ReadFile(file)
		n, _ := fmt.Sscan(string(b), &server, &pid)
		return n == 2
	})
	cmd.Process.Kill()
	cmd.Wait()
	gone(t, server)
	gone(t, pid)
}

func TestPythonFallsBackToProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.python.setup.Do(w.python.install)
	write(t, filepath.Join(w.python.dir, "zygote.py"), "raise SystemExit('broken')")
	w.deploy("f", misbehavingPython, nil)
	if parent := pidOf(t, w.invoke("f", "parent")); parent != os.Getpid() {
		t.Errorf("child of %d", parent)
	}
}

func TestOnlyAFewForkServersAreKept(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("no fork servers here")
	}
	for _, spares := range []int{-1, 1} {
		w := newPythonWorld(t, func(o *function.Options, p *PythonOptions) { o.NoPrewarm, p.Spares = true, spares })
		for n := range maxServers + 2 {
			v := w.deploy("f", misbehavingPython, func(v *function.Version) { v.App = sluice.AppName(fmt.Sprint("app", n)) })
			if res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: v.App, Function: "f", Payload: []byte("echo")}); err != nil || res.Failure != nil {
				t.Fatal(err, res.Failure)
			}
			if err := w.f.Remove(t.Context(), v.App, "f"); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, func() bool { return w.living() == maxServers+max(spares, 0)*maxKinds })
	}
}

// BenchmarkPythonFromZero is the time to the first reply of a function that has nothing running beside
// a bare python's whole life, alternating; it reports the ratio of the medians.
func BenchmarkPythonFromZero(b *testing.B) {
	for _, c := range []struct {
		name   string
		noFork bool
	}{{"forked", false}, {"plain", true}} {
		b.Run(c.name, func(b *testing.B) {
			w := newPythonWorld(b, func(o *function.Options, p *PythonOptions) { o.NoPrewarm, p.NoFork = true, c.noFork })
			v := w.deploy("f", "import json\ndef handler(e, c): return json.loads(e)['requestContext']['connectionId']", nil)
			real, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
			if err != nil {
				b.Fatal(err)
			}
			s := newSpawner(b, Options{})
			file := filepath.Join(b.TempDir(), "a.py")
			write(b, file, "")
			w.invoke("f", string(benchEvent))
			var ours, bare []float64
			for b.Loop() {
				waitFor(b, func() bool { return settled(w.python.spares) })
				if err := w.f.Remove(b.Context(), v.App, v.Spec.Name); err != nil {
					b.Fatal(err)
				}
				if err := w.f.Deploy(b.Context(), v); err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				w.invoke("f", string(benchEvent))
				ours = append(ours, float64(time.Since(began).Microseconds())/1e3)
				began = time.Now()
				<-spawn(b, s, function.Command{Path: strings.TrimSpace(string(real)), Args: []string{file}, Env: []string{"PATH=" + os.Getenv("PATH")}}).Exited()
				bare = append(bare, float64(time.Since(began).Microseconds())/1e3)
			}
			slices.Sort(ours)
			slices.Sort(bare)
			o, p := ours[len(ours)/2], bare[len(bare)/2]
			b.ReportMetric(o, "ms/first")
			b.ReportMetric(p, "ms/bare")
			b.ReportMetric(o/p, "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkPythonWarm is one caller.
func BenchmarkPythonWarm(b *testing.B) {
	w := newPythonWorld(b, nil)
	w.deploy("f", "import json\ndef handler(e, c): return json.loads(e)['requestContext']['connectionId']", nil)
	w.invoke("f", string(benchEvent))
	for b.Loop() {
		w.invoke("f", string(benchEvent))
	}
}

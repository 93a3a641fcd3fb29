//go:build unix

package process

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

const misbehavingPython = `
import os, sys, time, threading, subprocess
def handler(event, context):
    what, _, arg = event.decode().partition(' ')
    if what == 'pid': return os.getpid()
    if what == 'parent': return os.getppid()
    if what == 'hang': time.sleep(600)
    if what == 'spin':
        while True: pass
    if what == 'exit':
        print('leaving', end='')
        os._exit(int(arg)) if int(arg) > 100 else sys.exit(int(arg))
    if what == 'words': sys.exit('last words')
    if what == 'thread':
        t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join(); return 'alive'
    if what == 'abort': os.abort()
    if what == 'print':
        sys.stdout.write('x' * 5000000 + '\n' + 'y' * 5000000); print('z' * 100); return 'printed'
    if what == 'raw':
        os.write(1, b'raw\n'); subprocess.check_call('echo child; head -c 10000000 /dev/zero | tr "\\0" x', shell=True); return 'raw'
    if what == 'big': return b'b' * int(arg)
    if what == 'close3': os.close(3); time.sleep(600)
    if what == 'garbage': os.write(3, b'this is no frame at all, but it is long enough'); time.sleep(600)
    if what == 'eat':
        all = []
        while True: all.append(b'1' * 20000000); time.sleep(0.001)
    if what == 'grandchild': return subprocess.Popen(['sleep', '600']).pid
    return event
`

// bothWays runs a test with a fork server and without.
func bothWays(t *testing.T, test func(t *testing.T, noFork bool)) {
	t.Run("forked", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("plain", func(t *testing.T) { t.Parallel(); test(t, true) })
}

func TestPythonFunctionsThatMisbehave(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, noFork bool) {
		w := newPythonWorld(t, func(_ *function.Options, p *PythonOptions) { p.MaxResult, p.NoFork = 40<<20, noFork })
		w.deploy("f", misbehavingPython, nil)
		w.deploy("short", misbehavingPython, func(v *function.Version) { v.Spec.Timeout = 3 * time.Second })
		for _, c := range []struct {
			payload string
			kind    sluice.FailureKind
			text    string
		}{
			{"hang", sluice.TimedOut, "timed out"},
			{"spin", sluice.TimedOut, "timed out"},
			{"exit 0", sluice.Crashed, "exit status 0"},
			{"exit 3", sluice.Crashed, "exit status 3"},
			{"exit 103", sluice.Crashed, "exit status 103"},
			{"words", sluice.Crashed, "exit status 1"},
			{"abort", sluice.Crashed, "signal: aborted"},
			{"close3", sluice.Crashed, "signal: killed"},
			{"garbage", sluice.Crashed, "signal: killed"},
			{"big 50000000", sluice.TooBig, "the answer has 50000000 bytes, more than 41943040"},
			{"thread", 0, ""},
		} {
			name := "f"
			if c.kind == sluice.TimedOut {
				name = "short"
			}
			res := w.invoke(name, c.payload)
			if c.kind == 0 {
				if res.Failure != nil {
					t.Errorf("%s: %+v", c.payload, res.Failure)
				}
			} else if res.Failure == nil || res.Failure.Kind != c.kind || !strings.HasPrefix(res.Failure.Message, c.text) {
				t.Errorf("%s: %q %+v", c.payload, res.Payload[:min(len(res.Payload), 50)], res.Failure)
			}
			if got := w.invoke(name, "echo"); got.Failure != nil || string(got.Payload) != "echo" {
				t.Errorf("after %s: %+v", c.payload, got.Failure)
			}
		}
		if text := w.logs.text(); !strings.Contains(text, "|leaving\n") || !strings.Contains(text, "|last words\n") || !strings.Contains(text, "ZeroDivisionError") {
			t.Errorf("log %q", text)
		}
		for _, size := range []int{0, 1, 65535, 1 << 20, 1<<20 + 1, 30_000_000} {
			res := w.invoke("f", fmt.Sprint("big ", size))
			if res.Failure != nil || len(res.Payload) != size || bytes.Count(res.Payload, []byte("b")) != size {
				t.Errorf("big %d: %d bytes, %+v", size, len(res.Payload), res.Failure)
			}
			long := "echo " + strings.Repeat("e", size)
			if res := w.invoke("f", long); string(res.Payload) != long {
				t.Errorf("payload of %d: %d bytes, %+v", size, len(res.Payload), res.Failure)
			}
		}
	})
}

func TestPythonThatEatsMemoryIsKilled(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", misbehavingPython, func(v *function.Version) { v.Spec.MemoryMB = 64 })
	res := w.invoke("f", "eat")
	if res.Failure == nil || res.Failure.Kind != sluice.Crashed || res.Failure.Type != "OutOfMemory" {
		t.Errorf("%+v", res.Failure)
	}
}

func TestPythonTimeoutReallyStops(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, noFork bool) {
		w := newPythonWorld(t, func(_ *function.Options, p *PythonOptions) { p.NoFork = noFork })
		w.deploy("f", misbehavingPython, func(v *function.Version) { v.Spec.Timeout = 3 * time.Second })
		for _, how := range []string{"hang", "spin"} {
			pid := pidOf(t, w.invoke("f", "pid"))
			grandchild := pidOf(t, w.invoke("f", "grandchild"))
			began := time.Now()
			if res := w.invoke("f", how); res.Failure == nil || res.Failure.Kind != sluice.TimedOut {
				t.Fatalf("%+v", res.Failure)
			}
			if d := time.Since(began); d > patience {
				t.Errorf("answered after %v", d)
			}
			vanished(t, pid)
			gone(t, grandchild)
		}
	})
}

// vanished waits until a process has ended and been reaped.
func vanished(t testing.TB, pid int) {
	t.Helper()
	waitFor(t, func() bool { return unix.Kill(pid, 0) != nil })
}

func TestPythonPrintingDoesNotBlock(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", misbehavingPython, nil)
	res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", RequestID: "R7", Payload: []byte("print")})
	if err != nil || string(res.Payload) != "printed" {
		t.Fatal(err, res.Failure)
	}
	count := map[byte]int{}
	for _, l := range w.logs.all() {
		if len(l.Text) > function.MaxLine {
			t.Errorf("a line of %d bytes", len(l.Text))
		}
		if l.Request != "R7" || l.Instance != res.Instance || l.App != "app" || l.Function != "f" {
			t.Fatalf("line of %+v", l)
		}
		for _, b := range []byte(l.Text) {
			count[b]++
		}
	}
	if count['x'] != 5e6 || count['y'] != 5e6 || count['z'] != 100 {
		t.Errorf("printed %v", count)
	}
	if res := w.invoke("f", "raw"); string(res.Payload) != "raw" {
		t.Fatal(res.Failure)
	}
	w.stop()
	if text := w.logs.text(); !strings.Contains(text, "|raw\n|child\n") || strings.Count(text, "x") < 15e6 {
		t.Error("what native code and children print is lost")
	}
}

func TestPythonLogsKeepTheirOrderAndRequest(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import logging, sys, time
def handler(event, context):
    logging.getLogger().info('a %d', 1)
    logging.getLogger('x').debug('not shown')
    print('b', 'é')
    time.sleep(0.01)
    print('c', end='', file=sys.stderr)
    logging.warning('d')
    sys.stdout.buffer.write(b'e\n')
    try: 1 / 0
    except Exception: logging.exception('f')
`, func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 4, 1 })
	ids := []string{"A", "B", "C", "D"}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", RequestID: id})
		})
	}
	wg.Wait()
	for _, id := range ids {
		var got []string
		for _, l := range w.logs.all() {
			if l.Request == id {
				got = append(got, l.Level+" "+strings.ReplaceAll(l.Text, "\n", "~"))
				if l.Level == "WARN" && !strings.HasSuffix(l.Line, "Z "+id+" [WARNING] d") {
					t.Errorf("line %q", l.Line)
				}
			}
		}
		s := strings.Join(got, ", ")
		if !strings.HasPrefix(s, "INFO a 1,  b é, WARN d,  e, ERROR f~Traceback (most recent") || !strings.HasSuffix(s, "ZeroDivisionError: division by zero,  c") {
			t.Errorf("%s: %s", id, s)
		}
	}
}

func TestPythonCallsRunTogetherInThreads(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import os, threading
all = threading.Barrier(10)
def handler(e, c):
    all.wait(60)
    return '%d %s' % (os.getpid(), e.decode())
`, func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 10, 1 })
	for range 3 {
		var wg sync.WaitGroup
		pids := make([]string, 10)
		for i := range pids {
			wg.Go(func() {
				pid, n, _ := strings.Cut(string(w.invoke("f", fmt.Sprint(i)).Payload), " ")
				if pids[i] = pid; n != fmt.Sprint(i) {
					t.Errorf("call %d got the answer of %q", i, n)
				}
			})
		}
		wg.Wait()
		if slices.Sort(pids); pids[0] == "" || pids[0] != pids[9] {
			t.Fatalf("pids %v", pids)
		}
	}
}

func TestPythonCrashAnswersAllInFlightOnce(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import os, threading, time, signal
all = threading.Barrier(10)
def handler(e, c):
    all.wait(60)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
`, func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 10, 1 })
	var answers, wrong atomic.Int32
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f"})
			answers.Add(1)
			if err != nil || res.Failure == nil || res.Failure.Kind != sluice.Crashed || res.Failure.Message != "signal: killed" {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	if answers.Load() != 10 || wrong.Load() != 0 {
		t.Errorf("%d answers, %d wrong", answers.Load(), wrong.Load())
	}
}

// TestPythonRandomKills ends instances at random in all ways; each call is answered, and no process stays.
func TestPythonRandomKills(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import os, random, signal, time
def handler(e, c):
    r = random.random()
    if r < 0.02: os.kill(os.getpid(), signal.SIGKILL)
    if r < 0.04: os._exit(3)
    time.sleep(r / 1000)
    return e
`, nil)
	var ok, crashed atomic.Int64
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for n := range 150 {
				text := fmt.Sprint(k, n)
				switch res := w.invoke("f", text); {
				case res.Failure == nil && string(res.Payload) == text:
					ok.Add(1)
				case res.Failure != nil && (res.Failure.Message == "signal: killed" || res.Failure.Message == "exit status 3"):
					crashed.Add(1)
				default:
					t.Errorf("call %s: %q %+v", text, res.Payload, res.Failure)
				}
			}
		})
	}
	wg.Wait()
	if crashed.Load() == 0 || ok.Load() < 300 {
		t.Errorf("%d ok, %d crashed", ok.Load(), crashed.Load())
	}
}

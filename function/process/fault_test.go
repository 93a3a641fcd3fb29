//go:build unix

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func pidOf(t testing.TB, res sluice.Result) int {
	t.Helper()
	n, err := strconv.Atoi(string(res.Payload))
	if err != nil {
		t.Fatalf("no pid: %q %+v", res.Payload, res.Failure)
	}
	return n
}

const misbehaving = `
exports.handler = (event, context, cb) => {
  const [what, arg] = event.toString().split(' ');
  switch (what) {
    case 'pid': return cb(null, String(process.pid));
    case 'hang': return;
    case 'spin': for (;;);
    case 'exit': console.log('leaving'); process.exit(Number(arg));
    case 'later': setTimeout(() => { throw new TypeError('later') }, 1); return;
    case 'reject': Promise.reject(new Error('loose')); return;
    case 'abort': process.abort();
    case 'print': process.stdout.write('x'.repeat(5e6) + '\n' + 'y'.repeat(5e6)); console.log('z'.repeat(100)); return cb(null, 'printed');
    case 'raw': require('fs').writeSync(1, 'raw\n'); require('child_process').execSync('echo child; head -c 10000000 /dev/zero | tr "\\0" x', { stdio: 'inherit' }); return cb(null, 'raw');
    case 'big': return cb(null, Buffer.alloc(Number(arg), 'b'));
    case 'close3': require('fs').closeSync(3); return;
    case 'garbage': require('fs').writeSync(3, 'this is no frame at all, but it is long enough'); return;
    case 'eat': { const all = []; setInterval(() => all.push(Buffer.alloc(20e6, 1)), 1); return; }
    case 'grandchild': return cb(null, String(require('child_process').spawn('sleep', ['600']).pid));
    case 'echo': return cb(null, event);
  }
};`

func TestFunctionsThatMisbehave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *function.Options, n *NodeOptions) { n.MaxResult = 40 << 20 })
	w.deploy("f", misbehaving, nil)
	w.deploy("short", misbehaving, func(v *function.Version) { v.Spec.Timeout = 3 * time.Second })
	for _, c := range []struct {
		payload string
		kind    sluice.FailureKind
		text    string
	}{
		{"hang", sluice.TimedOut, "timed out"},
		{"spin", sluice.TimedOut, "timed out"},
		{"exit 0", sluice.Crashed, "exit status 0"},
		{"exit 3", sluice.Crashed, "exit status 3"},
		{"later", sluice.Crashed, "later"},
		{"reject", sluice.Crashed, "loose"},
		{"abort", sluice.Crashed, "signal: aborted"},
		{"close3", sluice.Crashed, "signal: killed"},
		{"garbage", sluice.Crashed, "signal: killed"},
		{"big 50000000", sluice.TooBig, "the answer has 50000000 bytes, more than 41943040"},
	} {
		name := "f"
		if c.kind == sluice.TimedOut {
			name = "short"
		}
		res := w.invoke(name, c.payload)
		if res.Failure == nil || res.Failure.Kind != c.kind || !strings.HasPrefix(res.Failure.Message, c.text) {
			t.Errorf("%s: %q %+v", c.payload, res.Payload[:min(len(res.Payload), 50)], res.Failure)
		}
		if got := w.invoke(name, "echo"); got.Failure != nil || string(got.Payload) != "echo" {
			t.Errorf("after %s: %+v", c.payload, got.Failure)
		}
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
}

func TestAnInstanceThatEatsMemoryIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", misbehaving, func(v *function.Version) { v.Spec.MemoryMB = 64 })
	res := w.invoke("f", "eat")
	if res.Failure == nil || res.Failure.Kind != sluice.Crashed || res.Failure.Type != "OutOfMemory" {
		t.Errorf("%+v", res.Failure)
	}
}

func TestTimeoutReallyStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", misbehaving, func(v *function.Version) { v.Spec.Timeout = 3 * time.Second })
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
		gone(t, pid)
		gone(t, grandchild)
	}
}

func TestPrintingDoesNotBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", misbehaving, nil)
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
	// The last line has no newline yet: it comes when the process ends.
	if count['x'] != 5e6 || count['y'] < 5e6-function.MaxLine || count['z'] != 100 {
		t.Errorf("printed %v", count)
	}
	if n := len(res.LogTail); n == 0 || n > 4096 || !strings.HasSuffix(string(res.LogTail), " R7 [INFO] "+strings.Repeat("z", 100)+"\n") {
		t.Errorf("tail of %d bytes: %.200q", n, res.LogTail)
	}
	if res := w.invoke("f", "raw"); string(res.Payload) != "raw" {
		t.Fatal(res.Failure)
	}
	w.stop()
	if text := w.logs.text(); !strings.Contains(text, "|raw\n|child\n") || strings.Count(text, "x") < 15e6 {
		t.Error("what native code and children print is lost")
	}
}

func TestLogsKeepTheirOrderAndRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = async (e) => { console.log('a %d', 1, {x: 1}); process.stdout.write('b\n'); console.error('c'); console.debug('d'); setTimeout(() => console.warn('late'), 1); return '' }`,
		func(v *function.Version) { v.Spec.Concurrency = 4 })
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
				got = append(got, l.Level+" "+l.Text)
			}
		}
		if s := strings.Join(got, ", "); s != "INFO a 1 { x: 1 },  b, ERROR c, DEBUG d" {
			t.Errorf("%s: %s", id, s)
		}
	}
}

func TestInitializer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, code, want string }{
		{"callback", `let n = 0; exports.init = (c, cb) => setTimeout(() => { n = c.requestId.length; cb(null, '') }, 5); exports.handler = async () => n`, "36"},
		{"promise", `let n = 0; exports.init = async () => { n++ }; exports.handler = async () => n`, "1"},
		{"async with callback", `let n = 0; exports.init = async (c, cb) => { await null; n++; cb() }; exports.handler = async () => n`, "1"},
		{"error", `exports.init = (c, cb) => cb(new Error('no table')); exports.handler = async () => 1`, "InitFail: no table"},
		{"text", `exports.init = (c, cb) => cb('no table'); exports.handler = async () => 1`, "InitFail: no table"},
		{"throw", `exports.init = () => { throw new Error('boom') }; exports.handler = async () => 1`, "InitFail: boom"},
		{"exit", `exports.init = () => process.exit(9); exports.handler = async () => 1`, "InitFail: the process ended in its initializer: exit status 9"},
		{"hang", `exports.init = () => new Promise(() => {}); exports.handler = async () => 1`, "InitFail: the initializer took longer than 300ms"},
		{"module throws", `throw new Error('top'); exports.init = 1`, "InitFail: top"},
		{"module exits", `process.exit(2)`, "InitFail: the process ended while it loaded the function: exit status 2"},
		{"no handler", `exports.init = async () => {}`, "BadEntry: index.handler is undefined or not exported"},
		{"syntax", `exports.init = (`, "BadEntry: Unexpected end of input"},
		{"no module", `require('not-installed')`, "BadEntry: Cannot find module 'not-installed'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.deploy("f", c.code, func(v *function.Version) {
				v.Spec.Initializer, v.Spec.InitTimeout = "index.init", patience
				if c.name == "hang" {
					v.Spec.InitTimeout = 300 * time.Millisecond
				}
			})
			res := w.invoke("f", "")
			got := string(res.Payload)
			if f := res.Failure; f != nil {
				got = map[sluice.FailureKind]string{sluice.InitFail: "InitFail: ", sluice.BadEntry: "BadEntry: "}[f.Kind] + f.Message
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if st, _ := w.f.Status("app", "f"); (st.InitError != "") != (res.Failure != nil) {
				t.Errorf("status %+v", st)
			}
		})
	}
}

func TestPreStopAndPreFreezeRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	file := filepath.Join(t.TempDir(), "out")
	w.deploy("f", `const fs = require('fs'); const put = (s) => fs.appendFileSync(process.env.OUT, s + '\n');
exports.handler = async (e) => { put('call ' + e) };
exports.freeze = (context, cb) => setTimeout(() => { put('freeze ' + context.function.name); cb() }, 20);
exports.stop = (event, context, cb) => { put('stop ' + event + ' ' + context.function.name); cb(null, '') };`, func(v *function.Version) {
		v.Spec.PreStop, v.Spec.PreFreeze = "index.stop", "index.freeze"
		v.Spec.StopTime, v.Spec.FreezeTime = patience, patience
		v.Env["OUT"] = file
	})
	w.invoke("f", "1")
	w.invoke("f", "2")
	w.stop()
	b, _ := os.ReadFile(file)
	if got := string(b); !strings.HasPrefix(got, "call 1\nfreeze f\ncall 2\n") || !strings.Contains(got, "stop null f\n") {
		t.Errorf("got %q", got)
	}
}

func TestAPreFreezeThatHangsEndsWithItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = async () => process.pid; exports.freeze = () => new Promise(() => {});`, func(v *function.Version) {
		v.Spec.PreFreeze, v.Spec.FreezeTime = "index.freeze", 50*time.Millisecond
	})
	if a, b := w.invoke("f", ""), w.invoke("f", ""); a.Failure != nil || string(a.Payload) != string(b.Payload) {
		t.Errorf("%+v, then %+v", a, b)
	}
	waitFor(t, func() bool { return strings.Contains(w.logs.text(), "preFreeze: ran out of time") })
}

func TestCallsRunTogetherInOneInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `let n = 0, waiting = []; exports.handler = (e, c, cb) => { waiting.push(cb); if (++n === 10) waiting.forEach((f) => f(null, String(process.pid))) }`,
		func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 10, 1 })
	pids := make([]string, 10)
	var wg sync.WaitGroup
	for i := range pids {
		wg.Go(func() { pids[i] = string(w.invoke("f", "").Payload) })
	}
	wg.Wait()
	for _, p := range pids {
		if p == "" || p != pids[0] {
			t.Fatalf("pids %v", pids)
		}
	}
}

func TestCrashAnswersAllInFlightOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `let n = 0; exports.handler = (e, c, cb) => { if (++n === 10) process.kill(process.pid, 'SIGKILL') }`,
		func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 10, 1 })
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

// untilFile is a function that answers with its process when there is the file that a call names, or it names none.
const untilFile = `
const fs = require('fs');
exports.handler = (e, c, cb) => {
  const look = () => (e.length && !fs.existsSync(String(e)) ? setTimeout(look, 5) : cb(null, String(process.pid)));
  look();
};`

func TestOneSlowCallDoesNotKillTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const limit = 6 * time.Second
	w.deploy("f", untilFile, func(v *function.Version) { v.Spec.Concurrency, v.Spec.Timeout = 10, limit })
	goOn := filepath.Join(t.TempDir(), "go on")
	pid := pidOf(t, w.invoke("f", ""))
	var slow, others sync.WaitGroup
	slow.Go(func() {
		if res := w.invoke("f", "/never"); res.Failure == nil || res.Failure.Kind != sluice.TimedOut {
			t.Errorf("hang: %+v", res)
		}
	})
	waitFor(t, func() bool { s, _ := w.f.Status("app", "f"); return s.Stats.InFlight == 1 })
	time.Sleep(limit / 2)
	for range 3 {
		others.Go(func() {
			if got := pidOf(t, w.invoke("f", goOn)); got != pid {
				t.Errorf("ran in %d, not in %d", got, pid)
			}
		})
	}
	slow.Wait()
	write(t, goOn, "") // the others overlap the first one's end
	others.Wait()
	if got := pidOf(t, w.invoke("f", "")); got == pid {
		t.Error("the instance still takes calls")
	}
	gone(t, pid)
}

func TestACallerMayLeaveAndTheCallGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `let ended = 0; const held = [];
exports.handler = (e, c, cb) => {
  if (String(e) === 'hold') return held.push(() => { ended++; cb(null, '') });
  cb(null, String(ended));
  if (String(e) === 'free') held.forEach((f) => f());
}`, func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 4, 1 })
	w.invoke("f", "")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var wg sync.WaitGroup
	for range 2 { // one of them reads for both
		wg.Go(func() {
			if _, err := w.f.Invoke(ctx, sluice.Invocation{App: "app", Function: "f", Payload: []byte("hold")}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	waitFor(t, func() bool { s, _ := w.f.Status("app", "f"); return s.Stats.InFlight == 2 })
	leave()
	wg.Wait()
	if res := w.invoke("f", "free"); string(res.Payload) != "0" {
		t.Errorf("callers left after %s calls had ended", res.Payload)
	}
	waitFor(t, func() bool { s, _ := w.f.Status("app", "f"); return s.Stats.InFlight == 0 })
	if res := w.invoke("f", ""); string(res.Payload) != "2" {
		t.Errorf("%s of 2 calls ended", res.Payload)
	}
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited too long")
		}
	}
}

func TestRedeployUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	code := func(n int) string {
		return fmt.Sprintf(`exports.handler = (e, c, cb) => setTimeout(() => cb(null, '%d'), 2)`, n)
	}
	w.deploy("f", code(0), nil)
	var newest atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var calls atomic.Int64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				least := newest.Load()
				res := w.invoke("f", "")
				got, err := strconv.ParseInt(string(res.Payload), 10, 64)
				if err != nil || got < least {
					t.Errorf("version %q after %d was deployed: %+v", res.Payload, least, res.Failure)
					return
				}
				calls.Add(1)
			}
		})
	}
	for n := 1; n <= 10; n++ {
		before := calls.Load()
		w.deploy("f", code(n), nil)
		newest.Store(int64(n))
		waitFor(t, func() bool { return calls.Load() > before+20 || t.Failed() })
	}
	cancel()
	wg.Wait()
	waitFor(t, func() bool { // the old ones are gone
		s, _ := w.f.Status("app", "f")
		return w.living() <= s.Stats.Idle+s.Stats.Starting+1+2*2
	})
}

// TestRandomKills is goal G19 in small: each of 2,000 calls is answered exactly once while instances are
// killed at random.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = (e, c, cb) => setTimeout(() => cb(null, e + ' ' + process.pid), Math.random() * 3)`, func(v *function.Version) { v.Spec.Concurrency = 2 })
	w.invoke("f", "")
	var recent [4]atomic.Int64 // instances that have answered lately
	var kills atomic.Int64
	kill := func() {
		if pid := recent[rand.IntN(len(recent))].Swap(0); pid != 0 && unix.Kill(int(pid), unix.SIGKILL) == nil {
			kills.Add(1)
		}
	}
	const total = 2000
	var next, ok, crashed, other atomic.Int64
	answered := make([]atomic.Int32, total)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= total {
					return
				}
				res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(strconv.FormatInt(n, 10))})
				answered[n].Add(1)
				text, pid, _ := strings.Cut(string(res.Payload), " ")
				switch {
				case err == nil && res.Failure == nil && text == strconv.FormatInt(n, 10):
					p, _ := strconv.ParseInt(pid, 10, 64)
					recent[n%4].Store(p)
					if ok.Add(1)%20 == 0 { // by number, not by time: a slow machine shall not see more of them
						kill()
					}
				case err == nil && res.Failure != nil && res.Failure.Kind == sluice.Crashed:
					crashed.Add(1)
				default:
					other.Add(1)
					t.Errorf("call %d: %q %+v %v", n, res.Payload, res.Failure, err)
				}
			}
		})
	}
	wg.Wait()
	for n := range answered {
		if answered[n].Load() != 1 {
			t.Errorf("call %d was answered %d times", n, answered[n].Load())
		}
	}
	t.Logf("%d ok, %d crashed, %d kills", ok.Load(), crashed.Load(), kills.Load())
	if ok.Load() < total/2 {
		t.Errorf("only %d calls succeeded", ok.Load())
	}
}

func TestScaleFromZeroAndPrewarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *function.Options, _ *NodeOptions) { o.NoPrewarm = true })
	w.deploy("f", misbehaving, nil)
	if s, _ := w.f.Status("app", "f"); s.Stats.Idle+s.Stats.Starting != 0 {
		t.Errorf("%+v", s.Stats)
	}
	if res := w.invoke("f", "echo"); !res.Cold || res.Init == 0 {
		t.Errorf("first call: cold %v, init %v", res.Cold, res.Init)
	}
	if res := w.invoke("f", "echo"); res.Cold || res.Init != 0 {
		t.Errorf("second call: cold %v, init %v", res.Cold, res.Init)
	}

	p := newWorld(t, nil)
	p.deploy("f", misbehaving, nil)
	waitFor(t, func() bool { s, _ := p.f.Status("app", "f"); return s.Stats.Idle == 1 })
	if res := p.invoke("f", "echo"); res.Cold || res.Init == 0 {
		t.Errorf("prewarmed: cold %v, init %v", res.Cold, res.Init)
	}
}

func TestMissingNodeSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *function.Options, n *NodeOptions) { n.Path = "no-such-node" })
	w.deploy("f", misbehaving, nil)
	_, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f"})
	if sluice.KindOf(err) != sluice.Unavailable || !strings.Contains(sluice.HintOf(err), "install Node.js") {
		t.Errorf("got %v, hint %q", err, sluice.HintOf(err))
	}
}

func TestEnvironmentTooLargeForMetaStillLoads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = async () => process.env.BIG.length`, func(v *function.Version) { v.Env["BIG"] = strings.Repeat("x", 100_000) })
	if res := w.invoke("f", ""); string(res.Payload) != "100000" {
		t.Errorf("%q %+v", res.Payload, res.Failure)
	}
}

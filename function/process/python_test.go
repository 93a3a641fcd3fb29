//go:build unix

package process

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/egress"
)

// pythonWorld is a room with real python.
type pythonWorld struct {
	*world
	python *Python
}

func newPythonWorld(t testing.TB, change func(*function.Options, *PythonOptions)) *pythonWorld {
	t.Helper()
	needPython(t)
	w := &pythonWorld{world: &world{t: t, spawner: NewSpawner(Options{Log: quiet()}), logs: &logs{}}}
	po := PythonOptions{Dir: filepath.Join(t.TempDir(), "shim"), Log: quiet()}
	fo := function.Options{Spawner: w.spawner, Logs: w.logs, Log: quiet()}
	if change != nil {
		change(&fo, &po)
	}
	w.python = NewPython(po)
	fo.Starters = append(fo.Starters, w.python)
	w.f = function.New(fo)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { w.f.Run(ctx); close(ran) }()
	w.stop = sync.OnceFunc(func() {
		sctx, scancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer scancel()
		w.f.Stop(sctx)
		cancel()
		<-ran
		w.python.Close()
		for end := time.Now().Add(time.Second); w.living() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%d processes are left after Stop", w.living())
				break
			}
		}
		w.spawner.Close()
	})
	t.Cleanup(w.stop)
	return w
}

func needPython(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
}

// deploy puts code into a file index.py of a new folder and deploys it.
func (w *pythonWorld) deploy(name, code string, change func(*function.Version)) *function.Version {
	w.t.Helper()
	v := version(w.t, name, "")
	v.Spec.Runtime = "python3.10"
	write(w.t, filepath.Join(v.Root, "index.py"), code)
	if change != nil {
		change(v)
	}
	if err := w.f.Deploy(w.t.Context(), v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func TestPythonConventions(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"a text", "def handler(event, context): return 'got ' + event.decode()", "é", "got é", ""},
		{"an event is bytes", "def handler(event, context): return type(event).__name__", "x", "bytes", ""},
		{"bytes", "def handler(event, context): return bytes([1, 2, 255])", "", "\x01\x02\xff", ""},
		{"a dict", "def handler(event, context): return {'n': len(event)}", "abc", `{"n": 3}`, ""},
		{"a number", "def handler(event, context): return 42", "", "42", ""},
		{"nothing", "def handler(event, context): pass", "", "", ""},
		{"not JSON", "def handler(event, context): return {1, 2}", "", "", "TypeError: Object of type set is not JSON serializable"},
		{"half a character", "def handler(event, context): return '\\ud800'", "", `\ud800`, ""},
		{"an error", "def handler(event, context): raise ValueError('bad')", "", "", "ValueError: bad"},
		{"an error without words", "def handler(event, context): assert False", "", "", "AssertionError: "},
		{"deep recursion", "def handler(event, context): return handler(event, context)", "", "", "RecursionError: maximum recursion"},
		{"KeyboardInterrupt", "def handler(event, context): raise KeyboardInterrupt('k')", "", "", "KeyboardInterrupt: k"},
		{"environment", "import os, sys\ndef handler(event, context): return os.environ['COLOR'] + str(os.getcwd() == sys.path[0]) + os.path.basename(sys.argv[0])", "", "blueTrueindex.py", ""},
		{"nothing leaks from the shim", "import os\ndef handler(event, context): return ','.join(sorted(os.environ))", "", "COLOR,FC_INSTANCE_ID,PATH", ""},
		{"it is not a thread", "import threading, sys\ndef handler(event, context): return str(threading.current_thread() is threading.main_thread())", "", "True", ""},
		{"globals stay", "n = 0\ndef handler(event, context):\n  global n; n += 1; return n", "", "1", ""},
		{"a child process", "import subprocess\ndef handler(event, context): return subprocess.check_output(['sh', '-c', 'ls /proc/self/fd | wc -l; exit 0'])", "", "", ""},
		{"a pool of processes", "import multiprocessing\ndef f(n): return n * n\ndef handler(event, context):\n  with multiprocessing.Pool(2) as p: return p.map(f, [1, 2, 3])", "", "[1, 4, 9]", ""},
		{"a fork that comes back", "import os\ndef handler(event, context):\n  if os.fork(): os.wait()\n  return 'once'", "", "once", ""},
	} {
		w.deploy("f", c.code, nil)
		res := w.invoke("f", c.payload)
		if c.fail == "" {
			if res.Failure != nil || string(res.Payload) != c.want && c.name != "a child process" {
				t.Errorf("%s: %q %+v, want %q", c.name, res.Payload, res.Failure, c.want)
			}
			continue
		}
		if res.Failure == nil || res.Failure.Kind != sluice.Handled || !strings.HasPrefix(res.Failure.Type+": "+res.Failure.Message, c.fail) {
			t.Errorf("%s: %q %+v, want failure %q", c.name, res.Payload, res.Failure, c.fail)
			continue
		}
		var body struct {
			ErrorMessage, ErrorType string
			StackTrace              [][]string
		}
		if err := json.Unmarshal(res.Failure.Body, &body); err != nil || body.ErrorMessage != res.Failure.Message || body.ErrorType != res.Failure.Type {
			t.Errorf("%s: body %s", c.name, res.Failure.Body)
		}
		if c.name == "an error" && (len(body.StackTrace) != 1 || !strings.HasSuffix(body.StackTrace[0][0], `index.py"`) ||
			!slices.Equal(body.StackTrace[0][1:], []string{"line 1", "in handler", "def handler(event, context): raise ValueError('bad')"})) {
			t.Errorf("stack %v", body.StackTrace)
		}
	}
}

func TestPythonAWSConventions(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"JSON in and out", "def handler(event, context): return {'got': event['a']}", `{"a":[1]}`, `{"got": [1]}`, ""},
		{"nothing is null", "def handler(event, context): pass", `{}`, `null`, ""},
		{"no event", "def handler(event, context): return event", ``, `{}`, ""},
		{"the time that is left", "def handler(e, c): return 15000 < c.get_remaining_time_in_millis() <= 20000", `{}`, `true`, ""},
		{"the context", "import os\ndef handler(e, c): return [len(c.aws_request_id), c.invoked_function_arn, c.memory_limit_in_mb, c.function_name, c.client_context.custom, c.identity.cognito_identity_id, os.environ['_X_AMZN_TRACE_ID']]",
			`{}`, `[36, "arn:f", "256", "f", {"x": 1}, null, "Root=1"]`, ""},
		{"a raise", "def handler(e, c): raise LookupError('l')", `{}`, ``, `{"errorMessage": "l", "errorType": "LookupError", "requestId": "R", "stackTrace": ["  File `},
		{"a bad event", "def handler(e, c): pass", `{`, ``, `{"errorMessage": "Expecting property name`},
		{"a decimal", "from decimal import Decimal\ndef handler(e, c): return [Decimal('1.5'), Decimal(2)]", `{}`, `[1.5, 2.0]`, ""},
		{"a set", "def handler(e, c): return {1}", `{}`, ``, `{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime.MarshalError"`},
		{"no handler", "", `{}`, ``, `{"errorMessage": "Handler 'handler' missing on module 'index'", "errorType": "Runtime.HandlerNotFound"`},
		{"no module", "import not_there", `{}`, ``, `{"errorMessage": "Unable to import module 'index': No module named 'not_there'", "errorType": "Runtime.ImportModuleError"`},
		{"syntax", "1 +* 2", `{}`, ``, `{"errorMessage": "Syntax error in module 'index': invalid syntax (index.py, line 1)", "errorType": "Runtime.UserCodeSyntaxError"`},
	} {
		w.deploy("f", c.code, func(v *function.Version) { v.Dialect = "aws" })
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(c.payload), Attrs: map[string]string{"arn": "arn:f", "trace": "Root=1", "client": `{"custom":{"x":1}}`}})
		if err != nil {
			t.Fatal(err)
		}
		if c.fail != "" {
			if body := uuid.ReplaceAllString(string(res.Failure.Body), "R"); !strings.HasPrefix(body, c.fail) {
				t.Errorf("%s: %s", c.name, body)
			}
		} else if res.Failure != nil || string(res.Payload) != c.want {
			t.Errorf("%s: %q %+v, want %q", c.name, res.Payload, res.Failure, c.want)
		}
	}
}

var uuid = regexp.MustCompile(`[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`)

func TestPythonContextHasBothSpellings(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
def init(context): pass
def handler(event, context):
    context.mine = 1
    c = context.credentials
    assert (context.requestId, c.accessKeyId, c.accessKeySecret, c.securityToken) == (context.request_id, c.access_key_id, c.access_key_secret, c.security_token)
    assert context.accountId == context.account_id and context.service.logProject == context.service.log_project
    return [context.request_id, c.access_key_id, c.access_key_secret, c.security_token, context.function.name, context.function.handler,
            context.function.memory, context.function.timeout, context.function.initializer, context.service.name, context.service.log_store,
            context.service.qualifier, context.service.version_id, context.region, context.account_id, context.retry_count]
`, func(v *function.Version) {
		v.Spec.Initializer = "index.init"
		maps.Copy(v.Env, map[string]string{"FC_REGION": "cn-test", "FC_ACCOUNT_ID": "1", "ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "key", "FC_SECURITY_TOKEN": "t"})
	})
	res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", RequestID: "R1"})
	if err != nil || res.Failure != nil {
		t.Fatal(err, res.Failure)
	}
	if want := `["R1", "id", "key", "t", "f", "index.handler", 256, 20, "index.init", "svc", "", "LATEST", "", "cn-test", "1", 0]`; string(res.Payload) != want {
		t.Errorf("got  %s\nwant %s", res.Payload, want)
	}
}

func TestPythonHTTPFunctionIsWSGI(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import json
from wsgiref.validate import validator
class Body:
    closed = 0
    def __iter__(self): return iter([b'a', b'b'])
    def close(self): Body.closed += 1
def ok(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'valid']
def handler(e, start_response):
    path = e['PATH_INFO']
    if path == '/raise': raise KeyError('k')
    if path == '/silent': return [b'']
    if path == '/checked': return validator(ok)(e, start_response)
    start_response('201 Created', [('X-Many', 'a'), ('X-Many', 'b')])
    if path == '/stream': return Body()
    body = e['wsgi.input'].read(int(e['CONTENT_LENGTH']))
    return [json.dumps([e['REQUEST_METHOD'], path.encode('latin-1').decode(), e['QUERY_STRING'], e['CONTENT_TYPE'], e['CONTENT_LENGTH'], e['HTTP_X_TWO'], e['REMOTE_ADDR'],
        e['HTTP_HOST'], e['fc.request_uri'], body.decode(), e['fc.context'].request_id, Body.closed], ensure_ascii=False).encode()]
`, nil)
	call := func(path, body string) sluice.Result {
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Kind: sluice.InvokeHTTP, RequestID: "R", Payload: []byte(body), HTTP: &sluice.HTTPRequest{
			Method: "POST", Path: path, RawQuery: "a=1&b=2", Host: "h.example", Header: map[string][]string{"Content-Type": {"text/plain"}, "X-Two": {"1", "2"}}, Remote: "1.2.3.4", URI: "/p" + path + "?a=1&b=2"}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := call("/stream", ""); string(res.Payload) != "ab" {
		t.Errorf("stream %q %+v", res.Payload, res.Failure)
	}
	res := call("/é", "hello")
	if want := `["POST", "/é", "a=1&b=2", "text/plain", "5", "1, 2", "1.2.3.4", "h.example", "/p/é?a=1&b=2", "hello", "R", 1]`; string(res.Payload) != want {
		t.Errorf("got  %s %+v\nwant %s", res.Payload, res.Failure, want)
	}
	if h, _ := json.Marshal(res.HTTP); string(h) != `{"Status":201,"Header":{"X-Many":["a","b"]}}` {
		t.Errorf("head %s", h)
	}
	if res := call("/checked", ""); string(res.Payload) != "valid" {
		t.Errorf("the standard library's validator says %q %+v", res.Payload, res.Failure)
	}
	for path, typ := range map[string]string{"/raise": "KeyError", "/silent": "AssertionError"} {
		if res := call(path, ""); res.Failure == nil || res.Failure.Type != typ {
			t.Errorf("%s: %q %+v", path, res.Payload, res.Failure)
		}
	}
}

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
		w.deploy("f", misbehavingPython, func(v *function.Version) { v.Spec.Timeout = 2 * time.Second })
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
			res := w.invoke("f", c.payload)
			if c.kind == 0 {
				if res.Failure != nil {
					t.Errorf("%s: %+v", c.payload, res.Failure)
				}
			} else if res.Failure == nil || res.Failure.Kind != c.kind || !strings.HasPrefix(res.Failure.Message, c.text) {
				t.Errorf("%s: %q %+v", c.payload, res.Payload[:min(len(res.Payload), 50)], res.Failure)
			}
			if got := w.invoke("f", "echo"); got.Failure != nil || string(got.Payload) != "echo" {
				t.Errorf("after %s: %+v", c.payload, got.Failure)
			}
		}
		if text := w.logs.text(); !strings.Contains(text, "|leaving\n") || !strings.Contains(text, "|last words\n") || !strings.Contains(text, "ZeroDivisionError") {
			t.Errorf("log %q", text)
		}
		w.deploy("f", misbehavingPython, nil) // with time enough
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
		w.deploy("f", misbehavingPython, func(v *function.Version) { v.Spec.Timeout = 2 * time.Second })
		for _, how := range []string{"hang", "spin"} {
			pid := pidOf(t, w.invoke("f", "pid"))
			grandchild := pidOf(t, w.invoke("f", "grandchild"))
			began := time.Now()
			if res := w.invoke("f", how); res.Failure == nil || res.Failure.Kind != sluice.TimedOut {
				t.Fatalf("%+v", res.Failure)
			}
			if d := time.Since(began); d > 20*time.Second {
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

func TestPythonInitializer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, code, want string }{
		{"once", "n = 0\ndef init(context):\n  global n; n += len(context.request_id)\ndef handler(e, c): return n", "36"},
		{"error", "def init(c): raise IOError('no table')\ndef handler(e, c): return 1", "InitFail: no table"},
		{"exit", "import sys\ndef init(c): sys.exit(9)\ndef handler(e, c): return 1", "InitFail: the process ended in its initializer: exit status 9"},
		{"hang", "import time\ndef init(c): time.sleep(600)\ndef handler(e, c): return 1", "InitFail: the initializer took longer than 300ms"},
		{"module raises", "raise ValueError('top')", "InitFail: top"},
		{"module exits", "import sys; sys.exit(2)", "InitFail: the process ended while it loaded the function: exit status 2"},
		{"no handler", "def init(c): pass", "BadEntry: Handler 'handler' missing on module 'index'"},
		{"syntax", "1 +* 2", "BadEntry: invalid syntax (index.py, line 1)"},
		{"no module", "import not_installed", "BadEntry: No module named 'not_installed'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newPythonWorld(t, nil)
			w.deploy("f", c.code, func(v *function.Version) {
				v.Spec.Initializer, v.Spec.InitTimeout = "index.init", 300*time.Millisecond
			})
			res := w.invoke("f", "")
			got := string(res.Payload)
			if f := res.Failure; f != nil {
				got = map[sluice.FailureKind]string{sluice.InitFail: "InitFail: ", sluice.BadEntry: "BadEntry: "}[f.Kind] + f.Message
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestPythonFindsHandlersAndModules(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	layer := t.TempDir()
	write(t, filepath.Join(layer, "both.py"), "where = 'layer'")
	write(t, filepath.Join(layer, "dep.py"), "where = 'layer'")
	for _, c := range []struct{ handler, file, code, want string }{
		{"index.handler", "index.py", "import both, dep\ndef handler(e, c): return both.where + ' ' + dep.where", "code layer"},
		{"src/app.main", "src/app.py", "def main(e, c): return __name__", "src.app"},
		{"pkg.sub.main", "pkg/sub.py", "from . import sub\ndef main(e, c): return __name__", "pkg.sub"},
		{"my-file.main", "my-file.py", "def main(e, c): return __name__", "my-file"},
		{"queue.main", "queue.py", "def main(e, c): return 'mine'", "mine"},
		{"index.user", "index.py", "import mine\ndef user(e, c): return mine.where", "user site"},
		{"index.Thing", "index.py", "class Thing:\n  def __init__(self, e, c): raise LookupError('called')", "LookupError"},
		{"index", "index.py", "", "InvalidHandlerName"},
		{"nothing.main", "index.py", "", "InvalidHandlerName"},
		{"../index.main", "index.py", "", "InvalidHandlerName"},
	} {
		w.deploy("f", c.code, func(v *function.Version) {
			v.Spec.Handler = c.handler
			v.Env["PYTHONPATH"] = layer
			v.Env["PYTHONUSERBASE"] = v.Root + "/.s/python"
			write(t, filepath.Join(v.Root, "both.py"), "where = 'code'")
			write(t, filepath.Join(v.Root, c.file), c.code)
			for minor := range 20 {
				write(t, filepath.Join(v.Root, fmt.Sprintf(".s/python/lib/python3.%d/site-packages/mine.py", minor)), "where = 'user site'")
			}
		})
		res := w.invoke("f", "")
		got := string(res.Payload)
		if res.Failure != nil {
			got = res.Failure.Type
		}
		if got != c.want {
			t.Errorf("%s: %q %+v, want %q", c.handler, got, res.Failure, c.want)
		}
	}
}

func TestPythonLeavesNothingInTheCodeFolder(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	v := w.deploy("f", "import other\ndef handler(e, c): return other.n", func(v *function.Version) { write(t, filepath.Join(v.Root, "other.py"), "n = 5") })
	if res := w.invoke("f", ""); string(res.Payload) != "5" {
		t.Fatal(res.Failure)
	}
	if files, _ := filepath.Glob(filepath.Join(v.Root, "*")); len(files) != 3 {
		t.Errorf("%v", files)
	}
	if compiled, _ := filepath.Glob(filepath.Join(w.python.dir, "pycache", v.Root, "other.*")); len(compiled) != 1 {
		t.Errorf("compiled %v", compiled)
	}
}

func TestPythonHooksRun(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	file := filepath.Join(t.TempDir(), "out")
	w.deploy("f", `
import os, time, atexit
def put(s):
    with open(os.environ['OUT'], 'a') as f: f.write(s + '\n')
atexit.register(put, 'exit')
def handler(e, c): put('call ' + e.decode())
def freeze(context): time.sleep(0.02); put('freeze ' + context.function.name)
def stop(context): put('stop ' + context.function.name)
`, func(v *function.Version) {
		v.Spec.PreStop, v.Spec.PreFreeze = "index.stop", "index.freeze"
		v.Env["OUT"] = file
	})
	w.invoke("f", "1")
	w.invoke("f", "2")
	w.stop()
	b, _ := os.ReadFile(file)
	if got := string(b); !strings.HasPrefix(got, "call 1\nfreeze f\ncall 2\n") || !strings.HasSuffix(got, "stop f\nexit\n") {
		t.Errorf("got %q", got)
	}
}

func TestPythonCallsRunTogetherInThreads(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import os, threading
all = threading.Barrier(10)
def handler(e, c):
    all.wait(10)
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
    all.wait(10)
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
	w := newPythonWorld(t, func(o *function.Options, _ *PythonOptions) { o.NoPrewarm = true })
	for n := range maxServers + 2 {
		v := w.deploy("f", misbehavingPython, func(v *function.Version) { v.App = sluice.AppName(fmt.Sprint("app", n)) })
		if res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: v.App, Function: "f", Payload: []byte("echo")}); err != nil || res.Failure != nil {
			t.Fatal(err, res.Failure)
		}
		if err := w.f.Remove(t.Context(), v.App, "f"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return w.living() == maxServers })
}

func TestMissingPythonSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, func(_ *function.Options, p *PythonOptions) { p.Path = "no-such-python" })
	w.deploy("f", misbehavingPython, nil)
	_, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f"})
	if sluice.KindOf(err) != sluice.Unavailable || !strings.Contains(sluice.HintOf(err), "install Python") {
		t.Errorf("got %v, hint %q", err, sluice.HintOf(err))
	}
}

func TestUnmodifiedPythonReachesUs(t *testing.T) {
	t.Parallel()
	say := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s tls=%v %s", what, r.Host, r.TLS != nil, b)
		})
	}
	public := httptest.NewServer(say("public"))
	defer public.Close()
	other := httptest.NewServer(say("other"))
	defer other.Close()
	foreign := httptest.NewTLSServer(nil)
	defer foreign.Close()
	e, err := egress.Open(egress.Options{Dir: t.TempDir(), Vendors: []string{"*.vendor.test"}, Handler: say("vendor"),
		App: func(h string) bool { return h == "shop.test" }, Public: public.Listener.Addr().String(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { e.Serve(ctx, ln) })
	defer wg.Wait()
	defer cancel()
	code := `
import asyncio, http.client, json, os, socket, ssl, urllib.request
def get(url, data=None, **more):
    with urllib.request.urlopen(url, data, **more) as r: return r.read().decode()
def raw(s):
    with s: s.sendall(b'GET / HTTP/1.0\r\nHost: raw.vendor.test\r\n\r\n'); return s.makefile().read().split('\n\n')[1]
def connect(host, port):
    s = socket.socket(); s.connect((host, port)); return s
async def aget():
    r, w = await asyncio.open_connection('a.vendor.test', 443, ssl=True)
    w.write(b'GET / HTTP/1.0\r\nHost: a.vendor.test\r\n\r\n')
    text = (await r.read()).decode(); w.close()
    return text.split('\r\n\r\n')[1]
def handler(event, context):
    port = event.decode()
    return [get('https://a.vendor.test/x'), get('http://b.vendor.test/x'), get('https://c.vendor.test:443/x', b'body'),
        get('http://shop.test/notify'), get('http://chat.localhost/notify'), get('http://chat.localhost:' + port + '/'), get('http://127.0.0.1:' + port + '/'),
        raw(socket.create_connection(('RAW.vendor.test', 80))), raw(connect('raw.vendor.test', 80)), asyncio.run(aget()),
        get('https://own.vendor.test/x', context=ssl.create_default_context(cafile=os.environ['ROOTS']))]
`
	port := other.Listener.Addr().(*net.TCPAddr).Port
	for _, proxy := range []bool{false, true} {
		w := newPythonWorld(t, nil)
		w.deploy("f", code, func(v *function.Version) {
			maps.Copy(v.Env, e.Environment(ln.Addr().String(), []string{"shop.test"}, proxy))
			v.Env["ROOTS"] = filepath.Join(v.Root, "roots.pem") // of somebody else
			write(t, v.Env["ROOTS"], string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: foreign.Certificate().Raw})))
		})
		res := w.invoke("f", fmt.Sprint(port))
		if res.Failure != nil {
			t.Fatalf("%+v", res.Failure)
		}
		var got []string
		if err := json.Unmarshal(res.Payload, &got); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"vendor a.vendor.test tls=true ", "vendor b.vendor.test tls=false ", "vendor c.vendor.test:443 tls=true body",
			"public shop.test tls=false ", "public chat.localhost tls=false ",
			fmt.Sprintf("other chat.localhost:%d tls=false ", port), fmt.Sprintf("other 127.0.0.1:%d tls=false ", port),
			"vendor raw.vendor.test tls=false ", "vendor raw.vendor.test tls=false ", "vendor a.vendor.test tls=true ",
			"vendor own.vendor.test tls=true ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("proxy", proxy, diff)
		}
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

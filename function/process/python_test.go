//go:build unix

package process

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
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
		sctx, scancel := context.WithTimeout(context.Background(), patience)
		defer scancel()
		w.f.Stop(sctx)
		cancel()
		<-ran
		w.python.Close()
		for end := time.Now().Add(patience); w.living() != 0; time.Sleep(time.Millisecond) {
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
		v.Spec.StopTime, v.Spec.FreezeTime = patience, patience
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

func TestMissingPythonSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, func(_ *function.Options, p *PythonOptions) { p.Path = "no-such-python" })
	w.deploy("f", misbehavingPython, nil)
	_, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f"})
	if sluice.KindOf(err) != sluice.Unavailable || !strings.Contains(sluice.HintOf(err), "install Python") {
		t.Errorf("got %v, hint %q", err, sluice.HintOf(err))
	}
}

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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// logs keeps log lines.
type logs struct {
	mu    sync.Mutex
	lines []function.LogLine
}

func (l *logs) Log(line function.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *logs) all() []function.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]function.LogLine(nil), l.lines...)
}

func (l *logs) text() string {
	var b strings.Builder
	for _, line := range l.all() {
		fmt.Fprintf(&b, "%s|%s\n", line.Level, line.Text)
	}
	return b.String()
}

// world is a room with real node.
type world struct {
	t       testing.TB
	f       *function.Functions
	node    *Node
	spawner *Spawner
	logs    *logs
	stop    func()
}

func newWorld(t testing.TB, change func(*function.Options, *NodeOptions)) *world {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed")
	}
	w := &world{t: t, spawner: NewSpawner(Options{Log: quiet()}), logs: &logs{}}
	no := NodeOptions{Dir: filepath.Join(t.TempDir(), "shim"), Log: quiet()}
	fo := function.Options{Spawner: w.spawner, Logs: w.logs, Log: quiet()}
	if change != nil {
		change(&fo, &no)
	}
	w.node = NewNode(no)
	fo.Starters = append(fo.Starters, w.node)
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
		w.node.Close()
		for end := time.Now().Add(patience); w.living() != 0; time.Sleep(time.Millisecond) { // it may lag by an instant
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

// living counts our processes.
func (w *world) living() int {
	w.spawner.mu.Lock()
	defer w.spawner.mu.Unlock()
	return len(w.spawner.live)
}

// deploy puts code into a file index.js of a new folder and deploys it.
func (w *world) deploy(name, code string, change func(*function.Version)) *function.Version {
	w.t.Helper()
	v := version(w.t, name, code)
	if change != nil {
		change(v)
	}
	if err := w.f.Deploy(w.t.Context(), v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func version(t testing.TB, name, code string) *function.Version {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.js"), code)
	return &function.Version{
		App: "app", Dialect: "aliyun", Revision: "1", Root: dir,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "COLOR": "blue"},
		Spec: sluice.Function{Name: sluice.FunctionName(name), Group: "svc", Runtime: "nodejs20", Handler: "index.handler",
			MemoryMB: 256, Timeout: 20 * time.Second},
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *world) invoke(name, payload string) sluice.Result {
	w.t.Helper()
	res, err := w.f.Invoke(w.t.Context(), sluice.Invocation{App: "app", Function: sluice.FunctionName(name), Payload: []byte(payload)})
	if err != nil {
		w.t.Fatalf("invoke %s: %v", name, err)
	}
	return res
}

func TestAliyunConventions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"a callback", `exports.handler = (event, context, cb) => cb(null, 'got ' + event.toString())`, "x", "got x", ""},
		{"an event is a Buffer", `exports.handler = (event, context, cb) => cb(null, String(Buffer.isBuffer(event)))`, "x", "true", ""},
		{"a promise", `exports.handler = async (event) => ({n: event.length})`, "abc", `{"n":3}`, ""},
		{"a Buffer", `exports.handler = async () => Buffer.from([1,2,255])`, "", "\x01\x02\xff", ""},
		{"a number", `exports.handler = async () => 42`, "", "42", ""},
		{"nothing", `exports.handler = async () => {}`, "", "", ""},
		{"null", `exports.handler = (e, c, cb) => cb(null, null)`, "", "", ""},
		{"a function", `exports.handler = async () => () => 1`, "", "", ""},
		{"a symbol", `exports.handler = async () => Symbol('x')`, "", "", ""},
		{"async with callback", `exports.handler = async (e, c, cb) => { setTimeout(() => cb(null, 'late'), 20) }`, "", "late", ""},
		{"async that never calls back", `exports.handler = async (e, c, cb) => {}`, "", "", ""},
		{"the first answer wins", `exports.handler = async (e, c, cb) => { cb(null, 'one'); cb(null, 'two'); return 'three' }`, "", "one", ""},
		{"a circle", `exports.handler = async () => { const a = {}; a.a = a; return a }`, "", "", "TypeError: Converting circular structure to JSON"},
		{"a thrown error", `exports.handler = () => { throw new RangeError('bad') }`, "", "", "RangeError: bad"},
		{"a rejection", `exports.handler = async () => { throw new Error('no') }`, "", "", "Error: no"},
		{"a rejection with nothing", `exports.handler = () => Promise.reject()`, "", "", "Error: undefined"},
		{"an error by callback", `exports.handler = (e, c, cb) => cb(new TypeError('t'))`, "", "", "TypeError: t"},
		{"a text as error", `exports.handler = (e, c, cb) => cb('plain')`, "", "", "Error: plain"},
		{"environment", `exports.handler = async () => process.env.COLOR + process.cwd().length + require('path').basename(process.argv[1])`, "", "", ""},
		{"nothing leaks from the shim", `exports.handler = async () => Object.keys(process.env).sort().join()`, "", "COLOR,FC_INSTANCE_ID,PATH", ""},
	} {
		w.deploy("f", c.code, nil)
		res := w.invoke("f", c.payload)
		if c.name == "environment" {
			if !strings.HasPrefix(string(res.Payload), "blue") || !strings.HasSuffix(string(res.Payload), "index.js") {
				t.Errorf("%s: %q", c.name, res.Payload)
			}
			continue
		}
		if c.fail == "" {
			if res.Failure != nil || string(res.Payload) != c.want {
				t.Errorf("%s: %q %+v, want %q", c.name, res.Payload, res.Failure, c.want)
			}
			continue
		}
		if res.Failure == nil || res.Failure.Kind != sluice.Handled || !strings.HasPrefix(res.Failure.Type+": "+res.Failure.Message, c.fail) {
			t.Errorf("%s: %q %+v, want failure %q", c.name, res.Payload, res.Failure, c.fail)
			continue
		}
		if said := c.name == "an error by callback" || c.name == "a text as error"; res.Failure.Thrown == said {
			t.Errorf("%s: thrown is %v", c.name, res.Failure.Thrown)
		}
		var body struct{ ErrorMessage, ErrorType string }
		if err := json.Unmarshal(res.Failure.Body, &body); err != nil || body.ErrorMessage != res.Failure.Message {
			t.Errorf("%s: body %s", c.name, res.Failure.Body)
		}
	}
}

func TestAliyunContextIsPlain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = (e, context, cb) => { context.mine = 1; context.logger.info('x'); cb(null, JSON.stringify(context)) }`, func(v *function.Version) {
		v.Spec.Initializer = "index.init"
		maps.Copy(v.Env, map[string]string{"FC_REGION": "cn-test", "FC_ACCOUNT_ID": "1", "ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "key"})
		write(t, filepath.Join(v.Root, "index.js"), `exports.init = (context, cb) => cb(null, ''); exports.handler = (e, context, cb) => { context.mine = 1; context.logger.info('x'); cb(null, JSON.stringify(context)) }`)
	})
	res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", RequestID: "R1"})
	if err != nil || res.Failure != nil {
		t.Fatal(err, res.Failure)
	}
	want := `{"requestId":"R1","credentials":{"accessKeyId":"id","accessKeySecret":"key","securityToken":""},` +
		`"function":{"name":"f","handler":"index.handler","memory":256,"timeout":20,"initializer":"index.init","initializationTimeout":3},` +
		`"service":{"name":"svc","logProject":"","logStore":"","qualifier":"LATEST","versionId":""},"region":"cn-test","accountId":"1","retryCount":0,` +
		`"tracing":{"openTracingSpanContext":"","openTracingSpanBaggages":{},"jaegerEndpoint":""},"mine":1}`
	if string(res.Payload) != want {
		t.Errorf("got  %s\nwant %s", res.Payload, want)
	}
}

func TestAliyunHTTPFunction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `
const { Readable } = require('stream');
exports.handler = (req, resp, context) => {
  const parts = [];
  req.on('data', (c) => parts.push(c)).on('end', () => {
    resp.setStatusCode(201);
    resp.setHeader('X-Many', ['a', 'b']);
    resp.setHeader('gone', '1');
    resp.deleteHeader('Gone');
    const text = JSON.stringify([req.method, req.path, req.url, req.headers['content-type'], req.queries, req.clientIP, req.host, Buffer.concat(parts).toString(), context.requestId]);
    resp.send(req.path === '/stream' ? Readable.from([Buffer.from('a'), Buffer.from('b')]) : text);
    resp.send('again');
  });
};`, nil)
	call := func(path, body string) sluice.Result {
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Kind: sluice.InvokeHTTP, RequestID: "R", Payload: []byte(body), HTTP: &sluice.HTTPRequest{
			Method: "POST", Path: path, RawQuery: "a=1&b=2&b=3", Host: "h.example", Header: map[string][]string{"Content-Type": {"text/plain"}}, Remote: "1.2.3.4", URI: "/p" + path + "?a=1&b=2&b=3"}})
		if err != nil || res.Failure != nil || res.HTTP == nil {
			t.Fatal(err, res.Failure, res.HTTP)
		}
		return res
	}
	res := call("/x", "hello")
	if want := `["POST","/x","/p/x?a=1&b=2&b=3","text/plain",{"a":"1","b":["2","3"]},"1.2.3.4","h.example","hello","R"]`; string(res.Payload) != want {
		t.Errorf("got  %s\nwant %s", res.Payload, want)
	}
	if h, _ := json.Marshal(res.HTTP); string(h) != `{"Status":201,"Header":{"X-Many":["a","b"]}}` {
		t.Errorf("head %s", h)
	}
	if res := call("/stream", ""); string(res.Payload) != "ab" {
		t.Errorf("stream %q", res.Payload)
	}
	if res := call("/x", ""); !strings.Contains(string(res.Payload), `"h.example","","R"`) {
		t.Errorf("no body %s", res.Payload)
	}
}

func TestAliyunHTTPFunctionTakesAnEventAsABody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = (req, resp) => { let s = ''; req.on('data', (c) => { s += c }).on('end', () => { resp.setStatusCode(404); resp.send(req.method + req.path + s); }); };`,
		func(v *function.Version) { v.Spec.HTTP = &sluice.HTTPTrigger{Name: "web"} })
	for payload, want := range map[string]string{"hi": "POST/hi", "": "GET/"} {
		if res := w.invoke("f", payload); res.Failure != nil || res.HTTP != nil || string(res.Payload) != want {
			t.Errorf("%q: %s %+v", payload, res.Payload, res.Failure)
		}
	}
}

func TestOnlyAFewKindsAreKeptBooted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *function.Options, _ *NodeOptions) { o.NoPrewarm = true })
	for n := range maxKinds + 2 {
		w.deploy("f", `exports.handler = async () => 1`, func(v *function.Version) { v.Spec.MemoryMB = 128 + 64*n })
		w.invoke("f", "")
	}
	waitFor(t, func() bool {
		kinds, idle := kept(w.node.spares)
		return kinds == maxKinds && idle == maxKinds && w.living() == maxKinds+1
	})
}

func TestEachRevisionsOwnFolderOfLibrariesAsksForNoBootOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *function.Options, _ *NodeOptions) { o.NoPrewarm = true })
	for n := range 3 {
		v := w.deploy("f", `exports.handler = async () => process.env.LD_LIBRARY_PATH`, func(v *function.Version) { v.Env["LD_LIBRARY_PATH"] = v.Root + ":" + v.Root + "/lib" })
		if res := w.invoke("f", ""); !strings.Contains(string(res.Payload), v.Root+"/lib") {
			t.Errorf("the function sees %s", res.Payload)
		}
		if kinds, _ := kept(w.node.spares); kinds != 1 {
			t.Errorf("%d kinds after %d revisions", kinds, n+1)
		}
	}
	w.deploy("f", `exports.handler = async () => 1`, func(v *function.Version) {
		v.Env["LD_LIBRARY_PATH"] = v.Root
		write(t, filepath.Join(v.Root, "libx.so.1"), "")
	})
	w.invoke("f", "")
	if kinds, _ := kept(w.node.spares); kinds != 2 {
		t.Errorf("%d kinds, one with libraries", kinds)
	}
}

// TestRehearsal: what an instance did while it waited for its function leaves nothing that code can see.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"aws", "aliyun", "tencent"} {
		w := newWorld(t, func(o *function.Options, _ *NodeOptions) { o.NoPrewarm = true })
		rehearsed := func() bool {
			v := w.deploy("f", `const seen = [process.argv[1] === __filename, process.env._X_AMZN_TRACE_ID, process.env.TRIGGER_SRC, (process.env.FC_INSTANCE_ID || 'x').length > 0];
				exports.handler = (e, c, cb) => cb(null, JSON.stringify([...seen, e.n || JSON.parse(e).n, Object.keys(require.cache).some((f) => f.endsWith('nodepath.cjs'))]))`,
				func(v *function.Version) { v.Dialect = dialect })
			got := strings.ReplaceAll(string(w.invoke("f", `{"n":1}`).Payload), `\"`, `"`)
			if !strings.Contains(got, `[true,null,null,true,1,`) {
				t.Fatalf("%s: a function sees %s", dialect, got)
			}
			w.f.Remove(t.Context(), v.App, v.Spec.Name)
			return strings.Contains(got, `,1,true]`)
		}
		for pause := 20 * time.Millisecond; !rehearsed(); pause *= 2 { // it needs a while for it
			if pause > patience {
				t.Fatalf("%s: it does not rehearse", dialect)
			}
			waitFor(t, func() bool { return settled(w.node.spares) })
			time.Sleep(pause)
		}
	}
}

func TestTheHeapHasItsLimitAndNothingIsSaidOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `const limit = require('v8').getHeapStatistics().heap_size_limit;
		const warned = []; process.on('warning', (w) => warned.push(w.name));
		exports.handler = async () => JSON.stringify([limit < 512 << 20, process.noDeprecation === undefined, ...warned])`,
		func(v *function.Version) { v.Spec.MemoryMB = 256 })
	if got := string(w.invoke("f", "").Payload); !strings.Contains(got, "[true,true]") {
		t.Errorf("a function sees %s", got)
	}
}

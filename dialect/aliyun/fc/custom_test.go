package fc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
	"github.com/sluicehq/sluice/internal/ports"
)

// fakeKeys are the keys of a test: one long-lived key of each app, and temporary ones.
type fakeKeys struct{}

func (fakeKeys) Temporary(prefix string, p access.Principal, ttl time.Duration) access.Credentials {
	return access.Credentials{ID: prefix + string(p.Function), Secret: "temporary", Token: "token of " + string(p.App), Expires: time.Now().Add(ttl)}
}

func (fakeKeys) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	switch {
	case token == "expired":
		return "", access.Principal{}, access.ErrExpired
	case token == "broken":
		return "", access.Principal{}, access.ErrBadToken
	case id == "admin":
		return "admin's", access.Principal{}, nil
	case id == "akID" || id == "mine":
		return map[string]string{"akID": vectorSecret, "mine": "my secret"}[id], access.Principal{App: "app"}, nil
	case id == "other":
		return "other's", access.Principal{App: "other"}, nil
	case id == "down":
		return "", access.Principal{}, errors.New("store is away")
	}
	return "", access.Principal{}, access.ErrUnknownKey
}

const vectorSecret = "S9MWOBG0AOWHSO9HPASP216QOPHT5YR4NLH3A"

// memoryLog keeps what functions print.
type memoryLog struct {
	mu    sync.Mutex
	lines []function.LogLine
	more  chan struct{} // closed by the next line; nil when nobody waits
}

func (l *memoryLog) Log(line function.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// text are the lines of one request.
func (l *memoryLog) text(request string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		if line.Request == request {
			out = append(out, line.Text)
		}
	}
	return out
}

// await waits until a request has a line; "any" is all requests and none.
func (l *memoryLog) await(t *testing.T, request, part string) {
	t.Helper()
	l.until(t, fmt.Sprintf("no line with %q for request %q", part, request), func() bool {
		lines := l.text(request)
		if request == "any" {
			lines = l.all()
		}
		return strings.Contains(strings.Join(lines, "\n"), part)
	})
}

// until waits for the lines that make ok true.
func (l *memoryLog) until(t *testing.T, fault string, ok func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		l.mu.Lock()
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-more:
		case <-late:
			all := l.all()
			t.Fatalf("%s: %q", fault, all[:min(len(all), 50)])
		}
	}
}

var build struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
	os.Exit(code)
}

// code builds the programs of testdata once and returns the folder with bootstrap and main.
func code(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "fc-code"); build.err != nil {
			return
		}
		for file, from := range map[string]string{"bootstrap": "./testdata/server", "main": "./testdata/gofn"} {
			cmd := exec.Command("go", "build", "-o", filepath.Join(build.dir, file), from)
			if out, err := cmd.CombinedOutput(); err != nil {
				build.err = fmt.Errorf("%v: %s", err, out)
			}
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

func version(t *testing.T, change ...func(*function.Version)) *function.Version {
	v := &function.Version{
		App: "app", Dialect: "aliyun", Root: code(t), Env: map[string]string{"FC_REGION": "cn-hangzhou"},
		Spec: sluice.Function{Name: "f", Group: "svc", Runtime: "custom.debian10", Handler: "index.handler", MemoryMB: 256, Timeout: 10 * time.Second,
			Port: 1}, // nobody's, as others' tests serve 9000
	}
	for _, c := range change {
		c(v)
	}
	return v
}

// start starts an instance that the test's end stops.
func start(t *testing.T, change ...func(*function.Version)) (function.Instance, *memoryLog) {
	t.Helper()
	log := &memoryLog{}
	in, err := (&Custom{Keys: fakeKeys{}}).Start(t.Context(), version(t, change...), spawner(t), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Stop(context.Background()) })
	return in, log
}

func spawner(t *testing.T) *process.Spawner {
	t.Helper()
	s := process.NewSpawner(process.Options{})
	t.Cleanup(s.Close)
	return s
}

func call1(t *testing.T, in function.Instance, payload string) sluice.Result {
	t.Helper()
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Payload: []byte(payload)})
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return res
}

func TestRuns(t *testing.T) {
	c := &Custom{}
	for rt, want := range map[string]bool{"custom": true, "custom.debian12": true, "custom-container": false, "nodejs20": false, "customary": false} {
		if c.Runs("aliyun", rt) != want {
			t.Errorf("%s: %v", rt, !want)
		}
	}
	if c.Runs("aws", "custom") {
		t.Error("another cloud's runtime")
	}
}

func TestEventsReachTheServer(t *testing.T) {
	in, log := start(t)
	log.await(t, "", "hello from the start") // what comes once a call has begun is taken for the call's
	res := call1(t, in, "echo hi")
	if string(res.Payload) != "hi" || res.Failure != nil || res.Instance != in.ID() || res.Took <= 0 || res.HTTP != nil {
		t.Errorf("%+v", res)
	}
	log.await(t, "R1", "Memory Size: 256 MB, Max Memory Used: ")
	log.await(t, "R1", "got R1")
	lines := slices.DeleteFunc(log.text("R1"), func(l string) bool { return l == "got R1" }) // which comes when it does
	if len(lines) != 3 || lines[0] != "FC Invoke Start RequestId: R1" || lines[1] != "FC Invoke End RequestId: R1" {
		t.Errorf("%q", lines)
	}
}

func TestPlatformHeaders(t *testing.T) {
	in, _ := start(t)
	var h http.Header
	if err := json.Unmarshal(call1(t, in, "headers").Payload, &h); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"X-Fc-Request-Id": "R1", "X-Fc-Access-Key-Id": "STS.f", "X-Fc-Access-Key-Secret": "temporary", "X-Fc-Security-Token": "token of app",
		"X-Fc-Function-Name": "f", "X-Fc-Function-Handler": "index.handler", "X-Fc-Function-Memory": "256", "X-Fc-Function-Timeout": "10",
		"X-Fc-Region": "cn-hangzhou", "X-Fc-Account-Id": Account, "X-Fc-Service-Name": "svc", "X-Fc-Qualifier": "LATEST", "X-Fc-Control-Path": "/invoke",
		"X-Fc-Retry-Count": "0", "Content-Type": "application/octet-stream", "User-Agent": "",
	}
	for name, v := range want {
		if h.Get(name) != v {
			t.Errorf("%s: %q, want %q", name, h.Get(name), v)
		}
	}
}

func TestEnvironmentOfTheProcess(t *testing.T) {
	in, _ := start(t, func(v *function.Version) { v.Env["MINE"], v.Env["FC_ACCESS_KEY_ID"], v.Env["PORT"] = "1", "id", "80" })
	for name, want := range map[string]string{"MINE": "1", "FC_INSTANCE_ID": in.ID(), "FC_ACCESS_KEY_ID": "id", "HOME": ""} {
		if got := string(call1(t, in, "env "+name).Payload); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	if p := string(call1(t, in, "env FC_SERVER_PORT").Payload); p == "" || p != string(call1(t, in, "env PORT").Payload) || p != string(call1(t, in, "env FC_CUSTOM_LISTEN_PORT").Payload) {
		t.Errorf("port %q", p)
	}
}

func TestHTTPPassesThrough(t *testing.T) {
	in, _ := start(t)
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Kind: sluice.InvokeHTTP, Payload: []byte("body"), HTTP: &sluice.HTTPRequest{
		Method: "PUT", Path: "/a%2Fb/c%20d", RawQuery: "x=1&y", Host: "wall.example", Header: http.Header{
			"X-Mine": {"1", "2"}, "X-Fc-Account-Id": {"forged"}, "X-Fc-Forged": {"1"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Content-Length": {"999"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Method, URI, Host, Body string
		Header                  http.Header
	}
	if err := json.Unmarshal(res.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "PUT" || got.URI != "/a%2Fb/c%20d?x=1&y" || got.Host != "wall.example" || got.Body != "body" {
		t.Errorf("%+v", got)
	}
	if h := got.Header; len(h.Values("X-Mine")) != 2 || h.Get("X-Fc-Account-Id") != Account || h.Get("X-Fc-Forged") != "" || h.Get("X-Hop") != "" || h.Get("X-Fc-Control-Path") != "/http-invoke" {
		t.Errorf("%v", h)
	}
	if res.HTTP.Status != 202 || res.HTTP.Header.Get("X-Own") != "1" || res.HTTP.Header.Get("X-Fc-Secret") != "" {
		t.Errorf("%+v", res.HTTP)
	}
	res, err = in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Kind: sluice.InvokeHTTP, HTTP: &sluice.HTTPRequest{Method: "GET", Path: "/fail"}})
	if err != nil || res.Failure == nil || res.Failure.Kind != sluice.Handled {
		t.Errorf("%+v %v", res, err)
	}
}

func TestFunctionsThatFail(t *testing.T) {
	in, _ := start(t)
	for _, tc := range []struct {
		payload string
		want    sluice.Failure
	}{
		{"throw", sluice.Failure{Kind: sluice.Handled, Type: "TypeError", Message: "boom", Stack: []string{"at a", "at b"}, Body: []byte(`{"errorMessage":"boom","errorType":"TypeError","stackTrace":["at a","at b"]}`)}},
		{"plain", sluice.Failure{Kind: sluice.Handled, Type: "Error", Message: "the function answered 503: sorry"}},
		{"told", sluice.Failure{Kind: sluice.Handled, Type: "Error", Message: "told", Body: []byte(`{"errorMessage":"told"}`)}},
		{"panic", sluice.Failure{Kind: sluice.Crashed, Type: "FunctionUnhandledError", Message: "the function's server gave no answer: EOF"}},
		{"short", sluice.Failure{Kind: sluice.Crashed, Type: "FunctionUnhandledError", Message: "the function's server gave no answer: unexpected EOF"}},
		{"big", sluice.Failure{Kind: sluice.TooBig, Type: "ResponseSizeTooLarge", Message: "the answer exceeds 33554432 bytes"}},
	} {
		res := call1(t, in, tc.payload)
		if res.Failure == nil {
			t.Errorf("%s: no failure", tc.payload)
			continue
		}
		if diff := cmp.Diff(tc.want, *res.Failure); diff != "" {
			t.Errorf("%s: %s", tc.payload, diff)
		}
	}
	res := call1(t, in, "garbage")
	if res.Failure == nil || res.Failure.Kind != sluice.Crashed || !strings.Contains(res.Failure.Message, "malformed HTTP") {
		t.Errorf("garbage: %+v", res.Failure)
	}
	if string(call1(t, in, "echo still here").Payload) != "still here" {
		t.Error("the server must serve on")
	}
}

func TestExitFailsEveryCallOnce(t *testing.T) {
	in, log := start(t, func(v *function.Version) { v.Spec.Concurrency = 10 })
	const n = 5
	results := make(chan sluice.Result, 2*n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "H" + strconv.Itoa(i), Payload: []byte("hang")})
			if err != nil {
				t.Error(err)
			}
			results <- res
		})
	}
	for i := range n {
		log.await(t, "H"+strconv.Itoa(i), "got H"+strconv.Itoa(i))
	}
	res := call1(t, in, "exit")
	wg.Wait()
	close(results)
	results2 := []sluice.Result{res}
	for r := range results {
		results2 = append(results2, r)
	}
	if len(results2) != n+1 {
		t.Fatalf("%d results", len(results2))
	}
	for _, r := range results2 {
		f := r.Failure
		if f == nil || f.Kind != sluice.Crashed || f.Type != "CAExited" || !strings.HasPrefix(f.Message, "Process exited unexpectedly before completing request (duration: ") || !strings.Contains(f.Message, "exit status 7") || strings.Contains(f.Message, "$") {
			t.Errorf("%+v", f)
		}
	}
	<-in.Done()
	if _, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "X"}); !errors.Is(err, function.ErrInstanceGone) {
		t.Errorf("after the end: %v", err)
	}
}

func TestTimeoutReallyKills(t *testing.T) {
	in, _ := start(t, func(v *function.Version) { v.Spec.Timeout = time.Second })
	res := call1(t, in, "hang")
	if res.Failure == nil || res.Failure.Kind != sluice.TimedOut || !strings.HasPrefix(res.Failure.Message, "Function timed out after 1 seconds (maxMemoryUsage: ") {
		t.Errorf("%+v", res.Failure)
	}
	<-in.Done()
	<-in.(*instance).Process.Exited()
}

func TestTimeoutLetsOtherCallsEnd(t *testing.T) {
	in, log := start(t, func(v *function.Version) { v.Spec.Concurrency = 2 })
	other := make(chan sluice.Result, 1)
	go func() {
		res, _ := in.Invoke(context.Background(), &sluice.Invocation{RequestID: "S", Payload: []byte("sleep 700ms")})
		other <- res
	}()
	log.await(t, "S", "got S")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	res, err := in.Invoke(ctx, &sluice.Invocation{RequestID: "H", Payload: []byte("hang")})
	if err != nil || res.Failure == nil || res.Failure.Kind != sluice.TimedOut {
		t.Errorf("%+v %v", res.Failure, err)
	}
	<-in.Done() // takes no more calls
	if got := <-other; string(got.Payload) != "slept" {
		t.Errorf("%+v", got)
	}
	<-in.(*instance).Process.Exited()
}

func TestCancelledCallIsStopped(t *testing.T) {
	in, log := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { log.await(t, "R", "got R"); cancel() }()
	if _, err := in.Invoke(ctx, &sluice.Invocation{RequestID: "R", Payload: []byte("hang")}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-in.(*instance).Process.Exited()
}

func TestTenMegabytesOfLog(t *testing.T) {
	in, log := start(t)
	if res := call1(t, in, "print"); string(res.Payload) != "printed" {
		t.Fatalf("%+v", res)
	}
	n, seen := 0, 0
	log.until(t, "not all lines came", func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		for ; seen < len(log.lines); seen++ {
			if l := log.lines[seen]; l.Request == "R1" && strings.HasPrefix(l.Text, "xxx") {
				n++
			}
		}
		return n == 10<<10
	})
}

func TestTailWaitsForTheLastLine(t *testing.T) {
	in, log := start(t)
	for i := range 20 {
		id := "T" + strconv.Itoa(i)
		if _, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: id, Payload: []byte("echo"), Attrs: map[string]string{attrTail: "1"}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(log.text(id), "\n"); !strings.Contains(got, "got "+id) {
			t.Errorf("%d: %q", i, got)
		}
	}
}

func TestLifeCycleHooks(t *testing.T) {
	in, log := start(t, func(v *function.Version) {
		v.Spec.Initializer, v.Spec.PreStop, v.Spec.PreFreeze = "i.init", "i.stop", "i.freeze"
	})
	log.await(t, "", "initialized with /initialize")
	call1(t, in, "echo")
	log.await(t, "any", "freezing")
	in.Stop(t.Context())
	all := fmt.Sprint(log.all())
	for _, part := range []string{"FC Initialize Start RequestId: ", "FC Initialize End RequestId: ", "freezing", "FC PreFreeze End", "stopping", "FC PreStop End"} {
		if !strings.Contains(all, part) {
			t.Errorf("no %q in %s", part, all)
		}
	}
	in.Stop(t.Context()) // again is harmless
}

func TestACommandInitializesACustomRuntime(t *testing.T) {
	command := func(limit time.Duration, words ...string) func(*function.Version) {
		return func(v *function.Version) { v.Spec.InitCommand, v.Spec.InitTimeout = words, limit }
	}
	_, log := start(t, command(time.Minute, "/bin/sh", "-c", `echo "ready on $FC_SERVER_PORT in $(pwd)"`))
	log.await(t, "", "in "+code(t))
	for name, tc := range map[string]struct {
		words []string
		limit time.Duration
		want  string
	}{
		"fails":        {[]string{"/bin/sh", "-c", "echo no database; exit 3"}, time.Minute, `function "f" has an initializer that failed (exit status 3)`},
		"hangs":        {[]string{"/bin/sh", "-c", "sleep 60"}, time.Second, "Function initialization timed out after 1 seconds"},
		"is not there": {[]string{"/code/init.sh"}, time.Minute, "cannot be started"},
	} {
		_, err := (&Custom{Keys: fakeKeys{}}).Start(t.Context(), version(t, command(tc.limit, tc.words...)), spawner(t), &memoryLog{})
		var s *function.StartError
		if !errors.As(err, &s) || s.Failure.Kind != sluice.InitFail || !strings.Contains(s.Failure.Message, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (l *memoryLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		out = append(out, line.Text)
	}
	return out
}

func TestStartsThatFail(t *testing.T) {
	env := func(k, val string) func(*function.Version) { return func(v *function.Version) { v.Env[k] = val } }
	initialized := func(limit time.Duration) func(*function.Version) {
		return func(v *function.Version) { v.Spec.Initializer, v.Spec.InitTimeout = "i.init", limit }
	}
	const soon = 3 * time.Second // enough to say hello
	for _, tc := range []struct {
		name   string
		ready  time.Duration
		change []func(*function.Version)
		kind   sluice.FailureKind
		typ    string
		parts  []string
	}{
		{"exits", 0, []func(*function.Version){env("MODE", "exit")}, sluice.Crashed, "CAExited", []string{`function "f" exited before it served (exit status 3)`, "cannot find my settings"}},
		{"does not listen", soon, []func(*function.Version){env("MODE", "deaf")}, sluice.Crashed, "FunctionNotStarted", []string{"does not listen", "hello from the start"}},
		{"is not there", 0, []func(*function.Version){func(v *function.Version) { v.Spec.Command = []string{"./missing"} }}, sluice.BadEntry, "FunctionNotStarted", []string{"missing"}},
		{"initializer fails", 0, []func(*function.Version){env("INIT", "fail"), initialized(time.Minute)}, sluice.InitFail, "DialError", []string{"no database"}},
		{"initializer hangs", 0, []func(*function.Version){env("INIT", "hang"), initialized(time.Second)}, sluice.InitFail, "FunctionUnhandledError", []string{"Function initialization timed out after 1 seconds"}},
		{"initializer exits", 0, []func(*function.Version){env("INIT", "exit"), initialized(time.Minute)}, sluice.InitFail, "FunctionUnhandledError", []string{"bye from the initializer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := (&Custom{Keys: fakeKeys{}, Ready: tc.ready}).Start(t.Context(), version(t, tc.change...), spawner(t), &memoryLog{})
			var s *function.StartError
			if !errors.As(err, &s) {
				t.Fatal(err)
			}
			if s.Failure.Kind != tc.kind || s.Failure.Type != tc.typ {
				t.Errorf("%+v", s.Failure)
			}
			for _, p := range tc.parts {
				if !strings.Contains(s.Failure.Message, p) {
					t.Errorf("no %q in %q", p, s.Failure.Message)
				}
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := (&Custom{Keys: fakeKeys{}}).Start(ctx, version(t, func(v *function.Version) { v.Env["MODE"] = "deaf" }), spawner(t), &memoryLog{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestServerWithAPortOfItsOwn(t *testing.T) {
	port := 20000 + os.Getpid()%10000 // no port that the system gives to who wants any
	for ports.Accepts(t.Context(), port) {
		port++
	}
	in, _ := start(t, func(v *function.Version) { v.Spec.Port = port; v.Env["STUBBORN"] = strconv.Itoa(port) })
	if runtime.GOOS == "linux" && !ports.Strays(t.Context(), in.(*instance).Process.Pid(), port, time.Now()) {
		t.Error("the server is found only by its being there for long")
	}
	if got := call1(t, in, "echo hi"); !bytes.Equal(got.Payload, []byte("hi")) {
		t.Errorf("%+v", got)
	}
}

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "run"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ in, want []string }{
		{nil, []string{dir + "/bootstrap"}},
		{[]string{"/code/bootstrap", "/code/x", "-v"}, []string{dir + "/bootstrap", dir + "/x", "-v"}},
		{[]string{"./run", "a"}, []string{dir + "/run", "a"}},
		{[]string{"run"}, []string{dir + "/run"}},
		{[]string{"node", "server.js"}, []string{"node", "server.js"}},
		{[]string{"/usr/bin/env", "python3"}, []string{"/usr/bin/env", "python3"}},
	} {
		path, args := command(&function.Version{Root: dir, Spec: sluice.Function{Command: tc.in}})
		if diff := cmp.Diff(tc.want, append([]string{path}, args...)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPathsToTheCodeLeadToItInTheEnvironment(t *testing.T) {
	root := filepath.Join(t.TempDir(), "code")
	opt := deploy.Opt(root)
	for _, dir := range []string{root + "/python", opt + "/bin"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for value, want := range map[string]string{
		"/code":                         root,
		"/code/python":                  root + "/python",
		"/usr/bin:/code/python/:/code/": "/usr/bin:" + root + "/python/:" + root + "/",
		"/code/callback":                "/code/callback", // nothing there: a path of something else
		"/opt/bin:/opt":                 opt + "/bin:" + opt,
		"/opt/bin/:/opt/other":          opt + "/bin/:/opt/other",
		"/coder":                        "/coder",
		"https://h/code":                "https://h/code",
		"":                              "",
	} {
		if got := here(value, root); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// program is the folder with the bootstrap that functions of these tests are.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lambda")
	if err != nil {
		panic(err)
	}
	program = dir
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/program").CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// memoryLog keeps lines.
type memoryLog struct {
	mu    sync.Mutex
	lines []function.LogLine
}

func (l *memoryLog) Log(line function.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// text is what has been logged of a request.
func (l *memoryLog) text(request string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		if line.Request == request {
			out = append(out, line.Text)
		}
	}
	return strings.Join(out, "\n")
}

// world is Lambda over real rooms.
type world struct {
	*testing.T
	store     kv.Store
	keys      *access.Keys
	functions *function.Functions
	logs      *memoryLog
	lambda    *Lambda
	queue     *function.Queue
	objects   *object.Store
	apps      *apps
	api       *API
	operator  access.Credentials
	dir       string
}

func newWorld(t *testing.T, alter ...func(*Options)) *world {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	return newWorldIn(t, store, alter...)
}

func newWorldIn(t *testing.T, store kv.Store, alter ...func(*Options)) *world {
	t.Helper()
	w := &world{T: t, store: store, logs: &memoryLog{}, dir: t.TempDir()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.keys, err = access.Open(t.Context(), store)
	must(err)
	w.operator, err = w.keys.AppKey(t.Context(), "")
	must(err)
	bodies, err := disk.Open(t.TempDir())
	must(err)
	t.Cleanup(func() { bodies.Close() })
	w.objects, err = object.Open(t.Context(), store, bodies, object.Options{})
	must(err)
	spawner := process.NewSpawner(process.Options{})
	t.Cleanup(spawner.Close)
	log := slog.New(slog.DiscardHandler)
	w.functions = function.New(function.Options{Starters: []function.Starter{&Provided{Init: time.Minute}}, Spawner: spawner, Logs: w.logs, NoPrewarm: true, Log: log})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.functions.Stop(ctx)
	})
	w.lambda = NewLambda(w.functions, w.logs, log)
	w.queue = NewQueue(store, w.lambda, time.Millisecond, log)
	w.run(w.queue.Run)
	w.apps = &apps{w: w, kept: map[sluice.AppName][]*sluice.App{}}
	o := Options{Lambda: w.lambda, Keys: w.keys, Later: w.queue, Apps: w.apps, Dir: w.dir, Objects: w.objects, Log: log}
	for _, f := range alter {
		f(&o)
	}
	w.api = New(o)
	return w
}

// run runs something until the test ends.
func (w *world) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f(ctx) })
	w.Cleanup(func() { cancel(); wg.Wait() })
}

// deploy puts a function of a template into service.
func (w *world) deploy(app sluice.AppName, f sluice.Function) {
	w.Helper()
	if f.Runtime == "" {
		f.Runtime = "provided.al2023"
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = 128
	}
	if f.Timeout == 0 {
		f.Timeout = 10 * time.Second
	}
	env := map[string]string{"AWS_REGION": "us-east-1", "PATH": os.Getenv("PATH")}
	for name, v := range f.Env {
		env[name] = v
	}
	if err := w.functions.Deploy(w.Context(), &function.Version{App: app, Dialect: dialect, Revision: NewRequestID(), Spec: f, Root: program, Env: env}); err != nil {
		w.Fatal(err)
	}
}

// signed makes a signed request of the API, and returns the answer and its body.
func (w *world) signed(c access.Credentials, method, path, body string, header ...string) (*http.Response, string) {
	w.Helper()
	r := httptest.NewRequest(method, "http://lambda.us-east-1.amazonaws.com"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sigv4.Sign(r, []byte(body), c, "us-east-1", "lambda", time.Now())
	if !Claims(r) {
		w.Errorf("%s %s is not claimed", method, path)
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	b, _ := io.ReadAll(rec.Result().Body)
	return rec.Result(), string(b)
}

// call is signed by the operator.
func (w *world) call(method, path, body string, header ...string) (*http.Response, string) {
	w.Helper()
	return w.signed(w.operator, method, path, body, header...)
}

// ok makes a request that has to be answered with that status, and decodes the answer.
func (w *world) ok(status int, method, path string, body any) map[string]any {
	w.Helper()
	text := ""
	if body != nil {
		b, _ := json.Marshal(body)
		text = string(b)
	}
	res, out := w.call(method, path, text)
	if res.StatusCode != status {
		w.Fatalf("%s %s: %d %s %s, want %d", method, path, res.StatusCode, res.Header.Get("X-Amzn-ErrorType"), out, status)
	}
	var v map[string]any
	if out != "" {
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			w.Fatalf("%s: %v", out, err)
		}
	}
	return v
}

// refused makes a request that has to be refused in that way.
func (w *world) refused(status int, kind, method, path string, body any) string {
	w.Helper()
	text := ""
	if body != nil {
		b, _ := json.Marshal(body)
		text = string(b)
	}
	res, out := w.call(method, path, text)
	if res.StatusCode != status || res.Header.Get("X-Amzn-ErrorType") != kind {
		w.Errorf("%s %s %s: %d %s %s, want %d %s", method, path, text, res.StatusCode, res.Header.Get("X-Amzn-ErrorType"), out, status, kind)
	}
	return out
}

// until waits for something.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			w.Fatalf("%s: it has not come to that", what)
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-w.Context().Done():
		}
	}
}

// apps is a deploy room that keeps two revisions, and whose functions all run the tests' program.
type apps struct {
	w    *world
	kept map[sluice.AppName][]*sluice.App
	fail error
}

func (a *apps) List(context.Context) ([]*sluice.App, error) {
	var list []*sluice.App
	for _, kept := range a.kept {
		list = append(list, kept[0])
	}
	return list, nil
}

func (a *apps) History(_ context.Context, app sluice.AppName) ([]*sluice.App, error) {
	return a.kept[app], nil
}

func (a *apps) Deploy(_ context.Context, app *sluice.App) error {
	if a.fail != nil {
		return a.fail
	}
	a.kept[app.Name] = append([]*sluice.App{app}, a.kept[app.Name][:min(len(a.kept[app.Name]), 1)]...)
	for _, f := range app.Functions {
		a.w.deploy(app.Name, f)
	}
	return nil
}

func (a *apps) Remove(ctx context.Context, app sluice.AppName) error {
	for _, f := range a.kept[app][0].Functions {
		a.w.functions.Remove(ctx, app, f.Name)
	}
	delete(a.kept, app)
	return nil
}

// pack is a code package with some files.
func pack(files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(slices.Values(files)) {
		f, err := z.Create(name)
		if err != nil {
			panic(err)
		}
		f.Write([]byte("the text of " + name))
	}
	z.Close()
	return b.Bytes()
}

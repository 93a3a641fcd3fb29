package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// The rooms as structs of function fields.
type fakeFunctions struct {
	deploy func(app *sluice.App, f *sluice.Function, root, revision string) error
	remove func(app sluice.AppName, name sluice.FunctionName) error
}

func (f fakeFunctions) Deploy(_ context.Context, app *sluice.App, fn *sluice.Function, root, revision string) error {
	return f.deploy(app, fn, root, revision)
}
func (f fakeFunctions) Remove(_ context.Context, app sluice.AppName, name sluice.FunctionName) error {
	return f.remove(app, name)
}

type fakeBuckets struct {
	ensure func(b *sluice.Bucket) error
	sync   func(s *sluice.Site, dir string) (int, int, error)
}

func (f fakeBuckets) EnsureBucket(_ context.Context, _ sluice.AppName, b *sluice.Bucket) error {
	return f.ensure(b)
}
func (f fakeBuckets) Sync(_ context.Context, s *sluice.Site, dir string) (int, int, error) {
	return f.sync(s, dir)
}

type fakeTables struct{ ensure func(t *sluice.Table) error }

func (f fakeTables) EnsureTable(_ context.Context, _ *sluice.App, t *sluice.Table) error {
	return f.ensure(t)
}

type fakeFronts struct {
	mount   func(app *sluice.App, revision string) error
	unmount func(app sluice.AppName) error
}

func (f fakeFronts) Mount(_ context.Context, app *sluice.App, revision string) error {
	return f.mount(app, revision)
}
func (f fakeFronts) Unmount(_ context.Context, app sluice.AppName) error { return f.unmount(app) }

// world is what serves: a model of the rooms behind the seams.
type world struct {
	t     *testing.T
	store kv.Store
	dir   string

	mu        sync.Mutex
	functions map[string]string // "app/function" → content of its file "main"
	sites     map[string]string // bucket/prefix → names and contents
	buckets   map[string]bool
	tables    map[string]bool
	mounted   map[string]string // app → title of the App that is mounted
	calls     []string
	broken    func(call string) error // decides whether a call fails
	*Deployer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: memory.New(), dir: t.TempDir()}
	t.Cleanup(func() { w.Close(); w.store.Close() })
	w.start()
	return w
}

// start is a new process on the same data: nothing serves.
func (w *world) start() {
	w.functions, w.sites, w.mounted = map[string]string{}, nonNil(w.sites), map[string]string{}
	w.buckets, w.tables = map[string]bool{}, map[string]bool{}
	call := func(format string, args ...any) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		c := fmt.Sprintf(format, args...)
		w.calls = append(w.calls, c)
		if w.broken != nil {
			return w.broken(c)
		}
		return nil
	}
	if w.Deployer != nil {
		w.Close()
	}
	w.Deployer = New(Options{Store: w.store, Dir: w.dir,
		Functions: fakeFunctions{
			deploy: func(app *sluice.App, f *sluice.Function, root, revision string) error {
				if err := call("deploy %s", f.Name); err != nil {
					return err
				}
				b, err := os.ReadFile(filepath.Join(root, "main"))
				if err != nil {
					return err
				}
				w.functions[string(app.Name)+"/"+string(f.Name)] = string(b)
				return nil
			},
			remove: func(app sluice.AppName, name sluice.FunctionName) error {
				if err := call("remove %s", name); err != nil {
					return err
				}
				key := string(app) + "/" + string(name)
				if _, ok := w.functions[key]; !ok {
					return sluice.Errorf(sluice.Missing, "no such function")
				}
				delete(w.functions, key)
				return nil
			}},
		Buckets: fakeBuckets{
			ensure: func(b *sluice.Bucket) error {
				if err := call("bucket %s", b.Name); err != nil {
					return err
				}
				w.buckets[b.Name] = true
				return nil
			},
			sync: func(s *sluice.Site, dir string) (int, int, error) {
				if err := call("sync %s/%s", s.Bucket, s.Prefix); err != nil {
					return 0, 0, err
				}
				files := contents(w.t, dir)
				w.sites[s.Bucket+"/"+s.Prefix] = files
				return strings.Count(files, "\n"), 0, nil
			}},
		Tables: fakeTables{ensure: func(tb *sluice.Table) error {
			if err := call("table %s", tb.Name); err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.tables[tb.Name] = true
			return nil
		}},
		Fronts: fakeFronts{
			mount: func(app *sluice.App, revision string) error {
				if err := call("mount %s", app.Title); err != nil {
					return err
				}
				w.mounted[string(app.Name)] = app.Title
				return nil
			},
			unmount: func(app sluice.AppName) error {
				if err := call("unmount %s", app); err != nil {
					return err
				}
				if _, ok := w.mounted[string(app)]; !ok {
					return sluice.Errorf(sluice.Missing, "not mounted")
				}
				delete(w.mounted, string(app))
				return nil
			}},
	})
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// serving is everything that clients could notice, as text.
func (w *world) serving() string {
	return fmt.Sprint("functions ", w.functions, " sites ", w.sites, " mounted ", w.mounted)
}

// deploy plans and applies, and fails the test when that fails.
func (w *world) deploy(app *sluice.App) *Revision {
	w.t.Helper()
	rev, err := w.try(app, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return rev
}

func (w *world) try(app *sluice.App, progress func(Progress)) (*Revision, error) {
	w.t.Helper()
	p, err := w.Plan(w.t.Context(), app)
	if err != nil {
		return nil, err
	}
	w.calls = nil
	return w.Apply(w.t.Context(), p, progress)
}

// folders are the revisions that app has a folder of.
func (w *world) folders(app string) []string {
	entries, err := os.ReadDir(filepath.Join(w.dir, app))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// write puts files, given as name, content, name, content …, under a folder.
func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// contents is every file below dir with its content, a line each.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		content, err := os.ReadFile(p)
		fmt.Fprintf(&b, "%s=%s\n", filepath.ToSlash(rel), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// chat is an app with one of everything; its template's folder is returned for tests to change.
func chat(t *testing.T) (*sluice.App, string) {
	src := t.TempDir()
	write(t, src, "send/main", "send 1", "send/node_modules/ws/index.js", "ws", "send/notes.tmp", "no",
		"join/main", "join 1", "www/index.html", "page 1")
	return &sluice.App{
		Name: "chat", Title: "chat 1", Dialect: "aliyun", Dir: src, Template: "s.yaml",
		Functions: []sluice.Function{
			{Name: "send", Runtime: "nodejs20", Code: filepath.Join(src, "send"), Ignore: []string{"*.tmp"}, At: sluice.Place{File: "s.yaml", Line: 10}},
			{Name: "join", Runtime: "nodejs20", Code: filepath.Join(src, "join"), At: sluice.Place{File: "s.yaml", Line: 20}},
		},
		Tables:    []sluice.Table{{Name: "people", Spec: []byte(`{}`)}},
		Buckets:   []sluice.Bucket{{Name: "files", ACL: "public-read"}},
		Sites:     []sluice.Site{{Bucket: "files", Prefix: "www/", Dir: filepath.Join(src, "www"), At: sluice.Place{File: "s.yaml", Line: 30}}},
		Endpoints: []sluice.Endpoint{{Name: "gw", Spec: []byte(`{"routes":1}`)}},
	}, src
}

// clone is app with slices of its own, to change in a test.
func clone(app *sluice.App) *sluice.App {
	c := *app
	c.Functions = append([]sluice.Function(nil), app.Functions...)
	c.Endpoints = append([]sluice.Endpoint(nil), app.Endpoints...)
	return &c
}

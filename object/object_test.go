package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

func TestEngineInMemory(t *testing.T) {
	objecttest.Engine(t, func(*testing.T) object.Body { return &objecttest.Bodies{} })
}

func TestRoomInMemory(t *testing.T) {
	objecttest.Room(t, func(*testing.T) (kv.Store, object.Body) { return memory.New(), &objecttest.Bodies{} })
}

// fragile is a store whose next Update fails: before it is done, or when it is.
type fragile struct {
	kv.Store
	before, after error
}

func (f *fragile) Update(ctx context.Context, l kv.Locks, fn func(tx kv.Txn) error) error {
	if f.before != nil {
		return f.before
	}
	if err := f.Store.Update(ctx, l, fn); err != nil {
		return err
	}
	return f.after
}

type fixture struct {
	*object.Store
	kv     *fragile
	bodies *objecttest.Bodies
	now    time.Time
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{kv: &fragile{Store: memory.New()}, now: time.Now()}
	f.bodies = &objecttest.Bodies{Now: func() time.Time { return f.now }}
	var err error
	f.Store, err = object.Open(t.Context(), f.kv, f.bodies, object.Options{Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateBucket(t.Context(), object.Bucket{Name: "box"}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) put(t *testing.T, key string, data []byte) error {
	t.Helper()
	_, err := f.Put(t.Context(), "box", object.PutInput{Key: key, Body: bytes.NewReader(data), Size: int64(len(data))})
	return err
}

func (f *fixture) get(t *testing.T, key string) []byte {
	t.Helper()
	c, err := f.Get(t.Context(), "box", key)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f *fixture) sweepLater(t *testing.T) {
	t.Helper()
	f.now = f.now.Add(2 * time.Hour)
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var big = bytes.Repeat([]byte("0123456789"), 5000)

func TestAFailureAtAnyStepOfAPutLeavesTheOldObjectAndAtMostAnOrphan(t *testing.T) {
	crash := errors.New("crash")
	for name, arm := range map[string]func(f *fixture){
		"create":                  func(f *fixture) { f.fail("create", crash) },
		"write":                   func(f *fixture) { f.fail("write", crash) },
		"commit":                  func(f *fixture) { f.fail("commit", crash) },
		"after the body's commit": func(f *fixture) { f.fail("commit", objecttest.ErrAfter) },
		"before the row's commit": func(f *fixture) { f.kv.before = crash },
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			old := append([]byte("old"), big...)
			if err := f.put(t, "k", old); err != nil {
				t.Fatal(err)
			}
			arm(f)
			if err := f.put(t, "k", big); err == nil {
				t.Fatal("the put succeeds")
			}
			f.bodies.Fail, f.kv.before = nil, nil
			if !bytes.Equal(f.get(t, "k"), old) {
				t.Error("the old object reads otherwise")
			}
			if err := f.Sweep(t.Context()); err != nil || f.bodies.Len() > 2 {
				t.Errorf("%d bodies, %v", f.bodies.Len(), err)
			}
			f.sweepLater(t)
			if f.bodies.Len() != 1 || !bytes.Equal(f.get(t, "k"), old) {
				t.Errorf("%d bodies after the sweep, want the old object's alone", f.bodies.Len())
			}
		})
	}
}

func TestAFailureInOtherWritesChangesNothing(t *testing.T) {
	type op struct {
		prepare func(t *testing.T, f *fixture) (id string)
		do      func(f *fixture, ctx context.Context, id string) error
	}
	in := func(data []byte) object.PutInput {
		return object.PutInput{Key: "k", Body: bytes.NewReader(data), Size: -1}
	}
	begin := func(t *testing.T, f *fixture) string {
		t.Helper()
		u, err := f.Begin(t.Context(), "box", in(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.PutPart(t.Context(), "box", u.ID, 1, in(big)); err != nil {
			t.Fatal(err)
		}
		return u.ID
	}
	appended := func(t *testing.T, f *fixture) string {
		t.Helper()
		if err := f.Delete(t.Context(), "box", "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Append(t.Context(), "box", object.AppendInput{PutInput: in(big)}); err != nil {
			t.Fatal(err)
		}
		return ""
	}
	none := func(*testing.T, *fixture) string { return "" }
	for name, o := range map[string]op{
		"append": {appended, func(f *fixture, ctx context.Context, _ string) error {
			_, err := f.Append(ctx, "box", object.AppendInput{PutInput: in(big), Position: int64(len(big))})
			return err
		}},
		"part": {begin, func(f *fixture, ctx context.Context, id string) error {
			_, err := f.PutPart(ctx, "box", id, 1, in(big[1:]))
			return err
		}},
		"complete": {begin, func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Complete(ctx, "box", "k", id, object.CompleteInput{All: true})
			return err
		}},
		"copy": {none, func(f *fixture, ctx context.Context, _ string) error {
			_, err := f.Copy(ctx, "box", object.CopyInput{FromBucket: "box", FromKey: "k", PutInput: object.PutInput{Key: "copy"}})
			return err
		}},
		"delete": {none, func(f *fixture, ctx context.Context, _ string) error { return f.Delete(ctx, "box", "k") }},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			if err := f.put(t, "k", big); err != nil {
				t.Fatal(err)
			}
			id := o.prepare(t, f)
			f.sweepLater(t)
			bodies := f.bodies.Len()
			steps := []string{"before the row's commit"}
			if name == "append" || name == "part" || name == "copy" {
				steps = append(steps, "create", "write", "commit")
			}
			for _, step := range steps {
				if step == steps[0] {
					f.kv.before = errors.New("crash")
				} else {
					f.fail(step, errors.New("crash"))
				}
				if err := o.do(f, t.Context(), id); err == nil {
					t.Fatalf("%s: no error", step)
				}
				f.kv.before, f.bodies.Fail = nil, nil
				f.sweepLater(t)
				if !bytes.Equal(f.get(t, "k"), big) {
					t.Errorf("%s: the object reads otherwise", step)
				}
				if n := f.bodies.Len(); n != bodies {
					t.Errorf("%s: %d bodies after the sweep, %d before", step, n, bodies)
				}
			}
			if err := o.do(f, t.Context(), id); err != nil {
				t.Errorf("tried again: %v", err)
			}
		})
	}
}

func TestABodyThatIsGoneIsAnErrorAndNotAShortRead(t *testing.T) {
	f := open(t)
	if err := f.put(t, "k", big); err != nil {
		t.Fatal(err)
	}
	c, err := f.Get(t.Context(), "box", "k")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f.fail("open", errors.New("disk gone"))
	if data, err := io.ReadAll(c); err == nil || !strings.Contains(err.Error(), "disk gone") {
		t.Errorf("read %d bytes, %v", len(data), err)
	}
}

func (f *fixture) fail(step string, err error) {
	f.bodies.Fail = func(s string) error {
		if s == step {
			return err
		}
		return nil
	}
}

func TestAPutWhoseOutcomeIsUnknownNeverLosesItsBody(t *testing.T) {
	f := open(t)
	f.kv.after = context.DeadlineExceeded
	if err := f.put(t, "k", big); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the put returns %v", err)
	}
	f.kv.after = nil
	f.sweepLater(t)
	if !bytes.Equal(f.get(t, "k"), big) {
		t.Error("the object reads otherwise")
	}
}

func TestBodiesGoWithTheirObjects(t *testing.T) {
	f := open(t)
	want := func(n int, when string) {
		t.Helper()
		if got := f.bodies.Len(); got != n {
			t.Errorf("%d bodies %s, want %d", got, when, n)
		}
	}
	ctx := t.Context()
	for range 3 {
		if err := f.put(t, "k", big); err != nil {
			t.Fatal(err)
		}
	}
	want(1, "after overwrites")
	for at := range int64(3) {
		in := object.AppendInput{PutInput: object.PutInput{Key: "log", Body: bytes.NewReader(big), Size: -1}, Position: at * int64(len(big))}
		if _, err := f.Append(ctx, "box", in); err != nil {
			t.Fatal(err)
		}
	}
	want(4, "after appends")
	u, err := f.Begin(ctx, "box", object.PutInput{Key: "log"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 1, 2, 3} {
		if _, err := f.PutPart(ctx, "box", u.ID, n, object.PutInput{Key: "log", Body: bytes.NewReader(big), Size: -1}); err != nil {
			t.Fatal(err)
		}
	}
	want(7, "after parts")
	if _, err := f.Complete(ctx, "box", "log", u.ID, object.CompleteInput{Parts: []object.PartRef{{Number: 1}, {Number: 3}}}); err != nil {
		t.Fatal(err)
	}
	want(3, "after an upload replaced the log")
	if _, err := f.RemoveMany(ctx, "box", []object.Ref{{Key: "k"}, {Key: "log"}}, nil); err != nil {
		t.Fatal(err)
	}
	want(0, "after all is deleted")

	rows := 0
	f.kv.View(ctx, func(r kv.Reader) error {
		it := r.Scan([]byte("O"), []byte("P"), kv.ScanOpts{Limit: 100, KeysOnly: true})
		defer it.Close()
		for it.Next() {
			if !bytes.HasPrefix(it.Key(), []byte("Ob")) && !bytes.HasPrefix(it.Key(), []byte("On")) {
				rows++
				t.Logf("left: %q", it.Key())
			}
		}
		return it.Err()
	})
	if rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
}

func TestTheSweepFinishesWhatACrashLeftOfARemoval(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	for at := range int64(3) {
		in := object.AppendInput{PutInput: object.PutInput{Key: "log", Body: bytes.NewReader(big), Size: -1}, Position: at * int64(len(big))}
		if _, err := f.Append(ctx, "box", in); err != nil {
			t.Fatal(err)
		}
	}
	f.fail("remove", errors.New("crash"))
	if err := f.Delete(ctx, "box", "log"); err != nil {
		t.Fatal(err)
	}
	f.bodies.Fail = nil
	f.sweepLater(t)
	if f.bodies.Len() != 0 {
		t.Errorf("%d bodies are left", f.bodies.Len())
	}
}

func TestUploadsAreAbandonedAfterSevenDays(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	u, err := f.Begin(ctx, "box", object.PutInput{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutPart(ctx, "box", u.ID, 1, object.PutInput{Key: "k", Body: bytes.NewReader(big), Size: -1}); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(6 * 24 * time.Hour)
	f.sweepLater(t)
	if _, _, _, err := f.ListParts(ctx, "box", "k", u.ID, 0, 10); err != nil {
		t.Errorf("after six days: %v", err)
	}
	f.now = f.now.Add(24 * time.Hour)
	f.sweepLater(t)
	if _, _, _, err := f.ListParts(ctx, "box", "k", u.ID, 0, 10); object.ReasonOf(err) != object.NoSuchUpload {
		t.Errorf("after seven days: %v", err)
	}
	if f.bodies.Len() != 0 {
		t.Errorf("%d bodies are left", f.bodies.Len())
	}
}

func TestRunSweepsAndEndsWithItsContext(t *testing.T) {
	f := open(t)
	swept := make(chan struct{}, 1)
	f.bodies.Fail = func(step string) error {
		if step == "walk" {
			select {
			case swept <- struct{}{}:
			default:
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	<-swept
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestErrorsTellTheirKind(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", &object.Error{Reason: object.NoSuchUpload, Bucket: "b", Key: "k", Upload: "u", Part: 3})
	if sluice.KindOf(err) != sluice.Missing || !errors.Is(err, &object.Error{Reason: object.NoSuchUpload}) {
		t.Errorf("%v is of kind %v", err, sluice.KindOf(err))
	}
	if got, want := err.Error(), `wrapped: object: no such upload: bucket "b" key "k" upload u part 3`; got != want {
		t.Errorf("error reads %q, want %q", got, want)
	}
	if sluice.KindOf(&object.Error{Reason: 99}) != sluice.Internal || object.Reason(99).String() != "unknown" {
		t.Error("an unknown reason is not internal")
	}
}

func TestSite(t *testing.T) {
	f := open(t)
	for _, k := range []string{"index.html", "a/index.html", "b.html", "404.html", "www-x/index.html", "www-x/sub/index.html", "www-x/404.html",
		"www-y/home.html", "plain/file"} {
		if err := f.put(t, k, nil); err != nil {
			t.Fatal(err)
		}
	}
	ok := func(key string) object.Resolved { return object.Resolved{Key: key, Status: 200} }
	redirect, none := object.Resolved{Redirect: true}, object.Resolved{}
	for name, c := range map[string]struct {
		bucket  *sluice.Website
		folders map[string]*sluice.Website
		want    map[string]object.Resolved
	}{
		"no website": {want: map[string]object.Resolved{"": none, "b.html": ok("b.html"), "a": none, "a/": none, "x": none}},
		"without sub-folders": {bucket: &sluice.Website{Index: "index.html"}, want: map[string]object.Resolved{
			"": ok("index.html"), "a": none, "a/": ok("index.html"), "nothing": none}},
		"redirect": {bucket: &sluice.Website{SubDir: true, Error: "404.html"}, want: map[string]object.Resolved{
			"": ok("index.html"), "a": redirect, "a/": ok("a/index.html"), "b.html": ok("b.html"), "nothing": {Key: "404.html", Status: 404, Missing: true},
			"plain": {Key: "404.html", Status: 404, Missing: true}, "plain/": {Key: "404.html", Status: 404, Missing: true}}},
		"no such key": {bucket: &sluice.Website{SubDir: true, SubType: object.SubNoSuchKey}, want: map[string]object.Resolved{
			"a": none, "a/": ok("a/index.html")}},
		"index": {bucket: &sluice.Website{SubDir: true, SubType: object.SubIndex}, want: map[string]object.Resolved{
			"a": ok("a/index.html"), "a/": ok("a/index.html"), "plain": none}},
		"error document with its own status": {bucket: &sluice.Website{Error: "index.html", ErrorStatus: 200}, want: map[string]object.Resolved{
			"some/route": {Key: "index.html", Status: 200, Missing: true}}},
		"several in one bucket": {
			bucket: &sluice.Website{Index: "index.html"},
			folders: map[string]*sluice.Website{
				"www-x/": {SubDir: true, Error: "404.html"},
				"www-y/": {Index: "home.html", Error: "404.html"},
			},
			want: map[string]object.Resolved{
				"": ok("index.html"), "www-x": redirect, "www-x/": ok("www-x/index.html"), "www-x/sub": redirect, "www-x/sub/": ok("www-x/sub/index.html"),
				"www-x/no": {Key: "www-x/404.html", Status: 404, Missing: true}, "www-y/": ok("www-y/home.html"), "www-y/no": {Key: "404.html", Status: 404, Missing: true}, "no": none}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.AlterBucket(t.Context(), "box", func(b *object.Bucket) error { b.Website, b.Folders = c.bucket, c.folders; return nil })
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range c.want {
				got, err := f.Site(t.Context(), "box", path)
				if want == none {
					if object.ReasonOf(err) != object.NoSuchKey {
						t.Errorf("%q is %+v, %v; want no such key", path, got, err)
					}
				} else if err != nil || got != want {
					t.Errorf("%q is %+v, %v; want %+v", path, got, err, want)
				}
			}
		})
	}
}

func TestEnsureBucket(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	want := &sluice.Bucket{Name: "site", ACL: object.PublicRead, Website: &sluice.Website{Index: "i.html"},
		Docs: map[string][]byte{"s3.cors": []byte("<CORSConfiguration/>"), "s3.policy": {}}}
	for range 2 {
		if err := f.EnsureBucket(ctx, "app", want); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.EnsureBucket(ctx, "app", &sluice.Bucket{Name: "site"}); err != nil {
		t.Fatal(err)
	}
	b, err := f.Bucket(ctx, "site")
	if err != nil || b.App != "app" || b.ACL != object.PublicRead || b.Website == nil || len(b.Docs) != 1 {
		t.Errorf("bucket is %+v, %v: what a template leaves out stays", b, err)
	}
	if err := f.EnsureBucket(ctx, "app", &sluice.Bucket{Name: "site", Docs: map[string][]byte{"s3.cors": nil}}); err != nil {
		t.Fatal(err)
	}
	if b, _ := f.Bucket(ctx, "site"); len(b.Docs) != 0 {
		t.Errorf("the documents are %q after an empty one", b.Docs)
	}
	if err := f.EnsureBucket(ctx, "other", want); object.ReasonOf(err) != object.NotOwned || sluice.KindOf(err) != sluice.Denied {
		t.Errorf("another app's bucket: %v", err)
	}
	if err := f.EnsureBucket(ctx, "app", &sluice.Bucket{Name: "box"}); err != nil {
		t.Fatal(err)
	}
	if b, _ := f.Bucket(ctx, "box"); b.App != "app" || b.ACL != object.Private {
		t.Errorf("an ownerless bucket becomes %+v", b)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSyncWritesWhatChangedAndDeletesOnlyWhatItPut(t *testing.T) {
	f := open(t)
	dir := t.TempDir()
	sync := func(prefix string, wantPut, wantDeleted int) {
		t.Helper()
		put, deleted, err := f.Sync(t.Context(), &sluice.Site{Bucket: "box", Prefix: prefix, Dir: dir, Website: &sluice.Website{SubDir: true}}, "")
		if err != nil || put != wantPut || deleted != wantDeleted {
			t.Errorf("Sync of %q put %d and deleted %d, %v; want %d and %d", prefix, put, deleted, err, wantPut, wantDeleted)
		}
	}
	list := func() (keys []string) {
		l, err := f.List(t.Context(), "box", object.ListInput{Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range l.Objects {
			keys = append(keys, o.Key)
		}
		return keys
	}
	if err := f.put(t, "www/upload.jpg", []byte("user's")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"index.html": "<p>", "js/app.mjs": "x", "js/old.js": "y", "empty": ""})
	sync("www/", 4, 0)
	sync("www/", 0, 0)
	sync("", 4, 0)
	write(t, dir, map[string]string{"index.html": "<b>"})
	os.Remove(filepath.Join(dir, "js/old.js"))
	if err := f.put(t, "www/js/old.js", []byte("the user's now")); err != nil {
		t.Fatal(err)
	}
	sync("", 1, 1)
	sync("www/", 1, 0)
	want := []string{"empty", "index.html", "js/app.mjs", "www/empty", "www/index.html", "www/js/app.mjs", "www/js/old.js", "www/upload.jpg"}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	b, err := f.Bucket(t.Context(), "box")
	if err != nil || b.Website == nil || !b.Website.SubDir || b.Folders["www/"] == nil {
		t.Errorf("websites of the bucket: %+v, %v", b, err)
	}
	o, err := f.Head(t.Context(), "box", "www/js/app.mjs")
	if err != nil || o.Header["Content-Type"] != "text/javascript; charset=utf-8" {
		t.Errorf("content type: %v, %v", o.Header, err)
	}
}

func TestSyncRefusesLinksThatLeaveTheFolder(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, map[string]string{"secret": "s"})
	for name, target := range map[string]string{
		"absolute":          filepath.Join(outside, "secret"),
		"relative":          "../../../../../../../../etc/passwd",
		"folder":            "sub",
		"nothing":           "nowhere",
		"a folder outside":  outside,
		"itself":            "link",
		"the folder itself": ".",
	} {
		f, dir := open(t), t.TempDir()
		write(t, dir, map[string]string{"sub/a": "a"})
		if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Sync(t.Context(), &sluice.Site{Bucket: "box", Dir: dir}, ""); err == nil || !strings.Contains(err.Error(), "link") {
			t.Errorf("%s: Sync returns %v", name, err)
		}
	}
	f, dir := open(t), t.TempDir()
	write(t, dir, map[string]string{"sub/a": "abc"})
	if err := os.Symlink("sub/a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Sync(t.Context(), &sluice.Site{Bucket: "box"}, dir); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, "link"); string(got) != "abc" {
		t.Errorf("a link within the folder reads %q", got)
	}
	if _, _, err := f.Sync(t.Context(), &sluice.Site{Bucket: "box"}, filepath.Join(dir, "missing")); sluice.KindOf(err) != sluice.Invalid {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestContentTypes(t *testing.T) {
	for name, want := range map[string]string{
		"a.js": "text/javascript; charset=utf-8", "A.HTML": "text/html; charset=utf-8", "a.css": "text/css; charset=utf-8", "a.svg": "image/svg+xml",
		"a.woff2": "font/woff2", "a.json": "application/json", "a.wasm": "application/wasm", "a.webmanifest": "application/manifest+json",
		"noext": "application/octet-stream", "x/y.min.mjs": "text/javascript; charset=utf-8", "a.whatisthis": "application/octet-stream",
	} {
		if got := object.ContentType(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

package deploy

import (
	"archive/zip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
)

func TestIgnoreFollowsGitsRules(t *testing.T) {
	tests := []struct {
		patterns string
		path     string
		dir      bool
		want     bool
	}{
		{"*.log", "a.log", false, true},
		{"*.log", "x/y/a.log", false, true},
		{"*.log", "a.logs", false, false},
		{"/a", "a", false, true},
		{"/a", "x/a", false, false},
		{"x/a", "y/x/a", false, false},
		{"**/a", "y/x/a", false, true},
		{"x/**", "x/y/z", false, true},
		{"x/**/z", "x/z", false, true},
		{"x/**/z", "x/y/q/z", false, true},
		{"build/", "build", true, true},
		{"build/", "build", false, false},
		{"*\n!keep", "keep", false, false},
		{"*\n!keep", "drop", false, true},
		{"!keep\n*", "keep", false, true},
		{"# a", "# a", false, false},
		{`\#a`, "#a", false, true},
		{"a?c", "abc", false, true},
		{"a?c", "a/c", false, false},
		{"[a-c].js", "b.js", false, true},
		{"[!a-c].js", "b.js", false, false},
		{"[!a-c].js", "d.js", false, true},
		{"[", "[", false, true},
		{"a.b", "axb", false, false},
		{"", "a", false, false},
		{"node_modules", "x/node_modules", true, true},
		{"", ".git", true, true},
		{"", "x/.sluice", true, true},
		{"a\r", "a", false, true},
	}
	for _, tt := range tests {
		if got := newIgnore(strings.Split(tt.patterns, "\n")).skip(tt.path, tt.dir); got != tt.want {
			t.Errorf("patterns %q leave %q out: %v, want %v", tt.patterns, tt.path, got, tt.want)
		}
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add("*.log\n!x/**/[a-]\n\\", "x/y/a.log")
	f.Fuzz(func(t *testing.T, patterns, path string) {
		newIgnore(strings.Split(patterns, "\n")).skip(path, false)
	})
}

func TestLinksWithinTheCodeStayAndOthersAreFollowed(t *testing.T) {
	w, src, out := newWorld(t), t.TempDir(), t.TempDir()
	write(t, src, "main", "m", "lib/a.js", "a")
	write(t, out, "shared/b.js", "b")
	for link, target := range map[string]string{"inside": "lib/a.js", "outside": filepath.Join(out, "shared"), "broken": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(src, link)); err != nil {
			t.Fatal(err)
		}
	}
	app := goApp(src)
	app.Functions[0].Code, app.Functions[0].Build = src, nil
	root := w.abs(w.deploy(app).Code["f"].Root)
	if got, _ := os.Readlink(filepath.Join(root, "inside")); got != "lib/a.js" {
		t.Errorf("link inside is %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(root, "outside", "b.js")); string(b) != "b" {
		t.Errorf("what a link outside leads to was not copied: %v", err)
	}
	if info, err := os.Lstat(filepath.Join(root, "outside")); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		t.Errorf("a link leads out of the copy (%v)", err)
	}
	if got, _ := os.Readlink(filepath.Join(root, "broken")); got != "nowhere" {
		t.Errorf("broken link is %q", got)
	}
}

func TestLinkInACircleIsRefused(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "main", "m")
	if err := os.Symlink(src, filepath.Join(src, "self")); err != nil {
		t.Fatal(err)
	}
	app := goApp(src)
	app.Functions[0].Code, app.Functions[0].Build = src, nil
	if _, err := w.try(app, nil); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("error %v", err)
	}
}

func TestZipIsUnpacked(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	app := goApp(src)
	app.Functions[0].Code, app.Functions[0].Build = filepath.Join(src, "code.zip"), nil
	zipFile(t, app.Functions[0].Code, "main", "zipped", "lib/a.js", "a")
	rev := w.deploy(app)
	if got := contents(t, w.abs(rev.Code["f"].Root)); got != "lib/a.js=a\nmain=zipped\n" {
		t.Errorf("unpacked:\n%s", got)
	}
}

func TestZipCannotWriteOutside(t *testing.T) {
	link := func(name, target string) func(z *zip.Writer) {
		return func(z *zip.Writer) {
			h := &zip.FileHeader{Name: name}
			h.SetMode(fs.ModeSymlink | 0o777)
			e, _ := z.CreateHeader(h)
			e.Write([]byte(target))
		}
	}
	file := func(name string) func(z *zip.Writer) {
		return func(z *zip.Writer) { e, _ := z.Create(name); e.Write([]byte("evil")) }
	}
	tests := map[string][]func(z *zip.Writer){
		"dots":                  {file("../evil")},
		"backslashes":           {file(`..\evil`)},
		"absolute link":         {link("d", "/"), file("d/evil")},
		"link to above":         {link("d", ".."), file("d/evil")},
		"link to link to above": {file("x/y"), link("x/l", ".."), link("d", "x/l/.."), file("d/evil")},
	}
	for name, entries := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := os.Create(filepath.Join(dir, "a.zip"))
			if err != nil {
				t.Fatal(err)
			}
			z := zip.NewWriter(f)
			for _, e := range entries {
				e(z)
			}
			z.Close()
			f.Close()
			if err := unzip(filepath.Join(dir, "deep", "root"), f.Name()); err == nil {
				t.Error("no error")
			}
			for _, p := range []string{"evil", "deep/evil"} {
				if _, err := os.Stat(filepath.Join(dir, p)); err == nil {
					t.Errorf("wrote %s", p)
				}
			}
		})
	}
}

func zipFile(t *testing.T, path string, files ...string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for i := 0; i < len(files); i += 2 {
		e, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		e.Write([]byte(files[i+1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSingleFileIsTheWholeCode(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "main", "program")
	app := goApp(src)
	app.Functions[0].Code, app.Functions[0].Build = filepath.Join(src, "main"), nil
	w.deploy(app)
	if w.functions["prog/f"] != "program" {
		t.Errorf("functions %v", w.functions)
	}
}

func TestFunctionNameCannotLeaveTheFolder(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "main", "m")
	for _, name := range []sluice.FunctionName{"../../x", "..", ".", "a/b", "svc$fn"} {
		app := goApp(src)
		app.Functions[0].Name, app.Functions[0].Code, app.Functions[0].Build = name, src, nil
		rev := w.deploy(app)
		if root := w.abs(rev.Code[name].Root); filepath.Dir(root) != filepath.Join(w.dir, "prog", rev.ID, "f") {
			t.Errorf("function %q is in %s", name, root)
		}
	}
}

func TestDataFolderIsNoCodeWhateverItsName(t *testing.T) {
	src := t.TempDir()
	write(t, src, "main", "one")
	write(t, src, "kept/objects/1", "a stored object")
	store := memory.New()
	defer store.Close()
	d := New(Options{Store: store, Dir: filepath.Join(src, "kept/apps"), Data: filepath.Join(src, "kept")})
	got, err := d.tree(t.Context(), src, nil)
	if err != nil || len(got) != 1 || got[0].rel != "main" {
		t.Errorf("code is %v, %v", got, err)
	}
	before, err := d.touched(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	write(t, src, "kept/objects/2", "another")
	if after, err := d.touched(t.Context(), src); err != nil || after != before {
		t.Error("what the server stores touches the app")
	}
}

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
)

// coded is an app of one function with the files; it begins at handler.
func coded(t *testing.T, runtime, handler string, files map[string]string) *sluice.App {
	t.Helper()
	program := "node"
	if strings.HasPrefix(strings.ToLower(runtime), "python") {
		program = "python3"
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(program + " is not installed")
	}
	dir := t.TempDir()
	files["main"] = "one" // what the world's functions read
	for name, text := range files {
		path := filepath.Join(dir, "code", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &sluice.App{Name: "coded", Dir: dir, Template: "s.yaml", Functions: []sluice.Function{{
		Name: "f", Runtime: runtime, Handler: handler, Code: filepath.Join(dir, "code"), At: sluice.Place{File: "s.yaml", Line: 3}}}}
}

func TestCodeWithASyntaxErrorIsRefusedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		runtime, handler string
		files            map[string]string
		want             string // in the error; "" is none
	}{
		"fine":                      {"nodejs20", "index.handler", map[string]string{"index.js": "exports.handler = async () => { return 1 }\n"}, ""},
		"broken":                    {"nodejs20", "index.handler", map[string]string{"index.js": "exports.a = 1\nexports.handler = ( => 1\n"}, "code/index.js:2: SyntaxError"},
		"Tencent's spelling":        {"Nodejs18.15", "index.main_handler", map[string]string{"index.js": "let a = 1\nlet a = 2\n"}, "code/index.js:2: SyntaxError"},
		"in a folder":               {"nodejs18.x", "src/app.handler", map[string]string{"src/app.mjs": "export const handler = async () => {\n"}, "code/src/app.mjs:"},
		"what it requires":          {"nodejs20", "index.handler", map[string]string{"index.js": "const a = require('./lib')\n", "lib/index.js": "module.exports = {\n\n  a: 1 2\n}\n"}, "code/lib/index.js:3: SyntaxError"},
		"what it imports":           {"nodejs20", "index.handler", map[string]string{"package.json": `{"type":"module"}`, "index.js": "import { a } from './a.js'\nawait a()\n", "a.js": "export function a( {\n"}, "code/a.js:"},
		"two at once":               {"nodejs20", "index.handler", map[string]string{"index.js": "require('./a'); require('./b')\n", "a.js": "1 1\n", "b.js": "2 2\n"}, "code/a.js:1"},
		"a module without a sign":   {"nodejs22", "index.handler", map[string]string{"index.js": "export const handler = () => import.meta.url\n"}, ""},
		"a program with its line 1": {"nodejs20", "index.handler", map[string]string{"index.js": "#!/usr/bin/env node\nreturn\n"}, ""},
		"what nothing loads":        {"nodejs20", "index.handler", map[string]string{"index.js": "// require('./old')\n", "old.js": "((\n", "page.js": "<div>\n"}, ""},
		"packages":                  {"nodejs20", "index.handler", map[string]string{"index.js": "require('./node_modules/x')\n", "node_modules/x/index.js": "((\n"}, ""},
		"another initializer":       {"nodejs20", "index.handler", map[string]string{"index.js": "", "start.js": "}\n"}, "code/start.js:1"},
		"no such file":              {"nodejs20", "layer.handler", map[string]string{}, ""},
		"python":                    {"python3.10", "index.handler", map[string]string{"index.py": "def handler(e, c):\n    return 1\n"}, ""},
		"broken python":             {"python3", "index.handler", map[string]string{"index.py": "def handler(e, c):\n  return (1\n\n"}, "code/index.py:2: SyntaxError"},
		"Tencent's python":          {"Python3.9", "a.b.main", map[string]string{"a/b.py": "x = = 1\n"}, "code/a/b.py:1"},
		"indentation":               {"python3", "index.handler", map[string]string{"index.py": "def f():\nreturn\n"}, "code/index.py:2: IndentationError"},
		"what python imports":       {"python3", "pkg/app.handler", map[string]string{"pkg/app.py": "from . import near\nimport far.away\n", "pkg/near.py": "", "far/__init__.py": "", "far/away.py": "\nif:\n"}, "code/far/away.py:2"},
		"what python may import":    {"python3", "index.handler", map[string]string{"index.py": "try:\n    import old\nexcept SyntaxError:\n    pass\nimport lib\n", "old.py": "print 1\n", "lib.py": "print 1\n", "lib-1.0.dist-info/RECORD": "lib.py,,\n"}, ""},
		"another runtime":           {"custom", "index.handler", map[string]string{"index.js": "((\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app := coded(t, c.runtime, c.handler, c.files)
			if _, ok := c.files["start.js"]; ok {
				app.Functions[0].Initializer = "start.init"
			}
			_, err := w.Apply(t.Context(), mustPlan(t, w, app), nil)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if c.want != "" && sluice.KindOf(err) != sluice.Invalid {
				t.Errorf("kind %v", sluice.KindOf(err))
			}
		})
	}
}

func TestBrokenSaveKeepsTheFormerRevision(t *testing.T) {
	w := newWorld(t)
	app := coded(t, "nodejs20", "index.handler", map[string]string{"index.js": "exports.handler = () => 1\n"})
	first, err := w.Apply(t.Context(), mustPlan(t, w, app), nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(app.Functions[0].Code, "index.js")
	if err := os.WriteFile(file, []byte("exports.handler = () => {\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), mustPlan(t, w, app), nil); err == nil {
		t.Fatal("a broken file is deployed")
	}
	if now, err := w.Current(t.Context(), "coded"); err != nil || now.ID != first.ID {
		t.Errorf("revision %v, %v serves", now, err)
	}
	// Code that a cloud's API brought is taken as it is: the cloud takes it, too.
	app.Name, app.Template = "made", ""
	if _, err := w.Apply(t.Context(), mustPlan(t, w, app), nil); err != nil {
		t.Errorf("by an API: %v", err)
	}
}

func TestTheProgramThatChecksMayDieInBetween(t *testing.T) {
	w := newWorld(t)
	app := coded(t, "nodejs20", "index.handler", map[string]string{"index.js": "exports.handler = () => 1\n"})
	for i, text := range []string{"exports.handler = () => 2\n", "exports.handler = () => 3\n", "exports.handler = () => {\n"} {
		if err := os.WriteFile(filepath.Join(app.Functions[0].Code, "index.js"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := w.Apply(t.Context(), mustPlan(t, w, app), nil)
		if broken := i == 2; (err != nil) != broken {
			t.Fatalf("%s: %v", text, err)
		}
		w.node.mu.Lock()
		w.node.cmd.Process.Kill()
		w.node.mu.Unlock()
	}
}

func TestSameCodeIsCheckedOnce(t *testing.T) {
	w := newWorld(t)
	app := coded(t, "nodejs20", "index.handler", map[string]string{"index.js": "exports.handler = () => 1\n"})
	checks := 0
	for i := range 2 {
		app.Functions[0].MemoryMB = 128 << i
		if _, err := w.Apply(t.Context(), mustPlan(t, w, app), func(p Progress) {
			if p.Step == "check" && p.Status == Done {
				checks++
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if checks != 1 {
		t.Errorf("checked %d times", checks)
	}
}

func mustPlan(t *testing.T, w *world, app *sluice.App) *Plan {
	t.Helper()
	p, err := w.Plan(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

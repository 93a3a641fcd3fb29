package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// codeOf is every file of a function's code, by a deploy of an app with it alone.
func codeOf(t *testing.T, w *world, f sluice.Function) (string, error) {
	t.Helper()
	f.Name, f.At = "f", sluice.Place{File: "template.yaml", Line: 7}
	if f.Files == nil {
		f.Files = map[string]string{}
	}
	f.Files["main"] = "" // what the world of the tests asks for
	rev, err := w.try(&sluice.App{Name: "prog", Title: "prog", Dialect: "aws", Template: "template.yaml", Functions: []sluice.Function{f}}, nil)
	if err != nil {
		return "", err
	}
	return w.abs(rev.Code["f"].Root), nil
}

func TestFilesOfTheTemplateAreWrittenOverTheCode(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "a.txt", "old", "b.txt", "b")
	root, err := codeOf(t, w, sluice.Function{Runtime: "provided", Code: src, Files: map[string]string{"a.txt": "new", "sub/c.txt": "c"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, root); got != "a.txt=new\nb.txt=b\nmain=\nsub/c.txt=c\n" {
		t.Errorf("code is\n%s", got)
	}
	if got := contents(t, src); got != "a.txt=old\nb.txt=b\n" {
		t.Errorf("the source became\n%s", got)
	}
	if root, err = codeOf(t, w, sluice.Function{Runtime: "provided", Files: map[string]string{"index.py": "x"}}); err != nil || contents(t, root) != "index.py=x\nmain=\n" {
		t.Errorf("without a folder: %v\n%s", err, contents(t, root))
	}
	if _, err := codeOf(t, w, sluice.Function{Runtime: "provided", Code: src, Files: map[string]string{"../out": "x"}}); err == nil || !strings.Contains(err.Error(), "not within the code") {
		t.Errorf("a file outside of the code: %v", err)
	}
}

func TestLayersAreMergedBesideTheCode(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "code/x", "x", "one/nodejs/a", "1", "one/nodejs/b", "1", "two/b", "2")
	f := sluice.Function{Runtime: "provided", Code: filepath.Join(src, "code"),
		Opt: []sluice.Layer{{Name: "one", Code: filepath.Join(src, "one")}, {Name: "two", Code: filepath.Join(src, "two"), Under: "nodejs"}}}
	root, err := codeOf(t, w, f)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, Opt(root)); got != "nodejs/a=1\nnodejs/b=2\n" {
		t.Errorf("/opt has\n%s", got)
	}
	write(t, src, "two/b", "changed")
	again, err := codeOf(t, w, f)
	if err != nil || again == root {
		t.Fatalf("a changed layer makes no new revision: %v", err)
	}
	if got := contents(t, Opt(again)); got != "nodejs/a=1\nnodejs/b=changed\n" {
		t.Errorf("/opt has\n%s", got)
	}
	if got := contents(t, Opt(root)); got != "nodejs/a=1\nnodejs/b=2\n" {
		t.Errorf("/opt of the former revision has\n%s", got)
	}
}

func TestBundleFollowsWhatItReads(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "fn/src/app.ts", "import { word } from '../../lib/word';\nimport { S3 } from '@aws-sdk/client-s3';\nexport const handler = (): string => word + S3;\n",
		"lib/word.ts", "export const word: string = 'first';\n", "fn/notes.md", "not code")
	f := sluice.Function{Runtime: "nodejs20.x", Handler: "app.handler", Code: filepath.Join(src, "fn"),
		Build: &sluice.Build{Kind: "esbuild", Dir: filepath.Join(src, "fn"), Command: []string{"app=src/app.ts", "--bundle", "--platform=node", "--format=cjs", "--target=es2020"}}}
	root, err := codeOf(t, w, f)
	if err != nil {
		t.Fatal(err)
	}
	got := contents(t, root)
	if !strings.HasPrefix(got, "app.js=") || !strings.Contains(got, "first") || !strings.Contains(got, `require("@aws-sdk/client-s3")`) || strings.Contains(got, "not code") {
		t.Errorf("bundle is\n%s", got)
	}
	if again, err := codeOf(t, w, f); err != nil || again != root {
		t.Errorf("unchanged sources were bundled again: %v", err)
	}
	write(t, src, "lib/word.ts", "export const word: string = 'second';\n")
	again, err := codeOf(t, w, f)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, again); !strings.Contains(got, "second") {
		t.Errorf("a file outside of the code changed, and the bundle is\n%s", got)
	}

	write(t, src, "fn/src/app.ts", "import './nowhere';\n\nlet x = ;\n")
	_, err = codeOf(t, w, f)
	var e *sluice.Error
	if !errors.As(err, &e) || e.At.Line == 0 || filepath.Base(e.At.File) != "app.ts" {
		t.Errorf("a syntax error: %v", err)
	}
}

func TestModulesStayModules(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "app.mts", "export const handler = () => 1;\n")
	root, err := codeOf(t, w, sluice.Function{Runtime: "nodejs20.x", Handler: "app.handler", Code: src,
		Build: &sluice.Build{Kind: "esbuild", Dir: src, Command: []string{"app.mts", "--bundle", "--format=esm"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, root); !strings.Contains(got, `package.json={"type":"module"}`) {
		t.Errorf("bundle is\n%s", got)
	}
}

// tools puts programs, given as name, script, …, before all others in PATH.
func tools(t *testing.T, programs ...string) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	for i := 0; i < len(programs); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, programs[i]), []byte("#!/bin/sh\n"+programs[i+1]+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestPackagesAreInstalledOnceForTheSameManifest(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	tools(t, "npm", `echo "$@" >>`+log+`; mkdir -p node_modules/dep; cat package.json >node_modules/dep/index.js`)
	w, src := newWorld(t), t.TempDir()
	manifest := `{"dependencies":{"dep":"1"}}`
	write(t, src, "a/package.json", manifest, "a/app.js", "//a", "b/package.json", manifest, "b/app.js", "//b",
		"b/package-lock.json", "{}")
	npm := func(dir string) sluice.Function {
		dir = filepath.Join(src, dir)
		return sluice.Function{Runtime: "nodejs20.x", Handler: "app.handler", Code: dir, Build: &sluice.Build{Kind: "npm", Dir: dir}}
	}
	for range 2 {
		root, err := codeOf(t, w, npm("a"))
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, root); got != "app.js=//a\nmain=\nnode_modules/dep/index.js="+manifest+"\npackage.json="+manifest+"\n" {
			t.Errorf("code is\n%s", got)
		}
		write(t, src, "a/readme", "") // changes the code, and not what it needs
		if err := os.Remove(filepath.Join(src, "a/readme")); err != nil {
			t.Fatal(err)
		}
		if err := w.Remove(t.Context(), "prog"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := codeOf(t, w, npm("b")); err != nil {
		t.Fatal(err)
	}
	ran, _ := os.ReadFile(log)
	if got := strings.Fields(strings.ReplaceAll(string(ran), "\n", " ")); strings.Count(string(ran), "\n") != 2 || got[0] != "install" || !strings.Contains(string(ran), "\nci ") {
		t.Errorf("npm ran as\n%s", ran)
	}
	if got := contents(t, filepath.Join(src, "a")); strings.Contains(got, "node_modules") {
		t.Errorf("the source became\n%s", got)
	}
}

func TestPipAndMakeFillTheCode(t *testing.T) {
	tools(t, "python3", `for a; do last=$out; out=$a; [ "$last" = -t ] && mkdir -p "$a" && cat requirements.txt >"$a/lib.py"; done; true`,
		"make", `[ "$1" = build-Fn ] && cp src.txt "$ARTIFACTS_DIR/made"`)
	w, src := newWorld(t), t.TempDir()
	write(t, src, "py/requirements.txt", "lib==1", "py/app.txt", "", "mk/Makefile", "", "mk/src.txt", "made")
	dir := filepath.Join(src, "py")
	root, err := codeOf(t, w, sluice.Function{Runtime: "python3.12", Code: dir, Build: &sluice.Build{Kind: "pip", Dir: dir, Output: "."}})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, root); got != "app.txt=\nlib.py=lib==1\nmain=\nrequirements.txt=lib==1\n" {
		t.Errorf("code is\n%s", got)
	}
	dir = filepath.Join(src, "mk")
	f := sluice.Function{Runtime: "provided.al2023", Code: dir, Build: &sluice.Build{Kind: "make", Dir: dir, Command: []string{"build-Fn"}}}
	if root, err = codeOf(t, w, f); err != nil || contents(t, root) != "made=made\nmain=\n" && contents(t, root) != "main=\nmade=made\n" {
		t.Errorf("%v\n%s", err, contents(t, root))
	}
	f.Build.Command = []string{"build-Other"}
	if _, err := codeOf(t, w, f); err == nil || sluice.HintOf(err) == "" {
		t.Errorf("a target that is not there: %v", err)
	}
}

// big is an app of 200 functions, most of them in one folder, and 50 tables.
func big(t testing.TB, dir string) *sluice.App {
	app := &sluice.App{Name: "big", Title: "big", Dialect: "aws", Template: "template.yaml"}
	if err := os.MkdirAll(filepath.Join(dir, "shared", "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		put(fmt.Sprintf("shared/lib/%d.txt", i), strings.Repeat("line\n", 200))
	}
	put("shared/main", "shared")
	for i := range 200 {
		code := filepath.Join(dir, "shared")
		if i >= 150 {
			put(fmt.Sprintf("own%d/main", i), fmt.Sprint(i))
			code = filepath.Join(dir, fmt.Sprintf("own%d", i))
		}
		app.Functions = append(app.Functions, sluice.Function{Name: sluice.FunctionName(fmt.Sprintf("F%d", i)), Runtime: "provided", Handler: "x", Code: code,
			Env: map[string]string{"N": fmt.Sprint(i)}})
	}
	for i := range 50 {
		app.Tables = append(app.Tables, sluice.Table{Name: fmt.Sprintf("T%d", i), Spec: []byte(`{}`)})
	}
	return app
}

func TestBigAppIsDeployedOnceAndComparedQuickly(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	app := big(t, dir)
	rev := w.deploy(app)
	roots := map[string]bool{}
	for _, c := range rev.Code {
		roots[c.Root] = true
	}
	if len(roots) != 51 || len(w.functions) != 200 || len(w.tables) != 50 {
		t.Errorf("%d folders of code, %d functions, %d tables", len(roots), len(w.functions), len(w.tables))
	}
	took := time.Hour
	for n := 0; n < 5 && took > 2*time.Second; n++ { // a machine that is busy with others may be slow, and not each time
		start := time.Now()
		if again := w.deploy(app); again.ID != rev.ID {
			t.Fatalf("nothing changed, and revision %s became %s", rev.ID, again.ID)
		}
		took = min(took, time.Since(start))
	}
	if took > 2*time.Second {
		t.Errorf("a deploy without changes took %v", took)
	}
	changed := clone(app)
	changed.Functions[3].Env = map[string]string{"N": "another"}
	next := w.deploy(changed)
	if next.Code["F4"] != rev.Code["F4"] || next.Code["F3"] == rev.Code["F3"] {
		t.Error("a change of one function replaced others, or not itself")
	}
	if err := w.Remove(context.Background(), "big"); err != nil {
		t.Fatal(err)
	}
}

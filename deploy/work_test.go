package deploy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// goApp is an app with one Go function whose module is in dir.
func goApp(dir string) *sluice.App {
	return &sluice.App{Name: "prog", Title: "prog", Dialect: "aliyun", Template: "s.yaml", Functions: []sluice.Function{{
		Name: "f", Runtime: "custom", Code: filepath.Join(dir, "target"), At: sluice.Place{File: "s.yaml", Line: 7},
		Build: &sluice.Build{Kind: "go", Dir: dir, Package: "./cmd/f", Output: "main"},
	}}}
}

func progress(into *[]Progress) func(Progress) {
	return func(p Progress) { *into = append(*into, p) }
}

func said(ps []Progress, step string, status Status) (texts []string) {
	for _, p := range ps {
		if p.Step == step && p.Status == status {
			texts = append(texts, p.Text)
		}
	}
	return texts
}

func TestGoFunctionIsBuiltOnce(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	w, src := newWorld(t), t.TempDir()
	write(t, src, "go.mod", "module example.com/f\n\ngo 1.21\n",
		"cmd/f/main.go", "package main\n\nimport (\n\t_ \"embed\"\n\t\"fmt\"\n)\n\n//go:embed word.txt\nvar word string\n\nfunc main() { fmt.Print(word) }\n",
		"cmd/f/word.txt", "one", "README.md", "read me")
	app := goApp(src)
	run := func(rev *Revision) string {
		t.Helper()
		out, err := exec.Command(filepath.Join(w.abs(rev.Code["f"].Root), "main")).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	var ps []Progress
	rev, err := w.try(app, progress(&ps))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(rev); got != "one" {
		t.Errorf("the program says %q", got)
	}
	if n := len(said(ps, "build", Done)); n != 1 {
		t.Errorf("built %d times: %v", n, ps)
	}

	if err := w.Remove(t.Context(), "prog"); err != nil {
		t.Fatal(err)
	}
	ps = nil
	if rev, err = w.try(app, progress(&ps)); err != nil {
		t.Fatal(err)
	}
	if len(said(ps, "build", Done)) != 0 || len(said(ps, "build", Skipped)) != 1 {
		t.Errorf("unchanged sources were built again: %v", ps)
	}

	write(t, src, "cmd/f/word.txt", "two")
	if got := run(w.deploy(app)); got != "two" {
		t.Errorf("after a change of an embedded file the program says %q", got)
	}
	if got := run(rev); got != "one" {
		t.Errorf("the former revision's program says %q", got)
	}
}

func TestGoBuildDependsOnModulesThatItNamesByPath(t *testing.T) {
	w, top := newWorld(t), t.TempDir()
	src := filepath.Join(top, "app")
	write(t, src, "go.mod", "module example.com/app\n\nreplace example.com/lib => ../lib\n", "main.go", "package main\n", "nested/go.mod", "module n\n", "nested/x.go", "package x\n")
	write(t, top, "lib/go.mod", "module example.com/lib\n", "lib/lib.go", "package lib\n", "other/o.go", "package o\n",
		"go.work", "use (\n\t./app\n\t./third\n)\n", "third/t.go", "package t\n")
	hash := func() string {
		t.Helper()
		h, err := w.goHash(t.Context(), &sluice.Build{Kind: "go", Dir: src, Package: "."})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	before := hash()
	for file, counts := range map[string]bool{"lib/lib.go": true, "third/t.go": true, "app/main.go": true, "other/o.go": false, "app/nested/x.go": false, "app/readme": false} {
		write(t, top, file, "package changed // "+file)
		after := hash()
		if (after != before) != counts {
			t.Errorf("a change of %s changes the hash: %v, want %v", file, after != before, counts)
		}
		before = after
	}
}

func TestBuildsThatWereNotUsedForLongestGoFirst(t *testing.T) {
	w := newWorld(t)
	for i := range keepBuilds + 3 {
		name := filepath.Join(w.dir, "_builds", fmt.Sprint(i))
		write(t, w.dir, filepath.Join("_builds", fmt.Sprint(i)), "")
		at := time.Unix(int64(i), 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.pruneBuilds(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(w.dir, "_builds"))
	if err != nil || len(left) != keepBuilds {
		t.Fatalf("%d builds are left (%v), want %d", len(left), err, keepBuilds)
	}
	for i := range 3 {
		if _, err := os.Stat(filepath.Join(w.dir, "_builds", fmt.Sprint(i))); err == nil {
			t.Errorf("build %d, of the oldest, is left", i)
		}
	}
}

func TestGoFunctionThatDoesNotCompileShowsTheCompilersLines(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	w, src := newWorld(t), t.TempDir()
	write(t, src, "go.mod", "module example.com/f\n\ngo 1.21\n", "cmd/f/main.go", "package main\n\nfunc main() {\n\tnothing()\n}\n")
	var ps []Progress
	_, err := w.try(goApp(src), progress(&ps))
	if err == nil || !strings.HasPrefix(err.Error(), `s.yaml:7: function "f": go build`) || !strings.Contains(err.Error(), "main.go:4:2: undefined: nothing") {
		t.Errorf("error %v", err)
	}
	if !slices.ContainsFunc(said(ps, "build", Log), func(s string) bool { return strings.Contains(s, "undefined: nothing") }) {
		t.Errorf("progress lacks the compiler's line: %v", ps)
	}
	if len(w.folders("prog")) != 0 {
		t.Errorf("folders %v are left", w.folders("prog"))
	}
}

func TestEditDuringADeployIsSeenByTheNext(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	first, err := w.try(app, func(p Progress) {
		if p.Step == "copy" && p.Name == "send" && p.Status == Started {
			write(t, src, "send/main", "edited")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, src, "send/main", "send 1") // back to what the plan saw
	second := w.deploy(app)
	if w.functions["chat/send"] != "send 1" || second.ID == first.ID {
		t.Errorf("revision %s after %s serves %v", second.ID, first.ID, w.functions)
	}
}

func TestShellBuildRunsInTheCopy(t *testing.T) {
	w, src := newWorld(t), t.TempDir()
	write(t, src, "in", "text")
	app := goApp(src)
	app.Functions[0].Code = src
	app.Functions[0].Build = &sluice.Build{Kind: "shell", Command: []string{"cp", "in", "main"}}
	w.deploy(app)
	if w.functions["prog/f"] != "text" {
		t.Errorf("functions %v", w.functions)
	}
	if _, err := os.Stat(filepath.Join(src, "main")); err == nil {
		t.Error("the build wrote into the template's folder")
	}
	app.Functions[0].Build.Command = []string{"sh", "-c", "echo why >&2; exit 3"}
	if _, err := w.try(app, nil); err == nil || !strings.Contains(err.Error(), "exit status 3") || sluice.HintOf(err) != "why" {
		t.Errorf("error %v, hint %q", err, sluice.HintOf(err))
	}
}

func TestActionsRunAroundADeploy(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	at := sluice.Place{File: "s.yaml", Line: 3}
	app.Actions = []sluice.Action{
		{When: "pre", Run: "echo made here; echo built > send/main", Dir: src, At: at},
		{When: "post", Run: "pwd; cat send/main >> after", Dir: src, At: at},
	}
	var ps []Progress
	if _, err := w.try(app, progress(&ps)); err != nil {
		t.Fatal(err)
	}
	if w.functions["chat/send"] != "built\n" {
		t.Errorf("the code was taken before the action had run: %v", w.functions)
	}
	if got := said(ps, "run", Log); len(got) != 2 || got[0] != "made here" {
		t.Errorf("output %q", got)
	}
	if got := contents(t, src); !strings.Contains(got, "after=built\n") {
		t.Errorf("the action after did not run: %s", got)
	}
	rev, _ := w.Current(t.Context(), "chat")
	if again := w.deploy(app); again.ID != rev.ID {
		t.Error("what the action after wrote made the next deploy do work")
	}
}

func TestActionFindsItsFilesAndItsEnvironment(t *testing.T) {
	w := newWorld(t)
	w.Deployer.o.Environment = func(_ context.Context, app *sluice.App) ([]string, error) {
		return []string{"WHO=" + string(app.Name)}, nil
	}
	app, src := chat(t)
	app.Actions = []sluice.Action{{When: "pre", Run: `echo "$WHO: $(cat "$SLUICE_FILES/note")"; echo "$SLUICE_FILES" > ../where`, Dir: filepath.Join(src, "send"), Given: "a",
		Files: map[string]string{"note": "one"}}}
	runs := func() []string {
		var ps []Progress
		if _, err := w.try(app, progress(&ps)); err != nil {
			t.Fatal(err)
		}
		return said(ps, "run", Log)
	}
	if got := runs(); len(got) != 1 || got[0] != "chat: one" {
		t.Fatalf("output %q", got)
	}
	where, _ := os.ReadFile(filepath.Join(src, "where"))
	if _, err := os.Stat(strings.TrimSpace(string(where))); len(where) == 0 || err == nil {
		t.Errorf("the files %q are left: %v", where, err)
	}
	app = clone(app)
	app.Actions[0].Files = map[string]string{"note": "two"}
	if got := runs(); len(got) != 0 {
		t.Errorf("other files made the action run again: %q", got)
	}
	moved := t.TempDir()
	if err := os.CopyFS(filepath.Join(moved, "send"), os.DirFS(filepath.Join(src, "send"))); err != nil {
		t.Fatal(err)
	}
	app = clone(app)
	app.Actions[0].Dir = filepath.Join(moved, "send")
	if got := runs(); len(got) != 0 {
		t.Errorf("the same files elsewhere made the action run again: %q", got)
	}
	app = clone(app)
	app.Actions[0].Given = "b"
	if got := runs(); len(got) != 1 || got[0] != "chat: two" {
		t.Errorf("after what it was given changed: %q", got)
	}
}

func TestInstallerRunsAgainOnlyForItsManifest(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	bin := t.TempDir()
	write(t, bin, "npm", "#!/bin/sh\nmkdir -p node_modules && echo x >> node_modules/installed\n")
	if err := os.Chmod(filepath.Join(bin, "npm"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	dir := filepath.Join(src, "send")
	write(t, dir, "package.json", "{}")
	app.Actions = []sluice.Action{{When: "pre", Run: "npm install --production", Dir: dir}}
	installed := func() int {
		w.deploy(app)
		b, _ := os.ReadFile(filepath.Join(dir, "node_modules/installed"))
		return len(b) / 2
	}
	if n := installed(); n != 1 {
		t.Fatalf("installed %d times at first", n)
	}
	write(t, dir, "main", "send 2")
	if n := installed(); n != 1 || w.functions["chat/send"] != "send 2" {
		t.Errorf("installed %d times after a change of the source, serving %v", n, w.functions)
	}
	write(t, dir, "package.json", "{ }")
	if n := installed(); n != 2 {
		t.Errorf("installed %d times after a change of the manifest", n)
	}
	if err := os.RemoveAll(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if n := installed(); n != 1 {
		t.Errorf("packages that were deleted are not installed again")
	}
	for _, run := range []string{"npm i && npm run build", "npm install; rm x", "yarn build", "npm test", "npm i left-pad",
		"pip install flask -t .", "pip3 install -r requirements.txt -t . && ls", "python3 -m venv x"} {
		if installers.MatchString(run) {
			t.Errorf("%q is taken for a mere installer", run)
		}
	}
}

func TestPipRunsAgainOnlyForItsRequirements(t *testing.T) {
	for _, run := range []string{"pip install -r requirements.txt -t lib", "pip3 install --target=lib --requirement requirements.txt -i https://mirror.example/simple --quiet",
		"python3.10 -m pip install -t lib -rrequirements.txt"} {
		w := newWorld(t)
		app, src := chat(t)
		bin := t.TempDir()
		for _, name := range []string{"pip", "pip3", "python3.10"} {
			write(t, bin, name, "#!/bin/sh\nmkdir -p lib && echo x >> lib/installed\n")
			if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		dir := filepath.Join(src, "send")
		write(t, dir, "requirements.txt", "flask")
		app.Actions = []sluice.Action{{When: "pre", Run: run, Dir: dir}}
		installed := func() int {
			w.deploy(app)
			b, _ := os.ReadFile(filepath.Join(dir, "lib/installed"))
			return len(b) / 2
		}
		first := installed()
		write(t, dir, "main", "send 2")
		second := installed()
		write(t, dir, "requirements.txt", "flask\ndjango")
		third := installed()
		if err := os.RemoveAll(filepath.Join(dir, "lib")); err != nil {
			t.Fatal(err)
		}
		if got := [...]int{first, second, third, installed()}; got != [...]int{1, 1, 2, 1} {
			t.Errorf("%s: installed %v times: at first, after a change of the source, of the requirements, and of lib", run, got)
		}
	}
}

func TestFailingActionNamesItsPlace(t *testing.T) {
	at := sluice.Place{File: "s.yaml", Line: 3}
	for when, deployed := range map[string]bool{"pre": false, "post": true} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t)
			app, src := chat(t)
			app.Actions = []sluice.Action{{When: when, Run: "echo no such thing >&2; exit 7", Dir: src, At: at}}
			rev, err := w.try(app, nil)
			if err == nil || !strings.HasPrefix(err.Error(), "s.yaml:3: action ") || !strings.Contains(err.Error(), "exit status 7: no such thing") || sluice.HintOf(err) == "" {
				t.Errorf("error %v, hint %q", err, sluice.HintOf(err))
			}
			if (rev != nil) != deployed || (w.mounted["chat"] != "") != deployed {
				t.Errorf("revision %v, mounted %v", rev, w.mounted)
			}
			app.Actions[0].Run = "true"
			if rev, err = w.try(app, nil); err != nil || rev == nil {
				t.Errorf("the next try: %v, %v", rev, err)
			}
		})
	}
}

func TestFailedActionAfterIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	flag := filepath.Join(t.TempDir(), "flag")
	app.Actions = []sluice.Action{{When: "post", Run: "test -e " + flag, Dir: src}}
	if _, err := w.try(app, nil); err == nil {
		t.Fatal("no error")
	}
	write(t, filepath.Dir(flag), "flag", "")
	var ps []Progress
	if _, err := w.try(app, progress(&ps)); err != nil || len(said(ps, "run", Done)) != 1 {
		t.Errorf("error %v, progress %v", err, ps)
	}
}

func TestADeployThatFailsRunsItsActionsForThat(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	sign := filepath.Join(t.TempDir(), "sign")
	app.Actions = []sluice.Action{{When: "fail", Run: "echo told >> " + sign, Dir: src}, {When: "pre", Run: "exit 3", Dir: src}}
	if _, err := w.try(app, nil); err == nil {
		t.Fatal("no error")
	}
	if b, err := os.ReadFile(sign); err != nil || string(b) != "told\n" {
		t.Errorf("%q, %v", b, err)
	}
	app.Actions = app.Actions[:1]
	if _, err := w.try(app, nil); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(sign); string(b) != "told\n" {
		t.Errorf("a deploy that works ran it, too: %q", b)
	}
}

func TestCancelledActionDiesWithItsChildren(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	app.Actions = []sluice.Action{{When: "pre", Run: "echo up; sleep 600 & wait", Dir: src}}
	p, err := w.Plan(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	_, err = w.Apply(ctx, p, func(p Progress) {
		if p.Text == "up" {
			cancel()
		}
	})
	if err == nil || time.Since(start) > 30*time.Second {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}

func TestOutputIsCutIntoLines(t *testing.T) {
	var got []string
	l := lines{emit: func(s string) { got = append(got, s) }}
	for _, s := range []string{"a", "b\nc\r\n", "\n", strings.Repeat("x", maxLine+1), "\nend"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.flush()
	want := []string{"ab", "c", "", strings.Repeat("x", maxLine), "x", "end"}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q", got)
	}
}

package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

func TestHookRunsOnceAndItsAnswersStay(t *testing.T) {
	w := newWorld(t)
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	app := &sluice.App{Name: "chat", Dialect: "aliyun", Dir: t.TempDir()}
	write(t, dir, "index.js", "one")
	hook := func(given string) []sluice.Action {
		return []sluice.Action{
			{Run: "echo x >> " + log, Dir: dir, Given: given},
			{Run: `cp "$SLUICE_FILES/say" "$SLUICE_FILES/answers.json"; echo '["bin/node"]' > "$SLUICE_FILES/made.json"; mkdir -p ` + app.Dir + `/bin; touch ` + app.Dir + `/bin/node`,
				Dir: dir, Given: given, Files: map[string]string{"say": `{"region":"r1","size":3}`}},
		}
	}
	runs := 0
	init := func(given string, want int) {
		t.Helper()
		got, err := w.Init(t.Context(), app, hook(given), nil)
		if d := cmp.Diff(map[string]string{"region": "r1", "size": "3"}, got); err != nil || d != "" {
			t.Fatalf("%v, answers (-want +got):\n%s", err, d)
		}
		b, _ := os.ReadFile(log)
		if n := len(b)/2 - runs; n != want {
			t.Errorf("given %q it ran %d times, want %d", given, n, want)
		}
		runs = len(b) / 2
	}
	init("a", 1)
	init("a", 0)
	init("b", 1)
	if err := os.Remove(filepath.Join(app.Dir, "bin/node")); err != nil {
		t.Fatal(err)
	}
	init("b", 1) // what it made is gone, or the app comes from another folder
	write(t, dir, "index.js", "two")
	init("b", 1)
	if got, err := w.Answers(t.Context(), "chat"); err != nil || got["region"] != "r1" {
		t.Errorf("answers %v, %v", got, err)
	}

	// A hook that fails answers nothing, and is tried again.
	bad := []sluice.Action{{Run: "exit 3", Dir: dir, Given: "c"}}
	for range 2 {
		if _, err := w.Init(t.Context(), app, bad, nil); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("a failing hook: %v", err)
		}
	}
	if _, err := w.Init(t.Context(), app, []sluice.Action{{Run: `echo '[' > "$SLUICE_FILES/answers.json"`, Dir: dir, Files: map[string]string{"a": ""}}}, nil); err == nil {
		t.Error("answers that are no JSON are taken")
	}

	// What is removed and comes again begins anew.
	served, _ := chat(t)
	w.deploy(served)
	if err := w.Deployer.Remove(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	init("b", 1)
}

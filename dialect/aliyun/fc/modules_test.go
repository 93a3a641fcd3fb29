package fc

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put writes files, given as name, content, name, content …, under dir.
func put(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFunctionLacksWhatItRequiresAndDoesNotBring(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"nothing required":     {[]string{"index.js", `exports.handler = () => 1`}, nil},
		"require":              {[]string{"index.js", `const T = require('tablestore')`}, []string{"tablestore"}},
		"import":               {[]string{"index.mjs", `import OSS from "ali-oss"; import "co"; export * from 'raw-body'`}, []string{"ali-oss", "co", "raw-body"}},
		"import later":         {[]string{"lib/a.cjs", `await import('@alicloud/fc2')`}, []string{"@alicloud/fc2"}},
		"a file of a module":   {[]string{"index.js", `require("tablestore/lib/metadata")`}, []string{"tablestore"}},
		"brought":              {[]string{"index.js", `require('tablestore')`, "node_modules/tablestore/index.js", ""}, nil},
		"a dependency's need":  {[]string{"index.js", ``, "node_modules/x/index.js", `require('co')`}, nil},
		"one's own file":       {[]string{"index.js", `require('./co'); require("../body")`}, nil},
		"a longer name":        {[]string{"index.js", `require('co-body')`}, nil},
		"another language":     {[]string{"index.py", `require('co')`}, nil},
		"a module of no image": {[]string{"index.js", `require('left-pad')`}, nil},
	} {
		dir := t.TempDir()
		put(t, dir, c.files...)
		got, err := lacks(dir)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
}

func TestModulesAreInstalledOnceWhenNeeded(t *testing.T) {
	code, bin, dir := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "runtimes", "nodejs")
	put(t, code, "index.js", `require('tablestore')`)
	put(t, bin, "npm", "#!/bin/sh\necho \"$@\" >> "+bin+"/calls; mkdir -p node_modules/tablestore\n")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	m := &Modules{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		path, err := m.Path(t.Context(), "f", code)
		if err != nil || path != filepath.Join(dir, "node_modules") {
			t.Fatalf("path %q, %v", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "tablestore")); err != nil {
		t.Error(err)
	}
	calls, _ := os.ReadFile(filepath.Join(bin, "calls"))
	if n := strings.Count(string(calls), "\n"); n != 1 || !strings.Contains(string(calls), "tablestore@5 ali-oss@6") {
		t.Errorf("npm ran %d times: %s", n, calls)
	}
	put(t, code, "index.js", ``)
	if path, err := m.Path(t.Context(), "f", code); path != "" || err != nil {
		t.Errorf("a function that needs none gets %q, %v", path, err)
	}
}

func TestFailedInstallationNamesTheModuleAndLeavesNothing(t *testing.T) {
	code, bin, data := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, code, "index.js", `require('tablestore')`)
	m := &Modules{Dir: filepath.Join(data, "nodejs"), Log: slog.New(slog.DiscardHandler)}
	for _, npm := range []string{"", "#!/bin/sh\necho first; echo no network >&2; exit 1\n"} {
		t.Setenv("PATH", bin)
		if npm != "" {
			put(t, bin, "npm", npm)
			t.Setenv("PATH", bin+":/bin:/usr/bin")
		}
		_, err := m.Path(t.Context(), "f", code)
		if err == nil || !strings.Contains(err.Error(), `function "f" requires tablestore`) {
			t.Errorf("error %v", err)
		}
		if npm != "" && !strings.Contains(err.Error(), "no network") {
			t.Errorf("error %v does not say why", err)
		}
	}
	if left, _ := os.ReadDir(data); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

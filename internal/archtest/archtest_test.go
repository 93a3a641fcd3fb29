// Package archtest holds the arrows of the tree: who may import whom, no init functions, a comment on
// every package, no file that outgrew its idea.
package archtest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluicehq/sluice"

// maxLines is where a file has a second idea in it.
const maxLines = 600

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// in reports whether path is one of roots or below one.
func in(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
}

var (
	rooms   = []string{"gateway", "function", "table", "object", "bus", "deploy", "access"}
	engines = []string{"kv/pebble", "kv/pgwire", "kv/memory", "object/disk", "object/remote", "function/process", "bus/nats", "bus/local"}
	suites  = []string{"kv/kvtest", "object/objecttest", "bus/bustest"}
)

// room is the first part of a path: the room that a package belongs to.
func room(path string) string { return strings.Split(path, "/")[0] }

// may reports whether the package from (a path within the module, "" is the root) may import to.
func may(from, to string) bool {
	isEngine := in(to, engines...)
	switch {
	case from == "": // the nouns
		return false
	case in(from, "cmd", "e2e", "bench"):
		return true
	case from == "server":
		return !in(to, "cmd")
	case in(from, "internal"):
		return in(to, "internal")
	case from == "config", from == "telemetry", from == "kv":
		return to == "" || to == "kv"
	case in(from, suites...):
		return to == "" || to == "kv" || room(to) == room(from) && !isEngine
	case in(from, engines...):
		return to == "" || to == "kv" || in(to, "internal") || to == room(from)
	case in(from, rooms...):
		// A room's own packages see each other; another room is never seen.
		return to == "" || to == "kv" || in(to, "internal") || room(to) == room(from) && !isEngine
	case from == "dialect/all":
		return !isEngine && !in(to, "server", "cmd")
	case from == "dialect":
		return to == "" || to == "kv" || in(to, rooms...) && !isEngine
	case in(from, "dialect"):
		cloud := func(p string) string { return strings.Join(strings.Split(p, "/")[:2], "/") }
		if in(to, "dialect") && to != "dialect" {
			return cloud(to) == cloud(from)
		}
		return !isEngine && !in(to, "server", "cmd", "console", "client")
	case in(from, "console"):
		return !isEngine && !in(to, "server", "cmd") && (to == "dialect" || !in(to, "dialect"))
	case from == "client":
		return to == "" || in(to, "internal")
	}
	return false
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				if from == "" && strings.Contains(strings.Split(imp, "/")[0], ".") {
					t.Errorf("the root package imports %s; it may import the standard library only", imp)
				}
				continue
			}
			to := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
			if !may(from, to) {
				t.Errorf("%q imports %q: that arrow points up or sideways", from, to)
			}
		}
	}
}

// TestTheRulesCanFail makes sure that may is no rubber stamp.
func TestTheRulesCanFail(t *testing.T) {
	for _, c := range [][2]string{
		{"gateway", "function"}, {"table", "kv/pebble"}, {"dialect/aws/lambda", "dialect/aliyun/fc"},
		{"dialect/aliyun", "server"}, {"function", "function/process"}, {"", "kv"}, {"console", "kv/pebble"}, {"kv", "table"},
	} {
		if may(c[0], c[1]) {
			t.Errorf("%s may import %s", c[0], c[1])
		}
	}
}

func TestPackagesHaveACommentAndNoInit(t *testing.T) {
	for _, p := range packages(t) {
		fset, comment := token.NewFileSet(), false
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(src, []byte("\n")); n > maxLines && !bytes.Contains(src[:min(len(src), 200)], []byte("Code generated")) {
				t.Errorf("%s/%s has %d lines: look for its second idea", p.ImportPath, name, n)
			}
			f, err := parser.ParseFile(fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			comment = comment || f.Doc != nil
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s/%s has an init function", p.ImportPath, name)
				}
			}
		}
		if !comment {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		if base := filepath.Base(p.ImportPath); base == "util" || base == "common" || base == "helpers" {
			t.Errorf("%s: name it after what it holds", p.ImportPath)
		}
	}
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", module+"/...")
	var errb bytes.Buffer
	cmd.Stderr = &errb
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errb.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only %d packages", len(all))
	}
	return all
}

package sdevs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/deploytest"
)

func TestTemplates(t *testing.T) {
	deploytest.Templates(t, func(t *testing.T, in deploy.Input, says func(string) bool) (*sluice.App, error) {
		return New(Options{Strict: says("strict")}).Read(t.Context(), in)
	})
}

func TestRecognize(t *testing.T) {
	dir := t.TempDir()
	r := New(Options{})
	if got := r.Recognize(dir); got != "" {
		t.Errorf("an empty folder has template %q", got)
	}
	for _, name := range []string{"s.yml", "s.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := r.Recognize(dir); got != name {
			t.Errorf("recognized %q, want %q", got, name)
		}
	}
	_, err := r.Read(t.Context(), deploy.Input{Dir: t.TempDir()})
	if sluice.KindOf(err) != sluice.Missing || sluice.HintOf(err) == "" {
		t.Errorf("no template: %v", err)
	}
}

func TestHugeAndExplodingTemplatesAreRefused(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		bomb += "a" + n + ": &a" + n + " [*a" + p + strings.Repeat(", *a"+p, 9) + "]\n"
	}
	vars := "vars:\n  a0: " + strings.Repeat("x", 100) + "\n"
	lists := "vars:\n  a0: [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		vars += "  a" + n + ": \"" + strings.Repeat("${vars.a"+p+"}", 10) + "\"\n"
		lists += "  a" + n + ": [" + strings.Repeat("\"${vars.a"+p+"}\", ", 10) + "]\n"
	}
	module := "services:\n  f:\n    component: dns\n    props:\n      domainName: a.example\n      value: ${vars.a8}\n"
	fn := "services:\n  f:\n    component: fc\n    props: {service: s, function: {name: f, runtime: python3, codeUri: ., environmentVariables: {A: 'X'}}}\n"
	tests := map[string]struct{ text, want string }{
		"aliases":             {bomb + module, "s.yaml:"},
		"variables in text":   {vars + module, "variables expand to more than"},
		"variables in lists":  {lists + module, "expands to too much"},
		"lists in a function": {lists + strings.Replace(fn, "X", "${vars.a8}", 1), "expands to too much"},
		"variable of itself":  {"vars:\n  a8:\n    b: ${vars}\n" + module, "expands to too much"},
		"huge file":           {strings.Repeat("# comment\n", 200_000), "more than 1048576 bytes"},
		"deep lists":          {"a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "levels"},
		"alias within itself": {"a: &a\n  b: *a\n" + module, "s.yaml:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "s.yaml"), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := New(Options{}).Read(t.Context(), deploy.Input{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if err != nil && len(err.Error()) > 10_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		if ar, err := txtar.ParseFile(file); err == nil {
			for _, af := range ar.Files {
				if af.Name == "s.yaml" {
					f.Add(af.Data)
				}
			}
		}
	}
	dir := f.TempDir()
	for _, sub := range []string{"code", "www/build"} {
		os.MkdirAll(filepath.Join(dir, sub), 0o755)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "s.yaml"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		app, err := New(Options{}).Read(t.Context(), deploy.Input{Dir: dir})
		if (app == nil) == (err == nil) {
			t.Errorf("app %v, error %v", app, err)
		}
	})
}

func FuzzExpr(f *testing.F) {
	for _, s := range []string{"vars.a[0].b", "env('A', \"b\")", "json(file('./x.json'))", "path('..')", "env(A", "a..b", "f(x)", "json(${file(./a)})"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseExpr(s)
		if err == nil && e.fn == "" && len(e.path) == 0 {
			t.Errorf("%q is nothing and no error", s)
		}
	})
}

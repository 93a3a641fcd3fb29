package sdevs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestTemplates reads the folder in each archive of testdata and compares the App, or the errors,
// with its file "want". Lines of the archive's comment set the input: "params a=b", "env A=B",
// "public host", "endpoint address", "skip module", "strict", "file name", "environment name".
func TestTemplates(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, ar)
			in := deploy.Input{Dir: dir, Params: map[string]string{}}
			var o Options
			env := map[string]string{}
			for _, line := range strings.Split(string(ar.Comment), "\n") {
				word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
				name, val, _ := strings.Cut(rest, "=")
				switch word {
				case "params":
					in.Params[name] = val
				case "env":
					env[name] = val
				case "public":
					in.Public = func(sluice.AppName) string { return rest }
				case "endpoint":
					in.Endpoint = func(string) string { return rest }
				case "skip":
					in.Skip = append(in.Skip, rest)
				case "name":
					in.Name = sluice.AppName(rest)
				case "file":
					in.File = rest
				case "environment":
					in.Environment = rest
				case "strict":
					o.Strict = true
				}
			}
			in.Env = func(k string) (string, bool) { v, ok := env[k]; return v, ok }
			app, err := New(o).Read(t.Context(), in)
			got := strings.ReplaceAll(outcome(t, app, err), dir, "$DIR")
			if *update {
				setWant(ar, got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// unpack writes the files of an archive but "want" to a folder.
func unpack(t *testing.T, ar *txtar.Archive) (dir, want string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range ar.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, want
}

func setWant(ar *txtar.Archive, want string) {
	for i := range ar.Files {
		if ar.Files[i].Name == "want" {
			ar.Files[i].Data = []byte(want)
			return
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: "want", Data: []byte(want)})
}

// outcome is the App as indented JSON with its specs readable, or the errors with their hints.
func outcome(t *testing.T, app *sluice.App, err error) string {
	t.Helper()
	var b strings.Builder
	if err != nil {
		for _, e := range flat(err) {
			b.WriteString("error: " + e.Error() + "\n")
			if h := sluice.HintOf(e); h != "" {
				b.WriteString("hint:  " + h + "\n")
			}
		}
		return b.String()
	}
	raw, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	delete(tree, "warnings")
	for i, e := range app.Endpoints {
		var spec any
		if err := json.Unmarshal(e.Spec, &spec); err != nil {
			t.Fatal(err)
		}
		tree["endpoints"].([]any)[i].(map[string]any)["spec"] = spec
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(tree); err != nil {
		t.Fatal(err)
	}
	b.Write(buf.Bytes())
	for _, w := range app.Warnings {
		kind := "warning: "
		if w.Info {
			kind = "note: "
		}
		b.WriteString(kind + w.At.String() + ": " + w.Text + "\n")
	}
	return b.String()
}

func flat(err error) []error {
	var joined interface{ Unwrap() []error }
	if _, one := err.(*sluice.Error); !one && errors.As(err, &joined) {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flat(e)...)
		}
		return all
	}
	return []error{err}
}

func TestEveryErrorHasAPlaceAndIsInvalid(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := unpack(t, ar)
		if New(Options{}).Recognize(dir) == "" {
			continue
		}
		_, err = New(Options{}).Read(t.Context(), deploy.Input{Dir: dir})
		if err == nil {
			continue
		}
		for _, e := range flat(err) {
			var se *sluice.Error
			if !errors.As(e, &se) || se.At.File == "" || se.Code != sluice.Invalid {
				t.Errorf("%s: error %v has no place, or is no *sluice.Error of kind Invalid", file, e)
			}
		}
	}
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

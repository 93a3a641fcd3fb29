package sam

import (
	"bytes"
	"context"
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

// installed is a machine with Node.js 20 and Python 3.11.
var installed = Options{Installed: func(_ context.Context, program string) string {
	return map[string]string{"node": "20.20.2", "python": "3.11.7"}[program]
}}

// input is what the comment of an archive says: lines "param A=b", "env A=B", "skip Resource",
// "skip-unsupported", "no-build", "name app", "file name", "environment name", "export NAME=VALUE".
func input(ar *txtar.Archive, dir string) deploy.Input {
	in := deploy.Input{Dir: dir, Params: map[string]string{}}
	env, exports := map[string]string{}, map[string]string{}
	for _, line := range strings.Split(string(ar.Comment), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, val, _ := strings.Cut(rest, "=")
		switch word {
		case "param":
			in.Params[name] = val
		case "env":
			env[name] = val
		case "export":
			exports[name] = val
		case "skip":
			in.Skip = append(in.Skip, rest)
		case "skip-unsupported":
			in.SkipUnsupported = true
		case "no-build":
			in.NoBuild = true
		case "name":
			in.Name = sluice.AppName(rest)
		case "file":
			in.File = rest
		case "environment":
			in.Environment = rest
		}
	}
	in.Env = func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	in.Export = func(k string) (string, bool) { v, ok := exports[k]; return v, ok }
	return in
}

// TestTemplates reads the folder in each archive of testdata and compares the App, or the errors, with
// its file "want".
func TestTemplates(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, ar)
			app, err := New(installed).Read(t.Context(), input(ar, dir))
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
	readable := func(list string, i int, key string, text []byte) {
		var v any
		if len(text) == 0 {
			return
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		tree[list].([]any)[i].(map[string]any)[key] = v
	}
	for i, e := range app.Endpoints {
		readable("endpoints", i, "spec", e.Spec)
	}
	for i, e := range app.Tables {
		readable("tables", i, "spec", e.Spec)
	}
	for i, f := range app.Functions {
		readable("functions", i, "extra", f.Extra)
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
		in := input(ar, dir)
		in.Params, in.Skip, in.SkipUnsupported = nil, nil, false
		_, err = New(installed).Read(t.Context(), in)
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
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := New(Options{})
	is := func(want string) {
		t.Helper()
		if got := r.Recognize(dir); got != want {
			t.Errorf("recognized %q, want %q", got, want)
		}
	}
	is("")
	put("template.yaml", "ROSTemplateFormatVersion: '2015-09-01'\nResources: {A: {Type: ALIYUN::FC::Function}}\n")
	is("")
	put("template.json", `{"Resources":{"A":{"Type":"AWS::SNS::Topic"}}}`)
	is("template.json")
	put("template.yaml", "Resources: {A: {Type: AWS::SNS::Topic}}\n")
	is("template.yaml")
	put("samconfig.toml", "[default.global.parameters]\ntemplate_file = \"sub/app.yaml\"\n")
	is("template.yaml")
	put("sub/app.yaml", "Resources: {A: {Type: AWS::SNS::Topic}}\n")
	is("sub/app.yaml")
	if _, err := r.Read(t.Context(), deploy.Input{Dir: t.TempDir()}); sluice.KindOf(err) != sluice.Missing || sluice.HintOf(err) == "" {
		t.Errorf("no template: %v", err)
	}
	put("samconfig.toml", "[default\n")
	if _, err := r.Read(t.Context(), deploy.Input{Dir: dir}); err == nil || !strings.HasPrefix(err.Error(), "samconfig.toml:") {
		t.Errorf("a broken samconfig.toml: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		if ar, err := txtar.ParseFile(file); err == nil {
			for _, af := range ar.Files {
				if strings.HasPrefix(af.Name, "template.") {
					f.Add(af.Data)
				}
			}
		}
	}
	dir := f.TempDir()
	os.MkdirAll(filepath.Join(dir, "ts/src"), 0o755)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "template.yaml"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, skip := range []bool{false, true} {
			app, err := New(installed).Read(t.Context(), deploy.Input{Dir: dir, File: "template.yaml", SkipUnsupported: skip})
			if (app == nil) == (err == nil) {
				t.Errorf("app %v, error %v", app, err)
			}
		}
	})
}

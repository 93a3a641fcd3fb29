package sls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aws/sam"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// installed is a machine with Node.js 20 and Python 3.11.
var installed = sam.Options{Installed: func(_ context.Context, program string) string {
	return map[string]string{"node": "20.20.2", "python": "3.11.7"}[program]
}}

// input is what the comment of an archive says: lines "param A=b", "env A=B", "skip X", "skip-unsupported",
// "no-build", "name app", "file name", "stage name", "export NAME=VALUE".
func input(ar *txtar.Archive, dir string) deploy.Input {
	in := deploy.Input{Dir: dir, Params: map[string]string{}}
	env, exports := map[string]string{}, map[string]string{}
	for line := range strings.Lines(string(ar.Comment)) {
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
		case "stage":
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
			if e.Hint != "" {
				b.WriteString("hint:  " + e.Hint + "\n")
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
		fn := tree["functions"].([]any)[i].(map[string]any)
		delete(fn, "ignore")
		if own := slices.DeleteFunc(f.Ignore, func(p string) bool { return slices.Contains(ignored, p) }); len(own) > 1 {
			fn["ignore"] = own[1:] // the first is for all templates of AWS
		}
	}
	flatten(tree)
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

// flatten writes places as text, which is shorter.
func flatten(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if at, ok := e.(map[string]any); ok && k == "at" {
				line, _ := at["line"].(float64)
				file, _ := at["file"].(string)
				v[k] = sluice.Place{File: file, Line: int(line)}.String()
				continue
			}
			flatten(e)
		}
	case []any:
		for _, e := range v {
			flatten(e)
		}
	}
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
		in.Params, in.Skip, in.SkipUnsupported, in.Env, in.Export = nil, nil, false, nil, nil
		if _, err = New(installed).Read(t.Context(), in); err == nil {
			continue
		}
		for _, e := range flat(err) {
			if e.At.File == "" || e.Code != sluice.Invalid {
				t.Errorf("%s: error %v has no place, or is not of kind Invalid", file, e)
			}
		}
	}
}

func TestOnlyTemplatesForAWSAreRecognized(t *testing.T) {
	for text, want := range map[string]bool{
		"service: a\nprovider:\n  name: aws\n":                                     true,
		"service: a\nprovider: aws\n":                                              true,
		"service: a\nprovider: ${file(p.yml)}\n":                                   true,
		"service: a\nprovider: {name: \"${file(p.yml):name}\"}\n":                  true,
		"service: a\nprovider:\n  name: tencent\n":                                 false,
		"service: a\nprovider:\n  name: aliyun\n":                                  false,
		"component: scf\nname: a\ninputs: {name: aws}\n":                           false,
		"component: aws\nprovider: {name: aws}\n":                                  false,
		"name: app\nstage: dev\nservices:\n  a: {component: x, provider: tencent}": false,
		"- 1\n":                    false,
		"":                         false,
		"provider:\n\tname: aws\n": true, // it cannot be parsed, and whoever reads it is told so
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"serverless.yml": text, "p.yml": "name: aws\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := New(installed).Recognize(dir) != ""; got != want {
			t.Errorf("recognized: %v, want %v\n%s", got, want, text)
		}
	}
	if _, err := New(installed).Read(t.Context(), deploy.Input{Dir: t.TempDir()}); sluice.KindOf(err) != sluice.Missing || sluice.HintOf(err) == "" {
		t.Errorf("no template: %v", err)
	}
}

func TestNamesOfTemplates(t *testing.T) {
	for name, want := range map[string]bool{"serverless.yml": true, "serverless.prod.yaml": true, "serverless-api.yml": true, "serverless.ts": true,
		"serverless.template": false, "template.yaml": false, "my-serverless.yml": false} {
		if Names(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestAProgramIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "serverless.ts"), []byte("export default { provider: { name: 'aws' } }"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := New(installed).Read(t.Context(), deploy.Input{Dir: dir})
	var e *sluice.Error
	if !errors.As(err, &e) || e.At.File != "serverless.ts" || e.Hint == "" {
		t.Errorf("%v", err)
	}
}

func FuzzVariables(f *testing.F) {
	for _, s := range []string{"${self:custom.a}-${opt:stage, 'dev'}", "${file(a.yml):b.${self:c}}", `\${x:y}${env:A, ${env:B}}`, "${AWS::Region}${Foo}", "${self:", "${opt:a, \"x\\\"y\"}",
		"${strToBool(true)}", "${self:custom}", "${param:x, null, 12}", "${file(", "${self:${self:${self:a}}}", "${self:}"} {
		f.Add(s)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yml"), []byte("b: {c: '${self:custom.text}', d: '${file(a.yml)}'}\n"), 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Skip()
		}
		text := `{"service":"a","provider":{"name":"aws"},"custom":{"text":` + string(quoted) + `,"a":["${self:custom.text}","x"]},
			"functions":{"f":{"handler":"a.b","environment":{"A":"${self:custom.text}","B":"${self:custom.a.0}${self:custom.a.1}"}}}}`
		if err := os.WriteFile(filepath.Join(dir, "serverless.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		app, err := New(installed).Read(t.Context(), deploy.Input{Dir: dir, File: "serverless.json"})
		if (app == nil) == (err == nil) {
			t.Errorf("app %v, error %v", app, err)
		}
	})
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		if ar, err := txtar.ParseFile(file); err == nil {
			for _, af := range ar.Files {
				if strings.HasPrefix(af.Name, "serverless.") {
					f.Add(af.Data)
				}
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "serverless.yml"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, skip := range []bool{false, true} {
			app, err := New(installed).Read(t.Context(), deploy.Input{Dir: dir, File: "serverless.yml", SkipUnsupported: skip})
			if (app == nil) == (err == nil) {
				t.Errorf("app %v, error %v", app, err)
			}
		}
	})
}

// Package deploytest helps to test readers of templates. A case is an archive in testdata: the files of a
// folder, what the reader is called with in its comment, and in its file "want" what comes out. Tests that
// use it know the flag -update, which writes "want" anew.
package deploytest

import (
	"bytes"
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
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// Templates reads the folder of each archive in testdata and compares the App, or the errors, with what is
// expected. read calls the reader; says reports whether a word of its own is a line of the comment. All
// errors, also those of a template whose parameters are not given, must have a place and be of kind Invalid.
func Templates(t *testing.T, read func(t *testing.T, in deploy.Input, says func(word string) bool) (*sluice.App, error)) {
	t.Helper()
	archives(t, func(t *testing.T, file string, ar *txtar.Archive) {
		dir, want := unpack(t, ar)
		says := func(word string) bool { return strings.Contains("\n"+string(ar.Comment), "\n"+word+"\n") }
		in := input(ar, dir)
		bare := deploy.Input{Dir: dir, File: in.File, Name: in.Name, Environment: in.Environment}
		_, err := read(t, bare, says)
		placed(t, err)
		app, err := read(t, in, says)
		placed(t, err)
		got := strings.ReplaceAll(outcome(t, app, err), dir, "$DIR")
		if !*update {
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			return
		}
		i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == "want" })
		if i < 0 {
			i, ar.Files = len(ar.Files), append(ar.Files, txtar.File{Name: "want"})
		}
		ar.Files[i].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	})
}

func placed(t *testing.T, err error) {
	t.Helper()
	for _, e := range flat(err) {
		var se *sluice.Error
		if !errors.As(e, &se) || se.At.File == "" || se.Code != sluice.Invalid {
			t.Errorf("error %v has no place, or is no *sluice.Error of kind Invalid", e)
		}
	}
}

// archives runs a test for each archive of testdata.
func archives(t *testing.T, test func(t *testing.T, file string, ar *txtar.Archive)) {
	t.Helper()
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
			test(t, file, ar)
		})
	}
}

// input is what the lines of an archive's comment say: "param A=B", "env A=B", "export A=B", "name app",
// "file name", "environment name", "public host", "endpoint address", "skip resource", "skip-unsupported",
// "no-build".
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
		case "name":
			in.Name = sluice.AppName(rest)
		case "file":
			in.File = rest
		case "environment":
			in.Environment = rest
		case "public":
			in.Public = func(sluice.AppName) string { return rest }
		case "endpoint":
			in.Endpoint = func(string) string { return rest }
		case "skip":
			in.Skip = append(in.Skip, rest)
		case "skip-unsupported":
			in.SkipUnsupported = true
		case "no-build":
			in.NoBuild = true
		}
	}
	in.Env = func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	in.Export = func(k string) (string, bool) { v, ok := exports[k]; return v, ok }
	return in
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

// outcome is an App as indented JSON, with what dialects write into it laid open, and its warnings, one a
// line; or the errors with their hints.
func outcome(t *testing.T, app *sluice.App, err error) string {
	t.Helper()
	var b strings.Builder
	for _, e := range flat(err) {
		b.WriteString("error: " + e.Error() + "\n")
		if h := sluice.HintOf(e); h != "" {
			b.WriteString("hint:  " + h + "\n")
		}
	}
	if err != nil {
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
	lay := func(list string, i int, key string, text []byte) {
		if len(text) == 0 {
			return
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		tree[list].([]any)[i].(map[string]any)[key] = v
	}
	for i, e := range app.Endpoints {
		lay("endpoints", i, "spec", e.Spec)
	}
	for i, e := range app.Tables {
		lay("tables", i, "spec", e.Spec)
	}
	for i, f := range app.Functions {
		lay("functions", i, "extra", f.Extra)
	}
	for i, bk := range app.Buckets {
		for name, doc := range bk.Docs {
			tree["buckets"].([]any)[i].(map[string]any)["docs"].(map[string]any)[name] = string(doc)
		}
	}
	places(tree)
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

// places writes places as text, which is shorter.
func places(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if at, ok := e.(map[string]any); ok && k == "at" {
				line, _ := at["line"].(float64)
				file, _ := at["file"].(string)
				v[k] = sluice.Place{File: file, Line: int(line)}.String()
				continue
			}
			places(e)
		}
	case []any:
		for _, e := range v {
			places(e)
		}
	}
}

// flat is the parts of joined errors.
func flat(err error) []error {
	if err == nil {
		return nil
	}
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

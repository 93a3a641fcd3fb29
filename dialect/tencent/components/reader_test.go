package components

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

// TestTemplates reads the folder in each archive of testdata and compares the App, or the errors, with its
// file "want". Lines of the archive's comment set the input: "param A=B", "env A=B", "skip-unsupported".
func TestTemplates(t *testing.T) {
	t.Parallel()
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
			dir := filepath.Join(t.TempDir(), "folder")
			want := -1
			for i, f := range ar.Files {
				if f.Name == "want" {
					want = i
					continue
				}
				write(t, filepath.Join(dir, f.Name), f.Data)
			}
			in := deploy.Input{Dir: dir, Params: map[string]string{}, Endpoint: func(string) string { return "http://admin" }, Public: func(a sluice.AppName) string { return string(a) + ".localhost:8080" }}
			env := map[string]string{}
			for line := range strings.Lines(string(ar.Comment)) {
				word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
				name, val, _ := strings.Cut(rest, "=")
				switch word {
				case "param":
					in.Params[name] = val
				case "env":
					env[name] = val
				case "skip-unsupported":
					in.SkipUnsupported = true
				}
			}
			in.Export = func(name string) (string, bool) { return "exported", name == "output:prod:shop:cart.apis.0.apiId" }
			in.Env = func(k string) (string, bool) { v, ok := env[k]; return v, ok }
			rd := New()
			if rd.Recognize(dir) == "" {
				t.Fatal("it is not recognized")
			}
			app, err := rd.Read(t.Context(), in)
			got := strings.ReplaceAll(outcome(t, app, err), dir, "$DIR")
			if *update {
				if want < 0 {
					ar.Files = append(ar.Files, txtar.File{Name: "want"})
					want = len(ar.Files) - 1
				}
				ar.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 {
				t.Fatal("no expectation: run with -update")
			}
			if d := cmp.Diff(string(ar.Files[want].Data), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// outcome is an App as JSON with its specs laid open and its shim left out, or the errors, one a line.
func outcome(t *testing.T, app *sluice.App, err error) string {
	t.Helper()
	if err != nil {
		var b strings.Builder
		for _, e := range flat(err) {
			b.WriteString("error: " + e.Error() + "\n")
			if h := sluice.HintOf(e); h != "" {
				b.WriteString("  hint: " + h + "\n")
			}
		}
		return b.String()
	}
	for i := range app.Functions {
		f := &app.Functions[i]
		f.Extra = nil
		for name := range f.Files {
			f.Files[name] = "…"
		}
	}
	specs := map[string]json.RawMessage{}
	for i := range app.Endpoints {
		specs[app.Endpoints[i].Name] = app.Endpoints[i].Spec
		app.Endpoints[i].Spec = nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(map[string]any{"app": app, "services": specs}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func flat(err error) []error {
	var list interface{ Unwrap() []error }
	if errors.As(err, &list) {
		var out []error
		for _, e := range list.Unwrap() {
			out = append(out, flat(e)...)
		}
		return out
	}
	return []error{err}
}

func TestOtherCloudsTemplatesAreLeftToThem(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"serverless.yml":  "service: a\nprovider:\n  name: aws\nfunctions:\n  f:\n    handler: a.b\n",
		"serverless.yaml": "app: a\nservice: b\nprovider: {name: tencent}\n",
		"template.yaml":   "Resources:\n  A:\n    Type: AWS::Serverless::Function\n",
		"s.yaml":          "services:\n  a:\n    component: fc\n",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, name), []byte(text))
		if got := New().Recognize(dir); got != "" {
			t.Errorf("%s is taken for one of ours", got)
		}
	}
}

func TestIDsStayThroughEveryDeploy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "serverless.yml"), []byte("api:\n  component: '@serverless/tencent-apigateway'\n  inputs:\n    endpoints:\n      - {path: /, protocol: WEBSOCKET, function: {transportFunctionName: f}}\n"))
	read := func(name sluice.AppName) string {
		app, err := New().Read(t.Context(), deploy.Input{Dir: dir, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return string(app.Endpoints[0].Spec)
	}
	if first, again := read("a"), read("a"); first != again || first == read("b") {
		t.Fatal("ids are those of the app")
	}
}

func FuzzTemplates(f *testing.F) {
	for _, name := range []string{"seed", "single", "cli", "errors", "websocket"} {
		if ar, err := txtar.ParseFile("testdata/" + name + ".txtar"); err == nil {
			for _, file := range ar.Files {
				if filepath.Ext(file.Name) == ".yml" || filepath.Ext(file.Name) == ".yaml" {
					f.Add(file.Data)
				}
			}
		}
	}
	f.Add([]byte("a:\n  component: scf\n  inputs:\n    name: ${a.name}${b${c}}\n"))
	f.Add([]byte("component: scf\ninputs: &a\n  environment: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "serverless.yml"), text)
		app, err := New().Read(t.Context(), deploy.Input{Dir: dir, File: "serverless.yml", Name: "app"})
		if (app == nil) == (err == nil) {
			t.Fatal("neither an app nor an error")
		}
	})
}

func FuzzVariables(f *testing.F) {
	f.Add("${name}-${stage}-${app}")
	f.Add("${output:${stage}:${app}:app.x[0].y}")
	f.Add("${env:A}${env.B}${{}}${")
	f.Fuzz(func(t *testing.T, s string) {
		r := &reading{told: map[string]bool{}, envs: map[string]map[string]string{}, app: &sluice.App{}, root: &value{}, in: deploy.Input{Dir: t.TempDir()}}
		in := &instance{r: r, name: "app", app: "app", stage: "dev", kind: function, inputs: of(sluice.Place{}, pairs{"x", []any{s}})}
		r.instances = []*instance{in}
		if v := r.eval(in, of(sluice.Place{}, s), 0); v == nil && len(r.errs) == 0 {
			t.Fatalf("%q is neither resolved nor refused", s)
		}
	})
}

package sls

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/deploytest"
	"github.com/sluicehq/sluice/dialect/aws/sam"
)

// installed is a machine with Node.js 20 and Python 3.11.
var installed = sam.Options{Installed: func(_ context.Context, program string) string {
	return map[string]string{"node": "20.20.2", "python": "3.11.7"}[program]
}}

func TestTemplates(t *testing.T) {
	deploytest.Templates(t, func(t *testing.T, in deploy.Input, _ func(string) bool) (*sluice.App, error) {
		app, err := New(installed).Read(t.Context(), in)
		if app != nil {
			for i := range app.Functions { // of what is not copied, only what the template says is worth a line
				f := &app.Functions[i]
				f.Ignore = slices.DeleteFunc(slices.Clone(f.Ignore), func(p string) bool { return p == ".aws-sam/" || slices.Contains(ignored, p) })
			}
		}
		return app, err
	})
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

package sam

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/deploytest"
)

// installed is a machine with Node.js 20 and Python 3.11.
var installed = Options{Installed: func(_ context.Context, program string) string {
	return map[string]string{"node": "20.20.2", "python": "3.11.7"}[program]
}}

func TestTemplates(t *testing.T) {
	deploytest.Templates(t, func(t *testing.T, in deploy.Input, _ func(string) bool) (*sluice.App, error) {
		return New(installed).Read(t.Context(), in)
	})
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

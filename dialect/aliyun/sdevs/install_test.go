package sdevs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
)

// readFiles reads a template with files beside it.
func readFiles(t *testing.T, files map[string]string, in deploy.Input) (*sluice.App, string) {
	t.Helper()
	top := t.TempDir()
	for name, text := range files {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	in.Dir = filepath.Join(top, "src")
	app, err := New(Options{}).Read(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return app, in.Dir
}

// oneFunction is a template of one function, whose code is in ./code.
func oneFunction(runtime, actions string) string {
	return "edition: 3.0.0\nname: one\nresources:\n  f:\n    component: fc3\n    actions: {" + actions + "}\n" +
		"    props: {region: cn-hangzhou, functionName: '{{ functionName }}', runtime: " + runtime + ", code: ./code, handler: index.handler}\n"
}

func TestPackagesAreInstalled(t *testing.T) {
	const needs = `{"dependencies": {"koa": "2"}}`
	for _, c := range []struct {
		about, template string
		files           map[string]string
		want            []string // what runs in ./code before the deploy
	}{
		{"when no action does", oneFunction("nodejs18", ""), map[string]string{"code/package.json": needs}, []string{"npm install"}},
		{"once, where an action does", oneFunction("nodejs18", "pre-deploy: [{run: npm i, path: code}]"), map[string]string{"code/package.json": needs}, []string{"npm i"}},
		{"not where they are", oneFunction("nodejs18", ""), map[string]string{"code/package.json": needs, "node_modules/koa/index.js": ""}, nil},
		{"not where none is named", oneFunction("nodejs18", ""), map[string]string{"code/package.json": `{}`}, nil},
		{"not for other runtimes", oneFunction("python3", ""), map[string]string{"code/package.json": needs}, nil},
		{"as fc3 build does for Python", oneFunction("custom.debian10", "'pre-${regex(''deploy|local'')}': [{component: fc3 build}]"), map[string]string{"code/requirements.txt": "flask"},
			[]string{"python3 -m pip install --quiet --disable-pip-version-check --upgrade -r requirements.txt -t python"}},
		{"of Python, when no action does", oneFunction("python3.10", ""), map[string]string{"code/requirements.txt": "# web\nflask"},
			[]string{"python3 -m pip install --quiet --disable-pip-version-check --upgrade -r requirements.txt -t python"}},
		{"of Python, once, where an action does", oneFunction("python3.10", "pre-deploy: [{run: pip3 install -r requirements.txt -t ., path: code}]"), map[string]string{"code/requirements.txt": "flask"},
			[]string{"pip3 install -r requirements.txt -t ."}},
		{"of Python, not where they are", oneFunction("python3.10", ""), map[string]string{"code/requirements.txt": "flask", "code/python/flask-3.dist-info/RECORD": ""}, nil},
		{"of Python, not where none is named", oneFunction("python3.10", ""), map[string]string{"code/requirements.txt": "# none yet\n"}, nil},
		{"unless actions are skipped", oneFunction("python3.10", "pre-deploy: [{run: pip3 install -r requirements.txt -t ., path: code}]"), map[string]string{"code/requirements.txt": "flask", "skip": ""}, nil},
		{"as fc build does for Node.js", oneFunction("nodejs18", "pre-deploy: [{component: fc build --use-docker}]"), map[string]string{"code/package.json": needs}, []string{"npm install"}},
		{"without a lock that names what is gone", oneFunction("nodejs18", "pre-deploy: [{run: npm install, path: code}]"),
			map[string]string{"code/package.json": needs, "code/package-lock.json": `{"resolved": "https://registry.example/@serverless-devs/dk/-/dk-0.0.6.tgz"}`}, []string{"npm install --no-package-lock"}},
		{"with any other lock", oneFunction("nodejs18", "pre-deploy: [{run: npm install, path: code}]"),
			map[string]string{"code/package.json": needs, "code/package-lock.json": `{"resolved": "https://registry.example/koa/-/koa-2.tgz"}`}, []string{"npm install"}},
	} {
		t.Run(c.about, func(t *testing.T) {
			files := map[string]string{"src/s.yaml": c.template, "src/code/index.js": ""}
			for name, text := range c.files {
				files["src/"+name] = text
			}
			_, skip := c.files["skip"]
			app, dir := readFiles(t, files, deploy.Input{SkipActions: skip})
			var got []string
			for _, a := range app.Actions {
				if got = append(got, a.Run); a.Dir != filepath.Join(dir, "code") {
					t.Errorf("%s runs in %s", a.Run, a.Dir)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefaultSuffixIsTheAppsOwn(t *testing.T) {
	files := map[string]string{"src/s.yaml": oneFunction("nodejs18", ""), "src/code/index.js": "",
		"publish.yml": "Parameters:\n  properties:\n    functionName: {default: 'start-${default-suffix}'}\n"}
	name := func(app string) string {
		a, _ := readFiles(t, files, deploy.Input{Name: sluice.AppName(app)})
		return string(a.Functions[0].Name)
	}
	if a := name("a"); len(a) != len("start-1234") || !strings.HasPrefix(a, "start-") || a != name("a") || a == name("b") {
		t.Errorf("functions %s, %s, %s", a, name("a"), name("b"))
	}
}

func TestTablestoreOfTheEnvironmentIsOurs(t *testing.T) {
	template := "name: wall\nservices:\n  f:\n    component: fc\n    props:\n      region: cn-hangzhou\n      service: {name: s}\n" +
		"      function: {name: f, runtime: nodejs12, handler: i.h, codeUri: ./code, environmentVariables: {A: '${env(tablestore_endpoint)}', B: '${env(tablestore_instanceName)}'}}\n"
	in := deploy.Input{Endpoint: func(string) string { return "http://127.0.0.1:1" }}
	files := map[string]string{"src/s.yaml": template, "src/code/index.js": ""}
	app, _ := readFiles(t, files, in)
	if diff := cmp.Diff(map[string]string{"A": "http://127.0.0.1:1", "B": "wall"}, app.Functions[0].Env); diff != "" {
		t.Error(diff)
	}
	in.Env = func(name string) (string, bool) { return "mine", name == "tablestore_endpoint" }
	app, _ = readFiles(t, files, in)
	if got := app.Functions[0].Env["A"]; got != "mine" {
		t.Errorf("what is set in the environment does not win: %s", got)
	}
}

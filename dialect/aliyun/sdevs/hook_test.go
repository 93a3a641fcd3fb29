package sdevs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
)

// published is an application as it is published: hook, publish.yaml, and the template below src.
func published(t *testing.T, name, hook string) (top string) {
	t.Helper()
	top = t.TempDir()
	for file, text := range map[string]string{
		"publish.yaml":  "Type: Application\nName: " + name + "\n",
		"hook/index.js": hook,
		"src/s.yaml": `name: wall
vars:
  tablestore: {endpoint: '{{ tablestore_endpoint }}', instance: '{{ tablestore_instance }}'}
services:
  pages:
    component: oss
    actions: {pre-deploy: [{run: npm i && npm run build, path: pages}]}
    props: {region: cn-hangzhou, bucket: wall, subDir: www-pages, codeUri: pages/build}
`,
		"src/pages/build/index.html": "<p>x",
	} {
		path := filepath.Join(top, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func readPublished(t *testing.T, top string, in deploy.Input, port string) *sluice.App {
	t.Helper()
	in.Dir = filepath.Join(top, "src")
	in.Endpoint = func(string) string { return "http://127.0.0.1:" + port }
	app, err := New(Options{}).Read(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func TestHookIsTheFirstActionAndSeesTheFilledTemplate(t *testing.T) {
	top := published(t, "some-app", "")
	app := readPublished(t, top, deploy.Input{RunBuild: true}, "4566")
	if len(app.Actions) != 2 || !strings.Contains(app.Actions[1].Run, "npm run build") {
		t.Fatalf("actions %v", app.Actions)
	}
	hook := app.Actions[0]
	if hook.When != "pre" || hook.Dir != filepath.Join(top, "hook") || !strings.Contains(hook.Files["s.yaml"], "endpoint: 'http://127.0.0.1:4566', instance: 'wall'") {
		t.Errorf("hook %+v", hook)
	}
	if again := readPublished(t, top, deploy.Input{}, "4567").Actions[0]; again.Given != hook.Given || again.Run != hook.Run {
		t.Error("another port makes the hook run again")
	}
	if other := readPublished(t, top, deploy.Input{Params: map[string]string{"tablestore_instance": "x"}}, "4566").Actions[0]; other.Given == hook.Given {
		t.Error("another parameter does not make the hook run again")
	}
}

func TestOverlayStandsAroundTheHook(t *testing.T) {
	top := published(t, "start-barrage", "")
	app := readPublished(t, top, deploy.Input{}, "1")
	if len(app.Actions) != 3 || !strings.HasPrefix(app.Actions[0].Run, "s cli tablestore createTable") || !strings.Contains(app.Actions[0].Run, `"gid","type":"INTEGER"`) ||
		!strings.HasPrefix(app.Actions[2].Run, "s cli tablestore insertTable") {
		t.Errorf("actions %v", app.Actions)
	}
	told := 0
	for _, n := range app.Warnings {
		if strings.HasPrefix(n.Text, "overlay of start-barrage") && !n.Info {
			told++
		}
	}
	if told != 2 {
		t.Errorf("the overlay is told %d times: %v", told, app.Warnings)
	}
	if app = readPublished(t, top, deploy.Input{NoOverlay: true}, "1"); len(app.Actions) != 1 {
		t.Errorf("without overlay: actions %v", app.Actions)
	}
}

func TestPagesThatComeBuiltAreNotBuilt(t *testing.T) {
	top := published(t, "some-app", "")
	builds := func(in deploy.Input) bool { return len(readPublished(t, top, in, "1").Actions) == 2 }
	if builds(deploy.Input{}) {
		t.Error("built pages are built")
	}
	if !builds(deploy.Input{RunBuild: true}) {
		t.Error("--run-build does not build")
	}
	if err := os.Mkdir(filepath.Join(top, "src/pages/node_modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	if !builds(deploy.Input{}) {
		t.Error("who works on the pages does not get them built")
	}
}

// runHook reads a published application with a hook, which Init runs as deploy does.
func runHook(t *testing.T, hook string, in deploy.Input) (app *sluice.App, top, out string, err error) {
	t.Helper()
	top = published(t, "some-app", hook)
	in.Dir = filepath.Join(top, "src")
	in.Endpoint = func(string) string { return "http://127.0.0.1:1" }
	in.Init = func(ctx context.Context, _ *sluice.App, list []sluice.Action) (map[string]string, error) {
		files := t.TempDir()
		for name, text := range list[0].Files {
			if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(ctx, "sh", "-c", list[0].Run)
		cmd.Dir, cmd.Env = list[0].Dir, append(os.Environ(), "SLUICE_FILES="+files)
		said, err := cmd.CombinedOutput()
		if out = string(said); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		var answers map[string]string
		text, err := os.ReadFile(filepath.Join(files, "answers.json"))
		if err == nil {
			err = json.Unmarshal(text, &answers)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return answers, err
	}
	app, err = New(Options{}).Read(t.Context(), in)
	return app, top, out, err
}

func TestPostInitGetsWhatTheOfficialToolHandsIt(t *testing.T) {
	_, _, out, err := runHook(t, `module.exports.postInit = async (o) => {
		const text = o.fse.readFileSync(require('path').join(o.targetPath, 's.yaml'), 'utf8');
		console.log(text.includes("instance: 'shop'"), o.parameters.tablestore_instance, o.lodash.get(o, 'parameters.none', 7),
			o.lodash.isEmpty({}), JSON.stringify(o.lodash.merge({ a: { b: 1 } }, { a: { c: 2 } })), typeof o.downloadRequest);
		o.Logger.log('logged'); o.execCommand('echo ran');
	}`, deploy.Input{Params: map[string]string{"tablestore_instance": "shop"}})
	if err != nil || !strings.Contains(out, `true shop 7 true {"a":{"b":1,"c":2}} function`) || !strings.Contains(out, "logged") || !strings.Contains(out, "ran") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAnswersOfTheHookFillTheTemplate(t *testing.T) {
	app, top, _, err := runHook(t, `exports.postInit = async ({ fse, targetPath }) => {
		const text = fse.readFileSync(targetPath + '/s.yaml', 'utf8')
		fse.mkdirSync(targetPath + '/pages/build/more', { recursive: true })
		fse.writeFileSync(targetPath + '/pages/build/more/a.txt', 'made by the hook')
		fse.writeFileSync(targetPath + '/pages/build/index.html', 'over the developer')
		return { secret: text.includes('{{ secret }}') ? 'of the hook' : text, tablestore_instance: 'answered' }
	}`, deploy.Input{Params: map[string]string{"tablestore_instance": "asked"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := app.Title; got != "wall" || len(app.Actions) != 0 { // R5 leaves the build out
		t.Errorf("app %q, actions %v", got, app.Actions)
	}
	for name, want := range map[string]string{"more/a.txt": "made by the hook", "index.html": "<p>x"} {
		if got, err := os.ReadFile(filepath.Join(top, "src/pages/build", name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if out := app.Buckets[0].Name; out != "wall" {
		t.Errorf("bucket %q", out)
	}
	r := New(Options{}).reading(deploy.Input{Dir: filepath.Join(top, "src"), File: "s.yaml"}, map[string]string{"tablestore_instance": "answered"})
	if !r.begin() || !strings.Contains(r.filled, "instance: 'answered'") {
		t.Errorf("the answer is not in the template: %s", r.filled)
	}
}

func TestPlaceholderOnlyTheHookKnows(t *testing.T) {
	hook := "exports.postInit = async ({ fse, targetPath }) => ({ zone: fse.readFileSync(targetPath + '/s.yaml', 'utf8').includes('{{ zone }}') ? 'cn-zone' : 'unseen' })"
	top := published(t, "some-app", hook)
	path := filepath.Join(top, "src/s.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "region: cn-hangzhou", "region: '{{ zone }}'", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	in := deploy.Input{Dir: filepath.Join(top, "src"), Endpoint: func(string) string { return "http://127.0.0.1:1" }}
	var seen string
	in.Init = func(_ context.Context, _ *sluice.App, list []sluice.Action) (map[string]string, error) {
		seen = list[0].Files["s.yaml"]
		return map[string]string{"zone": "cn-zone"}, nil
	}
	app, err := New(Options{}).Read(t.Context(), in)
	if err != nil || app.Region != "cn-zone" || !strings.Contains(seen, "{{ zone }}") {
		t.Errorf("%v, %v; the hook saw %s", app, err, seen)
	}
	in.Init = nil
	if _, err := New(Options{}).Read(t.Context(), in); err == nil || !strings.Contains(err.Error(), "zone") {
		t.Errorf("without its answer: %v", err)
	}
}

func TestFailingHookFailsTheDeployUnlessItIsIgnored(t *testing.T) {
	const hook = `exports.postInit = async () => { throw new Error('no table') }`
	if _, _, out, err := runHook(t, hook, deploy.Input{}); err == nil || !strings.Contains(out, "no table") {
		t.Errorf("%v: %s", err, out)
	}
	app, _, _, err := runHook(t, hook, deploy.Input{IgnoreHookErrors: true})
	if err != nil || !strings.Contains(app.Warnings[0].Text, "the hook failed, which is ignored") || !strings.Contains(app.Warnings[0].Text, "no table") {
		t.Errorf("ignored: %v, %v", app, err)
	}
	if _, _, out, err := runHook(t, `exports.preInit = async ({ Logger }) => Logger.log('before')`, deploy.Input{}); err != nil || !strings.Contains(out, "before") {
		t.Errorf("without postInit: %v: %s", err, out)
	}
	if _, _, out, err := runHook(t, hook, deploy.Input{SkipActions: true}); err != nil || out != "" {
		t.Errorf("with actions skipped it ran: %v: %s", err, out)
	}
}

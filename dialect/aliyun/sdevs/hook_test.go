package sdevs

import (
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

// runHook runs the hook's action as deploy does.
func runHook(t *testing.T, hook string, params map[string]string) (string, error) {
	t.Helper()
	app := readPublished(t, published(t, "some-app", hook), deploy.Input{Params: params}, "1")
	files := t.TempDir()
	for name, text := range app.Actions[0].Files {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", app.Actions[0].Run)
	cmd.Dir, cmd.Env = app.Actions[0].Dir, append(os.Environ(), "SLUICE_FILES="+files)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPostInitGetsWhatTheOfficialToolHandsIt(t *testing.T) {
	out, err := runHook(t, `module.exports.postInit = async (o) => {
		const text = o.fse.readFileSync(require('path').join(o.targetPath, 's.yaml'), 'utf8');
		console.log(text.includes("instance: 'shop'"), o.parameters.tablestore_instance, o.lodash.get(o, 'parameters.none', 7),
			o.lodash.isEmpty({}), JSON.stringify(o.lodash.merge({ a: { b: 1 } }, { a: { c: 2 } })));
		o.Logger.log('logged'); o.execCommand('echo ran');
		return { region: 'x' };
	}`, map[string]string{"tablestore_instance": "shop"})
	if err != nil || !strings.Contains(out, `true shop 7 true {"a":{"b":1,"c":2}}`) || !strings.Contains(out, "logged") || !strings.Contains(out, "ran") {
		t.Errorf("%v: %s", err, out)
	}
	if !strings.Contains(out, "what postInit returned is not used") {
		t.Errorf("values are dropped silently: %s", out)
	}
}

func TestFailingHookFailsTheDeploy(t *testing.T) {
	if out, err := runHook(t, `exports.postInit = async () => { throw new Error('no table') }`, nil); err == nil || !strings.Contains(out, "no table") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := runHook(t, `exports.preInit = () => {}`, nil); err != nil {
		t.Errorf("without postInit: %v: %s", err, out)
	}
}

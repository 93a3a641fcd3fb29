package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

func verbs(p *Plan) map[string]Verb {
	m := map[string]Verb{}
	for _, s := range p.Steps {
		m[s.Kind+" "+s.Name] = s.Verb
	}
	return m
}

func TestPlanSaysWhatWouldBeDone(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	p, err := w.Plan(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	for what, v := range verbs(p) {
		if v != Create {
			t.Errorf("first plan: %s is %s, want create", what, v)
		}
	}
	if len(w.calls) != 0 {
		t.Errorf("a plan did %v", w.calls)
	}
	w.deploy(app)

	next := clone(app)
	write(t, src, "send/main", "send 2")
	next.Functions[1] = sluice.Function{Name: "leave", Runtime: "nodejs20", Code: filepath.Join(src, "join")}
	next.Tables, next.Endpoints[0].Spec = nil, []byte(`{"routes":2}`)
	if p, err = w.Plan(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	want := map[string]Verb{
		"table people": Keep, "bucket files": Unchanged, "site files/www/": Unchanged, "endpoint gw": Change,
		"function send": Change, "function leave": Create, "function join": Remove, "app chat": Unchanged,
	}
	if d := cmp.Diff(want, verbs(p)); d != "" {
		t.Errorf("second plan (-want +got):\n%s", d)
	}

	next.Functions[0].Runtime = "python3"
	if p, err = w.Plan(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if v := verbs(p)["function send"]; v != Replace {
		t.Errorf("a function with another runtime: %s, want replace", v)
	}
}

func TestApplyBringsAnAppToServe(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	rev := w.deploy(app)
	want := []string{"table people", "bucket files", "sync files/www/", "deploy send", "deploy join", "mount chat 1"}
	if d := cmp.Diff(want, w.calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	got := contents(t, filepath.Join(w.dir, "chat", rev.ID, "f", "send"))
	if want := "main=send 1\nnode_modules/ws/index.js=ws\n"; got != want {
		t.Errorf("copied code:\n%s\nwant\n%s", got, want)
	}
	write(t, src, "send/main", "changed later")
	if b, _ := os.ReadFile(filepath.Join(w.dir, "chat", rev.ID, "f", "send", "main")); string(b) != "send 1" {
		t.Errorf("the revision's code changed with the template's folder: %q", b)
	}
	if cur, err := w.Current(t.Context(), "chat"); err != nil || cur.ID != rev.ID {
		t.Errorf("current is %v, %v", cur, err)
	}
	if list, err := w.List(t.Context()); err != nil || len(list) != 1 || list[0].App.Title != "chat 1" {
		t.Errorf("list is %v, %v", list, err)
	}
}

func TestUnchangedRedeployDoesNothing(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	lately := time.Now().Add(-time.Minute)
	for i := range 500 {
		name := fmt.Sprintf("send/node_modules/p%d/index%d.js", i%50, i)
		write(t, src, name, "x")
		if err := os.Chtimes(filepath.Join(src, name), lately, lately); err != nil {
			t.Fatal(err)
		}
	}
	app.Actions = []sluice.Action{{When: "pre", Run: "echo once >> " + filepath.Join(t.TempDir(), "log"), Dir: src}}
	first := w.deploy(app)
	again := w.deploy(app)
	if again.ID != first.ID || len(w.calls) != 0 {
		t.Errorf("revision %s after %s, calls %v", again.ID, first.ID, w.calls)
	}
	log := strings.Fields(app.Actions[0].Run)[3]
	if b, _ := os.ReadFile(log); string(b) != "once\n" {
		t.Errorf("the action ran again: %q", b)
	}
}

func TestForceDoesEverythingAgain(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	first := w.deploy(app)
	p, err := w.Plan(t.Context(), app)
	if err != nil || p.Changed() {
		t.Fatal(p, err)
	}
	p.Force, w.calls = true, nil
	again, err := w.Apply(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID == first.ID || !slices.Contains(w.calls, "deploy join") {
		t.Errorf("revision %s, calls %v", again.ID, w.calls)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "chat", again.ID, "f", "join", "main")); err != nil {
		t.Error(err)
	}
}

func TestChangedFileDeploysOnlyItsFunction(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	first := w.deploy(app)
	write(t, src, "send/main", "send 2")
	next := w.deploy(app)
	if want := []string{"table people", "bucket files", "deploy send", "mount chat 1"}; !slices.Equal(w.calls, want) {
		t.Errorf("calls %v, want %v", w.calls, want)
	}
	if w.functions["chat/send"] != "send 2" || next.Code["join"] != first.Code["join"] {
		t.Errorf("functions %v, code %v", w.functions, next.Code)
	}
	at := func(rev *Revision) string {
		return filepath.Join(w.dir, "chat", rev.ID, "f/send/node_modules/ws/index.js")
	}
	a, err := os.Stat(at(first))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.Stat(at(next)); err != nil || !os.SameFile(a, b) {
		t.Errorf("an unchanged file was copied again (%v)", err)
	}
}

func TestFailureMidwayLeavesTheFormerRevision(t *testing.T) {
	for _, at := range []string{"table people", "bucket files", "sync files/www/", "deploy send", "deploy join", "deploy new", "mount chat 2"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			app, src := chat(t)
			first := w.deploy(app)
			before := w.serving()

			next := clone(app)
			next.Title = "chat 2"
			next.Functions = append(next.Functions, sluice.Function{Name: "new", Runtime: "nodejs20", Code: filepath.Join(src, "join"), At: sluice.Place{File: "s.yaml", Line: 40}})
			write(t, src, "send/main", "send 2", "join/main", "join 2", "www/index.html", "page 2")
			boom := errors.New("boom")
			failed := false
			w.broken = func(call string) error {
				if call == at && !failed {
					failed = true
					return boom
				}
				return nil
			}
			var last Progress
			_, err := w.try(next, func(p Progress) {
				if p.Status == Failed {
					last = p
				}
			})
			if !errors.Is(err, boom) {
				t.Fatalf("error %v, want boom", err)
			}
			if strings.HasPrefix(at, "deploy") && !strings.HasPrefix(err.Error(), "s.yaml:") {
				t.Errorf("error names no place: %v", err)
			}
			if last.Status != Failed || !strings.Contains(last.Text, "boom") {
				t.Errorf("progress said %+v", last)
			}
			if got := w.serving(); got != before {
				t.Errorf("serving\n%s\nwant\n%s", got, before)
			}
			if cur, err := w.Current(t.Context(), "chat"); err != nil || cur.ID != first.ID {
				t.Errorf("current is %v, %v", cur, err)
			}
			if got := w.folders("chat"); !slices.Equal(got, []string{first.ID}) {
				t.Errorf("folders %v are left", got)
			}
			w.broken = nil
			w.deploy(next)
			if w.functions["chat/send"] != "send 2" || w.mounted["chat"] != "chat 2" || w.sites["files/www/"] != "index.html=page 2\n" {
				t.Errorf("the next try did not deploy: %s", w.serving())
			}
		})
	}
}

func TestFirstDeployThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	w.broken = func(call string) error {
		if call == "mount chat 1" {
			return errors.New("boom")
		}
		return nil
	}
	if _, err := w.try(app, nil); err == nil {
		t.Fatal("no error")
	}
	if len(w.functions)+len(w.mounted)+len(w.folders("chat")) != 0 {
		t.Errorf("left: %s %v", w.serving(), w.folders("chat"))
	}
	if _, err := w.Current(t.Context(), "chat"); sluice.KindOf(err) != sluice.Missing {
		t.Errorf("current: %v, want Missing", err)
	}
}

func TestRollbackServesTheRevisionBefore(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	first := w.deploy(app)
	one := w.serving()
	next := clone(app)
	next.Title, next.Functions = "chat 2", next.Functions[:1]
	write(t, src, "send/main", "send 2", "www/index.html", "page 2")
	second := w.deploy(next)
	two := w.serving()
	write(t, src, "send/main", "send 3")
	w.deploy(next)

	rev, err := w.Rollback(t.Context(), "chat")
	if err != nil || rev.ID != second.ID || w.serving() != two {
		t.Fatalf("rolled back to %v, %v:\n%s\nwant\n%s", rev, err, w.serving(), two)
	}
	rev, err = w.Rollback(t.Context(), "chat")
	if err != nil || rev.ID != first.ID || w.serving() != one {
		t.Fatalf("rolled back to %v, %v:\n%s\nwant\n%s", rev, err, w.serving(), one)
	}
	if _, err = w.Rollback(t.Context(), "chat"); sluice.KindOf(err) != sluice.Missing {
		t.Errorf("rolling back the first revision: %v, want Missing", err)
	}

	// A deploy after rolling back goes back to what served, not to what was rolled back.
	write(t, src, "send/main", "send 4")
	w.deploy(app)
	if rev, err = w.Rollback(t.Context(), "chat"); err != nil || rev.ID != first.ID {
		t.Errorf("rolled back to %v, %v; want revision %s", rev, err, first.ID)
	}
}

func TestRollbackThatFailsKeepsTheCurrentRevision(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	w.deploy(app)
	write(t, src, "send/main", "send 2")
	second := w.deploy(app)
	before := w.serving()
	failed := false
	w.broken = func(call string) error {
		if call == "mount chat 1" && !failed {
			failed = true
			return errors.New("boom")
		}
		return nil
	}
	if _, err := w.Rollback(t.Context(), "chat"); err == nil {
		t.Fatal("no error")
	}
	if cur, _ := w.Current(t.Context(), "chat"); cur.ID != second.ID || w.serving() != before {
		t.Errorf("revision %s serves\n%s\nwant\n%s", cur.ID, w.serving(), before)
	}
}

func TestRemoveTakesAnAppAwayButNotItsData(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	first := w.deploy(app)
	if err := w.Remove(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	if len(w.functions)+len(w.mounted)+len(w.folders("chat")) != 0 {
		t.Errorf("left: %s %v", w.serving(), w.folders("chat"))
	}
	if !w.tables["people"] || w.sites["files/www/"] == "" {
		t.Error("data is gone")
	}
	err := w.Remove(t.Context(), "chat")
	if sluice.KindOf(err) != sluice.Missing {
		t.Errorf("removing it again: %v, want Missing", err)
	}
	if again := w.deploy(app); again.ID == first.ID {
		t.Errorf("revision id %s was used twice", again.ID)
	}
}

func TestOnlyFiveRevisionsStay(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	for i := range 8 {
		write(t, src, "send/main", strings.Repeat("x", i+1))
		w.deploy(app)
	}
	list, err := w.History(t.Context(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	if want := []string{"8", "7", "6", "5", "4"}; !slices.Equal(ids, want) {
		t.Errorf("revisions %v, want %v", ids, want)
	}
	// Revision 1 has the code of join, which never changed.
	if got, want := w.folders("chat"), []string{"1", "4", "5", "6", "7", "8"}; !slices.Equal(got, want) {
		t.Errorf("folders %v, want %v", got, want)
	}
}

func TestRestoreServesAllAppsAgain(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	w.deploy(app)
	write(t, src, "send/main", "send 2")
	w.deploy(app)
	other := clone(app)
	other.Name, other.Title, other.Sites = "other", "other 1", nil
	w.deploy(other)
	before := w.serving()
	if err := os.RemoveAll(src); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.calls = nil
	if err := w.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.serving(); got != before {
		t.Errorf("serving\n%s\nwant\n%s", got, before)
	}
	if slices.Contains(w.calls, "sync files/www/") {
		t.Error("a site was uploaded again though nothing had crashed")
	}
}

func TestRestoreGoesOnPastAnAppThatFails(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	w.deploy(app)
	other := clone(app)
	other.Name, other.Title = "other", "other 1"
	w.deploy(other)
	w.start()
	w.broken = func(call string) error {
		if call == "mount chat 1" {
			return errors.New("boom")
		}
		return nil
	}
	if err := w.Restore(t.Context()); err == nil || !strings.Contains(err.Error(), "chat") {
		t.Errorf("error %v, want one that names the app", err)
	}
	if w.mounted["other"] != "other 1" {
		t.Error("the other app is not there")
	}
}

func TestRestoreSaysWhichCodeIsGone(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	rev := w.deploy(app)
	if err := os.RemoveAll(w.abs(rev.Code["join"].Root)); err != nil {
		t.Fatal(err)
	}
	w.start()
	if err := w.Restore(t.Context()); err == nil || !strings.Contains(err.Error(), `s.yaml:20: function "join": the code of its revision 1 is gone`) {
		t.Errorf("error %v", err)
	}
	w.deploy(app)
	if w.functions["chat/join"] != "join 1" {
		t.Error("deploying again did not bring it back")
	}
}

func TestCrashBetweenStepsThenRestore(t *testing.T) {
	for _, at := range []string{"table people", "sync files/www/", "deploy send", "deploy join", "mount chat 2"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			app, src := chat(t)
			first := w.deploy(app)
			before := w.serving()
			next := clone(app)
			next.Title = "chat 2"
			write(t, src, "send/main", "send 2", "join/main", "join 2", "www/index.html", "page 2")
			w.broken = func(call string) error {
				if call == at {
					panic("crash") // what follows never happens
				}
				return nil
			}
			func() {
				defer func() { recover() }()
				w.try(next, nil)
			}()
			if len(w.folders("chat")) != 2 {
				t.Fatalf("folders %v: the crash came too early or too late", w.folders("chat"))
			}
			w.broken = nil
			w.start()
			if err := w.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.serving(); got != before {
				t.Errorf("serving\n%s\nwant\n%s", got, before)
			}
			if got := w.folders("chat"); !slices.Equal(got, []string{first.ID}) {
				t.Errorf("folders %v are left", got)
			}
			w.deploy(next)
			if w.mounted["chat"] != "chat 2" {
				t.Error("the deploy after the crash did nothing")
			}
		})
	}
}

func TestAppThatIsNotDeployedIsMissingWithAHint(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	w.deploy(app)
	for name, do := range map[string]func() error{
		"current":  func() error { _, err := w.Current(t.Context(), "chta"); return err },
		"rollback": func() error { _, err := w.Rollback(t.Context(), "chta"); return err },
		"remove":   func() error { return w.Remove(t.Context(), "chta") },
	} {
		if err := do(); sluice.KindOf(err) != sluice.Missing || sluice.HintOf(err) != "deployed are: chat" {
			t.Errorf("%s: error %v, hint %q", name, err, sluice.HintOf(err))
		}
	}
}

func TestServerWithoutARoomRefusesAppsThatNeedIt(t *testing.T) {
	w := newWorld(t)
	app, _ := chat(t)
	w.o.Tables = nil
	if _, err := w.try(app, nil); sluice.KindOf(err) != sluice.Unavailable {
		t.Errorf("tables: error %v", err)
	}
	app.Tables, w.o.Buckets = nil, nil
	if _, err := w.try(app, nil); sluice.KindOf(err) != sluice.Unavailable {
		t.Errorf("buckets: error %v", err)
	}
}

func TestPlanOfAnotherRevisionIsRefused(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	old, err := w.Plan(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	w.deploy(app)
	write(t, src, "send/main", "send 2")
	if _, err := w.Apply(t.Context(), old, nil); sluice.KindOf(err) != sluice.Conflict {
		t.Errorf("error %v, want a conflict", err)
	}
}

func TestAppsThatCannotBeDeployedAreRefused(t *testing.T) {
	w := newWorld(t)
	app, src := chat(t)
	tests := map[string]struct {
		change func(a *sluice.App)
		want   string
	}{
		"name that is no label": {func(a *sluice.App) { a.Name = "../x" }, `not a DNS label`},
		"function twice":        {func(a *sluice.App) { a.Functions[1].Name = "send" }, `s.yaml:20: function "send" is defined twice, also at s.yaml:10`},
		"code missing":          {func(a *sluice.App) { a.Functions[0].Code = filepath.Join(src, "nowhere") }, `s.yaml:10: function "send": ` + filepath.Join(src, "nowhere") + ` does not exist`},
		"site missing": {func(a *sluice.App) {
			a.Sites = []sluice.Site{{Bucket: "files", Dir: filepath.Join(src, "no"), At: sluice.Place{File: "s.yaml", Line: 9}}}
		}, `s.yaml:9: site "files/": `},
		"unknown build": {func(a *sluice.App) { a.Functions[0].Build = &sluice.Build{Kind: "cobol"} }, `unknown kind of build "cobol"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := clone(app)
			tt.change(a)
			_, err := w.try(a, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if len(w.folders("chat"))+len(w.folders("x")) != 0 {
				t.Error("folders are left")
			}
		})
	}
}

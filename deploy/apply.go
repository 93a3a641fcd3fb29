package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice"
)

// undoTime bounds putting things back after a failure, which goes on when the caller gave up.
const undoTime = 30 * time.Second

// apply is one run of Apply or Rollback.
type apply struct {
	d        *Deployer
	progress func(Progress)
	answered func(dir string) error // looks at an action's files when it has run; may be nil
	looks    *looks                 // of the code that is copied
	mu       sync.Mutex             // guards locks, and is held while progress runs, so that it is called once at a time
	locks    map[string]*sync.Mutex // of builds, by what they make
}

func (a *apply) say(p Progress) {
	if a.progress == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress(p)
}

// step tells the beginning, the output and the end of a piece of work.
func (a *apply) step(step, kind, name string, do func(log func(string)) error) error {
	p := Progress{Step: step, Kind: kind, Name: name, Status: Started}
	a.say(p)
	start := time.Now()
	err := do(func(line string) {
		a.say(Progress{Step: step, Kind: kind, Name: name, Status: Log, Text: line})
	})
	p.Status, p.Took = Done, time.Since(start)
	if err != nil {
		p.Status, p.Text = Failed, err.Error()
	}
	a.say(p)
	return err
}

// hush is a that says only of failures, for what is done again though it did not change.
func (a *apply) hush(v Verb) *apply {
	if v != Unchanged {
		return a
	}
	return &apply{d: a.d, progress: func(p Progress) {
		if p.Status == Failed {
			a.say(p)
		}
	}}
}

// Apply does what a plan says and returns the revision that serves then. progress, which may be nil,
// is called once at a time. A plan without changes returns the current revision and does nothing.
//
// When Apply fails the former revision serves as before. The one exception is an action that runs
// after: the new revision serves by then, and comes back together with the error.
func (d *Deployer) Apply(ctx context.Context, p *Plan, progress func(Progress)) (rev *Revision, err error) {
	app := p.App
	if err := d.can(app); err != nil {
		return nil, err
	}
	unlock, err := d.lock(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	prev, err := d.current(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	if is := idOf(prev); is != p.Previous {
		return nil, &sluice.Error{Code: sluice.Conflict, Hint: "plan again",
			Msg: fmt.Sprintf("app %q changed since the plan was made: its revision is %q, not %q", app.Name, is, p.Previous)}
	}
	a := &apply{d: d, progress: progress}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.failed(context.WithoutCancel(ctx), app))
		}
	}()
	old := prev
	if p.Force {
		old = nil
	}
	if err := a.before(ctx, app, old); err != nil {
		return nil, err
	}
	next, err := d.survey(ctx, &looks{d: d}, app, prev, false)
	if err != nil {
		return nil, err
	}
	next.Steps = diff(old, next)
	work := slices.ContainsFunc(next.Steps, func(s Step) bool {
		return s.Kind != "action" && s.Verb != Unchanged && s.Verb != Keep || s.Kind == "action" && s.Verb == Run && isPost(app, s)
	})
	if !work && prev != nil && d.whole(prev) {
		a.say(Progress{Step: "deploy", Kind: "app", Name: string(app.Name), Status: Skipped, Text: "nothing changed: revision " + prev.ID + " serves"})
		if maps.Equal(prev.Prints, next.Prints) {
			return prev, nil
		}
		prev.Prints = next.Prints // what actions touched, though nothing came of it
		return prev, d.commit(ctx, prev)
	}
	if err := a.make(ctx, prev, old, next); err != nil {
		return nil, err
	}
	d.o.Log.Info("deployed", "app", app.Name, "revision", next.ID)
	return next, a.after(ctx, prev, next)
}

// whole reports whether the folders that a revision names are there.
func (d *Deployer) whole(r *Revision) bool {
	for _, code := range r.Code {
		if _, err := os.Stat(d.abs(code.Root)); err != nil {
			return false
		}
	}
	return true
}

func isPost(app *sluice.App, s Step) bool {
	return slices.ContainsFunc(app.Actions, func(a sluice.Action) bool { return a.When == "post" && a.Run == s.Name && a.At == s.At })
}

// can refuses an App that asks for rooms that the server does not have.
func (d *Deployer) can(app *sluice.App) error {
	if err := check(app); err != nil {
		return err
	}
	if d.o.Tables == nil && len(app.Tables) > 0 {
		return &sluice.Error{Code: sluice.Unavailable, At: app.Tables[0].At, Msg: "this server has no tables"}
	}
	if d.o.Buckets == nil && len(app.Buckets)+len(app.Sites) > 0 {
		return &sluice.Error{Code: sluice.Unavailable, Msg: "this server has no buckets"}
	}
	return nil
}

func idOf(r *Revision) string {
	if r == nil {
		return ""
	}
	return r.ID
}

// before runs the actions that come before, those whose command or folder changed.
func (a *apply) before(ctx context.Context, app *sluice.App, old *Revision) error {
	for i := range app.Actions {
		act := &app.Actions[i]
		if act.When != "pre" {
			continue
		}
		if old != nil {
			is := fingerprint{Settings: settings(act)}
			is.Files, _ = a.d.stamp(ctx, act) // a folder that is missing is its command's to complain of
			if was, ok := old.Prints[actionKey(i, act)]; ok && was == is {
				a.say(Progress{Step: "run", Kind: "action", Name: act.Run, Status: Skipped, Text: "nothing changed since it ran"})
				continue
			}
		}
		if err := a.run(ctx, app, act); err != nil {
			return err
		}
	}
	return nil
}

// make brings next to serve, or leaves all as it was.
func (a *apply) make(ctx context.Context, prev, old, next *Revision) (err error) {
	app := next.App
	if next.ID, err = a.d.begin(ctx, app.Name); err != nil {
		return err
	}
	next.Time, next.Previous = a.d.o.Now().UTC(), idOf(prev)
	switched := false
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		if switched {
			a.undo(ctx, prev, next)
		}
		if uerr := errors.Join(os.RemoveAll(a.d.abs(path.Join(string(app.Name), next.ID))), a.d.abandon(ctx, app.Name)); uerr != nil {
			a.d.o.Log.Error("clean up after a failed deploy", "app", app.Name, "err", uerr)
		}
	}()
	if err = a.prepare(ctx, old, next); err != nil {
		return err
	}
	if err = a.tables(ctx, next); err != nil {
		return err
	}
	switched = true
	if err = a.switchTo(ctx, prev, next); err != nil {
		return err
	}
	// From here on the caller's giving up must not leave it open whether next is current.
	ctx = context.WithoutCancel(ctx)
	if err = a.d.commit(ctx, next); err != nil {
		if cur, cerr := a.d.current(ctx, app.Name); cerr == nil && idOf(cur) == next.ID {
			err = nil // it was written all the same
		}
	}
	return err
}

// tables makes the declared tables, several at once.
func (a *apply) tables(ctx context.Context, next *Revision) error {
	app := next.App
	ensure := func(ctx context.Context, t *sluice.Table) error {
		verb := verbOf(next, "table", t.Name)
		return a.hush(verb).step(string(verb), "table", t.Name, func(func(string)) error {
			return placed(a.d.o.Tables.EnsureTable(ctx, app, t), "table "+t.Name, t.At)
		})
	}
	if len(app.Tables) == 1 {
		return ensure(ctx, &app.Tables[0])
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range app.Tables {
		g.Go(func() error { return ensure(ctx, &app.Tables[i]) })
	}
	return g.Wait()
}

// prepare copies and builds the code and the sites of next that differ from old.
func (a *apply) prepare(ctx context.Context, old, next *Revision) error {
	app := next.App
	a.looks = &looks{d: a.d}
	base := path.Join(string(app.Name), next.ID)
	next.Code = make(map[sluice.FunctionName]deployedFunction, len(app.Functions))
	next.Files = make(map[string]string, len(app.Sites))
	type copy struct {
		users []*sluice.Function // the same code, and one copy of it, for all of them
		like  string
	}
	var todo []*copy
	same := map[string]*copy{}
	for i := range app.Functions {
		f := &app.Functions[i]
		key := "function/" + string(f.Name)
		var was deployedFunction
		if old != nil {
			was = old.Code[f.Name]
		}
		if was.Root != "" && old.Prints[key] == next.Prints[key] {
			if _, err := os.Stat(a.d.abs(was.Root)); err == nil {
				next.Code[f.Name] = was
				continue
			}
		}
		c := same[sharing(f)]
		if c == nil {
			c = &copy{like: was.Root}
			todo, same[sharing(f)] = append(todo, c), c
		}
		c.users = append(c.users, f)
		next.Code[f.Name] = deployedFunction{Root: path.Join(base, "f", folder(string(c.users[0].Name))), Revision: next.ID}
	}
	// A file may have changed since the survey: what counts is what was copied.
	var mu sync.Mutex
	copied := map[string]fingerprint{}
	note := func(key, files, also string) {
		mu.Lock()
		defer mu.Unlock()
		copied[key] = fingerprint{Files: files, Also: also}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for _, c := range todo {
		root := a.d.abs(next.Code[c.users[0].Name].Root)
		g.Go(func() error {
			files, also, err := a.copyCode(gctx, c.users[0], root, c.like)
			for _, f := range c.users {
				note("function/"+string(f.Name), files, also)
			}
			return err
		})
	}
	for i := range app.Sites {
		s := &app.Sites[i]
		key := siteKey(s)
		var was string
		if old != nil {
			was = old.Files[key]
		}
		if was != "" && old.Prints[key] == next.Prints[key] {
			if _, err := os.Stat(a.d.abs(was)); err == nil {
				next.Files[key] = was
				continue
			}
		}
		rel := path.Join(base, "s", strconv.Itoa(i))
		next.Files[key] = rel
		g.Go(func() error {
			t, err := a.d.tree(gctx, s.Dir, nil)
			if err != nil {
				return folderError(err, "site", s.Bucket+"/"+s.Prefix, s.Dir, s.At)
			}
			note(key, t.hash(), "")
			return placed(t.copyTo(a.d.abs(rel), a.like(gctx, was)), "copy site", s.At)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for key, is := range copied {
		p := next.Prints[key]
		p.Files, p.Also = is.Files, is.Also
		next.Prints[key] = p
	}
	var fresh []*sluice.Function
	for _, c := range todo {
		fresh = append(fresh, c.users...)
	}
	return a.check(ctx, next, fresh)
}

// like is the tree of a former copy, to link from; none when it cannot be read.
func (a *apply) like(ctx context.Context, rel string) tree {
	if rel == "" {
		return nil
	}
	t, err := a.d.tree(ctx, a.d.abs(rel), nil)
	if err != nil {
		return nil
	}
	return t
}

// switchTo makes everything serve next instead of prev, which may be nil. Repeating it is harmless.
func (a *apply) switchTo(ctx context.Context, prev, next *Revision) error {
	app := next.App
	for i := range app.Buckets {
		b := &app.Buckets[i]
		verb := verbOf(next, "bucket", b.Name)
		if err := a.hush(verb).step(string(verb), "bucket", b.Name, func(func(string)) error {
			return placed(a.d.o.Buckets.EnsureBucket(ctx, app.Name, b), "bucket "+b.Name, b.At)
		}); err != nil {
			return err
		}
	}
	for i := range app.Sites {
		s := &app.Sites[i]
		key := siteKey(s)
		if prev != nil && prev.Files[key] == next.Files[key] && prev.Prints[key] == next.Prints[key] {
			continue
		}
		if err := a.step("upload", "site", s.Bucket+"/"+s.Prefix, func(log func(string)) error {
			put, deleted, err := a.d.o.Buckets.Sync(ctx, s, a.d.abs(next.Files[key]))
			if err == nil {
				log(fmt.Sprintf("%d written, %d deleted", put, deleted))
			}
			return placed(err, "site "+s.Bucket+"/"+s.Prefix, s.At)
		}); err != nil {
			return err
		}
	}
	for i := range app.Functions {
		f := &app.Functions[i]
		code := next.Code[f.Name]
		if prev != nil && prev.Code[f.Name] == code {
			continue
		}
		if err := a.step(string(verbOf(next, "function", string(f.Name))), "function", string(f.Name), func(func(string)) error {
			root := a.d.abs(code.Root)
			if _, err := os.Stat(root); err != nil {
				return &sluice.Error{Code: sluice.Unavailable, At: f.At, Err: err, Hint: "deploy the app again",
					Msg: fmt.Sprintf("function %q: the code of its revision %s is gone: %v", f.Name, code.Revision, err)}
			}
			return placed(a.d.o.Functions.Deploy(ctx, app, f, root, code.Revision), fmt.Sprintf("function %q", f.Name), f.At)
		}); err != nil {
			return err
		}
	}
	return a.step("mount", "app", string(app.Name), func(func(string)) error {
		return placed(a.d.o.Fronts.Mount(ctx, app, next.ID), fmt.Sprintf("app %q", app.Name), sluice.Place{File: app.Template})
	})
}

// undo puts back what switchTo(prev, next) may have done.
func (a *apply) undo(ctx context.Context, prev, next *Revision) {
	var errs []error
	quiet := &apply{d: a.d}
	if prev != nil {
		errs = append(errs, quiet.switchTo(ctx, next, prev))
	} else {
		if err := a.d.o.Fronts.Unmount(ctx, next.App.Name); sluice.KindOf(err) != sluice.Missing {
			errs = append(errs, err)
		}
	}
	errs = append(errs, quiet.removeGone(ctx, next, prev))
	if err := errors.Join(errs...); err != nil {
		a.d.o.Log.Error("put the former revision back", "app", next.App.Name, "err", err)
	}
}

// removeGone removes the functions of from that to, which may be nil, does not have.
func (a *apply) removeGone(ctx context.Context, from, to *Revision) error {
	if from == nil {
		return nil
	}
	var errs []error
	for _, f := range from.App.Functions {
		if to != nil {
			if _, stays := to.Code[f.Name]; stays {
				continue
			}
		}
		errs = append(errs, a.step(string(Remove), "function", string(f.Name), func(func(string)) error {
			err := a.d.o.Functions.Remove(ctx, from.App.Name, f.Name)
			if sluice.KindOf(err) == sluice.Missing {
				return nil
			}
			return err
		}))
	}
	return errors.Join(errs...)
}

// failed runs the actions of a deploy that failed, all of them.
func (a *apply) failed(ctx context.Context, app *sluice.App) error {
	var errs []error
	for i := range app.Actions {
		if act := &app.Actions[i]; act.When == "fail" {
			errs = append(errs, a.run(ctx, app, act))
		}
	}
	return errors.Join(errs...)
}

// after removes what next no longer has and runs the actions that come after.
func (a *apply) after(ctx context.Context, prev, next *Revision) error {
	app := next.App
	if err := errors.Join(a.removeGone(ctx, prev, next), a.d.sweep(ctx, app.Name), a.d.pruneBuilds()); err != nil {
		a.d.o.Log.Warn("clean up after a deploy", "app", app.Name, "err", err)
	}
	if len(app.Actions) == 0 {
		return nil
	}
	var failed error
	for i := range app.Actions {
		if act := &app.Actions[i]; act.When == "post" && failed == nil {
			failed = a.run(ctx, app, act)
		}
	}
	for i := range app.Actions { // as all of them left their folders
		act := &app.Actions[i]
		key := actionKey(i, act)
		if failed != nil && act.When == "post" {
			delete(next.Prints, key) // so that the next deploy tries again
		} else if stamp, err := a.d.stamp(ctx, act); err == nil {
			next.Prints[key] = fingerprint{Settings: settings(act), Files: stamp}
		}
	}
	return errors.Join(failed, a.d.commit(ctx, next))
}

// verbOf is what the steps of a revision say about a resource.
func verbOf(r *Revision, kind, name string) Verb {
	for _, s := range r.Steps {
		if s.Kind == kind && s.Name == name {
			return s.Verb
		}
	}
	return Change
}

// placed says where in the template the resource stands that err came of.
func placed(err error, what string, at sluice.Place) error {
	if err == nil {
		return nil
	}
	var e *sluice.Error
	if errors.As(err, &e) && e.At != (sluice.Place{}) {
		return err
	}
	return &sluice.Error{Code: sluice.KindOf(err), Msg: what + ": " + err.Error(), Hint: sluice.HintOf(err), At: at, Err: err}
}

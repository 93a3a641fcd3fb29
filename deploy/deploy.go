package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// Options are what a Deployer works with. Buckets and Tables may be nil on a server that has none:
// an app that asks for one is refused.
type Options struct {
	Store     kv.Store
	Dir       string // where revisions keep code, absolute
	Data      string // the server's data folder: no app's, though it lie in an app's folder; "" is Dir
	Functions Functions
	Buckets   Buckets
	Tables    Tables
	Fronts    Fronts
	// Environment is what an app's actions find in their environment over the process's own, as
	// NAME=value; nil adds nothing.
	Environment func(ctx context.Context, app *sluice.App) ([]string, error)
	Log         *slog.Logger     // nil discards
	Now         func() time.Time // nil is time.Now
}

// Deployer plans and applies apps. It is safe for concurrent use.
type Deployer struct {
	o            Options
	sums         sums
	node, python *checker

	mu       sync.Mutex                       // guards what follows; never held while waiting
	busy     map[sluice.AppName]chan struct{} // one token per app
	versions map[string]string                // what programs told of their versions

	clean map[string]bool // code without syntax errors, by what it was checked for
}

// New makes a Deployer. It does nothing yet: call Restore before the first Apply, and Close at the end.
func New(o Options) *Deployer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, dir := range []*string{&o.Dir, &o.Data} {
		if real, err := filepath.EvalSymlinks(*dir); err == nil && *dir != "" {
			*dir = real // so that a walk through an app's folder recognizes it
		}
	}
	d := &Deployer{o: o, busy: map[sluice.AppName]chan struct{}{}}
	d.node, d.python = newCheckers()
	return d
}

// Close ends the programs that look at code. Nobody may be applying anything.
func (d *Deployer) Close() {
	d.node.close()
	d.python.close()
}

// lock takes an app for one change.
func (d *Deployer) lock(ctx context.Context, app sluice.AppName) (unlock func(), err error) {
	d.mu.Lock()
	token := d.busy[app]
	if token == nil {
		token = make(chan struct{}, 1)
		d.busy[app] = token
	}
	d.mu.Unlock()
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check refuses an App that cannot be deployed whatever else holds.
func check(app *sluice.App) error {
	if !label.MatchString(string(app.Name)) {
		return &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: app.Template},
			Msg: fmt.Sprintf("app name %q is not a DNS label (lower-case letters, digits and dashes, at most 63)", app.Name)}
	}
	seen := map[sluice.FunctionName]sluice.Place{}
	for _, f := range app.Functions {
		if at, twice := seen[f.Name]; twice || f.Name == "" {
			return &sluice.Error{Code: sluice.Invalid, At: f.At,
				Msg: fmt.Sprintf("function %q is defined twice, also at %s", f.Name, at)}
		}
		seen[f.Name] = f.At
	}
	return nil
}

// folder is a name as one element of a path.
func folder(name string) string {
	name = url.PathEscape(name)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return name
}

// own reports whether a folder is the server's, and part of no app.
func (d *Deployer) own(dir string) bool { return dir != "" && (dir == d.o.Dir || dir == d.o.Data) }

// abs is the place of a path that a revision holds.
func (d *Deployer) abs(rel string) string { return filepath.Join(d.o.Dir, filepath.FromSlash(rel)) }

// sweep deletes the folders of app that no kept revision names. Nobody may be applying it.
func (d *Deployer) sweep(ctx context.Context, app sluice.AppName) error {
	kept, err := d.History(ctx, app)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	use := func(rel string) {
		if parts := strings.SplitN(rel, "/", 3); len(parts) == 3 {
			used[parts[1]] = true
		}
	}
	for _, r := range kept {
		for _, f := range r.Code {
			use(f.Root)
		}
		for _, s := range r.Files {
			use(s)
		}
	}
	dir := d.abs(string(app))
	entries, err := os.ReadDir(dir)
	if missing(err) {
		return nil
	}
	for _, e := range entries {
		if !used[e.Name()] {
			if rerr := os.RemoveAll(filepath.Join(dir, e.Name())); err == nil {
				err = rerr
			}
		}
	}
	if len(kept) == 0 {
		os.Remove(dir) // empty by now
	}
	return err
}

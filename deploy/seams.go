package deploy

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/sluicehq/sluice"
)

// Reader reads a template into an App. Dialects bring one each.
type Reader interface {
	// Recognize says which file of dir is this dialect's template, "" when none is.
	Recognize(dir string) string
	// Read resolves a template wholly. Its errors are *sluice.Error with a Place and a hint, all of
	// those that can be found at once joined with errors.Join.
	Read(ctx context.Context, in Input) (*sluice.App, error)
}

// Input is what a template is read with.
type Input struct {
	Dir      string            // absolute
	File     string            // within Dir; "" is what Recognize says
	Name     sluice.AppName    // overrides the template's own name
	Params   map[string]string // --param NAME=VALUE
	Env      func(string) (string, bool)
	Public   func(sluice.AppName) string // host[:port] that clients and functions use for the app, without scheme; may be nil
	Endpoint func(service string) string // address of a cloud API of ours: "tablestore", "oss", "fc"
	Skip     []string                    // resources to leave out

	SkipUnsupported bool                             // leave out what sluice does not run, with a warning each
	NoBuild         bool                             // take code as it stands
	Export          func(name string) (string, bool) // what other apps export (Output.Export); nil: nothing

	NoOverlay bool // without what sluice adds to templates that are known to be incomplete
	RunBuild  bool // run builds of pages that come built

	Environment      string // of a template that describes several; "" is its default
	SkipActions      bool   // run none of the template's actions
	IgnoreHookErrors bool   // go on when the hook fails

	// Init runs the commands of a template's hook, those that did not run as they are, and returns what the
	// hook answered, now or then, by which the template is to be filled. nil: the hook's commands are the
	// app's first actions, and what they answer is not used.
	Init func(ctx context.Context, app *sluice.App, hook []sluice.Action) (map[string]string, error)
}

// AppName is what the app is called: Name, else the title that its template gives it, else its folder.
func (in Input) AppName(title string) sluice.AppName {
	name := in.Name
	for _, s := range []string{title, filepath.Base(in.Dir), "app"} {
		name = cmp.Or(name, sluice.AppName(sluice.DNSLabel(s)))
	}
	return name
}

// Functions is what deploy needs of the function room. Changes take effect at once: new calls go to
// the new version, calls in flight end on the old one.
type Functions interface {
	Deploy(ctx context.Context, app *sluice.App, f *sluice.Function, root, revision string) error
	Remove(ctx context.Context, app sluice.AppName, name sluice.FunctionName) error
}

// Buckets is what deploy needs of the object room.
type Buckets interface {
	EnsureBucket(ctx context.Context, app sluice.AppName, b *sluice.Bucket) error
	// Sync makes the objects under a site's prefix equal to the files of dir: returns how many were
	// written and deleted.
	Sync(ctx context.Context, s *sluice.Site, dir string) (put, deleted int, err error)
}

// Tables is what deploy needs to make declared tables: the dialect of the app does it.
type Tables interface {
	EnsureTable(ctx context.Context, app *sluice.App, t *sluice.Table) error
}

// Fronts is what deploy needs to put an app's endpoints on the public listener, all at once.
type Fronts interface {
	Mount(ctx context.Context, app *sluice.App, revision string) error
	Unmount(ctx context.Context, app sluice.AppName) error
}

// Package components reads the templates of Tencent's tools into a sluice.App (tencent.md section 4):
// serverless.yml of the Serverless Framework's components, with one component a file (v2, and a tree of
// such folders below a file that has app and stage only) or with several in one (v1), and template.yaml of
// SCF's own command line.
//
// A template goes through four hands: YAML becomes a tree that knows its lines (tree.go), variables are
// resolved when something looks at them (vars.go), instances are told apart by component (instance.go),
// and each writes its part of the App. The ids of API Gateway's services are made of names, so that what an
// instance tells others (outputs.go) is known before anything is made. Whatever is wrong is noted with its
// place, and all of it comes back at once.
package components

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// Dialect is what App.Dialect says.
const Dialect = "tencent"

// Reader reads serverless.yml and template.yaml. It implements deploy.Reader and has no state.
type Reader struct{}

// New makes a Reader.
func New() *Reader { return &Reader{} }

var _ deploy.Reader = (*Reader)(nil)

// Recognize is serverless.yml with components, or template.yaml with functions of Tencent. Other clouds
// have files of those names too.
func (*Reader) Recognize(dir string) string {
	for _, name := range []string{"serverless.yml", "serverless.yaml", "template.yaml", "template.yml"} {
		text, err := template.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		root, err := template.Parse(name, text, maxNodes)
		switch {
		case strings.HasPrefix(name, "template"):
			if strings.Contains(string(text), "TencentCloud::Serverless::") {
				return name
			}
		case err != nil:
			if strings.Contains(string(text), "component:") && !strings.Contains(string(text), "provider:") {
				return name
			}
		case formOf(root) != other || isRoot(root) && len(below(dir)) > 0:
			return name
		}
	}
	return ""
}

// form is how a file describes instances.
type form uint8

const (
	other  form = iota
	single      // v2
	multi       // v1
	cli         // SCF's own
)

func formOf(root *value) form {
	if root.Get("component") != nil {
		return single
	}
	if !root.Get("Resources").IsNull() {
		return cli
	}
	for _, f := range root.Entries() {
		if f.Value.Get("component") != nil {
			return multi
		}
	}
	return other
}

// isRoot reports whether a file only says what the app of the folders below is called.
func isRoot(root *value) bool {
	return root.Get("app") != nil && root.Get("provider") == nil && root.Get("service") == nil
}

// below are the files of the instances in the folders of dir, two levels deep.
func below(dir string) []string {
	var out []string
	for _, pattern := range []string{"*", "*/*"} {
		for _, name := range []string{"serverless.yml", "serverless.yaml"} {
			found, err := filepath.Glob(filepath.Join(escape(dir), pattern, name))
			if err != nil {
				continue
			}
			for _, f := range found {
				rel, err := filepath.Rel(dir, f)
				if err != nil || strings.HasPrefix(rel, ".") || strings.Contains(rel, "node_modules") {
					continue
				}
				if text, err := template.ReadFile(f); err == nil && strings.Contains(string(text), "component:") {
					out = append(out, rel)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// escape makes a path mean itself in a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// reading is the state of one Read.
type reading struct {
	in        deploy.Input
	app       *sluice.App
	errs      []*sluice.Error
	wrong     int             // errors, also those that were told before
	steps     int             // variables that were resolved
	told      map[string]bool // errors and warnings that were noted
	envs      map[string]map[string]string
	root      *value
	stage     string
	instances []*instance // in the order of files and lines
	services  []*apispec.Service
	places    map[string]sluice.Place // of services, by their ids
	urls      []foreign
}

// foreign is a value of a function's environment that is a push address of the cloud.
type foreign struct {
	at       sluice.Place
	function int // in app.Functions
	name     string
}

// Read resolves a template wholly.
func (rd *Reader) Read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	if in.File == "" {
		if in.File = rd.Recognize(in.Dir); in.File == "" {
			return nil, &sluice.Error{Code: sluice.Missing, Msg: "no serverless.yml with components in " + in.Dir,
				Hint: "run it in the folder with the template, or name the template's file"}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &reading{
		in: in, app: &sluice.App{Dialect: Dialect, Dir: in.Dir, Template: in.File}, told: map[string]bool{},
		envs: map[string]map[string]string{}, places: map[string]sluice.Place{},
	}
	if r.root = r.load(in.File); r.root != nil {
		r.read()
		r.export()
	}
	if len(r.errs) == 0 {
		slices.SortStableFunc(r.app.Warnings, func(a, b sluice.Notice) int {
			return cmp.Or(strings.Compare(a.At.File, b.At.File), a.At.Line-b.At.Line)
		})
		return r.app, nil
	}
	slices.SortStableFunc(r.errs, func(a, b *sluice.Error) int {
		return cmp.Or(strings.Compare(a.At.File, b.At.File), a.At.Line-b.At.Line)
	})
	all := make([]error, len(r.errs))
	for i, e := range r.errs {
		all[i] = e
	}
	return nil, errors.Join(all...)
}

// load reads a file of the app's folder; nil when it cannot, which is noted.
func (r *reading) load(file string) *value {
	text, err := template.ReadFile(filepath.Join(r.in.Dir, file))
	if err != nil {
		r.fail(sluice.Place{File: file}, "", "cannot read the template: %v", err)
		return nil
	}
	v, err := template.Parse(file, text, maxNodes)
	if err == nil && !v.IsMap() {
		r.fail(v.At, "", "the template is %s, want a map", shown(v))
		return nil
	}
	r.failAll(err)
	if err != nil {
		return nil
	}
	return v
}

func (r *reading) read() {
	f := formOf(r.root)
	if f == other && !isRoot(r.root) {
		r.fail(r.root.At, `want "component: scf" and the like at the top, or instances that have one`, "the template has no component")
		return
	}
	r.name()
	switch f {
	case single:
		r.single(r.in.File, r.root)
	case multi:
		r.multi()
	case cli:
		r.cli()
	default:
		for _, file := range below(r.in.Dir) {
			if v := r.load(file); v != nil {
				r.single(file, v)
			}
		}
		if len(r.instances) == 0 && len(r.errs) == 0 {
			r.fail(r.root.At, "each has a serverless.yml with a component", "no folder below has a component")
		}
	}
	for _, in := range r.instances {
		if !slices.Contains(r.in.Skip, in.name) {
			r.build(in)
		}
	}
	r.finish()
}

// name settles what app and stage are called.
func (r *reading) name() {
	text := func(key string) string {
		if v := r.eval(nil, r.root.Get(key), 0); v != nil && !v.IsMap() && !v.IsList() {
			return v.Text
		}
		return ""
	}
	r.stage = cmp.Or(r.in.Environment, r.in.Params["stage"], text("stage"), "dev")
	r.app.Title = cmp.Or(text("app"), text("name"))
	r.app.Name = r.in.AppName(r.app.Title)
	r.app.Title = cmp.Or(r.app.Title, string(r.app.Name))
}

// finish writes what needs all instances.
func (r *reading) finish() {
	r.app.Region = cmp.Or(r.app.Region, scf.DefaultRegion)
	var socket string // the id of the first WebSocket API
	var all []string
	for _, s := range r.services {
		for _, a := range s.APIs {
			if a.Protocol == apispec.WebSocket {
				socket = cmp.Or(socket, a.ID)
				all = append(all, a.ID)
			}
		}
		ep, err := s.Endpoint(r.places[s.ID])
		if err != nil {
			r.fail(r.places[s.ID], "", "%v", err)
			continue
		}
		r.app.Endpoints = append(r.app.Endpoints, ep)
	}
	for _, u := range r.urls {
		env := r.app.Functions[u.function].Env
		api := env[u.name][strings.LastIndexByte(env[u.name], '/')+1:]
		switch {
		case socket == "":
			r.warn(u.at, "%s is a push address of the cloud, and this app has no WebSocket API: it stays as it is", u.name)
			continue
		case !slices.Contains(all, api):
			api = socket
		}
		env[u.name] = r.pushURL(api)
		r.note(u.at, "%s is this app's own push address here", u.name)
	}
	r.namesakes()
}

// namesakes gives functions of one name in several namespaces names of their own.
func (r *reading) namesakes() {
	seen := map[string]*sluice.Function{}
	for i := range r.app.Functions {
		f := &r.app.Functions[i]
		full := scf.Namespace(f) + "/" + scf.Name(f)
		if o := seen[full]; o != nil {
			r.fail(f.At, "give it another name or namespace", "function %q is described twice, first at %s", f.Name, o.At)
			continue
		}
		seen[full] = f
		for j := range i {
			if o := &r.app.Functions[j]; o.Name == f.Name {
				f.Physical = string(f.Name)
				f.Name = sluice.FunctionName(scf.Namespace(f) + "-" + string(f.Name))
				break
			}
		}
	}
}

// fail notes an error.
func (r *reading) fail(at sluice.Place, hint, format string, args ...any) {
	r.wrong++
	e := &sluice.Error{Code: sluice.Invalid, At: at, Hint: hint, Msg: fmt.Sprintf(format, args...)}
	if r.once("error " + e.Error()) {
		r.errs = append(r.errs, e)
	}
}

// failAll notes errors that have places.
func (r *reading) failAll(err error) {
	if err == nil {
		return
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range list.Unwrap() {
			r.failAll(e)
		}
		return
	}
	var e *sluice.Error
	if errors.As(err, &e) {
		r.errs = append(r.errs, e)
		return
	}
	r.fail(sluice.Place{File: r.in.File}, "", "%v", err)
}

// unsupported notes what sluice does not run: an error, or with SkipUnsupported a warning.
func (r *reading) unsupported(at sluice.Place, format string, args ...any) {
	if r.in.SkipUnsupported {
		r.warn(at, format+"; it is left out", args...)
		return
	}
	r.fail(at, "to deploy without it, add --skip-unsupported", format, args...)
}

// warn notes a line for the person who deploys.
func (r *reading) warn(at sluice.Place, format string, args ...any) {
	r.tell(false, at, format, args...)
}

// note tells what nobody has to act on.
func (r *reading) note(at sluice.Place, format string, args ...any) {
	r.tell(true, at, format, args...)
}

func (r *reading) tell(info bool, at sluice.Place, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.once("warning " + at.String() + text) {
		r.app.Warnings = append(r.app.Warnings, sluice.Notice{At: at, Text: text, Info: info})
	}
}

func (r *reading) once(what string) bool {
	if r.told[what] {
		return false
	}
	r.told[what] = true
	return true
}

// folder is a folder or zip that an instance names, absolute.
func (r *reading) folder(w view, name string) string {
	if name == "" {
		name = "."
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(w.in.dir, path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		r.fail(w.place(), "it is looked for beside the template", "folder %q does not exist", name)
	case !info.IsDir() && !strings.EqualFold(filepath.Ext(path), ".zip"):
		r.fail(w.place(), "", "%q is neither a folder nor a zip", name)
	}
	return path
}

// Package sdevs reads the templates of Serverless Devs (s.yaml, editions 1.0.0 and 3.0.0) into a
// sluice.App (aliyun.md section 5).
//
// A template goes through five hands: placeholders are filled in its text (placeholder.go), YAML
// becomes a tree that knows its lines (tree.go), variables are resolved when something looks at them
// (resolve.go, expr.go), modules are told apart by component (module.go), and each component writes
// its part of the App (fc.go, oss.go, gateway.go). Whatever is wrong is noted with its place and a
// hint, and all of it comes back at once.
//
// Where the official tool leaves an unknown variable as text, this reader refuses it; where published
// templates are known to be broken, it repairs them and says so in App.Warnings (section 5.9).
package sdevs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
)

// account is the account id of section 3.1.
const account = "1000000000000001"

// Options are what a Reader knows besides its input.
type Options struct {
	// Config answers ${config(NAME)}: AccountID, AccessKeyID, AccessKeySecret, SecurityToken. What is
	// not in it is empty, but for AccountID, which is 1000000000000001.
	Config map[string]string
	// Strict makes every repair an error.
	Strict bool
}

// Reader reads s.yaml. It implements deploy.Reader and has no state.
type Reader struct{ o Options }

// New makes a Reader.
func New(o Options) *Reader { return &Reader{o} }

var _ deploy.Reader = (*Reader)(nil)

// Recognize is s.yaml, or s.yml.
func (*Reader) Recognize(dir string) string {
	for _, name := range []string{"s.yaml", "s.yml"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// Read resolves a template wholly.
func (rd *Reader) Read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	r, err := rd.whole(ctx, in)
	if err != nil {
		return nil, err
	}
	return r.app, nil
}

func (rd *Reader) whole(ctx context.Context, in deploy.Input) (*reading, error) {
	if in.File == "" {
		if in.File = rd.Recognize(in.Dir); in.File == "" {
			return nil, &sluice.Error{Code: sluice.Missing, Msg: "no s.yaml in " + in.Dir,
				Hint: "run it in the folder with the template, or name the template's file"}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answers, ignored, err := rd.init(ctx, in)
	if err != nil {
		return nil, err
	}
	r := rd.reading(in, answers)
	if ignored != nil {
		r.app.Warnings = append(r.app.Warnings, *ignored)
	}
	r.read()
	return r, r.failed()
}

// failed is everything that is wrong, in the order of the template; nil when nothing is.
func (r *reading) failed() error {
	if len(r.errs) > 0 {
		slices.SortStableFunc(r.errs, func(a, b *sluice.Error) int {
			if a.At.File != b.At.File {
				return strings.Compare(a.At.File, b.At.File)
			}
			return a.At.Line - b.At.Line
		})
		all := make([]error, len(r.errs))
		for i, e := range r.errs {
			all[i] = e
		}
		return errors.Join(all...)
	}
	return nil
}

func (rd *Reader) reading(in deploy.Input, answers map[string]string) *reading {
	return &reading{o: rd.o, in: in, answers: answers, names: map[string]string{}, app: &sluice.App{Dialect: "aliyun", Dir: in.Dir, Template: in.File}}
}

// reading is the state of one Read.
type reading struct {
	o       Options
	in      deploy.Input
	app     *sluice.App
	errs    []*sluice.Error
	told    map[string]bool // errors and warnings that were noted
	env     map[string]string
	root    *value
	modules []*module // in file order
	vars    resolver
	owners  owners
	blanks  []blank
	names   map[string]string // of the placeholders met, by normal name
	answers map[string]string // of the hook

	asked        bool     // for the environment
	chosen       *value   // the environment; nil when there is none
	environments []string // the names of all

	filled string // the template's text, its placeholders filled
}

// fail notes an error.
func (r *reading) fail(at sluice.Place, hint, format string, args ...any) {
	e := &sluice.Error{Code: sluice.Invalid, At: at, Hint: hint, Msg: fmt.Sprintf(format, args...)}
	if r.once("error " + e.Error()) {
		r.errs = append(r.errs, e)
	}
}

// warn notes a line for the person who deploys.
func (r *reading) warn(at sluice.Place, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.once("warning " + at.String() + text) {
		r.app.Warnings = append(r.app.Warnings, sluice.Notice{At: at, Text: text})
	}
}

// note tells what nobody has to act on.
func (r *reading) note(at sluice.Place, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.once("note " + at.String() + text) {
		r.app.Warnings = append(r.app.Warnings, sluice.Notice{At: at, Text: text, Info: true})
	}
}

// repair notes what a repair rule of section 5.9 did.
func (r *reading) repair(at sluice.Place, rule, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.o.Strict {
		r.fail(at, "correct it in the template, or read it without strict", "%s", text)
		return
	}
	r.warn(at, "%s (repair %s)", text, rule)
}

func (r *reading) once(what string) bool {
	if r.told == nil {
		r.told = map[string]bool{}
	}
	if r.told[what] {
		return false
	}
	r.told[what] = true
	return true
}

// begin reads the template's text and settles the app's name.
func (r *reading) begin() bool {
	r.env = dotenv(filepath.Join(r.in.Dir, ".env"))
	if r.root = r.load(); r.root == nil || len(r.errs) > 0 {
		return false
	}
	r.vars = resolver{r: r, memo: map[memoKey]*value{}, busy: map[memoKey]bool{}}
	r.name()
	return true
}

func (r *reading) read() {
	if !r.begin() || !r.edition() {
		return
	}
	r.listModules()
	for _, m := range r.modules {
		if m.kind != ignored && !r.vars.checkAll(m) {
			return
		}
	}
	r.build()
	r.actions()
	r.vacated()
	slices.SortStableFunc(r.app.Warnings, func(a, b sluice.Notice) int { return a.At.Line - b.At.Line })
}

// name settles what the app is called.
func (r *reading) name() {
	if v := r.root.GetFold("name"); v != nil {
		r.app.Title = r.vars.text(v, nil)
	}
	r.app.Name = r.in.AppName(r.app.Title)
	if r.app.Title == "" {
		r.app.Title = string(r.app.Name)
	}
}

// edition checks that this is a template that we know how to read.
func (r *reading) edition() bool {
	v := r.root.GetFold("edition")
	if v == nil {
		return true
	}
	switch e := r.vars.text(v, nil); e {
	case "", "1.0.0", "0.0.1", "3.0.0":
		return true
	default:
		r.fail(v.At, `editions 1.0.0 and 3.0.0 can be read`, "edition %q is not known", e)
		return false
	}
}

// build writes the modules into the App. Functions come first: gateways look for them.
func (r *reading) build() {
	for _, want := range [][]kind{{fc, fc3, jamstack}, {oss, website}, {fcDomain}, {apigateway, apiGateway}, {dns}} {
		for _, m := range r.modules {
			if !slices.Contains(want, m.kind) {
				continue
			}
			if r.app.Region == "" {
				r.app.Region = m.region()
			}
			switch m.kind {
			case fc:
				r.fc2(m)
			case fc3:
				r.fc3(m)
			case jamstack:
				r.jamstack(m)
			case oss, website:
				r.oss(m)
			case fcDomain:
				r.fcDomain(m)
			case apigateway, apiGateway:
				r.gateway(m)
			case dns:
				r.dns(m)
			}
		}
		if want[0] == fc {
			r.nameFunctions()
		}
	}
	if r.app.Region == "" {
		r.app.Region = defaultRegion
	}
}

const defaultRegion = "cn-hangzhou"

// dns records a host as the app's. The record itself is the owner's to make.
func (r *reading) dns(m *module) {
	v := m.props().at("domainName")
	host := hostOf(v.str())
	if host == "" {
		if v.missing() {
			r.fail(m.at, "", "module %q has no domainName", m.name)
		}
		return
	}
	if r.owners.hosts[host] == "" && !slices.Contains(r.app.Domains, host) {
		r.app.Domains = append(r.app.Domains, host)
	}
}

// hostOf is a host name without scheme, port and path, in lower case; "" for "auto".
func hostOf(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	s, _, _ = strings.Cut(s, "/")
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.Count(s, ":") == 1 {
		s = s[:i]
	}
	if s == "auto" {
		return ""
	}
	return s
}

// Package sam reads SAM and CloudFormation templates into a sluice.App (aws.md section 7).
//
// A template goes through three hands: package cfn makes a tree of it and resolves what somebody looks
// at; expand.go and its neighbours turn resources of SAM into those of CloudFormation, as the transform
// on AWS does; Build makes an App of them, type by type (names.go says what Ref and GetAtt are,
// function.go, api.go, table.go, bucket.go and triggers.go make the parts). Whatever is wrong is noted
// with its place and a hint, and all of it comes back at once.
//
// Ids and physical names follow from the stack's name and the logical id alone. They are known before
// anything is made, so that a function's environment may name an API that comes later.
package sam

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
)

// Options are what a Reader knows besides its input. The zero value is right.
type Options struct {
	// Installed is the version of an interpreter of this machine: "20.11.1" for "node", "3.12.1" for
	// "python", "" when there is none. nil asks the programs.
	Installed func(ctx context.Context, program string) string
	// Object makes a file of an object, whose path it returns: code may be in a bucket of ours. nil: there
	// are no buckets.
	Object func(ctx context.Context, bucket, key string) (path string, err error)
}

// Reader reads template.yaml. It implements deploy.Reader and is safe for concurrent use.
type Reader struct{ o Options }

// New makes a Reader. Interpreters are asked for their versions once.
func New(o Options) *Reader {
	if o.Installed == nil {
		o.Installed = onceEach(ask)
	}
	return &Reader{o}
}

var _ deploy.Reader = (*Reader)(nil)

// Recognize is template.yaml, template.yml or template.json when it is a CloudFormation template, or what
// samconfig.toml names.
func (*Reader) Recognize(dir string) string {
	names := []string{"template.yaml", "template.yml", "template.json"}
	if c, err := readConfig(dir, ""); err == nil && c != nil && c.template != "" {
		names = append([]string{c.template}, names...)
	}
	for _, name := range names {
		if isTemplate(filepath.Join(dir, filepath.FromSlash(name))) {
			return name
		}
	}
	return ""
}

// isTemplate reports whether a file is one of CloudFormation's templates: they all name a type of AWS.
func isTemplate(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return err == nil && bytes.Contains(text, []byte("Resources")) && bytes.Contains(text, []byte("AWS::"))
}

// Read resolves a template wholly.
func (rd *Reader) Read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	if in.File == "" {
		if in.File = rd.Recognize(in.Dir); in.File == "" {
			return nil, &sluice.Error{Code: sluice.Missing, Msg: "no template.yaml in " + in.Dir,
				Hint: "run it in the folder with the template, or name the template's file"}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := readConfig(in.Dir, in.Environment)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &config{}
	}
	root, err := cfn.ReadFile(filepath.Join(in.Dir, filepath.FromSlash(in.File)), in.File)
	if err != nil {
		return nil, err
	}
	in.Name = in.AppName(c.stack)
	t := cfn.New(root, cfn.Options{Dir: filepath.Dir(filepath.Join(in.Dir, filepath.FromSlash(in.File))), Stack: string(in.Name), Region: c.region,
		Params: in.Params, Defaults: c.params, Env: in.Env, Import: in.Export, Skip: in.Skip})
	app, err := Build(ctx, in, t, rd.o)
	if app != nil {
		app.Title = c.stack
		if app.Title == "" {
			app.Title = string(app.Name)
		}
	}
	return app, err
}

// Build makes an App of a template whose resources may come from SAM, from CloudFormation or from
// another reader. Its errors are those of the template, joined.
func Build(ctx context.Context, in deploy.Input, t *cfn.Template, o Options) (*sluice.App, error) {
	if err := t.Err(); err != nil && len(t.Resources()) == 0 {
		return nil, err // nothing was looked at yet
	}
	b := &builder{ctx: ctx, t: t, in: in, o: o, app: &sluice.App{Name: in.Name, Title: string(in.Name), Dialect: "aws", Region: t.Region(),
		Dir: in.Dir, Template: in.File}, rest: map[string]bool{}, known: map[string]bool{}, auth: map[string]*auth{}, versions: map[string][]string{}, details: map[sluice.FunctionName]*lambda.Extra{}}
	for _, s := range steps() {
		b.known[s.typ] = true
	}
	t.Names = b
	b.transforms()
	b.expand()
	t.CheckDependencies()
	b.resources()
	b.app.Outputs = t.Outputs()
	if err := t.Err(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.app.Warnings = t.Notices()
	return b.app, nil
}

// builder is the state of one Build. As cfn.Names it says what references to resources are.
type builder struct {
	ctx context.Context
	t   *cfn.Template
	in  deploy.Input
	o   Options
	app *sluice.App

	known    map[string]bool  // types of resources that are deployed
	rest     map[string]bool  // APIs, by logical id, that were REST APIs
	auth     map[string]*auth // of APIs of SAM, by logical id
	apis     []*api
	details  map[sluice.FunctionName]*lambda.Extra
	versions map[string][]string // runtime → functions that another version of its interpreter will run
}

// fail notes an error of a resource.
func (b *builder) fail(at sluice.Place, hint, format string, args ...any) {
	b.t.Fail(at, hint, format, args...)
}

// refuse notes what sluice does not run: an error, or a warning when such things are left out. It is true,
// for the resource that it is about is as good as left out.
func (b *builder) refuse(r *cfn.Resource, at sluice.Place, format string, args ...any) bool {
	return b.refuseAs(r.ID, at, format, args...)
}

// refuseAs is refuse for what --skip knows by another name.
func (b *builder) refuseAs(id string, at sluice.Place, format string, args ...any) bool {
	what := fmt.Sprintf(format, args...)
	if b.in.SkipUnsupported {
		b.t.Warn(at, "left out: %s", what)
	} else {
		b.fail(at, "to deploy without it, add --skip "+id+", or --skip-unsupported for all such things", "%s", what)
	}
	return true
}

// transforms looks at what the template is said to go through.
func (b *builder) transforms() {
	v := b.t.Root.Get("Transform")
	list := v
	if v != nil && !v.IsList() {
		list = template.List(v.At, v)
	}
	sam := false
	if list != nil {
		for _, e := range list.List {
			switch name := e.Str(); {
			case strings.HasPrefix(name, "AWS::Serverless-"):
				sam = true
			case name == "AWS::LanguageExtensions", name == "" && e.IsMap():
			default:
				b.fail(e.At, "deploy a template that it has been through", "Transform %q is a macro of an account, which sluice does not have", name)
			}
		}
	}
	if sam {
		return
	}
	for _, r := range b.t.Resources() {
		if strings.HasPrefix(r.Type, "AWS::Serverless::") {
			b.t.Warn(r.At, "resource %q is one of SAM; on AWS the template needs Transform: AWS::Serverless-2016-10-31", r.ID)
			return
		}
	}
}

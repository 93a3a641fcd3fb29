// Package sls reads serverless.yml, the template of the Serverless Framework, into a sluice.App when its
// provider is aws (aws.md 7.5).
//
// The framework turns its file into a CloudFormation template, and so does this package: vars.go resolves
// ${…}, functions.go and its neighbours write resources under the logical ids that the framework gives
// them (what stands under resources may refer to those), and package sam makes the App of it. Places stay
// those of serverless.yml and of the files that it names, so that errors point there.
//
// Nothing of the framework runs: plugins are told of and left out, and values that programs would make are
// refused.
package sls

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
	"github.com/sluicehq/sluice/dialect/aws/sam"
)

// Reader reads serverless.yml. It implements deploy.Reader and has no state.
type Reader struct{ o sam.Options }

// New makes a Reader.
func New(o sam.Options) *Reader { return &Reader{o} }

var _ deploy.Reader = (*Reader)(nil)

// names are those of templates, programs last: they are recognized in order to say that they are not run.
var names = []string{"serverless.yml", "serverless.yaml", "serverless.json", "serverless.ts", "serverless.js", "serverless.mjs", "serverless.cjs"}

// Recognize is serverless.yml, .yaml or .json whose provider is aws. Other clouds have files of that name
// too.
func (*Reader) Recognize(dir string) string {
	for _, name := range names {
		if isAWS(dir, name) {
			return name
		}
	}
	return ""
}

// Names reports whether a file is called as a template of the framework: serverless.yml,
// serverless.prod.yml. The serverless.template of AWS's tools for .NET is none.
func Names(file string) bool {
	ending := filepath.Ext(file)
	return (strings.HasPrefix(file, "serverless.") || strings.HasPrefix(file, "serverless-")) &&
		(ending == ".yml" || ending == ".yaml" || ending == ".json" || isProgram(file))
}

// nameIsAWS finds the provider in what cannot be parsed.
var nameIsAWS = regexp.MustCompile(`\bname["']?\s*:\s*["']?aws\b`)

func isAWS(dir, name string) bool {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return false
	}
	root, err := cfn.Parse(name, text)
	if isProgram(name) || err != nil {
		return nameIsAWS.Match(text)
	}
	if root.Get("component") != nil || !root.IsMap() {
		return false
	}
	r := newVars(root, deploy.Input{Dir: dir, File: name})
	provider := r.self("provider")
	return provider.Str() == "aws" || r.self("provider.name").Str() == "aws"
}

func isProgram(name string) bool {
	return slices.Contains([]string{".js", ".ts", ".cjs", ".mjs", ".cts", ".mts"}, filepath.Ext(name))
}

// Read resolves a template wholly. --param NAME=VALUE is the framework's --NAME VALUE and its --param;
// Input.Environment is its --stage.
func (rd *Reader) Read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	if in.File == "" {
		if in.File = rd.Recognize(in.Dir); in.File == "" {
			return nil, &sluice.Error{Code: sluice.Missing, Msg: "no serverless.yml with provider aws in " + in.Dir,
				Hint: "run it in the folder with the template, or name the template's file"}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if in.Env == nil {
		in.Env = func(string) (string, bool) { return "", false }
	}
	if isProgram(in.File) {
		return nil, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: in.File}, Msg: in.File + " is a program, and sluice runs none to read a template",
			Hint: "have the framework print it: serverless print > serverless.yml"}
	}
	root, err := cfn.ReadFile(filepath.Join(in.Dir, filepath.FromSlash(in.File)), in.File)
	if err != nil {
		return nil, err
	}
	s := newService(root, in)
	template := s.template()
	if err := s.v.err(); err != nil {
		return nil, err
	}
	if in.Name == "" {
		in.Name = sluice.AppName(label(s.stack))
	}
	in.Skip = s.skip
	t := cfn.New(template, cfn.Options{Dir: s.v.dir, Stack: s.stack, Region: s.region, Env: in.Env, Import: in.Export, Skip: s.skip})
	for _, n := range s.v.notices {
		if n.Info {
			t.Note(n.At, "%s", n.Text)
		} else {
			t.Warn(n.At, "%s", n.Text)
		}
	}
	app, err := sam.Build(ctx, in, t, rd.o)
	if err != nil {
		return nil, err
	}
	app.Title = s.name
	s.finish(app)
	return app, nil
}

// label is s as a DNS label.
func label(s string) string {
	out := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(s), "-"), "-")
	if out = strings.Trim(out[:min(len(out), 63)], "-"); out == "" {
		return "app"
	}
	return out
}

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// join makes one error of those that were noted, in the order of their places.
func join(list []*sluice.Error) error {
	slices.SortStableFunc(list, func(a, b *sluice.Error) int {
		if c := strings.Compare(a.At.File, b.At.File); c != 0 {
			return c
		}
		return a.At.Line - b.At.Line
	})
	all := make([]error, len(list))
	for i, e := range list {
		all[i] = e
	}
	return errors.Join(all...)
}

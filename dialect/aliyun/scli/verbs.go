package scli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aliyun/sdevs"
)

// verbs are the words of the official tool that are no module's name.
var verbs = []string{"deploy", "remove", "invoke", "local", "logs", "info", "plan", "preview", "verify", "build", "sync", "init", "env", "set", "clean", "registry", "config", "cli", "download"}

const usage = `s, the tool of Serverless Devs, as far as sluice is it:

  s deploy | s plan | s verify | s preview    the template of this folder, or -t FILE
  s [MODULE] invoke [-e TEXT | -f FILE | --event-stdin] [--invocation-type async]
  s [MODULE] info [-o yaml|json]
  s [MODULE] logs [-t] [-s TIME] [--request-id ID]
  s local start | s local invoke              what is deployed runs here
  s remove
  s config get
  s cli tablestore createTable|insertTable …
`

// elsewhere says, for words that have nothing to do here, why; the code is that of the answer.
var elsewhere = map[string]struct {
	code int
	why  string
}{
	"build":    {0, "nothing to build: the deploy builds and installs what the template asks for"},
	"sync":     {exitUnknown, "there is no cloud to bring settings from: what the template says is what is deployed"},
	"init":     {exitUnknown, "sluice copies no templates: clone one with git, and run \"sluice dev\" or \"s deploy\" in its folder"},
	"env":      {exitUnknown, "environments are read from env.yaml: name one with s deploy --env NAME"},
	"set":      {exitUnknown, "there is nothing to set: see \"sluice serve --help\" for settings"},
	"clean":    {0, "nothing to clean: sluice leaves nothing beside the template"},
	"registry": {exitUnknown, "sluice has no registry: clone a template with git"},
}

// call is one command line.
type call struct {
	module, verb string
	rest         []string // words after the verb
	flags        map[string]string
	params       []string
}

// parse finds the verb of a command line, the module before it, and its flags.
func parse(args []string) call {
	c := call{flags: map[string]string{}}
	verb := ""
	for _, a := range args {
		if slices.Contains(verbs, a) {
			verb = a
			break
		}
	}
	alone := []string{"y", "assume-yes", "use-local", "use-remote", "event-stdin", "tail", "force", "no-overlay", "run-build", "ignore-hook-errors", "extract"}
	if verb == "logs" {
		alone = append(alone, "t")
	}
	words, flags := split(args, alone...)
	c.flags = flags
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--param="); ok {
			c.params = append(c.params, v)
		} else if a == "--param" && i+1 < len(args) {
			c.params = append(c.params, args[i+1])
		}
	}
	if len(words) > 0 && words[0] != verb {
		c.module, words = words[0], words[1:]
	}
	if len(words) > 0 {
		c.verb, c.rest = words[0], words[1:]
	}
	if c.verb == "local" && len(c.rest) > 0 {
		c.verb, c.rest = "local "+c.rest[0], c.rest[1:]
	}
	return c
}

// flag is the value of the first of some names of a flag that is given.
func (c *call) flag(names ...string) string {
	for _, n := range names {
		if v := c.flags[n]; v != "" {
			return v
		}
	}
	return ""
}

// input is the template that a call is about.
func (t *Tool) input(c *call) deploy.Input {
	in := deploy.Input{Dir: t.Dir, Params: map[string]string{}, Environment: c.flag("env"), Env: func(name string) (string, bool) {
		v := t.Env(name)
		return v, v != ""
	}}
	for _, p := range c.params {
		k, v, _ := strings.Cut(p, "=")
		in.Params[k] = v
	}
	file := c.flag("template")
	if c.verb != "logs" && file == "" {
		file = c.flag("t")
	}
	if file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(t.Dir, file)
		}
		in.Dir, in.File = filepath.Split(file)
		in.Dir = filepath.Clean(in.Dir)
	} else if src := filepath.Join(t.Dir, "src"); template.Recognize(t.Dir) == "" && template.Recognize(src) != "" {
		in.Dir = src // of a published application
	}
	return in
}

var template = sdevs.New(sdevs.Options{})

// name is the app that a call is about: of the action that makes it, else of the template.
func (t *Tool) name(c *call) (sluice.AppName, error) {
	if app := t.Env(AppVariable); app != "" {
		return sluice.AppName(app), nil
	}
	return template.Name(t.input(c))
}

// run does what a call asks with the verbs of sluice.
func (t *Tool) run(ctx context.Context, c *call) int {
	why, ok := elsewhere[c.verb]
	if ok {
		fmt.Fprintf(t.Err, "s: %s\n", why.why)
		return why.code
	}
	inside := t.Env(AppVariable) != "" // while the app is deployed
	var err error
	switch c.verb {
	case "deploy":
		if inside {
			fmt.Fprintln(t.Out, "the deploy that runs this deploys it")
			return 0
		}
		if c.module != "" {
			fmt.Fprintf(t.Out, "sluice deploys an app as a whole; of module %s what has not changed stays\n", c.module)
		}
		err = t.deploy(ctx, c)
	case "plan":
		err = t.deploy(ctx, c, "--plan")
	case "remove":
		if c.module != "" || inside {
			fmt.Fprintln(t.Err, "s: sluice removes an app as a whole, and not while it is deployed: s remove")
			return exitUnknown
		}
		var name sluice.AppName
		if name, err = t.name(c); err == nil {
			err = t.Sluice(ctx, t.Out, "remove", string(name))
		}
	case "invoke", "local invoke":
		err = t.invoke(ctx, c)
	case "logs":
		err = t.logs(ctx, c)
	case "info":
		err = t.info(ctx, c)
	case "local start":
		var a *app
		if a, err = t.deployed(ctx, c); err == nil {
			fmt.Fprintf(t.Out, "%s runs already, at %s\n", a.Name, strings.Join(a.HTTP, " "))
		}
	case "verify", "preview":
		var o *sdevs.Outline
		if o, err = template.Outline(ctx, t.input(c)); err == nil && c.verb == "preview" {
			err = t.print(c, preview(o))
		} else if err == nil {
			fmt.Fprintf(t.Out, "the template of %s can be deployed\n", o.App)
		}
	default:
		fmt.Fprintf(t.Err, "s: sluice does not run %q; \"s -h\" says what it runs\n", strings.TrimSpace(c.module+" "+c.verb))
		return exitUnknown
	}
	var none errNoModule
	switch {
	case err == nil:
		return 0
	case errors.As(err, &none):
		fmt.Fprintf(t.Err, "s: %v\n", none)
		return exitUnknown
	}
	t.fail(err)
	return exitFailed
}

// Told is an error that sluice has printed.
type Told struct{ Err error }

// Error is the error's text.
func (t Told) Error() string { return t.Err.Error() }

// fail prints what went wrong, a line each.
func (t *Tool) fail(err error) {
	var told Told
	if errors.As(err, &told) {
		return
	}
	var joined interface{ Unwrap() []error }
	if _, one := err.(*sluice.Error); !one && errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			t.fail(e)
		}
		return
	}
	fmt.Fprintf(t.Err, "s: %v\n", err)
	if h := sluice.HintOf(err); h != "" {
		fmt.Fprintf(t.Err, "s: hint: %s\n", h)
	}
}

func (t *Tool) deploy(ctx context.Context, c *call, more ...string) error {
	in := t.input(c)
	args := append([]string{"deploy", in.Dir}, more...)
	if in.File != "" {
		args = append(args, "--template", in.File)
	}
	if in.Environment != "" {
		args = append(args, "--env", in.Environment)
	}
	for _, name := range []string{"skip-actions", "ignore-hook-errors", "no-overlay", "run-build"} {
		if c.flag(name) != "" {
			args = append(args, "--"+name)
		}
	}
	for _, p := range c.params {
		args = append(args, "--param", p)
	}
	return t.Sluice(ctx, t.Out, args...)
}

// errNoModule says that a template has no such module, or none with a function.
type errNoModule struct{ msg string }

// Error is what is there instead.
func (e errNoModule) Error() string { return e.msg }

// app is what sluice list --json says of an app.
type app struct {
	Name      sluice.AppName
	Revision  string
	Deployed  time.Time
	HTTP      []string
	Outputs   []sluice.Output
	Functions []struct {
		Name          sluice.FunctionName
		Instances     int
		Calls, Errors uint64
	}
}

// deployed is the app as it runs.
func (t *Tool) deployed(ctx context.Context, c *call) (*app, error) {
	name, err := t.name(c)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Sluice(ctx, &out, "list", "--json"); err != nil {
		return nil, err
	}
	for dec := json.NewDecoder(&out); ; {
		var a app
		switch err := dec.Decode(&a); {
		case errors.Is(err, io.EOF):
			return nil, &sluice.Error{Code: sluice.Missing, Msg: fmt.Sprintf("app %q is not deployed", name), Hint: `deploy it with "s deploy", or run it with "sluice dev"`}
		case err != nil:
			return nil, err
		case a.Name == name:
			return &a, nil
		}
	}
}

// function is the function that a call is about: the module's, or the app's only one.
func (t *Tool) function(ctx context.Context, c *call, a *app) (string, error) {
	var names []string
	if c.module != "" {
		o, err := template.Outline(ctx, t.input(c))
		if err != nil {
			return "", err
		}
		for _, m := range o.Modules {
			if m.Function == "" {
				continue
			}
			if m.Name == c.module {
				return string(m.Function), nil
			}
			names = append(names, m.Name)
		}
		return "", errNoModule{fmt.Sprintf("the template has no module %q with a function; there are: %s", c.module, strings.Join(names, ", "))}
	}
	for _, f := range a.Functions {
		names = append(names, string(f.Name))
	}
	if len(names) != 1 {
		return "", errNoModule{fmt.Sprintf("the app has %d functions: name a module, s MODULE %s", len(names), c.verb)}
	}
	return names[0], nil
}

func (t *Tool) invoke(ctx context.Context, c *call) error {
	a, err := t.deployed(ctx, c)
	if err != nil {
		return err
	}
	f, err := t.function(ctx, c, a)
	if err != nil {
		return err
	}
	file := c.flag("event-file", "f")
	if file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(t.Dir, file)
	}
	if strings.EqualFold(c.flag("invocation-type"), "async") {
		event := []byte(c.flag("event", "e"))
		switch {
		case len(event) > 0:
		case file != "":
			event, err = os.ReadFile(file)
		case c.flag("event-stdin") != "":
			event, err = io.ReadAll(t.In)
		}
		if err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		return t.async(ctx, a, f, event)
	}
	args := []string{"invoke", f, "--app", string(a.Name)}
	switch {
	case c.flag("event", "e") != "":
		args = append(args, "--data-text", c.flag("event", "e"))
	case file != "":
		args = append(args, "--event", file)
	case c.flag("event-stdin") != "":
		args = append(args, "--event", "-")
	}
	return t.Sluice(ctx, t.Out, args...)
}

func (t *Tool) logs(ctx context.Context, c *call) error {
	a, err := t.deployed(ctx, c)
	if err != nil {
		return err
	}
	args := []string{"logs", "--app", string(a.Name)}
	if c.module != "" || len(a.Functions) == 1 {
		f, err := t.function(ctx, c, a)
		if err != nil {
			return err
		}
		args = append(args, f)
	}
	if c.flag("t", "tail") != "" {
		args = append(args, "--follow")
	}
	if id := c.flag("request-id", "r"); id != "" {
		args = append(args, "--request", id)
	}
	if from := c.flag("start-time", "s"); from != "" {
		at, err := moment(from)
		if err != nil {
			return err
		}
		args = append(args, "--since", time.Since(at).Round(time.Second).String())
	}
	return t.Sluice(ctx, t.Out, args...)
}

// moment reads a time as the official tool takes it.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2021-11-07T18:00:00+08:00", text)
}

// info prints what is deployed, by module.
func (t *Tool) info(ctx context.Context, c *call) error {
	a, err := t.deployed(ctx, c)
	if err != nil {
		return err
	}
	in := t.input(c)
	if len(a.HTTP) > 0 {
		host := strings.TrimSuffix(strings.TrimPrefix(a.HTTP[0], "http://"), "/")
		in.Public = func(sluice.AppName) string { return host }
	}
	if api := t.Env("SLUICE_FC_ENDPOINT"); api != "" {
		in.Endpoint = func(string) string { return api }
	}
	o, err := template.Outline(ctx, in)
	if err != nil {
		return err
	}
	modules := map[string]any{}
	for _, m := range o.Modules {
		about := map[string]any{"component": m.Component}
		if out, ok := m.Output.(map[string]any); ok {
			maps.Copy(about, out)
		}
		for _, f := range a.Functions {
			if f.Name == m.Function {
				about["status"] = map[string]any{"instances": f.Instances, "calls": f.Calls, "errors": f.Errors}
			}
		}
		modules[m.Name] = about
	}
	if c.module != "" {
		one, ok := modules[c.module]
		if !ok {
			return errNoModule{fmt.Sprintf("the template has no module %q; there are: %s", c.module, strings.Join(slices.Sorted(maps.Keys(modules)), ", "))}
		}
		return t.print(c, map[string]any{c.module: one})
	}
	addresses := map[string]string{}
	for _, out := range a.Outputs {
		addresses[out.Name] = out.Value
	}
	return t.print(c, map[string]any{"app": string(a.Name), "revision": a.Revision, "deployed": a.Deployed.Format(time.RFC3339), "addresses": addresses, "modules": modules})
}

// preview is a template with its variables resolved.
func preview(o *sdevs.Outline) map[string]any {
	modules := map[string]any{}
	for _, m := range o.Modules {
		modules[m.Name] = map[string]any{"component": m.Component, "props": m.Props}
	}
	return map[string]any{"name": string(o.App), "resources": modules}
}

// print writes v as YAML, or as JSON where -o asks for it, to the file that --output-file names.
func (t *Tool) print(c *call, v any) (err error) {
	if name := c.flag("output-file"); name != "" {
		f, err := os.Create(filepath.Join(t.Dir, name))
		if err != nil {
			return err
		}
		defer func(out io.Writer) { err, t.Out = errors.Join(err, f.Close()), out }(t.Out)
		t.Out = f
	}
	if c.flag("o", "output") == "json" {
		enc := json.NewEncoder(t.Out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	enc := yaml.NewEncoder(t.Out)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return enc.Close()
}

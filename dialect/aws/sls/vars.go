package sls

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

const (
	account = "000000000000"

	maxSteps = 300_000 // of resolving, against templates that double themselves
	maxText  = 1 << 20
	maxDepth = 100
)

// vars resolves the variables of a template. Nothing is resolved before somebody asks, so that what only
// plugins read may say what it likes.
type vars struct {
	in    deploy.Input
	dir   string     // of the template
	root  *cfn.Value // as written
	stack string     // known once the service's name is

	files map[string]*cfn.Value
	dot   map[string]string // of .env files
	done  map[*cfn.Value]*cfn.Value
	busy  map[*cfn.Value]bool
	used  map[string]bool // parameters
	steps int
	depth int

	errs    []*sluice.Error
	notices []sluice.Notice
	told    map[string]bool
}

func newVars(root *cfn.Value, in deploy.Input) *vars {
	if in.Env == nil {
		in.Env = func(string) (string, bool) { return "", false }
	}
	r := &vars{in: in, dir: filepath.Dir(filepath.Join(in.Dir, filepath.FromSlash(in.File))), root: root, files: map[string]*cfn.Value{},
		done: map[*cfn.Value]*cfn.Value{}, busy: map[*cfn.Value]bool{}, used: map[string]bool{}, told: map[string]bool{}}
	if on := root.Get("useDotenv"); on.Str() == "true" {
		r.dot = map[string]string{}
		for _, name := range []string{".env", ".env." + r.stage()} {
			readDotenv(filepath.Join(r.dir, name), r.dot)
		}
	}
	return r
}

func (r *vars) err() error { return join(r.errs) }

// fail notes an error, once, and returns a value that says so.
func (r *vars) fail(at sluice.Place, hint, format string, args ...any) *cfn.Value {
	e := &sluice.Error{Code: sluice.Invalid, At: at, Hint: hint, Msg: fmt.Sprintf(format, args...)}
	if !r.told[e.Error()] {
		r.told[e.Error()] = true
		r.errs = append(r.errs, e)
	}
	return &cfn.Value{At: at, Broken: true}
}

func (r *vars) warn(at sluice.Place, format string, args ...any) { r.notice(at, false, format, args) }
func (r *vars) note(at sluice.Place, format string, args ...any) { r.notice(at, true, format, args) }

func (r *vars) notice(at sluice.Place, info bool, format string, args []any) {
	n := sluice.Notice{At: at, Info: info, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(r.notices, n) {
		r.notices = append(r.notices, n)
	}
}

// step counts work and says, once, that it is too much.
func (r *vars) step(at sluice.Place) bool {
	if r.steps++; r.steps <= maxSteps && r.depth <= maxDepth {
		return true
	}
	r.steps = maxSteps
	r.fail(sluice.Place{File: at.File}, "look for a part that repeats itself", "the template expands to too much")
	return false
}

// resolve is a part of the template without variables.
func (r *vars) resolve(v *cfn.Value) *cfn.Value {
	if v == nil || !r.step(v.At) {
		return v
	}
	if out, ok := r.done[v]; ok {
		return out
	}
	if r.busy[v] {
		return r.fail(v.At, "", "%q needs itself", short(v.Str()))
	}
	r.busy[v] = true
	r.depth++
	defer func() { delete(r.busy, v); r.depth-- }()
	out := v
	switch {
	case v.IsMap():
		out = &cfn.Value{At: v.At, Fields: make([]cfn.Field, 0, len(v.Fields))}
		for _, f := range v.Fields {
			out.Fields = append(out.Fields, cfn.Field{Key: f.Key, At: f.At, Value: r.resolve(f.Value)})
		}
	case v.IsList():
		out = &cfn.Value{At: v.At, List: make([]*cfn.Value, 0, len(v.List))}
		for _, e := range v.List {
			out.List = append(out.List, r.resolve(e))
		}
	default:
		if w := r.scalar(v); w != v {
			out = r.resolve(w)
		}
	}
	r.done[v] = out
	return out
}

// shallow is resolve for the value itself, not for what is in it.
func (r *vars) shallow(v *cfn.Value) *cfn.Value {
	if v == nil || v.IsMap() || v.IsList() {
		return v
	}
	if out, ok := r.done[v]; ok {
		return out
	}
	if !r.step(v.At) {
		return &cfn.Value{At: v.At, Broken: true}
	}
	if r.busy[v] {
		return r.fail(v.At, "", "%q needs itself", short(v.Str()))
	}
	r.busy[v] = true
	r.depth++
	defer func() { delete(r.busy, v); r.depth-- }()
	if w := r.scalar(v); w != v {
		return r.shallow(w)
	}
	return v
}

// scalar fills the variables of a text once. It is v itself when there are none.
func (r *vars) scalar(v *cfn.Value) *cfn.Value {
	s, ok := v.Data.(string)
	if !ok || !strings.Contains(s, "${") {
		return v
	}
	parts, err := parse(s)
	if err != "" {
		return r.fail(v.At, "", "%q: %s", short(s), err)
	}
	if len(parts) == 1 && parts[0].sources == nil && parts[0].text == s {
		return v
	}
	out := r.fill(parts, v.At)
	if out != nil && !out.IsMap() && !out.IsList() && !out.Broken && strings.Contains(out.Str(), "${") {
		r.done[out] = out // a ${…} that was escaped, or is for Fn::Sub
	}
	return out
}

// fill is the value of a text that was taken apart: a text, or whatever its only variable is.
func (r *vars) fill(parts []part, at sluice.Place) *cfn.Value {
	if len(parts) == 1 && parts[0].sources != nil {
		return r.variable(parts[0], at)
	}
	var b strings.Builder
	for _, p := range parts {
		if p.sources == nil {
			b.WriteString(p.text)
			continue
		}
		v := r.shallow(r.variable(p, at))
		switch {
		case v != nil && v.Broken:
			return v
		case v.IsMap() || v.IsList() || v.IsNull():
			return r.fail(at, "a variable within a text has to be text", "%s is %s", p.text, cfn.Kind(v))
		}
		b.WriteString(v.Str())
		if b.Len() > maxText {
			return r.fail(at, "", "text of more than %d bytes", maxText)
		}
	}
	return template.Text(at, b.String())
}

// variable is the first of its sources that has a value.
func (r *vars) variable(p part, at sluice.Place) *cfn.Value {
	v, hint := r.find(p, at)
	if v == nil {
		return r.fail(at, hint, "%s has no value", short(p.text))
	}
	return v
}

// find is variable, but nil, with a hint, when none has a value.
func (r *vars) find(p part, at sluice.Place) (v *cfn.Value, hint string) {
	if !r.step(at) {
		return &cfn.Value{At: at, Broken: true}, ""
	}
	r.depth++
	defer func() { r.depth-- }()
	for _, src := range p.sources {
		h := ""
		switch {
		case src.literal != nil:
			return &cfn.Value{At: at, Data: src.literal.Data, Text: src.literal.Text}, ""
		case len(src.quoted) == 1 && src.quoted[0].sources != nil:
			v, h = r.find(src.quoted[0], at)
		case src.quoted != nil:
			v = r.fill(src.quoted, at)
		default:
			v, h = r.source(src, at)
		}
		if hint == "" {
			hint = h
		}
		if v = r.shallow(v); v != nil && (v.Broken || !v.IsNull()) {
			return v, ""
		}
	}
	return nil, hint
}

// kinds are the types of variables.
var kinds = []string{"self", "opt", "file", "env", "aws", "sls", "param", "cf", "ssm", "strToBool"}

// source is what one source says, with a hint for when it says nothing.
func (r *vars) source(src source, at sluice.Place) (*cfn.Value, string) {
	address := r.text(src.address, at)
	if address == nil {
		return &cfn.Value{At: at, Broken: true}, ""
	}
	params := make([]string, len(src.params))
	for i, p := range src.params {
		s := r.text(p, at)
		if s == nil {
			return &cfn.Value{At: at, Broken: true}, ""
		}
		params[i] = strings.Trim(strings.TrimSpace(*s), `'"`)
	}
	name := *address
	text := func(s string, ok bool) *cfn.Value {
		if !ok {
			return nil
		}
		return template.Text(at, s)
	}
	switch src.kind {
	case "self":
		return r.walk(r.root, name, at, "")
	case "opt":
		switch name {
		case "stage":
			if s, ok := r.stageOption(); ok {
				return template.Text(at, s), ""
			}
		default:
			r.used[name] = true
			if s, ok := r.in.Params[name]; ok {
				return template.Text(at, s), ""
			}
		}
		return nil, "give it with --param " + name + "=VALUE"
	case "param":
		r.used[name] = true
		if s, ok := r.in.Params[name]; ok {
			return template.Text(at, s), ""
		}
		for _, path := range []string{"stages." + r.stage() + ".params." + name, "params." + r.stage() + "." + name, "stages.default.params." + name, "params.default." + name} {
			if v, _ := r.walk(r.root, path, at, ""); v != nil && !v.IsNull() {
				return v, ""
			}
		}
		return nil, "give it with --param " + name + "=VALUE"
	case "env":
		s, ok := r.in.Env(name)
		if !ok {
			s, ok = r.dot[name]
		}
		return text(s, ok), "set " + name + " in the environment of the deploy"
	case "aws":
		switch name {
		case "accountId":
			return template.Text(at, account), ""
		case "region":
			return template.Text(at, r.region()), ""
		}
		return r.fail(at, "known are: aws:accountId, aws:region", "variable aws:%s is not known", name), ""
	case "sls":
		switch name {
		case "stage":
			return template.Text(at, r.stage()), ""
		case "instanceId":
			return template.Text(at, apispec.ID(10, r.stack, "instance")), ""
		}
		return r.fail(at, "known are: sls:stage, sls:instanceId", "variable sls:%s is not known", name), ""
	case "file":
		if len(params) != 1 {
			return r.fail(at, "", "file(…) wants a path"), ""
		}
		return r.file(params[0], name, at)
	case "cf":
		if r.in.Export != nil {
			if s, ok := r.in.Export(name); ok {
				return template.Text(at, s), ""
			}
		}
		return nil, "deploy the app that has this output first; its name is stack.Output"
	case "ssm":
		name, _, _ = strings.Cut(name, "~")
		name = strings.ToUpper(strings.Trim(notWord.ReplaceAllString(strings.TrimPrefix(name, "/aws/reference/secretsmanager/"), "_"), "_"))
		s, ok := r.in.Env(name)
		return text(s, ok), "set " + name + " in the environment of the deploy"
	case "strToBool":
		if len(params) == 1 {
			switch strings.ToLower(params[0]) {
			case "true", "1":
				return template.Bool(at, true), ""
			case "false", "0":
				return template.Bool(at, false), ""
			}
		}
		return r.fail(at, "", "strToBool(…) wants true or false"), ""
	}
	return r.fail(at, cfn.Suggest(src.kind, kinds), "variables of the type %q cannot be read here", src.kind), ""
}

var notWord = regexp.MustCompile(`[^A-Za-z0-9]+`)

// text fills what stands within a variable; nil when that is no text.
func (r *vars) text(parts []part, at sluice.Place) *string {
	v := r.shallow(r.fill(parts, at))
	if v == nil || v.Broken {
		return nil
	}
	if v.IsMap() || v.IsList() {
		r.fail(at, "", "a variable within a variable is %s, not text", cfn.Kind(v))
		return nil
	}
	s := v.Str()
	return &s
}

// walk goes down a path of keys and indices; nil, with a hint, when something is not there.
func (r *vars) walk(v *cfn.Value, path string, at sluice.Place, file string) (*cfn.Value, string) {
	if path == "" {
		return v, ""
	}
	keys := strings.Split(path, ".")
	for i, key := range keys {
		v = r.shallow(v)
		if v != nil && v.Broken {
			return v, ""
		}
		next := v.Get(key)
		if n, err := strconv.Atoi(key); next == nil && err == nil && v.IsList() && n >= 0 && n < len(v.List) {
			next = v.List[n]
		}
		if v == r.shallow(r.root.Get("provider")) && v != nil && next == nil && file == "" && i == len(keys)-1 {
			switch key { // they have defaults
			case "stage":
				return template.Text(at, r.stage()), ""
			case "region":
				return template.Text(at, r.region()), ""
			}
		}
		if next == nil {
			where := strings.Join(keys[:i], ".")
			hint := cfn.Suggest(key, v.Keys())
			if where != "" && hint != "" {
				hint = where + " has no " + key + "; " + hint
			}
			return nil, hint
		}
		v = next
	}
	return v, ""
}

// self is what ${self:path} is, nil when it is not there; the value itself has no variables.
func (r *vars) self(path string) *cfn.Value {
	v, _ := r.walk(r.root, path, r.root.At, "")
	return r.shallow(v)
}

// file is a part of another file.
func (r *vars) file(name, path string, at sluice.Place) (*cfn.Value, string) {
	name = filepath.ToSlash(filepath.Clean(filepath.FromSlash(name)))
	full := filepath.FromSlash(name)
	if !filepath.IsAbs(full) {
		full = filepath.Join(r.dir, full)
	}
	info, err := os.Stat(full)
	if err != nil || !info.Mode().IsRegular() {
		return nil, "there is no file " + name
	}
	switch ext := strings.ToLower(filepath.Ext(name)); {
	case isProgram(name):
		return r.fail(at, "write what it returns to a .yml or .json file", "%s is a program, and sluice runs none to read a template", name), ""
	case !slices.Contains([]string{".yml", ".yaml", ".json"}, ext):
		text, err := os.ReadFile(full)
		if err != nil || len(text) > maxText {
			return r.fail(at, "", "%s cannot be read, or has more than %d bytes", name, maxText), ""
		}
		v := template.Text(at, strings.TrimRight(string(text), "\n"))
		r.done[v] = v
		return v, ""
	}
	if r.files[full] == nil {
		v, err := cfn.ReadFile(full, name)
		if err != nil {
			for _, e := range flat(err) {
				r.fail(e.At, e.Hint, "%s", e.Msg)
			}
			v = &cfn.Value{At: at, Broken: true}
		}
		r.files[full] = v
	}
	return r.walk(r.files[full], path, at, name)
}

// flat are the errors that are joined in err.
func flat(err error) []*sluice.Error {
	switch e := err.(type) {
	case *sluice.Error:
		return []*sluice.Error{e}
	case interface{ Unwrap() []error }:
		var all []*sluice.Error
		for _, one := range e.Unwrap() {
			all = append(all, flat(one)...)
		}
		return all
	}
	return []*sluice.Error{{Code: sluice.Invalid, Msg: err.Error()}}
}

func (r *vars) stageOption() (string, bool) {
	if r.in.Environment != "" {
		return r.in.Environment, true
	}
	r.used["stage"] = true
	s, ok := r.in.Params["stage"]
	return s, ok
}

// stage is what the service is deployed as.
func (r *vars) stage() string {
	if s, ok := r.stageOption(); ok {
		return s
	}
	return r.providerText("stage", "dev")
}

func (r *vars) region() string {
	r.used["region"] = true
	if s, ok := r.in.Params["region"]; ok {
		return s
	}
	return r.providerText("region", "us-east-1")
}

func (r *vars) providerText(key, def string) string {
	if v := r.shallow(r.shallow(r.root.Get("provider")).Get(key)); v.Str() != "" {
		return v.Str()
	}
	return def
}

// short is s for a message.
func short(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// readDotenv adds the lines NAME=VALUE of a file.
func readDotenv(path string, to map[string]string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, val, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || name == "" || name[0] == '#' {
			continue
		}
		val = strings.TrimSpace(val)
		if n := len(val); n > 1 && (val[0] == '"' || val[0] == '\'') && val[n-1] == val[0] {
			if val = val[1 : n-1]; line[len(line)-1] == '"' {
				val = strings.ReplaceAll(val, `\n`, "\n")
			}
		} else if i := strings.Index(val, " #"); i >= 0 {
			val = strings.TrimSpace(val[:i])
		}
		to[name] = val
	}
}

package sdevs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// Limits of what variables may expand to.
const (
	maxText  = 64 << 10 // bytes of one string
	maxTexts = 4 << 20  // bytes of all
)

// resolver gives values their meaning. A variable is resolved when it is looked at, and then its
// value's own variables, until none is left; one that is being resolved already is a cycle.
type resolver struct {
	r     *reading
	memo  map[memoKey]*value
	busy  map[memoKey]bool
	stack []string // the variables being resolved, for the message about a cycle
	spent int      // bytes of text made
	seen  int      // nodes walked by checkAll
}

// memoKey: "this" makes the meaning of a shared value depend on the module that looks.
type memoKey struct {
	v *value
	m *module
}

// trouble is why a variable has no value.
type trouble struct{ msg, hint string }

func troublef(hint, format string, args ...any) *trouble {
	return &trouble{fmt.Sprintf(format, args...), hint}
}

// see is v with its variables resolved: not those of its children. m is what "this" means.
func (s *resolver) see(v *value, m *module) *value { return s.resolve(v, m, false) }

// shell is see for a command line, in which ${HOME} may be the shell's.
func (s *resolver) shell(v *value, m *module) *value { return s.resolve(v, m, true) }

func (s *resolver) resolve(v *value, m *module, shell bool) *value {
	if v == nil {
		return nil
	}
	text, ok := v.Data.(string)
	if !ok || !strings.Contains(text, "${") && !strings.Contains(text, markOpen) {
		return v
	}
	key := memoKey{v, m}
	if done := s.memo[key]; done != nil {
		return done
	}
	if s.busy[key] || len(s.stack) > 100 {
		names := s.stack[slices.Index(s.stack, s.stack[len(s.stack)-1]):]
		s.r.fail(v.At, "", "%s refers to itself: %s", names[0], strings.Join(names, " → "))
		return &value{At: v.At, Broken: true}
	}
	s.busy[key] = true
	out := s.expand(v.At, text, m, shell)
	delete(s.busy, key)
	s.memo[key] = out
	return out
}

// expand replaces the variables of text. Text that is one variable gets that variable's value.
func (s *resolver) expand(at sluice.Place, text string, m *module, shell bool) *value {
	broken := &value{At: at, Broken: true}
	if s.r.unfilled(at, text) {
		return broken
	}
	var b strings.Builder
	bad := false
	for rest := text; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			break
		}
		end := closing(rest[i+2:])
		if end < 0 {
			b.WriteString(rest)
			break
		}
		whole := rest[i : i+2+end+1]
		val, t := s.variable(whole, at, m)
		switch {
		case t != nil && shell && shellish.MatchString(whole):
			val = template.Text(at, whole)
		case t != nil:
			s.r.fail(at, t.hint, "%s %s", whole, t.msg)
			bad = true
		}
		if whole == text && !bad {
			return val
		}
		b.WriteString(rest[:i])
		if val != nil {
			if val.IsMap() || val.IsList() {
				s.r.fail(at, "use it alone, or name one of its parts", "%s is %s and cannot stand within text", whole, val.Kind())
				bad = true
			}
			bad = bad || val.Broken
			b.WriteString(val.Text)
		}
		rest = rest[i+len(whole):]
		if b.Len() > maxText {
			break
		}
	}
	s.spent += b.Len()
	if b.Len() > maxText || s.spent > maxTexts {
		s.r.fail(at, "", "variables expand to more than %d bytes here, or %d in all", maxText, maxTexts)
		return broken
	}
	if bad {
		return broken
	}
	return template.Text(at, b.String())
}

// shellish is a variable that a shell could know: ${HOME}, ${1:-x}; not a path of ours.
var shellish = regexp.MustCompile(`^\$\{[A-Za-z0-9_@*#?]+([:%#/+=^,-].*)?\}$`)

// closing finds the brace that ends an expression, past nested ones; the first one when they do not
// match up.
func closing(s string) int {
	s, _, _ = strings.Cut(s, "\n")
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return strings.IndexByte(s, '}')
}

// variable is the value of ${…}.
func (s *resolver) variable(whole string, at sluice.Place, m *module) (*value, *trouble) {
	e, err := parseExpr(whole[2 : len(whole)-1])
	if err != nil {
		return nil, troublef(`variables look like ${vars.name}, ${module.output.name} or ${env('NAME', 'default')}`, "%v", err)
	}
	s.stack = append(s.stack, whole)
	defer func() { s.stack = s.stack[:len(s.stack)-1] }()
	return s.eval(e, at, m)
}

func (s *resolver) eval(e expr, at sluice.Place, m *module) (*value, *trouble) {
	if e.lit != nil {
		return template.Text(at, *e.lit), nil
	}
	if e.fn == "" {
		return s.path(e.path, m)
	}
	var args []string
	for _, a := range e.args {
		v, t := s.eval(a, at, m)
		if t != nil {
			return nil, t
		}
		if v.IsMap() || v.IsList() {
			return nil, troublef("", "has an argument that is %s", v.Kind())
		}
		args = append(args, v.Text)
	}
	if len(args) == 0 {
		return nil, troublef("", "has no argument")
	}
	file := func() string {
		if filepath.IsAbs(args[0]) {
			return filepath.Clean(args[0])
		}
		return filepath.Join(s.r.in.Dir, args[0])
	}
	switch e.fn {
	case "env":
		return s.environment(args, at)
	case "config":
		return s.config(args[0], at)
	case "path":
		return template.Text(at, file()), nil
	case "json":
		v, err := decodeText(at.File, []byte(args[0]))
		if err != nil || !json.Valid([]byte(args[0])) {
			return nil, troublef("${json(file('./x.json'))} reads a file", "is no JSON")
		}
		return v, nil
	case "file":
		b, err := template.ReadFile(file())
		if s.spent += len(b); s.spent > maxTexts {
			return nil, troublef("", "is too much: variables expand to more than %d bytes in all", maxTexts)
		}
		if err != nil {
			return nil, troublef(s.r.nearFile(args[0]), "cannot be read: %v", cause(err))
		}
		switch strings.ToLower(filepath.Ext(args[0])) {
		case ".yaml", ".yml", ".json":
			if v, err := decodeText(args[0], b); err == nil {
				return v, nil
			}
		}
		return template.Text(at, string(b)), nil
	}
	return nil, troublef("", "stands where %s means nothing", e.fn)
}

// decodeText reads data, whose own ${…} mean nothing and stay.
func decodeText(file string, b []byte) (*value, error) {
	v, err := template.Parse(file, b, maxNodes)
	if err != nil {
		return nil, err
	}
	var inert func(v *value)
	inert = func(v *value) {
		if text, ok := v.Data.(string); ok && strings.Contains(text, "${") {
			v.Data = literal(text)
		}
		for _, e := range v.List {
			inert(e)
		}
		for _, f := range v.Fields {
			inert(f.Value)
		}
	}
	inert(v)
	return v, nil
}

// literal is text in which ${ is not looked for.
type literal string

func (s *resolver) environment(args []string, at sluice.Place) (*value, *trouble) {
	name := args[0]
	if s.r.in.Env != nil {
		if v, ok := s.r.in.Env(name); ok {
			return &value{At: at, Data: literal(v), Text: v}, nil
		}
	}
	if v, ok := s.r.env[name]; ok {
		return &value{At: at, Data: literal(v), Text: v}, nil
	}
	if len(args) > 1 {
		return &value{At: at, Data: literal(args[1]), Text: args[1]}, nil
	}
	switch normal(name) {
	case "tablestore_endpoint", "tablestore_instance", "tablestore_instancename":
		if v, ok := s.r.derive(name, string(s.r.app.Name)); ok {
			s.r.note(at, "${env(%s)} is taken as %q, for it is not set in the environment", name, v)
			return &value{At: at, Data: v, Text: v}, nil
		}
	}
	return nil, troublef("export "+name+"=…, or write it into .env beside the template", "is not set in the environment")
}

func (s *resolver) config(name string, at sluice.Place) (*value, *trouble) {
	known := []string{"AccountID", "AccessKeyID", "AccessKeySecret", "SecurityToken"}
	for _, k := range known {
		if strings.EqualFold(k, name) {
			v := s.r.o.Config[k]
			if v == "" && k == "AccountID" {
				v = account
			}
			return &value{At: at, Data: literal(v), Text: v}, nil
		}
	}
	return nil, troublef(suggest(name, known), "is not a field of a credential")
}

// path looks up a.b.c. A bare name is a key of the template or a module.
func (s *resolver) path(path []string, m *module) (*value, *trouble) {
	switch first := path[0]; first {
	case "vars":
		return s.walk(s.r.root.GetFold("vars"), path, 1, nil)
	case "environment":
		if r := s.r; r.environment() == nil {
			return nil, troublef(suggest("", r.environments), "has no environment to look at: name one with --env")
		}
		return s.walk(s.r.environment(), path, 1, m)
	case "this":
		if m == nil {
			return nil, troublef("", "means nothing outside a module")
		}
		return s.member(m, path, 1)
	case "resources", "services":
		if len(path) > 1 {
			return s.module(path, 1, m)
		}
	default:
		if s.r.moduleNamed(first) == nil && s.r.root.GetFold(first) != nil && first != "template" {
			return s.walk(s.r.root.GetFold(first), path, 1, nil)
		}
	}
	return s.module(path, 0, m)
}

// module looks up module.props.x or module.output.x, the module's name being path[i].
func (s *resolver) module(path []string, i int, from *module) (*value, *trouble) {
	name := path[i]
	to := s.r.moduleNamed(name)
	if to == nil && len(path) > i+1 && (path[i+1] == "output" || path[i+1] == "props" || i > 0) {
		if to = s.r.meant(name); to != nil {
			at := to.at
			if from != nil {
				at = from.at
			}
			s.r.repair(at, "R2", "there is no module %q: %q is meant", name, to.name)
		}
	}
	if to == nil {
		names := []string{"vars", "this", "resources", "env", "config", "file", "path"}
		if len(path) == 1 {
			names = append(names, s.r.root.GetFold("vars").Keys()...)
		}
		for _, m := range s.r.modules {
			names = append(names, m.name)
		}
		hint := suggest(name, names)
		if v := s.r.root.GetFold("vars").GetFold(name); v != nil {
			hint = fmt.Sprintf("did you mean ${vars.%s}?", name)
		}
		return nil, troublef(hint, "is not defined")
	}
	if from != nil && from != to {
		from.needs(to)
	}
	return s.member(to, path, i+1)
}

// member looks up what follows a module's name.
func (s *resolver) member(m *module, path []string, i int) (*value, *trouble) {
	if i >= len(path) {
		return nil, troublef(fmt.Sprintf("name a part: ${%s.props.…} or ${%s.output.…}", strings.Join(path, "."), strings.Join(path, ".")), "is a whole module")
	}
	switch path[i] {
	case "name":
		return template.Text(m.at, m.name), nil
	case "props":
		return s.walk(m.propsValue, path, i+1, m)
	case "output", "outputs":
		if m.kind == ignored {
			return template.Text(m.at, ""), nil // section 5.4
		}
		return s.walk(m.outputs(), path, i+1, m)
	}
	return s.walk(m.body, path, i, m)
}

// walk follows path[i:] from v.
func (s *resolver) walk(v *value, path []string, i int, m *module) (*value, *trouble) {
	v = s.see(v, m)
	for ; i < len(path); i++ {
		if v != nil && v.Broken {
			return v, nil
		}
		name, so := path[i], strings.Join(path[:i], ".")
		var next *value
		switch {
		case v.IsMap():
			next = v.GetFold(name)
		case v.IsList():
			if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(v.List) {
				next = v.List[n]
			} else {
				return nil, troublef("", "is not defined: %s has %d items", so, len(v.List))
			}
		}
		if next == nil {
			return nil, troublef(suggest(name, v.Keys()), "is not defined: %s has no %q", so, name)
		}
		v = s.see(next, m)
	}
	if v == nil {
		return nil, troublef("", "is not defined")
	}
	return v, nil
}

// text is the text of a scalar; "" for anything else.
func (s *resolver) text(v *value, m *module) string {
	if v = s.see(v, m); v == nil {
		return ""
	}
	return v.Text
}

// checkAll looks at every variable of a module's props, also of those that nothing reads.
// It reports whether they expand to something of a bearable size.
func (s *resolver) checkAll(m *module) bool { return s.check(m.propsValue, m, 0) }

func (s *resolver) check(v *value, m *module, depth int) bool {
	if s.seen++; s.seen > maxNodes || depth > maxDepth {
		s.r.fail(m.at, "look for a variable that holds itself, or lists of lists of variables", "module %q expands to too much", m.name)
		return false
	}
	v = s.see(v, m)
	if v == nil {
		return true
	}
	for _, e := range v.List {
		if !s.check(e, m, depth+1) {
			return false
		}
	}
	for _, f := range v.Fields {
		if !s.check(f.Value, m, depth+1) {
			return false
		}
	}
	return true
}

// deep is v with every variable below it resolved.
func (s *resolver) deep(v *value, m *module, depth int) *value {
	v = s.see(v, m)
	if v == nil || depth > maxDepth {
		return nil
	}
	out := *v
	if v.IsList() {
		out.List = []*value{}
		for _, e := range v.List {
			out.List = append(out.List, s.deep(e, m, depth+1))
		}
	}
	if v.IsMap() {
		out.Fields = []field{}
		for _, f := range v.Fields {
			out.Fields = append(out.Fields, field{Key: f.Key, At: f.At, Value: s.deep(f.Value, m, depth+1)})
		}
	}
	return &out
}

// json is v as compact JSON.
func (s *resolver) json(v *value, m *module) string {
	b, err := json.Marshal(s.deep(v, m, 0).Plain())
	if err != nil {
		return ""
	}
	return string(b)
}

// dotenv reads NAME=VALUE lines; a file that is not there or too big has none.
func dotenv(path string) map[string]string {
	env := map[string]string{}
	b, err := template.ReadFile(path)
	if err != nil {
		return env
	}
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, val, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || name[0] == '#' {
			continue
		}
		val = strings.TrimSpace(val)
		if len(val) >= 2 && (val[0] == '"' || val[0] == '\'') && val[len(val)-1] == val[0] {
			val = val[1 : len(val)-1]
		} else if i := strings.Index(val, " #"); i >= 0 {
			val = strings.TrimSpace(val[:i])
		}
		env[name] = val
	}
	return env
}

// cause is the last reason of an error, without the path that its text repeats.
func cause(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}

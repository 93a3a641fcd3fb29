package components

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// view looks at a value of an instance; what it meets of variables it resolves.
type view struct {
	r  *reading
	in *instance
	v  *value
	or sluice.Place // when v is nil: what should have had it
}

// at goes down keys.
func (w view) at(keys ...string) view {
	for _, k := range keys {
		if w.v != nil {
			w.or = w.v.At
		}
		w.v = w.r.eval(w.in, w.v.Get(k), 0)
	}
	return w
}

func (w view) missing() bool { return w.v.IsNull() }

func (w view) place() sluice.Place {
	if w.v != nil {
		return w.v.At
	}
	return w.or
}

// str is a text; "" when it is not there. Lists and maps are no text, and noted.
func (w view) str() string {
	switch {
	case w.v.IsNull():
		return ""
	case w.v.IsMap() || w.v.IsList():
		w.r.fail(w.v.At, "", "want a text here, not %s", shown(w.v))
		return ""
	}
	return w.v.Text
}

// num is a whole number of at least low and at most high; or when it is not there.
func (w view) num(or, low, high int) int {
	if w.missing() {
		return or
	}
	n, err := strconv.Atoi(strings.TrimSpace(w.str()))
	if err != nil || n < low || n > high {
		w.r.fail(w.place(), "", "want a number from %d to %d, not %s", low, high, shown(w.v))
		return or
	}
	return n
}

// is reads true or false; or when it is not there.
func (w view) is(or bool) bool {
	if w.missing() {
		return or
	}
	switch strings.ToLower(w.str()) {
	case "true", "yes", "on", "open", "enable", "1":
		return true
	case "false", "no", "off", "close", "disable", "0":
		return false
	}
	w.r.fail(w.place(), "", "want true or false, not %s", shown(w.v))
	return or
}

// items are the elements of a list; a text is a list of one.
func (w view) items() []view {
	if w.missing() {
		return nil
	}
	if !w.v.IsList() {
		return []view{w}
	}
	out := make([]view, len(w.v.List))
	for i, e := range w.v.List {
		out[i] = view{w.r, w.in, w.r.eval(w.in, e, 0), w.v.At}
	}
	return out
}

// strs are the texts of a list.
func (w view) strs() []string {
	var out []string
	for _, e := range w.items() {
		out = append(out, e.str())
	}
	return out
}

// entry is one key of a map.
type entry struct {
	key string
	view
}

// entries are the keys of a map, in its order.
func (w view) entries() []entry {
	if w.missing() {
		return nil
	}
	if !w.v.IsMap() {
		w.r.fail(w.v.At, "", "want a map here, not %s", shown(w.v))
		return nil
	}
	out := make([]entry, len(w.v.Fields))
	for i, f := range w.v.Fields {
		out[i] = entry{f.Key, view{w.r, w.in, w.r.eval(w.in, f.Value, 0), f.At}}
	}
	return out
}

// known warns of the keys of a map that are not among names.
func (w view) known(what string, names ...string) {
	if !w.v.IsMap() {
		return
	}
	for _, f := range w.v.Fields {
		if !slices.Contains(names, f.Key) {
			w.r.warn(f.At, "%s: %q is ignored", what, f.Key)
		}
	}
}

// eval resolves the variables of a text; everything else stays, for who looks into it.
func (r *reading) eval(in *instance, v *value, depth int) *value {
	s, ok := "", false
	if v != nil {
		s, ok = v.Data.(string)
	}
	if !ok || !strings.Contains(s, "${") {
		return v
	}
	if depth > maxDepth {
		r.fail(v.At, "", "variables refer to each other in a circle")
		return nil
	}
	if r.steps++; r.steps > maxNodes {
		r.fail(sluice.Place{File: r.in.File}, "", "the template's variables take more than %d steps", maxNodes)
		return nil
	}
	var out strings.Builder
	for s != "" {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		end := closing(s[i:])
		if end < 0 {
			r.fail(v.At, "", "%q has no closing brace", s[i:])
			return nil
		}
		inner := r.eval(in, of(v.At, s[i+2:i+end]), depth+1)
		if inner == nil {
			return nil
		}
		found := r.lookup(in, v.At, strings.TrimSpace(inner.Text), depth+1)
		if found == nil {
			return nil
		}
		if i == 0 && end == len(s)-1 && out.Len() == 0 {
			found.At = v.At // errors are told where it is used
			return found
		}
		if found.IsMap() || found.IsList() {
			r.fail(v.At, "", "%s is %s, and cannot be part of a text", s[i:i+end+1], shown(found))
			return nil
		}
		if out.Len()+len(found.Text) > template.MaxFile {
			r.fail(v.At, "", "the text has more than %d bytes", template.MaxFile)
			return nil
		}
		out.WriteString(s[:i])
		out.WriteString(found.Text)
		s = s[i+end+1:]
	}
	out.WriteString(s)
	return of(v.At, out.String())
}

// closing is where the brace ends that a text begins with, "${…}"; -1 when it does not.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			depth++
			i++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// lookup finds what an expression means (section 4.1); nil when nothing, which is noted. What it returns
// may be changed.
func (r *reading) lookup(in *instance, at sluice.Place, expr string, depth int) *value {
	if name, ok := cutAny(expr, "env:", "env."); ok {
		return r.environ(in, at, name)
	}
	if rest, ok := strings.CutPrefix(expr, "output:"); ok {
		part := strings.SplitN(rest, ":", 3)
		if len(part) != 3 {
			r.fail(at, "${output:stage:app:instance.path}", "reference %q is not complete", expr)
			return nil
		}
		name, path, _ := strings.Cut(part[2], ".")
		if r.owns(part[1], name) {
			return r.output(at, expr, name, path, depth)
		}
		if r.in.Export != nil {
			if v, ok := r.in.Export(exportName(part[0], part[1], part[2])); ok {
				return of(at, v)
			}
		}
		r.fail(at, "deploy that app first", "${%s}: no app %q with the instance %q and this output is deployed here", expr, part[1], name)
		return nil
	}
	if in != nil {
		switch expr {
		case "name":
			return of(at, in.name)
		case "app":
			return of(at, in.app)
		case "stage":
			return of(at, in.stage)
		case "org":
			return of(at, in.org)
		case "region":
			return of(at, in.region())
		}
	}
	switch expr {
	case "appid", "appId", "AppId":
		return of(at, scf.AppID)
	case "stage":
		return of(at, r.stage)
	}
	if v := r.root.Get(expr); v != nil && !v.IsMap() { // a text at the top of the file
		if v = r.eval(nil, v, depth); v != nil {
			c := *v
			return &c
		}
		return nil
	}
	name, path, _ := strings.Cut(expr, ".")
	return r.output(at, expr, name, path, depth)
}

func cutAny(s string, prefixes ...string) (string, bool) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return rest, true
		}
	}
	return "", false
}

// environ is a variable of the environment, or of a .env file.
func (r *reading) environ(in *instance, at sluice.Place, name string) *value {
	if v, ok := r.in.Params[name]; ok {
		return of(at, v)
	}
	if r.in.Env != nil {
		if v, ok := r.in.Env(name); ok {
			return of(at, v)
		}
	}
	dirs := []string{r.in.Dir}
	if in != nil && in.dir != r.in.Dir {
		dirs = []string{in.dir, r.in.Dir}
	}
	for _, dir := range dirs {
		if v, ok := r.dotenv(dir)[name]; ok {
			return of(at, v)
		}
	}
	if name == "TENCENT_APP_ID" {
		return of(at, scf.AppID)
	}
	r.fail(at, "set it, write it into .env, or add --param "+name+"=…", "environment variable %s is not set", name)
	return nil
}

// dotenv is the .env file of a folder.
func (r *reading) dotenv(dir string) map[string]string {
	if m, ok := r.envs[dir]; ok {
		return m
	}
	m := map[string]string{}
	text, err := template.ReadFile(filepath.Join(dir, ".env"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.fail(sluice.Place{File: ".env"}, "", "cannot be read: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, v, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		v = strings.TrimSpace(v)
		if len(v) > 1 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
			v = v[1 : len(v)-1]
		}
		m[strings.TrimSpace(name)] = v
	}
	r.envs[dir] = m
	return m
}

// owns reports whether a reference to an instance of an app means one of this app: of its name, or at
// least of its instances, since an app may be deployed under another name.
func (r *reading) owns(app, name string) bool {
	has := false
	for _, in := range r.instances {
		if in.app == app {
			return true
		}
		has = has || in.name == name
	}
	return has
}

// exportName is what other apps know an output by (section 4.1).
func exportName(stage, app, path string) string {
	return "output:" + stage + ":" + app + ":" + strings.NewReplacer("[", ".", "]", "").Replace(path)
}

// export lists what the app's instances tell, for the templates of other apps.
func (r *reading) export() {
	for _, in := range r.instances {
		if in.v1 || in.app == "" || in.kind == ignored {
			continue
		}
		if in.out == nil {
			in.out = r.outputs(in)
		}
		r.exportAll(in, in.name, in.out)
	}
}

func (r *reading) exportAll(in *instance, path string, v *value) {
	switch {
	case v.IsMap():
		for _, f := range v.Fields {
			r.exportAll(in, path+"."+f.Key, f.Value)
		}
	case v.IsList():
		for i, e := range v.List {
			r.exportAll(in, path+"."+strconv.Itoa(i), e)
		}
	case !v.IsNull():
		r.app.Outputs = append(r.app.Outputs, sluice.Output{Name: path, Value: v.Text, Export: exportName(in.stage, in.app, path)})
	}
}

// output is a part of what an instance tells, or of its inputs.
func (r *reading) output(at sluice.Place, expr, name, path string, depth int) *value {
	i := slices.IndexFunc(r.instances, func(x *instance) bool { return x.name == name })
	if i < 0 {
		var names []string
		for _, x := range r.instances {
			names = append(names, x.name)
		}
		r.fail(at, "there are: "+strings.Join(names, ", "), "${%s} refers to %q, which is no instance of this app", expr, name)
		return nil
	}
	in := r.instances[i]
	if in.kind == ignored {
		r.warn(at, "${%s} is empty: %s is not run", expr, in.component)
		return of(at, "")
	}
	if in.busy || depth > maxDepth {
		r.fail(at, "", "${%s} refers to itself", expr)
		return nil
	}
	in.busy = true
	defer func() { in.busy = false }()
	wrong := r.wrong
	if in.out == nil {
		in.out = r.outputs(in)
	}
	for _, from := range []*value{in.out, in.inputs} {
		if v := r.walk(in, from, path, depth+1); v != nil {
			c := *v
			return &c
		}
	}
	if r.wrong > wrong { // it is there, and cannot be read
		return nil
	}
	var keys []string
	for _, f := range append(slices.Clone(in.out.Fields), in.inputs.Entries()...) {
		keys = append(keys, f.Key)
	}
	r.fail(at, fmt.Sprintf("%s has: %s", name, strings.Join(keys, ", ")), "${%s}: %s has no %q", expr, name, path)
	return nil
}

// walk goes down a path "a.b[0].c"; nil when it ends before.
func (r *reading) walk(in *instance, v *value, path string, depth int) *value {
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	for part := range strings.SplitSeq(path, ".") {
		if part == "" {
			continue
		}
		if v = r.eval(in, v, depth); v == nil {
			return nil
		}
		if n, err := strconv.Atoi(part); err == nil && v.IsList() && n >= 0 && n < len(v.List) {
			v = v.List[n]
		} else if v = v.Get(part); v == nil {
			return nil
		}
	}
	return r.eval(in, v, depth)
}

package sdevs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// module is one entry of services (edition 1) or resources (edition 3).
type module struct {
	r          *reading
	name       string
	at         sluice.Place
	kind       kind
	component  string
	body       *value
	propsValue *value
	out        *value
	deps       []*module
}

func (r *reading) moduleNamed(name string) *module {
	for _, m := range r.modules {
		if m.name == name {
			return m
		}
	}
	return nil
}

// meant is the module that a wrong name stands for: the only gateway when it says so, else the only
// module whose name contains it (repair R2).
func (r *reading) meant(name string) *module {
	find := func(ok func(m *module) bool) (found *module) {
		for _, m := range r.modules {
			if ok(m) {
				if found != nil {
					return nil
				}
				found = m
			}
		}
		return found
	}
	if strings.Contains(strings.ToLower(name), "gateway") {
		if m := find(func(m *module) bool { return m.kind == apigateway || m.kind == apiGateway }); m != nil {
			return m
		}
	}
	return find(func(m *module) bool { return strings.Contains(m.name, name) })
}

func (m *module) needs(other *module) {
	if !slices.Contains(m.deps, other) {
		m.deps = append(m.deps, other)
	}
}

// listModules reads the modules of either edition and tells what each one is.
func (r *reading) listModules() {
	found := false
	for _, key := range []string{"services", "resources"} {
		list := r.root.GetFold(key)
		if list.IsNull() {
			continue
		}
		if !list.IsMap() {
			r.fail(list.At, "", "%s is %s, not a map of modules", key, list.Kind())
			return
		}
		found = true
		for _, f := range list.Fields {
			r.addModule(f)
		}
	}
	if !found {
		hint := "edition 1.0.0 keeps modules under services, 3.0.0 under resources"
		for _, k := range r.root.Keys() {
			if n := nearest(k, []string{"services", "resources"}); n != "" {
				hint = fmt.Sprintf("%q should be %q", k, n)
			}
		}
		r.fail(sluice.Place{File: r.in.File}, hint, "the template has no modules")
		return
	}
	for _, name := range r.in.Skip {
		if r.moduleNamed(name) == nil {
			var names []string
			for _, m := range r.modules {
				names = append(names, m.name)
			}
			r.fail(sluice.Place{File: r.in.File}, suggest(name, names), "there is no module %q to skip", name)
		}
	}
	r.environment() // which may be asked for in vain
	flow := r.flow()
	for _, m := range r.modules {
		switch {
		case slices.Contains(r.in.Skip, m.name):
			m.kind = ignored
			r.warn(m.at, "module %q is skipped", m.name)
		case flow != nil && !slices.Contains(flow, m.name):
			m.kind = ignored
			r.warn(m.at, "module %q is not in flow.deploy and is left out", m.name)
		default:
			r.classify(m)
		}
	}
	for _, m := range r.modules {
		if m.kind != ignored {
			r.lift(m)
			r.overlaid(m)
			r.typos(m.props(), props[m.kind])
		}
	}
}

func (r *reading) addModule(f field) {
	m := &module{r: r, name: f.Key, at: f.At, body: f.Value}
	if !f.Value.IsMap() {
		r.fail(f.At, "", "module %q is %s, not a map", f.Key, f.Value.Kind())
		return
	}
	if r.moduleNamed(f.Key) != nil {
		r.fail(f.At, "", "module %q is defined twice", f.Key)
		return
	}
	m.propsValue = f.Value.GetFold("props")
	if m.propsValue.IsNull() {
		m.propsValue = &value{At: f.At, Fields: []field{}}
	}
	r.modules = append(r.modules, m)
	r.inherit(m)
}

// inherit lays a module's props over those of the template block that it extends (edition 3).
func (r *reading) inherit(m *module) {
	ext := m.body.GetFold("extend")
	if ext.IsNull() {
		return
	}
	name := ext
	if ext.IsMap() {
		name = ext.GetFold("name")
	}
	if name.IsNull() {
		r.fail(ext.At, "", "extend of module %q has no name", m.name)
		return
	}
	blocks := r.root.GetFold("template")
	base := blocks.GetFold(name.Text)
	if base == nil {
		r.fail(name.At, suggest(name.Text, blocks.Keys()), "module %q extends %q, which is not under template", m.name, name.Text)
		return
	}
	if ignore := ext.GetFold("ignore"); ignore.IsList() && base.IsMap() {
		kept := &value{At: base.At, Fields: []field{}}
		for _, f := range base.Fields {
			if !slices.ContainsFunc(ignore.List, func(v *value) bool { return v.Text == f.Key }) {
				kept.Fields = append(kept.Fields, f)
			}
		}
		base = kept
	}
	m.propsValue = merge(base, m.propsValue)
}

// flow is the modules that a deploy of an edition 3 template runs; nil is all.
func (r *reading) flow() []string {
	flow := r.root.GetFold("flow")
	if flow == nil {
		return nil
	}
	var names []string
	for _, f := range flow.Fields {
		if !forDeploy(f.Key) {
			continue
		}
		for _, group := range f.Value.List {
			for _, v := range append(slices.Clone(group.List), group) {
				if v.Text == "" {
					continue
				}
				if r.moduleNamed(v.Text) == nil {
					var known []string
					for _, m := range r.modules {
						known = append(known, m.name)
					}
					r.fail(v.At, suggest(v.Text, known), "flow names %q, which is no module", v.Text)
				}
				names = append(names, v.Text)
			}
		}
	}
	return names
}

var regexKey = regexp.MustCompile(`\$\{regex\(['"]?(.*?)['"]?\)\}`)

// forDeploy reports whether a key names the command deploy, as such or by ${regex('…')}.
func forDeploy(key string) bool {
	m := regexKey.FindStringSubmatch(key)
	if m == nil {
		return key == "deploy"
	}
	re, err := regexp.Compile(m[1]) // not anchored, as in the official tool
	return err == nil && re.MatchString("deploy")
}

// classify tells a module by its component's name: fc, devsapp/fc, fc@1.2.3; a path by its props.
func (r *reading) classify(m *module) {
	v := m.body.GetFold("component")
	name := r.vars.text(v, m)
	if name == "" {
		if v = r.vars.see(v, m); v == nil || !v.Broken {
			r.fail(m.at, "known are: "+strings.Join(componentNames(), ", "), "module %q has no component", m.name)
		}
		return
	}
	m.component = name
	if strings.HasPrefix(name, ".") || filepath.IsAbs(name) {
		switch p := m.propsValue; {
		case p.GetFold("function") != nil:
			m.kind = fc
		case p.GetFold("functionName") != nil:
			m.kind = fc3
		default:
			r.fail(v.At, "name a published component, or leave it out with --skip "+m.name, "component %q of module %q is a path, and its props are of no known kind", name, m.name)
		}
		return
	}
	short := name[strings.LastIndexByte(name, '/')+1:]
	short, _, _ = strings.Cut(strings.ToLower(short), "@")
	if k, ok := components[short]; ok {
		m.kind = k
		return
	}
	if slices.Contains(needless, short) {
		r.warn(v.At, "module %q (component %s) has nothing to do here and is skipped", m.name, short)
		return
	}
	hint := "leave it out with --skip " + m.name
	if n := nearest(short, componentNames()); n != "" {
		hint = fmt.Sprintf("did you mean %q? Or %s", n, hint)
	}
	r.fail(v.At, hint, "component %q of module %q is not known", name, m.name)
}

func componentNames() []string {
	var names []string
	for n := range components {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// lift moves props that stand beside "props" into it (repair R4).
func (r *reading) lift(m *module) {
	own := []string{"component", "props", "actions", "access", "extend", "provider"}
	for _, f := range m.body.Fields {
		if slices.Contains(own, f.Key) {
			continue
		}
		if !slices.Contains(props[m.kind], f.Key) {
			hint := ""
			if n := nearest(f.Key, append(own, props[m.kind]...)); n != "" {
				hint = fmt.Sprintf("; did you mean %q?", n)
			}
			r.warn(f.At, "module %q: key %q means nothing%s", m.name, f.Key, hint)
			continue
		}
		if m.propsValue.GetFold(f.Key) != nil {
			r.warn(f.At, "module %q: %q stands beside props and in it; the one in props counts", m.name, f.Key)
			continue
		}
		r.repair(f.At, "R4", "module %q: %q stands beside props and is read as one of them", m.name, f.Key)
		m.propsValue = &value{At: m.propsValue.At, Fields: append(slices.Clone(m.propsValue.Fields), f)}
	}
}

// region is the region that a module names.
func (m *module) region() string {
	for _, key := range []string{"region", "regionId"} {
		if s := m.props().at(key).str(); s != "" {
			return s
		}
	}
	return ""
}

// regionOr is the module's region, or the default one.
func (m *module) regionOr() string {
	if s := m.region(); s != "" {
		return s
	}
	return defaultRegion
}

func (m *module) props() view { return view{m, m.r.vars.see(m.propsValue, m), m.at, "props"} }

// view looks at a value of a module, its variables resolved. What is not there is an empty view;
// what is of the wrong kind is noted as an error and read as empty.
type view struct {
	m    *module
	v    *value
	spot sluice.Place // where it is, or would be
	name string
}

// at is the view of a key, or of a key of a key.
func (w view) at(keys ...string) view {
	for _, key := range keys {
		place := w.spot
		if w.v != nil && w.v.At.File != "" {
			place = w.v.At
		}
		if !w.v.IsMap() && !w.v.IsNull() {
			w.wrong("a map")
		}
		w = view{w.m, w.m.r.vars.see(w.v.GetFold(key), w.m), place, key}
	}
	return w
}

// place is where the value is; where it is missing, where it would be.
func (w view) place() sluice.Place {
	if w.v != nil && w.v.At.File != "" {
		return w.v.At
	}
	return w.spot
}

// missing reports whether there is nothing, nor an error already.
func (w view) missing() bool { return w.v.IsNull() && !w.broken() }

// broken reports whether an error was noted for the value already.
func (w view) broken() bool { return w.v != nil && w.v.Broken }

func (w view) wrong(want string) {
	w.m.r.fail(w.place(), "", "%s of module %q is %s, not %s", w.name, w.m.name, w.v.Kind(), want)
}

// str is a text; numbers and booleans as they are written.
func (w view) str() string {
	if w.v.IsMap() || w.v.IsList() {
		w.wrong("text")
		return ""
	}
	if w.v.IsNull() {
		return ""
	}
	return w.v.Text
}

// or is str, or def when it is empty.
func (w view) or(def string) string {
	if s := w.str(); s != "" {
		return s
	}
	return def
}

// num is a whole number within bounds, def when it is not there.
func (w view) num(def, lo, hi int) int {
	s := strings.TrimSpace(w.str())
	if s == "" {
		return def
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		w.wrong("a number")
		return def
	}
	if n < float64(lo) || n > float64(hi) {
		w.m.r.fail(w.place(), fmt.Sprintf("use %d to %d", lo, hi), "%s of module %q is %s, which is out of range", w.name, w.m.name, s)
		return def
	}
	return int(n)
}

// seconds is num as a duration.
func (w view) seconds(def, lo, hi int) time.Duration {
	return time.Duration(w.num(def, lo, hi)) * time.Second
}

// yes is a boolean; "true" and TRUE are as good as true.
func (w view) yes() bool { return strings.EqualFold(w.str(), "true") }

// items are the views of a list's items; a single value is a list of one.
func (w view) items() []view {
	switch {
	case w.v.IsNull():
		return nil
	case w.v.IsList():
		var items []view
		for _, e := range w.v.List {
			if v := w.m.r.vars.see(e, w.m); v != nil {
				items = append(items, view{w.m, v, w.v.At, w.name})
			}
		}
		return items
	}
	return []view{w}
}

// strs is a list of texts; text with commas or spaces, when sep says so, is a list too.
func (w view) strs(sep string) []string {
	var list []string
	for _, e := range w.items() {
		s := e.str()
		if sep != "" {
			list = append(list, strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(sep, c) })...)
		} else if s != "" {
			list = append(list, s)
		}
	}
	return list
}

// pairs are a map's keys with their views, in order.
func (w view) pairs() []view {
	if w.v.IsNull() {
		return nil
	}
	if !w.v.IsMap() {
		w.wrong("a map")
		return nil
	}
	var out []view
	for _, f := range w.v.Fields {
		out = append(out, view{w.m, w.m.r.vars.see(f.Value, w.m), f.At, f.Key})
	}
	return out
}

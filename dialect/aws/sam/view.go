package sam

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// view is a property of a resource on its way into the App: what asks for a kind of value notes an error
// when it is another.
type view struct {
	b    *builder
	r    *cfn.Resource
	path string     // "Environment.Variables"; "" is the resource itself
	v    *cfn.Value // resolved; nil when it is not there
}

// props are the properties of a resource.
func (b *builder) props(r *cfn.Resource) view { return view{b: b, r: r} }

// at goes down by keys.
func (w view) at(keys ...string) view {
	for _, key := range keys {
		if w.path == "" {
			w.v, w.path = w.b.t.Prop(w.r, key), key
			continue
		}
		if w.v != nil && !w.v.Broken && !w.v.IsMap() && !w.v.IsNull() {
			w.wrong("a map")
		}
		w.v, w.path = w.v.Get(key), w.path+"."+key
	}
	return w
}

func (w view) missing() bool { return w.v.IsNull() && !w.broken() }
func (w view) broken() bool  { return w.v != nil && w.v.Broken }

// place is where it stands, or the resource when it is not there.
func (w view) place() sluice.Place {
	if w.v == nil || w.v.At.File == "" {
		return w.r.At
	}
	return w.v.At
}

func (w view) wrong(wants string) {
	if w.v.Broken {
		return
	}
	is := cfn.Kind(w.v)
	if s := w.v.Str(); s != "" {
		if len(s) > 100 {
			s = s[:100] + "…"
		}
		is = strconv.Quote(s)
	}
	w.b.fail(w.place(), "", "%s of resource %q wants %s, not %s", w.path, w.r.ID, wants, is)
}

// need is w, with an error when it is not there.
func (w view) need() view {
	if w.missing() {
		w.b.fail(w.place(), "", "resource %q has no %s", w.r.ID, w.path)
	}
	return w
}

// str is text; "" when it is not there.
func (w view) str() string {
	if w.v.IsNull() {
		return ""
	}
	if w.v.IsMap() || w.v.IsList() {
		w.wrong("text")
		return ""
	}
	return w.v.Str()
}

func (w view) or(def string) string {
	if s := w.str(); s != "" {
		return s
	}
	return def
}

// num is a whole number; def when it is not there.
func (w view) num(def, lo, hi int) int {
	if w.v.IsNull() {
		return def
	}
	n, err := strconv.Atoi(w.v.Str())
	if f, ferr := strconv.ParseFloat(w.v.Str(), 64); err != nil && ferr == nil && f == math.Trunc(f) && math.Abs(f) < 1e15 {
		n, err = int(f), nil
	}
	if err != nil || n < lo || n > hi {
		wants := fmt.Sprintf("a number of %d to %d", lo, hi)
		if hi == math.MaxInt32 {
			wants = fmt.Sprintf("a number of %d or more", lo)
		}
		w.wrong(wants)
		return def
	}
	return n
}

func (w view) float() float64 {
	if w.v.IsNull() {
		return 0
	}
	f, err := strconv.ParseFloat(w.v.Str(), 64)
	if err != nil {
		w.wrong("a number")
	}
	return f
}

// truth is true or false; def when it is not there.
func (w view) truth(def bool) bool {
	if w.v.IsNull() {
		return def
	}
	switch strings.ToLower(w.v.Str()) {
	case "true", "yes", "on", "1":
		return true
	case "false", "no", "off", "0":
		return false
	}
	w.wrong("true or false")
	return def
}

// items are those of a list; a value that is none stands for a list of itself.
func (w view) items() []view {
	if w.v.IsNull() {
		return nil
	}
	if !w.v.IsList() {
		return []view{w}
	}
	out := make([]view, len(w.v.List))
	for i, e := range w.v.List {
		out[i] = view{w.b, w.r, fmt.Sprintf("%s[%d]", w.path, i), e}
	}
	return out
}

func (w view) strs() []string {
	var out []string
	for _, e := range w.items() {
		if s := e.str(); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// entry is one field of a map.
type entry struct {
	key string
	view
}

// pairs are the entries of a map, in the template's order.
func (w view) pairs() []entry {
	if w.v.IsNull() {
		return nil
	}
	if !w.v.IsMap() {
		w.wrong("a map")
		return nil
	}
	out := make([]entry, len(w.v.Fields))
	for i, f := range w.v.Fields {
		out[i] = entry{f.Key, view{w.b, w.r, w.path + "." + f.Key, f.Value}}
	}
	return out
}

// texts is a map of texts; lists and maps in it become JSON.
func (w view) texts() map[string]string {
	var out map[string]string
	for _, e := range w.pairs() {
		if out == nil {
			out = map[string]string{}
		}
		if e.v.IsMap() || e.v.IsList() {
			out[e.key] = e.v.JSON()
		} else {
			out[e.key] = e.str()
		}
	}
	return out
}

// typos warns of properties that a resource does not have but that look like one of known.
func (b *builder) typos(r *cfn.Resource, known []string) {
	for _, f := range r.Props.Fields {
		for _, k := range known {
			if k == f.Key {
				goto next
			}
		}
		if n := cfn.Nearest(f.Key, known); n != "" {
			b.t.Warn(f.At, "property %s of resource %q means nothing; did you mean %s?", f.Key, r.ID, n)
		}
	next:
	}
}

package sdevs

import (
	"errors"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/internal/yamlvalue"
)

// Limits of a template, far above any real one. Aliases count each time that they are used.
const (
	maxNodes = 100_000
	maxDepth = yamlvalue.MaxDepth
)

// value is one node of a template.
type value struct {
	at     sluice.Place
	data   any // nil, string, bool, int64 or float64; not for lists and maps
	text   string
	list   []*value // not nil in a list
	fields []field  // not nil in a map
	broken bool     // an error was noted for it; say no more
}

type field struct {
	key string
	at  sluice.Place
	val *value
}

func (v *value) isMap() bool  { return v != nil && v.fields != nil }
func (v *value) isList() bool { return v != nil && v.list != nil }
func (v *value) isNull() bool { return v == nil || v.data == nil && v.list == nil && v.fields == nil }

// get is the value of a key, nil when it is not there. The first letter may be of either case, for
// published templates spell it both ways.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for _, f := range v.fields {
		if f.key == key {
			return f.val
		}
	}
	for _, f := range v.fields {
		if len(f.key) == len(key) && len(key) > 0 && f.key[1:] == key[1:] && strings.EqualFold(f.key[:1], key[:1]) {
			return f.val
		}
	}
	return nil
}

func (v *value) keys() []string {
	keys := make([]string, len(v.fields))
	for i, f := range v.fields {
		keys[i] = f.key
	}
	return keys
}

// kind is what a value is, for messages.
func (v *value) kind() string {
	switch {
	case v.isMap():
		return "a map"
	case v.isList():
		return "a list"
	case v.isNull():
		return "empty"
	}
	switch v.data.(type) {
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	}
	return "text"
}

// plain is v as encoding/json would have it.
func (v *value) plain(depth int) any {
	switch {
	case depth > maxDepth:
		return nil
	case v.isMap():
		m := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			m[f.key] = f.val.plain(depth + 1)
		}
		return m
	case v.isList():
		l := make([]any, len(v.list))
		for i, e := range v.list {
			l[i] = e.plain(depth + 1)
		}
		return l
	case v == nil:
		return nil
	}
	return v.data
}

// scalar makes a text value.
func scalar(at sluice.Place, s string) *value { return &value{at: at, data: s, text: s} }

// mapping makes a map of name, value, name, value …; values are strings or *value.
func mapping(at sluice.Place, pairs ...any) *value {
	v := &value{at: at, fields: []field{}}
	for i := 0; i < len(pairs); i += 2 {
		val, ok := pairs[i+1].(*value)
		if !ok {
			val = scalar(at, pairs[i+1].(string))
		}
		v.fields = append(v.fields, field{pairs[i].(string), at, val})
	}
	return v
}

func listing(at sluice.Place, items ...*value) *value {
	return &value{at: at, list: append([]*value{}, items...)}
}

// merge lays over upon v, deeply: maps join, everything else is replaced.
func (v *value) merge(over *value) *value {
	if !v.isMap() || !over.isMap() {
		return over
	}
	out := &value{at: over.at, fields: append([]field{}, v.fields...)}
next:
	for _, f := range over.fields {
		for i := range out.fields {
			if out.fields[i].key == f.key {
				out.fields[i].val = out.fields[i].val.merge(f.val)
				continue next
			}
		}
		out.fields = append(out.fields, f)
	}
	return out
}

// parse turns text into a tree. Its errors have places.
func parse(file string, text []byte) (*value, error) {
	n, wrong := yamlvalue.Parse(text, maxNodes)
	var errs []error
	for _, w := range wrong {
		errs = append(errs, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: file, Line: w.Line}, Msg: w.Text, Hint: w.Hint})
	}
	if n == nil {
		return nil, errors.Join(errs...)
	}
	return tree(file, n), errors.Join(errs...)
}

func tree(file string, n *yamlvalue.Node) *value {
	v := &value{at: sluice.Place{File: file, Line: n.Line}, data: n.Data, text: n.Text}
	if n.List != nil {
		v.list = make([]*value, len(n.List))
		for i, e := range n.List {
			v.list[i] = tree(file, e)
		}
	}
	if n.Fields != nil {
		v.fields = make([]field, len(n.Fields))
		for i, f := range n.Fields {
			v.fields[i] = field{f.Key, sluice.Place{File: file, Line: f.Line}, tree(file, f.Value)}
		}
	}
	return v
}

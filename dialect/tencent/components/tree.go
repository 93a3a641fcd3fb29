package components

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/internal/yamlvalue"
)

// Limits of a template, far above any real one. Aliases count each time that they are used.
const (
	maxFile  = yamlvalue.MaxFile
	maxNodes = 100_000
	maxDepth = yamlvalue.MaxDepth
)

// value is one node of a template.
type value struct {
	at     sluice.Place
	data   any // nil, string, bool, int64 or float64; not of lists and maps
	text   string
	list   []*value // not nil in a list
	fields []field  // not nil in a map
}

type field struct {
	key string
	at  sluice.Place
	val *value
}

func (v *value) isMap() bool  { return v != nil && v.fields != nil }
func (v *value) isList() bool { return v != nil && v.list != nil }
func (v *value) isNull() bool { return v == nil || v.data == nil && v.list == nil && v.fields == nil }

// get is the value of a key, nil when it is not there.
func (v *value) get(key string) *value {
	if v != nil {
		for _, f := range v.fields {
			if f.key == key {
				return f.val
			}
		}
	}
	return nil
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
	return fmt.Sprintf("%q", v.text)
}

// of makes a value of what Go has: strings, booleans, integers, lists and maps as pairs.
func of(at sluice.Place, x any) *value {
	switch x := x.(type) {
	case *value:
		return x
	case pairs:
		v := &value{at: at, fields: []field{}}
		for i := 0; i+1 < len(x); i += 2 {
			v.fields = append(v.fields, field{x[i].(string), at, of(at, x[i+1])})
		}
		return v
	case []any:
		v := &value{at: at, list: []*value{}}
		for _, e := range x {
			v.list = append(v.list, of(at, e))
		}
		return v
	case []string:
		v := &value{at: at, list: []*value{}}
		for _, e := range x {
			v.list = append(v.list, of(at, e))
		}
		return v
	case int:
		return &value{at: at, data: int64(x), text: strconv.Itoa(x)}
	}
	return &value{at: at, data: x, text: fmt.Sprint(x)}
}

// pairs is a map: name, value, name, value …
type pairs []any

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

// orNull is v, or an empty value.
func orNull(v *value, at sluice.Place) *value {
	if v == nil {
		return &value{at: at}
	}
	return v
}

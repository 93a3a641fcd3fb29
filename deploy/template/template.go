// Package template reads the files that describe apps: YAML as a tree of values that know their places, in their
// order, with mistakes told by file and line. What a template means is its dialect's.
package template

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
)

// Value is one value of a template: a scalar, a list or a map.
type Value struct {
	At     sluice.Place
	Tag    string   // a tag of the template's own language, "!Sub"; "" is none
	Data   any      // of a scalar: nil, string, bool, int64 or float64
	Text   string   // of a scalar, as written
	List   []*Value // not nil in a list
	Fields []Field  // not nil in a map
	Broken bool     // an error was noted for it; say no more
}

// Field is one entry of a map.
type Field struct {
	Key   string
	At    sluice.Place
	Value *Value
}

// Text makes a text value.
func Text(at sluice.Place, s string) *Value { return &Value{At: at, Data: s, Text: s} }

// Bool makes a truth value.
func Bool(at sluice.Place, b bool) *Value {
	return &Value{At: at, Data: b, Text: strconv.FormatBool(b)}
}

// List makes a list.
func List(at sluice.Place, items ...*Value) *Value {
	return &Value{At: at, List: append([]*Value{}, items...)}
}

// Map makes a map of name, value, name, value …; values are strings, bools or *Value. Those that are a nil
// *Value are left out.
func Map(at sluice.Place, pairs ...any) *Value {
	v := &Value{At: at, Fields: []Field{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		var val *Value
		switch p := pairs[i+1].(type) {
		case *Value:
			val = p
		case string:
			val = Text(at, p)
		case bool:
			val = Bool(at, p)
		}
		if val != nil {
			v.Fields = append(v.Fields, Field{pairs[i].(string), at, val})
		}
	}
	return v
}

// IsMap reports whether v is a map.
func (v *Value) IsMap() bool { return v != nil && v.Fields != nil }

// IsList reports whether v is a list.
func (v *Value) IsList() bool { return v != nil && v.List != nil }

// IsNull reports whether v is not there or empty.
func (v *Value) IsNull() bool {
	return v == nil || v.Data == nil && v.List == nil && v.Fields == nil
}

// Place is where v is, or else is.
func (v *Value) Place(or sluice.Place) sluice.Place {
	if v == nil {
		return or
	}
	return v.At
}

// Items are the values of a list; none when v is none.
func (v *Value) Items() []*Value {
	if v == nil {
		return nil
	}
	return v.List
}

// Entries are the fields of a map; none when v is none.
func (v *Value) Entries() []Field {
	if v == nil {
		return nil
	}
	return v.Fields
}

// Get is the value of a key; nil when v is no map or has no such key.
func (v *Value) Get(key string) *Value {
	for _, f := range v.Entries() {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// GetFold is Get for templates that spell the first letter of a key in either case. The very key wins.
func (v *Value) GetFold(key string) *Value {
	if val := v.Get(key); val != nil || key == "" {
		return val
	}
	for _, f := range v.Entries() {
		if len(f.Key) == len(key) && f.Key[1:] == key[1:] && strings.EqualFold(f.Key[:1], key[:1]) {
			return f.Value
		}
	}
	return nil
}

// Keys are the keys of a map, in the template's order.
func (v *Value) Keys() []string {
	if v == nil {
		return nil
	}
	keys := make([]string, len(v.Fields))
	for i, f := range v.Fields {
		keys[i] = f.Key
	}
	return keys
}

// With is a copy of a map with one more key, or another value for it; a nil val takes the key away.
func (v *Value) With(key string, val *Value) *Value {
	out := &Value{At: v.At, Fields: []Field{}}
	done := false
	for _, f := range v.Fields {
		if f.Key == key {
			if done = true; val == nil {
				continue
			}
			f.Value = val
		}
		out.Fields = append(out.Fields, f)
	}
	if !done && val != nil {
		out.Fields = append(out.Fields, Field{key, val.At, val})
	}
	return out
}

// Str is the text of a scalar, "" for everything else.
func (v *Value) Str() string {
	if v == nil {
		return ""
	}
	switch d := v.Data.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(d)
	case string:
		return d
	}
	return v.Text
}

// Kind says what a value is, for messages.
func (v *Value) Kind() string {
	switch {
	case v.IsMap():
		return "a map"
	case v.IsList():
		return "a list"
	case v.IsNull():
		return "empty"
	}
	switch v.Data.(type) {
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	}
	return "text"
}

// Plain is v as encoding/json would have it, without what lies deeper than any template.
func (v *Value) Plain() any { return v.plain(0) }

func (v *Value) plain(depth int) any {
	switch {
	case v == nil || depth > 4*MaxDepth:
		return nil
	case v.IsMap():
		m := make(map[string]any, len(v.Fields))
		for _, f := range v.Fields {
			m[f.Key] = f.Value.plain(depth + 1)
		}
		return m
	case v.IsList():
		l := make([]any, len(v.List))
		for i, e := range v.List {
			l[i] = e.plain(depth + 1)
		}
		return l
	}
	return v.Data
}

// JSON is v as JSON text, the keys of its maps sorted.
func (v *Value) JSON() string {
	b, err := json.Marshal(v.Plain())
	if err != nil {
		return "" // no data of a Value is beyond JSON
	}
	return string(b)
}

package cfn

import (
	"encoding/json"
	"strconv"

	"github.com/sluicehq/sluice"
)

// Value is one node of a template, as written or as Template.Eval resolved it. Nodes are never changed
// once they are made.
type Value struct {
	At     sluice.Place
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

// Ref is a reference to a parameter or resource, not resolved yet.
func Ref(at sluice.Place, name string) *Value { return Map(at, "Ref", name) }

// GetAtt is an attribute of a resource, not resolved yet.
func GetAtt(at sluice.Place, name, attr string) *Value {
	return Map(at, "Fn::GetAtt", List(at, Text(at, name), Text(at, attr)))
}

// Sub is text with ${…} in it, not resolved yet.
func Sub(at sluice.Place, text string) *Value { return Map(at, "Fn::Sub", text) }

// IsMap reports whether v is a map.
func (v *Value) IsMap() bool { return v != nil && v.Fields != nil }

// IsList reports whether v is a list.
func (v *Value) IsList() bool { return v != nil && v.List != nil }

// IsNull reports whether v is not there or empty.
func (v *Value) IsNull() bool {
	return v == nil || v.Data == nil && v.List == nil && v.Fields == nil
}

// Get is the value of a key; nil when v is no map or has no such key.
func (v *Value) Get(key string) *Value {
	if v == nil {
		return nil
	}
	for i := range v.Fields {
		if v.Fields[i].Key == key {
			return v.Fields[i].Value
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
		if name, _ := v.intrinsic(); name != "" {
			return name
		}
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

// Plain is v as encoding/json would have it.
func (v *Value) Plain() any {
	switch {
	case v.IsMap():
		m := make(map[string]any, len(v.Fields))
		for _, f := range v.Fields {
			m[f.Key] = f.Value.Plain()
		}
		return m
	case v.IsList():
		l := make([]any, len(v.List))
		for i, e := range v.List {
			l[i] = e.Plain()
		}
		return l
	case v == nil:
		return nil
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

// intrinsic is the function that a map stands for, and its argument; "" when it is data.
func (v *Value) intrinsic() (name string, arg *Value) {
	if v == nil || len(v.Fields) != 1 {
		return "", nil
	}
	key := v.Fields[0].Key
	if key == "Ref" || len(key) > 4 && key[:4] == "Fn::" {
		return key, v.Fields[0].Value
	}
	return "", nil
}

// IsFunction reports whether v is a call of an intrinsic function, not resolved yet.
func (v *Value) IsFunction() bool {
	name, _ := v.intrinsic()
	return name != ""
}

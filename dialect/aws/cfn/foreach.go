package cfn

import (
	"github.com/sluicehq/sluice/deploy/template"
	"strings"
)

const forEach = "Fn::ForEach::"

// expand is the fields of a map with its loops (Fn::ForEach::Name: [variable, list, {key: value}]) written
// out.
func (t *Template) expand(m *Value) []Field {
	loops := false
	for _, f := range m.Entries() {
		loops = loops || strings.HasPrefix(f.Key, forEach)
	}
	if !loops {
		return m.Entries()
	}
	var out []Field
	for _, f := range m.Fields {
		if !strings.HasPrefix(f.Key, forEach) {
			out = append(out, f)
			continue
		}
		if len(f.Value.Items()) != 3 || !f.Value.List[2].IsMap() {
			t.wants(f.At, f.Key, "a variable, a list and a map")
			continue
		}
		over := t.Eval(f.Value.List[1])
		for _, item := range over.Items() {
			if !isText(item) {
				t.wants(f.At, f.Key, "a list of texts")
				break
			}
			if t.evals++; t.evals > maxEvals {
				break
			}
			out = append(out, t.expand(t.fill(f.Value.List[2], f.Value.List[0].Str(), item.Str()))...)
		}
	}
	return out
}

// fill writes the variable of a loop into a part of the template: ${X} and &{X} in keys and texts, and
// {Ref: X}.
func (t *Template) fill(v *Value, name, val string) *Value {
	if t.evals++; v == nil || t.evals > maxEvals {
		return v
	}
	write := strings.NewReplacer("${"+name+"}", val, "&{"+name+"}", notInName.ReplaceAllString(val, ""))
	if fn, arg := intrinsic(v); fn == "Ref" && arg.Str() == name {
		return template.Text(v.At, val)
	}
	switch {
	case v.IsMap():
		out := &Value{At: v.At, Fields: make([]Field, 0, len(v.Fields))}
		for _, f := range v.Fields {
			out.Fields = append(out.Fields, Field{Key: write.Replace(f.Key), At: f.At, Value: t.fill(f.Value, name, val)})
		}
		return out
	case v.IsList():
		out := &Value{At: v.At, List: make([]*Value, 0, len(v.List))}
		for _, e := range v.List {
			out.List = append(out.List, t.fill(e, name, val))
		}
		return out
	}
	if s, ok := v.Data.(string); ok && strings.ContainsAny(s, "$&") {
		return template.Text(v.At, write.Replace(s))
	}
	return v
}

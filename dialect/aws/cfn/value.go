package cfn

import (
	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// Value is one value of a template. A map of one field may be a call of an intrinsic function.
type (
	Value = template.Value
	Field = template.Field
)

// Ref is a reference to a parameter or resource, not resolved yet.
func Ref(at sluice.Place, name string) *Value { return template.Map(at, "Ref", name) }

// GetAtt is an attribute of a resource, not resolved yet.
func GetAtt(at sluice.Place, name, attr string) *Value {
	return template.Map(at, "Fn::GetAtt", template.List(at, template.Text(at, name), template.Text(at, attr)))
}

// Sub is text with ${…} in it, not resolved yet.
func Sub(at sluice.Place, text string) *Value { return template.Map(at, "Fn::Sub", text) }

// intrinsic is the function that a map stands for, and its argument; "" when it is data.
func intrinsic(v *Value) (name string, arg *Value) {
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
func IsFunction(v *Value) bool {
	name, _ := intrinsic(v)
	return name != ""
}

// Kind says what a value is, for messages: the name of an intrinsic function, too.
func Kind(v *Value) string {
	if name, _ := intrinsic(v); name != "" {
		return name
	}
	return v.Kind()
}

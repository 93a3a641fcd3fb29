package cfn

import (
	"strings"

	"github.com/sluicehq/sluice"
)

// truth is what is known of a condition.
type truth uint8

const (
	asked truth = iota + 1 // being found out
	yes
	no
)

// Holds reports whether a condition holds: a name, or a function that conditions are made of. One that is
// wrong is noted and does not hold.
func (t *Template) Holds(v *Value) bool {
	if t.evals++; t.evals > maxEvals || t.depth > 2*maxDepth {
		t.Eval(v)
		return false
	}
	t.depth++
	defer func() { t.depth-- }()
	if isText(v) {
		if b, ok := v.Data.(bool); ok {
			return b
		}
		return t.named(v)
	}
	if v.IsMap() && len(v.Fields) == 1 {
		name, arg := v.Fields[0].Key, v.Fields[0].Value
		switch name {
		case "Condition":
			return t.named(arg)
		case "Fn::Equals":
			if len(arg.Items()) != 2 {
				t.wants(v.At, name, "two values")
				return false
			}
			a, b := t.Eval(arg.List[0]), t.Eval(arg.List[1])
			return a != nil && b != nil && !brokenIn(a) && !brokenIn(b) && same(a, b)
		case "Fn::Not":
			if len(arg.Items()) != 1 {
				t.wants(v.At, name, "one condition")
				return false
			}
			return !t.Holds(arg.List[0])
		case "Fn::And", "Fn::Or":
			if n := len(arg.Items()); n < 1 || n > 10 {
				t.wants(v.At, name, "2 to 10 conditions")
				return false
			}
			all, any := true, false
			for _, c := range arg.List {
				holds := t.Holds(c)
				all, any = all && holds, any || holds
			}
			return name == "Fn::And" && all || name == "Fn::Or" && any
		case "Fn::If", "Ref", "Fn::FindInMap":
			if r := t.Eval(v); isText(r) {
				return strings.EqualFold(r.Str(), "true")
			}
			return false
		}
	}
	t.Fail(v.Place(sluice.Place{}), "", "%s is not a condition", Kind(v))
	return false
}

func (t *Template) named(v *Value) bool {
	name := v.Str()
	def := t.Root.Get("Conditions").Get(name)
	if def == nil {
		t.Fail(v.Place(sluice.Place{}), suggest(name, t.Root.Get("Conditions").Keys()), "the template has no condition %q", name)
		return false
	}
	switch t.conds[name] {
	case yes:
		return true
	case no:
		return false
	case asked:
		t.Fail(def.At, "", "condition %q needs itself", name)
		return false
	}
	t.conds[name] = asked
	holds := t.Holds(def)
	if t.conds[name] = no; holds {
		t.conds[name] = yes
	}
	return holds
}

// same compares values as CloudFormation does: scalars by their text.
func same(a, b *Value) bool {
	if a.IsMap() || a.IsList() || b.IsMap() || b.IsList() {
		return a.JSON() == b.JSON()
	}
	return a.Str() == b.Str()
}

// Pick is what Fn::If at the top of v chooses, the rest not resolved; nil for AWS::NoValue.
func (t *Template) Pick(v *Value) *Value {
	for range maxDepth {
		name, arg := intrinsic(v)
		if name == "Ref" && arg.Str() == "AWS::NoValue" {
			return nil
		}
		if name != "Fn::If" || len(arg.Items()) != 3 {
			return v
		}
		if t.Holds(arg.List[0]) {
			v = arg.List[1]
		} else {
			v = arg.List[2]
		}
	}
	return v
}

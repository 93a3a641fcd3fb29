package expr

import (
	"maps"
	"slices"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// The texts of updates that an item does not allow.
const (
	wrongOperand  = "An operand in the update expression has an incorrect data type"
	wrongPath     = "The document path provided in the update expression is invalid for update"
	noSource      = "The provided expression refers to an attribute that does not exist in the item"
	wrongOldValue = "Type mismatch for attribute to update"
)

// Apply returns the item as the update leaves it; item itself, nil for none, stays as it is. All
// actions see the item as it was. What the item's own values do not allow is a ValidationException.
func (u *Update) Apply(item attr.Item) (attr.Item, error) {
	if u == nil || len(u.actions) == 0 {
		return maps.Clone(item), nil
	}
	if item == nil {
		item = attr.Item{}
	}
	root := &branch{}
	for _, act := range u.actions {
		root.grow(act.path).do = act
	}
	v, _, err := root.change(table.Value{Type: table.Map, Map: item}, true, item)
	if err != nil {
		return nil, err
	}
	for _, act := range u.actions {
		if top, ok := v.Map[act.path[0].Name]; ok && attr.Depth(top) > attr.MaxDepth {
			return nil, attr.TooNested()
		}
	}
	return v.Map, nil
}

// change returns what becomes of the value at the branch, and whether any is left.
func (b *branch) change(v table.Value, there bool, item attr.Item) (table.Value, bool, *attr.Error) {
	if b.do != nil {
		return b.do.run(v, there, item)
	}
	if !there {
		return v, false, attr.Invalid(wrongPath)
	}
	switch lists := b.twigs[0].step.List; {
	case v.Type == table.Map && !lists:
		v.Map = maps.Clone(v.Map)
		for _, t := range b.twigs {
			e, ok := v.Map[t.step.Name]
			e, ok, err := t.change(e, ok, item)
			if err != nil {
				return v, false, err
			}
			if ok {
				v.Map[t.step.Name] = e
			} else {
				delete(v.Map, t.step.Name)
			}
		}
	case v.Type == table.List && lists:
		slices.SortFunc(b.twigs, func(a, b *branch) int { return a.step.Index - b.step.Index })
		old := v.List
		v.List = make([]table.Value, 0, len(old)+len(b.twigs))
		next := 0 // of old
		for _, t := range b.twigs {
			i := min(t.step.Index, len(old))
			v.List = append(v.List, old[next:i]...)
			next = i
			e, ok := table.Value{}, i < len(old)
			if ok {
				e = old[i]
				next++
			}
			e, ok, err := t.change(e, ok, item)
			if err != nil {
				return v, false, err
			}
			if ok {
				v.List = append(v.List, e)
			}
		}
		v.List = append(v.List, old[next:]...)
	default:
		return v, false, attr.Invalid(wrongPath)
	}
	return v, true, nil
}

// run does the action to the value at its path.
func (act *action) run(v table.Value, there bool, item attr.Item) (table.Value, bool, *attr.Error) {
	switch act.verb {
	case "SET":
		v, err := act.value.compute(item)
		return v, true, err
	case "REMOVE":
		return v, false, nil
	}
	operand := act.value.value
	if there && v.Type != operand.Type {
		if act.old {
			return v, false, attr.Invalid(wrongOldValue)
		}
		return v, false, attr.Invalid(wrongOperand)
	}
	switch {
	case act.verb == "DELETE":
		left := slices.DeleteFunc(slices.Clone(v.List), func(e table.Value) bool { return attr.InSet(operand, e) })
		return table.Value{Type: operand.Type, List: left}, len(left) > 0, nil
	case !there:
		return operand, true, nil
	case operand.Type == table.Decimal:
		n, err := attr.Add(v.Str, operand.Str)
		return attr.Number(n), true, err
	case operand.Type == table.List:
		return table.Value{Type: table.List, List: slices.Concat(v.List, operand.List)}, true, nil
	}
	return attr.NewSet(operand.Type, slices.Concat(v.List, operand.List)), true, nil
}

// compute is what the right side of a SET amounts to.
func (n *node) compute(item attr.Item) (table.Value, *attr.Error) {
	switch n.op {
	case opValue:
		return n.value, nil
	case opPath:
		v, ok := n.path.Get(item)
		if !ok {
			return v, attr.Invalid(noSource)
		}
		return v, nil
	}
	if n.name == "if_not_exists" {
		if v, ok := n.args[0].path.Get(item); ok {
			return v, nil
		}
		return n.args[1].compute(item)
	}
	want := table.Decimal
	if n.name == "list_append" {
		want = table.List
	}
	a, err := n.args[0].compute(item)
	if err != nil {
		return a, err
	}
	if a.Type != want {
		return a, attr.Invalid(wrongOperand)
	}
	b, err := n.args[1].compute(item)
	if err != nil {
		return b, err
	}
	if b.Type != want {
		return b, attr.Invalid(wrongOperand)
	}
	var sum string
	switch n.name {
	case "+":
		sum, err = attr.Add(a.Str, b.Str)
	case "-":
		sum, err = attr.Subtract(a.Str, b.Str)
	default:
		return table.Value{Type: table.List, List: slices.Concat(a.List, b.List)}, nil
	}
	return attr.Number(sum), err
}

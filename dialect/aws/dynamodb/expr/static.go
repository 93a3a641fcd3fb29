package expr

import (
	"slices"

	"github.com/sluicehq/sluice/table"
)

// Reads are the paths that the update's values come from, in their order, repeats included.
func (u *Update) Reads() []Path {
	if u == nil {
		return nil
	}
	var list []Path
	for _, act := range u.actions {
		if act.value == nil {
			continue
		}
		act.value.walk(func(n *node) {
			if n.op == opPath {
				list = append(list, n.path)
			}
		})
	}
	return list
}

// Removes reports whether the update does nothing but remove.
func (u *Update) Removes() bool {
	return u != nil && len(u.actions) > 0 && !slices.ContainsFunc(u.actions, func(act *action) bool { return act.verb != "REMOVE" })
}

// Makes is the type that the update gives the attribute of that name whatever the item is; false when
// that depends on the item, or the update does not write to it.
func (u *Update) Makes(name string) (table.Type, bool) {
	if u == nil {
		return 0, false
	}
	for _, act := range u.actions {
		if len(act.path) != 1 || act.path[0].Name != name || act.value == nil || act.verb == "DELETE" {
			continue
		}
		switch v := act.value; {
		case v.op == opValue:
			return v.value.Type, true
		case v.op == opCall && v.name == "list_append":
			return table.List, true
		case v.op == opCall && (v.name == "+" || v.name == "-"):
			return table.Decimal, true
		}
	}
	return 0, false
}

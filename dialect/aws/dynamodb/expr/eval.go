package expr

import (
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// Eval says whether the condition holds for an item; a nil item has no attributes. Values of different
// types are never equal and have no order, and so are values that are not there.
func (c *Condition) Eval(item attr.Item) bool { return c == nil || c.root == nil || c.root.holds(item) }

func (n *node) holds(item attr.Item) bool {
	switch n.op {
	case "and":
		for _, x := range n.args {
			if !x.holds(item) {
				return false
			}
		}
		return true
	case "or":
		for _, x := range n.args {
			if x.holds(item) {
				return true
			}
		}
		return false
	case "not":
		return !n.args[0].holds(item)
	}
	a, okA := n.args[0].eval(item)
	if n.op == opCall && len(n.args) == 1 {
		return okA == (n.name == "attribute_exists")
	}
	if n.op == "in" {
		for _, x := range n.args[1:] {
			if b, ok := x.eval(item); ok && okA && attr.Equal(a, b) {
				return true
			}
		}
		return false
	}
	b, okB := n.args[1].eval(item)
	if n.op == "<>" {
		return !okA || !okB || !attr.Equal(a, b)
	}
	if !okA || !okB {
		return false
	}
	switch n.op {
	case "=":
		return attr.Equal(a, b)
	case "between":
		c, ok := n.args[2].eval(item)
		return ok && ordered(a, ">=", b) && ordered(a, "<=", c)
	case opCall:
		switch n.name {
		case "begins_with":
			return beginsWith(a, b)
		case "contains":
			return contains(a, b)
		}
		return attr.TypeName(a) == b.Str // attribute_type
	}
	return ordered(a, n.op, b)
}

// eval is the value of an operand; false when there is none.
func (n *node) eval(item attr.Item) (table.Value, bool) {
	switch n.op {
	case opValue:
		return n.value, true
	case opPath:
		return n.path.Get(item)
	}
	v, ok := n.args[0].eval(item) // size
	if !ok {
		return v, false
	}
	size := 0
	switch v.Type {
	case table.String:
		size = utf16Len(v.Str)
	case table.Binary:
		size = len(v.Str)
	case table.Map:
		size = len(v.Map)
	case table.List, table.StringSet, table.NumberSet, table.BinarySet:
		size = len(v.List)
	default:
		return v, false
	}
	return attr.Number(strconv.Itoa(size)), true
}

// utf16Len is how long a string is in units of UTF-16, which is how AWS counts.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

func ordered(a table.Value, op string, b table.Value) bool {
	order, ok := attr.Compare(a, b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func beginsWith(a, b table.Value) bool {
	return a.Type == b.Type && (a.Type == table.String || a.Type == table.Binary) && strings.HasPrefix(a.Str, b.Str)
}

// contains finds a part of a string or of bytes, and a member of a set or a list.
func contains(a, b table.Value) bool {
	switch a.Type {
	case table.String, table.Binary:
		return b.Type == a.Type && strings.Contains(a.Str, b.Str)
	case table.List, table.StringSet, table.NumberSet, table.BinarySet:
		for _, e := range a.List {
			if attr.Equal(e, b) {
				return true
			}
		}
	}
	return false
}

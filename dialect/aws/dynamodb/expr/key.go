package expr

import (
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// KeyTest is what a query asks of one key attribute.
type KeyTest struct {
	Name   string
	Op     string        // EQ, LT, LE, GT, GE, BETWEEN or BEGINS_WITH; others only from KeyConditions
	Values []table.Value // one, or the two bounds of BETWEEN, both inclusive
}

// comparisons are the operators of expressions by those of the older parameters.
var comparisons = map[string]string{"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}

// mirrored are the operators with their sides changed.
var mirrored = map[string]string{"=": "EQ", "<": "GT", "<=": "GE", ">": "LT", ">=": "LE"}

// KeyTests takes a KeyConditionExpression apart: at most one test of a key attribute, in their order.
// How many there are, and of what attributes, the caller checks against the table.
func (c *Condition) KeyTests() ([]KeyTest, error) {
	var list []KeyTest
	if fault := keyTests(c.root, &list); fault != "" {
		return nil, attr.Invalid(fault)
	}
	return list, nil
}

func keyTests(n *node, list *[]KeyTest) string {
	name := strings.ToUpper(n.op)
	if n.op == opCall {
		name = n.name
	}
	switch {
	case name == "OR" || name == "NOT" || name == "IN" || name == "<>",
		n.op == opCall && name != "begins_with" && name != "size":
		return "Invalid operator used in KeyConditionExpression: " + name
	case n.op == opCall && name == "size":
		return "KeyConditionExpressions cannot contain nested operations"
	case name == "AND":
		for _, x := range n.args {
			if fault := keyTests(x, list); fault != "" {
				return fault
			}
		}
		return ""
	case (name == "BETWEEN" || name == "begins_with") && n.args[0].op != opPath:
		return "Invalid condition in KeyConditionExpression: " + name + " operator must have the key attribute as its first operand"
	}
	at, test := -1, KeyTest{}
	for i, x := range n.args {
		switch {
		case x.op == opPath && at >= 0:
			return "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
		case x.op == opPath && len(x.path) > 1:
			return "KeyConditionExpressions cannot have conditions on nested attributes"
		case x.op == opPath:
			at, test.Name = i, x.path[0].Name
		case x.op == opCall:
			return keyTests(x, list)
		default:
			test.Values = append(test.Values, x.value)
		}
	}
	if at < 0 {
		return "Invalid condition in KeyConditionExpression: No key attribute specified"
	}
	for _, other := range *list {
		if other.Name == test.Name {
			return "KeyConditionExpressions must only contain one condition per key"
		}
	}
	switch {
	case name == "BETWEEN" || name == "begins_with":
		test.Op = strings.ToUpper(name)
	case at > 0:
		test.Op = mirrored[n.op]
	default:
		for op, sign := range comparisons {
			if sign == n.op {
				test.Op = op
			}
		}
	}
	*list = append(*list, test)
	return ""
}

package expr

import (
	"strconv"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// Test is one entry of Expected, KeyConditions, QueryFilter or ScanFilter.
type Test struct {
	Name   string
	Op     string       // ComparisonOperator; "" when absent
	List   []attr.Input // AttributeValueList; nil when absent
	Value  *attr.Input  // of Expected
	Exists *bool        // of Expected
}

const badParameter = "One or more parameter values were invalid: "

// operandCounts are how many values an operator takes; IN takes any number but none.
var operandCounts = map[string]int{
	"NULL": 0, "NOT_NULL": 0, "EQ": 1, "NE": 1, "LE": 1, "LT": 1, "GE": 1, "GT": 1,
	"CONTAINS": 1, "NOT_CONTAINS": 1, "BEGINS_WITH": 1, "BETWEEN": 2, "IN": -1,
}

// takes says whether an operator can have values of that type.
func takes(op string, t table.Type) bool {
	switch op {
	case "LE", "LT", "GE", "GT", "BETWEEN", "IN":
		return t == table.String || t == table.Decimal || t == table.Binary
	case "BEGINS_WITH":
		return t == table.String || t == table.Binary
	case "CONTAINS", "NOT_CONTAINS":
		return !attr.IsSet(t) && t != table.List && t != table.Map
	}
	return true
}

// CheckFilter checks KeyConditions, QueryFilter or ScanFilter.
func CheckFilter(tests []Test) error {
	for _, t := range tests {
		if err := t.checkList(); err != nil {
			return err
		}
	}
	return nil
}

// CheckExpected checks Expected.
func CheckExpected(tests []Test) error {
	for _, t := range tests {
		if err := t.checkExpected(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Test) checkExpected() error {
	refuse := func(text string) error {
		return attr.Invalid(badParameter + text + " for Attribute: " + t.Name)
	}
	switch {
	case t.List != nil && t.Value != nil:
		return refuse("Value and AttributeValueList cannot be used together")
	case t.Op != "" && t.Exists != nil:
		return refuse("Exists and ComparisonOperator cannot be used together")
	case t.Op != "" && t.Op != "NULL" && t.Op != "NOT_NULL" && t.List == nil && t.Value == nil:
		return refuse("Value or AttributeValueList must be used with ComparisonOperator: " + t.Op)
	case t.Op != "":
		return t.checkList()
	case t.List != nil:
		return refuse("AttributeValueList can only be used with a ComparisonOperator")
	}
	exists := "null"
	if t.Exists != nil {
		exists = strconv.FormatBool(*t.Exists)
	}
	switch {
	case exists != "false" && t.Value == nil:
		return refuse("Value must be provided when Exists is " + exists)
	case exists == "false" && t.Value != nil:
		return refuse("Value cannot be used when Exists is false")
	case t.Value != nil && t.Value.Err != nil:
		return t.Value.Err
	}
	return nil
}

// inputs are the test's values, wherever they stand.
func (t *Test) inputs() []attr.Input {
	if t.Value != nil {
		return []attr.Input{*t.Value}
	}
	return t.List
}

// checkList checks the values of a test with an operator.
func (t *Test) checkList() error {
	list := t.inputs()
	for _, in := range list {
		if in.Err != nil {
			return in.Err
		}
	}
	if n := operandCounts[t.Op]; n >= 0 && len(list) != n || n < 0 && len(list) == 0 {
		return attr.Invalid(badParameter + "Invalid number of argument(s) for the " + t.Op + " ComparisonOperator")
	}
	for _, in := range list {
		if in.Value.Type != list[0].Value.Type {
			return attr.Invalid(badParameter + "AttributeValues inside AttributeValueList must be of same type")
		}
	}
	for _, in := range list {
		if !takes(t.Op, in.Value.Type) {
			return attr.Invalid(badParameter + "ComparisonOperator " + t.Op + " is not valid for " + attr.TypeName(in.Value) + " AttributeValue type")
		}
	}
	if t.Op == "BETWEEN" {
		if order, _ := attr.Compare(list[0].Value, list[1].Value); order > 0 {
			return attr.Invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// NewCondition makes a condition of tests that have been checked. It holds when all of them do, or with
// the ConditionalOperator OR when one does; none hold for every item.
func NewCondition(tests []Test, operator string) *Condition {
	if len(tests) == 0 {
		return nil
	}
	root := &node{op: "and"}
	if operator == "OR" {
		root.op = "or"
	}
	for _, t := range tests {
		root.args = append(root.args, t.node())
	}
	return &Condition{root}
}

// node is the tree of an expression that says the same.
func (t *Test) node() *node {
	path := &node{op: opPath, path: Path{{Name: t.Name}}}
	call := func(name string, args ...*node) *node {
		return &node{op: opCall, name: name, args: append([]*node{path}, args...)}
	}
	var values []*node
	for _, in := range t.inputs() {
		values = append(values, &node{op: opValue, value: in.Value})
	}
	op := t.Op
	if op == "" {
		if op = "EQ"; t.Exists != nil && !*t.Exists {
			op = "NULL"
		}
	}
	switch op {
	case "NULL":
		return call("attribute_not_exists")
	case "NOT_NULL":
		return call("attribute_exists")
	case "BEGINS_WITH":
		return call("begins_with", values...)
	case "CONTAINS":
		return call("contains", values...)
	case "NOT_CONTAINS":
		contained := &node{op: "not", args: []*node{call("contains", values...)}}
		return &node{op: "and", args: []*node{call("attribute_exists"), contained}}
	case "IN":
		return &node{op: "in", args: append([]*node{path}, values...)}
	case "BETWEEN":
		return &node{op: "between", args: append([]*node{path}, values...)}
	}
	return &node{op: comparisons[op], args: append([]*node{path}, values...)}
}

// KeyTests are KeyConditions that have been checked, as those of a KeyConditionExpression.
func KeyTests(tests []Test) []KeyTest {
	list := make([]KeyTest, len(tests))
	for i, t := range tests {
		list[i] = KeyTest{Name: t.Name, Op: t.Op}
		for _, in := range t.List {
			list[i].Values = append(list[i].Values, in.Value)
		}
	}
	return list
}

// Change is one entry of AttributeUpdates.
type Change struct {
	Name   string
	Action string      // PUT, ADD or DELETE; "" is PUT
	Value  *attr.Input // nil when absent
}

// CheckChanges checks AttributeUpdates.
func CheckChanges(changes []Change) error {
	for _, c := range changes {
		switch {
		case c.Value == nil && c.Action != "DELETE":
			return attr.Invalid(badParameter + "Only DELETE action is allowed when no attribute value is specified")
		case c.Value == nil:
			continue
		case c.Value.Err != nil:
			return c.Value.Err
		}
		t := c.Value.Value.Type
		switch {
		case c.Action == "DELETE" && !attr.IsSet(t):
			return attr.Invalid(badParameter + "DELETE action with value is not supported for the type " + attr.TypeName(c.Value.Value))
		case c.Action == "ADD" && !attr.IsSet(t) && t != table.Decimal && t != table.List:
			return attr.Invalid(badParameter + "ADD action is not supported for the type " + attr.TypeName(c.Value.Value))
		}
	}
	return nil
}

// NewUpdate makes an update of changes that have been checked.
func NewUpdate(changes []Change) *Update {
	u := &Update{}
	for _, c := range changes {
		act := &action{verb: "SET", path: Path{{Name: c.Name}}, old: true}
		switch {
		case c.Value == nil:
			act.verb = "REMOVE"
		case c.Action == "ADD", c.Action == "DELETE":
			act.verb = c.Action
		}
		if c.Value != nil {
			act.value = &node{op: opValue, value: c.Value.Value}
		}
		u.actions = append(u.actions, act)
	}
	return u
}

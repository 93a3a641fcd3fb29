package expr

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// Condition is a condition on an item. Nil holds for every item.
type Condition struct {
	root *node
}

// Condition reads an expression of that kind: ConditionExpression, FilterExpression or
// KeyConditionExpression.
func (a *Args) Condition(kind, src string) (*Condition, error) {
	root, fault := a.condition(src)
	if fault != "" {
		return nil, attr.Invalid("Invalid " + kind + ": " + fault)
	}
	return &Condition{root}, nil
}

// Paths are all paths that the condition looks at, in their order, repeats included.
func (c *Condition) Paths() []Path {
	var list []Path
	if c != nil && c.root != nil {
		c.root.walk(func(n *node) {
			if n.op == opPath {
				list = append(list, n.path)
			}
		})
	}
	return list
}

func (a *Args) condition(src string) (*node, string) {
	if fault := checkSize(src); fault != "" {
		return nil, fault
	}
	p := newParser(src, "AND", "OR", "NOT", "BETWEEN", "IN")
	p.groups = true
	root := p.or(false)
	if fault := p.end(); fault != "" {
		return nil, fault
	}
	if p.redundant {
		return nil, "The expression has redundant parentheses;"
	}
	if p.operators > maxOperators {
		return nil, "The expression contains too many operators; operator count: " + strconv.Itoa(p.operators)
	}
	return root, a.checkCondition(root)
}

// or reads conditions joined by OR. An operand alone is one only where bare allows it: in parentheses,
// of which nobody knows yet what they hold.
func (p *parser) or(bare bool) *node { return p.joined("OR", "or", bare, p.and) }

func (p *parser) and(bare bool) *node { return p.joined("AND", "and", bare, p.not) }

func (p *parser) joined(word, op string, bare bool, part func(bool) *node) *node {
	n := part(bare)
	for first := true; ; first = false {
		if t := p.peek(); t.kind != 'i' || !strings.EqualFold(p.text(t), word) {
			return n
		}
		if first {
			if n = p.truth(n); p.bad != "" {
				return n
			}
			n = &node{op: op, args: []*node{n}}
		}
		p.at++
		p.operators++
		n.args = append(n.args, part(false))
	}
}

func (p *parser) not(bare bool) *node {
	if p.keyword("NOT") {
		p.operators++
		return &node{op: "not", args: []*node{p.not(false)}}
	}
	return p.test(bare)
}

// truth passes what may be true or false: anything but a path or a value.
func (p *parser) truth(n *node) *node {
	if n.op == opPath || n.op == opValue {
		p.fault()
	}
	return n
}

// test reads a comparison, a call, or something in parentheses.
func (p *parser) test(bare bool) *node {
	var x *node
	if p.take('(') {
		x = p.close(p.or(true))
	} else {
		x = p.operand()
	}
	if p.bad != "" || !x.isOperand() {
		return x
	}
	var n *node
	switch t := p.peek(); {
	case t.kind == '=' || t.kind == '<' || t.kind == '>':
		p.at++
		n = &node{op: p.text(t), args: []*node{x, p.operand()}}
	case p.keyword("BETWEEN"):
		low := p.operand()
		if !p.keyword("AND") {
			p.fault()
		}
		n = &node{op: "between", args: []*node{x, low, p.operand()}}
	case p.keyword("IN"):
		n = p.call("")
		n.op, n.args = "in", append([]*node{x}, n.args...)
		p.operators--
	case bare:
		return x
	default:
		return p.truth(x)
	}
	p.operators++
	return n
}

// checkCondition finds what is wrong with a tree, in DynamoDB's order, and gives its leaves their
// paths and values.
func (a *Args) checkCondition(root *node) string {
	if fault := checkFunctions(root, conditionFunctions, updateFunctions, "a condition"); fault != "" {
		return fault
	}
	if fault := checkUse(root); fault != "" {
		return fault
	}
	if fault := checkReserved(root); fault != "" {
		return fault
	}
	return a.checkTests(root)
}

// The functions of conditions, and how many operands they have.
var conditionFunctions = map[string]int{
	"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1,
}

// checkFunctions finds functions that nobody knows, and those of the other kind of expression.
func checkFunctions(root *node, known, others map[string]int, place string) (fault string) {
	root.walk(func(n *node) {
		if _, ok := known[n.name]; n.op != opCall || ok || fault != "" {
			return
		}
		fault = "Invalid function name; function: " + n.name
		if _, ok := others[n.name]; ok {
			fault = "The function is not allowed in " + place + " expression; function: " + n.name
		}
	})
	return fault
}

const misused = "The function is not allowed to be used this way in an expression; function: "

// checkUse finds conditions that are used as values, and size used as a condition.
func checkUse(root *node) (fault string) {
	refuse := func(n *node) {
		if fault == "" {
			fault = misused + n.name
		}
	}
	root.walk(func(n *node) {
		for _, x := range n.args {
			isValue := n.op != "and" && n.op != "or" && n.op != "not"
			if x.op == opCall && isValue != (x.name == "size") {
				refuse(x)
			}
		}
	})
	if root.op == opCall && root.name == "size" {
		refuse(root)
	}
	return fault
}

// checkReserved finds names that are reserved, and places that no list has.
func checkReserved(roots ...*node) (fault string) {
	for _, root := range roots {
		root.walk(func(n *node) {
			for _, s := range n.path {
				switch {
				case fault != "":
				case s.List && s.Index < 0:
					fault = "List index is not within the allowable range; index: [" + s.Name + "]"
				case isReserved(s.Name):
					fault = "Attribute name is a reserved keyword; reserved keyword: " + s.Name
				}
			}
		})
	}
	return fault
}

// checkTests checks the comparisons and calls one after the other.
func (a *Args) checkTests(n *node) string {
	if n.op == "and" || n.op == "or" || n.op == "not" {
		for _, x := range n.args {
			if fault := a.checkTests(x); fault != "" {
				return fault
			}
		}
		return ""
	}
	fault := ""
	n.walk(func(x *node) {
		if fault == "" {
			fault = a.resolve(x)
		}
	})
	if fault != "" {
		return fault
	}
	for _, check := range []func(*node) string{checkCount, checkDistinct, checkTypes} {
		fault := ""
		n.walk(func(x *node) {
			if fault == "" && !(x.op == opPath || x.op == opValue) {
				fault = check(x)
			}
		})
		if fault != "" {
			return fault
		}
	}
	return ""
}

func wrongCount(name string, n int) string {
	return "Incorrect number of operands for operator or function; operator or function: " + name + ", number of operands: " + strconv.Itoa(n)
}

func checkCount(n *node) string {
	switch {
	case n.op == opCall && len(n.args) != conditionFunctions[n.name]:
		return wrongCount(n.name, len(n.args))
	case n.op == "in" && len(n.args)-1 > maxIn:
		return "The IN operator is provided with too many operands; number of operands: " + strconv.Itoa(len(n.args)-1)
	}
	return ""
}

// checkDistinct refuses to compare a path with itself.
func checkDistinct(n *node) string {
	if n.args[0].op != opPath {
		return ""
	}
	for _, x := range n.args[1:] {
		if x.op == opPath && slices.Equal(n.args[0].path, x.path) {
			return "The first operand must be distinct from the remaining operands for this operator or function; operator: " +
				n.title() + ", first operand: " + x.path.String()
		}
	}
	return ""
}

// title is how errors name an operator or function.
func (n *node) title() string {
	if n.op == opCall {
		return n.name
	}
	return strings.ToUpper(n.op)
}

// typeName is the type that a node is known to have before any item is seen; "" for none.
func (n *node) typeName() string {
	switch {
	case n.op == opValue:
		return attr.TypeName(n.value)
	case n.op == opCall && n.name == "size":
		return "N"
	}
	return ""
}

func wrongType(name, t string) string {
	return "Incorrect operand type for operator or function; operator or function: " + name + ", operand type: " + t
}

const noPath = "Operator or function requires a document path; operator or function: "

func checkTypes(n *node) string {
	if n.op == opCall {
		return checkCallTypes(n)
	}
	if n.op == "=" || n.op == "<>" || n.op == "in" {
		return ""
	}
	for _, x := range n.args {
		if t := x.typeName(); t != "" && t != "S" && t != "N" && t != "B" {
			return wrongType(n.title(), t)
		}
	}
	if n.op == "between" {
		return checkBounds(n.args[1], n.args[2])
	}
	return ""
}

func checkCallTypes(n *node) string {
	first := n.args[0]
	switch n.name {
	case "attribute_exists", "attribute_not_exists":
		if first.op != opPath {
			return noPath + n.name
		}
	case "begins_with":
		for _, x := range n.args {
			if t := x.typeName(); t != "" && t != "S" && t != "B" {
				return wrongType(n.name, t)
			}
		}
	case "attribute_type":
		t := n.args[1].typeName()
		if t == "" {
			t = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
		}
		if t != "S" {
			return wrongType(n.name, t)
		}
		if _, ok := attr.TypeOf(n.args[1].value.Str); !ok {
			return "Invalid attribute type name found; type: " + n.args[1].value.Str + ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
		}
	case "size":
		if t := first.typeName(); t == "N" || t == "BOOL" || t == "NULL" {
			return wrongType(n.name, t)
		}
	}
	return ""
}

// checkBounds checks the bounds of a BETWEEN that are given as values.
func checkBounds(low, high *node) string {
	if low.op != opValue || high.op != opValue {
		return ""
	}
	bounds := "; lower bound operand: AttributeValue: " + Show(low.value) + ", upper bound operand: AttributeValue: " + Show(high.value)
	switch order, ok := attr.Compare(low.value, high.value); {
	case low.value.Type != high.value.Type:
		return "The BETWEEN operator requires same data type for lower and upper bounds" + bounds
	case ok && order > 0:
		return "The BETWEEN operator requires upper bound to be greater than or equal to lower bound" + bounds
	}
	return ""
}

// Show is a value as the texts of errors have it: {S:a}.
func Show(v table.Value) string {
	text := v.Str
	switch v.Type {
	case table.Bool:
		text = strconv.FormatBool(v.Int != 0)
	case table.Null:
		text = "true"
	case table.Decimal, table.String:
	default:
		b := string(attr.Append(nil, v)) // {"B":…}
		_, text, _ = strings.Cut(strings.TrimSuffix(b, "}"), ":")
		text = strings.ReplaceAll(strings.Trim(text, `"`), `"`, "")
	}
	return "{" + attr.TypeName(v) + ":" + text + "}"
}

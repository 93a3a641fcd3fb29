package expr

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// Update is what shall be done to an item. Nil does nothing.
type Update struct {
	actions []*action
}

// action is one of an update's actions on one path.
type action struct {
	verb  string // SET, REMOVE, ADD or DELETE
	path  Path
	value *node // but of REMOVE
	old   bool  // of AttributeUpdates: other errors, and ADD takes lists
}

// Paths are the paths that the update writes to, in their order.
func (u *Update) Paths() []Path {
	if u == nil {
		return nil
	}
	list := make([]Path, len(u.actions))
	for i, act := range u.actions {
		list[i] = act.path
	}
	return list
}

// Update reads an UpdateExpression.
func (a *Args) Update(src string) (*Update, error) {
	u, fault := a.update(src)
	if fault != "" {
		return nil, attr.Invalid("Invalid UpdateExpression: " + fault)
	}
	return u, nil
}

// The functions and operators of updates, and how many operands they have.
var updateFunctions = map[string]int{"if_not_exists": 2, "list_append": 2, "+": 2, "-": 2}

func (a *Args) update(src string) (*Update, string) {
	if fault := checkSize(src); fault != "" {
		return nil, fault
	}
	p := newParser(src, "SET", "REMOVE", "ADD", "DELETE")
	u := &Update{}
	var nodes []*node // all targets and values
	seen, repeated := map[string]bool{}, ""
	for first := true; first || p.bad == "" && p.peek().kind != 'E'; first = false {
		verb := p.verb()
		if seen[verb] && repeated == "" {
			repeated = verb
		}
		seen[verb] = true
		for {
			target, value := p.action(verb)
			nodes = append(nodes, target)
			if value != nil {
				nodes = append(nodes, value)
			}
			u.actions = append(u.actions, &action{verb: verb, path: target.path, value: value})
			if !p.take(',') {
				break
			}
		}
	}
	if fault := p.end(); fault != "" {
		return nil, fault
	}
	if p.operators > maxOperators {
		return nil, "The expression contains too many operators; operator count: " + strconv.Itoa(p.operators)
	}
	if fault := checkReserved(nodes...); fault != "" {
		return nil, fault
	}
	for _, n := range nodes {
		if fault := checkFunctions(n, updateFunctions, conditionFunctions, "an update"); fault != "" {
			return nil, fault
		}
	}
	if repeated != "" {
		return nil, `The "` + repeated + `" section can only be used once in an update expression;`
	}
	if fault := a.resolveAll(nodes); fault != "" {
		return nil, fault
	}
	if fault := clash(u.Paths()); fault != "" {
		return nil, fault
	}
	for _, act := range u.actions {
		if fault := checkAction(act); fault != "" {
			return nil, fault
		}
	}
	for _, n := range nodes {
		fault := ""
		n.walk(func(x *node) {
			if fault == "" && x.op == opCall {
				fault = checkUpdateCall(x)
			}
		})
		if fault != "" {
			return nil, fault
		}
	}
	return u, ""
}

// verb reads the word that begins a section.
func (p *parser) verb() string {
	for _, verb := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if p.keyword(verb) {
			return verb
		}
	}
	p.fault()
	return ""
}

// action reads one action of a section.
func (p *parser) action(verb string) (target, value *node) {
	target = p.path()
	switch verb {
	case "SET":
		p.want('=')
		value = p.sum()
	case "ADD", "DELETE":
		if p.peek().kind != ':' {
			p.fault()
		}
		value = p.operand()
	}
	p.operators++
	return target, value
}

// sum reads an operand, or two with + or - between; all of it may be in parentheses.
func (p *parser) sum() *node {
	var x *node
	if p.take('(') {
		x = p.sum()
		p.want(')')
		if x.op == opCall && updateFunctions[x.name] > 0 && len(x.name) == 1 {
			return x
		}
	} else {
		x = p.operand()
	}
	t := p.peek()
	if p.bad != "" || t.kind != '+' && t.kind != '-' {
		return x
	}
	p.at++
	p.operators++
	return &node{op: opCall, name: p.text(t), args: []*node{x, p.operand()}}
}

// resolveAll gives all nodes their paths and values. What is wrong with a path goes before an undefined
// value.
func (a *Args) resolveAll(nodes []*node) (fault string) {
	for _, n := range nodes {
		n.walk(func(x *node) {
			f := a.resolve(x)
			if f != "" && (fault == "" || x.op == opPath && strings.HasPrefix(fault, undefinedValue)) {
				fault = f
			}
		})
	}
	return fault
}

// checkAction checks the type of what ADD and DELETE are given.
func checkAction(act *action) string {
	if act.verb != "ADD" && act.verb != "DELETE" {
		return ""
	}
	t := act.value.value.Type
	if attr.IsSet(t) || t == table.Decimal && act.verb == "ADD" {
		return ""
	}
	return "Incorrect operand type for operator or function; operator: " + act.verb + ", operand type: " + longNames[t]
}

var longNames = map[table.Type]string{
	table.String: "STRING", table.Decimal: "NUMBER", table.Binary: "BINARY", table.Null: "NULL",
	table.Bool: "BOOLEAN", table.List: "LIST", table.Map: "MAP",
}

// checkUpdateCall checks the operands of a function or operator.
func checkUpdateCall(n *node) string {
	if len(n.args) != updateFunctions[n.name] {
		return wrongCount(n.name, len(n.args))
	}
	if n.name == "if_not_exists" {
		if n.args[0].op != opPath {
			return noPath + n.name
		}
		return ""
	}
	want := "N"
	if n.name == "list_append" {
		want = "L"
	}
	for _, x := range n.args {
		t := ""
		switch {
		case x.op == opValue:
			t = attr.TypeName(x.value)
		case x.op == opCall && x.name == "list_append":
			if n.name == x.name {
				return misused + x.name
			}
			t = "L"
		case x.op == opCall && strings.ContainsAny(x.name, "+-"):
			t = "N"
		}
		if t != "" && t != want {
			return wrongType(n.name, t)
		}
	}
	return ""
}

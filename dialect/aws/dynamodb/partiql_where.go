package dynamodb

import (
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// clause is a condition: an AND, OR or NOT of others, or one comparison.
type clause struct {
	op    string // AND, OR, NOT; "" for a comparison
	parts []*clause
	text  string // of a comparison
	// Of a comparison of one attribute with values, as key conditions are.
	name   string
	test   string // =, <, <=, >, >=, BETWEEN or begins_with
	values []table.Value
}

// render is the clause as a condition expression.
func (c *clause) render() string {
	if c.op == "" {
		return c.text
	}
	list := make([]string, len(c.parts))
	for i, p := range c.parts {
		list[i] = p.render()
		if c.op == "NOT" && p.op != "" || c.op == "AND" && p.op == "OR" {
			list[i] = "(" + list[i] + ")"
		}
	}
	if c.op == "NOT" {
		return "NOT " + list[0]
	}
	return strings.Join(list, " "+c.op+" ")
}

// terms are the clauses that all have to hold.
func (c *clause) terms() []*clause {
	switch {
	case c == nil:
		return nil
	case c.op == "AND":
		var list []*clause
		for _, p := range c.parts {
			list = append(list, p.terms()...)
		}
		return list
	}
	return []*clause{c}
}

// operand is a path, a value or a call.
type operand struct {
	text  string
	name  string       // of a path that is no more than an attribute
	value *table.Value // of a value
	call  string       // of a call: its function
	args  []operand
}

func (p *partiql) operand() operand {
	p.space()
	if p.err != nil || p.at >= len(p.src) {
		p.fault()
		return operand{}
	}
	at := p.at
	if n := p.wordLen(); n > 0 {
		word := strings.ToLower(p.src[p.at : p.at+n])
		p.at += n
		if p.take("(") {
			o := operand{call: word}
			var texts []string
			for first := true; first || p.take(","); first = false {
				arg := p.operand()
				o.args, texts = append(o.args, arg), append(texts, arg.text)
			}
			p.want(")")
			o.text = word + "(" + strings.Join(texts, ", ") + ")"
			return o
		}
		p.at = at
		if word != "true" && word != "false" && word != "null" {
			text, name := p.path()
			return operand{text: text, name: name}
		}
	}
	if p.src[p.at] == '"' {
		text, name := p.path()
		return operand{text: text, name: name}
	}
	v := p.literal()
	return operand{text: p.bind(v), value: &v}
}

func (p *partiql) or() *clause  { return p.chain("OR", p.and) }
func (p *partiql) and() *clause { return p.chain("AND", p.not) }

func (p *partiql) chain(word string, part func() *clause) *clause {
	c := part()
	for p.err == nil && p.keyword(word) {
		if c.op != word {
			c = &clause{op: word, parts: []*clause{c}}
		}
		c.parts = append(c.parts, part())
	}
	return c
}

func (p *partiql) not() *clause {
	if p.keyword("NOT") {
		return &clause{op: "NOT", parts: []*clause{p.not()}}
	}
	if p.take("(") {
		c := p.or()
		p.want(")")
		return c
	}
	return p.comparison()
}

// comparison reads one test.
func (p *partiql) comparison() *clause {
	a := p.operand()
	if p.keyword("IS") {
		fn := "attribute_not_exists"
		not := p.keyword("NOT")
		switch {
		case p.keyword("MISSING"):
			if not {
				fn = "attribute_exists"
			}
			return &clause{text: fn + "(" + a.text + ")"}
		case p.keyword("NULL"):
			c := &clause{text: "attribute_type(" + a.text + ", " + p.bind(attr.String("NULL")) + ")"}
			if not {
				return &clause{op: "NOT", parts: []*clause{c}}
			}
			return c
		}
		p.fault()
	}
	if p.keyword("BETWEEN") {
		low := p.operand()
		p.needKeyword("AND")
		high := p.operand()
		return test(a, "BETWEEN", a.text+" BETWEEN "+low.text+" AND "+high.text, low, high)
	}
	if p.keyword("IN") {
		end := "]"
		if p.take("("); !p.take("[") {
			end = ")"
		}
		var list []string
		for first := true; first || p.take(","); first = false {
			list = append(list, p.operand().text)
		}
		p.want(end)
		if end == "]" {
			p.take(")")
		}
		return &clause{text: a.text + " IN (" + strings.Join(list, ", ") + ")"}
	}
	for _, sign := range []string{"<>", "!=", "<=", ">=", "=", "<", ">"} {
		if p.take(sign) {
			b := p.operand()
			if sign == "!=" {
				sign = "<>"
			}
			return test(a, sign, a.text+" "+sign+" "+b.text, b)
		}
	}
	if a.call == "begins_with" && len(a.args) == 2 {
		return test(a.args[0], "begins_with", a.text, a.args[1])
	}
	if a.call == "" {
		p.fault()
	}
	return &clause{text: a.text}
}

// test is a comparison that may be a key's.
func test(a operand, op, text string, values ...operand) *clause {
	c := &clause{text: text}
	for _, v := range values {
		if v.value == nil || a.name == "" {
			return c
		}
		c.values = append(c.values, *v.value)
	}
	c.name, c.test = a.name, op
	return c
}

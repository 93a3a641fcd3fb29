package vtl

import (
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// expr is an expression in a directive or an argument.
type expr interface {
	eval(r *run) (any, error)
}

type (
	constant struct{ v any }
	// quoted is a text in double quotes, which is a template itself.
	quoted []node
	array  []expr
	span   struct{ from, to expr }
	pairs  struct{ keys, values []expr }
	unary  struct {
		op string
		of expr
	}
	binary struct {
		op          string
		left, right expr
	}
	reference struct {
		name  string
		steps []step
	}
	step struct {
		name  string
		call  bool
		args  []expr
		index expr // in place of a name
	}
)

// levels are the operators from the weakest to the strongest, with the words that stand for them.
var levels = [][]struct{ word, op string }{
	{{"||", "||"}, {"or", "||"}},
	{{"&&", "&&"}, {"and", "&&"}},
	{{"==", "=="}, {"!=", "!="}, {"eq", "=="}, {"ne", "!="}},
	{{"<=", "<="}, {">=", ">="}, {"<", "<"}, {">", ">"}, {"le", "<="}, {"ge", ">="}, {"lt", "<"}, {"gt", ">"}},
	{{"+", "+"}, {"-", "-"}},
	{{"*", "*"}, {"/", "/"}, {"%", "%"}},
}

func (p *parser) expr() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.level(0)
}

func (p *parser) level(n int) (expr, error) {
	if n == len(levels) {
		return p.unary()
	}
	left, err := p.level(n + 1)
	for err == nil {
		op := ""
		for _, o := range levels[n] {
			if sign := o.word == o.op; sign && p.expect(o.word) || !sign && p.word(o.word) {
				op = o.op
				break
			}
		}
		if op == "" {
			return left, nil
		}
		var right expr
		if right, err = p.level(n + 1); err == nil {
			left = binary{op, left, right}
		}
	}
	return nil, err
}

func (p *parser) unary() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	p.space()
	switch {
	case p.at < len(p.s) && p.s[p.at] == '!' && !strings.HasPrefix(p.s[p.at:], "!="):
		p.at++
	case p.word("not"):
	case p.expect("-"):
		of, err := p.unary()
		return unary{"-", of}, err
	default:
		return p.primary()
	}
	of, err := p.unary()
	return unary{"!", of}, err
}

func (p *parser) primary() (expr, error) {
	if p.space(); p.at == len(p.s) {
		return nil, p.errorf("an expression is missing")
	}
	switch c := p.s[p.at]; {
	case c == '$':
		ref, err := p.reference()
		if err == nil && ref == nil {
			err = p.errorf("a name is missing behind $")
		}
		return ref, err
	case c >= '0' && c <= '9':
		return p.number()
	case c == '\'':
		end := strings.IndexByte(p.s[p.at+1:], '\'')
		if end < 0 {
			return nil, p.errorf("text has no end")
		}
		s := p.s[p.at+1 : p.at+1+end]
		p.at += end + 2
		return constant{s}, nil
	case c == '"':
		return p.quoted()
	case c == '(':
		p.at++
		e, err := p.expr()
		if err == nil && !p.expect(")") {
			err = p.errorf("no closing parenthesis")
		}
		return e, err
	case c == '[':
		return p.array()
	case c == '{':
		return p.pairs()
	case p.word("true"):
		return constant{true}, nil
	case p.word("false"):
		return constant{false}, nil
	case p.word("null"):
		return constant{nil}, nil
	}
	return nil, p.errorf("%q cannot be read", p.s[p.at:min(len(p.s), p.at+10)])
}

// quoted reads a text in double quotes. A quote in it is written twice, or with a backslash, which
// stays: regular expressions need it.
func (p *parser) quoted() (expr, error) {
	var b strings.Builder
	for i := p.at + 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '\\' && i+1 < len(p.s):
			b.WriteByte(c)
			i++
			b.WriteByte(p.s[i])
		case c == '"' && i+1 < len(p.s) && p.s[i+1] == '"' && i > p.at+1:
			b.WriteByte('"')
			i++
		case c == '"':
			p.at = i + 1
			inner := &parser{s: b.String(), depth: p.depth + 1}
			if inner.depth > maxDepth {
				return nil, p.errorf("more than %d levels", maxDepth)
			}
			if !strings.ContainsAny(inner.s, "$#") {
				return constant{inner.s}, nil
			}
			nodes, end, err := inner.block()
			if err == nil && end != "" {
				err = p.errorf("#%s without its beginning", end)
			}
			return quoted(nodes), err
		default:
			b.WriteByte(c)
		}
	}
	return nil, p.errorf("text has no end")
}

func (p *parser) array() (expr, error) {
	p.at++
	if p.expect("]") {
		return array{}, nil
	}
	first, err := p.expr()
	if err != nil {
		return nil, err
	}
	if p.expect("..") {
		to, err := p.expr()
		if err == nil && !p.expect("]") {
			err = p.errorf("range has no closing bracket")
		}
		return span{first, to}, err
	}
	if p.expect("]") {
		return array{first}, nil
	}
	if !p.expect(",") {
		return nil, p.errorf("list has no closing bracket")
	}
	rest, err := p.list("]")
	return append(array{first}, rest...), err
}

// list reads expressions up to a closing sign.
func (p *parser) list(end string) ([]expr, error) {
	out := []expr{}
	if p.expect(end) {
		return out, nil
	}
	for {
		e, err := p.expr()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if p.expect(end) {
			return out, nil
		}
		if !p.expect(",") {
			return nil, p.errorf("%s is missing", end)
		}
	}
}

func (p *parser) pairs() (expr, error) {
	p.at++
	m := pairs{}
	for first := true; !p.expect("}"); first = false {
		if !first && !p.expect(",") {
			return nil, p.errorf("map has no closing brace")
		}
		key, err := p.expr()
		if err != nil {
			return nil, err
		}
		if !p.expect(":") {
			return nil, p.errorf("map has a key without a value")
		}
		v, err := p.expr()
		if err != nil {
			return nil, err
		}
		m.keys, m.values = append(m.keys, key), append(m.values, v)
	}
	return m, nil
}

func (p *parser) space() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.at]) >= 0 {
		p.at++
	}
}

// expect takes a sign if it comes next.
func (p *parser) expect(sign string) bool {
	if p.space(); !strings.HasPrefix(p.s[p.at:], sign) {
		return false
	}
	p.at += len(sign)
	return true
}

// word takes a whole word if it comes next.
func (p *parser) word(w string) bool {
	if p.space(); identifier(p.s[p.at:]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (c constant) eval(*run) (any, error) { return c.v, nil }

func (q quoted) eval(r *run) (any, error) {
	var b strings.Builder
	if err := r.all(&b, q); err != nil {
		return nil, err
	}
	return b.String(), r.made(b.String())
}

func (a array) eval(r *run) (any, error) {
	l := &List{}
	for _, e := range a {
		v, err := e.eval(r)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
	}
	return l, r.step()
}

func (s span) eval(r *run) (any, error) {
	a, err := s.from.eval(r)
	if err != nil {
		return nil, err
	}
	b, err := s.to.eval(r)
	if err != nil {
		return nil, err
	}
	from, ok1 := toInt(a)
	to, ok2 := toInt(b)
	l := &List{}
	if !ok1 || !ok2 {
		return l, nil
	}
	by := int64(1)
	if to < from {
		by = -1
	}
	for n := from; ; n += by {
		if err := r.step(); err != nil {
			return nil, err
		}
		l.Items = append(l.Items, n)
		if n == to {
			return l, nil
		}
	}
}

func (m pairs) eval(r *run) (any, error) {
	o := &document.Object{}
	for i := range m.keys {
		k, err := m.keys[i].eval(r)
		if err != nil {
			return nil, err
		}
		v, err := m.values[i].eval(r)
		if err != nil {
			return nil, err
		}
		o.Set(show(k), v)
	}
	return o, r.step()
}

func (u unary) eval(r *run) (any, error) {
	v, err := u.of.eval(r)
	if err != nil {
		return nil, err
	}
	if u.op == "!" {
		return !truth(v), nil
	}
	return arithmetic("-", int64(0), v), nil
}

func (b binary) eval(r *run) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	left, err := b.left.eval(r)
	if err != nil {
		return nil, err
	}
	switch b.op {
	case "||":
		if truth(left) {
			return true, nil
		}
	case "&&":
		if !truth(left) {
			return false, nil
		}
	}
	right, err := b.right.eval(r)
	if err != nil {
		return nil, err
	}
	switch b.op {
	case "||", "&&":
		return truth(right), nil
	case "==":
		return equal(left, right), nil
	case "!=":
		return !equal(left, right), nil
	case "<", "<=", ">", ">=":
		return compare(b.op, left, right), nil
	}
	v := arithmetic(b.op, left, right)
	return v, r.made(v)
}

func (ref *reference) eval(r *run) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	v := r.vars[ref.name]
	for _, s := range ref.steps {
		if err := r.step(); err != nil {
			return nil, err
		}
		var args []any
		for _, a := range s.args {
			arg, err := a.eval(r)
			if err != nil {
				return nil, err
			}
			args = append(args, arg)
		}
		switch {
		case s.index != nil:
			key, err := s.index.eval(r)
			if err != nil {
				return nil, err
			}
			v = index(v, key)
		case s.call:
			v = call(v, s.name, args)
		default:
			v = property(v, s.name)
		}
		if err := r.made(v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

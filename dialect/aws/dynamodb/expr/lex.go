package expr

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/table"
)

// token is a stretch of the source. Its kind is 'i' for an identifier or keyword, '#' and ':' for
// placeholders, '0' for digits, 'E' for the end, 'x' for what no expression has, and else the first
// byte of the operator.
type token struct {
	kind       byte
	start, end int
}

// identLen is how many bytes of an identifier s begins with.
func identLen(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		default:
			return i
		}
	}
	return len(s)
}

func digitLen(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// lex cuts all of src into tokens; the last is the end.
func lex(src string) []token {
	list := make([]token, 0, len(src)/3+2)
	for i := 0; ; {
		for i < len(src) && strings.IndexByte(" \t\r\n", src[i]) >= 0 {
			i++
		}
		if i == len(src) {
			return append(list, token{'E', i, i})
		}
		kind, n := src[i], 1
		switch c := src[i]; {
		case c >= '0' && c <= '9':
			kind, n = '0', digitLen(src[i:])
		case c == '#' || c == ':':
			n += identLen(src[i+1:])
		case strings.IndexByte("=()[].,+-", c) >= 0:
		case c == '<' || c == '>':
			if i+1 < len(src) && (src[i+1] == '=' || c == '<' && src[i+1] == '>') {
				n = 2
			}
		default:
			kind, n = 'i', identLen(src[i:])
			if n == 0 || c == '_' {
				kind = 'x'
				_, n = utf8.DecodeRuneInString(src[i:])
			}
		}
		list = append(list, token{kind, i, i + n})
		i += n
	}
}

// The kinds of nodes; others are operators by their own names.
const (
	opPath  = "path"
	opValue = "value"
	opCall  = "call"
)

// node is one part of an expression's tree.
type node struct {
	op     string
	name   string // of a call, or of a value
	path   Path
	value  table.Value
	args   []*node
	parens bool // it stood in parentheses of its own
}

// isOperand says whether the node stands for a value, not only for true or false.
func (n *node) isOperand() bool { return n.op == opPath || n.op == opValue || n.op == opCall }

// walk visits the node's parts in their order, those of a part before it.
func (n *node) walk(visit func(*node)) {
	for _, a := range n.args {
		a.walk(visit)
	}
	visit(n)
}

// parser reads tokens. After the first fault bad is set, and everything reads as nothing.
type parser struct {
	src       string
	tokens    []token
	at        int
	keywords  []string // that may not be identifiers
	groups    bool     // a path may go on behind parentheses
	redundant bool     // parentheses around parentheses
	operators int
	bad       string
}

func newParser(src string, keywords ...string) *parser {
	return &parser{src: src, tokens: lex(src), keywords: keywords}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) text(t token) string { return p.src[t.start:t.end] }

// fault says that the present token should not be here. What is near it are its neighbours.
func (p *parser) fault() {
	if p.bad != "" {
		return
	}
	t := p.peek()
	word := p.text(t)
	if t.kind == 'E' {
		word = "<EOF>"
	}
	from, to := t.start, t.end
	if p.at > 0 {
		from = p.tokens[p.at-1].start
	}
	if p.at+1 < len(p.tokens) {
		to = p.tokens[p.at+1].end
	}
	p.bad = `Syntax error; token: "` + word + `", near: "` + strings.TrimRight(p.src[from:to], " \t\r\n") + `"`
	p.at = len(p.tokens) - 1
}

// take reads the present token if it is of that kind.
func (p *parser) take(kind byte) bool {
	if p.bad != "" || p.peek().kind != kind {
		return false
	}
	p.at++
	return true
}

func (p *parser) want(kind byte) {
	if !p.take(kind) {
		p.fault()
	}
}

// keyword reads a keyword, in any case.
func (p *parser) keyword(word string) bool {
	if t := p.peek(); p.bad != "" || t.kind != 'i' || !strings.EqualFold(p.text(t), word) {
		return false
	}
	p.at++
	return true
}

// isName says whether the present token is an identifier and no keyword.
func (p *parser) isName() bool {
	t := p.peek()
	if t.kind != 'i' {
		return false
	}
	for _, word := range p.keywords {
		if strings.EqualFold(word, p.text(t)) {
			return false
		}
	}
	return true
}

// step reads a name or a #placeholder.
func (p *parser) step() Step {
	t := p.peek()
	if p.bad != "" || t.kind != '#' && !p.isName() {
		p.fault()
		return Step{}
	}
	p.at++
	return Step{Name: p.text(t)}
}

// steps reads what may follow a path.
func (p *parser) steps(path Path) Path {
	for {
		switch {
		case p.take('.'):
			path = append(path, p.step())
		case p.take('['):
			t := p.peek()
			p.want('0')
			p.want(']')
			if p.bad == "" {
				path = append(path, place(p.text(t)))
			}
		default:
			return path
		}
	}
}

// place is the step to a place in a list. One out of range is negative, and keeps its digits as its name.
func place(digits string) Step {
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return Step{List: true, Index: -1, Name: digits}
	}
	return Step{List: true, Index: int(n)}
}

func (p *parser) path() *node {
	return &node{op: opPath, path: p.steps(Path{p.step()})}
}

// call reads the arguments of a function whose name has been read.
func (p *parser) call(name string) *node {
	n := &node{op: opCall, name: name}
	p.operators++
	p.want('(')
	for {
		n.args = append(n.args, p.operand())
		if !p.take(',') {
			break
		}
	}
	p.want(')')
	return n
}

// operand reads a value, a path or a call, in parentheses or not.
func (p *parser) operand() *node {
	switch t := p.peek(); {
	case p.bad != "":
	case t.kind == '(':
		p.at++
		return p.close(p.operand())
	case t.kind == ':':
		p.at++
		return &node{op: opValue, name: p.text(t)}
	case t.kind == 'i' && p.isName() && p.tokens[p.at+1].kind == '(':
		p.at++
		return p.call(p.text(t))
	default:
		return p.path()
	}
	return &node{op: opPath}
}

// close ends the parenthesis around n.
func (p *parser) close(n *node) *node {
	p.want(')')
	p.redundant = p.redundant || n.parens
	n.parens = true
	if p.groups && n.op == opPath {
		if longer := p.steps(n.path); len(longer) > len(n.path) {
			n.path, n.parens = longer, false
		}
	}
	return n
}

// end is what has gone wrong until the end of the source.
func (p *parser) end() string {
	if p.bad == "" && p.peek().kind != 'E' {
		p.fault()
	}
	return p.bad
}

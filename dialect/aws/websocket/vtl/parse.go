package vtl

import (
	"fmt"
	"strconv"
	"strings"
)

// parser reads a template, or the text of a string in one.
type parser struct {
	s     string
	at    int
	depth int
	// pending is the directive that ended the last block.
	pending *head
}

// head is a directive without the block that it begins.
type head struct {
	name string // "" is a comment
	to   *reference
	loop string
	expr expr
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("template, line %d: %s", 1+strings.Count(p.s[:min(p.at, len(p.s))], "\n"), fmt.Sprintf(format, args...))
}

// enter counts what stands in each other.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.errorf("more than %d levels", maxDepth)
	}
	return nil
}

// block reads up to the end of the text, or a directive that ends or divides a block: its name.
func (p *parser) block() (nodes []node, end string, err error) {
	var static strings.Builder
	flush := func() {
		if static.Len() > 0 {
			nodes = append(nodes, text(static.String()))
			static.Reset()
		}
	}
	for p.at < len(p.s) {
		c := p.s[p.at]
		rest := p.s[p.at:]
		switch {
		case strings.HasPrefix(rest, `\$`), strings.HasPrefix(rest, `\#`):
			static.WriteByte(rest[1])
			p.at += 2
		case c == '$':
			ref, err := p.reference()
			if err != nil {
				return nil, "", err
			}
			if ref == nil {
				static.WriteByte(c)
				p.at++
				continue
			}
			flush()
			nodes = append(nodes, printed{ref})
		case c == '#':
			start := p.at
			h, err := p.head()
			if err != nil {
				return nil, "", err
			}
			if h == nil { // it is none
				static.WriteByte(c)
				p.at++
				continue
			}
			if gap, ok := p.alone(start); ok {
				kept := strings.TrimRight(static.String(), " \t")
				static.Reset()
				static.WriteString(kept)
				p.at += gap
			}
			flush()
			switch h.name {
			case "end", "else", "elseif":
				p.pending = h
				return nodes, h.name, nil
			}
			n, err := p.body(h)
			if err != nil {
				return nil, "", err
			}
			if n != nil {
				nodes = append(nodes, n)
			}
		default:
			static.WriteByte(c)
			p.at++
		}
	}
	flush()
	return nodes, "", nil
}

// alone reports whether what begins at start and ends here is alone on its line, and how much there is
// to the end of the line.
func (p *parser) alone(start int) (gap int, ok bool) {
	before := p.s[strings.LastIndexByte(p.s[:start], '\n')+1 : start]
	if strings.Trim(before, " \t") != "" {
		return 0, false
	}
	if strings.HasSuffix(p.s[start:p.at], "\n") { // a comment
		return 0, true
	}
	after := p.s[p.at:]
	if i := strings.IndexByte(after, '\n'); i >= 0 {
		after = after[:i+1]
	}
	return len(after), strings.Trim(after, " \t\r\n") == ""
}

// directives are those with and without arguments.
var directives = map[string]bool{"set": true, "if": true, "elseif": true, "foreach": true, "else": false, "end": false, "break": false, "stop": false}

// head reads a directive, or a comment; nil when there is none here.
func (p *parser) head() (*head, error) {
	rest := p.s[p.at:]
	switch {
	case strings.HasPrefix(rest, "##"):
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			p.at += i + 1
		} else {
			p.at = len(p.s)
		}
		return &head{}, nil
	case strings.HasPrefix(rest, "#*"):
		i := strings.Index(rest[2:], "*#")
		if i < 0 {
			return nil, p.errorf("comment has no end")
		}
		p.at += i + 4
		return &head{}, nil
	case strings.HasPrefix(rest, "#[["):
		return nil, p.errorf("#[[ is not supported")
	}
	braced := strings.HasPrefix(rest, "#{")
	at := 1
	if braced {
		at = 2
	}
	name := identifier(rest[at:])
	at += len(name)
	if braced {
		if !strings.HasPrefix(rest[at:], "}") {
			return nil, nil
		}
		at++
	}
	switch name {
	case "macro", "parse", "include", "define", "evaluate":
		return nil, p.errorf("#%s is not supported", name)
	}
	hasArgs, known := directives[name]
	if !known {
		for _, d := range [...]string{"else", "end"} { // "#elsetext" and "#endtext" are directives, too
			if !braced && strings.HasPrefix(name, d) {
				p.at += 1 + len(d)
				return &head{name: d}, nil
			}
		}
		return nil, nil
	}
	if hasArgs && !strings.HasPrefix(strings.TrimLeft(rest[at:], " \t"), "(") {
		return nil, nil
	}
	p.at += at
	h := &head{name: name}
	if !hasArgs {
		return h, nil
	}
	return h, p.arguments(h)
}

// arguments reads what stands in a directive's parentheses.
func (p *parser) arguments(h *head) (err error) {
	p.expect("(")
	switch h.name {
	case "set":
		if h.to, err = p.variable(); err != nil {
			return err
		}
		if !p.expect("=") {
			return p.errorf("#set without =")
		}
	case "foreach":
		to, err := p.variable()
		if err != nil {
			return err
		}
		if len(to.steps) > 0 {
			return p.errorf("#foreach needs a plain variable")
		}
		h.loop = to.name
		if !p.word("in") {
			return p.errorf("#foreach without in")
		}
	}
	if h.expr, err = p.expr(); err != nil {
		return err
	}
	if !p.expect(")") {
		return p.errorf("#%s has no closing parenthesis", h.name)
	}
	return nil
}

// variable reads a reference that can be assigned to.
func (p *parser) variable() (*reference, error) {
	p.space()
	if p.at < len(p.s) && p.s[p.at] == '$' {
		ref, err := p.reference()
		if err != nil {
			return nil, err
		}
		if ref != nil && (len(ref.steps) == 0 || !ref.steps[len(ref.steps)-1].call) {
			return ref, nil
		}
	}
	return nil, p.errorf("a variable is missing")
}

// body reads the block that a directive begins, and makes its node; nil for a comment.
func (p *parser) body(h *head) (node, error) {
	switch h.name {
	case "set":
		return assign{h.to, h.expr}, nil
	case "break":
		return leave{errBreak}, nil
	case "stop":
		return leave{errStop}, nil
	case "if", "foreach":
	default:
		return nil, nil
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if h.name == "foreach" {
		nodes, end, err := p.block()
		if err == nil && end != "end" {
			err = p.errorf("#foreach has no #end")
		}
		return loop{h.loop, h.expr, nodes}, err
	}
	c := choice{}
	for when := h.expr; ; {
		nodes, end, err := p.block()
		if err != nil {
			return nil, err
		}
		c = append(c, branch{when, nodes})
		switch {
		case end == "end":
			return c, nil
		case end == "", when == nil:
			return nil, p.errorf("#if has no #end")
		}
		when = p.pending.expr // nil for #else
	}
}

// identifier is the name that s begins with, or "". A dash may be in it, not at its end.
func identifier(s string) string {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return strings.TrimRight(s[:i], "-")
		}
	}
	return strings.TrimRight(s, "-")
}

// reference reads $x, ${x} or $!x with what follows; nil when there is none here.
func (p *parser) reference() (*reference, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	start := p.at
	p.at++
	if p.at < len(p.s) && p.s[p.at] == '!' {
		p.at++
	}
	braced := p.at < len(p.s) && p.s[p.at] == '{'
	if braced {
		p.at++
	}
	ref := &reference{name: identifier(p.s[p.at:])}
	if ref.name == "" {
		p.at = start
		return nil, nil
	}
	p.at += len(ref.name)
	for p.at < len(p.s) {
		switch c := p.s[p.at]; {
		case c == '.':
			name := identifier(p.s[p.at+1:])
			if name == "" {
				goto done
			}
			p.at += 1 + len(name)
			s := step{name: name}
			if p.at < len(p.s) && p.s[p.at] == '(' {
				p.at++
				var err error
				if s.args, err = p.list(")"); err != nil {
					return nil, err
				}
				s.call = true
			}
			ref.steps = append(ref.steps, s)
		case c == '[':
			p.at++
			index, err := p.expr()
			if err != nil {
				return nil, err
			}
			if !p.expect("]") {
				return nil, p.errorf("$%s has no closing bracket", ref.name)
			}
			ref.steps = append(ref.steps, step{index: index})
		default:
			goto done
		}
	}
done:
	if braced {
		if p.at == len(p.s) || p.s[p.at] != '}' {
			p.at = start
			return nil, nil
		}
		p.at++
	}
	return ref, nil
}

// number reads an integer or a decimal number; a range's dots end it.
func (p *parser) number() (expr, error) {
	end, dots := p.at, 0
	for end < len(p.s) {
		c := p.s[end]
		if c == '.' {
			if dots++; dots > 1 || end+1 == len(p.s) || p.s[end+1] < '0' || p.s[end+1] > '9' {
				break
			}
		} else if c < '0' || c > '9' {
			break
		}
		end++
	}
	word := p.s[p.at:end]
	p.at = end
	if !strings.Contains(word, ".") {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, p.errorf("number %s is too big", word)
		}
		return constant{n}, nil
	}
	f, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return nil, p.errorf("number %s: %v", word, err)
	}
	return constant{f}, nil
}

// Package selection evaluates the selection expressions of API Gateway (aws.md 1.5): text with
// variables, $name.path or ${name.path}, in which \$ is a dollar sign. A value is put in once; what it
// contains is not looked at again.
package selection

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// Expression is a parsed expression.
type Expression struct{ parts []part }

// part is static text, or a variable when it has a name.
type part struct {
	text string
	name string
	path *document.Path // what follows request.body in name; nil for other variables and the whole body
}

// Source is where variables get their values from.
type Source interface {
	// Find is what a path leads to in the message, nil for nothing; false when the message is not JSON.
	Find(p *document.Path) (any, bool)
	// Text is the message as it came.
	Text() string
	// Variable is the value of any other variable: "context.routeKey", "request.header.x-api-key".
	// What is not there is "".
	Variable(name string) string
}

// body begins the names of variables that are looked up in the message.
const body = "request.body"

// Parse reads an expression. Its errors are the template's: a brace or a bracket that is not closed or
// holds nothing, a path that is no JSONPath.
func Parse(s string) (*Expression, error) {
	e := &Expression{}
	var static strings.Builder
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], `\$`):
			static.WriteByte('$')
			i += 2
			continue
		case s[i] != '$':
			static.WriteByte(s[i])
			i++
			continue
		}
		name, size, err := variable(s[i:])
		if err != nil {
			return nil, fmt.Errorf("expression %q: %w", s, err)
		}
		if size == 0 { // a lone dollar sign
			static.WriteByte('$')
			i++
			continue
		}
		i += size
		p := part{name: name}
		if rest, ok := strings.CutPrefix(name, body); ok && rest != "" && (rest[0] == '.' || rest[0] == '[') {
			if p.path, err = document.ParsePath(rest); err != nil {
				return nil, fmt.Errorf("expression %q: %w", s, err)
			}
		}
		if static.Len() > 0 {
			e.parts = append(e.parts, part{text: static.String()})
			static.Reset()
		}
		e.parts = append(e.parts, p)
	}
	if static.Len() > 0 || len(e.parts) == 0 {
		e.parts = append(e.parts, part{text: static.String()})
	}
	return e, nil
}

// variable reads one at the beginning of s, which begins with a dollar sign. size counts its bytes and
// is 0 when there is none.
func variable(s string) (name string, size int, err error) {
	if strings.HasPrefix(s, "${") {
		end := 2
		for end < len(s) && s[end] != '}' {
			n, err := step(s[end:])
			if err != nil {
				return "", 0, err
			}
			end += max(n, 1)
		}
		if end == len(s) {
			return "", 0, fmt.Errorf("%q has no closing brace", s)
		}
		if name = strings.TrimSpace(s[2:end]); name == "" {
			return "", 0, errors.New("${} names no variable")
		}
		return name, end + 1, nil
	}
	end := 1
	for end < len(s) {
		n, err := step(s[end:])
		if err != nil {
			return "", 0, err
		}
		if n == 0 {
			break
		}
		end += n
	}
	// A sentence may end, or a dash join two variables, behind a name.
	name = strings.TrimRight(s[1:end], ".-")
	if name == "" {
		return "", 0, nil
	}
	return name, 1 + len(name), nil
}

// step is the size of the next piece of a name: a character, or a whole bracket. 0 when the name ends.
func step(s string) (int, error) {
	c := s[0]
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.', c >= 0x80:
		return 1, nil
	case c != '[':
		return 0, nil
	}
	var quote byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '\'', c == '"':
			quote = c
		case c == ']':
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%q has no closing bracket", s)
}

// Static reports whether the expression has no variables.
func (e *Expression) Static() bool {
	for _, p := range e.parts {
		if p.name != "" {
			return false
		}
	}
	return true
}

// Names are the variables of the expression, in their order.
func (e *Expression) Names() []string {
	var names []string
	for _, p := range e.parts {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

// Eval puts in the values. ok is false when the expression asks for a part of the message and the
// message is not JSON.
func (e *Expression) Eval(src Source) (value string, ok bool) {
	if len(e.parts) == 1 {
		return e.parts[0].eval(src)
	}
	var b strings.Builder
	for _, p := range e.parts {
		text, ok := p.eval(src)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

func (p *part) eval(src Source) (string, bool) {
	switch {
	case p.name == "":
		return p.text, true
	case p.path != nil:
		v, ok := src.Find(p.path)
		return document.Text(v), ok
	case p.name == body:
		return src.Text(), true
	}
	return src.Variable(p.name), true
}

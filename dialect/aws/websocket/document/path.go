package document

import (
	"fmt"
	"strings"

	"github.com/ohler55/ojg/jp"
)

// Path is a JSONPath.
type Path struct {
	expr  jp.Expr
	names []string // of members in members, when it has nothing else
	plain bool     // it has not
}

// ParsePath reads a JSONPath, with or without its leading "$": "$.a.b", ".a[0]", "['a']" and "" are
// paths, the last one of the whole document.
func ParsePath(s string) (p *Path, err error) {
	defer func() { // the path is a stranger's, and the parser is not ours
		if v := recover(); v != nil {
			p, err = nil, fmt.Errorf("JSONPath %q: %v", s, v)
		}
	}()
	full := s
	if !strings.HasPrefix(s, "$") {
		full = "$" + s
	}
	expr, err := jp.ParseString(quoteNames(full))
	if err != nil {
		return nil, fmt.Errorf("JSONPath %q: %w", s, err)
	}
	p = &Path{expr: expr, plain: true}
	for _, f := range expr {
		switch f := f.(type) {
		case jp.Root, jp.Bracket:
		case jp.Child:
			p.names = append(p.names, string(f))
		default:
			p.plain = false
		}
	}
	return p, nil
}

// In is Find in a document that is still text. Its error is Parse's.
func (p *Path) In(text []byte) (v any, ok bool, err error) {
	if p.plain {
		return member(text, p.names)
	}
	doc, err := Parse(text)
	if err != nil {
		return nil, false, err
	}
	v, ok = p.Find(doc)
	return v, ok, nil
}

// member finds a member of a member and so on, and makes no document of the rest.
func member(text []byte, names []string) (v any, ok bool, err error) {
	if len(names) == 0 {
		v, err = Parse(text)
		return v, err == nil, err
	}
	var found []byte
	err = Members(text, func(key, raw []byte) error {
		if string(key) == names[0] {
			found = raw
		}
		return nil
	})
	if found == nil || err != nil {
		return nil, false, err
	}
	return member(found, names[1:])
}

// Find returns what the path finds in a document: nil and false when that is nothing, an array when
// the path may find several parts.
func (p *Path) Find(doc any) (v any, ok bool) {
	defer func() { // filters of a path may not fit the document
		if recover() != nil {
			v, ok = nil, false
		}
	}()
	found := p.expr.Get(doc)
	if p.several() {
		return found, true
	}
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

// several reports whether the path may find more than one part.
func (p *Path) several() bool {
	for _, f := range p.expr {
		switch f.(type) {
		case jp.Child, jp.Nth, jp.Root, jp.At, jp.Bracket:
		default:
			return true
		}
	}
	return false
}

// quoteNames writes names with a dash, which AWS takes after a dot, in brackets.
func quoteNames(path string) string {
	if !strings.Contains(path, "-") {
		return path
	}
	var b strings.Builder
	depth, quote := 0, byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'', c == '"':
			quote = c
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '.' && depth == 0:
			name := path[i+1:]
			if end := strings.IndexAny(name, ".['\""); end >= 0 {
				name = name[:end]
			}
			if !strings.Contains(name, "-") {
				break
			}
			if strings.HasSuffix(b.String(), ".") { // what is below is found by "..", a name by brackets
				b.WriteByte('.')
			}
			b.WriteString("['" + name + "']")
			i += len(name)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

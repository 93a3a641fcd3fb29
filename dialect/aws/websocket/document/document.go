// Package document is JSON as API Gateway looks at it: objects keep the order of their members and
// numbers the way in which they were written, and JSONPath finds parts of it.
//
// A value is nil, a bool, a json.Number, a string, a []any or an *Object.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// maxDepth is how deep arrays and objects may be in each other; deeper text is no JSON to us.
const maxDepth = 500

// ErrSyntax is what Parse returns for text that is not one JSON value.
var ErrSyntax = errors.New("not JSON")

// Object is a JSON object. The zero value is empty. Its methods with long names make it a keyed
// collection for JSONPath.
type Object struct {
	keys    []string
	members map[string]any
}

// Get returns a member.
func (o *Object) Get(key string) (any, bool) {
	v, ok := o.members[key]
	return v, ok
}

// Set puts a member in its place, or at the end.
func (o *Object) Set(key string, v any) {
	if o.members == nil {
		o.members = map[string]any{}
	}
	if _, ok := o.members[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.members[key] = v
}

// Delete takes a member out.
func (o *Object) Delete(key string) {
	if _, ok := o.members[key]; ok {
		delete(o.members, key)
		o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
	}
}

// Len counts the members.
func (o *Object) Len() int { return len(o.keys) }

// Keys are the names of the members in their order.
func (o *Object) Keys() []string { return slices.Clone(o.keys) }

// ValueForKey is Get.
func (o *Object) ValueForKey(key string) (any, bool) { return o.Get(key) }

// SetValueForKey is Set.
func (o *Object) SetValueForKey(key string, v any) { o.Set(key, v) }

// RemoveValueForKey is Delete.
func (o *Object) RemoveValueForKey(key string) { o.Delete(key) }

// MarshalJSON writes the object as Marshal does.
func (o *Object) MarshalJSON() ([]byte, error) { return Marshal(o), nil }

// Parse reads one JSON value. Of members with the same name the last one counts.
func Parse(b []byte) (any, error) {
	p := parser{b: b}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.b) {
		return nil, ErrSyntax
	}
	return v, nil
}

// Members reads text that is one JSON value, and tells of each member when that is an object: its name, decoded,
// and its value as it stands there. Both are valid until f returns. Any other value has no members.
func Members(b []byte, f func(key, raw []byte) error) error {
	p := parser{b: b}
	var err error
	if p.space(); p.at < len(b) && b[p.at] == '{' {
		err = p.members(func(key []byte) error {
			p.space()
			start := p.at
			if err := p.skip(1); err != nil {
				return err
			}
			return f(key, b[start:p.at])
		})
	} else {
		err = p.skip(0)
	}
	if p.space(); err == nil && p.at < len(b) {
		err = ErrSyntax
	}
	return err
}

// Items reads text that is one JSON value, and tells of each element when that is an array: it as it stands there,
// valid until f returns. Any other value has none.
func Items(b []byte, f func(raw []byte) error) error {
	p := parser{b: b}
	var err error
	if p.space(); p.at < len(b) && b[p.at] == '[' {
		err = p.items(func() error {
			p.space()
			start := p.at
			if err := p.skip(1); err != nil {
				return err
			}
			return f(b[start:p.at])
		})
	} else {
		err = p.skip(0)
	}
	if p.space(); err == nil && p.at < len(b) {
		err = ErrSyntax
	}
	return err
}

type parser struct {
	b  []byte
	at int
}

func (p *parser) space() {
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next skips space and takes c if it comes next.
func (p *parser) next(c byte) bool {
	if p.space(); p.at < len(p.b) && p.b[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) value(depth int) (any, error) {
	p.space()
	if p.at == len(p.b) || depth > maxDepth {
		return nil, ErrSyntax
	}
	switch p.b[p.at] {
	case '{':
		o := &Object{}
		err := p.members(func(key []byte) error {
			v, err := p.value(depth + 1)
			o.Set(string(key), v)
			return err
		})
		return o, err
	case '[':
		a := []any{}
		err := p.items(func() error {
			v, err := p.value(depth + 1)
			a = append(a, v)
			return err
		})
		return a, err
	case '"':
		raw, err := p.text()
		return string(unquoted(raw)), err
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	}
	raw, err := p.number()
	return json.Number(raw), err
}

// skip passes a value, and only looks whether it is one.
func (p *parser) skip(depth int) (err error) {
	p.space()
	if p.at == len(p.b) || depth > maxDepth {
		return ErrSyntax
	}
	switch p.b[p.at] {
	case '{':
		return p.members(func([]byte) error { return p.skip(depth + 1) })
	case '[':
		return p.items(func() error { return p.skip(depth + 1) })
	case '"':
		_, err = p.text()
	case 't':
		err = p.word("true")
	case 'f':
		err = p.word("false")
	case 'n':
		err = p.word("null")
	default:
		_, err = p.number()
	}
	return err
}

func (p *parser) word(w string) error {
	if !bytes.HasPrefix(p.b[p.at:], []byte(w)) {
		return ErrSyntax
	}
	p.at += len(w)
	return nil
}

// members reads an object. read gets each name, decoded, and reads the value.
func (p *parser) members(read func(key []byte) error) error {
	p.at++
	for first := true; !p.next('}'); first = false {
		if !first && !p.next(',') {
			return ErrSyntax
		}
		if p.space(); p.at == len(p.b) || p.b[p.at] != '"' {
			return ErrSyntax
		}
		raw, err := p.text()
		if err != nil || !p.next(':') {
			return ErrSyntax
		}
		if err := read(unquoted(raw)); err != nil {
			return err
		}
	}
	return nil
}

// items reads an array. read reads each value.
func (p *parser) items(read func() error) error {
	p.at++
	for first := true; !p.next(']'); first = false {
		if !first && !p.next(',') {
			return ErrSyntax
		}
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// text passes a text, and returns it as it stands there, with its quotes.
func (p *parser) text() ([]byte, error) {
	start := p.at
	p.at++
	for p.at += simple(p.b[p.at:]); p.at < len(p.b); p.at++ {
		switch c := p.b[p.at]; {
		case c == '"':
			p.at++
			return p.b[start:p.at], nil
		case c < ' ':
			return nil, ErrSyntax
		case c == '\\':
			if p.at++; p.at == len(p.b) {
				return nil, ErrSyntax
			}
			if c := p.b[p.at]; c == 'u' {
				if codeUnit(p.b[p.at-1:]) < 0 {
					return nil, ErrSyntax
				}
			} else if strings.IndexByte(`"\/bfnrt`, c) < 0 {
				return nil, ErrSyntax
			}
		}
	}
	return nil, ErrSyntax
}

func (p *parser) number() ([]byte, error) {
	start := p.at
	for p.at < len(p.b) && strings.IndexByte("+-.0123456789eE", p.b[p.at]) >= 0 {
		p.at++
	}
	raw := p.b[start:p.at]
	if !json.Valid(raw) { // of these characters only numbers are valid
		return nil, ErrSyntax
	}
	return raw, nil
}

// Marshal writes a value as JSON without spaces, members in their order, HTML characters as they are.
// What is no value of a document is written as encoding/json does.
func Marshal(v any) []byte { return appendJSON(nil, v) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case json.Number:
		return append(b, v...)
	case string:
		return AppendText(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case *Object:
		b = append(b, '{')
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(AppendText(b, k), ':')
			b = appendJSON(b, v.members[k])
		}
		return append(b, '}')
	}
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return append(b, "null"...)
	}
	return append(b, bytes.TrimSuffix(w.Bytes(), []byte("\n"))...)
}

// Text is a value as expressions see it (aws.md 1.5): strings and numbers as they are, null as nothing,
// arrays as "[item1, item2]", objects as JSON.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return textOfNull
	case string:
		return v
	case []any:
		items := make([]string, len(v))
		for i, e := range v {
			items[i] = Text(e)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return string(Marshal(v)) // of an object, its JSON text (not verified)
}

// textOfNull is null in an expression (not verified).
const textOfNull = ""

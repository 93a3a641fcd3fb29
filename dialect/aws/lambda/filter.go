package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// filter is an event pattern: what it asks of a record, by field.
type filter struct {
	fields map[string]node
	or     []filter // of which one has to match, too; none asks nothing
}

// node is what is asked of one field: something of its parts, or one of some values.
type node struct {
	parts *filter
	any   []test
}

// test reports whether a field's value is what a pattern asks for; there is false when it has none.
type test func(v any, there bool) bool

// maxFilter is how deep patterns go.
const maxFilter = 64

// parseFilter reads an event pattern.
func parseFilter(text string) (*filter, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("event pattern is not JSON: %w", err)
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("event pattern is not an object")
	}
	return readFilter(o, maxFilter)
}

func readFilter(o map[string]any, depth int) (*filter, error) {
	if depth == 0 {
		return nil, errors.New("event pattern is too deep")
	}
	f := &filter{fields: map[string]node{}}
	for name, v := range o {
		switch v := v.(type) {
		case map[string]any:
			parts, err := readFilter(v, depth-1)
			if err != nil {
				return nil, err
			}
			f.fields[name] = node{parts: parts}
		case []any:
			if name == "$or" {
				if err := f.readOr(v, depth); err != nil {
					return nil, err
				}
				continue
			}
			var n node
			for _, e := range v {
				t, err := readTest(e)
				if err != nil {
					return nil, fmt.Errorf("%q: %w", name, err)
				}
				n.any = append(n.any, t)
			}
			if len(n.any) == 0 {
				return nil, fmt.Errorf("%q: empty arrays are not allowed", name)
			}
			f.fields[name] = n
		default:
			return nil, fmt.Errorf("%q must be an object or an array", name)
		}
	}
	return f, nil
}

func (f *filter) readOr(list []any, depth int) error {
	for _, e := range list {
		o, ok := e.(map[string]any)
		if !ok {
			return errors.New("$or is a list of objects")
		}
		one, err := readFilter(o, depth-1)
		if err != nil {
			return err
		}
		f.or = append(f.or, *one)
	}
	if len(f.or) < 2 {
		return errors.New("$or needs two objects or more")
	}
	return nil
}

// readTest reads one value of a pattern: itself, or a comparison.
func readTest(e any) (test, error) {
	o, ok := e.(map[string]any)
	if !ok {
		if _, list := e.([]any); list {
			return nil, errors.New("arrays within arrays are not allowed")
		}
		return func(v any, there bool) bool { return there && v == e }, nil
	}
	if len(o) != 1 {
		return nil, errors.New("a comparison has one name")
	}
	for name, arg := range o {
		s, isText := arg.(string)
		text := func(match func(v string) bool) (test, error) {
			if !isText {
				return nil, fmt.Errorf("%s wants a text", name)
			}
			return func(v any, there bool) bool {
				got, ok := v.(string)
				return there && ok && match(got)
			}, nil
		}
		switch name {
		case "prefix":
			return text(func(v string) bool { return strings.HasPrefix(v, s) })
		case "suffix":
			return text(func(v string) bool { return strings.HasSuffix(v, s) })
		case "equals-ignore-case":
			return text(func(v string) bool { return strings.EqualFold(v, s) })
		case "wildcard":
			return text(func(v string) bool { return wildcard(s, v) })
		case "exists":
			want, ok := arg.(bool)
			if !ok {
				return nil, errors.New("exists wants true or false")
			}
			return func(_ any, there bool) bool { return there == want }, nil
		case "anything-but":
			return readNot(arg)
		case "numeric":
			return readNumeric(arg)
		}
		return nil, fmt.Errorf("comparison %q is not known", name)
	}
	return nil, nil // there is one name
}

// readNot is anything but some values, or but what a comparison matches.
func readNot(arg any) (test, error) {
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	var tests []test
	for _, e := range list {
		t, err := readTest(e)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(v any, there bool) bool {
		return there && !slices.ContainsFunc(tests, func(t test) bool { return t(v, true) })
	}, nil
}

// readNumeric is one or two comparisons of a number: [">", 0, "<=", 5].
func readNumeric(arg any) (test, error) {
	list, ok := arg.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, errors.New(`numeric wants [">", 0] or [">", 0, "<=", 5]`)
	}
	var tests []func(float64) bool
	for i := 0; i < len(list); i += 2 {
		op, _ := list[i].(string)
		n, ok := list[i+1].(float64)
		if !ok {
			return nil, errors.New("numeric wants numbers")
		}
		compare, ok := map[string]func(v float64) bool{
			"=": func(v float64) bool { return v == n }, "<": func(v float64) bool { return v < n }, "<=": func(v float64) bool { return v <= n },
			">": func(v float64) bool { return v > n }, ">=": func(v float64) bool { return v >= n },
		}[op]
		if !ok {
			return nil, fmt.Errorf("numeric comparison %v is not known", list[i])
		}
		tests = append(tests, compare)
	}
	return func(v any, there bool) bool {
		n, ok := v.(float64)
		return there && ok && !slices.ContainsFunc(tests, func(t func(float64) bool) bool { return !t(n) })
	}, nil
}

// matches reports whether a record is what the pattern asks for.
func (f *filter) matches(o map[string]any) bool {
	for name, n := range f.fields {
		v, there := o[name]
		if n.parts != nil {
			part, _ := v.(map[string]any)
			if !n.parts.matches(part) {
				return false
			}
			continue
		}
		if !slices.ContainsFunc(n.any, func(t test) bool { return t.of(v, there) }) {
			return false
		}
	}
	return len(f.or) == 0 || slices.ContainsFunc(f.or, func(one filter) bool { return one.matches(o) })
}

// of asks a value, or each one of a list.
func (t test) of(v any, there bool) bool {
	list, ok := v.([]any)
	if !ok {
		if _, object := v.(map[string]any); object {
			v = nil // a pattern cannot ask for one
			return t(struct{}{}, there)
		}
		return t(v, there)
	}
	return slices.ContainsFunc(list, func(e any) bool {
		switch e.(type) {
		case map[string]any, []any:
			return false
		}
		return t(e, there)
	})
}

// wildcard reports whether a pattern, in which * is any text, is all of s.
func wildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, parts[0])
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(s, part)
		s, ok = after, ok && found
	}
	return ok && strings.HasSuffix(s, parts[last])
}

package sdevs

import (
	"fmt"
	"strings"
)

// expr is what stands between ${ and }: a path (vars.a.list[0]) or a call (env('NAME', 'default')).
type expr struct {
	path []string // of a path; an index is a decimal number
	fn   string   // of a call
	args []expr
	lit  *string // a quoted argument, or a bare one that is no call
}

// functions are the callable names.
var functions = map[string]bool{"env": true, "config": true, "file": true, "path": true, "json": true, "regex": true}

// parseExpr reads an expression.
func parseExpr(s string) (expr, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return expr{}, fmt.Errorf("is empty")
	}
	if e, ok, err := parseCall(s, 0); ok || err != nil {
		return e, err
	}
	if name, ok := strings.CutPrefix(s, "env."); ok && name != "" {
		return expr{fn: "env", args: []expr{{lit: &name}}}, nil
	}
	if name, ok := strings.CutPrefix(s, "config."); ok && name != "" {
		return expr{fn: "config", args: []expr{{lit: &name}}}, nil
	}
	path, err := parsePath(s)
	return expr{path: path}, err
}

// parseCall reads NAME(ARGS); ok is false when s is not of that form.
func parseCall(s string, depth int) (e expr, ok bool, err error) {
	name, rest, found := strings.Cut(s, "(")
	if name = strings.TrimSpace(name); !found || !functions[name] {
		if found && !strings.ContainsAny(name, `"' `) {
			return e, false, fmt.Errorf("has an unknown function %q", name)
		}
		return e, false, nil
	}
	if depth > 8 {
		return e, true, fmt.Errorf("is nested too deeply")
	}
	rest, closed := strings.CutSuffix(strings.TrimSpace(rest), ")")
	if !closed {
		return e, true, fmt.Errorf("has no closing parenthesis")
	}
	e.fn = name
	args, err := splitArgs(rest)
	if err != nil {
		return e, true, err
	}
	for _, a := range args {
		a = strings.TrimSpace(a)
		if inner, ok := strings.CutPrefix(a, "${"); ok && strings.HasSuffix(inner, "}") && depth < 8 {
			nested, err := parseExpr(strings.TrimSuffix(inner, "}"))
			if err != nil {
				return e, true, err
			}
			e.args = append(e.args, nested)
			continue
		}
		if call, is, err := parseCall(a, depth+1); is && err == nil {
			e.args = append(e.args, call)
			continue
		} else if is {
			return e, true, err
		}
		if len(a) >= 2 && (a[0] == '\'' || a[0] == '"') && a[len(a)-1] == a[0] {
			a = a[1 : len(a)-1]
		}
		e.args = append(e.args, expr{lit: &a})
	}
	return e, true, nil
}

// splitArgs cuts at commas that are outside quotes and parentheses.
func splitArgs(s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var args []string
	var quote byte
	depth, from := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			args = append(args, s[from:i])
			from = i + 1
		}
	}
	if quote != 0 || depth != 0 {
		return nil, fmt.Errorf("has an open quote or parenthesis")
	}
	return append(args, s[from:]), nil
}

// parsePath reads a.b[0].c; names may hold anything but dots, brackets and spaces.
func parsePath(s string) ([]string, error) {
	var path []string
	for _, part := range strings.Split(s, ".") {
		name, index, _ := strings.Cut(part, "[")
		if name == "" || strings.ContainsAny(name, " \t\n'\"`(){}$,;|&<>") {
			return nil, fmt.Errorf("is not a variable")
		}
		path = append(path, name)
		for index != "" {
			n, rest, ok := strings.Cut(index, "]")
			n = strings.Trim(n, `'"`)
			if !ok || n == "" || rest != "" && rest[0] != '[' {
				return nil, fmt.Errorf("has a broken index")
			}
			path = append(path, n)
			index = strings.TrimPrefix(rest, "[")
		}
	}
	return path, nil
}

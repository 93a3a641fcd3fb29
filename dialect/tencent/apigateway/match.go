package apigateway

import (
	"strings"

	"github.com/sluicehq/sluice/dialect/tencent/apispec"
)

// pattern is the path of an API, in segments.
type pattern struct {
	parts []string
	exact bool // nothing may follow
}

func compile(path string) pattern {
	rest, exact := strings.CutPrefix(path, "=")
	return pattern{parts: segments(rest), exact: exact}
}

// segments are the parts of a path between its slashes; a final slash makes none.
func segments(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// variable is the name in {name}.
func variable(part string) (string, bool) {
	if len(part) > 2 && part[0] == '{' && part[len(part)-1] == '}' {
		return part[1 : len(part)-1], true
	}
	return "", false
}

// match compares a path with the pattern. score tells how well it fits, more is better; -1 is not at all.
func (p pattern) match(path []string) (score int, vars map[string]string) {
	if len(path) < len(p.parts) || p.exact && len(path) != len(p.parts) {
		return -1, nil
	}
	for i, part := range p.parts {
		name, ok := variable(part)
		switch {
		case ok:
			if vars == nil {
				vars = map[string]string{}
			}
			vars[name] = path[i]
			score++
		case part == path[i]:
			score += 2
		default:
			return -1, nil
		}
	}
	score *= 2
	if len(path) == len(p.parts) {
		score++
	}
	return score, vars
}

// target is what a request leads to.
type target struct {
	svc  *service // nil: nothing
	call *call    // nil: the service has no such API
	path string   // without the environment; begins with a slash
	vars map[string]string
}

// find reads host and path (section 1.1). want says which APIs count. bare lets a path without its
// environment lead to an API when there is only one service that it can mean.
func (x *App) find(host, path string, want func(*call) bool, bare bool) target {
	host = bareHost(host)
	if rest, ok := strings.CutPrefix(path, "/_tencent/"); ok {
		id, rest, _ := strings.Cut(rest, "/")
		return x.byID(id).within("/"+rest, want)
	}
	if id, ok := serviceHost(host); ok {
		return x.byID(id).within(path, want)
	}
	for _, s := range x.services {
		for i := range s.Domains {
			if s.Domains[i].Name == host {
				return s.mapped(&s.Domains[i], path, want)
			}
		}
	}
	t, n := x.only(func(s *service) target { return s.within(path, want) })
	if n == 0 && bare {
		if _, n := x.only(func(s *service) target { return s.within(path, func(*call) bool { return true }) }); n == 0 {
			t, _ = x.only(func(s *service) target { return s.at(path, want) })
		}
	}
	return t
}

// only is the target of the only service that has one, and how many have.
func (x *App) only(way func(*service) target) (one target, n int) {
	for _, s := range x.services {
		if t := way(s); t.call != nil {
			one = t
			n++
		}
	}
	if n != 1 {
		one = target{}
	}
	return one, n
}

// within reads a path that begins with the environment. s may be nil.
func (s *service) within(path string, want func(*call) bool) target {
	if s == nil {
		return target{}
	}
	env, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if env != s.Environment {
		return target{svc: s}
	}
	return s.at("/"+rest, want)
}

// mapped reads a path of a custom domain.
func (s *service) mapped(d *apispec.Domain, path string, want func(*call) bool) target {
	if d.Keep {
		return s.within(path, want)
	}
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(d.Base, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return target{svc: s}
	}
	return s.at("/"+strings.TrimPrefix(rest, "/"), want)
}

// at finds the API of a path without the environment: the one that fits best, and of those that fit as
// well the first. Paths of WebSocket APIs fit as a whole.
func (s *service) at(path string, want func(*call) bool) target {
	t, best := target{svc: s, path: path}, -1
	parts := segments(path)
	for _, c := range s.calls {
		if !want(c) || c.Protocol == apispec.WebSocket && len(parts) != len(c.pattern.parts) {
			continue
		}
		if score, vars := c.pattern.match(parts); score > best {
			best, t.call, t.vars = score, c, vars
		}
	}
	return t
}

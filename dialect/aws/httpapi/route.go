package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// route is a route key taken apart: a method ("ANY" is every one) and the segments of a path; {name}
// matches one segment, and {name+} at the end all that are left.
type route struct {
	*apispec.Route
	method   string
	segments []string
	whole    bool // $default
}

// compile orders routes so that the first that matches is the right one: literal segments go before
// parameters, those before a greedy end, a method before ANY, and $default comes last (section 4).
func compile(list []apispec.Route) ([]route, error) {
	var out []route
	for i := range list {
		r := &list[i]
		if r.Key == defaultName {
			out = append(out, route{Route: r, whole: true})
			continue
		}
		method, path, ok := strings.Cut(r.Key, " ")
		if !ok || !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("route key %q: want METHOD /path or $default", r.Key)
		}
		segments := split(path)
		for j, s := range segments {
			if strings.HasSuffix(s, "+}") && j != len(segments)-1 {
				return nil, fmt.Errorf("route key %q: only the last part of a path can be greedy", r.Key)
			}
		}
		out = append(out, route{Route: r, method: method, segments: segments})
	}
	slices.SortStableFunc(out, func(a, b route) int {
		if a.whole != b.whole {
			if a.whole {
				return 1
			}
			return -1
		}
		for i := range min(len(a.segments), len(b.segments)) {
			if d := rank(a.segments[i]) - rank(b.segments[i]); d != 0 {
				return d
			}
		}
		if d := len(b.segments) - len(a.segments); d != 0 {
			return d
		}
		return rank(a.method) - rank(b.method)
	})
	return out, nil
}

// rank is how late a segment or method is tried.
func rank(s string) int {
	switch {
	case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "+}"):
		return 2
	case strings.HasPrefix(s, "{") || s == "ANY":
		return 1
	}
	return 0
}

func split(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// match finds the route of a request, and the parameters in its path.
func match(routes []route, method, path string) (*apispec.Route, map[string]string) {
	parts := split(path)
	for i := range routes {
		r := &routes[i]
		if r.whole {
			return r.Route, nil
		}
		if r.method != "ANY" && r.method != method {
			continue
		}
		if params, ok := r.match(parts); ok {
			return r.Route, params
		}
	}
	return nil, nil
}

func (r *route) match(parts []string) (map[string]string, bool) {
	var params map[string]string
	set := func(name, v string) {
		if params == nil {
			params = map[string]string{}
		}
		params[name] = v
	}
	for i, s := range r.segments {
		if i >= len(parts) {
			return nil, false
		}
		switch rank(s) {
		case 2:
			set(s[1:len(s)-2], strings.Join(parts[i:], "/"))
			return params, true
		case 1:
			set(strings.Trim(s, "{}"), parts[i])
		default:
			if s != parts[i] {
				return nil, false
			}
		}
	}
	return params, len(parts) == len(r.segments)
}

package apigateway

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// The values of an API's protocol list.
const (
	protoHTTP  = "HTTP"
	protoHTTPS = "HTTPS"
	protoWS    = "WS"
)

// anyMethod matches every method.
const anyMethod = "ANY"

// route is one API in the tree of paths.
type route struct {
	api      *apigroup.API
	meter    Meter
	prefix   string                    // the request path before the tail, without a final slash; the whole path when it has no tail
	names    []string                  // of its path parameters, in their order
	tail     bool                      // the path ends in /*
	patterns map[string]*regexp.Regexp // of its parameters
}

// node is one segment's place in the tree of paths. Children and lists are tried in the order of the
// fields, which is the order of section 2.2: the more literal text before the first wildcard the
// better, then parameters, then a tail.
type node struct {
	lit   map[string]*node
	param *node
	here  []*route // paths that end here
	tail  []*route // paths whose /* begins here
}

// add compiles one API's path into the tree.
func (n *node) add(base string, a *apigroup.API) (*route, error) {
	path := base + a.Path
	if !strings.HasPrefix(a.Path, "/") {
		return nil, errors.New("its path must begin with a slash")
	}
	patterns, err := compilePatterns(a)
	if err != nil {
		return nil, err
	}
	rt := &route{api: a, prefix: path, patterns: patterns}
	if rest, ok := strings.CutSuffix(path, "/*"); ok {
		rt.prefix, rt.tail = rest, true
	}
	if strings.Contains(rt.prefix, "*") {
		return nil, errors.New("in a path * may only be the last segment")
	}
	if rt.prefix != "" {
		for seg := range strings.SplitSeq(rt.prefix[1:], "/") {
			if name, ok := parameter(seg); ok {
				rt.names = append(rt.names, name)
				if n.param == nil {
					n.param = &node{}
				}
				n = n.param
				continue
			}
			if n.lit == nil {
				n.lit = map[string]*node{}
			}
			if n.lit[seg] == nil {
				n.lit[seg] = &node{}
			}
			n = n.lit[seg]
		}
	}
	if rt.tail {
		n.tail = append(n.tail, rt)
	} else {
		n.here = append(n.here, rt)
	}
	return rt, nil
}

// parameter returns the name in "[name]".
func parameter(seg string) (string, bool) {
	if len(seg) > 2 && seg[0] == '[' && seg[len(seg)-1] == ']' {
		return seg[1 : len(seg)-1], true
	}
	return "", false
}

// sort puts exact methods before ANY, and else keeps the template's order.
func (n *node) sort() {
	for _, l := range [][]*route{n.here, n.tail} {
		slices.SortStableFunc(l, func(a, b *route) int {
			return cmp.Compare(anyRank(a), anyRank(b))
		})
	}
	for _, c := range n.lit {
		c.sort()
	}
	if n.param != nil {
		n.param.sort()
	}
}

func anyRank(r *route) int {
	if r.api.Method == anyMethod {
		return 1
	}
	return 0
}

// match is a route with what its wildcards stand for in one request.
type match struct {
	*route
	values []string // of the path parameters, decoded
	rest   string   // what the tail matched, still encoded, without a leading slash
	bare   bool     // the request path ended before the slash of the tail
}

// params are the path parameters by name.
func (m *match) params() map[string]string {
	vals := map[string]string{}
	for i, v := range m.values {
		vals[m.names[i]] = v
	}
	return vals
}

// walk yields the routes that match an encoded path, best first, until yield returns false. Each node
// of the tree is visited at most once, so a path cannot make it slow.
func (n *node) walk(path string, values []string, yield func(match) bool) bool {
	if path == "" {
		for _, rt := range n.here {
			if !yield(match{route: rt, values: values}) {
				return false
			}
		}
		for _, rt := range n.tail {
			if !yield(match{route: rt, values: values, bare: true}) {
				return false
			}
		}
		return true
	}
	seg, rest := path[1:], ""
	if i := strings.IndexByte(seg, '/'); i >= 0 {
		seg, rest = seg[:i], seg[i:]
	}
	if s, err := url.PathUnescape(seg); err == nil {
		if c := n.lit[s]; c != nil && !c.walk(rest, values, yield) {
			return false
		}
		if n.param != nil && s != "" && !n.param.walk(rest, append(values[:len(values):len(values)], s), yield) {
			return false
		}
	}
	for _, rt := range n.tail {
		if !yield(match{route: rt, values: values, rest: path[1:]}) {
			return false
		}
	}
	return true
}

// find picks the API for a request (section 2.2, in the socket also 1.4).
func (g *Group) find(c *call) (match, error) {
	want := c.kind()
	var found *match
	method, proto := false, false // a path matched but for its method; its protocol
	g.root.walk(c.r.URL.EscapedPath(), nil, func(m match) bool {
		a := m.api
		switch {
		case want != "" && a.WebSocketType != want:
		case c.proto == protoWS && want == "" && a.WebSocketType == apigroup.Notify:
		case c.proto != protoWS && callOnly(a):
		case a.Method != anyMethod && a.Method != c.r.Method:
			method = true
		case !g.speaks(a, c.proto):
			proto = true
		default:
			found = &m
		}
		return found == nil
	})
	switch {
	case found != nil:
		return *found, nil
	case want == apigroup.Register || want == apigroup.Unregister:
		if rt := g.only(want); rt != nil {
			return match{route: rt, bare: true}, nil
		}
	case proto:
		return match{}, faultf(I403PT, "Invalid protocol %s unsupported", c.proto)
	case method:
		return match{}, faultf(I405UM, "Unsupported Method")
	}
	return match{}, faultf(I404NF, "API not found with path `%s`", c.r.URL.Path)
}

// callOnly reports whether an API is for the socket alone.
func callOnly(a *apigroup.API) bool {
	return (a.WebSocketType == apigroup.Register || a.WebSocketType == apigroup.Unregister) &&
		!slices.Contains(a.Protocols, protoHTTP)
}

// speaks reports whether an API takes requests of a protocol. Without TLS of our own, HTTP is good
// enough where only HTTPS is listed.
func (g *Group) speaks(a *apigroup.API, proto string) bool {
	return slices.Contains(a.Protocols, proto) ||
		proto == protoHTTP && !g.o.TLS && slices.Contains(a.Protocols, protoHTTPS) ||
		proto == protoWS && (a.WebSocketType == apigroup.Register || a.WebSocketType == apigroup.Unregister)
}

// only returns the one API of a type, nil when there are none or several.
func (g *Group) only(kind string) *route {
	var one *route
	for _, rt := range g.apis {
		if rt.api.WebSocketType == kind {
			if one != nil {
				return nil
			}
			one = rt
		}
	}
	return one
}

package websocket

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
	"github.com/sluicehq/sluice/dialect/aws/websocket/selection"
	"github.com/sluicehq/sluice/dialect/aws/websocket/vtl"
)

// mapping sets one parameter of a request or an answer (aws.md 1.9).
type mapping struct {
	kind string // header, querystring, path
	name string
	from source
}

// newMapping reads one; prefix begins the names of what can be set.
func newMapping(to, from, prefix string) (mapping, error) {
	rest, ok := strings.CutPrefix(to, prefix)
	kind, name, named := strings.Cut(rest, ".")
	if !ok || !named || name == "" || kind != "header" && kind != "querystring" && kind != "path" {
		return mapping{}, fmt.Errorf("parameter %q cannot be set", to)
	}
	src, err := newSource(from)
	return mapping{kind, name, src}, err
}

// source is where a parameter's value comes from.
type source struct {
	static  string
	fixed   bool
	where   string         // "request", "response", or "" for what call.lookup finds
	name    string         // for lookup, or "header.X" of an answer
	path    *document.Path // into a body
	inBody  bool
	isMulti bool
}

// newSource reads the right side of a mapping.
func newSource(s string) (source, error) {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return source{static: s[1 : len(s)-1], fixed: true}, nil
	}
	src := source{name: s}
	switch {
	case strings.HasPrefix(s, "route.request."):
		src.where, src.name = "request", strings.TrimPrefix(s, "route.")
	case strings.HasPrefix(s, "integration.response."):
		src.where, src.name = "response", strings.TrimPrefix(s, "integration.response.")
	case strings.HasPrefix(s, "context."), strings.HasPrefix(s, "stageVariables."):
	default:
		return src, fmt.Errorf("parameter source %q is unknown", s)
	}
	kind := strings.TrimPrefix(src.name, "request.")
	src.isMulti = strings.HasPrefix(kind, "multivalue")
	if rest, ok := strings.CutPrefix(kind, "body"); ok && src.where != "" {
		src.inBody = true
		if rest != "" {
			var err error
			if src.path, err = document.ParsePath(rest); err != nil {
				return src, err
			}
		}
	}
	return src, nil
}

// values are what the source holds; nil is nothing. b is the backend's answer, where there is one.
func (s source) values(c *call, b *backend) []string {
	switch {
	case s.fixed:
		return []string{s.static}
	case s.inBody:
		return s.fromBody(c, b)
	case s.where == "response":
		kind, key, _ := strings.Cut(s.name, ".")
		if b == nil || b.header == nil || kind != "header" && kind != "multivalueheader" {
			return nil
		}
		return s.some(b.header.Values(key))
	}
	return s.some(c.lookup(s.name))
}

// some is all values of a multivalue source, and the last one of others.
func (s source) some(vals []string) []string {
	if s.isMulti || len(vals) == 0 {
		return vals
	}
	return vals[len(vals)-1:]
}

func (s source) fromBody(c *call, b *backend) []string {
	data, text := c.data, c.Text
	if s.where == "response" {
		if b == nil {
			return nil
		}
		data, text = b.body, func() string { return string(b.body) }
	}
	if s.path == nil {
		return []string{text()}
	}
	v, found, err := s.path.In(data)
	if !found || err != nil {
		return nil
	}
	return []string{document.Text(v)}
}

// templates are the templates of one body, and how to choose between them.
type templates struct {
	expr  *selection.Expression
	byKey map[string]*vtl.Template
}

func newTemplates(expr string, texts map[string]string) (t templates, err error) {
	if t.expr, err = selection.Parse(expr); err != nil {
		return t, err
	}
	t.byKey = map[string]*vtl.Template{}
	for key, text := range texts {
		parsed, err := vtl.Parse(text)
		if err != nil {
			return t, fmt.Errorf("%s: %w", key, err)
		}
		t.byKey[strings.TrimPrefix(key, `\`)] = parsed
	}
	return t, nil
}

func (t templates) empty() bool { return len(t.byKey) == 0 }

// choose picks a template; nil is none.
func (t templates) choose(src selection.Source) *vtl.Template {
	key, _ := t.expr.Eval(src)
	if found := t.byKey[key]; found != nil && key != "" {
		return found
	}
	return t.byKey[routeDefault]
}

// response is an integration response.
type response struct {
	spec      *apispec.IntegrationResponse
	pattern   *regexp.Regexp // nil: it is for all that no other is for
	params    []mapping
	templates templates
}

// newResponses compiles integration responses. Their keys are $default, or patterns in slashes or
// without them.
func newResponses(specs []apispec.IntegrationResponse) ([]response, error) {
	var out []response
	for i := range specs {
		r := response{spec: &specs[i]}
		key := strings.TrimPrefix(r.spec.Key, `\`)
		if key == "" {
			return nil, errors.New("integration response without a key")
		}
		if key != routeDefault {
			if len(key) > 1 && key[0] == '/' && key[len(key)-1] == '/' {
				key = key[1 : len(key)-1]
			}
			var err error
			if r.pattern, err = regexp.Compile("^(?s:" + key + ")$"); err != nil {
				return nil, fmt.Errorf("integration response %s: %w", r.spec.Key, err)
			}
		}
		for to, from := range r.spec.Parameters {
			m, err := newMapping(to, from, "route.response.")
			if err != nil {
				return nil, err
			}
			r.params = append(r.params, m)
		}
		var err error
		if r.templates, err = newTemplates(r.spec.TemplateSelection, r.spec.Templates); err != nil {
			return nil, fmt.Errorf("response template: %w", err)
		}
		out = append(out, r)
	}
	return out, nil
}

// match finds the response for a backend's answer: by its status, or by the message of a function that
// failed. nil is none.
func (in *integration) match(b backend) *response {
	subject := strconv.Itoa(b.status)
	if in.function != "" {
		subject = b.failure
	}
	var fallback *response
	for i := range in.responses {
		r := &in.responses[i]
		switch {
		case r.pattern == nil:
			fallback = r
		case (in.function == "" || b.failure != "") && r.pattern.MatchString(subject):
			return r
		}
	}
	return fallback
}

// header is what a response sets a header of the handshake's answer to.
func (r *response) header(c *call, b backend, name string) string {
	for _, m := range r.params {
		if m.kind == "header" && strings.EqualFold(m.name, name) {
			if vals := m.from.values(c, &b); len(vals) > 0 {
				return vals[len(vals)-1]
			}
		}
	}
	return ""
}

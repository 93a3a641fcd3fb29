package websocket

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// call is one event on its way through a route: where expressions, mappings and templates look things
// up. It is a selection.Source.
type call struct {
	st    *Stage
	ev    *sluice.Event
	route string            // its key; "" before there is one
	attrs map[string]string // the connection's
	usage string            // the usageIdentifierKey of the authorizer

	data    []byte // of a message
	encoded bool   // it is no text, and functions have it as
	base64  string

	variables *document.Object // of $context

	status int           // that the integration answered; 0 before that
	took   time.Duration // by the integration
}

// enter says which route the call has come to, or that the connection's attributes are others.
func (c *call) enter(routeKey string) { c.route, c.variables = routeKey, nil }

// Text is the message.
func (c *call) Text() string {
	if c.encoded {
		return c.base64
	}
	return string(c.data)
}

// Find is what a path leads to in the message; false when the message is not JSON.
func (c *call) Find(p *document.Path) (any, bool) {
	v, _, err := p.In(c.data)
	return v, err == nil
}

// Variable is a variable of an expression that is not in the message.
func (c *call) Variable(name string) string {
	name = strings.TrimPrefix(name, "route.")
	if vals := c.lookup(name); len(vals) > 0 {
		return vals[len(vals)-1]
	}
	return ""
}

// lookup finds the values of "context.X", "stageVariables.X", and of the handshake "request.header.X",
// "request.querystring.X" and their multivalue forms; nil when there are none.
func (c *call) lookup(name string) []string {
	kind, key, _ := strings.Cut(name, ".")
	switch kind {
	case "stageVariables":
		if v, ok := c.st.spec.Variables[key]; ok {
			return []string{v}
		}
	case "context":
		if v, ok := c.contextValue(key); ok {
			return []string{document.Text(v)}
		}
	case "request":
		return c.handshake(key)
	}
	return nil
}

// handshake finds a part of the handshake, while that is being answered.
func (c *call) handshake(name string) []string {
	hs := c.ev.Conn.Handshake
	if c.ev.Kind != sluice.Open || hs == nil {
		return nil
	}
	kind, key, _ := strings.Cut(name, ".")
	switch kind {
	case "header", "multivalueheader":
		if strings.EqualFold(key, "Host") {
			return []string{c.domain()}
		}
		return hs.Header[http.CanonicalHeaderKey(key)]
	case "querystring", "multivaluequerystring":
		vals, _ := url.ParseQuery(hs.RawQuery) // what is malformed is left out
		return vals[key]
	}
	return nil
}

// context is $context (aws.md 1.9).
func (c *call) context() *document.Object {
	if c.variables == nil {
		doc, _ := document.Parse(c.appendContext(nil)) // we wrote it
		c.variables, _ = doc.(*document.Object)
	}
	return c.variables
}

// contextValue finds "authorizer.principalId" and the like.
func (c *call) contextValue(path string) (any, bool) {
	var v any = c.context()
	for name := range strings.SplitSeq(path, ".") {
		o, ok := v.(*document.Object)
		if !ok {
			return nil, false
		}
		if v, ok = o.Get(name); !ok {
			return nil, false
		}
	}
	return v, true
}

// required refuses a handshake that lacks a parameter which the route asks for.
func (c *call) required(r *apispec.Route) error {
	var missing []string
	for name, p := range r.RequestParameters {
		rest, ok := strings.CutPrefix(name, "route.request.")
		if vals := c.handshake(rest); p.Required && ok && (len(vals) == 0 || vals[0] == "") {
			_, key, _ := strings.Cut(rest, ".")
			missing = append(missing, key)
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return &fault{status: http.StatusBadRequest, kind: "BadRequestException", text: fmt.Sprintf(textMissing, strings.Join(missing, ", "))}
}

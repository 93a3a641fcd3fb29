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
	rc    requestContext
	attrs map[string]string
	usage string // the usageIdentifierKey of the authorizer

	body    string // of a message, base64 when encoded
	encoded bool
	data    []byte

	doc    any
	isJSON bool
	parsed bool

	variables *document.Object // of $context

	status int           // that the integration answered; 0 before that
	took   time.Duration // by the integration
}

// enter says which route the call has come to; "" is none yet.
func (c *call) enter(routeKey string) {
	c.rc = c.st.context(c.ev, routeKey, c.attrs)
	c.variables = nil
}

// Text is the message.
func (c *call) Text() string { return c.body }

// Body is the message as JSON.
func (c *call) Body() (any, bool) {
	if !c.parsed {
		c.parsed = true
		doc, err := document.Parse(c.data)
		c.doc, c.isJSON = doc, err == nil
	}
	return c.doc, c.isJSON
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
			return []string{c.rc.DomainName}
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
		doc, _ := document.Parse(encode(c.rc)) // we wrote it
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

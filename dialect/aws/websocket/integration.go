package websocket

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/internal/until"
)

// integration is what a route calls, ready to be called.
type integration struct {
	st        *Stage
	spec      *apispec.Integration
	timeout   time.Duration
	function  string // its ARN or name, of AWS_PROXY and AWS
	service   string // of AWS, when it is no function
	action    string
	url       string // of HTTP and HTTP_PROXY, with {name} for path parameters
	params    []mapping
	request   templates
	responses []response
	refusals  refusals
}

// answer is what came of an integration.
type answer struct {
	status      int
	body        []byte // for the client of a two-way route
	binary      bool
	subprotocol string // for the handshake
}

// errUnreached says that no function was reached: trying again may help.
var errUnreached = errors.New("function not reached")

// newIntegration compiles an integration. Stage variables are known by now, so names and addresses are
// final.
func (st *Stage) newIntegration(spec *apispec.Integration) (*integration, error) {
	in := &integration{st: st, spec: spec, timeout: st.apis.o.Timeout}
	if spec.TimeoutMS > 0 {
		in.timeout = min(time.Duration(spec.TimeoutMS)*time.Millisecond, in.timeout)
	}
	uri := st.expand(spec.URI)
	var err error
	switch spec.Type {
	case "MOCK":
	case "AWS_PROXY", "AWS":
		if in.function, in.service, in.action, err = backendOf(uri); err != nil {
			return nil, err
		}
		if spec.Type == "AWS_PROXY" && in.function == "" {
			return nil, fmt.Errorf("integration %s: AWS_PROXY calls functions only", uri)
		}
		if in.service != "" && st.apis.o.Services == nil {
			return nil, fmt.Errorf("integration %s: the service %s is not supported", uri, in.service)
		}
	case "HTTP", "HTTP_PROXY":
		if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
			return nil, fmt.Errorf("integration %q is no HTTP address", uri)
		}
		in.url = uri
	default:
		return nil, fmt.Errorf("integration type %q is unknown", spec.Type)
	}
	for to, from := range spec.RequestParameters {
		m, err := newMapping(to, from, "integration.request.")
		if err != nil {
			return nil, err
		}
		in.params = append(in.params, m)
	}
	if in.request, err = newTemplates(spec.TemplateSelection, spec.RequestTemplates); err != nil {
		return nil, fmt.Errorf("request template: %w", err)
	}
	in.responses, err = newResponses(spec.Responses)
	return in, err
}

// expand puts stage variables into a name or an address.
func (st *Stage) expand(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${stageVariables.")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return b.String() + s
		}
		b.WriteString(before + st.spec.Variables[name])
		s = after
	}
}

// backendOf reads an integration's URI (aws.md 0): a function, or a service's action. What is no such URI
// is the name or ARN of a function.
func backendOf(uri string) (function, service, action string, err error) {
	parts := strings.SplitN(uri, ":", 6)
	if len(parts) < 6 || parts[2] != "apigateway" {
		if uri == "" {
			return "", "", "", errors.New("integration without a URI")
		}
		return uri, "", "", nil
	}
	service, what := parts[4], parts[5]
	if arn, ok := strings.CutPrefix(what, "path/2015-03-31/functions/"); ok && service == "lambda" {
		return strings.TrimSuffix(arn, "/invocations"), "", "", nil
	}
	if action, ok := strings.CutPrefix(what, "action/"); ok && service == "dynamodb" {
		return "", service, action, nil
	}
	return "", "", "", fmt.Errorf("integration %s is not supported: sluice calls functions and dynamodb:action", uri)
}

// run calls the integration for an event. Of a one-way route the answer's body is not wanted.
func (in *integration) run(ctx context.Context, c *call, twoWay bool) (a answer, err error) {
	within := until.New(ctx, time.Now().Add(in.timeout))
	defer within.Release()
	ctx = within
	if in.spec.ContentHandling == "CONVERT_TO_BINARY" && c.ev.Kind == sluice.Message && !c.encoded {
		text := c.Text()
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return a, failed(500, errors.New("the message is not base64, to which the integration converts it"))
		}
		c.data, c.encoded, c.base64 = raw, true, text
	}
	began := in.st.apis.o.Now()
	switch {
	case in.spec.Type == "AWS_PROXY":
		a, err = in.proxy(ctx, c, twoWay)
	case in.spec.Type == "HTTP_PROXY":
		a, err = in.passOn(ctx, c)
	default:
		a, err = in.custom(ctx, c, twoWay)
	}
	c.status = a.status
	c.timed(began)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		err = &fault{status: statusTimeout, text: textTimeout, ids: true, err: err}
	}
	return a, err
}

// backend is what the other side of an integration answered.
type backend struct {
	status  int
	header  http.Header
	body    []byte
	failure string // the message of a function that failed
}

// custom calls an integration that templates translate to and from.
func (in *integration) custom(ctx context.Context, c *call, twoWay bool) (answer, error) {
	body, err := in.render(c)
	if err != nil {
		return answer{}, failed(500, err)
	}
	began := in.st.apis.o.Now()
	var b backend
	switch {
	case in.spec.Type == "MOCK":
		b, err = in.mock(body)
	case in.function != "":
		b, err = in.lambda(ctx, c, body)
	case in.service != "":
		b.status, b.body, err = in.st.apis.o.Services.Call(ctx, in.st.api.app.name, in.service, in.action, body)
		if err != nil {
			err = failed(500, err)
		}
	default:
		b, err = in.fetch(ctx, c, body)
	}
	if err != nil {
		return answer{}, err
	}
	c.timed(began)
	c.context().Set("status", number(b.status))
	c.context().Set("integrationLatency", number(c.took.Milliseconds()))
	return in.respond(c, b, twoWay)
}

// render makes the body for a backend (aws.md 1.6).
func (in *integration) render(c *call) ([]byte, error) {
	if t := in.request.choose(c); t != nil {
		text, err := t.Render(c.templateVariables(c.data, false))
		return []byte(text), err
	}
	pass := true
	switch in.spec.PassthroughBehaviour {
	case "NEVER":
		pass = false
	case "WHEN_NO_TEMPLATES":
		pass = in.request.empty()
	}
	if !pass && in.spec.Type != "MOCK" {
		return nil, errors.New("no request template matches")
	}
	if c.ev.Kind != sluice.Message && in.spec.Type == "AWS" {
		return []byte("{}"), nil
	}
	return c.data, nil
}

// lambda calls a function with what the template made, and takes whatever it returns.
func (in *integration) lambda(ctx context.Context, c *call, body []byte) (backend, error) {
	if in.async(c) {
		if err := in.st.apis.o.Functions.Later(ctx, in.st.api.app.name, in.function, body, c.ev.Conn.ID); err != nil {
			return backend{}, failed(500, errors.Join(errUnreached, err))
		}
		return backend{status: http.StatusAccepted}, nil
	}
	res, err := in.st.apis.o.Functions.Invoke(ctx, in.st.api.app.name, in.function, body, c.ev.Conn.ID)
	if err != nil {
		return backend{}, in.unreached(c, 500, err)
	}
	b := backend{status: 200, body: res.Payload}
	if f := res.Failure; f != nil {
		b.status, b.failure = statusFailed, cmp.Or(f.Message, f.Type, "function failed")
		b.body = failureBody(f)
	}
	return b, nil
}

// async reports whether nobody waits for the function's result: a parameter sets the header by which Lambda's
// own API is asked for that.
func (in *integration) async(c *call) bool {
	for _, m := range in.params {
		if m.kind == "header" && strings.EqualFold(m.name, "X-Amz-Invocation-Type") {
			vals := m.from.values(c, nil)
			return len(vals) > 0 && vals[len(vals)-1] == "Event"
		}
	}
	return false
}

// failureBody is what a failed function leaves for templates.
func failureBody(f *sluice.Failure) []byte {
	if len(f.Body) > 0 {
		return f.Body
	}
	return encode(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType,omitempty"`
	}{f.Message, f.Type})
}

// respond turns a backend's answer into the client's.
func (in *integration) respond(c *call, b backend, twoWay bool) (answer, error) {
	a := answer{status: b.status}
	r := in.match(b)
	if r == nil {
		switch {
		case b.failure != "":
			return a, failed(statusFailed, errors.New(b.failure))
		case b.status < 200 || b.status > 299:
			return a, failed(max(b.status, 400), fmt.Errorf("the backend answered %d: %.200s", b.status, b.body))
		case twoWay:
			return a, failed(500, fmt.Errorf("no integration response is for status %d", b.status))
		}
		return a, nil
	}
	if c.ev.Kind == sluice.Open {
		a.subprotocol = r.header(c, b, "Sec-WebSocket-Protocol")
	}
	if !twoWay {
		return a, nil
	}
	a.body = b.body
	if t := r.templates.choose(c.answered(b)); t != nil {
		text, err := t.Render(c.templateVariables(b.body, true))
		if err != nil {
			return a, failed(500, err)
		}
		a.body = []byte(text)
	}
	switch r.spec.ContentHandling {
	case "CONVERT_TO_BINARY":
		if raw, err := base64.StdEncoding.DecodeString(string(a.body)); err == nil {
			a.body, a.binary = raw, true
		}
	case "CONVERT_TO_TEXT":
		if !utf8.Valid(a.body) {
			a.body = []byte(base64.StdEncoding.EncodeToString(a.body))
		}
	}
	return a, nil
}

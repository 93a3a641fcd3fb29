package apigateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// event is what an event function gets (section 2.6).
type event struct {
	Path            string            `json:"path"`
	HTTPMethod      string            `json:"httpMethod"`
	Headers         map[string]string `json:"headers"`
	QueryParameters map[string]string `json:"queryParameters"`
	PathParameters  map[string]string `json:"pathParameters"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// encodeEvent writes the event for a request.
func encodeEvent(c *call, m match, out outgoing) []byte {
	ev := event{
		Path:            c.r.URL.Path,
		HTTPMethod:      out.method,
		Headers:         map[string]string{},
		QueryParameters: map[string]string{},
		PathParameters:  m.params(),
	}
	for name, vals := range out.header {
		if as, ok := c.names[name]; ok {
			name = as
		} else if name == headerDevice {
			name = "x-ca-deviceid"
		}
		ev.Headers[name] = strings.Join(vals, ",")
	}
	query, _ := url.ParseQuery(out.query) // what is malformed is left out
	for name, vals := range query {
		ev.QueryParameters[name] = strings.Join(vals, ",")
	}
	if isText(out.header.Get("Content-Type")) && utf8.Valid(out.body) {
		ev.Body = string(out.body)
	} else {
		ev.Body, ev.IsBase64Encoded = base64.StdEncoding.EncodeToString(out.body), true
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(ev) // a struct of strings cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// isText reports whether a body of a content type travels as text; one without a type does.
func isText(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t = strings.ToLower(contentType)
	}
	if strings.HasPrefix(t, "text/") {
		return true
	}
	return slices.ContainsFunc([]string{"json", "xml", "form-urlencoded", "javascript"}, func(s string) bool { return strings.Contains(t, s) })
}

// callEvent invokes an event function and answers with what it returns.
func (g *Group) callEvent(ctx context.Context, w http.ResponseWriter, c *call, m match, out outgoing) error {
	res, err := g.invoke(ctx, sluice.Invocation{
		App:       g.o.App,
		Function:  sluice.FunctionName(m.api.Backend.Function),
		Qualifier: m.api.Backend.Qualifier,
		RequestID: c.id,
		Payload:   encodeEvent(c, m, out),
	})
	if err != nil {
		return err
	}
	a, err := decodeAnswer(res.Payload)
	if err != nil {
		return &fault{code: D502FC, msg: "FunctionCompute response invalid: " + err.Error(), status: g.o.Group.Settings.FormatStatus}
	}
	h := w.Header()
	maps.Copy(h, a.header)
	h.Set("X-Ca-Request-Id", c.id)
	if h.Get("Content-Type") == "" && len(a.body) > 0 {
		h.Set("Content-Type", resultType(m.api))
	}
	finish(w, a.status, a.body)
	return nil
}

// resultType is the content type of an answer that names none.
func resultType(a *apigroup.API) string {
	switch strings.ToUpper(a.ResultType) {
	case "TEXT":
		return "text/plain; charset=utf-8"
	case "BINARY":
		return "application/octet-stream"
	case "XML":
		return "application/xml; charset=utf-8"
	case "HTML":
		return "text/html; charset=utf-8"
	}
	return "application/json; charset=utf-8"
}

// invoke calls a function; what went wrong in it is a fault.
func (g *Group) invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	res, err := g.o.Functions.Invoke(ctx, inv)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return res, faultf(D504TO, "Backend service request timeout")
	case err != nil:
		return res, invokeFault(err)
	case res.Failure != nil:
		return res, faultf(D502FC, "FunctionCompute response invalid: %s", res.Failure.Message)
	case len(res.Payload) > maxAnswer:
		return res, faultf(D502FC, "FunctionCompute response invalid: it exceeds %d bytes", maxAnswer)
	}
	return res, nil
}

// final reports whether a status may end a response; net/http panics at some that may not.
func final(status int) bool { return status >= 200 && status <= 599 }

// finish writes status and body of an answer that is whole. That the client does not wait for it any
// more is not an error of ours.
func finish(w http.ResponseWriter, status int, body []byte) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	w.Write(body)
}

// answer is an event function's answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// decodeAnswer reads what an event function returned. The coercions are those that running apps
// depend on (section 2.6): numbers and flags as strings, bodies as objects.
func decodeAnswer(payload []byte) (answer, error) {
	a := answer{header: http.Header{}}
	var raw struct {
		IsBase64Encoded values            `json:"isBase64Encoded"`
		StatusCode      json.RawMessage   `json:"statusCode"`
		Headers         map[string]values `json:"headers"`
		Body            json.RawMessage   `json:"body"`
	}
	if err := json.Unmarshal(payload, &raw); err != nil {
		return a, errors.New("it is not an object with statusCode, headers and body")
	}
	text, ok, err := scalar(raw.StatusCode)
	if err != nil || !ok {
		return a, errors.New("it has no statusCode")
	}
	if a.status, err = strconv.Atoi(text); err != nil || !final(a.status) {
		return a, errors.New("its statusCode is " + text)
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Headers)) {
		for _, v := range raw.Headers[name] {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return a, errors.New("its header " + name + " has illegal characters")
			}
			a.header.Add(name, v)
		}
	}
	dropHop(a.header)
	a.header.Del("Content-Length")
	body, _, err := scalar(raw.Body)
	if err != nil {
		return a, errors.New("its body is no string")
	}
	a.body = []byte(body)
	if on, _ := strconv.ParseBool(raw.IsBase64Encoded.first()); on {
		if a.body, err = base64.StdEncoding.DecodeString(body); err != nil {
			return a, errors.New("its body is not base64")
		}
	}
	return a, nil
}

// callHTTP calls a function's HTTP trigger (section 2.7).
func (g *Group) callHTTP(ctx context.Context, w http.ResponseWriter, c *call, m match, out outgoing) error {
	b := &m.api.Backend
	name := sluice.FunctionName(b.Function)
	path := out.path
	if !b.OnlyBusinessPath && b.Service != "" && g.o.Custom != nil && g.o.Custom(name) {
		path = "/2016-08-15/proxy/" + b.Service + "/" + b.Function + out.path
	}
	uri := path
	if out.query != "" {
		uri += "?" + out.query
	}
	res, err := g.invoke(ctx, sluice.Invocation{
		App:       g.o.App,
		Function:  name,
		Qualifier: b.Qualifier,
		Kind:      sluice.InvokeHTTP,
		RequestID: c.id,
		Payload:   out.body,
		HTTP: &sluice.HTTPRequest{
			Method:   out.method,
			Path:     path,
			RawQuery: out.query,
			Host:     c.r.Host,
			Header:   out.header,
			Remote:   c.remote,
			URI:      uri,
		},
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if res.HTTP != nil {
		if res.HTTP.Status != 0 {
			status = res.HTTP.Status
		}
		if !final(status) {
			return faultf(D502FC, "FunctionCompute response invalid: its status is %d", status)
		}
		h := w.Header()
		maps.Copy(h, res.HTTP.Header)
		dropHop(h)
		delete(h, "Content-Length")
	}
	w.Header()["X-Ca-Request-Id"] = []string{c.id}
	finish(w, status, res.Payload)
	return nil
}

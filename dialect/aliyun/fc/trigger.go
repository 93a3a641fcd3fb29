package fc

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/sluicehq/sluice"
)

// Limits of HTTP triggers (section 3.13).
const maxURL = 4 << 10

// Trigger is the HTTP trigger of one function on the public listener.
type Trigger struct {
	o   Options
	app sluice.AppName
	f   *sluice.Function
}

// NewTrigger makes the handler of a function's HTTP trigger; the function must have one.
func NewTrigger(o Options, app sluice.AppName, f *sluice.Function) *Trigger {
	return &Trigger{New(o).o, app, f}
}

// ServeHTTP calls the function with the request's own path, as a custom domain does.
func (t *Trigger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.serve(w, r, r.URL.EscapedPath())
}

// ServeProxy calls the function with what follows /2016-08-15/proxy/{service}/{function} in the path.
func (t *Trigger) ServeProxy(w http.ResponseWriter, r *http.Request) {
	_, _, _, path := splitProxy(r.URL.EscapedPath())
	if IsCustom(t.f.Runtime) && t.f.Group != "" {
		path = r.URL.EscapedPath() // custom runtimes see all of it (section 2.7)
	}
	t.serve(w, r, path)
}

func (t *Trigger) serve(w http.ResponseWriter, r *http.Request, path string) {
	id := sluice.NewRequestID()
	w.Header().Set("X-Fc-Request-Id", id)
	body, err := readBody(w, r)
	if err == nil && t.f.HTTP.Auth != "anonymous" {
		who, aerr := authenticate(r.Context(), t.o.Keys, r, body, t.o.Now())
		if err = aerr; err == nil && !who.Admin() && who.App != t.app {
			err = faultf("AccessDenied", "this key may not call function '%s'", t.f.Name)
		}
	}
	if err == nil {
		err = invokeHTTP(w, r, t.o, call{app: t.app, f: t.f, id: id, path: path, body: body})
	}
	if err != nil {
		refuse(w, t.o.Log, id, t.f.Group == "", err)
	}
}

// Proxied reads service and function out of a path to /2016-08-15/proxy; ok is false for another path.
func Proxied(r *http.Request) (service, name string, ok bool) {
	if !strings.HasPrefix(r.URL.Path, proxyPrefix) {
		return "", "", false
	}
	service, _, name, _ = splitProxy(r.URL.EscapedPath())
	return service, name, name != ""
}

// call is one call of an HTTP function whose caller may make it.
type call struct {
	app  sluice.AppName
	f    *sluice.Function
	id   string
	path string // that the function sees, encoded
	body []byte
}

// invokeHTTP calls a function with an HTTP request and writes its answer. When it returns an error
// nothing has been written.
func invokeHTTP(w http.ResponseWriter, r *http.Request, o Options, c call) error {
	if t := c.f.HTTP; len(t.Methods) > 0 && !slices.ContainsFunc(t.Methods, func(m string) bool { return strings.EqualFold(m, r.Method) }) {
		return faultf("MethodNotSupported", "method %s is not supported by the http trigger", r.Method)
	}
	if len(c.path)+len(r.URL.RawQuery) > maxURL {
		return faultf("InvalidArgument", "path and query exceed %d bytes", maxURL)
	}
	remote := r.RemoteAddr
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	inv := sluice.Invocation{App: c.app, Function: c.f.Name, RequestID: c.id}
	asEvent := c.f.Group == "" && !IsCustom(c.f.Runtime) // FC 3.0: built-in runtimes know events only
	if asEvent {
		inv.Payload = encodeEvent(r, c, remote, o.Now())
	} else {
		h := r.Header.Clone()
		if remote != "" {
			h.Set("X-Forwarded-For", strings.Join(append(r.Header.Values("X-Forwarded-For"), remote), ", "))
		}
		inv.Kind, inv.Payload = sluice.InvokeHTTP, c.body
		inv.HTTP = &sluice.HTTPRequest{
			Method: r.Method, Path: c.path, RawQuery: r.URL.RawQuery, Host: r.Host, Header: h, Remote: remote, URI: r.URL.RequestURI(),
		}
	}
	if strings.EqualFold(r.Header.Get("X-Fc-Invocation-Type"), "Async") {
		return later(w, r, o, inv)
	}
	res, err := o.Functions.Invoke(r.Context(), inv)
	if err != nil {
		return err
	}
	h := w.Header()
	if f := res.Failure; f != nil {
		b := failureBody(f)
		h.Set("X-Fc-Error-Type", errorType(f))
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(b)))
		w.WriteHeader(http.StatusBadGateway)
		w.Write(b)
		return nil
	}
	status, header, payload := http.StatusOK, http.Header{}, res.Payload
	if asEvent {
		status, header, payload = decodeAnswer(res.Payload)
	} else if res.HTTP != nil {
		status, header = res.HTTP.Status, res.HTTP.Header.Clone()
		dropPrivate(header)
	}
	maps.Copy(h, header)
	if status < 200 || status > 599 {
		status = http.StatusOK
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(payload)))
	}
	w.WriteHeader(status)
	w.Write(payload)
	return nil
}

// event is what a function of FC 3.0 gets for an HTTP request (section 3.7).
type event struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	Headers         map[string]string `json:"headers"`
	QueryParameters map[string]string `json:"queryParameters"`
	RequestContext  eventContext      `json:"requestContext"`
}

type eventContext struct {
	AccountID    string    `json:"accountId"`
	TriggerID    string    `json:"triggerId"`
	DomainName   string    `json:"domainName"`
	DomainPrefix string    `json:"domainPrefix"`
	RequestID    string    `json:"requestId"`
	Time         string    `json:"time"`
	TimeEpoch    string    `json:"timeEpoch"`
	HTTP         eventHTTP `json:"http"`
}

type eventHTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

func encodeEvent(r *http.Request, c call, remote string, now time.Time) []byte {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	prefix, _, _ := strings.Cut(host, ".")
	path, err := url.PathUnescape(c.path) // without what leads to the function
	if err != nil {
		path = c.path
	}
	ev := event{
		Version: "v1", RawPath: path, Headers: map[string]string{}, QueryParameters: map[string]string{},
		RequestContext: eventContext{
			AccountID: Account, TriggerID: c.f.HTTP.Name, DomainName: host, DomainPrefix: prefix, RequestID: c.id,
			Time: now.UTC().Format("2006-01-02T15:04:05Z"), TimeEpoch: strconv.FormatInt(now.UnixMilli(), 10),
			HTTP: eventHTTP{Method: r.Method, Path: path, Protocol: r.Proto, SourceIP: remote, UserAgent: r.UserAgent()},
		},
	}
	for name, vals := range r.Header {
		ev.Headers[name] = strings.Join(vals, ",")
	}
	for name, vals := range r.URL.Query() {
		ev.QueryParameters[name] = strings.Join(vals, ",")
	}
	if utf8.Valid(c.body) {
		ev.Body = string(c.body)
	} else {
		ev.Body, ev.IsBase64Encoded = base64.StdEncoding.EncodeToString(c.body), true
	}
	return plain(ev)
}

// decodeAnswer reads what a function of FC 3.0 returned for an HTTP request: an object with a
// statusCode, else the whole value is the body.
func decodeAnswer(payload []byte) (status int, h http.Header, body []byte) {
	h = http.Header{}
	var raw struct {
		StatusCode      json.Number                `json:"statusCode"` // a number or a string of one
		Headers         map[string]json.RawMessage `json:"headers"`
		IsBase64Encoded bool                       `json:"isBase64Encoded"`
		Body            json.RawMessage            `json:"body"`
	}
	err := json.Unmarshal(payload, &raw)
	code, cerr := strconv.Atoi(raw.StatusCode.String())
	if err != nil || cerr != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		if json.Valid(payload) {
			h.Set("Content-Type", "application/json")
		}
		return http.StatusOK, h, payload
	}
	for name, v := range raw.Headers {
		if s := text(v); httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(s) {
			h.Set(name, s)
		}
	}
	dropPrivate(h)
	body = []byte(text(raw.Body))
	if raw.IsBase64Encoded {
		if b, err := base64.StdEncoding.DecodeString(string(body)); err == nil {
			body = b
		}
	}
	return code, h, body
}

// text is a JSON string's text, or any other value's JSON; null is empty.
func text(v json.RawMessage) string {
	var s string
	switch {
	case len(v) == 0 || string(v) == "null":
		return ""
	case json.Unmarshal(v, &s) == nil:
		return s
	}
	return string(v)
}

// NotFound answers a request that is for no function.
func NotFound(w http.ResponseWriter, r *http.Request) {
	refuse(w, nil, sluice.NewRequestID(), false, faultf("DomainNameNotFound", "no function answers for %s%s", r.Host, r.URL.Path))
}

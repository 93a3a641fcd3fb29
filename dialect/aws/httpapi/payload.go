package httpapi

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// clf is how requestContext writes times (section 4.1).
const clf = "02/Jan/2006:15:04:05 -0700"

// event2 is payload format 2.0 (section 4.1). What is empty is left out.
type event2 struct {
	Version  string            `json:"version"`
	RouteKey string            `json:"routeKey"`
	RawPath  string            `json:"rawPath"`
	RawQuery string            `json:"rawQueryString"`
	Cookies  []string          `json:"cookies,omitempty"`
	Headers  map[string]string `json:"headers"`
	Query    map[string]string `json:"queryStringParameters,omitempty"`
	Context  context2          `json:"requestContext"`
	Body     *string           `json:"body,omitempty"`
	Path     map[string]string `json:"pathParameters,omitempty"`
	Base64   bool              `json:"isBase64Encoded"`
	Stage    map[string]string `json:"stageVariables,omitempty"`
}

type context2 struct {
	Account string         `json:"accountId"`
	API     string         `json:"apiId"`
	Auth    map[string]any `json:"authorizer,omitempty"`
	Domain  string         `json:"domainName"`
	Prefix  string         `json:"domainPrefix"`
	HTTP    http2          `json:"http"`
	Request string         `json:"requestId"`
	Route   string         `json:"routeKey"`
	Stage   string         `json:"stage"`
	Time    string         `json:"time"`
	Epoch   int64          `json:"timeEpoch"`
}

// noAccount is whose call comes to a function URL that anybody may call.
const noAccount = "anonymous"

type http2 struct {
	Method   string `json:"method"`
	Path     string `json:"path"`
	Protocol string `json:"protocol"`
	IP       string `json:"sourceIp"`
	Agent    string `json:"userAgent"`
}

// request2 is what payload 2.0 tells of any request: of an API's or of a function URL's.
type request2 struct {
	r      *http.Request
	body   []byte
	id     string
	api    string // its id
	domain string // the name at which functions call back
	route  string
	stage  string
	path   string // as the client wrote it, decoded
	params map[string]string
	vars   map[string]string
	auth   map[string]any
	now    time.Time

	account string // "" is ours
}

func (q *request2) event() []byte {
	prefix, _, _ := strings.Cut(q.domain, ".")
	now := q.now.UTC()
	e := event2{
		Version: "2.0", RouteKey: q.route, RawPath: q.path, RawQuery: q.r.URL.RawQuery, Headers: map[string]string{},
		Path: q.params, Stage: q.vars,
		Context: context2{Account: cmp.Or(q.account, account), API: q.api, Auth: q.auth, Domain: q.domain, Prefix: prefix, Request: q.id,
			HTTP:  http2{q.r.Method, q.path, q.r.Proto, clientIP(q.r), q.r.UserAgent()},
			Route: q.route, Stage: q.stage, Time: now.Format(clf), Epoch: now.UnixMilli()},
	}
	for name, vals := range headers(q.r) {
		name = strings.ToLower(name)
		if name == "cookie" {
			for _, v := range vals {
				for c := range strings.SplitSeq(v, ";") {
					e.Cookies = append(e.Cookies, strings.TrimSpace(c))
				}
			}
			continue
		}
		e.Headers[name] = strings.Join(vals, ",")
	}
	for name, vals := range query(q.r) {
		if e.Query == nil {
			e.Query = map[string]string{}
		}
		e.Query[name] = strings.Join(vals, ",")
	}
	if len(q.body) > 0 {
		text, encoded := bodyText(q.r, q.body)
		e.Body, e.Base64 = &text, encoded
	}
	b, _ := json.Marshal(e) // texts, numbers and what was JSON
	return b
}

// payload2 is the event of format 2.0.
func (c *call) payload2() []byte {
	q := request2{r: c.r, body: c.body, id: c.id, api: c.spec.ID, domain: c.domain(), route: c.route.Key, stage: c.stage.Name, path: c.full,
		params: c.params, vars: c.stage.Variables, auth: c.auth, now: c.o.Now()}
	return q.event()
}

// event1 is payload format 1.0 (section 4.3). What is empty is null.
type event1 struct {
	Version    string              `json:"version,omitempty"`
	Resource   string              `json:"resource"`
	Path       string              `json:"path"`
	Method     string              `json:"httpMethod"`
	Headers    map[string]string   `json:"headers"`
	Multi      map[string][]string `json:"multiValueHeaders"`
	Query      map[string]string   `json:"queryStringParameters"`
	MultiQuery map[string][]string `json:"multiValueQueryStringParameters"`
	PathParams map[string]string   `json:"pathParameters"`
	Stage      map[string]string   `json:"stageVariables"`
	Context    context1            `json:"requestContext"`
	Body       *string             `json:"body"`
	Base64     bool                `json:"isBase64Encoded"`
}

type context1 struct {
	Account  string         `json:"accountId"`
	API      string         `json:"apiId"`
	Auth     map[string]any `json:"authorizer,omitempty"`
	Domain   string         `json:"domainName"`
	Prefix   string         `json:"domainPrefix"`
	Extended string         `json:"extendedRequestId"`
	Method   string         `json:"httpMethod"`
	Identity identity1      `json:"identity"`
	Path     string         `json:"path"`
	Protocol string         `json:"protocol"`
	Request  string         `json:"requestId"`
	Time     string         `json:"requestTime"`
	Epoch    int64          `json:"requestTimeEpoch"`
	Resource string         `json:"resourceId"`
	Route    string         `json:"resourcePath"`
	Stage    string         `json:"stage"`
}

type identity1 struct {
	AccessKey *string `json:"accessKey"`
	Account   *string `json:"accountId"`
	Caller    *string `json:"caller"`
	IP        string  `json:"sourceIp"`
	User      *string `json:"user"`
	Agent     string  `json:"userAgent"`
	UserARN   *string `json:"userArn"`
}

// payload1 is the event of format 1.0.
func (c *call) payload1() []byte {
	domain := c.domain()
	prefix, _, _ := strings.Cut(domain, ".")
	resource := c.route.Key
	if _, path, ok := strings.Cut(resource, " "); ok {
		resource = path
	}
	now := c.o.Now().UTC()
	e := event1{
		Version: "1.0", Resource: resource, Path: c.full, Method: c.r.Method, PathParams: c.params, Stage: c.stage.Variables,
		Context: context1{Account: account, API: c.spec.ID, Auth: c.auth, Domain: domain, Prefix: prefix, Extended: c.extended,
			Method: c.r.Method, Identity: identity1{IP: clientIP(c.r), Agent: c.r.UserAgent()}, Path: c.full, Protocol: c.r.Proto,
			Request: c.id, Time: now.Format(clf), Epoch: now.UnixMilli(), Resource: apispec.ID(6, c.spec.ID, resource), Route: resource, Stage: c.stage.Name},
	}
	if c.spec.REST {
		e.Version = ""
		e.Path = c.path // REST APIs leave the stage to requestContext.path
	}
	e.Multi = headers(c.r)
	e.Headers = lasts(e.Multi)
	if q := query(c.r); len(q) > 0 {
		e.MultiQuery, e.Query = q, lasts(q)
	}
	if len(c.body) > 0 {
		text, encoded := bodyText(c.r, c.body)
		if c.spec.REST {
			text, encoded = restText(c.r, c.body, c.spec.Binary)
		}
		e.Body, e.Base64 = &text, encoded
	}
	b, _ := json.Marshal(e) // texts, numbers and what was JSON
	return b
}

// restText is a body as events of REST APIs carry it: text, but for the kinds that the API calls binary.
func restText(r *http.Request, body []byte, binary []string) (text string, encoded bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	for _, b := range binary {
		whole, all := strings.CutSuffix(strings.ToLower(b), "*")
		if b == "*/*" || kind == whole || all && kind != "" && strings.HasPrefix(kind, whole) {
			return base64.StdEncoding.EncodeToString(body), true
		}
	}
	return string(body), false
}

func lasts(m map[string][]string) map[string]string {
	out := map[string]string{}
	for k, vals := range m {
		if len(vals) > 0 {
			out[k] = vals[len(vals)-1]
		}
	}
	return out
}

// headers are a request's, with those that gateways add.
func headers(r *http.Request) map[string][]string {
	h := map[string][]string{"Host": {r.Host}}
	for name, vals := range r.Header {
		if name != "Connection" && name != "Transfer-Encoding" {
			h[name] = vals
		}
	}
	if r.ContentLength > 0 && h["Content-Length"] == nil {
		h["Content-Length"] = []string{r.Header.Get("Content-Length")}
		if h["Content-Length"][0] == "" {
			h["Content-Length"] = []string{itoa(r.ContentLength)}
		}
	}
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	forwarded := clientIP(r)
	if before := r.Header.Get("X-Forwarded-For"); before != "" {
		forwarded = before + ", " + forwarded
	}
	h["X-Forwarded-For"], h["X-Forwarded-Proto"], h["X-Forwarded-Port"] = []string{forwarded}, []string{proto}, []string{port}
	return h
}

// query is a request's query; what cannot be read of it is left out.
func query(r *http.Request) url.Values {
	q, _ := url.ParseQuery(r.URL.RawQuery)
	return q
}

// bodyText is a body as an event carries it: text as it is, anything else in base64 (section 4.1).
func bodyText(r *http.Request, body []byte) (text string, encoded bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	plain := r.Header.Get("Content-Type") == "" || err == nil && isText(kind)
	if plain && r.Header.Get("Content-Encoding") == "" && utf8.Valid(body) {
		return string(body), false
	}
	return base64.StdEncoding.EncodeToString(body), true
}

func isText(kind string) bool {
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

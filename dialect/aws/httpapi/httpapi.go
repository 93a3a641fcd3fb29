// Package httpapi serves the HTTP APIs and REST APIs of API Gateway and the URLs of functions (aws.md
// sections 3.7 and 4): routes, CORS, authorizers, proxy integrations and both payload formats.
package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

const (
	account     = "000000000000"
	maxBody     = 10 << 20         // of a request (section 4)
	maxTimeout  = 30 * time.Second // of an integration (section 4)
	defaultName = "$default"       // of a stage or a route
)

// Functions calls the function behind an ARN, an integration URI or a name of an app's template.
type Functions interface {
	Invoke(ctx context.Context, app sluice.AppName, arn string, payload []byte, conn sluice.ConnID) (sluice.Result, error)
	// Stream is Invoke for an answer that is taken as it comes.
	Stream(ctx context.Context, app sluice.AppName, arn string, payload []byte, to sluice.Stream) (sluice.Result, error)
}

// Options are what APIs are served with. All but Client and Log are needed.
type Options struct {
	App       sluice.AppName
	Region    string
	Functions Functions
	Verify    *sigv4.Verifier // for service execute-api (function URLs: lambda)
	// Allows evaluates the policy that a Lambda authorizer returned for one resource (section 1.8).
	Allows func(policy json.RawMessage, resource, sourceIP string) (allowed bool, err error)
	Client *http.Client // for HTTP integrations and issuers of tokens; nil is http.DefaultClient
	Log    *slog.Logger // nil discards
	Now    func() time.Time
}

func (o *Options) fill() {
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// API serves one API. It is never changed: a deploy makes a new one.
type API struct {
	o      Options
	spec   *apispec.API
	stages map[string]*stage
	tokens *issuers
	cache  *verdicts // of Lambda authorizers
}

// stage is a stage with its routes compiled.
type stage struct {
	*apispec.Stage
	served *apispec.Snapshot
	routes []route
}

// New compiles an API.
func New(o Options, spec *apispec.API) (*API, error) {
	o.fill()
	a := &API{o: o, spec: spec, stages: map[string]*stage{}, tokens: newIssuers(o.Client, o.Now), cache: newVerdicts(o.Now)}
	for i := range spec.Stages {
		s := &stage{Stage: &spec.Stages[i]}
		s.served = spec.Served(s.Stage)
		var err error
		if s.routes, err = compile(s.served.Routes); err != nil {
			return nil, err
		}
		a.stages[s.Name] = s
	}
	return a, nil
}

// call is one request on its way.
type call struct {
	*API
	w     http.ResponseWriter
	r     *http.Request
	id    string
	stage *stage

	extended string // a second id, which REST APIs have
	path     string // that routes are matched with: without the stage
	full     string // as the client wrote it, decoded
	route    *apispec.Route
	params   map[string]string // of the route's path
	body     []byte
	auth     map[string]any // requestContext.authorizer
	origin   string
}

// ServeHTTP serves one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{API: a, w: w, r: r, id: newID(), origin: r.Header.Get("Origin")}
	c.extended = c.id
	if a.spec.REST {
		c.id = uuid.NewString()
		w.Header().Set("X-Amzn-Requestid", c.id)
		w.Header().Set("X-Amz-Apigw-Id", c.extended)
	} else {
		w.Header().Set("Apigw-Requestid", c.id)
	}
	if !c.place() {
		c.noRoute()
		return
	}
	a.cors(c)
	if c.route, c.params = match(c.stage.routes, r.Method, c.path); c.route == nil {
		if a.spec.CORS != nil && r.Method == http.MethodOptions && c.origin != "" {
			c.preflight()
			return
		}
		c.noRoute()
		return
	}
	var err error
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			c.refuse(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		} else {
			c.refuse(http.StatusBadRequest, "Bad Request")
		}
		return
	}
	if c.authorize() {
		c.integrate()
	}
}

// place finds the stage of a request and the path within it (section 4).
func (c *call) place() bool {
	path := c.r.URL.Path
	c.full = path
	host := c.host()
	longest := -1
	for _, m := range c.spec.Mappings {
		base := "/" + strings.Trim(m.Path, "/")
		if !strings.EqualFold(m.Domain, host) || len(m.Path) <= longest || base != "/" && path != base && !strings.HasPrefix(path, base+"/") {
			continue
		}
		longest = len(m.Path)
		c.stage, c.path = c.stages[m.Stage], "/"+strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(base, "/")), "/")
	}
	if longest >= 0 {
		return c.stage != nil
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if s := c.stages[first]; s != nil && first != defaultName {
		c.stage, c.path = s, "/"+rest
		return true
	}
	c.stage, c.path = c.stages[defaultName], path
	return c.stage != nil
}

// host is the name by which the client came.
func (c *call) host() string {
	if host, _, err := net.SplitHostPort(c.r.Host); err == nil {
		return host
	}
	return c.r.Host
}

// domain is the same as events have it: a custom domain, or else the API's own name (section 8.4).
func (c *call) domain() string {
	host := c.host()
	if slices.ContainsFunc(c.spec.Mappings, func(m apispec.Mapping) bool { return strings.EqualFold(m.Domain, host) }) {
		return host
	}
	return c.spec.ID + ".execute-api." + c.o.Region + ".amazonaws.com"
}

// noRoute answers a request that nothing is there for.
func (c *call) noRoute() {
	if c.spec.REST {
		c.w.Header().Set("X-Amzn-ErrorType", "MissingAuthenticationTokenException")
		c.refuse(http.StatusForbidden, "Missing Authentication Token")
		return
	}
	c.refuse(http.StatusNotFound, "Not Found")
}

// refuse answers with an error of the gateway's own.
func (c *call) refuse(status int, message string) {
	refuse(c.w, status, message)
}

func refuse(w http.ResponseWriter, status int, message string) {
	body := `{"message":` + strconv.Quote(message) + `}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// newID makes a request id as HTTP APIs have them.
func newID() string {
	var b [11]byte
	rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}

// integrate calls what is behind the route, and answers with what it says.
func (c *call) integrate() {
	in := c.stage.served.Integration(c.route.Integration)
	if in == nil {
		c.failed("route %q has no integration", c.route.Key)
		return
	}
	timeout := maxTimeout
	if ms := time.Duration(in.TimeoutMS) * time.Millisecond; ms > 0 && ms < timeout {
		timeout = ms
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), timeout)
	defer cancel()
	defer c.hold(in)()
	switch in.Type {
	case "AWS_PROXY":
		c.function(ctx, in)
	case "HTTP_PROXY", "HTTP":
		c.forward(ctx, in)
	case "MOCK":
		c.mock(in)
	default:
		c.failed("integration type %q", in.Type)
	}
}

// function calls a function.
func (c *call) function(ctx context.Context, in *apispec.Integration) {
	v1 := c.spec.REST || in.PayloadFormat == "1.0"
	if !c.spec.REST { // REST APIs hand functions what they have got
		if _, path := c.alter(in); path != "" {
			c.full = path
		}
	}
	var event []byte
	if v1 {
		event = c.payload1()
	} else {
		event = c.payload2()
	}
	res, err := c.o.Functions.Invoke(ctx, c.o.App, expand(in.URI, c.stage.Variables), event, sluice.ConnID{})
	switch {
	case err != nil && (ctx.Err() != nil || sluice.KindOf(err) == sluice.Timeout):
		c.late()
	case err != nil:
		c.failed("%v", err)
	case res.Failure != nil && res.Failure.Kind == sluice.TimedOut && !c.spec.REST:
		c.late()
	case res.Failure != nil:
		c.failed("%s: %s", res.Failure.Type, res.Failure.Message)
	default:
		if err := answer(c.w, c.r, res.Payload, v1); err != nil {
			c.failed("%v", err)
		}
	}
}

// late answers for an integration that has not.
func (c *call) late() {
	if c.spec.REST {
		c.refuse(http.StatusGatewayTimeout, "Endpoint request timed out")
		return
	}
	c.refuse(http.StatusServiceUnavailable, "Service Unavailable")
}

// failed answers for an integration that failed, and tells the log why.
func (c *call) failed(format string, args ...any) {
	c.o.Log.Warn("integration failed", "app", c.o.App, "api", c.spec.ID, "request", c.id, "route", c.route.Key, "err", sluice.Errorf(sluice.Internal, format, args...))
	if c.spec.REST {
		c.refuse(http.StatusBadGateway, "Internal server error")
		return
	}
	c.refuse(http.StatusInternalServerError, "Internal Server Error")
}

// forward sends the request to a server.
func (c *call) forward(ctx context.Context, in *apispec.Integration) {
	vars, path := c.alter(in)
	u, err := c.target(in, vars, path)
	if err != nil {
		c.failed("%v", err)
		return
	}
	method := in.Method
	if method == "" || method == "ANY" {
		method = c.r.Method
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(string(c.body)))
	if err != nil {
		c.failed("%v", err)
		return
	}
	for name, vals := range c.r.Header {
		switch name {
		case "Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Host", "Content-Length":
		default:
			req.Header[name] = vals
		}
	}
	req.Header.Set("Forwarded", "for="+clientIP(c.r)+";host="+c.r.Host+";proto=http")
	client := *c.o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it is the caller's
	res, err := client.Do(req)
	switch {
	case err != nil && ctx.Err() != nil:
		c.late()
		return
	case err != nil:
		c.failed("%v", err)
		return
	}
	defer res.Body.Close()
	for name, vals := range res.Header {
		if name != "Connection" && name != "Transfer-Encoding" {
			c.w.Header()[name] = vals
		}
	}
	c.w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(c.w, res.Body); err != nil {
		c.o.Log.Warn("answer of an integration cut off", "app", c.o.App, "api", c.spec.ID, "request", c.id, "err", err)
	}
}

// mock answers what the integration's first response says; REST APIs answer preflights with it.
func (c *call) mock(in *apispec.Integration) {
	status := http.StatusOK
	if len(in.Responses) > 0 {
		res := &in.Responses[0]
		if n, err := strconv.Atoi(res.Key); err == nil {
			status = n
		}
		for name, v := range res.Parameters {
			if h, ok := strings.CutPrefix(name, "method.response.header."); ok {
				c.w.Header().Set(h, strings.Trim(v, "'"))
			}
		}
		if body, ok := res.Templates["application/json"]; ok {
			c.w.Header().Set("Content-Type", "application/json")
			c.w.WriteHeader(status)
			io.WriteString(c.w, body)
			return
		}
	}
	c.w.WriteHeader(status)
}

// expand fills stage variables into a URI (section 1.9).
func expand(uri string, vars map[string]string) string {
	for {
		before, rest, ok := strings.Cut(uri, "${stageVariables.")
		if !ok {
			return uri
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return uri
		}
		uri = before + vars[name] + after
	}
}

func escapePath(v string) string { return (&url.URL{Path: v}).EscapedPath() }

// clientIP is the address that a request came from.
func clientIP(r *http.Request) string {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return ip
}

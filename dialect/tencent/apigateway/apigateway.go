// Package apigateway speaks Tencent's API Gateway: WebSocket APIs in front of three functions (tencent.md
// section 1), the address to which functions post what clients get (1.7), and HTTP APIs (2.7).
//
// An App is the services of one deployed app, compiled from their descriptions and never changed: it finds
// the service and the API of a request, serves HTTP APIs, and holds a gateway.Handler for each WebSocket
// API, or a tunnel where its connections go through to a web function or a server (1.10). The gateway's
// endpoint is called by the API's id. APIs knows all apps, for what the listener that
// all share gets: pushes, and requests of functions to the services' own host names.
//
// Nothing about a connection is kept here: its secConnectionID is a spelling of its sluice.ConnID (IDs).
package apigateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
	"github.com/sluicehq/sluice/gateway"
)

// Functions calls functions: scf.SCF.
type Functions interface {
	Invoke(ctx context.Context, c scf.Call) (scf.Outcome, error)
}

// Sockets are the connections: the gateway room.
type Sockets interface {
	Push(ctx context.Context, id sluice.ConnID, f sluice.Frame) sluice.Outcome
	PushMany(ctx context.Context, ids []sluice.ConnID, f sluice.Frame) []sluice.Outcome
	Owner(ctx context.Context, id sluice.ConnID) (app sluice.AppName, endpoint string, o sluice.Outcome)
	Close(ctx context.Context, id sluice.ConnID, spec sluice.CloseSpec) sluice.Outcome
}

// Options are what the services of all apps share. Functions, Sockets and IDs are needed.
type Options struct {
	Functions Functions
	Sockets   Sockets
	IDs       *IDs
	Transport http.RoundTripper // to backends that are servers; nil is http.DefaultTransport
	Log       *slog.Logger      // nil logs nothing
}

// APIs are the services of all apps. It is safe for concurrent use.
type APIs struct {
	o Options

	mu   sync.RWMutex // guards apps
	apps map[sluice.AppName]*App
}

// New makes an empty set.
func New(o Options) *APIs {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return &APIs{o: o, apps: map[sluice.AppName]*App{}}
}

// App is the services of one deployed app.
type App struct {
	apis     *APIs
	name     sluice.AppName
	services []*service
}

// service is one service.
type service struct {
	*apispec.Service
	app   *App
	calls []*call // its APIs, in the template's order
}

// call is one API of a service.
type call struct {
	*apispec.API
	svc     *service
	pattern pattern
	web     bool    // its function is a web function, and gets requests as they are
	socket  *socket // of a WebSocket API with functions

	endpoint *gateway.Endpoint // of what takes WebSockets; else nil
}

// App compiles the services of an app, in place of what an earlier revision of it had.
func (a *APIs) App(app *sluice.App) (*App, error) {
	x := &App{apis: a, name: app.Name}
	for i := range app.Endpoints {
		spec, err := apispec.Parse(&app.Endpoints[i])
		if err != nil {
			return nil, err
		}
		s := &service{Service: spec, app: x}
		for j := range spec.APIs {
			c := &call{API: &spec.APIs[j], svc: s, pattern: compile(spec.APIs[j].Path)}
			f := functionOf(app, c.Function)
			c.web = f != nil && scf.IsWeb(f)
			switch {
			case c.web && scf.TakesSockets(f), c.Type == apispec.Sockets:
				c.endpoint = &gateway.Endpoint{App: app.Name, Name: c.ID, Tunnel: http.HandlerFunc(x.tunnel)}
			case c.Protocol == apispec.WebSocket:
				c.socket = newSocket(c, app)
				c.endpoint = c.socket.endpoint
			}
			s.calls = append(s.calls, c)
		}
		x.services = append(x.services, s)
	}
	a.mu.Lock()
	a.apps[app.Name] = x
	a.mu.Unlock()
	return x, nil
}

// functionOf is the function of an app that a name means; nil when it has none.
func functionOf(app *sluice.App, f apispec.Function) *sluice.Function {
	namespace := f.Namespace
	if namespace == "" {
		namespace = scf.DefaultNamespace
	}
	for i := range app.Functions {
		if fn := &app.Functions[i]; scf.Name(fn) == f.Name && scf.Namespace(fn) == namespace {
			return fn
		}
	}
	return nil
}

// Forget takes the services of an app that is removed away.
func (a *APIs) Forget(app sluice.AppName) {
	a.mu.Lock()
	delete(a.apps, app)
	a.mu.Unlock()
}

// all are the apps, by their names.
func (a *APIs) all() []*App {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := make([]*App, 0, len(a.apps))
	for _, x := range a.apps {
		out = append(out, x)
	}
	slices.SortFunc(out, func(p, q *App) int { return strings.Compare(string(p.name), string(q.name)) })
	return out
}

// ownerOf is the app that has an API; "" when none has.
func (a *APIs) ownerOf(api string) sluice.AppName {
	for _, x := range a.all() {
		for _, s := range x.services {
			if slices.ContainsFunc(s.calls, func(c *call) bool { return c.ID == api }) {
				return x.name
			}
		}
	}
	return ""
}

// Hosts are the names that lead to the app's services, without ports.
func (x *App) Hosts() []string {
	var hosts []string
	for _, s := range x.services {
		hosts = append(hosts, s.SubDomain, oldHost(s.Service))
		for _, d := range s.Domains {
			hosts = append(hosts, d.Name)
		}
	}
	return hosts
}

// oldHost is the older form of a service's own host name.
func oldHost(s *apispec.Service) string {
	first, _, _ := strings.Cut(s.SubDomain, ".")
	return first + "." + s.Region + ".apigateway.myqcloud.com"
}

// Endpoints are the gateway's side of all that takes WebSockets.
func (x *App) Endpoints() []*gateway.Endpoint {
	var out []*gateway.Endpoint
	for _, s := range x.services {
		for _, c := range s.calls {
			if c.endpoint != nil {
				out = append(out, c.endpoint)
			}
		}
	}
	return out
}

// Socket finds the endpoint for a handshake (section 1.1).
func (x *App) Socket(h *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	if t := x.find(h.Host, h.Path, takesSockets, true); t.call != nil {
		return t.call.endpoint, nil
	}
	if t := x.find(h.Host, h.Path, func(c *call) bool { return c.web }, true); t.call != nil {
		return nil, (&fault{http.StatusBadRequest, message{"Function " + t.call.Function.Name + " takes no WebSockets: its protocolType is not WS"}}).refusal(sluice.NewRequestID())
	}
	return nil, noAPI().refusal(sluice.NewRequestID())
}

func takesSockets(c *call) bool { return c.endpoint != nil }

// Claims reports whether a request on the listener that all apps share is for this package: a push, or a
// call to a service's own name.
func (a *APIs) Claims(r *http.Request) bool {
	if _, ok := pushed(r); ok {
		return true
	}
	id, ok := serviceHost(bareHost(r.Host))
	return ok && a.app(id) != nil
}

// ServeHTTP serves what it claims.
func (a *APIs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if api, ok := pushed(r); ok {
		a.push(w, r, api)
		return
	}
	id, _ := serviceHost(bareHost(r.Host))
	if x := a.app(id); x != nil {
		x.ServeHTTP(w, r)
		return
	}
	noAPI().write(w, "")
}

// app is the app that has a service.
func (a *APIs) app(service string) *App {
	for _, x := range a.all() {
		if x.byID(service) != nil {
			return x
		}
	}
	return nil
}

func (x *App) byID(id string) *service {
	for _, s := range x.services {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// bareHost is a host name without port, in lower case.
func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

// serviceHost finds the service in service-xxxxxxxx-{appid}.{region}.apigw.tencentcs.com and in the older
// form; the region may be any.
func serviceHost(host string) (id string, ok bool) {
	first, rest, _ := strings.Cut(host, ".")
	_, domain, _ := strings.Cut(rest, ".")
	if domain != "apigw.tencentcs.com" && domain != "apigateway.myqcloud.com" || !strings.HasPrefix(first, "service-") {
		return "", false
	}
	if i := strings.LastIndexByte(first, '-'); i > len("service") {
		first = first[:i]
	}
	return first, true
}

// seconds is a number of them.
func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/httpapi"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
	"github.com/sluicehq/sluice/dialect/aws/s3"
	"github.com/sluicehq/sluice/dialect/aws/websocket"
	"github.com/sluicehq/sluice/dialect/aws/websocket/policy"
)

// front is what one app shows on the public listener: its APIs, the URLs of its functions, and the
// websites of its buckets (aws.md section 0).
type front struct {
	sockets *websocket.App
	byHost  map[string]http.Handler
	byID    map[string]http.Handler // of /_aws/execute-api/{id}/…
	home    http.Handler            // for the app's own host; nil when nothing or too much could be meant
}

// front compiles an app's APIs.
func (c *cloud) front(_ context.Context, app *sluice.App) (*dialect.Front, error) {
	region := cmp.Or(app.Region, lambda.DefaultRegion)
	f := &front{byHost: map[string]http.Handler{}, byID: map[string]http.Handler{}}
	out := &dialect.Front{HTTP: f, Removed: func() { c.sockets.Forget(app.Name) }}
	var err error
	if f.sockets, err = c.sockets.App(app); err != nil {
		return nil, err
	}
	var homes []http.Handler
	options := httpapi.Options{App: app.Name, Region: region, Functions: caller{c}, Verify: c.execute, Allows: allows, Log: c.r.Log}
	for i := range app.Endpoints {
		spec, err := apispec.Parse(&app.Endpoints[i])
		if err != nil {
			return nil, err
		}
		if spec.Protocol != apispec.HTTP {
			continue
		}
		h, err := httpapi.New(options, spec)
		if err != nil {
			return nil, &sluice.Error{Code: sluice.Invalid, At: app.Endpoints[i].At, Msg: err.Error(), Err: err}
		}
		f.add(h, spec.ID+".execute-api."+region+".amazonaws.com", spec.ID+".execute-api.localhost")
		for _, m := range spec.Mappings {
			f.add(h, m.Domain)
		}
		f.byID[spec.ID] = h
		homes = append(homes, h)
		out.Addresses = append(out.Addresses, httpAddresses(spec)...)
	}
	options.Verify = c.urls
	for i := range app.Functions {
		fn := &app.Functions[i]
		if fn.HTTP == nil {
			continue
		}
		s := lambda.URLOf(app.Name, fn)
		h := httpapi.NewURL(options, s)
		f.add(h, s.ID+".lambda-url."+region+".on.aws", s.ID+".lambda-url.localhost")
		homes = append(homes, h)
		out.Addresses = append(out.Addresses, sluice.Output{Name: string(fn.Name), Value: "http://" + c.withPort(app.Name, s.ID+".lambda-url.localhost") + "/"})
	}
	for i := range app.Buckets {
		b := &app.Buckets[i]
		if b.Website == nil {
			continue
		}
		f.add(c.buckets.Site(b.Name), append(s3.SiteHosts(b.Name, region), b.Hosts...)...)
		out.Addresses = append(out.Addresses, sluice.Output{Name: "website " + b.Name, Value: "http://" + c.withPort(app.Name, b.Name+".web.localhost") + "/"})
	}
	out.Hosts = keys(f.byHost)
	for _, id := range keys(f.byID) {
		out.Paths = append(out.Paths, "/_aws/execute-api/"+id)
	}
	if len(homes) == 1 {
		f.home = homes[0]
	}
	if !f.sockets.Empty() {
		out.Socket, out.Post = f.sockets.Socket, f.sockets.Post
		out.Endpoints = f.sockets.Endpoints()
		out.Hosts = append(out.Hosts, f.sockets.Hosts()...)
		out.Paths = append(out.Paths, f.sockets.Paths()...)
		for _, ep := range out.Endpoints {
			id, stage, _ := strings.Cut(ep.Name, "/")
			out.Addresses = append(out.Addresses, sluice.Output{Name: "websocket " + stage, Value: "ws://" + c.withPort(app.Name, id+".execute-api.localhost") + "/" + stage})
		}
	}
	out.Addresses = append(out.Addresses, app.Outputs...)
	return out, nil
}

// add shows a handler under host names.
func (f *front) add(h http.Handler, hosts ...string) {
	for _, host := range hosts {
		f.byHost[strings.ToLower(host)] = h
	}
}

func keys(m map[string]http.Handler) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// httpAddresses are what a person would open: the stages of an API, where the app answers.
func httpAddresses(spec *apispec.API) []sluice.Output {
	var out []sluice.Output
	for _, s := range spec.Stages {
		path := "/" + s.Name + "/"
		if s.Name == "$default" {
			path = "/"
		}
		out = append(out, sluice.Output{Name: cmp.Or(spec.Logical, spec.Name), Value: path})
	}
	return out
}

// withPort is a host name with the port of the public listener.
func (c *cloud) withPort(app sluice.AppName, host string) string {
	if c.r.Public != nil {
		if _, port, err := net.SplitHostPort(c.r.Public(app)); err == nil {
			return net.JoinHostPort(host, port)
		}
	}
	return host
}

// ServeHTTP finds out which API, function or website a request is for.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if f.sockets.Claims(r) {
		f.sockets.ServeHTTP(w, r)
		return
	}
	if h := f.byHost[strings.ToLower(host)]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/_aws/execute-api/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		if h := f.byID[id]; h != nil {
			http.StripPrefix("/_aws/execute-api/"+id, h).ServeHTTP(w, r)
			return
		}
	}
	if f.home != nil {
		f.home.ServeHTTP(w, r)
		return
	}
	f.sockets.ServeHTTP(w, r)
}

// allows evaluates a policy for one resource of an API.
func allows(document json.RawMessage, resource, sourceIP string) (bool, error) {
	doc, err := policy.Parse(document)
	if err != nil {
		return false, err
	}
	return doc.Decide(policy.Request{Action: "execute-api:Invoke", Resource: resource, Context: map[string]string{"aws:sourceip": sourceIP}}) == policy.Allow, nil
}

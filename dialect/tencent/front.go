package tencent

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/tencent/apigateway"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/cos"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// front is what one app shows on the public listener: the services of its API Gateway, and the websites of
// its buckets.
type front struct {
	gateway *apigateway.App
	sites   map[string]http.Handler // by host
	home    http.Handler            // the only website, where no API is meant; nil when there is none, or more
}

// front compiles an app's services.
func (c *cloud) front(_ context.Context, app *sluice.App) (*dialect.Front, error) {
	f := &front{sites: map[string]http.Handler{}}
	var err error
	if f.gateway, err = c.gateway.App(app); err != nil {
		return nil, err
	}
	out := &dialect.Front{HTTP: f, Hosts: f.gateway.Hosts(), Endpoints: f.gateway.Endpoints(), Removed: func() { c.gateway.Forget(app.Name) }}
	if len(out.Endpoints) > 0 {
		out.Socket = f.gateway.Socket
	}
	for i := range app.Endpoints {
		s, err := apispec.Parse(&app.Endpoints[i])
		if err != nil {
			return nil, err
		}
		for _, a := range s.APIs {
			path := "/_tencent/" + s.ID + "/" + s.Environment + strings.TrimPrefix(a.Path, "=")
			if len(app.Endpoints) == 1 {
				path = "/" + s.Environment + strings.TrimPrefix(a.Path, "=")
			}
			if a.Protocol == apispec.WebSocket {
				path = "ws://" + c.publicHost(app.Name) + path
			}
			out.Addresses = append(out.Addresses, sluice.Output{Name: s.Name, Value: path})
		}
	}
	c.sites(app, f, out)
	return out, nil
}

// sites shows the buckets that are websites.
func (c *cloud) sites(app *sluice.App, f *front, out *dialect.Front) {
	n := 0
	for i := range app.Buckets {
		b := &app.Buckets[i]
		if b.Website == nil {
			continue
		}
		hosts := append(cos.SiteHosts(b.Name, cmp.Or(app.Region, scf.DefaultRegion)), b.Hosts...)
		h := c.objects.Site(b.Name)
		for _, name := range hosts {
			f.sites[strings.ToLower(name)] = h
		}
		out.Hosts = append(out.Hosts, hosts...)
		f.home = h
		if n++; n > 1 {
			f.home = nil
		}
		out.Addresses = append(out.Addresses, sluice.Output{Name: b.Name, Value: "http://" + c.withPort(app.Name, hosts[0]) + "/"})
	}
	if f.home != nil {
		out.Addresses[len(out.Addresses)-1].Value = "/"
	}
}

// withPort is a host name with the port of the public listener.
func (c *cloud) withPort(app sluice.AppName, host string) string {
	if _, port, err := net.SplitHostPort(c.publicHost(app)); err == nil {
		return net.JoinHostPort(host, port)
	}
	return host
}

// publicHost is how an app is reached on this machine.
func (c *cloud) publicHost(app sluice.AppName) string {
	if c.r.Public != nil {
		return c.r.Public(app)
	}
	return string(app) + ".localhost"
}

// ServeHTTP finds out whether a website or a service is meant.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := f.sites[bareHost(r.Host)]
	switch {
	case h != nil:
		h.ServeHTTP(w, r)
	case f.home != nil && !f.gateway.Shows(r):
		f.home.ServeHTTP(w, r)
	default:
		f.gateway.ServeHTTP(w, r)
	}
}

// bareHost is a host name without port, in lower case.
func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

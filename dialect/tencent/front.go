package tencent

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/tencent/apigateway"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
)

// front is what one app shows on the public listener: the services of its API Gateway.
type front struct {
	gateway *apigateway.App
}

// front compiles an app's services.
func (c *cloud) front(_ context.Context, app *sluice.App) (*dialect.Front, error) {
	f := &front{}
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
	return out, nil
}

// publicHost is how an app is reached on this machine.
func (c *cloud) publicHost(app sluice.AppName) string {
	if c.r.Public != nil {
		return c.r.Public(app)
	}
	return string(app) + ".localhost"
}

// ServeHTTP serves what is no upgrade.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.gateway.ServeHTTP(w, r) }

// bareHost is a host name without port, in lower case.
func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

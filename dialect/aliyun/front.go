package aliyun

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aliyun/apigateway"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/dialect/aliyun/fc"
)

// front is what one app shows on the public listener: its API groups, and its functions with HTTP
// triggers (aliyun.md 3.13).
type front struct {
	groups   apigateway.Groups
	byHost   map[string]*fc.Trigger
	byName   map[target]*fc.Trigger
	domains  map[string]http.Handler // made through the API
	fallback *fc.Trigger             // the only trigger of an app without API groups
}

// target names a function with an HTTP trigger.
type target struct{ service, function string }

// front compiles an app's endpoints and triggers.
func (c *cloud) front(ctx context.Context, app *sluice.App) (*dialect.Front, error) {
	f := &front{byHost: map[string]*fc.Trigger{}, byName: map[target]*fc.Trigger{}}
	out := &dialect.Front{HTTP: f}
	base := c.baseURL(app.Name)
	custom := map[sluice.FunctionName]bool{}
	triggers := 0
	for i := range app.Functions {
		fn := &app.Functions[i]
		custom[fn.Name] = fc.IsCustom(fn.Runtime)
		if fn.HTTP == nil {
			continue
		}
		t := fc.NewTrigger(c.fc, app.Name, fn)
		hosts := append([]string{systemHost(fn)}, fn.HTTP.Hosts...)
		for _, h := range hosts {
			f.byHost[strings.ToLower(h)] = t
		}
		f.byName[target{fn.Group, string(fn.Name)}] = t
		out.Hosts = append(out.Hosts, hosts...)
		triggers++
		f.fallback = t
		if len(app.Endpoints) > 0 {
			continue // people come in through the API groups
		}
		service := cmp.Or(fn.Group, fc.NoService)
		out.Addresses = append(out.Addresses, sluice.Output{
			Name: string(fn.Name), Value: "http://" + base + "/2016-08-15/proxy/" + service + "/" + string(fn.Name) + "/",
		})
	}
	var err error
	if f.domains, err = fc.Domains(c.fc, app); err != nil {
		return nil, err
	}
	out.Hosts = slices.AppendSeq(out.Hosts, maps.Keys(f.domains))
	if triggers != 1 || len(app.Endpoints) > 0 {
		f.fallback = nil
	}
	if err := c.groups(ctx, app, f, out, custom); err != nil {
		return nil, err
	}
	if c.r.FixSockets && out.Socket != nil {
		out.HTTP = fixSockets(f)
	}
	if f.fallback != nil {
		out.Addresses = append(out.Addresses, sluice.Output{Name: "http", Value: "http://" + base + "/"})
	}
	return out, nil
}

// groups compiles an app's API groups.
func (c *cloud) groups(ctx context.Context, app *sluice.App, f *front, out *dialect.Front, custom map[sluice.FunctionName]bool) error {
	base := c.baseURL(app.Name)
	callers := &apps{keys: c.r.Keys, app: app.Name}
	instance := &apigateway.Meter{}
	for _, e := range app.Endpoints {
		var g apigroup.Group
		if err := json.Unmarshal(e.Spec, &g); err != nil {
			return &sluice.Error{Code: sluice.Invalid, Msg: fmt.Sprintf("API group %q cannot be read: %v", e.Name, err), At: e.At, Err: err}
		}
		signed := slices.ContainsFunc(g.APIs, func(a apigroup.API) bool { return strings.EqualFold(a.Auth, "APP") })
		if signed && callers.code == "" {
			key, err := c.r.Keys.AppKey(ctx, app.Name)
			if err != nil {
				return fmt.Errorf("key of app %q: %w", app.Name, err)
			}
			callers.code = AppCode(key.Secret)
		}
		group, err := apigateway.New(apigateway.Options{
			App: app.Name, Endpoint: e.Name, Group: g,
			Functions: c.r.Functions, Sockets: c.r.Sockets, Sites: c.oss, Apps: callers, Store: c.r.Store, Instance: instance,
			Custom: func(name sluice.FunctionName) bool { return custom[name] },
			Log:    c.r.Log,
		})
		if err != nil {
			return err
		}
		f.groups = append(f.groups, group)
		out.Hosts = append(append(out.Hosts, e.Hosts...), group.Hosts()...)
		host := base
		if len(app.Endpoints) > 1 && len(group.Hosts()) > 0 {
			host = group.Hosts()[0]
			if _, port, err := net.SplitHostPort(base); err == nil {
				host = net.JoinHostPort(host, port)
			}
		}
		out.Addresses = append(out.Addresses, pages(&g, host, base)...)
		if ep := group.Endpoint(); ep != nil {
			out.Socket = f.groups.Socket
			out.Endpoints = append(out.Endpoints, ep)
			if host != base { // where the app answers, its socket is known
				out.Addresses = append(out.Addresses, sluice.Output{Name: e.Name, Value: "ws://" + host + "/"})
			}
		}
	}
	if out.Socket != nil {
		out.Socket = f.groups.Socket // of all groups, not of those so far
	}
	return nil
}

// pages are what a person would open: the static sites of a group by the names of their routes, or the
// group's root when it has none.
func pages(g *apigroup.Group, host, base string) []sluice.Output {
	origin := "http://" + host
	if host == base {
		origin = "" // wherever the app answers
	}
	var out []sluice.Output
	for _, a := range g.APIs {
		if a.Backend.Bucket != "" && slices.Contains(a.Protocols, "HTTP") {
			out = append(out, sluice.Output{Name: a.Name, Value: origin + strings.TrimSuffix(g.BasePath, "/") + strings.TrimSuffix(a.Path, "*")})
		}
	}
	slices.SortFunc(out, func(a, b sluice.Output) int { return len(a.Value) - len(b.Value) })
	if len(out) == 0 {
		out = []sluice.Output{{Name: g.Name, Value: origin + "/"}}
	}
	return out
}

// systemHost is the host name that a function has by itself.
func systemHost(f *sluice.Function) string {
	name := string(f.Name)
	if f.Group != "" {
		name += "-" + f.Group
	}
	return strings.ToLower(name) + ".fc.localhost"
}

// ServeHTTP finds out whether a trigger or an API group is meant.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if d := f.domains[strings.ToLower(host)]; d != nil {
		d.ServeHTTP(w, r)
		return
	}
	if t := f.byHost[strings.ToLower(host)]; t != nil {
		t.ServeHTTP(w, r)
		return
	}
	if service, name, ok := fc.Proxied(r); ok {
		if t := f.byName[target{service, name}]; t != nil {
			t.ServeProxy(w, r)
			return
		}
	}
	switch {
	case len(f.groups) > 0:
		f.groups.ServeHTTP(w, r)
	case f.fallback != nil:
		f.fallback.ServeHTTP(w, r)
	default:
		fc.NotFound(w, r)
	}
}

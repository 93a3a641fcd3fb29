package websocket

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/gateway"
)

// App is the WebSocket APIs of one deployed app.
type App struct {
	apis   *APIs
	name   sluice.AppName
	region string
	list   []*api
}

// api is one API.
type api struct {
	app    *App
	spec   *apispec.API
	domain string // its own host name
	stages []*Stage
}

// App compiles the WebSocket APIs of an app, in place of what an earlier revision of it had; endpoints
// of other protocols are passed over. Errors are the template's.
func (a *APIs) App(app *sluice.App) (*App, error) {
	x := &App{apis: a, name: app.Name, region: cmp.Or(app.Region, a.o.Region)}
	for i := range app.Endpoints {
		spec, err := apispec.Parse(&app.Endpoints[i])
		if err != nil {
			return nil, err
		}
		if spec.Protocol != apispec.WebSocket {
			continue
		}
		one := &api{app: x, spec: spec, domain: spec.ID + ".execute-api." + x.region + ".amazonaws.com"}
		for j := range spec.Stages {
			st, err := newStage(one, &spec.Stages[j])
			if err != nil {
				return nil, &sluice.Error{Code: sluice.Invalid, Msg: "API " + cmp.Or(spec.Logical, spec.Name, spec.ID) + ": " + err.Error(), At: app.Endpoints[i].At, Err: err}
			}
			one.stages = append(one.stages, st)
		}
		x.list = append(x.list, one)
	}
	a.mu.Lock()
	a.apps[app.Name] = x
	a.mu.Unlock()
	return x, nil
}

// Forget takes the APIs of an app that is removed away.
func (a *APIs) Forget(app sluice.AppName) {
	a.mu.Lock()
	delete(a.apps, app)
	a.mu.Unlock()
}

// Empty reports whether the app has no WebSocket API.
func (x *App) Empty() bool { return len(x.list) == 0 }

// Hosts are the names that lead to the app's APIs, without ports: {apiId}.execute-api.{region}
// .amazonaws.com, the same at localhost, and custom domains.
func (x *App) Hosts() []string {
	var hosts []string
	for _, one := range x.list {
		hosts = append(hosts, one.domain, one.spec.ID+".execute-api.localhost")
		for _, m := range one.spec.Mappings {
			if d := strings.ToLower(m.Domain); !slices.Contains(hosts, d) {
				hosts = append(hosts, d)
			}
		}
	}
	return hosts
}

// Paths begin the paths that lead to the app's APIs at any host.
func (x *App) Paths() []string {
	var paths []string
	for _, one := range x.list {
		paths = append(paths, "/_aws/ws/"+one.spec.ID, "/_aws/execute-api/"+one.spec.ID)
	}
	return paths
}

// Endpoints are the gateway's side of all stages. Each is called "{apiId}/{stage}".
func (x *App) Endpoints() []*gateway.Endpoint {
	var out []*gateway.Endpoint
	for _, one := range x.list {
		for _, st := range one.stages {
			out = append(out, st.endpoint)
		}
	}
	return out
}

// Socket finds the endpoint for a handshake (aws.md 1.2).
func (x *App) Socket(h *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	t := x.find(h.Host, strings.Split(h.Path, "/"))
	if t.stage == nil || len(t.rest) > 0 || t.disabled {
		return nil, (&fault{status: http.StatusForbidden, text: "Forbidden", kind: "ForbiddenException"}).refusal(sluice.ConnID{}, sluice.NewRequestID())
	}
	return t.stage.endpoint, nil
}

// stage finds a stage; names are case sensitive.
func (one *api) stage(name string) *Stage {
	for _, st := range one.stages {
		if st.spec.Name == name {
			return st
		}
	}
	return nil
}

// target is what host and path of a request lead to.
type target struct {
	api      *api
	stage    *Stage   // nil: there is none
	rest     []string // the path behind the stage
	disabled bool     // the API does not answer at its own name
}

// find reads host and path; path is its segments, decoded, beginning with the empty one.
func (x *App) find(host string, path []string) target {
	path = trim(path)
	host = bareHost(host)
	if len(path) > 2 && path[0] == "_aws" && (path[1] == "ws" || path[1] == "execute-api") {
		return x.own(x.byID(path[2]), path[3:])
	}
	if id, ok := apiHost(host); ok {
		t := x.own(x.byID(id), path)
		t.disabled = t.api != nil && t.api.spec.DisableExecuteAPI
		return t
	}
	if t := x.mapped(host, path); t.api != nil || t.disabled {
		return t
	}
	return x.atHome(path)
}

// own reads a path that begins with the stage.
func (x *App) own(one *api, path []string) target {
	if one == nil || len(path) == 0 {
		return target{api: one}
	}
	return target{api: one, stage: one.stage(path[0]), rest: path[1:]}
}

// mapped reads a request to a custom domain. disabled says that it is one, but shows nothing here.
func (x *App) mapped(host string, path []string) target {
	best, found := target{}, -1
	for _, one := range x.list {
		for _, m := range one.spec.Mappings {
			if !strings.EqualFold(m.Domain, host) {
				continue
			}
			best.disabled = found < 0
			base := trim(strings.Split(m.Path, "/"))
			if len(base) > found && len(base) <= len(path) && slices.Equal(base, path[:len(base)]) {
				found = len(base)
				best = target{api: one, stage: one.stage(m.Stage), rest: path[len(base):]}
			}
		}
	}
	return best
}

// atHome reads a request to the app's own host: /{stage} of whichever API has such a stage, and / when
// there is one API only.
func (x *App) atHome(path []string) target {
	if len(x.list) == 1 && len(x.list[0].stages) > 0 && (len(path) == 0 || isVerb(path[0])) {
		return target{api: x.list[0], stage: x.list[0].stages[0], rest: path}
	}
	if len(path) == 0 {
		return target{}
	}
	var t target
	for _, one := range x.list {
		if st := one.stage(path[0]); st != nil {
			if t.stage != nil {
				return target{}
			}
			t = target{api: one, stage: st, rest: path[1:]}
		}
	}
	return t
}

func (x *App) byID(id string) *api {
	for _, one := range x.list {
		if one.spec.ID == id {
			return one
		}
	}
	return nil
}

// trim leaves the empty segments at both ends of a path away.
func trim(path []string) []string {
	for len(path) > 0 && path[0] == "" {
		path = path[1:]
	}
	for len(path) > 0 && path[len(path)-1] == "" {
		path = path[:len(path)-1]
	}
	return path
}

// segments are the parts of a request's path, each decoded once. Empty ones do not count: the SDK for
// Node doubles the slash of an endpoint that ends with one.
func segments(r *http.Request) []string {
	parts := make([]string, 0, 8)
	path := cmp.Or(r.URL.RawPath, r.URL.Path) // a RawPath is there when slashes could be mistaken
	for p := range strings.SplitSeq(path, "/") {
		if r.URL.RawPath != "" {
			if s, err := url.PathUnescape(p); err == nil {
				p = s
			}
		}
		if p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// bareHost is a host name without port, in lower case.
func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

// apiHost finds the API in {apiId}.execute-api.{anything}.
func apiHost(host string) (id string, ok bool) {
	id, rest, _ := strings.Cut(host, ".")
	return id, strings.HasPrefix(rest, "execute-api.")
}

// Package tencent puts Tencent Cloud together from its parts: the template reader (components), API Gateway
// with its WebSockets (apigateway), SCF (scf) and COS (cos).
package tencent

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/tencent/apigateway"
	"github.com/sluicehq/sluice/dialect/tencent/components"
	"github.com/sluicehq/sluice/dialect/tencent/cos"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/object"
)

// Name is the dialect's name in App.Dialect.
const Name = components.Dialect

// Options are what an operator may change of this cloud.
type Options struct {
	COSHosts map[string]string // hosts, without ports, that stand for one bucket of COS (tencent.md 4)
}

// cloud is what the parts share.
type cloud struct {
	r       dialect.Rooms
	gateway *apigateway.APIs
	objects *cos.Handler
	modules *scf.Modules // nil: there are none
}

// New builds the dialect on the rooms.
func New(r dialect.Rooms, o Options) (dialect.Dialect, error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	r.Log = r.Log.With("dialect", Name)
	ids, err := apigateway.NewIDs(r.Keys.Derive("tencent secConnectionID"))
	if err != nil {
		return dialect.Dialect{}, err
	}
	functions := scf.NewSCF(r.Functions, r.Logs, r.Log)
	c := &cloud{r: r, gateway: apigateway.New(apigateway.Options{Functions: functions, Sockets: r.Sockets, IDs: ids, Log: r.Log})}
	if r.Dir != "" {
		c.modules = scf.NewModules(r.Dir, r.Log)
	}
	calls := scf.Options{SCF: functions, Keys: r.Keys, Log: r.Log}
	if r.Apps != nil {
		calls.Apps = r.Apps
	}
	var run func(context.Context) error
	var notify object.Notify
	if r.Store != nil {
		calls.Later = scf.NewQueue(r.Store, functions, 0, r.Log)
		notify = scf.NewNotify(r.Functions, calls.Later)
		timers := scf.NewTimers(r.Store, r.Functions, calls.Later, r.Log)
		run = func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return calls.Later.Run(ctx) })
			g.Go(func() error { return timers.Run(ctx) })
			return g.Wait()
		}
	}
	c.objects = cos.New(cos.Options{Objects: r.Objects, Keys: r.Keys, AppID: scf.AppID, Log: r.Log, Hosts: o.COSHosts})
	apis := dialect.APIs{
		{Claims: c.gateway.Claims, Handler: c.gateway},
		{Claims: scf.Claims, Handler: scf.New(calls)},
		{Claims: c.objects.Claims, Handler: c.objects},
		{Claims: isOurs, Handler: http.HandlerFunc(unserved)},
	}
	return dialect.Dialect{
		Name:        Name,
		Reader:      components.New(),
		APIs:        apis,
		Starters:    []function.Starter{scf.CustomRuntime{}, scf.Go1{}, &scf.Web{Dir: r.Dir, Log: r.Log}},
		Environment: c.environment,
		Exports:     exports,
		Front:       c.front,
		Notify:      notify,
		Run:         run,
		Hosts:       hosts,
	}, nil
}

// hosts are the names of the cloud that functions may call (section 2.8).
var hosts = []string{"*.myqcloud.com", "*.tencentcos.cn", "*.tencentcloudapi.com", "*.apigateway.tencentyun.com", "*.apigw.tencentcs.com"}

// isOurs reports whether a request came to a name of the cloud, or to a path of ours.
func isOurs(r *http.Request) bool {
	host := bareHost(r.Host)
	for _, h := range hosts {
		if strings.HasSuffix(host, h[1:]) {
			return true
		}
	}
	return strings.HasPrefix(r.URL.Path, "/_tencent/")
}

// unserved answers requests for services that sluice does not have.
func unserved(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	var body struct {
		Response struct {
			Error     struct{ Code, Message string }
			RequestID string `json:"RequestId"`
		}
	}
	body.Response.Error.Code, body.Response.RequestID = "UnsupportedOperation", scf.NewRequestID()
	body.Response.Error.Message = "sluice does not serve " + r.Host + " of Tencent Cloud"
	json.NewEncoder(w).Encode(body)
}

// environment is what a function finds in its environment.
func (c *cloud) environment(ctx context.Context, app *sluice.App, f *sluice.Function) (map[string]string, error) {
	env := scf.Environment(c.r.Keys, app, f)
	if c.modules == nil {
		return env, nil
	}
	set, variable := c.modules.Of(f.Runtime)
	if set == nil {
		return env, nil
	}
	path, err := set.Path(ctx, f.Name, f.Code)
	if err != nil {
		return nil, err
	}
	if path != "" {
		own := env[variable]
		if own == "" {
			own = f.Env[variable]
		}
		env[variable] = strings.TrimPrefix(own+string(filepath.ListSeparator)+path, string(filepath.ListSeparator))
	}
	return env, nil
}

// exports point Tencent's tools at us.
func exports(k access.Credentials, _ string) map[string]string {
	env := map[string]string{
		"TENCENTCLOUD_SECRETID": k.ID, "TENCENTCLOUD_SECRETKEY": k.Secret, "TENCENTCLOUD_REGION": scf.DefaultRegion,
		"TENCENTCLOUD_SECRET_ID": k.ID, "TENCENTCLOUD_SECRET_KEY": k.Secret, // as its SDKs spell them
		"TENCENT_SECRET_ID": k.ID, "TENCENT_SECRET_KEY": k.Secret, "TENCENT_APP_ID": scf.AppID, // and the templates
	}
	if k.Token != "" {
		env["TENCENTCLOUD_SESSIONTOKEN"] = k.Token
	}
	return env
}

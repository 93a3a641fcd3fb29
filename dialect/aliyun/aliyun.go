// Package aliyun puts Alibaba Cloud together from its parts: the template reader (sdevs), API Gateway
// with its WebSockets (apigateway), Function Compute (fc), Tablestore (tablestore) and OSS (oss).
package aliyun

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aliyun/apigateway"
	"github.com/sluicehq/sluice/dialect/aliyun/fc"
	"github.com/sluicehq/sluice/dialect/aliyun/npm"
	"github.com/sluicehq/sluice/dialect/aliyun/oss"
	"github.com/sluicehq/sluice/dialect/aliyun/scli"
	"github.com/sluicehq/sluice/dialect/aliyun/sdevs"
	"github.com/sluicehq/sluice/dialect/aliyun/tablestore"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/modules"
	"github.com/sluicehq/sluice/object"
)

// Name is the dialect's name in App.Dialect.
const Name = "aliyun"

// Options are what an operator may change of this cloud.
type Options struct {
	StrictTables bool // tablestore.Options.Strict
	MaxTables    int  // of one instance; 0 is the cloud's 64
}

// cloud is what the parts share.
type cloud struct {
	r   dialect.Rooms
	oss *oss.Handler
	fc  fc.Options

	modules *modules.Set
}

// New builds the dialect on the rooms.
func New(r dialect.Rooms, o Options) (dialect.Dialect, error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	r.Log = r.Log.With("dialect", Name)
	admin, err := url.Parse(r.Admin)
	if err != nil {
		return dialect.Dialect{}, fmt.Errorf("address of the admin listener: %w", err)
	}
	c := &cloud{r: r, modules: fc.NewModules(filepath.Join(r.Dir, "nodejs"), r.Log), fc: fc.Options{Functions: r.Functions, Keys: r.Keys, Objects: r.Objects, Public: r.Public, Log: r.Log}}
	if r.Dir != "" && r.Apps != nil {
		c.fc.Apps, c.fc.Dir = r.Apps, r.Dir
	}
	var run func(context.Context) error
	var notify object.Notify
	if r.Store != nil {
		c.fc.Later = fc.NewQueue(r.Store, r.Functions, r.Log)
		notify = fc.NewNotify(r.Functions, c.fc.Later)
		timers := fc.NewTimers(r.Store, r.Functions, c.fc.Later, r.Log)
		run = func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return c.fc.Later.Run(ctx) })
			g.Go(func() error { return timers.Run(ctx) })
			return g.Wait()
		}
	}
	c.oss = oss.New(oss.Options{Objects: r.Objects, Keys: r.Keys, Log: r.Log, Hosts: []string{admin.Hostname()}})
	// Headers and hosts are surer signs than a path, which in OSS may be anything.
	packages, err := npm.New()
	if err != nil {
		return dialect.Dialect{}, err
	}
	apis := dialect.APIs{
		{Claims: npm.Claims, Handler: packages},
		{Claims: tablestore.Claims, Handler: tablestore.New(tablestore.Options{Tables: r.Tables, Keys: r.Keys, Log: r.Log, Strict: o.StrictTables, MaxTables: o.MaxTables}), Whole: dialect.Always},
		{Claims: c.oss.Claims, Handler: c.oss},
		{Claims: fc.Claims, Handler: fc.New(c.fc)},
		{Claims: isOurs, Handler: http.HandlerFunc(unserved)},
	}
	return dialect.Dialect{
		Name:        Name,
		Reader:      sdevs.New(sdevs.Options{}),
		APIs:        apis,
		Starters:    []function.Starter{&fc.Custom{Keys: r.Keys, Log: r.Log}, &fc.Go{Keys: r.Keys}},
		Environment: c.environment,
		Exports:     exports,
		Actions:     c.actions,
		Tool:        "s",
		Front:       c.front,
		Notify:      notify,
		Run:         run,
		Hosts:       []string{"*" + vendor},
	}, nil
}

// vendor ends the names of Alibaba Cloud's hosts.
const vendor = ".aliyuncs.com"

// isOurs reports whether a request came to a name of the cloud.
func isOurs(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return strings.HasSuffix(strings.ToLower(host), vendor)
}

// unserved answers requests for services that sluice does not have.
func unserved(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	json.NewEncoder(w).Encode(map[string]string{"RequestId": sluice.NewRequestID(), "HostId": r.Host,
		"Code": "ServiceNotSupported", "Message": "sluice does not serve " + r.Host + " of Alibaba Cloud"})
}

// endpoints are where functions and tools find the cloud's APIs.
func endpoints(admin string) map[string]string {
	return map[string]string{
		"SLUICE_TABLESTORE_ENDPOINT": admin,
		"SLUICE_OSS_ENDPOINT":        admin,
		"SLUICE_FC_ENDPOINT":         admin,
	}
}

// environment is what a function finds in its environment.
func (c *cloud) environment(ctx context.Context, app *sluice.App, f *sluice.Function) (map[string]string, error) {
	env := fc.Environment(c.r.Keys, app, f)
	for name, v := range endpoints(c.r.Admin) {
		env[name] = v
	}
	if c.r.Dir == "" || !strings.HasPrefix(strings.ToLower(f.Runtime), "nodejs") {
		return env, nil
	}
	path, err := c.modules.Path(ctx, f.Name, f.Code)
	if err != nil {
		return nil, err
	}
	if path != "" {
		own := cmp.Or(env["NODE_PATH"], f.Env["NODE_PATH"])
		env["NODE_PATH"] = strings.TrimPrefix(own+string(filepath.ListSeparator)+path, string(filepath.ListSeparator))
	}
	return env, nil
}

// actions is the environment of an app's actions: who they are, and an npm that finds what has gone
// from the registry. npm takes the registry of a scope from files only; what the machine's own file of
// that kind says is kept.
func (c *cloud) actions(app *sluice.App) (map[string]string, error) {
	env := map[string]string{scli.AppVariable: string(app.Name), scli.DomainVariable: c.baseURL(app.Name), "SLUICE_ADMIN": c.r.Admin}
	if c.r.Dir == "" {
		return env, nil
	}
	own := cmp.Or(os.Getenv("npm_config_globalconfig"), os.Getenv("NPM_CONFIG_GLOBALCONFIG"))
	if bin, err := exec.LookPath("npm"); own == "" && err == nil {
		own = filepath.Join(filepath.Dir(filepath.Dir(bin)), "etc", "npmrc")
	}
	text, err := os.ReadFile(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read npm's settings: %w", err)
	}
	if err := os.MkdirAll(c.r.Dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(c.r.Dir, "npmrc")
	if err := os.WriteFile(file, append(text, "\n"+npm.Config(c.r.Admin)...), 0o600); err != nil {
		return nil, fmt.Errorf("write npm's settings: %w", err)
	}
	env["npm_config_globalconfig"] = file
	return env, nil
}

// exports point Alibaba's tools at us.
func exports(k access.Credentials, admin string) map[string]string {
	env := endpoints(admin)
	env["ALIBABA_CLOUD_ACCESS_KEY_ID"] = k.ID
	env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = k.Secret
	if k.Token != "" {
		env["ALIBABA_CLOUD_SECURITY_TOKEN"] = k.Token
	}
	return env
}

// apps says who may call the APIs of one app that ask for an app's signature (aliyun.md 1.9): the
// app's own key and the operator's. The AppCode of the former is AppCode of its secret.
type apps struct {
	keys *access.Keys
	app  sluice.AppName
	code string
}

// Secret finds the secret of a key.
func (a *apps) Secret(ctx context.Context, key string) (string, bool, error) {
	secret, who, err := a.keys.Lookup(ctx, key, "")
	if errors.Is(err, access.ErrUnknownKey) {
		return "", false, nil
	}
	return secret, who.Admin() || who.App == a.app, err
}

// Code reports whether a code is the app's.
func (a *apps) Code(_ context.Context, code string) (bool, error) {
	return subtle.ConstantTimeCompare([]byte(code), []byte(a.code)) == 1, nil
}

// AppCode is the AppCode that belongs to an AppSecret.
func AppCode(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("AppCode"))
	return hex.EncodeToString(mac.Sum(nil))[:32]
}

var _ apigateway.Apps = (*apps)(nil)

// baseURL is how an app is reached on this machine.
func (c *cloud) baseURL(app sluice.AppName) string {
	host := string(app) + ".localhost"
	if c.r.Public != nil {
		host = cmp.Or(c.r.Public(app), host)
	}
	return host
}

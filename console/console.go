// Package console is what operators see of a server: the admin API under /_sluice/api/, whose form
// package client defines, and the page over it under /_sluice/.
package console

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/table"
	"github.com/sluicehq/sluice/telemetry"
)

// Apps is what the console needs to deploy and to show apps; package server is it.
type Apps interface {
	Ready() client.Ready
	List(ctx context.Context) ([]client.App, error)
	// Deploy deploys a folder, telling each step. With plan it only tells what it would do.
	Deploy(ctx context.Context, in deploy.Input, say func(client.Line)) (*client.App, error)
	Plan(ctx context.Context, in deploy.Input, say func(client.Line)) error
	// Upload makes a folder for the files of one deploy, which done removes.
	Upload() (dir string, done func(), err error)
	Remove(ctx context.Context, app sluice.AppName) error
	Rollback(ctx context.Context, app sluice.AppName) (*client.App, error)
	// Env is what sluice env prints: for app ("" is the operator) and dialect ("" is all).
	Env(ctx context.Context, app sluice.AppName, dialect string) (map[string]string, error)
}

// Invoker runs functions.
type Invoker interface {
	Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
}

// Sockets is what the console needs of the gateway.
type Sockets interface {
	Get(ctx context.Context, id sluice.ConnID) (sluice.Conn, sluice.Outcome)
	Push(ctx context.Context, id sluice.ConnID, f sluice.Frame) sluice.Outcome
	Close(ctx context.Context, id sluice.ConnID, c sluice.CloseSpec) sluice.Outcome
	List(ctx context.Context, app sluice.AppName, endpoint string, after sluice.ConnID, limit int) []sluice.Conn
}

// Options are what a console is made of.
type Options struct {
	Apps     Apps
	Invoke   Invoker
	Sockets  Sockets
	Tables   *table.Tables
	Objects  *object.Store
	Logs     *telemetry.Logs
	Password string // the administrator's; "" asks for none, for loopback listeners
	Log      *slog.Logger
}

//go:embed ui/index.html
var page []byte

// api is the console's handler.
type api struct{ Options }

// New makes the handler for /_sluice/: the page, the admin API, and Go's profiles of this process
// under /_sluice/debug/pprof/.
func New(o Options) http.Handler {
	a := &api{o}
	m := http.NewServeMux()
	m.HandleFunc("GET /_sluice/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'")
		w.Write(page)
	})
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request) error) {
		method, path, _ := strings.Cut(pattern, " ")
		m.HandleFunc(method+" "+client.Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				a.fail(w, r, err)
			}
		})
	}
	handle("GET status", func(w http.ResponseWriter, _ *http.Request) error { return answer(w, a.Apps.Ready()) })
	handle("GET apps", a.apps)
	handle("DELETE apps/{app}", a.remove)
	handle("POST apps/{app}/rollback", a.rollback)
	handle("POST deploy", a.deploy)
	handle("GET env", a.env)
	handle("GET logs", a.logs)
	handle("POST invoke", a.invoke)
	handle("GET conns", a.conns)
	handle("GET conns/{id}", a.conn)
	handle("POST conns/{id}", a.push)
	handle("DELETE conns/{id}", a.close)
	handle("GET tables", a.tables)
	handle("GET tables/{scope}/{name}", a.table)
	handle("GET tables/{scope}/{name}/rows", a.rows)
	handle("POST tables/{scope}/{name}/rows", a.putRows)
	handle("GET objects", a.objects)
	handle("POST objects/sync", a.syncObjects)
	handle("GET object", a.getObject)
	handle("PUT object", a.putObject)
	const profiles = "/_sluice/debug/pprof/"
	for path, h := range map[string]http.HandlerFunc{"": pprof.Index, "profile": pprof.Profile, "trace": pprof.Trace} {
		m.Handle("GET "+profiles+path, http.StripPrefix("/_sluice", h))
	}
	return a.guard(m)
}

// guard lets in who may: no page of another site, no name that a stranger's DNS points here, and with
// a password only who knows it.
func (a *api) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return cross.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Password == "" && !loopbackName(r.Host) {
			a.fail(w, r, &sluice.Error{Code: sluice.Denied, Msg: "the console answers to localhost only",
				Hint: "set --admin-password to reach it by another name"})
			return
		}
		if a.Password != "" {
			user, pass, _ := r.BasicAuth()
			if user != "admin" || subtle.ConstantTimeCompare([]byte(pass), []byte(a.Password)) != 1 {
				w.Header().Set("WWW-Authenticate", `Basic realm="sluice"`)
				w.WriteHeader(http.StatusUnauthorized)
				json.NewEncoder(w).Encode(client.Error{Message: "the administrator's password is needed", Hint: "give it with --admin-password or SLUICE_ADMIN_PASSWORD"})
				return
			}
		}
		next.ServeHTTP(w, r)
	}))
}

func loopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// fail answers an error. One without a kind is our own fault: it is logged, and only said to be one.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := sluice.KindOf(err)
	if kind == sluice.Internal && r.Context().Err() == nil {
		a.Log.Error("admin request", "path", r.URL.Path, "err", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(client.StatusOf(kind))
	json.NewEncoder(w).Encode(client.Error{Message: err.Error(), Hint: sluice.HintOf(err)})
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(b, '\n'))
	return err
}

// stream writes JSON objects one a line, each at once.
type stream struct {
	w   http.ResponseWriter
	enc *json.Encoder
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	return &stream{w: w, enc: json.NewEncoder(w)}
}

func (s *stream) send(v any) error {
	if err := s.enc.Encode(v); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

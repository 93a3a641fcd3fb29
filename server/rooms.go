package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/console"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/all"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
	"github.com/sluicehq/sluice/table"
	"github.com/sluicehq/sluice/telemetry"
)

// openRooms opens the stores and the rooms, and hangs the dialects on them.
func (s *Server) openRooms(ctx context.Context) error {
	store, err := pebble.Open(s.path("kv"), pebble.Options{Log: s.log})
	if err != nil {
		return err
	}
	s.store = store
	if s.keys, err = access.Open(ctx, store); err != nil {
		return err
	}
	if s.tables, err = table.Open(ctx, store, table.Options{Log: s.log}); err != nil {
		return fmt.Errorf("open tables: %w", err)
	}
	bodies, err := disk.Open(s.path("objects"))
	if err != nil {
		return err
	}
	if s.objects, err = object.Open(ctx, store, bodies, object.Options{Log: s.log, Notify: s.notify}); err != nil {
		return fmt.Errorf("open objects: %w", err)
	}
	s.hosts = &hosts{dialect: s.dialect, place: s.place, mounted: make(chan struct{}, 1)}
	s.gateway = gateway.New(gateway.Options{Node: s.cfg.Node, Store: store, Router: s.hosts, Plain: recovering(s.hosts, s.log), Poster: s.hosts, Log: s.log, Relay: relay{s.bus}})
	s.bus.Serve(s.gateway.ServeRelay)
	if err := s.openFunctions(); err != nil {
		return err
	}
	if err := s.openEgress(); err != nil {
		return err
	}
	d := deployer{s}
	s.deploys = deploy.New(deploy.Options{Store: store, Dir: s.path("apps"), Data: s.cfg.Data, Functions: d, Tables: d, Buckets: s.objects, Fronts: s.hosts, Log: s.log, Environment: s.actionEnvironment})
	s.closers = append(s.closers, s.deploys.Close)
	return nil
}

// openFunctions makes the function room with the starters of every dialect: the dialects call the room
// and the room starts instances through them, so the room comes first and the starters join.
func (s *Server) openFunctions() error {
	starters := &starters{}
	spawner := process.NewSpawner(process.Options{Log: s.log})
	s.functions = function.New(function.Options{
		Starters: []function.Starter{starters},
		Spawner:  spawner,
		Logs:     logSink{s},
		Log:      s.log,
		IdleTTL:  s.cfg.IdleTTL,
	})
	var err error
	s.dialects, err = all.Dialects(dialect.Rooms{
		Apps:      made{s},
		Functions: s.functions,
		Sockets:   s.gateway,
		Tables:    s.tables,
		Objects:   s.objects,
		Keys:      s.keys,
		Store:     s.store,
		Log:       s.log,
		Logs:      logSink{s},
		Recent: func(app sluice.AppName, fn sluice.FunctionName) []sluice.LogLine {
			return s.logs.Recent(telemetry.Filter{App: app, Function: fn})
		},
		Admin:  "http://" + reach(s.admin.Addr()),
		Public: s.publicHost,

		Dir:        s.path("runtimes"),
		FixSockets: s.cfg.WSURLFix != "off",
	}, cloudOptions(s.cfg))
	if err != nil {
		return err
	}
	node := process.NewNode(process.NodeOptions{Dir: s.path("runtimes"), Log: s.log})
	python := process.NewPython(process.PythonOptions{Dir: s.path("runtimes"), Log: s.log})
	s.closers = append(s.closers, node.Close, python.Close, spawner.Close)
	*starters = append(*starters, node, python)
	for _, d := range s.dialects {
		*starters = append(*starters, d.Starters...)
	}
	return nil
}

// notify tells every dialect of an object that has come or gone.
func (s *Server) notify(tx kv.Txn, c *object.Change) (func(), error) {
	var committed []func()
	for _, d := range s.dialects {
		if d.Notify == nil {
			continue
		}
		done, err := d.Notify(tx, c)
		if err != nil {
			return nil, err
		}
		if done != nil {
			committed = append(committed, done)
		}
	}
	return func() {
		for _, done := range committed {
			done()
		}
	}, nil
}

// logSink keeps function logs, and shows them to who runs sluice dev.
type logSink struct{ s *Server }

// Log takes one line.
func (l logSink) Log(line sluice.LogLine) {
	l.s.logs.Log(line)
	if l.s.logLine != nil {
		l.s.logLine(line)
	}
}

// publicHost is the host and port under which functions and clients on this machine reach an app.
func (s *Server) publicHost(app sluice.AppName) string {
	return appHost(app, s.public[0].Addr())
}

// cloud is the API of a cloud that a request is for; nil when no cloud claims it.
func (s *Server) cloud(r *http.Request) *dialect.API {
	for i := range s.dialects {
		if api := s.dialects[i].APIs.For(r); api != nil {
			return api
		}
	}
	return nil
}

// serveCloud answers a request for a cloud's API; false when no cloud claims it.
func (s *Server) serveCloud(w http.ResponseWriter, r *http.Request) bool {
	api := s.cloud(r)
	if api == nil {
		return false
	}
	api.ServeHTTP(w, r)
	return true
}

// adminHandler serves the admin listener: every cloud's API, told apart by what each dialect claims,
// and the console.
func (s *Server) adminHandler() http.Handler {
	pages := console.New(console.Options{
		Apps: apps{s}, Invoke: s.functions, Sockets: s.gateway, Tables: s.tables, Objects: s.objects, Logs: s.logs,
		Password: s.cfg.AdminPassword, Log: s.log,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.serveCloud(w, r):
		case r.URL.Path == "/" && r.Method == http.MethodGet:
			http.Redirect(w, r, "/_sluice/", http.StatusFound)
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

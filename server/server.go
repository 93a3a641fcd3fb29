// Package server is one running sluice: it opens the stores and the rooms, hangs the dialects on them,
// listens, and stops everything in order. It is the only package that knows engines.
//
//	public listener ── gateway ── hosts ── a dialect's Front ── function
//	admin listener ─── console │ a dialect's cloud API ──────── table, object, gateway
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/bus/local"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/egress"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/internal/whole"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/table"
	"github.com/sluicehq/sluice/telemetry"
)

// logLines is how many log lines are kept in memory for sluice logs.
const logLines = 20_000

// Options are what a server is made of.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	LogLine func(sluice.LogLine) // also gets every line of a function's log; may be nil
}

// Server is one running sluice.
type Server struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	logLine func(sluice.LogLine)

	store     kv.Store
	keys      *access.Keys
	tables    *table.Tables
	objects   *object.Store
	functions *function.Functions
	gateway   *gateway.Gateway
	deploys   *deploy.Deployer
	logs      *telemetry.Logs
	bus       *local.Bus
	hosts     *hosts
	dialects  []dialect.Dialect
	egress    *egress.Egress

	closers []func() // what holds processes, closed after the rooms and before the stores

	public []net.Listener
	admin  net.Listener

	mu sync.Mutex // one deploy at a time
}

// Open opens the data folder and binds every address; nothing is served before Run.
func Open(ctx context.Context, o Options) (*Server, error) {
	s := &Server{cfg: o.Config, version: o.Version, log: o.Log, logLine: o.LogLine, logs: telemetry.NewLogs(logLines), bus: local.New(o.Config.Node)}
	if err := s.open(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	var err error
	if s.cfg.Data, err = filepath.Abs(s.cfg.Data); err != nil {
		return err
	}
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	for _, a := range s.cfg.Listen {
		ln, err := listen(a, "listen")
		if err != nil {
			return err
		}
		s.public = append(s.public, ln)
	}
	ln, err := listen(s.cfg.Admin, "admin")
	if err != nil {
		return err
	}
	s.admin = ln
	if err := s.openRooms(ctx); err != nil {
		return err
	}
	return os.RemoveAll(s.path(uploads)) // of a process that died in a deploy
}

// dialect finds a cloud by name; nil when this binary does not speak it.
func (s *Server) dialect(name string) *dialect.Dialect {
	for i := range s.dialects {
		if s.dialects[i].Name == name {
			return &s.dialects[i]
		}
	}
	return nil
}

// path is a path in the data folder.
func (s *Server) path(parts ...string) string {
	return filepath.Join(append([]string{s.cfg.Data}, parts...)...)
}

// Ready says where everything is.
func (s *Server) Ready() client.Ready {
	r := client.Ready{Event: "ready", Version: s.version, Data: s.cfg.Data, Admin: publicURL(s.admin.Addr(), false)}
	r.Console = r.Admin + "/_sluice/"
	for _, ln := range s.public {
		r.Public = append(r.Public, publicURL(ln.Addr(), false))
		if lan := publicURL(ln.Addr(), true); lan != r.Public[len(r.Public)-1] {
			r.Public = append(r.Public, lan)
		}
	}
	return r
}

// Run serves until ctx ends or main returns, then stops everything in order. main begins when the
// listeners answer and the apps of the data folder run again.
func (s *Server) Run(ctx context.Context, main func(ctx context.Context) error) error {
	defer s.close()
	// Rooms outlive ctx: the stop order needs them. They end when stopRooms is called.
	rooms, stopRooms := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRooms()
	g, run := errgroup.WithContext(rooms)
	g.Go(func() error { return s.tables.Run(run) })
	g.Go(func() error { return s.objects.Run(run) })
	g.Go(func() error { return s.functions.Run(run) })
	streams, endStreams := context.WithCancel(rooms) // those who follow the logs would never leave
	defer endStreams()
	admin := &http.Server{
		Handler: recovering(s.adminHandler(), s.log), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return streams },
	}
	front := whole.New()
	front.Serve, front.First = s.wholeOfAdmin, admin.ReadHeaderTimeout
	g.Go(func() error {
		front.From(s.admin, func(err error) {
			s.log.Warn("cannot accept connections to the admin listener, trying again", "err", err)
		})
		return nil
	})
	g.Go(func() error { return served(admin.Serve(front)) })
	g.Go(func() error { return s.egress.Serve(run) })

	err := s.deploys.Restore(run)
	for _, d := range s.dialects { // their calls that wait need the functions
		if d.Run != nil {
			g.Go(func() error { return d.Run(run) })
		}
	}
	g.Go(func() error { return s.gateway.Run(run) }) // it begins with what it owes to the apps
	g.Go(func() error { return s.sweep(run) })
	for _, ln := range s.public {
		g.Go(func() error { return s.gateway.Serve(run, ln) })
	}
	if err == nil {
		err = writeState(s.cfg.Data, s.Ready())
	}
	if err == nil {
		work, cancel := context.WithCancel(ctx)
		stopped := context.AfterFunc(run, cancel) // a room that failed ends the work
		err = main(work)
		stopped()
		cancel()
	}
	os.Remove(s.path(client.StateFile))
	s.stop(admin, front, endStreams)
	stopRooms()
	if gerr := g.Wait(); gerr != nil && !errors.Is(gerr, context.Canceled) {
		err = errors.Join(err, gerr)
	}
	return err
}

// sweep tells the Closes that former lives of this node owed, each time an app that may want them is
// mounted.
func (s *Server) sweep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.hosts.mounted:
			if err := s.gateway.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("tell the ends of connections that a former process lost", "err", err)
			}
		}
	}
}

// served drops the error with which every stopped http.Server ends.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// close releases what Open took.
func (s *Server) close() {
	for _, ln := range s.public {
		ln.Close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.egress != nil {
		s.egress.Close()
	}
	for _, c := range s.closers {
		c()
	}
	s.bus.Close()
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("close store", "err", err)
		}
	}
}

package server

import (
	"context"
	"net"
	"net/http"
	"slices"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/egress"
)

// openEgress makes the way by which unmodified code in functions reaches us. Vendors' host names are answered
// by the admin listener's handler, apps' as the public listener does.
func (s *Server) openEgress() (err error) {
	apps := recovering(s.hosts, s.log)
	s.egress, err = egress.Open(egress.Options{
		Dir:     s.path("ca"),
		Vendors: s.vendors(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case s.serveCloud(w, r):
			case s.hosts.owns(r.Host): // an app's own name in a vendor's domain
				apps.ServeHTTP(w, r)
			default:
				http.Error(w, "sluice does not serve "+r.Host, http.StatusBadGateway)
			}
		}),
		App:    func(host string) bool { return s.hosts.owns(host) },
		Apps:   apps,
		Public: reach(s.public[0].Addr()),
		Whole:  s.wholeOfFunctions,
		Log:    s.log,
	})
	return err
}

// egressEnv is what makes official tools trust us and come to us.
func (s *Server) egressEnv() map[string]string {
	return s.egress.Environment(nil, true)
}

// injected is what leads an app's functions to us. Of AWS, an operator may want less of it (aws.inject).
func (s *Server) injected(app *sluice.App) map[string]string {
	way := "auto"
	if app.Dialect == aws.Name {
		way = s.cfg.AWS.Inject
	}
	if way == "off" {
		return nil
	}
	env := s.egress.Environment(app.Domains, way != "hook")
	if way == "proxy" {
		delete(env, "SLUICE_EGRESS")
	}
	return env
}

// vendors are the host patterns of all clouds.
func (s *Server) vendors() []string {
	var out []string
	for _, d := range s.dialects {
		out = append(out, d.Hosts...)
	}
	return out
}

// reach is an address that a program on this machine can dial to reach a listener.
func reach(a net.Addr) string {
	t := *a.(*net.TCPAddr)
	if t.IP.IsUnspecified() {
		t.IP = net.IPv4(127, 0, 0, 1)
	}
	return t.String()
}

// starters is every dialect's starters and our own as one: the first that runs a runtime does.
type starters []function.Starter

// Runs reports whether any of them does.
func (s *starters) Runs(dialect, runtime string) bool { return s.find(dialect, runtime) != nil }

func (s *starters) find(dialect, runtime string) function.Starter {
	if i := slices.IndexFunc(*s, func(f function.Starter) bool { return f.Runs(dialect, runtime) }); i >= 0 {
		return (*s)[i]
	}
	return nil
}

// Start starts an instance with the one that runs it.
func (s *starters) Start(ctx context.Context, v *function.Version, sp function.Spawner, logs function.LogSink) (function.Instance, error) {
	f := s.find(v.Dialect, v.Spec.Runtime)
	if f == nil {
		return nil, sluice.Errorf(sluice.Unavailable, "no starter for runtime %q", v.Spec.Runtime)
	}
	return f.Start(ctx, v, sp, logs)
}

package server

import (
	"context"
	"errors"
	"maps"
	"os"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/bus"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/gateway"
)

// deployer is what the deploy room needs of the others, in its own terms.
type deployer struct{ s *Server }

var (
	_ deploy.Functions = deployer{}
	_ deploy.Tables    = deployer{}
)

// Deploy puts one function into service.
func (d deployer) Deploy(ctx context.Context, app *sluice.App, f *sluice.Function, root, revision string) error {
	env, err := d.s.environment(ctx, app, f, root)
	if err != nil {
		return err
	}
	return d.s.functions.Deploy(ctx, &function.Version{
		App: app.Name, Dialect: app.Dialect, Revision: revision, Spec: *f, Root: root, Env: env,
	})
}

// Remove takes one function out of service.
func (d deployer) Remove(ctx context.Context, app sluice.AppName, name sluice.FunctionName) error {
	return d.s.functions.Remove(ctx, app, name)
}

// EnsureTable lets the app's dialect make a table.
func (d deployer) EnsureTable(ctx context.Context, app *sluice.App, t *sluice.Table) error {
	dl := d.s.dialect(app.Dialect)
	if dl == nil || dl.EnsureTable == nil {
		return sluice.Errorf(sluice.Invalid, "dialect %q declares no tables", app.Dialect)
	}
	return dl.EnsureTable(ctx, app, t)
}

// relay is the bus as the gateway sees it.
type relay struct{ bus.Bus }

// Request asks another node's gateway.
func (r relay) Request(ctx context.Context, node uint16, body []byte) ([]byte, error) {
	answer, err := r.Bus.Request(ctx, node, body)
	if errors.Is(err, bus.ErrNoNode) {
		return nil, gateway.ErrNoNode
	}
	return answer, err
}

// adminPlaceholder stands for the admin listener's address in what a revision keeps, so that a restart on
// another port leaves nothing stale in it.
const adminPlaceholder = "admin.sluice.invalid"

// place puts today's address where the placeholder is.
func (s *Server) place(text string) string {
	return strings.ReplaceAll(text, adminPlaceholder, reach(s.admin.Addr()))
}

// environment is everything that a function finds in its environment. Nothing of ours is inherited
// but what every program needs: a user's shell must not change what a function does.
func (s *Server) environment(ctx context.Context, app *sluice.App, f *sluice.Function, root string) (map[string]string, error) {
	env := map[string]string{"TZ": "UTC", "LANG": "C.UTF-8", "SLUICE": "1", "SLUICE_PUBLIC_URL": publicURL(s.public[0].Addr(), true)}
	for _, k := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env[k] = v
		}
	}
	maps.Copy(env, s.injected(app))
	for name, v := range f.Env {
		env[name] = s.place(v)
	}
	if d := s.dialect(app.Dialect); d != nil && d.Environment != nil {
		placed := *f
		placed.Code = root // where it runs, not where it came from
		own, err := d.Environment(ctx, app, &placed)
		if err != nil {
			return nil, err
		}
		maps.Copy(env, own)
	}
	return env, nil
}

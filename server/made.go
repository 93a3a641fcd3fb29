package server

import (
	"context"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect"
)

// made is the deploy room as clouds' APIs see it.
type made struct{ s *Server }

var _ dialect.Apps = made{}

// List is every app as it is deployed now.
func (m made) List(ctx context.Context) ([]*sluice.App, error) { return appsOf(m.s.deploys.List(ctx)) }

// History is the kept revisions of an app.
func (m made) History(ctx context.Context, app sluice.AppName) ([]*sluice.App, error) {
	return appsOf(m.s.deploys.History(ctx, app))
}

func appsOf(revisions []*deploy.Revision, err error) ([]*sluice.App, error) {
	list := make([]*sluice.App, len(revisions))
	for i, r := range revisions {
		list[i] = r.App
	}
	return list, err
}

// Deploy plans and applies an app.
func (m made) Deploy(ctx context.Context, app *sluice.App) error {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	plan, err := m.s.deploys.Plan(ctx, app)
	if err == nil {
		_, err = m.s.deploys.Apply(ctx, plan, nil)
	}
	return err
}

// Remove removes an app and its keys.
func (m made) Remove(ctx context.Context, app sluice.AppName) error {
	return apps{m.s}.Remove(ctx, app)
}

package gateway

import (
	"context"

	"github.com/sluicehq/sluice"
)

// Owner says whose an open connection is, without asking its shard; the outcome is Queued when there is
// such a connection. What the caller then does with the id does not reach another connection.
func (g *Gateway) Owner(ctx context.Context, id sluice.ConnID) (app sluice.AppName, endpoint string, o sluice.Outcome) {
	at, out := g.locate(id)
	if at.node != 0 {
		sn, out := g.askGet(ctx, at.node, id)
		return sn.App, sn.Endpoint, out
	}
	if out != sluice.Queued {
		return "", "", out
	}
	ep := at.conn.ep.Load()
	if ep == nil || at.conn.gen() != at.gen { // its slot is another's by now
		return "", "", sluice.Gone
	}
	return ep.App, ep.Name, sluice.Queued
}

// Package bus carries requests between the nodes of one sluice: who holds connection X does this
// push. A connection id carries its node, so there is a subject per node and never one per
// connection; a node that is not there answers at once with [ErrNoNode], which the gateway reads as
// "that connection is gone".
//
// One process needs no bus: bus/local knows only itself.
package bus

import (
	"context"
	"errors"
)

// ErrNoNode says that no live node has that number.
var ErrNoNode = errors.New("bus: no such node")

// Handle answers a request from another node. It must not keep body.
type Handle func(ctx context.Context, body []byte) []byte

// Bus connects the nodes. It is safe for concurrent use.
type Bus interface {
	// Node is this node's number, 1 to 65535, unique among live nodes.
	Node() uint16
	// Request asks one node and waits for its answer, until ctx ends. It returns ErrNoNode when the
	// node is not there. A request to Node() itself is answered by the own Handle.
	Request(ctx context.Context, node uint16, body []byte) ([]byte, error)
	// Nodes lists the live nodes, this one included.
	Nodes() []uint16
	// Serve sets what answers requests to this node; call it once, before the first request.
	Serve(h Handle)
	// Close leaves the bus. Requests in flight end with ErrNoNode.
	Close() error
}

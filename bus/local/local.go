// Package local is the bus of a single process: the only node there is, is this one.
package local

import (
	"context"
	"sync/atomic"

	"github.com/sluicehq/sluice/bus"
)

// Bus is the bus of one node.
type Bus struct {
	node   uint16
	handle atomic.Pointer[bus.Handle]
	closed atomic.Bool
}

var _ bus.Bus = (*Bus)(nil)

// New makes the bus of the node with that number.
func New(node uint16) *Bus { return &Bus{node: node} }

// Node is this node's number.
func (b *Bus) Node() uint16 { return b.node }

// Nodes is this node alone.
func (b *Bus) Nodes() []uint16 { return []uint16{b.node} }

// Serve sets what answers requests.
func (b *Bus) Serve(h bus.Handle) { b.handle.Store(&h) }

// Request calls this node's own handle; any other node is not there.
func (b *Bus) Request(ctx context.Context, node uint16, body []byte) ([]byte, error) {
	h := b.handle.Load()
	if node != b.node || h == nil || b.closed.Load() {
		return nil, bus.ErrNoNode
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return (*h)(ctx, body), nil
}

// Close makes every later request end with bus.ErrNoNode.
func (b *Bus) Close() error { b.closed.Store(true); return nil }

// Package bustest is the contract of bus.Bus as a suite: what it checks is what a bus promises.
package bustest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/bus"
)

// Run checks a bus; open makes a fresh one of a single node each time it is called.
func Run(t *testing.T, open func(t *testing.T, node uint16) bus.Bus) {
	echo := func(_ context.Context, body []byte) []byte { return append([]byte("re:"), body...) }

	t.Run("a node answers requests to itself", func(t *testing.T) {
		b := open(t, 7)
		defer b.Close()
		b.Serve(echo)
		got, err := b.Request(t.Context(), 7, []byte("x"))
		if err != nil || !bytes.Equal(got, []byte("re:x")) {
			t.Fatalf("Request = %q, %v; want re:x", got, err)
		}
		if b.Node() != 7 || !slices.Contains(b.Nodes(), 7) {
			t.Fatalf("Node = %d, Nodes = %v", b.Node(), b.Nodes())
		}
	})
	t.Run("an unknown node is ErrNoNode", func(t *testing.T) {
		b := open(t, 7)
		defer b.Close()
		b.Serve(echo)
		if _, err := b.Request(t.Context(), 8, nil); !errors.Is(err, bus.ErrNoNode) {
			t.Fatalf("err = %v; want ErrNoNode", err)
		}
	})
	t.Run("a node that does not serve is ErrNoNode", func(t *testing.T) {
		b := open(t, 7)
		defer b.Close()
		if _, err := b.Request(t.Context(), 7, nil); !errors.Is(err, bus.ErrNoNode) {
			t.Fatalf("err = %v; want ErrNoNode", err)
		}
	})
	t.Run("an ended context ends the request", func(t *testing.T) {
		b := open(t, 7)
		defer b.Close()
		b.Serve(echo)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Request(ctx, 7, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("err = %v; want context.Canceled", err)
		}
	})
	t.Run("a closed bus is ErrNoNode", func(t *testing.T) {
		b := open(t, 7)
		b.Serve(echo)
		b.Close()
		if _, err := b.Request(t.Context(), 7, nil); !errors.Is(err, bus.ErrNoNode) {
			t.Fatalf("err = %v; want ErrNoNode", err)
		}
	})
	t.Run("requests run at once", func(t *testing.T) {
		b := open(t, 7)
		defer b.Close()
		const n = 16
		var in sync.WaitGroup
		in.Add(n)
		b.Serve(func(context.Context, []byte) []byte { in.Done(); in.Wait(); return nil })
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if _, err := b.Request(t.Context(), 7, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

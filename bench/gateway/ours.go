package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/kv/memory"
)

// ServeSluice is the gateway with an endpoint that echoes; J joins the crowd, P goes to all who joined, and U to
// each of them by a push of its own.
func ServeSluice() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return serve(func(ctx context.Context, g *gateway.Gateway) error { return g.Serve(ctx, ln) })
}

// ServeSluiceOverTLS is ServeSluice over TLS.
func ServeSluiceOverTLS() error {
	ln, cfg, err := secureListener()
	if err != nil {
		return err
	}
	return serve(func(ctx context.Context, g *gateway.Gateway) error { return g.ServeTLS(ctx, ln, cfg) })
}

func serve(listen func(context.Context, *gateway.Gateway) error) error {
	collectWhenTold()
	h := &crowd{group: gateway.Group{App: "bench", Name: "all"}}
	h.endpoint = &gateway.Endpoint{App: "bench", Name: "bench", Handler: h, Policy: gateway.Policy{AutoAccept: true, Uplink: 16, MaxQueue: 8 << 20}}
	h.gateway = gateway.New(gateway.Options{Node: 1, Store: memory.New(), Router: h, Log: slog.New(slog.DiscardHandler)})
	ctx := context.Background()
	done := make(chan error, 1)
	go func() { done <- h.gateway.Run(ctx) }()
	go func() { done <- listen(ctx, h.gateway) }()
	return <-done
}

type crowd struct {
	gateway  *gateway.Gateway
	endpoint *gateway.Endpoint
	group    gateway.Group

	mu  sync.Mutex
	ids []sluice.ConnID // of the group
}

func (h *crowd) Route(*sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) { return h.endpoint, nil }
func (h *crowd) Endpoint(sluice.AppName, string) *gateway.Endpoint            { return h.endpoint }

func (h *crowd) Control(_ gateway.ControlConn, data []byte, _ bool) gateway.Control {
	if data[0] == 'P' || data[0] == 'J' || data[0] == 'U' {
		return gateway.Control{}
	}
	return gateway.Control{Consumed: true, Send: []sluice.Frame{{Data: data}}}
}

func (h *crowd) Handle(ctx context.Context, ev *sluice.Event) sluice.Reply {
	if ev.Kind != sluice.Message {
		return sluice.Reply{}
	}
	switch ev.Frame.Data[0] {
	case 'J':
		h.mu.Lock()
		h.ids = append(h.ids, ev.Conn.ID)
		h.mu.Unlock()
		h.gateway.Join(ctx, ev.Conn.ID, h.group)
		return sluice.Reply{Send: []sluice.Frame{ev.Frame}}
	case 'U':
		h.mu.Lock()
		all := h.ids
		h.mu.Unlock()
		for _, id := range all {
			h.gateway.Push(ctx, id, ev.Frame)
		}
	default:
		h.gateway.PushGroup(ctx, h.group, ev.Frame)
	}
	return sluice.Reply{}
}

package gateway

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/sluicehq/sluice/gateway/reactor"
)

// ServeTLS is Serve for clients that speak TLS. A connection has a goroutine during its handshake; then
// the shards own it as they own others, where the system allows that.
func (g *Gateway) ServeTLS(ctx context.Context, ln *net.TCPListener, cfg *tls.Config) error {
	if !reactor.Supported || g.opt.Streams {
		return g.Serve(ctx, tls.NewListener(ln, cfg))
	}
	return g.Serve(ctx, &secureListener{ln, cfg})
}

// secureListener is a TCP listener whose connections begin with TLS.
type secureListener struct {
	*net.TCPListener
	cfg *tls.Config
}

// Accept returns a connection that has not shaken hands.
func (l *secureListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return reactor.Secure(c, l.cfg), nil
}

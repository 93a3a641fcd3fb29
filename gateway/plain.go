package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluicehq/sluice/gateway/wire"
)

// plainServer is net/http for connections whose first request is not an upgrade. It is the listener
// of its own server.
type plainServer struct {
	g     *Gateway
	srv   http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	tunnels context.Context // ends when they have to
	leave   context.CancelFunc
}

// connKey finds the connection in a request's context.
type connKey struct{}

func newPlainServer(g *Gateway) *plainServer {
	p := &plainServer{g: g, conns: make(chan net.Conn), done: make(chan struct{})}
	p.tunnels, p.leave = context.WithCancel(context.Background())
	p.srv = http.Server{
		Handler:           p,
		MaxHeaderBytes:    wire.MaxHeader,
		ReadHeaderTimeout: handshakeTimeout,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	p.srv.Protocols.SetHTTP1(true)
	p.srv.Protocols.SetUnencryptedHTTP2(true) // also what TLS clients negotiated: decryption is behind us here
	return p
}

func (p *plainServer) run() {
	if err := p.srv.Serve(p); err != nil && !errors.Is(err, http.ErrServerClosed) {
		p.g.log.Error("HTTP server ended", "err", err)
	}
}

func (p *plainServer) stop() {
	p.leave()
	p.srv.Close()
}

// shutdown lets requests end, until ctx does.
func (p *plainServer) shutdown(ctx context.Context) {
	p.leave()
	if err := p.srv.Shutdown(ctx); err != nil {
		p.g.log.Warn("HTTP requests did not end in time", "err", err)
	}
}

// serve takes a connection of which head has been read.
func (p *plainServer) serve(c net.Conn, head []byte, isTLS bool) {
	select {
	case p.conns <- &replayed{Conn: c, head: head, tls: isTLS}:
	case <-p.done:
		c.Close()
	}
}

// Accept is of net.Listener.
func (p *plainServer) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close is of net.Listener.
func (p *plainServer) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr is of net.Listener.
func (p *plainServer) Addr() net.Addr { return &net.TCPAddr{} }

// ServeHTTP serves one request. One that upgrades a connection that was kept alive goes to a shard with it,
// unless it is for a tunnel.
func (p *plainServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(*replayed)
	if c != nil {
		if t, ok := c.Conn.(*tls.Conn); ok {
			state := t.ConnectionState()
			r.TLS = &state
		}
	}
	req, verdict := wire.FromHTTP(r)
	switch {
	case verdict == wire.Upgrade && c != nil:
		h := handshakeOf(req, addrPort(c.RemoteAddr()), c.tls)
		if ep, _ := p.g.opt.Router.Route(h); ep != nil && ep.Tunnel != nil && !p.g.isDraining() {
			p.tunnel(w, r, ep)
			return
		}
		p.takeOver(w, c, req)
	case verdict == wire.Bad:
		if req.Status == http.StatusUpgradeRequired {
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		http.Error(w, http.StatusText(req.Status), req.Status)
	default:
		p.g.opt.Plain.ServeHTTP(w, r)
	}
}

// tunnel serves a handshake whose connection is nobody's but the endpoint's.
func (p *plainServer) tunnel(w http.ResponseWriter, r *http.Request, ep *Endpoint) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.tunnels, cancel)()
	ep.Tunnel.ServeHTTP(w, r.WithContext(ctx))
}

// takeOver brings a connection back to a shard, with what came behind the request.
func (p *plainServer) takeOver(w http.ResponseWriter, c *replayed, req *wire.Request) {
	_, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "cannot upgrade this connection", http.StatusInternalServerError)
		return
	}
	rest, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	rest = append(append([]byte(nil), rest...), c.head...)
	p.g.take(c.Conn, c.tls, req, rest)
}

// replayed is a connection of which some bytes were read before.
type replayed struct {
	net.Conn
	head []byte
	tls  bool
}

// Read returns those first.
func (c *replayed) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		if c.head = c.head[n:]; len(c.head) == 0 {
			c.head = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
}

// ReadFrom lets net/http send files without copying them.
func (c *replayed) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

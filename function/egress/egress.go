package egress

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/whole"
)

// Options say what is reached.
type Options struct {
	// Dir holds the certificate authority: ca.pem, ca.key, bundle.pem.
	Dir string
	// Vendors are the dialects' host patterns ("*.aliyuncs.com"), served by Handler.
	Vendors []string
	Handler http.Handler
	// App reports whether a deployed app owns a host; *.localhost are apps' anyway. May be nil.
	App func(host string) bool
	// Apps serves apps' hosts as the public listener does, all but what upgrades a connection: that goes on
	// to Public, the listener's address.
	Apps   http.Handler
	Public string
	// Whole answers what it can of the requests that came whole; their answers should have KeepAlive as their Keep-Alive
	// header. May be nil.
	Whole whole.Serve
	// Log gets connections that fail; default slog.Default().
	Log *slog.Logger
}

// Egress is the proxy and what leads functions to it.
type Egress struct {
	o       Options
	ca      *authority
	ln      net.Listener
	plain   net.Listener           // for clients that leave TLS out
	inner   *http.Server           // behind conns
	secure  *http.Server           // behind secured
	tls     *tls.Config            // one for all connections: a client may take up a session
	conns   *whole.Listener        // plain connections
	secured *whole.Listener        // those over TLS, and those that leave it out
	public  *httputil.ReverseProxy // to the public listener, for upgrades
	away    *httputil.ReverseProxy // to wherever the request says
	idle    func()                 // closes its idle connections
}

// keepAlive is how long an unused connection stays, in seconds. Functions that make a client for each call
// leave its connections behind, and run out of descriptors.
const keepAlive = 5

// KeepAlive is the header that tells clients so: those who read it close first, and lose no request.
var KeepAlive = "timeout=" + strconv.Itoa(keepAlive)

// How long a client may take for its first request, or its first byte, and for the next one.
const (
	firstTimeout = time.Minute
	idleTimeout  = (keepAlive + 1) * time.Second
)

// dialTimeout bounds connecting to a host that is not ours.
const dialTimeout = 30 * time.Second

// tlsState is the key of a connection's *tls.ConnectionState.
type tlsState struct{}

// Open makes or reads the certificate authority and binds two loopback addresses. Serve answers there.
func Open(o Options) (*Egress, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	ca, err := openAuthority(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &Egress{o: o, ca: ca, conns: whole.New(), secured: whole.New()}
	for _, l := range []*whole.Listener{e.conns, e.secured} {
		l.Serve, l.First, l.Idle = o.Whole, firstTimeout, idleTimeout
	}
	e.conns.Other = e.overTLS
	e.tls = &tls.Config{
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host := cmp.Or(h.ServerName, named(h.Conn))
			if host == "" {
				host, _, _ = net.SplitHostPort(h.Conn.LocalAddr().String())
			}
			return e.ca.certificate(host)
		},
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true}
	toPublic := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", o.Public)
	}}
	e.public = e.reverse(toPublic, func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", r.In.Host, r.In.Host
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	})
	e.away = e.reverse(transport, func(r *httputil.ProxyRequest) {
		r.Out.Host = r.In.Host
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	})
	e.idle = transport.CloseIdleConnections
	serve := func(h http.HandlerFunc) *http.Server {
		return &http.Server{Handler: h, ReadHeaderTimeout: firstTimeout, IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	}
	e.inner = serve(e.ServeHTTP)
	e.secure = serve(func(w http.ResponseWriter, r *http.Request) {
		r.TLS = r.Context().Value(tlsState{}).(*tls.ConnectionState)
		e.ServeHTTP(w, r)
	})
	e.secure.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		state := tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true} // as far as who left TLS out knows
		if t, ok := c.(*whole.Peeked).Conn.(*tls.Conn); ok {
			state = t.ConnectionState()
		}
		return context.WithValue(ctx, tlsState{}, &state)
	}
	if e.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if e.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		e.ln.Close()
		return nil, err
	}
	return e, nil
}

// Close gives the addresses back; only who does not call Serve has to.
func (e *Egress) Close() {
	e.ln.Close()
	e.plain.Close()
}

// Addr is the proxy's address, host:port.
func (e *Egress) Addr() string { return e.ln.Addr().String() }

func (e *Egress) reverse(t http.RoundTripper, rewrite func(*httputil.ProxyRequest)) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: t, Rewrite: rewrite, FlushInterval: -1,
		ErrorLog: slog.NewLogLogger(e.o.Log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, "sluice: "+r.Host+" cannot be reached: "+err.Error(), http.StatusBadGateway)
		},
	}
}

// CAFile is the certificate that clients of ours must trust.
func (e *Egress) CAFile() string { return filepath.Join(e.o.Dir, "ca.pem") }

// Hook is what our shims are told in the variable SLUICE_EGRESS, as JSON: connections to these hosts
// go to Addr instead.
type Hook struct {
	Hosts []string `json:"hosts"` // patterns: "name" or "*.suffix"
	Addr  string   `json:"addr"`  // host:port
	Clear string   `json:"clear"` // host:port for HTTPS without the TLS, which protects nothing between us
	CA    string   `json:"ca"`    // the certificate's file, for clients that bring roots of their own
}

// Environment is what makes a process reach us. domains are the apps' own hosts; proxy adds the proxy
// variables, for programs without our hook.
func (e *Egress) Environment(domains []string, proxy bool) map[string]string {
	bundle := filepath.Join(e.o.Dir, "bundle.pem")
	hosts := append(append([]string{"*.localhost"}, e.o.Vendors...), domains...)
	hook, _ := json.Marshal(Hook{Hosts: hosts, Addr: e.Addr(), Clear: e.plain.Addr().String(), CA: e.CAFile()}) // strings always marshal
	env := map[string]string{
		"NODE_EXTRA_CA_CERTS": e.CAFile(),
		"AWS_CA_BUNDLE":       bundle,
		"SSL_CERT_FILE":       bundle,
		"REQUESTS_CA_BUNDLE":  bundle,
		"SLUICE_EGRESS":       string(hook),
	}
	if proxy {
		for _, k := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
			env[k] = "http://" + e.Addr()
		}
		// Not localhost: clients take that to cover the apps' *.localhost.
		env["NO_PROXY"] = "127.0.0.1,::1"
		env["no_proxy"] = env["NO_PROXY"]
	}
	return env
}

// Serve answers until ctx ends; then it closes the listeners and every connection.
func (e *Egress) Serve(ctx context.Context) error {
	failed := func(err error) { e.o.Log.Warn("cannot accept functions' connections, trying again", "err", err) }
	var wg sync.WaitGroup
	wg.Go(func() { e.inner.Serve(e.conns) })
	wg.Go(func() { e.secure.Serve(e.secured) })
	wg.Go(func() { e.conns.From(e.ln, failed) })
	wg.Go(func() { e.secured.From(e.plain, failed) })
	<-ctx.Done()
	e.inner.Close()
	e.secure.Close()
	wg.Wait()
	e.conns.Wait(context.Background())
	e.secured.Wait(context.Background())
	e.idle()
	return nil
}

// overTLS takes a connection that begins with a handshake.
func (e *Egress) overTLS(c net.Conn, first []byte) bool {
	const handshake = 0x16 // the type of a TLS record
	if first[0] != handshake {
		return false
	}
	t := tls.Server(&whole.Peeked{Conn: c, Head: bytes.Clone(first)}, e.tls)
	if err := t.Handshake(); err != nil { // within the time that the first bytes had
		e.o.Log.Debug("a function's TLS handshake failed", "err", err)
		c.Close()
		return true
	}
	e.secured.Take(t)
	return true
}

// tunnel is a connection whose client has said whom it believes to speak to.
type tunnel struct {
	net.Conn
	name string
}

// named is the name that the client of a tunnel gave, beneath the connection that TLS reads; "" is none.
func named(c net.Conn) string {
	if t, ok := c.(*whole.Peeked).Conn.(*tunnel); ok {
		return t.name
	}
	return ""
}

// ServeHTTP serves proxy requests and, as if it were their host, others.
func (e *Egress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := bare(r.Host)
	w.Header().Set("Keep-Alive", KeepAlive)
	switch {
	case r.Method == http.MethodConnect:
		e.connect(w, r)
	case r.Header.Get("Upgrade") != "" && e.app(r.Host):
		e.public.ServeHTTP(w, r)
	case e.Vendor(host):
		e.o.Handler.ServeHTTP(w, asServer(r))
	case e.app(r.Host):
		r.TLS = nil // the public listener has none
		e.o.Apps.ServeHTTP(w, asServer(r))
	case r.URL.IsAbs():
		e.away.ServeHTTP(w, r)
	default:
		http.Error(w, "sluice: "+host+" is no host of ours", http.StatusNotFound)
	}
}

// asServer makes a request look as a server gets it, not as a proxy does.
func asServer(r *http.Request) *http.Request {
	r.URL.Scheme, r.URL.Host = "", ""
	r.RequestURI = r.URL.RequestURI()
	r.Header.Del("Proxy-Connection")
	return r
}

// connect opens a tunnel: to ourselves when the host is ours.
func (e *Egress) connect(w http.ResponseWriter, r *http.Request) {
	host := bare(r.Host)
	var far net.Conn
	if !e.Vendor(host) && !e.app(r.Host) {
		var err error
		if far, err = dial(r.Context(), "tcp", r.Host); err != nil {
			http.Error(w, "sluice: "+err.Error(), http.StatusBadGateway)
			return
		}
		defer far.Close()
	}
	near, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "sluice: "+err.Error(), http.StatusInternalServerError)
		return
	}
	near.SetDeadline(time.Time{})
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		near.Close()
		return
	}
	rest, _ := buf.Reader.Peek(buf.Reader.Buffered())
	c := &whole.Peeked{Conn: near, Head: bytes.Clone(rest)}
	if far == nil {
		e.conns.Take(&tunnel{c, host})
		return
	}
	defer near.Close()
	defer e.conns.Track(near)()
	defer e.conns.Track(far)()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(far, c) })
	pipe(near, far)
	wg.Wait()
}

// pipe copies one direction and tells its end to the other side.
func pipe(to io.Writer, from io.Reader) {
	io.Copy(to, from)
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	} else if c, ok := to.(io.Closer); ok {
		c.Close()
	}
}

// Vendor reports whether host[:port] is one of the vendors'.
func (e *Egress) Vendor(host string) bool {
	host = bare(host)
	for _, p := range e.o.Vendors {
		if Match(p, host) {
			return true
		}
	}
	return false
}

// app reports whether host[:port] is an app's. A port of this machine that is named on purpose
// (inst.localhost:4566) is none.
func (e *Egress) app(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = hostport, "80"
	}
	return local(host) && (port == "80" || port == "443") || e.o.App != nil && e.o.App(host)
}

// local reports whether a name means this machine.
func local(host string) bool { return Match("*.localhost", host) }

// dial connects to a host that is not ours. Not every resolver knows the names of this machine.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && local(host) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
}

// Match reports whether a host has the form of a pattern: the name itself, or "*." and any number of
// labels before the rest.
func Match(pattern, host string) bool {
	pattern, host = strings.ToLower(pattern), strings.ToLower(strings.TrimSuffix(host, "."))
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
	}
	return pattern == host
}

// bare is a host without its port.
func bare(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

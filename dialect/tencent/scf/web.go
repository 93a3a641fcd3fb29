package scf

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/direct"
	"github.com/sluicehq/sluice/internal/ports"
)

// webPort is where servers of web functions listen on the cloud.
const webPort = 9000

// Web starts web functions (section 1.10): HTTP servers that scf_bootstrap starts. Each instance gets a
// port of its own: in PORT, in its script in the place of 9000, and for node and python in place of 9000
// in the code as well. Another server that listens on 9000 nevertheless is found there, when nobody else
// is; then only one instance of it can run.
type Web struct {
	// Dir gets what is loaded into node and python; "": they are as other servers.
	Dir string
	Log *slog.Logger // nil discards

	setup   sync.Once
	preload string // its folder
	err     error  // of setup
}

var _ function.Starter = (*Web)(nil)

// Runs reports whether it is the runtime of a web function of Tencent's, as WebRuntime has it.
func (w *Web) Runs(d, runtime string) bool {
	return d == dialect && strings.HasPrefix(runtime, webPrefix)
}

// Start starts the function's server and returns when it accepts connections.
func (w *Web) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	w.setup.Do(func() {
		if w.Dir != "" {
			w.preload, w.err = install(w.Dir)
		}
	})
	if w.err != nil {
		return nil, w.err
	}
	in, err := function.OnFreePort(ctx, func(port int) (*web, error) { return w.start(ctx, v, s, logs, port) })
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (w *Web) start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, port int) (*web, error) {
	file, args, err := script(v, "scf_bootstrap", port)
	if err != nil {
		return nil, err
	}
	fixed := !ports.Accepts(ctx, webPort) // else somebody else is there
	p, err := run(ctx, v, s, logs, file, args, moved(v, w.preload, port))
	if err != nil {
		return nil, err
	}
	in := &web{program: p, client: direct.New(&http.Transport{MaxIdleConnsPerHost: 256})}
	began := time.Now()
	err = p.await(ctx, typeNoPort, fmt.Sprintf("the program does not listen on port %d", webPort), func() bool {
		if ports.Serves(ctx, p.Process.Pid(), port, began) {
			in.address = ports.Address(port)
			return true
		}
		if fixed && ports.Strays(ctx, p.Process.Pid(), webPort, began) {
			if w.Log != nil {
				w.Log.Warn("web function listens on port 9000 and does not look at PORT; only one instance of it can run", "app", v.App, "function", v.Spec.Name)
			}
			in.address = ports.Address(webPort)
			return true
		}
		return false
	})
	if err != nil {
		in.Kill()
		return nil, err
	}
	return in, nil
}

// web is an instance that is an HTTP server.
type web struct {
	*program
	address string
	client  *direct.Transport
}

// Stop ends the server.
func (in *web) Stop(ctx context.Context) {
	in.Program.Stop(ctx)
	in.client.CloseIdleConnections()
}

// Invoke passes one call to the server: an HTTP request as it is, an event as a POST to /event-invoke.
func (in *web) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if !in.Begin(inv.RequestID) {
		return sluice.Result{}, function.ErrInstanceGone
	}
	defer in.End(inv.RequestID)
	began := time.Now()
	req, err := in.httpRequest(ctx, inv)
	if err != nil {
		return sluice.Result{}, err
	}
	res, err := in.client.RoundTrip(req)
	var body []byte
	switch {
	case err != nil:
	case res.StatusCode == http.StatusSwitchingProtocols:
		return in.Finish(sluice.Result{Failure: in.socket(ctx, inv, res)}, began), nil
	default:
		body, err = io.ReadAll(io.LimitReader(res.Body, maxSync+1))
		res.Body.Close()
	}
	var op *net.OpError
	switch {
	case err != nil && ctx.Err() != nil:
		return in.Finish(in.over(ctx), began), nil
	case errors.As(err, &op) && op.Op == "dial": // it does not listen any more, and has not seen the call
		in.Kill()
		return sluice.Result{}, function.ErrInstanceGone
	case err != nil && in.ExitsSoon():
		in.Wait()
		return in.Finish(sluice.Result{Failure: in.exit()}, began), nil
	case err != nil:
		return in.Finish(sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "the server gave no answer: " + err.Error()}}, began), nil
	case len(body) > maxSync:
		return in.Finish(tooBig(), began), nil
	}
	if inv.Kind == sluice.InvokeHTTP {
		h := res.Header.Clone()
		dropHop(h)
		return in.Finish(sluice.Result{Payload: body, HTTP: &sluice.HTTPResponse{Status: res.StatusCode, Header: h}}, began), nil
	}
	out := answered(body)
	if res.StatusCode >= 400 {
		out = thrown(body)
	}
	return in.Finish(out, began), nil
}

// httpRequest is a call as the server gets it.
func (in *web) httpRequest(ctx context.Context, inv *sluice.Invocation) (*http.Request, error) {
	method, u, header := http.MethodPost, &url.URL{Path: "/event-invoke"}, http.Header{"Content-Type": {"application/json"}}
	body := event(inv)
	if inv.Kind == sluice.InvokeHTTP && inv.HTTP != nil {
		method, body, header = inv.HTTP.Method, inv.Payload, inv.HTTP.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		dropHop(header)
		parsed, err := url.ParseRequestURI(inv.HTTP.Path)
		if err != nil || !strings.HasPrefix(inv.HTTP.Path, "/") || parsed.Host != "" {
			parsed = &url.URL{Path: "/" + strings.TrimLeft(inv.HTTP.Path, "/")}
		}
		parsed.RawQuery = inv.HTTP.RawQuery
		u = parsed
	}
	u.Scheme, u.Host = "http", in.address
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, sluice.Errorf(sluice.Invalid, "call function %q: %w", in.Version.Spec.Name, err)
	}
	if len(body) == 0 {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	if inv.HTTP != nil && inv.HTTP.Host != "" {
		req.Host = inv.HTTP.Host
	}
	if _, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", "") // none, instead of Go's
	}
	env, spec := in.Version.Env, &in.Version.Spec
	for name, v := range map[string]string{
		"X-Scf-Request-Id":    inv.RequestID,
		"X-Scf-Memory":        strconv.Itoa(spec.MemoryMB),
		"X-Scf-Timeout":       strconv.FormatInt(spec.Timeout.Milliseconds(), 10),
		"X-Scf-Version":       Latest,
		"X-Scf-Name":          Name(spec),
		"X-Scf-Namespace":     Namespace(spec),
		"X-Scf-Region":        cmp.Or(env["TENCENTCLOUD_REGION"], DefaultRegion),
		"X-Scf-Appid":         AppID,
		"X-Scf-Uin":           UIN,
		"X-Scf-Secret-Id":     env["TENCENTCLOUD_SECRETID"],
		"X-Scf-Secret-Key":    env["TENCENTCLOUD_SECRETKEY"],
		"X-Scf-Session-Token": env["TENCENTCLOUD_SESSIONTOKEN"],
	} {
		header.Set(name, v)
	}
	if inv.HTTP != nil && inv.HTTP.Upgrade != nil {
		header["Connection"], header["Upgrade"] = []string{"Upgrade"}, inv.HTTP.Header["Upgrade"]
	}
	req.Header = header
	return req, nil
}

// dropHop takes out the headers of one connection, and those that only the platform may set.
func dropHop(h http.Header) {
	for _, v := range h.Values("Connection") {
		for name := range strings.SplitSeq(v, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Scf-") {
			delete(h, name)
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length"} {
		h.Del(name)
	}
}

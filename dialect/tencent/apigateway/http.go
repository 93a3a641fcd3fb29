package apigateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// maxBody is the largest request, in bytes.
const maxBody = 6 << 20

// preflightAge is how long a browser may keep what it is told of other origins.
const preflightAge = "86400"

// Shows reports whether a plain request leads to one of the app's services, with the environment in its
// path.
func (x *App) Shows(r *http.Request) bool {
	t := x.find(r.Host, r.URL.Path, func(*call) bool { return true }, false)
	return t.svc != nil
}

// ServeHTTP serves what is no upgrade.
func (x *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := scf.NewRequestID()
	if r.Method == http.MethodOptions {
		if t := x.find(r.Host, r.URL.Path, func(c *call) bool { return c.CORS && c.serves(r.Header.Get("Access-Control-Request-Method")) }, true); t.call != nil {
			preflight(w, r)
			return
		}
	}
	t := x.find(r.Host, r.URL.Path, func(c *call) bool { return c.Protocol != apispec.WebSocket && c.serves(r.Method) }, true)
	if t.call == nil {
		if s := x.find(r.Host, r.URL.Path, takesSockets, true); s.call != nil {
			w.Header().Set("Upgrade", "websocket")
			(&fault{http.StatusUpgradeRequired, message{"This is a WebSocket API: send an upgrade"}}).write(w, id)
			return
		}
		noAPI().write(w, id)
		return
	}
	if t.call.CORS {
		allowOrigins(w, r)
	}
	switch t.call.Type {
	case apispec.Mock:
		w.Header().Set("X-Api-RequestId", id)
		io.WriteString(w, t.call.Mock)
	case apispec.Server:
		t.proxy(w, r)
	default:
		t.function(w, r, id)
	}
}

// serves reports whether an API takes a method.
func (c *call) serves(method string) bool {
	return c.Method == "ANY" || c.Method == method || c.Method == http.MethodGet && method == http.MethodHead
}

func allowOrigins(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "X-Api-RequestId")
}

// preflight tells a browser that it may call from other origins.
func preflight(w http.ResponseWriter, r *http.Request) {
	allowOrigins(w, r)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET,POST,PUT,DELETE,HEAD,OPTIONS,PATCH")
	h.Set("Access-Control-Allow-Headers", "*")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusOK)
}

// function calls the API's function.
func (t *target) function(w http.ResponseWriter, r *http.Request, id string) {
	apis := t.svc.app.apis
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		(&fault{http.StatusRequestEntityTooLarge, message{"Request entity too large"}}).write(w, id)
		return
	}
	f := t.call.Function
	c := scf.Call{App: t.svc.app.name, Namespace: f.Namespace, Name: f.Name, Qualifier: f.Qualifier, RequestID: id}
	remote := peer(r)
	if t.call.web {
		header := r.Header.Clone()
		header.Set("X-Api-RequestId", id)
		c.Payload = body
		c.HTTP = &sluice.HTTPRequest{Method: r.Method, Path: t.path, RawQuery: r.URL.RawQuery, Host: r.Host, Header: header, Remote: remote, URI: r.RequestURI}
	} else {
		e := t.event(id, r.Method, r.Host, r.URL.RawQuery, remote, r.Header)
		e.Body = string(body)
		if t.call.asBase64(r) {
			e.Body, e.Base64 = base64.StdEncoding.EncodeToString(body), true
		}
		c.Payload = plain(e)
	}
	ctx, held := r.Context(), (*handover)(nil)
	if t.call.endpoint != nil { // it is a handshake, and the connection lasts as long as its function may
		held = &handover{ctx: ctx, w: w}
		c.HTTP.Upgrade = held.take
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(t.call.Timeout))
		defer cancel()
	}
	out, err := apis.o.Functions.Invoke(ctx, c)
	if held.taken() {
		return
	}
	w.Header().Set("X-Api-RequestId", id)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		(&fault{http.StatusGatewayTimeout, message{"Backend timeout"}}).write(w, id)
	case err != nil:
		apis.o.Log.Warn("function cannot be called", "app", t.svc.app.name, "function", f.Name, "request", id, "err", err)
		(&fault{http.StatusBadGateway, message{"Backend cannot be reached"}}).write(w, id)
	case t.call.web && out.HTTP != nil:
		maps.Copy(w.Header(), out.HTTP.Header)
		w.WriteHeader(out.HTTP.Status)
		w.Write(out.Payload)
	case t.call.web: // it has failed: its status is the answer's
		answerRaw(w, out.Status, out.Payload)
	case f.Integrated:
		integrated(w, out)
	default:
		answerRaw(w, http.StatusOK, out.Payload)
	}
}

// peer is the client's address without its port.
func peer(r *http.Request) string {
	if h, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return h
	}
	return r.RemoteAddr
}

// asBase64 reports whether the function gets the body of a request as base64.
func (c *call) asBase64(r *http.Request) bool {
	return c.Base64 || slices.ContainsFunc(c.Triggers, func(t apispec.Base64Rule) bool {
		for _, have := range strings.Split(strings.Join(r.Header.Values(t.Name), ","), ",") {
			have, _, _ = strings.Cut(have, ";")
			if slices.ContainsFunc(t.Values, func(v string) bool { return v == "*/*" || strings.EqualFold(v, strings.TrimSpace(have)) }) {
				return true
			}
		}
		return false
	})
}

func answerRaw(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// answer is an integrated response (section 2.7).
type answer struct {
	status int
	header http.Header
	body   []byte
}

// integrated writes what a function that answers for itself has returned. A failure's body is no answer,
// though it looks like one.
func integrated(w http.ResponseWriter, out scf.Outcome) {
	a, ok := readAnswer(out.Payload)
	if !ok || !out.OK() {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errno":403,"error":"Invalid scf response format. please check your scf response format."}`)
		return
	}
	maps.Copy(w.Header(), a.header)
	if a.header.Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// readAnswer reads an integrated response; false when it is none.
func readAnswer(payload []byte) (a answer, ok bool) {
	var in struct {
		Base64 bool                       `json:"isBase64Encoded"`
		Status *int                       `json:"statusCode"`
		Header map[string]json.RawMessage `json:"headers"`
		Body   string                     `json:"body"`
	}
	if json.Unmarshal(payload, &in) != nil || in.Status == nil || *in.Status < 100 || *in.Status > 599 {
		return a, false
	}
	a = answer{status: *in.Status, header: http.Header{}, body: []byte(in.Body)}
	if a.status < 200 { // informational ones are not answers
		return a, false
	}
	for name, raw := range in.Header {
		values, ok := headerValues(raw)
		if !ok {
			return a, false
		}
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Connection": // the connection's, not the function's
		default:
			a.header[http.CanonicalHeaderKey(name)] = append(a.header[http.CanonicalHeaderKey(name)], values...)
		}
	}
	if in.Base64 {
		var err error
		if a.body, err = base64.StdEncoding.DecodeString(in.Body); err != nil {
			return a, false
		}
	}
	return a, true
}

// headerValues reads a header's value: a text, several, or a number or boolean that was meant as text.
func headerValues(raw json.RawMessage) ([]string, bool) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, true
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return many, true
	}
	var other any
	if json.Unmarshal(raw, &other) != nil {
		return nil, false
	}
	switch other.(type) {
	case float64, bool:
		return []string{string(raw)}, true
	}
	return nil, false
}

// proxy hands a request to another server, or a connection when that is what the API takes: it ends when
// nothing was said for the API's time.
func (t *target) proxy(w http.ResponseWriter, r *http.Request) {
	b := t.call.Backend
	to, err := url.Parse(b.URL)
	if err != nil || to.Host == "" {
		(&fault{http.StatusBadGateway, message{"Backend address is not valid"}}).write(w, "")
		return
	}
	path := b.Path
	for name, v := range t.vars {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(v))
	}
	log := t.svc.app.apis.o.Log
	ctx, limit := r.Context(), seconds(t.call.Timeout)
	var begun func(*http.Response) error
	if t.call.endpoint != nil {
		to.Scheme = strings.Replace(to.Scheme, "ws", "http", 1)
		begun = func(res *http.Response) error {
			if server, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
				res.Body = newWatched(server, limit)
			}
			return nil
		}
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	(&httputil.ReverseProxy{
		ModifyResponse: begun,
		Transport:      t.svc.app.apis.o.Transport,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = to.Scheme, to.Host, to.Host
			if p.Out.URL.RawPath = ""; path != "" {
				p.Out.URL.Path = strings.TrimSuffix(to.Path, "/") + "/" + strings.TrimPrefix(path, "/")
			} else {
				p.Out.URL.Path = strings.TrimSuffix(to.Path, "/") + t.path
			}
			if b.Method != "" && b.Method != "ANY" {
				p.Out.Method = b.Method
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, context.DeadlineExceeded) {
				(&fault{http.StatusGatewayTimeout, message{"Backend timeout"}}).write(w, "")
				return
			}
			(&fault{http.StatusBadGateway, message{"Backend cannot be reached"}}).write(w, "")
		},
	}).ServeHTTP(w, r.WithContext(ctx))
}

package apigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// backend calls what stands behind an API and writes its answer. When it returns an error nothing has
// been written.
func (g *Group) backend(w http.ResponseWriter, c *call, m match) error {
	a := m.api
	if a.WebSocketType == apigroup.Notify {
		return g.notify(w, c)
	}
	out, err := g.outgoing(c, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), a.Backend.Timeout)
	defer cancel()
	b := &a.Backend
	switch b.Type {
	case apigroup.Mock:
		return mock(w, b)
	case apigroup.FCEvent:
		return g.callEvent(ctx, w, c, m, out)
	case apigroup.FCHTTP:
		if b.Function != "" {
			return g.callHTTP(ctx, w, c, m, out)
		}
		base, err := url.Parse(b.BaseURL)
		if err != nil || base.Host == "" {
			return faultf(D504CO, "Backend service connect failed: fcBaseUrl %q is no address", b.BaseURL)
		}
		return g.proxy(ctx, w, c, m, out, base.Scheme+"://"+base.Host, strings.TrimSuffix(base.EscapedPath(), "/")+out.path)
	case apigroup.OSS:
		key := b.Key
		if key == "" {
			key = strings.TrimPrefix(c.r.URL.Path, "/")
		}
		g.o.Sites.ServeSite(w, c.r.WithContext(ctx), b.Bucket, key)
		return nil
	case apigroup.HTTP:
		if b.Bucket != "" {
			return g.site(ctx, w, c, m, out)
		}
		return g.proxy(ctx, w, c, m, out, b.Address, out.path)
	}
	return faultf(X500ER, "Service Internal Error")
}

// outgoing is a request as the backend gets it.
type outgoing struct {
	method string
	path   string // encoded
	query  string
	header http.Header
	body   []byte
}

// outgoing makes the backend's request (sections 2.3, 2.4, 2.8).
func (g *Group) outgoing(c *call, m match) (outgoing, error) {
	a := m.api
	out := outgoing{
		method: a.Backend.Method,
		query:  c.r.URL.RawQuery,
		header: maps.Clone(c.r.Header), // values are replaced, never changed
		body:   c.body,
	}
	if out.method == "" || out.method == anyMethod {
		out.method = c.r.Method
	}
	dropHop(out.header)
	for _, name := range signatureHeaders {
		delete(out.header, name)
	}
	vals, err := g.parameters(c, m, &out)
	if err != nil {
		return out, err
	}
	out.path = servicePath(a.Backend.Path, m, vals)
	if ct := a.Backend.ContentType; ct != "" {
		out.header.Set("Content-Type", ct)
	}
	if c.remote != "" {
		out.header["X-Forwarded-For"] = []string{strings.Join(append(slices.Clip(c.r.Header["X-Forwarded-For"]), c.remote), ", ")}
	}
	scheme := "http"
	if c.proto == protoHTTPS {
		scheme = "https"
	}
	id := []string{c.id}
	out.header["X-Forwarded-Proto"] = []string{scheme}
	out.header["X-Ca-Request-Id"], out.header["X-Ca-Api-Gateway"], out.header["Via"] = id, id, id
	return out, nil
}

var signatureHeaders = []string{"X-Ca-Signature", "X-Ca-Signature-Headers", "X-Ca-Signature-Method"}

// hopByHop are headers of one connection, which no proxy passes on (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func dropHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// servicePath is the backend's path for a request: a service path S with its parameters filled in and
// what the request's tail matched, T, in the place of its star or at its end (section 2.4). Encoded.
func servicePath(s string, m match, vals map[string]string) string {
	if s == "" {
		s = "/"
	}
	s, star := strings.CutSuffix(s, "*")
	if strings.Contains(s, "[") {
		segs := strings.Split(s, "/")
		for i, seg := range segs {
			if name, ok := parameter(seg); ok {
				if v, ok := vals[name]; ok {
					segs[i] = url.PathEscape(v)
				}
			}
		}
		s = strings.Join(segs, "/")
	}
	if m.tail && m.rest != "" {
		if !star {
			s = strings.TrimSuffix(s, "/") + "/"
		}
		s += m.rest
	}
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	if !strings.HasPrefix(s, "/") {
		s = "/" + s
	}
	return s
}

// mock answers what the template says.
func mock(w http.ResponseWriter, b *apigroup.Backend) error {
	for _, h := range b.MockHeaders {
		w.Header().Add(h.Name, oneLine(h.Value, maxHeaders))
	}
	status := b.MockStatus
	if !final(status) {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	io.WriteString(w, b.MockBody) // a client that is gone is no error of ours
	return nil
}

// site serves a bucket of ours as the website that the template's address stands for.
func (g *Group) site(ctx context.Context, w http.ResponseWriter, c *call, m match, out outgoing) error {
	if m.tail && m.bare && m.prefix != "" && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead) {
		// Pages name their assets relative to the folder, so the folder's name needs its slash.
		to := m.prefix + "/"
		if c.r.URL.RawQuery != "" {
			to += "?" + c.r.URL.RawQuery
		}
		w.Header().Set("Location", to)
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	path, err := url.PathUnescape(out.path)
	if err != nil {
		return faultf(I400PA, "Invalid Request Path `%s`", c.r.URL.Path)
	}
	key := strings.TrimPrefix(path, "/")
	if prefix := strings.Trim(m.api.Backend.Prefix, "/"); prefix != "" {
		key = prefix + "/" + key
	}
	g.o.Sites.ServeSite(w, c.r.WithContext(ctx), m.api.Backend.Bucket, key)
	return nil
}

// backendPrefix is the part of the service path before the tail, with its final slash.
func backendPrefix(m match) string {
	s := servicePath(strings.TrimSuffix(m.api.Backend.Path, "*"), match{route: m.route}, m.params())
	return strings.TrimSuffix(s, "/") + "/"
}

// relocate turns a Location of the backend back into the gateway's path, when it points into the tail
// of the backend; else it stays.
func relocate(loc, authority, prefix string, m match) string {
	u, err := url.Parse(loc)
	if err != nil || !m.tail || u.Host != "" && u.Host != authority || !strings.HasPrefix(u.Path, "/") {
		return loc
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), prefix)
	if !ok {
		return loc
	}
	to := requestPrefix(m) + "/" + rest
	if u.RawQuery != "" {
		to += "?" + u.RawQuery
	}
	return to
}

// requestPrefix is the request path before the tail, with parameters filled in.
func requestPrefix(m match) string {
	if m.prefix == "" {
		return ""
	}
	return strings.TrimSuffix(servicePath(m.prefix, match{route: m.route}, m.params()), "/")
}

// proxy passes a request on to another server.
func (g *Group) proxy(ctx context.Context, w http.ResponseWriter, c *call, m match, out outgoing, address, path string) error {
	target := address + path
	if out.query != "" {
		target += "?" + out.query
	}
	req, err := http.NewRequestWithContext(ctx, out.method, target, bytes.NewReader(out.body))
	if err != nil {
		return faultf(D504RE, "Backend service request failed")
	}
	req.Header = out.header
	if len(out.body) == 0 {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	res, err := g.o.Transport.RoundTrip(req)
	if err != nil {
		return backendFault(err)
	}
	defer res.Body.Close()
	if !final(res.StatusCode) {
		return faultf(D504RE, "Backend service request failed")
	}
	dropHop(res.Header)
	if loc := res.Header.Get("Location"); res.StatusCode/100 == 3 && loc != "" {
		res.Header.Set("Location", relocate(loc, req.URL.Host, backendPrefix(m), m))
	}
	res.Header.Del("X-Ca-Request-Id") // ours is set already
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(flusher{w}, res.Body); err != nil && c.proto != protoWS {
		g.o.Log.Debug("copy a backend's answer", "app", g.o.App, "request", c.id, "err", err)
		panic(http.ErrAbortHandler) // the client must see that the answer is cut
	}
	return nil
}

// flusher passes every part of a stream on at once.
type flusher struct{ w http.ResponseWriter }

// Write writes and flushes.
func (f flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if fl, ok := f.w.(http.Flusher); ok && err == nil {
		fl.Flush()
	}
	return n, err
}

// backendFault words why another server did not answer.
func backendFault(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return faultf(D504TO, "Backend service request timeout")
	case errors.As(err, &op) && op.Op == "dial":
		return faultf(D504CO, "Backend service connect failed")
	}
	return faultf(D504RE, "Backend service request failed")
}

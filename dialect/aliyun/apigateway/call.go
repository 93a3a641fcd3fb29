package apigateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// The request headers that the gateway itself reads, in canonical form.
const (
	headerDevice = "X-Ca-Deviceid"
	headerGroup  = "X-Ca-Group"
	headerType   = "X-Ca-Websocket_api_type"
	headerStage  = "X-Ca-Stage"
	headerSeq    = "X-Ca-Seq"
)

// call is one API request, from HTTP or from the socket, on its way through the gateway.
type call struct {
	r      *http.Request     // head only: its Body is spent
	body   []byte            // all of it
	id     string            // the request id that client and backend see
	proto  string            // HTTP, HTTPS or WS
	remote string            // the client's address without port
	device string            // of the connection that the request came over, "" over HTTP
	names  map[string]string // header names as the client wrote them, by canonical name; nil over HTTP
}

// fromHTTP reads a request whole. A body that does not come in time is a bad one, lest clients who
// never send theirs gather here.
func fromHTTP(w http.ResponseWriter, r *http.Request, wait time.Duration) (*call, error) {
	c := &call{r: r, id: sluice.NewRequestID(), proto: protoHTTP, remote: r.RemoteAddr}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.remote = host
	}
	if r.TLS != nil {
		c.proto = protoHTTPS
	}
	if len(r.URL.RawPath)+len(r.URL.Path)+len(r.URL.RawQuery) > maxURL {
		return c, faultf(I413UL, "Request URL too Large")
	}
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		rc.SetReadDeadline(time.Now().Add(wait)) // a recorder has none and needs none
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return c, faultf(I413RL, "Request body too Large")
	case err != nil:
		return c, faultf(I400BD, "Invalid Body: %v", err)
	}
	if r.ContentLength != 0 {
		rc.SetReadDeadline(time.Time{}) // whether the client leaves is watched by reading on
	}
	c.body = body
	return c, nil
}

// check refuses what no API may get (the codes I400xx of section 2.9).
func (c *call) check() error {
	path := c.r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return faultf(I400RU, "Invalid Request Uri")
	}
	for seg := range strings.SplitSeq(path[1:], "/") {
		s, err := url.PathUnescape(seg)
		if err != nil || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			return faultf(I400PA, "Invalid Request Path `%s`", seg)
		}
	}
	if want := c.r.Header.Get("Content-Md5"); want != "" && len(c.body) > 0 {
		// The node SDK of Alibaba hashes to hex before base64, others do not.
		sum := md5.Sum(c.body)
		text := base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:])))
		if want != base64.StdEncoding.EncodeToString(sum[:]) && want != text {
			return faultf(I400I5, "Invalid Content-MD5")
		}
	}
	return nil
}

// kind is the type of API that a request in the socket asks for; "" is any.
func (c *call) kind() string {
	t := strings.ToUpper(c.r.Header.Get(headerType))
	switch {
	case c.proto != protoWS:
	case t == apigroup.Register, t == apigroup.Unregister:
		return t
	case t == apigroup.Notify && c.device == "": // a device must not push to others
		return t
	}
	return ""
}

// serve takes one request through the gateway and writes its answer. It returns the API that answered,
// nil when the gateway did itself.
func (g *Group) serve(w http.ResponseWriter, c *call) *apigroup.API {
	w.Header().Set("X-Ca-Request-Id", c.id)
	m, err := g.admit(c)
	if err == nil {
		err = g.backend(w, c, m)
	}
	if err != nil {
		g.refuse(w, c, err)
		return nil
	}
	return m.api
}

// admit finds the API and checks that the caller may use it.
func (g *Group) admit(c *call) (match, error) {
	if err := c.check(); err != nil {
		return match{}, err
	}
	switch stage := strings.ToUpper(c.r.Header.Get(headerStage)); stage {
	case "", g.o.Group.Stage:
	case "RELEASE", "PRE", "TEST":
		return match{}, faultf(I404NF, "API not found on stage `%s`", stage)
	default:
		return match{}, faultf(I400SG, "Invalid Stage")
	}
	m, err := g.find(c)
	if err != nil {
		return m, err
	}
	if err := g.authorize(c, m.api); err != nil {
		return m, err
	}
	if err := g.throttle(m.route); err != nil {
		return m, err
	}
	if c.device != "" {
		c.r.Header.Set(headerDevice, c.device)
		if c.names != nil {
			c.names[headerDevice] = "x-ca-deviceid"
		}
	}
	return m, nil
}

// refuse answers with an error of the gateway.
func (g *Group) refuse(w http.ResponseWriter, c *call, err error) {
	f := g.asFault(c, err)
	h := w.Header()
	f.head(h)
	h.Set("Content-Length", "0")
	w.WriteHeader(cmp.Or(f.status, f.code.status()))
}

// ServeHTTP serves the group's APIs over HTTP.
func (g *Group) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := fromHTTP(w, r, g.o.BodyWait)
	if err != nil {
		w.Header().Set("X-Ca-Request-Id", c.id)
		g.refuse(w, c, err)
		return
	}
	g.serve(w, c)
}

// recorder is the ResponseWriter of a request in the socket: it keeps the answer, up to a limit.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	over   bool // the body went beyond the limit
}

// Header returns the answer's header.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the first status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write keeps the body.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.body.Len()+len(p) > maxMessage {
		r.over = true
		return 0, errors.New("the answer is too large for the socket")
	}
	return r.body.Write(p)
}

// record serves c into memory. The returned API is nil when the gateway answered itself.
func (g *Group) record(ctx context.Context, c *call) (*recorder, *apigroup.API) {
	rec := &recorder{header: http.Header{}}
	c.r = c.r.WithContext(ctx)
	api := g.serve(rec, c)
	if rec.over {
		rec = &recorder{header: http.Header{"X-Ca-Request-Id": {c.id}}}
		g.refuse(rec, c, faultf(D504RE, "Backend service request failed: its answer exceeds %d bytes", maxMessage))
		return rec, nil
	}
	rec.WriteHeader(http.StatusOK)
	return rec, api
}

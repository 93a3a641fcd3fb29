package websocket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluicehq/sluice"
)

// maxBackend is the most that an HTTP backend may answer.
const maxBackend = 10 << 20

// passOn sends the message to an HTTP server as it is, and its answer back.
func (in *integration) passOn(ctx context.Context, c *call) (answer, error) {
	b, err := in.fetch(ctx, c, c.data)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: b.status, body: b.body}
	if c.ev.Kind == sluice.Open {
		a.subprotocol = b.header.Get("Sec-WebSocket-Protocol")
		if r := in.match(b); r != nil {
			if own := r.header(c, b, "Sec-WebSocket-Protocol"); own != "" {
				a.subprotocol = own
			}
		}
	}
	return a, nil
}

// fetch asks an HTTP server.
func (in *integration) fetch(ctx context.Context, c *call, body []byte) (b backend, err error) {
	header, query, address := http.Header{}, url.Values{}, in.url
	for _, m := range in.params {
		vals := m.from.values(c, nil)
		if len(vals) == 0 {
			continue
		}
		switch m.kind {
		case "header":
			header[http.CanonicalHeaderKey(m.name)] = vals
		case "querystring":
			query[m.name] = vals
		case "path":
			address = strings.ReplaceAll(address, "{"+m.name+"}", url.PathEscape(vals[0]))
		}
	}
	if len(query) > 0 {
		sep := "?"
		if strings.Contains(address, "?") {
			sep = "&"
		}
		address += sep + query.Encode()
	}
	method := strings.ToUpper(in.spec.Method)
	if method == "" || method == "ANY" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return b, failed(500, err)
	}
	req.Header = header
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	if len(body) == 0 || method == http.MethodGet || method == http.MethodHead {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := in.st.apis.o.Transport.RoundTrip(req)
	if err != nil {
		return b, failed(500, err)
	}
	defer res.Body.Close()
	b.status, b.header = res.StatusCode, res.Header
	b.body, err = io.ReadAll(io.LimitReader(res.Body, maxBackend+1))
	if err != nil {
		return b, failed(500, fmt.Errorf("read a backend's answer: %w", err))
	}
	if len(b.body) > maxBackend {
		return b, failed(500, fmt.Errorf("a backend's answer exceeds %d bytes", maxBackend))
	}
	return b, nil
}

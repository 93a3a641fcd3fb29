package apigateway

import (
	"net"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
)

// Groups are the API groups of one app, told apart by host name.
type Groups []*Group

// Find is the group that answers for a host, port ignored. A group that is alone answers for every
// host; nil when none does.
func (gs Groups) Find(host string) *Group {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, g := range gs {
		for _, h := range g.Hosts() {
			if strings.EqualFold(h, host) {
				return g
			}
		}
	}
	if len(gs) == 1 {
		return gs[0]
	}
	return nil
}

// Socket finds the endpoint for a handshake; nil when the host's group has no WebSocket.
func (gs Groups) Socket(h *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	if g := gs.Find(h.Host); g != nil {
		return g.Endpoint(), nil
	}
	return nil, nil
}

// ServeHTTP serves the group of the request's host.
func (gs Groups) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g := gs.Find(r.Host); g != nil {
		g.ServeHTTP(w, r)
		return
	}
	f := &fault{code: I404DO, msg: "Invalid Domain `" + r.Host + "`"}
	f.head(w.Header())
	w.Header().Set("X-Ca-Request-Id", sluice.NewRequestID())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(f.code.status())
}

package server

import (
	"net/http"

	"github.com/sluicehq/sluice/function/egress"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/gateway/wire"
	"github.com/sluicehq/sluice/internal/whole"
)

// wholeOfAdmin answers those requests for clouds' APIs that came whole to the admin listener (dialect.API.Whole).
func (s *Server) wholeOfAdmin(dst, request []byte, remote string) (answer []byte, ok bool) {
	r, body := wire.ParsePost(request)
	if r == nil {
		return nil, false
	}
	r.RemoteAddr = remote
	return s.wholeAPI(dst, r, body, "")
}

// wholeOfFunctions answers functions' pushes to apps, and at the vendors' hosts what wholeOfAdmin does.
func (s *Server) wholeOfFunctions(dst, request []byte, remote string) (answer []byte, ok bool) {
	r, body := wire.ParsePost(request)
	if r == nil {
		return nil, false
	}
	r.RemoteAddr = remote
	if s.hosts.owns(r.Host) {
		return s.gateway.ServePost(ownPosts{s.hosts}, r, body, dst)
	}
	if !s.egress.Vendor(r.Host) {
		return nil, false
	}
	return s.wholeAPI(dst, r, body, egress.KeepAlive)
}

// wholeAPI answers a request for a cloud's API. keepAlive is the answer's header of that name; "" is none.
func (s *Server) wholeAPI(dst []byte, r *http.Request, body []byte, keepAlive string) (answer []byte, ok bool) {
	api := s.cloud(r)
	if api == nil || api.Whole == nil || !api.Whole(r) {
		return nil, false
	}
	h := recovering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if keepAlive != "" {
			w.Header().Set("Keep-Alive", keepAlive)
		}
		api.ServeHTTP(w, r)
	}), s.log)
	return whole.Append(dst, h, r, body), true
}

// ownPosts reads functions' pushes to the hosts of apps.
type ownPosts struct{ hosts *hosts }

// Post is gateway.Poster's.
func (o ownPosts) Post(r *http.Request, body []byte) (gateway.Post, bool) {
	p, ok := o.hosts.Post(r, body)
	if ok {
		p.Header.Set("Keep-Alive", egress.KeepAlive)
	}
	return p, ok
}

// Package oss is Alibaba Cloud's Object Storage Service in front of the object room: its addresses,
// signatures, headers, XML and error codes (aliyun.md section 4).
//
// What OSS has in common with the other clouds' stores is in object/rest; front.go says how it differs,
// sign.go and access.go who asks, info.go what OSS alone has.
package oss

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// Keys finds the secret and the owner of an access key; *access.Keys is one.
type Keys interface {
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// Options are what a Handler works with. Objects and Keys are needed.
type Options struct {
	Objects *object.Store
	Keys    Keys
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
	Hosts   []string         // our endpoints' names besides oss.localhost, without ports: a request for {bucket}.{host} is for that bucket
	Region  string           // of buckets whose creator names none; "" is cn-hangzhou
}

// Handler serves the OSS API.
type Handler struct {
	Options
	hosts []string
	front rest.Front
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Region == "" {
		o.Region = "cn-hangzhou"
	}
	h := &Handler{Options: o, hosts: []string{"oss.localhost"}}
	for _, name := range o.Hosts {
		if net.ParseIP(name) == nil && name != "localhost" && name != "" {
			h.hosts = append(h.hosts, strings.ToLower(name))
		}
	}
	h.front = h.words()
	return h
}

// Claims reports whether a request is for OSS: by its host, by its signature's form, or by parameters
// that only OSS has.
func (h *Handler) Claims(r *http.Request) bool {
	if _, ok := h.hostBucket(r.Host); ok {
		return true
	}
	if a := r.Header.Get("Authorization"); strings.HasPrefix(a, "OSS ") || strings.HasPrefix(a, "OSS4-") {
		return true
	}
	for key := range r.URL.Query() {
		if key == "OSSAccessKeyId" || strings.HasPrefix(key, "x-oss-") {
			return true
		}
	}
	return false
}

// hostBucket is the bucket that a host names, "" for an endpoint itself. ok is false when the host is
// no OSS endpoint.
func (h *Handler) hostBucket(host string) (bucket string, ok bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for _, end := range h.hosts {
		if host == end {
			return "", true
		}
		if b, ok := strings.CutSuffix(host, "."+end); ok {
			return b, true
		}
	}
	rest, ok := strings.CutSuffix(host, ".aliyuncs.com")
	if !ok {
		return "", false
	}
	bucket, label := "", rest
	if i := strings.LastIndexByte(rest, '.'); i >= 0 {
		bucket, label = rest[:i], rest[i+1:]
	}
	return bucket, label == "oss" || strings.HasPrefix(label, "oss-")
}

// address is a bucket and a key; both are empty for the service.
type address struct{ bucket, key string }

// addresses are what a request may be for, the likeliest first. The path has been percent-decoded once;
// a plus sign is a plus sign. A host that names a bucket leaves the path to the key, but ali-oss, given
// an IP address, sends such a host ("undefined" for no bucket) along with a path that names the bucket:
// what was signed decides.
func (h *Handler) addresses(r *http.Request) []address {
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	list := []address{{bucket, key}}
	if b, ok := h.hostBucket(r.Host); ok && b != "" {
		list = []address{{b, path}, {bucket, key}}
	}
	return list
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := h.addresses(r)[0]
	h.front.Serve(w, r, a.bucket, a.key)
}

// ServeSite answers a GET or HEAD with what the website of a bucket has at key ("" is its root), as an
// anonymous request for it would be answered: pages, redirects of folders, error documents, ranges,
// ETags, and errors in OSS's words. It is for gateways whose routes lead to a bucket: the request's own
// path and host count only for redirects.
func (h *Handler) ServeSite(w http.ResponseWriter, r *http.Request, bucket, key string) {
	h.front.ServeSite(w, r, bucket, key)
}

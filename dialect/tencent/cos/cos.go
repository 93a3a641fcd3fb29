// Package cos is Tencent Cloud's object storage in front of the object room: its addresses, signature,
// XML and error codes (tencent.md section 3).
//
// What COS has in common with the other clouds' stores is in object/rest. front.go says how it differs,
// sign.go who asks.
package cos

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// DefaultRegion is that of buckets which tell none.
const DefaultRegion = "ap-guangzhou"

// Keys finds the secret and the owner of an access key; *access.Keys is one.
type Keys interface {
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// Options are what a Handler works with. Objects and Keys are needed.
type Options struct {
	Objects *object.Store
	Keys    Keys
	AppID   string           // the account's number, which owns the buckets
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
	// Hosts are names, without ports, that stand for one bucket: for SDKs told of a host that lacks it.
	Hosts map[string]string
}

// Handler serves the COS API, and the websites of buckets.
type Handler struct {
	Options
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
	h := &Handler{Options: o}
	h.front = h.words()
	return h
}

// Claims reports whether a request is for COS: by its host, or by its signature's form.
func (h *Handler) Claims(r *http.Request) bool {
	p := h.parse(r.Host)
	if p.known {
		return true
	}
	if p.site {
		_, err := h.Objects.Bucket(r.Context(), p.bucket)
		return err == nil
	}
	if strings.Contains(r.Header.Get("Authorization"), "q-sign-algorithm=") {
		return true
	}
	q := parseQuery(r.URL.RawQuery)
	return q.Has("q-sign-algorithm") || strings.HasPrefix(q.Get("sign"), "q-sign-algorithm=")
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := h.parse(r.Host)
	key := strings.TrimPrefix(r.URL.Path, "/")
	if p.site {
		h.front.ServeSite(w, r, p.bucket, key)
		return
	}
	bucket := p.bucket
	if bucket == "" {
		bucket, key, _ = strings.Cut(key, "/")
	}
	h.front.Serve(w, r, bucket, key)
}

// Site serves a bucket as a website: anonymously, and only what everybody may read (section 3.6).
func (h *Handler) Site(bucket string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.front.ServeSite(w, r, bucket, strings.TrimPrefix(r.URL.Path, "/"))
	})
}

// SiteHosts are the hosts that show a bucket's website.
func SiteHosts(bucket, region string) []string {
	return []string{bucket + ".web.localhost", bucket + ".cos-website.localhost",
		bucket + ".cos-website." + region + ".myqcloud.com", bucket + ".cos-website." + region + ".tencentcos.cn"}
}

// place is what a host names.
type place struct {
	bucket, region string
	site           bool // the website of the bucket
	known          bool // the host is one of COS at all
}

// oldRegions are those whose hosts lacked the label "cos".
var oldRegions = []string{"cn-south", "cn-north", "cn-east", "cn-south-2", "cn-southwest", "sg"}

// parse reads a host (section 3.1).
func (h *Handler) parse(host string) place {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if b := h.Hosts[host]; b != "" {
		return place{bucket: b, known: true}
	}
	if b, ok := strings.CutSuffix(host, ".web.localhost"); ok {
		return place{bucket: b, site: true} // it may be another cloud's
	}
	for _, end := range []string{".myqcloud.com", ".tencentcos.cn", ".localhost"} {
		name, ok := strings.CutSuffix(host, end)
		if !ok {
			continue
		}
		labels := strings.Split(name, ".")
		for i := len(labels) - 1; i >= 0; i-- {
			switch labels[i] {
			case "cos", "cos-internal":
				bucket := strings.Join(labels[:i], ".")
				if bucket == "service" {
					bucket = ""
				}
				return place{bucket: bucket, region: strings.Join(labels[i+1:], "."), known: true}
			case "cos-website":
				return place{bucket: strings.Join(labels[:i], "."), region: strings.Join(labels[i+1:], "."), site: true, known: i > 0}
			}
		}
		if len(labels) == 2 && slices.Contains(oldRegions, labels[1]) {
			return place{bucket: labels[0], region: labels[1], known: true}
		}
	}
	return place{}
}

// parseQuery reads a query as COS does: a semicolon is text, as it stands in presigned URLs.
func parseQuery(raw string) url.Values {
	q := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name = unescape(name); name != "" {
			q.Add(name, unescape(value))
		}
	}
	return q
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

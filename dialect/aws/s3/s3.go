// Package s3 is Amazon S3 in front of the object room: its addresses, signatures, bodies, XML and error
// codes (aws.md section 6).
//
// What S3 has in common with the other clouds' stores is in object/rest. front.go says how it differs,
// auth.go and v2.go who asks, body.go how bodies are framed and checked, and the rest is what S3 alone has.
package s3

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// DefaultRegion is that of buckets which tell none.
const DefaultRegion = "us-east-1"

const account = "000000000000" // everybody's, as policies know it

// Options are what a Handler works with. Objects and Keys are needed.
type Options struct {
	Objects *object.Store
	Keys    sigv4.Keys
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
	Hosts   []string         // our endpoints' names besides localhost, without ports: a request for {bucket}.{host} is for that bucket
}

// Handler serves the S3 API, and the websites of buckets.
type Handler struct {
	Options
	hosts  []string
	verify *sigv4.Verifier
	front  rest.Front
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{Options: o, hosts: []string{"localhost"}, verify: sigv4.New(o.Keys, "s3").At(o.Now)}
	for _, name := range o.Hosts {
		if net.ParseIP(name) == nil && name != "" {
			h.hosts = append(h.hosts, strings.ToLower(name))
		}
	}
	h.front = h.words()
	o.Objects.Follow(DocLifecycle, lifecycleRules(o.Now))
	return h
}

// Claims reports whether a request is for S3: by its host, by its signature, or because it is for a
// bucket that is there and nobody has signed it for anything else.
func (h *Handler) Claims(r *http.Request) bool {
	host := bare(r.Host)
	if strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") {
		_, site := SiteBucket(host)
		_, sure := h.hostBucket(host)
		return site || sure
	}
	auth, query := r.Header.Get("Authorization"), r.URL.Query()
	switch {
	case strings.HasPrefix(auth, "AWS4-HMAC-SHA256"):
		return strings.Contains(auth, "/s3/aws4_request")
	case strings.HasPrefix(auth, "AWS "):
		return true
	case auth != "":
		return false
	case query.Has("X-Amz-Credential"):
		return strings.HasSuffix(query.Get("X-Amz-Credential"), "/s3/aws4_request")
	case query.Has("AWSAccessKeyId"):
		return true
	}
	if bucket, ok := SiteBucket(host); ok {
		_, err := h.Objects.Bucket(r.Context(), bucket)
		return err == nil
	}
	if _, sure := h.hostBucket(host); sure {
		return true
	}
	if r.Header.Get("X-Amz-Target") != "" {
		return false
	}
	bucket, _ := h.address(r)
	if !bucketName.MatchString(bucket) {
		return false
	}
	_, err := h.Objects.Bucket(r.Context(), bucket)
	return err == nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if bucket, ok := SiteBucket(r.Host); ok {
		h.Site(bucket).ServeHTTP(w, r)
		return
	}
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// net/http says nothing, for there is no body to wait for; botocore, told the final status at once,
		// takes the next answer on the connection for this one's.
		w.WriteHeader(http.StatusContinue)
	}
	bucket, key := h.address(r)
	h.front.Serve(w, r, bucket, key)
}

// Site serves a bucket as a website: anonymously, and only what everybody may read (aws.md 6.4).
func (h *Handler) Site(bucket string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.front.ServeSite(w, r, bucket, strings.TrimPrefix(r.URL.Path, "/"))
	})
}

// SiteBucket is the bucket whose website a host shows; ok is false when it is no website's.
func SiteBucket(host string) (bucket string, ok bool) {
	host = bare(host)
	if b, ok := strings.CutSuffix(host, ".web.localhost"); ok {
		return b, b != ""
	}
	i := strings.LastIndex(host, ".s3-website")
	if i <= 0 {
		return "", false
	}
	rest := host[i+len(".s3-website"):]
	return host[:i], (rest == "" || rest[0] == '.' || rest[0] == '-') &&
		(strings.HasSuffix(rest, ".amazonaws.com") || strings.HasSuffix(rest, ".amazonaws.com.cn") || strings.HasSuffix(rest, ".localhost"))
}

// SiteHosts are the hosts that show a bucket's website.
func SiteHosts(bucket, region string) []string {
	return []string{bucket + ".web.localhost", bucket + ".s3-website.localhost",
		bucket + ".s3-website-" + region + ".amazonaws.com", bucket + ".s3-website." + region + ".amazonaws.com"}
}

func bare(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

// address is what a request is for by its host and path. The path has been percent-decoded once; a plus
// sign is a plus sign.
func (h *Handler) address(r *http.Request) (bucket, key string) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if b, _ := h.hostBucket(bare(r.Host)); b != "" {
		return b, path
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key
}

// hostBucket is the bucket that a host names, "" for none. sure says that the host is an endpoint of S3
// by its name: s3.{…}, s3-{region}.{…}, or one of those behind a bucket.
func (h *Handler) hostBucket(host string) (bucket string, sure bool) {
	ends := append([]string{"amazonaws.com", "amazonaws.com.cn"}, h.hosts...)
	for _, end := range ends {
		rest, ok := strings.CutSuffix(host, "."+end)
		if !ok {
			continue
		}
		// The rightmost label that is S3's: buckets have dots in their names, too.
		labels := strings.Split(rest, ".")
		for i := len(labels) - 1; i >= 0; i-- {
			if l := labels[i]; l == "s3" || strings.HasPrefix(l, "s3-") && !strings.HasPrefix(l, "s3-website") && l != "s3-control" {
				return strings.Join(labels[:i], "."), true
			}
		}
		if end != "amazonaws.com" && end != "amazonaws.com.cn" {
			return rest, false
		}
	}
	return "", false
}

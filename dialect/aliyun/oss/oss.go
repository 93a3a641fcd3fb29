// Package oss is Alibaba Cloud's Object Storage Service in front of the object room: its addresses,
// signatures, headers, XML and error codes (aliyun.md section 4).
//
// A request becomes a call: who asks (sign.go, access.go), for which bucket and key (address), which
// operation (route). Operations speak the room's terms; rest.go holds what any XML-over-HTTP front of
// the room needs (conditions, ranges, headers, bodies) and knows no word of OSS.
package oss

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
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

// call is one request on its way.
type call struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	id    string
	began time.Time
	address
	query   url.Values
	sub     string         // the sub-resource asked for: acl, uploads …
	signer  *signer        // nil when anonymous
	b       *object.Bucket // nil for the service, and for a bucket that is to be made
	written int            // status, once it is
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.newCall(w, r, h.addresses(r)[0])
	if err := c.serve(); err != nil {
		c.fail(err)
	}
	c.h.Log.DebugContext(c.ctx, "oss", "request", c.id, "bucket", c.bucket, "method", r.Method, "key", c.key,
		"sub", c.sub, "status", c.written, "took", time.Since(c.began))
}

func (h *Handler) newCall(w http.ResponseWriter, r *http.Request, a address) *call {
	raw := make([]byte, 12)
	rand.Read(raw)
	c := &call{h: h, w: w, r: r, ctx: r.Context(), id: strings.ToUpper(hex.EncodeToString(raw)), began: time.Now(),
		address: a, query: r.URL.Query()}
	c.set("Server", "AliyunOSS")
	c.set("x-oss-request-id", c.id)
	return c
}

// set sets an answer's header with its name as OSS spells it.
func (c *call) set(name, value string) { c.w.Header()[name] = []string{value} }

// start writes the answer's head.
func (c *call) start(status int) {
	c.set("x-oss-server-time", strconv.FormatInt(time.Since(c.began).Milliseconds(), 10))
	c.written = status
	c.w.WriteHeader(status)
}

// empty answers without a body.
func (c *call) empty(status int) error {
	if status != http.StatusNoContent {
		c.set("Content-Length", "0")
	}
	c.start(status)
	return nil
}

// answer answers 200 with an XML body.
func (c *call) answer(v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	c.set("Content-Type", "application/xml")
	c.set("Content-Length", strconv.Itoa(len(body)))
	c.start(http.StatusOK)
	c.w.Write(body)
	return nil
}

func (c *call) serve() error {
	if c.r.Method == http.MethodOptions {
		return c.preflight()
	}
	var err error
	if c.signer, c.address, err = c.h.authenticate(c.r); err != nil {
		return err
	}
	c.ctx = object.From(c.ctx, c.origin())
	if c.bucket != "" {
		if !bucketName.MatchString(c.bucket) {
			return refuse(400, "InvalidBucketName", "The specified bucket is not valid.").with("BucketName", c.bucket)
		}
		c.b, err = c.h.Objects.Bucket(c.ctx, c.bucket)
		if err != nil && object.ReasonOf(err) != object.NoSuchBucket {
			return err
		}
		c.allowOrigin()
	}
	c.sub = subResource(c.query)
	op, ok := c.route()
	if !ok {
		return c.unknown()
	}
	if c.b == nil && c.bucket != "" && op.need != creator {
		return &object.Error{Reason: object.NoSuchBucket, Bucket: c.bucket}
	}
	if c.isPage() {
		return c.site(c.key)
	}
	if err := checkKey(c.key); err != nil {
		return err
	}
	if err := c.allow(op.need); err != nil {
		return err
	}
	return op.run(c)
}

// origin says who asks, for those who are told of what comes of it.
func (c *call) origin() object.Origin {
	ip, _, _ := net.SplitHostPort(c.r.RemoteAddr)
	o := object.Origin{Request: c.id, IP: ip}
	if c.signer != nil {
		o.Who = string(c.signer.App)
	}
	return o
}

// operation is one thing to do, and what it takes to be allowed to.
type operation struct {
	run  func(*call) error
	need right
}

// route finds the operation of a request by level, method and sub-resource.
func (c *call) route() (op operation, ok bool) {
	var ops map[string]operation
	switch {
	case c.bucket == "":
		ops = serviceOps
	case c.key == "":
		ops = bucketOps
	default:
		ops = objectOps
	}
	op, ok = ops[strings.TrimSuffix(c.r.Method+" "+c.sub, " ")]
	return op, ok
}

var serviceOps = map[string]operation{
	"GET": {(*call).listBuckets, signed},
}

var bucketOps = map[string]operation{
	"PUT":             {(*call).createBucket, creator},
	"PUT acl":         {(*call).putBucketACL, owner},
	"PUT cors":        {(*call).putCORS, owner},
	"PUT referer":     {(*call).putReferer, owner},
	"PUT website":     {(*call).putWebsite, owner},
	"GET":             {(*call).listObjects, owner},
	"GET acl":         {(*call).getBucketACL, owner},
	"GET bucketInfo":  {(*call).getBucketInfo, owner},
	"GET cors":        {(*call).getCORS, owner},
	"GET location":    {(*call).getLocation, owner},
	"GET referer":     {(*call).getReferer, owner},
	"GET uploads":     {(*call).listUploads, owner},
	"GET website":     {(*call).getWebsite, owner},
	"HEAD":            {(*call).headBucket, owner},
	"HEAD bucketInfo": {(*call).headBucket, owner},
	"DELETE":          {(*call).deleteBucket, owner},
	"DELETE cors":     {(*call).deleteCORS, owner},
	"DELETE website":  {(*call).deleteWebsite, owner},
	"POST delete":     {(*call).deleteMany, writer},
}

var objectOps = map[string]operation{
	"PUT":             {(*call).putObject, writer},
	"PUT acl":         {(*call).putObjectACL, owner},
	"PUT uploadId":    {(*call).putPart, writer},
	"GET":             {(*call).getObject, reader},
	"GET acl":         {(*call).getObjectACL, owner},
	"GET objectMeta":  {(*call).objectMeta, reader},
	"GET uploadId":    {(*call).listParts, owner},
	"HEAD":            {(*call).headObject, reader},
	"HEAD objectMeta": {(*call).objectMeta, reader},
	"DELETE":          {(*call).deleteObject, writer},
	"DELETE uploadId": {(*call).abortUpload, owner},
	"POST append":     {(*call).appendObject, writer},
	"POST uploads":    {(*call).beginUpload, writer},
	"POST uploadId":   {(*call).completeUpload, writer},
}

// subResource is the sub-resource that a query asks for, "" when none.
func subResource(q url.Values) string {
	for _, name := range subResources {
		if q.Has(name) {
			return name
		}
	}
	return ""
}

// subResources change what a request means. We serve those of the tables above.
var subResources = []string{
	"acl", "append", "bucketInfo", "cors", "delete", "location", "objectMeta", "referer", "uploadId", "uploads", "website",
	"accessmonitor", "asyncFetch", "callback", "cname", "comp", "encryption", "httpsConfig", "img", "inventory", "lifecycle",
	"live", "logging", "metaQuery", "policy", "publicAccessBlock", "qos", "qosInfo", "replication", "requestPayment",
	"resourceGroup", "restore", "stat", "status", "style", "symlink", "tagging", "transferAcceleration", "versioning",
	"versions", "vod", "worm", "x-oss-process", "x-oss-async-process",
}

// unknown says why a request has no operation.
func (c *call) unknown() error {
	if slices.Index(subResources, c.sub) > slices.Index(subResources, "website") {
		return notImplemented(c.sub)
	}
	kind := "OBJECT"
	if c.key == "" {
		kind = "BUCKET"
	}
	if c.bucket == "" {
		kind = "SERVICE"
	}
	return refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource.").
		with("Method", c.r.Method).with("ResourceType", kind)
}

func notImplemented(what string) error {
	return refuse(501, "NotImplemented", fmt.Sprintf("A header or query you provided implies functionality that is not implemented: %s", what)).
		with("Header", what)
}

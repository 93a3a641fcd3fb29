package oss

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
)

const (
	maxObject  = 5 << 30 // of one PUT, append or part
	metaPrefix = "x-oss-meta-"
)

func checkKey(key string) error {
	if len(key) > 1023 || strings.HasPrefix(key, "/") || strings.HasPrefix(key, `\`) {
		return refuse(400, "InvalidObjectName", "The specified object is not valid.").with("ObjectName", key)
	}
	return nil
}

func etag(o string) string { return `"` + strings.ToUpper(o) + `"` }

// input reads what a request says about the object it writes.
func (c *call) input() (object.PutInput, error) {
	h := c.r.Header
	in := object.PutInput{Key: c.key, Body: c.r.Body, Size: c.r.ContentLength, Limit: maxObject}
	for _, name := range []string{"x-oss-callback", "x-oss-tagging"} {
		if h.Get(name) != "" {
			return in, notImplemented(name)
		}
	}
	in.Header, in.Meta = objectHeaders(h, metaPrefix)
	if in.Header["Content-Type"] == "" {
		in.Header["Content-Type"] = object.ContentType(c.key)
	}
	n := 0
	for k, v := range in.Meta {
		n += len(k) + len(v)
	}
	if n > 8<<10 {
		return in, refuse(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
	}
	var err error
	if in.ACL, err = aclOf("x-oss-object-acl", h.Get("x-oss-object-acl"), true); err != nil {
		return in, err
	}
	if in.MD5, err = digest(h); err != nil {
		return in, err
	}
	in.NoOverwrite = strings.EqualFold(h.Get("x-oss-forbid-overwrite"), "true")
	return in, nil
}

// digest is the MD5 that a request promises, nil when none.
func digest(h http.Header) ([]byte, error) {
	v := h.Get("Content-Md5")
	if v == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(sum) != 16 {
		return nil, refuse(400, "InvalidDigest", "The Content-MD5 you specified is not valid.").with("Content-MD5", v)
	}
	return sum, nil
}

// aclOf checks an access rule; "default" is an object's that has none of its own.
func aclOf(name, value string, ofObject bool) (string, error) {
	switch value {
	case "", object.Private, object.PublicRead, object.PublicReadWrite:
		return value, nil
	case "default":
		if ofObject {
			return "", nil
		}
	}
	return "", invalid(name, value, "no such acl exists.")
}

func (c *call) putObject() error {
	if c.r.Header.Get("x-oss-copy-source") != "" {
		return c.copyObject()
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	o, err := c.h.Objects.Put(c.ctx, c.bucket, in)
	if err != nil {
		return err
	}
	c.stored(&o)
	return c.empty(http.StatusOK)
}

// stored sets the headers that tell what was written.
func (c *call) stored(o *object.Object) {
	c.set("ETag", etag(o.ETag))
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	if o.MD5 != nil {
		c.set("Content-MD5", base64.StdEncoding.EncodeToString(o.MD5))
	}
}

func (c *call) appendObject() error {
	position, err := strconv.ParseInt(c.query.Get("position"), 10, 64)
	if err != nil || position < 0 {
		return invalid("position", c.query.Get("position"), "The position is not valid.")
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	o, err := c.h.Objects.Append(c.ctx, c.bucket, object.AppendInput{PutInput: in, Position: position})
	if err != nil {
		return err
	}
	c.stored(&o)
	c.set("x-oss-next-append-position", strconv.FormatInt(o.Size, 10))
	return c.empty(http.StatusOK)
}

// source opens the object that a copy reads, when its conditions hold and the caller may read it.
func (c *call) source() (bucket, key string, err error) {
	raw := c.r.Header.Get("x-oss-copy-source")
	path, _, _ := strings.Cut(raw, "?")
	path, err = url.PathUnescape(path)
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return "", "", invalid("x-oss-copy-source", raw, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	b, err := c.h.Objects.Bucket(c.ctx, bucket)
	if err != nil {
		return "", "", err
	}
	if !c.owns(b) {
		err = c.open(b, key, reader)
	}
	return bucket, key, err
}

func (c *call) acceptSource(o *object.Object) error {
	return verdictError(requestConditions(c.r.Header, "x-oss-copy-source-").check(o))
}

func verdictError(v verdict) error {
	switch v {
	case notModified:
		return refuse(304, "NotModified", "Not Modified")
	case failed:
		return &object.Error{Reason: object.ConditionFailed}
	}
	return nil
}

type copyResult struct {
	XMLName      xml.Name `xml:"CopyObjectResult"`
	LastModified string
	ETag         string
}

func (c *call) copyObject() error {
	in, err := c.input()
	if err != nil {
		return err
	}
	bucket, key, err := c.source()
	if err != nil {
		return err
	}
	directive := strings.ToUpper(c.r.Header.Get("x-oss-metadata-directive"))
	if directive != "" && directive != "COPY" && directive != "REPLACE" {
		return invalid("x-oss-metadata-directive", directive, "Unknown metadata directive.")
	}
	o, err := c.h.Objects.Copy(c.ctx, c.bucket, object.CopyInput{
		FromBucket: bucket, FromKey: key, PutInput: in, Replace: directive == "REPLACE", Accept: c.acceptSource,
	})
	if err != nil {
		return err
	}
	c.set("ETag", etag(o.ETag))
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	return c.answer(copyResult{LastModified: stamp(o.Modified), ETag: etag(o.ETag)})
}

func (c *call) getObject() error {
	o, err := c.h.Objects.Get(c.ctx, c.bucket, c.key)
	if err != nil {
		return err
	}
	defer o.Close()
	return c.send(o, http.StatusOK)
}

func (c *call) headObject() error { return c.getObject() }

// send answers with an object's headers and, unless the request is a HEAD, its bytes or the range of
// them that is asked for. status is that of all the bytes.
func (c *call) send(o *object.Content, status int) error {
	part := span{0, o.Size}
	if status == http.StatusOK {
		if err := verdictError(requestConditions(c.r.Header, "").check(&o.Object)); err != nil {
			if f := c.faultOf(err); f.Status == http.StatusNotModified {
				c.describe(&o.Object)
			}
			return err
		}
		// OSS sends all for a range that is not wholly inside, unless it is asked to do as the RFC
		// says. Browsers do not ask: for them we do as the RFC says.
		standard := c.signer == nil || c.r.Header.Get("x-oss-range-behavior") == "standard"
		s, kind := parseRange(c.r.Header.Get("Range"), o.Size)
		switch {
		case kind == inside || kind == overlapping && standard:
			part, status = s, http.StatusPartialContent
			c.set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.from, s.to-1, o.Size))
		case kind == outside && standard:
			f := refuse(416, "InvalidRange", "The requested range cannot be satisfied").
				with("ActualObjectSize", strconv.FormatInt(o.Size, 10)).with("RangeRequested", c.r.Header.Get("Range"))
			f.Header = []field{{"Content-Range", fmt.Sprintf("bytes */%d", o.Size)}}
			return f
		}
	}
	if _, err := o.Seek(part.from, io.SeekStart); err != nil {
		return err
	}
	c.describe(&o.Object)
	c.set("Content-Length", strconv.FormatInt(part.to-part.from, 10))
	c.start(status)
	if c.r.Method == http.MethodHead {
		return nil
	}
	_, err := io.CopyN(c.w, o, part.to-part.from)
	return err
}

// describe sets the headers that tell about an object.
func (c *call) describe(o *object.Object) {
	for name, v := range o.Header {
		c.set(name, v)
	}
	if o.Header["Content-Type"] == "" {
		c.set("Content-Type", "application/octet-stream")
	}
	if c.signer != nil {
		for _, name := range kept {
			if v := c.query.Get("response-" + strings.ToLower(name)); v != "" {
				c.set(name, v)
			}
		}
	}
	for name, v := range o.Meta {
		c.set(metaPrefix+name, v)
	}
	c.set("Accept-Ranges", "bytes")
	c.set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	c.set("x-oss-object-type", kindName(o))
	c.set("x-oss-storage-class", "Standard")
	if o.Kind == object.Appendable {
		c.set("x-oss-next-append-position", strconv.FormatInt(o.Size, 10))
	}
	c.stored(o)
}

func (c *call) objectMeta() error {
	o, err := c.h.Objects.Head(c.ctx, c.bucket, c.key)
	if err != nil {
		return err
	}
	c.set("ETag", etag(o.ETag))
	c.set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	if c.r.Method == http.MethodHead {
		c.set("Content-Length", strconv.FormatInt(o.Size, 10))
		c.start(http.StatusOK)
		return nil
	}
	return c.empty(http.StatusOK)
}

func (c *call) deleteObject() error {
	if err := c.h.Objects.Delete(c.ctx, c.bucket, c.key); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (c *call) putObjectACL() error {
	acl := c.r.Header.Get("x-oss-object-acl")
	if acl == "" {
		return invalid("x-oss-object-acl", acl, "no such acl exists.")
	}
	acl, err := aclOf("x-oss-object-acl", acl, true)
	if err != nil {
		return err
	}
	_, err = c.h.Objects.AlterObject(c.ctx, c.bucket, c.key, func(o *object.Object) error {
		o.ACL = acl
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (c *call) getObjectACL() error {
	o, err := c.h.Objects.Head(c.ctx, c.bucket, c.key)
	if err != nil {
		return err
	}
	if o.ACL == "" {
		o.ACL = "default"
	}
	return c.answer(aclPolicy{Owner: ownerOf(c.b), Grant: o.ACL})
}

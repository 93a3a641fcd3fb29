package rest

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
)

const maxObject = 5 << 30 // bytes of one PUT, append or part

// ETag is an ETag as the cloud shows it.
func (c *Call) ETag(etag string) string {
	if c.Upper {
		etag = strings.ToUpper(etag)
	}
	return `"` + etag + `"`
}

// input reads what a request says about the object it writes.
func (c *Call) input() (object.PutInput, error) {
	h := c.R.Header
	in := object.PutInput{Key: c.Key, Docs: c.Docs, Body: c.R.Body, Size: c.R.ContentLength, Limit: maxObject}
	in.Header, in.Meta = objectHeaders(h, c.Prefix+"meta-")
	if in.Header["Content-Type"] == "" && c.Type != nil {
		in.Header["Content-Type"] = c.Type(c.Key)
	}
	n := 0
	for k, v := range in.Meta {
		n += len(k) + len(v)
	}
	if n > 8<<10 {
		return in, Refuse(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
	}
	r, err := c.ruleOf(c.ObjectACL, true)
	if err != nil {
		return in, err
	}
	if in.ACL = r.acl; r.grants != "" {
		in.Docs[docGrants] = r.grants
	}
	if in.MD5, err = digest(h); err != nil {
		return in, err
	}
	if c.Input != nil {
		err = c.Input(c, &in)
	}
	return in, err
}

// seal is Front.Seal.
func (c *Call) seal(in *object.PutInput) error {
	if c.Seal == nil {
		return nil
	}
	return c.Seal(c, in)
}

// opened is Front.Opened, or the object itself.
func (c *Call) opened(o *object.Content, source bool) (io.ReadSeeker, error) {
	if c.Opened != nil {
		if r, err := c.Opened(c, o, source); r != nil || err != nil {
			return r, err
		}
	}
	return o, nil
}

// digest is the MD5 that a request promises, nil when none.
func digest(h http.Header) ([]byte, error) {
	v := h.Get("Content-Md5")
	if v == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(sum) != 16 {
		return nil, Refuse(400, "InvalidDigest", "The Content-MD5 you specified is not valid.").With("Content-MD5", v)
	}
	return sum, nil
}

// PutObject writes an object: the request's bytes, or a copy of another's.
func (c *Call) PutObject() error {
	if c.Header("copy-source") != "" {
		return c.copyObject()
	}
	in, err := c.input()
	if err == nil {
		err = c.seal(&in)
	}
	if err != nil {
		return err
	}
	o, err := c.Objects.Put(c.Ctx, c.Bucket, in)
	if err != nil {
		return err
	}
	c.tell(&o)
	return c.Empty(http.StatusOK)
}

// tag sets the headers that tell bytes apart.
func (c *Call) tag(etag string, crc uint64) {
	c.Set("ETag", c.ETag(etag))
	if c.CRC {
		c.Set(c.Prefix+"hash-crc64ecma", strconv.FormatUint(crc, 10))
	}
}

// tell sets the headers that tell what was written.
func (c *Call) tell(o *object.Object) {
	c.tag(o.ETag, o.CRC64)
	c.TellVersion(o)
	if c.Stored != nil {
		c.Stored(c, o)
	}
}

// AppendObject writes at an object's end.
func (c *Call) AppendObject() error {
	position, err := strconv.ParseInt(c.Query.Get("position"), 10, 64)
	if err != nil || position < 0 {
		return Invalid("position", c.Query.Get("position"), "The position is not valid.")
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	sum := md5.New()
	if c.AppendSum != "" {
		in.Body = io.TeeReader(in.Body, sum)
	}
	o, err := c.Objects.Append(c.Ctx, c.Bucket, object.AppendInput{PutInput: in, Position: position})
	if err != nil {
		return err
	}
	c.tell(&o)
	if c.AppendSum != "" {
		c.Set(c.Prefix+c.AppendSum, hex.EncodeToString(sum.Sum(nil)))
	}
	c.Set(c.Prefix+"next-append-position", strconv.FormatInt(o.Size, 10))
	return c.Empty(http.StatusOK)
}

// source is the object, or the version of one, that a copy reads, when the caller may read it.
func (c *Call) source() (bucket, key, version string, err error) {
	raw := c.Header("copy-source")
	path, _, _ := strings.Cut(raw, "?")
	path, err = url.PathUnescape(path)
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return "", "", "", Invalid(c.Prefix+"copy-source", raw, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if c.Versions {
		version = sourceVersion(raw)
	}
	if c.Source != nil {
		bucket = c.Source(bucket)
	}
	b, err := c.Objects.Bucket(c.Ctx, bucket)
	if err != nil {
		return "", "", "", err
	}
	return bucket, key, version, c.May(b, key, Reader)
}

// acceptSource refuses an object whose copy's conditions do not hold.
func (c *Call) acceptSource(o *object.Object) error {
	return verdictError(requestConditions(c.R.Header, c.Prefix+"copy-source-").check(o))
}

func verdictError(v verdict) error {
	switch v {
	case notModified:
		return Refuse(304, "NotModified", "Not Modified")
	case failed:
		return &object.Error{Reason: object.ConditionFailed}
	}
	return nil
}

type copyResult struct {
	XMLName      xml.Name `xml:"CopyObjectResult"`
	LastModified string
	ETag         string
	Sums         []Element
}

func (c *Call) copyObject() error {
	in, err := c.input()
	if err != nil {
		return err
	}
	bucket, key, version, err := c.source()
	if err != nil {
		return err
	}
	directive := strings.ToUpper(c.Header("metadata-directive"))
	switch directive {
	case "", "COPY", "REPLACE", "REPLACED":
	default:
		return Invalid(c.Prefix+"metadata-directive", directive, "Unknown metadata directive.")
	}
	from := ""
	copy := object.CopyInput{FromBucket: bucket, FromKey: key, FromVersion: version, PutInput: in, Replace: strings.HasPrefix(directive, "REPLACE"),
		Accept: func(src *object.Object) error {
			if src.Version != "" {
				from = src.VersionID()
			}
			return c.acceptSource(src)
		},
		Through: func(src *object.Content) (io.Reader, error) {
			bytes, err := c.opened(src, true)
			if err != nil {
				return nil, err
			}
			to := object.PutInput{Body: bytes, Docs: in.Docs}
			if err := c.seal(&to); err != nil || to.Body == src {
				return nil, err
			}
			return to.Body, nil
		}}
	if c.Inherit != nil {
		copy.Inherit = func(name, value string) bool { return c.Inherit(c, name, value, copy.Replace) }
	}
	o, err := c.Objects.Copy(c.Ctx, c.Bucket, copy)
	if err != nil {
		return err
	}
	if c.Versions && from != "" {
		c.Set(c.Prefix+"copy-source-version-id", from)
	}
	c.tag(o.ETag, o.CRC64)
	c.TellVersion(&o)
	out := copyResult{LastModified: Stamp(o.Modified), ETag: c.ETag(o.ETag)}
	if c.Sums != nil {
		out.Sums = c.Sums(c, &o)
	}
	return c.Answer(out)
}

// GetObject sends an object, or tells of it when the request is a HEAD.
func (c *Call) GetObject() error {
	o, err := c.Objects.GetVersion(c.Ctx, c.Bucket, c.Key, c.version())
	if err != nil {
		return err
	}
	defer o.Close()
	return c.send(o, http.StatusOK)
}

// send answers with an object's headers and, unless the request is a HEAD, its bytes or the range of
// them that is asked for. status is that of all the bytes.
func (c *Call) send(o *object.Content, status int) error {
	part := span{0, o.Size}
	if status == http.StatusOK {
		if err := verdictError(requestConditions(c.R.Header, "").check(&o.Object)); err != nil {
			if f := c.FaultOf(err); f.Status == http.StatusNotModified {
				c.describe(&o.Object)
			}
			return err
		}
		lenient := c.Lenient != nil && c.Lenient(c)
		s, kind := parseRange(c.R.Header.Get("Range"), o.Size)
		switch {
		case kind == inside || kind == overlapping && !lenient:
			part, status = s, http.StatusPartialContent
			c.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.from, s.to-1, o.Size))
		case kind == outside && !lenient:
			f := Refuse(416, "InvalidRange", "The requested range cannot be satisfied").
				With("ActualObjectSize", strconv.FormatInt(o.Size, 10)).With("RangeRequested", c.R.Header.Get("Range"))
			f.Header = []Field{{"Content-Range", fmt.Sprintf("bytes */%d", o.Size)}}
			return f
		}
	}
	if text := c.Query.Get("partNumber"); text != "" && c.Parts && status == http.StatusOK {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > object.MaxParts {
			return Invalid("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
		}
		p, from, err := o.Part(n)
		if err != nil {
			return Refuse(416, "InvalidPartNumber", "The requested partnumber is not satisfiable")
		}
		part, c.Part = span{from, from + p.Size}, &p
		if o.Size > 0 {
			status = http.StatusPartialContent
			c.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.from, part.to-1, o.Size))
		}
		if o.Kind == object.Multipart {
			c.Set(c.Prefix+"mp-parts-count", strconv.Itoa(o.Object.Parts))
		}
	}
	body, err := c.opened(o, false)
	if err != nil {
		return err
	}
	if _, err := body.Seek(part.from, io.SeekStart); err != nil {
		return err
	}
	c.describe(&o.Object)
	c.Set("Content-Length", strconv.FormatInt(part.to-part.from, 10))
	c.Begin(status)
	if c.R.Method == http.MethodHead {
		return nil
	}
	_, err = io.CopyN(c.W, body, part.to-part.from)
	return err
}

// describe sets the headers that tell about an object.
func (c *Call) describe(o *object.Object) {
	for name, v := range o.Header {
		c.Set(name, v)
	}
	if o.Header["Content-Type"] == "" {
		c.Set("Content-Type", "application/octet-stream")
	}
	if c.Who != nil {
		for _, name := range kept {
			if v := c.Query.Get("response-" + strings.ToLower(name)); v != "" {
				c.Set(name, v)
			}
		}
	}
	for name, v := range o.Meta {
		c.Set(c.Prefix+"meta-"+name, v)
	}
	c.Set("Accept-Ranges", "bytes")
	c.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	if c.Kind != nil {
		c.Set(c.Prefix+"object-type", c.Kind(o))
	}
	if o.Kind == object.Appendable {
		c.Set(c.Prefix+"next-append-position", strconv.FormatInt(o.Size, 10))
	}
	if c.Described != nil {
		c.Described(c, o)
	}
	c.tell(o)
}

package rest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
)

// exactRange is the one form of a range of a copy's source in which S3 takes it.
var exactRange = regexp.MustCompile(`^bytes=\d+-\d+$`)

func (c *Call) showID(id string) string {
	if c.Upper {
		return strings.ToUpper(id)
	}
	return id
}

func uploadID(id string) string { return strings.ToLower(id) }

// CompletePart is one part in the body of a CompleteMultipartUpload.
type CompletePart struct {
	PartNumber int
	ETag       string
	Others     []struct { // checksums
		XMLName xml.Name
		Value   string `xml:",chardata"`
	} `xml:",any"`
}

// BeginUpload begins a multipart upload.
func (c *Call) BeginUpload() error {
	in, err := c.input()
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	u, err := c.Objects.Begin(c.Ctx, c.Bucket, in)
	if err != nil {
		return err
	}
	return c.Answer(struct {
		XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Bucket       string
		Key          string
		UploadId     string
	}{EncodingType: kind, Bucket: c.Bucket, Key: enc(c.Key), UploadId: c.showID(u.ID)})
}

// PutPart takes a part: the request's bytes, or a range of another object's.
func (c *Call) PutPart() error {
	text := c.Query.Get("partNumber")
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > object.MaxParts {
		return Invalid("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	in := object.PutInput{Key: c.Key, Body: c.R.Body, Size: c.R.ContentLength, Limit: maxObject, Docs: c.Docs}
	if in.MD5, err = digest(c.R.Header); err != nil {
		return err
	}
	id := uploadID(c.Query.Get("uploadId"))
	if c.Header("copy-source") != "" {
		return c.copyPart(id, number, in)
	}
	if err := c.seal(&in); err != nil {
		return err
	}
	p, err := c.Objects.PutPart(c.Ctx, c.Bucket, id, number, in)
	if err != nil {
		return err
	}
	c.tag(p.ETag, p.CRC64)
	if c.Stored != nil {
		c.Stored(c, nil)
	}
	return c.Empty(http.StatusOK)
}

// copyPart makes a part of another object's bytes, or of a range of them.
func (c *Call) copyPart(id string, number int, in object.PutInput) error {
	bucket, key, version, err := c.source()
	if err != nil {
		return err
	}
	src, err := c.Objects.GetVersion(c.Ctx, bucket, key, version)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := c.acceptSource(&src.Object); err != nil {
		return err
	}
	if c.Versions && src.Version != "" {
		c.Set(c.Prefix+"copy-source-version-id", src.VersionID())
	}
	part := span{0, src.Size}
	if text := c.Header("copy-source-range"); text != "" {
		s, kind := parseRange(text, src.Size)
		switch {
		case c.Exact && !exactRange.MatchString(text):
			return Invalid(c.Prefix+"copy-source-range", text, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		case kind != inside:
			return Refuse(416, "InvalidRange", "The requested range cannot be satisfied").With("RangeRequested", text)
		}
		part = s
	}
	body, err := c.opened(src, true)
	if err != nil {
		return err
	}
	if _, err := body.Seek(part.from, io.SeekStart); err != nil {
		return err
	}
	in.Size, in.MD5 = part.to-part.from, nil // a digest would be that of the request's empty body
	in.Body = io.LimitReader(body, in.Size)
	if err := c.seal(&in); err != nil {
		return err
	}
	p, err := c.Objects.PutPart(c.Ctx, c.Bucket, id, number, in)
	if err != nil {
		return err
	}
	c.tag(p.ETag, p.CRC64) // ali-oss reads it here, not in the body
	out := struct {
		XMLName      xml.Name `xml:"CopyPartResult"`
		LastModified string
		ETag         string
		Sums         []Element
	}{LastModified: Stamp(p.Modified), ETag: c.ETag(p.ETag)}
	if c.Sums != nil {
		out.Sums = c.Sums(c, &object.Object{Docs: p.Docs})
	}
	return c.Answer(out)
}

// CompleteUpload makes the object of the parts.
func (c *Call) CompleteUpload() error {
	in := object.CompleteInput{MinPart: c.MinPart}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	var list struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []CompletePart
	}
	if c.HasBody() {
		if err := c.read(&list, maxList); err != nil {
			return err
		}
	}
	for _, p := range list.Part {
		in.Parts = append(in.Parts, object.PartRef{Number: p.PartNumber, ETag: strings.Trim(p.ETag, `" `)})
	}
	if c.Complete != nil {
		if err := c.Complete(c, &in, list.Part); err != nil {
			return err
		}
	}
	if !in.All && (len(in.Parts) == 0 || len(in.Parts) > object.MaxParts) {
		return Malformed()
	}
	id := uploadID(c.Query.Get("uploadId"))
	o, err := c.Objects.Complete(c.Ctx, c.Bucket, c.Key, id, in)
	if object.ReasonOf(err) == object.NoSuchUpload { // asked again, by who has not got the answer
		if made, missing := c.Objects.Head(c.Ctx, c.Bucket, c.Key); missing == nil && id != "" && made.Upload() == id {
			o, err = made, nil
		}
	}
	if err != nil {
		return err
	}
	c.tag(o.ETag, o.CRC64)
	c.TellVersion(&o)
	out := struct {
		XMLName      xml.Name `xml:"CompleteMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
		Sums         []Element
	}{EncodingType: kind, Location: fmt.Sprintf("http://%s%s", c.R.Host, c.R.URL.EscapedPath()), Bucket: c.Bucket,
		Key: enc(c.Key), ETag: c.ETag(o.ETag)}
	if c.Sums != nil {
		out.Sums = c.Sums(c, &o)
	}
	return c.Answer(out)
}

// AbortUpload drops the parts.
func (c *Call) AbortUpload() error {
	return c.Done(c.Objects.Abort(c.Ctx, c.Bucket, c.Key, uploadID(c.Query.Get("uploadId"))), http.StatusNoContent)
}

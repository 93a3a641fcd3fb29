package oss

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
)

const minPart = 100 << 10 // of every part but the last

// OSS shows upload ids in upper case.
func showID(id string) string   { return strings.ToUpper(id) }
func uploadID(id string) string { return strings.ToLower(id) }

func (c *call) beginUpload() error {
	in, err := c.input()
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	u, err := c.h.Objects.Begin(c.ctx, c.bucket, in)
	if err != nil {
		return err
	}
	return c.answer(struct {
		XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Bucket       string
		Key          string
		UploadId     string
	}{EncodingType: kind, Bucket: c.bucket, Key: enc(c.key), UploadId: showID(u.ID)})
}

func (c *call) putPart() error {
	text := c.query.Get("partNumber")
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > object.MaxParts {
		return invalid("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	in := object.PutInput{Key: c.key, Body: c.r.Body, Size: c.r.ContentLength, Limit: maxObject}
	if in.MD5, err = digest(c.r.Header); err != nil {
		return err
	}
	id := uploadID(c.query.Get("uploadId"))
	if c.r.Header.Get("x-oss-copy-source") != "" {
		return c.copyPart(id, number, in)
	}
	p, err := c.h.Objects.PutPart(c.ctx, c.bucket, id, number, in)
	if err != nil {
		return err
	}
	c.set("ETag", etag(p.ETag))
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(p.CRC64, 10))
	return c.empty(http.StatusOK)
}

// copyPart makes a part of another object's bytes, or of a range of them.
func (c *call) copyPart(id string, number int, in object.PutInput) error {
	bucket, key, err := c.source()
	if err != nil {
		return err
	}
	src, err := c.h.Objects.Get(c.ctx, bucket, key)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := c.acceptSource(&src.Object); err != nil {
		return err
	}
	part := span{0, src.Size}
	if text := c.r.Header.Get("x-oss-copy-source-range"); text != "" {
		s, kind := parseRange(text, src.Size)
		if kind != inside {
			return refuse(416, "InvalidRange", "The requested range cannot be satisfied").with("RangeRequested", text)
		}
		part = s
	}
	if _, err := src.Seek(part.from, io.SeekStart); err != nil {
		return err
	}
	in.Size, in.MD5 = part.to-part.from, nil // a digest would be that of the request's empty body
	in.Body = io.LimitReader(src, in.Size)
	p, err := c.h.Objects.PutPart(c.ctx, c.bucket, id, number, in)
	if err != nil {
		return err
	}
	c.set("ETag", etag(p.ETag)) // ali-oss reads it here, not in the body
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(p.CRC64, 10))
	return c.answer(struct {
		XMLName      xml.Name `xml:"CopyPartResult"`
		LastModified string
		ETag         string
	}{LastModified: stamp(p.Modified), ETag: etag(p.ETag)})
}

func (c *call) completeUpload() error {
	in := object.CompleteInput{MinPart: minPart, All: strings.EqualFold(c.r.Header.Get("x-oss-complete-all"), "yes")}
	in.NoOverwrite = strings.EqualFold(c.r.Header.Get("x-oss-forbid-overwrite"), "true")
	if c.r.Header.Get("x-oss-callback") != "" {
		return notImplemented("x-oss-callback")
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	if !in.All {
		var list struct {
			XMLName xml.Name `xml:"CompleteMultipartUpload"`
			Part    []struct {
				PartNumber int
				ETag       string
			}
		}
		if err := c.body(&list, maxList); err != nil {
			return err
		}
		if len(list.Part) == 0 || len(list.Part) > object.MaxParts {
			return refuse(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
		}
		for _, p := range list.Part {
			in.Parts = append(in.Parts, object.PartRef{Number: p.PartNumber, ETag: strings.Trim(p.ETag, `" `)})
		}
	}
	o, err := c.h.Objects.Complete(c.ctx, c.bucket, c.key, uploadID(c.query.Get("uploadId")), in)
	if err != nil {
		return err
	}
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	c.set("ETag", etag(o.ETag))
	return c.answer(struct {
		XMLName      xml.Name `xml:"CompleteMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
	}{EncodingType: kind, Location: fmt.Sprintf("http://%s%s", c.r.Host, c.r.URL.EscapedPath()), Bucket: c.bucket,
		Key: enc(c.key), ETag: etag(o.ETag)})
}

func (c *call) abortUpload() error {
	if err := c.h.Objects.Abort(c.ctx, c.bucket, c.key, uploadID(c.query.Get("uploadId"))); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

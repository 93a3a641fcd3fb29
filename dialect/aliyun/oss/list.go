package oss

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"hash"
	"io"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice/object"
)

type contentXML struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int64
	StorageClass string
	Owner        *ownerXML
}

type prefixXML struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	NextMarker            string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount              *int
	Contents              []contentXML
	CommonPrefixes        []prefixXML
}

// encoder writes names as encoding-type asks for.
func (c *call) encoder() (kind string, encode func(string) string, err error) {
	switch kind = c.query.Get("encoding-type"); kind {
	case "":
		return "", func(s string) string { return s }, nil
	case "url":
		return kind, func(s string) string { return escape(s, false) }, nil
	}
	return "", nil, invalid("encoding-type", kind, "Invalid Encoding Method specified in Request.")
}

// listObjects serves both versions of the listing.
func (c *call) listObjects() error {
	limit, err := c.count("max-keys", 100, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	q := c.query
	in := object.ListInput{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: q.Get("marker"), Max: limit}
	v2 := q.Get("list-type") == "2"
	if v2 {
		in.After = q.Get("start-after")
		if token := q.Get("continuation-token"); token != "" {
			raw, err := base64.URLEncoding.DecodeString(token)
			if err != nil {
				return invalid("continuation-token", token, "The continuation token provided is incorrect.")
			}
			in.After = string(raw)
		}
	}
	page, err := c.h.Objects.List(c.ctx, c.bucket, in)
	if err != nil {
		return err
	}
	r := listResult{Name: c.bucket, Prefix: enc(in.Prefix), MaxKeys: limit, Delimiter: enc(in.Delimiter), EncodingType: kind,
		IsTruncated: page.Truncated}
	if v2 {
		n := len(page.Objects) + len(page.Prefixes)
		r.KeyCount, r.StartAfter, r.ContinuationToken = &n, enc(q.Get("start-after")), q.Get("continuation-token")
		r.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(page.Next))
	} else {
		marker := enc(in.After)
		r.Marker, r.NextMarker = &marker, enc(page.Next)
	}
	var who *ownerXML
	if !v2 || q.Get("fetch-owner") == "true" {
		o := ownerOf(c.b)
		who = &o
	}
	for i := range page.Objects {
		o := &page.Objects[i]
		r.Contents = append(r.Contents, contentXML{enc(o.Key), stamp(o.Modified), etag(o.ETag), kindName(o),
			o.Size, "Standard", who})
	}
	for _, p := range page.Prefixes {
		r.CommonPrefixes = append(r.CommonPrefixes, prefixXML{enc(p)})
	}
	return c.answer(r)
}

// kindName is the object's kind as OSS spells it.
func kindName(o *object.Object) string {
	switch o.Kind {
	case object.Multipart:
		return "Multipart"
	case object.Appendable:
		return "Appendable"
	}
	return "Normal"
}

func (c *call) deleteMany() error {
	type deleted struct{ Key string }
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []deleted
	}
	kind, enc, err := c.encoder()
	if err == nil {
		err = c.body(&in, maxList)
	}
	if err != nil {
		return err
	}
	if len(in.Object) == 0 || len(in.Object) > 1000 {
		return refuse(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	keys := make([]string, len(in.Object))
	out := struct {
		XMLName      xml.Name `xml:"DeleteResult"`
		EncodingType string   `xml:",omitempty"`
		Deleted      []deleted
	}{EncodingType: kind}
	for i, o := range in.Object {
		if err := checkKey(o.Key); err != nil {
			return err
		}
		if !c.owns(c.b) { // the bucket's rule let the caller in, but an object's goes before it
			if err := c.open(c.b, o.Key, writer); err != nil {
				return err
			}
		}
		keys[i] = o.Key
		out.Deleted = append(out.Deleted, deleted{enc(o.Key)})
	}
	if err := c.h.Objects.DeleteMany(c.ctx, c.bucket, keys); err != nil {
		return err
	}
	if in.Quiet {
		return c.empty(http.StatusOK)
	}
	return c.answer(out)
}

type uploadXML struct{ Key, UploadId, StorageClass, Initiated string }

func (c *call) listUploads() error {
	limit, err := c.count("max-uploads", 1000, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	q := c.query
	in := object.ListInput{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: q.Get("key-marker"), Max: limit}
	page, err := c.h.Objects.ListUploads(c.ctx, c.bucket, in, uploadID(q.Get("upload-id-marker")))
	if err != nil {
		return err
	}
	r := struct {
		XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
		EncodingType       string   `xml:",omitempty"`
		Bucket             string
		KeyMarker          string
		UploadIdMarker     string
		NextKeyMarker      string
		NextUploadIdMarker string
		Delimiter          string
		Prefix             string
		MaxUploads         int
		IsTruncated        bool
		Upload             []uploadXML
		CommonPrefixes     []prefixXML
	}{EncodingType: kind, Bucket: c.bucket, KeyMarker: enc(in.After), UploadIdMarker: q.Get("upload-id-marker"),
		NextKeyMarker: enc(page.NextKey), NextUploadIdMarker: showID(page.NextID), Delimiter: enc(in.Delimiter),
		Prefix: enc(in.Prefix), MaxUploads: limit, IsTruncated: page.Truncated}
	for _, u := range page.Uploads {
		r.Upload = append(r.Upload, uploadXML{enc(u.Key), showID(u.ID), "Standard", stamp(u.Started)})
	}
	for _, p := range page.Prefixes {
		r.CommonPrefixes = append(r.CommonPrefixes, prefixXML{enc(p)})
	}
	return c.answer(r)
}

type partXML struct {
	PartNumber    int
	LastModified  string
	ETag          string
	HashCrc64ecma string
	Size          int64
}

func (c *call) listParts() error {
	limit, err := c.count("max-parts", 1000, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	after := 0
	if m := c.query.Get("part-number-marker"); m != "" {
		if after, err = strconv.Atoi(m); err != nil || after < 0 || after > object.MaxParts {
			return invalid("part-number-marker", m, "The part number marker is not valid.")
		}
	}
	id := c.query.Get("uploadId")
	_, parts, more, err := c.h.Objects.ListParts(c.ctx, c.bucket, c.key, uploadID(id), after, limit)
	if err != nil {
		return err
	}
	r := struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		EncodingType         string   `xml:",omitempty"`
		Bucket               string
		Key                  string
		UploadId             string
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []partXML
	}{EncodingType: kind, Bucket: c.bucket, Key: enc(c.key), UploadId: id, StorageClass: "Standard", PartNumberMarker: after,
		MaxParts: limit, IsTruncated: more}
	for _, p := range parts {
		r.NextPartNumberMarker = p.Number
		r.Part = append(r.Part, partXML{p.Number, stamp(p.Modified), etag(p.ETag), strconv.FormatUint(p.CRC64, 10), p.Size})
	}
	return c.answer(r)
}

// digestReader sums what is read through it.
type digestReader struct {
	io.Reader
	sum hash.Hash
}

func newDigest(r io.Reader) *digestReader {
	sum := md5.New()
	return &digestReader{io.TeeReader(r, sum), sum}
}

func (d *digestReader) is(want []byte) bool { return bytes.Equal(d.sum.Sum(nil), want) }

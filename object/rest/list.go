package rest

import (
	"encoding/base64"
	"encoding/xml"
	"strconv"

	"github.com/sluicehq/sluice/object"
)

type contentXML struct {
	Key          string
	LastModified string
	ETag         string
	Type         string `xml:",omitempty"`
	Size         int64
	StorageClass string
	Owner        *OwnerXML
}

type prefixXML struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     *string
	MaxKeys               int
	Delimiter             *string
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	NextMarker            string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount              *int
	Contents              []contentXML
	CommonPrefixes        []prefixXML
}

// encoder writes names as encoding-type asks for.
func (c *Call) encoder() (kind string, encode func(string) string, err error) {
	switch kind = c.Query.Get("encoding-type"); kind {
	case "":
		return "", func(s string) string { return s }, nil
	case "url":
		return kind, func(s string) string { return Escape(s, c.Slashes) }, nil
	}
	return "", nil, Invalid("encoding-type", kind, "Invalid Encoding Method specified in Request.")
}

// ListObjects serves both versions of the listing.
func (c *Call) ListObjects() error {
	limit, err := c.Count("max-keys", c.MaxKeys, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	q := c.Query
	in := object.ListInput{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: q.Get("marker"), Max: limit}
	v2 := q.Get("list-type") == "2"
	if v2 {
		in.After = q.Get("start-after")
		if token := q.Get("continuation-token"); token != "" {
			raw, err := base64.URLEncoding.DecodeString(token)
			if err != nil {
				return Invalid("continuation-token", token, "The continuation token provided is incorrect.")
			}
			in.After = string(raw)
		}
	}
	page, err := c.Objects.List(c.Ctx, c.Bucket, in)
	if err != nil {
		return err
	}
	r := listResult{Name: c.Bucket, Prefix: enc(in.Prefix), MaxKeys: limit, EncodingType: kind, IsTruncated: page.Truncated}
	if delimiter := enc(in.Delimiter); delimiter != "" || !c.Exact {
		r.Delimiter = &delimiter
	}
	if v2 {
		n := len(page.Objects) + len(page.Prefixes)
		r.KeyCount, r.StartAfter = &n, enc(q.Get("start-after"))
		if token := q.Get("continuation-token"); q.Has("continuation-token") && (token != "" || c.Exact) {
			r.ContinuationToken = &token
		}
		r.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(page.Next))
	} else {
		marker := enc(in.After)
		r.Marker, r.NextMarker = &marker, enc(page.Next)
	}
	var who *OwnerXML
	if !v2 || q.Get("fetch-owner") == "true" {
		o := OwnerOf(c.B)
		who = &o
	}
	for i := range page.Objects {
		o := &page.Objects[i]
		x := contentXML{Key: enc(o.Key), LastModified: Stamp(o.Modified), ETag: c.ETag(o.ETag), Size: o.Size, StorageClass: c.Storage, Owner: who}
		if c.Kind != nil {
			x.Type = c.Kind(o)
		}
		r.Contents = append(r.Contents, x)
	}
	for _, p := range page.Prefixes {
		r.CommonPrefixes = append(r.CommonPrefixes, prefixXML{enc(p)})
	}
	return c.Answer(r)
}

type uploadXML struct {
	Key, UploadId           string
	Initiator, Owner        *OwnerXML `xml:",omitempty"`
	StorageClass, Initiated string
}

// owner is the bucket's owner in listings of uploads and parts, where the cloud tells it: who began an upload
// is not kept.
func (c *Call) owner() *OwnerXML {
	if c.Groups == "" {
		return nil
	}
	o := OwnerOf(c.B)
	return &o
}

// ListUploads lists the uploads under way.
func (c *Call) ListUploads() error {
	limit, err := c.Count("max-uploads", 1000, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	q := c.Query
	in := object.ListInput{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: q.Get("key-marker"), Max: limit}
	page, err := c.Objects.ListUploads(c.Ctx, c.Bucket, in, uploadID(q.Get("upload-id-marker")))
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
	}{EncodingType: kind, Bucket: c.Bucket, KeyMarker: enc(in.After), UploadIdMarker: q.Get("upload-id-marker"),
		NextKeyMarker: enc(page.NextKey), NextUploadIdMarker: c.showID(page.NextID), Delimiter: enc(in.Delimiter),
		Prefix: enc(in.Prefix), MaxUploads: limit, IsTruncated: page.Truncated}
	for _, u := range page.Uploads {
		r.Upload = append(r.Upload, uploadXML{enc(u.Key), c.showID(u.ID), c.owner(), c.owner(), c.Storage, Stamp(u.Started)})
	}
	for _, p := range page.Prefixes {
		r.CommonPrefixes = append(r.CommonPrefixes, prefixXML{enc(p)})
	}
	return c.Answer(r)
}

type partXML struct {
	PartNumber    int
	LastModified  string
	ETag          string
	HashCrc64ecma string `xml:",omitempty"`
	Size          int64
}

// ListParts lists the parts of an upload.
func (c *Call) ListParts() error {
	limit, err := c.Count("max-parts", 1000, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	after := 0
	if m := c.Query.Get("part-number-marker"); m != "" {
		if after, err = strconv.Atoi(m); err != nil || after < 0 || after > object.MaxParts {
			return Invalid("part-number-marker", m, "The part number marker is not valid.")
		}
	}
	id := c.Query.Get("uploadId")
	_, parts, more, err := c.Objects.ListParts(c.Ctx, c.Bucket, c.Key, uploadID(id), after, limit)
	if err != nil {
		return err
	}
	r := struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		EncodingType         string   `xml:",omitempty"`
		Bucket               string
		Key                  string
		UploadId             string
		Initiator, Owner     *OwnerXML `xml:",omitempty"`
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []partXML
	}{EncodingType: kind, Bucket: c.Bucket, Key: enc(c.Key), UploadId: id, Initiator: c.owner(), Owner: c.owner(), StorageClass: c.Storage, PartNumberMarker: after,
		MaxParts: limit, IsTruncated: more}
	for _, p := range parts {
		r.NextPartNumberMarker = p.Number
		x := partXML{PartNumber: p.Number, LastModified: Stamp(p.Modified), ETag: c.ETag(p.ETag), Size: p.Size}
		if c.CRC {
			x.HashCrc64ecma = strconv.FormatUint(p.CRC64, 10)
		}
		r.Part = append(r.Part, x)
	}
	return c.Answer(r)
}

package oss

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
)

// bucketName is stricter than the room's: OSS allows no dots.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

type ownerXML struct{ ID, DisplayName string }

// ownerOf names a bucket's owner: its app, or us.
func ownerOf(b *object.Bucket) ownerXML {
	name := cmp.Or(b.Owner, string(b.App), "sluice")
	return ownerXML{name, name}
}

type aclPolicy struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Owner   ownerXML
	Grant   string `xml:"AccessControlList>Grant"`
}

type bucketXML struct {
	CreationDate     string
	ExtranetEndpoint string
	IntranetEndpoint string
	Location         string
	Name             string
	Region           string
	StorageClass     string
}

func (c *call) bucketXML(b *object.Bucket) bucketXML {
	region := cmp.Or(b.Region, c.h.Region)
	return bucketXML{stamp(b.Created), "oss-" + region + ".aliyuncs.com", "oss-" + region + "-internal.aliyuncs.com",
		"oss-" + region, b.Name, region, "Standard"}
}

// The most bytes of XML bodies: settings are kept in their bucket's row, lists are of 1,000 keys or of
// 10,000 parts.
const (
	maxSetting = 64 << 10
	maxList    = 8 << 20
)

// body reads an XML body; an ill one is MalformedXML.
func (c *call) body(v any, limit int64) error {
	want, err := digest(c.r.Header)
	if err != nil {
		return err
	}
	check := newDigest(c.r.Body)
	err = unmarshal(check, limit, v)
	switch {
	case errors.Is(err, errMalformed):
		return refuse(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &object.Error{Reason: object.Incomplete}
	case err != nil:
		return err
	case want != nil && !check.is(want):
		return &object.Error{Reason: object.BadDigest}
	}
	return nil
}

func (c *call) createBucket() error {
	acl, err := aclOf("x-oss-acl", c.r.Header.Get("x-oss-acl"), false)
	if err != nil {
		return err
	}
	peek := bufio.NewReader(c.r.Body)
	if _, err := peek.Peek(1); err == nil { // the body may be left out, also by sending an empty one
		c.r.Body = io.NopCloser(peek)
		var config struct {
			XMLName      xml.Name `xml:"CreateBucketConfiguration"`
			StorageClass string
		}
		if err := c.body(&config, maxSetting); err != nil {
			return err
		}
	}
	b, err := c.h.Objects.CreateBucket(c.ctx, object.Bucket{Name: c.bucket, App: c.signer.App, ACL: acl, Region: c.region()})
	if object.ReasonOf(err) == object.BucketExists && c.owns(b) {
		err = nil
		if acl != "" && acl != b.ACL {
			err = c.alter(func(b *object.Bucket) { b.ACL = acl })
		}
	}
	if err != nil {
		return err
	}
	c.set("Location", "/"+c.bucket)
	return c.empty(http.StatusOK)
}

// region is the one that a request is for: its signature says so, or its host.
func (c *call) region() string {
	if c.signer.region != "" {
		return c.signer.region
	}
	for label := range strings.SplitSeq(c.r.Host, ".") {
		if r, ok := strings.CutPrefix(label, "oss-"); ok {
			return strings.TrimSuffix(r, "-internal")
		}
	}
	return c.h.Region
}

func (c *call) alter(fn func(b *object.Bucket)) error {
	_, err := c.h.Objects.AlterBucket(c.ctx, c.bucket, func(b *object.Bucket) error {
		fn(b)
		return nil
	})
	return err
}

func (c *call) headBucket() error {
	c.set("x-oss-bucket-region", cmp.Or(c.b.Region, c.h.Region))
	return c.empty(http.StatusOK)
}

func (c *call) deleteBucket() error {
	if err := c.h.Objects.DeleteBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (c *call) putBucketACL() error {
	acl := c.r.Header.Get("x-oss-acl")
	if acl == "" {
		return invalid("x-oss-acl", acl, "no such acl exists.")
	}
	acl, err := aclOf("x-oss-acl", acl, false)
	if err == nil {
		err = c.alter(func(b *object.Bucket) { b.ACL = acl })
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (c *call) getBucketACL() error {
	return c.answer(aclPolicy{Owner: ownerOf(c.b), Grant: c.b.ACL})
}

func (c *call) getLocation() error {
	return c.answer(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Value   string   `xml:",chardata"`
	}{Value: c.bucketXML(c.b).Location})
}

func (c *call) getBucketInfo() error {
	type info struct {
		bucketXML
		DataRedundancyType     string
		AccessMonitor          string
		TransferAcceleration   string
		CrossRegionReplication string
		Owner                  ownerXML
		Grant                  string `xml:"AccessControlList>Grant"`
		Comment                string
	}
	return c.answer(struct {
		XMLName xml.Name `xml:"BucketInfo"`
		Bucket  info
	}{Bucket: info{bucketXML: c.bucketXML(c.b), DataRedundancyType: "LRS", AccessMonitor: "Disabled",
		TransferAcceleration: "Disabled", CrossRegionReplication: "Disabled", Owner: ownerOf(c.b), Grant: c.b.ACL}})
}

func (c *call) listBuckets() error {
	limit, err := c.count("max-keys", 100, 1000)
	if err != nil {
		return err
	}
	prefix, marker := c.query.Get("prefix"), c.query.Get("marker")
	result := struct {
		XMLName     xml.Name `xml:"ListAllMyBucketsResult"`
		Prefix      string
		Marker      string
		MaxKeys     int
		IsTruncated bool
		NextMarker  string `xml:",omitempty"`
		Owner       ownerXML
		Buckets     []bucketXML `xml:"Buckets>Bucket"`
	}{Prefix: prefix, Marker: marker, MaxKeys: limit, Owner: ownerOf(&object.Bucket{App: c.signer.App})}
	for after := marker; ; {
		page, err := c.h.Objects.Buckets(c.ctx, prefix, after, 1000)
		if err != nil {
			return err
		}
		for i := range page {
			b := &page[i]
			after = b.Name
			if !c.owns(b) {
				continue
			}
			if len(result.Buckets) == limit {
				result.IsTruncated = true
				result.NextMarker = result.Buckets[limit-1].Name
				return c.answer(result)
			}
			result.Buckets = append(result.Buckets, c.bucketXML(b))
		}
		if len(page) < 1000 {
			return c.answer(result)
		}
	}
}

// count reads a number of at least 1 and at most limit from the query.
func (c *call) count(name string, def, limit int) (int, error) {
	v := c.query.Get(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > limit {
		return 0, invalid(name, v, "Argument "+name+" must be an integer between 1 and "+strconv.Itoa(limit)+".")
	}
	return n, nil
}

type refererXML struct {
	XMLName                  xml.Name `xml:"RefererConfiguration"`
	AllowEmptyReferer        bool
	AllowTruncateQueryString *bool     `xml:",omitempty"`
	TruncatePath             *bool     `xml:",omitempty"`
	RefererList              refList   `xml:"RefererList"`
	RefererBlacklist         *[]string `xml:"RefererBlacklist>Referer,omitempty"`
}

type refList struct {
	Referer []string
}

// The dialect's settings among a bucket's Docs.
const (
	docCORS    = "oss.cors"
	docReferer = "oss.referer"
)

// setDoc keeps a setting, or drops it when v is nil.
func (c *call) setDoc(name string, v any) error {
	var doc []byte
	if v != nil {
		var err error
		if doc, err = marshal(v); err != nil {
			return err
		}
	}
	return c.alter(func(b *object.Bucket) {
		docs := map[string][]byte{}
		for k, old := range b.Docs {
			docs[k] = old
		}
		docs[name] = doc
		if doc == nil {
			delete(docs, name)
		}
		b.Docs = docs
	})
}

// putReferer keeps the list; it is not enforced (aliyun.md 4.3).
func (c *call) putReferer() error {
	var v refererXML
	err := c.body(&v, maxSetting)
	if err == nil {
		err = c.setDoc(docReferer, v)
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (c *call) getReferer() error {
	v := refererXML{AllowEmptyReferer: true}
	if doc := c.b.Docs[docReferer]; doc != nil {
		v = refererXML{}
		if err := xml.Unmarshal(doc, &v); err != nil {
			return err
		}
	}
	return c.answer(v)
}

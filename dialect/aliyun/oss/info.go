package oss

import (
	"encoding/xml"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// This file is what OSS alone has, or writes its own way.

type aclPolicy struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Owner   rest.OwnerXML
	Grant   string `xml:"AccessControlList>Grant"`
}

func getBucketACL(c *rest.Call) error {
	return c.Answer(aclPolicy{Owner: rest.OwnerOf(c.B), Grant: c.B.ACL})
}

func getObjectACL(c *rest.Call) error {
	o, err := c.Objects.Head(c.Ctx, c.Bucket, c.Key)
	if err != nil {
		return err
	}
	if o.ACL == "" {
		o.ACL = "default"
	}
	return c.Answer(aclPolicy{Owner: rest.OwnerOf(c.B), Grant: o.ACL})
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

func newBucketXML(c *rest.Call, b *object.Bucket) bucketXML {
	region := c.RegionOf(b)
	return bucketXML{rest.Stamp(b.Created), "oss-" + region + ".aliyuncs.com", "oss-" + region + "-internal.aliyuncs.com",
		"oss-" + region, b.Name, region, c.Storage}
}

func getLocation(c *rest.Call) error {
	return c.Answer(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Value   string   `xml:",chardata"`
	}{Value: newBucketXML(c, c.B).Location})
}

func getBucketInfo(c *rest.Call) error {
	type info struct {
		bucketXML
		DataRedundancyType     string
		AccessMonitor          string
		TransferAcceleration   string
		CrossRegionReplication string
		Owner                  rest.OwnerXML
		Grant                  string `xml:"AccessControlList>Grant"`
		Comment                string
	}
	return c.Answer(struct {
		XMLName xml.Name `xml:"BucketInfo"`
		Bucket  info
	}{Bucket: info{bucketXML: newBucketXML(c, c.B), DataRedundancyType: "LRS", AccessMonitor: "Disabled",
		TransferAcceleration: "Disabled", CrossRegionReplication: "Disabled", Owner: rest.OwnerOf(c.B), Grant: c.B.ACL}})
}

func listBuckets(c *rest.Call) error {
	limit, err := c.Count("max-keys", 100, 1000)
	if err != nil {
		return err
	}
	prefix, marker := c.Query.Get("prefix"), c.Query.Get("marker")
	list, more, err := c.Mine(prefix, marker, limit)
	if err != nil {
		return err
	}
	result := struct {
		XMLName     xml.Name `xml:"ListAllMyBucketsResult"`
		Prefix      string
		Marker      string
		MaxKeys     int
		IsTruncated bool
		NextMarker  string `xml:",omitempty"`
		Owner       rest.OwnerXML
		Buckets     []bucketXML `xml:"Buckets>Bucket"`
	}{Prefix: prefix, Marker: marker, MaxKeys: limit, IsTruncated: more, Owner: rest.OwnerOf(&object.Bucket{App: c.Who.App})}
	for i := range list {
		result.Buckets = append(result.Buckets, newBucketXML(c, &list[i]))
	}
	if more {
		result.NextMarker = list[limit-1].Name
	}
	return c.Answer(result)
}

func objectMeta(c *rest.Call) error {
	o, err := c.Objects.Head(c.Ctx, c.Bucket, c.Key)
	if err != nil {
		return err
	}
	c.Set("ETag", c.ETag(o.ETag))
	c.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	c.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	if c.R.Method == http.MethodHead {
		c.Set("Content-Length", strconv.FormatInt(o.Size, 10))
		c.Begin(http.StatusOK)
		return nil
	}
	return c.Empty(http.StatusOK)
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

// putReferer keeps the list; it is not enforced (aliyun.md 4.3).
func putReferer(c *rest.Call) error {
	var v refererXML
	err := c.Body(&v)
	var doc []byte
	if err == nil {
		doc, err = xml.Marshal(v)
	}
	if err == nil {
		err = c.SetDoc("referer", doc)
	}
	return c.Done(err, http.StatusOK)
}

func getReferer(c *rest.Call) error {
	v := refererXML{AllowEmptyReferer: true}
	if doc := c.Doc(c.B, "referer"); doc != nil {
		v = refererXML{}
		if err := xml.Unmarshal(doc, &v); err != nil {
			return err
		}
	}
	return c.Answer(v)
}

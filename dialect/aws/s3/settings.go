package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

func missing(code, message string) rest.Fault {
	return rest.Fault{Status: http.StatusNotFound, Code: code, Message: message}
}

func empty(root, content string) string {
	return xml.Header + "<" + root + ` xmlns="` + namespace + `">` + content + "</" + root + ">"
}

// The names of a bucket's settings among its Docs, for who reads templates. Each document is what the API
// takes as the body of the Put operation beside it: XML, with or without the namespace of S3, but for the
// policy, which is JSON. Nothing checks those of templates again. An empty document drops the setting.
//
//	DocCORS          PutBucketCors                     <CORSConfiguration><CORSRule><ID/>? <AllowedOrigin/>+ <AllowedMethod/>+ <AllowedHeader/>* <ExposeHeader/>* <MaxAgeSeconds/>?
//	DocWebsite       PutBucketWebsite                  <WebsiteConfiguration><IndexDocument><Suffix/> <ErrorDocument><Key/> <RedirectAllRequestsTo><HostName/> <Protocol/>? <RoutingRules><RoutingRule>…
//	DocLifecycle     PutBucketLifecycleConfiguration   <LifecycleConfiguration><Rule><ID/> <Filter/> <Status/> <Expiration/> …: followed
//	DocNotification  PutBucketNotificationConfiguration <NotificationConfiguration><CloudFunctionConfiguration>…: told again, acted upon by nobody
//	DocEncryption    PutBucketEncryption               <ServerSideEncryptionConfiguration>…
//	DocOwnership     PutBucketOwnershipControls        <OwnershipControls><Rule><ObjectOwnership/>
//	DocAccessBlock   PutPublicAccessBlock              <PublicAccessBlockConfiguration><BlockPublicAcls/> …
//	DocTags          PutBucketTagging                  <Tagging><TagSet><Tag><Key/> <Value/>
//	DocPolicy        PutBucketPolicy                   {"Version": …, "Statement": […]}
//
// A website's document goes before the bucket's Website, which has no rules: a template that has a website
// writes both, the document always. A website that redirects all has a Website, too, an empty one.
const (
	DocCORS         = "s3.cors"
	DocWebsite      = "s3.website"
	DocLifecycle    = "s3.lifecycle"
	DocNotification = "s3.notification"
	DocEncryption   = "s3.encryption"
	DocOwnership    = "s3.ownershipControls"
	DocAccessBlock  = "s3.publicAccessBlock"
	DocTags         = "s3.tagging"
	DocPolicy       = "s3.policy"
)

// The settings that are only told again. Those that would have to be acted upon can be asked for, as
// tools do, but not made.
var (
	accelerate   = &rest.Setting{Name: "accelerate", Check: checkAccelerate, Default: empty("AccelerateConfiguration", "")}
	accessBlock  = &rest.Setting{Name: "publicAccessBlock", Missing: missing("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")}
	bucketPolicy = &rest.Setting{Name: "policy", Kind: "application/json", Missing: missing("NoSuchBucketPolicy", "The bucket policy does not exist")}
	encryption   = &rest.Setting{Name: "encryption", Check: checkEncryption, Missing: missing("ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found")}
	lifecycle    = &rest.Setting{Name: "lifecycle", Missing: missing("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")}
	lock         = &rest.Setting{Name: "object-lock", Missing: missing("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")}
	logging      = &rest.Setting{Name: "logging", Default: empty("BucketLoggingStatus", "")}
	notification = &rest.Setting{Name: "notification", Default: empty("NotificationConfiguration", "")}
	ownership    = &rest.Setting{Name: "ownershipControls", Check: checkOwnership, Missing: missing("OwnershipControlsNotFoundError", "The bucket ownership controls were not found")}
	payment      = &rest.Setting{Name: "requestPayment", Default: empty("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")}
	replication  = &rest.Setting{Name: "replication", Missing: missing("ReplicationConfigurationNotFoundError", "The replication configuration was not found")}
	tags         = &rest.Setting{Name: "tagging", Missing: missing("NoSuchTagSet", "The TagSet does not exist")}
)

// getCORS words a missing setting as S3 does.
func getCORS(c *rest.Call) error {
	err := c.GetCORS()
	if f := new(rest.Fault); errors.As(err, &f) && f.Code == "NoSuchCORSConfiguration" {
		f.Message = "The CORS configuration does not exist"
	}
	return err
}

func checkAccelerate(doc []byte) error {
	var in struct {
		XMLName xml.Name `xml:"AccelerateConfiguration"`
		Status  string
	}
	if xml.Unmarshal(doc, &in) != nil || in.Status != "Enabled" && in.Status != "Suspended" {
		return rest.Malformed()
	}
	return nil
}

// putNotification takes a configuration without anything in it alone: whom a bucket tells of objects, templates say.
func putNotification(c *rest.Call) error {
	var in struct {
		XMLName xml.Name   `xml:"NotificationConfiguration"`
		Any     []struct{} `xml:",any"`
	}
	if err := c.Body(&in); err != nil {
		return err
	}
	if len(in.Any) > 0 {
		return unserved(c)
	}
	return c.Done(c.SetDoc(notification.Name, nil), http.StatusOK)
}

func unserved(c *rest.Call) error { return rest.NotImplemented(c.Sub) }

// noConfigs answers for configurations of which a bucket may have several, by id: there are none.
func noConfigs(root string) func(c *rest.Call) error {
	return func(c *rest.Call) error {
		if c.Query.Has("id") {
			return rest.Refuse(404, "NoSuchConfiguration", "The specified configuration does not exist.")
		}
		return c.Send(http.StatusOK, "application/xml", []byte(empty(root, "<IsTruncated>false</IsTruncated>")))
	}
}

func putPayer(c *rest.Call) error {
	var in struct {
		XMLName xml.Name `xml:"RequestPaymentConfiguration"`
		Payer   string
	}
	if err := c.Body(&in); err != nil {
		return err
	}
	if in.Payer != "BucketOwner" {
		return rest.NotImplemented("requestPayment")
	}
	return c.Empty(http.StatusOK)
}

func getLocation(c *rest.Call) error {
	region := c.RegionOf(c.B)
	if region == DefaultRegion {
		region = ""
	}
	return c.Answer(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Value   string   `xml:",chardata"`
	}{Value: region})
}

func listBuckets(c *rest.Call) error {
	limit, err := c.Count("max-buckets", 10000, 10000)
	if err != nil {
		return err
	}
	list, more, err := c.Mine(c.Query.Get("prefix"), c.Query.Get("continuation-token"), limit)
	if err != nil {
		return err
	}
	type bucket struct{ Name, CreationDate, BucketRegion string }
	out := struct {
		XMLName           xml.Name `xml:"ListAllMyBucketsResult"`
		Owner             rest.OwnerXML
		Buckets           []bucket `xml:"Buckets>Bucket"`
		ContinuationToken string   `xml:",omitempty"`
		Prefix            string   `xml:",omitempty"`
	}{Owner: rest.OwnerOf(&object.Bucket{App: c.Who.App}), Prefix: c.Query.Get("prefix")}
	for i := range list {
		out.Buckets = append(out.Buckets, bucket{list[i].Name, rest.Stamp(list[i].Created), c.RegionOf(&list[i])})
		if more {
			out.ContinuationToken = list[i].Name
		}
	}
	return c.Answer(out)
}

// deleteBucket removes a bucket that has no objects. Uploads under way do not keep it.
func deleteBucket(c *rest.Call) error {
	if page, err := c.Objects.ListVersions(c.Ctx, c.Bucket, object.ListInput{Max: 1}, ""); err != nil || len(page.Versions) > 0 {
		if err == nil {
			err = &object.Error{Reason: object.BucketNotEmpty, Bucket: c.Bucket}
		}
		return err
	}
	for more := true; more; {
		page, err := c.Objects.ListUploads(c.Ctx, c.Bucket, object.ListInput{Max: 1000}, "")
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if err := c.Objects.Abort(c.Ctx, c.Bucket, u.Key, u.ID); err != nil && object.ReasonOf(err) != object.NoSuchUpload {
				return err
			}
		}
		more = page.Truncated
	}
	return c.DeleteBucket()
}

// docTags is the name of an object's tags among its Docs: a query string.
const docTags = "tagging"

type taggingXML struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  struct {
		Tag []tagXML
	}
}

type tagXML struct{ Key, Value string }

// Most tags of an object, and of a bucket.
const (
	maxTags       = 10
	maxBucketTags = 50
)

// check refuses tags that S3 refuses, of at most limit.
func (t *taggingXML) check(limit int) error {
	if len(t.TagSet.Tag) > limit {
		return rest.Refuse(400, "BadRequest", "Object tags cannot be greater than 10")
	}
	refuse := func(why string) error { return rest.Refuse(400, "InvalidTag", why) }
	seen := map[string]bool{}
	for _, x := range t.TagSet.Tag {
		switch {
		case x.Key == "" || len([]rune(x.Key)) > 128:
			return refuse("The TagKey you have provided is invalid")
		case len([]rune(x.Value)) > 256:
			return refuse("The TagValue you have provided is invalid")
		case seen[x.Key]:
			return refuse("Cannot provide multiple Tags with the same key")
		case strings.HasPrefix(x.Key, "aws:") && limit > maxTags:
			return refuse("System tags cannot be added/updated by requester")
		case strings.HasPrefix(x.Key, "aws:"):
			return refuse("Your TagKey cannot be prefixed with aws:")
		}
		seen[x.Key] = true
	}
	return nil
}

func (t *taggingXML) encode() string {
	v := url.Values{}
	for _, x := range t.TagSet.Tag {
		v.Set(x.Key, x.Value)
	}
	return v.Encode()
}

// parseTags reads tags of a header.
func parseTags(text string) (string, error) {
	v, err := url.ParseQuery(text)
	if err != nil {
		return "", rest.Invalid("x-amz-tagging", text, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	var t taggingXML
	for name, values := range v {
		for _, value := range values {
			t.TagSet.Tag = append(t.TagSet.Tag, tagXML{name, value})
		}
	}
	return t.encode(), t.check(maxTags)
}

func putBucketTags(c *rest.Call) error {
	var in taggingXML
	if err := c.Body(&in); err != nil {
		return err
	}
	if err := in.check(maxBucketTags); err != nil {
		return err
	}
	if len(in.TagSet.Tag) == 0 {
		return c.Done(c.SetDoc(tags.Name, nil), http.StatusNoContent)
	}
	doc, err := xml.Marshal(in)
	if err == nil {
		err = c.SetDoc(tags.Name, doc)
	}
	return c.Done(err, http.StatusNoContent)
}

func putTags(c *rest.Call) error {
	var in taggingXML
	if err := c.Body(&in); err != nil {
		return err
	}
	if err := in.check(maxTags); err != nil {
		return err
	}
	return c.Done(setTags(c, in.encode()), http.StatusOK)
}

func deleteTags(c *rest.Call) error { return c.Done(setTags(c, ""), http.StatusNoContent) }

func setTags(c *rest.Call, set string) error {
	_, err := c.AlterObject(func(o *object.Object) error {
		setDocs(o, map[string]string{docTags: set})
		return nil
	})
	return err
}

func getTags(c *rest.Call) error {
	o, err := c.Head()
	if err != nil {
		return err
	}
	var out taggingXML
	for pair := range strings.SplitSeq(o.Docs[docTags], "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name) // written by encode
		value, _ = url.QueryUnescape(value)
		if name != "" {
			out.TagSet.Tag = append(out.TagSet.Tag, tagXML{name, value})
		}
	}
	return c.Answer(out)
}

type accessBlockXML struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

// blocked is a bucket's public access block: nothing is blocked where there is none.
func blocked(b *object.Bucket) (x accessBlockXML) {
	if b != nil && b.Docs[DocAccessBlock] != nil {
		// One that cannot be read is a template's mistake: then nobody gets in.
		if xml.Unmarshal(b.Docs[DocAccessBlock], &x) != nil {
			return accessBlockXML{BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true}
		}
	}
	return x
}

func closed(b *object.Bucket) (refuses, ignores bool) {
	x := blocked(b)
	return x.BlockPublicAcls, x.IgnorePublicAcls || enforced(b)
}

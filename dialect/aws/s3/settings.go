package s3

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/websocket/policy"
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
//	DocLifecycle     PutBucketLifecycleConfiguration   <LifecycleConfiguration><Rule><ID/> <Filter/> <Status/> <Expiration/> …
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
	accelerate   = &rest.Setting{Name: "accelerate", Default: empty("AccelerateConfiguration", "")}
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

// putPolicy keeps a bucket's policy: what it lets everybody do is done (see public).
func putPolicy(c *rest.Call) error {
	doc, err := io.ReadAll(io.LimitReader(c.R.Body, 20<<10+1))
	if err != nil {
		return err
	}
	everybody, err := anonymous(doc)
	if err == nil && everybody != nil && blocked(c.B).BlockPublicPolicy {
		return rest.Denied("Access Denied: the bucket's public access block refuses public policies.")
	}
	if err != nil || len(doc) > 20<<10 {
		message := "Policies must be valid JSON and the first byte must be '{'"
		if err != nil && json.Valid(doc) {
			message = err.Error()
		}
		return rest.Refuse(400, "MalformedPolicy", message)
	}
	return c.Done(c.SetDoc(bucketPolicy.Name, doc), http.StatusNoContent)
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
	return x.BlockPublicAcls, x.IgnorePublicAcls
}

// anonymous is what a policy says of everybody; nil when nothing.
func anonymous(doc []byte) (*policy.Document, error) { return said(doc, "AWS", "*") }

// said is what a policy says of one kind of principal by name, or of everybody; nil when nothing.
func said(doc []byte, kind, name string) (*policy.Document, error) {
	var raw struct{ Statement json.RawMessage }
	if err := json.Unmarshal(doc, &raw); err != nil {
		return nil, err
	}
	if _, err := policy.Parse(doc); err != nil {
		return nil, err
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw.Statement, &list) != nil {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(raw.Statement, &one); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	var kept []map[string]json.RawMessage
	for _, s := range list {
		var named map[string]any
		var who any
		json.Unmarshal(s["Principal"], &who) // of another form it is nobody we know
		if json.Unmarshal(s["Principal"], &named) == nil && who != nil {
			who = named[kind]
		}
		if list, ok := who.([]any); ok && slices.Contains(list, any(name)) {
			who = name
		}
		var effect string
		if json.Unmarshal(s["Effect"], &effect); len(s["NotPrincipal"]) > 0 { // everybody but some, whom we do not know
			if effect != "Deny" {
				return nil, errors.New("a statement that allows cannot have NotPrincipal")
			}
			who = "*"
		}
		if who == "*" || who == name {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(map[string]any{"Statement": kept})
	if err != nil {
		return nil, err
	}
	return policy.Parse(text)
}

// The actions of operations that are the owner's alone unless a policy lets others do them, too.
var (
	objectActions = map[string]string{
		"GET acl": "s3:GetObjectAcl", "PUT acl": "s3:PutObjectAcl", "GET tagging": "s3:GetObjectTagging", "PUT tagging": "s3:PutObjectTagging",
		"DELETE tagging": "s3:DeleteObjectTagging", "DELETE uploadId": "s3:AbortMultipartUpload", "GET uploadId": "s3:ListMultipartUploadParts",
		"GET retention": "s3:GetObjectRetention", "GET legal-hold": "s3:GetObjectLegalHold",
	}
	bucketActions = map[string]string{
		"GET uploads": "s3:ListBucketMultipartUploads", "GET location": "s3:GetBucketLocation", "GET tagging": "s3:GetBucketTagging",
		"GET versioning": "s3:GetBucketVersioning", "GET cors": "s3:GetBucketCORS", "GET website": "s3:GetBucketWebsite",
		"GET acl": "s3:GetBucketAcl", "GET policy": "s3:GetBucketPolicy", "GET policyStatus": "s3:GetBucketPolicyStatus",
	}
)

// public reports whether the bucket's policy lets everybody do something; an error is that it denies it.
func public(c *rest.Call, b *object.Bucket, key string, need rest.Right) (bool, error) {
	doc := b.Docs[DocPolicy]
	if doc == nil || blocked(b).RestrictPublicBuckets {
		return false, nil
	}
	p, err := anonymous(doc)
	if p == nil || err != nil {
		return false, err
	}
	action, resource := "s3:GetObject", "arn:aws:s3:::"+b.Name+"/"+key
	switch {
	case need == rest.Owner && c.Key != "":
		action = objectActions[c.R.Method+" "+c.Sub]
	case need == rest.Owner:
		action, resource = bucketActions[c.R.Method+" "+c.Sub], "arn:aws:s3:::"+b.Name
	case need == rest.Lister:
		action, resource = "s3:ListBucket", "arn:aws:s3:::"+b.Name
		if c.Sub == "versions" {
			action = "s3:ListBucketVersions"
		}
	case need == rest.Writer && (c.R.Method == http.MethodDelete || c.Sub == "delete"):
		action = "s3:DeleteObject"
	case need == rest.Writer:
		action = "s3:PutObject"
	}
	if action == "" {
		return false, nil
	}
	if need != rest.Owner && need != rest.Lister && key == c.Key && c.Query.Has("versionId") {
		action += "Version"
	}
	about, err := conditions(c, b, key, doc)
	if err != nil {
		return false, err
	}
	said := p.Decide(policy.Request{Action: action, Resource: resource, Context: about})
	if said == policy.Deny {
		return false, rest.Denied("Access Denied")
	}
	return said == policy.Allow, nil
}

// conditions is what the conditions of a policy may ask about a request. Whether it came over TLS is not among
// it: what asks for that would close buckets to all who work on a machine of their own.
func conditions(c *rest.Call, b *object.Bucket, key string, doc []byte) (map[string]string, error) {
	ip, _, err := net.SplitHostPort(c.R.RemoteAddr)
	if err != nil {
		ip = c.R.RemoteAddr
	}
	about := map[string]string{"aws:sourceip": ip, "aws:currenttime": c.Began.UTC().Format(time.RFC3339)}
	set := func(name, value string) {
		if value != "" {
			about[name] = value
		}
	}
	set("aws:referer", c.R.Referer())
	set("aws:useragent", c.R.UserAgent())
	for name := range c.R.Header {
		if name = lower(name); strings.HasPrefix(name, c.Prefix) {
			set("s3:"+name, strings.TrimPrefix(c.R.Header.Get(name), "/"))
		}
	}
	for _, name := range []string{"prefix", "delimiter", "max-keys", "versionId"} {
		if c.Query.Has(name) {
			about["s3:"+lower(name)] = c.Query.Get(name)
		}
	}
	tagged := func(kind, set string) {
		tags, _ := url.ParseQuery(set) // what is no tag is none
		for name, v := range tags {
			about[kind+"/"+lower(name)] = v[0]
		}
	}
	tagged("s3:requestobjecttag", c.Header("tagging"))
	if key != "" && strings.Contains(lower(string(doc)), "existingobjecttag/") {
		o, err := c.Objects.Head(c.Ctx, b.Name, key)
		if why := object.ReasonOf(err); err != nil && why != object.NoSuchKey {
			return nil, err
		}
		tagged("s3:existingobjecttag", o.Docs[docTags])
	}
	return about, nil
}

func policyStatus(c *rest.Call) error {
	if c.Doc(c.B, bucketPolicy.Name) == nil {
		return bucketPolicy.Get(c) // which says that there is none
	}
	p, err := anonymous(c.Doc(c.B, bucketPolicy.Name))
	if err != nil {
		return err
	}
	return c.Answer(struct {
		XMLName  xml.Name `xml:"PolicyStatus"`
		IsPublic bool
	}{IsPublic: p != nil})
}

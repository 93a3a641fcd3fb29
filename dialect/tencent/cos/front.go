package cos

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,58}[a-z0-9]$`)

// words is how COS differs.
func (h *Handler) words() rest.Front {
	return rest.Front{
		Objects: h.Objects, Log: h.Log, Name: "cos", Prefix: "x-cos-", Server: "tencent-cos", Storage: "STANDARD", Home: DefaultRegion,
		ObjectACL: "acl", AppendSum: "content-sha1", CRC: true, Clamp: true, Slashes: true, MaxKeys: 1000, MinPart: 1 << 20, Rules: true, Groups: "http://cam.qcloud.com",
		Names: bucketName, Words: wording,
		Service: map[string]rest.Operation{"GET": {Run: h.listBuckets, Need: rest.Signed}}, Buckets: bucketOps, Keys: objectOps, Subs: subResources,
		NewID: newID, Identify: h.identify, Region: region, Again: again, ACL: cannedACL, CheckKey: checkKey, Input: input, Complete: complete,
		Described: described, Source: h.source, Explain: h.explain,
		Start: func(c *rest.Call) { c.Set("Date", time.Now().UTC().Format(http.TimeFormat)) },
	}
}

var bucketOps = map[string]rest.Operation{
	"PUT":              {Run: (*rest.Call).CreateBucket, Need: rest.Creator},
	"PUT acl":          {Run: (*rest.Call).PutGrants},
	"PUT cors":         {Run: (*rest.Call).PutCORS},
	"PUT lifecycle":    {Run: lifecycle.Put},
	"PUT policy":       {Run: policy.Put},
	"PUT tagging":      {Run: tagging.Put},
	"PUT website":      {Run: (*rest.Call).PutWebsite},
	"GET":              {Run: (*rest.Call).ListObjects, Need: rest.Lister},
	"GET acl":          {Run: (*rest.Call).GetGrants},
	"GET cors":         {Run: (*rest.Call).GetCORS},
	"GET lifecycle":    {Run: lifecycle.Get},
	"GET location":     {Run: getLocation},
	"GET policy":       {Run: policy.Get},
	"GET tagging":      {Run: tagging.Get},
	"GET uploads":      {Run: (*rest.Call).ListUploads},
	"GET versioning":   {Run: versioning.Get},
	"GET website":      {Run: (*rest.Call).GetWebsite},
	"HEAD":             {Run: (*rest.Call).HeadBucket, Need: rest.Lister},
	"DELETE":           {Run: (*rest.Call).DeleteBucket},
	"DELETE cors":      {Run: (*rest.Call).DeleteCORS},
	"DELETE lifecycle": {Run: lifecycle.Delete},
	"DELETE policy":    {Run: policy.Delete},
	"DELETE tagging":   {Run: tagging.Delete},
	"DELETE website":   {Run: (*rest.Call).DeleteWebsite},
	"POST delete":      {Run: (*rest.Call).DeleteMany, Need: rest.Writer},
}

var objectOps = map[string]rest.Operation{
	"PUT":             {Run: (*rest.Call).PutObject, Need: rest.Writer},
	"PUT acl":         {Run: (*rest.Call).PutGrants},
	"PUT uploadId":    {Run: (*rest.Call).PutPart, Need: rest.Writer},
	"GET":             {Run: (*rest.Call).GetObject, Need: rest.Reader},
	"GET acl":         {Run: (*rest.Call).GetGrants},
	"GET uploadId":    {Run: (*rest.Call).ListParts},
	"HEAD":            {Run: (*rest.Call).GetObject, Need: rest.Reader},
	"DELETE":          {Run: (*rest.Call).DeleteObject, Need: rest.Writer},
	"DELETE uploadId": {Run: (*rest.Call).AbortUpload},
	"POST append":     {Run: (*rest.Call).AppendObject, Need: rest.Writer},
	"POST uploads":    {Run: (*rest.Call).BeginUpload, Need: rest.Writer},
	"POST uploadId":   {Run: (*rest.Call).CompleteUpload, Need: rest.Writer},
}

// subResources change what a request means. We serve those of the tables above.
var subResources = []string{
	"acl", "append", "accelerate", "cors", "delete", "domain", "domaincertificate", "encryption", "intelligenttiering", "inventory",
	"lifecycle", "location", "logging", "notification", "object-lock", "origin", "policy", "referer", "replication", "restore", "select",
	"symlink", "tagging", "uploadId", "uploads", "versioning", "versions", "website",
}

func missing(code, message string) rest.Fault {
	return rest.Fault{Status: http.StatusNotFound, Code: code, Message: message}
}

// The settings that are only told again.
var (
	lifecycle = &rest.Setting{Name: "lifecycle", Missing: missing("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist.")}
	policy    = &rest.Setting{Name: "policy", Kind: "application/json", Check: isJSON, Missing: missing("NoSuchBucketPolicy", "The bucket policy does not exist.")}
	tagging   = &rest.Setting{Name: "tagging", Missing: missing("NoSuchTagSet", "There is no TagSet.")}

	versioning = &rest.Setting{Name: "versioning", Default: xml.Header + "<VersioningConfiguration></VersioningConfiguration>"}
)

func isJSON(body []byte) error {
	if !json.Valid(body) {
		return rest.Refuse(400, "MalformedPolicy", "The policy is not well-formed JSON.")
	}
	return nil
}

// newID is a request's id as COS writes them: base64 of numbers with a _ between them.
func newID() string {
	raw := make([]byte, 12)
	rand.Read(raw)
	text := strconv.FormatInt(time.Now().Unix(), 16) + "_" + hex.EncodeToString(raw)
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// region is that of a bucket to be made: its host says so.
func region(c *rest.Call, _ string) string { return cmp.Or(c.Who.Region, DefaultRegion) }

func again(c *rest.Call) error {
	return rest.Refuse(409, "BucketAlreadyOwnedByYou", "The bucket you tried to create already exists, and you own it.").With("BucketName", c.Bucket)
}

func cannedACL(value string) (string, bool) { return object.Private, value == "authenticated-read" }

func checkKey(key string) error {
	if len(key) > 850 {
		return &object.Error{Reason: object.BadKey, Key: key}
	}
	return nil
}

func input(c *rest.Call, in *object.PutInput) error {
	in.NoOverwrite = strings.EqualFold(c.Header("forbid-overwrite"), "true")
	if to := c.Header("website-redirect-location"); to != "" {
		in.Docs[c.RedirectDoc()] = to
	}
	return nil
}

func complete(c *rest.Call, in *object.CompleteInput, _ []rest.CompletePart) error {
	in.NoOverwrite = strings.EqualFold(c.Header("forbid-overwrite"), "true")
	return nil
}

func described(c *rest.Call, o *object.Object) {
	kind := "normal"
	if o.Kind == object.Appendable {
		kind = "appendable"
	}
	c.Set("x-cos-object-type", kind)
	if to := o.Docs[c.RedirectDoc()]; to != "" {
		c.Set(c.RedirectDoc(), to)
	}
}

// source is the bucket of a copy's source, which begins with the bucket's host.
func (h *Handler) source(first string) string {
	if p := h.parse(first); p.bucket != "" {
		return p.bucket
	}
	bucket, _, _ := strings.Cut(first, ".")
	return bucket
}

// wording is what COS calls the room's reasons otherwise than the others.
var wording = map[object.Reason]rest.Fault{
	object.KeyExists:     {Status: 409, Code: "FileAlreadyExists", Message: "The object you specified already exists and can not be overwritten."},
	object.WrongPosition: {Status: 409, Code: "AppendPositionErr", Message: "The position is not equal to the length of the object."},
	object.BadKey:        {Status: 400, Code: "KeyTooLong", Message: "Your key is too long, or is not text in UTF-8."},
}

// explain has what the Python SDK asks for: a resource, a request and a message that are not empty.
func (h *Handler) explain(c *rest.Call, f *rest.Fault) []rest.Field {
	trace := base64.StdEncoding.EncodeToString([]byte("sluice " + c.ID))
	c.Set("x-cos-trace-id", trace)
	fields := []rest.Field{{Name: "Code", Value: f.Code}, {Name: "Message", Value: f.Message}, {Name: "Resource", Value: c.R.Host + c.R.URL.Path},
		{Name: "RequestId", Value: c.ID}, {Name: "TraceId", Value: trace}}
	return append(fields, f.Fields...)
}

func getLocation(c *rest.Call) error {
	return c.Answer(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Value   string   `xml:",chardata"`
	}{Value: c.RegionOf(c.B)})
}

func (h *Handler) listBuckets(c *rest.Call) error {
	limit, err := c.Count("max-keys", 2000, 2000)
	if err != nil {
		return err
	}
	list, more, err := c.Mine("", c.Query.Get("marker"), limit)
	if err != nil {
		return err
	}
	type bucket struct{ Name, Location, CreationDate string }
	out := struct {
		XMLName     xml.Name `xml:"ListAllMyBucketsResult"`
		Owner       rest.OwnerXML
		Buckets     []bucket `xml:"Buckets>Bucket"`
		IsTruncated bool
		NextMarker  string `xml:",omitempty"`
	}{Owner: rest.OwnerXML{ID: "qcs::cam::uin/" + h.AppID + ":uin/" + h.AppID, DisplayName: h.AppID}, IsTruncated: more}
	for i := range list {
		out.Buckets = append(out.Buckets, bucket{list[i].Name, c.RegionOf(&list[i]), rest.Stamp(list[i].Created)})
		if more {
			out.NextMarker = list[i].Name
		}
	}
	return c.Answer(out)
}

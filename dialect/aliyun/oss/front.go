package oss

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// words is how OSS differs.
func (h *Handler) words() rest.Front {
	return rest.Front{
		Objects: h.Objects, Log: h.Log, Name: "oss", Prefix: "x-oss-", Server: "AliyunOSS", Home: h.Region, Storage: "Standard", ErrorHeader: "x-oss-err",
		ObjectACL: "object-acl", Upper: true, CRC: true, Whole: true, MaxKeys: 100, MinPart: 100 << 10,
		Names:   regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`), // stricter than the room's: no dots
		Words:   wording,
		Service: serviceOps, Buckets: bucketOps, Keys: objectOps, Subs: subResources,
		NewID: newID, Type: object.ContentType, Kind: kindName, CheckKey: checkKey, Input: input, Complete: complete,
		Identify: h.identify, Region: h.region, Stored: stored, Described: described, Explain: explain,
		Lenient: lenient, IsPage: isPage,
		Start: func(c *rest.Call) {
			c.Set("x-oss-server-time", strconv.FormatInt(time.Since(c.Began).Milliseconds(), 10))
		},
	}
}

var serviceOps = map[string]rest.Operation{
	"GET": {Run: listBuckets, Need: rest.Signed},
}

var bucketOps = map[string]rest.Operation{
	"PUT":             {Run: (*rest.Call).CreateBucket, Need: rest.Creator},
	"PUT acl":         {Run: (*rest.Call).PutBucketACL},
	"PUT cors":        {Run: (*rest.Call).PutCORS},
	"PUT referer":     {Run: putReferer},
	"PUT website":     {Run: (*rest.Call).PutWebsite},
	"GET":             {Run: (*rest.Call).ListObjects},
	"GET acl":         {Run: getBucketACL},
	"GET bucketInfo":  {Run: getBucketInfo},
	"GET cors":        {Run: (*rest.Call).GetCORS},
	"GET location":    {Run: getLocation},
	"GET referer":     {Run: getReferer},
	"GET uploads":     {Run: (*rest.Call).ListUploads},
	"GET website":     {Run: (*rest.Call).GetWebsite},
	"HEAD":            {Run: (*rest.Call).HeadBucket},
	"HEAD bucketInfo": {Run: (*rest.Call).HeadBucket},
	"DELETE":          {Run: (*rest.Call).DeleteBucket},
	"DELETE cors":     {Run: (*rest.Call).DeleteCORS},
	"DELETE website":  {Run: (*rest.Call).DeleteWebsite},
	"POST delete":     {Run: (*rest.Call).DeleteMany, Need: rest.Writer},
}

var objectOps = map[string]rest.Operation{
	"PUT":             {Run: (*rest.Call).PutObject, Need: rest.Writer},
	"PUT acl":         {Run: (*rest.Call).PutObjectACL},
	"PUT uploadId":    {Run: (*rest.Call).PutPart, Need: rest.Writer},
	"GET":             {Run: (*rest.Call).GetObject, Need: rest.Reader},
	"GET acl":         {Run: getObjectACL},
	"GET objectMeta":  {Run: objectMeta, Need: rest.Reader},
	"GET uploadId":    {Run: (*rest.Call).ListParts},
	"HEAD":            {Run: (*rest.Call).GetObject, Need: rest.Reader},
	"HEAD objectMeta": {Run: objectMeta, Need: rest.Reader},
	"DELETE":          {Run: (*rest.Call).DeleteObject, Need: rest.Writer},
	"DELETE uploadId": {Run: (*rest.Call).AbortUpload},
	"POST append":     {Run: (*rest.Call).AppendObject, Need: rest.Writer},
	"POST uploads":    {Run: (*rest.Call).BeginUpload, Need: rest.Writer},
	"POST uploadId":   {Run: (*rest.Call).CompleteUpload, Need: rest.Writer},
}

// subResources change what a request means. We serve those of the tables above.
var subResources = []string{
	"acl", "append", "bucketInfo", "cors", "delete", "location", "objectMeta", "referer", "uploadId", "uploads", "website",
	"accessmonitor", "asyncFetch", "callback", "cname", "comp", "encryption", "httpsConfig", "img", "inventory", "lifecycle",
	"live", "logging", "metaQuery", "policy", "publicAccessBlock", "qos", "qosInfo", "replication", "requestPayment",
	"resourceGroup", "restore", "stat", "status", "style", "symlink", "tagging", "transferAcceleration", "versioning",
	"versions", "vod", "worm", "x-oss-process", "x-oss-async-process",
}

func newID() string {
	raw := make([]byte, 12)
	rand.Read(raw)
	return strings.ToUpper(hex.EncodeToString(raw))
}

func checkKey(key string) error {
	if len(key) > 1023 || strings.HasPrefix(key, "/") || strings.HasPrefix(key, `\`) {
		return rest.Refuse(400, "InvalidObjectName", "The specified object is not valid.").With("ObjectName", key)
	}
	return nil
}

// identify finds out who asks for what.
func (h *Handler) identify(c *rest.Call) error {
	who, at, err := h.authenticate(c.R)
	if err != nil {
		return err
	}
	c.Bucket, c.Key = at.bucket, at.key
	if who != nil {
		c.Who = &rest.Who{App: who.App, Region: who.region}
	}
	return nil
}

// region is the one that a request is for: its signature says so, or its host.
func (h *Handler) region(c *rest.Call, _ string) string {
	if c.Who.Region != "" {
		return c.Who.Region
	}
	for label := range strings.SplitSeq(c.R.Host, ".") {
		if r, ok := strings.CutPrefix(label, "oss-"); ok {
			return strings.TrimSuffix(r, "-internal")
		}
	}
	return h.Region
}

func input(c *rest.Call, in *object.PutInput) error {
	for _, name := range []string{"callback", "tagging"} {
		if c.Header(name) != "" {
			return rest.NotImplemented(c.Prefix + name)
		}
	}
	in.NoOverwrite = strings.EqualFold(c.Header("forbid-overwrite"), "true")
	return nil
}

func complete(c *rest.Call, in *object.CompleteInput, _ []rest.CompletePart) error {
	if c.Header("callback") != "" {
		return rest.NotImplemented(c.Prefix + "callback")
	}
	in.All = strings.EqualFold(c.Header("complete-all"), "yes")
	in.NoOverwrite = strings.EqualFold(c.Header("forbid-overwrite"), "true")
	return nil
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

func stored(c *rest.Call, o *object.Object) {
	if o != nil && o.MD5 != nil {
		c.Set("Content-MD5", base64.StdEncoding.EncodeToString(o.MD5))
	}
}

func described(c *rest.Call, _ *object.Object) { c.Set("x-oss-storage-class", c.Storage) }

// lenient is how OSS answers a range that is not wholly inside: with all, unless it is asked to do as the
// RFC says. Browsers do not ask: for them we do as the RFC says.
func lenient(c *rest.Call) bool {
	return c.Who != nil && c.Header("range-behavior") != "standard"
}

// isPage says whether a request is a browser's for a page: nobody signed it, and the bucket has a
// website.
func isPage(c *rest.Call) bool {
	return c.Who == nil && c.Sub == "" && (c.R.Method == http.MethodGet || c.R.Method == http.MethodHead) &&
		c.B != nil && (c.B.Website != nil || len(c.B.Folders) > 0)
}

// wording is what OSS calls the room's reasons otherwise than the others.
var wording = map[object.Reason]rest.Fault{
	object.BucketNotEmpty: {Status: 409, Code: "BucketNotEmpty", Message: "The bucket has objects. Please delete them first."},
	object.KeyExists:      {Status: 409, Code: "FileAlreadyExists", Message: "The object you specified already exists and can not be overwritten."},
	object.BadDigest:      {Status: 400, Code: "InvalidDigest", Message: "The Content-MD5 you specified did not match what we received."},
	object.BadKey:         {Status: 400, Code: "InvalidObjectName", Message: "The specified object is not valid."},
}

// ecs are the codes that lead to OSS's pages about an error, as far as known.
var ecs = map[string]string{
	"NoSuchKey":             "0026-00000001",
	"NoSuchBucket":          "0015-00000101",
	"BucketAlreadyExists":   "0015-00000104",
	"BucketNotEmpty":        "0015-00000301",
	"AccessDenied":          "0003-00000001",
	"InvalidAccessKeyId":    "0002-00000902",
	"SignatureDoesNotMatch": "0002-00000040",
	"RequestTimeTooSkewed":  "0002-00000504",
	"NoSuchUpload":          "0042-00000002",
}

func explain(c *rest.Call, f *rest.Fault) []rest.Field {
	fields := append([]rest.Field{{Name: "Code", Value: f.Code}, {Name: "Message", Value: f.Message},
		{Name: "RequestId", Value: c.ID}, {Name: "HostId", Value: c.R.Host}}, f.Fields...)
	if ec := ecs[f.Code]; ec != "" {
		c.Set("x-oss-ec", ec)
		fields = append(fields, rest.Field{Name: "EC", Value: ec})
	}
	return fields
}

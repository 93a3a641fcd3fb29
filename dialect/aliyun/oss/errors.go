package oss

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

// fault is an error as OSS tells it.
type fault struct {
	Status  int
	Code    string
	Message string
	EC      string
	Fields  []field // in the error's XML, after the common ones
	Header  []field
}

type field struct{ Name, Value string }

func (f *fault) Error() string { return f.Code + ": " + f.Message }

// Kind sorts the fault by its status.
func (f *fault) Kind() sluice.Kind {
	switch f.Status {
	case 403:
		return sluice.Denied
	case 404:
		return sluice.Missing
	case 409, 412:
		return sluice.Conflict
	}
	return sluice.Invalid
}

func refuse(status int, code, message string) *fault {
	return &fault{Status: status, Code: code, Message: message, EC: ecs[code]}
}

func (f *fault) with(name, value string) *fault {
	f.Fields = append(f.Fields, field{name, value})
	return f
}

// invalid is OSS's answer to an argument that it cannot take.
func invalid(name, value, message string) *fault {
	return refuse(400, "InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
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

// wording is what OSS calls the room's reasons.
var wording = map[object.Reason]struct {
	status        int
	code, message string
}{
	object.NoSuchBucket:    {404, "NoSuchBucket", "The specified bucket does not exist."},
	object.NoSuchKey:       {404, "NoSuchKey", "The specified key does not exist."},
	object.NoSuchUpload:    {404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	object.BucketExists:    {409, "BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	object.BucketNotEmpty:  {409, "BucketNotEmpty", "The bucket has objects. Please delete them first."},
	object.KeyExists:       {409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten."},
	object.ConditionFailed: {412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."},
	object.BadDigest:       {400, "InvalidDigest", "The Content-MD5 you specified did not match what we received."},
	object.Incomplete:      {400, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header."},
	object.TooLarge:        {400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size."},
	object.BadPart:         {400, "InvalidPart", "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag."},
	object.PartOrder:       {400, "InvalidPartOrder", "The list of parts was not in ascending order. Parts list must specified in order by part number."},
	object.PartTooSmall:    {400, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size."},
	object.NotAppendable:   {409, "ObjectNotAppendable", "The object is not appendable."},
	object.WrongPosition:   {409, "PositionNotEqualToLength", "Position is not equal to file length."},
	object.BadBucketName:   {400, "InvalidBucketName", "The specified bucket is not valid."},
	object.BadKey:          {400, "InvalidObjectName", "The specified object is not valid."},
	object.NotOwned:        {403, "AccessDenied", "The bucket you access does not belong to you."},
}

// faultOf words any error. What has no wording is InternalError, told to the log alone.
func (c *call) faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var e *object.Error
	if errors.As(err, &e) {
		w := wording[e.Reason]
		f = refuse(w.status, w.code, w.message)
		switch e.Reason {
		case object.NoSuchBucket, object.BucketExists, object.BucketNotEmpty:
			f.with("BucketName", e.Bucket)
		case object.NoSuchKey, object.BadKey:
			f.with("Key", e.Key)
		case object.NoSuchUpload:
			f.with("UploadId", c.query.Get("uploadId"))
		case object.BadPart, object.PartTooSmall:
			f.with("UploadId", c.query.Get("uploadId")).with("PartNumber", strconv.Itoa(e.Part))
		case object.WrongPosition:
			f.Header = append(f.Header, field{"x-oss-next-append-position", strconv.FormatInt(e.Size, 10)})
		}
		return f
	}
	if c.ctx.Err() == nil {
		c.h.Log.ErrorContext(c.ctx, "oss request", "request", c.id, "bucket", c.bucket, "key", c.key, "err", err)
	}
	return refuse(500, "InternalError", "We encountered an internal error. Please try again.")
}

// fail answers with an error.
func (c *call) fail(err error) {
	if c.written != 0 { // too late to say: the connection ends short of its Content-Length
		c.h.Log.WarnContext(c.ctx, "oss answer cut off", "request", c.id, "bucket", c.bucket, "key", c.key, "err", err)
		return
	}
	f := c.faultOf(err)
	c.failWith(f)
}

func (c *call) failWith(f *fault) {
	for _, h := range f.Header {
		c.set(h.Name, h.Value)
	}
	if f.EC != "" {
		c.set("x-oss-ec", f.EC)
	}
	if f.Status == http.StatusNotModified {
		c.start(f.Status)
		return
	}
	body := f.xml(c.id, c.r.Host)
	if c.r.Method == http.MethodHead {
		c.set("x-oss-err", base64.StdEncoding.EncodeToString(body))
		c.start(f.Status)
		return
	}
	c.set("Content-Type", "application/xml")
	c.set("Content-Length", strconv.Itoa(len(body)))
	c.start(f.Status)
	c.w.Write(body)
}

func (f *fault) xml(request, host string) []byte {
	type element struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	}
	doc := struct {
		XMLName xml.Name `xml:"Error"`
		Fields  []element
	}{}
	add := func(name, value string) {
		doc.Fields = append(doc.Fields, element{xml.Name{Local: name}, value})
	}
	add("Code", f.Code)
	add("Message", f.Message)
	add("RequestId", request)
	add("HostId", host)
	for _, x := range f.Fields {
		add(x.Name, x.Value)
	}
	if f.EC != "" {
		add("EC", f.EC)
	}
	body, _ := marshal(doc) // plain strings: cannot fail
	return body
}

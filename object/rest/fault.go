package rest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

// Fault is an error as clients are told of it.
type Fault struct {
	Status  int
	Code    string
	Message string
	Fields  []Field // in the error's document, after the common ones
	Header  []Field
}

// Field is a name and a text.
type Field struct{ Name, Value string }

// Error is the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Kind sorts the fault by its status.
func (f *Fault) Kind() sluice.Kind {
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

// With adds an element to the error's document.
func (f *Fault) With(name, value string) *Fault {
	f.Fields = append(f.Fields, Field{name, value})
	return f
}

// Refuse makes a fault.
func Refuse(status int, code, message string) *Fault {
	return &Fault{Status: status, Code: code, Message: message}
}

// Invalid is the answer to an argument that cannot be taken.
func Invalid(name, value, message string) *Fault {
	return Refuse(400, "InvalidArgument", message).With("ArgumentName", name).With("ArgumentValue", value)
}

// Denied is the answer to who may not do something.
func Denied(message string) *Fault { return Refuse(403, "AccessDenied", message) }

// Malformed is the answer to a document that is not as it should be.
func Malformed() *Fault {
	return Refuse(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
}

// NotImplemented is the answer to what sluice does not serve.
func NotImplemented(what string) *Fault {
	return Refuse(501, "NotImplemented", fmt.Sprintf("A header or query you provided implies functionality that is not implemented: %s", what)).
		With("Header", what)
}

// words are what clouds call the room's reasons.
var words = map[object.Reason]Fault{
	object.NoSuchBucket:    {Status: 404, Code: "NoSuchBucket", Message: "The specified bucket does not exist."},
	object.NoSuchKey:       {Status: 404, Code: "NoSuchKey", Message: "The specified key does not exist."},
	object.NoSuchUpload:    {Status: 404, Code: "NoSuchUpload", Message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	object.BucketExists:    {Status: 409, Code: "BucketAlreadyExists", Message: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	object.BucketNotEmpty:  {Status: 409, Code: "BucketNotEmpty", Message: "The bucket you tried to delete is not empty."},
	object.KeyExists:       {Status: 412, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold."},
	object.ConditionFailed: {Status: 412, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold."},
	object.BadDigest:       {Status: 400, Code: "BadDigest", Message: "The Content-MD5 you specified did not match what we received."},
	object.Incomplete:      {Status: 400, Code: "IncompleteBody", Message: "You did not provide the number of bytes specified by the Content-Length HTTP header."},
	object.TooLarge:        {Status: 400, Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed object size."},
	object.BadPart:         {Status: 400, Code: "InvalidPart", Message: "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag."},
	object.PartOrder:       {Status: 400, Code: "InvalidPartOrder", Message: "The list of parts was not in ascending order. Parts list must specified in order by part number."},
	object.PartTooSmall:    {Status: 400, Code: "EntityTooSmall", Message: "Your proposed upload smaller than the minimum allowed size."},
	object.NotAppendable:   {Status: 409, Code: "ObjectNotAppendable", Message: "The object is not appendable."},
	object.WrongPosition:   {Status: 409, Code: "PositionNotEqualToLength", Message: "Position is not equal to file length."},
	object.BadBucketName:   {Status: 400, Code: "InvalidBucketName", Message: "The specified bucket is not valid."},
	object.BadKey:          {Status: 400, Code: "KeyTooLongError", Message: "Your key is too long, or is not text in UTF-8."},
	object.NoSuchVersion:   {Status: 404, Code: "NoSuchVersion", Message: "The specified version does not exist."},
	object.IsMark:          {Status: 405, Code: "MethodNotAllowed", Message: "The specified method is not allowed against this resource."},
	object.NotOwned:        {Status: 403, Code: "AccessDenied", Message: "The bucket you access does not belong to you."},
}

// FaultOf words any error. What has no wording is InternalError, told to the log alone.
func (c *Call) FaultOf(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	var e *object.Error
	if errors.As(err, &e) {
		w, ok := c.Words[e.Reason]
		if !ok {
			w = words[e.Reason]
		}
		f = &w
		switch e.Reason {
		case object.NoSuchBucket, object.BucketExists, object.BucketNotEmpty, object.BadBucketName:
			f.With("BucketName", e.Bucket)
		case object.NoSuchKey, object.BadKey:
			f.With("Key", e.Key)
			if e.Version != "" && c.Versions {
				f.Header = append(f.Header, Field{c.Prefix + "delete-marker", "true"}, Field{c.Prefix + "version-id", e.Version})
			}
		case object.NoSuchVersion:
			if !object.IsVersion(e.Version) && e.Version != object.NullVersion {
				return Invalid("versionId", e.Version, "Invalid version id specified")
			}
			f.With("Key", e.Key).With("VersionId", e.Version)
		case object.IsMark:
			f.With("Method", c.R.Method).With("ResourceType", "DeleteMarker")
			f.Header = append(f.Header, Field{c.Prefix + "delete-marker", "true"}, Field{c.Prefix + "version-id", e.Version}, Field{"Allow", http.MethodDelete})
		case object.KeyExists, object.ConditionFailed:
			for _, name := range []string{"If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"} {
				for _, prefix := range []string{"", c.Prefix + "copy-source-"} {
					if c.Exact && len(f.Fields) == 0 && c.R.Header.Get(prefix+name) != "" {
						f.With("Condition", prefix+name)
					}
				}
			}
		case object.NoSuchUpload:
			f.With("UploadId", c.Query.Get("uploadId"))
		case object.BadPart, object.PartTooSmall:
			f.With("UploadId", c.Query.Get("uploadId")).With("PartNumber", strconv.Itoa(e.Part))
		case object.WrongPosition:
			f.Header = append(f.Header, Field{c.Prefix + "next-append-position", strconv.FormatInt(e.Size, 10)})
		}
		return f
	}
	if c.Ctx.Err() == nil {
		c.logger().ErrorContext(c.Ctx, c.Name+" request", "request", c.ID, "bucket", c.Bucket, "key", c.Key, "err", err)
	}
	return Refuse(500, "InternalError", "We encountered an internal error. Please try again.")
}

// Fail answers with an error.
func (c *Call) Fail(err error) {
	if c.Status != 0 { // too late to say: the connection ends short of its Content-Length
		c.logger().WarnContext(c.Ctx, c.Name+" answer cut off", "request", c.ID, "bucket", c.Bucket, "key", c.Key, "err", err)
		return
	}
	f := c.FaultOf(err)
	for _, h := range f.Header {
		c.Set(h.Name, h.Value)
	}
	var fields []Field
	if c.Explain != nil {
		fields = c.Explain(c, f)
	} else {
		fields = append([]Field{{"Code", f.Code}, {"Message", f.Message}}, f.Fields...)
		fields = append(fields, Field{"RequestId", c.ID})
	}
	switch {
	case f.Status == http.StatusNotModified:
		c.Begin(f.Status)
		return
	case c.Page && c.Rules:
		c.Send(f.Status, "text/html; charset=utf-8", errorPage(f.Status, fields))
		return
	}
	body, _ := marshal(Document("Error", fields), "") // plain strings: cannot fail
	if c.R.Method == http.MethodHead {
		if c.ErrorHeader != "" {
			c.Set(c.ErrorHeader, base64.StdEncoding.EncodeToString(body))
		}
		c.Begin(f.Status)
		return
	}
	c.Send(f.Status, "application/xml", body)
}

package lambda

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
)

// objectEvents are the names of what is done to objects, as S3's notifications spell them.
var objectEvents = map[object.Act]string{
	object.ByPut:        "ObjectCreated:Put",
	object.ByCopy:       "ObjectCreated:Copy",
	object.ByComplete:   "ObjectCreated:CompleteMultipartUpload",
	object.ByAppend:     "ObjectCreated:Put",
	object.ByDelete:     "ObjectRemoved:Delete",
	object.ByDeleteMany: "ObjectRemoved:Delete",
	object.ByMark:       "ObjectRemoved:DeleteMarkerCreated",
	object.ByExpiry:     "LifecycleExpiration:Delete",
	object.ByExpiryMark: "LifecycleExpiration:DeleteMarkerCreated",
}

// NewNotify makes what tells functions of objects: asynchronous calls of the queue. A bucket calls the
// functions of its own app; one that belongs to none calls all that ask for it.
func NewNotify(f *function.Functions, q *function.Queue) object.Notify {
	return func(tx kv.Txn, c *object.Change) (committed func(), err error) {
		event := objectEvents[c.Act]
		for v, o := range f.Watching(dialect, c.Bucket.App, c.Bucket.Name, "s3:"+event, c.Object.Key) {
			id := NewRequestID()
			q.PutWith(tx, sluice.Invocation{App: v.App, Function: v.Spec.Name, RequestID: id, Payload: objectEvent(v, o, event, id, c),
				Attrs: map[string]string{"arn": describe(v).ARN, "trace": newTrace()}})
			committed = q.Wake
		}
		return committed, nil
	}
}

type (
	s3Events struct {
		Records []s3Event
	}
	s3Event struct {
		Version    string            `json:"eventVersion"`
		Source     string            `json:"eventSource"`
		Region     string            `json:"awsRegion"`
		Time       string            `json:"eventTime"`
		Name       string            `json:"eventName"`
		User       s3Principal       `json:"userIdentity"`
		Parameters map[string]string `json:"requestParameters"`
		Response   map[string]string `json:"responseElements"`
		S3         s3Part            `json:"s3"`
	}
	s3Principal struct {
		ID string `json:"principalId"`
	}
	s3Part struct {
		Version string   `json:"s3SchemaVersion"`
		Rule    string   `json:"configurationId"`
		Bucket  s3Bucket `json:"bucket"`
		Object  s3Object `json:"object"`
	}
	s3Bucket struct {
		Name  string      `json:"name"`
		Owner s3Principal `json:"ownerIdentity"`
		ARN   string      `json:"arn"`
	}
	s3Object struct {
		Key       string `json:"key"`
		Size      *int64 `json:"size,omitempty"`
		ETag      string `json:"eTag,omitempty"`
		Sequencer string `json:"sequencer"`
	}
)

// objectEvent is what a function gets of an object. request stands for that of a change that came without
// one, from a deploy or the console.
func objectEvent(v *function.Version, o *sluice.ObjectEvents, event, request string, c *object.Change) []byte {
	who := s3Principal{cmp.Or(c.Who, "AWS:"+Account)}
	thing := s3Object{Key: strings.ReplaceAll(url.QueryEscape(c.Object.Key), "%2F", "/"), Sequencer: fmt.Sprintf("%018X", c.At.UnixNano())}
	if !c.Act.Removed() {
		thing.Size, thing.ETag = &c.Object.Size, c.Object.ETag
	}
	id := cmp.Or(c.Request, request)
	b, _ := json.Marshal(s3Events{[]s3Event{{ // texts and numbers always marshal
		Version: "2.1", Source: "aws:s3", Region: cmp.Or(v.Env["AWS_REGION"], DefaultRegion), Time: c.At.UTC().Format("2006-01-02T15:04:05.000Z"), Name: event, User: who,
		Parameters: map[string]string{"sourceIPAddress": cmp.Or(c.IP, "127.0.0.1")},
		Response:   map[string]string{"x-amz-request-id": id, "x-amz-id-2": id},
		S3: s3Part{Version: "1.0", Rule: cmp.Or(o.Name, string(v.Spec.Name)),
			Bucket: s3Bucket{c.Bucket.Name, s3Principal{Account}, "arn:aws:s3:::" + c.Bucket.Name}, Object: thing},
	}}})
	return b
}

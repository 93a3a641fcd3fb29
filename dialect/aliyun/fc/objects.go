package fc

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
)

// objectEvents are the names of what is done to objects, as oss triggers spell them.
var objectEvents = map[object.Act]string{
	object.ByPut:        "ObjectCreated:PutObject",
	object.ByCopy:       "ObjectCreated:CopyObject",
	object.ByComplete:   "ObjectCreated:CompleteMultipartUpload",
	object.ByAppend:     "ObjectCreated:AppendObject",
	object.ByDelete:     "ObjectRemoved:DeleteObject",
	object.ByDeleteMany: "ObjectRemoved:DeleteObjects",
	object.ByMark:       "ObjectRemoved:DeleteObject",
}

// NewNotify makes what fires oss triggers (section 3.14): asynchronous calls of the queue. A bucket calls
// the functions of its own app; one that belongs to none calls all that ask for it.
func NewNotify(f *function.Functions, q *function.Queue) object.Notify {
	return func(tx kv.Txn, c *object.Change) (committed func(), err error) {
		event := objectEvents[c.Act]
		for v, o := range f.Watching("aliyun", c.Bucket.App, c.Bucket.Name, "oss:"+event, c.Object.Key) {
			id := sluice.NewRequestID()
			q.PutWith(tx, sluice.Invocation{App: v.App, Function: v.Spec.Name, RequestID: id, Payload: objectEvent(v, o, event, id, c)})
			committed = q.Wake
		}
		return committed, nil
	}
}

type (
	ossEvents struct {
		Events []ossEvent `json:"events"`
	}
	ossEvent struct {
		Name       string            `json:"eventName"`
		Source     string            `json:"eventSource"`
		Time       string            `json:"eventTime"`
		Version    string            `json:"eventVersion"`
		OSS        ossPart           `json:"oss"`
		Region     string            `json:"region"`
		Parameters map[string]string `json:"requestParameters"`
		Response   map[string]string `json:"responseElements"`
		User       map[string]string `json:"userIdentity"`
	}
	ossPart struct {
		Bucket ossBucket `json:"bucket"`
		Object ossObject `json:"object"`
		Schema string    `json:"ossSchemaVersion"`
		Rule   string    `json:"ruleId"`
	}
	ossBucket struct {
		ARN     string `json:"arn"`
		Name    string `json:"name"`
		Owner   string `json:"ownerIdentity"`
		Virtual string `json:"virtualBucket"`
	}
	ossObject struct {
		Delta int64  `json:"deltaSize"`
		ETag  string `json:"eTag"`
		Key   string `json:"key"`
		Size  int64  `json:"size"`
	}
)

// objectEvent is what a function gets from its oss trigger. request stands for that of a change that came
// without one, from a deploy or the console.
func objectEvent(v *function.Version, o *sluice.ObjectEvents, event, request string, c *object.Change) []byte {
	where := cmp.Or(v.Env["FC_REGION"], region)
	size := c.Object.Size
	if c.Act.Removed() {
		size = 0
	}
	rule := sha1.Sum([]byte(string(v.Spec.Name) + "\x00" + o.Name))
	return plain(ossEvents{[]ossEvent{{
		Name: event, Source: "acs:oss", Time: c.At.UTC().Format("2006-01-02T15:04:05.000Z"), Version: "1.0",
		OSS: ossPart{
			Bucket: ossBucket{ARN: "acs:oss:" + where + ":" + Account + ":" + c.Bucket.Name, Name: c.Bucket.Name, Owner: Account},
			Object: ossObject{Delta: size - c.Was, ETag: strings.ToUpper(c.Object.ETag), Key: c.Object.Key, Size: size},
			Schema: "1.0", Rule: hex.EncodeToString(rule[:]),
		},
		Region:     where,
		Parameters: map[string]string{"sourceIPAddress": cmp.Or(c.IP, "127.0.0.1")},
		Response:   map[string]string{"requestId": cmp.Or(c.Request, request)},
		User:       map[string]string{"principalId": cmp.Or(c.Who, Account)},
	}}})
}

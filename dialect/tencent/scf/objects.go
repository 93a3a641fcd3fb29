package scf

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
)

// objectEvents are the names of what is done to objects, as cos triggers spell them.
var objectEvents = map[object.Act]string{
	object.ByPut:        "cos:ObjectCreated:Put",
	object.ByCopy:       "cos:ObjectCreated:Copy",
	object.ByComplete:   "cos:ObjectCreated:CompleteMultipartUpload",
	object.ByAppend:     "cos:ObjectCreated:Append",
	object.ByDelete:     "cos:ObjectRemove:Delete",
	object.ByDeleteMany: "cos:ObjectRemove:Delete",
	object.ByMark:       "cos:ObjectRemove:DeleteMarkerCreated",
}

// NewNotify makes what fires cos triggers (section 2.7): asynchronous calls of the queue. A bucket calls
// the functions of its own app; one that belongs to none calls all that ask for it.
func NewNotify(f *function.Functions, q *function.Queue) object.Notify {
	return func(tx kv.Txn, c *object.Change) (committed func(), err error) {
		event := objectEvents[c.Act]
		for v := range f.Watching(dialect, c.Bucket.App, c.Bucket.Name, event, c.Object.Key) {
			id := NewRequestID()
			q.PutWith(tx, sluice.Invocation{App: v.App, Function: v.Spec.Name, RequestID: id, Payload: objectEvent(v, event, id, c)})
			committed = q.Wake
		}
		return committed, nil
	}
}

type (
	cosRecords struct {
		Records []cosRecord
	}
	cosRecord struct {
		COS   cosPart  `json:"cos"`
		Event cosEvent `json:"event"`
	}
	cosPart struct {
		Schema       string    `json:"cosSchemaVersion"`
		Object       cosObject `json:"cosObject"`
		Bucket       cosBucket `json:"cosBucket"`
		Notification string    `json:"cosNotificationId"`
	}
	cosObject struct {
		URL     string            `json:"url"`
		Meta    map[string]string `json:"meta"`
		Version string            `json:"vid"`
		Key     string            `json:"key"`
		Size    int64             `json:"size"`
	}
	cosBucket struct {
		Region string `json:"region"`
		Name   string `json:"name"`
		AppID  string `json:"appid"`
	}
	cosEvent struct {
		Name       string    `json:"eventName"`
		Version    string    `json:"eventVersion"`
		Time       int64     `json:"eventTime"` // unix seconds
		Source     string    `json:"eventSource"`
		Parameters cosParams `json:"requestParameters"`
		Queue      string    `json:"eventQueue"`
		Reserved   string    `json:"reservedInfo"`
		Request    int64     `json:"reqid"`
	}
	cosParams struct {
		IP      string            `json:"requestSourceIP"`
		Headers map[string]string `json:"requestHeaders"`
	}
)

// objectEvent is what a function gets from its cos trigger. request stands for that of a change that came
// without one, from a deploy or the console.
func objectEvent(v *function.Version, event, request string, c *object.Change) []byte {
	region := cmp.Or(v.Env["TENCENTCLOUD_REGION"], DefaultRegion)
	short := apispec.ShortRegion(region)
	name, appID := c.Bucket.Name, AppID
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name, appID = name[:i], name[i+1:]
	}
	request = cmp.Or(c.Request, request)
	sum := sha256.Sum256([]byte(request)) // a number for what is a text
	meta := map[string]string{"x-cos-request-id": request, "Content-Type": c.Object.Header["Content-Type"]}
	for name, v := range c.Object.Meta {
		meta["x-cos-meta-"+name] = v
	}
	return plain(cosRecords{[]cosRecord{{
		COS: cosPart{
			Schema: "1.0",
			Object: cosObject{
				URL:  "http://" + c.Bucket.Name + ".cos." + region + ".myqcloud.com/" + c.Object.Key,
				Meta: meta, Key: "/" + appID + "/" + name + "/" + c.Object.Key, Size: c.Object.Size,
			},
			Bucket:       cosBucket{short, name, appID},
			Notification: "unkown", // as the cloud spells it
		},
		Event: cosEvent{
			Name: event, Version: "1.0", Time: c.At.Unix(), Source: "qcs::cos",
			Parameters: cosParams{cmp.Or(c.IP, "127.0.0.1"), map[string]string{}},
			Queue:      "qcs:0:scf:" + short + ":appid/" + AppID + ":" + Namespace(&v.Spec) + "." + Name(&v.Spec) + "." + Latest,
			Request:    int64(binary.BigEndian.Uint32(sum[:])),
		},
	}}})
}

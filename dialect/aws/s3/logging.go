package s3

import (
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/websocket/policy"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

type loggingXML struct {
	XMLName        xml.Name `xml:"BucketLoggingStatus"`
	LoggingEnabled *struct {
		TargetBucket string
		TargetPrefix string
		TargetGrants *struct {
			Content string `xml:",innerxml"`
		}
		TargetObjectKeyFormat *struct {
			SimplePrefix      *struct{}
			PartitionedPrefix *struct{ PartitionDateSource string }
		}
	}
}

// putLogging keeps where the bucket's access logs shall go. It has to be a place where S3 could write them;
// sluice's own log is what tells of requests.
func putLogging(c *rest.Call) error {
	var in loggingXML
	if err := c.Body(&in); err != nil {
		return err
	}
	to := in.LoggingEnabled
	if to == nil {
		return c.Done(c.SetDoc(logging.Name, nil), http.StatusOK)
	}
	if f := to.TargetObjectKeyFormat; f != nil && (f.SimplePrefix == nil) == (f.PartitionedPrefix == nil) {
		return rest.Malformed()
	} else if f != nil && f.PartitionedPrefix != nil && f.PartitionedPrefix.PartitionDateSource != "EventTime" && f.PartitionedPrefix.PartitionDateSource != "DeliveryTime" {
		return rest.Malformed()
	}
	refuse := func(why string) error {
		return rest.Refuse(400, "InvalidTargetBucketForLogging", why).With("TargetBucket", to.TargetBucket)
	}
	b, err := c.Objects.Bucket(c.Ctx, to.TargetBucket)
	switch {
	case object.ReasonOf(err) == object.NoSuchBucket:
		return refuse("The target bucket for logging does not exist")
	case err != nil:
		return err
	case b.App != c.B.App || !c.Owns(b):
		return refuse("The owner for the bucket to be logged and the target bucket must be the same.")
	case c.RegionOf(b) != c.RegionOf(c.B):
		return rest.Refuse(403, "CrossLocationLoggingProhibited", "Cross S3 location logging not allowed.").With("TargetBucketLocation", c.RegionOf(b))
	case !takesLogs(c, b, to.TargetPrefix):
		return refuse("You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket")
	}
	doc, err := xml.Marshal(in)
	if err == nil {
		err = c.SetDoc(logging.Name, doc)
	}
	return c.Done(err, http.StatusOK)
}

// takesLogs reports whether S3 itself may write keys with a prefix to a bucket, by its policy or its grants.
func takesLogs(c *rest.Call, b *object.Bucket, prefix string) bool {
	var given []string
	for _, g := range c.BucketGrants(b) {
		if g.URI == logDelivery {
			given = append(given, g.Permission)
		}
	}
	if has := strings.Join(given, " "); strings.Contains(has, "FULL_CONTROL") || strings.Contains(has, "WRITE") && strings.Contains(has, "READ_ACP") {
		return true
	}
	p, err := said(b.Docs[DocPolicy], "Service", "logging.s3.amazonaws.com")
	if p == nil || err != nil {
		return false
	}
	return p.Decide(policy.Request{Action: "s3:PutObject", Resource: "arn:aws:s3:::" + b.Name + "/" + prefix, Context: map[string]string{
		"aws:sourcearn": "arn:aws:s3:::" + c.Bucket, "aws:sourceaccount": account}}) == policy.Allow
}

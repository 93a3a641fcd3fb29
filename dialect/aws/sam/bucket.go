package sam

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
	"github.com/sluicehq/sluice/dialect/aws/s3"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// bucket makes a bucket.
func (b *builder) bucket(r *cfn.Resource) {
	p := b.props(r)
	name := b.physical(r)
	bk := sluice.Bucket{Name: name.Str(), At: r.At}
	if !name.Broken && !bucketName.MatchString(bk.Name) {
		b.fail(name.At, "use small letters, digits, - and ., 3 to 63", "bucket name %q is not valid", bk.Name)
	}
	switch acl := p.at("AccessControl").str(); acl {
	case "", "Private", "LogDeliveryWrite", "BucketOwnerRead", "BucketOwnerFullControl", "AwsExecRead":
	case "PublicRead":
		bk.ACL = "public-read"
	case "PublicReadWrite":
		bk.ACL = "public-read-write"
	default:
		b.t.Warn(p.at("AccessControl").place(), "AccessControl %s of bucket %q is not kept: it is private", acl, r.ID)
	}
	if w := p.at("WebsiteConfiguration"); !w.missing() {
		bk.Website = &sluice.Website{Index: w.at("IndexDocument").str(), Error: w.at("ErrorDocument").str(), SubDir: true, ErrorStatus: http.StatusNotFound}
	}
	bk.Docs = bucketDocs(p)
	for _, key := range []string{"ReplicationConfiguration", "LoggingConfiguration", "InventoryConfigurations"} {
		if w := p.at(key); !w.missing() {
			b.t.Warn(w.place(), "%s of bucket %q is not applied", key, r.ID)
		}
	}
	for _, o := range b.app.Buckets {
		if o.Name == bk.Name && !name.Broken {
			b.fail(r.At, "", "bucket %q has the name %q, as the one at %s has", r.ID, o.Name, o.At)
		}
	}
	b.app.Buckets = append(b.app.Buckets, bk)
	b.notifications(r, bk.Name, p.at("NotificationConfiguration"))
}

// notifications have functions called when objects of a bucket come and go.
func (b *builder) notifications(r *cfn.Resource, bucket string, w view) {
	for _, key := range []string{"QueueConfigurations", "TopicConfigurations"} {
		if x := w.at(key); !x.missing() {
			b.refuse(r, x.place(), "%s of bucket %q are for services that sluice does not run", key, r.ID)
		}
	}
	for _, c := range w.at("LambdaConfigurations").items() {
		fw := c.at("Function").need()
		f := b.function(fw.str())
		if f == nil {
			if !fw.broken() && fw.str() != "" {
				b.fail(fw.place(), "refer to it with !GetAtt", "a notification of bucket %q calls %q, which is no function of this template", r.ID, fw.str())
			}
			continue
		}
		ev := sluice.ObjectEvents{Bucket: bucket, Events: c.at("Event").need().strs()}
		for _, e := range ev.Events {
			if !strings.HasPrefix(e, "s3:") {
				b.fail(c.at("Event").place(), "s3:ObjectCreated:* is the usual one", "a notification of bucket %q is for event %q", r.ID, e)
			}
		}
		for _, rule := range c.at("Filter", "S3Key", "Rules").items() {
			switch name := strings.ToLower(rule.at("Name").str()); name {
			case "prefix":
				ev.Prefix = rule.at("Value").str()
			case "suffix":
				ev.Suffix = rule.at("Value").str()
			default:
				b.fail(rule.place(), "known are: prefix, suffix", "a filter of bucket %q is for %q", r.ID, name)
			}
		}
		same := func(o sluice.ObjectEvents) bool {
			return o.Bucket == ev.Bucket && o.Prefix == ev.Prefix && o.Suffix == ev.Suffix
		}
		if i := slices.IndexFunc(f.Objects, same); i >= 0 {
			f.Objects[i].Events = append(f.Objects[i].Events, ev.Events...)
			continue
		}
		f.Objects = append(f.Objects, ev)
	}
}

// bucketPolicy makes a bucket public that everybody may read. Other policies are permissions, which
// nothing here asks for.
func (b *builder) bucketPolicy(r *cfn.Resource) {
	p := b.props(r)
	name := p.at("Bucket").need().str()
	for i := range b.app.Buckets {
		bk := &b.app.Buckets[i]
		if bk.Name != name {
			continue
		}
		if doc := p.at("PolicyDocument").need(); doc.v.IsMap() {
			bk.Docs[s3.DocPolicy] = []byte(doc.v.JSON())
		}
		if bk.ACL != "" {
			continue
		}
		for _, s := range p.at("PolicyDocument", "Statement").items() {
			who := s.at("Principal")
			everybody := who.v != nil && who.v.Str() == "*" || who.v.IsMap() && slices.Contains(who.at("AWS").strs(), "*")
			reads := slices.ContainsFunc(s.at("Action").strs(), func(a string) bool { return a == "*" || a == "s3:*" || a == "s3:GetObject" || a == "s3:Get*" })
			if everybody && reads && s.at("Effect").str() == "Allow" && s.at("Condition").missing() {
				bk.ACL = "public-read"
			}
		}
	}
}

package sam

import (
	"encoding/xml"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/s3"
)

// document writes a bucket's setting as the API takes it: the properties of templates have other names
// and shapes than its XML.
type document struct{ strings.Builder }

// in writes an element with what inner writes; none when that is nothing and always is false.
func (d *document) in(name string, always bool, inner func()) {
	before := d.String()
	d.WriteString("<" + name + ">")
	start := d.Len()
	if inner(); d.Len() == start && !always {
		d.Reset()
		d.WriteString(before)
		return
	}
	d.WriteString("</" + name + ">")
}

// text writes an element for each of a property's values, if it is there.
func (d *document) text(name string, w view) {
	if w.missing() || w.broken() {
		return
	}
	for _, s := range w.strs() {
		d.WriteString("<" + name + ">")
		xml.EscapeText(d, []byte(s))
		d.WriteString("</" + name + ">")
	}
}

// texts writes properties whose elements have the same names.
func (d *document) texts(w view, names ...string) {
	for _, name := range names {
		d.text(name, w.at(name))
	}
}

// bucketDocs are the settings of a bucket that package s3 understands.
func bucketDocs(p view) map[string][]byte {
	docs := map[string][]byte{}
	put := func(name, root string, w view, inner func(d *document, w view)) {
		if w.missing() || w.broken() {
			return
		}
		var d document
		d.in(root, true, func() { inner(&d, w) })
		docs[name] = []byte(d.String())
	}
	put(s3.DocCORS, "CORSConfiguration", p.at("CorsConfiguration"), func(d *document, w view) {
		for _, r := range w.at("CorsRules").need().items() {
			d.in("CORSRule", true, func() {
				d.text("ID", r.at("Id"))
				d.text("AllowedOrigin", r.at("AllowedOrigins").need())
				d.text("AllowedMethod", r.at("AllowedMethods").need())
				d.text("AllowedHeader", r.at("AllowedHeaders"))
				d.text("ExposeHeader", r.at("ExposedHeaders"))
				d.text("MaxAgeSeconds", r.at("MaxAge"))
			})
		}
	})
	put(s3.DocWebsite, "WebsiteConfiguration", p.at("WebsiteConfiguration"), websiteDoc)
	put(s3.DocLifecycle, "LifecycleConfiguration", p.at("LifecycleConfiguration"), func(d *document, w view) {
		for _, r := range w.at("Rules").need().items() {
			d.in("Rule", true, func() { lifecycleRule(d, r) })
		}
	})
	put(s3.DocEncryption, "ServerSideEncryptionConfiguration", p.at("BucketEncryption"), func(d *document, w view) {
		for _, r := range w.at("ServerSideEncryptionConfiguration").need().items() {
			d.in("Rule", true, func() {
				d.in("ApplyServerSideEncryptionByDefault", false, func() { d.texts(r.at("ServerSideEncryptionByDefault"), "SSEAlgorithm", "KMSMasterKeyID") })
				d.texts(r, "BucketKeyEnabled")
			})
		}
	})
	put(s3.DocOwnership, "OwnershipControls", p.at("OwnershipControls"), func(d *document, w view) {
		for _, r := range w.at("Rules").need().items() {
			d.in("Rule", true, func() { d.texts(r, "ObjectOwnership") })
		}
	})
	put(s3.DocAccessBlock, "PublicAccessBlockConfiguration", p.at("PublicAccessBlockConfiguration"), func(d *document, w view) {
		d.texts(w, "BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
	})
	put(s3.DocTags, "Tagging", p.at("Tags"), func(d *document, w view) {
		d.in("TagSet", true, func() {
			for _, t := range w.items() {
				d.in("Tag", true, func() { d.texts(t, "Key", "Value") })
			}
		})
	})
	return docs
}

func websiteDoc(d *document, w view) {
	d.in("IndexDocument", false, func() { d.text("Suffix", w.at("IndexDocument")) })
	d.in("ErrorDocument", false, func() { d.text("Key", w.at("ErrorDocument")) })
	d.in("RedirectAllRequestsTo", false, func() { d.texts(w.at("RedirectAllRequestsTo"), "HostName", "Protocol") })
	d.in("RoutingRules", false, func() {
		for _, r := range w.at("RoutingRules").items() {
			d.in("RoutingRule", true, func() {
				d.in("Condition", false, func() { d.texts(r.at("RoutingRuleCondition"), "KeyPrefixEquals", "HttpErrorCodeReturnedEquals") })
				d.in("Redirect", true, func() {
					d.texts(r.at("RedirectRule").need(), "HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith")
				})
			})
		}
	})
}

func lifecycleRule(d *document, r view) {
	d.text("ID", r.at("Id"))
	d.in("Filter", true, func() {
		filter := func() {
			d.texts(r, "Prefix")
			for _, t := range r.at("TagFilters").items() {
				d.in("Tag", true, func() { d.texts(t, "Key", "Value") })
			}
			d.texts(r, "ObjectSizeGreaterThan", "ObjectSizeLessThan")
		}
		parts := len(r.at("TagFilters").items())
		for _, key := range []string{"Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan"} {
			if !r.at(key).missing() {
				parts++
			}
		}
		if parts > 1 {
			d.in("And", true, filter)
		} else {
			filter()
		}
	})
	d.text("Status", r.at("Status").need())
	d.in("Expiration", false, func() {
		d.text("Days", r.at("ExpirationInDays"))
		d.text("Date", r.at("ExpirationDate"))
		d.texts(r, "ExpiredObjectDeleteMarker")
	})
	d.in("NoncurrentVersionExpiration", false, func() {
		d.text("NoncurrentDays", r.at("NoncurrentVersionExpirationInDays"))
		d.texts(r.at("NoncurrentVersionExpiration"), "NoncurrentDays", "NewerNoncurrentVersions")
	})
	for _, t := range append(r.at("Transitions").items(), r.at("Transition")) {
		d.in("Transition", false, func() {
			d.text("Days", t.at("TransitionInDays"))
			d.text("Date", t.at("TransitionDate"))
			d.texts(t, "StorageClass")
		})
	}
	d.in("AbortIncompleteMultipartUpload", false, func() { d.texts(r.at("AbortIncompleteMultipartUpload"), "DaysAfterInitiation") })
}

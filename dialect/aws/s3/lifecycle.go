package s3

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

type lifecycleXML struct {
	XMLName xml.Name      `xml:"LifecycleConfiguration"`
	Rule    []ruleContent `xml:"Rule"`
}

// ruleContent is a rule as it came: it is told again as it is.
type ruleContent struct {
	Content string `xml:",innerxml"`
}

type lifecycleRule struct {
	ID     string
	Status string
	Prefix *string
	Filter *struct {
		lifecycleFilter
		And *lifecycleFilter
	}
	Expiration *struct {
		Days                      *int
		Date                      string
		ExpiredObjectDeleteMarker string
	}
	NoncurrentVersionExpiration *struct {
		NoncurrentDays          int
		NewerNoncurrentVersions int
	}
	AbortIncompleteMultipartUpload *struct{ DaysAfterInitiation int }
	Transition                     []struct {
		Days         *int
		Date         string
		StorageClass string
	}
}

// lifecycleFilter says which objects a rule is about: those of which all holds.
type lifecycleFilter struct {
	Prefix                string
	Tag                   []tagXML
	ObjectSizeGreaterThan *int64
	ObjectSizeLessThan    *int64
}

func (f *lifecycleFilter) match(o *object.Object) bool {
	if f.ObjectSizeGreaterThan != nil && o.Size <= *f.ObjectSizeGreaterThan || f.ObjectSizeLessThan != nil && o.Size >= *f.ObjectSizeLessThan {
		return false
	}
	if len(f.Tag) == 0 {
		return true
	}
	has, _ := url.ParseQuery(o.Docs[docTags]) // what is no tag is none
	return !slices.ContainsFunc(f.Tag, func(t tagXML) bool { return !slices.Contains(has[t.Key], t.Value) })
}

// lifecycleRules reads the rules of a bucket that are followed: those that end something. What cannot be read,
// a template's mistake, ends nothing.
func lifecycleRules(now func() time.Time) func(doc []byte) []object.Rule {
	return func(doc []byte) (list []object.Rule) {
		var in struct {
			Rule []lifecycleRule
		}
		if xml.Unmarshal(doc, &in) != nil {
			return nil
		}
		for i := range in.Rule {
			r := &in.Rule[i]
			if r.Status != "Enabled" || r.check() != nil {
				continue
			}
			var f lifecycleFilter
			if r.Prefix != nil {
				f.Prefix = *r.Prefix
			}
			if r.Filter != nil {
				f = r.Filter.lifecycleFilter
				if r.Filter.And != nil {
					f = *r.Filter.And
				}
			}
			out := object.Rule{ID: r.ID, Prefix: f.Prefix, Match: func(o *object.Object, forGood bool) bool {
				return f.match(o) && !(forGood && held(now(), o))
			}}
			if e := r.Expiration; e != nil {
				if e.Days != nil {
					out.Days = *e.Days
				}
				out.Date, _ = time.Parse(time.RFC3339, e.Date) // checked; "" is never
				out.Markers = e.ExpiredObjectDeleteMarker == "true"
			}
			if e := r.NoncurrentVersionExpiration; e != nil {
				out.OlderDays, out.KeepOlder = e.NoncurrentDays, e.NewerNoncurrentVersions
			}
			if e := r.AbortIncompleteMultipartUpload; e != nil {
				out.UploadsDays = e.DaysAfterInitiation
			}
			if out.Days > 0 || !out.Date.IsZero() || out.Markers || out.OlderDays > 0 || out.UploadsDays > 0 {
				list = append(list, out)
			}
		}
		return list
	}
}

// tellExpiration sets the header that says when an object will end, and by which rule.
func tellExpiration(c *rest.Call, o *object.Object) {
	doc := c.Doc(c.B, lifecycle.Name)
	if doc == nil || c.Query.Has("versionId") {
		return
	}
	var first time.Time
	var id string
	for _, r := range lifecycleRules(func() time.Time { return c.Began })(doc) {
		if ends := r.Ends(o); !ends.IsZero() && (first.IsZero() || ends.Before(first)) {
			first, id = ends, r.ID
		}
	}
	if !first.IsZero() {
		c.Set("x-amz-expiration", `expiry-date="`+first.UTC().Format(http.TimeFormat)+`", rule-id="`+rest.Escape(id, false)+`"`)
	}
}

// putLifecycle keeps the rules by which objects end: see lifecycleRules. There are no other classes of storage
// for objects to go to.
func putLifecycle(c *rest.Call) error {
	var in lifecycleXML
	if err := c.Body(&in); err != nil {
		return err
	}
	if len(in.Rule) == 0 || len(in.Rule) > 1000 {
		return rest.Malformed()
	}
	seen := map[string]bool{}
	for i := range in.Rule {
		var r lifecycleRule
		if xml.Unmarshal([]byte("<Rule>"+in.Rule[i].Content+"</Rule>"), &r) != nil {
			return rest.Malformed()
		}
		if err := r.check(); err != nil {
			return err
		}
		if r.ID == "" {
			raw := make([]byte, 16)
			rand.Read(raw)
			r.ID = hex.EncodeToString(raw)
			in.Rule[i].Content = "<ID>" + r.ID + "</ID>" + strings.NewReplacer("<ID></ID>", "", "<ID/>", "").Replace(in.Rule[i].Content)
		}
		if seen[r.ID] {
			return rest.Invalid("ID", r.ID, "Rule ID must be unique. Found same ID for more than one rule")
		}
		seen[r.ID] = true
	}
	doc, err := xml.Marshal(in)
	if err == nil {
		err = c.SetDoc(lifecycle.Name, doc)
	}
	return c.Done(err, http.StatusOK)
}

func (r *lifecycleRule) check() error {
	switch {
	case len(r.ID) > 255:
		return rest.Invalid("ID", r.ID, "ID length should not exceed allowed limit of 255")
	case r.Status != "Enabled" && r.Status != "Disabled", r.Prefix == nil && r.Filter == nil:
		return rest.Malformed()
	case r.AbortIncompleteMultipartUpload != nil && r.AbortIncompleteMultipartUpload.DaysAfterInitiation < 1:
		return rest.Invalid("DaysAfterInitiation", "", "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
	case r.NoncurrentVersionExpiration != nil && r.NoncurrentVersionExpiration.NoncurrentDays < 1:
		return rest.Invalid("NoncurrentDays", "", "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer")
	}
	if e := r.Expiration; e != nil {
		if e.Days != nil && *e.Days < 1 {
			return rest.Invalid("Days", "", "'Days' for Expiration action must be a positive integer")
		}
		if e.Date != "" && !midnight(e.Date) {
			return rest.Malformed()
		}
	}
	for _, t := range r.Transition {
		if t.Date != "" && !midnight(t.Date) {
			return rest.Malformed()
		}
	}
	return nil
}

// midnight reports whether a text is the beginning of a day.
func midnight(text string) bool {
	t, err := time.Parse(time.RFC3339, text)
	return err == nil && t.Equal(t.Truncate(24*time.Hour))
}

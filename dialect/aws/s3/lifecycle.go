package s3

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strings"
	"time"

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
	ID         string
	Status     string
	Prefix     *string
	Filter     *struct{}
	Expiration *struct {
		Days                      *int
		Date                      string
		ExpiredObjectDeleteMarker string
	}
	NoncurrentVersionExpiration *struct{ NoncurrentDays int }
	Transition                  []struct {
		Days         *int
		Date         string
		StorageClass string
	}
}

// putLifecycle keeps the rules by which objects shall end. sluice tells them again; it does not follow them.
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

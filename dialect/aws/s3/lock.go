package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// The names, among an object's Docs, of what keeps a version from being removed.
const (
	docLockMode  = "x-amz-object-lock-mode"
	docLockUntil = "x-amz-object-lock-retain-until-date"
	docLegalHold = "x-amz-object-lock-legal-hold"
)

type lockXML struct {
	XMLName           xml.Name `xml:"ObjectLockConfiguration"`
	ObjectLockEnabled string
	Rule              *struct {
		DefaultRetention struct {
			Mode  string
			Days  *int `xml:",omitempty"`
			Years *int `xml:",omitempty"`
		}
	} `xml:",omitempty"`
}

type retentionXML struct {
	XMLName         xml.Name `xml:"Retention"`
	Mode            string
	RetainUntilDate string
}

func badState(message string) error { return rest.Refuse(409, "InvalidBucketState", message) }

func lockMode(mode string) bool { return mode == "GOVERNANCE" || mode == "COMPLIANCE" }

// create reads what a request says of a bucket besides its name and access rule.
func create(c *rest.Call, b *object.Bucket) (err error) {
	if b.Region, err = place(c, b.Region); err != nil {
		return err
	}
	if strings.EqualFold(c.Header("bucket-object-lock-enabled"), "true") {
		b.Versions = object.VersionsOn
		b.Docs["s3."+lock.Name] = []byte(empty("ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"))
	}
	if how := c.Header("object-ownership"); how != "" {
		doc := []byte("<OwnershipControls><Rule><ObjectOwnership>" + how + "</ObjectOwnership></Rule></OwnershipControls>")
		if err := checkOwnership(doc); err != nil {
			return err
		}
		b.Docs[DocOwnership] = doc
		if enforced(b) && b.ACL != "" {
			return rest.Refuse(400, "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
		}
	}
	return nil
}

// versioned refuses to stop keeping versions that may be locked.
func versioned(c *rest.Call, how string) error {
	if how == object.VersionsSuspended && c.Doc(c.B, lock.Name) != nil {
		return badState("An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	}
	return nil
}

func putLock(c *rest.Call) error {
	var in lockXML
	if c.R.ContentLength == 0 {
		return rest.Refuse(400, "MissingRequestBodyError", "Request Body is empty")
	}
	if err := c.Body(&in); err != nil {
		return err
	}
	if in.ObjectLockEnabled != "Enabled" {
		return rest.Malformed()
	}
	if in.Rule != nil {
		d := in.Rule.DefaultRetention
		if !lockMode(d.Mode) || (d.Days == nil) == (d.Years == nil) {
			return rest.Malformed()
		}
		if d.Days != nil && (*d.Days < 1 || *d.Days > 36500) || d.Years != nil && (*d.Years < 1 || *d.Years > 100) {
			return rest.Refuse(400, "InvalidRetentionPeriod", "Default retention period must be a positive integer value.")
		}
	}
	if c.B.Versions != object.VersionsOn {
		return badState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	doc, err := xml.Marshal(in)
	if err == nil {
		err = c.SetDoc(lock.Name, doc)
	}
	return c.Done(err, http.StatusOK)
}

// locked reads the bucket's lock configuration; nil when it has none.
func locked(c *rest.Call) (*lockXML, error) {
	doc := c.Doc(c.B, lock.Name)
	if doc == nil {
		return nil, nil
	}
	out := new(lockXML)
	return out, xml.Unmarshal(doc, out)
}

// needLock refuses when the bucket has no lock configuration.
func needLock(c *rest.Call) error {
	if c.Doc(c.B, lock.Name) == nil {
		return rest.Refuse(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
	}
	return nil
}

// lockDocs reads what a request that writes an object says of its lock, or the bucket's own rule.
func lockDocs(c *rest.Call, docs map[string]string) error {
	now := c.Began
	mode, until, hold := c.Header("object-lock-mode"), c.Header("object-lock-retain-until-date"), c.Header("object-lock-legal-hold")
	if mode == "" && until == "" && hold == "" {
		conf, err := locked(c)
		if err != nil || conf == nil || conf.Rule == nil {
			return err
		}
		d := conf.Rule.DefaultRetention
		end := now
		if d.Days != nil {
			end = end.AddDate(0, 0, *d.Days)
		} else if d.Years != nil {
			end = end.AddDate(*d.Years, 0, 0)
		}
		docs[docLockMode], docs[docLockUntil] = d.Mode, rest.Stamp(end)
		return nil
	}
	if err := needLock(c); err != nil {
		return err
	}
	if (mode == "") != (until == "") {
		return rest.Invalid(docLockMode, mode, "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if mode != "" {
		if !lockMode(mode) {
			return rest.Invalid(docLockMode, mode, "Unknown wormMode directive")
		}
		end, err := time.Parse(time.RFC3339, until)
		if err != nil || !end.After(now) {
			return rest.Invalid(docLockUntil, until, "The retain until date must be in the future!")
		}
		docs[docLockMode], docs[docLockUntil] = mode, rest.Stamp(end)
	}
	switch hold {
	case "":
	case "ON", "OFF":
		docs[docLegalHold] = hold
	default:
		return rest.Invalid(docLegalHold, hold, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	return nil
}

// setDocs changes some of an object's Docs, each to a text or, if that is "", to none.
func setDocs(o *object.Object, set map[string]string) {
	docs := maps.Clone(o.Docs)
	if docs == nil {
		docs = map[string]string{}
	}
	for name, v := range set {
		if docs[name] = v; v == "" {
			delete(docs, name)
		}
	}
	o.Docs = docs
}

var errLocked = rest.Denied("Access Denied because object protected by object lock.")

// retained reports whether an object may not be removed, nor its retention be shortened, by this request.
func retained(c *rest.Call, o *object.Object) bool {
	end, err := time.Parse(time.RFC3339, o.Docs[docLockUntil])
	if err != nil || !end.After(c.Began) {
		return false
	}
	return o.Docs[docLockMode] == "COMPLIANCE" || !strings.EqualFold(c.Header("bypass-governance-retention"), "true") || !c.Owns(c.B)
}

// held reports whether a version may not be removed, whoever asks.
func held(now time.Time, o *object.Object) bool {
	end, err := time.Parse(time.RFC3339, o.Docs[docLockUntil])
	return o.Docs[docLegalHold] == "ON" || err == nil && end.After(now)
}

func putRetention(c *rest.Call) error {
	var in retentionXML
	if err := c.Body(&in); err != nil {
		return err
	}
	if err := needLock(c); err != nil {
		return err
	}
	end, err := time.Parse(time.RFC3339, in.RetainUntilDate)
	if in.Mode == "" && in.RetainUntilDate == "" {
		err = nil
	} else if !lockMode(in.Mode) || err != nil {
		return rest.Malformed()
	} else if !end.After(c.Began) {
		return rest.Invalid("RetainUntilDate", in.RetainUntilDate, "The retain until date must be in the future!")
	}
	_, err = c.AlterObject(func(o *object.Object) error {
		if was, err := time.Parse(time.RFC3339, o.Docs[docLockUntil]); err == nil && retained(c, o) &&
			(end.Before(was) || in.Mode != o.Docs[docLockMode]) {
			return errLocked
		}
		until := ""
		if in.Mode != "" {
			until = rest.Stamp(end)
		}
		setDocs(o, map[string]string{docLockMode: in.Mode, docLockUntil: until})
		return nil
	})
	return c.Done(err, http.StatusOK)
}

func getRetention(c *rest.Call) error {
	if err := needLock(c); err != nil {
		return err
	}
	o, err := c.Head()
	if err != nil {
		return err
	}
	if o.Docs[docLockMode] == "" {
		return noLock()
	}
	return c.Answer(retentionXML{Mode: o.Docs[docLockMode], RetainUntilDate: o.Docs[docLockUntil]})
}

func noLock() error {
	return rest.Refuse(404, "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
}

type holdXML struct {
	XMLName xml.Name `xml:"LegalHold"`
	Status  string
}

func putHold(c *rest.Call) error {
	var in holdXML
	if err := c.Body(&in); err != nil {
		return err
	}
	if err := needLock(c); err != nil {
		return err
	}
	if in.Status != "ON" && in.Status != "OFF" {
		return rest.Malformed()
	}
	_, err := c.AlterObject(func(o *object.Object) error {
		setDocs(o, map[string]string{docLegalHold: in.Status})
		return nil
	})
	return c.Done(err, http.StatusOK)
}

func getHold(c *rest.Call) error {
	if err := needLock(c); err != nil {
		return err
	}
	o, err := c.Head()
	if err != nil {
		return err
	}
	if o.Docs[docLegalHold] == "" {
		return noLock()
	}
	return c.Answer(holdXML{Status: o.Docs[docLegalHold]})
}

// removable refuses to remove a version that is locked, or an object of which something else is asked.
func removable(c *rest.Call, o *object.Object, version string, cond rest.Removal) error {
	if o == nil {
		if cond.ETag != "" {
			return &object.Error{Reason: object.NoSuchKey, Bucket: c.Bucket, Key: c.Key}
		}
		return nil
	}
	if version != "" && (o.Docs[docLegalHold] == "ON" || retained(c, o)) {
		return errLocked
	}
	fails := cond.ETag != "" && cond.ETag != "*" && strings.Trim(cond.ETag, `"`) != o.ETag ||
		cond.Size != "" && cond.Size != strconv.FormatInt(o.Size, 10)
	if cond.Modified != "" {
		at, err := http.ParseTime(cond.Modified)
		if err != nil {
			at, err = time.Parse(time.RFC3339, cond.Modified)
		}
		fails = fails || err != nil || !at.Equal(o.Modified.Truncate(time.Second))
	}
	if fails {
		return &object.Error{Reason: object.ConditionFailed}
	}
	return nil
}

// enforced reports whether access rules of the bucket and its objects are off.
func enforced(b *object.Bucket) bool {
	return strings.Contains(string(b.Docs[DocOwnership]), ">BucketOwnerEnforced<")
}

// refuseRule refuses an access rule where there are none, unless it says what holds anyway.
func refuseRule(c *rest.Call) error {
	if !enforced(c.B) {
		return nil
	}
	given := strings.Replace(c.Header("acl"), "bucket-owner-full-control", "", 1)
	for name := range c.R.Header {
		if strings.HasPrefix(lower(name), c.Prefix+"grant-") {
			given = name
		}
	}
	if c.Sub == "acl" && c.R.ContentLength != 0 {
		given = c.Sub
	}
	if given == "" {
		return nil
	}
	return rest.Refuse(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
}

func putGrants(c *rest.Call) error {
	if err := refuseRule(c); err != nil {
		return err
	}
	return c.PutGrants()
}

// putOwnership keeps who owns objects; a bucket that everybody may use by its access rule cannot be without rules.
func putOwnership(c *rest.Call) error {
	body, err := io.ReadAll(io.LimitReader(c.R.Body, 64<<10))
	if err != nil {
		return err
	}
	c.R.Body = io.NopCloser(bytes.NewReader(body))
	if enforced(&object.Bucket{Docs: map[string][]byte{DocOwnership: body}}) && c.B.ACL != object.Private {
		return rest.Refuse(400, "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	}
	return ownership.Put(c)
}

func checkOwnership(doc []byte) error {
	var in struct {
		XMLName xml.Name `xml:"OwnershipControls"`
		Rule    []struct{ ObjectOwnership string }
	}
	if xml.Unmarshal(doc, &in) != nil || len(in.Rule) != 1 {
		return rest.Malformed()
	}
	switch in.Rule[0].ObjectOwnership {
	case "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter":
		return nil
	}
	return rest.Malformed()
}

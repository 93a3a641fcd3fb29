package s3

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

const (
	namespace   = "http://s3.amazonaws.com/doc/2006-03-01/"
	groups      = "http://acs.amazonaws.com"
	logDelivery = groups + "/groups/s3/LogDelivery" // who writes access logs
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// words is how S3 differs.
func (h *Handler) words() rest.Front {
	return rest.Front{
		Objects: h.Objects, Log: h.Log, Name: "s3", Prefix: "x-amz-", Server: "AmazonS3", Namespace: namespace, Storage: "STANDARD",
		Home: DefaultRegion, ObjectACL: "acl", Clamp: true, Slashes: true, MaxKeys: 1000, MinPart: 5 << 20, Rules: true, Versions: true, Apart: true, Exact: true, Groups: groups, Parts: true, Names: bucketName,
		Service: serviceOps, Buckets: bucketOps, Keys: objectOps, Subs: subResources,
		NewID: newID, Identify: h.identify, Region: region, Again: again, CheckKey: checkKey, ACL: cannedACL, Type: contentType, Public: public,
		Input: input, Complete: complete, Stored: stored, Described: described, Explain: explain,
		Inherit: inherit, Sums: sums, Create: create, Grantee: grantee, Closed: closed, Versioned: versioned, Removable: removable, Signer: h.signer,
		Framed: framed, Seal: seal, Opened: opened, Words: faults,
		Start: func(c *rest.Call) {
			c.Set("x-amz-id-2", hostID(c.ID))
		},
	}
}

var serviceOps = map[string]rest.Operation{
	"GET": {Run: listBuckets, Need: rest.Signed},
}

var bucketOps = map[string]rest.Operation{
	"PUT":                      {Run: (*rest.Call).CreateBucket, Need: rest.Creator},
	"PUT accelerate":           {Run: accelerate.Put},
	"PUT acl":                  {Run: putGrants},
	"PUT cors":                 {Run: (*rest.Call).PutCORS},
	"PUT encryption":           {Run: encryption.Put},
	"PUT ownershipControls":    {Run: putOwnership},
	"PUT policy":               {Run: putPolicy},
	"PUT publicAccessBlock":    {Run: accessBlock.Put},
	"PUT requestPayment":       {Run: putPayer},
	"PUT tagging":              {Run: putBucketTags},
	"PUT versioning":           {Run: (*rest.Call).PutVersioning},
	"PUT lifecycle":            {Run: putLifecycle},
	"PUT logging":              {Run: putLogging},
	"PUT notification":         {Run: putNotification},
	"PUT replication":          {Run: unserved},
	"PUT analytics":            {Run: unserved},
	"PUT intelligent-tiering":  {Run: unserved},
	"PUT inventory":            {Run: unserved},
	"PUT metrics":              {Run: unserved},
	"GET analytics":            {Run: noConfigs("ListBucketAnalyticsConfigurationResult")},
	"GET intelligent-tiering":  {Run: noConfigs("ListBucketIntelligentTieringConfigurationsOutput")},
	"GET inventory":            {Run: noConfigs("ListInventoryConfigurationsResult")},
	"GET metrics":              {Run: noConfigs("ListMetricsConfigurationsResult")},
	"PUT object-lock":          {Run: putLock},
	"POST":                     {Run: (*rest.Call).PostForm, Need: rest.Anyone},
	"PUT website":              {Run: (*rest.Call).PutWebsite},
	"GET":                      {Run: (*rest.Call).ListObjects, Need: rest.Lister},
	"GET accelerate":           {Run: accelerate.Get},
	"GET acl":                  {Run: (*rest.Call).GetGrants},
	"GET cors":                 {Run: getCORS},
	"GET encryption":           {Run: encryption.Get},
	"GET lifecycle":            {Run: lifecycle.Get},
	"GET location":             {Run: getLocation},
	"GET logging":              {Run: logging.Get},
	"GET notification":         {Run: notification.Get},
	"GET object-lock":          {Run: lock.Get},
	"GET ownershipControls":    {Run: ownership.Get},
	"GET policy":               {Run: bucketPolicy.Get},
	"GET policyStatus":         {Run: policyStatus},
	"GET publicAccessBlock":    {Run: accessBlock.Get},
	"GET replication":          {Run: replication.Get},
	"GET requestPayment":       {Run: payment.Get},
	"GET tagging":              {Run: tags.Get},
	"GET uploads":              {Run: (*rest.Call).ListUploads},
	"GET versioning":           {Run: (*rest.Call).GetVersioning},
	"GET versions":             {Run: (*rest.Call).ListVersions, Need: rest.Lister},
	"GET website":              {Run: (*rest.Call).GetWebsite},
	"HEAD":                     {Run: headBucket, Need: rest.Lister},
	"DELETE":                   {Run: deleteBucket},
	"DELETE cors":              {Run: (*rest.Call).DeleteCORS},
	"DELETE encryption":        {Run: encryption.Delete},
	"DELETE lifecycle":         {Run: lifecycle.Delete},
	"DELETE ownershipControls": {Run: ownership.Delete},
	"DELETE policy":            {Run: bucketPolicy.Delete},
	"DELETE publicAccessBlock": {Run: accessBlock.Delete},
	"DELETE replication":       {Run: replication.Delete},
	"DELETE tagging":           {Run: tags.Delete},
	"DELETE website":           {Run: (*rest.Call).DeleteWebsite},
	"POST delete":              {Run: (*rest.Call).DeleteMany, Need: rest.Writer},
}

var objectOps = map[string]rest.Operation{
	"PUT":             {Run: putObject, Need: rest.Writer},
	"PUT acl":         {Run: putGrants},
	"PUT tagging":     {Run: putTags},
	"PUT retention":   {Run: putRetention},
	"PUT legal-hold":  {Run: putHold},
	"GET retention":   {Run: getRetention},
	"GET legal-hold":  {Run: getHold},
	"GET attributes":  {Run: getAttributes, Need: rest.Reader},
	"PUT uploadId":    {Run: putPart, Need: rest.Writer},
	"GET":             {Run: getObject, Need: rest.Reader},
	"GET acl":         {Run: (*rest.Call).GetGrants},
	"GET tagging":     {Run: getTags},
	"GET uploadId":    {Run: (*rest.Call).ListParts},
	"HEAD":            {Run: getObject, Need: rest.Reader},
	"DELETE":          {Run: (*rest.Call).DeleteObject, Need: rest.Writer},
	"DELETE tagging":  {Run: deleteTags},
	"DELETE uploadId": {Run: (*rest.Call).AbortUpload},
	"POST uploads":    {Run: (*rest.Call).BeginUpload, Need: rest.Writer},
	"POST uploadId":   {Run: (*rest.Call).CompleteUpload, Need: rest.Writer},
}

// subResources change what a request means. We serve those of the tables above.
var subResources = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold",
	"lifecycle", "location", "logging", "metrics", "notification", "object-lock", "ownershipControls", "policy", "policyStatus",
	"publicAccessBlock", "replication", "requestPayment", "restore", "retention", "select", "tagging", "torrent", "uploadId", "uploads",
	"versioning", "versions", "website",
}

// faults are the reasons that S3 words its own way.
var faults = map[object.Reason]rest.Fault{
	object.KeyExists:       {Status: 412, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold"},
	object.ConditionFailed: {Status: 412, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold"},
}

func newID() string {
	raw := make([]byte, 8)
	rand.Read(raw)
	return strings.ToUpper(hex.EncodeToString(raw))
}

// hostID is the longer id of an answer, which names its server: ours have the same.
func hostID(request string) string {
	return base64.StdEncoding.EncodeToString([]byte("sluice " + request))
}

// regionName is how AWS names its regions.
var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)

// region is what a request says of where its bucket shall be; see place.
func region(_ *rest.Call, constraint string) string { return constraint }

// place is the region of a bucket to be made. The endpoint of the default region makes buckets everywhere and
// its own without a word; those of others, told by the signature, only their own, by name.
func place(c *rest.Call, constraint string) (string, error) {
	want, endpoint := constraint, cmp.Or(c.Who.Region, DefaultRegion)
	if want == "EU" {
		want = "eu-west-1"
	}
	switch {
	case endpoint != DefaultRegion && want != endpoint:
		return "", rest.Refuse(400, "IllegalLocationConstraintException", "The "+cmp.Or(constraint, "unspecified")+
			" location constraint is incompatible for the region specific endpoint this request was sent to.")
	case endpoint != DefaultRegion:
	case want == "":
		return DefaultRegion, nil
	case want == DefaultRegion || !regionName.MatchString(want):
		return "", rest.Refuse(400, "InvalidLocationConstraint", "The specified location-constraint is not valid").With("LocationConstraint", constraint)
	}
	return want, nil
}

// again answers who makes a bucket of theirs once more.
func again(c *rest.Call) error {
	if c.Who.Region == "" || c.Who.Region == DefaultRegion {
		return nil
	}
	return rest.Refuse(409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.").
		With("BucketName", c.Bucket)
}

// cannedACL reads the rules that are for others than everybody: what they add to a private object is for
// AWS's own accounts.
func cannedACL(value string) (string, bool) {
	switch value {
	case object.SignedRead:
		return value, true
	case "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control", "log-delivery-write":
		return object.Private, true
	}
	return "", false
}

// canonical is how ids of users look: AWS's own, and ours, which are names of apps.
var canonical = regexp.MustCompile(`^([0-9a-f]{64}|[a-z0-9][a-z0-9-]*)$`)

// grantee refuses grants to who is nobody.
func grantee(g rest.Grant) error {
	switch {
	case g.Email != "":
		return rest.Refuse(400, "UnresolvableGrantByEmailAddress", "The e-mail address you provided does not match any account on record.")
	case g.ID != "" && !canonical.MatchString(g.ID):
		return rest.Invalid("CanonicalUser/ID", g.ID, "Invalid id")
	case g.ID == "" && g.URI != groups+"/groups/global/AllUsers" && g.URI != groups+"/groups/global/AuthenticatedUsers" && g.URI != logDelivery:
		return rest.Invalid("Group/URI", g.URI, "Invalid group uri")
	}
	return nil
}

func contentType(string) string { return "binary/octet-stream" }

func input(c *rest.Call, in *object.PutInput) error {
	if err := refuseRule(c); err != nil {
		return err
	}
	for name, v := range in.Meta {
		in.Meta[name] = encodeMeta(v)
	}
	if c.Header("write-offset-bytes") != "" {
		return rest.NotImplemented(c.Prefix + "write-offset-bytes")
	}
	cond, err := condition(c)
	if err != nil {
		return err
	}
	in.Condition = cond
	if to := c.Header("website-redirect-location"); to != "" {
		in.Docs[c.RedirectDoc()] = to
	}
	if text := c.Header("tagging"); text != "" {
		set, err := parseTags(text)
		if err != nil {
			return err
		}
		in.Docs[docTags] = set
	}
	if err := encryptDocs(c, in.Docs); err != nil {
		return err
	}
	if err := lockDocs(c, in.Docs); err != nil {
		return err
	}
	if c.Sub == "uploads" {
		tellEncryption(c, in.Docs)
		return sumsOfUpload(c, in.Docs)
	}
	return nil
}

// encodeMeta is how S3 keeps and tells a value of metadata that is not ASCII: each byte is taken for a character
// of Latin-1, and the text is encoded by RFC 2047.
func encodeMeta(v string) string {
	if !strings.ContainsFunc(v, func(r rune) bool { return r > 0x7e }) {
		return v
	}
	runes := make([]rune, len(v))
	for i := range len(v) {
		runes[i] = rune(v[i])
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(string(runes))) + "?="
}

// checkKey refuses keys that are no text.
func checkKey(key string) error {
	if !utf8.ValidString(key) {
		return rest.Refuse(400, "InvalidURI", "Couldn't parse the specified URI.")
	}
	return nil
}

// condition is what must hold of the object that is written over.
func condition(c *rest.Call) (cond object.Condition, err error) {
	switch v := c.R.Header.Get("If-None-Match"); v {
	case "":
	case "*":
		cond.NoOverwrite = true
	default:
		return cond, rest.NotImplemented("If-None-Match")
	}
	cond.IfMatch = strings.Trim(c.R.Header.Get("If-Match"), `"`)
	return cond, nil
}

// headBucket is HeadBucket, which S3 answers with the kind of a document that it does not send.
func headBucket(c *rest.Call) error {
	c.Set("Content-Type", "application/xml")
	return c.HeadBucket()
}

// putObject is PutObject; a copy onto itself has to change something, or to say what it may leave as it is.
func putObject(c *rest.Call) error {
	says := c.Header("storage-class") + c.Header("website-redirect-location") + c.Header(sseAlgorithm) + c.Header(sseCustomer+"algorithm")
	if from := strings.TrimPrefix(c.Header("copy-source"), "/"); from != "" && says == "" && !strings.EqualFold(c.Header("metadata-directive"), "REPLACE") &&
		(from == c.Bucket+"/"+c.Key || from == c.Bucket+"/"+rest.Escape(c.Key, true)) {
		return rest.Refuse(400, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if err := sized(c); err != nil {
		return err
	}
	return unmet(c.PutObject())
}

func putPart(c *rest.Call) error {
	if err := sized(c); err != nil {
		return err
	}
	if err := checkPart(c); err != nil {
		return err
	}
	return unmet(c.PutPart())
}

// sized refuses a body that does not say how long it is, or an MD5 that says nothing.
func sized(c *rest.Call) error {
	if c.R.ContentLength < 0 {
		return rest.Refuse(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	if v, ok := c.R.Header["Content-Md5"]; ok && v[0] == "" {
		return rest.Refuse(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
	}
	return nil
}

// getObject is GetObject; how the object shall be encrypted is no question of reading it.
func getObject(c *rest.Call) error {
	if v := c.Header(sseAlgorithm); v != "" {
		return rest.Invalid(c.Prefix+sseAlgorithm, v, "x-amz-server-side-encryption header is not supported for this operation.")
	}
	return c.GetObject()
}

// unmet is what a copy's conditions that do not hold are called: never that nothing is modified.
func unmet(err error) error {
	if f := new(rest.Fault); errors.As(err, &f) && f.Status == http.StatusNotModified {
		return &object.Error{Reason: object.ConditionFailed}
	}
	return err
}

// stored tells the checksums of what was written, and of what is read by who asks for them.
func stored(c *rest.Call, o *object.Object) {
	docs := c.Docs
	if o != nil {
		docs = o.Docs
		tellEncryption(c, docs)
		tellExpiration(c, o)
	}
	if c.R.Method == http.MethodGet || c.R.Method == http.MethodHead {
		switch {
		case !strings.EqualFold(c.Header("checksum-mode"), "ENABLED"):
			return
		case c.Part != nil:
			docs = c.Part.Docs
		case len(c.W.Header()["Content-Range"]) > 0:
			return
		}
	}
	for name, v := range docs {
		if strings.HasPrefix(name, checksum) {
			c.Set(name, v)
			if o != nil {
				c.Set("x-amz-checksum-type", checksumType(o))
			}
		}
	}
}

func described(c *rest.Call, o *object.Object) {
	if to := o.Docs[c.RedirectDoc()]; to != "" {
		c.Set(c.RedirectDoc(), to)
	}
	if set := o.Docs[docTags]; set != "" {
		c.Set("x-amz-tagging-count", strconv.Itoa(strings.Count(set, "&")+1))
	}
	for _, name := range []string{docLockMode, docLockUntil, docLegalHold} {
		if v := o.Docs[name]; v != "" {
			c.Set(name, v)
		}
	}
}

func explain(c *rest.Call, f *rest.Fault) []rest.Field {
	if f.Status == http.StatusNotModified { // a checksum would be taken for that of the empty body
		maps.DeleteFunc(c.W.Header(), func(name string, _ []string) bool { return strings.HasPrefix(name, checksum) })
	}
	fields := append([]rest.Field{{Name: "Code", Value: f.Code}, {Name: "Message", Value: f.Message}}, f.Fields...)
	if c.Key != "" && f.Code != "NoSuchKey" {
		fields = append(fields, rest.Field{Name: "Resource", Value: "/" + c.Bucket + "/" + c.Key})
	}
	return append(fields, rest.Field{Name: "RequestId", Value: c.ID}, rest.Field{Name: "HostId", Value: hostID(c.ID)})
}

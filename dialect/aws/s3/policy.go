package s3

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/websocket/policy"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// putPolicy keeps a bucket's policy: what it lets everybody do is done (see public).
func putPolicy(c *rest.Call) error {
	doc, err := io.ReadAll(io.LimitReader(c.R.Body, 20<<10+1))
	if err != nil {
		return err
	}
	public, err := isPublic(doc)
	if err == nil && public && blocked(c.B).BlockPublicPolicy {
		return rest.Denied("Access Denied: the bucket's public access block refuses public policies.")
	}
	if err != nil || len(doc) > 20<<10 {
		message := "Policies must be valid JSON and the first byte must be '{'"
		if err != nil && json.Valid(doc) {
			message = err.Error()
		}
		return rest.Refuse(400, "MalformedPolicy", message)
	}
	return c.Done(c.SetDoc(bucketPolicy.Name, doc), http.StatusNoContent)
}

// anonymous is what a policy says of everybody; nil when nothing.
func anonymous(doc []byte) (*policy.Document, error) { return said(doc, "AWS", "*") }

// answerable reports whether all that a statement asks for is something that conditions tells.
func answerable(s map[string]json.RawMessage) bool {
	var asked map[string]map[string]any
	json.Unmarshal(s["Condition"], &asked) // read by policy.Parse
	for _, keys := range asked {
		for key := range keys {
			if key = lower(key); !strings.HasPrefix(key, "s3:") && !slices.Contains([]string{"aws:sourceip", "aws:currenttime", "aws:referer", "aws:useragent"}, key) {
				return false
			}
		}
	}
	return true
}

// said is what the statements of a policy that keep takes say of one kind of principal by name, or of everybody;
// nil when nothing.
func said(doc []byte, kind, name string, keep ...func(map[string]json.RawMessage) bool) (*policy.Document, error) {
	var raw struct{ Statement json.RawMessage }
	if err := json.Unmarshal(doc, &raw); err != nil {
		return nil, err
	}
	if _, err := policy.Parse(doc); err != nil {
		return nil, err
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw.Statement, &list) != nil {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(raw.Statement, &one); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	var kept []map[string]json.RawMessage
	for _, s := range list {
		var named map[string]any
		var who any
		json.Unmarshal(s["Principal"], &who) // of another form it is nobody we know
		if json.Unmarshal(s["Principal"], &named) == nil && who != nil {
			who = named[kind]
		}
		if list, ok := who.([]any); ok && slices.Contains(list, any(name)) {
			who = name
		}
		var effect string
		if json.Unmarshal(s["Effect"], &effect); len(s["NotPrincipal"]) > 0 { // everybody but some, whom we do not know
			if effect != "Deny" {
				return nil, errors.New("a statement that allows cannot have NotPrincipal")
			}
			who = "*"
		}
		if (who == "*" || who == name) && (len(keep) == 0 || keep[0](s)) {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(map[string]any{"Statement": kept})
	if err != nil {
		return nil, err
	}
	return policy.Parse(text)
}

// fixed are what a condition of a statement for everybody can ask about so that it is for some alone.
var fixed = []string{"aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceaccount", "aws:sourceowner",
	"aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:userid", "s3:x-amz-server-side-encryption-aws-kms-key-id",
	"s3:dataaccesspointarn", "s3:dataaccesspointaccount"}

// isPublic reports whether a policy lets everybody do something, whatever they are.
func isPublic(doc []byte) (bool, error) {
	var in struct {
		Statement json.RawMessage
	}
	all, err := anonymous(doc)
	if all == nil || err != nil {
		return false, err
	}
	type statement struct {
		Effect    string
		Principal any
		Condition map[string]map[string]any
	}
	var list []statement
	if err := json.Unmarshal(doc, &in); err != nil {
		return false, err
	}
	if json.Unmarshal(in.Statement, &list) != nil {
		var one statement
		if err := json.Unmarshal(in.Statement, &one); err != nil {
			return false, err
		}
		list = []statement{one}
	}
	return slices.ContainsFunc(list, func(s statement) bool {
		who, err := json.Marshal(s.Principal)
		if s.Effect != "Allow" || err != nil || !strings.Contains(string(who), `"*"`) {
			return false
		}
		for _, keys := range s.Condition {
			for key, values := range keys {
				text, err := json.Marshal(values)
				if slices.Contains(fixed, lower(key)) && err == nil && !strings.ContainsAny(string(text), "*?") && !strings.Contains(string(text), "/0\"") {
					return false
				}
			}
		}
		return true
	}), nil
}

// The actions of operations that are the owner's alone unless a policy lets others do them, too.
var (
	objectActions = map[string]string{
		"GET acl": "s3:GetObjectAcl", "PUT acl": "s3:PutObjectAcl", "GET tagging": "s3:GetObjectTagging", "PUT tagging": "s3:PutObjectTagging",
		"DELETE tagging": "s3:DeleteObjectTagging", "DELETE uploadId": "s3:AbortMultipartUpload", "GET uploadId": "s3:ListMultipartUploadParts",
		"GET retention": "s3:GetObjectRetention", "GET legal-hold": "s3:GetObjectLegalHold",
	}
	bucketActions = map[string]string{
		"GET uploads": "s3:ListBucketMultipartUploads", "GET location": "s3:GetBucketLocation", "GET tagging": "s3:GetBucketTagging",
		"GET versioning": "s3:GetBucketVersioning", "GET cors": "s3:GetBucketCORS", "GET website": "s3:GetBucketWebsite",
		"GET acl": "s3:GetBucketAcl", "GET policy": "s3:GetBucketPolicy", "GET policyStatus": "s3:GetBucketPolicyStatus", "GET publicAccessBlock": "s3:GetBucketPublicAccessBlock",
		"GET lifecycle": "s3:GetLifecycleConfiguration", "GET encryption": "s3:GetEncryptionConfiguration", "GET logging": "s3:GetBucketLogging",
		"PUT acl": "s3:PutBucketAcl", "PUT cors": "s3:PutBucketCORS", "PUT encryption": "s3:PutEncryptionConfiguration", "PUT lifecycle": "s3:PutLifecycleConfiguration",
		"PUT logging": "s3:PutBucketLogging", "PUT tagging": "s3:PutBucketTagging", "PUT versioning": "s3:PutBucketVersioning", "PUT website": "s3:PutBucketWebsite",
		"PUT publicAccessBlock": "s3:PutBucketPublicAccessBlock", "PUT ownershipControls": "s3:PutBucketOwnershipControls", "DELETE": "s3:DeleteBucket",
	}
)

// public reports whether the bucket's policy lets everybody do something; an error is that it denies it. Owners are
// denied only by what sluice can tell of a request: not because it came from no network of the cloud's.
func public(c *rest.Call, b *object.Bucket, key string, need rest.Right) (bool, error) {
	doc := b.Docs[DocPolicy]
	owner := c.Owns(b)
	// A policy never keeps its owner from changing it, and of many keys each is asked about by itself.
	if doc == nil || owner && (c.Sub == "policy" || c.Sub == "delete" && key == "") {
		return false, nil
	}
	p, err := said(doc, "AWS", "*")
	if owner {
		p, err = said(doc, "AWS", "*", answerable)
	}
	if p == nil || err != nil {
		return false, err
	}
	action, resource := "s3:GetObject", "arn:aws:s3:::"+b.Name+"/"+key
	switch {
	case need == rest.Owner && c.Key != "":
		action = objectActions[c.R.Method+" "+c.Sub]
	case need == rest.Owner:
		action, resource = bucketActions[c.R.Method+" "+c.Sub], "arn:aws:s3:::"+b.Name
	case need == rest.Lister:
		action, resource = "s3:ListBucket", "arn:aws:s3:::"+b.Name
		if c.Sub == "versions" {
			action = "s3:ListBucketVersions"
		}
	case need == rest.Writer && (c.R.Method == http.MethodDelete || c.Sub == "delete"):
		action = "s3:DeleteObject"
	case need == rest.Writer:
		action = "s3:PutObject"
	}
	if action == "" {
		return false, nil
	}
	if need != rest.Owner && need != rest.Lister && key == c.Key && c.Query.Has("versionId") {
		action += "Version"
	}
	about, err := conditions(c, b, key, doc)
	if err != nil {
		return false, err
	}
	said := p.Decide(policy.Request{Action: action, Resource: resource, Context: about})
	if said == policy.Deny {
		return false, rest.Denied("Access Denied")
	}
	return said == policy.Allow && !blocked(b).RestrictPublicBuckets, nil
}

// conditions is what the conditions of a policy may ask about a request. Whether it came over TLS is not among
// it: what asks for that would close buckets to all who work on a machine of their own.
func conditions(c *rest.Call, b *object.Bucket, key string, doc []byte) (map[string]string, error) {
	ip, _, err := net.SplitHostPort(c.R.RemoteAddr)
	if err != nil {
		ip = c.R.RemoteAddr
	}
	about := map[string]string{"aws:sourceip": ip, "aws:currenttime": c.Began.UTC().Format(time.RFC3339)}
	set := func(name, value string) {
		if value != "" {
			about[name] = value
		}
	}
	set("aws:referer", c.R.Referer())
	set("aws:useragent", c.R.UserAgent())
	for name := range c.R.Header {
		if name = lower(name); strings.HasPrefix(name, c.Prefix) {
			set("s3:"+name, strings.TrimPrefix(c.R.Header.Get(name), "/"))
		}
	}
	for _, name := range []string{"prefix", "delimiter", "max-keys", "versionId"} {
		if c.Query.Has(name) {
			about["s3:"+lower(name)] = c.Query.Get(name)
		}
	}
	tagged := func(kind, set string) {
		tags, _ := url.ParseQuery(set) // what is no tag is none
		for name, v := range tags {
			about[kind+"/"+lower(name)] = v[0]
		}
	}
	tagged("s3:requestobjecttag", c.Header("tagging"))
	if key != "" && strings.Contains(lower(string(doc)), "existingobjecttag/") {
		o, err := c.Objects.Head(c.Ctx, b.Name, key)
		if why := object.ReasonOf(err); err != nil && why != object.NoSuchKey {
			return nil, err
		}
		tagged("s3:existingobjecttag", o.Docs[docTags])
	}
	return about, nil
}

func policyStatus(c *rest.Call) error {
	if c.Doc(c.B, bucketPolicy.Name) == nil {
		return bucketPolicy.Get(c) // which says that there is none
	}
	public, err := isPublic(c.Doc(c.B, bucketPolicy.Name))
	if err != nil {
		return err
	}
	return c.Answer(struct {
		XMLName  xml.Name `xml:"PolicyStatus"`
		IsPublic bool
	}{IsPublic: public})
}

package rest

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/object"
)

// Of the access rules that S3 and COS write as lists of grants, the room knows private, public-read,
// public-read-write and the like: what is granted to everybody. A list that says more is kept beside that where
// the cloud's front takes grantees, and is what counts then.

const (
	instance  = "http://www.w3.org/2001/XMLSchema-instance"
	docGrants = "grants" // the name of such a list among an object's Docs and, behind the cloud's, a bucket's
	maxGrants = 100
)

type grantsXML struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Owner   OwnerXML
	Grants  []grantXML `xml:"AccessControlList>Grant"`
}

type grantXML struct {
	Grantee    granteeXML
	Permission string
}

type granteeXML struct {
	XSI         string `xml:"xmlns:xsi,attr"`
	Type        string `xml:"xsi:type,attr"`
	ID          string `xml:",omitempty"`
	DisplayName string `xml:",omitempty"`
	URI         string `xml:",omitempty"`
}

// Grant is what one user (ID) or one group of them (URI) may do.
type Grant struct {
	ID         string `json:"id,omitempty"`
	URI        string `json:"uri,omitempty"`
	Email      string `json:"-"`
	Permission string `json:"permission"` // READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL
}

// permissions are what grants give, by the headers that give it.
var permissions = map[string]string{"grant-read": "READ", "grant-write": "WRITE", "grant-read-acp": "READ_ACP",
	"grant-write-acp": "WRITE_ACP", "grant-full-control": "FULL_CONTROL"}

// The ends of the URIs of the groups of all users, and of those who sign.
const (
	everybody = "/groups/global/AllUsers"
	signers   = "/groups/global/AuthenticatedUsers"
)

// rule is an access rule: what it opens to everybody, and the list that says more, "" for none.
type rule struct{ acl, grants string }

// BucketGrants is the list of grants of a bucket that has one.
func (c *Call) BucketGrants(b *object.Bucket) []Grant {
	return readGrants(string(c.Doc(b, docGrants)))
}

func readGrants(doc string) (list []Grant) {
	if doc == "" || json.Unmarshal([]byte(doc), &list) != nil { // written by us: what cannot be read opens nothing
		return nil
	}
	return list
}

// granted reports whether a list lets the caller do something. Groups do not count where closed.
func (c *Call) granted(list []Grant, permission string, closed bool) bool {
	return slices.ContainsFunc(list, func(g Grant) bool {
		switch {
		case g.Permission != permission && g.Permission != "FULL_CONTROL":
			return false
		case g.ID != "":
			return c.Who != nil && g.ID == string(c.Who.App)
		}
		return !closed && (strings.HasSuffix(g.URI, everybody) || c.Who != nil && strings.HasSuffix(g.URI, signers))
	})
}

// mayRule reports whether a list lets the caller read or change the access rule that the request is for.
func (c *Call) mayRule() bool {
	permission := map[string]string{http.MethodGet: "READ_ACP", http.MethodPut: "WRITE_ACP"}[c.R.Method]
	if c.Grantee == nil || c.Sub != "acl" || permission == "" {
		return false
	}
	list := c.BucketGrants(c.B)
	if c.Key != "" {
		o, err := c.Head()
		if err != nil {
			return false
		}
		list = readGrants(o.Docs[docGrants])
	}
	return c.granted(list, permission, c.ignores(c.B))
}

// GetGrants tells the access rule of an object, or of the bucket when no key is asked for.
func (c *Call) GetGrants() error {
	acl, doc := c.B.ACL, string(c.Doc(c.B, docGrants))
	if c.Key != "" {
		o, err := c.Head()
		if err != nil {
			return err
		}
		if o.ACL != "" || c.Apart {
			acl = o.ACL
		}
		doc = o.Docs[docGrants]
	}
	who := OwnerOf(c.B)
	out := grantsXML{Owner: who}
	add := func(g Grant) {
		x := granteeXML{XSI: instance, Type: "Group", URI: g.URI}
		if g.ID != "" {
			x.Type, x.ID, x.DisplayName = "CanonicalUser", g.ID, g.ID
		}
		out.Grants = append(out.Grants, grantXML{x, g.Permission})
	}
	if doc != "" {
		for _, g := range readGrants(doc) {
			add(g)
		}
		return c.Answer(out)
	}
	add(Grant{ID: who.ID, Permission: "FULL_CONTROL"})
	group := func(name, permission string) { add(Grant{URI: c.Groups + name, Permission: permission}) }
	switch acl {
	case object.PublicRead:
		group(everybody, "READ")
	case object.SignedRead:
		group(signers, "READ")
	case object.PublicReadWrite:
		group(everybody, "READ")
		group(everybody, "WRITE")
	}
	return c.Answer(out)
}

// PutGrants sets that rule by its name or grants in headers, or by grants in the body.
func (c *Call) PutGrants() error {
	name := "acl"
	if c.Key != "" {
		name = c.ObjectACL
	}
	r, err := c.ruleOf(name, c.Key != "")
	if err == nil && r == (rule{}) && c.Header(name) == "" {
		r, err = c.bodyRule()
	}
	if err != nil {
		return err
	}
	if c.Key == "" {
		return c.Done(c.setBucketRule(r), http.StatusOK)
	}
	return c.Done(c.setObjectRule(r), http.StatusOK)
}

func (c *Call) setObjectRule(r rule) error {
	_, err := c.AlterObject(func(o *object.Object) error {
		o.ACL, o.Docs = r.acl, with(o.Docs, docGrants, r.grants)
		return nil
	})
	return err
}

func (c *Call) setBucketRule(r rule) error {
	return c.Alter(func(b *object.Bucket) {
		b.ACL, b.Docs = r.acl, with(b.Docs, c.Name+"."+docGrants, []byte(r.grants))
	})
}

// with is a copy of docs where name has a value; an empty one is none.
func with[V string | []byte](docs map[string]V, name string, v V) map[string]V {
	out := make(map[string]V, len(docs)+1)
	for n, old := range docs {
		out[n] = old
	}
	if out[name] = v; len(v) == 0 {
		delete(out, name)
	}
	return out
}

// bodyRule is the rule that the body's grants come to.
func (c *Call) bodyRule() (rule, error) {
	var in struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		Grants  []struct {
			Grantee    struct{ ID, URI, EmailAddress string }
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	if err := c.Body(&in); err != nil {
		return rule{}, err
	}
	list := []Grant{}
	for _, g := range in.Grants {
		list = append(list, Grant{g.Grantee.ID, g.Grantee.URI, g.Grantee.EmailAddress, g.Permission})
	}
	return c.listed(list)
}

// ruleOf is the rule that the request's headers tell by a name or by grants; an empty one when they tell none.
func (c *Call) ruleOf(name string, ofObject bool) (rule, error) {
	acl, err := c.acl(name, c.Header(name), ofObject)
	if err != nil {
		return rule{}, err
	}
	var list []Grant
	for header, permission := range permissions {
		for one := range strings.SplitSeq(c.Header(header), ",") {
			kind, value, ok := strings.Cut(strings.TrimSpace(one), "=")
			if !ok {
				continue
			}
			g := Grant{Permission: permission}
			switch value = strings.Trim(value, `"`); strings.ToLower(kind) {
			case "id":
				g.ID = value
			case "uri":
				g.URI = value
			case "emailaddress":
				g.Email = value
			default:
				return rule{}, Invalid(c.Prefix+header, one, "Argument format not recognized")
			}
			list = append(list, g)
		}
	}
	switch {
	case list == nil:
		return rule{acl: acl}, nil
	case c.Header(name) != "" && c.Grantee != nil:
		return rule{}, Refuse(400, "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
	}
	slices.SortFunc(list, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.ID+a.URI, b.ID+b.URI), cmp.Compare(a.Permission, b.Permission))
	})
	return c.listed(list)
}

// listed is the rule that a list of grants comes to.
func (c *Call) listed(list []Grant) (rule, error) {
	r := rule{acl: object.Private}
	has := func(group, permission string) bool {
		return slices.ContainsFunc(list, func(g Grant) bool {
			return strings.HasSuffix(g.URI, group) && (g.Permission == permission || g.Permission == "FULL_CONTROL")
		})
	}
	reads := has(everybody, "READ")
	switch {
	case has(everybody, "WRITE") && (reads || c.Grantee == nil):
		r.acl = object.PublicReadWrite
	case reads:
		r.acl = object.PublicRead
	case has(signers, "READ"):
		r.acl = object.SignedRead
	}
	if c.Grantee != nil {
		if len(list) > maxGrants {
			return rule{}, Malformed()
		}
		for _, g := range list {
			if !slices.Contains([]string{"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"}, g.Permission) {
				return rule{}, Malformed()
			}
			if err := c.Grantee(g); err != nil {
				return rule{}, err
			}
		}
		doc, err := json.Marshal(list)
		if err != nil {
			return rule{}, err
		}
		r.grants = string(doc)
	}
	if r.acl != object.Private || slices.ContainsFunc(list, func(g Grant) bool { return strings.Contains(g.URI, "/groups/global/") }) {
		return r, c.mayOpen()
	}
	return r, nil
}

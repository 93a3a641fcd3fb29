package rest

import (
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/object"
)

// Of the access rules that S3 and COS write as lists of grants, those that sluice keeps are private,
// public-read and public-read-write: what is granted to everybody. Grants to single users are not kept.

const instance = "http://www.w3.org/2001/XMLSchema-instance"

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

// The ends of the URIs of the groups of all users, and of those who sign.
const (
	everybody = "/groups/global/AllUsers"
	signers   = "/groups/global/AuthenticatedUsers"
)

// GetGrants tells the access rule of an object, or of the bucket when no key is asked for.
func (c *Call) GetGrants() error {
	acl := c.B.ACL
	if c.Key != "" {
		o, err := c.Head()
		if err != nil {
			return err
		}
		if o.ACL != "" || c.Apart {
			acl = o.ACL
		}
	}
	who := OwnerOf(c.B)
	out := grantsXML{Owner: who, Grants: []grantXML{{granteeXML{XSI: instance, Type: "CanonicalUser", ID: who.ID, DisplayName: who.DisplayName}, "FULL_CONTROL"}}}
	add := func(group, permission string) {
		out.Grants = append(out.Grants, grantXML{granteeXML{XSI: instance, Type: "Group", URI: c.Groups + group}, permission})
	}
	switch acl {
	case object.PublicRead:
		add(everybody, "READ")
	case object.SignedRead:
		add(signers, "READ")
	case object.PublicReadWrite:
		add(everybody, "READ")
		add(everybody, "WRITE")
	}
	return c.Answer(out)
}

// PutGrants sets that rule by its name in the header, or by grants in the body.
func (c *Call) PutGrants() error {
	name := "acl"
	if c.Key != "" {
		name = c.ObjectACL
	}
	acl, err := c.acl(name, c.Header(name), c.Key != "")
	if err != nil {
		return err
	}
	if c.Header(name) == "" {
		if acl, err = c.grants(); err == nil && acl != object.Private {
			err = c.mayOpen()
		}
		if err != nil {
			return err
		}
	}
	if c.Key == "" {
		return c.Done(c.SetBucketACL(acl), http.StatusOK)
	}
	return c.Done(c.SetObjectACL(acl), http.StatusOK)
}

// grants is the rule that the body's grants come to.
func (c *Call) grants() (string, error) {
	var in struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		Grants  []struct {
			Grantee    struct{ URI string }
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	for name := range c.R.Header {
		if strings.HasPrefix(strings.ToLower(name), c.Prefix+"grant-") {
			return c.grantHeaders(), nil
		}
	}
	if err := c.Body(&in); err != nil {
		return "", err
	}
	acl := object.Private
	for _, g := range in.Grants {
		if strings.HasSuffix(g.Grantee.URI, signers) && g.Permission == "READ" && acl == object.Private {
			acl = object.SignedRead
		}
		if !strings.HasSuffix(g.Grantee.URI, everybody) {
			continue
		}
		switch {
		case g.Permission == "WRITE" || g.Permission == "FULL_CONTROL":
			acl = object.PublicReadWrite
		case g.Permission == "READ" && acl != object.PublicReadWrite:
			acl = object.PublicRead
		}
	}
	return acl, nil
}

// grantHeaders is the rule that {prefix}grant-… headers come to.
func (c *Call) grantHeaders() string {
	all := func(name string) bool { return strings.Contains(c.Header(name), everybody) }
	switch {
	case all("grant-write"), all("grant-full-control"):
		return object.PublicReadWrite
	case all("grant-read"):
		return object.PublicRead
	case strings.Contains(c.Header("grant-read"), signers):
		return object.SignedRead
	}
	return object.Private
}

package rest

import (
	"github.com/sluicehq/sluice/object"
)

// Right is what an operation takes.
type Right uint8

// The rights.
const (
	Owner   Right = iota // the bucket is one's own
	Reader               // or the object may be read by all
	Lister               // or the bucket may be listed by all
	Writer               // or it may be written by all
	Creator              // any signature, the bucket need not be there
	Signed               // any signature
	Anyone               // nothing; the operation looks for itself
)

// allow refuses what the caller may not do. The operator may do everything; an app and its functions
// may do everything with the app's buckets; everybody may do what an access rule opens.
func (c *Call) allow(need Right) error {
	switch {
	case need == Anyone:
		return nil
	case need == Signed || need == Creator:
		if c.Who == nil {
			return Denied("Anonymous access is forbidden for this operation.")
		}
		return nil
	case c.Owns(c.B):
		return c.May(c.B, c.Key, need)
	case need == Owner && c.B != nil && c.mayRule():
		return nil
	case need == Owner && c.Public != nil && c.B != nil:
		if ok, err := c.Public(c, c.B, c.Key, need); ok || err != nil {
			return err
		}
		return Denied("Access Denied")
	case need == Owner && c.Who == nil:
		return Denied("Anonymous access is forbidden for this operation.")
	case need == Owner:
		return Denied("The bucket you access does not belong to you.")
	}
	return c.Open(c.B, c.Key, need)
}

// Owns reports whether a bucket is the caller's.
func (c *Call) Owns(b *object.Bucket) bool {
	return c.Who != nil && (c.Who.App == "" || c.Who.App == b.App)
}

// May says whether the caller may do something with a bucket or an object: owners may all that no rule denies.
func (c *Call) May(b *object.Bucket, key string, need Right) error {
	if !c.Owns(b) {
		return c.Open(b, key, need)
	}
	if c.Public != nil {
		_, err := c.Public(c, b, key, need)
		return err
	}
	return nil
}

// Open says whether a rule lets everybody read or write an object. The object's own access rule goes before
// its bucket's. Whether a key is there is, where those are apart, told only to who may list.
func (c *Call) Open(b *object.Bucket, key string, need Right) error {
	public := false
	if c.Public != nil {
		var err error
		if public, err = c.Public(c, b, key, need); err != nil {
			return err
		}
	}
	acl, whose, list := b.ACL, "bucket", c.BucketGrants(b)
	if key != "" && !(need == Writer && c.Apart) {
		id := ""
		if b == c.B && key == c.Key {
			id = c.version()
		}
		o, err := c.Objects.HeadVersion(c.Ctx, b.Name, key, id)
		switch why := object.ReasonOf(err); {
		case err != nil && why != object.NoSuchKey && why != object.NoSuchVersion && why != object.IsMark:
			return err
		case err != nil && c.Apart:
			return c.Open(b, "", Lister)
		case o.ACL != "":
			acl, whose, list = o.ACL, "object", readGrants(o.Docs[docGrants])
		case c.Apart:
			acl, whose, list = object.Private, "object", nil
		}
	}
	permission := "READ"
	if need == Writer {
		permission = "WRITE"
	}
	closed := c.ignores(b)
	if c.granted(list, permission, closed) {
		return nil
	}
	reads := acl == object.PublicRead || acl == object.SignedRead && c.Who != nil
	if public || !closed && (acl == object.PublicReadWrite || reads && need != Writer) {
		return nil
	}
	return Denied("You have no right to access this object because of " + whose + " acl.")
}

// ignores reports whether what access rules of a bucket open to everybody does not count.
func (c *Call) ignores(b *object.Bucket) (closed bool) {
	if c.Closed != nil {
		_, closed = c.Closed(b)
	}
	return closed
}

// acl checks an access rule in a header; of an object "default" is that it has none of its own.
func (c *Call) acl(name, value string, ofObject bool) (string, error) {
	switch value {
	case "", object.Private:
		return value, nil
	case object.PublicRead, object.PublicReadWrite:
		return value, c.mayOpen()
	case "default":
		if ofObject {
			return "", nil
		}
	}
	if c.ACL != nil {
		if acl, ok := c.ACL(value); ok {
			if acl != object.Private {
				return acl, c.mayOpen()
			}
			return acl, nil
		}
	}
	return "", Invalid(c.Prefix+name, value, "no such acl exists.")
}

// mayOpen refuses a rule for others than the owner where the bucket shall have none.
func (c *Call) mayOpen() error {
	if c.Closed != nil && c.B != nil {
		if refuses, _ := c.Closed(c.B); refuses {
			return Denied("Access Denied: the bucket's public access block refuses public access rules.")
		}
	}
	return nil
}

// PutBucketACL takes a bucket's access rule from the header.
func (c *Call) PutBucketACL() error {
	value := c.Header("acl")
	if value == "" {
		return Invalid(c.Prefix+"acl", value, "no such acl exists.")
	}
	acl, err := c.acl("acl", value, false)
	if err == nil {
		err = c.setBucketRule(rule{acl: acl})
	}
	return c.Done(err, 200)
}

// PutObjectACL takes an object's access rule from the header.
func (c *Call) PutObjectACL() error {
	value := c.Header(c.ObjectACL)
	if value == "" {
		return Invalid(c.Prefix+c.ObjectACL, value, "no such acl exists.")
	}
	acl, err := c.acl(c.ObjectACL, value, true)
	if err == nil {
		err = c.setObjectRule(rule{acl: acl})
	}
	return c.Done(err, 200)
}

package rest

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice/object"
)

// OwnerXML is an owner in a document.
type OwnerXML struct{ ID, DisplayName string }

// OwnerOf names a bucket's owner: its app, or us.
func OwnerOf(b *object.Bucket) OwnerXML {
	name := cmp.Or(b.Owner, string(b.App), "sluice")
	return OwnerXML{name, name}
}

// The most bytes of XML bodies: settings are kept in their bucket's row, lists are of 1,000 keys or of
// 10,000 parts.
const (
	maxSetting = 64 << 10
	maxList    = 8 << 20
)

// Body reads an XML body; an ill one is Malformed.
func (c *Call) Body(v any) error { return c.read(v, maxSetting) }

func (c *Call) read(v any, limit int64) error {
	want, err := digest(c.R.Header)
	if err != nil {
		return err
	}
	sum := md5.New()
	err = unmarshal(io.TeeReader(c.R.Body, sum), limit, v)
	switch {
	case errors.Is(err, errMalformed):
		return Malformed()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &object.Error{Reason: object.Incomplete}
	case err != nil:
		return err
	case want != nil && !bytes.Equal(want, sum.Sum(nil)):
		return &object.Error{Reason: object.BadDigest}
	}
	return nil
}

// HasBody reports whether the request has a body, which may be left out also by sending an empty one.
func (c *Call) HasBody() bool {
	peek := bufio.NewReader(c.R.Body)
	c.R.Body = io.NopCloser(peek)
	_, err := peek.Peek(1)
	return err == nil || !errors.Is(err, io.EOF)
}

// CreateBucket makes a bucket.
func (c *Call) CreateBucket() error {
	r, err := c.ruleOf("acl", false)
	if err != nil {
		return err
	}
	var config struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
	}
	if c.HasBody() {
		if err := c.Body(&config); err != nil {
			return err
		}
	}
	made := object.Bucket{Name: c.Bucket, App: c.Who.App, ACL: r.acl, Region: c.Region(c, config.LocationConstraint), Docs: map[string][]byte{}}
	if r.grants != "" {
		made.Docs[c.Name+"."+docGrants] = []byte(r.grants)
	}
	if c.Create != nil {
		if err := c.Create(c, &made); err != nil {
			return err
		}
	}
	b, err := c.Objects.CreateBucket(c.Ctx, made)
	if object.ReasonOf(err) == object.BucketExists && c.Owns(b) {
		err = nil
		if c.Again != nil {
			err = c.Again(c)
		}
		if err == nil && r.acl != "" {
			err = c.setBucketRule(r)
		}
	}
	if err != nil {
		return err
	}
	c.Set("Location", "/"+c.Bucket)
	return c.Empty(http.StatusOK)
}

// Alter changes the call's bucket.
func (c *Call) Alter(fn func(b *object.Bucket)) error {
	_, err := c.Objects.AlterBucket(c.Ctx, c.Bucket, func(b *object.Bucket) error {
		fn(b)
		return nil
	})
	return err
}

// HeadBucket tells that a bucket is there, and where.
func (c *Call) HeadBucket() error {
	c.Set(c.Prefix+"bucket-region", c.RegionOf(c.B))
	return c.Empty(http.StatusOK)
}

// RegionOf is a bucket's region.
func (c *Call) RegionOf(b *object.Bucket) string { return cmp.Or(b.Region, c.Home) }

// DeleteBucket removes an empty bucket.
func (c *Call) DeleteBucket() error {
	return c.Done(c.Objects.DeleteBucket(c.Ctx, c.Bucket), http.StatusNoContent)
}

// Mine lists the caller's buckets whose names begin with prefix and come after a name, at most limit;
// more says that there are others.
func (c *Call) Mine(prefix, after string, limit int) (list []object.Bucket, more bool, err error) {
	for {
		page, err := c.Objects.Buckets(c.Ctx, prefix, after, 1000)
		if err != nil {
			return nil, false, err
		}
		for i := range page {
			after = page[i].Name
			if !c.Owns(&page[i]) {
				continue
			}
			if len(list) == limit {
				return list, true, nil
			}
			list = append(list, page[i])
		}
		if len(page) < 1000 {
			return list, false, nil
		}
	}
}

// Count reads a number of elements from the query: at least 1 and at most limit.
func (c *Call) Count(name string, def, limit int) (int, error) {
	v := c.Query.Get(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err == nil && c.Clamp && n >= 0 {
		return min(n, limit), nil
	}
	if err != nil || n < 1 || n > limit {
		return 0, Invalid(name, v, "Argument "+name+" must be an integer between 1 and "+strconv.Itoa(limit)+".")
	}
	return n, nil
}

// Doc is a setting that the cloud keeps with a bucket; nil when it has none.
func (c *Call) Doc(b *object.Bucket, name string) []byte { return b.Docs[c.Name+"."+name] }

// SetDoc keeps a setting; nil drops it.
func (c *Call) SetDoc(name string, doc []byte) error {
	return c.Alter(func(b *object.Bucket) {
		docs := maps.Clone(b.Docs)
		if docs == nil {
			docs = map[string][]byte{}
		}
		if doc != nil {
			docs[c.Name+"."+name] = doc
		} else {
			delete(docs, c.Name+"."+name)
		}
		b.Docs = docs
	})
}

// setDoc keeps a document as a setting; nil drops it.
func (c *Call) setDoc(name string, v any) error {
	if v == nil {
		return c.SetDoc(name, nil)
	}
	doc, err := marshal(v, "")
	if err != nil {
		return err
	}
	return c.SetDoc(name, doc)
}

// A Setting is what a bucket is told and tells again, and nothing else: sluice does not act on it.
type Setting struct {
	Name string
	Kind string // its content type
	// Check refuses what is no such setting; nil takes any document of XML.
	Check func(body []byte) error
	// Default is the answer when there is none; "" answers Missing.
	Default string
	Missing Fault
}

// Put keeps the setting.
func (s *Setting) Put(c *Call) error {
	body, err := io.ReadAll(io.LimitReader(c.R.Body, maxSetting+1))
	if err != nil {
		return err
	}
	if len(body) > maxSetting || s.Check == nil && xml.Unmarshal(body, new(struct{})) != nil {
		return Malformed()
	}
	if s.Check != nil {
		if err := s.Check(body); err != nil {
			return err
		}
	}
	return c.Done(c.SetDoc(s.Name, body), http.StatusOK)
}

// Get tells the setting.
func (s *Setting) Get(c *Call) error {
	doc := c.Doc(c.B, s.Name)
	if doc == nil {
		if s.Default == "" {
			f := s.Missing
			return f.With("BucketName", c.Bucket)
		}
		doc = []byte(s.Default)
	}
	return c.Send(http.StatusOK, cmp.Or(s.Kind, "application/xml"), doc)
}

// Delete drops the setting.
func (s *Setting) Delete(c *Call) error {
	return c.Done(c.SetDoc(s.Name, nil), http.StatusNoContent)
}

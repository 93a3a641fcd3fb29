package rest

import (
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/object"
)

// version is the id of the version that a request names; "" is what stands at the key.
func (c *Call) version() string {
	if !c.Versions {
		return ""
	}
	return c.Query.Get("versionId")
}

// Head is the object, or the version of it, that the request is for.
func (c *Call) Head() (object.Object, error) {
	return c.Objects.HeadVersion(c.Ctx, c.Bucket, c.Key, c.version())
}

// AlterObject changes the object, or the version of it, that the request is for.
func (c *Call) AlterObject(fn func(o *object.Object) error) (object.Object, error) {
	return c.Objects.AlterVersion(c.Ctx, c.Bucket, c.Key, c.version(), fn)
}

// TellVersion sets the header with a version's id, when the bucket keeps versions.
func (c *Call) TellVersion(o *object.Object) {
	written := c.R.Method != http.MethodGet && c.R.Method != http.MethodHead
	if c.Versions && c.B != nil && c.B.Versions != "" && !(written && o.Null) {
		c.Set(c.Prefix+"version-id", o.VersionID())
	}
}

// DeleteObject removes an object, or a version of one.
func (c *Call) DeleteObject() error {
	done, err := c.Objects.Remove(c.Ctx, c.Bucket, []object.Ref{{Key: c.Key, Version: c.version()}}, func(r object.Ref, o *object.Object) error {
		return c.mayRemove(o, r.Version, c.removal())
	})
	if err != nil {
		return err
	}
	r := done[0]
	if r.Err != nil {
		return r.Err
	}
	if c.Versions && r.Version != "" {
		c.Set(c.Prefix+"version-id", r.Version)
	}
	if r.Marker {
		c.Set(c.Prefix+"delete-marker", "true")
	}
	return c.Empty(http.StatusNoContent)
}

// removal is what a request says must hold of the object that it removes.
func (c *Call) removal() Removal {
	return Removal{ETag: c.R.Header.Get("If-Match"), Modified: c.Header("if-match-last-modified-time"), Size: c.Header("if-match-size")}
}

// Removal is what must hold of an object that is removed; empty texts are not asked.
type Removal struct{ ETag, Modified, Size string }

// mayRemove refuses a removal of what stands there or, with a version's id, for good.
func (c *Call) mayRemove(o *object.Object, version string, cond Removal) error {
	if c.Removable == nil {
		return nil
	}
	return c.Removable(c, o, version, cond)
}

type deleteRef struct {
	Key              string
	VersionId        string
	ETag             string
	LastModifiedTime string
	Size             string
}

type deletedXML struct {
	Key                   string
	VersionId             string `xml:",omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionId string `xml:",omitempty"`
}

// DeleteMany removes the objects, or versions of them, that a body names.
func (c *Call) DeleteMany() error {
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []deleteRef
	}
	kind, enc, err := c.encoder()
	if err == nil {
		err = c.read(&in, maxList)
	}
	if err != nil {
		return err
	}
	if len(in.Object) == 0 || len(in.Object) > 1000 {
		return Malformed()
	}
	type failure struct {
		Key       string
		VersionId string `xml:",omitempty"`
		Code      string
		Message   string
	}
	var (
		refs  []object.Ref
		conds = map[object.Ref]Removal{}
	)
	out := struct {
		XMLName      xml.Name `xml:"DeleteResult"`
		EncodingType string   `xml:",omitempty"`
		Deleted      []deletedXML
		Error        []failure
	}{EncodingType: kind}
	fail := func(ref object.Ref, err error) {
		f := c.FaultOf(err)
		out.Error = append(out.Error, failure{enc(ref.Key), ref.Version, f.Code, f.Message})
	}
	for _, o := range in.Object {
		ref := object.Ref{Key: o.Key}
		if c.Versions {
			ref.Version = o.VersionId
		}
		err := c.checkKey(o.Key)
		if err == nil { // the bucket's rule let the caller in, but an object's goes before it
			err = c.May(c.B, o.Key, Writer)
		}
		if err != nil && c.Whole {
			return err
		}
		if err != nil {
			fail(ref, err)
			continue
		}
		refs = append(refs, ref)
		conds[ref] = Removal{o.ETag, o.LastModifiedTime, o.Size}
	}
	done, err := c.Objects.RemoveMany(c.Ctx, c.Bucket, refs, func(r object.Ref, o *object.Object) error {
		return c.mayRemove(o, r.Version, conds[r])
	})
	if err != nil {
		return err
	}
	for _, r := range done {
		switch {
		case r.Err != nil:
			fail(r.Ref, r.Err)
		case in.Quiet:
		default:
			x := deletedXML{Key: enc(r.Key), VersionId: r.Version, DeleteMarker: r.Marker}
			if r.Marker {
				x.DeleteMarkerVersionId = r.Version
			}
			if r.Made {
				x.VersionId = ""
			}
			out.Deleted = append(out.Deleted, x)
		}
	}
	if in.Quiet && c.Whole {
		return c.Empty(http.StatusOK)
	}
	return c.Answer(out)
}

type versionXML struct {
	XMLName      xml.Name
	Key          string
	VersionId    string
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int64
	StorageClass string `xml:",omitempty"`
	Owner        OwnerXML
}

// ListVersions lists the versions of objects, and the marks that they were deleted.
func (c *Call) ListVersions() error {
	limit, err := c.Count("max-keys", c.MaxKeys, 1000)
	if err != nil {
		return err
	}
	kind, enc, err := c.encoder()
	if err != nil {
		return err
	}
	q := c.Query
	after := q.Get("version-id-marker")
	if after != "" && q.Get("key-marker") == "" {
		return Invalid("version-id-marker", after, "A version-id marker cannot be specified without a key marker.")
	}
	in := object.ListInput{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: q.Get("key-marker"), Max: limit}
	page, err := c.Objects.ListVersions(c.Ctx, c.Bucket, in, after)
	if err != nil {
		return err
	}
	out := struct {
		XMLName             xml.Name `xml:"ListVersionsResult"`
		Name                string
		Prefix              string
		KeyMarker           string
		VersionIdMarker     string
		NextKeyMarker       string `xml:",omitempty"`
		NextVersionIdMarker string `xml:",omitempty"`
		MaxKeys             int
		Delimiter           string `xml:",omitempty"`
		EncodingType        string `xml:",omitempty"`
		IsTruncated         bool
		Versions            []versionXML
		CommonPrefixes      []prefixXML
	}{Name: c.Bucket, Prefix: enc(in.Prefix), KeyMarker: enc(in.After), VersionIdMarker: after, NextKeyMarker: enc(page.NextKey),
		NextVersionIdMarker: page.NextVersion, MaxKeys: limit, Delimiter: enc(in.Delimiter), EncodingType: kind, IsTruncated: page.Truncated}
	for i := range page.Versions {
		v := &page.Versions[i]
		x := versionXML{XMLName: xml.Name{Local: "Version"}, Key: enc(v.Key), VersionId: v.VersionID(), IsLatest: v.Latest,
			LastModified: Stamp(v.Modified), Owner: OwnerOf(c.B)}
		if v.Marker {
			x.XMLName.Local = "DeleteMarker"
		} else {
			x.ETag, x.Size, x.StorageClass = c.ETag(v.ETag), &v.Size, c.Storage
		}
		out.Versions = append(out.Versions, x)
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{enc(p)})
	}
	return c.Answer(out)
}

type versioningXML struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

// PutVersioning makes the bucket keep versions, or write over the null one alone.
func (c *Call) PutVersioning() error {
	var in versioningXML
	if err := c.Body(&in); err != nil {
		return err
	}
	how := map[string]string{"Enabled": object.VersionsOn, "Suspended": object.VersionsSuspended}[in.Status]
	if how == "" {
		return Malformed()
	}
	if c.Versioned != nil {
		if err := c.Versioned(c, how); err != nil {
			return err
		}
	}
	return c.Done(c.Alter(func(b *object.Bucket) { b.Versions = how }), http.StatusOK)
}

// GetVersioning tells whether the bucket keeps versions.
func (c *Call) GetVersioning() error {
	return c.Answer(versioningXML{Status: map[string]string{object.VersionsOn: "Enabled", object.VersionsSuspended: "Suspended"}[c.B.Versions]})
}

// sourceVersion is the id of the version that a copy's source names.
func sourceVersion(raw string) string {
	_, query, _ := strings.Cut(raw, "?")
	id, _ := strings.CutPrefix(query, "versionId=")
	return id
}

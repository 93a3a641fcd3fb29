package oss

import (
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

type websiteXML struct {
	XMLName       xml.Name `xml:"WebsiteConfiguration"`
	IndexDocument *indexXML
	ErrorDocument *errorXML
	RoutingRules  struct {
		RoutingRule []struct{} `xml:"RoutingRule"`
	}
}

type indexXML struct {
	Suffix        string
	SupportSubDir bool `xml:",omitempty"`
	Type          int  `xml:",omitempty"`
}

type errorXML struct {
	Key        string
	HttpStatus int `xml:",omitempty"`
}

func (c *call) putWebsite() error {
	var in websiteXML
	if err := c.body(&in, maxSetting); err != nil {
		return err
	}
	w := &sluice.Website{}
	if d := in.IndexDocument; d != nil {
		switch {
		case d.Suffix == "" || strings.Contains(d.Suffix, "/"):
			return invalid("Suffix", d.Suffix, "The IndexDocument Suffix is not well formed.")
		case d.Type < object.SubRedirect || d.Type > object.SubIndex:
			return invalid("Type", "", "The IndexDocument Type must be 0, 1 or 2.")
		}
		w.Index, w.SubDir, w.SubType = d.Suffix, d.SupportSubDir, d.Type
	}
	if d := in.ErrorDocument; d != nil {
		switch {
		case d.Key == "":
			return invalid("Key", "", "The ErrorDocument Key is not well formed.")
		case d.HttpStatus != 0 && d.HttpStatus != 200 && d.HttpStatus != 404:
			return invalid("HttpStatus", "", "The ErrorDocument HttpStatus must be 200 or 404.")
		}
		w.Error, w.ErrorStatus = d.Key, d.HttpStatus
	}
	if len(in.RoutingRules.RoutingRule) > 0 {
		return notImplemented("RoutingRules")
	}
	if err := c.alter(func(b *object.Bucket) { b.Website = w }); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (c *call) getWebsite() error {
	w := c.b.Website
	if w == nil {
		return refuse(404, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration.").
			with("BucketName", c.bucket)
	}
	var out websiteXML
	if w.Index != "" || w.SubDir {
		out.IndexDocument = &indexXML{Suffix: w.Index, SupportSubDir: w.SubDir, Type: w.SubType}
	}
	if w.Error != "" {
		out.ErrorDocument = &errorXML{Key: w.Error, HttpStatus: w.ErrorStatus}
	}
	return c.answer(out)
}

func (c *call) deleteWebsite() error {
	if err := c.alter(func(b *object.Bucket) { b.Website = nil }); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// isPage says whether a request is a browser's for a page: nobody signed it, and the bucket has a
// website.
func (c *call) isPage() bool {
	return c.signer == nil && c.sub == "" && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead) &&
		c.b != nil && (c.b.Website != nil || len(c.b.Folders) > 0)
}

// ServeSite answers a GET or HEAD with what the website of a bucket has at key ("" is its root), as an
// anonymous request for it would be answered: pages, redirects of folders, error documents, ranges,
// ETags, and errors in OSS's words. It is for gateways whose routes lead to a bucket: the request's own
// path and host count only for redirects.
func (h *Handler) ServeSite(w http.ResponseWriter, r *http.Request, bucket, key string) {
	c := h.newCall(w, r, address{bucket, key})
	err := func() (err error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return c.unknown()
		}
		if c.b, err = h.Objects.Bucket(c.ctx, bucket); err != nil {
			return err
		}
		return c.site(key)
	}()
	if err != nil {
		c.fail(err)
	}
	h.Log.DebugContext(c.ctx, "oss site", "request", c.id, "bucket", bucket, "key", key, "status", c.written)
}

// site serves a page of the website (aliyun.md 4.4).
func (c *call) site(path string) error {
	if err := checkKey(path); err != nil {
		return err
	}
	found, err := c.h.Objects.Site(c.ctx, c.bucket, path)
	if object.ReasonOf(err) == object.NoSuchKey {
		// Whether a key is there is told only to who may read it.
		if err := c.open(c.b, "", reader); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if found.Redirect {
		to := c.r.URL.EscapedPath() + "/"
		if strings.HasPrefix(to, "//") { // would name another host
			to = "/" + strings.TrimLeft(to, "/")
		}
		if c.r.URL.RawQuery != "" {
			to += "?" + c.r.URL.RawQuery
		}
		c.set("Location", to)
		return c.empty(http.StatusFound)
	}
	if err := c.open(c.b, found.Key, reader); err != nil {
		return err
	}
	o, err := c.h.Objects.Get(c.ctx, c.bucket, found.Key)
	if err != nil {
		return err
	}
	defer o.Close()
	return c.send(o, found.Status)
}

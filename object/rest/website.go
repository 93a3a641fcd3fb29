package rest

import (
	"cmp"
	"encoding/xml"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

type websiteXML struct {
	XMLName               xml.Name      `xml:"WebsiteConfiguration"`
	IndexDocument         *indexXML     `xml:",omitempty"`
	ErrorDocument         *errorXML     `xml:",omitempty"`
	RedirectAllRequestsTo *redirectXML  `xml:",omitempty"`
	AutoAddressing        *statusXML    `xml:",omitempty"`
	RoutingRules          *routingRules `xml:",omitempty"`
}

type indexXML struct {
	Suffix        string
	SupportSubDir bool `xml:",omitempty"`
	Type          int  `xml:",omitempty"`
}

type errorXML struct {
	Key                string
	HttpStatus         int    `xml:",omitempty"`
	OriginalHttpStatus string `xml:",omitempty"`
}

type statusXML struct{ Status string }

type routingRules struct {
	RoutingRule []routingRule
}

type routingRule struct {
	Condition *struct {
		KeyPrefixEquals             string `xml:",omitempty"`
		HttpErrorCodeReturnedEquals string `xml:",omitempty"`
	} `xml:",omitempty"`
	Redirect redirectXML
}

type redirectXML struct {
	HostName             string  `xml:",omitempty"`
	Protocol             string  `xml:",omitempty"`
	ReplaceKeyPrefixWith *string `xml:",omitempty"`
	ReplaceKeyWith       *string `xml:",omitempty"`
	HttpRedirectCode     string  `xml:",omitempty"`
}

// PutWebsite sets how the bucket answers browsers.
func (c *Call) PutWebsite() error {
	var in websiteXML
	if err := c.Body(&in); err != nil {
		return err
	}
	w := &sluice.Website{SubDir: c.Rules}
	if d := in.IndexDocument; d != nil {
		switch {
		case d.Suffix == "" || strings.Contains(d.Suffix, "/"):
			return Invalid("Suffix", d.Suffix, "The IndexDocument Suffix is not well formed.")
		case d.Type < object.SubRedirect || d.Type > object.SubIndex:
			return Invalid("Type", "", "The IndexDocument Type must be 0, 1 or 2.")
		}
		w.Index, w.SubDir, w.SubType = d.Suffix, d.SupportSubDir || c.Rules, d.Type
	}
	if d := in.ErrorDocument; d != nil {
		switch {
		case d.Key == "":
			return Invalid("Key", "", "The ErrorDocument Key is not well formed.")
		case d.HttpStatus != 0 && d.HttpStatus != 200 && d.HttpStatus != 404:
			return Invalid("HttpStatus", "", "The ErrorDocument HttpStatus must be 200 or 404.")
		}
		w.Error, w.ErrorStatus = d.Key, d.HttpStatus
		if d.OriginalHttpStatus == "Disabled" {
			w.ErrorStatus = http.StatusOK
		}
	}
	if !c.Rules && in.RoutingRules != nil && len(in.RoutingRules.RoutingRule) > 0 {
		return NotImplemented("RoutingRules")
	}
	if c.Rules && in.IndexDocument == nil && (in.RedirectAllRequestsTo == nil || in.RedirectAllRequestsTo.HostName == "" && in.RedirectAllRequestsTo.Protocol == "") {
		return Invalid("IndexDocument", "null", "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty")
	}
	if err := c.Alter(func(b *object.Bucket) { b.Website = w }); err != nil {
		return err
	}
	var doc any // what a Website does not tell
	if c.Rules {
		doc = in
	}
	return c.Done(c.setDoc("website", doc), http.StatusOK)
}

// website is what the bucket's website has been told, or comes to; nil when it has none.
func (c *Call) website() (*websiteXML, error) {
	out := &websiteXML{}
	if doc := c.Doc(c.B, "website"); doc != nil {
		return out, xml.Unmarshal(doc, out)
	}
	w := c.B.Website
	if w == nil {
		return nil, nil
	}
	if w.Index != "" || w.SubDir {
		out.IndexDocument = &indexXML{Suffix: w.Index, SupportSubDir: w.SubDir && !c.Rules, Type: w.SubType}
	}
	if w.Error != "" {
		out.ErrorDocument = &errorXML{Key: w.Error}
		if !c.Rules {
			out.ErrorDocument.HttpStatus = w.ErrorStatus
		}
	}
	if !c.Rules {
		out.RoutingRules = &routingRules{}
	}
	return out, nil
}

// GetWebsite tells how the bucket answers browsers.
func (c *Call) GetWebsite() error {
	out, err := c.website()
	if err != nil {
		return err
	}
	if out == nil {
		return Refuse(404, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration.").
			With("BucketName", c.Bucket)
	}
	return c.Answer(out)
}

// DeleteWebsite makes the bucket a plain one again.
func (c *Call) DeleteWebsite() error {
	err := c.Alter(func(b *object.Bucket) { b.Website = nil })
	if err == nil {
		err = c.SetDoc("website", nil)
	}
	return c.Done(err, http.StatusNoContent)
}

// ServeSite answers a GET or HEAD with what the website of a bucket has at key ("" is its root), as an
// anonymous request for it would be answered: pages, redirects of folders, error documents, ranges,
// ETags. The request's own path and host count only for redirects.
func (f *Front) ServeSite(w http.ResponseWriter, r *http.Request, bucket, key string) {
	c := f.NewCall(w, r, bucket, key)
	c.Page = true
	c.Finish(func() (err error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return c.Unknown()
		}
		if c.B, err = f.Objects.Bucket(c.Ctx, bucket); err != nil {
			return err
		}
		c.allowOrigin()
		return c.Site(key)
	}())
}

// Site serves a page of the website. What cannot be served, a routing rule or the error document may
// still answer.
func (c *Call) Site(path string) error {
	if err := c.checkKey(path); err != nil {
		return err
	}
	w, err := c.website()
	if err != nil {
		return err
	}
	if w == nil {
		if c.Rules {
			return Refuse(404, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration").With("BucketName", c.Bucket)
		}
		w = &websiteXML{}
	}
	if all := w.RedirectAllRequestsTo; all != nil && (all.HostName != "" || c.scheme() != cmp.Or(all.Protocol, c.scheme())) {
		return c.redirect(all, "", path)
	}
	if r := w.rule(path, 0); r != nil {
		return c.redirect(&r.Redirect, r.prefix(), path)
	}
	err = c.page(w, path)
	if err == nil || c.Status != 0 || !c.Rules {
		return err
	}
	status := c.FaultOf(err).Status
	if r := w.rule(path, status); r != nil {
		return c.redirect(&r.Redirect, r.prefix(), path)
	}
	if w.ErrorDocument != nil && status/100 == 4 && c.Open(c.B, w.ErrorDocument.Key, Reader) == nil {
		if o, missing := c.Objects.Get(c.Ctx, c.Bucket, w.ErrorDocument.Key); missing == nil {
			defer o.Close()
			return c.send(o, status)
		}
	}
	return err
}

// page serves the object that a path means.
func (c *Call) page(w *websiteXML, path string) error {
	b := *c.B
	if b.Website != nil && c.Rules && !b.Website.SubDir { // as a template may have it
		site := *b.Website
		site.SubDir = true
		b.Website = &site
	}
	found, err := c.Objects.SiteOf(c.Ctx, &b, path)
	missing := found.Missing || object.ReasonOf(err) == object.NoSuchKey
	if missing && w.AutoAddressing != nil && w.AutoAddressing.Status == "Enabled" && path != "" && !strings.HasSuffix(path, "/") {
		if _, err := c.Objects.Head(c.Ctx, c.Bucket, path+".html"); err == nil {
			return c.show(path+".html", http.StatusOK)
		}
	}
	if object.ReasonOf(err) == object.NoSuchKey {
		// Whether a key is there is told only to who may read it.
		if err := c.Open(c.B, "", Reader); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if found.Missing {
		if r := w.rule(path, http.StatusNotFound); r != nil {
			return c.redirect(&r.Redirect, r.prefix(), path)
		}
	}
	if found.Redirect {
		to := c.R.URL.EscapedPath() + "/"
		if strings.HasPrefix(to, "//") { // would name another host
			to = "/" + strings.TrimLeft(to, "/")
		}
		if c.R.URL.RawQuery != "" {
			to += "?" + c.R.URL.RawQuery
		}
		c.Set("Location", to)
		return c.Empty(http.StatusFound)
	}
	return c.show(found.Key, found.Status)
}

// show sends an object that everybody may read.
func (c *Call) show(key string, status int) error {
	if err := c.Open(c.B, key, Reader); err != nil {
		return err
	}
	o, err := c.Objects.Get(c.Ctx, c.Bucket, key)
	if err != nil {
		return err
	}
	defer o.Close()
	if to := o.Docs[c.RedirectDoc()]; to != "" {
		c.Set("Location", to)
		return c.Empty(http.StatusMovedPermanently)
	}
	return c.send(o, status)
}

// RedirectDoc is the name, among an object's Docs, of where websites send who asks for it.
func (f *Front) RedirectDoc() string { return f.Prefix + "website-redirect-location" }

// rule is the first routing rule for a key; status is that of the error there, 0 before it is known.
func (w *websiteXML) rule(key string, status int) *routingRule {
	if w.RoutingRules == nil {
		return nil
	}
	for i := range w.RoutingRules.RoutingRule {
		r := &w.RoutingRules.RoutingRule[i]
		code := ""
		if r.Condition != nil {
			code = r.Condition.HttpErrorCodeReturnedEquals
		}
		if strings.HasPrefix(key, r.prefix()) && (code == "" && status == 0 || code != "" && code == strconv.Itoa(status)) {
			return r
		}
	}
	return nil
}

func (r *routingRule) prefix() string {
	if r.Condition == nil {
		return ""
	}
	return r.Condition.KeyPrefixEquals
}

func (c *Call) scheme() string {
	if c.R.TLS != nil {
		return "https"
	}
	return "http"
}

// redirect sends the browser elsewhere, as a rule for keys that begin with prefix says.
func (c *Call) redirect(to *redirectXML, prefix, key string) error {
	switch {
	case to.ReplaceKeyWith != nil && *to.ReplaceKeyWith != "":
		key = *to.ReplaceKeyWith
	case to.ReplaceKeyPrefixWith != nil:
		key = *to.ReplaceKeyPrefixWith + strings.TrimPrefix(key, prefix)
	}
	status, err := strconv.Atoi(to.HttpRedirectCode)
	if err != nil || status < 301 || status > 308 {
		status = http.StatusMovedPermanently
	}
	where := cmp.Or(to.Protocol, c.scheme()) + "://" + cmp.Or(to.HostName, c.R.Host) + "/" + Escape(strings.TrimPrefix(key, "/"), true)
	if c.R.URL.RawQuery != "" {
		where += "?" + c.R.URL.RawQuery
	}
	c.Set("Location", where)
	return c.Empty(status)
}

// errorPage is an error as browsers show it.
func errorPage(status int, fields []Field) []byte {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	var b strings.Builder
	b.WriteString("<html>\n<head><title>" + title + "</title></head>\n<body>\n<h1>" + title + "</h1>\n<ul>\n")
	for _, f := range fields {
		b.WriteString("<li>" + f.Name + ": " + html.EscapeString(f.Value) + "</li>\n")
	}
	b.WriteString("</ul>\n<hr/>\n</body>\n</html>\n")
	return []byte(b.String())
}

package sdevs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// bucket is the bucket that a module names; auto is one of its own.
func (m *module) bucket() string {
	name := m.props().at("bucket").str()
	if strings.EqualFold(name, "auto") {
		name = sluice.DNSLabel("serverless-devs-" + m.regionOr() + "-" + string(m.r.app.Name) + "-" + m.name)
	}
	return name
}

// bucketHosts are the custom domains of a module's bucket.
func (m *module) bucketHosts() []string {
	var hosts []string
	for _, key := range []string{"customDomains", "hosts"} {
		for _, d := range m.props().at(key).items() {
			w := d
			if d.v.IsMap() {
				w = d.at("domainName")
				if w.v.IsNull() {
					w = d.at("host")
				}
			}
			if h := hostOf(w.str()); h != "" && !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// oss reads a module of component oss or website: files for one folder of a bucket.
func (r *reading) oss(m *module) {
	p := m.props()
	name := m.bucket()
	w := p.at("bucket")
	switch {
	case w.missing():
		r.fail(w.place(), `"auto" makes one`, "module %q has no bucket", m.name)
	case w.broken():
	case !bucketName.MatchString(name):
		r.fail(w.place(), "use 3 to 63 lower-case letters, digits and dashes", "bucket name %q of module %q is not valid", name, m.name)
	}
	site := r.website(p)
	prefix := strings.Trim(p.at("subDir").str(), "/")
	if s := p.at("ossObject"); prefix == "" && !s.v.IsNull() {
		prefix = strings.Trim(s.str(), "/")
	}
	if s := p.at("src", "subDir"); prefix == "" && !s.v.IsNull() && !s.v.IsMap() {
		prefix = strings.Trim(s.str(), "/")
	}
	if prefix != "" {
		prefix += "/"
	}
	b := r.ensureBucket(m, name)
	if acl := p.at("acl"); !acl.v.IsNull() {
		r.acl(m, b, acl)
	} else if m.kind == website && b.ACL == "" {
		b.ACL = "public-read"
	}
	r.rules(p, b)
	if prefix == "" && site != nil {
		b.Website = site
	}
	for _, h := range append(m.bucketHosts(), bucketHost(name, m.regionOr()), bucketHost(name, m.regionOr()+"-internal")) {
		if r.owners.buckets == nil {
			r.owners.buckets = map[string]string{}
		}
		r.owners.buckets[h] = name
		r.owners.host(h, name)
	}
	for _, h := range m.bucketHosts() {
		if !slices.Contains(b.Hosts, h) {
			b.Hosts = append(b.Hosts, h)
		}
	}
	src := p.at("codeUri")
	if dir := p.at("src", "publishDir"); !dir.v.IsNull() {
		src = dir
	} else if dir := p.at("src", "codeUri"); src.v.IsNull() && !dir.v.IsNull() {
		src = dir
	}
	if src.str() == "" {
		return // a bucket without files of its own
	}
	for _, s := range r.app.Sites {
		if s.Bucket == name && s.Prefix == prefix {
			r.fail(m.at, "give each a subDir of its own", "modules at %s and here upload to the same place, %s/%s", s.At, name, prefix)
			return
		}
	}
	r.app.Sites = append(r.app.Sites, sluice.Site{Bucket: name, Prefix: prefix, Dir: r.folder(m, src), Website: site, At: m.at})
}

// ensureBucket is the App's bucket of that name, made when a module is the first to use it.
func (r *reading) ensureBucket(m *module, name string) *sluice.Bucket {
	for i := range r.app.Buckets {
		if r.app.Buckets[i].Name == name {
			return &r.app.Buckets[i]
		}
	}
	r.app.Buckets = append(r.app.Buckets, sluice.Bucket{Name: name, At: m.at})
	return &r.app.Buckets[len(r.app.Buckets)-1]
}

func (r *reading) acl(m *module, b *sluice.Bucket, w view) {
	acls := []string{"private", "public-read", "public-read-write"}
	acl := w.str()
	if !slices.Contains(acls, acl) && acl != "" && acl != "auto" && acl != "default" {
		r.fail(w.place(), suggest(acl, acls), "acl %q of module %q is not known", acl, m.name)
		return
	}
	if b.ACL != "" && b.ACL != acl {
		r.warn(w.place(), "bucket %q is %s by one module and %s by another; the last one counts", b.Name, b.ACL, acl)
	}
	if acl == "auto" || acl == "default" {
		acl = ""
	}
	b.ACL = acl
}

// website reads how a module's files answer browsers: the website block of oss, or the src block of
// the older component.
func (r *reading) website(p view) *sluice.Website {
	w := p.at("website")
	if w.v.IsNull() {
		w = p.at("src")
		if w.at("index").v.IsNull() && w.at("error").v.IsNull() && !w.at("subDir").v.IsMap() {
			return nil
		}
	}
	site := &sluice.Website{Index: w.at("index").or("index.html"), Error: w.at("error").str()}
	kind := w.at("subDirType")
	if kind.v.IsNull() && w.at("subDir").v.IsMap() {
		kind = w.at("subDir", "type")
	}
	types := []string{"redirect", "noSuchKey", "index"}
	if s := kind.str(); s != "" {
		i := slices.IndexFunc(types, func(t string) bool { return strings.EqualFold(t, s) })
		if i < 0 {
			r.fail(kind.place(), suggest(s, types), "subDirType %q of module %q is not known", s, p.m.name)
			i = 0
		}
		site.SubDir, site.SubType = true, i
	}
	return site
}

package components

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

var (
	bucketName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	ownNumber  = regexp.MustCompile(`-[0-9]{10}$`)
)

// fullBucket is a bucket's whole name: short ones get the account's number (section 3.1).
func fullBucket(name string) string {
	if name == "" || ownNumber.MatchString(name) { // of another account, even: code names it so, too
		return name
	}
	return name + "-" + scf.AppID
}

// bucketOf is the bucket of an instance of cos or website.
func (in *instance) bucketOf() string {
	w := in.view()
	name := cmpView(w.at("bucketName"), w.at("bucket")).str()
	if name == "" && in.kind == website {
		name = "sls-website-" + string(in.r.app.Name)
	}
	return fullBucket(name)
}

// ensureBucket is the App's bucket of that name, made when an instance is the first to use it.
func (r *reading) ensureBucket(in *instance) *sluice.Bucket {
	name := in.bucketOf()
	if !bucketName.MatchString(name) || len(name) > 60 {
		r.fail(in.view().at("bucket").place(), "lower-case letters, digits and dashes, 60 at most with the account's number", "%s: bucket name %q is not valid", in.name, name)
	}
	for i := range r.app.Buckets {
		if r.app.Buckets[i].Name == name {
			return &r.app.Buckets[i]
		}
	}
	r.app.Buckets = append(r.app.Buckets, sluice.Bucket{Name: name, At: in.at})
	return &r.app.Buckets[len(r.app.Buckets)-1]
}

// bucket reads an instance of cos.
func (r *reading) bucket(in *instance) {
	w := in.view()
	w.known(in.name, "bucket", "bucketName", "region", "acl", "src", "keyPrefix", "replace", "website", "targetDir", "force", "protocol", "name", "cors")
	b := r.ensureBucket(in)
	r.cors(in, w.at("cors"), b)
	acl := w.at("acl")
	if acl.v.IsMap() {
		acl = acl.at("permissions")
	}
	if s := acl.str(); s != "" && s != "default" {
		if !slices.Contains([]string{"private", "public-read", "public-read-write"}, s) {
			r.fail(acl.place(), "private, public-read or public-read-write", "%s: acl %q is not known", in.name, s)
		}
		b.ACL = s
	}
	if site := w.at("website"); site.v.IsMap() || site.is(false) {
		from := cmpView(site, w)
		b.Website = r.site(from)
		setWebsite(b, from.at("ignoreHtmlExt").is(false))
	}
	src := w.at("src")
	where, prefix := src, w.at("keyPrefix").str()
	if src.v.IsMap() {
		where, prefix = src.at("src"), cmp.Or(src.at("targetDir").str(), prefix)
	}
	if !where.missing() {
		r.upload(in, b, where, prefix)
	}
}

// site reads how a bucket answers browsers.
func (r *reading) site(w view) *sluice.Website {
	s := &sluice.Website{Index: cmp.Or(w.at("index").str(), "index.html"), Error: w.at("error").str()}
	if w.at("disableErrorStatus").is(false) {
		s.ErrorStatus = http.StatusOK
	}
	return s
}

// websiteDoc and corsDoc are settings of a bucket as COS's API takes them (sections 3.4 and 3.6).
type (
	websiteDoc struct {
		XMLName xml.Name `xml:"WebsiteConfiguration"`
		Index   string   `xml:"IndexDocument>Suffix"`
		Auto    string   `xml:"AutoAddressing>Status"`
		Error   *errorDoc
	}
	errorDoc struct {
		XMLName xml.Name `xml:"ErrorDocument"`
		Key     string
		Status  string `xml:"OriginalHttpStatus"`
	}
	corsDoc struct {
		XMLName xml.Name   `xml:"CORSConfiguration"`
		Rules   []corsRule `xml:"CORSRule"`
	}
	corsRule struct {
		ID            string `xml:",omitempty"`
		AllowedOrigin []string
		AllowedMethod []string
		AllowedHeader []string
		ExposeHeader  []string
		MaxAgeSeconds int `xml:",omitempty"`
	}
)

// setWebsite keeps what the bucket's Website cannot say: whether /a shows a.html. Without that it drops
// what was kept before.
func setWebsite(b *sluice.Bucket, noExtensions bool) {
	if !noExtensions {
		setDoc(b, "cos.website", nil)
		return
	}
	doc := websiteDoc{Index: b.Website.Index, Auto: "Enabled"}
	if b.Website.Error != "" {
		doc.Error = &errorDoc{Key: b.Website.Error, Status: "Enabled"}
		if b.Website.ErrorStatus == http.StatusOK {
			doc.Error.Status = "Disabled"
		}
	}
	setDoc(b, "cos.website", doc)
}

// setDoc keeps a setting of a bucket; nil drops it.
func setDoc(b *sluice.Bucket, name string, doc any) {
	if b.Docs == nil {
		b.Docs = map[string][]byte{}
	}
	b.Docs[name] = []byte{}
	if doc != nil {
		b.Docs[name], _ = xml.Marshal(doc) // texts and numbers always marshal
	}
}

// cors reads by which rules pages of other origins may use a bucket.
func (r *reading) cors(in *instance, w view, b *sluice.Bucket) {
	if w.missing() {
		return
	}
	if w.v.IsMap() && !w.at("rules").missing() {
		w = w.at("rules")
	}
	var doc corsDoc
	for _, e := range w.items() {
		several := func(name string) []string { return cmpView(e.at(name+"s"), e.at(name)).strs() }
		rule := corsRule{ID: e.at("id").str(), AllowedOrigin: several("allowedOrigin"), AllowedMethod: several("allowedMethod"),
			AllowedHeader: several("allowedHeader"), ExposeHeader: several("exposeHeader"), MaxAgeSeconds: e.at("maxAgeSeconds").num(0, 0, 1<<31-1)}
		for i, m := range rule.AllowedMethod {
			if m = strings.ToUpper(m); !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}, m) {
				r.fail(e.place(), "GET, PUT, POST, DELETE and HEAD", "%s: cors cannot allow the method %q", in.name, m)
			}
			rule.AllowedMethod[i] = strings.ToUpper(m)
		}
		if len(rule.AllowedOrigin) == 0 || len(rule.AllowedMethod) == 0 {
			r.fail(e.place(), "", "%s: a rule of cors needs allowedOrigins and allowedMethods", in.name)
		}
		doc.Rules = append(doc.Rules, rule)
	}
	if len(doc.Rules) == 0 {
		setDoc(b, "cos.cors", nil)
		return
	}
	setDoc(b, "cos.cors", doc)
}

// upload adds the files of a folder to a bucket.
func (r *reading) upload(in *instance, b *sluice.Bucket, where view, prefix string) {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	dir := where.str()
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(in.dir, dir)
	}
	for _, s := range r.app.Sites {
		if s.Bucket == b.Name && s.Prefix == prefix {
			r.fail(where.place(), "", "%s uploads to the same place as what is described at %s", in.name, s.At)
			return
		}
	}
	r.app.Sites = append(r.app.Sites, sluice.Site{Bucket: b.Name, Prefix: prefix, Dir: dir, Website: b.Website, At: in.at})
}

// website reads an instance of website: a bucket that shows a folder.
func (r *reading) website(in *instance) {
	w := in.view()
	w.known(in.name, "bucket", "bucketName", "region", "src", "code", "protocol", "env", "replace", "hosts", "acl", "ignoreHtmlExt", "disableErrorStatus", "name", "cors")
	b := r.ensureBucket(in)
	r.cors(in, w.at("cors"), b)
	b.ACL = "public-read"
	src := cmpView(w.at("src"), w.at("code"))
	where, settings := src, w
	root := in.dir
	if src.v.IsMap() {
		settings = src
		where = cmpView(src.at("dist"), src.at("websitePath"), src.at("src"))
		if src.at("hook").str() == "" {
			where = src.at("src")
		}
		if base := src.at("root").str(); base != "" {
			root = filepath.Join(root, base)
		}
	}
	b.Website = r.site(settings)
	if w.at("disableErrorStatus").is(false) {
		b.Website.ErrorStatus = http.StatusOK
	}
	setWebsite(b, w.at("ignoreHtmlExt").is(settings.at("ignoreHtmlExt").is(false)))
	for _, h := range w.at("hosts").items() {
		name := h
		if h.v.IsMap() {
			name = cmpView(h.at("host"), h.at("domain"))
		}
		if s := strings.ToLower(name.str()); s != "" && !slices.Contains(b.Hosts, s) {
			b.Hosts = append(b.Hosts, s)
		}
	}
	dir := cmp.Or(where.str(), ".")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(root, dir)
	}
	hook := ""
	if src.v.IsMap() {
		hook = src.at("hook").str()
	}
	if hook == "" {
		r.folder(where, dir)
	} else if !r.in.NoBuild && !r.in.SkipActions {
		r.app.Actions = append(r.app.Actions, sluice.Action{When: "pre", Module: in.name, Run: hook, Dir: root, At: in.at})
	}
	r.pageEnv(in, w.at("env"), cmpView(src.at("envPath"), w.at("env")), root, dir)
	r.upload(in, b, where, "")
	r.app.Sites[len(r.app.Sites)-1].Dir = dir
}

// pageEnv leaves env.js in a page's folder: window.env with what the page has to know, as the component
// does.
func (r *reading) pageEnv(in *instance, env, path view, root, dir string) {
	if env.missing() || r.in.SkipActions {
		return
	}
	vars := map[string]string{}
	for _, e := range env.entries() {
		vars[e.key] = e.str()
	}
	text, err := json.Marshal(vars)
	if err != nil {
		r.fail(env.place(), "", "%v", err)
		return
	}
	to := dir
	if path.v != nil && !path.v.IsMap() && path.str() != "" {
		to = filepath.Join(root, path.str())
	}
	js := "window.env = {};\nObject.assign(window.env, " + string(text) + ");\n"
	r.app.Actions = append(r.app.Actions, sluice.Action{
		When: "pre", Module: in.name, Dir: to, At: in.at, Files: map[string]string{"env.js": js}, Given: js,
		Run: `cmp -s "$SLUICE_FILES/env.js" env.js || cp "$SLUICE_FILES/env.js" env.js`,
	})
}

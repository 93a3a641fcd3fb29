package components

import (
	"cmp"
	"encoding/json"
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
	w.known(in.name, "bucket", "bucketName", "region", "acl", "src", "keyPrefix", "replace", "website", "targetDir", "force", "protocol", "name")
	b := r.ensureBucket(in)
	acl := w.at("acl")
	if acl.v.isMap() {
		acl = acl.at("permissions")
	}
	if s := acl.str(); s != "" && s != "default" {
		if !slices.Contains([]string{"private", "public-read", "public-read-write"}, s) {
			r.fail(acl.place(), "private, public-read or public-read-write", "%s: acl %q is not known", in.name, s)
		}
		b.ACL = s
	}
	if site := w.at("website"); site.v.isMap() || site.is(false) {
		b.Website = r.site(cmpView(site, w))
	}
	src := w.at("src")
	where, prefix := src, w.at("keyPrefix").str()
	if src.v.isMap() {
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
		s.ErrorStatus = 200
	}
	return s
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
	w.known(in.name, "bucket", "bucketName", "region", "src", "code", "protocol", "env", "replace", "hosts", "acl", "ignoreHtmlExt", "disableErrorStatus", "name")
	b := r.ensureBucket(in)
	b.ACL = "public-read"
	src := cmpView(w.at("src"), w.at("code"))
	where, settings := src, w
	root := in.dir
	if src.v.isMap() {
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
		b.Website.ErrorStatus = 200
	}
	if w.at("ignoreHtmlExt").is(false) {
		r.warn(w.at("ignoreHtmlExt").place(), "%s: ignoreHtmlExt is ignored by a deploy; COS's own API sets it", in.name)
	}
	for _, h := range w.at("hosts").items() {
		name := h
		if h.v.isMap() {
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
	if src.v.isMap() {
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
	if path.v != nil && !path.v.isMap() && path.str() != "" {
		to = filepath.Join(root, path.str())
	}
	js := "window.env = {};\nObject.assign(window.env, " + string(text) + ");\n"
	r.app.Actions = append(r.app.Actions, sluice.Action{
		When: "pre", Module: in.name, Dir: to, At: in.at, Files: map[string]string{"env.js": js}, Given: js,
		Run: `cmp -s "$SLUICE_FILES/env.js" env.js || cp "$SLUICE_FILES/env.js" env.js`,
	})
}

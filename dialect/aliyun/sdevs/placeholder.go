package sdevs

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// placeholder is {{ name }} or {{ name|hint }}, which the official tool fills in when it copies a
// template (section 5.2). {{.Name}} of other tools is none.
var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:\|([^{}\n]*))?\}\}`)

// A placeholder without a value becomes a mark, so that one in a comment does no harm.
const (
	markOpen  = "\ue000"
	markClose = "\ue001"
)

var mark = regexp.MustCompile(markOpen + `(\d+)` + markClose)

// blank is a placeholder that nothing fills.
type blank struct{ name, hint string }

// load reads the template, its placeholders filled, with what it extends.
func (r *reading) load() *value {
	root := r.loadFile(r.in.File, 0)
	if root != nil && !root.IsMap() {
		r.fail(sluice.Place{File: r.in.File, Line: 1}, "", "a template is a map of edition, name and services, this is %s", root.Kind())
		return nil
	}
	return root
}

func (r *reading) loadFile(file string, depth int) *value {
	at := sluice.Place{File: file}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.in.Dir, path)
	}
	text, err := template.ReadFile(path)
	if err != nil {
		hint := ""
		if errors.Is(err, os.ErrNotExist) {
			hint = r.nearFile(file)
		}
		r.fail(at, hint, "cannot read the template: %v", cause(err))
		return nil
	}
	seen := len(r.blanks)
	// The first pass finds the template's name, on which the values of others depend.
	first, err := template.Parse(file, []byte(r.fill(file, string(text), "")), maxNodes)
	if err != nil {
		r.failAll(err)
		return nil
	}
	name := ""
	if v := first.GetFold("name"); v != nil && !mark.MatchString(v.Text) && !strings.Contains(v.Text, "${") {
		name = v.Text
	}
	r.blanks = r.blanks[:seen]
	full := r.fill(file, string(text), string(r.in.AppName(name)))
	if depth == 0 {
		r.filled = full
	}
	if depth == 0 && !strings.Contains(string(text), "extend:") { // another file may have the rest
		r.strangers(file)
	}
	root, err := template.Parse(file, []byte(full), maxNodes)
	if err != nil {
		r.failAll(err)
		return nil
	}
	// Edition 1: a file for another environment names the one that it changes.
	base := root.GetFold("extend")
	if base == nil || base.Text == "" {
		return root
	}
	if depth > 8 {
		r.fail(base.At, "", "templates extend each other in a circle")
		return nil
	}
	under := r.loadFile(base.Text, depth+1)
	if under == nil {
		return nil
	}
	return merge(under, root)
}

func (r *reading) failAll(err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			r.failAll(e)
		}
		return
	}
	var e *sluice.Error
	if errors.As(err, &e) && r.once("error "+e.Error()) {
		r.errs = append(r.errs, e)
	}
}

// fill puts values for placeholders into text. app is "" in the first pass.
func (r *reading) fill(file, text, app string) string {
	var b strings.Builder
	done, line := 0, 1
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		line += strings.Count(text[done:m[0]], "\n")
		b.WriteString(text[done:m[0]])
		done = m[1]
		name, hint := text[m[2]:m[3]], ""
		if m[4] >= 0 {
			hint = strings.TrimSpace(text[m[4]:m[5]])
		}
		r.names[normal(name)] = name
		val, ok := r.param(name)
		if !ok && app != "" {
			if val, ok = r.derive(name, app); ok {
				r.note(sluice.Place{File: file, Line: line}, "{{ %s }} is taken as %q; --param %s=… changes it", name, val, name)
			}
		}
		if !ok {
			r.blanks = append(r.blanks, blank{name, hint})
			val = markOpen + strconv.Itoa(len(r.blanks)-1) + markClose
		}
		b.WriteString(oneLine(val))
	}
	b.WriteString(text[done:])
	return b.String()
}

// oneLine keeps a value from moving the lines below it.
func oneLine(s string) string { return strings.NewReplacer("\r", "", "\n", " ").Replace(s) }

// normal is a placeholder's name regardless of how its words are joined.
func normal(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "_")) }

// param is what is said of a placeholder: by the hook, which saw the parameters, else by a parameter.
func (r *reading) param(name string) (string, bool) {
	if v, ok := r.answers[name]; ok {
		return v, true
	}
	if v, ok := r.in.Params[name]; ok {
		return v, true
	}
	for k, v := range r.in.Params {
		if normal(k) == normal(name) {
			return v, true
		}
	}
	return "", false
}

// derive finds a value that only sluice knows (section 5.7), else the default that the template's
// publish.yaml offers.
func (r *reading) derive(name, app string) (string, bool) {
	switch normal(name) {
	case "access":
		return "default", true
	case "custome_domain", "custom_domain", "domain":
		if r.in.Public != nil {
			return r.in.Public(sluice.AppName(app)), true
		}
		return app + ".localhost", true
	case "oss_bucketname", "bucketname", "bucket_name", "bucket":
		return app, true
	case "tablestore_instance", "tablestore_instancename", "instance":
		return app, true
	case "tablestore_endpoint", "endpoint":
		if r.in.Endpoint != nil {
			if v := r.in.Endpoint("tablestore"); v != "" {
				return v, true
			}
		}
		return "", false
	}
	if v, ok := r.published(name); ok {
		return strings.ReplaceAll(v, defaultSuffix, suffix(app)), true
	}
	switch normal(name) {
	case "region":
		return defaultRegion, true
	case "functionname", "servicename", "function_name", "service_name":
		return app, true
	}
	return "", false
}

// defaultSuffix is what the official tool puts four random characters for when it copies a template.
const defaultSuffix = "${default-suffix}"

// suffix takes them from the app's name, so that what is called so is found at the next deploy.
func suffix(app string) string {
	h := fnv.New32a()
	h.Write([]byte(app))
	return fmt.Sprintf("%04x", h.Sum32()&0xffff)
}

// published is the default, or the first choice, of a parameter in the template's publish.yaml.
func (r *reading) published(name string) (string, bool) {
	p := r.declared()[normal(name)]
	if v := p.GetFold("default"); !v.IsNull() {
		return v.Text, true
	}
	if v := p.GetFold("enum"); v.IsList() && len(v.List) > 0 && v.List[0].Text != "" {
		return v.List[0].Text, true
	}
	return "", false
}

// declared are the parameters of publish.yaml beside the template, or one folder above, by normal name.
func (r *reading) declared() map[string]*value {
	out := map[string]*value{}
	above := filepath.Dir(r.in.Dir)
	for _, path := range []string{filepath.Join(r.in.Dir, "publish.yaml"), filepath.Join(r.in.Dir, "publish.yml"), filepath.Join(above, "publish.yaml"), filepath.Join(above, "publish.yml")} {
		b, err := template.ReadFile(path)
		if err != nil {
			continue
		}
		doc, err := template.Parse(filepath.Base(path), b, maxNodes)
		if err != nil {
			continue
		}
		props := doc.GetFold("Parameters").GetFold("properties")
		if props == nil {
			continue
		}
		for _, f := range props.Fields {
			if out[normal(f.Key)] == nil {
				out[normal(f.Key)] = f.Value
			}
		}
	}
	return out
}

// strangers refuses parameters that neither the template nor its publish.yaml knows: a misspelt one
// would silently leave a default in force.
func (r *reading) strangers(file string) {
	declared := r.declared()
	var known []string
	for _, name := range r.names {
		known = append(known, name)
	}
	slices.Sort(known)
	for _, k := range slices.Sorted(maps.Keys(r.in.Params)) {
		if _, ok := r.names[normal(k)]; !ok && declared[normal(k)] == nil {
			r.fail(sluice.Place{File: file}, suggest(k, known), "the template has no parameter %q", k)
		}
	}
}

// unfilled notes an error for every placeholder without a value in text.
func (r *reading) unfilled(at sluice.Place, text string) bool {
	found := false
	for _, m := range mark.FindAllStringSubmatch(text, -1) {
		i, err := strconv.Atoi(m[1])
		if err != nil || i >= len(r.blanks) {
			continue
		}
		b := r.blanks[i]
		msg := fmt.Sprintf("placeholder {{ %s }} has no value", b.name)
		if b.hint != "" {
			msg += " (" + b.hint + ")"
		}
		r.fail(at, "give it with --param "+b.name+"=VALUE", "%s", msg)
		found = true
	}
	return found
}

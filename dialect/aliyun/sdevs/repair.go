package sdevs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// The repairs of section 5.9 that need a file of their own. R1 is in paths.go, R2 in actions.go and
// expr.go, R4 in module.go.

// uploadedTo corrects the path of a backend in a bucket of the template when nothing is uploaded to its
// first folder, P, and just one module uploads to a folder that ends in -P (repair R3).
func (r *reading) uploadedTo(at sluice.Place, api string, b *apigroup.Backend) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(b.Path, "/"), "/")
	if first == "" || strings.ContainsAny(first, "*[") {
		return
	}
	var meant []string
	for _, s := range r.app.Sites {
		if s.Bucket != b.Bucket {
			continue
		}
		if strings.HasPrefix(s.Prefix, first+"/") {
			return
		}
		if _, err := os.Stat(filepath.Join(s.Dir, first)); s.Prefix == "" && err == nil {
			return
		}
		if strings.HasSuffix(s.Prefix, "-"+first+"/") {
			meant = append(meant, s.Prefix)
		}
	}
	if len(meant) != 1 {
		return
	}
	r.repair(at, "R3", "API %q looks in folder %q of bucket %q, to which nothing is uploaded: %q is meant", api, first, b.Bucket, strings.TrimSuffix(meant[0], "/"))
	b.Path = "/" + meant[0] + rest
}

var packager = regexp.MustCompile(`\b(c?npm|yarn|pnpm|npx)\b`)

// builtPages reports whether an action builds pages that come built, in a folder where nothing was
// installed to build them with: who works on the pages has installed it (repair R5).
func (r *reading) builtPages(a action, m *module) bool {
	if r.in.RunBuild || !packager.MatchString(a.run) || isDir(filepath.Join(a.dir, "node_modules")) {
		return false
	}
	for _, s := range r.app.Sites {
		if s.At == m.at && isFile(filepath.Join(s.Dir, "index.html")) {
			r.repair(a.at, "R5", "action %q is skipped: the pages of module %q come built; --run-build runs it", a.run, m.name)
			return true
		}
	}
	return false
}

// vacated tells which functions need packages that npm does not have any more; package npm serves
// stand-ins while actions run (repair R6).
func (r *reading) vacated() {
	for _, f := range r.app.Functions {
		if !strings.HasPrefix(f.Runtime, "nodejs") {
			continue
		}
		needs := manifestOf(f.Code)
		var gone []string
		for _, name := range []string{"@serverless-devs/dk", "@serverless-devs/sandbox"} {
			_, runs := needs.Dependencies[name]
			_, develops := needs.DevDependencies[name]
			if runs || develops {
				gone = append(gone, name)
			}
		}
		if slices.Sort(gone); len(gone) > 0 {
			r.repair(f.At, "R6", "function %q needs %s, gone from npm: sluice's own stand in", f.Name, strings.Join(gone, " and "))
		}
	}
}

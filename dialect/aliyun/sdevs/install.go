package sdevs

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// What functions need beside their code: packages of npm and pip.

var (
	buildComponent = regexp.MustCompile(`^(devsapp/)?fc3?(@\S+)?\s+build\b`)
	npmInstall     = regexp.MustCompile(`^\s*(?:export PATH=\S+\s*(?:&&|;)\s*)?npm (?:i|install)(?:\s+--?[\w=:/.-]+)*\s*$`)
)

// buildCall is what `component: fc build` does here: it installs what the manifests in the folder of
// the module's code name, for Python into ./python as the official tool does. The zero command when
// there is no manifest.
func (r *reading) buildCall(a action, it *value, m *module) action {
	if m == nil || !buildComponent.MatchString(r.vars.text(it.GetFold("component"), m)) {
		return a
	}
	props := r.vars.see(m.body.GetFold("props"), m)
	code := props.GetFold("code")
	if code == nil {
		code = r.vars.see(props.GetFold("function"), m).GetFold("codeUri")
	}
	if v := r.vars.see(code, m); v.IsMap() {
		code = v.GetFold("src")
	}
	path := r.vars.text(code, m)
	dir := r.under(path)
	switch {
	case path == "":
		return a
	case isFile(filepath.Join(dir, "requirements.txt")):
		a.run = pipInstall
	case isFile(filepath.Join(dir, "package.json")):
		a.run = "npm install"
	default:
		return a
	}
	a.at, a.path, a.dir = it.At, path, dir
	return a
}

// pipInstall installs what requirements.txt names, where functions look for it.
const pipInstall = "python3 -m pip install --quiet --disable-pip-version-check --upgrade -r requirements.txt -t python"

var pipAction = regexp.MustCompile(`\bpip[\d.]*\b`)

// install installs the packages of a function whose code comes without, when no action does (repair
// R7): the official tool offers that where it copies a template.
func (r *reading) install(m *module) {
	for _, f := range r.app.Functions {
		if f.At == m.at && strings.HasPrefix(f.Runtime, "python3") && r.requires(f.Code) {
			r.repair(f.At, "R7", "function %q needs packages that nothing installs: pip install is run", f.Name)
			r.addAction(action{when: "pre", run: pipInstall, dir: f.Code, path: f.Code, at: f.At}, m)
		}
		if f.At != m.at || !strings.HasPrefix(f.Runtime, "nodejs") || len(manifestOf(f.Code).Dependencies) == 0 {
			continue
		}
		if r.installed(f.Code) {
			continue
		}
		r.repair(f.At, "R7", "function %q needs packages that nothing installs: npm install is run", f.Name)
		r.addAction(action{when: "pre", run: "npm install", dir: f.Code, path: f.Code, at: f.At}, m)
	}
}

// requires reports whether requirements.txt names packages that nobody has installed beside the code, and
// no action will.
func (r *reading) requires(code string) bool {
	text, err := template.ReadFile(filepath.Join(code, "requirements.txt"))
	if err != nil {
		return false
	}
	names := slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		line = strings.TrimSpace(line)
		return line != "" && line[0] != '#' && line[0] != '-'
	})
	for _, where := range []string{".", "python", ".s/python/lib/*/site-packages"} {
		if found, _ := filepath.Glob(filepath.Join(code, where, "*.dist-info")); len(found) > 0 {
			return false
		}
	}
	return names && !slices.ContainsFunc(r.app.Actions, func(a sluice.Action) bool {
		return a.When == "pre" && pipAction.MatchString(a.Run) && (a.Given != "" || within(code, a.Dir))
	})
}

// installed reports whether packages for the code in a folder are there, or will be.
func (r *reading) installed(code string) bool {
	for _, a := range r.app.Actions {
		if a.When == "pre" && packager.MatchString(a.Run) && (a.Given != "" || within(code, a.Dir)) {
			return true
		}
	}
	for dir := code; within(dir, r.in.Dir); dir = filepath.Dir(dir) {
		if isDir(filepath.Join(dir, "node_modules")) {
			return true
		}
	}
	return false
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// unlocked keeps npm from a lock file that names archives which are gone from npm (repair R8).
func (r *reading) unlocked(a action, run string) string {
	if !npmInstall.MatchString(run) {
		return run
	}
	text, err := template.ReadFile(filepath.Join(a.dir, "package-lock.json"))
	if err != nil || !strings.Contains(string(text), "/@serverless-devs/dk/-/") && !strings.Contains(string(text), "/@serverless-devs/sandbox/-/") {
		return run
	}
	r.repair(a.at, "R8", "%s locks packages that are gone from npm: npm is told to leave it aside", r.back(a.dir, "package-lock.json"))
	return strings.TrimRight(run, " ") + " --no-package-lock"
}

// back is a file's name as the template would write it.
func (r *reading) back(dir, name string) string {
	path := filepath.Join(dir, name)
	if rel, err := filepath.Rel(r.in.Dir, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

// manifest is the part of a package.json that names other packages.
type manifest struct{ Dependencies, DevDependencies map[string]string }

// manifestOf reads it; empty without one, or with one that npm will complain of.
func manifestOf(dir string) manifest {
	var m manifest
	text, err := template.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil || json.Unmarshal(text, &m) != nil {
		return manifest{}
	}
	return m
}

package sdevs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
)

// actions puts what modules run around a deploy into the App: modules in the order in which they
// need each other, ties in that of the file.
func (r *reading) actions() {
	if hook := r.hook(); r.in.Init == nil { // else it ran already
		r.app.Actions = append(r.app.Actions, hook...)
	}
	if r.in.SkipActions {
		return
	}
	global := r.actionItems(r.root.GetFold("actions"), nil)
	for _, a := range global {
		if a.when == "pre" {
			r.addAction(a, nil)
		}
	}
	for _, m := range r.order() {
		if m.kind == ignored {
			continue
		}
		for _, a := range r.actionItems(m.body.GetFold("actions"), m) {
			r.addAction(a, m)
		}
		r.install(m)
	}
	for _, a := range global {
		if a.when == "post" {
			r.addAction(a, nil)
		}
	}
}

// order is the modules with those first that others refer to.
func (r *reading) order() []*module {
	var out []*module
	var visit func(m *module)
	seen := map[*module]bool{}
	visit = func(m *module) {
		if seen[m] {
			return
		}
		seen[m] = true
		for _, d := range m.deps {
			visit(d)
		}
		out = append(out, m)
	}
	for _, m := range r.modules {
		visit(m)
	}
	return out
}

func (r *reading) addAction(a action, m *module) {
	name, code := "", ""
	if m != nil {
		name = m.name
		for i := range r.app.Functions {
			f := &r.app.Functions[i]
			if f.At != m.at {
				continue
			}
			code = f.Code
			if a.when == "pre" && builtByUs(a, f.Build) {
				r.note(a.at, "action %q is skipped: sluice builds function %q itself", a.run, f.Name)
				return
			}
		}
	}
	if m != nil && a.when == "pre" && r.builtPages(a, m) {
		return
	}
	run, keep := r.personal(a, m)
	if !keep {
		return
	}
	run = r.unlocked(a, run)
	switch a.allow {
	case "":
	case "*":
		run = "( " + run + " ) || true"
	default:
		run = "( " + run + "\n) || { code=$?; case $code in " + a.allow + ") ;; *) exit $code ;; esac; }"
	}
	r.app.Actions = append(r.app.Actions, sluice.Action{When: a.when, Module: name, Run: run, Dir: r.actionDir(a, m, code), At: a.at})
}

var personalCall = regexp.MustCompile(`^s\s+([A-Za-z0-9_-]+)\s+([A-Za-z0-9_-]+)\s*(.*)$`)

// personal corrects a call of the official tool that names a module wrongly (repair R2), and drops
// the one that has nothing to do here: binding a domain, which the deploy has done.
func (r *reading) personal(a action, m *module) (run string, keep bool) {
	call := personalCall.FindStringSubmatch(strings.TrimSpace(a.run))
	if call == nil || slices.Contains([]string{"cli", "config", "init", "env", "local", "registry", "set"}, call[1]) || strings.HasPrefix(call[2], "-") {
		return a.run, true
	}
	to := r.moduleNamed(call[1])
	if to == nil {
		if to = r.meant(call[1]); to == nil {
			return a.run, true
		}
		r.repair(a.at, "R2", "there is no module %q: %q is meant", call[1], to.name)
	}
	if call[2] == "bindDomain" {
		r.note(a.at, "action %q is skipped: the deploy binds the domain of %q", a.run, to.name)
		return "", false
	}
	return strings.TrimSpace("s " + to.name + " " + call[2] + " " + call[3]), true
}

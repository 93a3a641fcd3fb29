package sdevs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// under is a path of the template, absolute.
func (r *reading) under(rel string) string {
	if filepath.IsAbs(rel) {
		return filepath.Clean(rel)
	}
	return filepath.Join(r.in.Dir, filepath.FromSlash(rel))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// folder is the folder (or archive) that a module names for its code or files, absolute. One that is
// not there may be made by the module's own actions; else repair R1 looks for the one that is meant.
func (r *reading) folder(m *module, w view) string {
	rel := w.str()
	path := r.under(rel)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if w.broken() {
		return path
	}
	for _, dir := range m.actionDirs() {
		if dir != r.in.Dir && (path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))) {
			return path // an action runs above it and will make it
		}
	}
	fixed := r.under(m.name)
	if strings.HasPrefix(path, fixed+string(filepath.Separator)) && len(m.actionDirs()) > 0 {
		return path // likewise
	}
	if isDir(fixed) {
		r.repair(w.place(), "R1", "folder %q does not exist: ./%s, named like the module, is meant", rel, m.name)
		return fixed
	}
	for _, dir := range m.actionDirs() {
		if dir != r.in.Dir {
			back, _ := filepath.Rel(r.in.Dir, dir)
			r.repair(w.place(), "R1", "folder %q does not exist: ./%s, where the module's actions run, is meant", rel, filepath.ToSlash(back))
			return dir
		}
	}
	if len(m.actionDirs()) > 0 {
		return path // an action at the top may make it; deploy looks again
	}
	r.fail(w.place(), r.nearFile(rel), "%s %q of module %q does not exist", w.name, rel, m.name)
	return path
}

// actionDirs are the existing folders in which a module's actions before a deploy run.
func (m *module) actionDirs() []string {
	var dirs []string
	for _, a := range m.r.actionItems(m.body.GetFold("actions"), m) {
		if a.when == "pre" && a.run != "" && isDir(a.dir) {
			dirs = append(dirs, a.dir)
		}
	}
	return dirs
}

// actionDir is the folder of an action, after repair R1. code is the module's own folder, or "".
func (r *reading) actionDir(a action, m *module, code string) string {
	if isDir(a.dir) {
		return a.dir
	}
	if m != nil {
		if fixed := r.under(m.name); isDir(fixed) {
			r.repair(a.at, "R1", "action folder %q does not exist: ./%s, named like the module, is meant", a.path, m.name)
			return fixed
		}
		if code != "" && isDir(code) {
			r.repair(a.at, "R1", "action folder %q does not exist: the module's own code is meant", a.path)
			return code
		}
	}
	r.fail(a.at, r.nearFile(a.path), "action folder %q does not exist", a.path)
	return a.dir
}

// fcignore is the patterns of .fcignore in a code folder.
func (r *reading) fcignore(dir string) []string {
	b, err := template.ReadFile(filepath.Join(dir, ".fcignore"))
	if err != nil {
		return nil
	}
	var patterns []string
	for _, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimRight(line, "\r"); strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return patterns
}

// action is one item of actions, as the template has it.
type action struct {
	when  string // pre or post
	run   string
	path  string // as written
	dir   string // absolute
	allow string // the exit codes of its failures that are nothing, as a pattern of the shell; "" is none
	at    sluice.Place
}

// actionItems reads what a deploy runs of a block of actions. m is nil for the template's own.
func (r *reading) actionItems(block *value, m *module) []action {
	var list []action
	if block == nil {
		return nil
	}
	for _, f := range block.Fields {
		stage, cmd, ok := strings.Cut(f.Key, "-")
		if !ok || !forDeploy(cmd) {
			continue
		}
		whens := map[string][]string{"pre": {"pre"}, "post": {"post"}, "success": {"post"}, "fail": {"fail"}, "complete": {"post", "fail"}}[stage]
		if whens == nil {
			continue
		}
		items := r.vars.see(f.Value, m)
		if items == nil {
			continue
		}
		for _, it := range items.List {
			it = r.vars.see(it, m)
			a := action{when: whens[0], at: it.At}
			if run := it.GetFold("run"); run != nil {
				a.run = r.vars.shellText(run, m)
				a.at = run.At
			}
			a.path = r.vars.text(it.GetFold("path"), m)
			a.dir = r.under(a.path)
			a.allow = r.allowed(it, m)
			if a.run == "" {
				a = r.buildCall(a, it, m)
			}
			if a.run == "" {
				for _, other := range []string{"component", "plugin"} {
					if v := it.GetFold(other); v != nil {
						r.warn(v.At, "action %s %q does not run here and is skipped", other, r.vars.text(v, m))
					}
				}
				continue
			}
			for _, a.when = range whens {
				list = append(list, a)
			}
		}
	}
	return list
}

// allowed is which exit codes of an action are nothing: allow_failure is true for all, or names the commands
// for which, and the codes of which, it is so.
func (r *reading) allowed(it *value, m *module) string {
	allow := r.vars.see(it.GetFold("allow_failure"), m)
	if allow == nil || !allow.IsMap() {
		if allow != nil && allow.Data == true {
			return "*"
		}
		return ""
	}
	texts := func(key string) (list []string) {
		v := r.vars.see(allow.GetFold(key), m)
		if v == nil {
			return nil
		}
		for _, e := range append(slices.Clone(v.List), v) {
			if text := r.vars.text(e, m); text != "" {
				list = append(list, text)
			}
		}
		return list
	}
	if commands := texts("command"); len(commands) > 0 && !slices.Contains(commands, "deploy") {
		return ""
	}
	codes := slices.DeleteFunc(texts("exit_code"), func(c string) bool { _, err := strconv.Atoi(c); return err != nil })
	if len(codes) == 0 {
		return "*"
	}
	return strings.Join(codes, "|")
}

func (s *resolver) shellText(v *value, m *module) string {
	if v = s.shell(v, m); v == nil {
		return ""
	}
	return v.Text
}

package sdevs

import (
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice/deploy/template"
)

// environment is the part of env.yaml (or of the file that the template's key env names) that describes
// one environment: the one that the deploy names, else the file's default, else its only one. nil when
// there is none. ${environment.…} looks there, and what it lays over modules counts.
func (r *reading) environment() *value {
	if r.asked {
		return r.chosen
	}
	r.asked = true
	file := r.vars.text(r.root.GetFold("env"), nil)
	for _, name := range []string{"env.yaml", "env.yml"} {
		if file == "" && isFile(filepath.Join(r.in.Dir, name)) {
			file = name
		}
	}
	want := r.in.Environment
	if file == "" {
		if want != "" {
			r.fail(r.root.At, "environments are described in env.yaml beside the template", "there is no environment %q", want)
		}
		return nil
	}
	text, err := template.ReadFile(r.under(file))
	if err != nil {
		r.fail(r.root.GetFold("env").Place(r.root.At), r.nearFile(file), "cannot read the environments: %v", cause(err))
		return nil
	}
	doc, err := template.Parse(file, []byte(r.fill(file, string(text), string(r.app.Name))), maxNodes)
	if err != nil {
		r.failAll(err)
		return nil
	}
	if want == "" {
		for _, key := range []string{"default", "defaultEnv", "default-env"} {
			if v := doc.GetFold(key); v != nil && want == "" {
				want = v.Text
			}
		}
	}
	list := doc.GetFold("environments")
	var names []string
	if list.IsList() {
		for _, e := range list.List {
			name := e.GetFold("name")
			if name == nil {
				continue
			}
			names = append(names, name.Text)
			if name.Text == want || want == "" && len(list.List) == 1 {
				r.chosen = e
			}
		}
	}
	if r.chosen == nil && want != "" {
		r.fail(doc.At, suggest(want, names), "there is no environment %q in %s", want, file)
	}
	r.environments = names
	return r.chosen
}

// overlaid lays what the environment says of a module's component, and then of the module, over its props.
func (r *reading) overlaid(m *module) {
	over := r.environment().GetFold("overlays")
	short := m.component[strings.LastIndexByte(m.component, '/')+1:]
	short, _, _ = strings.Cut(short, "@")
	if p := over.GetFold("components").GetFold(short); p.IsMap() {
		m.propsValue = merge(m.propsValue, p)
	}
	for _, key := range []string{"resources", "services"} {
		p := over.GetFold(key).GetFold(m.name)
		if props := p.GetFold("props"); props != nil {
			p = props
		}
		if p.IsMap() {
			m.propsValue = merge(m.propsValue, p)
		}
	}
}

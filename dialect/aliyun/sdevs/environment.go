package sdevs

import (
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/internal/yamlvalue"
)

// environment is the part of env.yaml (or of the file that the template's key env names) that describes
// one environment: the one that the deploy names, else the file's default, else its only one. nil when
// there is none. ${environment.…} looks there, and what it lays over modules counts.
func (r *reading) environment() *value {
	if r.asked {
		return r.chosen
	}
	r.asked = true
	file := r.vars.text(r.root.get("env"), nil)
	for _, name := range []string{"env.yaml", "env.yml"} {
		if file == "" && isFile(filepath.Join(r.in.Dir, name)) {
			file = name
		}
	}
	want := r.in.Environment
	if file == "" {
		if want != "" {
			r.fail(r.root.at, "environments are described in env.yaml beside the template", "there is no environment %q", want)
		}
		return nil
	}
	text, err := yamlvalue.ReadFile(r.under(file))
	if err != nil {
		r.fail(r.root.get("env").place(r.root.at), r.nearFile(file), "cannot read the environments: %v", cause(err))
		return nil
	}
	doc, err := parse(file, []byte(r.fill(file, string(text), string(r.app.Name))))
	if err != nil {
		r.failAll(err)
		return nil
	}
	if want == "" {
		for _, key := range []string{"default", "defaultEnv", "default-env"} {
			if v := doc.get(key); v != nil && want == "" {
				want = v.text
			}
		}
	}
	list := doc.get("environments")
	var names []string
	if list.isList() {
		for _, e := range list.list {
			name := e.get("name")
			if name == nil {
				continue
			}
			names = append(names, name.text)
			if name.text == want || want == "" && len(list.list) == 1 {
				r.chosen = e
			}
		}
	}
	if r.chosen == nil && want != "" {
		r.fail(doc.at, suggest(want, names), "there is no environment %q in %s", want, file)
	}
	r.environments = names
	return r.chosen
}

// place is where a value is, or else is.
func (v *value) place(or sluice.Place) sluice.Place {
	if v == nil {
		return or
	}
	return v.at
}

// overlaid lays what the environment says of a module's component, and then of the module, over its props.
func (r *reading) overlaid(m *module) {
	over := r.environment().get("overlays")
	short := m.component[strings.LastIndexByte(m.component, '/')+1:]
	short, _, _ = strings.Cut(short, "@")
	if p := over.get("components").get(short); p.isMap() {
		m.propsValue = m.propsValue.merge(p)
	}
	for _, key := range []string{"resources", "services"} {
		p := over.get(key).get(m.name)
		if props := p.get("props"); props != nil {
			p = props
		}
		if p.isMap() {
			m.propsValue = m.propsValue.merge(p)
		}
	}
}

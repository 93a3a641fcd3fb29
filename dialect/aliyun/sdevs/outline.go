package sdevs

import (
	"context"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
)

// Outline is a template by its modules, as its own tool shows them.
type Outline struct {
	App     sluice.AppName
	Modules []Module
}

// Module is one module of a template, its variables resolved.
type Module struct {
	Name, Component string
	Function        sluice.FunctionName // that it makes; "" when it makes none
	Props, Output   any                 // maps, lists and scalars, as encoding/json has them
}

// Outline reads a template, and runs nothing.
func (rd *Reader) Outline(ctx context.Context, in deploy.Input) (*Outline, error) {
	r, err := rd.whole(ctx, in)
	if err != nil {
		return nil, err
	}
	o := &Outline{App: r.app.Name}
	for _, m := range r.modules {
		if m.kind == ignored {
			continue
		}
		out := Module{Name: m.name, Component: m.component, Props: r.vars.deep(m.propsValue, m, 0).Plain(), Output: r.vars.deep(m.outputs(), m, 0).Plain()}
		for _, f := range r.app.Functions {
			if f.At == m.at {
				out.Function = f.Name
			}
		}
		o.Modules = append(o.Modules, out)
	}
	return o, r.failed()
}

// Name is what a template calls its app, as far as that can be told without its hook.
func (rd *Reader) Name(in deploy.Input) (sluice.AppName, error) {
	if in.File == "" {
		in.File = rd.Recognize(in.Dir)
	}
	r := rd.reading(in, nil)
	r.begin()
	return r.app.Name, r.failed()
}

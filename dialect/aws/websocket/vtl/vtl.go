// Package vtl renders the mapping templates of API Gateway: the part of the Velocity Template Language
// that they use (aws.md 1.6 and 1.9).
//
// Directives are #set, #if, #elseif, #else, #end, #foreach, #break, #stop and comments; a line that
// holds nothing but one leaves nothing behind. References are $x, ${x}, $!x with properties, indexes
// and methods; one without a value renders as nothing. Macros and includes are refused.
//
// A template may take as much time and space as its limits give it, and no more.
package vtl

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// The limits of one rendering.
const (
	maxLoop   = 1000     // rounds of one #foreach, as on AWS
	maxSteps  = 200_000  // directives, references and operations
	maxOutput = 1 << 20  // bytes of what is rendered, and of any text on the way
	maxMade   = 64 << 20 // bytes of all texts on the way
	maxDepth  = 100      // of what stands in each other in a template
)

// Object is a variable that is no plain value, like $input. Both methods answer false for what the
// object does not have.
type Object interface {
	Property(name string) (any, bool)
	Call(method string, args []any) (any, bool)
}

// Template is a parsed template. It is never changed by Render.
type Template struct{ nodes []node }

// Parse reads a template. Its errors name the line.
func Parse(text string) (*Template, error) {
	p := &parser{s: text}
	nodes, end, err := p.block()
	if err == nil && end != "" {
		err = p.errorf("#%s without its beginning", end)
	}
	if err != nil {
		return nil, err
	}
	return &Template{nodes}, nil
}

// Render renders the template. Variables are plain values (nil, bool, string, int64, float64 and those
// of package document) or an Object.
func (t *Template) Render(vars map[string]any) (string, error) {
	r := &run{vars: maps.Clone(vars)}
	if r.vars == nil {
		r.vars = map[string]any{}
	}
	var out strings.Builder
	if err := r.all(&out, t.nodes); err != nil && !errors.Is(err, errStop) && !errors.Is(err, errBreak) {
		return "", fmt.Errorf("render template: %w", err)
	}
	return out.String(), nil
}

// run is one rendering.
type run struct {
	vars  map[string]any
	steps int
	bytes int
}

var (
	errStop  = errors.New("#stop")
	errBreak = errors.New("#break")
	errLimit = errors.New("template takes too long")
	errSize  = fmt.Errorf("template makes more than %d bytes", maxOutput)
)

// node is a part of a template.
type node interface {
	render(r *run, out *strings.Builder) error
}

func (r *run) all(out *strings.Builder, nodes []node) error {
	for _, n := range nodes {
		if err := n.render(r, out); err != nil {
			return err
		}
		if out.Len() > maxOutput {
			return errSize
		}
	}
	return nil
}

// step counts what is done.
func (r *run) step() error {
	if r.steps++; r.steps > maxSteps {
		return errLimit
	}
	return nil
}

// made counts what a new text takes.
func (r *run) made(v any) error {
	s, _ := v.(string)
	if len(s) > maxOutput {
		return errSize
	}
	if r.bytes += len(s); r.bytes > maxMade {
		return errLimit
	}
	return nil
}

type (
	text    string
	printed struct{ ref *reference }
	assign  struct {
		to   *reference
		from expr
	}
	branch struct {
		when expr // nil is #else
		body []node
	}
	choice []branch
	loop   struct {
		name string
		over expr
		body []node
	}
	leave struct{ how error }
)

func (t text) render(_ *run, out *strings.Builder) error {
	out.WriteString(string(t))
	return nil
}

func (p printed) render(r *run, out *strings.Builder) error {
	v, err := p.ref.eval(r)
	if err == nil {
		out.WriteString(show(v))
	}
	return err
}

func (l leave) render(*run, *strings.Builder) error { return l.how }

func (a assign) render(r *run, _ *strings.Builder) error {
	v, err := a.from.eval(r)
	if err != nil {
		return err
	}
	steps := a.to.steps
	if len(steps) == 0 {
		r.vars[a.to.name] = v
		return nil
	}
	holder, err := (&reference{name: a.to.name, steps: steps[:len(steps)-1]}).eval(r)
	if err != nil {
		return err
	}
	var key any = steps[len(steps)-1].name
	if index := steps[len(steps)-1].index; index != nil {
		if key, err = index.eval(r); err != nil {
			return err
		}
	}
	switch h := holder.(type) {
	case *document.Object:
		h.Set(show(key), v)
	case *List:
		if i, ok := toInt(key); ok && i >= 0 && i < int64(len(h.Items)) {
			h.Items[i] = v
		}
	}
	return nil
}

func (c choice) render(r *run, out *strings.Builder) error {
	for _, b := range c {
		if b.when != nil {
			v, err := b.when.eval(r)
			if err != nil {
				return err
			}
			if !truth(v) {
				continue
			}
		}
		return r.all(out, b.body)
	}
	return nil
}

func (l loop) render(r *run, out *strings.Builder) error {
	over, err := l.over.eval(r)
	if err != nil {
		return err
	}
	items := each(over)
	if len(items) > maxLoop {
		return fmt.Errorf("#foreach over %d items; %d is the most", len(items), maxLoop)
	}
	names := []string{l.name, "foreach", "velocityCount"}
	before := make([]any, len(names))
	for i, name := range names {
		before[i] = r.vars[name]
	}
	defer func() {
		for i, name := range names {
			r.vars[name] = before[i]
		}
	}()
	for i, item := range items {
		if err := r.step(); err != nil {
			return err
		}
		r.vars[l.name] = item
		state := &document.Object{}
		state.Set("index", int64(i))
		state.Set("count", int64(i+1))
		state.Set("hasNext", i+1 < len(items))
		state.Set("first", i == 0)
		state.Set("last", i+1 == len(items))
		r.vars["foreach"], r.vars["velocityCount"] = state, int64(i+1)
		if err := r.all(out, l.body); errors.Is(err, errBreak) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

package expr

import (
	"slices"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// Projection reads a ProjectionExpression.
func (a *Args) Projection(src string) ([]Path, error) {
	paths, fault := a.projection(src)
	if fault != "" {
		return nil, attr.Invalid("Invalid ProjectionExpression: " + fault)
	}
	return paths, nil
}

func (a *Args) projection(src string) ([]Path, string) {
	if fault := checkSize(src); fault != "" {
		return nil, fault
	}
	p := newParser(src)
	nodes := []*node{p.path()}
	for p.take(',') {
		nodes = append(nodes, p.path())
	}
	if fault := p.end(); fault != "" {
		return nil, fault
	}
	if fault := checkReserved(nodes...); fault != "" {
		return nil, fault
	}
	paths := make([]Path, len(nodes))
	for i, n := range nodes {
		if fault := a.resolve(n); fault != "" {
			return nil, fault
		}
		paths[i] = n.path
	}
	return paths, clash(paths)
}

// AttributesToGet makes paths of attribute names.
func AttributesToGet(names []string) ([]Path, error) {
	paths := make([]Path, len(names))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, attr.Invalid("One or more parameter values were invalid: Duplicate value in attribute name: " + name)
		}
		if err := attr.CheckName(name); err != nil {
			return nil, attr.Invalid("One or more parameter values were invalid: " + err.Message)
		}
		paths[i] = Path{{Name: name}}
	}
	return paths, nil
}

// Project returns the parts of an item at the ends of paths, in maps and lists as they were; elements
// of a list keep their order and close ranks. What is not there is left out.
func Project(item attr.Item, paths []Path) attr.Item {
	if !slices.ContainsFunc(paths, func(p Path) bool { return len(p) > 1 }) {
		part := make(attr.Item, len(paths))
		for _, p := range paths {
			if v, ok := item[p[0].Name]; ok {
				part[p[0].Name] = v
			}
		}
		return part
	}
	root := &branch{}
	for _, p := range paths {
		if _, ok := p.Get(item); ok {
			root.grow(p)
		}
	}
	v, _ := root.cut(table.Value{Type: table.Map, Map: item})
	return v.Map
}

// branch is a tree of paths. One without twigs is the end of a path.
type branch struct {
	step  Step
	twigs []*branch
	do    *action // at its end, in an update
}

// grow adds a path and returns its end.
func (b *branch) grow(p Path) *branch {
next:
	for _, s := range p {
		for _, t := range b.twigs {
			if t.step == s {
				b = t
				continue next
			}
		}
		t := &branch{step: s}
		b.twigs = append(b.twigs, t)
		b = t
	}
	return b
}

// cut is what the tree has of v.
func (b *branch) cut(v table.Value) (table.Value, bool) {
	if b.twigs == nil && b.step != (Step{}) {
		return v, true
	}
	out := table.Value{Type: v.Type}
	if v.Type == table.Map {
		out.Map = make(attr.Item, len(b.twigs))
	}
	slices.SortFunc(b.twigs, func(a, b *branch) int { return a.step.Index - b.step.Index })
	for _, t := range b.twigs {
		switch {
		case v.Type == table.Map && !t.step.List:
			if e, ok := v.Map[t.step.Name]; ok {
				if e, ok = t.cut(e); ok {
					out.Map[t.step.Name] = e
				}
			}
		case v.Type == table.List && t.step.List && t.step.Index < len(v.List):
			if e, ok := t.cut(v.List[t.step.Index]); ok {
				out.List = append(out.List, e)
			}
		}
	}
	return out, true
}

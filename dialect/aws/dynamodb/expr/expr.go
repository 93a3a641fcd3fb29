// Package expr understands DynamoDB's expressions: conditions and filters, key conditions,
// projections and updates, and the older parameters (Expected, KeyConditions, AttributeUpdates …)
// that say the same without a syntax.
//
// Reading one goes in three steps: tokens, a tree, and checks of the tree in DynamoDB's own order, for
// clients match on its texts. What comes out refers to nothing but attribute names and values, is
// read-only, and may be evaluated by many goroutines.
//
// All errors are *attr.Error.
package expr

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// The limits of one expression (aws.md 5.4).
const (
	maxSize = 4096 // bytes
	// maxSubstitutions is how many bytes the names and values of a request's expressions may have.
	maxSubstitutions = 2 << 20
	maxOperators     = 300
	maxIn            = 100
)

// Step is one step of a path: a name in a map, or with an empty name a place in a list.
type Step struct {
	Name  string
	Index int
	List  bool // Index counts, not Name
}

// Path leads from an item to one of its values; its first step is an attribute's name.
type Path []Step

// String is the path as DynamoDB's errors show it: [a, [1], b].
func (p Path) String() string {
	parts := make([]string, len(p))
	for i, s := range p {
		if parts[i] = s.Name; s.List {
			parts[i] = "[" + strconv.Itoa(s.Index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Get follows the path; false when there is nothing at its end.
func (p Path) Get(item attr.Item) (table.Value, bool) {
	v, ok := item[p[0].Name]
	for _, s := range p[1:] {
		switch {
		case !ok:
			return v, false
		case s.List:
			if ok = v.Type == table.List && s.Index < len(v.List); ok {
				v = v.List[s.Index]
			}
		case v.Type == table.Map:
			v, ok = v.Map[s.Name]
		default:
			ok = false
		}
	}
	return v, ok
}

// Args are the names and values that the expressions of one request may use, and those that they
// have used. It is for one goroutine.
type Args struct {
	names  map[string]string
	values attr.Item
	used   map[string]bool
}

// NewArgs checks ExpressionAttributeNames and ExpressionAttributeValues; nil stands for an absent
// one. bad is what attr.DecodeItem had against the values; nil is nothing.
func NewArgs(names map[string]string, values attr.Item, bad *attr.Error) (*Args, error) {
	if err := checkKeys("ExpressionAttributeNames", '#', names); err != nil {
		return nil, err
	}
	size := attr.ItemSize(values)
	for key, name := range names {
		if err := attr.CheckName(name); err != nil {
			return nil, attr.Invalid("ExpressionAttributeNames contains invalid value: " + err.Message + " for key " + key)
		}
		size += len(key) + len(name)
	}
	if size > maxSubstitutions {
		return nil, attr.Invalid("The sum of the lengths of all ExpressionAttributeNames and ExpressionAttributeValues has exceeded the maximum allowed size of 2 MB; size: " + strconv.Itoa(size))
	}
	if err := checkKeys("ExpressionAttributeValues", ':', values); err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, attr.Invalid("ExpressionAttributeValues contains invalid value: " + bad.Message + " for key " + bad.Name)
	}
	return &Args{names, values, map[string]bool{}}, nil
}

func checkKeys[V any](param string, sigil byte, m map[string]V) error {
	if m != nil && len(m) == 0 {
		return attr.Invalid(param + " must not be empty")
	}
	for key := range m {
		if len(key) < 2 || key[0] != sigil || identLen(key[1:]) != len(key)-1 {
			return attr.Invalid(param + ` contains invalid key: Syntax error; key: "` + key + `"`)
		}
	}
	return nil
}

// Unused refuses names and values that no expression has used. It is to be called when all have been
// read.
func (a *Args) Unused() error {
	if list := unused(a.used, a.names); list != "" {
		return attr.Invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {" + list + "}")
	}
	if list := unused(a.used, a.values); list != "" {
		return attr.Invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {" + list + "}")
	}
	return nil
}

func unused[V any](used map[string]bool, m map[string]V) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !used[key] {
			list = append(list, key)
		}
	}
	return strings.Join(list, ", ")
}

// resolve gives a node its path or value, once.
func (a *Args) resolve(n *node) (fault string) {
	if n.op == opValue {
		v, ok := a.values[n.name]
		if !ok {
			return undefinedValue + n.name
		}
		a.used[n.name] = true
		n.value = v
	}
	for i, s := range n.path {
		if strings.HasPrefix(s.Name, "#") {
			name, ok := a.names[s.Name]
			if !ok {
				return undefinedName + s.Name
			}
			a.used[s.Name] = true
			n.path[i].Name = name
		}
	}
	if len(n.path) > attr.MaxDepth {
		return "The document path has too many nesting levels; nesting levels: " + strconv.Itoa(len(n.path))
	}
	return ""
}

const (
	undefinedValue = "An expression attribute value used in expression is not defined; attribute value: "
	undefinedName  = "An expression attribute name used in the document path is not defined; attribute name: "
)

// checkSize refuses what is empty or too long.
func checkSize(src string) string {
	switch {
	case src == "":
		return "The expression can not be empty;"
	case len(src) > maxSize:
		return "Expression size has exceeded the maximum allowed size; expression size: " + strconv.Itoa(len(src))
	}
	return ""
}

// clash says what two of the paths have against each other: one must not be, or be a part of, another,
// and no value can be both a list and a map.
func clash(paths []Path) string {
	conflict := ""
	for i, b := range paths {
		for _, a := range paths[:i] {
			switch same, kinds := meet(a, b); {
			case kinds && conflict == "":
				conflict = "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: " +
					a.String() + ", path two: " + b.String()
			case same:
				return "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: " +
					a.String() + ", path two: " + b.String()
			}
		}
	}
	return conflict
}

// meet compares two paths up to the end of the shorter.
func meet(a, b Path) (same, conflict bool) {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i].List != b[i].List:
			return false, true
		case a[i] != b[i]:
			return false, false
		}
	}
	return true, false
}

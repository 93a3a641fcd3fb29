package yamlvalue

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a template, far above any real one.
const (
	MaxFile  = 1 << 20 // bytes
	MaxDepth = 64
)

// Node is one value of a template. Aliases and merge keys are resolved in it.
type Node struct {
	Line   int
	Tag    string // a tag of the template's own language, "!Sub"; "" is none
	Data   any    // nil, string, bool, int64 or float64; nil in lists and maps
	Text   string // of a scalar, as written
	List   []*Node
	Fields []Field // in order; List and Fields are not nil in a list and a map, be they empty
}

// Field is one entry of a map.
type Field struct {
	Key   string
	Line  int
	Value *Node
}

func (n *Node) has(key string) bool {
	return slices.ContainsFunc(n.Fields, func(f Field) bool { return f.Key == key })
}

// ReadFile is the content of a file of at most MaxFile bytes.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", filepath.Base(path))
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(b) > MaxFile {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), MaxFile)
	}
	return b, err
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)`)

// Mistake is what is wrong with a template.
type Mistake struct {
	Line int // 0 when nobody knows
	Text string
	Hint string
}

// Parse turns YAML into a tree of at most so many nodes; an alias counts each time that it is used. There
// may be a tree though there are mistakes; without any it is not nil.
func Parse(text []byte, nodes int) (*Node, []Mistake) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		m := Mistake{Text: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Hint: "the mistake is there or below: look at the indentation and at quotes"}
		if at := yamlLine.FindStringSubmatch(err.Error()); at != nil {
			m.Line, _ = strconv.Atoi(at[1])
			m.Text = "not valid YAML: " + at[2]
		}
		return nil, []Mistake{m}
	}
	if len(doc.Content) == 0 {
		return &Node{}, nil
	}
	p := &parser{most: nodes}
	n := p.node(doc.Content[0], 0)
	return n, p.wrong
}

type parser struct {
	nodes, most int
	wrong       []Mistake
}

func (p *parser) fail(n *yaml.Node, hint, format string, args ...any) {
	p.wrong = append(p.wrong, Mistake{n.Line, fmt.Sprintf(format, args...), hint})
}

func (p *parser) full() bool { return p.nodes > p.most }

func (p *parser) node(n *yaml.Node, depth int) *Node {
	v := &Node{Line: n.Line}
	if p.full() {
		return v
	}
	if p.nodes++; p.full() || depth > MaxDepth {
		p.nodes = p.most + 1
		p.fail(n, "look for an alias that repeats itself", "template expands to more than %d nodes or %d levels", p.most, MaxDepth)
		return v
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		v.Tag = n.Tag
	}
	switch n.Kind {
	case yaml.AliasNode:
		return p.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		v.List = []*Node{}
		for _, c := range n.Content {
			if p.full() {
				break
			}
			v.List = append(v.List, p.node(c, depth+1))
		}
	case yaml.MappingNode:
		p.mapping(v, n, depth)
	case yaml.ScalarNode:
		if v.Text, v.Data = n.Value, n.Value; v.Tag == "" {
			v.Data = typed(n)
		}
	}
	return v
}

func (p *parser) mapping(v *Node, n *yaml.Node, depth int) {
	v.Fields = []Field{}
	var under []*Node // what << brings: the map's own keys win, then the first's
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !p.full(); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			p.fail(k, "", "a key is not text")
			continue
		}
		val := p.node(n.Content[i+1], depth+1)
		if k.ShortTag() == "!!merge" {
			from := []*Node{val}
			if val.List != nil {
				from = val.List
			}
			for _, u := range from {
				if u.Fields == nil && !p.full() {
					p.fail(k, "", "<< wants a map")
				}
				under = append(under, u)
			}
			continue
		}
		if first, twice := lines[k.Value]; twice {
			p.fail(k, "", "key %q stands twice, first in line %d", k.Value, first)
			continue
		}
		lines[k.Value] = k.Line
		v.Fields = append(v.Fields, Field{k.Value, k.Line, val})
	}
	for _, u := range under {
		for _, f := range u.Fields {
			if !v.has(f.Key) {
				v.Fields = append(v.Fields, f)
			}
		}
	}
}

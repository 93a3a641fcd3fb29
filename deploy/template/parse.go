package template

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice"
)

// Limits of a template, far above any real one.
const (
	MaxFile  = 1 << 20 // bytes
	MaxDepth = 64
)

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

// Parse turns YAML into a tree of at most so many values; an alias counts each time that it is used. Aliases and merge
// keys are resolved in it. Its errors are [sluice.Error]s with places. There may be a tree though there are some;
// without any it is not nil.
func Parse(file string, text []byte, most int) (*Value, error) {
	p := &parser{file: file, most: most}
	v := p.document(text)
	return v, errors.Join(p.wrong...)
}

type parser struct {
	file        string
	nodes, most int
	wrong       []error
}

func (p *parser) place(line int) sluice.Place { return sluice.Place{File: p.file, Line: line} }

func (p *parser) fail(line int, hint, format string, args ...any) {
	p.wrong = append(p.wrong, &sluice.Error{Code: sluice.Invalid, At: p.place(line), Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func (p *parser) document(text []byte) *Value {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		line, msg := 0, strings.TrimPrefix(err.Error(), "yaml: ")
		if at := yamlLine.FindStringSubmatch(err.Error()); at != nil {
			line, _ = strconv.Atoi(at[1])
			msg = at[2]
		}
		p.fail(line, "the mistake is there or below: look at the indentation and at quotes", "not valid YAML: %s", msg)
		return nil
	}
	if len(doc.Content) == 0 {
		return &Value{At: p.place(0)}
	}
	return p.node(doc.Content[0], 0)
}

func (p *parser) full() bool { return p.nodes > p.most }

func (p *parser) node(n *yaml.Node, depth int) *Value {
	v := &Value{At: p.place(n.Line)}
	if p.full() {
		return v
	}
	if p.nodes++; p.full() || depth > MaxDepth {
		p.nodes = p.most + 1
		p.fail(n.Line, "look for an alias that repeats itself", "template expands to more than %d nodes or %d levels", p.most, MaxDepth)
		return v
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		v.Tag = n.Tag
	}
	switch n.Kind {
	case yaml.AliasNode:
		return p.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		v.List = []*Value{}
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

func (p *parser) mapping(v *Value, n *yaml.Node, depth int) {
	v.Fields = []Field{}
	var under []*Value // what << brings: the map's own keys win, then the first's
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !p.full(); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			p.fail(k.Line, "", "a key is not text")
			continue
		}
		val := p.node(n.Content[i+1], depth+1)
		if k.ShortTag() == "!!merge" {
			from := []*Value{val}
			if val.List != nil {
				from = val.List
			}
			for _, u := range from {
				if u.Fields == nil && !p.full() {
					p.fail(k.Line, "", "<< wants a map")
				}
				under = append(under, u)
			}
			continue
		}
		if first, twice := lines[k.Value]; twice {
			p.fail(k.Line, "", "key %q stands twice, first in line %d", k.Value, first)
			continue
		}
		lines[k.Value] = k.Line
		v.Fields = append(v.Fields, Field{k.Value, p.place(k.Line), val})
	}
	for _, u := range under {
		for _, f := range u.Fields {
			if v.Get(f.Key) == nil {
				v.Fields = append(v.Fields, f)
			}
		}
	}
}

// typed is the value of a scalar as JSON has it: nil, bool, int64, float64 or string. Dates and the like
// stay text, and so do numbers that JSON lacks.
func typed(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return i
		}
	case "!!float":
		var f float64
		if n.Decode(&f) == nil && f-f == 0 { // neither infinite nor not a number
			return f
		}
	}
	return n.Value
}

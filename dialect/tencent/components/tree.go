package components

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
	"github.com/sluicehq/sluice/internal/yamlvalue"
)

// Limits of a template, far above any real one. Aliases count each time that they are used.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 100_000
	maxDepth = 64
)

// value is one node of a template.
type value struct {
	at     sluice.Place
	data   any // nil, string, bool, int64 or float64; not of lists and maps
	text   string
	list   []*value // not nil in a list
	fields []field  // not nil in a map
}

type field struct {
	key string
	at  sluice.Place
	val *value
}

func (v *value) isMap() bool  { return v != nil && v.fields != nil }
func (v *value) isList() bool { return v != nil && v.list != nil }
func (v *value) isNull() bool { return v == nil || v.data == nil && v.list == nil && v.fields == nil }

// get is the value of a key, nil when it is not there.
func (v *value) get(key string) *value {
	if v != nil {
		for _, f := range v.fields {
			if f.key == key {
				return f.val
			}
		}
	}
	return nil
}

// kind is what a value is, for messages.
func (v *value) kind() string {
	switch {
	case v.isMap():
		return "a map"
	case v.isList():
		return "a list"
	case v.isNull():
		return "empty"
	}
	return fmt.Sprintf("%q", v.text)
}

// of makes a value of what Go has: strings, booleans, integers, lists and maps as pairs.
func of(at sluice.Place, x any) *value {
	switch x := x.(type) {
	case *value:
		return x
	case pairs:
		v := &value{at: at, fields: []field{}}
		for i := 0; i+1 < len(x); i += 2 {
			v.fields = append(v.fields, field{x[i].(string), at, of(at, x[i+1])})
		}
		return v
	case []any:
		v := &value{at: at, list: []*value{}}
		for _, e := range x {
			v.list = append(v.list, of(at, e))
		}
		return v
	case []string:
		v := &value{at: at, list: []*value{}}
		for _, e := range x {
			v.list = append(v.list, of(at, e))
		}
		return v
	case int:
		return &value{at: at, data: int64(x), text: strconv.Itoa(x)}
	}
	return &value{at: at, data: x, text: fmt.Sprint(x)}
}

// pairs is a map: name, value, name, value …
type pairs []any

// readLimited is the content of a file of at most maxFile bytes.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), maxFile)
	}
	return b, err
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)`)

// parse turns text into a tree. Its errors have places.
func parse(file string, text []byte) (*value, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		e := &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: file}, Msg: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Err: err,
			Hint: "the mistake is there or below: look at the indentation and at quotes"}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			e.At.Line, _ = strconv.Atoi(m[1])
			e.Msg = "not valid YAML: " + m[2]
		}
		return nil, e
	}
	if len(doc.Content) == 0 {
		return &value{at: sluice.Place{File: file}}, nil
	}
	p := &parser{file: file}
	v := p.node(doc.Content[0], 0)
	return v, errors.Join(p.errs...)
}

type parser struct {
	file  string
	nodes int
	errs  []error
}

func (p *parser) fail(line int, format string, args ...any) {
	if len(p.errs) < 20 {
		p.errs = append(p.errs, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: p.file, Line: line}, Msg: fmt.Sprintf(format, args...)})
	}
}

func (p *parser) node(n *yaml.Node, depth int) *value {
	v := &value{at: sluice.Place{File: p.file, Line: n.Line}}
	if p.nodes++; p.nodes > maxNodes || depth > maxDepth {
		if p.nodes != maxNodes+2 { // once
			p.nodes = maxNodes + 1
			p.fail(n.Line, "template expands to more than %d nodes or %d levels", maxNodes, maxDepth)
		}
		return v
	}
	switch n.Kind {
	case yaml.AliasNode:
		return p.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		v.list = []*value{}
		for _, c := range n.Content {
			if p.nodes > maxNodes {
				break
			}
			v.list = append(v.list, p.node(c, depth+1))
		}
	case yaml.MappingNode:
		p.mapping(v, n, depth)
	case yaml.ScalarNode:
		v.text, v.data = n.Value, yamlvalue.Typed(n)
	}
	return v
}

func (p *parser) mapping(v *value, n *yaml.Node, depth int) {
	v.fields = []field{}
	var under []*value // what << brings; the map's own keys win, then the first
	for i := 0; i+1 < len(n.Content) && p.nodes <= maxNodes; i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			p.fail(k.Line, "a key is not text")
			continue
		}
		val := p.node(n.Content[i+1], depth+1)
		switch {
		case k.ShortTag() == "!!merge" && val.isList():
			under = append(under, val.list...)
		case k.ShortTag() == "!!merge":
			under = append(under, val)
		case v.get(k.Value) != nil:
			p.fail(k.Line, "key %q stands twice", k.Value)
		default:
			v.fields = append(v.fields, field{k.Value, sluice.Place{File: p.file, Line: k.Line}, val})
		}
	}
	for _, u := range under {
		for _, f := range u.fields {
			if v.get(f.key) == nil {
				v.fields = append(v.fields, f)
			}
		}
	}
}

// orNull is v, or an empty value.
func orNull(v *value, at sluice.Place) *value {
	if v == nil {
		return &value{at: at}
	}
	return v
}

package sdevs

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
	data   any // nil, string, bool, int64 or float64; not for lists and maps
	text   string
	list   []*value // not nil in a list
	fields []field  // not nil in a map
	broken bool     // an error was noted for it; say no more
}

type field struct {
	key string
	at  sluice.Place
	val *value
}

func (v *value) isMap() bool  { return v != nil && v.fields != nil }
func (v *value) isList() bool { return v != nil && v.list != nil }
func (v *value) isNull() bool { return v == nil || v.data == nil && v.list == nil && v.fields == nil }

// get is the value of a key, nil when it is not there. The first letter may be of either case, for
// published templates spell it both ways.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for _, f := range v.fields {
		if f.key == key {
			return f.val
		}
	}
	for _, f := range v.fields {
		if len(f.key) == len(key) && len(key) > 0 && f.key[1:] == key[1:] && strings.EqualFold(f.key[:1], key[:1]) {
			return f.val
		}
	}
	return nil
}

func (v *value) keys() []string {
	keys := make([]string, len(v.fields))
	for i, f := range v.fields {
		keys[i] = f.key
	}
	return keys
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
	switch v.data.(type) {
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	}
	return "text"
}

// plain is v as encoding/json would have it.
func (v *value) plain(depth int) any {
	switch {
	case depth > maxDepth:
		return nil
	case v.isMap():
		m := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			m[f.key] = f.val.plain(depth + 1)
		}
		return m
	case v.isList():
		l := make([]any, len(v.list))
		for i, e := range v.list {
			l[i] = e.plain(depth + 1)
		}
		return l
	case v == nil:
		return nil
	}
	return v.data
}

// scalar makes a text value.
func scalar(at sluice.Place, s string) *value { return &value{at: at, data: s, text: s} }

// mapping makes a map of name, value, name, value …; values are strings or *value.
func mapping(at sluice.Place, pairs ...any) *value {
	v := &value{at: at, fields: []field{}}
	for i := 0; i < len(pairs); i += 2 {
		val, ok := pairs[i+1].(*value)
		if !ok {
			val = scalar(at, pairs[i+1].(string))
		}
		v.fields = append(v.fields, field{pairs[i].(string), at, val})
	}
	return v
}

func listing(at sluice.Place, items ...*value) *value {
	return &value{at: at, list: append([]*value{}, items...)}
}

// merge lays over upon v, deeply: maps join, everything else is replaced.
func (v *value) merge(over *value) *value {
	if !v.isMap() || !over.isMap() {
		return over
	}
	out := &value{at: over.at, fields: append([]field{}, v.fields...)}
next:
	for _, f := range over.fields {
		for i := range out.fields {
			if out.fields[i].key == f.key {
				out.fields[i].val = out.fields[i].val.merge(f.val)
				continue next
			}
		}
		out.fields = append(out.fields, f)
	}
	return out
}

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
		e := &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: file}, Msg: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Err: err}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			e.At.Line, _ = strconv.Atoi(m[1])
			e.Msg = "not valid YAML: " + m[2]
		}
		e.Hint = "the mistake is there or below: look at the indentation and at quotes"
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

func (p *parser) fail(line int, hint, format string, args ...any) {
	p.errs = append(p.errs, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: p.file, Line: line}, Hint: hint, Msg: fmt.Sprintf(format, args...)})
}

func (p *parser) node(n *yaml.Node, depth int) *value {
	v := &value{at: sluice.Place{File: p.file, Line: n.Line}}
	if p.nodes++; p.nodes > maxNodes || depth > maxDepth {
		if p.nodes <= maxNodes+1 || depth == maxDepth+1 {
			p.nodes = maxNodes + 2
			p.fail(n.Line, "templates have a few hundred; look for an alias that repeats itself", "template expands to more than %d nodes or %d levels", maxNodes, maxDepth)
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
	var under *value // what << brings; the map's own keys win
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if p.nodes > maxNodes {
			return
		}
		k, c := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			p.fail(k.Line, "", "a key is not text")
			continue
		}
		val := p.node(c, depth+1)
		if k.ShortTag() == "!!merge" {
			from := []*value{val}
			if val.isList() {
				from = val.list
			}
			for j := len(from) - 1; j >= 0; j-- {
				if !from[j].isMap() {
					p.fail(k.Line, "", "<< wants a map, not %s", from[j].kind())
				} else if under == nil {
					under = from[j]
				} else {
					under = overlay(under, from[j])
				}
			}
			continue
		}
		if first, twice := lines[k.Value]; twice {
			p.fail(k.Line, "", "key %q stands twice, first in line %d", k.Value, first)
			continue
		}
		lines[k.Value] = k.Line
		v.fields = append(v.fields, field{k.Value, sluice.Place{File: p.file, Line: k.Line}, val})
	}
	if under != nil {
		v.fields = overlay(under, v).fields
	}
}

// overlay joins two maps, the keys of over winning. Unlike merge it does not look deeper.
func overlay(v, over *value) *value {
	out := &value{at: over.at, fields: append([]field{}, over.fields...)}
	have := make(map[string]bool, len(over.fields))
	for _, f := range over.fields {
		have[f.key] = true
	}
	for _, f := range v.fields {
		if !have[f.key] {
			out.fields = append(out.fields, f)
		}
	}
	return out
}

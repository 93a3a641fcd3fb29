package cfn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/internal/yamlvalue"
)

// Limits of a template. CloudFormation takes 1 MB; aliases count each time that they are used.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 300_000
	maxDepth = 64
)

// shortTags are the short forms that YAML has for functions.
var shortTags = []string{"Ref", "Condition", "GetAtt", "Sub", "Join", "Select", "Split", "If", "Equals", "And", "Or", "Not",
	"FindInMap", "ImportValue", "Base64", "GetAZs", "Cidr", "Length", "ToJsonString", "Transform", "ForEach"}

// ReadFile reads and parses a template. file is how places name it.
func ReadFile(path, file string) (*Value, error) {
	text, err := readLimited(path)
	if err != nil {
		return nil, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: file}, Msg: "cannot be read: " + err.Error(), Err: err}
	}
	return Parse(file, text)
}

// Parse turns a template, YAML or JSON, into a tree. Its errors are *sluice.Error with a place, joined.
func Parse(file string, text []byte) (*Value, error) {
	if len(text) > maxFile {
		return nil, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: file}, Msg: fmt.Sprintf("has more than %d bytes", maxFile)}
	}
	p := &parser{file: file}
	var v *Value
	if start := bytes.TrimLeft(text, " \t\r\n\ufeff"); len(start) > 0 && start[0] == '{' && (json.Valid(start) || filepath.Ext(file) == ".json") {
		v = p.json(text, len(text)-len(start))
	} else {
		var doc yaml.Node
		if err := yaml.Unmarshal(text, &doc); err != nil {
			return nil, p.yamlError(err)
		}
		v = &Value{At: sluice.Place{File: file}}
		if len(doc.Content) > 0 {
			v = p.node(doc.Content[0], 0)
		}
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return v, nil
}

type parser struct {
	file  string
	nodes int
	errs  []error
}

func (p *parser) place(line int) sluice.Place { return sluice.Place{File: p.file, Line: line} }

func (p *parser) fail(line int, hint, format string, args ...any) {
	p.errs = append(p.errs, &sluice.Error{Code: sluice.Invalid, At: p.place(line), Hint: hint, Msg: fmt.Sprintf(format, args...)})
}

// full counts a node and says, once, that there are too many.
func (p *parser) full(line, depth int) bool {
	if p.nodes > maxNodes {
		return true
	}
	if p.nodes++; p.nodes > maxNodes || depth > maxDepth {
		p.nodes = maxNodes + 1
		p.fail(line, "look for an alias that repeats itself", "template expands to more than %d nodes or %d levels", maxNodes, maxDepth)
		return true
	}
	return false
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)`)

func (p *parser) yamlError(err error) error {
	e := &sluice.Error{Code: sluice.Invalid, At: p.place(0), Msg: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Err: err,
		Hint: "the mistake is there or below: look at the indentation and at quotes"}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		e.At.Line, _ = strconv.Atoi(m[1])
		e.Msg = "not valid YAML: " + m[2]
	}
	return e
}

func (p *parser) node(n *yaml.Node, depth int) *Value {
	v := &Value{At: p.place(n.Line)}
	if p.full(n.Line, depth) {
		return v
	}
	tag := n.Tag
	short := strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!")
	switch n.Kind {
	case yaml.AliasNode:
		return p.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		v.List = []*Value{}
		for _, c := range n.Content {
			v.List = append(v.List, p.node(c, depth+1))
		}
	case yaml.MappingNode:
		p.mapping(v, n, depth)
	case yaml.ScalarNode:
		if v.Text, v.Data = n.Value, any(n.Value); !short {
			v.Data = yamlvalue.Typed(n)
		}
	}
	if !short {
		return v
	}
	name := tag[1:]
	if !slices.Contains(shortTags, name) {
		p.fail(n.Line, suggest(name, shortTags), "function %s is not known", tag)
		return v
	}
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	return &Value{At: v.At, Fields: []Field{{name, v.At, v}}}
}

func (p *parser) mapping(v *Value, n *yaml.Node, depth int) {
	v.Fields = []Field{}
	var under *Value // what << brings; the map's own keys win
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
			from := []*Value{val}
			if val.IsList() {
				from = val.List
			}
			for j := len(from) - 1; j >= 0; j-- {
				if !from[j].IsMap() {
					p.fail(k.Line, "", "<< wants a map, not %s", from[j].Kind())
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
		v.Fields = append(v.Fields, Field{k.Value, p.place(k.Line), val})
	}
	if under != nil {
		v.Fields = overlay(under, v).Fields
	}
}

// overlay joins two maps, the keys of over winning. It does not look deeper.
func overlay(v, over *Value) *Value {
	out := &Value{At: over.At, Fields: slices.Clone(over.Fields)}
	have := make(map[string]bool, len(over.Fields))
	for _, f := range over.Fields {
		have[f.Key] = true
	}
	for _, f := range v.Fields {
		if !have[f.Key] {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// json reads a template in JSON, which begins after skip bytes.
func (p *parser) json(text []byte, skip int) *Value {
	d := json.NewDecoder(bytes.NewReader(text[skip:]))
	d.UseNumber()
	j := &jsonReader{p: p, d: d, text: text, base: skip, lineAt: 1}
	v, err := j.value(0)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return v
		}
		err = errors.New("there is more after its end")
	}
	if len(p.errs) == 0 {
		p.fail(j.line(), "look for a missing comma, quote or brace", "not valid JSON: %v", err)
	}
	return nil
}

// jsonReader reads JSON and counts lines as it goes.
type jsonReader struct {
	p      *parser
	d      *json.Decoder
	text   []byte
	base   int
	lineAt int // line of the byte seen
	seen   int
}

// line is that of the token read last.
func (j *jsonReader) line() int {
	at := min(j.base+int(j.d.InputOffset()), len(j.text))
	if at > j.seen {
		j.lineAt += bytes.Count(j.text[j.seen:at], []byte("\n"))
		j.seen = at
	}
	return j.lineAt
}

func (j *jsonReader) value(depth int) (*Value, error) {
	tok, err := j.d.Token()
	if err != nil {
		return nil, err
	}
	v := &Value{At: j.p.place(j.line())}
	if j.p.full(v.At.Line, depth) {
		return nil, errors.New("too much")
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			v.List = []*Value{}
			for j.d.More() {
				item, err := j.value(depth + 1)
				if err != nil {
					return nil, err
				}
				v.List = append(v.List, item)
			}
		} else if err := j.object(v, depth); err != nil {
			return nil, err
		}
		if _, err := j.d.Token(); err != nil {
			return nil, err
		}
	case string:
		v.Data, v.Text = t, t
	case bool:
		v.Data, v.Text = t, strconv.FormatBool(t)
	case json.Number:
		v.Text = t.String()
		if i, err := t.Int64(); err == nil {
			v.Data = i
		} else if f, err := t.Float64(); err == nil {
			v.Data = f
		} else {
			v.Data = v.Text
		}
	}
	return v, nil
}

func (j *jsonReader) object(v *Value, depth int) error {
	v.Fields = []Field{}
	lines := map[string]int{}
	for j.d.More() {
		tok, err := j.d.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		at := j.line()
		val, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		if first, twice := lines[key]; twice {
			j.p.fail(at, "", "key %q stands twice, first in line %d", key, first)
			continue
		}
		lines[key] = at
		v.Fields = append(v.Fields, Field{key, j.p.place(at), val})
	}
	return nil
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
		return nil, fmt.Errorf("%s is not a file", filepath.Base(path))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), maxFile)
	}
	return b, err
}

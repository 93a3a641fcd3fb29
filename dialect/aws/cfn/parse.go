package cfn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// Limits of a template. CloudFormation takes 1 MB; aliases count each time that they are used.
const (
	maxFile  = template.MaxFile
	maxNodes = 300_000
	maxDepth = template.MaxDepth
)

// shortTags are the short forms that YAML has for functions.
var shortTags = []string{"Ref", "Condition", "GetAtt", "Sub", "Join", "Select", "Split", "If", "Equals", "And", "Or", "Not",
	"FindInMap", "ImportValue", "Base64", "GetAZs", "Cidr", "Length", "ToJsonString", "Transform", "ForEach"}

// ReadFile reads and parses a template. file is how places name it.
func ReadFile(path, file string) (*Value, error) {
	text, err := template.ReadFile(path)
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
		var err error
		if v, err = template.Parse(file, text, maxNodes); v != nil {
			v = p.calls(v)
		}
		p.errs = append(p.errs, err)
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
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

// calls is v with the functions that its tags are short for. It is a copy: what a merge key brings stands in many maps.
func (p *parser) calls(v *Value) *Value {
	out := *v
	out.Tag = ""
	if v.List != nil {
		out.List = make([]*Value, len(v.List))
		for i, e := range v.List {
			out.List[i] = p.calls(e)
		}
	}
	if v.Fields != nil {
		out.Fields = make([]Field, len(v.Fields))
		for i, f := range v.Fields {
			out.Fields[i] = Field{Key: f.Key, At: f.At, Value: p.calls(f.Value)}
		}
	}
	if v.Tag == "" {
		return &out
	}
	name := v.Tag[1:]
	if !slices.Contains(shortTags, name) {
		p.fail(v.At.Line, suggest(name, shortTags), "function %s is not known", v.Tag)
		return &out
	}
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	return &Value{At: v.At, Fields: []Field{{Key: name, At: v.At, Value: &out}}}
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
		v.Fields = append(v.Fields, Field{Key: key, At: j.p.place(at), Value: val})
	}
	return nil
}

package cfn

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// Eval resolves a part of the template: no function is left in it, and nothing that is AWS::NoValue. It is
// nil when v is, or is AWS::NoValue as a whole.
func (t *Template) Eval(v *Value) *Value {
	if v == nil {
		return nil
	}
	if t.evals++; t.evals > maxEvals || t.depth > 2*maxDepth {
		t.Fail(sluice.Place{File: t.Root.At.File}, "look for a part that repeats itself", "the template expands to too much")
		return broken(v.At)
	}
	t.depth++
	defer func() { t.depth-- }()
	switch name, arg := intrinsic(v); {
	case name != "":
		return t.call(name, arg, v.At)
	case v.IsMap():
		out := &Value{At: v.At, Fields: []Field{}}
		for _, f := range t.expand(v) {
			if val := t.Eval(f.Value); val != nil {
				out.Fields = append(out.Fields, Field{Key: f.Key, At: f.At, Value: val})
			}
		}
		return out
	case v.IsList():
		out := &Value{At: v.At, List: []*Value{}}
		for _, e := range v.List {
			if val := t.Eval(e); val != nil {
				out.List = append(out.List, val)
			}
		}
		return out
	}
	if s, ok := v.Data.(string); ok && strings.Contains(s, "{{resolve:") {
		return t.dynamic(v, s)
	}
	return v
}

func broken(at sluice.Place) *Value { return &Value{At: at, Broken: true} }

// call is the value of one function.
func (t *Template) call(name string, arg *Value, at sluice.Place) *Value {
	switch name {
	case "Ref":
		return t.ref(arg, at)
	case "Fn::GetAtt":
		return t.getAtt(arg, at)
	case "Fn::Sub":
		return t.sub(arg, at)
	case "Fn::If":
		if len(arg.Items()) != 3 {
			return t.wants(at, name, "a condition and two values")
		}
		if t.Holds(arg.List[0]) {
			return t.Eval(arg.List[1])
		}
		return t.Eval(arg.List[2])
	case "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not":
		return template.Bool(at, t.Holds(template.Map(at, name, arg)))
	case "Fn::Transform":
		return t.include(arg, at)
	}
	in := t.Eval(arg)
	if in == nil {
		return t.wants(at, name, "a value, and there is none")
	}
	if brokenIn(in) {
		return broken(at)
	}
	switch name {
	case "Fn::Join":
		if len(in.List) != 2 || !in.List[1].IsList() || !isText(in.List[0]) {
			return t.wants(at, name, "a separator and a list")
		}
		parts, size := make([]string, 0, len(in.List[1].List)), 0
		for _, e := range in.List[1].List {
			if !isText(e) {
				return t.wants(e.At, name, "a list of texts, and there is "+Kind(e))
			}
			parts = append(parts, e.Str())
			size += len(e.Str()) + len(in.List[0].Str())
		}
		if size > maxText {
			return t.tooLong(at)
		}
		return template.Text(at, strings.Join(parts, in.List[0].Str()))
	case "Fn::Split":
		if len(in.List) != 2 || !isText(in.List[0]) || !isText(in.List[1]) || in.List[0].Str() == "" {
			return t.wants(at, name, "a separator and a text")
		}
		out := template.List(at)
		for _, s := range strings.Split(in.List[1].Str(), in.List[0].Str()) {
			out.List = append(out.List, template.Text(at, s))
		}
		return out
	case "Fn::Select":
		if len(in.List) != 2 || !in.List[1].IsList() {
			return t.wants(at, name, "an index and a list")
		}
		i, err := strconv.Atoi(in.List[0].Str())
		if err != nil || i < 0 || i >= len(in.List[1].List) {
			t.Fail(at, "", "Fn::Select: the list has no item %s; it has %d", in.List[0].Str(), len(in.List[1].List))
			return broken(at)
		}
		return in.List[1].List[i]
	case "Fn::FindInMap":
		return t.findInMap(in, at)
	case "Fn::Base64":
		if !isText(in) {
			return t.wants(at, name, "a text")
		}
		return template.Text(at, base64.StdEncoding.EncodeToString([]byte(in.Str())))
	case "Fn::GetAZs":
		region := in.Str()
		if region == "" {
			region = t.o.Region
		}
		return template.List(at, template.Text(at, region+"a"), template.Text(at, region+"b"), template.Text(at, region+"c"))
	case "Fn::Cidr":
		return t.cidr(in, at)
	case "Fn::Length":
		if !in.IsList() {
			return t.wants(at, name, "a list")
		}
		n := len(in.List)
		return &Value{At: at, Data: int64(n), Text: strconv.Itoa(n)}
	case "Fn::ToJsonString":
		return template.Text(at, in.JSON())
	case "Fn::ImportValue":
		if t.o.Import != nil {
			if s, ok := t.o.Import(in.Str()); ok {
				return template.Text(at, s)
			}
		}
		t.Fail(at, "deploy the app that exports it first", "Fn::ImportValue: no app exports %q", in.Str())
		return broken(at)
	}
	t.Fail(at, suggest(strings.TrimPrefix(name, "Fn::"), shortTags), "function %s is not known", name)
	return broken(at)
}

func (t *Template) wants(at sluice.Place, name, what string) *Value {
	t.Fail(at, "", "%s wants %s", name, what)
	return broken(at)
}

func (t *Template) tooLong(at sluice.Place) *Value {
	t.Fail(at, "", "text of more than %d bytes", maxText)
	return broken(at)
}

// isText reports whether v is a scalar with something in it.
func isText(v *Value) bool { return v != nil && !v.IsMap() && !v.IsList() && v.Data != nil }

// brokenIn reports whether anything of v is broken.
func brokenIn(v *Value) bool {
	if v == nil {
		return false
	}
	return v.Broken || slices.ContainsFunc(v.List, brokenIn) ||
		slices.ContainsFunc(v.Fields, func(f Field) bool { return brokenIn(f.Value) })
}

func (t *Template) ref(arg *Value, at sluice.Place) *Value {
	name := arg.Str()
	if !isText(arg) {
		return t.wants(at, "Ref", "a name")
	}
	if name == "AWS::NoValue" {
		return nil
	}
	if v, ok := t.params[name]; ok {
		if v.Broken {
			return broken(at)
		}
		c := *v
		c.At = at
		return &c
	}
	if v, ok := t.values[name]; ok {
		c := *v
		c.At = at
		return &c
	}
	r := t.byID[name]
	if r == nil {
		r = t.Alias(name)
	}
	if r == nil {
		return t.unknown(at, "Ref", name)
	}
	if t.Names != nil {
		if v, ok := t.Names.Ref(r); ok {
			return moved(v, at)
		}
	}
	t.Fail(at, "", "Ref: resource %q of type %s has nothing to refer to", name, r.Type)
	return broken(at)
}

// moved is v at another place.
func moved(v *Value, at sluice.Place) *Value {
	if v == nil {
		return nil
	}
	c := *v
	c.At = at
	return &c
}

// unknown says that name is neither a parameter nor a resource.
func (t *Template) unknown(at sluice.Place, fn, name string) *Value {
	if why, ok := t.absent[name]; ok {
		t.Fail(at, "", "%s: resource %q is not there: %s", fn, name, why)
		return broken(at)
	}
	known := append(t.ids(), t.Root.Get("Parameters").Keys()...)
	for k := range t.values {
		known = append(known, k)
	}
	slices.Sort(known)
	hint := ""
	if n := Nearest(name, known); n != "" {
		hint = "did you mean " + strconv.Quote(n) + "?"
	}
	t.Fail(at, hint, "%s: the template has no resource or parameter %q", fn, name)
	return broken(at)
}

func (t *Template) getAtt(arg *Value, at sluice.Place) *Value {
	var id, attr string
	switch {
	case arg.IsList() && len(arg.List) >= 2:
		id = arg.List[0].Str()
		var parts []string
		for _, e := range arg.List[1:] {
			v := t.Eval(e)
			if v == nil || v.Broken {
				return broken(at)
			}
			parts = append(parts, v.Str())
		}
		attr = strings.Join(parts, ".")
	case isText(arg) && strings.Contains(arg.Str(), "."):
		id, attr, _ = strings.Cut(arg.Str(), ".")
	default:
		return t.wants(at, "Fn::GetAtt", "a resource and an attribute")
	}
	return t.attribute(at, "Fn::GetAtt", id, attr)
}

func (t *Template) attribute(at sluice.Place, fn, id, attr string) *Value {
	if r := t.Alias(id + "." + attr); r != nil {
		return t.ref(template.Text(at, r.ID), at)
	}
	r := t.byID[id]
	if r == nil {
		r = t.Alias(id)
	}
	if r == nil {
		return t.unknown(at, fn, id)
	}
	if t.Names != nil {
		if v, ok := t.Names.GetAtt(r, attr); ok {
			return moved(v, at)
		}
	}
	t.Fail(at, "", "%s: resource %q of type %s has no attribute %q", fn, id, r.Type, attr)
	return broken(at)
}

// sub fills ${…} in a text.
func (t *Template) sub(arg *Value, at sluice.Place) *Value {
	text := arg
	var vars *Value
	if arg.IsList() {
		if len(arg.List) != 2 || !arg.List[1].IsMap() {
			return t.wants(at, "Fn::Sub", "a text, or a text and a map")
		}
		text, vars = arg.List[0], arg.List[1]
	}
	if !isText(text) {
		return t.wants(at, "Fn::Sub", "a text, or a text and a map")
	}
	var out strings.Builder
	bad := false
	for _, part := range splitSub(text.Text) {
		var v *Value
		switch {
		case part.err != "":
			t.Fail(at, "write ${!Name} for a ${Name} that is to stay", "Fn::Sub: %s", part.err)
			return broken(at)
		case !part.variable:
			out.WriteString(part.text)
			continue
		case vars.Get(part.text) != nil:
			v = t.Eval(vars.Get(part.text))
		default:
			if id, attr, dotted := strings.Cut(part.text, "."); dotted {
				v = t.attribute(at, "Fn::Sub", id, attr)
			} else {
				v = t.ref(template.Text(at, part.text), at)
			}
		}
		switch {
		case v == nil: // AWS::NoValue
		case v.Broken:
			bad = true
		case v.IsMap(), v.IsList():
			t.Fail(at, "", "Fn::Sub: ${%s} is %s, not text", part.text, Kind(v))
			bad = true
		default:
			out.WriteString(v.Str())
		}
		if out.Len() > maxText {
			return t.tooLong(at)
		}
	}
	if bad {
		return broken(at)
	}
	return t.Eval(template.Text(at, out.String()))
}

// subPart is a piece of the text of Fn::Sub.
type subPart struct {
	text     string
	variable bool
	err      string
}

var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// splitSub cuts the text of Fn::Sub into what stays and the names of variables.
func splitSub(s string) []subPart {
	var parts []subPart
	for {
		before, rest, found := strings.Cut(s, "${")
		if before != "" {
			parts = append(parts, subPart{text: before})
		}
		if !found {
			return parts
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return append(parts, subPart{err: "${ without }"})
		}
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			parts = append(parts, subPart{text: "${" + literal + "}"})
		} else if name = strings.TrimSpace(name); !subName.MatchString(name) {
			return append(parts, subPart{err: "${" + name + "} is not the name of a variable"})
		} else {
			parts = append(parts, subPart{text: name, variable: true})
		}
		s = after
	}
}

func (t *Template) findInMap(in *Value, at sluice.Place) *Value {
	if len(in.List) < 3 {
		return t.wants(at, "Fn::FindInMap", "a map and two keys")
	}
	m := t.Root.Get("Mappings")
	keys := []string{in.List[0].Str(), in.List[1].Str(), in.List[2].Str()}
	for _, key := range keys {
		next := m.Get(key)
		if next == nil {
			if len(in.List) > 3 && in.List[3].Get("DefaultValue") != nil {
				return in.List[3].Get("DefaultValue")
			}
			t.Fail(at, suggest(key, m.Keys()), "Fn::FindInMap: there is no %s", strings.Join(keys, "."))
			return broken(at)
		}
		m = next
	}
	return t.Eval(m)
}

// cidr cuts a network into equal ones.
func (t *Template) cidr(in *Value, at sluice.Place) *Value {
	if len(in.List) < 2 {
		return t.wants(at, "Fn::Cidr", "a network, a count and bits")
	}
	network, err := netip.ParsePrefix(in.List[0].Str())
	count, cerr := strconv.Atoi(in.List[1].Str())
	bits := 8
	if len(in.List) > 2 {
		var berr error
		if bits, berr = strconv.Atoi(in.List[2].Str()); berr != nil {
			cerr = berr
		}
	}
	if err != nil || cerr != nil || count < 1 || count > 256 || bits < 1 || bits > network.Addr().BitLen() {
		return t.wants(at, "Fn::Cidr", "a network, a count of 1 to 256 and bits")
	}
	network = network.Masked()
	size := network.Addr().BitLen() - bits
	room := size - network.Bits()
	if room < 0 || room < 31 && 1<<room < count {
		t.Fail(at, "", "Fn::Cidr: %s does not hold %d networks of %d bits", network, count, bits)
		return broken(at)
	}
	base := new(big.Int).SetBytes(network.Addr().AsSlice())
	step := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	out := template.List(at)
	for range count {
		buf := base.FillBytes(make([]byte, network.Addr().BitLen()/8))
		addr, _ := netip.AddrFromSlice(buf)
		out.List = append(out.List, template.Text(at, netip.PrefixFrom(addr, size).String()))
		base.Add(base, step)
	}
	return out
}

// include is Fn::Transform with AWS::Include: the content of a file beside the template.
func (t *Template) include(arg *Value, at sluice.Place) *Value {
	name, where := arg.Get("Name").Str(), t.Eval(arg.Get("Parameters").Get("Location"))
	if name != "AWS::Include" || where == nil || !isText(where) {
		t.Fail(at, "only AWS::Include of a file beside the template can be used", "Fn::Transform: macro %q is not known", name)
		return broken(at)
	}
	if strings.HasPrefix(where.Str(), "s3://") {
		t.Fail(at, "put the file beside the template and name its path", "AWS::Include: %s is not a file here", where.Str())
		return broken(at)
	}
	file, err := ReadFile(filepath.Join(t.o.Dir, filepath.FromSlash(where.Str())), where.Str())
	if err != nil {
		t.Fail(at, "", "AWS::Include: %v", err)
		return broken(at)
	}
	return t.Eval(file)
}

var dynamicRef = regexp.MustCompile(`\{\{resolve:(ssm|ssm-secure|secretsmanager):([^{}]+)\}\}`)

// dynamic fills {{resolve:…}} from the environment of the deploy.
func (t *Template) dynamic(v *Value, s string) *Value {
	bad := false
	out := dynamicRef.ReplaceAllStringFunc(s, func(ref string) string {
		m := dynamicRef.FindStringSubmatch(ref)
		parts := strings.Split(m[2], ":")
		name := parts[0]
		if m[1] == "secretsmanager" {
			if strings.HasPrefix(m[2], "arn:") && len(parts) >= 7 {
				name, parts = parts[6], parts[6:]
			}
			if len(parts) > 2 && parts[2] != "" {
				if s, ok := t.secretKey(name, parts[2]); ok {
					return s
				}
				name += "_" + parts[2]
			}
		}
		val, ok := t.o.Env(envName(name))
		if !ok {
			t.Fail(v.At, "set "+envName(name)+" in the environment of the deploy", "%s is not set here", ref)
			bad = true
		}
		return val
	})
	if bad {
		return broken(v.At)
	}
	return template.Text(v.At, out)
}

// secretKey is one key of a secret that stands in the environment as JSON.
func (t *Template) secretKey(name, key string) (string, bool) {
	text, ok := t.o.Env(envName(name))
	if !ok {
		return "", false
	}
	var m map[string]any
	if json.Unmarshal([]byte(text), &m) != nil {
		return "", false
	}
	s, ok := m[key].(string)
	return s, ok
}

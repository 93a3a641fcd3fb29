package attr

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// Texts that more than one kind of misfit has.
const (
	noStruct  = "Start of structure or map found where not expected"
	noField   = "Unexpected field type"
	noValue   = "Unexpected value type in payload"
	noBlob    = "only base-64-encoded strings are convertible to bytes"
	noMap     = "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"
	noAttr    = "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"
	noneSet   = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	manySet   = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	invalid   = "One or more parameter values were invalid: "
	tooNested = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)

// TooNested refuses a value whose Depth is more than MaxDepth.
func TooNested() *Error { return Invalid(tooNested) }

// Decode reads one value: {"S":"…"}, {"N":"…"} and so on. Its error is an *Error. What does not fit
// the wire's types is a SerializationException, which goes before any ValidationException that the
// value deserves too; with a ValidationException the value is not to be used.
func Decode(raw json.RawMessage) (table.Value, error) { return decode(raw, noValue) }

// DecodeField is Decode for a value that is a field of a structure, not an element of a map or list:
// AWS words the SerializationException of anything but an object otherwise there.
func DecodeField(raw json.RawMessage) (table.Value, error) { return decode(raw, noField) }

// Input is a value as a field of a request. Reading it fails only with a SerializationException, which
// goes before everything else; a ValidationException waits in Err for its turn.
type Input struct {
	Value table.Value
	Err   *Error
}

// UnmarshalJSON reads a value as DecodeField does.
func (in *Input) UnmarshalJSON(raw []byte) error {
	p := &parser{src: raw}
	in.Value, in.Err = p.value(0, noField)
	if p.err != nil {
		return p.err
	}
	return nil
}

func decode(raw json.RawMessage, scalar string) (table.Value, error) {
	p := &parser{src: raw}
	v, bad := p.value(0, scalar)
	p.end()
	switch {
	case p.err != nil:
		return table.Value{}, p.err
	case bad != nil:
		return table.Value{}, bad
	}
	return v, nil
}

// DecodeItem reads a map of values: an item, a key, or ExpressionAttributeValues. JSON null is a nil
// item. The error is that of Decode; its Name is the attribute that is wrong. With a
// ValidationException the item has all its names.
func DecodeItem(raw json.RawMessage) (Item, error) {
	p := &parser{src: raw}
	if p.null() {
		return nil, nil
	}
	item, bad := p.attributes(0)
	p.end()
	switch {
	case p.err != nil:
		return nil, p.err
	case bad != nil:
		return item, bad
	}
	return item, nil
}

// attributes reads a map of values that stands in depth lists and maps.
func (p *parser) attributes(depth int) (Item, *Error) {
	if !p.open('{', noMap, noField) {
		return nil, nil
	}
	item := Item{}
	var bad *Error
	for {
		name, ok := p.key()
		if !ok {
			return item, bad
		}
		v, wrong := p.value(depth, noValue)
		if wrong != nil && bad == nil {
			bad = &Error{Code: wrong.Code, Message: wrong.Message, Name: string(name)}
		}
		item[string(name)] = v
	}
}

// value reads one value that stands in depth lists and maps. scalar is what is said of one that is
// no object.
func (p *parser) value(depth int, scalar string) (v table.Value, bad *Error) {
	if p.null() {
		return v, Invalid(noneSet)
	}
	if !p.open('{', noAttr, scalar) {
		return v, nil
	}
	if depth >= MaxDepth {
		p.rest()
		return v, TooNested()
	}
	found, rank := 0, len(wireTypes)
	for {
		name, ok := p.key()
		if !ok {
			break
		}
		i := 0
		for i < len(wireTypes) && wireTypes[i].name != string(name) {
			i++
		}
		if i == len(wireTypes) {
			p.skip()
			continue
		}
		if p.null() {
			continue
		}
		w, wrong := p.typed(wireTypes[i].is, depth)
		if wrong != nil && i < rank {
			bad, rank = wrong, i
		}
		v = w
		found++
	}
	switch {
	case found == 0:
		return v, Invalid(noneSet)
	case bad == nil && found > 1:
		return v, Invalid(manySet)
	}
	return v, bad
}

// typed reads what stands behind a type's name.
func (p *parser) typed(t table.Type, depth int) (table.Value, *Error) {
	v := table.Value{Type: t}
	switch t {
	case table.String:
		v.Str = p.text("String")
	case table.Decimal:
		return p.number()
	case table.Binary:
		v.Str, _ = p.blob()
	case table.Bool, table.Null:
		is := p.boolean()
		if t == table.Bool {
			if is {
				v.Int = 1
			}
		} else if !is {
			return v, Invalid(invalid + "Null attribute value types must have the value of true")
		}
	case table.StringSet, table.NumberSet, table.BinarySet:
		return p.set(t)
	case table.List:
		if !p.open('[', noStruct, noField) {
			return v, nil
		}
		var bad *Error
		v.List = []table.Value{}
		for p.element() {
			e, wrong := p.value(depth+1, noValue)
			if bad == nil {
				bad = wrong
			}
			v.List = append(v.List, e)
		}
		return v, bad
	case table.Map:
		m, bad := p.attributes(depth + 1)
		v.Map = m
		return v, bad
	}
	return v, nil
}

func (p *parser) number() (table.Value, *Error) {
	n, bad := ParseNumber(p.text("String"))
	return Number(n), bad
}

// set reads a set. Its elements are told as they came when there are repeats, and sorted then.
func (p *parser) set(t table.Type) (table.Value, *Error) {
	v := table.Value{Type: t}
	if !p.open('[', noStruct, noField) {
		return v, nil
	}
	var bad *Error
	var came []string // of a binary set
	for p.element() {
		var e table.Value
		var wrong *Error
		switch {
		case p.null():
			wrong = Invalid(invalid + "An " + setNames[t] + " set may not have a null " + setNames[t] + " as a member")
		case t == table.StringSet:
			e = String(p.text("String"))
		case t == table.NumberSet:
			e, wrong = p.number()
		default:
			var s string
			e.Type = table.Binary
			e.Str, s = p.blob()
			came = append(came, s)
		}
		if bad == nil {
			bad = wrong
		}
		v.List = append(v.List, e)
	}
	switch {
	case bad != nil || p.err != nil:
		return v, bad
	case len(v.List) == 0 && t == table.BinarySet:
		return v, Invalid(invalid + "Binary sets should not be empty")
	case len(v.List) == 0:
		return v, Invalid(invalid + "An " + setNames[t] + " set  may not be empty")
	}
	sorted := NewSet(t, slices.Clone(v.List))
	if len(sorted.List) == len(v.List) {
		return sorted, nil
	}
	switch t {
	case table.NumberSet:
		return v, Invalid("Input collection contains duplicates")
	case table.BinarySet:
		return v, Invalid(invalid + "Input collection [" + strings.Join(came, ", ") + "]of type BS contains duplicates.")
	}
	for _, e := range v.List {
		came = append(came, e.Str)
	}
	return v, Invalid(invalid + "Input collection [" + strings.Join(came, ", ") + "] contains duplicates.")
}

var setNames = map[table.Type]string{table.StringSet: "string", table.NumberSet: "number", table.BinarySet: "binary"}

// text reads a string; anything else is told to be no java.lang of that name.
func (p *parser) text(class string) string {
	switch c := p.peek(); {
	case c == '"':
		return p.quoted()
	case c == '[':
		p.fail("Unrecognized collection type class java.lang." + class)
	case c == '{':
		p.fail(noStruct)
	default:
		p.fail(p.scalar() + " cannot be converted to " + class)
	}
	return ""
}

// boolean reads true or false, or a string that means one.
func (p *parser) boolean() bool {
	switch c := p.peek(); {
	case c == 't' || c == 'f':
		return p.scalar() == "TRUE_VALUE"
	case c == '"':
		switch strings.ToUpper(p.quoted()) {
		case "TRUE", "1", "YES":
			return true
		case "FALSE", "0", "NO":
			return false
		}
		p.fail("Unexpected token received from parser")
		return false
	}
	p.text("Boolean")
	return false
}

// blob reads base64; it returns the text as well.
func (p *parser) blob() (b, s string) {
	switch c := p.peek(); {
	case c == '"':
	case c == '[':
		p.fail("Unrecognized collection type class java.nio.ByteBuffer")
		return "", ""
	case c == '{':
		p.fail(noStruct)
		return "", ""
	default:
		p.fail(noBlob)
		return "", ""
	}
	s = p.quoted()
	if len(s)%4 != 0 {
		p.fail("Base64 encoded length is expected a multiple of 4 bytes but found: " + strconv.Itoa(len(s)))
		return "", ""
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		p.fail("Invalid last non-pad Base64 character dectected") // sic
		return "", ""
	}
	return string(raw), s
}

package dynamodb

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// shapeKind is the type of a parameter in the service's model.
type shapeKind uint8

const (
	aString shapeKind = iota
	aBoolean
	anInteger
	aLong
	aDouble
	aValue // an attribute value
	anItem // a map of attribute values
	aList
	aMap
	aStructure
)

// shape describes a parameter: its type, which is checked first (SerializationException), and its
// constraints, of which all that are broken are told together (ValidationException).
type shape struct {
	kind   shapeKind
	name   string // of a structure
	of     *shape // elements of a list, values of a map
	fields []field

	min, max int64 // of a length or a number; max 0 is none
	name3    bool  // the pattern of names of tables and indexes
	enum     []string
	keys     *shape // constraints of a map's keys
}

// field is a member of a structure.
type field struct {
	name  string
	lower string // the name as messages have it
	need  bool
	shape *shape
}

// namePattern is that of names of tables and indexes, as messages print it.
const namePattern = "[a-zA-Z0-9_.-]+"

const javaPackage = "com.amazonaws.dynamodb.v20120810."

const (
	notExpected = "Start of structure or map found where not expected"
	notField    = "Unexpected field type"
	notValue    = "Unexpected value type in payload"
	// badCast is what AWS answers to a scalar in place of a list or map within another one.
	badCast = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"
)

// java is the name of a shape's class in messages.
func (s *shape) java() string {
	switch s.kind {
	case aString:
		return "java.lang.String"
	case aBoolean:
		return "java.lang.Boolean"
	case anInteger:
		return "java.lang.Integer"
	case aLong:
		return "java.lang.Long"
	case aDouble:
		return "java.lang.Double"
	case aValue:
		return javaPackage + "AttributeValue"
	case anItem:
		return "java.util.Map<java.lang.String, " + javaPackage + "AttributeValue>"
	case aList:
		return "java.util.List<" + s.of.java() + ">"
	case aMap:
		return "java.util.Map<java.lang.String, " + s.of.java() + ">"
	}
	return javaPackage + s.name
}

// check looks for a value of the wrong JSON type. inside tells that it is an element of a list or the
// value of a map, for which AWS has other messages than for a member of a structure.
func (s *shape) check(n *node, inside bool) error {
	if n.kind == jsonNull && s.kind != aValue {
		return nil
	}
	if s.kind == aValue || s.kind == anItem {
		return s.decode(n, inside)
	}
	if n.kind == jsonArray && s.kind != aList {
		if s.kind == aMap {
			return serialization("Unrecognized collection type " + s.java())
		}
		return serialization("Unrecognized collection type class " + s.java())
	}
	if n.kind == jsonObject && s.kind != aMap && s.kind != aStructure {
		return serialization(notExpected)
	}
	n.open()
	switch s.kind {
	case aList, aMap:
		if n.kind != jsonArray && n.kind != jsonObject {
			if inside {
				return serialization(badCast)
			}
			return serialization(notField)
		}
		for i := range n.list {
			if err := s.of.check(&n.list[i], true); err != nil {
				return err
			}
		}
	case aStructure:
		if n.kind != jsonObject {
			if inside {
				return serialization(notValue)
			}
			return serialization(notField)
		}
		for i, key := range n.keys {
			for _, f := range s.fields {
				if f.name == key {
					if err := f.shape.check(&n.list[i], false); err != nil {
						return err
					}
				}
			}
		}
	default:
		return s.checkScalar(n)
	}
	return nil
}

// decode reads attribute values.
func (s *shape) decode(n *node, inside bool) (err error) {
	switch {
	case s.kind == anItem && inside && n.kind != jsonObject && n.kind != jsonArray:
		return serialization(badCast)
	case s.kind == anItem:
		n.item, err = attr.DecodeItem(n.raw)
	default:
		decode := attr.DecodeField
		if inside {
			decode = attr.Decode
		}
		var v table.Value
		v, err = decode(n.raw)
		n.value = &v
	}
	if err == nil {
		return nil
	}
	if !errors.As(err, &n.bad) || n.bad.Code != attr.Validation {
		return err
	}
	return nil
}

// tokens are the names of scalars in messages.
var tokens = [...]string{jsonTrue: "TRUE_VALUE", jsonFalse: "FALSE_VALUE", jsonWhole: "NUMBER_VALUE", jsonDecimal: "DECIMAL_VALUE", jsonString: "STRING_VALUE"}

func (s *shape) checkScalar(n *node) error {
	wrong := func() error {
		class := s.java()
		return serialization(tokens[n.kind] + " cannot be converted to " + class[strings.LastIndexByte(class, '.')+1:])
	}
	number := n.kind == jsonWhole || n.kind == jsonDecimal
	switch s.kind {
	case aString:
		if n.kind != jsonString {
			return wrong()
		}
	case aBoolean:
		if n.kind == jsonString {
			if _, ok := n.word(); ok {
				return nil
			}
			return serialization("Unexpected token received from parser")
		}
		if number {
			return wrong()
		}
	case anInteger, aLong, aDouble:
		if !number {
			return wrong()
		}
	}
	return nil
}

// An empty name of a table breaks two constraints, or when nothing else is wrong a third.
const (
	emptyPattern = "Value '' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + namePattern
	emptyLength  = "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"
	emptyAlone   = "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"
)

// maxBroken is how many broken constraints one answer tells.
const maxBroken = 10

// validate tells all broken constraints of a request in one error; nil when there are none.
func (s *shape) validate(n *node) error {
	var broken []string
	s.constrain(n, "", &broken)
	switch {
	case len(broken) == 0:
		return nil
	case len(broken) == 2 && s.name != queryParams.name && s.name != scanParams.name && broken[0] == emptyPattern && broken[1] == emptyLength:
		broken = []string{emptyAlone}
	}
	broken = broken[:min(len(broken), maxBroken)]
	text := strconv.Itoa(len(broken)) + " validation error"
	if len(broken) > 1 {
		text += "s"
	}
	return invalid(text + " detected: " + strings.Join(broken, "; "))
}

func (s *shape) constrain(n *node, path string, broken *[]string) {
	say := func(what string) {
		*broken = append(*broken, "Value '"+s.print(n)+"' at '"+path+"' failed to satisfy constraint: "+what)
	}
	for _, what := range s.own(n) {
		say("Member must " + what)
	}
	switch s.kind {
	case aStructure:
		for i := range s.fields {
			f := &s.fields[i]
			m := n.get(f.name)
			if m == nil && !f.need {
				continue
			}
			at := f.lower
			if path != "" {
				at = path + "." + at
			}
			if m != nil {
				f.shape.constrain(m, at, broken)
			} else {
				*broken = append(*broken, "Value null at '"+at+"' failed to satisfy constraint: Member must not be null")
			}
		}
	case aList:
		for i := range n.list {
			s.of.constrain(&n.list[i], path+"."+strconv.Itoa(i+1)+".member", broken)
		}
	case aMap:
		if s.keys != nil {
			for _, k := range n.keys {
				if len(s.keys.own(&node{kind: jsonString, str: k})) > 0 {
					say("Map keys must satisfy constraint: " + s.keys.rules())
					break
				}
			}
		}
		if s.of.kind == aList {
			for i := range n.list {
				if len(s.of.own(&n.list[i])) > 0 {
					say("Map value must satisfy constraint: " + s.of.rules())
					break
				}
			}
		}
		for i, k := range n.keys {
			of, at := s.of, path+"."+k+".member"
			if of.kind == aList { // its own constraints are told as the map's
				for j := range n.list[i].list {
					of.of.constrain(&n.list[i].list[j], at+"."+strconv.Itoa(j+1)+".member", broken)
				}
				continue
			}
			of.constrain(&n.list[i], at, broken)
		}
	}
}

// own are the constraints of one value that it breaks, nested values aside.
func (s *shape) own(n *node) []string {
	var broken []string
	size, what := int64(0), "length"
	switch s.kind {
	case aString:
		if s.enum != nil {
			for _, e := range s.enum {
				if e == n.str {
					return nil
				}
			}
			return []string{"satisfy enum value set: [" + strings.Join(s.enum, ", ") + "]"}
		}
		if s.name3 {
			if _, ok := cutTableARN(n.str); ok {
				return nil
			}
			if !isName(n.str) {
				broken = append(broken, "satisfy regular expression pattern: "+namePattern)
			}
		}
		for _, r := range n.str {
			size += int64(utf16.RuneLen(r))
		}
	case anInteger, aLong:
		size, what = n.whole(), "value"
	case aList, aMap:
		size = int64(len(n.list))
	default:
		return nil
	}
	if size < s.min {
		broken = append(broken, "have "+what+" greater than or equal to "+strconv.FormatInt(s.min, 10))
	}
	if s.max != 0 && size > s.max {
		broken = append(broken, "have "+what+" less than or equal to "+strconv.FormatInt(s.max, 10))
	}
	return broken
}

// rules are all constraints of a shape, as the messages about maps list them.
func (s *shape) rules() string {
	list := []string{"Member must have length less than or equal to " + strconv.FormatInt(s.max, 10),
		"Member must have length greater than or equal to " + strconv.FormatInt(s.min, 10)}
	if s.name3 {
		list = append(list, "Member must satisfy regular expression pattern: "+namePattern)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// print is a value in a message, as Java prints it.
func (s *shape) print(n *node) string {
	var parts []string
	switch {
	case n == nil || n.kind == jsonNull:
		return "null"
	case s.kind == aList:
		for i := range n.list {
			parts = append(parts, s.of.print(&n.list[i]))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case s.kind == aMap:
		for i, k := range n.keys {
			parts = append(parts, k+"="+s.of.print(&n.list[i]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case s.kind == aStructure:
		for _, f := range s.fields {
			parts = append(parts, f.lower+"="+f.shape.print(n.get(f.name)))
		}
		return s.name + "(" + strings.Join(parts, ", ") + ")"
	case n.kind == jsonString:
		return n.str
	case s.kind == anInteger || s.kind == aLong:
		return strconv.FormatInt(n.whole(), 10)
	}
	return string(n.raw)
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// isName reports whether s is made of what names of tables and indexes may have, and is not empty.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return s != ""
}

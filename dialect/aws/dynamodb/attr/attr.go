// Package attr holds DynamoDB's attribute values: their JSON, their numbers, their sizes.
//
// A value is a table.Value of the types Null, Bool, Decimal, String, Binary, List, Map and the three
// sets. Values from here are in normal form: a number is its canonical decimal text, a set is sorted
// and without repeats. So equal values are equal field by field, and whatever the package table
// stores comes back as it went in. Nothing here passes through a float64.
//
// Errors carry DynamoDB's own code and text, for the protocol to put on the wire as they are.
package attr

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// Item is one item, or one key: attribute names and their values.
type Item = map[string]table.Value

// MaxDepth is the largest Depth that a value may have (aws.md 5.4).
const MaxDepth = 32

// Error is a refusal in DynamoDB's own words.
type Error struct {
	Code    string // without a prefix: ValidationException or SerializationException
	Message string
	Name    string // of the top-level attribute that is wrong, when an item or a map of values was read
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Kind is Invalid: the client's request is wrong.
func (e *Error) Kind() sluice.Kind { return sluice.Invalid }

// The codes that errors of this package and of expr have.
const (
	Validation    = "ValidationException"
	Serialization = "SerializationException"
)

// Invalid makes a ValidationException.
func Invalid(message string) *Error { return &Error{Code: Validation, Message: message} }

func misfit(message string) *Error { return &Error{Code: Serialization, Message: message} }

// TypeName is the name of a value's type on the wire: S, N, B, BOOL, NULL, SS, NS, BS, L or M.
func TypeName(v table.Value) string {
	switch v.Type {
	case table.Null:
		return "NULL"
	case table.Bool:
		return "BOOL"
	case table.Decimal:
		return "N"
	case table.String:
		return "S"
	case table.Binary:
		return "B"
	case table.List:
		return "L"
	case table.Map:
		return "M"
	case table.StringSet:
		return "SS"
	case table.NumberSet:
		return "NS"
	case table.BinarySet:
		return "BS"
	}
	return ""
}

// TypeOf is the type of that name on the wire; false when DynamoDB has none such.
func TypeOf(name string) (table.Type, bool) {
	for _, t := range wireTypes {
		if t.name == name {
			return t.is, true
		}
	}
	return 0, false
}

// Number is the value of a number that is known to be canonical, as those of Decode are.
func Number(canonical string) table.Value {
	return table.Value{Type: table.Decimal, Str: canonical}
}

// String is the value of a string.
func String(s string) table.Value { return table.Value{Type: table.String, Str: s} }

// IsSet says whether t is one of the three set types.
func IsSet(t table.Type) bool {
	return t == table.StringSet || t == table.NumberSet || t == table.BinarySet
}

// Equal says whether two values are the same: of one type, numbers by value, sets in any order.
func Equal(a, b table.Value) bool {
	if a.Type != b.Type {
		return false
	}
	switch a.Type {
	case table.Null:
		return true
	case table.Bool:
		return a.Int == b.Int
	case table.Map:
		return EqualItems(a.Map, b.Map)
	case table.List, table.StringSet, table.NumberSet, table.BinarySet:
		return slices.EqualFunc(a.List, b.List, Equal)
	}
	return a.Str == b.Str
}

// EqualItems says whether two items have the same attributes.
func EqualItems(a, b Item) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range a {
		if w, ok := b[name]; !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}

// Compare orders two values of one scalar type: strings and binary by their bytes, numbers by value.
// ok is false for values of different types and of types that have no order.
func Compare(a, b table.Value) (order int, ok bool) {
	if a.Type != b.Type {
		return 0, false
	}
	switch a.Type {
	case table.String, table.Binary:
		return strings.Compare(a.Str, b.Str), true
	case table.Decimal:
		return CompareNumbers(a.Str, b.Str), true
	}
	return 0, false
}

// Depth is how many levels a value has: 1 for a scalar, a set, or an empty list or map.
func Depth(v table.Value) int {
	deepest := 0
	switch v.Type {
	case table.List:
		for _, e := range v.List {
			deepest = max(deepest, Depth(e))
		}
	case table.Map:
		for _, e := range v.Map {
			deepest = max(deepest, Depth(e))
		}
	}
	return deepest + 1
}

// NewSet is the set of those elements, sorted and without repeats. It has type t and takes the list over.
func NewSet(t table.Type, list []table.Value) table.Value {
	slices.SortFunc(list, order)
	return table.Value{Type: t, List: slices.CompactFunc(list, Equal)}
}

func order(a, b table.Value) int {
	n, _ := Compare(a, b)
	return n
}

// InSet says whether an element is in a set.
func InSet(set, element table.Value) bool {
	_, found := slices.BinarySearchFunc(set.List, element, order)
	return found
}

// Size is what a value counts towards the size of an item, in bytes (aws.md 5.4, Limits).
func Size(v table.Value) int {
	switch v.Type {
	case table.String, table.Binary:
		return len(v.Str)
	case table.Decimal:
		return numberSize(v.Str)
	case table.Null, table.Bool:
		return 1
	case table.Map:
		return 3 + len(v.Map) + ItemSize(v.Map)
	}
	n := 0
	if v.Type == table.List {
		n = 3 + len(v.List)
	}
	for _, e := range v.List {
		n += Size(e)
	}
	return n
}

// CheckName refuses an attribute's name that is empty, or 65,536 bytes long or longer.
func CheckName(name string) *Error {
	switch {
	case name == "":
		return Invalid("Empty attribute name")
	case len(name) > 65535:
		return Invalid("Attribute name is too large, must be less than 65536 bytes")
	}
	return nil
}

// ItemSize is the size of an item in bytes: names and values.
func ItemSize(item Item) int {
	n := 0
	for name, v := range item {
		n += len(name) + Size(v)
	}
	return n
}

// PageSize is how much of a page an item takes that Query or Scan evaluates. AWS counts there what it stores:
// names are one byte, values tell their lengths, and the value of the sort key, whose name is sort, comes again
// with every 3,072 bytes.
func PageSize(item Item, sort string) int {
	n, repeated := 0, 18
	for name, v := range item {
		if name == sort {
			repeated += Size(v)
			continue
		}
		n += 1 + stored(v)
	}
	return 2 + n + (1+(1+n)/3072)*repeated
}

// stored is the size of a value as AWS stores it.
func stored(v table.Value) int {
	switch n := Size(v); v.Type {
	case table.String:
		switch {
		case n < 128:
			return n + 1
		case n < 16384:
			return n + 2
		}
		return n + 3
	case table.Null:
		return 0
	case table.Bool:
		return 1
	case table.List:
		n = 3
		for _, e := range v.List {
			n += 1 + stored(e)
		}
		return n
	case table.Map:
		n = 3 + len(v.Map)
		for _, e := range v.Map {
			n += 1 + stored(e)
		}
		return n
	default: // numbers, binaries and sets
		return n + len(v.List) + 1
	}
}

// EmptyKey says that value of a key attribute, of a table or an index, may not be there: nil unless
// it is an empty string or empty bytes.
func EmptyKey(name string, v table.Value) *Error {
	switch {
	case v.Type == table.String && v.Str == "":
		return Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: " + name)
	case v.Type == table.Binary && v.Str == "":
		return Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value. Key: " + name)
	}
	return nil
}

var wireTypes = [...]struct {
	name string
	is   table.Type
}{
	{"S", table.String}, {"N", table.Decimal}, {"B", table.Binary}, {"BOOL", table.Bool}, {"NULL", table.Null},
	{"BS", table.BinarySet}, {"NS", table.NumberSet}, {"SS", table.StringSet}, {"L", table.List}, {"M", table.Map},
}

// CompareNumbers orders two canonical numbers by value.
func CompareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	negA, negB := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	switch {
	case negA && negB:
		a, b = b[1:], a[1:]
	case negA:
		return -1
	case negB:
		return 1
	}
	wholeA, fracA, _ := strings.Cut(a, ".")
	wholeB, fracB, _ := strings.Cut(b, ".")
	return cmp.Or(
		cmp.Compare(len(wholeA), len(wholeB)),
		strings.Compare(wholeA, wholeB),
		strings.Compare(fracA, fracB))
}

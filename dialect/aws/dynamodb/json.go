package dynamodb

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// jsonKind is what a JSON value is, with whole numbers apart from others.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonTrue
	jsonFalse
	jsonWhole
	jsonDecimal
	jsonString
	jsonArray
	jsonObject
)

// node is one JSON value of a request. What is in an array or object is read by open, when the shape
// asks for it: attribute values have a codec of their own, which reads the text.
type node struct {
	kind jsonKind
	raw  []byte // the value as it was sent; shared with the body
	str  string // of a string, without quotes and escapes
	list []node // elements, or the values of members
	keys []string

	// Of attribute values and maps of them. A ValidationException waits here for its turn.
	value *table.Value
	item  attr.Item
	bad   *attr.Error
}

// parseJSON reads a whole body; false when it is not JSON.
func parseJSON(body []byte) (*node, bool) {
	if !utf8.Valid(body) || !validJSON(body) {
		return nil, false
	}
	n := &node{}
	n.read(body, 0)
	n.open()
	return n, true
}

// read takes the value that begins at or after b[i] and returns where it ends. b is valid JSON.
func (n *node) read(b []byte, i int) int {
	i = skipSpace(b, i)
	start := i
	switch c := b[i]; c {
	case 'n':
		i += 4
	case 't':
		n.kind, i = jsonTrue, i+4
	case 'f':
		n.kind, i = jsonFalse, i+5
	case '"':
		n.kind = jsonString
		n.str, i = readString(b, i)
	case '[', '{':
		n.kind = jsonArray
		if c == '{' {
			n.kind = jsonObject
		}
		i = skipNested(b, i)
	default:
		n.kind = jsonWhole
		for i < len(b) && strings.IndexByte("+-.0123456789eE", b[i]) >= 0 {
			if c := b[i]; c == '.' || c == 'e' || c == 'E' {
				n.kind = jsonDecimal
			}
			i++
		}
	}
	n.raw = b[start:i]
	return i
}

// open reads the elements or members of an array or object.
func (n *node) open() {
	if n.kind != jsonArray && n.kind != jsonObject || n.list != nil {
		return
	}
	b := n.raw
	for i := skipSpace(b, 1); b[i] != ']' && b[i] != '}'; i = skipSpace(b, i) {
		if n.list == nil {
			n.list = make([]node, 0, 4)
		}
		if n.kind == jsonObject {
			if n.keys == nil {
				n.keys = make([]string, 0, 4)
			}
			var key string
			key, i = readString(b, i)
			i = skipSpace(b, i) + 1 // the colon
			n.keys = append(n.keys, key)
		}
		n.list = append(n.list, node{})
		i = skipSpace(b, n.list[len(n.list)-1].read(b, i))
		if b[i] == ',' {
			i++
		}
	}
}

// skipNested passes over the array or object that begins at b[i].
func skipNested(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
		i++
		if depth == 0 {
			return i
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// readString takes the string that begins at b[i] and returns where it ends.
func readString(b []byte, i int) (string, int) {
	start, escaped := i, false
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			escaped = true
			i++
		}
	}
	i++
	if !escaped {
		return string(b[start+1 : i-1]), i
	}
	var s string
	_ = json.Unmarshal(b[start:i], &s) // it is valid
	return s, i
}

// get is the member of that name; nil when there is none, or null. The last of several counts.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for i := len(n.keys) - 1; i >= 0; i-- {
		if n.keys[i] == name {
			if n.list[i].kind == jsonNull {
				return nil
			}
			return &n.list[i]
		}
	}
	return nil
}

// has reports whether there is a member of that name.
func (n *node) has(name string) bool { return n.get(name) != nil }

// hasAny reports whether there is a member of any of these names.
func (n *node) hasAny(names []string) bool { return slices.ContainsFunc(names, n.has) }

// text is the string of that name, "" when there is none.
func (n *node) text(name string) string {
	if m := n.get(name); m != nil {
		return m.str
	}
	return ""
}

// bool is the boolean of that name; def when there is none.
func (n *node) bool(name string, def bool) bool {
	if m := n.get(name); m != nil {
		return m.truth()
	}
	return def
}

func (n *node) truth() bool {
	yes, _ := n.word()
	return n.kind == jsonTrue || yes
}

// word reads a string that means true or false; ok is false for any other.
func (n *node) word() (yes, ok bool) {
	if n.kind != jsonString {
		return false, false
	}
	switch strings.ToLower(n.str) {
	case "true", "yes", "1":
		return true, true
	case "false", "no", "0":
		return false, true
	}
	return false, false
}

// number is the whole number of that name; def when there is none.
func (n *node) number(name string, def int64) int64 {
	if m := n.get(name); m != nil {
		return m.whole()
	}
	return def
}

// whole cuts a number to a whole one, as AWS does; beyond an int64 it is the nearest one.
func (n *node) whole() int64 {
	if v, err := strconv.ParseInt(string(n.raw), 10, 64); err == nil || n.kind == jsonWhole {
		return v
	}
	f, _ := strconv.ParseFloat(string(n.raw), 64)
	switch {
	case f >= 1<<63:
		return 1<<63 - 1
	case f <= -1<<63:
		return -1 << 63
	}
	return int64(f)
}

// texts are the strings of the list of that name.
func (n *node) texts(name string) []string {
	m := n.get(name)
	if m == nil {
		return nil
	}
	list := make([]string, len(m.list))
	for i := range m.list {
		list[i] = m.list[i].str
	}
	return list
}

// strings is the map of that name from string to string; nil when there is none.
func (n *node) strings(name string) map[string]string {
	m := n.get(name)
	if m == nil {
		return nil
	}
	all := make(map[string]string, len(m.list))
	for i, k := range m.keys {
		all[k] = m.list[i].str
	}
	return all
}

// items are the elements of a list, or the values of a map; none of nil.
func (n *node) items() []node {
	if n == nil {
		return nil
	}
	return n.list
}

package attr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/sluicehq/sluice/table"
)

// parser reads JSON from the front of src. After the first misfit err is set and nothing is left.
type parser struct {
	src   []byte
	i     int
	first bool // no element of the innermost structure has been read
	err   *Error
}

func (p *parser) fail(message string) {
	if p.err == nil {
		p.err = misfit(message)
	}
	p.i = len(p.src)
}

// peek is the next byte that is no space; 0 at the end.
func (p *parser) peek() byte {
	for p.i < len(p.src) {
		switch c := p.src[p.i]; c {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) end() {
	if p.peek(); p.i < len(p.src) {
		p.fail("")
	}
}

// null reads a null, if it is there.
func (p *parser) null() bool {
	if p.peek() == 'n' && bytes.HasPrefix(p.src[p.i:], []byte("null")) {
		p.i += 4
		return true
	}
	return false
}

// open reads { or [. What is said of the other of the two is other, and of what is neither, scalar.
func (p *parser) open(c byte, other, scalar string) bool {
	switch p.peek() {
	case c:
		p.i++
		p.first = true
		return true
	case '{', '[':
		p.fail(other)
	default:
		p.fail(scalar)
	}
	return false
}

// key reads the next name of an object and its colon; false at the object's end.
func (p *parser) key() ([]byte, bool) {
	if !p.next('}') {
		return nil, false
	}
	if p.peek() != '"' {
		p.fail("")
		return nil, false
	}
	name := p.unquote()
	if p.peek() != ':' {
		p.fail("")
		return nil, false
	}
	p.i++
	return name, true
}

// element says whether a list has one more; false at its end.
func (p *parser) element() bool { return p.next(']') }

func (p *parser) next(end byte) bool {
	first := p.first
	p.first = false
	switch c := p.peek(); {
	case c == end:
		p.i++
		return false
	case first && c != 0:
		return true
	case c == ',' && !first:
		p.i++
		return true
	}
	p.fail("")
	return false
}

// quoted reads a string; what is not UTF-8 becomes U+FFFD, as encoding/json has it.
func (p *parser) quoted() string { return string(p.unquote()) }

// unquote is quoted, and maybe a part of src.
func (p *parser) unquote() []byte {
	start := p.i + 1
	plain := true
	for i := start; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '"':
			p.i = i + 1
			raw := p.src[start:i]
			if plain && utf8.Valid(raw) {
				return raw
			}
			var s string
			if json.Unmarshal(p.src[start-1:p.i], &s) != nil {
				p.fail("")
			}
			return []byte(s)
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			plain = false
		}
	}
	p.fail("")
	return nil
}

// scalar reads true, false or a number and says how AWS calls it.
func (p *parser) scalar() string {
	start := p.i
	for p.i < len(p.src) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(p.src[p.i])) {
		p.i++
	}
	switch word := string(p.src[start:p.i]); {
	case word == "true":
		return "TRUE_VALUE"
	case word == "false":
		return "FALSE_VALUE"
	case !json.Valid([]byte(word)):
		p.fail("")
	case bytes.ContainsAny([]byte(word), ".eE"):
		return "DECIMAL_VALUE"
	}
	return "NUMBER_VALUE"
}

// skip passes over any value.
func (p *parser) skip() {
	switch p.peek() {
	case '"':
		p.unquote()
	case '{', '[':
		p.i++
		p.rest()
	case 'n':
		if !p.null() {
			p.fail("")
		}
	default:
		p.scalar()
	}
}

// rest passes over what is left of the innermost structure.
func (p *parser) rest() {
	p.first = false
	for depth := 1; depth > 0; {
		switch p.peek() {
		case 0:
			p.fail("")
			return
		case '"':
			p.unquote()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		p.i++
	}
}

// Append writes a value's JSON: {"S":"…"} and so on. Names in maps are sorted, and so are sets,
// but those of numbers: see shuffle.
func Append(dst []byte, v table.Value) []byte {
	dst = append(dst, '{', '"')
	dst = append(dst, TypeName(v)...)
	dst = append(dst, '"', ':')
	switch v.Type {
	case table.String, table.Decimal:
		dst = AppendString(dst, v.Str)
	case table.Binary:
		dst = appendBlob(dst, v.Str)
	case table.Bool:
		dst = strconv.AppendBool(dst, v.Int != 0)
	case table.Null:
		dst = append(dst, "true"...)
	case table.Map:
		dst = AppendItem(dst, v.Map)
	case table.List:
		dst = appendList(dst, v.List, Append)
	case table.NumberSet:
		dst = appendList(dst, shuffle(v.List), appendElement)
	default:
		dst = appendList(dst, v.List, appendElement)
	}
	return append(dst, '}')
}

// AppendItem writes a map of values as JSON, names sorted.
func AppendItem(dst []byte, item Item) []byte {
	var few [16]string
	names := few[:0]
	for name := range item {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, name), ':')
		dst = Append(dst, item[name])
	}
	return append(dst, '}')
}

func appendList(dst []byte, list []table.Value, one func([]byte, table.Value) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, v)
	}
	return append(dst, ']')
}

func appendElement(dst []byte, v table.Value) []byte {
	if v.Type == table.Binary {
		return appendBlob(dst, v.Str)
	}
	return AppendString(dst, v.Str)
}

func appendBlob(dst []byte, b string) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(b)), '"')
}

// AppendString writes a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + n
			}
			i += n
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i-1]...)
		start = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

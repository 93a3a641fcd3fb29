package document

import (
	"encoding/binary"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendText writes a text as JSON behind b: as Marshal does, byte for byte as encoding/json without its care
// for HTML.
func AppendText[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	done := 0
	raw, _ := any(s).([]byte)
	for i, next := 0, 0; i < len(s); {
		if i >= next && raw != nil {
			if i += simple(raw[i:]); i == len(s) {
				break
			}
			next = i + 8
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			switch {
			case r == utf8.RuneError && size == 1:
				b = append(append(b, s[done:i]...), `\ufffd`...)
				done = i + size
			case r == '\u2028', r == '\u2029': // which end lines in JavaScript
				b = append(append(b, s[done:i]...), `\u202`...)
				b = append(b, hexDigits[r&15])
				done = i + size
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(append(b, s[done:i]...), '\\')
		switch c {
		case '\b':
			c = 'b'
		case '\f':
			c = 'f'
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		case '\t':
			c = 't'
		case '"', '\\':
		default:
			b = append(b, 'u', '0', '0', hexDigits[c>>4])
			c = hexDigits[c&15]
		}
		b = append(b, c)
		i++
		done = i
	}
	return append(append(b, s[done:]...), '"')
}

// Unquote decodes a JSON text as Members tells of one; false when it is another value.
func Unquote(raw []byte) ([]byte, bool) {
	if raw[0] != '"' {
		return nil, false
	}
	return unquoted(raw), true
}

// unquoted decodes a text with its quotes, which the parser has found whole. It is a part of raw where it can
// be.
func unquoted(raw []byte) []byte {
	if len(raw) < 2 {
		return nil
	}
	s := raw[1 : len(raw)-1]
	end := plain(s)
	if end == len(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+utf8.UTFMax), s[:end]...)
	for s = s[end:]; len(s) > 0; {
		if s[0] != '\\' {
			r, size := utf8.DecodeRune(s) // of what is no UTF-8, a sign for that
			b = utf8.AppendRune(b, r)
			s = s[size:]
		} else if s[1] == 'u' {
			r := codeUnit(s)
			s = s[6:]
			if utf16.IsSurrogate(r) {
				if r = utf16.DecodeRune(r, codeUnit(s)); r != utf8.RuneError {
					s = s[6:]
				}
			}
			b = utf8.AppendRune(b, r)
		} else {
			c := s[1]
			switch c {
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			}
			b = append(b, c)
			s = s[2:]
		}
		end = plain(s)
		b = append(b, s[:end]...)
		s = s[end:]
	}
	return b
}

// simple counts bytes from the beginning, in eights, that JSON has as they are: ASCII without quotes, backslashes
// and control characters.
func simple(s []byte) (n int) {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(s[n:])
		quote, slash := x^each*'"', x^each*'\\'
		if (x|(x-each*' ')|(quote-each)&^quote|(slash-each)&^slash)&high != 0 {
			break
		}
	}
	return n
}

// plain counts the bytes before the first escape or broken character.
func plain(s []byte) int {
	for i := simple(s); i < len(s); {
		switch c := s[i]; {
		case c == '\\':
			return i
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				return i
			}
			i += size
		}
	}
	return len(s)
}

// codeUnit is that of the \uXXXX which s begins with; -1 when there is none.
func codeUnit(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

package dynamodb

import "bytes"

// maxNested is how deep arrays and objects of a request may nest, as encoding/json has it.
const maxNested = 10_000

// validJSON reports whether b is one JSON value. It is json.Valid, in a third of the time: a body is looked
// at before anything else, and items can be large.
func validJSON(b []byte) bool {
	i := passValue(b, 0, 0)
	return i >= 0 && skipSpace(b, i) == len(b)
}

// passValue passes over the value that begins at or after b[i], in depth arrays and objects; -1 when there is
// none.
func passValue(b []byte, i, depth int) int {
	if i = skipSpace(b, i); i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return passString(b, i)
	case '[', '{':
		return passNested(b, i, depth+1)
	case 't':
		return passWord(b, i, "true")
	case 'f':
		return passWord(b, i, "false")
	case 'n':
		return passWord(b, i, "null")
	}
	return passNumber(b, i)
}

func passNested(b []byte, i, depth int) int {
	if depth > maxNested {
		return -1
	}
	object, end := b[i] == '{', b[i]+2
	if i = skipSpace(b, i+1); i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if object {
			if i = skipSpace(b, i); i == len(b) || b[i] != '"' {
				return -1
			}
			if i = passString(b, i); i < 0 {
				return -1
			}
			if i = skipSpace(b, i); i == len(b) || b[i] != ':' {
				return -1
			}
			i++
		}
		if i = passValue(b, i, depth); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i == len(b) {
			return -1
		}
		if i++; b[i-1] == end {
			return i
		}
		if b[i-1] != ',' {
			return -1
		}
	}
}

func passWord(b []byte, i int, word string) int {
	if !bytes.HasPrefix(b[i:], []byte(word)) {
		return -1
	}
	return i + len(word)
}

func passString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i++; i == len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i == len(b) || !isHex(b[i]) {
						return -1
					}
				}
			default:
				return -1
			}
		}
	}
	return -1
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func passNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = passDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = passDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return passDigits(b, i)
	}
	return i
}

// passDigits passes over at least one digit.
func passDigits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

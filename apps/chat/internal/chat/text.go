package chat

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what people write.
const (
	MaxNick = 24   // characters
	MaxRoom = 32   // characters
	MaxText = 2000 // characters
)

// sessionShape is USER.TAB: a random id that a browser keeps, and one of each tab. Whoever knows it may
// take a connection's place, so it is never shown to others.
var sessionShape = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}\.[A-Za-z0-9_-]{1,32}$`)

var idShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// cleanNick is a nickname as it is shown.
func cleanNick(s string) (string, error) {
	s = strings.Join(strings.Fields(strip(s)), " ")
	if n := utf8.RuneCountInString(s); n == 0 || n > MaxNick || !strings.ContainsFunc(s, visible) {
		return "", refuse(Invalid, "a nickname has 1 to %d characters", MaxNick)
	}
	return s, nil
}

// cleanRoom is a room's name: letters and digits of any script, joined by - and _, in lower case.
func cleanRoom(s string) (string, error) {
	s = strings.ToLower(strings.Join(strings.Fields(strings.TrimPrefix(strings.TrimSpace(strip(s)), "#")), "-"))
	odd := func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.M, unicode.N) && r != '-' && r != '_'
	}
	if n := utf8.RuneCountInString(s); n == 0 || n > MaxRoom || strings.ContainsFunc(s, odd) {
		return "", refuse(Invalid, "a room's name has 1 to %d letters, digits, - and _", MaxRoom)
	}
	return s, nil
}

// cleanText is a message as it is stored.
func cleanText(s string) (string, error) {
	s = strings.TrimFunc(strip(s), unicode.IsSpace)
	switch n := utf8.RuneCountInString(s); {
	case !strings.ContainsFunc(s, visible):
		return "", refuse(Invalid, "an empty message")
	case n > MaxText:
		return "", refuse(Invalid, "a message has at most %d characters, not %d", MaxText, n)
	}
	return s, nil
}

// strip takes away control characters other than new lines and tabs, and those that turn the direction of
// the text around them.
func strip(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0xfeff:
			return -1
		}
		return r
	}, s)
}

func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.M, r) && r != 0x2800 && r != 0x3164
}

// fold is what two nicknames that look the same have in common.
func fold(nick string) string { return strings.ToLower(nick) }

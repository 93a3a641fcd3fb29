package wall

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxMessage = 120  // characters as a reader counts them
	maxName    = 24   // likewise
	maxTitle   = 40   // likewise
	maxRunes   = 1000 // code points of a message, whatever they combine to
	maxMarks   = 4    // combining marks on one character; more is vandalism

	firstMark = 0x300 // of Unicode
)

// clean makes s fit for a line on a wall: valid UTF-8, one line, no controls, no direction
// overrides, no towers of combining marks, no blanks at the ends.
func clean(s string) string {
	var b strings.Builder
	marks := 0
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if unicode.IsSpace(r) {
			r = ' '
		}
		if r >= firstMark && unicode.In(r, unicode.Mn, unicode.Me) {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		if unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0xFEFF {
			continue
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// characters counts what a reader sees as one: an emoji with its joiners and tones, a flag, a
// letter with its marks. It never counts more than a browser's segmenter does for common text.
func characters(s string) int {
	n := 0
	joined, flag := false, false
	for _, r := range s {
		regional := r >= 0x1F1E6 && r <= 0x1F1FF
		switch {
		case r < 0x80 && !joined: // most are
		case r == 0x200D:
			joined = true
			continue
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc, unicode.Cf), // marks, selectors, tags
			r >= 0x1F3FB && r <= 0x1F3FF, // skin tones
			r >= 0x1160 && r <= 0x11FF:   // Hangul vowels and finals after their initial
			continue
		case joined:
			joined = false
			continue
		case regional && flag:
			flag = false
			continue
		}
		flag = regional
		n++
	}
	return n
}

var (
	hexColor  = regexp.MustCompile(`^#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
	wordColor = regexp.MustCompile(`^[a-zA-Z]{3,20}$`)
)

// cleanColor is the colour if it is a plain CSS one, else white.
func cleanColor(s string) string {
	if hexColor.MatchString(s) || wordColor.MatchString(s) {
		return strings.ToLower(s)
	}
	return "#ffffff"
}

// cleanSize is the nearest of the three sizes of a message.
func cleanSize(s string) string {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(s), "px"))
	switch {
	case err != nil || n <= 0 || n >= 25 && n < 34:
		return "28px"
	case n < 25:
		return "22px"
	}
	return "40px"
}

package wall

import (
	"strings"
	"unicode"
)

// Words is a list of unwanted words, ready to be looked for. The zero value finds nothing.
type Words struct {
	words [][]rune // folded, none empty
}

// ParseWords reads a list separated by commas (ASCII or Chinese), semicolons or line ends.
func ParseWords(list string) Words {
	var w Words
	seen := map[string]bool{}
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(",，、;；\n\r", r) }) {
		folded, _ := fold(word)
		if len(folded) > 0 && !seen[string(folded)] {
			seen[string(folded)] = true
			w.words = append(w.words, folded)
		}
	}
	return w
}

// Mask returns s with every unwanted word replaced by stars, and whether there was any. Case,
// full width, accents and whatever invisible or blank stands between the letters make no
// difference: "ＢＡＤ", "b a d" and "b.á.d" are all "bad".
func (w Words) Mask(s string) (string, bool) {
	folded, at := fold(s)
	runes := []rune(s)
	hit := make([]bool, len(runes))
	found := false
	for _, word := range w.words {
		for i := 0; i+len(word) <= len(folded); i++ {
			if string(folded[i:i+len(word)]) != string(word) {
				continue
			}
			found = true
			for j := at[i]; j <= at[i+len(word)-1]; j++ {
				hit[j] = true
			}
		}
	}
	if !found {
		return s, false
	}
	for i, r := range runes {
		if hit[i] && !unicode.IsSpace(r) {
			runes[i] = '*'
		}
	}
	return string(runes), true
}

// fold reduces s to the letters that count and says at which rune of s each of them stands.
func fold(s string) (letters []rune, at []int) {
	i := -1
	for _, r := range s {
		i++
		switch {
		case r >= 0xFF01 && r <= 0xFF5E: // full-width forms of ASCII
			r -= 0xFEE0
		case r >= 0x1D400 && r <= 0x1D6A3: // mathematical alphabets: 𝐛𝐚𝐝
			n := (r - 0x1D400) % 52
			r = 'a' + n%26
		case r >= 0x24B6 && r <= 0x24E9: // letters in circles
			r = 'a' + (r-0x24B6)%26
		}
		if base, ok := accents[r]; ok {
			r = base
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.So, r) && r != '@' && r != '$' {
			continue // blanks, punctuation, marks, controls
		}
		letters = append(letters, lower(r))
		at = append(at, i)
	}
	return letters, at
}

// lower is the one form that all case variants of r share.
func lower(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

// accents maps accented Latin letters to the bare ones.
var accents = func() map[rune]rune {
	m := map[rune]rune{}
	for base, variants := range map[rune]string{
		'a': "àáâãäåāăąǎ", 'c': "çćĉċč", 'd': "ďđ", 'e': "èéêëēĕėęěɛ", 'g': "ĝğġģǧ", 'h': "ĥħ",
		'i': "ìíîïĩīĭįıǐ", 'j': "ĵ", 'k': "ķ", 'l': "ĺļľŀł", 'n': "ñńņňŉ", 'o': "òóôõöøōŏőǒ",
		'r': "ŕŗř", 's': "śŝşšș", 't': "ţťŧț", 'u': "ùúûüũūŭůűųǔǖǘǚǜ", 'w': "ŵ", 'y': "ýÿŷ", 'z': "źżž",
	} {
		for _, r := range variants {
			m[r] = base
			m[unicode.ToUpper(r)] = base
		}
	}
	return m
}()

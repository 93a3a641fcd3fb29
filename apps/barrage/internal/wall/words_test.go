package wall_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func TestMaskFindsAWordInAllItsDisguises(t *testing.T) {
	words := wall.ParseWords("bad, 笨蛋；Évil\n\n,two words")
	for _, c := range []struct{ name, in, want string }{
		{"plain", "a bad day", "a *** day"},
		{"case", "a BaD day", "a *** day"},
		{"full width", "a ＢＡＤ day", "a *** day"},
		{"blanks between", "b a d", "* * *"},
		{"wide blanks between", "b　a　d", "*　*　*"},
		{"punctuation between", "b.a-d!", "*****!"},
		{"zero width between", "b\u200ba\u200dd", "*****"},
		{"accents", "bád", "***"},
		{"combining accents", "ba\u0301d", "****"},
		{"mathematical letters", "𝐛𝐚𝐝", "***"},
		{"circled letters", "ⓑⓐⓓ", "***"},
		{"Chinese", "你这个笨蛋！", "你这个**！"},
		{"Chinese, apart", "笨 蛋", "* *"},
		{"accent in the list", "EVIL", "****"},
		{"a word of two", "twowords", "********"},
		{"overlapping", "badbad", "******"},
		{"twice", "bad or bad", "*** or ***"},
		{"nothing", "good morning 早上好 👍", "good morning 早上好 👍"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, found := words.Mask(c.in)
			if got != c.want || found != (c.in != c.want) {
				t.Errorf("Mask(%q) = %q, %v; want %q", c.in, got, found, c.want)
			}
		})
	}
}

func TestNoWordsFindNothing(t *testing.T) {
	for _, list := range []string{"", " ", ",，\n;", "...", "\u200b"} {
		if got, found := wall.ParseWords(list).Mask("anything . at all"); found || got != "anything . at all" {
			t.Errorf("list %q: %q, %v", list, got, found)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("bad,笨蛋", "you b a d 笨 蛋")
	f.Add("é", "E\u0301\xff")
	f.Add("İ,ı", "iIİı")
	f.Fuzz(func(t *testing.T, list, s string) {
		words := wall.ParseWords(list)
		masked, found := words.Mask(s)
		if !found {
			if masked != s {
				t.Fatalf("nothing found, yet %q became %q", s, masked)
			}
			return
		}
		if utf8.RuneCountInString(masked) != utf8.RuneCountInString(s) {
			t.Fatalf("%q became %q: another length", s, masked)
		}
		if again, found := words.Mask(masked); found {
			t.Fatalf("%q masked to %q still has a word: %q", s, masked, again)
		}
		// Every word of the list is found in a text that consists of it, in capitals and apart.
		for _, w := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",，、;；\n\r", r) }) {
			if !strings.ContainsFunc(w, unicode.IsLetter) {
				continue
			}
			if _, found := words.Mask("x " + w + " y"); !found {
				t.Fatalf("list %q does not find its own word %q", list, w)
			}
		}
	})
}

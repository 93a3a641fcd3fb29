package tablestore

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluicehq/sluice/table"
)

// A TEXT field is found by the words of its texts.

// token is a word of a text, as it is found, and where it is.
type token struct {
	text string
	stretch
}

// words cuts a text into words.
func (f *fieldSchema) words(text string) []string {
	var words []string
	for _, t := range f.tokens(text) {
		words = append(words, t.text)
	}
	return words
}

// tokens cuts a text: by its delimiter with analyzer split, else into runs of letters and digits in
// lower case. Ideographs are words one by one, or in pairs with the analyzers max_word and min_word,
// for whose dictionaries pairs stand in.
func (f *fieldSchema) tokens(text string) []token {
	if f.Analyzer == "split" {
		return f.split(text)
	}
	var p struct {
		CaseSensitive bool `pb:"1"`
	}
	if f.Analyzer == "" || f.Analyzer == "single_word" {
		unmarshal(f.Parameter, &p)
	}
	pairs := f.Analyzer == "max_word" || f.Analyzer == "min_word"
	var tokens []token
	from, before := -1, -1 // where a run of letters, and the ideograph before this one, began
	single := false        // that ideograph is in no pair
	flush := func(to int) {
		if from >= 0 {
			word := text[from:to]
			if !p.CaseSensitive {
				word = strings.ToLower(word)
			}
			tokens = append(tokens, token{word, stretch{from, to}})
		}
		if single {
			tokens = append(tokens, token{text[before:to], stretch{before, to}})
		}
		from, before, single = -1, -1, false
	}
	for at, r := range text {
		end := at + utf8.RuneLen(r)
		switch {
		case unicode.Is(unicode.Han, r):
			if from >= 0 || !pairs {
				flush(at)
			}
			if before >= 0 {
				tokens = append(tokens, token{text[before:end], stretch{before, end}})
			}
			single = before < 0
			before = at
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if before >= 0 {
				flush(at)
			}
			if from < 0 {
				from = at
			}
		default:
			flush(at)
		}
	}
	flush(len(text))
	return tokens
}

// split cuts a text at the field's delimiter, or at spaces.
func (f *fieldSchema) split(text string) []token {
	var p struct {
		Delimiter string `pb:"1"`
	}
	unmarshal(f.Parameter, &p)
	var tokens []token
	for from := 0; from <= len(text); {
		at, width := strings.IndexFunc(text[from:], unicode.IsSpace), 1
		if p.Delimiter != "" {
			at, width = strings.Index(text[from:], p.Delimiter), len(p.Delimiter)
		} else if at >= 0 {
			_, width = utf8.DecodeRuneInString(text[from+at:])
		}
		if at < 0 {
			at = len(text) - from
		}
		if at > 0 || p.Delimiter != "" {
			tokens = append(tokens, token{text[from : from+at], stretch{from, from + at}})
		}
		from += at + width
	}
	return tokens
}

// text builds the queries whose text is cut into words as the field's values are.
func (q *queries) text(m *query) (matcher, error) {
	var tq textQuery
	if err := unmarshal(m.Query, &tq); err != nil {
		return nil, badQuery(m)
	}
	f, err := q.field(tq.Field)
	if err != nil {
		return nil, err
	}
	if f.Type != fieldText {
		return anyOf(f, func(v table.Value) bool { return valueText(v) == tq.Text }), nil
	}
	if f.Analyzer == "fuzzy" {
		wanted := strings.ToLower(tq.Text)
		q.mark(f, func(text string, _ []token) (list []stretch) {
			lower := strings.ToLower(text)
			for at := 0; wanted != "" && len(lower) == len(text); {
				i := strings.Index(lower[at:], wanted)
				if i < 0 {
					break
				}
				list = append(list, stretch{at + i, at + i + len(wanted)})
				at += i + len(wanted)
			}
			return list
		})
		return anyOf(f, func(v table.Value) bool { return strings.Contains(strings.ToLower(v.Str), wanted) }), nil
	}
	q.scored = true
	words := f.words(tq.Text)
	if m.Type == queryPhrase {
		slop := max(0, int(tq.Operator))
		q.mark(f, func(_ string, has []token) (list []stretch) {
			for i := range has {
				if n := follow(has[i:], words, slop); n > 0 {
					list = append(list, stretch{has[i].from, has[i+n-1].to})
				}
			}
			return list
		})
		return anyOf(f, func(v table.Value) bool {
			has := f.tokens(v.Str)
			for i := range has {
				if follow(has[i:], words, slop) > 0 {
					return true
				}
			}
			return false
		}), nil
	}
	q.markWords(f, func(word string) bool { return slices.Contains(words, word) })
	wanted := f.tokens(tq.Text)
	need, whole := minimum(tq.Minimum, tq.Share, len(words), 1), 0
	if tq.Operator == operatorAnd {
		need, whole = 1, length(wanted)
	}
	return func(d *document) (score float64, hit bool) {
		for _, v := range d.values(f) {
			has := f.words(v.Str)
			var found []token
			for _, w := range wanted {
				times := 0
				for _, h := range has {
					if h == w.text {
						times++
					}
				}
				if times > 0 {
					found = append(found, w)
					score += 1 + math.Log(float64(times))
				}
			}
			// Of pairs of ideographs those have to be found that all ideographs are in: the rest are hardly words.
			hit = hit || len(found) > 0 && len(found) >= need && (whole == 0 || length(found) == whole)
		}
		return score, hit
	}, nil
}

// length is how many bytes of a text are in some of its words.
func length(words []token) (n int) {
	end := 0 // words come in order
	for _, w := range words {
		n += w.to - max(end, w.from)
		end = w.to
	}
	return n
}

// follow is how many tokens a phrase takes that begins with the first of them; 0 when it does not. Other words may
// stand between its own, no more than slop.
func follow(has []token, phrase []string, slop int) int {
	if len(phrase) == 0 || len(has) == 0 || has[0].text != phrase[0] {
		return 0
	}
	n := 1
	for _, word := range phrase[1:] {
		for n < len(has) && has[n].text != word && slop > 0 {
			n, slop = n+1, slop-1
		}
		if n == len(has) || has[n].text != word {
			return 0
		}
		n++
	}
	return n
}

package tablestore

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Highlighting on the wire, and what holds unless the client says otherwise.
const (
	encodeHTML    = 2
	orderByScore  = 2
	fragmentSize  = 100 // characters
	fragmentCount = 1
)

type highlightMessage struct {
	Parameters []highlightParameter `pb:"1"`
	Encoder    int32                `pb:"2"`
}

type highlightParameter struct {
	Field string  `pb:"1"`
	Count *int32  `pb:"2"`
	Size  *int32  `pb:"3"`
	Pre   *string `pb:"4"`
	Post  *string `pb:"5"`
	Order int32   `pb:"6"`
}

type highlightResult struct {
	Fields []highlightField `pb:"1"`
}

type highlightField struct {
	Name      string   `pb:"1"`
	Fragments []string `pb:"2"`
}

// stretch is a part of a text, in bytes.
type stretch struct{ from, to int }

// marker finds what a query found in a text whose words are these.
type marker func(text string, words []token) []stretch

// mark remembers what a query finds in a field, unless it is one that no hit matches.
func (q *queries) mark(f *field, m marker) {
	if q.denied > 0 {
		return
	}
	if q.marks == nil {
		q.marks = map[*field][]marker{}
	}
	q.marks[f] = append(q.marks[f], m)
}

// markWords remembers a query that finds single words.
func (q *queries) markWords(f *field, found func(word string) bool) {
	q.mark(f, func(_ string, words []token) (list []stretch) {
		for _, w := range words {
			if found(w.text) {
				list = append(list, w.stretch)
			}
		}
		return list
	})
}

// highlighter shows where in texts the queries found what they look for.
type highlighter struct {
	queries *queries
	fields  []highlightPlan
	html    bool
}

type highlightPlan struct {
	field       *field
	count, size int
	pre, post   string
	byScore     bool
}

// highlighter reads a Highlight; nil when there is none. It may be read before the queries are.
func (q *queries) highlighter(m *highlightMessage) (*highlighter, error) {
	if m == nil {
		return nil, nil
	}
	h := &highlighter{queries: q, html: m.Encoder == encodeHTML}
	for _, p := range m.Parameters {
		f := q.fields[p.Field]
		if f == nil || f.Type != fieldText || !f.Highlighting {
			return nil, invalid("highlighting is not supported for field[%s]", p.Field)
		}
		plan := highlightPlan{f, fragmentCount, fragmentSize, "<em>", "</em>", p.Order == orderByScore}
		if p.Count != nil {
			plan.count = int(*p.Count)
		}
		if p.Size != nil {
			plan.size = int(*p.Size)
		}
		if plan.count < 1 || plan.size < 1 {
			return nil, invalid("number_of_fragments and fragment_size of field[%s] must be greater than 0", p.Field)
		}
		if p.Pre != nil {
			plan.pre = *p.Pre
		}
		if p.Post != nil {
			plan.post = *p.Post
		}
		h.fields = append(h.fields, plan)
	}
	return h, nil
}

// of are the highlights of a document; a field without any is left out.
func (h *highlighter) of(d *document) *highlightResult {
	if h == nil {
		return nil
	}
	r := &highlightResult{}
	for i := range h.fields {
		p := &h.fields[i]
		var all []fragment
		for _, v := range d.values(p.field) {
			var found []stretch
			words := p.field.tokens(v.Str)
			for _, m := range h.queries.marks[p.field] {
				found = append(found, m(v.Str, words)...)
			}
			all = append(all, fragments(v.Str, merge(found), p.size)...)
		}
		if p.byScore {
			slices.SortStableFunc(all, func(a, b fragment) int { return len(b.found) - len(a.found) })
		}
		var texts []string
		for _, f := range all[:min(p.count, len(all))] {
			texts = append(texts, f.show(p.pre, p.post, h.html))
		}
		if len(texts) > 0 {
			r.Fields = append(r.Fields, highlightField{p.field.Name, texts})
		}
	}
	return r
}

// merge makes stretches that overlap one.
func merge(list []stretch) (out []stretch) {
	slices.SortFunc(list, func(a, b stretch) int { return a.from - b.from })
	for _, s := range list {
		if n := len(out); n > 0 && s.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// fragment is a part of a text in which something was found.
type fragment struct {
	text  string
	found []stretch
}

// fragments cuts a text into pieces of size characters, or a few more where what was found is longer, and keeps
// those in which something was found.
func fragments(text string, found []stretch, size int) (list []fragment) {
	for from := 0; from < len(text) && len(found) > 0; {
		to := from
		for n := 0; n < size && to < len(text); n++ {
			_, width := utf8.DecodeRuneInString(text[to:])
			to += width
		}
		var in []stretch
		for len(found) > 0 && found[0].from < to {
			to = max(to, found[0].to)
			in = append(in, stretch{found[0].from - from, found[0].to - from})
			found = found[1:]
		}
		if len(in) > 0 {
			list = append(list, fragment{text[from:to], in})
		}
		from = to
	}
	return list
}

var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "/", "&#x2F;")

// show is the fragment with what was found between tags.
func (f *fragment) show(pre, post string, html bool) string {
	var b strings.Builder
	write := func(text string) {
		if html {
			text = escapeHTML.Replace(text)
		}
		b.WriteString(text)
	}
	at := 0
	for _, s := range f.found {
		write(f.text[at:s.from])
		b.WriteString(pre)
		write(f.text[s.from:s.to])
		b.WriteString(post)
		at = s.to
	}
	write(f.text[at:])
	return b.String()
}

package tablestore

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// Query types, field types and match operators on the wire.
const (
	queryMatch         = 1
	queryPhrase        = 2
	queryTerm          = 3
	queryRange         = 4
	queryPrefix        = 5
	queryBool          = 6
	queryConstScore    = 7
	queryFunctionScore = 8
	queryWildcard      = 10
	queryAll           = 11
	queryTerms         = 15
	queryExists        = 16

	fieldLong    = 1
	fieldDouble  = 2
	fieldBoolean = 3
	fieldKeyword = 4
	fieldText    = 5
	fieldNested  = 6
	fieldDate    = 8
	fieldFuzzy   = 10
	fieldIP      = 11

	operatorAnd = 2
)

// maxQueries is how many queries may be in one, nested or not.
const maxQueries = 1024

// document is a row as a search index sees it: the values of its fields.
type document func(f *fieldSchema) []table.Value

// matcher decides whether a document is a hit.
type matcher func(d document) bool

// queries builds matchers over the fields of one index.
type queries struct {
	fields []fieldSchema
	budget int
}

func (q *queries) field(name string) (*fieldSchema, error) {
	for i := range q.fields {
		if f := &q.fields[i]; f.Name == name && (f.Index == nil || *f.Index) {
			return f, nil
		}
	}
	return nil, invalid("field [%s] is not indexed", name)
}

func (q *queries) build(m *query) (matcher, error) {
	if q.budget--; q.budget < 0 {
		return nil, invalid("The number of queries exceeds the limit: %d.", maxQueries)
	}
	switch m.Type {
	case queryAll:
		return func(document) bool { return true }, nil
	case queryMatch, queryPhrase:
		return q.text(m)
	case queryTerm, queryTerms, queryPrefix, queryWildcard, queryExists:
		return q.values(m)
	case queryRange:
		return q.between(m)
	case queryBool:
		return q.boolean(m)
	case queryConstScore, queryFunctionScore:
		var w wrappingQuery
		if err := unmarshal(m.Query, &w); err != nil {
			return nil, badQuery(m)
		}
		return q.build(&w.Query)
	}
	return nil, invalid("query type [%d] is not supported", m.Type)
}

func badQuery(m *query) error { return invalid("parse query of type [%d] failed", m.Type) }

// anyOf is a matcher that holds for one of a field's values.
func anyOf(f *fieldSchema, holds func(table.Value) bool) matcher {
	return func(d document) bool { return slices.ContainsFunc(d(f), holds) }
}

// values builds the queries that hold single values of a field.
func (q *queries) values(m *query) (matcher, error) {
	var fq fieldQuery
	if err := unmarshal(m.Query, &fq); err != nil {
		return nil, badQuery(m)
	}
	f, err := q.field(fq.Field)
	if err != nil {
		return nil, err
	}
	switch m.Type {
	case queryExists:
		return anyOf(f, func(table.Value) bool { return true }), nil
	case queryPrefix, queryWildcard:
		if len(fq.Values) != 1 {
			return nil, badQuery(m)
		}
		pattern := string(fq.Values[0])
		fits := wildcard
		if m.Type == queryPrefix {
			fits = strings.HasPrefix
		}
		return anyOf(f, func(v table.Value) bool {
			return slices.ContainsFunc(f.terms(v), func(t table.Value) bool { return t.Type == table.String && fits(t.Str, pattern) })
		}), nil
	}
	if len(fq.Values) == 0 || m.Type == queryTerm && len(fq.Values) != 1 {
		return nil, badQuery(m)
	}
	var wanted []table.Value
	for _, b := range fq.Values {
		v, err := variantValue(b)
		if err != nil {
			return nil, badQuery(m)
		}
		wanted = append(wanted, f.coerce(v))
	}
	return anyOf(f, func(v table.Value) bool {
		for _, t := range f.terms(v) {
			for _, w := range wanted {
				if order, ok := compareValues(t, w); ok && order == 0 {
					return true
				}
			}
		}
		return false
	}), nil
}

func (q *queries) between(m *query) (matcher, error) {
	var r rangeQuery
	if err := unmarshal(m.Query, &r); err != nil {
		return nil, badQuery(m)
	}
	f, err := q.field(r.Field)
	if err != nil {
		return nil, err
	}
	bound := func(b []byte, side int, inclusive bool) (func(table.Value) bool, error) {
		if len(b) == 0 {
			return func(table.Value) bool { return true }, nil
		}
		end, err := variantValue(b)
		if err != nil {
			return nil, badQuery(m)
		}
		end = f.coerce(end)
		if end.Type == table.Min || end.Type == table.Max {
			return func(table.Value) bool { return true }, nil
		}
		return func(v table.Value) bool {
			order, ok := compareValues(v, end)
			return ok && (order == side || order == 0 && inclusive)
		}, nil
	}
	above, err := bound(r.From, 1, r.IncludeLower)
	if err != nil {
		return nil, err
	}
	below, err := bound(r.To, -1, r.IncludeUpper)
	if err != nil {
		return nil, err
	}
	return anyOf(f, func(v table.Value) bool { return above(v) && below(v) }), nil
}

func (q *queries) boolean(m *query) (matcher, error) {
	var b boolQuery
	if err := unmarshal(m.Query, &b); err != nil {
		return nil, badQuery(m)
	}
	list := func(ms []query) (out []matcher, err error) {
		for i := range ms {
			one, err := q.build(&ms[i])
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	}
	must, err := list(append(b.Must, b.Filter...))
	if err != nil {
		return nil, err
	}
	not, err := list(b.MustNot)
	if err != nil {
		return nil, err
	}
	should, err := list(b.Should)
	if err != nil {
		return nil, err
	}
	minimum := 0
	if b.Minimum != nil {
		minimum = int(*b.Minimum)
	} else if len(must) == 0 && len(should) > 0 {
		minimum = 1
	}
	return func(d document) bool {
		hit := func(m matcher) bool { return m(d) }
		if slices.ContainsFunc(must, func(m matcher) bool { return !m(d) }) || slices.ContainsFunc(not, hit) {
			return false
		}
		n := 0
		for _, m := range should {
			if n >= minimum {
				break
			}
			if m(d) {
				n++
			}
		}
		return n >= minimum
	}, nil
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
		return anyOf(f, func(v table.Value) bool { return strings.Contains(strings.ToLower(v.Str), strings.ToLower(tq.Text)) }), nil
	}
	words := f.words(tq.Text)
	if m.Type == queryPhrase {
		return anyOf(f, func(v table.Value) bool { return follows(f.words(v.Str), words) }), nil
	}
	need := 1
	if tq.Operator == operatorAnd {
		need = len(words)
	} else if tq.Minimum != nil {
		need = int(*tq.Minimum)
	}
	return anyOf(f, func(v table.Value) bool {
		has, n := f.words(v.Str), 0
		for _, w := range words {
			if slices.Contains(has, w) {
				n++
			}
		}
		return n > 0 && n >= need
	}), nil
}

// follows reports whether the phrase occurs in words.
func follows(words, phrase []string) bool {
	for i := 0; len(phrase) > 0 && i+len(phrase) <= len(words); i++ {
		if slices.Equal(words[i:i+len(phrase)], phrase) {
			return true
		}
	}
	return false
}

// variantValue reads a value of a query: its type byte and payload.
func variantValue(b []byte) (table.Value, error) {
	r := reader{b: b}
	_, v := r.variant()
	if r.err == nil && len(r.b) > 0 {
		r.err = errVariant
	}
	return v, r.err
}

// compareValues orders two values of one type, or two numbers; false when they have no order.
func compareValues(a, b table.Value) (int, bool) {
	number := func(v table.Value) (float64, bool) {
		return v.Float + float64(v.Int), v.Type == table.Int || v.Type == table.Float
	}
	switch {
	case a.Type == b.Type && (a.Type == table.Int || a.Type == table.Bool):
		return cmp.Compare(a.Int, b.Int), true
	case a.Type == table.String && b.Type == table.String:
		return strings.Compare(a.Str, b.Str), true
	}
	x, okX := number(a)
	y, okY := number(b)
	return cmp.Compare(x, y), okX && okY
}

// wildcard matches * and ? as usual.
func wildcard(s, pattern string) bool {
	text, p := []rune(s), []rune(pattern)
	i, j, star, mark := 0, 0, -1, 0
	for i < len(text) {
		switch {
		case j < len(p) && p[j] == '*':
			star, mark = j, i
			j++
		case j < len(p) && (p[j] == '?' || p[j] == text[i]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(p) && p[j] == '*' {
		j++
	}
	return j == len(p)
}

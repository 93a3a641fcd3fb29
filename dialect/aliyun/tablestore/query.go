package tablestore

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// Query types, field types and match operators on the wire.
const (
	queryMatch          = 1
	queryPhrase         = 2
	queryTerm           = 3
	queryRange          = 4
	queryPrefix         = 5
	queryBool           = 6
	queryConstScore     = 7
	queryFunctionScore  = 8
	queryNested         = 9
	queryWildcard       = 10
	queryAll            = 11
	queryGeoBox         = 12
	queryGeoDistance    = 13
	queryGeoPolygon     = 14
	queryTerms          = 15
	queryExists         = 16
	queryFunctionsScore = 18

	fieldLong    = 1
	fieldDouble  = 2
	fieldBoolean = 3
	fieldKeyword = 4
	fieldText    = 5
	fieldNested  = 6
	fieldGeo     = 7
	fieldDate    = 8
	fieldFuzzy   = 10
	fieldIP      = 11

	operatorAnd = 2
)

// fieldNames are the types as error texts name them.
var fieldNames = map[int32]string{fieldLong: "long", fieldDouble: "double", fieldBoolean: "boolean", fieldKeyword: "keyword",
	fieldText: "text", fieldNested: "nested", fieldGeo: "geo_point", fieldDate: "date", fieldFuzzy: "fuzzy_keyword", fieldIP: "ip"}

// maxQueries is how many queries may be in one, nested or not.
const maxQueries = 1024

// matcher decides whether a document is a hit, and how good a one. Scores are not the cloud's: a text
// scores by how often it has the words, everything else by 1.
type matcher func(d *document) (score float64, hit bool)

// queries builds matchers over the fields of one index.
type queries struct {
	fields fieldSet
	budget int
	scored bool // one of the queries tells better hits from others
}

func (q *queries) field(name string) (*field, error) {
	if f := q.fields[name]; f != nil && f.indexed() {
		return f, nil
	}
	return nil, invalid("field [%s] is not indexed", name)
}

func (q *queries) build(m *query) (matcher, error) {
	if q.budget--; q.budget < 0 {
		return nil, invalid("The number of queries exceeds the limit: %d.", maxQueries)
	}
	switch m.Type {
	case queryAll:
		return func(*document) (float64, bool) { return 1, true }, nil
	case queryMatch, queryPhrase:
		return q.text(m)
	case queryTerm, queryTerms, queryPrefix, queryWildcard, queryExists:
		return q.values(m)
	case queryRange:
		return q.between(m)
	case queryBool:
		return q.boolean(m)
	case queryConstScore, queryFunctionScore:
		return q.wrapped(m)
	case queryFunctionsScore:
		return q.functions(m)
	case queryNested:
		return q.nested(m)
	case queryGeoBox, queryGeoDistance, queryGeoPolygon:
		return q.geo(m)
	}
	return nil, invalid("query type [%d] is not supported", m.Type)
}

func badQuery(m *query) error { return invalid("parse query of type [%d] failed", m.Type) }

// anyOf is a matcher that holds for one of a field's values.
func anyOf(f *field, holds func(table.Value) bool) matcher {
	return func(d *document) (float64, bool) { return 1, slices.ContainsFunc(d.values(f), holds) }
}

// always is a query that need not be given.
func (q *queries) always(m *query) (matcher, error) {
	if m == nil {
		m = &query{Type: queryAll}
	}
	return q.build(m)
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
	lo, hi, err := r.bounds(&f.fieldSchema)
	if err != nil {
		return nil, badQuery(m)
	}
	// within holds a value against the bound on one side of it.
	within := func(v, end table.Value, side int, inclusive bool) bool {
		order, ok := compareValues(v, end)
		return end.Type == table.Min || end.Type == table.Max || ok && (order == side || order == 0 && inclusive)
	}
	return anyOf(f, func(v table.Value) bool {
		return within(v, lo, 1, r.IncludeLower) && within(v, hi, -1, r.IncludeUpper)
	}), nil
}

// bounds are the ends of the range, Min and Max where it is open.
func (r *rangeQuery) bounds(f *fieldSchema) (lo, hi table.Value, err error) {
	end := func(b []byte, open table.Value) table.Value {
		if len(b) == 0 || err != nil {
			return open
		}
		var v table.Value
		if v, err = variantValue(b); v.Type == table.Min || v.Type == table.Max {
			return open
		}
		return f.coerce(v)
	}
	lo, hi = end(r.From, least), end(r.To, greatest)
	return lo, hi, err
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
	must, err := list(slices.Concat(b.Must, b.Filter))
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
	minimum := b.minimum()
	return func(d *document) (score float64, hit bool) {
		for i, m := range must {
			one, ok := m(d)
			if !ok {
				return 0, false
			}
			if i < len(b.Must) { // filters follow
				score += one
			}
		}
		for _, m := range not {
			if _, ok := m(d); ok {
				return 0, false
			}
		}
		n := 0
		for _, m := range should {
			if n >= minimum && !q.scored {
				break
			}
			if one, ok := m(d); ok {
				score += one
				n++
			}
		}
		return score, n >= minimum
	}, nil
}

// minimum is how many of the queries that a hit should match it has to.
func (b *boolQuery) minimum() int {
	switch {
	case b.Minimum != nil:
		return int(*b.Minimum)
	case len(b.Must)+len(b.Filter) == 0 && len(b.Should) > 0:
		return 1
	}
	return 0
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
	q.scored = true
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
	return func(d *document) (score float64, hit bool) {
		for _, v := range d.values(f) {
			has, n := f.words(v.Str), 0
			for _, w := range words {
				times := 0
				for _, h := range has {
					if h == w {
						times++
					}
				}
				if times > 0 {
					n++
					score += 1 + math.Log(float64(times))
				}
			}
			hit = hit || n > 0 && n >= need
		}
		return score, hit
	}, nil
}

// nested builds a query on the elements of a nested field.
func (q *queries) nested(m *query) (matcher, error) {
	var nq nestedQuery
	if err := unmarshal(m.Query, &nq); err != nil {
		return nil, badQuery(m)
	}
	f := q.fields[nq.Path]
	if f == nil || f.Type != fieldNested {
		return nil, invalid("nested path [%s] does not exist", nq.Path)
	}
	inner, err := q.build(&nq.Query)
	if err != nil {
		return nil, err
	}
	return func(d *document) (float64, bool) {
		var scores []float64
		for _, e := range d.elements(f) {
			if score, ok := inner(e); ok {
				scores = append(scores, score)
			}
		}
		return nestedScore(nq.Mode, scores), len(scores) > 0
	}, nil
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

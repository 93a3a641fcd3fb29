package tablestore

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

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
	queryVector         = 17
	queryFunctionsScore = 18
	queryDisMax         = 20

	fieldLong    = 1
	fieldDouble  = 2
	fieldBoolean = 3
	fieldKeyword = 4
	fieldText    = 5
	fieldNested  = 6
	fieldGeo     = 7
	fieldDate    = 8
	fieldVector  = 9
	fieldFuzzy   = 10
	fieldIP      = 11
	fieldJSON    = 12
	jsonNested   = 2

	operatorAnd = 2
)

// fieldNames are the types as error texts name them.
var fieldNames = map[int32]string{fieldLong: "long", fieldDouble: "double", fieldBoolean: "boolean", fieldKeyword: "keyword",
	fieldText: "text", fieldNested: "nested", fieldGeo: "geo_point", fieldDate: "date", fieldVector: "vector", fieldJSON: "json", fieldFuzzy: "fuzzy_keyword", fieldIP: "ip"}

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

	marks   map[*field][]marker // what was found in texts
	denied  int                 // queries around this one that no hit matches
	inner   []innerPlan
	nearest map[string]*nearest // by their queries
	pending []*nearest          // those not found out yet, in the order in which they can be
}

func (q *queries) field(name string) (*field, error) {
	if f := q.fields[name]; f != nil && f.indexed() {
		return f, nil
	}
	return nil, invalid("field [%s] is not indexed", name)
}

// weights are the numbers of the field weight.
var weights = map[int32]protowire.Number{
	queryMatch: 5, queryPhrase: 3, queryTerm: 3, queryPrefix: 3, queryBool: 7, queryNested: 4, queryWildcard: 3,
	queryTerms: 3, queryVector: 6, queryDisMax: 3,
}

// weight is by what a query multiplies its scores.
func (m *query) weight() float64 {
	for b := m.Query; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(num, typ, b[max(n, 0):])
		if n < 0 || size < 0 {
			break
		}
		if num == weights[m.Type] && typ == protowire.Fixed32Type {
			bits, _ := protowire.ConsumeFixed32(b[n:])
			return float64(math.Float32frombits(bits))
		}
		b = b[n+size:]
	}
	return 1
}

// build makes a matcher of a query and its weight.
func (q *queries) build(m *query) (matcher, error) {
	if q.budget--; q.budget < 0 {
		return nil, invalid("The number of queries exceeds the limit: %d.", maxQueries)
	}
	match, err := q.unweighted(m)
	w := m.weight()
	if err != nil || w == 1 {
		return match, err
	}
	q.scored = true
	return func(d *document) (float64, bool) {
		score, hit := match(d)
		return score * w, hit
	}, nil
}

func (q *queries) unweighted(m *query) (matcher, error) {
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
	case queryVector:
		return q.vectors(m)
	case queryDisMax:
		return q.disMax(m)
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
	var fits func(table.Value) bool
	switch m.Type {
	case queryExists:
		return anyOf(f, func(table.Value) bool { return true }), nil
	case queryPrefix, queryWildcard:
		if len(fq.Values) != 1 {
			return nil, badQuery(m)
		}
		pattern := string(fq.Values[0])
		matches := wildcard
		if m.Type == queryPrefix {
			matches = strings.HasPrefix
		}
		fits = func(v table.Value) bool { return v.Type == table.String && matches(v.Str, pattern) }
	default:
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
		fits = func(v table.Value) bool {
			return slices.ContainsFunc(wanted, func(w table.Value) bool {
				order, ok := compareValues(v, w)
				return ok && order == 0
			})
		}
	}
	if f.Type == fieldText {
		q.markWords(f, func(word string) bool { return fits(table.Value{Type: table.String, Str: word}) })
	}
	return anyOf(f, func(v table.Value) bool { return slices.ContainsFunc(f.terms(v), fits) }), nil
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
	q.denied++
	not, err := list(b.MustNot)
	q.denied--
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
	unless := 0
	if len(b.Must)+len(b.Filter) == 0 && len(b.Should) > 0 {
		unless = 1
	}
	return minimum(b.Minimum, b.Share, len(b.Should), unless)
}

// minimum reads minimum_should_match of n: a number or a percentage, below zero what may be missing.
func minimum(number *int32, share string, n, unless int) int {
	if number != nil {
		return int(*number)
	}
	text, percent := strings.CutSuffix(share, "%")
	least, err := strconv.Atoi(text)
	if err != nil || least < -maxQueries || least > maxQueries {
		return unless
	}
	if percent {
		least = least * n / 100
	}
	if strings.HasPrefix(text, "-") {
		return max(0, n+least)
	}
	return least
}

// disMax builds DisMaxQuery: a hit matches any of its queries and has the score of the best.
func (q *queries) disMax(m *query) (matcher, error) {
	var d disMaxQuery
	if unmarshal(m.Query, &d) != nil || len(d.Queries) == 0 {
		return nil, badQuery(m)
	}
	var list []matcher
	for i := range d.Queries {
		one, err := q.build(&d.Queries[i])
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	tie := 0.0 // the part of the other scores that is added
	if d.Tie != nil {
		tie = float64(*d.Tie)
	}
	q.scored = true
	return func(doc *document) (float64, bool) {
		best, sum, hit := 0.0, 0.0, false
		for _, one := range list {
			if score, ok := one(doc); ok {
				best, sum, hit = max(best, score), sum+score, true
			}
		}
		return best + tie*(sum-best), hit
	}, nil
}

// nested builds a query on the elements of a nested field.
func (q *queries) nested(m *query) (matcher, error) {
	var nq nestedQuery
	if err := unmarshal(m.Query, &nq); err != nil {
		return nil, badQuery(m)
	}
	f := q.fields[nq.Path]
	if f == nil || !f.nests() {
		return nil, invalid("nested path [%s] does not exist", nq.Path)
	}
	beside := q.inner
	q.inner = nil
	match, err := q.build(&nq.Query)
	if err != nil {
		return nil, err
	}
	within := q.inner
	if q.inner = append(beside, within...); nq.Inner != nil {
		plan, err := q.innerHits(nq.Inner, f, match, within)
		if err != nil {
			return nil, err
		}
		q.inner = append(beside, plan)
	}
	return func(d *document) (float64, bool) {
		var scores []float64
		for _, e := range d.elements(f) {
			if score, ok := match(e); ok {
				scores = append(scores, score)
			}
		}
		return nestedScore(nq.Mode, scores), len(scores) > 0
	}, nil
}

// variantValue reads a value of a query: its type byte and payload.
func variantValue(b []byte) (table.Value, error) {
	r := newReader(b)
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

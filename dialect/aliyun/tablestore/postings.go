package tablestore

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/table"
)

// A field whose values have an order has postings: for each column and type that its values come from, an
// index of the table room, which is kept in the same transaction as the table and which clients do not see.
// They need not be exact: a search holds all rows that they name against its query.

// postingsPrefix begins the names of these indexes; no name of a client's has a colon.
const postingsPrefix = "search:"

// postingsCut is how many bytes of a text are in postings.
const postingsCut = 256

func isPostings(x *table.Index) bool { return strings.HasPrefix(x.Name, postingsPrefix) }

func postingsOn(col table.KeyColumn) table.Index {
	return table.Index{Name: postingsPrefix + col.Type.String() + ":" + col.Name, Key: []table.KeyColumn{col}, Cut: postingsCut}
}

// indexed reports whether queries may ask for the field.
func (f *fieldSchema) indexed() bool { return f.Index == nil || *f.Index }

// posted are the columns, and the types of their values, that a field is found by; none when it has no
// postings.
func (f *fieldSchema) posted() []table.KeyColumn {
	if f.Array || !f.indexed() {
		return nil
	}
	var types []table.Type
	switch f.Type {
	case fieldLong:
		types = []table.Type{table.Int}
	case fieldDouble:
		types = []table.Type{table.Float}
	case fieldBoolean:
		types = []table.Type{table.Bool}
	case fieldKeyword:
		types = []table.Type{table.String}
	case fieldDate:
		types = f.dateTypes()
	}
	names := []string{f.Name}
	if f.Virtual {
		names = f.Sources
	}
	var cols []table.KeyColumn
	for _, name := range names {
		for _, of := range types {
			cols = append(cols, table.KeyColumn{Name: name, Type: of})
		}
	}
	return cols
}

// sortable are the formats in which dates order as texts as they do in time.
var sortable = regexp.MustCompile(`^yyyy([-/. ]?MM([-/. ]?dd([T ]?HH(:?mm(:?ss([.,]?SSS)?)?)?)?)?)?$`)

// dateTypes are the types that dates come in; none when texts do not order as their dates.
func (f *fieldSchema) dateTypes() []table.Type {
	if len(f.Dates) == 0 {
		return []table.Type{table.Int, table.String}
	}
	var types []table.Type
	for _, format := range f.Dates {
		of := table.Int
		if _, epoch := epochs[format]; !epoch {
			if of = table.String; !sortable.MatchString(strings.ReplaceAll(format, "'", "")) {
				return nil
			}
		}
		if !slices.Contains(types, of) {
			types = append(types, of)
		}
	}
	return types
}

// post gives the table the postings that its search indexes ask for, and takes those that none does.
func (e *extra) post(spec *table.Spec) {
	var wanted []table.Index
	for _, x := range e.Search {
		var schema indexSchema
		if unmarshal(x.Schema, &schema) != nil {
			continue // it was read when it came
		}
		for i := range schema.Fields {
			for _, col := range schema.Fields[i].posted() {
				if p := postingsOn(col); !named(wanted, p.Name) && !slices.ContainsFunc(spec.Key, func(k table.KeyColumn) bool {
					return k.Name == col.Name && (k.Type != col.Type || k.Name == spec.Key[0].Name)
				}) {
					wanted = append(wanted, p)
				}
			}
		}
	}
	spec.Indexes = slices.DeleteFunc(spec.Indexes, func(x table.Index) bool { return isPostings(&x) && !named(wanted, x.Name) })
	for _, p := range wanted {
		if spec.FindIndex(p.Name) == nil {
			spec.Indexes = append(spec.Indexes, p)
		}
	}
}

func named(list []table.Index, name string) bool {
	return slices.ContainsFunc(list, func(x table.Index) bool { return x.Name == name })
}

// span is a stretch of postings, or of the table itself when index is "".
type span struct {
	index    string
	from, to table.Key // as in table.Range
	ordered  bool      // its rows come in the order of their keys
}

// lookup is a way to find all hits: they are among the rows in its spans and those with its keys.
type lookup struct {
	spans []span
	keys  []table.Key // in order
}

func (l *lookup) ordered() bool { return len(l.spans) == 1 && l.spans[0].ordered && l.keys == nil }

// bounds are the values between which all values lie that a query asks for, themselves included.
type bounds struct{ lo, hi table.Value }

var (
	least    = table.Value{Type: table.Min}
	greatest = table.Value{Type: table.Max}
)

// lookups are the ways to find the hits of a query; none when every row has to be looked at.
func (s *search) lookups(m *query) []lookup {
	switch m.Type {
	case queryConstScore, queryFunctionScore:
		var w wrappingQuery
		if unmarshal(m.Query, &w) == nil {
			return s.lookups(&w.Query)
		}
	case queryFunctionsScore:
		var w functionsQuery
		if unmarshal(m.Query, &w) == nil && w.Query != nil {
			return s.lookups(w.Query)
		}
	case queryBool:
		var b boolQuery
		if unmarshal(m.Query, &b) != nil {
			return nil
		}
		var ways []lookup
		for _, must := range [][]query{b.Must, b.Filter} {
			for i := range must {
				ways = append(ways, s.lookups(&must[i])...)
			}
		}
		if len(ways) == 0 && b.minimum() > 0 {
			ways = s.anyOf(b.Should)
		}
		return ways
	case queryTerm, queryTerms, queryPrefix, queryExists:
		var fq fieldQuery
		if unmarshal(m.Query, &fq) == nil {
			return s.ofField(m.Type, &fq)
		}
	case queryDisMax:
		var d disMaxQuery
		if unmarshal(m.Query, &d) == nil && len(d.Queries) > 0 {
			return s.anyOf(d.Queries)
		}
	case queryVector:
		if n := s.queries.nearest[string(m.Query)]; n != nil {
			return []lookup{{keys: n.keys}}
		}
	case queryRange:
		var r rangeQuery
		f := s.queries.fields[fieldOf(m)]
		if unmarshal(m.Query, &r) != nil || f == nil {
			return nil
		}
		lo, hi, err := r.bounds(&f.fieldSchema)
		if err != nil {
			return nil
		}
		return s.between(f, []bounds{{lo, hi}})
	}
	return nil
}

// fieldOf is the field that a query on one field asks for.
func fieldOf(m *query) string {
	var name fieldName
	unmarshal(m.Query, &name)
	return name.Field
}

// anyOf is the way to the hits of any of some queries, if each has one.
func (s *search) anyOf(list []query) []lookup {
	var all lookup
	for i := range list {
		ways := s.lookups(&list[i])
		if len(ways) == 0 {
			return nil
		}
		all.spans = append(all.spans, ways[0].spans...)
		all.keys = append(all.keys, ways[0].keys...)
	}
	return []lookup{all}
}

func (s *search) ofField(kind int32, fq *fieldQuery) []lookup {
	f := s.queries.fields[fq.Field]
	if f == nil {
		return nil
	}
	var list []bounds
	switch kind {
	case queryExists:
		list = []bounds{{least, greatest}}
	case queryPrefix:
		if f.Type != fieldKeyword || len(fq.Values) != 1 {
			return nil
		}
		b := bounds{table.Value{Type: table.String, Str: string(fq.Values[0])}, greatest}
		if end := kv.PrefixEnd(fq.Values[0]); end != nil {
			b.hi = table.Value{Type: table.String, Str: string(end)}
		}
		list = []bounds{b}
	default:
		for _, b := range fq.Values {
			v, err := variantValue(b)
			if err != nil {
				return nil
			}
			v = f.coerce(v)
			list = append(list, bounds{v, v})
		}
	}
	return s.between(f, list)
}

// between is the way to the rows whose values of a field are within one of the bounds.
func (s *search) between(f *field, list []bounds) []lookup {
	cols := f.posted()
	if f.path != "" || len(cols) == 0 {
		return nil
	}
	var way lookup
	for _, col := range cols {
		at := span{index: postingsOn(col).Name}
		if k := slices.IndexFunc(s.spec.Key, func(k table.KeyColumn) bool { return k.Name == col.Name }); k >= 0 && s.spec.Key[k].Type != col.Type {
			continue // no row has such a value
		} else if k == 0 {
			at = span{ordered: true}
		} else if x := s.spec.FindIndex(at.index); x == nil || x.Building {
			return nil
		}
		for _, b := range list {
			stretches, ok := f.stretches(col.Type, b)
			if !ok {
				return nil
			}
			for _, b := range stretches {
				one := at
				if one.index != "" {
					b.lo.Str, b.hi.Str = cut(b.lo.Str), cut(b.hi.Str)
				}
				one.from, one.to = table.Key{b.lo}, table.Key{b.hi, greatest}
				one.ordered = at.ordered || b.lo.Type == b.hi.Type && table.Compare(b.lo, b.hi) == 0
				way.spans = append(way.spans, one)
			}
		}
	}
	return []lookup{way}
}

func cut(text string) string { return text[:min(len(text), postingsCut)] }

// stretches are the bounds of values of one type, as columns have them, that are all that lie within a field's
// bounds; false when they cannot be told.
func (f *fieldSchema) stretches(of table.Type, b bounds) (list []bounds, ok bool) {
	if f.Type == fieldDate && len(f.Dates) > 0 {
		return f.dateStretches(of, b)
	}
	lo, some, ok := bound(of, b.lo, math.Floor)
	hi, more, okay := bound(of, b.hi, math.Ceil)
	if !some || !more {
		return nil, ok && okay
	}
	return []bounds{{lo, hi}}, ok && okay
}

// bound is one end of bounds in another type; some is false when no value of that type compares with it.
func bound(of table.Type, v table.Value, round func(float64) float64) (_ table.Value, some, ok bool) {
	const exact = 1 << 53 // below it floats tell all integers apart
	switch {
	case v.Type == table.Min || v.Type == table.Max:
		return v, true, true
	case v.Type == table.Float && math.IsNaN(v.Float):
		return v, true, false
	case v.Type == of:
		return v, true, true
	case of == table.Float && v.Type == table.Int:
		return table.Value{Type: of, Float: float64(v.Int)}, true, v.Int > -exact && v.Int < exact
	case of == table.Int && v.Type == table.Float:
		return table.Value{Type: of, Int: int64(round(v.Float))}, true, math.Abs(v.Float) < exact
	}
	return v, false, true
}

// dateStretches are the bounds of dates, unix ms, as values of a type.
func (f *fieldSchema) dateStretches(of table.Type, b bounds) (list []bounds, ok bool) {
	for _, v := range []table.Value{b.lo, b.hi} {
		if v.Type != table.Int && v.Type != table.Min && v.Type != table.Max {
			return nil, v.Type != table.Float // every date is a number
		}
	}
	for _, format := range f.Dates {
		unit, epoch := epochs[format]
		if epoch != (of == table.Int) {
			continue
		}
		one := bounds{least, greatest}
		if epoch {
			if b.lo.Type == table.Int {
				one.lo = table.Value{Type: of, Int: inUnit(b.lo.Int, unit, -1)}
			}
			if b.hi.Type == table.Int {
				one.hi = table.Value{Type: of, Int: inUnit(b.hi.Int, unit, 1)}
			}
			return []bounds{one}, true // the first such format reads them all
		}
		if b.lo.Type == table.Int {
			one.lo = dateText(format, b.lo.Int)
		}
		if b.hi.Type == table.Int {
			one.hi = dateText(format, b.hi.Int)
		}
		list = append(list, one)
	}
	return list, true
}

// inUnit is a time of unix ms in another unit, a little before or after it.
func inUnit(ms int64, unit time.Duration, side int64) int64 {
	if unit > time.Millisecond {
		return ms/int64(unit/time.Millisecond) + side
	}
	per := int64(time.Millisecond / unit)
	if ms > math.MaxInt64/per-1 || ms < math.MinInt64/per+1 {
		return map[bool]int64{true: math.MaxInt64, false: math.MinInt64}[ms > 0]
	}
	return ms*per + side*per
}

// dateText is a time as a format has it; beyond the years that have four digits it is the end of all texts.
func dateText(format string, ms int64) table.Value {
	at := time.UnixMilli(ms).UTC()
	switch {
	case at.Year() < 0:
		return least
	case at.Year() > 9999:
		return greatest
	}
	return table.Value{Type: table.String, Str: at.Format(dateWords.Replace(format))}
}

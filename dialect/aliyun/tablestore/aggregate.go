package tablestore

import (
	"math"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// Aggregations on the wire.
const (
	aggAvg         = 1
	aggMax         = 2
	aggMin         = 3
	aggSum         = 4
	aggCount       = 5
	aggDistinct    = 6
	aggTopRows     = 7
	aggPercentiles = 8

	maxAggs       = 50 // beside each other; so for group-bys
	maxGroupDepth = 3
	maxTopRows    = 100
	// maxSummarized is how many values and groups one search may keep in memory to sum up.
	maxSummarized = 1 << 20
)

type aggList struct {
	Aggs []aggMessage `pb:"1"`
}

// aggMessage is Aggregation and GroupBy.
type aggMessage struct {
	Name string `pb:"1"`
	Type int32  `pb:"2"`
	Body []byte `pb:"3"`
}

// aggBody is the body of all aggregations on a field but Percentiles.
type aggBody struct {
	Field   string `pb:"1"`
	Missing []byte `pb:"2"` // a value
}

type percentilesBody struct {
	Field       string    `pb:"1"`
	Percentiles []float64 `pb:"2"`
	Missing     []byte    `pb:"3"`
}

type topRowsBody struct {
	Limit *int32       `pb:"1"`
	Sort  *sortMessage `pb:"2"`
}

type aggResults struct {
	Results []aggResult `pb:"1"`
}

// aggResult is AggregationResult and GroupByResult.
type aggResult struct {
	Name   string `pb:"1!"`
	Type   int32  `pb:"2!"`
	Result []byte `pb:"3!"`
}

type floatResult struct {
	Value float64 `pb:"1!"`
}

type countResult struct {
	Value int64 `pb:"1!"`
}

type rowsResult struct {
	Rows [][]byte `pb:"1"`
}

type percentilesResult struct {
	Items []percentileItem `pb:"1"`
}

type percentileItem struct {
	Key   float64 `pb:"1!"`
	Value []byte  `pb:"2"`
}

// summaryPlan is what a search sums up, or a group-by does in each of its groups.
type summaryPlan struct {
	search *search
	aggs   []aggPlan
	groups []groupPlan
	left   *int // of maxSummarized
}

type aggPlan struct {
	aggMessage
	start func() aggregator
}

// aggregator sums up hits.
type aggregator interface {
	add(h *hit) error
	result() any
	number() float64 // to sort groups by
}

// summary is one under way.
type summary struct {
	plan   *summaryPlan
	aggs   []aggregator
	groups []grouper
}

func (p *summaryPlan) start() *summary {
	if p == nil {
		return nil
	}
	s := &summary{plan: p}
	for _, a := range p.aggs {
		s.aggs = append(s.aggs, a.start())
	}
	for _, g := range p.groups {
		s.groups = append(s.groups, g.start())
	}
	return s
}

func (s *summary) add(h *hit) error {
	if s == nil {
		return nil
	}
	for _, a := range s.aggs {
		if err := a.add(h); err != nil {
			return err
		}
	}
	for _, g := range s.groups {
		if err := g.add(h); err != nil {
			return err
		}
	}
	return nil
}

// results are what the summary has come to; nil for what was not asked.
func (s *summary) results() (aggs, groups *aggResults) {
	if s == nil {
		return nil, nil
	}
	for i, a := range s.aggs {
		if aggs == nil {
			aggs = &aggResults{}
		}
		aggs.Results = append(aggs.Results, aggResult{s.plan.aggs[i].Name, s.plan.aggs[i].Type, marshal(a.result())})
	}
	for i, g := range s.groups {
		if groups == nil {
			groups = &aggResults{}
		}
		groups.Results = append(groups.Results, aggResult{s.plan.groups[i].Name, s.plan.groups[i].Type, marshal(g.result())})
	}
	return aggs, groups
}

// aggNamed finds an aggregation by its name.
func (s *summary) aggNamed(name string) aggregator {
	if s != nil {
		for i, a := range s.plan.aggs {
			if a.Name == name {
				return s.aggs[i]
			}
		}
	}
	return nil
}

// take accounts for one more value or group that is kept.
func (p *summaryPlan) take() error {
	if *p.left--; *p.left < 0 {
		return invalid("aggregations and group by need more than %d values", maxSummarized)
	}
	return nil
}

// summarize plans aggregations and group-bys; nil when there are none.
func (s *search) summarize(aggs *aggList, groups *groupList, depth int, left *int) (*summaryPlan, error) {
	p := &summaryPlan{search: s, left: left}
	names := map[string]bool{}
	check := func(what string, list []aggMessage) error {
		if len(list) > maxAggs {
			return invalid("the number of %s exceeds the limit: %d", what, maxAggs)
		}
		for _, m := range list {
			if m.Name == "" || names[what+m.Name] {
				return invalid("the name [%s] of %s is empty or duplicated", m.Name, what)
			}
			names[what+m.Name] = true
		}
		return nil
	}
	if aggs != nil {
		if err := check("aggs", aggs.Aggs); err != nil {
			return nil, err
		}
		for _, m := range aggs.Aggs {
			start, err := p.aggregation(&m)
			if err != nil {
				return nil, err
			}
			p.aggs = append(p.aggs, aggPlan{m, start})
		}
	}
	if groups != nil && len(groups.Groups) > 0 {
		if depth >= maxGroupDepth {
			return nil, invalid("the depth of group by exceeds the limit: %d", maxGroupDepth)
		}
		if err := check("group by", groups.Groups); err != nil {
			return nil, err
		}
		for _, m := range groups.Groups {
			start, err := p.groupBy(&m, depth)
			if err != nil {
				return nil, err
			}
			p.groups = append(p.groups, groupPlan{m, start})
		}
	}
	if len(p.aggs)+len(p.groups) == 0 {
		return nil, nil
	}
	return p, nil
}

// measured finds a field that can be summed up by what; any type will do when no types are given.
func (s *search) measurable(what, name string, types ...int32) (*field, error) {
	f := s.queries.fields[name]
	switch {
	case f == nil || !f.indexed():
		return nil, invalid("[%s] field: %s does not exist", what, name)
	case f.Type == fieldNested || f.Type == fieldText || len(types) > 0 && !slices.Contains(types, f.Type):
		if len(types) == 0 {
			return nil, invalid("[%s] field_name:%s type:%s is invalid", what, name, fieldNames[f.Type])
		}
		var allowed []string
		for _, t := range types {
			allowed = append(allowed, fieldNames[t])
		}
		return nil, invalid("[%s] field_name:%s type:%s is invalid, allow [%s]", what, name, fieldNames[f.Type], strings.Join(allowed, ", "))
	}
	return f, nil
}

func (p *summaryPlan) aggregation(m *aggMessage) (func() aggregator, error) {
	if m.Type == aggTopRows {
		return p.topRows(m)
	}
	kinds := map[int32]string{aggAvg: "avg agg", aggMax: "max agg", aggMin: "min agg", aggSum: "sum agg",
		aggCount: "count agg", aggDistinct: "distinct count agg", aggPercentiles: "percentiles agg"}
	what, ok := kinds[m.Type]
	if !ok {
		return nil, invalid("aggregation type [%d] is not supported", m.Type)
	}
	var body percentilesBody
	if m.Type == aggPercentiles {
		if err := unmarshal(m.Body, &body); err != nil || len(body.Percentiles) == 0 {
			return nil, invalid("parse [%s] failed", what)
		}
		for _, n := range body.Percentiles {
			if !(n >= 0 && n <= 100) {
				return nil, invalid("[%s] percentiles must be in range [0, 100]", what)
			}
		}
	} else {
		var b aggBody
		if err := unmarshal(m.Body, &b); err != nil {
			return nil, invalid("parse [%s] failed", what)
		}
		body.Field, body.Missing = b.Field, b.Missing
	}
	var types []int32
	if m.Type != aggCount && m.Type != aggDistinct {
		if types = []int32{fieldLong, fieldDouble}; m.Type != aggSum {
			types = append(types, fieldDate)
		}
	}
	f, err := p.search.measurable(what, body.Field, types...)
	if err != nil {
		return nil, err
	}
	var missing []table.Value
	if len(body.Missing) > 0 {
		v, err := variantValue(body.Missing)
		if err != nil {
			return nil, invalid("[%s] missing value is invalid", what)
		}
		missing = []table.Value{f.coerce(v)}
	}
	source := measured{f, missing}
	switch m.Type {
	case aggDistinct:
		return func() aggregator { return &distinct{measured: source, plan: p, seen: map[string]bool{}} }, nil
	case aggPercentiles:
		wanted := slices.Sorted(slices.Values(body.Percentiles))
		return func() aggregator { return &percentiles{measured: source, plan: p, wanted: wanted} }, nil
	}
	return func() aggregator {
		return &measure{measured: source, kind: m.Type, least: math.Inf(1), greatest: math.Inf(-1)}
	}, nil
}

// measured is the one field that an aggregation looks at.
type measured struct {
	field   *field
	missing []table.Value
}

func (s *measured) values(h *hit) []table.Value {
	values := h.doc.values(s.field)
	if len(values) == 0 {
		return s.missing
	}
	return values
}

// measure is Avg, Max, Min, Sum and Count.
type measure struct {
	measured
	kind                 int32
	count                int64
	sum, least, greatest float64
}

func (a *measure) add(h *hit) error {
	values := a.values(h)
	a.count += int64(len(values))
	for _, x := range numbers(values) {
		a.sum += x
		a.least, a.greatest = min(a.least, x), max(a.greatest, x)
	}
	return nil
}

// number is infinite when there was nothing to measure: SDKs take it for "no value".
func (a *measure) number() float64 {
	switch {
	case a.kind == aggMax:
		return a.greatest
	case a.kind == aggMin || a.kind == aggAvg && a.count == 0:
		return a.least
	case a.kind == aggAvg:
		return a.sum / float64(a.count)
	case a.kind == aggCount:
		return float64(a.count)
	}
	return a.sum
}

func (a *measure) result() any {
	if a.kind == aggCount {
		return &countResult{a.count}
	}
	return &floatResult{a.number()}
}

// distinct is DistinctCount; unlike the cloud's it is exact.
type distinct struct {
	measured
	plan *summaryPlan
	seen map[string]bool
}

func (a *distinct) add(h *hit) error {
	for _, v := range a.values(h) {
		id := string(appendVariant(nil, variantOf(v.Type), v))
		if a.seen[id] {
			continue
		}
		if err := a.plan.take(); err != nil {
			return err
		}
		a.seen[id] = true
	}
	return nil
}

func (a *distinct) number() float64 { return float64(len(a.seen)) }

func (a *distinct) result() any { return &countResult{int64(len(a.seen))} }

// percentiles lie between the values of the neighboring ranks; unlike the cloud's they are exact.
type percentiles struct {
	measured
	plan   *summaryPlan
	wanted []float64 // ascending
	all    []float64
}

func (a *percentiles) add(h *hit) error {
	for _, v := range numbers(a.values(h)) {
		if err := a.plan.take(); err != nil {
			return err
		}
		a.all = append(a.all, v)
	}
	return nil
}

func (a *percentiles) number() float64 { return 0 }

func (a *percentiles) result() any {
	slices.Sort(a.all)
	r := &percentilesResult{}
	for _, p := range a.wanted {
		if len(a.all) == 0 {
			break
		}
		at := p / 100 * float64(len(a.all)-1)
		below, above := a.all[int(at)], a.all[int(math.Ceil(at))]
		v := table.Value{Type: table.Float, Float: below + (above-below)*(at-math.Floor(at))}
		if a.field.Type != fieldDouble {
			v = table.Value{Type: table.Int, Int: int64(v.Float)}
		}
		r.Items = append(r.Items, percentileItem{p, appendVariant(nil, variantOf(v.Type), v)})
	}
	return r
}

// topRows keeps the first rows in some order.
type topRows struct {
	plan  *summaryPlan
	order *ordering
	limit int
	hits  []hit
}

func (p *summaryPlan) topRows(m *aggMessage) (func() aggregator, error) {
	var body topRowsBody
	if err := unmarshal(m.Body, &body); err != nil {
		return nil, invalid("parse [top rows agg] failed")
	}
	limit := 1
	if body.Limit != nil {
		limit = int(*body.Limit)
	}
	if limit < 1 || limit > maxTopRows {
		return nil, invalid("[top rows agg] limit must be in range [1, %d]", maxTopRows)
	}
	order, err := p.search.queries.ordering(body.Sort)
	if err != nil {
		return nil, err
	}
	return func() aggregator { return &topRows{plan: p, order: order, limit: limit} }, nil
}

func (a *topRows) add(h *hit) error {
	own := *h
	own.values = a.order.values(h)
	a.hits = append(a.hits, own)
	if len(a.hits) >= 2*a.limit {
		a.hits = a.order.best(a.hits, a.limit)
	}
	return nil
}

func (a *topRows) number() float64 { return 0 }

func (a *topRows) result() any {
	a.hits = a.order.best(a.hits, a.limit)
	r := &rowsResult{}
	for i := range a.hits {
		r.Rows = append(r.Rows, appendRow(appendHeader(nil), a.plan.search.shown(&a.hits[i].row)))
	}
	return r
}

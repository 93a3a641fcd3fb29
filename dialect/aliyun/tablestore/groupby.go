package tablestore

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// Group-bys on the wire.
const (
	groupField         = 1
	groupRange         = 2
	groupFilter        = 3
	groupGeoDistance   = 4
	groupHistogram     = 5
	groupDateHistogram = 6
	groupGeoGrid       = 7
	groupComposite     = 8

	defaultGroups = 10
	maxGroups     = 2000
)

type groupPlan struct {
	aggMessage
	start func() grouper
}

// grouper sorts hits into groups.
type grouper interface {
	add(h *hit) error
	result() any
}

// group is one group: the hits in it are only counted and summed up.
type group struct {
	key  table.Value // by which it is sorted
	name string
	keys []string // of a composite one
	null []bool
	rows int64
	*summary
}

func (g *group) take(h *hit) error {
	g.rows++
	return g.summary.add(h)
}

// groupBy reads one group-by.
func (p *summaryPlan) groupBy(m *aggMessage, depth int) (func() grouper, error) {
	switch m.Type {
	case groupRange, groupGeoDistance, groupFilter:
		return p.fixed(m, depth)
	case groupField, groupHistogram, groupDateHistogram, groupGeoGrid:
		b, err := p.by(m)
		if err != nil {
			return nil, err
		}
		inner, err := p.search.summarize(b.aggs, b.groups, depth+1, p.left)
		if err != nil {
			return nil, err
		}
		if err := checkGroupSort(b.sort, inner); err != nil {
			return nil, err
		}
		return func() grouper {
			return &grouping{by: b, plan: p, inner: inner, all: map[string]*group{}}
		}, nil
	case groupComposite:
		return p.composite(m, depth)
	}
	return nil, invalid("group by type [%d] is not supported", m.Type)
}

// grouping is a groupedBy under way.
type grouping struct {
	by    *groupedBy
	plan  *summaryPlan
	inner *summaryPlan
	all   map[string]*group
}

func (g *grouping) add(h *hit) error {
	names := g.by.names(h)
	for i := range names {
		name := names[i].name
		if slices.ContainsFunc(names[:i], func(o group) bool { return o.name == name }) {
			continue // a hit is in a group once
		}
		one, err := g.group(names[i])
		if err != nil {
			return err
		}
		if err := one.take(h); err != nil {
			return err
		}
	}
	return nil
}

func (g *grouping) group(like group) (*group, error) {
	one := g.all[like.name]
	if one == nil {
		if err := g.plan.take(); err != nil {
			return nil, err
		}
		one = &like
		one.summary = g.inner.start()
		g.all[like.name] = one
	}
	return one, nil
}

func (g *grouping) result() any {
	if g.by.fill != nil {
		var from, to table.Value
		for _, o := range g.all {
			if n, ok := compareValues(o.key, from); !ok || n < 0 {
				from = o.key
			}
			if n, ok := compareValues(o.key, to); !ok || n > 0 {
				to = o.key
			}
		}
		for _, empty := range g.by.fill(from, to) {
			if g.all[empty.name] == nil {
				empty.summary = g.inner.start()
				g.all[empty.name] = &empty
			}
		}
	}
	var list []*group
	for _, o := range g.all {
		if o.rows >= g.by.least {
			list = append(list, o)
		}
	}
	byKey := g.by.kind == groupHistogram || g.by.kind == groupDateHistogram
	slices.SortFunc(list, func(a, b *group) int { return compareGroups(g.by.sort, byKey, a, b) })
	r := &groupItems{}
	for _, o := range list[:min(len(list), g.by.size)] {
		aggs, groups := o.results()
		var item any
		switch g.by.kind {
		case groupField:
			item = &groupFieldItem{o.name, o.rows, aggs, groups}
		case groupGeoGrid:
			a, b := cellOf(o.name)
			item = &groupGridItem{o.name, geoGrid{geoPoint{a.lat, a.lon}, geoPoint{b.lat, b.lon}}, o.rows, aggs, groups}
		case groupHistogram:
			item = &groupHistogramItem{appendVariant(nil, variantOf(o.key.Type), o.key), o.rows, aggs, groups}
		default:
			item = &groupDateItem{o.key.Int, o.rows, aggs, groups}
		}
		r.Items = append(r.Items, marshal(item))
	}
	return r
}

// checkGroupSort checks that groups are sorted by something that there is.
func checkGroupSort(sort *groupSort, inner *summaryPlan) error {
	if sort == nil {
		return nil
	}
	for _, o := range sort.Sorters {
		if o.Agg == nil {
			continue
		}
		if inner == nil || !slices.ContainsFunc(inner.aggs, func(a aggPlan) bool { return a.Name == o.Agg.Name }) {
			return invalid("sub aggregation [%s] of group by sort does not exist", o.Agg.Name)
		}
	}
	return nil
}

// compareGroups orders groups: as asked; else the largest first, or by key.
func compareGroups(sort *groupSort, byKey bool, a, b *group) int {
	keys := func() int {
		if n, ok := compareValues(a.key, b.key); ok {
			return n
		}
		return strings.Compare(a.name, b.name)
	}
	if sort != nil && len(sort.Sorters) > 0 {
		for _, o := range sort.Sorters {
			n, order := 0, int32(0)
			switch {
			case o.Key != nil:
				n, order = keys(), o.Key.Order
			case o.Rows != nil:
				n, order = cmp.Compare(a.rows, b.rows), o.Rows.Order
			case o.Agg != nil:
				n, order = cmp.Compare(a.aggNamed(o.Agg.Name).number(), b.aggNamed(o.Agg.Name).number()), o.Agg.Order
			}
			if order == 1 {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
	} else if n := cmp.Compare(b.rows, a.rows); n != 0 && !byKey {
		return n
	}
	return keys()
}

// fixedGroups are those that are there beforehand: ranges and filters.
type fixedGroups struct {
	kind   int32
	groups []*group
	ranges []groupBounds
	fits   func(h *hit, i int) bool
}

// fixed reads the group-bys whose groups the request names.
func (p *summaryPlan) fixed(m *aggMessage, depth int) (func() grouper, error) {
	broken := invalid("parse group by [%s] failed", m.Name)
	var ranges []groupBounds
	var aggs *aggList
	var groups *groupList
	var n int
	var fits func(*hit, int) bool
	switch m.Type {
	case groupFilter:
		var body groupFilterBody
		if unmarshal(m.Body, &body) != nil || len(body.Filters) == 0 {
			return nil, broken
		}
		var filters []matcher
		for i := range body.Filters {
			f, err := p.search.queries.build(&body.Filters[i])
			if err != nil {
				return nil, err
			}
			filters = append(filters, f)
		}
		n, aggs, groups = len(filters), body.Aggs, body.Groups
		fits = func(h *hit, i int) bool {
			_, ok := filters[i](h.doc)
			return ok
		}
	case groupRange:
		var body groupRangeBody
		if unmarshal(m.Body, &body) != nil || len(body.Ranges) == 0 {
			return nil, broken
		}
		f, err := p.search.measurable("group by range", body.Field, fieldLong, fieldDouble, fieldDate)
		if err != nil {
			return nil, err
		}
		n, ranges, aggs, groups = len(body.Ranges), body.Ranges, body.Aggs, body.Groups
		for i := range ranges {
			ranges[i].open(math.Inf(-1))
		}
		slices.SortStableFunc(ranges, func(a, b groupBounds) int { return cmp.Compare(*a.From, *b.From) })
		fits = func(h *hit, i int) bool { return slices.ContainsFunc(numbers(h.doc.values(f)), ranges[i].has) }
	default:
		var body groupGeoBody
		if unmarshal(m.Body, &body) != nil || len(body.Ranges) == 0 {
			return nil, broken
		}
		f, err := p.search.measurable("group by geo distance", body.Field, fieldGeo)
		if err != nil {
			return nil, err
		}
		n, ranges, aggs, groups = len(body.Ranges), body.Ranges, body.Aggs, body.Groups
		for i := range ranges {
			ranges[i].open(0)
			*ranges[i].From = max(0, *ranges[i].From)
		}
		origin := []point{{body.Origin.Lat, body.Origin.Lon}}
		fits = func(h *hit, i int) bool {
			return slices.ContainsFunc(numbers(distances(h.doc.values(f), origin)), ranges[i].has)
		}
	}
	inner, err := p.search.summarize(aggs, groups, depth+1, p.left)
	if err != nil {
		return nil, err
	}
	return func() grouper {
		g := &fixedGroups{kind: m.Type, ranges: ranges, fits: fits}
		for range n {
			g.groups = append(g.groups, &group{summary: inner.start()})
		}
		return g
	}, nil
}

func (g *fixedGroups) add(h *hit) error {
	for i, o := range g.groups {
		if g.fits(h, i) {
			if err := o.take(h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *fixedGroups) result() any {
	r := &groupItems{}
	for i, o := range g.groups {
		aggs, groups := o.results()
		var item any = &groupFilterItem{o.rows, aggs, groups}
		if g.kind != groupFilter {
			item = &groupRangeItem{*g.ranges[i].From, *g.ranges[i].To, o.rows, aggs, groups}
		}
		r.Items = append(r.Items, marshal(item))
	}
	return r
}

// composite reads the group-by whose groups are the combinations of those of others.
func (p *summaryPlan) composite(m *aggMessage, depth int) (func() grouper, error) {
	var body groupCompositeBody
	if unmarshal(m.Body, &body) != nil || body.Sources == nil || len(body.Sources.Groups) == 0 {
		return nil, invalid("parse group by [%s] failed", m.Name)
	}
	c := &combinations{plan: p, size: defaultGroups}
	switch {
	case body.Size != nil && (*body.Size < 1 || *body.Size > maxGroups), body.Suggested != nil && *body.Suggested < 1:
		return nil, invalid("size of group by [%s] must be in range [1, %d]", m.Name, maxGroups)
	case body.Size != nil:
		c.size = int(*body.Size)
	case body.Suggested != nil:
		c.size = int(min(*body.Suggested, maxGroups))
	}
	for i := range body.Sources.Groups {
		src := &body.Sources.Groups[i]
		if src.Type != groupField && src.Type != groupHistogram && src.Type != groupDateHistogram {
			return nil, invalid("group by type [%d] can not be a source of a composite one", src.Type)
		}
		b, err := p.by(src)
		if err != nil {
			return nil, err
		}
		c.sources, c.names = append(c.sources, b), append(c.names, src.Name)
	}
	if body.Token != "" {
		if json.Unmarshal([]byte(body.Token), &c.after) != nil || len(c.after) != len(c.sources) {
			return nil, invalid("next token of group by [%s] is invalid", m.Name)
		}
	}
	inner, err := p.search.summarize(body.Aggs, body.Groups, depth+1, p.left)
	if err != nil {
		return nil, err
	}
	return func() grouper {
		own := *c
		own.inner, own.all = inner, map[string]*compositeGroup{}
		return &own
	}, nil
}

// combinations is a composite group-by under way.
type combinations struct {
	plan    *summaryPlan
	inner   *summaryPlan
	sources []*groupedBy
	names   []string
	size    int
	after   []table.Value // the keys of the last group of the page before
	all     map[string]*compositeGroup
}

type compositeGroup struct {
	group
	values []table.Value
}

func (c *combinations) add(h *hit) error {
	combos := []compositeGroup{{}}
	for _, src := range c.sources {
		names := src.names(h)
		if len(names) == 0 {
			return nil // a row that lacks a field is in no group
		}
		var more []compositeGroup
		for _, combo := range combos {
			for _, n := range names {
				next := combo
				next.values = append(slices.Clone(combo.values), n.key)
				next.keys = append(slices.Clone(combo.keys), n.name)
				next.null = append(slices.Clone(combo.null), false)
				more = append(more, next)
			}
		}
		if len(more) > maxGroups {
			return invalid("a row is in more than %d groups", maxGroups)
		}
		combos = more
	}
	seen := map[string]bool{}
	for _, combo := range combos {
		if c.after != nil && compareLists(combo.values, c.after) <= 0 {
			continue
		}
		id, _ := json.Marshal(combo.keys)
		if seen[string(id)] {
			continue
		}
		seen[string(id)] = true
		one := c.all[string(id)]
		if one == nil {
			if err := c.plan.take(); err != nil {
				return err
			}
			one = &combo
			one.summary = c.inner.start()
			c.all[string(id)] = one
		}
		if err := one.take(h); err != nil {
			return err
		}
	}
	return nil
}

// compareLists orders keys of composite groups.
func compareLists(a, b []table.Value) int {
	for i := range a {
		if n, _ := compareValues(a[i], b[i]); n != 0 {
			return n
		}
	}
	return 0
}

func (c *combinations) result() any {
	var list []*compositeGroup
	for _, o := range c.all {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *compositeGroup) int { return compareLists(a.values, b.values) })
	r := &groupCompositeResult{Names: c.names}
	for i, o := range list {
		if i == c.size {
			token, _ := json.Marshal(list[i-1].values)
			r.Next = string(token)
			break
		}
		aggs, groups := o.results()
		r.Items = append(r.Items, groupCompositeItem{o.keys, o.rows, aggs, groups, o.null})
	}
	return r
}

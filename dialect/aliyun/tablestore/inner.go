package tablestore

// Inner hits are the elements of nested fields for which a row is a hit.

const (
	defaultInner = 3
	maxInner     = 100
)

type innerMessage struct {
	Sort      *sortMessage      `pb:"1"`
	Offset    int32             `pb:"2"`
	Limit     *int32            `pb:"3"`
	Highlight *highlightMessage `pb:"4"`
}

type searchInner struct {
	Path string      `pb:"1"`
	Hits []searchHit `pb:"2"`
}

// innerPlan is how the inner hits of one nested query are found.
type innerPlan struct {
	field         *field
	matches       matcher
	order         *ordering
	offset, limit int
	highlighter   *highlighter
	inner         []innerPlan // of the queries within that one
}

// innerHits reads the InnerHits of a nested query that has been built.
func (q *queries) innerHits(m *innerMessage, f *field, matches matcher, inner []innerPlan) (plan innerPlan, err error) {
	plan = innerPlan{field: f, matches: matches, offset: int(m.Offset), limit: defaultInner, inner: inner}
	if m.Limit != nil {
		plan.limit = int(*m.Limit)
	}
	if plan.offset < 0 || plan.limit < 0 || plan.limit > maxInner {
		return plan, invalid("limit of inner_hits must be in range [0, %d] and offset not less than 0", maxInner)
	}
	if plan.highlighter, err = q.highlighter(m.Highlight); err != nil {
		return plan, err
	}
	if m.Sort == nil {
		m.Sort = &sortMessage{[]sorter{{Score: &scoreSort{}}}}
	}
	plan.order, err = q.ordering(m.Sort)
	return plan, err
}

// of are the inner hits of a document.
func (p *innerPlan) of(d *document) searchInner {
	var hits []hit
	for i, e := range d.elements(p.field) {
		h := hit{doc: e, offset: i}
		var ok bool
		if h.score, ok = p.matches(e); ok {
			h.score = finite(h.score)
			h.values = p.order.values(&h)
			hits = append(hits, h)
		}
	}
	hits = p.order.best(hits, len(hits))
	hits = hits[min(p.offset, len(hits)):min(p.offset+p.limit, len(hits))]
	out := searchInner{Path: p.field.Name}
	for i := range hits {
		m := messageOf(&hits[i], p.highlighter, p.inner)
		m.Offset = new(int32(hits[i].offset))
		out.Hits = append(out.Hits, m)
	}
	return out
}

// messageOf is what an answer tells of a hit beside its row.
func messageOf(h *hit, highlighter *highlighter, inner []innerPlan) searchHit {
	m := searchHit{Score: &h.score, Highlight: highlighter.of(h.doc)}
	for i := range inner {
		m.Inner = append(m.Inner, inner[i].of(h.doc))
	}
	return m
}

package tablestore

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/table"
)

// groupedBy puts hits into groups that come to be as they are met.
type groupedBy struct {
	kind   int32
	names  func(h *hit) []group // those that a hit belongs to
	sort   *groupSort
	size   int
	least  int64 // hits in a group that is shown
	fill   func(from, to table.Value) []group
	aggs   *aggList
	groups *groupList
}

// by reads the group-bys whose groups come to be as they are met.
func (p *summaryPlan) by(m *aggMessage) (*groupedBy, error) {
	b := &groupedBy{kind: m.Type, size: maxSummarized, least: 1}
	sized := func(n *int64) error {
		if b.size = defaultGroups; n != nil {
			b.size = int(*n)
		}
		if b.size < 1 || b.size > maxGroups {
			return invalid("size of group by [%s] must be in range [1, %d]", m.Name, maxGroups)
		}
		return nil
	}
	broken := invalid("parse group by [%s] failed", m.Name)
	switch m.Type {
	case groupField:
		var body groupFieldBody
		if unmarshal(m.Body, &body) != nil {
			return nil, broken
		}
		f, err := p.search.measurable("group by field", body.Field)
		if err != nil {
			return nil, err
		}
		b.sort, b.aggs, b.groups = body.Sort, body.Aggs, body.Groups
		b.names = func(h *hit) (list []group) {
			for _, v := range h.doc.values(f) {
				list = append(list, group{key: v, name: groupName(v)})
			}
			return list
		}
		return b, sized(body.Size)
	case groupGeoGrid:
		var body groupGeoGridBody
		if unmarshal(m.Body, &body) != nil || body.Precision < 1 || body.Precision > 12 {
			return nil, broken
		}
		f, err := p.search.measurable("group by geo grid", body.Field, fieldGeo)
		if err != nil {
			return nil, err
		}
		b.aggs, b.groups = body.Aggs, body.Groups
		b.names = func(h *hit) (list []group) {
			for _, v := range h.doc.values(f) {
				if at, ok := parsePoint(v.Str); ok {
					name := at.geohash(int(body.Precision))
					list = append(list, group{key: table.Value{Type: table.String, Str: name}, name: name})
				}
			}
			return list
		}
		return b, sized(body.Size)
	case groupHistogram:
		var body groupHistogramBody
		if unmarshal(m.Body, &body) != nil {
			return nil, broken
		}
		b.sort, b.aggs, b.groups = body.Sort, body.Aggs, body.Groups
		return b, p.histogram(b, &body, broken)
	default:
		var body groupDateBody
		if unmarshal(m.Body, &body) != nil {
			return nil, broken
		}
		b.sort, b.aggs, b.groups = body.Sort, body.Aggs, body.Groups
		return b, p.dateHistogram(b, &body, broken)
	}
}

// cut makes groups of the values of a field that floor puts into steps.
func (b *groupedBy) cut(f *field, missing []byte, bounds *fieldRange, least *int64, broken error, floor, next func(table.Value) table.Value) error {
	read := func(raw []byte) (table.Value, error) {
		if len(raw) == 0 {
			return table.Value{}, nil
		}
		v, err := variantValue(raw)
		if v = f.coerce(v); err != nil || len(numbers([]table.Value{v})) == 0 {
			return v, broken
		}
		return v, nil
	}
	instead, err := read(missing)
	if err != nil {
		return err
	}
	var low, high table.Value
	if bounds != nil {
		if low, err = read(bounds.Min); err != nil {
			return err
		}
		if high, err = read(bounds.Max); err != nil {
			return err
		}
	}
	if least != nil {
		b.least = *least
	}
	outside := func(v, bound table.Value, side int) bool {
		n, ok := compareValues(v, bound)
		return ok && n == side
	}
	b.names = func(h *hit) (list []group) {
		values := h.doc.values(f)
		if len(values) == 0 && instead.Type != table.Null {
			values = []table.Value{instead}
		}
		for _, v := range values {
			if len(numbers([]table.Value{v})) == 0 || outside(v, low, -1) || outside(v, high, 1) {
				continue
			}
			v = floor(v)
			list = append(list, group{key: v, name: groupName(v)})
		}
		return list
	}
	if b.least <= 0 {
		b.fill = func(from, to table.Value) (list []group) {
			if low.Type != table.Null {
				from = floor(low)
			}
			if high.Type != table.Null {
				to = floor(high)
			}
			for v := from; v.Type != table.Null && len(list) <= maxGroups; v = next(v) {
				if n, ok := compareValues(v, to); !ok || n > 0 {
					break
				}
				list = append(list, group{key: v, name: groupName(v)})
			}
			return list
		}
	}
	return nil
}

func (p *summaryPlan) histogram(b *groupedBy, body *groupHistogramBody, broken error) error {
	f, err := p.search.measurable("group by histogram", body.Field, fieldLong, fieldDouble)
	if err != nil {
		return err
	}
	step, err := variantValue(body.Interval)
	steps := numbers([]table.Value{step})
	if err != nil || len(steps) == 0 || !(steps[0] > 0) || math.IsInf(steps[0], 1) {
		return broken
	}
	if f.Type == fieldLong && step.Type == table.Int {
		n := step.Int
		return b.cut(f, body.Missing, body.Range, body.Least, broken, func(v table.Value) table.Value {
			rest := v.Int % n
			if rest < 0 {
				rest += n
			}
			v.Int -= rest
			return v
		}, func(v table.Value) table.Value { v.Int += n; return v })
	}
	return b.cut(f, body.Missing, body.Range, body.Least, broken, func(v table.Value) table.Value {
		return table.Value{Type: table.Float, Float: math.Floor(numbers([]table.Value{v})[0]/steps[0]) * steps[0]}
	}, func(v table.Value) table.Value { v.Float += steps[0]; return v })
}

func (p *summaryPlan) dateHistogram(b *groupedBy, body *groupDateBody, broken error) error {
	f, err := p.search.measurable("group by date histogram", body.Field, fieldDate)
	if err != nil {
		return err
	}
	zone := time.UTC
	if body.Zone != "" {
		at, err := time.Parse("Z07:00", body.Zone)
		if err != nil {
			return invalid("time zone [%s] is invalid", body.Zone)
		}
		zone = at.Location()
	}
	n, unit := int(body.Interval.Value), body.Interval.Unit
	if n < 1 || body.Interval.duration() <= 0 {
		return broken
	}
	date := func(t time.Time) table.Value { return table.Value{Type: table.Int, Int: t.UnixMilli()} }
	months := map[int32]int{1: 12 * n, 2: 3 * n, 3: n}[unit]
	floor := func(v table.Value) table.Value {
		t := time.UnixMilli(v.Int).In(zone)
		if months > 0 {
			since := t.Year()*12 + int(t.Month()) - 1
			return date(time.Date(0, time.Month(since-since%months+1), 1, 0, 0, 0, 0, zone))
		}
		_, offset := t.Zone()
		if unit == 4 {
			offset -= 4 * 24 * 3600 // the epoch was a Thursday, weeks begin on Monday
		}
		step, shift := body.Interval.duration().Milliseconds(), int64(offset)*1000
		rest := (v.Int + shift) % step
		if rest < 0 {
			rest += step
		}
		return table.Value{Type: table.Int, Int: v.Int - rest}
	}
	return b.cut(f, body.Missing, body.Range, body.Least, broken, floor, func(v table.Value) table.Value {
		if months > 0 {
			return date(time.UnixMilli(v.Int).In(zone).AddDate(0, months, 0))
		}
		v.Int += body.Interval.duration().Milliseconds()
		return v
	})
}

// groupName shows the value that a group has in common.
func groupName(v table.Value) string {
	switch v.Type {
	case table.Bool:
		return strconv.FormatBool(v.Int != 0)
	case table.Float:
		text := strconv.FormatFloat(v.Float, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	return valueText(v)
}

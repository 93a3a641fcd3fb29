package tablestore

import (
	"slices"

	"github.com/sluicehq/sluice/table"
)

// selection is which part of a row a read asks for.
type selection struct {
	key      []table.KeyColumn
	names    map[string]bool // nil is all
	keyNamed bool            // a key column is among the names
	start    *string         // first column, inclusive
	end      *string         // last column, exclusive
	since    int64           // first version, unix ms
	until    int64           // last version, exclusive
	versions int
	filter   *filter
	page     *pageMessage
}

// newSelection reads what GetRow, GetRange and BatchGetRow have in common, in the shape of GetRow.
func newSelection(key []table.KeyColumn, m *getRowRequest, noVersion string) (*selection, error) {
	s := &selection{key: key, start: m.Start, end: m.End, until: maxTimestamp, versions: int(^uint32(0) >> 1)}
	if m.MaxVersions == nil && m.Time == nil {
		return nil, invalid("%s", noVersion)
	}
	if m.MaxVersions != nil {
		if s.versions = int(*m.MaxVersions); s.versions < 1 {
			return nil, invalid("MaxVersions must be greater than 0.")
		}
		if m.Time != nil && m.Time.Specific != nil {
			return nil, invalid("MaxVersions and specific time cannot be given at the same time.")
		}
	}
	if err := s.setTime(m.Time); err != nil {
		return nil, err
	}
	if n := len(m.Columns); n > maxColumnsToGet {
		return nil, invalid("The number of columns from the request exceeds the limit, limit count: %d, column count: %d.", maxColumnsToGet, n)
	}
	for _, name := range m.Columns {
		if err := checkColumnName(name); err != nil {
			return nil, err
		}
		if s.names == nil {
			s.names = map[string]bool{}
		}
		s.names[name] = true
		s.keyNamed = s.keyNamed || hasColumn(key, name)
	}
	var err error
	if len(m.Filter) > 0 {
		s.filter, s.page, err = parseFilter(m.Filter)
	}
	return s, err
}

func (s *selection) setTime(t *timeRange) error {
	switch {
	case t == nil:
		return nil
	case t.Specific != nil:
		if *t.Specific < 0 || *t.Specific >= maxTimestamp {
			return invalid("Timestamp must be in range [0, INT64_MAX/1000).")
		}
		s.since, s.until = *t.Specific, *t.Specific+1
	case t.Start != nil && t.End != nil:
		if *t.Start < 0 || *t.End < 0 {
			return invalid("Timestamp must be in range [0, INT64_MAX/1000).")
		}
		s.since, s.until = *t.Start, *t.End
	default:
		return invalid("Start and end time must be given at the same time.")
	}
	return nil
}

// hides reports whether the selection may leave out rows.
func (s *selection) hides() bool { return s.filter != nil || s.names != nil || s.page != nil }

// of is the row as the client shall see it; false hides it.
func (s *selection) of(row *table.Row) (wireRow, bool) {
	var cols []table.Column
	for _, c := range row.Columns {
		if s.names != nil && !s.names[c.Name] || s.start != nil && c.Name < *s.start || s.end != nil && c.Name >= *s.end {
			continue
		}
		// Newest first, so the versions of the time range are a run.
		from := slices.IndexFunc(c.Cells, func(o table.Cell) bool { return o.Time < s.until })
		if from < 0 {
			continue
		}
		cells := c.Cells[from:]
		if to := slices.IndexFunc(cells, func(o table.Cell) bool { return o.Time < s.since }); to >= 0 {
			cells = cells[:to]
		}
		if len(cells) > 0 {
			cols = append(cols, table.Column{Name: c.Name, Cells: cells})
		}
	}
	if !s.filter.match(columnsOf(s.key, row.Key, &table.Row{Columns: cols})) {
		return wireRow{}, false
	}
	if s.page != nil {
		cols = cols[min(len(cols), int(s.page.Offset)):]
		cols = cols[:min(len(cols), int(s.page.Limit))]
	}
	// Only who names columns wants no row without them.
	if len(cols) == 0 && s.names != nil && !s.keyNamed {
		return wireRow{}, false
	}
	out := wireRow{Key: keyCells(s.key, row.Key)}
	for _, c := range cols {
		for _, o := range c.Cells[:min(len(c.Cells), s.versions)] {
			out.Cells = append(out.Cells, attributeCell(c.Name, o))
		}
	}
	return out, true
}

// size is what a row counts in limits and consumed capacity.
func (r *wireRow) size() int {
	n := 0
	for i := range r.Key {
		n += r.Key[i].size()
	}
	for i := range r.Cells {
		n += r.Cells[i].size()
	}
	return n
}

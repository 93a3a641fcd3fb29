package table

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// entry is one key that exists because of a row: in an index, or in the expiry space.
type entry struct {
	key, val []byte
	late     bool // of an index that may not have the row yet
}

// entries are those of a stored row, nil having none. They depend on nothing but the row and the
// description, so that a later write can find and remove them.
func (t *Spec) entries(rowKey []byte, r *stored) ([]entry, error) {
	if r == nil {
		return nil, nil
	}
	var list []entry
	if r.due != 0 {
		list = append(list, entry{key: dueKey(t.ID, r.due, rowKey)})
	}
	for i := range t.Indexes {
		e, ok, err := t.entry(&t.Indexes[i], r)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, e)
		}
	}
	return list, nil
}

// entry is a row's entry in one index; a row that lacks a column of the index, or has it in another
// type, has none.
func (t *Spec) entry(x *Index, r *stored) (entry, bool, error) {
	space := t.index(x)
	key := make(Key, len(space.cols))
	life := int64(0) // the newest of the row's cells, but not beyond a cell that the key is made of
	for _, c := range r.Columns {
		life = max(life, c.Cells[0].Time)
	}
	for i, c := range space.cols {
		if k := slices.IndexFunc(t.Key, func(k KeyColumn) bool { return k.Name == c.Name }); k >= 0 {
			key[i] = r.Key[k]
			continue
		}
		col := r.Column(c.Name)
		if col == nil || col.Cells[0].Value.Type != c.Type {
			return entry{}, false, nil
		}
		if v := &col.Cells[0].Value; !x.Fits(i, v) {
			return entry{}, false, nil
		}
		key[i] = col.Cells[0].Value
		if x.Cut > 0 && c.Type == String && len(key[i].Str) > x.Cut {
			key[i].Str = key[i].Str[:x.Cut]
		}
		life = min(life, col.Cells[0].Time)
	}
	copied := &stored{Row: Row{Expires: r.Expires}, life: life}
	for _, c := range r.Columns {
		if slices.ContainsFunc(x.Key, func(k KeyColumn) bool { return k.Name == c.Name }) {
			continue // it is in the key
		}
		if x.All || slices.Contains(x.Project, c.Name) {
			copied.Columns = append(copied.Columns, Column{c.Name, c.Cells[:1]})
		}
	}
	k, err := space.key(key)
	if err != nil {
		return entry{}, false, err
	}
	val, err := appendRow(make([]byte, 0, fewBytes), copied)
	return entry{k, val, x.Late}, true, err
}

// Fits reports whether a value, of the right type, can stand in the index's i-th column.
func (x *Index) Fits(i int, v *Value) bool {
	if i >= len(x.Sizes) || v.Type != String && v.Type != Binary {
		return true
	}
	return v.Str != "" && len(v.Str) <= x.Sizes[i]
}

// liveEntry hides an index entry that is past its time.
func (t *Spec) liveEntry(r *stored, now int64) *Row {
	row := &Row{Key: r.Key, Expires: r.Expires}
	if r.Expires != 0 && r.Expires <= now/1000 || r.life != 0 && t.dead(r.life, now) {
		return nil
	}
	for _, c := range r.Columns {
		if !t.dead(c.Cells[0].Time, now) {
			row.Columns = append(row.Columns, c)
		}
	}
	return row
}

// due is when (unix seconds) the sweeper has to look at a row: when it expires or ends, or its oldest
// cell does. 0 is never.
func (t *Spec) due(r *Row, now int64) int64 {
	due := r.Expires
	if at := t.ends(r, now); at != 0 && (due == 0 || at < due) {
		due = at
	}
	if t.TTL > 0 {
		for _, c := range r.Columns {
			// Dead means after the second in which the TTL ends (tablestore.md 5.3).
			if at := c.Cells[len(c.Cells)-1].Time/1000 + t.TTL + 1; due == 0 || at < due {
				due = at
			}
		}
	}
	return due
}

// longAgo is how long before its writing a row may end, in seconds: five years.
const longAgo = 5 * 365 * 24 * 3600

// ends is when (unix seconds) a row ends by its column Spec.Ends; 0 is never.
func (t *Spec) ends(r *Row, now int64) int64 {
	if t.Ends == "" {
		return 0
	}
	var v Value
	if c := r.Column(t.Ends); c != nil {
		v = c.Cells[0].Value
	}
	for i, k := range t.Key {
		if k.Name == t.Ends {
			v = r.Key[i]
		}
	}
	at := v.Int
	switch v.Type {
	case Int:
	case Decimal:
		whole, _, _ := strings.Cut(v.Str, ".")
		var err error
		if at, err = strconv.ParseInt(whole, 10, 64); err != nil {
			return 0 // further away than anybody waits
		}
	default:
		return 0
	}
	if at <= 0 || at < now/1000-longAgo {
		return 0
	}
	return at
}

// dueKey is a row's place in the expiry space.
func dueKey(id uint32, due int64, rowKey []byte) []byte {
	k := binary.BigEndian.AppendUint32([]byte{'T'}, id)
	k = binary.BigEndian.AppendUint64(k, uint64(due))
	return append(k, rowKey[5:]...)
}

// cutDueKey returns the row's key that a key of the expiry space holds.
func cutDueKey(id uint32, k []byte) ([]byte, error) {
	if len(k) < 13 {
		return nil, errCorrupt
	}
	return append(binary.BigEndian.AppendUint32([]byte{'R'}, id), k[13:]...), nil
}

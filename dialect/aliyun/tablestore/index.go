package tablestore

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// Index types and modes, and the phase of an index that is complete, on the wire.
const (
	indexLocal  = 1
	indexSync   = 1
	phaseSynced = 2
)

// A secondary index is a table for those who read. Ours are in step with their table whatever their type
// and mode say. Rows older than the index are in it if the client wants them to, or when they are written again.

// indexName is an index in the name space of an instance.
type indexName struct{ instance, name string }

// indexExtra is kept in table.Index.Extra.
type indexExtra struct {
	Key  []string `json:"key"` // as the client gave it
	Mode int32    `json:"mode"`
	Type int32    `json:"type"`
}

// source is what one can read by name: a table, or an index of one.
type source struct {
	spec  *table.Spec
	index string // "" is the table itself
	key   []table.KeyColumn
	in    *transaction // nil outside of one
}

// source finds a table or an index of the caller's instance.
func (c *call) source(ctx context.Context, name string) (*source, error) {
	spec, err := c.lookup(ctx, name)
	if err == nil {
		return &source{spec: spec, key: spec.Key}, nil
	}
	if sluice.KindOf(err) != sluice.Missing {
		return nil, err
	}
	spec, index, indexErr := c.findIndex(ctx, name)
	switch {
	case indexErr != nil:
		return nil, indexErr
	case index == nil:
		return nil, err
	case index.Building:
		return nil, invalid("Disallow read index table in building base state")
	}
	return &source{spec: spec, index: name, key: spec.IndexColumns(index)}, nil
}

// sourceIn is a source as a transaction sees it, which reads no indexes.
func (c *call) sourceIn(ctx context.Context, name, transaction string) (*source, error) {
	in, err := c.transaction(transaction)
	if err != nil {
		return nil, err
	}
	src, err := c.source(ctx, name)
	if err != nil {
		return nil, err
	}
	if src.in = in; in != nil && src.index != "" {
		return nil, invalid("Try to call method using explicit transaction on explicit-transaction-disabled table")
	}
	return src, nil
}

// findIndex finds an index by its name alone; nil when there is none.
func (c *call) findIndex(ctx context.Context, name string) (*table.Spec, *table.Index, error) {
	id := indexName{c.instance, name}
	if main, ok := c.mains.Load(id); ok {
		if spec, err := c.Tables.Lookup(ctx, c.instance, main.(string)); err == nil && spec.FindIndex(name) != nil {
			return spec, spec.FindIndex(name), nil
		}
		c.mains.Delete(id)
	}
	specs, err := c.Tables.List(ctx, c.instance)
	if err != nil {
		return nil, nil, err
	}
	for _, spec := range specs {
		if x := spec.FindIndex(name); x != nil {
			c.mains.Store(id, spec.Name)
			return spec, x, nil
		}
	}
	return nil, nil, nil
}

// writable finds a table to write to: no index.
func (c *call) writable(ctx context.Context, name string) (*table.Spec, error) {
	spec, err := c.lookup(ctx, name)
	if sluice.KindOf(err) == sluice.Missing {
		if _, x, indexErr := c.findIndex(ctx, name); indexErr != nil || x != nil {
			return nil, invalid("Can't write index table directly")
		}
	}
	return spec, err
}

// get reads rows by their keys, nil for one that is not there.
func (s *source) get(ctx context.Context, tables *table.Tables, keys []table.Key) ([]*table.Row, error) {
	if s.in != nil {
		for _, key := range keys {
			if err := s.in.holds(s.spec, key); err != nil {
				return nil, err
			}
		}
		return s.in.GetMany(ctx, s.spec, keys)
	}
	if s.index == "" {
		refs := make([]table.Ref, len(keys))
		for i, key := range keys {
			refs[i] = table.Ref{Table: s.spec, Key: key}
		}
		return tables.GetMany(ctx, refs)
	}
	rows := make([]*table.Row, len(keys))
	for i, key := range keys {
		after := append(slices.Clone(key), table.Value{Type: table.Max})
		page, err := tables.Scan(ctx, table.Range{Table: s.spec, Index: s.index, From: key, To: after, MaxRows: 1})
		if err != nil {
			return nil, err
		}
		if len(page.Rows) > 0 {
			rows[i] = &page.Rows[0]
		}
	}
	return rows, nil
}

// scan reads a page of a range.
func (s *source) scan(ctx context.Context, tables *table.Tables, rg table.Range) (table.Page, error) {
	if s.in != nil {
		return s.in.Scan(ctx, rg)
	}
	return tables.Scan(ctx, rg)
}

// meta is the schema; an index has those of its table's defined columns that it copies.
func (s *source) meta() tableMeta {
	defined := extraOf(s.spec).Defined
	if s.index == "" {
		return metaOf(s.spec.Name, s.key, defined)
	}
	x := s.spec.FindIndex(s.index)
	return metaOf(s.index, s.key, slices.DeleteFunc(defined, func(d definedColumn) bool { return !slices.Contains(x.Project, d.Name) }))
}

// addIndex adds an index to a table's description.
func (e *extra) addIndex(spec *table.Spec, m *indexMeta) error {
	if err := checkTableName(m.Name); err != nil {
		return err
	}
	if m.Name == spec.Name || spec.FindIndex(m.Name) != nil {
		return faultExists
	}
	x := table.Index{Name: m.Name}
	for _, name := range m.Key {
		col, err := e.indexColumn(spec, name)
		if err != nil {
			return err
		}
		if hasColumn(x.Key, name) {
			return invalid("Duplicated primary key name: '%s'.", name)
		}
		x.Key = append(x.Key, col)
	}
	switch n := len(x.Key); {
	case n < 1 || n > maxKeyColumns:
		return invalid("The number of primary key columns must be in range: [1, %d].", maxKeyColumns)
	case m.Type == indexLocal && x.Key[0].Name != spec.Key[0].Name:
		return invalid("The first primary key of local index must be the partition key: '%s'.", spec.Key[0].Name)
	case m.Type == indexLocal && m.Mode != indexSync:
		return invalid("Local index must be updated synchronously.")
	}
	for _, name := range m.Defined {
		if !slices.ContainsFunc(e.Defined, func(d definedColumn) bool { return d.Name == name }) {
			return invalid("Defined column '%s' does not exist.", name)
		}
		x.Project = append(x.Project, name)
	}
	x.Extra, _ = json.Marshal(indexExtra{m.Key, m.Mode, m.Type})
	spec.Indexes = append(spec.Indexes, x)
	return nil
}

// indexColumn is a key column of the table, or a defined column that can be one.
func (e *extra) indexColumn(spec *table.Spec, name string) (table.KeyColumn, error) {
	for _, k := range spec.Key {
		if k.Name == name {
			return table.KeyColumn{Name: name, Type: k.Type}, nil
		}
	}
	for _, d := range e.Defined {
		if d.Name != name {
			continue
		}
		switch d.Type {
		case definedInteger:
			return table.KeyColumn{Name: name, Type: table.Int}, nil
		case definedString:
			return table.KeyColumn{Name: name, Type: table.String}, nil
		case definedBlob:
			return table.KeyColumn{Name: name, Type: table.Binary}, nil
		}
		return table.KeyColumn{}, invalid("The type of column '%s' is invalid for the primary key.", name)
	}
	return table.KeyColumn{}, invalid("Defined column '%s' does not exist.", name)
}

// indexesOf are a table's indexes as clients see them.
func indexesOf(spec *table.Spec) []indexMeta {
	var list []indexMeta
	for _, x := range spec.Indexes {
		if isPostings(&x) {
			continue
		}
		var e indexExtra
		json.Unmarshal(x.Extra, &e)
		m := indexMeta{Name: x.Name, Key: e.Key, Defined: x.Project, Mode: e.Mode, Type: e.Type, Phase: phaseSynced}
		if x.Building {
			m.Phase--
		}
		list = append(list, m)
	}
	return list
}

func indexNames(spec *table.Spec) []string {
	var names []string
	for _, x := range spec.Indexes {
		if isPostings(&x) {
			continue
		}
		names = append(names, x.Name)
	}
	return names
}

// indexWith is an index that has the column; nil when none has.
func indexWith(spec *table.Spec, column string) *table.Index {
	for i := range spec.Indexes {
		if x := &spec.Indexes[i]; !isPostings(x) && (hasColumn(x.Key, column) || slices.Contains(x.Project, column)) {
			return x
		}
	}
	return nil
}

// checkRoom checks that an instance with these tables has room for more tables and indexes, and that
// their names are free.
func (c *call) checkRoom(there []*table.Spec, more []string) error {
	n := len(more)
	for _, spec := range there {
		names := append(indexNames(spec), spec.Name)
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(more, name) }) {
			return faultExists
		}
		n += len(names)
	}
	if n > c.MaxTables {
		return tooManyTables(c.MaxTables)
	}
	return nil
}

func (c *call) createIndex(ctx context.Context, req *createIndexRequest) (*none, error) {
	there, err := c.Tables.List(ctx, c.instance)
	if err != nil {
		return nil, err
	}
	if _, err := c.lookup(ctx, req.Table); err != nil {
		return nil, err
	}
	if err := c.checkRoom(there, []string{req.Index.Name}); err != nil {
		return nil, err
	}
	_, err = c.alter(ctx, req.Table, func(spec *table.Spec, e *extra) error {
		if err := e.addIndex(spec, &req.Index); err != nil {
			return err
		}
		spec.Indexes[len(spec.Indexes)-1].Late = !req.Base
		return nil
	})
	return &none{}, err
}

func (c *call) dropIndex(ctx context.Context, req *dropIndexRequest) (*none, error) {
	_, err := c.alter(ctx, req.Table, func(spec *table.Spec, _ *extra) error {
		i := slices.IndexFunc(spec.Indexes, func(x table.Index) bool { return x.Name == req.Index && !isPostings(&x) })
		if i < 0 {
			return faultMissing
		}
		spec.Indexes = slices.Delete(spec.Indexes, i, i+1)
		return nil
	})
	return &none{}, err
}

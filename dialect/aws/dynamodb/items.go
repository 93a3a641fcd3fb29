package dynamodb

import (
	"context"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/table"
)

// maxItem is how large an item may be, in bytes.
const maxItem = 400 << 10

// checkSize checks the size of an item that is put.
func checkSize(item attr.Item) error {
	for name := range item {
		if err := attr.CheckName(name); err != nil {
			return badValue(err.Message)
		}
	}
	if attr.ItemSize(item) > maxItem {
		return invalid("Item size has exceeded the maximum allowed size")
	}
	return nil
}

// item is a row as an item; nil for none. Its values are shared with the row.
func (d *described) item(row *table.Row) attr.Item {
	if row == nil {
		return nil
	}
	item := make(attr.Item, len(row.Key)+len(row.Columns))
	for i, c := range d.spec.Key {
		item[c.Name] = row.Key[i]
	}
	for _, c := range row.Columns {
		item[c.Name] = c.Cells[0].Value
	}
	return item
}

// row is an item as a row. Its key is checked already.
func (d *described) row(item attr.Item) *table.Row {
	row := &table.Row{Key: d.keyOf(item), Columns: make([]table.Column, 0, len(item))}
	cells := make([]table.Cell, len(item))
	for name, v := range item {
		if d.isKey(name) {
			continue
		}
		cells[0].Value = v
		row.Columns = append(row.Columns, table.Column{Name: name, Cells: cells[:1:1]})
		cells = cells[1:]
	}
	slices.SortFunc(row.Columns, func(a, b table.Column) int { return strings.Compare(a.Name, b.Name) })
	return row
}

// keyOf is the key in an item that has one.
func (d *described) keyOf(item attr.Item) table.Key {
	key := table.Key{item[d.hash.Name]}
	if d.sort != nil {
		key = append(key, item[d.sort.Name])
	}
	return key
}

// keyItem is a key as an item.
func (d *described) keyItem(key table.Key) attr.Item {
	item := make(attr.Item, len(key))
	for i, c := range d.spec.Key {
		item[c.Name] = key[i]
	}
	return item
}

const notSchema = "The provided key element does not match the schema"

// key checks a parameter Key.
func (d *described) key(item attr.Item) (table.Key, error) {
	if len(item) != len(d.spec.Key) {
		return nil, invalid(notSchema)
	}
	key := d.keyOf(item)
	for i, c := range d.spec.Key {
		if key[i].Type != c.Type {
			return nil, invalid(notSchema)
		}
	}
	for i, c := range d.spec.Key {
		if attr.EmptyKey(c.Name, key[i]) != nil {
			return nil, badValue(emptyKey + longType(c.Type) + " value. Key: " + c.Name)
		}
	}
	return key, checkKeySize(key)
}

// emptyKey is what all refusals of empty keys say.
const emptyKey = "The AttributeValue for a key attribute cannot contain an empty "

func longType(t table.Type) string {
	if t == table.Binary {
		return "binary"
	}
	return "string"
}

// maxHash and maxRange are how many bytes a partition key and a sort key may have.
const (
	maxHash  = 2048
	maxRange = 1024
)

// checkKeySize checks the lengths of a partition key and a sort key.
func checkKeySize(key table.Key) error {
	if attr.Size(key[0]) > maxHash {
		return badValue("Size of hashkey has exceeded the maximum size limit of2048 bytes") // sic
	}
	if len(key) > 1 && attr.Size(key[1]) > maxRange {
		return badValue("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// checkItem checks the key attributes of an item that is put, those of indexes included.
func (d *described) checkItem(item attr.Item) error {
	for _, c := range d.spec.Key {
		v, ok := item[c.Name]
		if !ok {
			return badValue("Missing the key " + c.Name + " in the item")
		}
		if v.Type != c.Type {
			return badValue("Type mismatch for key " + c.Name + " expected: " + typeName(c.Type) + " actual: " + attr.TypeName(v))
		}
		if err := attr.EmptyKey(c.Name, v); err != nil {
			return err
		}
	}
	for _, x := range d.named {
		for _, c := range x.Key {
			if v, ok := item[c.Name]; ok && v.Type != c.Type {
				return x.mismatch(c, attr.TypeName(v))
			}
		}
	}
	if err := d.checkIndexKeys(nil, item); err != nil {
		return err
	}
	return checkKeySize(d.keyOf(item))
}

// checkIndexKeys checks that values which are keys of indexes, and of the right type, can be keys. before
// is the item that an update changed; what it leaves alone is not looked at.
func (d *described) checkIndexKeys(before, item attr.Item) error {
	for _, x := range d.named {
		for j, c := range x.Key {
			v, ok := item[c.Name]
			if !ok || d.isKey(c.Name) && !x.sortsBy(d, j, item) {
				continue
			}
			if was, ok := before[c.Name]; ok && attr.Equal(was, v) {
				continue
			}
			if attr.EmptyKey(c.Name, v) != nil {
				what := "A value specified for a secondary index key is not supported. "
				if before != nil {
					what = "The update expression attempted to update a secondary index key to a value that is not supported. "
				}
				return invalid("One or more parameter values are not valid. " + what +
					emptyKey + longType(c.Type) + " value. IndexName: " + x.Name + ", IndexKey: " + c.Name)
			}
			key := table.Key{v}
			if j >= x.hashes {
				key = table.Key{{Type: table.Null}, v}
			}
			if err := checkKeySize(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// sortsBy reports whether an index has an item, and the table's partition key, which may be longer, as the
// j-th attribute of its key, in the sort key.
func (x *indexed) sortsBy(d *described, j int, item attr.Item) bool {
	return j >= x.hashes && x.Key[j].Name == d.hash.Name &&
		!slices.ContainsFunc(x.Key, func(c table.KeyColumn) bool { _, ok := item[c.Name]; return !ok })
}

func typeName(t table.Type) string { return attr.TypeName(table.Value{Type: t}) }

// mismatch says that an attribute cannot be the key of an index.
func (x *indexed) mismatch(c table.KeyColumn, actual string) error {
	return badValue("Type mismatch for Index Key " + c.Name + " Expected: " + typeName(c.Type) + " Actual: " + actual + " IndexName: " + x.Name)
}

// project is what an index has of an item; false when the item is not in it.
func (x *indexed) project(d *described, item attr.Item) (attr.Item, bool) {
	part := make(attr.Item, len(item))
	for i, c := range x.columns {
		v, ok := item[c.Name]
		if !ok || v.Type != c.Type || !d.isKey(c.Name) && !x.Fits(i, &v) {
			return nil, false
		}
		part[c.Name] = v
	}
	for name, v := range item {
		if x.All || slices.Contains(x.Project, name) {
			part[name] = v
		}
	}
	return part, true
}

// checkScalars refuses paths into key attributes, which are scalars.
func (d *described) checkScalars(paths ...[]expr.Path) error {
	for _, list := range paths {
		for _, p := range list {
			if len(p) == 1 {
				continue
			}
			kind := ""
			switch {
			case d.isKey(p[0].Name):
				kind = "Key"
			case d.isIndexKey(p[0].Name):
				kind = "IndexKey"
			default:
				continue
			}
			return invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: " + kind + ": " + p[0].Name)
		}
	}
	return nil
}

// getItem answers GetItem.
func (h *Handler) getItem(ctx context.Context, req *node) ([]byte, error) {
	p, err := readParams(req, "Key")
	if err != nil {
		return nil, err
	}
	d, err := h.open(ctx, req.text("TableName"))
	if err != nil {
		return nil, err
	}
	key, err := d.key(req.get("Key").item)
	if err != nil {
		return nil, err
	}
	if err := d.checkScalars(p.projection); err != nil {
		return nil, err
	}
	row, err := h.opt.Tables.Get(ctx, d.spec, key)
	if err != nil {
		return nil, err
	}
	w := newWriter()
	if row != nil {
		w.name("Item")
		if p.projection == nil {
			w.b = d.appendRow(w.b, row)
		} else {
			w.b = attr.AppendItem(w.b, expr.Project(d.item(row), p.projection))
		}
	}
	if how := consumption(req); how != "" {
		use, size := newUsage(d), 0
		if row != nil {
			size = d.rowSize(row)
		}
		use.table = readUnits(size, req.bool("ConsistentRead", false))
		w.name("ConsumedCapacity")
		w.b = use.append(w.b, how, "")
	}
	return w.end(), nil
}

// appendRow writes a row as the JSON of an item.
func (d *described) appendRow(b []byte, row *table.Row) []byte {
	b = append(b, '{')
	for i, c := range d.spec.Key {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(attr.AppendString(b, c.Name), ':')
		b = attr.Append(b, row.Key[i])
	}
	for _, c := range row.Columns {
		b = append(attr.AppendString(append(b, ','), c.Name), ':')
		b = attr.Append(b, c.Cells[0].Value)
	}
	return append(b, '}')
}

// rowSize is attr.ItemSize of a row.
func (d *described) rowSize(row *table.Row) int {
	n := 0
	for i, c := range d.spec.Key {
		n += len(c.Name) + attr.Size(row.Key[i])
	}
	for _, c := range row.Columns {
		n += len(c.Name) + attr.Size(c.Cells[0].Value)
	}
	return n
}

// putItem answers PutItem.
func (h *Handler) putItem(ctx context.Context, req *node) ([]byte, error) {
	return h.writeItem(ctx, "Put", req)
}

// deleteItem answers DeleteItem.
func (h *Handler) deleteItem(ctx context.Context, req *node) ([]byte, error) {
	return h.writeItem(ctx, "Delete", req)
}

// updateItem answers UpdateItem.
func (h *Handler) updateItem(ctx context.Context, req *node) ([]byte, error) {
	return h.writeItem(ctx, "Update", req)
}

// writeItem does what an action of a transaction does, alone, and answers the request.
func (h *Handler) writeItem(ctx context.Context, kind string, req *node) ([]byte, error) {
	a, err := newAction(kind, req)
	if err != nil {
		return nil, err
	}
	a.p.blind = req.text("ReturnValues") != "ALL_OLD" && consumption(req) == ""
	d, err := h.open(ctx, req.text("TableName"))
	if err != nil {
		return nil, err
	}
	op, err := a.op(d)
	if err != nil {
		return nil, err
	}
	return h.write(ctx, req, d, op, a.p)
}

// put is the write that puts an item, of which checkItem has nothing to say.
func (d *described) put(item attr.Item, p *params) (table.Op, error) {
	if err := d.checkScalars(p.condition.Paths()); err != nil {
		return table.Op{}, err
	}
	row := d.row(item)
	if p.blind && p.condition == nil {
		return table.Op{Table: d.spec, Key: row.Key, Put: row}, nil
	}
	return table.Op{Table: d.spec, Key: row.Key, Do: func(cur *table.Row, _ int64) (*table.Row, error) {
		if cur == nil {
			return row, p.holds(d, cur)
		}
		if err := p.holds(d, cur); err != nil {
			return nil, err
		}
		if attr.EqualItems(d.item(cur), item) {
			return cur, nil // what changes nothing makes no record
		}
		return row, nil
	}}, nil
}

// remove is the write that deletes an item.
func (d *described) remove(key table.Key, p *params) (table.Op, error) {
	if err := d.checkScalars(p.condition.Paths()); err != nil {
		return table.Op{}, err
	}
	return table.Op{Table: d.spec, Key: key, Do: func(cur *table.Row, _ int64) (*table.Row, error) {
		return nil, p.holds(d, cur)
	}}, nil
}

// update is the write that changes an item.
func (d *described) update(key table.Key, p *params) (table.Op, error) {
	paths := p.update.Paths()
	for _, path := range paths {
		if d.isKey(path[0].Name) {
			return table.Op{}, badValue("Cannot update attribute " + path[0].Name + ". This attribute is part of the key")
		}
	}
	for _, x := range d.named {
		for _, c := range x.Key {
			if t, ok := p.update.Makes(c.Name); ok && t != c.Type {
				return table.Op{}, x.mismatch(c, typeName(t))
			}
		}
	}
	if err := d.checkScalars(paths, p.update.Reads(), p.condition.Paths()); err != nil {
		return table.Op{}, err
	}
	return table.Op{Table: d.spec, Key: key, Do: func(cur *table.Row, _ int64) (*table.Row, error) {
		if err := p.holds(d, cur); err != nil {
			return nil, err
		}
		old := d.item(cur)
		switch {
		case cur == nil && p.update.Removes():
			return nil, nil // there is nothing, not even a path that could be wrong
		case cur == nil:
			old = d.keyItem(key)
		}
		item, err := p.update.Apply(old)
		if err != nil {
			return nil, err
		}
		switch {
		case cur != nil && attr.EqualItems(old, item):
			return cur, nil
		case cur == nil && len(paths) > 0 && len(item) == len(key):
			return nil, nil // an update that only removes makes no item
		}
		for _, x := range d.named {
			for _, c := range x.Key {
				v, ok := item[c.Name]
				was, had := old[c.Name]
				if ok && v.Type != c.Type && !(had && attr.Equal(was, v)) {
					return nil, invalid("The update expression attempted to update the secondary index key to unsupported type")
				}
			}
		}
		if err := d.checkIndexKeys(old, item); err != nil {
			return nil, err
		}
		if attr.ItemSize(item) > maxItem {
			return nil, invalid("Item size to update has exceeded the maximum allowed size")
		}
		return d.row(item), nil
	}}, nil
}

// write does one write and answers the request.
func (h *Handler) write(ctx context.Context, req *node, d *described, op table.Op, p *params) ([]byte, error) {
	ch, err := h.opt.Tables.Apply(ctx, op)
	if err != nil {
		return nil, err
	}
	w := newWriter()
	var out attr.Item
	switch req.text("ReturnValues") {
	case "ALL_OLD":
		out = d.item(ch.Before)
	case "ALL_NEW":
		out = d.item(ch.After)
	case "UPDATED_OLD":
		out = expr.Project(d.item(ch.Before), p.update.Paths())
	case "UPDATED_NEW":
		out = expr.Project(d.item(ch.After), p.update.Paths())
	}
	if len(out) > 0 {
		w.name("Attributes")
		w.b = attr.AppendItem(w.b, out)
	}
	if how := consumption(req); how != "" {
		use := newUsage(d)
		use.write(d.item(ch.Before), d.item(ch.After))
		w.name("ConsumedCapacity")
		w.b = use.append(w.b, how, "")
	}
	if req.text("ReturnItemCollectionMetrics") == "SIZE" && d.hasLocal() {
		w.name("ItemCollectionMetrics")
		w.b = d.appendMetrics(w.b, ch.Key)
	}
	return w.end(), nil
}

// appendMetrics writes the ItemCollectionMetrics of a key.
func (d *described) appendMetrics(b []byte, key table.Key) []byte {
	b = attr.AppendItem(append(b, `{"ItemCollectionKey":`...), attr.Item{d.hash.Name: key[0]})
	return append(b, `,"SizeEstimateRangeGB":[0,1]}`...)
}

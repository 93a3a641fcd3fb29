package dynamodb

import (
	"context"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/table"
)

// The limits of a batch.
const (
	maxGets   = 100
	maxWrites = 25
	maxBatch  = 16 << 20 // bytes of items in an answer
)

const duplicates = "Provided list of item keys contains duplicates"

// checkBatch refuses what batches word otherwise than all other broken constraints: an empty RequestItems,
// and too many keys of one table.
func checkBatch(op string) func(*Handler, *node) error {
	return func(_ *Handler, req *node) error {
		asked := req.get("RequestItems")
		if asked == nil {
			return nil
		}
		if len(asked.list) == 0 {
			return invalid("The requestItems parameter is required for " + op)
		}
		for i, name := range asked.keys {
			if keys := asked.list[i].get("Keys"); keys != nil && len(keys.list) > maxGets {
				return invalid("1 validation error detected: Value at 'RequestItems." + name + ".member.Keys' failed to satisfy constraint: Member must have length less than or equal to 100")
			}
		}
		return nil
	}
}

// gets is what a BatchGetItem asks of one table.
type gets struct {
	req        *node
	projection []expr.Path
	consistent bool
	d          *described
	keys       []table.Key
}

// readGets reads what is asked of one table, as far as the table does not matter.
func readGets(req *node) (*gets, error) {
	if err := checkStyles(req, nil); err != nil {
		return nil, err
	}
	g := &gets{req: req, consistent: req.bool("ConsistentRead", false)}
	keys := req.get("Keys").items()
	for i := range keys {
		if bad := keys[i].bad; bad != nil {
			return nil, bad
		}
	}
	p := &params{}
	if err := p.readOlder(req); err != nil {
		return nil, err
	}
	if err := p.readExpressions(req); err != nil {
		return nil, err
	}
	g.projection = p.projection
	for i := range keys {
		for j := range i {
			if attr.EqualItems(keys[i].item, keys[j].item) {
				return nil, invalid(duplicates)
			}
		}
	}
	return g, nil
}

// batchGetItem answers BatchGetItem. What would make the answer too large is left unprocessed.
func (h *Handler) batchGetItem(ctx context.Context, req *node) ([]byte, error) {
	asked := req.get("RequestItems")
	all := make([]*gets, len(asked.list))
	n := 0
	for i := range asked.list {
		g, err := readGets(&asked.list[i])
		if err != nil {
			return nil, err
		}
		all[i] = g
		n += len(g.req.get("Keys").list)
	}
	if n > maxGets {
		return nil, invalid("Too many items requested for the BatchGetItem call")
	}
	var refs []table.Ref
	for i, g := range all {
		var err error
		if g.d, err = h.open(ctx, asked.keys[i]); err != nil {
			return nil, err
		}
		for j := range g.req.get("Keys").list {
			key, err := g.d.key(g.req.get("Keys").list[j].item)
			if err != nil {
				return nil, err
			}
			g.keys = append(g.keys, key)
			refs = append(refs, table.Ref{Table: g.d.spec, Key: key})
		}
		if err := g.d.checkScalars(g.projection); err != nil {
			return nil, err
		}
	}
	rows, err := h.opt.Tables.GetMany(ctx, refs)
	if err != nil {
		return nil, err
	}
	found := newWriter()
	left := newWriter()
	usages := make([]*usage, len(all))
	size := 0
	for i, g := range all {
		usages[i] = newUsage(g.d)
		done, items := len(g.keys), 0
		found.name(asked.keys[i])
		found.b = append(found.b, '[')
		for j := range g.keys {
			row := rows[j]
			bytes := 0
			if row != nil {
				bytes = g.d.rowSize(row)
			}
			if size+bytes > maxBatch {
				done = j
				break
			}
			size += bytes
			usages[i].table += readUnits(bytes, g.consistent)
			if row == nil {
				continue
			}
			if items++; items > 1 {
				found.b = append(found.b, ',')
			}
			if g.projection == nil {
				found.b = g.d.appendRow(found.b, row)
			} else {
				found.b = attr.AppendItem(found.b, expr.Project(g.d.item(row), g.projection))
			}
		}
		found.b = append(found.b, ']')
		rows = rows[len(g.keys):]
		if done < len(g.keys) {
			left.name(asked.keys[i])
			left.b = g.appendRest(left.b, done)
		}
	}
	w := newWriter()
	w.name("Responses")
	w.b = append(w.b, found.end()...)
	w.name("UnprocessedKeys")
	w.b = append(w.b, left.end()...)
	w.consumed(req, usages, "")
	return w.end(), nil
}

// appendRest writes the request for the keys from the n-th on.
func (g *gets) appendRest(b []byte, n int) []byte {
	w := newWriter()
	for i, name := range g.req.keys {
		m := &g.req.list[i]
		w.name(name)
		if name != "Keys" {
			w.b = append(w.b, m.raw...)
			continue
		}
		w.b = appendList(w.b, len(m.list)-n, func(b []byte, i int) []byte { return append(b, m.list[n+i].raw...) })
	}
	return append(b, w.end()...)
}

// consumed writes the ConsumedCapacity of several tables, if the request asks for it.
func (w *writer) consumed(req *node, usages []*usage, kind string) {
	how := consumption(req)
	if how == "" {
		return
	}
	w.name("ConsumedCapacity")
	w.b = appendList(w.b, len(usages), func(b []byte, i int) []byte { return usages[i].append(b, how, kind) })
}

// batchWriteItem answers BatchWriteItem. Every write is for itself; none is left unprocessed.
func (h *Handler) batchWriteItem(ctx context.Context, req *node) ([]byte, error) {
	asked := req.get("RequestItems")
	n := 0
	for i := range asked.list {
		for j := range asked.list[i].list {
			n++
			if err := checkBatched(&asked.list[i].list[j]); err != nil {
				return nil, err
			}
		}
	}
	if n > maxWrites {
		return nil, invalid("Too many items requested for the BatchWriteItem call")
	}
	tell := consumption(req) != ""
	var ops []table.Op
	var usages []*usage
	var of []*usage // of each op
	for i := range asked.list {
		d, err := h.open(ctx, asked.keys[i])
		if err != nil {
			return nil, err
		}
		use := newUsage(d)
		usages = append(usages, use)
		var keys []table.Key
		for j := range asked.list[i].list {
			op, err := d.batched(&asked.list[i].list[j], &params{blind: !tell})
			if err != nil {
				return nil, err
			}
			for _, k := range keys {
				if table.CompareKeys(k, op.Key) == 0 {
					return nil, invalid(duplicates)
				}
			}
			keys = append(keys, op.Key)
			ops, of = append(ops, op), append(of, use)
		}
	}
	metrics := newWriter()
	sizes := req.text("ReturnItemCollectionMetrics") == "SIZE"
	at := 0
	for i, ch := range h.opt.Tables.ApplyMany(ctx, ops) {
		if ch.Err != nil {
			return nil, ch.Err
		}
		if !tell {
			continue
		}
		of[i].write(of[i].d.item(ch.Before), of[i].d.item(ch.After))
	}
	for i, use := range usages {
		n := len(asked.list[i].list)
		if sizes && use.d.hasLocal() {
			metrics.name(asked.keys[i])
			metrics.b = appendList(metrics.b, n, func(b []byte, j int) []byte { return use.d.appendMetrics(b, ops[at+j].Key) })
		}
		at += n
	}
	w := newWriter()
	w.name("UnprocessedItems")
	w.b = append(w.b, "{}"...)
	if sizes && len(metrics.b) > 1 {
		w.name("ItemCollectionMetrics")
		w.b = append(w.b, metrics.end()...)
	}
	w.consumed(req, usages, "")
	return w.end(), nil
}

// checkBatched checks one write of a batch, as far as the table does not matter.
func checkBatched(n *node) error {
	put, remove := n.get("PutRequest"), n.get("DeleteRequest")
	switch {
	case (put == nil) == (remove == nil):
		return invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case remove != nil:
		if bad := remove.get("Key").bad; bad != nil {
			return bad
		}
		return nil
	}
	item := put.get("Item")
	if item.bad != nil {
		return item.bad
	}
	return checkSize(item.item)
}

// batched is one write of a batch.
func (d *described) batched(n *node, p *params) (table.Op, error) {
	if remove := n.get("DeleteRequest"); remove != nil {
		key, err := d.key(remove.get("Key").item)
		if err != nil {
			return table.Op{}, err
		}
		return d.remove(key, p)
	}
	item := n.get("PutRequest").get("Item").item
	for _, c := range d.spec.Key {
		if item[c.Name].Type != c.Type {
			return table.Op{}, invalid(notSchema)
		}
	}
	if err := d.checkItem(item); err != nil {
		return table.Op{}, err
	}
	return d.put(item, p)
}

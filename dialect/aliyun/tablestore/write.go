package tablestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/table"
)

func (c *call) putRow(ctx context.Context, req *rowRequest) (*rowResponse, error) {
	return c.writeRow(ctx, "PutRow", writePut, req)
}

func (c *call) updateRow(ctx context.Context, req *rowRequest) (*rowResponse, error) {
	return c.writeRow(ctx, "UpdateRow", writeUpdate, req)
}

func (c *call) deleteRow(ctx context.Context, req *rowRequest) (*rowResponse, error) {
	return c.writeRow(ctx, "DeleteRow", writeDelete, req)
}

func (c *call) writeRow(ctx context.Context, operation string, kind int32, req *rowRequest) (*rowResponse, error) {
	in, err := c.transaction(req.Transaction)
	if err != nil {
		return nil, err
	}
	spec, err := c.writable(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	extra := c.extraOf(spec)
	ch, err := c.newChange(spec, &extra, kind, &batchWriteRow{Row: req.Row, Condition: req.Condition, Return: req.Return})
	if err != nil {
		return nil, err
	}
	if err := checkSize(operation, ch.size); err != nil {
		return nil, err
	}
	if in != nil {
		err = in.allows(ch)
	}
	if err != nil {
		return nil, err
	}
	done, err := c.applier(in, ch.size)(ctx, []table.Op{ch.op()})
	if err == nil {
		err = done[0].Err
	}
	if err != nil {
		return nil, err
	}
	return &rowResponse{Consumed: ch.consumed(), Row: ch.returned(&done[0])}, nil
}

// applier does writes, each for itself: in a transaction, or at once.
func (c *call) applier(in *transaction, size int) func(context.Context, []table.Op) ([]table.Change, error) {
	return func(ctx context.Context, ops []table.Op) ([]table.Change, error) {
		if in != nil {
			return in.apply(ctx, ops, size)
		}
		return c.Tables.ApplyMany(ctx, ops), nil
	}
}

// consumed is what the write costs; a condition costs a read.
func (ch *change) consumed() consumedCapacity {
	unit := capacityUnit{Write: units(ch.size)}
	if ch.expect != expectIgnore || ch.filter != nil {
		unit.Read = 1
	}
	return consumedCapacity{unit}
}

// batchWriteRow checks all rows first: what is wrong with one row's key or table fails that row only,
// any other mistake fails the request before anything is written.
func (c *call) batchWriteRow(ctx context.Context, req *batchWriteRequest) (*batchResponse, error) {
	in, err := c.transaction(req.Transaction)
	if err != nil {
		return nil, err
	}
	if in != nil && req.Atomic {
		return nil, invalid("is_atomic can not be used in local transaction.")
	}
	if err := checkBatch(req); err != nil {
		return nil, err
	}
	resp := &batchResponse{}
	plans := make([]batchPlan, len(req.Tables))
	size := 0
	for i := range req.Tables {
		plan, err := c.planBatch(ctx, &req.Tables[i])
		if err != nil {
			return nil, err
		}
		for _, ch := range plan.changes {
			size += ch.size
			if in == nil {
				continue
			}
			if err := in.allows(ch); err != nil {
				return nil, err
			}
		}
		plans[i] = plan
		resp.Tables = append(resp.Tables, batchTable{Table: req.Tables[i].Table, Rows: plan.rows})
	}
	if err := checkSize("BatchWriteRow", size); err != nil {
		return nil, err
	}
	if req.Atomic {
		for i := range plans {
			plans[i].transact(ctx, c.Tables)
		}
	} else if err := applyPlans(ctx, c.applier(in, size), plans); err != nil {
		return nil, err
	}
	c.logFailures(req, plans)
	return resp, nil
}

// checkBatch checks the shape of a batch of writes.
func checkBatch(req *batchWriteRequest) error {
	rows, names := 0, map[string]bool{}
	for _, t := range req.Tables {
		if names[t.Table] {
			return invalid("Duplicated table name: '%s'.", t.Table)
		}
		names[t.Table] = true
		if len(t.Rows) == 0 {
			return invalid("No operation is specified for table: '%s'.", t.Table)
		}
		rows += len(t.Rows)
	}
	switch {
	case rows == 0:
		return invalid("No row is specified in BatchWriteRow.")
	case rows > maxWriteRows:
		return invalid("Rows count exceeds the upper limit: %d.", maxWriteRows)
	}
	return nil
}

// batchPlan is what a batch does to one table.
type batchPlan struct {
	changes []*change  // those that may be tried
	places  []int      // their indexes in rows
	rows    []batchRow // the answer, with the rows filled in that fail beforehand
	errs    []error    // of the rows, as they came
}

func (p *batchPlan) fail(row int, err error) {
	p.errs[row] = err
	f := faultOf(err)
	p.rows[row] = batchRow{Error: &errorMessage{f.Code, f.Message}}
}

func (p *batchPlan) succeed(i int, done *table.Change) {
	ch := p.changes[i]
	consumed := ch.consumed()
	p.rows[p.places[i]] = batchRow{OK: true, Consumed: &consumed, Row: ch.returned(done)}
}

// planBatch reads the writes to one table.
func (c *call) planBatch(ctx context.Context, t *batchWriteTable) (batchPlan, error) {
	plan := batchPlan{rows: make([]batchRow, len(t.Rows)), errs: make([]error, len(t.Rows))}
	spec, err := c.writable(ctx, t.Table)
	if err != nil && faultOf(err) != faultMissing {
		return plan, err
	}
	var extra extra
	if err == nil {
		extra = c.extraOf(spec)
	}
	seen := map[string]*change{}
	for i := range t.Rows {
		if err != nil {
			plan.fail(i, err)
			continue
		}
		m := &t.Rows[i]
		if m.Type < writePut || m.Type > writeDelete {
			return plan, invalid("Cannot deserialize the request data.")
		}
		ch, err := c.newChange(spec, &extra, m.Type, m)
		if err != nil {
			if !faultOf(err).ofRow() {
				return plan, err
			}
			plan.fail(i, err)
			continue
		}
		if !ch.auto {
			id := keyText(ch.key)
			for _, o := range []*change{seen[id], ch} {
				switch {
				case seen[id] == nil:
				case o.expect != expectIgnore:
					return plan, invalid("Repeated rows do not support row exist expectation check in BatchModify.")
				case o.filter != nil:
					return plan, invalid("Repeated rows do not support row condition check in BatchModify.")
				}
			}
			seen[id] = ch
		}
		plan.changes, plan.places = append(plan.changes, ch), append(plan.places, i)
	}
	return plan, nil
}

// applyPlans writes the rows of all tables, each for itself.
func applyPlans(ctx context.Context, apply func(context.Context, []table.Op) ([]table.Change, error), plans []batchPlan) error {
	var ops []table.Op
	for i := range plans {
		for _, ch := range plans[i].changes {
			ops = append(ops, ch.op())
		}
	}
	if len(ops) == 0 {
		return nil
	}
	done, err := apply(ctx, ops)
	if err != nil {
		return err
	}
	for i := range plans {
		p := &plans[i]
		for j := range p.changes {
			if err := done[j].Err; err != nil {
				p.fail(p.places[j], err)
			} else {
				p.succeed(j, &done[j])
			}
		}
		done = done[len(p.changes):]
	}
	return nil
}

// transact writes all rows of the table, which must share their partition key, or none.
func (p *batchPlan) transact(ctx context.Context, tables *table.Tables) {
	failAll := func(err error) {
		for row := range p.rows {
			if p.errs[row] == nil {
				p.fail(row, err)
			}
		}
	}
	ops := make([]table.Op, len(p.changes))
	for i, ch := range p.changes {
		ops[i] = ch.op()
		if first := p.changes[0].key[0]; table.Compare(first, ch.key[0]) != 0 {
			failAll(outOfAtomic(valueText(first), valueText(ch.key[0])))
			return
		}
	}
	for _, err := range p.errs {
		if err != nil {
			failAll(err)
			return
		}
	}
	done, err := tables.Transact(ctx, ops)
	var refused *table.TransactError
	if errors.As(err, &refused) {
		for i, err := range refused.Errs {
			if err != nil {
				p.fail(p.places[i], err)
			}
		}
		_, err = refused.First()
	}
	if err != nil {
		failAll(err)
		return
	}
	for i := range done {
		p.succeed(i, &done[i])
	}
}

// logFailures logs what the answer calls an internal error.
func (c *call) logFailures(req *batchWriteRequest, plans []batchPlan) {
	for i, p := range plans {
		for _, err := range p.errs {
			if err != nil && faultOf(err) == faultInternal {
				c.Log.Error("tablestore row failed", "dialect", "aliyun", "table", req.Tables[i].Table, "err", err)
			}
		}
	}
}

// keyText tells keys of one table apart.
func keyText(key table.Key) string {
	b := make([]byte, 0, 64)
	for _, v := range key {
		b = binary.BigEndian.AppendUint64(b, uint64(v.Int))
		b = append(binary.AppendUvarint(b, uint64(len(v.Str))), v.Str...)
	}
	return string(b)
}

// valueText shows a key value in an error.
func valueText(v table.Value) string {
	switch v.Type {
	case table.Int:
		return fmt.Sprint(v.Int)
	case table.Binary:
		return fmt.Sprintf("%x", v.Str)
	}
	return v.Str
}

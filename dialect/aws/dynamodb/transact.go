package dynamodb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/table"
)

// maxTransaction is how many bytes of items one transaction may have.
const maxTransaction = 4 << 20

// reason is a CancellationReason: why one item of a transaction stands in its way. The zero reason is
// that of an item that does not.
type reason struct {
	code, message string
	item          attr.Item
}

func (r reason) append(b []byte) []byte {
	w := newWriter()
	if r.item != nil {
		w.name("Item")
		w.b = attr.AppendItem(w.b, r.item)
	}
	w.name("Code")
	w.b = attr.AppendString(w.b, r.name())
	if r.message != "" {
		w.name("Message")
		w.b = attr.AppendString(w.b, r.message)
	}
	return append(b, w.end()...)
}

func (r reason) name() string {
	if r.code == "" {
		return "None"
	}
	return r.code
}

// cancelled is a TransactionCanceledException; nil when there is no reason for one.
func cancelled(reasons []reason) error {
	names, any := make([]string, len(reasons)), false
	for i, r := range reasons {
		names[i] = r.name()
		any = any || r.code != ""
	}
	if !any {
		return nil
	}
	f := newFault(service+"TransactionCanceledException",
		"Transaction cancelled, please refer cancellation reasons for specific reasons ["+strings.Join(names, ", ")+"]")
	f.reasons = reasons
	return f
}

// reasonOf turns the refusal of one item into a reason; ok is false for what is no refusal.
func reasonOf(err error) (r reason, ok bool) {
	f, theirs := faultOf(err)
	switch {
	case strings.Contains(f.message, emptyKey): // told before the transaction begins
		return r, false
	case !theirs || f.status != 400 || strings.HasSuffix(f.kind, "#ResourceNotFoundException"):
		return r, false
	case strings.HasSuffix(f.kind, "#ConditionalCheckFailedException"):
		return reason{"ConditionalCheckFailed", f.message, f.item}, true
	}
	return reason{code: "ValidationError", message: f.message}, true
}

// untold is a refusal that is no reason, in the words of transactions: those for an empty key are their own.
func untold(err error) error {
	if f, _ := faultOf(err); strings.Contains(f.message, emptyKey) {
		if what, ok := strings.CutPrefix(f.message, badValue("").message); ok {
			return invalid("One or more parameter values are not valid. " + what)
		}
	}
	return err
}

// transactGetItems answers TransactGetItems.
func (h *Handler) transactGetItems(ctx context.Context, req *node) ([]byte, error) {
	list := req.get("TransactItems").list
	asked := make([]*params, len(list))
	for i := range list {
		p, err := readParams(list[i].get("Get"), "Key")
		if err != nil {
			return nil, err
		}
		asked[i] = p
	}
	tables := usageSet{}
	of := make([]*usage, len(list))
	refs := make([]table.Ref, len(list))
	reasons := make([]reason, len(list))
	for i := range list {
		get := list[i].get("Get")
		d, err := h.open(ctx, get.text("TableName"))
		if err != nil {
			return nil, err
		}
		of[i] = tables.of(d)
		key, err := d.key(get.get("Key").item)
		if err == nil {
			err = d.checkScalars(asked[i].projection)
		}
		if err != nil {
			var ok bool
			if reasons[i], ok = reasonOf(err); !ok {
				return nil, untold(err)
			}
		}
		for _, other := range refs[:i] {
			if other.Table == d.spec && err == nil && table.CompareKeys(other.Key, key) == 0 {
				return nil, invalid("Transaction request cannot include multiple operations on one item")
			}
		}
		refs[i] = table.Ref{Table: d.spec, Key: key}
	}
	if err := cancelled(reasons); err != nil {
		return nil, err
	}
	rows, err := h.opt.Tables.GetMany(ctx, refs)
	if err != nil {
		return nil, err
	}
	total := 0
	w := newWriter()
	w.name("Responses")
	w.b = appendList(w.b, len(rows), func(b []byte, i int) []byte {
		row, d := rows[i], of[i].d
		size := 0
		b = append(b, '{')
		if row != nil {
			size = d.rowSize(row)
			b = append(b, `"Item":`...)
			if asked[i].projection == nil {
				b = d.appendRow(b, row)
			} else {
				b = attr.AppendItem(b, expr.Project(d.item(row), asked[i].projection))
			}
		}
		total += size
		of[i].table += 2 * readUnits(size, true)
		return append(b, '}')
	})
	if total > maxTransaction {
		return nil, invalid("Aggregated size of items in the transaction exceeds the limit of 4 MB")
	}
	w.consumed(req, tables.list, "Read")
	return w.end(), nil
}

// usageSet is what a transaction consumes, table by table, in the order of their first use.
type usageSet struct{ list []*usage }

func (s *usageSet) of(d *described) *usage {
	for _, u := range s.list {
		if u.d.spec.ID == d.spec.ID {
			return u
		}
	}
	u := newUsage(d)
	s.list = append(s.list, u)
	return u
}

// action is one item of a TransactWriteItems, or the write of an operation on one item.
type action struct {
	kind string // ConditionCheck, Put, Delete or Update
	req  *node
	p    *params
}

// newAction reads an action, as far as the table does not matter.
func newAction(kind string, req *node) (a action, err error) {
	a = action{kind: kind, req: req}
	switch kind {
	case "Put":
		a.p, err = readParams(req, "Item")
	case "Update":
		a.p, err = readUpdateParams(req)
	default:
		a.p, err = readParams(req, "Key")
	}
	return a, err
}

// readAction reads one item of a transaction.
func readAction(n *node) (action, error) {
	found, req := "", (*node)(nil)
	for _, kind := range []string{"ConditionCheck", "Put", "Delete", "Update"} {
		if m := n.get(kind); m != nil {
			if req != nil {
				return action{}, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
			}
			found, req = kind, m
		}
	}
	if req == nil {
		return action{}, invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
	}
	return newAction(found, req)
}

// op is the write of an action.
func (a action) op(d *described) (table.Op, error) {
	if a.kind == "Put" {
		item := a.req.get("Item").item
		if err := d.checkItem(item); err != nil {
			return table.Op{}, err
		}
		return d.put(item, a.p)
	}
	key, err := d.key(a.req.get("Key").item)
	if err != nil {
		return table.Op{}, err
	}
	switch a.kind {
	case "Delete":
		return d.remove(key, a.p)
	case "Update":
		return d.update(key, a.p)
	}
	if err := d.checkScalars(a.p.condition.Paths()); err != nil {
		return table.Op{}, err
	}
	return table.Op{Table: d.spec, Key: key, Do: func(cur *table.Row, _ int64) (*table.Row, error) {
		return cur, a.p.holds(d, cur)
	}}, nil
}

// transactWriteItems answers TransactWriteItems.
func (h *Handler) transactWriteItems(ctx context.Context, req *node) ([]byte, error) {
	list := req.get("TransactItems").list
	actions := make([]action, len(list))
	for i := range list {
		var err error
		if actions[i], err = readAction(&list[i]); err != nil {
			return nil, err
		}
	}
	tables := usageSet{}
	of := make([]*usage, len(list))
	ops := make([]table.Op, len(list))
	reasons := make([]reason, len(list))
	total := 0
	for i, a := range actions {
		d, err := h.open(ctx, a.req.text("TableName"))
		if err != nil {
			return nil, err
		}
		of[i] = tables.of(d)
		if ops[i], err = a.op(d); err != nil {
			var ok bool
			if reasons[i], ok = reasonOf(err); !ok {
				return nil, untold(err)
			}
			break // what comes after it, nobody looks at
		}
		same := func(o table.Op) bool {
			return o.Table != nil && o.Table.ID == d.spec.ID && table.CompareKeys(o.Key, ops[i].Key) == 0
		}
		if slices.ContainsFunc(ops[:i], same) {
			return nil, invalid("Transaction request cannot include multiple operations on one item")
		}
		for _, name := range []string{"Item", "Key", "ExpressionAttributeValues"} {
			if n := a.req.get(name); n != nil {
				total += attr.ItemSize(n.item)
			}
		}
	}
	if total > maxTransaction {
		return nil, invalid("Transaction payload size cannot exceed 4 MB")
	}
	if err := cancelled(reasons); err != nil {
		return nil, err
	}
	changes, err := h.transact(ctx, req, ops)
	if err != nil {
		return nil, err
	}
	metrics := map[string][]table.Key{}
	for i, op := range ops {
		if changes == nil { // done before, by the same request
			of[i].table += readUnits(0, true)
			continue
		}
		of[i].write(of[i].d.item(changes[i].Before), of[i].d.item(changes[i].After))
		metrics[op.Table.Name] = append(metrics[op.Table.Name], changes[i].Key)
	}
	w := newWriter()
	if req.text("ReturnItemCollectionMetrics") == "SIZE" {
		all := newWriter()
		for _, u := range tables.list {
			if keys := metrics[u.d.spec.Name]; u.d.hasLocal() && keys != nil {
				all.name(u.d.spec.Name)
				all.b = appendList(all.b, len(keys), func(b []byte, i int) []byte { return u.d.appendMetrics(b, keys[i]) })
			}
		}
		if len(all.b) > 1 {
			w.name("ItemCollectionMetrics")
			w.b = append(w.b, all.end()...)
		}
	}
	kind := "Write"
	if changes == nil {
		kind = "Read"
	}
	for _, u := range tables.list {
		u.times(2)
	}
	w.consumed(req, tables.list, kind)
	return w.end(), nil
}

// errDone says that a transaction with the same token has been done.
var errDone = errors.New("dynamodb: the transaction was done before")

// errOther says that another transaction had the same token.
var errOther = errors.New("dynamodb: another transaction had the token")

// tokenLife is how long a ClientRequestToken is remembered, in seconds.
const tokenLife = 600

// transact does all ops or none, but once only for one ClientRequestToken: the token is a row of a table
// of our own, written in the same transaction. The changes are nil when it has been done before.
func (h *Handler) transact(ctx context.Context, req *node, ops []table.Op) ([]table.Change, error) {
	token := req.text("ClientRequestToken")
	if token != "" {
		tokens, err := h.tokens(ctx)
		if err != nil {
			return nil, err
		}
		sum := digest(req.get("TransactItems"))
		ops = append(slices.Clone(ops), table.Op{Table: tokens, Key: table.Key{attr.String(token)},
			Do: func(cur *table.Row, now int64) (*table.Row, error) {
				switch {
				case cur == nil:
					return &table.Row{Columns: []table.Column{{Name: "sum", Cells: []table.Cell{{Value: table.Value{Type: table.Binary, Str: sum}}}}},
						Expires: now/1000 + tokenLife}, nil
				case cur.Columns[0].Cells[0].Value.Str == sum:
					return nil, errDone
				}
				return nil, errOther
			}})
	}
	changes, err := h.opt.Tables.Transact(ctx, ops)
	var refused *table.TransactError
	if !errors.As(err, &refused) {
		return changes, err
	}
	errs := refused.Errs
	if token != "" {
		switch last := errs[len(errs)-1]; {
		case errors.Is(last, errDone):
			return nil, nil
		case errors.Is(last, errOther):
			return nil, newFault(service+"IdempotentParameterMismatchException", "Request parameters do not match those of the first request with this ClientRequestToken")
		}
		errs = errs[:len(errs)-1]
	}
	reasons := make([]reason, len(errs))
	for i, err := range errs {
		if err == nil {
			continue
		}
		var ok bool
		if reasons[i], ok = reasonOf(err); !ok {
			return nil, err
		}
	}
	return nil, cancelled(reasons)
}

// tokens is the table of ClientRequestTokens, which no client sees.
func (h *Handler) tokens(ctx context.Context) (*table.Spec, error) {
	scope, name := h.scope+"/tokens", "tokens"
	spec, err := h.opt.Tables.Lookup(ctx, scope, name)
	if !isMissing(err) {
		return spec, err
	}
	spec, err = h.opt.Tables.Create(ctx, table.Spec{Scope: scope, Name: name, Key: []table.KeyColumn{{Name: "token", Type: table.String}}})
	if sluice.KindOf(err) == sluice.Exists {
		return h.opt.Tables.Lookup(ctx, scope, name)
	}
	return spec, err
}

// digest is the same for requests that differ in the order of members only.
func digest(n *node) string {
	var v any
	dec := json.NewDecoder(bytes.NewReader(n.raw))
	dec.UseNumber()
	_ = dec.Decode(&v) // it is valid
	sum := sha256.Sum256(marshal(v))
	return string(sum[:])
}

package tablestore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// A local transaction is a session of the table room under an id of ours. What it wrote is in the
// memory of this process until it is committed, so it ends with the process.

const (
	transactionLife    = time.Minute
	maxTransactions    = 4096 // at one time
	maxTransactionSize = 4 << 20
)

// transactions are those that are open.
type transactions struct {
	mu   sync.Mutex
	open map[transactionID]*transaction
}

// transactionID is an id within the instance that it was given to.
type transactionID struct{ instance, id string }

type transaction struct {
	*table.Session
	size atomic.Int64 // bytes of data written
}

// add remembers a transaction and forgets those that are past their time.
func (ts *transactions) add(id transactionID, t *transaction, now int64) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for id, old := range ts.open {
		if old.Ends() <= now {
			delete(ts.open, id)
		}
	}
	if len(ts.open) >= maxTransactions {
		return false
	}
	if ts.open == nil {
		ts.open = map[transactionID]*transaction{}
	}
	ts.open[id] = t
	return true
}

func (ts *transactions) find(id transactionID) *transaction {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.open[id]
}

func (ts *transactions) forget(id transactionID) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.open, id)
}

// transaction finds an open transaction; nil when no id is given.
func (c *call) transaction(id string) (*transaction, error) {
	if id == "" {
		return nil, nil
	}
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, invalid("TransactionID is invalid.")
	}
	if t := c.transactions.find(transactionID{c.instance, id}); t != nil {
		return t, nil
	}
	return nil, faultNoSession
}

// holds checks that a transaction may see or change rows with that key.
func (t *transaction) holds(spec *table.Spec, key table.Key) error {
	if !t.Holds(spec, key[0]) {
		return &fault{400, codeRange, "Data out of scope of transaction. Data PartKey:" + valueText(key[0])}
	}
	return nil
}

// apply does writes within the transaction.
func (t *transaction) apply(ctx context.Context, ops []table.Op, size int) ([]table.Change, error) {
	if t.size.Add(int64(size)) > maxTransactionSize {
		t.size.Add(-int64(size))
		return nil, faultSessionSize
	}
	return t.Apply(ctx, ops)
}

// allows checks that a change may be done in the transaction.
func (t *transaction) allows(ch *change) error {
	if ch.auto {
		return invalid("PKAutoIncr can't be used in local transaction.")
	}
	return t.holds(ch.spec, ch.key)
}

func (c *call) startTransaction(ctx context.Context, req *startTransactionRequest) (*transactionMessage, error) {
	spec, err := c.writable(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	row, err := parseRow(req.Key)
	if err != nil {
		return nil, invalid("Cell data broken, %s", err)
	}
	if len(row.Key) != 1 {
		return nil, invalid("StartLocalTransaction support only one primary key.")
	}
	key, _, err := checkKey(spec.Key[:1], row.Key, keyOfRead)
	if err != nil {
		return nil, err
	}
	if !spec.Sessions && extraOf(spec).LocalTxn == nil && !c.Strict {
		// Most SDKs cannot ask for local transactions when they make a table.
		spec, err = c.alter(ctx, req.Table, func(spec *table.Spec, _ *extra) error {
			spec.Sessions = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if !spec.Sessions {
		return nil, invalid("Try to call method using explicit transaction on explicit-transaction-disabled table")
	}
	session, err := c.Tables.Begin(ctx, spec, key[0], transactionLife)
	if err != nil {
		return nil, err
	}
	id := strings.ReplaceAll(strings.ToLower(sluice.NewRequestID()), "-", "")
	if !c.transactions.add(transactionID{c.instance, id}, &transaction{Session: session}, c.Now().UnixMilli()) {
		return nil, errors.Join(faultBusy, session.Abort(ctx))
	}
	return &transactionMessage{id}, nil
}

func (c *call) commitTransaction(ctx context.Context, req *transactionMessage) (*none, error) {
	return &none{}, c.endTransaction(ctx, req.ID, (*table.Session).Commit)
}

// abortTransaction answers with the id, without which the Node SDK cannot read the answer.
func (c *call) abortTransaction(ctx context.Context, req *transactionMessage) (*transactionMessage, error) {
	return req, c.endTransaction(ctx, req.ID, (*table.Session).Abort)
}

func (c *call) endTransaction(ctx context.Context, id string, end func(*table.Session, context.Context) error) error {
	if id == "" {
		return invalid("TransactionID is invalid.")
	}
	t, err := c.transaction(id)
	if err != nil {
		return err
	}
	err = end(t.Session, ctx)
	if !errors.Is(err, table.ErrBusy) {
		c.transactions.forget(transactionID{c.instance, id})
	}
	return err
}

package codes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

// Credentials sign calls to the table store. Token is empty for long-term keys.
type Credentials struct {
	ID, Secret, Token string
}

// Tablestore is the [Store] made of the official SDK. Functions receive fresh temporary credentials with
// every request; [Tablestore.Use] takes them in.
type Tablestore struct {
	endpoint, instance string
	transport          *http.Transport

	mu     sync.Mutex // guards what follows; never held during a call
	creds  Credentials
	client *tablestore.TableStoreClient
}

// NewTablestore returns a store for an instance. It makes no call.
func NewTablestore(endpoint, instance string) *Tablestore {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the environment's proxy
	t.MaxIdleConnsPerHost = 128
	t.MaxIdleConns = 256
	return &Tablestore{endpoint: endpoint, instance: instance, transport: t}
}

// Use makes later calls sign with these credentials. Empty ones are ignored.
func (t *Tablestore) Use(c Credentials) {
	if c.ID == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil && c == t.creds {
		return
	}
	t.creds = c
	t.client = tablestore.NewClientWithConfig(t.endpoint, t.instance, c.ID, c.Secret, c.Token, &tablestore.TableStoreConfig{
		// The SDK's own retries share an unguarded random source between goroutines; ours do not.
		RetryTimes:  0,
		HTTPTimeout: tablestore.HTTPTimeout{ConnectionTimeout: 5 * time.Second, RequestTimeout: 20 * time.Second},
		Transport:   t.transport,
	})
}

// call runs f with the present client. What the store refused before doing anything is tried again, with
// growing pauses, until ctx ends; anything else is up to the caller.
func (t *Tablestore) call(ctx context.Context, what string, f func(*tablestore.TableStoreClient) error) error {
	t.mu.Lock()
	client := t.client
	t.mu.Unlock()
	if client == nil {
		return errors.New("codes: no credentials for the table store")
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f(client)
		if err == nil {
			return nil
		}
		ots, ok := errors.AsType[*tablestore.OtsError](err)
		if ok && ots.Code == failed {
			return ErrCondition
		}
		if !ok || !refused(ots.Code) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := wait(ctx, pause); err != nil {
			return fmt.Errorf("%s: %w", what, ots)
		}
	}
}

// failed is the store's code for a condition that did not hold.
const failed = "OTSConditionCheckFail"

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// refused reports whether the code says that nothing was done and a later try may work.
func refused(code string) bool {
	switch code {
	case tablestore.ROW_OPERATION_CONFLICT, tablestore.NOT_ENOUGH_CAPACITY_UNIT, tablestore.TABLE_NOT_READY,
		tablestore.PARTITION_UNAVAILABLE, tablestore.SERVER_BUSY, tablestore.STORAGE_SERVER_BUSY:
		return true
	}
	return false
}

// Create implements [Store].
func (t *Tablestore) Create(ctx context.Context, table Table) error {
	meta := &tablestore.TableMeta{TableName: table.Name}
	for _, k := range table.Keys {
		kind := tablestore.PrimaryKeyType_STRING
		if k.Integer {
			kind = tablestore.PrimaryKeyType_INTEGER
		}
		if k.Auto {
			meta.AddPrimaryKeyColumnOption(k.Name, kind, tablestore.AUTO_INCREMENT)
		} else {
			meta.AddPrimaryKeyColumn(k.Name, kind)
		}
	}
	req := &tablestore.CreateTableRequest{
		TableMeta: meta, TableOption: tablestore.NewTableOption(-1, 1), ReservedThroughput: &tablestore.ReservedThroughput{},
	}
	if x := table.Index; x != nil {
		index := &tablestore.IndexMeta{IndexName: x.Name}
		index.AddPrimaryKeyColumn(x.By)
		meta.AddDefinedColumn(x.By, tablestore.DefinedColumn_STRING)
		for _, name := range x.Shows {
			meta.AddDefinedColumn(name, tablestore.DefinedColumn_STRING)
			index.AddDefinedColumn(name)
		}
		for _, name := range x.Numbers {
			meta.AddDefinedColumn(name, tablestore.DefinedColumn_INTEGER)
			index.AddDefinedColumn(name)
		}
		for _, k := range table.Keys {
			index.AddPrimaryKeyColumn(k.Name)
		}
		req.AddIndexMeta(index)
	}
	return t.call(ctx, "create table "+table.Name, func(c *tablestore.TableStoreClient) error {
		_, err := c.CreateTable(req)
		if ots, ok := errors.AsType[*tablestore.OtsError](err); ok && ots.Code == "OTSObjectAlreadyExist" {
			return nil
		}
		return err
	})
}

// Get implements [Store].
func (t *Tablestore) Get(ctx context.Context, table string, key Key) (Row, error) {
	var row Row
	err := t.call(ctx, "get from "+table, func(c *tablestore.TableStoreClient) error {
		resp, err := c.GetRow(&tablestore.GetRowRequest{SingleRowQueryCriteria: &tablestore.SingleRowQueryCriteria{
			TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), MaxVersion: 1,
		}})
		if err != nil {
			return err
		}
		if len(resp.PrimaryKey.PrimaryKeys) > 0 {
			row = columns(resp.Columns)
		}
		return nil
	})
	return row, err
}

// GetMany implements [Store].
func (t *Tablestore) GetMany(ctx context.Context, table string, keys []Key) ([]Row, error) {
	rows := make([]Row, len(keys))
	missing := make([]int, len(keys)) // places in keys that are still to be read
	for i := range missing {
		missing[i] = i
	}
	err := t.call(ctx, "get many from "+table, func(c *tablestore.TableStoreClient) error {
		q := &tablestore.MultiRowQueryCriteria{TableName: table, MaxVersion: 1}
		for _, i := range missing {
			q.AddRow(primaryKey(keys[i], tablestore.AUTO_INCREMENT))
		}
		resp, err := c.BatchGetRow(&tablestore.BatchGetRowRequest{MultiRowQueryCriteria: []*tablestore.MultiRowQueryCriteria{q}})
		if err != nil {
			return err
		}
		results := resp.TableToRowsResult[table]
		if len(results) != len(missing) {
			return fmt.Errorf("%d answers to %d keys", len(results), len(missing))
		}
		var again []int
		var first error
		for at, r := range results {
			switch {
			case !r.IsSucceed:
				again, first = append(again, missing[at]), rowError(r, first)
			case len(r.PrimaryKey.PrimaryKeys) > 0:
				rows[missing[at]] = columns(r.Columns)
			}
		}
		missing = again
		return first
	})
	return rows, err
}

// rowError is why one row of a batch failed. An error that cannot be tried again wins over one that can.
func rowError(r tablestore.RowResult, have error) error {
	if ots, ok := errors.AsType[*tablestore.OtsError](have); ok && !refused(ots.Code) {
		return have
	}
	return &tablestore.OtsError{Code: r.Error.Code, Message: r.Error.Message}
}

// Put implements [Store].
func (t *Tablestore) Put(ctx context.Context, table string, key Key, row Row, expect Expect) error {
	change := putChange(table, key, row, expect)
	return t.call(ctx, "put into "+table, func(c *tablestore.TableStoreClient) error {
		_, err := c.PutRow(&tablestore.PutRowRequest{PutRowChange: change})
		return err
	})
}

func putChange(table string, key Key, row Row, expect Expect) *tablestore.PutRowChange {
	change := &tablestore.PutRowChange{TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), Condition: condition(expect)}
	for name, value := range row {
		change.AddColumn(name, value)
	}
	return change
}

// PutNew implements [Store].
func (t *Tablestore) PutNew(ctx context.Context, table string, rows []Entry) ([]bool, error) {
	made := make([]bool, len(rows))
	left := make([]int, len(rows)) // places in rows that are still to be put
	for i := range left {
		left[i] = i
	}
	err := t.call(ctx, "put many into "+table, func(c *tablestore.TableStoreClient) error {
		req := new(tablestore.BatchWriteRowRequest)
		for _, i := range left {
			req.AddRowChange(putChange(table, rows[i].Key, rows[i].Row, Expect{Absent: true}))
		}
		resp, err := c.BatchWriteRow(req)
		if err != nil {
			return err
		}
		results := resp.TableToRowsResult[table]
		if len(results) != len(left) {
			return fmt.Errorf("%d answers to %d rows", len(results), len(left))
		}
		var again []int
		var first error
		for at, r := range results {
			switch {
			case r.IsSucceed:
				made[left[at]] = true
			case r.Error.Code != failed:
				again, first = append(again, left[at]), rowError(r, first)
			}
		}
		left = again
		return first
	})
	return made, err
}

// Update implements [Store].
func (t *Tablestore) Update(ctx context.Context, table string, key Key, ch Change, expect Expect) error {
	change := &tablestore.UpdateRowChange{TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), Condition: condition(expect)}
	for name, value := range ch.Set {
		change.PutColumn(name, value)
	}
	for name, n := range ch.Add {
		change.IncrementColumn(name, n)
	}
	for _, name := range ch.Remove {
		change.DeleteColumn(name)
	}
	return t.call(ctx, "update "+table, func(c *tablestore.TableStoreClient) error {
		_, err := c.UpdateRow(&tablestore.UpdateRowRequest{UpdateRowChange: change})
		return err
	})
}

// Delete implements [Store].
func (t *Tablestore) Delete(ctx context.Context, table string, key Key, expect Expect) error {
	change := &tablestore.DeleteRowChange{TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), Condition: condition(expect)}
	return t.call(ctx, "delete from "+table, func(c *tablestore.TableStoreClient) error {
		_, err := c.DeleteRow(&tablestore.DeleteRowRequest{DeleteRowChange: change})
		return err
	})
}

// Range implements [Store].
func (t *Tablestore) Range(ctx context.Context, q Query) (page []Entry, next Key, err error) {
	criteria := &tablestore.RangeRowQueryCriteria{TableName: q.Table, MaxVersion: 1, Limit: int32(q.Limit), ColumnsToGet: q.Columns}
	low, high := tablestore.MIN, tablestore.MAX
	criteria.Direction = tablestore.FORWARD
	if q.Backward {
		low, high = high, low
		criteria.Direction = tablestore.BACKWARD
	}
	criteria.StartPrimaryKey, criteria.EndPrimaryKey = primaryKey(q.From, low), primaryKey(q.To, high)
	err = t.call(ctx, "range over "+q.Table, func(c *tablestore.TableStoreClient) error {
		resp, err := c.GetRange(&tablestore.GetRangeRequest{RangeRowQueryCriteria: criteria})
		if err != nil {
			return err
		}
		for _, r := range resp.Rows {
			page = append(page, Entry{Key: keyOf(r.PrimaryKey), Row: columns(r.Columns)})
		}
		if resp.NextStartPrimaryKey != nil {
			next = keyOf(resp.NextStartPrimaryKey)
		}
		return nil
	})
	return page, next, err
}

// primaryKey is the SDK's form of a key; unset stands for the nil values.
func primaryKey(key Key, unset tablestore.PrimaryKeyOption) *tablestore.PrimaryKey {
	pk := new(tablestore.PrimaryKey)
	for _, f := range key {
		if f.Value == nil {
			pk.PrimaryKeys = append(pk.PrimaryKeys, &tablestore.PrimaryKeyColumn{ColumnName: f.Name, PrimaryKeyOption: unset})
		} else {
			pk.AddPrimaryKeyColumn(f.Name, f.Value)
		}
	}
	return pk
}

func keyOf(pk *tablestore.PrimaryKey) Key {
	key := make(Key, 0, len(pk.PrimaryKeys))
	for _, c := range pk.PrimaryKeys {
		key = append(key, Field{Name: c.ColumnName, Value: c.Value})
	}
	return key
}

func columns(cs []*tablestore.AttributeColumn) Row {
	row := make(Row, len(cs))
	for _, c := range cs {
		row[c.ColumnName] = c.Value
	}
	return row
}

func condition(e Expect) *tablestore.RowCondition {
	c := &tablestore.RowCondition{RowExistenceExpectation: tablestore.RowExistenceExpectation_IGNORE}
	switch {
	case e.Absent:
		c.RowExistenceExpectation = tablestore.RowExistenceExpectation_EXPECT_NOT_EXIST
	case e.Exists:
		c.RowExistenceExpectation = tablestore.RowExistenceExpectation_EXPECT_EXIST
	}
	var tests []tablestore.ColumnFilter
	for _, t := range e.Tests {
		op := tablestore.CT_EQUAL
		if t.Less {
			op = tablestore.CT_LESS_THAN
		}
		column := tablestore.NewSingleColumnCondition(t.Column, op, t.Value)
		column.FilterIfMissing = !t.Missing
		column.LatestVersionOnly = true
		tests = append(tests, column)
	}
	switch len(tests) {
	case 0:
	case 1:
		c.ColumnCondition = tests[0]
	default:
		all := tablestore.NewCompositeColumnCondition(tablestore.LO_AND)
		for _, t := range tests {
			all.AddFilter(t)
		}
		c.ColumnCondition = all
	}
	return c
}

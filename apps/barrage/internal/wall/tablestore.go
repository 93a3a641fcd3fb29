package wall

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

// Credentials sign calls to the table store. Token is empty for long-term keys.
type Credentials struct {
	ID, Secret, Token string
}

// Tablestore is the [Store] made of the official SDK. Functions receive fresh temporary
// credentials with every request; [Tablestore.Use] takes them in.
type Tablestore struct {
	endpoint, instance string
	transport          *http.Transport

	reads  gathering[read, *tablestore.RowResult]
	writes gathering[write, Key]
	newest map[string]Key // the last key that the store generated, by the name of its rest; the writes' call alone uses it
	mark   atomic.Int64   // the last one

	mu     sync.Mutex // guards what follows; never held during a call
	creds  Credentials
	client *tablestore.TableStoreClient
}

// NewTablestore returns a store for an instance. It makes no call.
func NewTablestore(endpoint, instance string) *Tablestore {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the environment's proxy
	t.MaxIdleConnsPerHost = 128
	t.MaxIdleConns = 256
	s := &Tablestore{endpoint: endpoint, instance: instance, transport: t, newest: map[string]Key{}}
	s.reads.largest, s.reads.alone, s.reads.call = 100, func(read) string { return "" }, readRows
	s.writes.largest, s.writes.alone, s.writes.call = 200, func(w write) string { return w.row }, s.writeRows
	s.mark.Store(rand.Int64())
	return s
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
		HTTPTimeout: tablestore.HTTPTimeout{ConnectionTimeout: 5 * time.Second, RequestTimeout: 10 * time.Second},
		Transport:   t.transport,
	})
}

// call runs f with the present client. What the store refused before doing anything is tried
// again, with growing pauses, until ctx ends; anything else is up to the caller.
func (t *Tablestore) call(ctx context.Context, what string, f func(*tablestore.TableStoreClient) error) error {
	t.mu.Lock()
	client := t.client
	t.mu.Unlock()
	if client == nil {
		return errors.New("wall: no credentials for the table store")
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f(client)
		if err == nil {
			return nil
		}
		ots, ok := errors.AsType[*tablestore.OtsError](err)
		if ok && ots.Code == "OTSConditionCheckFail" {
			return ErrCondition
		}
		if !ok || !refused(ots.Code) {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(pause):
		}
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
	return t.call(ctx, "create table "+table.Name, func(c *tablestore.TableStoreClient) error {
		_, err := c.CreateTable(&tablestore.CreateTableRequest{
			TableMeta:          meta,
			TableOption:        tablestore.NewTableOption(table.TTL, 1),
			ReservedThroughput: &tablestore.ReservedThroughput{},
		})
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
		found, err := t.reads.ask(read{client: c, table: table, key: primaryKey(key, tablestore.AUTO_INCREMENT), row: rowName(table, key)})
		if err == nil && len(found.PrimaryKey.PrimaryKeys) > 0 {
			row = columns(found.Columns)
		}
		return err
	})
	return row, err
}

// Put implements [Store].
func (t *Tablestore) Put(ctx context.Context, table string, key Key, row Row, expect Expect) (Key, error) {
	change := &tablestore.PutRowChange{TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), Condition: condition(expect)}
	for name, value := range row {
		change.AddColumn(name, value)
	}
	w := write{change: change}
	if last := len(key) - 1; key[last].Value != nil {
		w.row = rowName(table, key)
	} else {
		w.into, w.mark = rowName(table, key[:last]), t.mark.Add(1)
		change.AddColumn(columnMark, w.mark)
	}
	generated, err := t.write(ctx, "put into "+table, w)
	if w.row == "" {
		key = generated
	}
	return key, err
}

// Update implements [Store].
func (t *Tablestore) Update(ctx context.Context, table string, key Key, set Row, add map[string]int64, expect Expect) error {
	change := &tablestore.UpdateRowChange{TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), Condition: condition(expect)}
	for name, value := range set {
		change.PutColumn(name, value)
	}
	for name, n := range add {
		change.IncrementColumn(name, n)
	}
	_, err := t.write(ctx, "update "+table, write{change: change, row: rowName(table, key)})
	return err
}

// Delete implements [Store].
func (t *Tablestore) Delete(ctx context.Context, table string, key Key, expect Expect) error {
	change := &tablestore.DeleteRowChange{TableName: table, PrimaryKey: primaryKey(key, tablestore.AUTO_INCREMENT), Condition: condition(expect)}
	_, err := t.write(ctx, "delete from "+table, write{change: change, row: rowName(table, key)})
	return err
}

// write makes a change of a row and returns the key that the store generated, if it did.
func (t *Tablestore) write(ctx context.Context, what string, w write) (generated Key, err error) {
	err = t.call(ctx, what, func(c *tablestore.TableStoreClient) error {
		w.client = c
		generated, err = t.writes.ask(w)
		return err
	})
	return generated, err
}

// Range implements [Store].
func (t *Tablestore) Range(ctx context.Context, q Query) ([]Entry, error) {
	criteria := &tablestore.RangeRowQueryCriteria{TableName: q.Table, MaxVersion: 1}
	low, high := tablestore.MIN, tablestore.MAX
	criteria.Direction = tablestore.FORWARD
	if q.Backward {
		low, high = high, low
		criteria.Direction = tablestore.BACKWARD
	}
	criteria.StartPrimaryKey, criteria.EndPrimaryKey = primaryKey(q.From, low), primaryKey(q.To, high)
	var out []Entry
	for {
		if q.Limit > 0 {
			criteria.Limit = int32(q.Limit - len(out))
		}
		var next *tablestore.PrimaryKey
		err := t.call(ctx, "range over "+q.Table, func(c *tablestore.TableStoreClient) error {
			resp, err := c.GetRange(&tablestore.GetRangeRequest{RangeRowQueryCriteria: criteria})
			if err != nil {
				return err
			}
			for _, r := range resp.Rows {
				out = append(out, Entry{Key: keyOf(r.PrimaryKey), Row: columns(r.Columns)})
			}
			next = resp.NextStartPrimaryKey
			return nil
		})
		if err != nil || next == nil || q.Limit > 0 && len(out) >= q.Limit {
			return out, err
		}
		criteria.StartPrimaryKey = next
	}
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
	case e.Exists, e.Column != "":
		c.RowExistenceExpectation = tablestore.RowExistenceExpectation_EXPECT_EXIST
	}
	if e.Column != "" {
		column := tablestore.NewSingleColumnCondition(e.Column, tablestore.CT_EQUAL, e.Equals)
		column.FilterIfMissing = true
		column.LatestVersionOnly = true
		c.ColumnCondition = column
	}
	return c
}

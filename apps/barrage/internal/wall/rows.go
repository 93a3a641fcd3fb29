package wall

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

// columnMark holds a number that no other row of the table has, in rows whose key the store generated.
const columnMark = "mark"

// read asks for a row, and write for a change of one.
type (
	read struct {
		client *tablestore.TableStoreClient
		table  string
		key    *tablestore.PrimaryKey
		row    string // its name
	}
	write struct {
		client *tablestore.TableStoreClient
		change tablestore.RowChange
		row    string // its name; "" when the store is to generate its key
		into   string // then: the name of the rest of the key
		mark   int64  // and: what tells the row apart
	}
	reading = request[read, *tablestore.RowResult]
	writing = request[write, Key] // the answer is the key that was generated, if one was
)

// rowName tells rows apart, as a batch of writes may not hold one twice.
func rowName(table string, key Key) string {
	name := append(make([]byte, 0, 64), table...)
	for _, f := range key {
		name = append(name, ' ')
		switch v := f.Value.(type) {
		case string:
			name = strconv.AppendQuote(name, v)
		case int64:
			name = strconv.AppendInt(name, v, 10)
		}
	}
	return string(name)
}

// readRows answers reads with one call. Those of one row share what it finds.
func readRows(batch []*reading) {
	if len(batch) == 1 {
		readRow(batch[0])
		return
	}
	byTable := map[string]*tablestore.MultiRowQueryCriteria{}
	readers := map[string][][]*reading{} // of each of a table's rows
	place := map[string]int{}
	ask := &tablestore.BatchGetRowRequest{}
	for _, r := range batch {
		table := r.question.table
		criteria := byTable[table]
		if criteria == nil {
			criteria = &tablestore.MultiRowQueryCriteria{TableName: table, MaxVersion: 1}
			byTable[table] = criteria
			ask.MultiRowQueryCriteria = append(ask.MultiRowQueryCriteria, criteria)
		}
		i, asked := place[r.question.row]
		if !asked {
			i = len(readers[table])
			place[r.question.row] = i
			readers[table] = append(readers[table], nil)
			criteria.AddRow(r.question.key)
		}
		readers[table][i] = append(readers[table][i], r)
	}
	resp, err := batch[0].question.client.BatchGetRow(ask)
	if settled(batch, err, readRow) {
		return
	}
	for table, rows := range readers {
		found := resp.TableToRowsResult[table]
		for i, same := range rows {
			for _, r := range same {
				if r.err = rowError(found, i); r.err == nil {
					r.answer = &found[i]
				}
			}
		}
	}
}

func readRow(r *reading) {
	resp, err := r.question.client.GetRow(&tablestore.GetRowRequest{SingleRowQueryCriteria: &tablestore.SingleRowQueryCriteria{
		TableName: r.question.table, PrimaryKey: r.question.key, MaxVersion: 1,
	}})
	if r.err = err; err == nil {
		r.answer = &tablestore.RowResult{PrimaryKey: resp.PrimaryKey, Columns: resp.Columns}
	}
}

// writeRows makes the changes of different rows with one call.
func (t *Tablestore) writeRows(batch []*writing) {
	if len(batch) == 1 {
		t.writeRow(batch[0])
		return
	}
	ask := &tablestore.BatchWriteRowRequest{}
	writers := map[string][]*writing{} // by table, in the request's order
	made := map[string][]*writing{}    // whose keys the store generates, by where
	var asked []*writing
	for _, w := range batch {
		where := w.question.into
		if where != "" && t.newest[where] == nil {
			t.writeRow(w) // so that it is known where to look for the keys of the others
			continue
		}
		ask.AddRowChange(w.question.change)
		table := w.question.change.GetTableName()
		writers[table] = append(writers[table], w)
		asked = append(asked, w)
		if where != "" {
			made[where] = append(made[where], w)
		}
	}
	if len(asked) == 0 {
		return
	}
	client := batch[0].question.client
	resp, err := client.BatchWriteRow(ask)
	if settled(asked, err, t.writeRow) {
		return
	}
	for table, rows := range writers {
		for i, w := range rows {
			w.err = rowError(resp.TableToRowsResult[table], i)
		}
	}
	for where, rows := range made {
		t.findKeys(client, where, rows)
	}
}

// findKeys looks for the keys that the store generated for a batch's rows, which its answer does not tell:
// they are beyond every key that was generated there before.
func (t *Tablestore) findKeys(client *tablestore.TableStoreClient, where string, rows []*writing) {
	rows = slices.DeleteFunc(rows, func(w *writing) bool { return w.err != nil })
	marked := map[int64]*writing{}
	for _, w := range rows {
		marked[w.question.mark] = w
	}
	from := slices.Clone(t.newest[where])
	last := len(from) - 1
	to := slices.Clone(from)
	from[last].Value, to[last].Value = from.Int(from[last].Name)+1, nil
	criteria := &tablestore.RangeRowQueryCriteria{
		Direction: tablestore.FORWARD, MaxVersion: 1, ColumnsToGet: []string{columnMark},
		StartPrimaryKey: primaryKey(from, tablestore.MIN), EndPrimaryKey: primaryKey(to, tablestore.MAX),
	}
	for len(marked) > 0 {
		criteria.TableName = rows[0].question.change.GetTableName()
		resp, err := client.GetRange(&tablestore.GetRangeRequest{RangeRowQueryCriteria: criteria})
		for i := 0; err == nil && i < len(resp.Rows); i++ {
			mark, _ := columns(resp.Rows[i].Columns)[columnMark].(int64)
			if w := marked[mark]; w != nil {
				w.answer = keyOf(resp.Rows[i].PrimaryKey)
				t.newest[where] = w.answer
				delete(marked, mark)
			}
		}
		if err == nil && resp.NextStartPrimaryKey == nil {
			err = errors.New("the store does not show a row that it took")
		}
		if err != nil {
			for _, w := range marked {
				w.err = err
			}
			return
		}
		criteria.StartPrimaryKey = resp.NextStartPrimaryKey
	}
}

// writeRow makes one change with a call of its own.
func (t *Tablestore) writeRow(w *writing) {
	q := w.question
	switch c := q.change.(type) {
	case *tablestore.PutRowChange:
		if q.into != "" {
			c.SetReturnPk()
		}
		var resp *tablestore.PutRowResponse
		resp, w.err = q.client.PutRow(&tablestore.PutRowRequest{PutRowChange: c})
		if q.into != "" && w.err == nil {
			w.answer = keyOf(&resp.PrimaryKey)
			t.newest[q.into] = w.answer
		}
	case *tablestore.UpdateRowChange:
		_, w.err = q.client.UpdateRow(&tablestore.UpdateRowRequest{UpdateRowChange: c})
	case *tablestore.DeleteRowChange:
		_, w.err = q.client.DeleteRow(&tablestore.DeleteRowRequest{DeleteRowChange: c})
	default:
		w.err = fmt.Errorf("no call for a %T", c)
	}
}

// settled deals with a whole batch's error. A batch that the store refused is asked again row by row, so
// that one request's mistake is nobody else's; of one that got no answer nobody knows what was done.
func settled[Q, A any](batch []*request[Q, A], err error, alone func(*request[Q, A])) bool {
	if err == nil {
		return false
	}
	ots, ok := errors.AsType[*tablestore.OtsError](err)
	refused := ok && ots.HttpStatusCode/100 == 4
	for _, r := range batch {
		if refused {
			alone(r)
		} else {
			r.err = err
		}
	}
	return true
}

// rowError is what a batch's answer says of its i-th row of a table.
func rowError(rows []tablestore.RowResult, i int) error {
	switch {
	case i >= len(rows):
		return errors.New("the store's answer lacks rows")
	case !rows[i].IsSucceed:
		return &tablestore.OtsError{Code: rows[i].Error.Code, Message: rows[i].Error.Message}
	}
	return nil
}

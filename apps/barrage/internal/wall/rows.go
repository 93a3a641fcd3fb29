package wall

import (
	"errors"
	"fmt"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

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
		row    string // its name
	}
	reading = request[read, *tablestore.RowResult]
	writing = request[write, struct{}]
)

// rowName tells rows apart, as a batch of writes may not hold one twice.
func rowName(table string, key Key) string { return fmt.Sprintf("%s %q", table, key) }

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
func writeRows(batch []*writing) {
	if len(batch) == 1 {
		writeRow(batch[0])
		return
	}
	ask := &tablestore.BatchWriteRowRequest{}
	writers := map[string][]*writing{} // by table, in the request's order
	for _, w := range batch {
		ask.AddRowChange(w.question.change)
		table := w.question.change.GetTableName()
		writers[table] = append(writers[table], w)
	}
	resp, err := batch[0].question.client.BatchWriteRow(ask)
	if settled(batch, err, writeRow) {
		return
	}
	for table, rows := range writers {
		for i, w := range rows {
			w.err = rowError(resp.TableToRowsResult[table], i)
		}
	}
}

func writeRow(w *writing) {
	switch c := w.question.change.(type) {
	case *tablestore.PutRowChange:
		_, w.err = w.question.client.PutRow(&tablestore.PutRowRequest{PutRowChange: c})
	case *tablestore.UpdateRowChange:
		_, w.err = w.question.client.UpdateRow(&tablestore.UpdateRowRequest{UpdateRowChange: c})
	case *tablestore.DeleteRowChange:
		_, w.err = w.question.client.DeleteRow(&tablestore.DeleteRowRequest{DeleteRowChange: c})
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

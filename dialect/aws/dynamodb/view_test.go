package dynamodb

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/table"
)

func TestItemsOfALargeTableAreCountedAboutRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", simpleTable)
	d, err := w.h.find(t.Context(), "Tab")
	if err != nil {
		t.Fatal(err)
	}
	const items = 130_000
	var ops []table.Op
	for i := range items {
		row := &table.Row{Key: table.Key{{Type: table.String, Str: fmt.Sprint("item ", i)}}}
		ops = append(ops, table.Op{Table: d.spec, Key: row.Key, Do: func(*table.Row, int64) (*table.Row, error) { return row, nil }})
		if len(ops) == 10_000 {
			for _, ch := range w.tables.ApplyMany(t.Context(), ops) {
				if ch.Err != nil {
					t.Fatal(ch.Err)
				}
			}
			ops = ops[:0]
		}
	}
	var answer struct {
		Table struct{ ItemCount, TableSizeBytes float64 }
	}
	if err := json.Unmarshal([]byte(w.ok("DescribeTable", `{"TableName":"Tab"}`)), &answer); err != nil {
		t.Fatal(err)
	}
	got := answer.Table
	if got.ItemCount < items*0.97 || got.ItemCount > items*1.03 || got.TableSizeBytes/got.ItemCount < 11 || got.TableSizeBytes/got.ItemCount > 13 {
		t.Errorf("%v items of %v bytes, want about %d", got.ItemCount, got.TableSizeBytes, items)
	}
}

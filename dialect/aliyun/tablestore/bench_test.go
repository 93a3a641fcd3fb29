package tablestore

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluicehq/sluice/table"
)

// BenchmarkBatchWriteRow is a batch of 30 rows of three kinds, as an app that gathers its writes sends it.
func BenchmarkBatchWriteRow(b *testing.B) {
	c := newServer(b, nil).operator("bench")
	c.createTable("message", plainOptions, keySchema{Name: "gid", Type: 1}, keySchema{Name: "id", Type: 1, Option: new(int32(autoIncrement))})
	c.createTable("receipt", plainOptions, keySchema{Name: "from", Type: 2}, keySchema{Name: "cid", Type: 2})
	text := func(name, s string) cell {
		return cell{Name: name, Kind: vtString, Value: table.Value{Type: table.String, Str: s}}
	}
	number := func(name string, n int64) cell {
		return cell{Name: name, Kind: vtInteger, Value: table.Value{Type: table.Int, Int: n}}
	}
	h := New(Options{Tables: c.tables, Keys: c.keys, Log: slog.New(slog.DiscardHandler), Now: c.now})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		b.StopTimer()
		var req batchWriteRequest
		req.Tables = []batchWriteTable{{Table: "message"}, {Table: "receipt"}}
		for range 10 {
			i++
			from, cid := fmt.Sprint("player-", i), fmt.Sprint("1795112345678901234-", i)
			req.Tables[0].Rows = append(req.Tables[0].Rows, batchWriteRow{Type: writePut, Row: plainRow(wireRow{
				Key: []cell{number("gid", 1), {Name: "id", Kind: vtAuto}},
				Cells: []cell{text("fromId", from), text("fromName", from), text("color", "#ffffff"), text("fontSize", "28px"), number("checkStatus", 1),
					text("sendTime", "1795112345678"), text("checkTime", "1795112345678"), text("message", "hello from "+from), number("likes", 0), text("cid", cid), number("mark", int64(i))},
			})})
			key := []cell{text("from", from), text("cid", cid)}
			req.Tables[1].Rows = append(req.Tables[1].Rows,
				batchWriteRow{Type: writePut, Condition: condition{Existence: expectNotExist}, Row: plainRow(wireRow{Key: key, Cells: []cell{text("begun", "1795112345678")}})},
				batchWriteRow{Type: writeUpdate, Row: plainRow(wireRow{Key: []cell{text("from", from+"x"), text("cid", cid)}, Cells: []cell{number("id", int64(i))}})})
		}
		r := c.request("BatchWriteRow", marshal(&req))
		w := httptest.NewRecorder()
		b.StartTimer()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			body, _ := io.ReadAll(w.Body)
			b.Fatalf("%d %q", w.Code, body)
		}
	}
}

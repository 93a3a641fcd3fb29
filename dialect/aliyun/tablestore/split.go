package tablestore

import (
	"context"

	"github.com/sluicehq/sluice/table"
)

// splitUnit is what split_size counts when the request names no unit.
const splitUnit = 100 << 20

// computeSplitPoints cuts a table into stretches of about one size, between values of the partition
// key. It walks the table, so its time grows with it.
func (c *call) computeSplitPoints(ctx context.Context, req *splitPointsRequest) (*splitPointsResponse, error) {
	src, err := c.source(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	unit, limit := int64(splitUnit), int32(0)
	if req.Unit != nil {
		unit = *req.Unit
	}
	if req.Limit != nil {
		limit = *req.Limit
	}
	if req.Size <= 0 || unit <= 0 || limit < 0 || req.Size > 1<<62/unit {
		return nil, invalid("Split size must be greater than 0.")
	}
	size := req.Size * unit
	resp := &splitPointsResponse{Schema: src.meta().Key}
	rg := table.Range{Table: src.spec, Index: src.index, MaxBytes: int(min(size, maxRangeSize))}
	var last table.Value
	for seen := int64(0); limit == 0 || len(resp.Points) < int(limit); {
		page, err := c.Tables.Scan(ctx, rg)
		if err != nil {
			return nil, err
		}
		if page.Next == nil {
			break
		}
		rg.From = page.Next
		seen += int64(page.Seen)
		first := page.Next[:1]
		if seen >= size && (last.Type == table.Null || table.Compare(first[0], last) != 0) {
			resp.Points = append(resp.Points, appendRow(appendHeader(nil), wireRow{Key: keyCells(src.key[:1], first)}))
			last, seen = first[0], 0
		}
	}
	resp.Consumed = readUnits(0)
	resp.Locations = []splitLocation{{Repeat: zigzag(int64(len(resp.Points) + 1))}}
	return resp, nil
}

// zigzag is a sint64 as the varint that it is on the wire.
func zigzag(n int64) int64 { return n<<1 ^ n>>63 }

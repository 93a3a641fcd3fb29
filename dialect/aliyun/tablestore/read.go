package tablestore

import (
	"context"

	"github.com/sluicehq/sluice/table"
)

const noVersion = "No version condition is specified."

func (c *call) getRow(ctx context.Context, req *getRowRequest) (*getRowResponse, error) {
	src, err := c.sourceIn(ctx, req.Table, req.Transaction)
	if err != nil {
		return nil, err
	}
	sel, err := newSelection(src.key, req, noVersion)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(src.key, req.Key, keyOfRead)
	if err != nil {
		return nil, err
	}
	rows, err := src.get(ctx, c.Tables, []table.Key{key})
	if err != nil {
		return nil, err
	}
	blob, consumed := sel.blob(rows[0])
	return &getRowResponse{Consumed: consumed, Row: blob}, nil
}

// blob is one row as answers carry it, empty when the client shall not see it, and its price.
func (s *selection) blob(row *table.Row) ([]byte, consumedCapacity) {
	if row != nil {
		if w, ok := s.of(row); ok {
			return appendRow(appendHeader(nil), w), readUnits(w.size())
		}
	}
	return []byte{}, readUnits(0)
}

func readUnits(size int) consumedCapacity {
	return consumedCapacity{capacityUnit{Read: units(size)}}
}

// batchGetRow reads the rows that can be read; what is wrong with a key or table fails its rows only.
func (c *call) batchGetRow(ctx context.Context, req *batchGetRequest) (*batchResponse, error) {
	n, names := 0, map[string]bool{}
	for _, t := range req.Tables {
		if names[t.Table] {
			return nil, invalid("Duplicated table name: '%s'.", t.Table)
		}
		names[t.Table] = true
		n += len(t.Keys)
	}
	if len(req.Tables) == 0 {
		return nil, invalid("No row specified in the request of BatchGetRow.")
	}
	if n > maxGetRows {
		return nil, invalid("Rows count exceeds the upper limit: %d.", maxGetRows)
	}
	resp := &batchResponse{}
	for i := range req.Tables {
		rows, err := c.batchGetTable(ctx, &req.Tables[i])
		if err != nil {
			return nil, err
		}
		resp.Tables = append(resp.Tables, batchTable{Table: req.Tables[i].Table, Rows: rows})
	}
	return resp, nil
}

func (c *call) batchGetTable(ctx context.Context, t *batchGetTable) ([]batchRow, error) {
	rows := make([]batchRow, len(t.Keys))
	fail := func(i int, err error) {
		f := faultOf(err)
		rows[i] = batchRow{Error: &errorMessage{f.Code, f.Message}}
	}
	src, err := c.source(ctx, t.Table)
	if err != nil {
		if faultOf(err) != faultMissing {
			return nil, err
		}
		for i := range rows {
			fail(i, err)
		}
		return rows, nil
	}
	sel, err := newSelection(src.key, &getRowRequest{
		Columns: t.Columns, Time: t.Time, MaxVersions: t.MaxVersions, Filter: t.Filter, Start: t.Start, End: t.End,
	}, "No version condition is specified while querying row.")
	if err != nil {
		return nil, err
	}
	var keys []table.Key
	var places []int
	for i, b := range t.Keys {
		key, err := parseKey(src.key, b, keyOfRead)
		if err != nil {
			if !faultOf(err).ofRow() {
				return nil, err
			}
			fail(i, err)
			continue
		}
		keys, places = append(keys, key), append(places, i)
	}
	found, err := src.get(ctx, c.Tables, keys)
	if err != nil {
		return nil, err
	}
	for i, row := range found {
		blob, consumed := sel.blob(row)
		rows[places[i]] = batchRow{OK: true, Consumed: &consumed, Row: blob}
	}
	return rows, nil
}

func (c *call) getRange(ctx context.Context, req *getRangeRequest) (*getRangeResponse, error) {
	src, err := c.sourceIn(ctx, req.Table, req.Transaction)
	if err != nil {
		return nil, err
	}
	sel, err := newSelection(src.key, &getRowRequest{
		Columns: req.Columns, Time: req.Time, MaxVersions: req.MaxVersions, Filter: req.Filter, Start: req.Start, End: req.End,
	}, noVersion)
	if err != nil {
		return nil, err
	}
	limit := maxRangeRows
	if req.Limit != nil {
		if *req.Limit <= 0 {
			return nil, invalid("The limit must be greater than 0.")
		}
		limit = min(limit, int(*req.Limit))
	}
	rg, err := rangeOf(src, req)
	if err != nil {
		return nil, err
	}
	resp := &getRangeResponse{Rows: []byte{}}
	var rows []wireRow // of a matrix
	size, next, err := c.walk(ctx, src, rg, limit, sel, func(w wireRow) {
		if req.matrix() {
			rows = append(rows, w)
			return
		}
		if len(resp.Rows) == 0 {
			resp.Rows = appendHeader(nil)
		}
		resp.Rows = appendRow(resp.Rows, w)
	})
	if err != nil {
		return nil, err
	}
	if req.matrix() {
		resp.Block, resp.Rows = blockMatrix, appendMatrix(nil, src.key, req.Columns, rows)
	}
	resp.Consumed = readUnits(size)
	if next != nil {
		resp.Next = appendRow(appendHeader(nil), wireRow{Key: keyCells(src.key, next)})
	}
	return resp, nil
}

// rangeOf reads the bounds and the direction of a range.
func rangeOf(src *source, req *getRangeRequest) (table.Range, error) {
	rg := table.Range{Table: src.spec, Index: src.index, Reverse: req.Direction == 1}
	var err error
	if rg.From, err = parseKey(src.key, req.From, keyOfRange); err != nil {
		return rg, err
	}
	if rg.To, err = parseKey(src.key, req.To, keyOfRange); err != nil {
		return rg, err
	}
	order := table.CompareKeys(rg.From, rg.To)
	switch {
	case req.Direction != 0 && req.Direction != 1:
		return rg, invalid("Cannot deserialize the request data.")
	case !rg.Reverse && order >= 0:
		return rg, invalid("Begin key must less than end key in FORWARD")
	case rg.Reverse && order <= 0:
		return rg, invalid("Begin key must more than end key in BACKWARD")
	}
	if src.in != nil {
		if err := src.in.holds(src.spec, rg.From); err != nil {
			return rg, err
		}
		return rg, src.in.holds(src.spec, rg.To)
	}
	return rg, nil
}

// walk shows up to limit selected rows of a range. It looks at no more rows and bytes than one call
// may; next is the key of the row to go on with, nil at the range's end.
func (c *call) walk(ctx context.Context, src *source, rg table.Range, limit int, sel *selection, show func(wireRow)) (size int, next table.Key, err error) {
	rows, left := maxRangeRows, maxRangeSize
	for {
		chunk := limit
		if sel.hides() {
			chunk = max(limit, 200)
		}
		rg.MaxRows, rg.MaxBytes = min(rows, chunk), left
		page, err := src.scan(ctx, c.Tables, rg)
		if err != nil {
			return 0, nil, err
		}
		for i := range page.Rows {
			if limit == 0 {
				return size, page.Rows[i].Key, nil
			}
			if w, ok := sel.of(&page.Rows[i]); ok {
				show(w)
				size += w.size()
				limit--
			}
		}
		rows, left = rows-rg.MaxRows, left-page.Seen
		if page.Next == nil || limit == 0 || rows <= 0 || left <= 0 {
			return size, page.Next, nil
		}
		rg.From = page.Next
	}
}

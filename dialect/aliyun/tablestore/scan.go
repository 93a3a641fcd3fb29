package tablestore

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sluicehq/sluice/table"
)

// A parallel scan has one split: rows come in the order of keys. Its session is in the tokens, which
// end when the client lets their time run out.

const (
	scanSession   = "scan"
	scanAlive     = 60 // seconds unless the client says otherwise
	defaultScan   = 2000
	maxScan       = 2000
	maxScanAlive  = 3600
	maxScanSplits = 1
)

// scanCursor is where a page of a scan ended.
type scanCursor struct {
	Key   table.Key
	Until int64 // unix ms
}

func (c *call) computeSplits(ctx context.Context, req *computeSplitsRequest) (*computeSplitsResponse, error) {
	if req.Index == nil || req.Index.Name == "" {
		return nil, invalid("[search index splits options] must not be null")
	}
	if _, _, err := c.openSearch(ctx, req.Table, req.Index.Name); err != nil {
		return nil, err
	}
	return &computeSplitsResponse{[]byte(scanSession), maxScanSplits}, nil
}

func (c *call) parallelScan(ctx context.Context, req *parallelScanRequest) (*parallelScanResponse, error) {
	s, _, err := c.openSearch(ctx, req.Table, req.Index)
	if err != nil {
		return nil, err
	}
	var m scanQuery
	if err := unmarshal(req.Query, &m); err != nil || m.Query == nil {
		return nil, invalid("[parallel_scan.query] must not be null")
	}
	parallel, id, alive := int32(maxScanSplits), int32(0), int64(scanAlive)
	s.columns, s.limit, s.order = req.Columns, defaultScan, &ordering{}
	for _, given := range []struct{ to, from *int32 }{{&parallel, m.Parallel}, {&id, m.ID}} {
		if given.from != nil {
			*given.to = *given.from
		}
	}
	if m.Limit != nil {
		s.limit = int(*m.Limit)
	}
	if m.Alive != nil {
		alive = int64(*m.Alive)
	}
	switch {
	case parallel < 1 || parallel > maxScanSplits:
		return nil, invalid("[parallel_scan.max_parallel_id] must in (0 ,%d], current max_parallel_id is %d", maxScanSplits, parallel)
	case id < 0 || id >= parallel:
		return nil, invalid("[parallel_scan.current_parallel_id] must in [0, max_parallel), current max_parallel is %d, current_parallel_id is %d", parallel, id)
	case s.limit < 1 || s.limit > maxScan:
		return nil, invalid("[parallel_scan.limit] must in (0, %d], current limit is %d", maxScan, s.limit)
	case alive < 1 || alive > maxScanAlive:
		return nil, invalid("[parallel_scan.alive_time] must in (0, %d], current alive_time is %d", maxScanAlive, alive)
	case len(req.Session) > 0 && string(req.Session) != scanSession:
		return nil, faultExpired
	}
	s.query = m.Query
	if s.matches, err = s.queries.build(m.Query); err != nil {
		return nil, err
	}
	now := c.Now()
	if len(m.Token) > 0 {
		var at scanCursor
		if json.Unmarshal(m.Token, &at) != nil || len(at.Key) != len(s.spec.Key) {
			return nil, invalid("[parallel_scan.token] is invalid")
		}
		if at.Until < now.UnixMilli() {
			return nil, faultExpired
		}
		s.after = &cursor{Key: at.Key}
	}
	_, hits, _, err := s.run(ctx, c.Tables)
	if err != nil {
		return nil, err
	}
	resp := &parallelScanResponse{}
	for i := range hits {
		resp.Rows = append(resp.Rows, appendRow(appendHeader(nil), s.shown(&hits[i].row)))
	}
	// The page after the last is empty and has no token: so clients expect the end.
	if n := len(hits); n > 0 {
		until := now.Add(time.Duration(alive) * time.Second).UnixMilli()
		resp.Next, err = json.Marshal(scanCursor{slices.Clone(hits[n-1].row.Key), until})
	}
	return resp, err
}

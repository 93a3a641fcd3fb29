package tablestore

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// A table's stream is read through the one shard that ours have. An iterator is the stream's id and
// the number of the next record, so it needs no memory here. What a TTL has removed is not told.

const (
	actionPut    = 1
	actionUpdate = 2
	actionDelete = 3

	streamActive     = 2
	maxStreamRecords = 1000 // of one answer
)

// A record's note is the kind of the write (writePut ...) and, for an update, its PlainBuffer.
func (ch *change) note() []byte {
	if ch.spec.Stream == nil {
		return nil
	}
	note := []byte{byte(ch.kind)}
	if ch.kind == writeUpdate {
		note = append(note, ch.raw...)
	}
	return note
}

// shardOf is the id of a stream's only shard.
func shardOf(stream string) string { return stream + "_0" }

func (c *call) listStream(ctx context.Context, req *listStreamRequest) (*listStreamResponse, error) {
	resp := &listStreamResponse{}
	add := func(spec *table.Spec) {
		if d := streamOf(spec); d.Enable {
			resp.Streams = append(resp.Streams, streamMessage{d.ID, spec.Name, *d.LastEnable})
		}
	}
	if req.Table != "" {
		spec, err := c.lookup(ctx, req.Table)
		if err != nil {
			return nil, err
		}
		add(spec)
		return resp, nil
	}
	specs, err := c.Tables.List(ctx, c.instance)
	for _, spec := range specs {
		add(spec)
	}
	return resp, err
}

// stream finds the table of a stream that is there.
func (c *call) stream(ctx context.Context, id string) (*table.Spec, streamDetails, error) {
	end := strings.LastIndexByte(id, '_')
	if end < 0 {
		return nil, streamDetails{}, faultNoStream
	}
	spec, err := c.lookup(ctx, id[:end])
	if sluice.KindOf(err) == sluice.Missing || err == nil && streamOf(spec).ID != id {
		err = faultNoStream
	}
	if err != nil {
		return nil, streamDetails{}, err
	}
	return spec, streamOf(spec), nil
}

func (c *call) describeStream(ctx context.Context, req *describeStreamRequest) (*describeStreamResponse, error) {
	spec, d, err := c.stream(ctx, req.Stream)
	if err != nil {
		return nil, err
	}
	resp := &describeStreamResponse{Stream: d.ID, Hours: *d.Hours, Table: spec.Name, Created: *d.LastEnable, Status: streamActive}
	if shard := shardOf(d.ID); req.Start == "" || req.Start <= shard {
		resp.Shards = []shardMessage{{shard}}
	}
	return resp, nil
}

func (c *call) getShardIterator(ctx context.Context, req *shardIteratorRequest) (*shardIteratorResponse, error) {
	spec, d, err := c.stream(ctx, req.Stream)
	if err != nil {
		return nil, err
	}
	if req.Shard != shardOf(d.ID) {
		return nil, invalid("Invalid shard id: '%s'.", req.Shard)
	}
	if req.Timestamp < 0 {
		return nil, invalid("Invalid timestamp: %d.", req.Timestamp)
	}
	lo, hi, err := c.Tables.StreamBounds(ctx, spec)
	if err != nil {
		return nil, err
	}
	// Records of an earlier stream of the table may still be there.
	since := max(req.Timestamp, *d.LastEnable) / 1000
	for lo < hi {
		mid := lo + (hi-lo)/2
		recs, err := c.Tables.ReadStream(ctx, spec, mid, 1)
		if err != nil {
			return nil, err
		}
		if len(recs) == 0 || recs[0].Time >= since {
			hi = mid
		} else {
			lo = recs[0].Seq + 1
		}
	}
	return &shardIteratorResponse{iteratorOf(d.ID, lo)}, nil
}

func iteratorOf(stream string, seq uint64) string { return fmt.Sprintf("%s/%d", stream, seq) }

func (c *call) getStreamRecord(ctx context.Context, req *streamRecordRequest) (*streamRecordResponse, error) {
	id, number, ok := strings.Cut(req.Iterator, "/")
	seq, err := strconv.ParseUint(number, 10, 63)
	if err != nil || !ok || seq == 0 {
		return nil, invalid("Invalid shard iterator: '%s'.", req.Iterator)
	}
	limit := maxStreamRecords
	if req.Limit != nil {
		if *req.Limit <= 0 {
			return nil, invalid("The limit must be greater than 0.")
		}
		limit = min(limit, int(*req.Limit))
	}
	spec, d, err := c.stream(ctx, id)
	if err != nil {
		return nil, err
	}
	recs, err := c.Tables.ReadStream(ctx, spec, seq, limit)
	if err != nil {
		return nil, err
	}
	oldest, next, err := c.Tables.StreamBounds(ctx, spec)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 && seq < oldest || len(recs) > 0 && recs[0].Seq != seq {
		return nil, faultTrimmed
	}
	resp := &streamRecordResponse{}
	size := 0
	for i := range recs {
		rec := &recs[i]
		seq = rec.Seq + 1
		if rec.Expired {
			continue
		}
		m, n, err := recordOf(spec, rec, d.Columns)
		if err != nil {
			return nil, err
		}
		resp.Records = append(resp.Records, m)
		size += n
	}
	resp.Next, resp.More, resp.Consumed = iteratorOf(id, seq), seq < next, readUnits(size)
	return resp, nil
}

// recordOf is a record as clients see it, and its size. original names the columns whose values before
// the write are wanted.
func recordOf(spec *table.Spec, rec *table.Record, original []string) (streamRecord, int, error) {
	row := wireRow{Key: keyCells(spec.Key, rec.Key), Sequence: &sequence{Time: rec.Time * 1000, Row: int32(rec.Seq & 0x7fffffff)}}
	m := streamRecord{Action: actionPut}
	switch {
	case rec.After == nil:
		m.Action = actionDelete
	case len(rec.Note) > 0 && rec.Note[0] == writeUpdate:
		m.Action = actionUpdate
		done, err := parseRow(rec.Note[1:])
		if err != nil {
			return m, 0, fmt.Errorf("note of record %d of table %s: %w", rec.Seq, spec.Name, err)
		}
		row.Cells = updated(done.Cells, rec)
	default:
		for _, col := range rec.After.Columns {
			for _, o := range col.Cells {
				row.Cells = append(row.Cells, attributeCell(col.Name, o))
			}
		}
	}
	m.Record = appendRow(appendHeader(nil), row)
	if len(original) > 0 && rec.Before != nil {
		before := wireRow{Key: row.Key, Sequence: row.Sequence}
		for _, col := range rec.Before.Columns {
			if slices.Contains(original, col.Name) {
				before.Cells = append(before.Cells, attributeCell(col.Name, col.Cells[0]))
			}
		}
		m.Origin = appendRow(appendHeader(nil), before)
	}
	return m, row.size(), nil
}

// updated are the cells of an update as they came to be: with their times, and sums for increments.
func updated(cells []cell, rec *table.Record) []cell {
	var out []cell
	for _, c := range cells {
		switch c.Op {
		case opPut:
			if !c.HasTime {
				c.Time, c.HasTime = rec.Time, true
			}
		case opIncrement:
			i, ok := findColumn(rec.After.Columns, c.Name)
			if !ok {
				continue
			}
			c = attributeCell(c.Name, rec.After.Columns[i].Cells[0])
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b cell) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// sequence is where a record is in its stream.
type sequence struct {
	Time int64 // unix µs
	Row  int32
}

// append writes the extension of a row in a stream (spec 3.5).
func (s *sequence) append(b []byte) []byte {
	info := append([]byte(nil), tagEpoch)
	info = binary.LittleEndian.AppendUint32(info, 0)
	info = binary.LittleEndian.AppendUint64(append(info, tagStamp), uint64(s.Time))
	info = binary.LittleEndian.AppendUint32(append(info, tagRowIndex), uint32(s.Row))
	b = binary.LittleEndian.AppendUint32(append(b, tagExtension), uint32(len(info)+5))
	b = binary.LittleEndian.AppendUint32(append(b, tagSequence), uint32(len(info)))
	return append(b, info...)
}

// setStream switches a table's stream on or off.
func setStream(spec *table.Spec, s *streamSpec, now int64) error {
	if !s.Enable {
		if s.Hours != nil && *s.Hours != 0 {
			return invalid("Stream expiration time cannot be given when stream is disabled.")
		}
		spec.Stream = nil
		return nil
	}
	if s.Hours == nil || *s.Hours < 1 || *s.Hours > maxStreamHours {
		return invalid("Stream expiration time must be in range: [1, %d].", maxStreamHours)
	}
	e := streamExtra{Enabled: now, Columns: s.Columns}
	if old := spec.Stream; old != nil {
		var before streamExtra
		json.Unmarshal(old.Extra, &before)
		e.Enabled = before.Enabled
	}
	text, _ := json.Marshal(e)
	spec.Stream = &table.Stream{Hours: int(*s.Hours), Extra: text}
	return nil
}

// streamOf is a table's stream as clients see it.
func streamOf(spec *table.Spec) streamDetails {
	if spec.Stream == nil {
		return streamDetails{}
	}
	var e streamExtra
	json.Unmarshal(spec.Stream.Extra, &e)
	return streamDetails{
		Enable:     true,
		ID:         fmt.Sprintf("%s_%d", spec.Name, e.Enabled),
		Hours:      new(int32(spec.Stream.Hours)),
		LastEnable: new(e.Enabled),
		Columns:    e.Columns,
	}
}

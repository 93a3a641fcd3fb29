package dynamodb

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// A table's stream has one shard, which never splits. A sequence number is that of the record in the
// room's stream, written so that numbers order as texts do. An iterator is a place in the shard: it
// names the stream and the next record, and holds nothing on the server.

// iteratorLife is how long an iterator can be used.
const iteratorLife = 15 * time.Minute

// maxRecords and maxRecordBytes bound one answer of GetRecords.
const (
	maxRecords     = 1000
	maxRecordBytes = 1 << 20
)

// streamOperations are those of DynamoDB Streams.
var streamOperations = []operation{
	{"GetRecords", getRecordsParams, nil, (*Handler).getRecords},
	{"GetShardIterator", getIteratorParams, nil, (*Handler).getShardIterator},
	{"DescribeStream", describeStreamParams, nil, (*Handler).describeStream},
	{"ListStreams", listStreamsParams, nil, (*Handler).listStreams},
}

var (
	streamName = must("StreamArn", text(37, 1024))
	shardName  = text(28, 65)

	listStreamsParams = structure("ListStreamsInput", may("TableName", name), may("Limit", whole(1, 100)),
		may("ExclusiveStartStreamArn", text(37, 1024)))

	describeStreamParams = structure("DescribeStreamInput", streamName, may("Limit", whole(1, 100)), may("ExclusiveStartShardId", shardName),
		may("ShardFilter", structure("ShardFilter", must("Type", oneOf("CHILD_SHARDS")), must("ShardId", shardName))))

	getIteratorParams = structure("GetShardIteratorInput", streamName, must("ShardId", shardName),
		must("ShardIteratorType", oneOf("TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")),
		may("SequenceNumber", text(21, 40)))

	getRecordsParams = structure("GetRecordsInput", must("ShardIterator", text(1, 2048)), may("Limit", whole(1, maxRecords)))
)

// tableStream is a table and one of its streams.
type tableStream struct {
	*described
	state *streamState
}

// streams are those of a table that can still be read, the present one last.
func (h *Handler) streams(d *described) []tableStream {
	var list []tableStream
	for i := range d.desc.Past {
		list = append(list, tableStream{d, &d.desc.Past[i]})
	}
	if d.desc.Stream != nil {
		list = append(list, tableStream{d, d.desc.Stream})
	}
	now := h.opt.Now()
	return slices.DeleteFunc(list, func(s tableStream) bool { return s.state.over(now) })
}

// streamARN is the ARN of a stream.
func (h *Handler) streamARN(s tableStream) string {
	return h.tableARN(s.spec.Name) + "/stream/" + s.state.Label
}

// cutStreamARN returns the table and the label in a stream's ARN.
func cutStreamARN(arn string) (table, label string, err error) {
	tableARN, label, ok := strings.Cut(arn, "/stream/")
	table, isTable := cutTableARN(tableARN)
	if !ok || !isTable {
		return "", "", invalid("Invalid StreamArn")
	}
	return table, label, nil
}

// openStream finds a stream by its ARN.
func (h *Handler) openStream(ctx context.Context, arn string) (tableStream, error) {
	name, label, err := cutStreamARN(arn)
	if err != nil {
		return tableStream{}, err
	}
	d, err := h.find(ctx, name)
	switch {
	case err == nil:
		for _, s := range h.streams(d) {
			if s.state.Label == label {
				return s, nil
			}
		}
	case !isMissing(err):
		return tableStream{}, err
	}
	return tableStream{}, notFound("Requested resource not found: Stream: " + arn + " not found")
}

// listStreams answers ListStreams.
func (h *Handler) listStreams(ctx context.Context, req *node) ([]byte, error) {
	start := req.text("ExclusiveStartStreamArn")
	if start != "" {
		if _, _, err := cutStreamARN(start); err != nil {
			return nil, err
		}
	}
	var list []tableStream
	if req.has("TableName") {
		d, err := h.named(ctx, req)
		if err != nil {
			return nil, err
		}
		list = h.streams(d)
	} else {
		specs, err := h.opt.Tables.List(ctx, h.scope)
		if err != nil {
			return nil, err
		}
		for _, spec := range specs {
			d, err := describe(spec)
			if err != nil {
				return nil, err
			}
			list = append(list, h.streams(d)...)
		}
	}
	slices.SortFunc(list, func(a, b tableStream) int { return strings.Compare(h.streamARN(a), h.streamARN(b)) })
	list = slices.DeleteFunc(list, func(s tableStream) bool { return h.streamARN(s) <= start })
	n := min(int(req.number("Limit", 100)), len(list))
	w := newWriter()
	w.name("Streams")
	w.b = appendList(w.b, n, func(b []byte, i int) []byte {
		one := writer{append(b, '{')}
		one.text("StreamArn", h.streamARN(list[i]))
		one.text("TableName", list[i].spec.Name)
		one.text("StreamLabel", list[i].state.Label)
		return one.end()
	})
	if n < len(list) {
		w.text("LastEvaluatedStreamArn", h.streamARN(list[n-1]))
	}
	return w.end(), nil
}

// text writes a member that is a string.
func (w *writer) text(name, s string) {
	w.name(name)
	w.b = attr.AppendString(w.b, s)
}

// shard is the name of the stream's only shard.
func (s *streamState) shard() string {
	return fmt.Sprintf("shardId-%020d-%08x", s.since(), crc32.ChecksumIEEE([]byte(s.Label)))
}

// since is when the stream was switched on, in unix milliseconds. Older records are of another stream.
func (s *streamState) since() int64 {
	t, err := time.Parse(labelTime, s.Label)
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}

// labelTime is what the label of a stream is made of.
const labelTime = "2006-01-02T15:04:05.000"

// describeStream answers DescribeStream.
func (h *Handler) describeStream(ctx context.Context, req *node) ([]byte, error) {
	arn := req.text("StreamArn")
	d, err := h.openStream(ctx, arn)
	if err != nil {
		return nil, err
	}
	s := d.state
	w := newWriter()
	w.name("StreamDescription")
	w.b = append(w.b, '{')
	w.text("StreamArn", arn)
	w.text("StreamLabel", s.Label)
	status := "ENABLED"
	if !s.Enabled {
		status = "DISABLED"
	}
	w.text("StreamStatus", status)
	w.text("StreamViewType", s.ViewType)
	w.name("CreationRequestDateTime")
	w.b = strconv.AppendFloat(w.b, float64(s.since())/1000, 'f', -1, 64)
	w.text("TableName", d.spec.Name)
	w.name("KeySchema")
	w.b = append(w.b, marshal(d.desc.KeySchema)...)
	w.name("Shards")
	w.b = append(w.b, '[')
	if !req.has("ShardFilter") && req.text("ExclusiveStartShardId") < s.shard() {
		w.b = append(w.b, '{')
		w.text("ShardId", s.shard())
		w.name("SequenceNumberRange")
		w.b = append(w.b, '{')
		w.text("StartingSequenceNumber", sequence(0))
		if !s.Enabled {
			_, end, err := h.bounds(ctx, d)
			if err != nil {
				return nil, err
			}
			w.text("EndingSequenceNumber", sequence(end-1))
		}
		w.b = append(w.b, '}', '}')
	}
	w.b = append(w.b, ']', '}')
	return w.end(), nil
}

// sequence is the sequence number of the room's record of that number: 21 digits.
func sequence(seq uint64) string { return fmt.Sprintf("1%020d", seq) }

// parseSequence reads what sequence has written.
func parseSequence(s string) (uint64, bool) {
	if len(s) != 21 || s[0] != '1' {
		return 0, false
	}
	seq, err := strconv.ParseUint(s[1:], 10, 64)
	return seq, err == nil
}

func trimmed() *fault {
	return newFault(service+"TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard")
}

// getShardIterator answers GetShardIterator.
func (h *Handler) getShardIterator(ctx context.Context, req *node) ([]byte, error) {
	arn := req.text("StreamArn")
	d, err := h.openStream(ctx, arn)
	if err != nil {
		return nil, err
	}
	if id := req.text("ShardId"); id != d.state.shard() {
		return nil, notFound("Requested resource not found: Shard: " + id + " in Stream: " + arn + " not found")
	}
	kind := req.text("ShardIteratorType")
	seq, ok := parseSequence(req.text("SequenceNumber"))
	if strings.HasSuffix(kind, "_SEQUENCE_NUMBER") != req.has("SequenceNumber") || req.has("SequenceNumber") && !ok {
		return nil, invalid("Invalid SequenceNumber for ShardIteratorType " + kind)
	}
	oldest, next, err := h.bounds(ctx, d)
	if err != nil {
		return nil, err
	}
	var from uint64 // 0 is the oldest record, whichever that will be
	switch {
	case kind == "LATEST":
		from = next
	case kind == "AFTER_SEQUENCE_NUMBER" && seq != 0:
		from = seq + 1
	case kind == "AT_SEQUENCE_NUMBER":
		from = seq
	}
	switch {
	case from > next:
		return nil, invalid("Invalid SequenceNumber: it is beyond the end of the shard")
	case from != 0 && from < oldest:
		return nil, trimmed()
	}
	w := newWriter()
	w.text("ShardIterator", h.iterator(arn, from))
	return w.end(), nil
}

// iterator is a place in a stream, as clients hold it.
func (h *Handler) iterator(arn string, from uint64) string {
	b := binary.BigEndian.AppendUint64(nil, from)
	b = binary.BigEndian.AppendUint64(b, uint64(h.opt.Now().UnixMilli()))
	return arn + "|1|" + base64.StdEncoding.EncodeToString(b)
}

// readIterator reads what iterator has written.
func (h *Handler) readIterator(s string) (arn string, from uint64, err error) {
	arn, rest, _ := strings.Cut(s, "|1|")
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || len(b) != 16 {
		return "", 0, invalid("Invalid ShardIterator")
	}
	age := h.opt.Now().Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:]))))
	if age > iteratorLife || age < -iteratorLife {
		return "", 0, newFault(service+"ExpiredIteratorException", "Iterator expired")
	}
	return arn, binary.BigEndian.Uint64(b), nil
}

// getRecords answers GetRecords.
func (h *Handler) getRecords(ctx context.Context, req *node) ([]byte, error) {
	arn, from, err := h.readIterator(req.text("ShardIterator"))
	if err != nil {
		return nil, err
	}
	d, err := h.openStream(ctx, arn)
	if err != nil {
		return nil, err
	}
	records, next, ends, err := h.readRecords(ctx, d, from, int(req.number("Limit", maxRecords)))
	if errors.Is(err, errTrimmed) {
		return nil, trimmed()
	}
	if err != nil {
		return nil, err
	}
	w := newWriter()
	w.name("Records")
	w.b = append(w.b, '[')
	for i, rec := range records {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = h.appendRecord(w.b, d, &rec, false)
		if len(w.b) > maxRecordBytes && i+1 < len(records) {
			next, ends = rec.Seq+1, false
			break
		}
	}
	w.b = append(w.b, ']')
	if !ends {
		w.text("NextShardIterator", h.iterator(arn, next))
	}
	return w.end(), nil
}

// errTrimmed is a place in a stream whose record is there no more.
var errTrimmed = errors.New("record has been trimmed")

// bounds are the number of the oldest record that is still there, and the number after a stream's last.
func (h *Handler) bounds(ctx context.Context, s tableStream) (oldest, end uint64, err error) {
	oldest, end, err = h.opt.Tables.StreamBounds(ctx, s.spec)
	if s.state.End != 0 {
		end = s.state.End
	}
	return oldest, end, err
}

// readRecords reads records of a stream from number from on; 0 is the oldest. Writes that changed nothing
// are left out. next is where to go on, unless the stream ends there.
func (h *Handler) readRecords(ctx context.Context, s tableStream, from uint64, limit int) (list []table.Record, next uint64, ends bool, err error) {
	oldest, end, err := h.bounds(ctx, s)
	switch {
	case err != nil:
		return nil, 0, false, err
	case from == 0:
		from = oldest
	case from < oldest:
		return nil, oldest, false, errTrimmed
	}
	all, err := h.opt.Tables.ReadStream(ctx, s.spec, from, limit)
	if err != nil {
		return nil, 0, false, err
	}
	next = from
	since := s.state.since()
	for _, rec := range all {
		if s.state.End != 0 && rec.Seq >= end {
			break
		}
		next = rec.Seq + 1
		if rec.Time >= since && !s.sameImages(&rec) {
			list = append(list, rec)
		}
	}
	return list, next, !s.state.Enabled && next >= end, nil
}

// sameImages reports whether a record tells no change.
func (d *described) sameImages(rec *table.Record) bool {
	return rec.Before != nil && rec.After != nil && attr.EqualItems(d.item(rec.Before), d.item(rec.After))
}

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
		may("ShardFilter", structure("ShardFilter", may("Type", oneOf("CHILD_SHARDS")), may("ShardId", shardName))))

	getIteratorParams = structure("GetShardIteratorInput", streamName, must("ShardId", shardName),
		must("ShardIteratorType", oneOf("TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")),
		may("SequenceNumber", text(21, 40)))

	getRecordsParams = structure("GetRecordsInput", must("ShardIterator", text(1, 2048)), may("Limit", whole(1, maxRecords)))
)

// streamARN is the ARN of a table's present stream.
func (h *Handler) streamARN(d *described) string {
	return h.tableARN(d.spec.Name) + "/stream/" + d.desc.Stream.Label
}

// openStream finds the table of a stream by the stream's ARN. A stream is over when its table has another.
func (h *Handler) openStream(ctx context.Context, arn string) (*described, error) {
	gone := notFound("Requested resource not found: Stream: " + arn + " not found")
	tableARN, label, ok := strings.Cut(arn, "/stream/")
	name, isTable := cutTableARN(tableARN)
	if !ok || !isTable {
		return nil, invalid("Invalid StreamArn")
	}
	d, err := h.find(ctx, name)
	switch {
	case isMissing(err):
		return nil, gone
	case err != nil:
		return nil, err
	case d.desc.Stream == nil || d.desc.Stream.Label != label:
		return nil, gone
	}
	return d, nil
}

// listStreams answers ListStreams.
func (h *Handler) listStreams(ctx context.Context, req *node) ([]byte, error) {
	var tables []*described
	if req.has("TableName") {
		d, err := h.named(ctx, req)
		if err != nil {
			return nil, err
		}
		tables = append(tables, d)
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
			tables = append(tables, d)
		}
	}
	tables = slices.DeleteFunc(tables, func(d *described) bool { return d.desc.Stream == nil })
	slices.SortFunc(tables, func(a, b *described) int { return strings.Compare(h.streamARN(a), h.streamARN(b)) })
	start := req.text("ExclusiveStartStreamArn")
	tables = slices.DeleteFunc(tables, func(d *described) bool { return h.streamARN(d) <= start })
	n := min(int(req.number("Limit", 100)), len(tables))
	w := newWriter()
	w.name("Streams")
	w.b = appendList(w.b, n, func(b []byte, i int) []byte {
		one := writer{append(b, '{')}
		one.text("StreamArn", h.streamARN(tables[i]))
		one.text("TableName", tables[i].spec.Name)
		one.text("StreamLabel", tables[i].desc.Stream.Label)
		return one.end()
	})
	if n < len(tables) {
		w.text("LastEvaluatedStreamArn", h.streamARN(tables[n-1]))
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
	s := d.desc.Stream
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
			_, next, err := h.opt.Tables.StreamBounds(ctx, d.spec)
			if err != nil {
				return nil, err
			}
			w.text("EndingSequenceNumber", sequence(next-1))
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
	if id := req.text("ShardId"); id != d.desc.Stream.shard() {
		return nil, notFound("Requested resource not found: Shard: " + id + " in Stream: " + arn + " not found")
	}
	kind := req.text("ShardIteratorType")
	seq, ok := parseSequence(req.text("SequenceNumber"))
	if strings.HasSuffix(kind, "_SEQUENCE_NUMBER") != req.has("SequenceNumber") || req.has("SequenceNumber") && !ok {
		return nil, invalid("Invalid SequenceNumber for ShardIteratorType " + kind)
	}
	oldest, next, err := h.opt.Tables.StreamBounds(ctx, d.spec)
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

// readRecords reads records of a table's present stream from number from on; 0 is the oldest. Writes that
// changed nothing are left out. next is where to go on, unless the stream ends there.
func (h *Handler) readRecords(ctx context.Context, d *described, from uint64, limit int) (list []table.Record, next uint64, ends bool, err error) {
	oldest, end, err := h.opt.Tables.StreamBounds(ctx, d.spec)
	switch {
	case err != nil:
		return nil, 0, false, err
	case from == 0:
		from = oldest
	case from < oldest:
		return nil, oldest, false, errTrimmed
	}
	all, err := h.opt.Tables.ReadStream(ctx, d.spec, from, limit)
	if err != nil {
		return nil, 0, false, err
	}
	next = from
	since := d.desc.Stream.since()
	for _, rec := range all {
		next = rec.Seq + 1
		if rec.Time >= since && !d.sameImages(&rec) {
			list = append(list, rec)
		}
	}
	return list, next, !d.desc.Stream.Enabled && next >= end, nil
}

// sameImages reports whether a record tells no change.
func (d *described) sameImages(rec *table.Record) bool {
	return rec.Before != nil && rec.After != nil && attr.EqualItems(d.item(rec.Before), d.item(rec.After))
}

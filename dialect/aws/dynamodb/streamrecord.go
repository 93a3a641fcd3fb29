package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// Record is one change of a table, as Lambda's event source mappings hand it to functions.
type Record struct {
	Seq  uint64    // from 1, growing; not without gaps
	Time time.Time // of the change
	JSON []byte    // an element of the event's Records
}

// Records reads up to limit changes (1,000 when 0) of a table's stream, from number from on; 0 is the
// oldest there is. next is where to go on. Changes that have been trimmed are passed over: nobody can
// read them any more. The table is named by its name, its ARN, or its stream's. The error has kind
// Missing when there is no such table, or when it has no stream.
func (h *Handler) Records(ctx context.Context, name string, from uint64, limit int) (list []Record, next uint64, err error) {
	d, err := h.streamed(ctx, name)
	if err != nil {
		return nil, from, err
	}
	records, next, _, err := h.readRecords(ctx, d, from, limit)
	if errors.Is(err, errTrimmed) {
		records, next, _, err = h.readRecords(ctx, d, 0, limit)
	}
	if err != nil {
		return nil, from, err
	}
	for _, rec := range records {
		list = append(list, Record{rec.Seq, time.UnixMilli(rec.Time), h.appendRecord(nil, d, &rec, true)})
	}
	return list, next, nil
}

// Latest is the number that the next change of a table's stream will get: where one begins who wants
// what comes from now on. The table is named, and missed, as with Records.
func (h *Handler) Latest(ctx context.Context, name string) (uint64, error) {
	d, err := h.streamed(ctx, name)
	if err != nil {
		return 0, err
	}
	_, next, err := h.opt.Tables.StreamBounds(ctx, d.spec)
	return next, err
}

// Stream is the ARN of a table's present stream, and the name of its shard: a stream that is switched on
// anew is another one. The table is named, and missed, as with Records.
func (h *Handler) Stream(ctx context.Context, name string) (arn, shard string, err error) {
	d, err := h.streamed(ctx, name)
	if err != nil {
		return "", "", err
	}
	return h.streamARN(d), d.state.shard(), nil
}

// streamed finds a table that has a stream.
func (h *Handler) streamed(ctx context.Context, name string) (tableStream, error) {
	if strings.Contains(name, "/stream/") {
		return h.openStream(ctx, name)
	}
	if cut, ok := cutTableARN(name); ok {
		name = cut
	}
	d, err := h.find(ctx, name)
	switch {
	case isMissing(err):
		return tableStream{}, noTableNamed(name)
	case err != nil:
		return tableStream{}, err
	case d.desc.Stream == nil:
		return tableStream{}, notFound("Table " + name + " has no stream")
	}
	return tableStream{d, d.desc.Stream}, nil
}

// appendRecord writes a record as GetRecords returns it, or as it stands in Lambda's events: they spell
// the identity otherwise and tell the stream.
func (h *Handler) appendRecord(b []byte, d tableStream, rec *table.Record, lambda bool) []byte {
	arn := h.streamARN(d)
	id := sha256.Sum256([]byte(arn + "/" + sequence(rec.Seq)))
	w := writer{append(b, '{')}
	w.text("eventID", hex.EncodeToString(id[:16]))
	switch {
	case rec.Before == nil:
		w.text("eventName", "INSERT")
	case rec.After == nil:
		w.text("eventName", "REMOVE")
	default:
		w.text("eventName", "MODIFY")
	}
	w.text("eventVersion", "1.1")
	w.text("eventSource", "aws:dynamodb")
	w.text("awsRegion", h.opt.Region)
	w.name("dynamodb")
	w.b = d.appendChange(w.b, rec)
	if rec.Expired {
		w.name("userIdentity")
		if lambda {
			w.b = append(w.b, `{"type":"Service","principalId":"dynamodb.amazonaws.com"}`...)
		} else {
			w.b = append(w.b, `{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}`...)
		}
	}
	if lambda {
		w.text("eventSourceARN", arn)
	}
	return w.end()
}

// appendChange writes what a record tells of the item, as far as the stream's view type goes.
func (d tableStream) appendChange(b []byte, rec *table.Record) []byte {
	view := d.state.ViewType
	w := writer{append(b, '{')}
	w.name("ApproximateCreationDateTime")
	w.b = strconv.AppendInt(w.b, rec.Time/1000, 10)
	size := 0
	for _, part := range []struct {
		name string
		item attr.Item
		told bool
	}{
		{"Keys", d.keyItem(rec.Key), true},
		{"NewImage", d.item(rec.After), strings.HasPrefix(view, "NEW_")},
		{"OldImage", d.item(rec.Before), strings.Contains(view, "OLD_")},
	} {
		if part.told && part.item != nil {
			w.name(part.name)
			w.b = attr.AppendItem(w.b, part.item)
			size += attr.ItemSize(part.item)
		}
	}
	w.text("SequenceNumber", sequence(rec.Seq))
	w.number("SizeBytes", size)
	w.text("StreamViewType", view)
	return w.end()
}

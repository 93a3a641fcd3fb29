package lambda

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
)

// Streams reads the changes of tables: dynamodb.Handler.
type Streams interface {
	// Records reads changes from a number on (0: the oldest), and says where to go on.
	Records(ctx context.Context, table string, from uint64, limit int) (list []dynamodb.Record, next uint64, err error)
	// Latest is the number of the next change.
	Latest(ctx context.Context, table string) (uint64, error)
	// Stream is the ARN of the table's present stream, and the name of its shard.
	Stream(ctx context.Context, table string) (arn, shard string, err error)
}

const (
	mappingBatch   = 100 // records in one call that says nothing itself
	mappingPoll    = 250 * time.Millisecond
	mappingLook    = 250 * time.Millisecond // how late a deploy may be noticed
	mappingMissing = 5 * time.Second        // between looks for a stream that is not there
	mappingPause   = time.Second            // before a failed batch is tried again; doubles each time
	mappingLongest = time.Minute
)

// MappingOptions set up event source mappings. All but Log, Poll and Pause are required.
type MappingOptions struct {
	Store   kv.Store
	Lambda  *Lambda
	Later   *function.Queue // gets the calls that tell of records that are given up; in the same store
	Streams Streams
	Log     *slog.Logger  // nil discards
	Poll    time.Duration // between looks at a stream that has nothing new; default 250 ms
	Pause   time.Duration // before the first retry of a failed batch; default 1 s
}

// Mappings call functions with the changes of tables (section 3.2): each function gets each record of its
// table's stream at least once and in its order. How far a function has come is a row in the store, which
// goes on when a call has succeeded; so a restart, or the end of the process in a call, repeats no more
// than one batch.
//
// Several processes may serve the mappings of one store: a mapping has a lease, in the same row, while one
// of them calls its function.
type Mappings struct {
	o     MappingOptions
	owner string // of leases; another one in each process
}

// NewMappings makes the mappings of all functions.
func NewMappings(o MappingOptions) *Mappings {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Poll, o.Pause = cmp.Or(o.Poll, mappingPoll), cmp.Or(o.Pause, mappingPause)
	return &Mappings{o, rand.Text()}
}

// source is one mapping: from a table to a function.
type source struct {
	app      sluice.AppName
	function sluice.FunctionName
	table    string
}

// Run serves mappings until ctx ends, and then waits for the calls under way. It follows deploys.
func (m *Mappings) Run(ctx context.Context) error {
	type running struct {
		reader *reader
		cancel context.CancelFunc
		done   chan struct{}
	}
	all := map[source]*running{}
	known := map[source]bool{} // those that are switched off among them
	var wg sync.WaitGroup
	defer wg.Wait()
	look := time.NewTicker(min(mappingLook, m.o.Poll))
	defer look.Stop()
	for {
		wanted := m.wanted()
		for s, r := range all {
			c, there := wanted[s]
			if there && reflect.DeepEqual(c, r.reader.c) {
				continue
			}
			r.cancel()
			<-r.done
			delete(all, s)
		}
		for s := range known {
			if _, there := wanted[s]; there || ctx.Err() != nil {
				continue
			}
			if err := m.forget(ctx, s); err != nil {
				m.o.Log.Error("forget an event source mapping", "app", s.app, "function", s.function, "table", s.table, "err", err)
				continue
			}
			delete(known, s)
		}
		for s, c := range wanted {
			known[s] = true
			if all[s] != nil || c.Disabled {
				continue
			}
			r := &reader{Mappings: m, source: s, c: c, key: s.key(), log: m.o.Log.With("app", s.app, "function", s.function, "table", s.table)}
			for _, text := range c.Filters {
				f, err := parseFilter(text)
				if err != nil {
					r.log.Error("an event pattern cannot be read: no record matches it", "err", err)
					f = &filter{or: []filter{}, fields: map[string]node{"": {any: []test{func(any, bool) bool { return false }}}}}
				}
				r.filters = append(r.filters, f)
			}
			own, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			all[s] = &running{r, cancel, done}
			wg.Go(func() {
				defer close(done)
				defer cancel()
				r.run(own)
			})
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// wanted are the mappings of what is deployed now.
func (m *Mappings) wanted() map[source]sluice.Changes {
	out := map[source]sluice.Changes{}
	for _, s := range m.o.Lambda.functions.List("") {
		v, ok := m.o.Lambda.functions.Version(s.App, s.Name)
		if !ok || v.Dialect != dialect {
			continue
		}
		for _, c := range v.Spec.Changes {
			out[source{v.App, v.Spec.Name, c.Table}] = c
		}
	}
	return out
}

func (s source) key() []byte {
	return fmt.Appendf(nil, "Q/stream/%s\x00%s\x00%s", s.app, s.function, s.table)
}

// forget drops how far a mapping had come that is gone.
func (m *Mappings) forget(ctx context.Context, s source) error {
	key := s.key()
	return m.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		tx.Delete(key)
		return nil
	})
}

// reader serves one mapping.
type reader struct {
	*Mappings
	source
	c       sluice.Changes
	key     []byte
	filters []*filter
	log     *slog.Logger
	at      progress
	row     []byte // at, as it is in the store; nil when it is not known
	refused int    // how often in a row the function could not be called
}

// run reads, calls and goes on until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer r.release(ctx)
	for ctx.Err() == nil {
		pause, err := r.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errElsewhere):
			r.row = nil
			pause = r.o.Poll
		case sluice.KindOf(err) == sluice.Missing:
			r.log.Debug("a stream is not there", "err", err)
			pause = min(mappingMissing, 20*r.o.Poll)
		case err != nil:
			r.log.Error("serve a stream", "err", err)
			pause = mappingPause
		}
		wait(ctx, pause)
	}
}

// wait waits for a while, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// step serves the next batch, and says how long to wait before the one after.
func (r *reader) step(ctx context.Context) (time.Duration, error) {
	if err := r.begin(ctx); err != nil {
		return 0, err
	}
	batch, next, err := r.read(ctx)
	if err != nil {
		return 0, err
	}
	if len(batch) == 0 {
		if next == r.at.Next {
			return r.o.Poll, nil
		}
		return 0, r.save(ctx, progress{Stream: r.at.Stream, Next: next}, nil)
	}
	if age := r.c.MaxAge; age > 0 {
		if old := countFunc(batch, func(rec dynamodb.Record) bool { return time.Since(rec.Time) > age }); old > 0 {
			r.log.Warn("records of a stream are too old", "records", old)
			return 0, r.skip(ctx, batch[:old], nil, "MaximumRecordAgeExceeded")
		}
	}
	if err := r.hold(ctx); err != nil {
		return 0, err
	}
	id := NewRequestID()
	stop := r.renewing(ctx)
	res, err := r.call(ctx, id, batch)
	stop()
	if ctx.Err() != nil {
		return 0, nil // what came of it shows in the next life
	}
	if err != nil {
		r.log.Warn("a batch of a stream could not be handed over: it is tried again", "request", id, "err", err)
		r.refused++
		return r.pause(r.refused), nil
	}
	r.refused = 0
	done, ok := len(batch), res.Failure == nil
	if ok && r.c.Partial {
		done, ok = handled(res.Payload, batch)
	}
	if ok {
		return 0, r.save(ctx, progress{Stream: r.at.Stream, Next: next}, nil)
	}
	at := r.at
	if r.c.Partial && done > 0 && done < len(batch) {
		at = progress{Stream: at.Stream, Next: batch[done].Seq} // those before it are done
		batch = batch[done:]
	}
	at.Tries++
	r.log.Warn("a batch of a stream failed", "request", id, "records", len(batch), "tries", at.Tries)
	switch {
	case r.c.Bisect && len(batch) > 1:
		at.Most, at.Tries = (len(batch)+1)/2, at.Tries-1
	case r.c.Retries >= 0 && at.Tries > r.c.Retries:
		r.at.Tries = at.Tries
		return 0, r.skip(ctx, batch, &res, "RetryAttemptsExhausted")
	}
	return r.pause(at.Tries), r.save(ctx, at, nil)
}

// countFunc is how many records at the beginning of a batch are such.
func countFunc(batch []dynamodb.Record, is func(dynamodb.Record) bool) int {
	n := slices.IndexFunc(batch, func(rec dynamodb.Record) bool { return !is(rec) })
	if n < 0 {
		return len(batch)
	}
	return n
}

// pause is how long to wait before a batch is tried again that has failed so often.
func (r *reader) pause(tries int) time.Duration {
	return min(r.o.Pause<<min(max(tries-1, 0), 16), max(mappingLongest, r.o.Pause))
}

// read collects the next batch: as many records as one call takes, waiting for more as long as the
// mapping's window says. next is where to go on after them.
func (r *reader) read(ctx context.Context) (batch []dynamodb.Record, next uint64, err error) {
	most := cmp.Or(r.at.Most, r.c.Batch, mappingBatch)
	began := time.Now()
	for {
		var list []dynamodb.Record
		if list, next, err = r.o.Streams.Records(ctx, r.table, r.at.Next, max(most, mappingBatch)); err != nil {
			return nil, 0, err
		}
		batch = nil
		size := len(`{"Records":[]}`)
		full := false
		for _, rec := range list {
			if !r.wants(rec) {
				continue
			}
			if size += len(rec.JSON) + 1; len(batch) == most || len(batch) > 0 && size > maxPayload {
				next, full = rec.Seq, true
				break
			}
			batch = append(batch, rec)
		}
		left := r.c.Window - time.Since(began)
		if full || len(batch) == most || len(batch) == 0 || left <= 0 || r.at.Tries > 0 || r.at.Most > 0 || ctx.Err() != nil {
			return batch, next, nil
		}
		wait(ctx, min(left, r.o.Poll))
	}
}

// wants reports whether one of the mapping's patterns matches a record.
func (r *reader) wants(rec dynamodb.Record) bool {
	if len(r.filters) == 0 {
		return true
	}
	var o map[string]any
	if err := json.Unmarshal(rec.JSON, &o); err != nil {
		return false // it is ours
	}
	return slices.ContainsFunc(r.filters, func(f *filter) bool { return f.matches(o) })
}

// call calls the function with a batch.
func (r *reader) call(ctx context.Context, id string, batch []dynamodb.Record) (sluice.Result, error) {
	payload := []byte(`{"Records":[`)
	for i, rec := range batch {
		if i > 0 {
			payload = append(payload, ',')
		}
		payload = append(payload, rec.JSON...)
	}
	_, res, err := r.o.Lambda.Invoke(ctx, Call{App: r.app, Name: string(r.function), RequestID: id, Payload: append(payload, `]}`...)})
	return res, err
}

// handled says how many records at the beginning of a batch a function has done, as it tells itself: its
// answer names those that failed. ok is that all are.
func handled(answer []byte, batch []dynamodb.Record) (done int, ok bool) {
	var a struct {
		Failures []struct {
			Item *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(bytes.TrimSpace(answer)) == 0 {
		return len(batch), true
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		var is any
		// Text, null and the like name no failure; an object of another shape is a mistake.
		if json.Unmarshal(answer, &is) == nil {
			if _, object := is.(map[string]any); !object {
				return len(batch), true
			}
		}
		return 0, false
	}
	done = len(batch)
	for _, f := range a.Failures {
		if f.Item == nil || *f.Item == "" {
			return 0, false
		}
		i := slices.IndexFunc(batch, func(rec dynamodb.Record) bool { return sequenceOf(rec) == *f.Item })
		if i < 0 {
			return 0, false
		}
		done = min(done, i)
	}
	return done, done == len(batch)
}

// sequenceOf is a record's sequence number as it tells it.
func sequenceOf(rec dynamodb.Record) string {
	var o struct {
		Change struct{ SequenceNumber string } `json:"dynamodb"`
	}
	json.Unmarshal(rec.JSON, &o) // it is ours
	return o.Change.SequenceNumber
}

// skip gives records up, and tells the mapping's destination where they are.
func (r *reader) skip(ctx context.Context, batch []dynamodb.Record, res *sluice.Result, why string) error {
	first, last := batch[0], batch[len(batch)-1]
	r.log.Error("records of a stream are given up", "why", why, "records", len(batch), "from", sequenceOf(first), "to", sequenceOf(last))
	to := progress{Stream: r.at.Stream, Next: last.Seq + 1}
	if r.c.OnFailure == "" {
		return r.save(ctx, to, nil)
	}
	arn, shard, err := r.o.Streams.Stream(ctx, r.table)
	if err != nil {
		return err
	}
	f, err := r.o.Lambda.Find(r.app, string(r.function))
	if err != nil {
		return err
	}
	const layout = "2006-01-02T15:04:05.000Z"
	told := struct {
		Context recordContext `json:"requestContext"`
		Answer  *recordAnswer `json:"responseContext,omitempty"`
		Version string        `json:"version"`
		Time    string        `json:"timestamp"`
		Batch   struct {
			Shard      string `json:"shardId"`
			Start      string `json:"startSequenceNumber"`
			End        string `json:"endSequenceNumber"`
			FirstStamp string `json:"approximateArrivalOfFirstRecord"`
			LastStamp  string `json:"approximateArrivalOfLastRecord"`
			Size       int    `json:"batchSize"`
			Stream     string `json:"streamArn"`
		} `json:"DDBStreamBatchInfo"`
	}{Context: recordContext{NewRequestID(), f.ARN, why, r.at.Tries}, Version: "1.0", Time: time.Now().UTC().Format(layout)}
	if res != nil {
		told.Answer = &recordAnswer{Status: 200, Version: Latest, Failure: "Unhandled"}
	}
	b := &told.Batch
	b.Shard, b.Start, b.End, b.Size, b.Stream = shard, sequenceOf(first), sequenceOf(last), len(batch), arn
	b.FirstStamp, b.LastStamp = first.Time.UTC().Format(layout), last.Time.UTC().Format(layout)
	body, _ := json.Marshal(told) // texts and numbers always marshal
	_, inv, err := r.o.Lambda.invocation(Call{App: r.app, Name: r.c.OnFailure, Payload: body})
	if err != nil {
		r.log.Error("the destination of a mapping cannot be told", "destination", r.c.OnFailure, "err", err)
		return r.save(ctx, to, nil)
	}
	return r.save(ctx, to, &inv)
}

package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// stream is a table's stream that a test fills; table "nothing" has none.
type stream struct {
	mu      sync.Mutex
	arn     string
	records []dynamodb.Record
}

// put adds records that tell texts.
func (s *stream) put(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		n := uint64(len(s.records) + 1)
		s.records = append(s.records, dynamodb.Record{Seq: n, Time: time.Now(),
			JSON: fmt.Appendf(nil, `{"eventName":"INSERT","dynamodb":{"NewImage":{"text":{"S":%q}},"SequenceNumber":"1%020d"}}`, text, n)})
	}
}

func (s *stream) Records(_ context.Context, _ string, from uint64, limit int) ([]dynamodb.Record, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from = max(from, 1)
	end := min(int(from)-1+limit, len(s.records))
	if int(from) > len(s.records) {
		return nil, from, nil
	}
	return s.records[from-1 : end], uint64(end) + 1, nil
}

func (s *stream) Latest(_ context.Context, table string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(table, "nothing") {
		return 0, sluice.Errorf(sluice.Missing, "no table")
	}
	return uint64(len(s.records)) + 1, nil
}

func (s *stream) Stream(_ context.Context, table string) (arn, shard string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arn, "shardId-1", nil
}

// texts are what the records of an event tell, with spaces between.
func texts(event string) string {
	var e struct {
		Records []struct {
			Change struct {
				NewImage struct{ Text struct{ S string } }
			} `json:"dynamodb"`
		}
	}
	json.Unmarshal([]byte(event), &e)
	var out []string
	for _, r := range e.Records {
		out = append(out, r.Change.NewImage.Text.S)
	}
	return strings.Join(out, " ")
}

// serve runs the mappings of a world until the test ends, or stop is called.
func (w *world) serve(s *stream) (stop func()) {
	return w.serveIn(context.Background(), s)
}

// serveIn is serve until a context ends.
func (w *world) serveIn(ctx context.Context, s *stream) (stop func()) {
	m := NewMappings(MappingOptions{Store: w.store, Lambda: w.lambda, Later: w.queue, Streams: s, Poll: time.Millisecond, Pause: time.Millisecond})
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return stop
}

// next is what the function is called with next.
func next(t *testing.T, all chan string) string {
	t.Helper()
	select {
	case got := <-all:
		return texts(got)
	case <-time.After(time.Minute):
		t.Fatal("the function is not called")
		return ""
	}
}

func TestChangesCallFunctionsInTheirOrder(t *testing.T) {
	url, all := heard(t, nil)
	w, s := newWorld(t), &stream{arn: "A"}
	s.put("a", "b", "c", "d", "e")
	stop := w.serve(s)
	w.deploy("chat", sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Batch: 2, Retries: -1}}})
	for _, want := range []string{"a b", "c d", "e"} {
		if got := next(t, all); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s.put("f")
	if got := next(t, all); got != "f" {
		t.Error(got)
	}
	w.until("that it has come so far is kept", func() bool { return w.come("f") == 7 })
	stop()
	s.put("g")
	w.serve(s) // another life
	if got := next(t, all); got != "g" {
		t.Errorf("after a restart: %q", got)
	}
	s.mu.Lock()
	s.arn, s.records = "B", nil // the table was made anew
	s.mu.Unlock()
	s.put("new")
	if got := next(t, all); got != "new" {
		t.Errorf("another stream: %q", got)
	}
	w.functions.Remove(t.Context(), "chat", "f")
	w.until("what is gone is forgotten", func() bool { return w.come("f") == 0 })
}

// come is how far the mapping of a function has come; 0 when there is none.
func (w *world) come(f sluice.FunctionName) uint64 {
	r := &reader{Mappings: &Mappings{o: MappingOptions{Store: w.store}}, key: source{"chat", f, "T"}.key()}
	if err := r.load(w.Context()); err != nil {
		w.Fatal(err)
	}
	return r.at.Next
}

func TestNewMappingsBeginWhereTheySay(t *testing.T) {
	url, all := heard(t, nil)
	w, s := newWorld(t), &stream{arn: "A"}
	s.put("old")
	w.serve(s)
	w.deploy("chat", sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Latest: true, Retries: -1}}})
	w.until("it waits", func() bool { return w.come("f") == 2 })
	s.put("new")
	if got := next(t, all); got != "new" {
		t.Error(got)
	}
}

func TestAChangeIsNotLostWhenTheProcessDiesInACall(t *testing.T) {
	store := memory.New()
	defer store.Close()
	block := make(chan struct{})
	url, all := heard(t, func(string) (int, string) { <-block; return 200, "null" })
	s := &stream{arn: "A"}
	s.put("a")
	f := sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Retries: -1}}}
	first := newWorldIn(t, store)
	ctx, die := context.WithCancel(t.Context())
	first.serveIn(ctx, s)
	first.deploy("chat", f)
	first.until("the call runs", func() bool { st, _ := first.functions.Status("chat", "f"); return st.Stats.InFlight == 1 })
	die() // its answer reaches nobody
	close(block)
	second := newWorldIn(t, store)
	second.serve(s)
	second.deploy("chat", f)
	for range 2 {
		if got := next(t, all); got != "a" {
			t.Error(got)
		}
	}
}

func TestProcessesDoNotServeAMappingTogether(t *testing.T) {
	store := memory.New()
	defer store.Close()
	var mu sync.Mutex
	running := false
	url, all := heard(t, func(string) (int, string) {
		mu.Lock()
		if running {
			t.Error("two calls at the same time")
		}
		running = true
		mu.Unlock()
		time.Sleep(3 * time.Millisecond) // as long as several looks of the other
		mu.Lock()
		running = false
		mu.Unlock()
		return 200, "null"
	})
	s := &stream{arn: "A"}
	var want []string
	for n := range 20 {
		want = append(want, strconv.Itoa(n))
	}
	s.put(want...)
	f := sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Batch: 1, Retries: -1}}}
	var worlds [2]*world
	var stops [2]func()
	for i := range worlds {
		worlds[i] = newWorldIn(t, store)
		stops[i] = worlds[i].serve(s)
		worlds[i].deploy("chat", f)
	}
	var got []string
	for range want {
		got = append(got, next(t, all))
	}
	worlds[0].until("all is done", func() bool { return worlds[0].come("f") == 21 })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stops[0]() // whichever served it, the other one goes on at once
	s.put("more")
	if got := next(t, all); got != "more" {
		t.Error(got)
	}
	stops[1]()
	select {
	case again := <-all:
		t.Errorf("called once more: %q", texts(again))
	default:
	}
}

func TestAMappingWhoseProcessDiedGoesOn(t *testing.T) {
	called := make(chan time.Time, 100)
	url, all := heard(t, func(string) (int, string) { called <- time.Now(); return 200, "null" })
	w, s := newWorld(t), &stream{arn: "A"}
	s.put("a", "b")
	until := time.Now().Add(300 * time.Millisecond)
	dead := fmt.Appendf(nil, `{"stream":"A","next":2,"owner":"another","until":%d}`, until.UnixMilli())
	err := w.store.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
		tx.Put(source{"chat", "f", "T"}.key(), dead)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.serve(s)
	w.deploy("chat", sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Retries: -1}}})
	if got := next(t, all); got != "b" {
		t.Error(got)
	}
	if at := <-called; at.Before(until.Truncate(time.Millisecond)) {
		t.Errorf("the lease of another process counts for nothing: called %v before its end", until.Sub(at))
	}
}

func TestFailingBatches(t *testing.T) {
	poison := func(body string) (int, string) {
		if strings.Contains(body, `"bad"`) {
			return 500, ""
		}
		return 200, "null"
	}
	partial := func(body string) (int, string) {
		if i := strings.Index(body, `"bad"`); i >= 0 {
			_, after, _ := strings.Cut(body[i:], `"SequenceNumber":"`)
			return 200, `{"batchItemFailures":[{"itemIdentifier":"` + after[:21] + `"}]}`
		}
		return 200, `{"batchItemFailures":[]}`
	}
	for name, tc := range map[string]struct {
		changes sluice.Changes
		answer  func(string) (int, string)
		want    []string
	}{
		"given up together": {sluice.Changes{Retries: 1}, poison, []string{"a bad b c", "a bad b c", "d"}},
		"split":             {sluice.Changes{Retries: 0, Bisect: true}, poison, []string{"a bad b c", "a bad", "a", "bad b c", "bad b", "bad", "b c", "d"}},
		"partly done":       {sluice.Changes{Retries: 1, Partial: true}, partial, []string{"a bad b c", "bad b c", "d"}},
		"no failure named":  {sluice.Changes{Retries: 1, Partial: true}, func(string) (int, string) { return 200, `{"batchItemFailures":null}` }, []string{"a bad b c", "d"}},
		"nonsense named":    {sluice.Changes{Retries: 0, Partial: true}, func(string) (int, string) { return 200, `{"batchItemFailures":[{"itemIdentifier":"x"}]}` }, []string{"a bad b c", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			url, all := heard(t, tc.answer)
			w, s := newWorld(t), &stream{arn: "A"}
			s.put("a", "bad", "b", "c")
			w.serve(s)
			tc.changes.Table, tc.changes.OnFailure = "T", "told"
			w.deploy("chat", sluice.Function{Name: "told"})
			w.deploy("chat", sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{tc.changes}})
			var got []string
			for range len(tc.want) - 1 {
				got = append(got, next(t, all))
			}
			w.until("the batch is behind", func() bool { return w.come("f") == 5 })
			s.put("d")
			if diff := cmp.Diff(tc.want, append(got, next(t, all))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if name == "no failure named" {
				return
			}
			w.until("it is told what was given up", func() bool { st, _ := w.functions.Status("chat", "told"); return st.Stats.Invocations >= 1 })
		})
	}
}

func TestThrottledBatchesWait(t *testing.T) {
	url, all := heard(t, nil)
	w, s := newWorld(t), &stream{arn: "A"}
	s.put("a")
	w.serve(s)
	none := 0
	f := sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Retries: 0}}, Extra: (&Extra{Reserved: &none}).Marshal()}
	w.deploy("chat", f)
	w.until("it has begun", func() bool {
		var there bool
		w.store.View(t.Context(), func(r kv.Reader) (err error) {
			_, there, err = r.Get(source{"chat", "f", "T"}.key())
			return err
		})
		return there
	})
	f.Extra = nil
	w.deploy("chat", f)
	if got := next(t, all); got != "a" {
		t.Error(got)
	}
	f.Changes = []sluice.Changes{{Table: "T", Disabled: true}}
	w.deploy("chat", f)
	w.functions.Remove(t.Context(), "chat", "f")
	w.until("what was switched off is forgotten", func() bool { return w.come("f") == 0 })
}

func TestWhatIsToldOfRecordsThatAreGivenUp(t *testing.T) {
	w, s := newWorld(t), &stream{arn: "A"}
	s.put("a", "b")
	w.deploy("chat", sluice.Function{Name: "f"})
	w.deploy("chat", sluice.Function{Name: "told"})
	r := &reader{Mappings: NewMappings(MappingOptions{Store: w.store, Lambda: w.lambda, Later: w.queue, Streams: s}), source: source{"chat", "f", "T"},
		c: sluice.Changes{Table: "T", OnFailure: "told"}, log: w.api.o.Log}
	r.key, r.at = r.source.key(), progress{Tries: 3}
	if err := r.skip(t.Context(), s.records, &sluice.Result{Failure: &sluice.Failure{}}, "RetryAttemptsExhausted"); err != nil {
		t.Fatal(err)
	}
	if r.at.Next != 3 {
		t.Errorf("%+v", r.at)
	}
	w.until("it is told", func() bool { st, _ := w.functions.Status("chat", "told"); return st.Stats.Invocations >= 1 })
}

func TestFiltersWindowsAndAge(t *testing.T) {
	url, all := heard(t, nil)
	w, s := newWorld(t), &stream{arn: "A"}
	s.put("no", "yes 1", "no", "yes 2")
	s.records[1].Time = time.Now().Add(-time.Hour)
	w.serve(s)
	w.deploy("chat", sluice.Function{Name: "f", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Retries: -1, MaxAge: time.Minute,
		Filters: []string{`{"dynamodb":{"NewImage":{"text":{"S":[{"prefix":"yes"}]}}}}`}}}})
	if got := next(t, all); got != "yes 2" {
		t.Error(got)
	}
	w.until("it is behind", func() bool { return w.come("f") == 5 })
	w.functions.Remove(t.Context(), "chat", "f")
	w.deploy("chat", sluice.Function{Name: "g", Env: map[string]string{"EAR": url}, Changes: []sluice.Changes{{Table: "T", Retries: -1, Batch: 2, Window: time.Minute, Latest: true}}})
	w.until("the other waits", func() bool { return w.come("g") == 5 })
	s.put("one")
	s.put("two")
	if got := next(t, all); got != "one two" {
		t.Error(got)
	}
}

func TestEventPatterns(t *testing.T) {
	const record = `{"eventName":"MODIFY","dynamodb":{"SizeBytes":26,"NewImage":{"id":{"S":"order-7"},"tags":{"SS":["a","b"]},"ok":{"BOOL":true},"no":{"NULL":null}}}}`
	var o map[string]any
	json.Unmarshal([]byte(record), &o)
	for pattern, want := range map[string]bool{
		`{"eventName":["MODIFY"]}`:                                                  true,
		`{"eventName":["INSERT","MODIFY"]}`:                                         true,
		`{"eventName":["INSERT"]}`:                                                  false,
		`{"eventName":["INSERT"],"dynamodb":{"SizeBytes":[26]}}`:                    false,
		`{"dynamodb":{"SizeBytes":[26]}}`:                                           true,
		`{"dynamodb":{"SizeBytes":["26"]}}`:                                         false,
		`{"dynamodb":{"SizeBytes":[{"numeric":[">",20,"<=",26]}]}}`:                 true,
		`{"dynamodb":{"SizeBytes":[{"numeric":["=",27]}]}}`:                         false,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"prefix":"order-"}]}}}}`:              true,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"suffix":"-7"}]}}}}`:                  true,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"wildcard":"o*r-*"}]}}}}`:             true,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"wildcard":"o?der-7"}]}}}}`:           false,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"equals-ignore-case":"ORDER-7"}]}}}}`: true,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"anything-but":["order-8"]}]}}}}`:     true,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"anything-but":{"prefix":"o"}}]}}}}`:  false,
		`{"dynamodb":{"NewImage":{"tags":{"SS":["b"]}}}}`:                           true,
		`{"dynamodb":{"NewImage":{"ok":{"BOOL":[true]}}}}`:                          true,
		`{"dynamodb":{"NewImage":{"no":{"NULL":[null]}}}}`:                          true,
		`{"dynamodb":{"OldImage":{"id":[{"exists":false}]}}}`:                       true,
		`{"dynamodb":{"NewImage":{"id":{"S":[{"exists":false}]}}}}`:                 false,
		`{"dynamodb":{"NewImage":{"id":[{"exists":true}]}}}`:                        true,
		`{"$or":[{"eventName":["INSERT"]},{"dynamodb":{"SizeBytes":[26]}}]}`:        true,
		`{"$or":[{"eventName":["INSERT"]},{"eventName":["REMOVE"]}]}`:               false,
		`{}`: true,
	} {
		f, err := parseFilter(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if f.matches(o) != want {
			t.Errorf("%s: %v", pattern, !want)
		}
	}
	for _, pattern := range []string{"", "[]", `{"a":1}`, `{"a":[]}`, `{"a":[[1]]}`, `{"a":[{"like":1}]}`, `{"a":[{"prefix":1}]}`, `{"a":[{"numeric":[">"]}]}`, `{"a":[{"numeric":["~",1]}]}`,
		`{"a":[{"exists":1}]}`, `{"a":[{"prefix":"a","suffix":"b"}]}`, `{"$or":[{}]}`, `{"$or":[1,2]}`, strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)} {
		if _, err := parseFilter(pattern); err == nil {
			t.Errorf("%s is a pattern", pattern)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add(`{"a":[{"anything-but":{"wildcard":"*a*"}}],"$or":[{"b":[1]},{"c":[{"numeric":["<",1]}]}]}`, `{"a":"b","b":[1,{"x":1}]}`)
	f.Fuzz(func(t *testing.T, pattern, record string) {
		p, err := parseFilter(pattern)
		var o map[string]any
		if err != nil || json.Unmarshal([]byte(record), &o) != nil {
			return
		}
		p.matches(o)
	})
}

package scf

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

// echoes starts instances that remember what they are called with, and when, and fail when they are told.
type echoes struct {
	mu   sync.Mutex
	said []string
	at   []time.Time
}

func (e *echoes) Runs(_, runtime string) bool { return runtime == "fake" }

func (e *echoes) Start(context.Context, *function.Version, function.Spawner, function.LogSink) (function.Instance, error) {
	return &parrot{e, make(chan struct{})}, nil
}

type parrot struct {
	of   *echoes
	done chan struct{}
}

func (*parrot) ID() string              { return "e" }
func (e *parrot) Done() <-chan struct{} { return e.done }
func (e *parrot) Stop(context.Context)  { close(e.done) }

func (e *parrot) Invoke(_ context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	e.of.said = append(e.of.said, inv.Attrs[attrTrigger]+string(inv.Payload))
	e.of.at = append(e.of.at, time.Now())
	if string(inv.Payload) == `"fail"` {
		return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "boom"}}, nil
	}
	return sluice.Result{}, nil
}

// realRoom is a function room with one function, f, which e runs.
func realRoom(t *testing.T, e *echoes, spec sluice.Function) *function.Functions {
	t.Helper()
	room := function.New(function.Options{Starters: []function.Starter{e}, NoPrewarm: true, Log: slog.New(slog.DiscardHandler)})
	spec.Name, spec.Runtime, spec.Timeout = "f", "fake", time.Second
	if err := room.Deploy(t.Context(), &function.Version{App: "app", Dialect: dialect, Env: map[string]string{"TENCENTCLOUD_REGION": "ap-chengdu"}, Spec: spec}); err != nil {
		t.Fatal(err)
	}
	return room
}

func TestTimerTriggersCallTheirFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // from midnight on, which is 8 o'clock in Beijing
		e := &echoes{}
		room := realRoom(t, e, sluice.Function{Timers: []sluice.Timer{
			{Name: "often", Schedule: "0 */5 * * * * *", Payload: `{"a":"<b>"}`},
			{Name: "once", Schedule: "30 7 8 * * * *"},
			{Name: "never", Schedule: "0 0 0 1 1 * 1999"},
			{Name: "wrong", Schedule: "every day"},
			{Name: "off", Schedule: "* * * * * * *", Disabled: true},
		}})
		defer room.Stop(context.Background())
		store := memory.New()
		queue := NewQueue(store, NewSCF(room, nil, nil), 0, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Minute)
		defer cancel()
		var running sync.WaitGroup
		running.Go(func() { queue.Run(ctx) })
		running.Go(func() { NewTimers(store, room, queue, slog.New(slog.DiscardHandler)).Run(ctx) })
		running.Wait()
		if diff := cmp.Diff([]string{
			`Timer{"Type":"Timer","TriggerName":"often","Time":"2000-01-01T00:05:00Z","Message":"{\"a\":\"<b>\"}"}`,
			`Timer{"Type":"Timer","TriggerName":"once","Time":"2000-01-01T00:07:30Z","Message":""}`,
			`Timer{"Type":"Timer","TriggerName":"often","Time":"2000-01-01T00:10:00Z","Message":"{\"a\":\"<b>\"}"}`,
		}, e.said); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSchedules(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, beijing) // a Thursday
	for text, want := range map[string]string{
		"*/5 * * * * * *":              "2026-01-01 00:00:05",
		"0 0 2 1 * * *":                "2026-01-01 02:00:00",
		"0 15 10 * * MON-FRI *":        "2026-01-01 10:15:00",
		"0 0 10,14,16 * * * *":         "2026-01-01 10:00:00",
		"0 */30 9-17 * * * *":          "2026-01-01 09:00:00",
		"0 0 12 * * WED *":             "2026-01-07 12:00:00",
		"0 0 12 * * 0 *":               "2026-01-04 12:00:00",
		"0 0 0 29 2 * 2028":            "2028-02-29 00:00:00",
		"0 0 * * *":                    "2026-01-02 00:00:00",
		"0 0 0 1 1 * 1999":             "",
		"0 0 0 * * *":                  "error",
		"@every 5m":                    "error",
		"61 0 0 * * * *":               "error",
		"":                             "error",
		"0 0 0 * * * * *":              "error",
		strings.Repeat("* ", 6) + "no": "error",
	} {
		got := "error"
		if s, err := ParseSchedule(text); err == nil {
			if got = ""; !s.Next(from).IsZero() {
				got = s.Next(from).In(beijing).Format(time.DateTime)
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAsynchronousCallsAreMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echoes{}
		room := realRoom(t, e, sluice.Function{})
		defer room.Stop(context.Background())
		queue := NewQueue(memory.New(), NewSCF(room, nil, nil), 0, nil)
		began := time.Now()
		for _, payload := range []string{`"ok"`, `"fail"`} {
			if err := queue.Put(t.Context(), sluice.Invocation{App: "app", Function: "f", RequestID: NewRequestID(), Payload: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		queue.Run(ctx)
		slices.Sort(e.said[:2]) // they run beside each other
		if diff := cmp.Diff([]string{`"fail"`, `"ok"`, `"fail"`, `"fail"`}, e.said); diff != "" {
			t.Fatal(diff)
		}
		for i, min := range []int{0, 0, 1, 2} {
			if got := e.at[i].Sub(began).Round(time.Minute); got != time.Duration(min)*time.Minute {
				t.Errorf("call %d comes after %v", i, got)
			}
		}
	})
}

func TestRetriesOfAsynchronousCalls(t *testing.T) {
	v := &function.Version{}
	few := &function.Version{Spec: sluice.Function{Async: &sluice.AsyncCalls{Retries: 0, MaxAge: time.Minute}}}
	busy := errors.New("busy")
	now := time.Now()
	for _, c := range []struct {
		name  string
		try   function.Try
		pause time.Duration
		gone  bool
	}{
		{"the first failure", function.Try{Version: v, Since: now, Tries: 1, Failures: 1}, time.Minute, false},
		{"the third failure", function.Try{Version: v, Since: now, Tries: 3, Failures: 3}, 0, true},
		{"no retries", function.Try{Version: few, Since: now, Tries: 1, Failures: 1}, 0, true},
		{"busy", function.Try{Version: v, Since: now, Tries: 1, Err: busy}, time.Second, false},
		{"busy for long", function.Try{Version: v, Since: now, Tries: 100, Err: busy}, 5 * time.Minute, false},
		{"too old", function.Try{Version: v, Since: now.Add(-6 * time.Hour), Tries: 100, Err: busy}, 0, true},
		{"an age of its own", function.Try{Version: few, Since: now.Add(-time.Minute), Tries: 2, Err: busy}, 0, true},
		{"no function any more", function.Try{Since: now, Tries: 1, Err: busy}, 0, true},
	} {
		if pause, why := retry(&c.try, time.Minute); pause != c.pause || (why != "") != c.gone {
			t.Errorf("%s: %v %q", c.name, pause, why)
		}
	}
}

func TestObjectTriggersCallTheirFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echoes{}
		room := realRoom(t, e, sluice.Function{Objects: []sluice.ObjectEvents{
			{Bucket: "box-1250000000", Events: []string{"cos:ObjectCreated:*", "cos:ObjectRemove:Delete"}, Prefix: "<in>/"},
		}})
		defer room.Stop(context.Background())
		store := memory.New()
		queue := NewQueue(store, NewSCF(room, nil, nil), 0, nil)
		objects, err := object.Open(t.Context(), store, &objecttest.Bodies{}, object.Options{Notify: NewNotify(room, queue)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objects.CreateBucket(t.Context(), object.Bucket{Name: "box-1250000000"}); err != nil {
			t.Fatal(err)
		}
		ctx := object.From(t.Context(), object.Origin{Request: "R1", IP: "10.0.0.9"})
		for _, key := range []string{"<in>/a", "out/a"} {
			in := object.PutInput{Key: key, Body: strings.NewReader("hello"), Size: -1, Header: map[string]string{"Content-Type": "text/plain"}, Meta: map[string]string{"mine": "1"}}
			if _, err := objects.Put(ctx, "box-1250000000", in); err != nil {
				t.Fatal(err)
			}
		}
		if err := objects.Delete(ctx, "box-1250000000", "<in>/a"); err != nil {
			t.Fatal(err)
		}
		run, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		queue.Run(run)
		event := func(name string) string {
			return `{"Records":[{"cos":{"cosSchemaVersion":"1.0","cosObject":{"url":"http://box-1250000000.cos.ap-chengdu.myqcloud.com/<in>/a",` +
				`"meta":{"Content-Type":"text/plain","x-cos-meta-mine":"1","x-cos-request-id":"R1"},"vid":"","key":"/1250000000/box/<in>/a","size":5},` +
				`"cosBucket":{"region":"cd","name":"box","appid":"1250000000"},"cosNotificationId":"unkown"},` +
				`"event":{"eventName":"` + name + `","eventVersion":"1.0","eventTime":946684800,"eventSource":"qcs::cos",` +
				`"requestParameters":{"requestSourceIP":"10.0.0.9","requestHeaders":{}},"eventQueue":"qcs:0:scf:cd:appid/1250000000:default.f.$LATEST","reservedInfo":"","reqid":2811311727}}]}`
		}
		slices.Sort(e.said) // they run beside each other
		if diff := cmp.Diff([]string{event("cos:ObjectCreated:Put"), event("cos:ObjectRemove:Delete")}, e.said); diff != "" {
			t.Error(diff)
		}
	})
}

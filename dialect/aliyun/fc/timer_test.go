package fc

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
)

// echoes starts instances that remember what they are called with.
type echoes struct {
	mu   sync.Mutex
	said []string
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
	e.of.said = append(e.of.said, string(inv.Payload))
	return sluice.Result{}, nil
}

func TestTimerTriggersCallTheirFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // from midnight on
		e := &echoes{}
		room := function.New(function.Options{Starters: []function.Starter{e}, NoPrewarm: true, Log: slog.New(slog.DiscardHandler)})
		defer room.Stop(context.Background())
		store := memory.New()
		queue := NewQueue(store, room, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Minute)
		defer cancel()
		var running sync.WaitGroup
		running.Go(func() { queue.Run(ctx) })
		running.Go(func() { NewTimers(store, room, queue, nil).Run(ctx) })
		err := room.Deploy(ctx, &function.Version{App: "app", Dialect: "aliyun", Spec: sluice.Function{Name: "f", Runtime: "fake", Timeout: time.Second, Timers: []sluice.Timer{
			{Name: "often", Schedule: "@every 5m", Payload: `{"a":"<b>"}`},
			{Name: "once", Schedule: "CRON_TZ=Asia/Shanghai 30 7 8 * * *"},
			{Name: "off", Schedule: "* * * * * *", Disabled: true},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		running.Wait()
		if diff := cmp.Diff([]string{
			`{"triggerTime":"2000-01-01T00:05:00Z","triggerName":"often","payload":"{\"a\":\"<b>\"}"}`,
			`{"triggerTime":"2000-01-01T00:07:30Z","triggerName":"once","payload":""}`,
			`{"triggerTime":"2000-01-01T00:10:00Z","triggerName":"often","payload":"{\"a\":\"<b>\"}"}`,
		}, e.said); diff != "" {
			t.Error(diff)
		}
	})
}

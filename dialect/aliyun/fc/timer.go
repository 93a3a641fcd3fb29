package fc

import (
	"log/slog"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/cron"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
)

// NewTimers makes the timer triggers of all functions (section 3.14): their calls are asynchronous ones of
// the queue. log may be nil.
func NewTimers(store kv.Store, f *function.Functions, q *function.Queue, log *slog.Logger) *function.Timers {
	return function.NewTimers(function.TimerOptions{
		Store: store, Functions: f, Queue: q, Dialect: "aliyun", Log: log, Payload: timerEvent,
		Schedule: func(text string) (func(time.Time) time.Time, error) {
			s, err := cron.Parse(text)
			if err != nil {
				return nil, err
			}
			return s.Next, nil
		},
	})
}

// timerEvent is what a function gets from its timer.
func timerEvent(_ *function.Version, t sluice.Timer, at time.Time) []byte {
	return plain(struct {
		Time    string `json:"triggerTime"`
		Name    string `json:"triggerName"`
		Payload string `json:"payload"`
	}{at.UTC().Format("2006-01-02T15:04:05Z"), t.Name, t.Payload})
}

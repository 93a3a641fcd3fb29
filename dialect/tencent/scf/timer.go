package scf

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/cron"
	"github.com/sluicehq/sluice/kv"
)

// beijing is the time of schedules.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// The forms of schedules (section 2.7): with all seven fields, or as they were once written.
var (
	sevenFields = cron.Form{Fields: []cron.Field{cron.Second, cron.Minute, cron.Hour, cron.Day, cron.Month, cron.Weekday, cron.Year}}
	fiveFields  = cron.Form{Fields: []cron.Field{cron.Minute, cron.Hour, cron.Day, cron.Month, cron.Weekday}}
)

// ParseSchedule reads the schedule of a timer trigger: "second minute hour day month weekday year", in
// Beijing's time. The error is for the person who wrote it.
func ParseSchedule(text string) (*cron.Schedule, error) {
	words := strings.Fields(text)
	switch len(words) {
	case len(sevenFields.Fields):
		return cron.Parse(words, sevenFields, beijing)
	case len(fiveFields.Fields):
		return cron.Parse(words, fiveFields, beijing)
	}
	return nil, fmt.Errorf("a schedule has seven fields (second minute hour day month weekday year), not %q", text)
}

// NewTimers makes the timer triggers of all functions: their calls are asynchronous ones of the queue. log
// may be nil.
func NewTimers(store kv.Store, f *function.Functions, q *function.Queue, log *slog.Logger) *function.Timers {
	return function.NewTimers(function.TimerOptions{
		Store: store, Functions: f, Queue: q, Dialect: dialect, Log: log, Payload: timerEvent,
		Schedule: func(text string) (func(time.Time) time.Time, error) {
			s, err := ParseSchedule(text)
			if err != nil {
				return nil, err
			}
			return s.Next, nil
		},
	})
}

// timerStart begins the events of timers.
var timerStart = []byte(`{"Type":"Timer",`)

// timerEvent is what a function gets from its timer.
func timerEvent(_ *function.Version, t sluice.Timer, at time.Time) []byte {
	return plain(struct {
		Type    string
		Name    string `json:"TriggerName"`
		Time    string
		Message string
	}{"Timer", t.Name, at.UTC().Format("2006-01-02T15:04:05Z"), t.Payload})
}

package lambda

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/cron"
	"github.com/sluicehq/sluice/kv"
)

// cronForm is how EventBridge spells schedules: six fields, the last one years.
var cronForm = cron.Form{Fields: []cron.Field{cron.Minute, cron.Hour, cron.Day, cron.Month, cron.Weekday, cron.Year}, Sunday1: true, Marks: true, OneDay: true}

var (
	rateText = regexp.MustCompile(`^rate\(\s*([1-9]\d{0,8})\s+(minute|hour|day)s?\s*\)$`)
	cronText = regexp.MustCompile(`^cron\((.*)\)$`)
)

// ParseSchedule reads rate(5 minutes) or cron(0 12 * * ? *), in UTC (section 7.2).
func ParseSchedule(text string) (*cron.Schedule, error) {
	text = strings.TrimSpace(text)
	if m := rateText.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits
		unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[2]]
		if n > 100*365*24*60 || time.Duration(n)*unit > 100*365*24*time.Hour {
			return nil, fmt.Errorf("%q is longer than anybody waits", text)
		}
		return cron.Every(time.Duration(n) * unit), nil
	}
	if m := cronText.FindStringSubmatch(text); m != nil {
		return cron.Parse(strings.Fields(m[1]), cronForm, time.UTC)
	}
	return nil, fmt.Errorf("a schedule is rate(5 minutes) or cron(0 12 * * ? *), not %q", text)
}

// NewTimers makes the schedules of all functions: their calls are asynchronous ones of the queue. log may
// be nil.
func NewTimers(store kv.Store, f *function.Functions, q *function.Queue, log *slog.Logger) *function.Timers {
	return function.NewTimers(function.TimerOptions{
		Store: store, Functions: f, Queue: q, Dialect: dialect, Log: log, Payload: scheduledEvent,
		Schedule: func(text string) (func(time.Time) time.Time, error) {
			s, err := ParseSchedule(text)
			if err != nil {
				return nil, err
			}
			return s.Next, nil
		},
	})
}

// scheduledEvent is what a function gets from its schedule: the template's input, or EventBridge's event.
func scheduledEvent(v *function.Version, t sluice.Timer, at time.Time) []byte {
	if t.Payload != "" {
		return []byte(t.Payload)
	}
	region := cmp.Or(v.Env["AWS_REGION"], DefaultRegion)
	b, _ := json.Marshal(struct { // texts always marshal
		Version   string   `json:"version"`
		ID        string   `json:"id"`
		Kind      string   `json:"detail-type"`
		Source    string   `json:"source"`
		Account   string   `json:"account"`
		Time      string   `json:"time"`
		Region    string   `json:"region"`
		Resources []string `json:"resources"`
		Detail    struct{} `json:"detail"`
	}{"0", NewRequestID(), "Scheduled Event", "aws.events", Account, at.UTC().Format("2006-01-02T15:04:05Z"), region,
		[]string{"arn:aws:events:" + region + ":" + Account + ":rule/" + t.Name}, struct{}{}})
	return b
}

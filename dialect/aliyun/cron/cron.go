// Package cron reads the schedules of Alibaba's timer triggers (aliyun.md 3.14): six fields with seconds
// first, or an interval.
package cron

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/cron"
)

var form = cron.Form{Fields: []cron.Field{cron.Second, cron.Minute, cron.Hour, cron.Day, cron.Month, cron.Weekday}}

// Parse reads "@every 5m" (at least a second) or "second minute hour day month weekday", where a field is
// a list of values, ranges and steps, months and weekdays may have their English names, and ? is *. Times
// are UTC unless CRON_TZ=Zone or TZ=Zone comes first. The error is for the person who wrote the schedule.
func Parse(text string) (*cron.Schedule, error) {
	words := strings.Fields(text)
	if len(words) == 2 && words[0] == "@every" {
		d, err := time.ParseDuration(words[1])
		if err != nil || d < time.Second {
			return nil, fmt.Errorf("%q is no interval of a second or more", words[1])
		}
		return cron.Every(d), nil
	}
	where := time.UTC
	if len(words) > 0 {
		if name, zone, ok := strings.Cut(words[0], "="); ok && (name == "CRON_TZ" || name == "TZ") {
			var err error
			if where, err = time.LoadLocation(zone); err != nil || zone == "Local" {
				return nil, fmt.Errorf("time zone %q is not known", zone)
			}
			words = words[1:]
		}
	}
	if len(words) != len(form.Fields) {
		return nil, fmt.Errorf(`a schedule is "@every 5m" or six fields (second minute hour day month weekday), not %q`, text)
	}
	return cron.Parse(words, form, where)
}

// Package cron reads the schedules of Alibaba's timer triggers (aliyun.md 3.14): six fields with seconds
// first, or an interval.
package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are named in templates, and machines may have none
)

// horizon is how far ahead a schedule is looked through: the 29th of February may be eight years away.
const horizon = 9 * 366 * 24 * time.Hour

// Schedule is a schedule that Parse has read.
type Schedule struct {
	every time.Duration // an interval, or:

	second, minute, hour, day, month, weekday set
	eitherDay                                 bool // day and weekday are both given: one of them is enough
	zone                                      *time.Location
}

// set has bit n for value n.
type set uint64

func (s set) has(n int) bool { return s&(1<<n) != 0 }

var (
	months   = []string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdays = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

// Parse reads "@every 5m" (at least a second) or "second minute hour day month weekday", where a field is
// a list of values, ranges and steps, months and weekdays may have their English names, and ? is *. Times
// are UTC unless CRON_TZ=Zone or TZ=Zone comes first. The error is for the person who wrote the schedule.
func Parse(text string) (*Schedule, error) {
	words := strings.Fields(text)
	if len(words) == 2 && words[0] == "@every" {
		d, err := time.ParseDuration(words[1])
		if err != nil || d < time.Second {
			return nil, fmt.Errorf("%q is no interval of a second or more", words[1])
		}
		return &Schedule{every: d}, nil
	}
	s := &Schedule{zone: time.UTC}
	if len(words) > 0 {
		if name, zone, ok := strings.Cut(words[0], "="); ok && (name == "CRON_TZ" || name == "TZ") {
			var err error
			if s.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
				return nil, fmt.Errorf("time zone %q is not known", zone)
			}
			words = words[1:]
		}
	}
	if len(words) != 6 {
		return nil, fmt.Errorf(`a schedule is "@every 5m" or six fields (second minute hour day month weekday), not %q`, text)
	}
	for i, f := range []struct {
		to       *set
		what     string
		min, max int
		names    []string
	}{
		{&s.second, "second", 0, 59, nil}, {&s.minute, "minute", 0, 59, nil}, {&s.hour, "hour", 0, 23, nil},
		{&s.day, "day", 1, 31, nil}, {&s.month, "month", 1, 12, months}, {&s.weekday, "weekday", 0, 7, weekdays},
	} {
		for item := range strings.SplitSeq(words[i], ",") {
			bits, ok := parse(item, f.min, f.max, f.names)
			if !ok {
				return nil, fmt.Errorf("%q is no %s of a schedule", words[i], f.what)
			}
			*f.to |= bits
		}
	}
	if s.weekday.has(7) { // another Sunday
		s.weekday |= 1
	}
	s.eitherDay = !isOpen(words[3]) && !isOpen(words[5])
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("no day is ever that of %q", text)
	}
	return s, nil
}

// isOpen reports whether a field leaves every value open.
func isOpen(field string) bool { return strings.HasPrefix(field, "*") || strings.HasPrefix(field, "?") }

// parse reads one item of a field: "*", "7", "1-5", each with "/step" after it.
func parse(item string, lo, hi int, names []string) (set, bool) {
	span, by, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || n < 1 {
			return 0, false
		}
		step = n
	}
	from, to := lo, hi
	if span != "*" && span != "?" {
		first, last, ranged := strings.Cut(span, "-")
		var ok bool
		if from, ok = number(first, names); !ok {
			return 0, false
		}
		switch {
		case ranged:
			if to, ok = number(last, names); !ok {
				return 0, false
			}
		case !stepped:
			to = from
		}
	}
	if from < lo || to > hi || from > to {
		return 0, false
	}
	var out set
	for n := from; n <= to; n += min(step, 64) {
		out |= 1 << n
	}
	return out, true
}

func number(s string, names []string) (int, bool) {
	for i, name := range names {
		if name != "" && strings.EqualFold(s, name) {
			return i, true
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return int(n), err == nil
}

// Next is the first moment of the schedule after t, in whole seconds of UTC. It is zero for none.
func (s *Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		return t.Add(s.every).UTC().Truncate(time.Second)
	}
	end := t.Add(horizon)
	t = t.In(s.zone).Truncate(time.Second).Add(time.Second)
	// Steps within a day are of real time, so that hours which a zone skips or repeats are, too.
	for t.Before(end) {
		switch y, m, d := t.Date(); {
		case !s.month.has(int(m)):
			t = later(t, time.Date(y, m+1, 1, 0, 0, 0, 0, s.zone))
		case !s.hasDay(t):
			t = later(t, time.Date(y, m, d+1, 0, 0, 0, 0, s.zone))
		case !s.hour.has(t.Hour()):
			t = t.Add(time.Hour - time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second)
		case !s.minute.has(t.Minute()):
			t = t.Add(time.Minute - time.Duration(t.Second())*time.Second)
		case !s.second.has(t.Second()):
			t = t.Add(time.Second)
		default:
			return t.UTC()
		}
	}
	return time.Time{}
}

// later is next, but never a moment before t: midnight may not exist in a zone.
func later(t, next time.Time) time.Time {
	if !next.After(t) {
		return t.Add(time.Hour)
	}
	return next
}

func (s *Schedule) hasDay(t time.Time) bool {
	day, weekday := s.day.has(t.Day()), s.weekday.has(int(t.Weekday()))
	if s.eitherDay {
		return day || weekday
	}
	return day && weekday
}

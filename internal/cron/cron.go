// Package cron reads schedules in the fields of crontab, as every cloud spells them a little otherwise.
package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are named in templates, and machines may have none
)

// horizon is how far ahead a schedule without years is looked through: the 29th of February may be eight
// years away.
const horizon = 9 * 366 * 24 * time.Hour

// The years that a schedule may name.
const (
	firstYear = 1970
	lastYear  = 2199
)

// Field is what one word of a schedule says.
type Field uint8

// The fields. A schedule without seconds is of second 0, one without years of every year.
const (
	Second Field = iota
	Minute
	Hour
	Day // of the month
	Month
	Weekday
	Year
)

// Form is how a cloud spells schedules. A field is a list of values, ranges and steps; months and
// weekdays have their English names, and ? is *.
type Form struct {
	Fields []Field // in their order
	// Sunday1 has weekdays begin with 1 for Sunday. Else Sunday is 0, and 7 as well.
	Sunday1 bool
	// Marks are understood in days: L is the last one, 15W the weekday next to the 15th, LW the last
	// weekday; 6L is the last of that weekday in its month, 6#2 the second.
	Marks bool
	// OneDay wants ? for the day or the weekday. Else both may be given, and one of them is enough.
	OneDay bool
}

// Schedule is a schedule that Parse has read, or Every has made. It is not changed.
type Schedule struct {
	every time.Duration // an interval, or:

	fields    [Year]set
	years     []bool // from firstYear on; nil is all
	days      marks
	eitherDay bool // day and weekday are both given: one of them is enough
	zone      *time.Location
}

// marks are the days that are no numbers.
type marks struct {
	last, lastWorkday bool
	workdays          []int // next to which day
	weekdays          []weekdayMark
}

// weekdayMark is the nth of a weekday in its month; the last when n is 0.
type weekdayMark struct {
	day time.Weekday
	n   int
}

// set has bit n for value n.
type set uint64

func (s set) has(n int) bool { return s&(1<<n) != 0 }

var fields = [...]struct {
	what   string
	lo, hi int
	names  []string
}{
	Second: {"second", 0, 59, nil}, Minute: {"minute", 0, 59, nil}, Hour: {"hour", 0, 23, nil}, Day: {"day", 1, 31, nil},
	Month:   {"month", 1, 12, []string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	Weekday: {"weekday", 0, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
	Year:    {"year", firstYear, lastYear, nil},
}

// Every is the schedule of an interval: its moments are that far apart, in whole seconds.
func Every(d time.Duration) *Schedule { return &Schedule{every: d} }

// Parse reads a schedule whose times are those of a zone. The error is for the person who wrote it.
func Parse(words []string, form Form, zone *time.Location) (*Schedule, error) {
	if len(words) != len(form.Fields) {
		return nil, fmt.Errorf("a schedule has %d fields (%s), not %d", len(form.Fields), form.names(), len(words))
	}
	s := &Schedule{zone: zone}
	for f := range s.fields {
		s.fields[f] = ^set(0)
	}
	s.fields[Second] = 1
	var day, weekday string
	for i, f := range form.Fields {
		ok := true
		switch f {
		case Year:
			ok = s.readYears(words[i])
		default:
			s.fields[f] = 0
			for item := range strings.SplitSeq(words[i], ",") {
				ok = ok && s.read(f, item, form)
			}
		}
		if !ok {
			return nil, fmt.Errorf("%q is no %s of a schedule", words[i], fields[f].what)
		}
		switch f {
		case Day:
			day = words[i]
		case Weekday:
			weekday = words[i]
		}
	}
	s.eitherDay = !isOpen(day) && !isOpen(weekday)
	if form.OneDay && (day == "?") == (weekday == "?") {
		return nil, fmt.Errorf("one of day and weekday, and not both, has to be ? in %q", strings.Join(words, " "))
	}
	first := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if s.years != nil {
		first = time.Date(firstYear-1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if s.Next(first).IsZero() {
		return nil, fmt.Errorf("no day is ever that of %q", strings.Join(words, " "))
	}
	return s, nil
}

func (f *Form) names() string {
	var list []string
	for _, f := range f.Fields {
		list = append(list, fields[f].what)
	}
	return strings.Join(list, " ")
}

// isOpen reports whether a field leaves every value open.
func isOpen(field string) bool { return strings.HasPrefix(field, "*") || strings.HasPrefix(field, "?") }

// read adds one item of a field to the schedule.
func (s *Schedule) read(f Field, item string, form Form) bool {
	if form.Marks && (f == Day || f == Weekday) {
		if known, ok := s.mark(f, item, form); known {
			return ok
		}
	}
	sunday := 0
	if f == Weekday && form.Sunday1 {
		sunday = 1
	}
	hi := fields[f].hi
	from, to, step, ok := span(item, fields[f].lo+sunday, hi, sunday, fields[f].names)
	if !ok {
		return false
	}
	for n := from; n <= to; n += min(step, 64) {
		s.fields[f] |= 1 << (n - sunday)
	}
	if f == Weekday && s.fields[f].has(7) { // another Sunday
		s.fields[f] |= 1
	}
	return true
}

// span reads "*", "7", "1-5", each with "/step" after it. Names count from the number of the first one.
func span(item string, lo, hi, first int, names []string) (from, to, step int, ok bool) {
	text, by, stepped := strings.Cut(item, "/")
	step = 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || n < 1 {
			return 0, 0, 0, false
		}
		step = n
	}
	from, to = lo, hi
	if text != "*" && text != "?" {
		begin, end, ranged := strings.Cut(text, "-")
		if from, ok = number(begin, first, names); !ok {
			return 0, 0, 0, false
		}
		switch {
		case ranged:
			if to, ok = number(end, first, names); !ok {
				return 0, 0, 0, false
			}
		case !stepped:
			to = from
		}
	}
	return from, to, step, from >= lo && to <= hi && from <= to
}

func number(s string, first int, names []string) (int, bool) {
	for i, name := range names {
		if name != "" && strings.EqualFold(s, name) {
			return i + first, true
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

// mark reads a day that is no number. known is false for what is none of the marks.
func (s *Schedule) mark(f Field, item string, form Form) (known, ok bool) {
	weekday := func(text string) (time.Weekday, bool) {
		first := 0
		if form.Sunday1 {
			first = 1
		}
		n, ok := number(text, first, fields[Weekday].names)
		if n -= first; n == 7 && first == 0 {
			n = 0
		}
		return time.Weekday(n), ok && n >= 0 && n <= 6
	}
	item = strings.ToUpper(item)
	switch day, week, nth := strings.Cut(item, "#"); {
	case f == Weekday && nth:
		d, ok := weekday(day)
		n, err := strconv.Atoi(week)
		s.days.weekdays = append(s.days.weekdays, weekdayMark{d, n})
		return true, ok && err == nil && n >= 1 && n <= 5
	case f == Weekday && item == "L": // of the week
		s.fields[Weekday] |= 1 << time.Saturday
		return true, true
	case f == Weekday && len(item) > 1 && strings.HasSuffix(item, "L"):
		d, ok := weekday(item[:len(item)-1])
		s.days.weekdays = append(s.days.weekdays, weekdayMark{day: d})
		return true, ok
	case f == Day && item == "L":
		s.days.last = true
		return true, true
	case f == Day && (item == "LW" || item == "WL"):
		s.days.lastWorkday = true
		return true, true
	case f == Day && strings.HasSuffix(item, "W"):
		n, ok := number(item[:len(item)-1], 0, nil)
		s.days.workdays = append(s.days.workdays, n)
		return true, ok && n >= 1 && n <= 31
	}
	return false, false
}

// readYears reads the field of years.
func (s *Schedule) readYears(word string) bool {
	if word == "*" || word == "?" {
		return true
	}
	s.years = make([]bool, lastYear-firstYear+1)
	for item := range strings.SplitSeq(word, ",") {
		from, to, step, ok := span(item, firstYear, lastYear, 0, nil)
		if !ok {
			return false
		}
		for y := from; y <= to; y += min(step, lastYear) {
			s.years[y-firstYear] = true
		}
	}
	return true
}

// hasYear reports whether a year is one of the schedule's.
func (s *Schedule) hasYear(y int) bool {
	return s.years == nil || y >= firstYear && y <= lastYear && s.years[y-firstYear]
}

// Next is the first moment of the schedule after t, in whole seconds of UTC. It is zero for none.
func (s *Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		return t.Add(s.every).UTC().Truncate(time.Second)
	}
	end := t.Add(horizon)
	if s.years != nil {
		end = time.Date(lastYear+1, 1, 1, 0, 0, 0, 0, s.zone)
	}
	t = t.In(s.zone).Truncate(time.Second).Add(time.Second)
	// Steps within a day are of real time, so that hours which a zone skips or repeats are, too.
	for t.Before(end) {
		switch y, m, d := t.Date(); {
		case !s.hasYear(y):
			t = later(t, time.Date(y+1, 1, 1, 0, 0, 0, 0, s.zone))
		case !s.fields[Month].has(int(m)):
			t = later(t, time.Date(y, m+1, 1, 0, 0, 0, 0, s.zone))
		case !s.hasDay(t):
			t = later(t, time.Date(y, m, d+1, 0, 0, 0, 0, s.zone))
		case !s.fields[Hour].has(t.Hour()):
			t = t.Add(time.Hour - time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second)
		case !s.fields[Minute].has(t.Minute()):
			t = t.Add(time.Minute - time.Duration(t.Second())*time.Second)
		case !s.fields[Second].has(t.Second()):
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
	day := s.fields[Day].has(t.Day()) || s.days.hasDay(t)
	weekday := s.fields[Weekday].has(int(t.Weekday())) || slices.ContainsFunc(s.days.weekdays, func(m weekdayMark) bool { return m.is(t) })
	if s.eitherDay {
		return day || weekday
	}
	return day && weekday
}

// hasDay reports whether a day of the month is one of the marked.
func (m *marks) hasDay(t time.Time) bool {
	last := lastOf(t)
	return m.last && t.Day() == last || m.lastWorkday && t.Day() == workday(t, last, last) ||
		slices.ContainsFunc(m.workdays, func(n int) bool { return n <= last && t.Day() == workday(t, n, last) })
}

// lastOf is the last day of a month.
func lastOf(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 12, 0, 0, 0, time.UTC).Day()
}

// workday is the weekday next to the nth day of t's month, within the month.
func workday(t time.Time, n, last int) int {
	switch time.Date(t.Year(), t.Month(), n, 12, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if n == 1 {
			return 3
		}
		return n - 1
	case time.Sunday:
		if n == last {
			return n - 2
		}
		return n + 1
	}
	return n
}

func (m weekdayMark) is(t time.Time) bool {
	if t.Weekday() != m.day {
		return false
	}
	if m.n == 0 {
		return t.Day()+7 > lastOf(t)
	}
	return (t.Day()-1)/7 == m.n-1
}

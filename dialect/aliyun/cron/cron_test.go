package cron

import (
	"strings"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	for _, tc := range []struct{ schedule, after, want string }{
		{"0 0 8 * * *", "2026-03-01T07:59:59Z", "2026-03-01T08:00:00Z"},
		{"0 0 8 * * *", "2026-03-01T08:00:00Z", "2026-03-02T08:00:00Z"},
		{"0 0 8 * * *", "2026-12-31T08:00:00.5Z", "2027-01-01T08:00:00Z"},
		{"0 */5 * * * *", "2026-03-01T00:03:10.9Z", "2026-03-01T00:05:00Z"},
		{"30 10/20 * * * ?", "2026-03-01T00:30:30Z", "2026-03-01T00:50:30Z"},
		{"* * * * * *", "2026-03-01T00:00:00.1Z", "2026-03-01T00:00:01Z"},
		{"0 0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 9 ? * MON-FRI", "2026-02-27T10:00:00Z", "2026-03-02T09:00:00Z"},
		{"0 0 9 ? * 0", "2026-03-02T00:00:00Z", "2026-03-08T09:00:00Z"},
		{"0 0 9 ? * 7", "2026-03-02T00:00:00Z", "2026-03-08T09:00:00Z"},
		{"0 0 9 13 * fri", "2026-03-07T00:00:00Z", "2026-03-13T09:00:00Z"},
		{"0 0 9 15 * fri", "2026-03-14T00:00:00Z", "2026-03-15T09:00:00Z"},
		{"0 0 0 1 jan,7 *", "2026-02-01T00:00:00Z", "2026-07-01T00:00:00Z"},
		{"CRON_TZ=Asia/Shanghai 0 0 8 * * *", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{"TZ=Asia/Kolkata 0 0 8 * * *", "2026-03-01T00:00:00Z", "2026-03-01T02:30:00Z"},
		{"CRON_TZ=America/New_York 0 30 2 * * *", "2026-03-08T00:00:00-05:00", "2026-03-09T06:30:00Z"}, // an hour that is skipped
		{"CRON_TZ=America/New_York 0 30 * * * *", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},      // one that comes twice
		{"CRON_TZ=America/Sao_Paulo 0 0 1 * * *", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z"},      // no midnight
		{"@every 5m", "2026-03-01T00:00:00.7Z", "2026-03-01T00:05:00Z"},
		{"@every 1h30m", "2026-03-01T00:00:00Z", "2026-03-01T01:30:00Z"},
	} {
		s, err := Parse(tc.schedule)
		if err != nil {
			t.Errorf("%s: %v", tc.schedule, err)
			continue
		}
		after, err := time.Parse(time.RFC3339, tc.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Next(after).Format(time.RFC3339); got != tc.want {
			t.Errorf("%s after %s: %s, want %s", tc.schedule, tc.after, got, tc.want)
		}
	}
}

func TestSchedulesThatAreNone(t *testing.T) {
	for schedule, says := range map[string]string{
		"":                              "six fields",
		"* * * * *":                     "six fields",
		"* * * * * * *":                 "six fields",
		"@every":                        "six fields",
		"@daily":                        "six fields",
		"@every soon":                   "no interval",
		"@every 10ms":                   "no interval",
		"@every -5m":                    "no interval",
		"60 * * * * *":                  "no second",
		"* 5-1 * * * *":                 "no minute",
		"* * 24 * * *":                  "no hour",
		"* * * 0 * *":                   "no day",
		"* * * * 13 *":                  "no month",
		"* * * * * 8":                   "no weekday",
		"*/0 * * * * *":                 "no second",
		"1,,2 * * * * *":                "no second",
		"+1 * * * * *":                  "no second",
		"0 0 0 30 2 *":                  "no day is ever",
		"CRON_TZ=Mars/Base 0 0 8 * * *": "time zone",
		"TZ=Local 0 0 8 * * *":          "time zone",
	} {
		if _, err := Parse(schedule); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", schedule, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0 0 8 * * *")
	f.Add("CRON_TZ=Asia/Shanghai */5 1-3,7 ? JAN-MAR/2 MON")
	f.Add("@every 5m")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		at := s.Next(now)
		if !at.After(now) || !s.Next(at).After(at) {
			t.Errorf("%q: %v, then %v", text, at, s.Next(at))
		}
	})
}

package cron

import (
	"strings"
	"testing"
	"time"
)

var (
	seconds = Form{Fields: []Field{Second, Minute, Hour, Day, Month, Weekday}}
	seven   = Form{Fields: []Field{Second, Minute, Hour, Day, Month, Weekday, Year}}
	marked  = Form{Fields: []Field{Minute, Hour, Day, Month, Weekday, Year}, Sunday1: true, Marks: true, OneDay: true}
)

func TestNext(t *testing.T) {
	for _, tc := range []struct {
		form                  Form
		schedule, after, want string
	}{
		{seconds, "0 0 8 * * *", "2026-03-01T07:59:59Z", "2026-03-01T08:00:00Z"},
		{seconds, "0 0 9 13 * fri", "2026-03-07T00:00:00Z", "2026-03-13T09:00:00Z"},
		{seconds, "0 0 9 15 * fri", "2026-03-14T00:00:00Z", "2026-03-15T09:00:00Z"},
		{seconds, "0 0 9 ? * 7", "2026-03-02T00:00:00Z", "2026-03-08T09:00:00Z"},
		{seven, "*/15 * * * * * *", "2026-03-01T00:00:01Z", "2026-03-01T00:00:15Z"},
		{seven, "0 15 10 1 * * 2027,2029", "2027-12-02T00:00:00Z", "2029-01-01T10:15:00Z"},
		{seven, "0 0 0 29 2 * 2100-2110", "2026-01-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{seven, "0 0 0 1 1 * 2020", "2026-01-01T00:00:00Z", "never"},
		{marked, "0 12 * * ? *", "2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"},
		{marked, "15 10 ? * 1 *", "2026-03-02T00:00:00Z", "2026-03-08T10:15:00Z"},   // 1 is Sunday
		{marked, "15 10 ? * MON *", "2026-03-01T00:00:00Z", "2026-03-02T10:15:00Z"}, // so MON is 2
		{marked, "0 18 ? * MON-FRI *", "2026-02-27T19:00:00Z", "2026-03-02T18:00:00Z"},
		{marked, "0/10 * ? * 2-6 *", "2026-02-28T01:00:00Z", "2026-03-02T00:00:00Z"},
		{marked, "0 0 L * ? *", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"},
		{marked, "0 0 ? * L *", "2026-03-01T00:00:00Z", "2026-03-07T00:00:00Z"},
		{marked, "0 10 ? * 6L 2022-2027", "2026-02-01T00:00:00Z", "2026-02-27T10:00:00Z"},
		{marked, "0 10 ? * FRIL *", "2026-02-27T10:00:00Z", "2026-03-27T10:00:00Z"},
		{marked, "0 9 ? * 2#1 *", "2026-03-03T00:00:00Z", "2026-04-06T09:00:00Z"},
		{marked, "0 9 ? * MON#5 *", "2026-02-01T00:00:00Z", "2026-03-30T09:00:00Z"},
		{marked, "0 0 15W * ? *", "2026-08-01T00:00:00Z", "2026-08-14T00:00:00Z"}, // the 15th is a Saturday
		{marked, "0 0 16W * ? *", "2026-08-01T00:00:00Z", "2026-08-17T00:00:00Z"}, // and a Sunday
		{marked, "0 0 1W * ? *", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z"},  // never in another month
		{marked, "0 0 31W * ? *", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z"},
		{marked, "0 0 LW * ? *", "2026-02-01T00:00:00Z", "2026-02-27T00:00:00Z"},
		{marked, "30 0 1,L * ? *", "2026-02-02T00:00:00Z", "2026-02-28T00:30:00Z"},
	} {
		s, err := Parse(strings.Fields(tc.schedule), tc.form, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", tc.schedule, err)
			continue
		}
		after, err := time.Parse(time.RFC3339, tc.after)
		if err != nil {
			t.Fatal(err)
		}
		got := "never"
		if at := s.Next(after); !at.IsZero() {
			got = at.Format(time.RFC3339)
		}
		if got != tc.want {
			t.Errorf("%s after %s: %s, want %s", tc.schedule, tc.after, got, tc.want)
		}
	}
}

func TestIntervals(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 7e8, time.UTC)
	if got := Every(5 * time.Minute).Next(at).Format(time.RFC3339Nano); got != "2026-03-01T00:05:00Z" {
		t.Error(got)
	}
}

func TestSchedulesThatAreNone(t *testing.T) {
	for _, tc := range []struct {
		form           Form
		schedule, says string
	}{
		{seconds, "", "6 fields (second minute hour day month weekday), not 0"},
		{seconds, "0 0 8 L * *", "no day"},
		{seconds, "0 0 8 * * 6#2", "no weekday"},
		{seconds, "0 0 0 30 2 *", "no day is ever"},
		{seven, "* * * * * * 1969", "no year"},
		{seven, "* * * * * * 2200", "no year"},
		{seven, "* * * * * * 2027-2026", "no year"},
		{seven, "0 0 0 29 2 * 2026", "no day is ever"},
		{marked, "0 12 * * * *", "has to be ?"},
		{marked, "0 12 ? * ? *", "has to be ?"},
		{marked, "0 12 ? * 0 *", "no weekday"},
		{marked, "0 12 ? * 8 *", "no weekday"},
		{marked, "0 12 ? * MON#6 *", "no weekday"},
		{marked, "0 12 ? * 9L *", "no weekday"},
		{marked, "0 12 32W * ? *", "no day"},
		{marked, "0 12 W * ? *", "no day"},
		{marked, "60 12 * * ? *", "no minute"},
	} {
		if _, err := Parse(strings.Fields(tc.schedule), tc.form, time.UTC); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%q: %v", tc.schedule, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0 12 ? * MON#2,6L *")
	f.Add("0/10 8-17 LW,15W,L JAN-MAR/2 ? 2026-2030/2")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []Form{seconds, seven, marked} {
			s, err := Parse(strings.Fields(text), form, time.UTC)
			if err != nil {
				continue
			}
			if at := s.Next(now); !at.IsZero() && !at.After(now) {
				t.Errorf("%q: %v", text, at)
			}
		}
	})
}

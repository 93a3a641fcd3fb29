package codes_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
)

// classic is one of the four functions.
type classic func(context.Context, []byte) (string, error)

// invoke calls a function as Function Compute does.
func invoke(t *testing.T, f classic, event string) (body string, failed bool) {
	t.Helper()
	rec := httptest.NewRecorder()
	codes.Events(f).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", "/invoke", strings.NewReader(event)))
	return rec.Body.String(), rec.Header().Get("x-fc-status") == "404"
}

// TestTheFourEvents is the contract with old callers.
func TestTheFourEvents(t *testing.T) {
	o := newOffice(t)
	o.now = time.Date(2017, 12, 23, 0, 0, 0, 0, time.UTC)
	if got, failed := invoke(t, o.GenCode, `{"num":1000,"start period":"2017-12-22 00:00:00","end period":"2017-12-28 00:00:00"}`); got != "ok" || failed {
		t.Fatal(got)
	}
	list := o.all(codes.Classic)
	if len(list) != 1000 {
		t.Fatalf("%d codes", len(list))
	}
	row, err := o.store.Get(t.Context(), "code", codes.Key{{Name: "uuid", Value: list[0]}})
	if err != nil || row["status"] != "UNACTIVED" || row["start"] != int64(1513900800) || row["end"] != int64(1514419200) {
		t.Fatal(row, err)
	}
	id := func(uuid string) string { return `{"uuid":"` + uuid + `"}` }
	for _, step := range []struct {
		name, event, want string
		f                 classic
	}{
		{"an unknown code is queried", id("none"), "NO EXISTED", o.QueryCode},
		{"an unknown code is used", id("none"), "FAILED", o.UseCode},
		{"a new code", id(list[0]), "UNACTIVED", o.QueryCode},
		{"its use", id(list[0]), "SUCCEED", o.UseCode},
		{"its second use", id(list[0]), "FAILED", o.UseCode},
		{"what it is then", id(list[0]), "ACTIVED", o.QueryCode},
		{"its end", id(list[0]), "SUCCEED", o.DelCode},
		{"its second end", id(list[0]), "SUCCEED", o.DelCode},
		{"it is gone", id(list[0]), "NO EXISTED", o.QueryCode},
		{"and cannot be used", id(list[0]), "FAILED", o.UseCode},
		{"in capitals", id(strings.ToUpper(list[1])), "UNACTIVED", o.QueryCode},
		{"no text at all", id(""), "NO EXISTED", o.QueryCode},
	} {
		if got, failed := invoke(t, step.f, step.event); got != step.want || failed {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	o.now = time.Date(2017, 12, 28, 0, 0, 0, 0, time.UTC)
	if got, _ := invoke(t, o.QueryCode, id(list[2])); got != "TIMEINVALID" {
		t.Error(got)
	}
	if got, _ := invoke(t, o.UseCode, id(list[2])); got != "SUCCEED" {
		t.Error("old callers use codes outside their period:", got)
	}
	enforce := true
	if _, err := o.ChangeCampaign(t.Context(), codes.Classic, codes.CampaignChange{Enforce: &enforce}); err != nil {
		t.Fatal(err)
	}
	if got, _ := invoke(t, o.UseCode, id(list[3])); got != "FAILED" {
		t.Error("and do not when the campaign enforces it:", got)
	}
}

func TestErrorsAnswerAsTheFunctionsAlwaysDid(t *testing.T) {
	o := newOffice(t)
	if got, _ := invoke(t, o.GenCode, `{"num":1,"start period":"2017-12-22 00:00:00","end period":"2017-12-28 00:00:00"}`); got != "ok" {
		t.Fatal(got)
	}
	id := `{"uuid":"` + o.all(codes.Classic)[0] + `"}`
	o.store.Before = func(call, table string, key codes.Key) error { return errors.New("the store is away") }
	for _, f := range []classic{o.UseCode, o.DelCode} {
		if got, failed := invoke(t, f, id); got != "FAILED" || failed {
			t.Error(got)
		}
	}
	if got, failed := invoke(t, o.QueryCode, id); !failed {
		t.Error(got)
	}
	o.store.Before = nil
	if got, _ := invoke(t, o.UseCode, id); got != "SUCCEED" {
		t.Error("nothing was lost:", got)
	}
}

func TestNonsensicalEventsAreFailedCallsThatSayWhy(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		f     classic
		event string
		says  string
	}{
		{o.GenCode, ``, "JSON object"}, {o.GenCode, `null`, "JSON object"}, {o.GenCode, `{"num":"many"}`, "num"}, {o.GenCode, `{"num":10}`, "start period"},
		{o.GenCode, `{"num":10,"start period":"soon","end period":"2017-12-28 00:00:00"}`, "2017-12-22 00:00:00"},
		{o.GenCode, `{"num":10,"start period":"2017-12-28 00:00:00","end period":"2017-12-22 00:00:00"}`, "ends before"},
		{o.GenCode, `{"num":0,"start period":"2017-12-22 00:00:00","end period":"2017-12-28 00:00:00"}`, "num is 1"},
		{o.UseCode, `{}`, "no code"}, {o.UseCode, `{"uuid":7}`, "JSON object"}, {o.QueryCode, `[]`, "JSON object"}, {o.DelCode, `{"uuid":null}`, "no code"},
		{o.DelCode, strings.Repeat("x", 2<<20), "at most"},
	} {
		if got, failed := invoke(t, c.f, c.event); !failed || !strings.Contains(got, c.says) {
			t.Errorf("%.60s: %s", c.event, got)
		}
	}
	if n := len(o.all(codes.Classic)); n != 0 {
		t.Errorf("%d codes were made", n)
	}
}

func TestEventsOfTheGatewayAreAnsweredAsResponses(t *testing.T) {
	o := newOffice(t)
	if in, err := o.Import(t.Context(), codes.Classic, "", "admin", strings.NewReader("A-1\nA-2\nA-3\n"), nil, 1); err != nil || in.Added != 3 {
		t.Fatal(in, err)
	}
	for _, c := range []struct{ event, want string }{
		{`{"path":"/use_code","httpMethod":"POST","queryParameters":{},"body":"{\"uuid\":\"A-1\"}","isBase64Encoded":false}`, `"body":"SUCCEED"`},
		{`{"path":"/use_code","httpMethod":"POST","body":"eyJ1dWlkIjoiQS0yIn0=","isBase64Encoded":true}`, `"body":"SUCCEED"`},
		{`{"path":"/use_code","httpMethod":"GET","queryParameters":{"uuid":"A-3"},"body":""}`, `"body":"SUCCEED"`},
		{`{"path":"/use_code","httpMethod":"POST","body":"nonsense"}`, `"statusCode":400`},
		{`{"path":"/use_code","httpMethod":"POST","body":"?","isBase64Encoded":true}`, `"statusCode":400`},
	} {
		if got, failed := invoke(t, o.UseCode, c.event); failed || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.event, got)
		}
	}
}

func TestTheTimerCarriesOnWhatAKillHasLeft(t *testing.T) {
	o := newOffice(t)
	if _, err := o.Order(t.Context(), codes.Order{Campaign: codes.Classic, Num: 300}); err != nil {
		t.Fatal(err)
	}
	o.restart()
	if got, _ := invoke(t, o.GenCode, `{"triggerTime":"2026-06-01T12:00:00Z","triggerName":"carry-on","payload":""}`); got != "ok" || len(o.all(codes.Classic)) != 300 {
		t.Error(got)
	}
}

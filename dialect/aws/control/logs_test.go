package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
)

// noon is when the first line of the kept ones was written.
var noon = time.Date(2026, 3, 1, 23, 59, 59, 999e6, time.UTC)

// kept are the lines of one function.
type kept []sluice.LogLine

func (kept) Groups(app sluice.AppName) []LogGroup {
	if app != "" && app != "chat" {
		return nil
	}
	return []LogGroup{{Name: "/aws/lambda/talk", ARN: "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/talk", App: "chat", Function: "Talk",
		Stream: func(at time.Time) string { return at.Format("2006/01/02/") + "[$LATEST]f" }}}
}
func (k kept) Lines(LogGroup) []sluice.LogLine { return append([]sluice.LogLine(nil), k...) }

// logged is a world with four lines: one before midnight, three after, two of them in the same millisecond.
func logged(t *testing.T) *world {
	w := newWorld(t)
	next := noon.Add(time.Millisecond)
	w.control.o.Logs = kept{{Time: noon, Text: "one"}, {Time: next, Text: "two"}, {Time: next, Text: "three", Line: "INFO three"}, {Time: next.Add(time.Second), Text: "four"}}
	return w
}

// ask sends an operation of CloudWatch Logs and wants a status.
func (w *world) ask(by access.Credentials, want int, op, body string) map[string]any {
	w.Helper()
	rec := w.target(by, "logs", "Logs_20140328."+op, body)
	var out map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != want {
		w.Fatalf("%s %s: %d, want %d, %v\n%s", op, body, rec.Code, want, err, rec.Body)
	}
	return out
}

// messages are what an answer's events say.
func messages(out map[string]any) string {
	var b strings.Builder
	for _, e := range out["events"].([]any) {
		b.WriteString(strings.ReplaceAll(fmt.Sprint(e.(map[string]any)["message"]), "\n", ";"))
	}
	return b.String()
}

func TestLogsAreFiltered(t *testing.T) {
	w, ms := logged(t), noon.UnixMilli()
	for body, want := range map[string]string{
		`{}`:                                           "one;two;INFO three;four;",
		`{"filterPattern":"three"}`:                    "INFO three;",
		`{"filterPattern":"INFO -two"}`:                "INFO three;",
		`{"filterPattern":"?one ?four"}`:               "one;four;",
		`{"filterPattern":"\"INFO three\""}`:           "INFO three;",
		`{"filterPattern":"INFO four"}`:                "",
		fmt.Sprintf(`{"startTime":%d}`, ms+1):          "two;INFO three;four;",
		fmt.Sprintf(`{"endTime":%d}`, ms+1):            "one;two;INFO three;",
		`{"logStreamNames":["2026/03/01/[$LATEST]f"]}`: "one;",
		`{"logStreamNamePrefix":"2026/03/02"}`:         "two;INFO three;four;",
	} {
		group := `{"logGroupName":"/aws/lambda/talk"` + strings.TrimPrefix(strings.Replace(body, "{", ",", 1), ",}")
		if body == `{}` {
			group = `{"logGroupIdentifier":"arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/talk:*"}`
		}
		if got := messages(w.ask(w.app, 200, "FilterLogEvents", group)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	w.ask(w.app, 400, "FilterLogEvents", `{"logGroupName":"/aws/lambda/talk","filterPattern":"{ $.a = 1 }"}`)
	w.ask(w.app, 400, "FilterLogEvents", `{"logGroupName":"/aws/lambda/talk","nextToken":"x"}`)
	w.ask(w.app, 400, "FilterLogEvents", `{"logGroupName":"/aws/lambda/talk","limit":-1}`)
	if out := w.ask(w.app, 400, "FilterLogEvents", `{"logGroupName":"/aws/lambda/nope"}`); out["__type"] != "ResourceNotFoundException" {
		t.Error(out)
	}
	if out := w.ask(w.app, 400, "PutLogEvents", `{}`); out["__type"] != "UnknownOperationException" {
		t.Error(out)
	}
}

func TestLogsArePagedAlsoWithinAMillisecond(t *testing.T) {
	w := logged(t)
	var got []string
	token := ""
	for range 4 {
		out := w.ask(w.operator, 200, "FilterLogEvents", `{"logGroupName":"/aws/lambda/talk","limit":1`+token+`}`)
		got = append(got, messages(out))
		next, more := out["nextToken"]
		if more != (len(got) < 4) {
			t.Fatalf("page %d goes on: %v", len(got), more)
		}
		token = fmt.Sprintf(`,"nextToken":%q`, next)
	}
	if diff := cmp.Diff([]string{"one;", "two;", "INFO three;", "four;"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAStreamIsReadFromItsEndAndOnwards(t *testing.T) {
	w := logged(t)
	stream := `{"logGroupName":"/aws/lambda/talk","logStreamName":"2026/03/02/[$LATEST]f"`
	end := w.ask(w.app, 200, "GetLogEvents", stream+`,"limit":2}`)
	before := w.ask(w.app, 200, "GetLogEvents", stream+fmt.Sprintf(`,"nextToken":%q}`, end["nextBackwardToken"]))
	after := w.ask(w.app, 200, "GetLogEvents", stream+fmt.Sprintf(`,"nextToken":%q}`, end["nextForwardToken"]))
	head := w.ask(w.app, 200, "GetLogEvents", stream+`,"limit":1,"startFromHead":true}`)
	if got := []string{messages(end), messages(before), messages(after), messages(head)}; !cmp.Equal(got, []string{"INFO three;four;", "two;", "", "two;"}) {
		t.Errorf("%q", got)
	}
	if after["nextForwardToken"] != end["nextForwardToken"] {
		t.Error("the end of a stream is not told by the same token")
	}
	w.ask(w.app, 400, "GetLogEvents", `{"logGroupName":"/aws/lambda/talk","logStreamName":"nope"}`)
	out := w.ask(w.app, 200, "DescribeLogStreams", `{"logGroupName":"/aws/lambda/talk","orderBy":"LastEventTime","descending":true}`)
	first := out["logStreams"].([]any)[0].(map[string]any)
	if first["logStreamName"] != "2026/03/02/[$LATEST]f" || first["lastEventTimestamp"] != float64(noon.UnixMilli()+1001) {
		t.Error(out)
	}
}

func TestTheAddressOfAFunctionIsTold(t *testing.T) {
	w := newWorld(t)
	w.control.o.URL = func(app sluice.AppName, arn string) (string, error) {
		if app != "chat" || arn != "arn:talk" {
			return "", sluice.Errorf(sluice.Missing, "no URL")
		}
		return "https://x.lambda-url.eu-west-1.on.aws/", nil
	}
	for _, c := range []struct {
		by             access.Credentials
		op, body, want string
		status         int
	}{
		{w.app, "GetResource", `{"TypeName":"AWS::Lambda::Url","Identifier":"arn:talk"}`, `\"FunctionUrl\":\"https://x.lambda-url.eu-west-1.on.aws/\"`, 200},
		{w.other, "GetResource", `{"TypeName":"AWS::Lambda::Url","Identifier":"arn:talk"}`, "ResourceNotFoundException", 400},
		{w.app, "GetResource", `{"TypeName":"AWS::S3::Bucket","Identifier":"b"}`, "UnsupportedActionException", 400},
		{w.app, "ListResources", `{"TypeName":"AWS::Lambda::Url"}`, "UnsupportedActionException", 400},
		{w.app, "GetResource", `[]`, "SerializationException", 400},
	} {
		if rec := w.target(c.by, "cloudcontrolapi", "CloudApiService."+c.op, c.body); rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s, want %s", c.op, c.body, rec.Code, rec.Body, c.want)
		}
	}
}

func TestAnAppReadsItsOwnLogsOnly(t *testing.T) {
	w := logged(t)
	for _, c := range []struct {
		by   access.Credentials
		want int
	}{{w.operator, 1}, {w.app, 1}, {w.other, 0}} {
		if out := w.ask(c.by, 200, "DescribeLogGroups", `{"logGroupNamePrefix":"/aws/lambda/"}`); len(out["logGroups"].([]any)) != c.want {
			t.Errorf("%v, want %d", out, c.want)
		}
	}
}

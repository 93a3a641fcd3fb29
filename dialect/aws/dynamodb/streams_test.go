package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// streamWorld is a Handler with a clock that the test moves.
type streamWorld struct {
	*Handler
	t   *testing.T
	now time.Time
}

func newStreamWorld(t *testing.T) *streamWorld {
	store := memory.New()
	t.Cleanup(func() { _ = store.Close() })
	w := &streamWorld{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	tables, err := table.Open(t.Context(), store, table.Options{Log: slog.New(slog.DiscardHandler), Now: clock, Sweep: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = New(Options{Tables: tables, Now: clock})
	return w
}

// ask does an operation of DynamoDB, or of its streams, and returns its answer; a refusal comes back as
// its code and message.
func (w *streamWorld) ask(op, body string) (map[string]any, string) {
	w.t.Helper()
	o, ok := findOperation(target + op)
	if !ok {
		o, ok = findOperation(streamsTarget + op)
	}
	req, isJSON := parseJSON([]byte(body))
	if !ok || !isJSON {
		w.t.Fatalf("%s %s", op, body)
	}
	out, err := w.do(context.Background(), o, req)
	if err != nil {
		f, _ := faultOf(err)
		return nil, f.Error()
	}
	var v map[string]any
	if err := json.Unmarshal(out, &v); err != nil {
		w.t.Fatalf("%s: %s: %v", op, out, err)
	}
	return v, ""
}

func (w *streamWorld) must(op, format string, args ...any) map[string]any {
	w.t.Helper()
	v, refusal := w.ask(op, fmt.Sprintf(format, args...))
	if refusal != "" {
		w.t.Fatalf("%s: %s", op, refusal)
	}
	return v
}

// streamTable makes a table with a stream and returns the stream's ARN.
func (w *streamWorld) streamTable(name, view string) string {
	w.t.Helper()
	w.must("CreateTable", `{"TableName":%q,"KeySchema":[{"AttributeName":"h","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"h","AttributeType":"S"}],
		"BillingMode":"PAY_PER_REQUEST","StreamSpecification":{"StreamEnabled":true,"StreamViewType":%q}}`, name, view)
	return w.must("DescribeTable", `{"TableName":%q}`, name)["Table"].(map[string]any)["LatestStreamArn"].(string)
}

// shardOf is the only shard of a stream.
func (w *streamWorld) shardOf(arn string) string {
	w.t.Helper()
	d := w.must("DescribeStream", `{"StreamArn":%q}`, arn)["StreamDescription"].(map[string]any)
	shards := d["Shards"].([]any)
	if len(shards) != 1 {
		w.t.Fatalf("shards: %v", shards)
	}
	return shards[0].(map[string]any)["ShardId"].(string)
}

func (w *streamWorld) iteratorAt(arn, kind, sequence string) string {
	w.t.Helper()
	if sequence != "" {
		sequence = `,"SequenceNumber":"` + sequence + `"`
	}
	return w.must("GetShardIterator", `{"StreamArn":%q,"ShardId":%q,"ShardIteratorType":%q%s}`, arn, w.shardOf(arn), kind, sequence)["ShardIterator"].(string)
}

// records reads one page; each record is told as name, and its dynamodb part as JSON without what changes
// from run to run.
func (w *streamWorld) records(iterator string) (list []string, next string) {
	w.t.Helper()
	page := w.must("GetRecords", `{"ShardIterator":%q}`, iterator)
	for _, r := range page["Records"].([]any) {
		r := r.(map[string]any)
		change := r["dynamodb"].(map[string]any)
		delete(change, "ApproximateCreationDateTime")
		delete(change, "StreamViewType")
		text, _ := json.Marshal(change)
		list = append(list, r["eventName"].(string)+" "+string(text))
	}
	next, _ = page["NextShardIterator"].(string)
	return list, next
}

func TestStreamsTellEachChange(t *testing.T) {
	w := newStreamWorld(t)
	arn := w.streamTable("tab", "NEW_AND_OLD_IMAGES")
	first := w.iteratorAt(arn, "TRIM_HORIZON", "")
	w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"k"},"n":{"N":"1"}}}`)
	w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"k"},"n":{"N":"1.0"}}}`) // changes nothing
	w.must("UpdateItem", `{"TableName":"tab","Key":{"h":{"S":"k"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`)
	latest := w.iteratorAt(arn, "LATEST", "")
	w.must("DeleteItem", `{"TableName":"tab","Key":{"h":{"S":"k"}}}`)
	w.must("DeleteItem", `{"TableName":"tab","Key":{"h":{"S":"k"}}}`) // nothing there

	got, next := w.records(first)
	var numbers []string
	for i, text := range got {
		_, rest, _ := strings.Cut(text, `"SequenceNumber":"`)
		number, _, _ := strings.Cut(rest, `"`)
		if len(number) != 21 || i > 0 && number <= numbers[i-1] {
			t.Errorf("sequence number %q after %v", number, numbers)
		}
		numbers = append(numbers, number)
		got[i] = strings.Replace(text, number, "#", 1)
	}
	want := []string{
		`INSERT {"Keys":{"h":{"S":"k"}},"NewImage":{"h":{"S":"k"},"n":{"N":"1"}},"SequenceNumber":"#","SizeBytes":7}`,
		`MODIFY {"Keys":{"h":{"S":"k"}},"NewImage":{"h":{"S":"k"},"n":{"N":"2"}},"OldImage":{"h":{"S":"k"},"n":{"N":"1"}},"SequenceNumber":"#","SizeBytes":12}`,
		`REMOVE {"Keys":{"h":{"S":"k"}},"OldImage":{"h":{"S":"k"},"n":{"N":"2"}},"SequenceNumber":"#","SizeBytes":7}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if again, _ := w.records(next); len(again) != 0 {
		t.Errorf("behind the end: %v", again)
	}
	for kind, c := range map[string]struct {
		sequence string
		want     string
		n        int
	}{
		"AT_SEQUENCE_NUMBER":    {numbers[1], "MODIFY", 2},
		"AFTER_SEQUENCE_NUMBER": {numbers[1], "REMOVE", 1},
	} {
		list, _ := w.records(w.iteratorAt(arn, kind, c.sequence))
		if len(list) != c.n || !strings.HasPrefix(list[0], c.want) {
			t.Errorf("%s: %v", kind, list)
		}
	}
	if list, _ := w.records(latest); len(list) != 1 || !strings.HasPrefix(list[0], "REMOVE") {
		t.Errorf("LATEST: %v", list)
	}
	page := w.must("GetRecords", `{"ShardIterator":%q,"Limit":1}`, first)
	if list, _ := w.records(page["NextShardIterator"].(string)); len(page["Records"].([]any)) != 1 || len(list) != 2 {
		t.Errorf("a page of one: %v, then %v", page["Records"], list)
	}
}

func TestStreamsShowAsMuchAsTheirViewType(t *testing.T) {
	w := newStreamWorld(t)
	for view, want := range map[string]string{
		"KEYS_ONLY": "Keys", "NEW_IMAGE": "Keys NewImage", "OLD_IMAGE": "Keys OldImage", "NEW_AND_OLD_IMAGES": "Keys NewImage OldImage",
	} {
		arn := w.streamTable(view, view)
		for n := range 2 {
			w.must("PutItem", `{"TableName":%q,"Item":{"h":{"S":"k"},"n":{"N":"%d"}}}`, view, n)
		}
		page := w.must("GetRecords", `{"ShardIterator":%q}`, w.iteratorAt(arn, "TRIM_HORIZON", ""))
		change := page["Records"].([]any)[1].(map[string]any)["dynamodb"].(map[string]any)
		var has []string
		for _, part := range []string{"Keys", "NewImage", "OldImage"} {
			if change[part] != nil {
				has = append(has, part)
			}
		}
		if got := strings.Join(has, " "); got != want || change["StreamViewType"] != view {
			t.Errorf("%s: %s", view, got)
		}
	}
	streams := w.must("ListStreams", `{}`)["Streams"].([]any)
	if len(streams) != 4 {
		t.Errorf("streams: %v", streams)
	}
	var tables []string
	for start := ""; ; {
		page := w.must("ListStreams", `{"Limit":3%s}`, start)
		for _, s := range page["Streams"].([]any) {
			tables = append(tables, s.(map[string]any)["TableName"].(string))
		}
		last, more := page["LastEvaluatedStreamArn"]
		if !more {
			break
		}
		start = fmt.Sprintf(`,"ExclusiveStartStreamArn":%q`, last)
	}
	if diff := cmp.Diff([]string{"KEYS_ONLY", "NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE"}, tables); diff != "" {
		t.Error(diff)
	}
	if one := w.must("ListStreams", `{"TableName":"NEW_IMAGE"}`)["Streams"].([]any); len(one) != 1 {
		t.Errorf("of one table: %v", one)
	}
}

func TestStreamsRefuseWhatIsNotThere(t *testing.T) {
	w := newStreamWorld(t)
	arn := w.streamTable("tab", "KEYS_ONLY")
	shard := w.shardOf(arn)
	for range 3 {
		w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":%q}}}`, fmt.Sprint(w.now.UnixNano()))
		w.now = w.now.Add(time.Second)
	}
	iterator := w.iteratorAt(arn, "TRIM_HORIZON", "")
	other := strings.Replace(arn, "table/tab", "table/gone", 1)
	for _, c := range []struct{ op, body, want string }{
		{"DescribeStream", `{"StreamArn":"` + other + `"}`, "ResourceNotFoundException: Requested resource not found: Stream: " + other + " not found"},
		{"DescribeStream", `{"StreamArn":"` + arn + `0"}`, "ResourceNotFoundException: Requested resource not found: Stream: " + arn + "0 not found"},
		{"DescribeStream", `{"StreamArn":"` + strings.Repeat("x", 40) + `"}`, "ValidationException: Invalid StreamArn"},
		{"DescribeStream", `{}`, "ValidationException: 1 validation error detected: Value null at 'streamArn' failed to satisfy constraint: Member must not be null"},
		{"ListStreams", `{"TableName":"gone"}`, "ResourceNotFoundException: Requested resource not found: Table: gone not found"},
		{"GetShardIterator", `{"StreamArn":"` + arn + `","ShardId":"` + shard + `0","ShardIteratorType":"LATEST"}`,
			"ResourceNotFoundException: Requested resource not found: Shard: " + shard + "0 in Stream: " + arn + " not found"},
		{"GetShardIterator", `{"StreamArn":"` + arn + `","ShardId":"` + shard + `","ShardIteratorType":"AT_SEQUENCE_NUMBER"}`,
			"ValidationException: Invalid SequenceNumber for ShardIteratorType AT_SEQUENCE_NUMBER"},
		{"GetShardIterator", `{"StreamArn":"` + arn + `","ShardId":"` + shard + `","ShardIteratorType":"AT_SEQUENCE_NUMBER","SequenceNumber":"` + sequence(99) + `"}`,
			"ValidationException: Invalid SequenceNumber: it is beyond the end of the shard"},
		{"GetRecords", `{"ShardIterator":"` + arn + `|1|AAAA"}`, "ValidationException: Invalid ShardIterator"},
		{"GetRecords", `{"ShardIterator":"x"}`, "ValidationException: Invalid ShardIterator"},
	} {
		if _, got := w.ask(c.op, c.body); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.op, c.body, got, c.want)
		}
	}
	w.now = w.now.Add(iteratorLife)
	if _, got := w.ask("GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, iterator)); got != "" {
		t.Errorf("an old iterator: %s", got)
	}
	w.now = w.now.Add(time.Second)
	if _, got := w.ask("GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, iterator)); got != "ExpiredIteratorException: Iterator expired" {
		t.Errorf("too old an iterator: %s", got)
	}
}

func TestAStreamThatWasOffIsReadForADay(t *testing.T) {
	w := newStreamWorld(t)
	old := w.streamTable("tab", "KEYS_ONLY")
	w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"1"}}}`)
	w.now = w.now.Add(time.Second)
	w.must("UpdateTable", `{"TableName":"tab","StreamSpecification":{"StreamEnabled":false}}`)
	w.now = w.now.Add(time.Second)
	d := w.must("DescribeStream", `{"StreamArn":%q}`, old)["StreamDescription"].(map[string]any)
	end := d["Shards"].([]any)[0].(map[string]any)["SequenceNumberRange"].(map[string]any)["EndingSequenceNumber"]
	if d["StreamStatus"] != "DISABLED" || end != sequence(1) {
		t.Errorf("a stream that is off: %v", d)
	}
	readOld := func() {
		t.Helper()
		if list, next := w.records(w.iteratorAt(old, "TRIM_HORIZON", "")); next != "" || len(list) != 1 || !strings.Contains(list[0], `{"S":"1"}`) {
			t.Errorf("a stream that is off: %v, and on at %q", list, next)
		}
	}
	readOld()
	w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"unseen"}}}`)
	w.must("UpdateTable", `{"TableName":"tab","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"}}`)
	w.now = w.now.Add(time.Second)
	w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"2"}}}`)
	arn := w.must("DescribeTable", `{"TableName":"tab"}`)["Table"].(map[string]any)["LatestStreamArn"].(string)
	if list, _ := w.records(w.iteratorAt(arn, "TRIM_HORIZON", "")); len(list) != 1 || !strings.Contains(list[0], `{"S":"2"}`) {
		t.Errorf("the new stream: %v", list)
	}
	readOld()
	if list := w.must("ListStreams", `{"TableName":"tab"}`)["Streams"].([]any); len(list) != 2 {
		t.Errorf("the streams are %v", list)
	}
	w.now = w.now.Add(24 * time.Hour)
	if _, got := w.ask("DescribeStream", fmt.Sprintf(`{"StreamArn":%q}`, old)); !strings.HasPrefix(got, "ResourceNotFoundException") {
		t.Errorf("the old stream: %s", got)
	}
}

func TestExpiredItemsLeaveRecordsOfTheService(t *testing.T) {
	w := newStreamWorld(t)
	arn := w.streamTable("tab", "OLD_IMAGE")
	w.must("UpdateTimeToLive", `{"TableName":"tab","TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ends"}}`)
	w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"k"},"ends":{"N":"%d"}}}`, w.now.Unix()+60)
	w.now = w.now.Add(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.opt.Tables.Run(ctx) }()
	defer func() { cancel(); <-done }()

	deadline := time.Now().Add(time.Minute)
	var list []Record
	for len(list) < 2 {
		if time.Now().After(deadline) {
			t.Fatal("the item does not expire")
		}
		var err error
		if list, _, err = w.Records(t.Context(), arn, 0, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	var rec struct {
		EventID, EventName, EventVersion, EventSource, EventSourceARN, AWSRegion string
		UserIdentity                                                             map[string]string
		DynamoDB                                                                 struct{ OldImage map[string]map[string]string }
	}
	if err := json.Unmarshal(list[1].JSON, &rec); err != nil {
		t.Fatal(err)
	}
	if rec.EventName != "REMOVE" || rec.EventSourceARN != arn || rec.EventSource != "aws:dynamodb" || rec.AWSRegion != "us-east-1" ||
		rec.EventVersion != "1.1" || len(rec.EventID) != 32 || rec.DynamoDB.OldImage["h"]["S"] != "k" {
		t.Errorf("%+v", rec)
	}
	if diff := cmp.Diff(map[string]string{"type": "Service", "principalId": "dynamodb.amazonaws.com"}, rec.UserIdentity); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(list[1].JSON), `"userIdentity":{"type":"Service"`) {
		t.Errorf("as Lambda spells it: %s", list[1].JSON)
	}
	page := w.must("GetRecords", `{"ShardIterator":%q}`, w.iteratorAt(arn, "TRIM_HORIZON", ""))
	identity := page["Records"].([]any)[1].(map[string]any)["userIdentity"]
	if diff := cmp.Diff(map[string]any{"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}, identity); diff != "" {
		t.Error(diff)
	}
}

func TestRecordsForLambda(t *testing.T) {
	w := newStreamWorld(t)
	arn := w.streamTable("tab", "NEW_IMAGE")
	tableARN, _, _ := strings.Cut(arn, "/stream/")
	for n := range 5 {
		w.must("PutItem", `{"TableName":"tab","Item":{"h":{"S":"%d"}}}`, n)
	}
	for _, name := range []string{"tab", tableARN, arn} {
		list, next, err := w.Records(t.Context(), name, 0, 3)
		if err != nil || len(list) != 3 || next != 4 {
			t.Fatalf("%s: %d records, next %d, %v", name, len(list), next, err)
		}
		list, next, err = w.Records(t.Context(), name, next, 0)
		if err != nil || len(list) != 2 || next != 6 || list[1].Seq != 5 || !list[1].Time.Equal(w.now) {
			t.Fatalf("%s: %+v, next %d, %v", name, list, next, err)
		}
		if list, next, err = w.Records(t.Context(), name, next, 0); err != nil || list != nil || next != 6 {
			t.Fatalf("%s: %+v, next %d, %v", name, list, next, err)
		}
		if n, err := w.Latest(t.Context(), name); err != nil || n != 6 {
			t.Errorf("%s: latest %d %v", name, n, err)
		}
	}
	w.must("CreateTable", `{"TableName":"dry","KeySchema":[{"AttributeName":"h","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"h","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`)
	for _, name := range []string{"gone", "dry"} {
		if _, _, err := w.Records(t.Context(), name, 0, 0); sluice.KindOf(err) != sluice.Missing {
			t.Errorf("%s: %v", name, err)
		}
	}
}

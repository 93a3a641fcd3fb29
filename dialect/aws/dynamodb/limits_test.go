package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

const simpleTable = `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`

const pairTable = `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"c","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST"}`

// page is what Query and Scan answer.
type page struct {
	Items               []map[string]map[string]any
	Count, ScannedCount int
	LastEvaluatedKey    json.RawMessage
}

func (w *world) page(op, body string) (p page) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.ok(op, body)), &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestPageEndsAfterAMegabyteBeforeTheFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", pairTable)
	for i := range 5 {
		w.ok("PutItem", fmt.Sprintf(`{"TableName":"Tab","Item":{"p":{"S":"a"},"c":{"N":"%d"},"v":{"S":%q}}}`, i, strings.Repeat("x", 300<<10)))
	}
	for _, op := range []string{
		`Query {"KeyConditionExpression":"p = :p","FilterExpression":"c2 = :p","ExpressionAttributeValues":{":p":{"S":"a"}},`,
		`Scan {"FilterExpression":"c2 = :p","ExpressionAttributeValues":{":p":{"S":"a"}},`,
	} {
		name, body, _ := strings.Cut(op, " ")
		first := w.page(name, body+`"TableName":"Tab"}`)
		if first.Count != 0 || first.ScannedCount != 4 || first.LastEvaluatedKey == nil {
			t.Fatalf("%s: the first page is %+v", name, first)
		}
		second := w.page(name, body+`"TableName":"Tab","ExclusiveStartKey":`+string(first.LastEvaluatedKey)+`}`)
		if second.Count != 0 || second.ScannedCount != 1 || second.LastEvaluatedKey != nil {
			t.Errorf("%s: the second page is %+v", name, second)
		}
	}
}

func TestLargeBatchLeavesKeysUnprocessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", simpleTable)
	var keys []string
	for i := range 50 {
		key := fmt.Sprintf(`{"p":{"S":"%d"}}`, i)
		keys = append(keys, key)
		w.ok("PutItem", fmt.Sprintf(`{"TableName":"Tab","Item":{"p":{"S":"%d"},"v":{"S":%q}}}`, i, strings.Repeat("x", 390<<10)))
	}
	rest := `{"Tab":{"Keys":[` + strings.Join(keys, ",") + `],"ProjectionExpression":"p"}}`
	got, calls := 0, 0
	for rest != "{}" && calls < 5 {
		calls++
		var answer struct {
			Responses       map[string][]any
			UnprocessedKeys json.RawMessage
		}
		if err := json.Unmarshal([]byte(w.ok("BatchGetItem", `{"RequestItems":`+rest+`}`)), &answer); err != nil {
			t.Fatal(err)
		}
		got += len(answer.Responses["Tab"])
		rest = string(answer.UnprocessedKeys)
	}
	if got != 50 || calls != 2 {
		t.Errorf("%d items in %d calls", got, calls)
	}
}

func TestItemsAreNoLargerThan400KB(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", simpleTable)
	value := func(n int) string { return `{"S":"` + strings.Repeat("x", n) + `"}` }
	const rest = len("p" + "a" + "v")
	w.ok("PutItem", `{"TableName":"Tab","Item":{"p":{"S":"a"},"v":`+value(maxItem-rest)+`}}`)
	for body, want := range map[string]string{
		`PutItem {"TableName":"Tab","Item":{"p":{"S":"a"},"v":` + value(maxItem-rest+1) + `}}`:                                                                                         "Item size has exceeded the maximum allowed size",
		`UpdateItem {"TableName":"Tab","Key":{"p":{"S":"a"}},"UpdateExpression":"SET w = :w","ExpressionAttributeValues":{":w":{"S":""}}}`:                                             "Item size to update has exceeded the maximum allowed size",
		`TransactWriteItems {"TransactItems":[{"Update":{"TableName":"Tab","Key":{"p":{"S":"a"}},"UpdateExpression":"SET w = :w","ExpressionAttributeValues":{":w":{"BOOL":true}}}}]}`: "Item size to update has exceeded the maximum allowed size",
	} {
		op, req, _ := strings.Cut(body, " ")
		if status, out := w.do(op, req); status != 400 || !strings.Contains(out, want) {
			t.Errorf("%s: %d %s", op, status, out)
		}
	}
}

func TestExpiredItemsAreReadUntilTheyAreSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", strings.Replace(simpleTable, `"BillingMode"`, `"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"OLD_IMAGE"},"BillingMode"`, 1))
	now := w.at.Unix()
	for name, at := range map[string]int64{"over": now - 10, "soon": now + 100, "ancient": now - 6*365*86400} {
		w.ok("PutItem", fmt.Sprintf(`{"TableName":"Tab","Item":{"p":{"S":%q},"ttl":{"N":"%d"}}}`, name, at))
	}
	w.ok("PutItem", `{"TableName":"Tab","Item":{"p":{"S":"text"},"ttl":{"S":"1"}}}`)
	w.ok("UpdateTimeToLive", `{"TableName":"Tab","TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}`)
	left := func() int { return w.page("Scan", `{"TableName":"Tab"}`).Count }
	w.sweepUntil(func() bool { return left() == 3 })
	w.ok("PutItem", fmt.Sprintf(`{"TableName":"Tab","Item":{"p":{"S":"over"},"ttl":{"N":"%d"}}}`, now-10))
	if n := left(); n != 4 {
		t.Errorf("%d items are there before the sweeper comes, want 4", n)
	}
	w.at = w.at.Add(100 * time.Second)
	w.sweepUntil(func() bool { return left() == 2 })
	spec, err := w.tables.Lookup(t.Context(), w.h.scope, "Tab")
	if err != nil {
		t.Fatal(err)
	}
	recs, err := w.tables.ReadStream(t.Context(), spec, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	expired := 0
	for _, r := range recs {
		if r.Expired {
			expired++
		}
	}
	if expired != 3 {
		t.Errorf("the stream tells of %d expired items, want 3", expired)
	}
}

// sweepUntil runs the room's background work until done.
func (w *world) sweepUntil(done func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	finished := make(chan error, 1)
	go func() { finished <- w.tables.Run(ctx) }()
	deadline := time.Now().Add(time.Minute)
	ok := done()
	for ; !ok && time.Now().Before(deadline); ok = done() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-finished; err != nil || !ok {
		w.t.Fatalf("the background work has not done it: %v", err)
	}
}

func TestTemplatesMakeAndChangeTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ensure := func(spec string) error { return w.h.EnsureTable(t.Context(), []byte(spec)) }
	const before = `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"g","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"ofG","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}],"TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true},"Tags":[{"Key":"a","Value":"b"}]}`
	if err := ensure(before); err != nil {
		t.Fatal(err)
	}
	w.ok("PutItem", `{"TableName":"Tab","Item":{"p":{"S":"1"},"g":{"S":"x"},"h":{"N":"1"}}}`)
	if out := w.ok("DescribeTimeToLive", `{"TableName":"Tab"}`); !strings.Contains(out, `"AttributeName":"ttl"`) {
		t.Errorf("time to live: %s", out)
	}
	if err := ensure(before); err != nil {
		t.Errorf("again: %v", err)
	}
	after := strings.NewReplacer(`"g","AttributeType":"S"`, `"h","AttributeType":"N"`, `"ofG"`, `"ofH"`, `"g","KeyType"`, `"h","KeyType"`,
		`"Enabled":true`, `"Enabled":false`, `"Tags"`, `"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"},"Tags"`).Replace(before)
	if err := ensure(after); err != nil {
		t.Fatal(err)
	}
	if p := w.page("Scan", `{"TableName":"Tab","IndexName":"ofH"}`); p.Count != 1 {
		t.Errorf("the new index has %+v", p)
	}
	if _, out := w.do("Scan", `{"TableName":"Tab","IndexName":"ofG"}`); !strings.Contains(out, "does not have the specified index") {
		t.Errorf("the old index: %s", out)
	}
	if out := w.ok("DescribeTable", `{"TableName":"Tab"}`); !strings.Contains(out, `"StreamViewType":"NEW_IMAGE"`) {
		t.Errorf("the stream: %s", out)
	}
	for spec, want := range map[string]string{
		strings.Replace(before, `"p","AttributeType":"S"`, `"p","AttributeType":"N"`, 1): "table Tab exists with the key (p S), not (p N): a key cannot be changed",
		`{"TableName":"New"}`: "table New: 2 validation errors detected",
		`[]`:                  "not a JSON object",
	} {
		if err := ensure(spec); err == nil || !strings.Contains(err.Error(), want) || sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestScopeIsAccountAndRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", simpleTable)
	other := New(Options{Tables: w.tables, Region: "eu-north-1", Now: w.h.opt.Now})
	if _, out, _ := other.Do(t.Context(), "ListTables", []byte("{}")); string(out) != `{"TableNames":[]}` {
		t.Errorf("another region has %s", out)
	}
	var specs []*table.Spec
	specs, err := w.tables.List(t.Context(), Scope("000000000000", "us-east-1"))
	if err != nil || len(specs) != 1 {
		t.Errorf("the room has %v, %v", specs, err)
	}
}

func TestScansCostEachPartitionThatTheyLookInto(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", simpleTable)
	w.ok("CreateTable", strings.NewReplacer(`"Tab"`, `"Few"`, `"BillingMode":"PAY_PER_REQUEST"`, `"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`).Replace(simpleTable))
	units := func(table, more string) float64 {
		t.Helper()
		var p struct {
			ConsumedCapacity struct{ CapacityUnits float64 }
		}
		if err := json.Unmarshal([]byte(w.ok("Scan", `{"TableName":"`+table+`","ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL"`+more+`}`)), &p); err != nil {
			t.Fatal(err)
		}
		return p.ConsumedCapacity.CapacityUnits
	}
	if n := units("Tab", ""); n != 4 {
		t.Errorf("a scan of nothing costs %v", n)
	}
	for i := range 100 {
		for _, table := range []string{"Tab", "Few"} {
			w.ok("PutItem", fmt.Sprintf(`{"TableName":%q,"Item":{"p":{"S":"%d"},"v":{"S":%q}}}`, table, i, strings.Repeat("x", 1000)))
		}
	}
	if few, all := units("Few", ""), units("Tab", ""); few != 25 || all < few || all > few+3 {
		t.Errorf("of one partition %v, of all %v", few, all)
	}
	if n := units("Tab", `,"Limit":1`); n != 1 {
		t.Errorf("the first item costs %v", n)
	}
	for _, total := range []int{1, 2, 3, 4, 7, 1000} {
		sum := 0.0
		for i := range total {
			sum += units("Tab", fmt.Sprintf(`,"Segment":%d,"TotalSegments":%d`, i, total))
		}
		if least := float64(max(25, total)); sum < least || sum > least+float64(total)+4 {
			t.Errorf("%d segments cost %v", total, sum)
		}
	}
	sum, pages := 0.0, 0
	for from := ""; ; pages++ {
		p := w.page("Scan", `{"TableName":"Tab","Limit":7`+from+`}`)
		sum += units("Tab", `,"Limit":7`+from)
		if p.LastEvaluatedKey == nil {
			break
		}
		from = `,"ExclusiveStartKey":` + string(p.LastEvaluatedKey)
	}
	if least := float64(pages) * 2; sum < least || sum > least+4+float64(pages) {
		t.Errorf("%d pages cost %v", pages, sum)
	}
}

func TestAPartitionKeyThatSortsAnIndexIsNoLongerThanASortKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"g","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"ofG","KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"p","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}}]}`)
	for length, want := range map[int]int{maxRange: 200, maxRange + 1: 400} {
		status, out := w.do("PutItem", fmt.Sprintf(`{"TableName":"Tab","Item":{"p":{"S":%q},"g":{"S":"a"}}}`, strings.Repeat("x", length)))
		if status != want {
			t.Errorf("%d bytes: %d %s", length, status, out)
		}
	}
	w.ok("PutItem", fmt.Sprintf(`{"TableName":"Tab","Item":{"p":{"S":%q}}}`, strings.Repeat("x", maxHash)))
}

package dynamodb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// A history of random operations is played on a table and on a plain map; both have to agree on every
// answer, on every query of the table and its indexes, and on every scan.
type model struct {
	w     *world
	items map[string]attr.Item // by the JSON of their key
}

const modelTable = `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"c","AttributeType":"N"},{"AttributeName":"g","AttributeType":"S"},{"AttributeName":"n","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST","LocalSecondaryIndexes":[{"IndexName":"byN","KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"n","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}],"GlobalSecondaryIndexes":[{"IndexName":"ofG","KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"n","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}}]}`

func drawNumber(t *rapid.T, name string) table.Value {
	return attr.Number(rapid.SampledFrom([]string{"-10", "-2", "-0.5", "0", "0.5", "1", "2", "10", "100"}).Draw(t, name))
}

func drawText(t *rapid.T, name string) table.Value {
	return attr.String(rapid.SampledFrom([]string{"a", "b", "ab"}).Draw(t, name))
}

func (m *model) drawKey(t *rapid.T) attr.Item {
	return attr.Item{"p": drawText(t, "p"), "c": drawNumber(t, "c")}
}

func show(item attr.Item) string { return string(attr.AppendItem(nil, item)) }

// call does an operation and decodes its answer.
func (m *model) call(t *rapid.T, op, body string, answer any) int {
	status, out, err := m.w.h.Do(m.w.t.Context(), op, []byte(body))
	if err != nil {
		t.Fatalf("%s %s: %v", op, body, err)
	}
	if answer != nil && len(out) > 0 {
		if err := json.Unmarshal(out, answer); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	}
	return status
}

func decode(t *rapid.T, raw json.RawMessage) attr.Item {
	if raw == nil {
		return nil
	}
	item, err := attr.DecodeItem(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return item
}

func (m *model) put(t *rapid.T) {
	key := m.drawKey(t)
	item := attr.Item{"p": key["p"], "c": key["c"]}
	for _, name := range []string{"g", "n", "v"} {
		switch {
		case !rapid.Bool().Draw(t, name):
		case name == "n":
			item[name] = drawNumber(t, "n")
		default:
			item[name] = drawText(t, name)
		}
	}
	was, there := m.items[show(key)]
	onlyNew := rapid.Bool().Draw(t, "only new")
	req := `{"TableName":"Tab","ReturnValues":"ALL_OLD","Item":` + show(item)
	if onlyNew {
		req += `,"ConditionExpression":"attribute_not_exists(p)"`
	}
	var answer struct{ Attributes json.RawMessage }
	status := m.call(t, "PutItem", req+"}", &answer)
	if onlyNew && there {
		if status != 400 {
			t.Fatalf("a put over %s was done", show(was))
		}
		return
	}
	if status != 200 || !attr.EqualItems(decode(t, answer.Attributes), was) {
		t.Fatalf("put of %s: %d %s, was %s", show(item), status, answer.Attributes, show(was))
	}
	m.items[show(key)] = item
}

func (m *model) remove(t *rapid.T) {
	key := m.drawKey(t)
	var answer struct{ Attributes json.RawMessage }
	status := m.call(t, "DeleteItem", `{"TableName":"Tab","ReturnValues":"ALL_OLD","Key":`+show(key)+"}", &answer)
	if status != 200 || !attr.EqualItems(decode(t, answer.Attributes), m.items[show(key)]) {
		t.Fatalf("delete of %s: %d %s", show(key), status, answer.Attributes)
	}
	delete(m.items, show(key))
}

func (m *model) change(t *rapid.T) {
	key := m.drawKey(t)
	was, there := m.items[show(key)]
	item := attr.Item{"p": key["p"], "c": key["c"]}
	for name, v := range was {
		item[name] = v
	}
	var expression string
	values := attr.Item{}
	switch rapid.SampledFrom([]string{"add", "set", "remove"}).Draw(t, "update") {
	case "add":
		expression, values[":n"] = "ADD n :n", drawNumber(t, "addend")
		n := values[":n"]
		if old, ok := item["n"]; ok {
			sum, err := attr.Add(old.Str, n.Str)
			if err != nil {
				t.Fatal(err)
			}
			n = attr.Number(sum)
		}
		item["n"] = n
	case "set":
		expression, values[":g"] = "SET g = :g, v = if_not_exists(v, :g)", drawText(t, "g")
		if item["g"] = values[":g"]; item["v"].Type == table.Null {
			item["v"] = values[":g"]
		}
	case "remove":
		expression = "REMOVE g"
		if delete(item, "g"); !there {
			item = nil
		}
	}
	req := `{"TableName":"Tab","ReturnValues":"ALL_NEW","UpdateExpression":"` + expression + `","Key":` + show(key)
	if len(values) > 0 {
		req += `,"ExpressionAttributeValues":` + show(values)
	}
	var answer struct{ Attributes json.RawMessage }
	status := m.call(t, "UpdateItem", req+"}", &answer)
	if status != 200 || !attr.EqualItems(decode(t, answer.Attributes), item) {
		t.Fatalf("%s of %s: %d %s, want %s", expression, show(key), status, answer.Attributes, show(item))
	}
	if item != nil {
		m.items[show(key)] = item
	}
}

// transact puts one item and deletes another, unless the first is there.
func (m *model) transact(t *rapid.T) {
	a, b := m.drawKey(t), m.drawKey(t)
	_, there := m.items[show(a)]
	status := m.call(t, "TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"Tab","ConditionExpression":"attribute_not_exists(p)","Item":`+show(a)+
		`}},{"Delete":{"TableName":"Tab","Key":`+show(b)+`}}]}`, nil)
	if refused := there || show(a) == show(b); (status == 400) != refused {
		t.Fatalf("the transaction of %s and %s: %d", show(a), show(b), status)
	} else if !refused {
		m.items[show(a)] = a
		delete(m.items, show(b))
	}
}

// walk reads all pages of a Query or Scan.
func (m *model) walk(t *rapid.T, op, body string, limit int) (all []attr.Item) {
	start := ""
	for range 1000 {
		var answer struct {
			Items            []json.RawMessage
			Count            int
			LastEvaluatedKey json.RawMessage
		}
		if status := m.call(t, op, fmt.Sprintf(`{"TableName":"Tab","Limit":%d%s%s}`, limit, body, start), &answer); status != 200 {
			t.Fatalf("%s %s%s: %d", op, body, start, status)
		}
		if len(answer.Items) > limit || len(answer.Items) != answer.Count {
			t.Fatalf("a page of %d items, at most %d", len(answer.Items), limit)
		}
		for _, raw := range answer.Items {
			all = append(all, decode(t, raw))
		}
		if answer.LastEvaluatedKey == nil {
			return all
		}
		start = `,"ExclusiveStartKey":` + string(answer.LastEvaluatedKey)
	}
	t.Fatal("the walk does not end")
	return nil
}

// query compares one query with the model.
func (m *model) query(t *rapid.T) {
	index, hash, sort := "", "p", "c"
	switch rapid.IntRange(0, 2).Draw(t, "index") {
	case 1:
		index, sort = "byN", "n"
	case 2:
		index, hash, sort = "ofG", "g", "n"
	}
	value, low, high := drawText(t, "hash"), drawNumber(t, "low"), drawNumber(t, "high")
	tests := map[string]func(order, orderHigh int) bool{
		"":                                                  func(int, int) bool { return true },
		fmt.Sprintf(" AND %s = :low", sort):                 func(l, _ int) bool { return l == 0 },
		fmt.Sprintf(" AND %s < :low", sort):                 func(l, _ int) bool { return l < 0 },
		fmt.Sprintf(" AND %s <= :low", sort):                func(l, _ int) bool { return l <= 0 },
		fmt.Sprintf(" AND %s > :low", sort):                 func(l, _ int) bool { return l > 0 },
		fmt.Sprintf(" AND :low <= %s", sort):                func(l, _ int) bool { return l >= 0 },
		fmt.Sprintf(" AND %s BETWEEN :low AND :high", sort): func(l, h int) bool { return l >= 0 && h <= 0 },
	}
	names := make([]string, 0, len(tests))
	for name := range tests {
		names = append(names, name)
	}
	slices.Sort(names)
	test := rapid.SampledFrom(names).Draw(t, "test")
	if strings.Contains(test, "BETWEEN") && attr.CompareNumbers(low.Str, high.Str) > 0 {
		low, high = high, low
	}
	forward := rapid.Bool().Draw(t, "forward")
	var want []attr.Item
	for _, item := range m.items {
		v, ok := item[sort]
		if h, has := item[hash]; ok && has && h.Str == value.Str && tests[test](attr.CompareNumbers(v.Str, low.Str), attr.CompareNumbers(v.Str, high.Str)) {
			if index == "byN" {
				item = attr.Item{"p": item["p"], "c": item["c"], "n": item["n"]}
			}
			want = append(want, item)
		}
	}
	values := attr.Item{":h": value}
	if strings.Contains(test, ":low") {
		values[":low"] = low
	}
	if strings.Contains(test, ":high") {
		values[":high"] = high
	}
	body := fmt.Sprintf(`,"KeyConditionExpression":"%s = :h%s","ScanIndexForward":%t,"ExpressionAttributeValues":%s`, hash, test, forward, show(values))
	if index != "" {
		body += `,"IndexName":"` + index + `"`
	}
	got := m.walk(t, "Query", body, rapid.IntRange(1, 7).Draw(t, "limit"))
	for i := 1; i < len(got); i++ {
		if order := attr.CompareNumbers(got[i-1][sort].Str, got[i][sort].Str); forward && order > 0 || !forward && order < 0 {
			t.Fatalf("%s: %s comes before %s", body, show(got[i-1]), show(got[i]))
		}
	}
	m.same(t, body, got, want)
}

// scan compares all segments of a scan with the model.
func (m *model) scan(t *rapid.T) {
	body, index := "", rapid.SampledFrom([]string{"", "ofG"}).Draw(t, "index")
	var want []attr.Item
	for _, item := range m.items {
		_, hasG := item["g"]
		_, hasN := item["n"]
		if index == "" || hasG && hasN {
			want = append(want, item)
		}
	}
	if index != "" {
		body = `,"IndexName":"` + index + `"`
	}
	segments := rapid.IntRange(1, 4).Draw(t, "segments")
	limit := rapid.IntRange(1, 7).Draw(t, "limit")
	var got []attr.Item
	for i := range segments {
		got = append(got, m.walk(t, "Scan", fmt.Sprintf(`%s,"Segment":%d,"TotalSegments":%d`, body, i, segments), limit)...)
	}
	m.same(t, body, got, want)
}

// same compares items in any order.
func (m *model) same(t *rapid.T, what string, got, want []attr.Item) {
	lines := func(items []attr.Item) string {
		var list []string
		for _, item := range items {
			list = append(list, show(item))
		}
		slices.Sort(list)
		return strings.Join(list, "\n")
	}
	if lines(got) != lines(want) {
		t.Fatalf("%s has\n%s\nnot\n%s", what, lines(got), lines(want))
	}
}

func TestHistoriesLookLikeAPlainMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t2 *rapid.T) {
		w := newWorld(t)
		w.ok("CreateTable", modelTable)
		m := &model{w, map[string]attr.Item{}}
		t2.Repeat(map[string]func(*rapid.T){"put": m.put, "change": m.change, "remove": m.remove, "transact": m.transact, "query": m.query, "scan": m.scan})
	})
}

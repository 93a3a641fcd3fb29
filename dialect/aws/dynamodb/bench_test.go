package dynamodb

import "testing"

func benchmark(b *testing.B, op, body string) {
	w := newWorld(b)
	w.ok("CreateTable", simpleTable)
	w.ok("PutItem", benchPut)
	b.ReportAllocs()
	for b.Loop() {
		if status, _, err := w.h.Do(b.Context(), op, []byte(body)); status != 200 || err != nil {
			b.Fatal(status, err)
		}
	}
}

const benchPut = `{"TableName":"Tab","Item":{"p":{"S":"connection-1"},"room":{"S":"lobby"},"joined":{"N":"1700000000"},"name":{"S":"somebody"},"tags":{"SS":["a","b"]},"profile":{"M":{"lang":{"S":"en"},"level":{"N":"7"}}}}}`

func BenchmarkPutItem(b *testing.B) { benchmark(b, "PutItem", benchPut) }

func BenchmarkGetItem(b *testing.B) {
	benchmark(b, "GetItem", `{"TableName":"Tab","Key":{"p":{"S":"connection-1"}}}`)
}

func BenchmarkUpdateItem(b *testing.B) {
	benchmark(b, "UpdateItem", `{"TableName":"Tab","Key":{"p":{"S":"connection-1"}},"UpdateExpression":"ADD seen :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`)
}

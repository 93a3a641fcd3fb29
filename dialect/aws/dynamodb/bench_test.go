package dynamodb

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

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

// BenchmarkGetItemRequest is all that a request takes but for net/http's part.
func BenchmarkGetItemRequest(b *testing.B) {
	w := newWorld(b)
	w.ok("CreateTable", simpleTable)
	w.ok("PutItem", benchPut)
	var body bytes.Reader
	r := httptest.NewRequest("POST", "/", &body)
	r.Header = http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amz-Target": {target + "GetItem"}, "X-Amz-Date": {"20260101T000000Z"},
		"Authorization": {"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x"}}
	text := []byte(`{"TableName":"Tab","Key":{"p":{"S":"connection-1"}}}`)
	r.Body, r.ContentLength = io.NopCloser(&body), int64(len(text))
	answer := nowhere{}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(text)
		clear(answer)
		w.h.ServeHTTP(answer, r)
		if len(answer) == 0 {
			b.Fatal("no answer")
		}
	}
}

// nowhere is a ResponseWriter that keeps the headers alone.
type nowhere http.Header

func (n nowhere) Header() http.Header       { return http.Header(n) }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

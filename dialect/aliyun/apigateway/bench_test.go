package apigateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// blank is an answer that nobody looks at.
type blank struct{ h http.Header }

func (b blank) Header() http.Header       { return b.h }
func (blank) WriteHeader(int)             {}
func (blank) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkHTTPFunction is a request to a function with an HTTP trigger, without the function.
func BenchmarkHTTPFunction(b *testing.B) {
	f := &rooms{invoke: func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
		return sluice.Result{Payload: []byte(`{"id":1}`), HTTP: &sluice.HTTPResponse{Status: 200, Header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"}, "Cache-Control": {"no-store"}, "Date": {"Sat, 21 Nov 2026 18:00:00 GMT"}, "Content-Length": {"8"},
		}}}, nil
	}}
	g := newGroup(b, f, api("/api/*", func(a *apigroup.API) {
		a.Backend = apigroup.Backend{Type: apigroup.FCHTTP, Service: "s", Function: "f", Path: "/", OnlyBusinessPath: true, Timeout: time.Minute}
	}))
	body := []byte(`{"message":"hello from player-1","fromId":"player-1","fromName":"player-1","cid":"1795112345678901234-1"}`)
	u, _ := url.Parse("/api/send")
	b.ReportAllocs()
	for b.Loop() {
		r := &http.Request{Method: "POST", URL: u, RequestURI: "/api/send", Host: "127.0.0.1:8080", RemoteAddr: "127.0.0.1:50000",
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
			Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"}, "Content-Length": {"100"}}}
		g.ServeHTTP(blank{http.Header{}}, r)
	}
}

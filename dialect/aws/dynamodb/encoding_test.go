package dynamodb

import (
	"bytes"
	"compress/zlib"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

func TestTheEncodingIsTheOneThatAWSWouldTake(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"":                             "",
		"identity":                     "",
		"br":                           "",
		"GZIP , br":                    "gzip",
		"gzip, deflate":                "gzip",
		"deflate, gzip":                "deflate",
		"gzip;q=0.5, deflate;q=0.8":    "deflate",
		"gzip;q=0, deflate":            "deflate",
		"gzip;q=0":                     "",
		"*":                            "gzip",
		"*, deflate":                   "deflate",
		"*, gzip;q=0.5":                "deflate",
		"*;q=0":                        "",
		"deflate;q=0.5, gzip;q=x":      "gzip",
		"deflate;q=7, gzip;q=9":        "deflate",
		"gzip;q=-1":                    "",
		"identity;q=1, gzip;q=0.00001": "gzip",
	} {
		if got := preferred(accept); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

func TestLongAnswersAreCompressedForWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("CreateTable", `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`)
	w.ok("PutItem", `{"TableName":"Tab","Item":{"p":{"S":"long"},"text":{"S":"`+strings.Repeat("x", packed)+`"}}}`)
	w.ok("PutItem", `{"TableName":"Tab","Item":{"p":{"S":"short"}}}`)
	s := w.serve()
	get := func(key string) *http.Response {
		body := []byte(`{"TableName":"Tab","Key":{"p":{"S":"` + key + `"}}}`)
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", target+"GetItem")
		req.Header.Set("Content-Type", "application/x-amz-json-1.0")
		req.Header.Set("Accept-Encoding", "deflate")
		sigv4.Sign(req, body, access.Credentials{ID: "AKIDTEST", Secret: "secret"}, "us-east-1", "dynamodb", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	if res := get("short"); res.Header.Get("Content-Encoding") != "" {
		t.Errorf("a short answer is %v", res.Header)
	}
	res := get("long")
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Encoding") != "deflate" || len(raw) > packed/10 {
		t.Fatalf("%d bytes, %v, %v", len(raw), res.Header, err)
	}
	if sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(raw)), 10); res.Header.Get("X-Amz-Crc32") != sum {
		t.Errorf("the checksum is %s, that of what was sent is %s", res.Header.Get("X-Amz-Crc32"), sum)
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !strings.Contains(string(plain), `"text":{"S":"xxx`) {
		t.Errorf("%.100s, %v", plain, err)
	}
}

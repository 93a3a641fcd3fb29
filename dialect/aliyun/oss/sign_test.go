package oss

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/object/rest"
)

// The vectors of aliyun.md 4.2, made with ali-oss.
func TestSignatureVectors(t *testing.T) {
	v1 := httptest.NewRequest("PUT", "/b1/dir/a%20b.txt?acl", nil)
	v1.Header.Set("Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww==")
	v1.Header.Set("Content-Type", "text/plain")
	v1.Header.Set("x-oss-date", "Thu, 01 Jan 2026 00:00:00 GMT")
	v1.Header.Set("x-oss-security-token", "tok")
	v1.Header.Set("Authorization", "OSS ak:5l2M1Z/uEaQNhHDrQCauEiGE3Zw=")

	v4 := httptest.NewRequest("PUT", "/b1/dir/a%20b.txt?acl", nil)
	v4.Header.Set("Content-Type", "text/plain")
	v4.Header.Set("x-oss-date", "20260101T000000Z")
	v4.Header.Set("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
	v4.Header.Set("Authorization", "OSS4-HMAC-SHA256 Credential=ak/20260101/cn-hongkong/oss/aliyun_v4_request,"+
		"Signature=5290c3ad70563f69751894b5997ada5add49d682b3a2fd236f4eb263256d6d62")

	for name, r := range map[string]*http.Request{"V1": v1, "V4": v4} {
		s, err := parseSignature(r, r.URL.Query())
		if err != nil {
			t.Fatal(err)
		}
		if got, text, canonical := s.sign("sk", r, address{"b1", "dir/a b.txt"}); got != s.signature {
			t.Errorf("%s signs %s, want %s\nover:\n%s\n%s", name, got, s.signature, text, canonical)
		}
		if err := s.checkTime(time.Date(2026, 1, 1, 0, 15, 0, 0, time.UTC), r.URL.Query()); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
}

func TestWhatIsSigned(t *testing.T) {
	const v4head = "OSS4-HMAC-SHA256 Credential=ak/20260101/cn-x/oss/aliyun_v4_request, "
	for name, c := range map[string]struct {
		method, url string
		header      map[string]string
		bucket, key string
		want        string
	}{
		"V1: the service": {"GET", "/?prefix=a", map[string]string{"Authorization": "OSS ak:x", "Date": "D"}, "", "", "GET\n\n\nD\n/"},
		"V1: sub-resources are signed unescaped and in order, other parameters are not": {
			"GET", "/b/?uploads&prefix=x&x-oss-process=a%2Fb&response-expires=c%20d&acl=", map[string]string{"Authorization": "OSS ak:x", "Date": "D"},
			"b", "", "GET\n\n\nD\n/b/?acl&response-expires=c d&uploads&x-oss-process=a/b"},
		"V1: x-oss headers are in order, trimmed, and x-oss-date is the date": {
			"PUT", "/b/k", map[string]string{"Authorization": "OSS ak:x", "Date": "D", "X-Oss-Meta-B": " 2 ", "X-Oss-Meta-A": "1", "X-Oss-Date": "E"},
			"b", "k", "PUT\n\n\nE\nx-oss-date:E\nx-oss-meta-a:1\nx-oss-meta-b:2\n/b/k"},
		"V1: headers are ordered by their names alone": {
			"PUT", "/b/k", map[string]string{"Authorization": "OSS ak:x", "X-Oss-Copy-Source-Range": "2", "X-Oss-Copy-Source": "1"},
			"b", "k", "PUT\n\n\n\nx-oss-copy-source:1\nx-oss-copy-source-range:2\n/b/k"},
		"V1: in the query, the end is the date": {
			"GET", "/b/k?OSSAccessKeyId=ak&Expires=123&Signature=a+b&security-token=t", nil, "b", "k", "GET\n\n\n123\n/b/k?security-token=t"},
		"V4: the query is sorted by encoded name, values are encoded anew, names alone stay alone": {
			"GET", "/b/%C3%BC+?b=2&a%2Fb=x+y&a=&B=%7e", map[string]string{"Authorization": v4head + "AdditionalHeaders=Range;host, Signature=x",
				"X-Oss-Date": "20260101T000000Z", "Range": "bytes=0-1"}, "b", "ü+",
			"GET\n/b/%C3%BC%2B\nB=~&a&a%2Fb=x%20y&b=2\nhost:example.com\nrange:bytes=0-1\nx-oss-date:20260101T000000Z\n\nhost;range\nUNSIGNED-PAYLOAD"},
		"V4: in the query, the signature itself is left out": {
			"GET", "/b/k?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=ak%2F20260101%2Fr%2Foss%2Faliyun_v4_request" +
				"&x-oss-date=20260101T000000Z&x-oss-expires=60&x-oss-signature=abc", nil, "b", "k",
			"GET\n/b/k\nx-oss-credential=ak%2F20260101%2Fr%2Foss%2Faliyun_v4_request&x-oss-date=20260101T000000Z&x-oss-expires=60" +
				"&x-oss-signature-version=OSS4-HMAC-SHA256\n\n\nUNSIGNED-PAYLOAD"},
	} {
		r := httptest.NewRequest(c.method, c.url, nil)
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		s, err := parseSignature(r, r.URL.Query())
		if err != nil || s == nil {
			t.Errorf("%s: %v, %v", name, s, err)
			continue
		}
		_, got, canonical := s.sign("sk", r, address{c.bucket, c.key})
		if s.v4 {
			got = canonical
		}
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
		if s.query && !s.v4 && s.signature != "a+b" {
			t.Errorf("%s: a plus sign became %q", name, s.signature)
		}
	}
}

func TestSignaturesEnd(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	v1 := func(d time.Duration) *signature {
		return &signature{date: now.Add(d).Format(http.TimeFormat)}
	}
	v4 := func(d time.Duration) *signature { return &signature{v4: true, date: now.Add(d).Format(dateV4)} }
	query := func(d time.Duration) *signature { s := v4(d); s.query = true; return s }
	for name, c := range map[string]struct {
		s       *signature
		expires string
		want    string // code, "" is accepted
	}{
		"V1 now":                       {v1(0), "", ""},
		"V1 a quarter of an hour old":  {v1(-15 * time.Minute), "", ""},
		"V1 older":                     {v1(-15*time.Minute - time.Second), "", "RequestTimeTooSkewed"},
		"V1 too new":                   {v1(15*time.Minute + time.Second), "", "RequestTimeTooSkewed"},
		"V1 without a date":            {&signature{}, "", "AccessDenied"},
		"V1 with an ISO date":          {&signature{date: now.Format(dateV4)}, "", ""},
		"V1 query before its end":      {&signature{query: true, date: "1767268801"}, "", ""},
		"V1 query after its end":       {&signature{query: true, date: "1767268799"}, "", "AccessDenied"},
		"V1 query with an ill end":     {&signature{query: true, date: "soon"}, "", "InvalidArgument"},
		"V4 older":                     {v4(-16 * time.Minute), "", "RequestTimeTooSkewed"},
		"V4 with an ill date":          {&signature{v4: true, date: "x"}, "", "AccessDenied"},
		"V4 query, a day of a week":    {query(-24 * time.Hour), "604800", ""},
		"V4 query, more than a week":   {query(0), "604801", "InvalidArgument"},
		"V4 query, no time":            {query(0), "0", "InvalidArgument"},
		"V4 query, past its end":       {query(-61 * time.Second), "60", "AccessDenied"},
		"V4 query, from the future":    {query(16 * time.Minute), "60", "RequestTimeTooSkewed"},
		"V4 query, an ill end":         {query(0), "x", "InvalidArgument"},
		"V4 query, an overflowing end": {query(0), "99999999999999999999", "InvalidArgument"},
	} {
		err := c.s.checkTime(now, url.Values{"x-oss-expires": {c.expires}})
		got := ""
		if f, ok := err.(*rest.Fault); ok {
			got = f.Code
		}
		if got != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestIllSignaturesAreRefused(t *testing.T) {
	for _, c := range []struct{ auth, query string }{
		{"Basic abc", ""}, {"OSS ak", ""}, {"OSS :x", ""}, {"OSS ak:", ""},
		{"OSS4-HMAC-SHA256 Credential=ak/20260101/r/oss/aliyun_v4_request", ""},
		{"OSS4-HMAC-SHA256 Credential=ak/20260101/r/s3/aliyun_v4_request,Signature=x", ""},
		{"OSS4-HMAC-SHA256 Credential=ak/20260102/r/oss/aliyun_v4_request,Signature=x", ""},
		{"OSS4-HMAC-SHA256 Signature=x", ""},
		{"", "OSSAccessKeyId=ak"}, {"", "Signature=x&Expires=1"}, {"", "OSSAccessKeyId=ak&Signature=x"},
		{"", "x-oss-signature-version=OSS4-HMAC-SHA256"},
		{"", "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date=20260101T000000Z&x-oss-credential=ak/20260101/r/oss/aliyun_v4_request"},
	} {
		r := httptest.NewRequest("GET", "/b/k?"+c.query, nil)
		r.Header.Set("x-oss-date", "20260101T000000Z")
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if s, err := parseSignature(r, r.URL.Query()); err == nil {
			t.Errorf("%q %q is taken: %+v", c.auth, c.query, s)
		}
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("OSS ak:5l2M1Z/uEaQNhHDrQCauEiGE3Zw=", "acl&x-oss-process=a", "k")
	f.Add("OSS4-HMAC-SHA256 Credential=ak/20260101/r/oss/aliyun_v4_request,AdditionalHeaders=host;;a,Signature=x", "a=%zz&b=+", "a b")
	f.Add("", "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a/b/c/oss/aliyun_v4_request&x-oss-expires=9", "")
	f.Add("", "OSSAccessKeyId=a&Expires=-1&Signature=+", "\xff")
	f.Fuzz(func(t *testing.T, auth, query, key string) {
		r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/b/" + key, RawQuery: query}, Header: http.Header{}}
		r.Header.Set("X-Oss-Date", "20260101T000000Z")
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		s, err := parseSignature(r, r.URL.Query())
		if err != nil || s == nil {
			return
		}
		s.checkTime(time.Unix(0, 0), r.URL.Query())
		a, text, _ := s.sign("sk", r, address{"b", key})
		b, _, _ := s.sign("sk", r, address{"b", key})
		if a != b {
			t.Errorf("two signatures of one request: %s and %s", a, b)
		}
		if !strings.HasPrefix(text, "GET\n") && !strings.HasPrefix(text, algorithmV4+"\n") {
			t.Errorf("signed text %q", text)
		}
	})
}

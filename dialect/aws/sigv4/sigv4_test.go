package sigv4

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/access"
)

// keys knows one key, by its id.
type keys map[string]string

func (k keys) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	secret, ok := k[id]
	switch {
	case token == "old":
		return "", access.Principal{}, access.ErrExpired
	case token == "forged":
		return "", access.Principal{}, access.ErrBadToken
	case !ok:
		return "", access.Principal{}, access.ErrUnknownKey
	}
	return secret, access.Principal{App: "chat"}, nil
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func verifier(services ...string) *Verifier {
	return New(keys{"AKID": "secret"}, services...).At(func() time.Time { return noon })
}

func signed(method, url, body, service string) *http.Request {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	Sign(r, []byte(body), access.Credentials{ID: "AKID", Secret: "secret"}, "eu-west-1", service, noon)
	return r
}

// The example of AWS's general reference.
func TestThePublishedExampleHolds(t *testing.T) {
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	v := New(keys{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, "iam").At(func() time.Time { return at })
	r := httptest.NewRequest("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
	s, err := v.Verify(r, []byte{})
	if err != nil {
		t.Fatal(err)
	}
	if s.KeyID != "AKIDEXAMPLE" || s.Region != "us-east-1" || s.Service != "iam" || s.App != "chat" {
		t.Errorf("%+v", s)
	}
}

// The example of S3's reference on chunked uploads.
func TestThePublishedChunksHold(t *testing.T) {
	at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	v := New(keys{"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, "s3").At(func() time.Time { return at })
	r := httptest.NewRequest("PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", nil)
	r.ContentLength = 66824
	for k, val := range map[string]string{
		"X-Amz-Date": "20130524T000000Z", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY", "Content-Encoding": "aws-chunked",
		"X-Amz-Decoded-Content-Length": "66560", "X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
	} {
		r.Header.Set(k, val)
	}
	s, err := v.Verify(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	prev := s.Signature
	for _, c := range []struct {
		size int
		want string
	}{
		{64 << 10, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"},
		{1 << 10, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"},
		{0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
	} {
		got := s.ChunkSignature(prev, bytes.Repeat([]byte("a"), c.size))
		if got != c.want {
			t.Fatalf("chunk of %d: %s", c.size, got)
		}
		prev = got
	}
}

func TestWhatWeSignHolds(t *testing.T) {
	for _, tc := range []struct{ method, url, body, service string }{
		{"POST", "http://x/Prod/@connections/L0SM9cOFvHcCIhw%3D", "hello", "execute-api"},
		{"POST", "http://x/2015-03-31/functions/f%3Alive/invocations?Qualifier=a%20b&Qualifier=A", "{}", "lambda"},
		{"GET", "http://x/bkt/a%20b/../c%3Dd?list-type=2&prefix=%2F", "", "s3"},
		{"GET", "http://x//a/./b/../c/", "", "lambda"},
		{"POST", "http://x/", "{}", "dynamodb"},
	} {
		if _, err := verifier(tc.service).Verify(signed(tc.method, tc.url, tc.body, tc.service), []byte(tc.body)); err != nil {
			t.Errorf("%s %s: %v", tc.method, tc.url, err)
		}
	}
}

// AWS takes the fields of a header apart at commas and at spaces.
func TestFieldsAreCutAtCommasAndSpaces(t *testing.T) {
	for _, between := range []string{", ", ",", " ", " ,  "} {
		r := signed("POST", "http://x/f", "b", "lambda")
		r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ", ", between))
		if _, err := verifier("lambda").Verify(r, []byte("b")); err != nil {
			t.Errorf("%q: %v", between, err)
		}
	}
	for auth, want := range map[string]Reason{
		"AWS4-": Incomplete, "AWS4-HMAC-SHA256Credential=a,Signature=b,SignedHeaders=c": Incomplete,
		"AWS4-HMAC-SHA512 Credential=a,Signature=b,SignedHeaders=c": Missing,
	} {
		r := signed("POST", "http://x/f", "b", "lambda")
		r.Header.Set("Authorization", auth)
		if err := Complete(r); err == nil || err.Reason != want {
			t.Errorf("%s: %v", auth, err)
		}
	}
	if err := Complete(signed("POST", "http://x/f", "", "lambda")); err != nil {
		t.Error(err)
	}
}

func TestPathsAreEscapedAsSDKsDo(t *testing.T) {
	for _, tc := range [][3]string{ // service, path, canonical (aws.md 8.1)
		{"execute-api", "/Prod/@connections/L0SM9cOFvHcCIhw%3D", "/Prod/%40connections/L0SM9cOFvHcCIhw%253D"},
		{"lambda", "/2015-03-31/functions/f%3Alive/invocations", "/2015-03-31/functions/f%253Alive/invocations"},
		{"s3", "/bkt/a%20b/c%3Dd", "/bkt/a%20b/c%3Dd"},
		{"lambda", "/a/../b//c/", "/b/c/"},
		{"lambda", "/a/..", "/"},
	} {
		if got := string(appendPath(nil, tc[1], tc[0])); got != tc[2] {
			t.Errorf("%s %s: %s", tc[0], tc[1], got)
		}
	}
}

func TestBadSignaturesAreRefusedByReason(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(r *http.Request)
		body   string
		want   Reason
	}{
		{"none", func(r *http.Request) { r.Header.Del("Authorization") }, "b", Missing},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "b", Missing},
		{"no signature", func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a") }, "b", Incomplete},
		{"short scope", func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0")
		}, "b", Incomplete},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "b", Incomplete},
		{"odd date", func(r *http.Request) { r.Header.Set("X-Amz-Date", "now") }, "b", Incomplete},
		{"old", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260131T114459Z") }, "b", Skewed},
		{"of the future", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260131T121501Z") }, "b", Skewed},
		{"another service", func(r *http.Request) { replace(r, "/lambda/", "/s3/") }, "b", WrongScope},
		{"another day", func(r *http.Request) { replace(r, "/20260131/", "/20260130/") }, "b", WrongScope},
		{"another term", func(r *http.Request) { replace(r, "aws4_request", "aws5_request") }, "b", WrongScope},
		{"unknown key", func(r *http.Request) { replace(r, "AKID/", "NOBODY/") }, "b", UnknownKey},
		{"forged token", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "forged") }, "b", BadToken},
		{"token out of time", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "old") }, "b", TokenExpired},
		{"another body", func(*http.Request) {}, "c", Mismatch},
		{"another method", func(r *http.Request) { r.Method = "PUT" }, "b", Mismatch},
		{"another region", func(r *http.Request) { replace(r, "eu-west-1", "us-east-1") }, "b", Mismatch},
		{"both forms", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }, "b", Mismatch},
		{"half a query", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "X-Amz-Signature=0"
		}, "b", Incomplete},
	} {
		r := signed("POST", "http://x/f", "b", "lambda")
		tc.change(r)
		_, err := verifier("lambda").Verify(r, []byte(tc.body))
		if err == nil || err.Reason != tc.want || err.Message == "" {
			t.Errorf("%s: %+v", tc.name, err)
		}
	}
}

func replace(r *http.Request, old, with string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
}

func TestPresignedRequestsEnd(t *testing.T) {
	v := verifier("s3")
	query := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260131%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260131T115000Z&X-Amz-Expires=EXP&X-Amz-SignedHeaders=host"
	for expires, want := range map[string]Reason{"900": 0, "600": 0, "599": Expired, "604801": Incomplete, "-1": Incomplete} {
		q := strings.Replace(query, "EXP", expires, 1)
		r := httptest.NewRequest("GET", "http://x/b/k?"+q, nil)
		sc := scope{"secret", "20260131", "us-east-1", "s3", "aws4_request"}
		sig := derive(sc).sign(r, "s3", "host", Unsigned, "20260131T115000Z", "20260131/us-east-1/s3/aws4_request")
		r = httptest.NewRequest("GET", "http://x/b/k?"+q+"&X-Amz-Signature="+string(sig[:]), nil)
		s, err := v.Verify(r, nil)
		switch {
		case want == 0 && (err != nil || !s.Presigned || s.Payload != Unsigned):
			t.Errorf("%s s: %v %+v", expires, err, s)
		case want != 0 && (err == nil || err.Reason != want):
			t.Errorf("%s s: %v", expires, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20260131/r/lambda/aws4_request, SignedHeaders=host;x, Signature=00", "/a/..//b%?x=%zz&&=", "20260131T120000Z")
	f.Fuzz(func(t *testing.T, auth, uri, date string) {
		r := httptest.NewRequest("GET", "http://x/", nil)
		r.RequestURI = uri
		r.Header.Set("Authorization", auth)
		r.Header.Set("X-Amz-Date", date)
		if s, err := verifier("lambda").Verify(r, nil); (s == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v, r := verifier("execute-api"), signed("POST", "http://x/Prod/@connections/L0SM9cOFvHcCIhw%3D", "hello", "execute-api")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, []byte("hello")); err != nil {
			b.Fatal(err)
		}
	}
}

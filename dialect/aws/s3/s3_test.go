package s3

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

// keyring is who the tests are: the secret of each is its name.
type keyring struct{}

func (keyring) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	switch {
	case token == "old":
		return "", access.Principal{}, access.ErrExpired
	case token != "" && token != "tok":
		return "", access.Principal{}, access.ErrBadToken
	case id == "admin":
		return id, access.Principal{}, nil
	case id == "app" || id == "other":
		return id, access.Principal{App: sluice.AppName(id)}, nil
	}
	return "", access.Principal{}, access.ErrUnknownKey
}

type rig struct {
	*Handler
	now     time.Time
	changes []object.Change
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	now := func() time.Time { return g.now }
	s, err := object.Open(t.Context(), memory.New(), &objecttest.Bodies{}, object.Options{Now: now, Notify: g.notify})
	if err != nil {
		t.Fatal(err)
	}
	g.Handler = New(Options{Objects: s, Keys: keyring{}, Now: now, Hosts: []string{"s3.example.org", "127.0.0.1"}})
	return g
}

// do sends a request, signed as who unless that is "". Header is "Name: value" lines.
func (g *rig) do(t *testing.T, who, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return g.doIn(t, DefaultRegion, who, method, url, body, header...)
}

func (g *rig) doIn(t *testing.T, region, who, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "" {
			continue
		}
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	if who != "" {
		id, token, _ := strings.Cut(who, " ")
		sigv4.Sign(r, []byte(body), access.Credentials{ID: id, Secret: id, Token: token}, region, "s3", g.now)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func (g *rig) ok(t *testing.T, who, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	w := g.do(t, who, method, url, body, header...)
	if w.Code/100 != 2 {
		t.Fatalf("%s %s: %d\n%s", method, url, w.Code, w.Body)
	}
	return w
}

// code is the status and the error code of an answer.
func code(w *httptest.ResponseRecorder) string {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if w.Code/100 == 2 || xml.Unmarshal(w.Body.Bytes(), &e) != nil {
		return fmt.Sprint(w.Code)
	}
	return fmt.Sprint(w.Code, " ", e.Code)
}

func TestRequestsAreClaimed(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for _, c := range []struct {
		host, path, auth string
		want             bool
	}{
		{"s3.us-east-1.amazonaws.com", "/", "", true},
		{"box.s3.amazonaws.com", "/k", "", true},
		{"box.s3-eu-west-1.amazonaws.com:443", "/k", "", true},
		{"a.b.s3.dualstack.us-east-1.amazonaws.com", "/k", "", true},
		{"box.s3-website-us-east-1.amazonaws.com", "/", "", true},
		{"dynamodb.us-east-1.amazonaws.com", "/", "", false},
		{"abc.execute-api.us-east-1.amazonaws.com", "/", "", false},
		{"127.0.0.1:4566", "/box/k", "", true},
		{"127.0.0.1:4566", "/nobox/k", "", false},
		{"127.0.0.1:4566", "/nobox/k", "AWS4-HMAC-SHA256 Credential=a/20260101/x/s3/aws4_request, SignedHeaders=host, Signature=x", true},
		{"127.0.0.1:4566", "/box/k", "AWS4-HMAC-SHA256 Credential=a/20260101/x/lambda/aws4_request, SignedHeaders=host, Signature=x", false},
		{"127.0.0.1:4566", "/box/k", "OSS a:b", false},
		{"127.0.0.1:4566", "/?AWSAccessKeyId=x", "", true},
		{"127.0.0.1:4566", "/x?X-Amz-Credential=a%2F20260101%2Fx%2Fs3%2Faws4_request", "", true},
		{"127.0.0.1:4566", "/_sluice/", "", false},
		{"box.web.localhost:4566", "/", "", true},
		{"none.web.localhost:4566", "/", "", false},
		{"box.localhost:4566", "/k", "", true},
		{"app.localhost:4566", "/k", "", false},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Host = c.host
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if got := g.Claims(r); got != c.want {
			t.Errorf("%s %s %s is claimed: %v", c.host, c.path, c.auth, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	g := newRig(t)
	for _, c := range [][4]string{
		{"s3.amazonaws.com", "/box/a/b", "box", "a/b"},
		{"box.s3.us-west-2.amazonaws.com", "/a/b", "box", "a/b"},
		{"my.box.s3-us-west-2.amazonaws.com", "/", "my.box", ""},
		{"s3.s3.amazonaws.com", "/k", "s3", "k"},
		{"box.s3.localhost:1", "/k", "box", "k"},
		{"box.localhost", "/k", "box", "k"},
		{"localhost", "/box/k", "box", "k"},
		{"127.0.0.1:1", "/box//k", "box", "/k"},
		{"box.s3.example.org", "/k", "box", "k"},
	} {
		r := httptest.NewRequest("GET", c[1], nil)
		r.Host = c[0]
		if b, k := g.address(r); b != c[2] || k != c[3] {
			t.Errorf("%s%s is for %q, %q", c[0], c[1], b, k)
		}
	}
}

func TestWrongSignaturesAreRefused(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "text")
	for who, want := range map[string]string{
		"nobody": "403 InvalidAccessKeyId", "app old": "400 ExpiredToken", "app bad": "400 InvalidToken", "": "403 AccessDenied", "other": "403 AccessDenied", "admin": "200", "app tok": "200",
	} {
		if got := code(g.do(t, who, "GET", "/box/k", "")); got != want {
			t.Errorf("as %q: %s, want %s", who, got, want)
		}
	}
	send := func(change func(r *http.Request)) string {
		r := httptest.NewRequest("PUT", "/box/k", strings.NewReader("text"))
		sigv4.Sign(r, []byte("text"), access.Credentials{ID: "app", Secret: "app"}, "us-east-1", "s3", g.now)
		change(r)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return code(w)
	}
	for want, change := range map[string]func(r *http.Request){
		"403 SignatureDoesNotMatch":        func(r *http.Request) { r.URL.Path = "/box/l"; r.RequestURI = "/box/l" },
		"400 XAmzContentSHA256Mismatch":    func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("texT")) },
		"400 AuthorizationHeaderMalformed": func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a") },
		"400 InvalidRequest":               func(r *http.Request) { r.Header.Set("Authorization", "Basic x") },
		"403 RequestTimeTooSkewed":         func(*http.Request) { g.now = g.now.Add(time.Hour) },
	} {
		was := g.now
		if got := send(change); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		g.now = was
	}
}

// TestVersion2 has the example of AWS's own documents.
func TestVersion2(t *testing.T) {
	h := newRig(t).Handler
	r := httptest.NewRequest("GET", "/?prefix=photos&max-keys=50&marker=puppy", nil)
	r.Host = "awsexamplebucket1.s3.us-west-1.amazonaws.com"
	want := "GET\n\n\nTue, 27 Mar 2007 19:42:41 +0000\n/awsexamplebucket1/"
	if got := h.toSignV2(r, r.URL.Query(), "Tue, 27 Mar 2007 19:42:41 +0000", ""); got != want {
		t.Errorf("signed is %q", got)
	}
	r = httptest.NewRequest("PUT", "/b/a%20b?acl&x-amz-meta-a=1&content-type=text%2Fx&Expires=9&response-expires=c%20d", nil)
	want = "PUT\n\ntext/x\n9\nx-amz-meta-a:1\n/b/a%20b?acl&response-expires=c d"
	if got := h.toSignV2(r, r.URL.Query(), "9", ""); got != want {
		t.Errorf("signed is %q", got)
	}
}

func TestChunkedBodies(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	sum := func(s string) string {
		h := crc32.NewIEEE()
		h.Write([]byte(s))
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	put := func(payload, body string, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		return g.do(t, "app", "PUT", "/box/k", body, append(header, "X-Amz-Content-Sha256: "+payload, "Content-Encoding: gzip,aws-chunked")...)
	}
	const trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	size, crc := "X-Amz-Decoded-Content-Length: 11", "X-Amz-Trailer: x-amz-checksum-crc32"
	good := "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:" + sum("hello world") + "\r\n\r\n"
	if w := put(trailer, good, size, crc); w.Code != 200 || w.Header()["x-amz-checksum-crc32"][0] != sum("hello world") {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	w := g.ok(t, "app", "GET", "/box/k", "", "x-amz-checksum-mode: ENABLED")
	if w.Body.String() != "hello world" || w.Header().Get("Content-Encoding") != "gzip" || w.Header()["x-amz-checksum-crc32"][0] != sum("hello world") {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	for name, c := range map[string]struct {
		body string
		want string
	}{
		"another checksum":   {strings.Replace(good, sum("hello world"), sum("x"), 1), "400 BadDigest"},
		"no trailer":         {"b\r\nhello world\r\n0\r\n\r\n", "400 BadDigest"},
		"cut off":            {"b\r\nhello", "400 IncompleteBody"},
		"too short":          {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" + sum("hello") + "\r\n\r\n", "400 IncompleteBody"},
		"no size":            {"x\r\nhello", "400 InvalidChunkSizeError"},
		"no end of a chunk":  {"5\r\nhelloX\r\n6\r\n world\r\n0\r\n\r\n", "400 InvalidChunkSizeError"},
		"a negative size":    {"-5\r\nhello\r\n0\r\n\r\n", "400 InvalidChunkSizeError"},
		"a line without end": {strings.Repeat("0", 100<<10), "400 InvalidChunkSizeError"},
	} {
		if got := code(put(trailer, c.body, size, crc)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := code(put(trailer, good)); got != "411 MissingContentLength" {
		t.Error(got)
	}
	if got := code(put("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", good, size)); got != "501 NotImplemented" {
		t.Error(got)
	}
}

func TestSignedChunks(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	send := func(spoil func(body string) string, trailers bool) string {
		payload := "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
		r := httptest.NewRequest("PUT", "/box/k", nil)
		if trailers {
			payload += "-TRAILER"
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-sha1")
		}
		r.Header.Set("X-Amz-Content-Sha256", payload)
		r.Header.Set("X-Amz-Decoded-Content-Length", "11")
		sigv4.Sign(r, nil, access.Credentials{ID: "app", Secret: "app"}, "us-east-1", "s3", g.now)
		s, fail := g.verify.Verify(r, nil)
		if fail != nil {
			t.Fatal(fail)
		}
		var b strings.Builder
		prev := s.Signature
		for _, chunk := range []string{"hello ", "world", ""} {
			prev = s.ChunkSignature(prev, []byte(chunk))
			fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s", len(chunk), prev, chunk)
			if chunk != "" {
				b.WriteString("\r\n")
			}
		}
		if trailers {
			line := "x-amz-checksum-sha1:Kq5sNclPz7QV2+lfQIuc6R7oRu0=\n"
			b.WriteString(strings.TrimSpace(line) + "\r\nx-amz-trailer-signature:" + s.TrailerSignature(prev, line) + "\r\n")
		}
		b.WriteString("\r\n")
		r.Body = io.NopCloser(strings.NewReader(spoil(b.String())))
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return code(w)
	}
	same := func(body string) string { return body }
	for _, trailers := range []bool{false, true} {
		if got := send(same, trailers); got != "200" {
			t.Errorf("trailers %v: %s", trailers, got)
		}
		if got := send(func(body string) string { return strings.Replace(body, "world", "World", 1) }, trailers); got != "403 SignatureDoesNotMatch" {
			t.Errorf("another chunk: %s", got)
		}
	}
	if got := send(func(body string) string { return strings.Replace(body, "trailer-signature:", "trailer-signature:0", 1) }, true); got != "403 SignatureDoesNotMatch" {
		t.Errorf("another signature of the trailers: %s", got)
	}
	if got := send(func(body string) string { return strings.Replace(body, "x-amz-trailer-signature", "x-other", 1) }, true); got != "403 SignatureDoesNotMatch" {
		t.Errorf("trailers that nobody signed: %s", got)
	}
	if w := g.ok(t, "app", "GET", "/box/k", ""); w.Body.String() != "hello world" {
		t.Error(w.Body)
	}
}

func (g *rig) notify(_ kv.Txn, c *object.Change) (func(), error) {
	g.changes = append(g.changes, *c)
	return nil, nil
}

func TestChangesTellWhereTheyComeFrom(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	w := g.ok(t, "app", "PUT", "/box/k", "text")
	id := w.Header()["x-amz-request-id"][0]
	want := object.Origin{Request: id, IP: "192.0.2.1", Who: "app"}
	if len(g.changes) != 1 || g.changes[0].Origin != want || len(id) != 16 {
		t.Errorf("%+v, want %+v", g.changes, want)
	}
}

func TestErrorsAreSaidAsS3SaysThem(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	w := g.do(t, "app", "GET", "/box/k", "")
	id := w.Header()["x-amz-request-id"][0]
	want := `<?xml version="1.0" encoding="UTF-8"?>
<Error>
  <Code>NoSuchKey</Code>
  <Message>The specified key does not exist.</Message>
  <Key>k</Key>
  <RequestId>` + id + `</RequestId>
  <HostId>` + w.Header()["x-amz-id-2"][0] + `</HostId>
</Error>
`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" || w.Code != 404 {
		t.Errorf("%d (-want +got):\n%s", w.Code, diff)
	}
	if w := g.do(t, "app", "HEAD", "/box/k", ""); w.Code != 404 || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d %q", w.Code, w.Body)
	}
	for _, c := range [][4]string{
		{"PUT", "/Box_", "", "400 InvalidBucketName"},
		{"POST", "/box", "", "412 PreconditionFailed"},
		{"POST", "/box/k", "", "405 MethodNotAllowed"},
		{"PUT", "/box?analytics", "", "501 NotImplemented"},
		{"PUT", "/box?cors", "<x", "400 MalformedXML"},
		{"PUT", "/box?policy", "{", "400 MalformedPolicy"},
		{"PUT", "/box?versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "400 MalformedXML"},
		{"GET", "/box/k?versionId=none", "", "400 InvalidArgument"},
		{"GET", "/box/k?versionId=00000000000000000000000000000000", "", "404 NoSuchVersion"},
		{"GET", "/box?policy", "", "404 NoSuchBucketPolicy"},
		{"GET", "/box?max-keys=x", "", "400 InvalidArgument"},
		{"PUT", "/box/" + strings.Repeat("k", 1025), "", "400 KeyTooLongError"},
		{"PUT", "/box/k?partNumber=1&uploadId=none", "", "404 NoSuchUpload"},
		{"GET", "/none/k", "", "404 NoSuchBucket"},
	} {
		if got := code(g.do(t, "app", c[0], c[1], c[2])); got != c[3] {
			t.Errorf("%s %.40s: %s, want %s", c[0], c[1], got, c[3])
		}
	}
	if got := code(g.do(t, "other", "PUT", "/box", "")); got != "409 BucketAlreadyExists" {
		t.Error(got)
	}
}

func TestSettingsThatToolsAskFor(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for _, sub := range []string{"accelerate", "acl", "location", "logging", "notification", "requestPayment", "versioning", "uploads", "versions"} {
		if w := g.ok(t, "app", "GET", "/box?"+sub, ""); !strings.Contains(w.Body.String(), `xmlns="`+namespace+`"`) || xml.Unmarshal(w.Body.Bytes(), new(struct{})) != nil {
			t.Errorf("%s: %s", sub, w.Body)
		}
	}
	for sub, doc := range map[string]string{
		"publicAccessBlock": "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>",
		"ownershipControls": "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
		"encryption":        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
	} {
		if got := code(g.do(t, "app", "GET", "/box?"+sub, "")); !strings.HasPrefix(got, "404 ") {
			t.Errorf("%s: %s", sub, got)
		}
		g.ok(t, "app", "PUT", "/box?"+sub, doc)
		if w := g.ok(t, "app", "GET", "/box?"+sub, ""); w.Body.String() != doc {
			t.Errorf("%s: %s", sub, w.Body)
		}
		g.ok(t, "app", "DELETE", "/box?"+sub, "")
	}
}

func TestPoliciesOpenBuckets(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/pub/k", "text")
	g.ok(t, "app", "PUT", "/box/k", "text")
	g.ok(t, "app", "PUT", "/box?policy", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":"arn:aws:s3:::box/pub/*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:*","Resource":"*"}]}`)
	for _, c := range [][3]string{{"GET", "/box/pub/k", "200"}, {"HEAD", "/box/pub/k", "200"}, {"GET", "/box/k", "403 AccessDenied"}, {"PUT", "/box/pub/k", "403 AccessDenied"}, {"GET", "/box", "403 AccessDenied"}} {
		if got := code(g.do(t, "", c[0], c[1], "")); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if w := g.ok(t, "app", "GET", "/box?policyStatus", ""); !strings.Contains(w.Body.String(), "<IsPublic>true<") {
		t.Error(w.Body)
	}
}

func TestConditionsOfPolicies(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/good", "text", "x-amz-tagging: Class=good")
	g.ok(t, "app", "PUT", "/box/bad", "text", "x-amz-tagging: Class=bad")
	g.ok(t, "app", "PUT", "/box?policy", `{"Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/Class":"good"}}},
		{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::box","Condition":{"StringLike":{"s3:prefix":"go*"},"NumericLessThanEquals":{"s3:max-keys":"5"}}},
		{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::box/*"},
		{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:PutObject","Resource":"*","Condition":{"Null":{"s3:x-amz-server-side-encryption":"true"}}},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"s3:RequestObjectTag/Class":"bad"}}}]}`)
	for _, c := range []struct {
		method, url, want string
		header            []string
	}{
		{"GET", "/box/good", "200", nil}, {"GET", "/box/bad", "403 AccessDenied", nil}, {"GET", "/box/none", "403 AccessDenied", nil},
		{"GET", "/box?prefix=good&max-keys=5", "200", nil}, {"GET", "/box?prefix=good", "403 AccessDenied", nil}, {"GET", "/box?prefix=b&max-keys=1", "403 AccessDenied", nil},
		{"PUT", "/box/new", "403 AccessDenied", nil}, {"PUT", "/box/new", "200", []string{"x-amz-server-side-encryption: AES256"}},
		{"PUT", "/box/new", "403 AccessDenied", []string{"x-amz-server-side-encryption: AES256", "x-amz-tagging: Class=bad"}},
		{"PUT", "/box/new", "200", []string{"x-amz-server-side-encryption: AES256", "x-amz-tagging: Class=good"}},
	} {
		if got := code(g.do(t, "", c.method, c.url, "", c.header...)); got != c.want {
			t.Errorf("%s %s %v: %s, want %s", c.method, c.url, c.header, got, c.want)
		}
	}
	if got := code(g.do(t, "app", "PUT", "/box?policy", `{"Statement":[{"Effect":"Allow","NotPrincipal":"x","Action":"s3:*","Resource":"*"}]}`)); got != "400 MalformedPolicy" {
		t.Error(got)
	}
}

// A bucket's access rule says who may list and write, and nothing of reading: that an object's own rule says.
// Only who may list is told that a key is not there, and what a policy denies no rule opens.
func TestRulesOfBucketsAndObjectsAreApart(t *testing.T) {
	g := newRig(t)
	for _, acl := range []string{"private", "public-read", "public-read-write"} {
		b := "/" + acl
		g.ok(t, "app", "PUT", b, "", "x-amz-acl: "+acl)
		g.ok(t, "app", "PUT", b+"/plain", "text")
		g.ok(t, "app", "PUT", b+"/open", "text", "x-amz-acl: public-read")
		g.ok(t, "app", "PUT", b+"/denied/open", "text", "x-amz-acl: public-read")
		if w := g.ok(t, "app", "GET", b+"/plain?acl", ""); strings.Contains(w.Body.String(), "AllUsers") {
			t.Errorf("%s: the rule of an object without one: %s", acl, w.Body)
		}
	}
	g.ok(t, "app", "PUT", "/private?policy", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::private/pub*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::private/denied/*"}]}`)
	g.ok(t, "app", "PUT", "/private/public", "text")
	for _, c := range [][3]string{
		{"GET", "/private/plain", "403 AccessDenied"}, {"GET", "/private/open", "200"}, {"GET", "/private/none", "403 AccessDenied"}, {"GET", "/private", "403 AccessDenied"},
		{"GET", "/private/public", "200"}, {"GET", "/private/pub-none", "403 AccessDenied"}, {"GET", "/private/denied/open", "403 AccessDenied"},
		{"GET", "/public-read/plain", "403 AccessDenied"}, {"HEAD", "/public-read/plain", "403"}, {"GET", "/public-read/open", "200"}, {"GET", "/public-read/none", "404 NoSuchKey"},
		{"GET", "/public-read", "200"}, {"PUT", "/public-read/new", "403 AccessDenied"},
		{"GET", "/public-read-write/plain", "403 AccessDenied"}, {"GET", "/public-read-write/denied/open", "200"}, {"PUT", "/public-read-write/new", "200"},
		{"DELETE", "/public-read-write/plain", "204"},
	} {
		if got := code(g.do(t, "", c[0], c[1], "")); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestPartsOfObjects(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	var up struct{ UploadId string }
	if err := xml.Unmarshal(g.ok(t, "app", "POST", "/box/k?uploads", "", "x-amz-checksum-algorithm: SHA1").Body.Bytes(), &up); err != nil {
		t.Fatal(err)
	}
	parts := []string{strings.Repeat("a", 5<<20), "tail"}
	list := "<CompleteMultipartUpload>"
	for i, p := range parts {
		w := g.ok(t, "app", "PUT", fmt.Sprintf("/box/k?partNumber=%d&uploadId=%s", 3*i+1, url.QueryEscape(up.UploadId)), p)
		list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", 3*i+1, w.Header()["ETag"][0])
	}
	g.ok(t, "app", "POST", "/box/k?uploadId="+up.UploadId, list+"</CompleteMultipartUpload>")
	// A client that has not got the answer asks again.
	g.ok(t, "app", "POST", "/box/k?uploadId="+up.UploadId, list+"</CompleteMultipartUpload>")
	w := g.ok(t, "app", "GET", "/box/k?partNumber=2", "")
	if w.Code != 206 || w.Body.String() != "tail" || w.Header().Get("Content-Range") != "bytes 5242880-5242883/5242884" || w.Header()["x-amz-mp-parts-count"][0] != "2" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if got := code(g.do(t, "app", "GET", "/box/k?partNumber=3", "")); got != "416 InvalidPartNumber" {
		t.Error(got)
	}
}

func TestConditionsOfCopiesFailAsS3Says(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	tag := g.ok(t, "app", "PUT", "/box/k", "text").Header()["ETag"][0]
	if got := code(g.do(t, "app", "PUT", "/box/l", "", "x-amz-copy-source: /box/k", "x-amz-copy-source-if-none-match: "+tag)); got != "412 PreconditionFailed" {
		t.Error(got)
	}
	w := g.do(t, "app", "GET", "/box/k", "", "If-None-Match: "+tag, "x-amz-checksum-mode: ENABLED")
	if w.Code != 304 || w.Body.Len() > 0 || w.Header()["ETag"][0] != tag {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestUploadsDoNotKeepABucket(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "POST", "/box/k?uploads", "")
	g.ok(t, "app", "PUT", "/box/k", "text")
	if got := code(g.do(t, "app", "DELETE", "/box", "")); got != "409 BucketNotEmpty" {
		t.Error(got)
	}
	g.ok(t, "app", "DELETE", "/box/k", "")
	g.ok(t, "app", "DELETE", "/box", "")
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"), 3)
	f.Add([]byte("5;chunk-signature=x\r\nhello\r\n0;chunk-signature=\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, body []byte, _ int) {
		c := &chunkReader{r: bufio.NewReader(bytes.NewReader(body)), trailers: map[string]string{}}
		out, err := io.ReadAll(c)
		if len(out) > len(body) {
			t.Errorf("%d bytes of %d", len(out), len(body))
		}
		if err != nil && !errors.Is(err, errChunk) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, mismatch) {
			t.Errorf("error %v", err)
		}
	})
}

package oss

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
	"github.com/sluicehq/sluice/object/rest"
)

var update = flag.Bool("update", false, "rewrite testdata/wire.txt")

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
	bodies *objecttest.Bodies
	now    time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{bodies: &objecttest.Bodies{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	now := func() time.Time { return g.now }
	s, err := object.Open(t.Context(), memory.New(), g.bodies, object.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	g.Handler = New(Options{Objects: s, Keys: keyring{}, Now: now, Hosts: []string{"oss.example.org", "127.0.0.1"}})
	return g
}

// sign signs a request with V1, as who; "" and "anonymous" do not.
func (g *rig) sign(r *http.Request, who string) {
	if who == "" || who == "anonymous" {
		return
	}
	r.Header.Set("Date", g.now.Format(http.TimeFormat))
	s := &signature{date: r.Header.Get("Date")}
	sig, _, _ := s.sign(who, r, g.addresses(r)[0])
	r.Header.Set("Authorization", "OSS "+who+":"+sig)
}

// do sends a request; header is "Name: value" lines.
func (g *rig) do(t *testing.T, who, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	g.sign(r, who)
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

// code is the error code of an answer, "" for none.
func code(w *httptest.ResponseRecorder) string {
	body := w.Body.Bytes()
	if e := w.Header()["x-oss-err"]; len(e) > 0 {
		body, _ = base64.StdEncoding.DecodeString(e[0])
	}
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if w.Code/100 == 2 || xml.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Code
}

func TestOnTheWire(t *testing.T) {
	g := newRig(t)
	file, err := os.ReadFile("testdata/wire.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	upload := ""
	for i, part := range strings.Split(string(file), "\n=== ") {
		if i == 0 {
			got.WriteString(part)
			continue
		}
		request, _, _ := strings.Cut(part, "\n--- ")
		request = strings.TrimRight(request, "\n")
		name, text, _ := strings.Cut(request, "\n")
		head, body, _ := strings.Cut(strings.ReplaceAll(text, "$UPLOAD", upload), "\n\n")
		lines := strings.Split(head, "\n")
		f := strings.Fields(lines[0]) // who method url
		w := g.do(t, f[0], f[1], f[2], body, lines[1:]...)
		var show string
		show, upload = recorded(t, w, upload)
		fmt.Fprintf(&got, "\n=== %s\n%s\n\n--- %s\n", name, text, show)
	}
	if *update {
		if err := os.WriteFile("testdata/wire.txt", []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(file), got.String()); diff != "" {
		t.Errorf("exchanges (-want +got); run with -update and review:\n%s", diff)
	}
}

var (
	requestID = regexp.MustCompile(`^[0-9A-F]{24}$`)
	uploadTag = regexp.MustCompile(`<UploadId>([0-9A-F]{32})</UploadId>`)
	idTag     = regexp.MustCompile(`<RequestId>[0-9A-F]{24}</RequestId>`)
)

// recorded writes an answer with what changes from run to run taken out.
func recorded(t *testing.T, w *httptest.ResponseRecorder, upload string) (text, id string) {
	var b strings.Builder
	fmt.Fprintln(&b, w.Code)
	h := w.Header()
	if got := h["x-oss-request-id"]; len(got) != 1 || !requestID.MatchString(got[0]) {
		t.Errorf("x-oss-request-id is %q", got)
	}
	if len(h["x-oss-server-time"]) != 1 {
		t.Error("no x-oss-server-time")
	}
	var names []string
	for name := range h {
		if name != "x-oss-request-id" && name != "x-oss-server-time" && name != "x-oss-err" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(h[name], " | "))
	}
	body := w.Body.String()
	if e := h["x-oss-err"]; len(e) > 0 {
		raw, _ := base64.StdEncoding.DecodeString(e[0])
		body = "x-oss-err is\n" + string(raw)
	}
	if m := uploadTag.FindStringSubmatch(body); m != nil {
		upload = m[1]
	}
	body = idTag.ReplaceAllString(body, "<RequestId>$$ID</RequestId>")
	if upload != "" {
		body = strings.ReplaceAll(body, upload, "$UPLOAD")
	}
	b.WriteString("\n" + body)
	return strings.TrimRight(b.String(), "\n"), upload
}

// Every code of aliyun.md 4.3 is somebody's fault.
func TestEveryErrorCanBeReached(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "data")
	g.ok(t, "app", "PUT", "/public", "", "x-oss-acl: public-read")
	g.ok(t, "app", "PUT", "/public/k", "data")
	part := strings.Repeat("x", 1000)
	up := uploadTag.FindStringSubmatch(g.ok(t, "app", "POST", "/box/big?uploads", "").Body.String())[1]
	g.ok(t, "app", "PUT", "/box/big?partNumber=1&uploadId="+up, part)
	g.ok(t, "app", "PUT", "/box/big?partNumber=2&uploadId="+up, part)
	etag := g.ok(t, "app", "HEAD", "/box/k", "").Header()["ETag"][0]
	complete := func(numbers ...int) string {
		var b strings.Builder
		for _, n := range numbers {
			fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber></Part>", n)
		}
		return "<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>"
	}
	future := "Date: " + g.now.Add(time.Hour).Format(http.TimeFormat)
	for _, c := range []struct {
		want, who, method, url, body string
		header                       []string
		status                       int
	}{
		{"NoSuchKey", "app", "GET", "/box/none", "", nil, 404},
		{"NoSuchKey", "app", "HEAD", "/box/none", "", nil, 404},
		{"NoSuchKey", "app", "GET", "/box/none?acl", "", nil, 404},
		{"NoSuchKey", "app", "PUT", "/box/none?acl", "", []string{"x-oss-object-acl: private"}, 404},
		{"NoSuchKey", "app", "GET", "/box/none?objectMeta", "", nil, 404},
		{"NoSuchKey", "app", "PUT", "/box/copy", "", []string{"x-oss-copy-source: /box/none"}, 404},
		{"NoSuchBucket", "app", "GET", "/none/k", "", nil, 404},
		{"NoSuchBucket", "anonymous", "GET", "/none/k", "", nil, 404},
		{"NoSuchBucket", "app", "PUT", "/box/copy", "", []string{"x-oss-copy-source: /none/k"}, 404},
		{"NoSuchBucket", "app", "DELETE", "/none", "", nil, 404},
		{"BucketAlreadyExists", "other", "PUT", "/box", "", nil, 409},
		{"BucketNotEmpty", "app", "DELETE", "/box", "", nil, 409},
		{"AccessDenied", "other", "GET", "/box/k", "", nil, 403},
		{"AccessDenied", "other", "GET", "/box", "", nil, 403},
		{"AccessDenied", "other", "PUT", "/public/k", "", nil, 403},
		{"AccessDenied", "other", "PUT", "/box/copy", "", []string{"x-oss-copy-source: /box/k"}, 403},
		{"AccessDenied", "anonymous", "GET", "/box/k", "", nil, 403},
		{"AccessDenied", "anonymous", "GET", "/", "", nil, 403},
		{"AccessDenied", "anonymous", "PUT", "/fresh", "", nil, 403},
		{"AccessDenied", "anonymous", "DELETE", "/public/k", "", nil, 403},
		{"AccessDenied", "anonymous", "GET", "/public", "", nil, 403},
		{"AccessDenied", "anonymous", "GET", "/box/k?OSSAccessKeyId=app&Expires=1&Signature=x", "", nil, 403},
		{"AccessDenied", "anonymous", "GET", "/box/k", "", []string{"Authorization: OSS app:x"}, 403},
		{"InvalidAccessKeyId", "anonymous", "GET", "/box/k", "", []string{"Authorization: OSS nobody:x", "Date: " + g.now.Format(http.TimeFormat)}, 403},
		{"InvalidSecurityToken", "anonymous", "GET", "/box/k", "", []string{"Authorization: OSS app:x", "x-oss-security-token: ill", "Date: " + g.now.Format(http.TimeFormat)}, 403},
		{"SecurityTokenExpired", "anonymous", "GET", "/box/k", "", []string{"Authorization: OSS app:x", "x-oss-security-token: old", "Date: " + g.now.Format(http.TimeFormat)}, 403},
		{"SignatureDoesNotMatch", "anonymous", "GET", "/box/k", "", []string{"Authorization: OSS app:x", "Date: " + g.now.Format(http.TimeFormat)}, 403},
		{"RequestTimeTooSkewed", "anonymous", "GET", "/box/k", "", []string{"Authorization: OSS app:x", future}, 403},
		{"InvalidArgument", "anonymous", "GET", "/box/k", "", []string{"Authorization: Basic x"}, 400},
		{"InvalidArgument", "app", "GET", "/box?max-keys=1001", "", nil, 400},
		{"InvalidArgument", "app", "GET", "/box?max-keys=0", "", nil, 400},
		{"InvalidArgument", "app", "GET", "/box?encoding-type=x", "", nil, 400},
		{"InvalidArgument", "app", "GET", "/box?list-type=2&continuation-token=%21", "", nil, 400},
		{"InvalidArgument", "app", "GET", "/box?uploads&max-uploads=x", "", nil, 400},
		{"InvalidArgument", "app", "GET", "/box/big?part-number-marker=x&uploadId=" + up, "", nil, 400},
		{"InvalidArgument", "app", "GET", "/?max-keys=x", "", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?acl", "", []string{"x-oss-acl: secret"}, 400},
		{"InvalidArgument", "app", "PUT", "/box?acl", "", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box/k?acl", "", []string{"x-oss-object-acl: secret"}, 400},
		{"InvalidArgument", "app", "PUT", "/box/k", "", []string{"x-oss-object-acl: secret"}, 400},
		{"InvalidArgument", "app", "PUT", "/fresh", "", []string{"x-oss-acl: default"}, 400},
		{"InvalidArgument", "app", "PUT", "/box/copy", "", []string{"x-oss-copy-source: nokey"}, 400},
		{"InvalidArgument", "app", "PUT", "/box/copy", "", []string{"x-oss-copy-source: /box/k", "x-oss-metadata-directive: x"}, 400},
		{"InvalidArgument", "app", "POST", "/box/log?append", "", nil, 400},
		{"InvalidArgument", "app", "POST", "/box/log?append&position=-1", "", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box/big?partNumber=0&uploadId=" + up, "", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box/big?partNumber=10001&uploadId=" + up, "", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?website", "<WebsiteConfiguration><IndexDocument><Suffix>a/b</Suffix></IndexDocument></WebsiteConfiguration>", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?website", "<WebsiteConfiguration><IndexDocument><Suffix>a</Suffix><Type>3</Type></IndexDocument></WebsiteConfiguration>", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?website", "<WebsiteConfiguration><ErrorDocument><Key></Key></ErrorDocument></WebsiteConfiguration>", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?website", "<WebsiteConfiguration><ErrorDocument><Key>a</Key><HttpStatus>500</HttpStatus></ErrorDocument></WebsiteConfiguration>", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod></CORSRule></CORSConfiguration>", nil, 400},
		{"InvalidArgument", "app", "PUT", "/box?cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>", nil, 400},
		{"InvalidArgument", "anonymous", "OPTIONS", "/box/k", "", nil, 400},
		{"AccessForbidden", "anonymous", "OPTIONS", "/box/k", "", []string{"Origin: http://x", "Access-Control-Request-Method: GET"}, 403},
		{"MalformedXML", "app", "POST", "/box?delete", "<Delete>", nil, 400},
		{"MalformedXML", "app", "POST", "/box?delete", "<Delete></Delete>", nil, 400},
		{"MalformedXML", "app", "POST", "/box/big?uploadId=" + up, "no", nil, 400},
		{"MalformedXML", "app", "POST", "/box/big?uploadId=" + up, complete(), nil, 400},
		{"MalformedXML", "app", "PUT", "/box?cors", "<CORSConfiguration/>", nil, 400},
		{"MalformedXML", "app", "PUT", "/box?cors", "<CORSConfiguration><CORSRule/></CORSConfiguration>", nil, 400},
		{"MalformedXML", "app", "PUT", "/fresh", "<Other/>", nil, 400},
		{"MalformedXML", "app", "PUT", "/box?referer", "<RefererConfiguration>" + strings.Repeat(" ", 64<<10) + "</RefererConfiguration>", nil, 400},
		{"InvalidBucketName", "app", "GET", "/A_b/k", "", nil, 400},
		{"InvalidBucketName", "app", "PUT", "/ab", "", nil, 400},
		{"InvalidBucketName", "app", "PUT", "/a.b.c", "", nil, 400},
		{"InvalidObjectName", "app", "PUT", "/box//k", "", nil, 400},
		{"InvalidObjectName", "app", "PUT", "/box/%5Ck", "", nil, 400},
		{"InvalidObjectName", "app", "PUT", "/box/" + strings.Repeat("k", 1024), "", nil, 400},
		{"InvalidObjectName", "app", "PUT", "/box/%FF", "", nil, 400},
		{"InvalidObjectName", "app", "POST", "/box?delete", "<Delete><Object><Key>/k</Key></Object></Delete>", nil, 400},
		{"InvalidDigest", "app", "PUT", "/box/k", "x", []string{"Content-MD5: x"}, 400},
		{"InvalidDigest", "app", "PUT", "/box/k", "x", []string{"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="}, 400},
		{"InvalidDigest", "app", "PUT", "/box/big?partNumber=1&uploadId=" + up, "x", []string{"Content-MD5: x"}, 400},
		{"InvalidDigest", "app", "POST", "/box?delete", "<Delete><Object><Key>k2</Key></Object></Delete>", []string{"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="}, 400},
		{"MetadataTooLarge", "app", "PUT", "/box/k", "x", []string{"x-oss-meta-a: " + strings.Repeat("x", 9000)}, 400},
		{"MethodNotAllowed", "app", "PATCH", "/box/k", "", nil, 405},
		{"MethodNotAllowed", "app", "POST", "/box", "", nil, 405},
		{"MethodNotAllowed", "app", "POST", "/", "", nil, 405},
		{"NotImplemented", "app", "GET", "/box?lifecycle", "", nil, 501},
		{"NotImplemented", "app", "GET", "/box/k?x-oss-process=image/resize", "", nil, 501},
		{"NotImplemented", "app", "PUT", "/box/k", "", []string{"x-oss-callback: e30="}, 501},
		{"NotImplemented", "app", "POST", "/box/big?uploadId=" + up, "", []string{"x-oss-callback: e30="}, 501},
		{"NotImplemented", "app", "PUT", "/box?website", "<WebsiteConfiguration><RoutingRules><RoutingRule/></RoutingRules></WebsiteConfiguration>", nil, 501},
		{"PreconditionFailed", "app", "GET", "/box/k", "", []string{`If-Match: "00"`}, 412},
		{"PreconditionFailed", "app", "GET", "/box/k", "", []string{"If-Unmodified-Since: Mon, 01 Dec 2025 00:00:00 GMT"}, 412},
		{"PreconditionFailed", "app", "PUT", "/box/copy", "", []string{"x-oss-copy-source: /box/k", `x-oss-copy-source-if-match: "00"`}, 412},
		{"", "app", "GET", "/box/k", "", []string{"If-None-Match: " + etag}, 304},
		{"", "app", "GET", "/box/k", "", []string{"If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"}, 304},
		{"", "app", "PUT", "/box/copy", "", []string{"x-oss-copy-source: /box/k", "x-oss-copy-source-if-none-match: " + etag}, 304},
		{"InvalidRange", "app", "GET", "/box/k", "", []string{"Range: bytes=4-", "x-oss-range-behavior: standard"}, 416},
		{"InvalidRange", "app", "PUT", "/box/big?partNumber=1&uploadId=" + up, "", []string{"x-oss-copy-source: /box/k", "x-oss-copy-source-range: bytes=2-9"}, 416},
		{"NoSuchUpload", "app", "GET", "/box/big?uploadId=none", "", nil, 404},
		{"NoSuchUpload", "app", "DELETE", "/box/big?uploadId=none", "", nil, 404},
		{"NoSuchUpload", "app", "PUT", "/box/big?partNumber=1&uploadId=none", "", nil, 404},
		{"NoSuchUpload", "app", "POST", "/box/big?uploadId=none", complete(1), nil, 404},
		{"InvalidPart", "app", "POST", "/box/big?uploadId=" + up, complete(1, 3), nil, 400},
		{"InvalidPartOrder", "app", "POST", "/box/big?uploadId=" + up, complete(2, 1), nil, 400},
		{"EntityTooSmall", "app", "POST", "/box/big?uploadId=" + up, complete(1, 2), nil, 400},
		{"FileAlreadyExists", "app", "PUT", "/box/k", "x", []string{"x-oss-forbid-overwrite: true"}, 409},
		{"FileAlreadyExists", "app", "POST", "/box/k?uploads", "", []string{"x-oss-forbid-overwrite: true"}, 409},
		{"ObjectNotAppendable", "app", "POST", "/box/k?append&position=4", "x", nil, 409},
		{"PositionNotEqualToLength", "app", "POST", "/box/log?append&position=4", "x", nil, 409},
		{"NoSuchWebsiteConfiguration", "app", "GET", "/box?website", "", nil, 404},
		{"NoSuchCORSConfiguration", "app", "GET", "/box?cors", "", nil, 404},
	} {
		w := g.do(t, c.who, c.method, c.url, c.body, c.header...)
		if got := code(w); got != c.want || w.Code != c.status {
			t.Errorf("%s %s %s %v: %d %s, want %d %s\n%s", c.who, c.method, c.url, c.header, w.Code, got, c.status, c.want, w.Body)
		}
	}

	big := httptest.NewRequest("PUT", "/box/k", nil)
	big.ContentLength = 5<<30 + 1
	short := httptest.NewRequest("PUT", "/box/k", io.MultiReader(strings.NewReader("abc")))
	short.ContentLength = 5
	for want, r := range map[string]*http.Request{"EntityTooLarge": big, "IncompleteBody": short} {
		g.sign(r, "app")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if got := code(w); got != want {
			t.Errorf("%s: %d %s", want, w.Code, got)
		}
	}
	g.bodies.Fail = func(string) error { return io.ErrClosedPipe }
	w := g.do(t, "app", "PUT", "/box/k", strings.Repeat("x", 20_000))
	if code(w) != "InternalError" || w.Code != 500 || strings.Contains(w.Body.String(), "closed") {
		t.Errorf("a failing engine: %d\n%s", w.Code, w.Body)
	}
}

func TestAddresses(t *testing.T) {
	g := newRig(t)
	for _, c := range []struct{ host, path, bucket, key string }{
		{"127.0.0.1:4566", "/b/dir/k", "b", "dir/k"},
		{"localhost", "/b", "b", ""},
		{"localhost", "/b/", "b", ""},
		{"localhost", "/", "", ""},
		{"oss.localhost:80", "/b/k", "b", "k"},
		{"b.oss.localhost:80", "/dir/k", "b", "dir/k"},
		{"B.OSS.example.org", "/k", "b", "k"},
		{"oss-cn-hongkong.aliyuncs.com", "/b/k", "b", "k"},
		{"b.oss-cn-hongkong-internal.aliyuncs.com", "/a%2Fb+c%20d", "b", "a/b+c d"},
		{"b.oss-accelerate.aliyuncs.com", "/k", "b", "k"},
		{"fc.cn-hongkong.aliyuncs.com", "/b/k", "b", "k"},
		{"b.oss.localhost", "//k", "b", "/k"},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+c.path, nil)
		if a := g.addresses(r)[0]; a.bucket != c.bucket || a.key != c.key {
			t.Errorf("%s%s is bucket %q key %q", c.host, c.path, a.bucket, a.key)
		}
	}
}

func TestWhatIsSignedDecidesWhenABucketIsNamedTwice(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for _, c := range []struct {
		host, path string
		signed     address
	}{
		{"box.oss-cn-hongkong.aliyuncs.com", "/box/k", address{"box", "k"}},
		{"box.oss-cn-hongkong.aliyuncs.com", "/box/k", address{"box", "box/k"}},
		{"undefined.oss-cn-hongkong.aliyuncs.com", "/", address{}},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+c.path, nil)
		r.Header.Set("Date", g.now.Format(http.TimeFormat))
		s := &signature{date: r.Header.Get("Date")}
		sig, _, _ := s.sign("app", r, c.signed)
		r.Header.Set("Authorization", "OSS app:"+sig)
		if who, at, err := g.authenticate(r); err != nil || who == nil || at != c.signed {
			t.Errorf("%s%s signed for %v is for %v, %v", c.host, c.path, c.signed, at, err)
		}
	}
}

func TestClaims(t *testing.T) {
	g := newRig(t)
	for _, c := range []struct {
		url, auth string
		want      bool
	}{
		{"http://b.oss-cn-hongkong.aliyuncs.com/k", "", true},
		{"http://oss.localhost:4566/", "", true},
		{"http://b.oss.example.org/", "", true},
		{"http://127.0.0.1/b/k", "", false},
		{"http://127.0.0.1/b/k", "OSS ak:x", true},
		{"http://127.0.0.1/b/k", "OSS4-HMAC-SHA256 Credential=x", true},
		{"http://127.0.0.1/b/k", "AWS4-HMAC-SHA256 Credential=x", false},
		{"http://127.0.0.1/b/k?OSSAccessKeyId=x", "", true},
		{"http://127.0.0.1/b/k?x-oss-credential=x", "", true},
		{"http://instance.cn-hongkong.ots.aliyuncs.com/GetRow", "", false},
		{"http://fc.cn-hongkong.aliyuncs.com/", "", false},
	} {
		r := httptest.NewRequest("GET", c.url, nil)
		r.Header.Set("Authorization", c.auth)
		if got := g.Claims(r); got != c.want {
			t.Errorf("%s %s: %v", c.url, c.auth, got)
		}
	}
}

func TestRights(t *testing.T) {
	g := newRig(t)
	g.ok(t, "admin", "PUT", "/operators", "")
	for _, acl := range []string{"private", "public-read", "public-read-write"} {
		b := "/apps-" + acl
		g.ok(t, "app", "PUT", b, "", "x-oss-acl: "+acl)
		g.ok(t, "app", "PUT", b+"/k", "x")
		g.ok(t, "app", "PUT", b+"/hidden", "x", "x-oss-object-acl: private")
		g.ok(t, "app", "PUT", b+"/shown", "x", "x-oss-object-acl: public-read")
	}
	for _, c := range []struct {
		who, method, url string
		allowed          bool
	}{
		{"admin", "GET", "/apps-private/k", true}, {"admin", "DELETE", "/apps-private/k", true},
		{"app", "GET", "/operators", false}, {"app", "PUT", "/operators/k", false}, {"app", "GET", "/apps-private", true},
		{"other", "GET", "/apps-private/shown", true}, {"other", "GET", "/apps-private/k", false}, {"other", "GET", "/apps-public-read/k", true},
		{"anonymous", "GET", "/apps-public-read/k", true}, {"anonymous", "HEAD", "/apps-public-read/k", true},
		{"anonymous", "GET", "/apps-public-read/hidden", false}, {"anonymous", "PUT", "/apps-public-read/k", false},
		{"anonymous", "GET", "/apps-public-read?acl", false}, {"anonymous", "GET", "/apps-public-read/k?acl", false},
		{"anonymous", "PUT", "/apps-public-read-write/new", true}, {"anonymous", "PUT", "/apps-public-read-write/hidden", false},
		{"anonymous", "DELETE", "/apps-public-read-write/new", true}, {"anonymous", "DELETE", "/apps-public-read-write", false},
		{"anonymous", "GET", "/apps-private/none", false},
	} {
		w := g.do(t, c.who, c.method, c.url, "")
		if got := code(w) != "AccessDenied"; got != c.allowed {
			t.Errorf("%s %s %s: %d %s", c.who, c.method, c.url, w.Code, code(w))
		}
	}
	for key, want := range map[string]string{"hidden": "AccessDenied", "k": ""} {
		w := g.do(t, "anonymous", "POST", "/apps-public-read-write?delete", "<Delete><Object><Key>"+key+"</Key></Object></Delete>")
		if code(w) != want {
			t.Errorf("deleting %s among others: %d %s", key, w.Code, code(w))
		}
	}
	for who, want := range map[string][]string{
		"admin": {"apps-private", "apps-public-read", "apps-public-read-write", "operators"},
		"app":   {"apps-private", "apps-public-read", "apps-public-read-write"},
		"other": nil,
	} {
		var list struct {
			Names []string `xml:"Buckets>Bucket>Name"`
		}
		if err := xml.Unmarshal(g.ok(t, who, "GET", "/", "").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, list.Names); diff != "" {
			t.Errorf("buckets of %s (-want +got):\n%s", who, diff)
		}
	}
	g.ok(t, "app", "PUT", "/apps-private", "", "x-oss-acl: public-read") // again, as its owner
	g.ok(t, "anonymous", "GET", "/apps-private/shown", "")
}

func TestRangesAsOSSAndAsBrowsersMeanThem(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "", "x-oss-acl: public-read")
	g.ok(t, "app", "PUT", "/box/k", "0123456789")
	for _, c := range []struct {
		header, oss, standard string
		status                int // of standard
	}{
		{"bytes=0-3", "0123", "0123", 206},
		{"bytes=7-", "789", "789", 206},
		{"bytes=-2", "89", "89", 206},
		{"bytes=2-3,5-6", "23", "23", 206},
		{"bytes=8-20", "0123456789", "89", 206},
		{"bytes=-20", "0123456789", "0123456789", 206},
		{"bytes=10-", "0123456789", "", 416},
		{"bytes=-0", "0123456789", "", 416},
		{"bytes=99999999999999999999-", "0123456789", "", 416},
		{"bytes=0-99999999999999999999", "0123456789", "0123456789", 206},
		{"byte=0-3", "0123456789", "0123456789", 200},
		{"bytes=3-1", "0123456789", "0123456789", 200},
		{"bytes=", "0123456789", "0123456789", 200},
		{"bytes=-", "0123456789", "0123456789", 200},
		{"bytes=+1-2", "0123456789", "0123456789", 200},
	} {
		if w := g.do(t, "app", "GET", "/box/k", "", "Range: "+c.header); w.Body.String() != c.oss {
			t.Errorf("%s: OSS sends %q", c.header, w.Body)
		}
		for _, w := range []*httptest.ResponseRecorder{
			g.do(t, "app", "GET", "/box/k", "", "Range: "+c.header, "x-oss-range-behavior: standard"),
			g.do(t, "anonymous", "GET", "/box/k", "", "Range: "+c.header),
		} {
			if w.Code != c.status || w.Code != 416 && w.Body.String() != c.standard {
				t.Errorf("%s: the standard sends %d %q", c.header, w.Code, w.Body)
			}
		}
	}
	w := g.do(t, "app", "HEAD", "/box/k", "", "Range: bytes=2-4")
	if w.Code != 206 || w.Header()["Content-Length"][0] != "3" || w.Body.Len() != 0 {
		t.Errorf("HEAD of a range: %d %v", w.Code, w.Header())
	}
}

func TestPresignedURLs(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	get := func(method, url string) *httptest.ResponseRecorder {
		return g.do(t, "anonymous", method, url, "data")
	}
	v1 := func(method, extra string) string {
		r := httptest.NewRequest(method, "/box/k?OSSAccessKeyId=app&Expires=1767225700&Signature=x"+extra, nil)
		s, _ := parseSignature(r, r.URL.Query())
		sig, _, _ := s.sign("app", r, address{"box", "k"})
		return strings.Replace(r.URL.String(), "Signature=x", "Signature="+rest.Escape(sig, false), 1)
	}
	v4 := func(method, extra string) string {
		r := httptest.NewRequest(method, "/box/k?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=app%2F20260101%2Fr%2Foss%2Faliyun_v4_request"+
			"&x-oss-date=20260101T000000Z&x-oss-expires=60&x-oss-signature=x"+extra, nil)
		s, err := parseSignature(r, r.URL.Query())
		if err != nil {
			t.Fatal(err)
		}
		sig, _, _ := s.sign("app", r, address{"box", "k"})
		return strings.Replace(r.URL.String(), "x-oss-signature=x", "x-oss-signature="+sig, 1)
	}
	for name, sign := range map[string]func(method, extra string) string{"V1": v1, "V4": v4} {
		if w := get("PUT", sign("PUT", "")); w.Code != 200 {
			t.Errorf("%s PUT: %d %s", name, w.Code, w.Body)
		}
		w := get("GET", sign("GET", "&response-content-type=a%2Fb"))
		if w.Code != 200 || w.Body.String() != "data" || w.Header()["Content-Type"][0] != "a/b" {
			t.Errorf("%s GET: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
		if w := get("DELETE", sign("GET", "")); code(w) != "SignatureDoesNotMatch" {
			t.Errorf("%s with another method: %d %s", name, w.Code, w.Body)
		}
		url := sign("GET", "")
		g.now = g.now.Add(10 * time.Minute)
		if w := get("GET", url); code(w) != "AccessDenied" || !strings.Contains(w.Body.String(), "Request has expired.") {
			t.Errorf("%s after its end: %d %s", name, w.Code, w.Body)
		}
		g.now = g.now.Add(-10 * time.Minute)
	}
}

func FuzzBodies(f *testing.F) {
	f.Add("?delete", "<Delete><Quiet>true</Quiet><Object><Key>k</Key></Object></Delete>")
	f.Add("?cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>")
	f.Add("?website", "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>")
	f.Add("?referer", "<RefererConfiguration><RefererList><Referer>x</Referer></RefererList></RefererConfiguration>")
	f.Add("", "<CreateBucketConfiguration/>")
	f.Add("/k?uploadId=x", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>")
	f.Fuzz(func(t *testing.T, target, body string) {
		g := newRig(t)
		g.ok(t, "app", "PUT", "/box", "")
		for _, method := range []string{"PUT", "POST"} {
			r, err := http.NewRequest(method, "http://localhost/box"+target, bytes.NewReader([]byte(body)))
			if err != nil {
				return
			}
			g.sign(r, "app")
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if w.Code >= 500 && w.Code != 501 {
				t.Errorf("%s %q %q: %d %s", method, target, body, w.Code, w.Body)
			}
		}
		for _, sub := range []string{"?cors", "?website", "?referer"} {
			if w := g.do(t, "app", "GET", "/box"+sub, ""); w.Code >= 500 {
				t.Errorf("%s after %q: %d %s", sub, body, w.Code, w.Body)
			}
		}
	})
}

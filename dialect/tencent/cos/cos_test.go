package cos

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

const (
	host = "chat-1250000000.cos.ap-guangzhou.myqcloud.com"
	site = "chat-1250000000.cos-website.ap-guangzhou.myqcloud.com"
)

// keyring is who the tests are: the secret of each is its name.
type keyring struct{}

func (keyring) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	switch {
	case token != "" && token != "tok":
		return "", access.Principal{}, access.ErrBadToken
	case id == "AKIDsluice":
		return "sluice-secret-key", access.Principal{App: "app"}, nil
	case id == "app" || id == "other":
		return id, access.Principal{App: sluice.AppName(id)}, nil
	}
	return "", access.Principal{}, access.ErrUnknownKey
}

type rig struct {
	*Handler
	now time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{now: time.Unix(1700000100, 0)}
	s, err := object.Open(t.Context(), memory.New(), &objecttest.Bodies{}, object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.Handler = New(Options{Objects: s, Keys: keyring{}, AppID: "1250000000", Now: func() time.Time { return g.now },
		Hosts: map[string]string{"files.example.org": "chat-1250000000"}})
	return g
}

// do sends a request, signed as who unless that is "". Header is "Name: value" lines.
func (g *rig) do(t *testing.T, who, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Host = host
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	if who != "" {
		s := &signature{time: "1700000000;1700003600", keyTime: "1700000000;1700003600", headers: []string{"content-length", "host"}}
		sig, _ := s.sign(who, s.format(r, parseQuery(r.URL.RawQuery), r.Host))
		r.Header.Set("Authorization", "q-sign-algorithm=sha1&q-ak="+who+"&q-sign-time="+s.time+"&q-key-time="+s.keyTime+
			"&q-header-list=content-length;host&q-url-param-list=&q-signature="+sig)
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

// The vectors of tencent.md section 6.
func TestSignatureVectors(t *testing.T) {
	const times = "&q-sign-time=1700000000;1700003600&q-key-time=1700000000;1700003600"
	for name, c := range map[string]struct {
		method, url, body, auth, format string
	}{
		"PUT, as Python and Node write it": {"PUT", "/xa%2Bwe/x%20%E4%B8%AD~%21%2A%28%29%27%3D%3D", "websocket",
			"q-header-list=content-length;host&q-url-param-list=&q-signature=2c94076436818658a47484e6d6fcd11b11b6307e",
			"put\n/xa+we/x 中~!*()'==\n\ncontent-length=9&host=" + host + "\n"},
		"PUT, as Go writes it": {"PUT", "/xa%2Bwe%2Fx%20%E4%B8%AD~!*()'%3D%3D", "websocket",
			"q-header-list=content-length;host&q-url-param-list=&q-signature=2c94076436818658a47484e6d6fcd11b11b6307e",
			"put\n/xa+we/x 中~!*()'==\n\ncontent-length=9&host=" + host + "\n"},
		"GET with parameters": {"GET", "/?prefix=&delimiter=&marker=&max-keys=1000&encoding-type=url", "",
			"q-header-list=host&q-url-param-list=delimiter;encoding-type;marker;max-keys;prefix&q-signature=4627bcb96e92a52bfa2e596ffcdd0f83d9c9a239",
			"get\n/\ndelimiter=&encoding-type=url&marker=&max-keys=1000&prefix=\nhost=" + host + "\n"},
	} {
		r := httptest.NewRequest(c.method, c.url, strings.NewReader(c.body))
		r.Host = host
		r.Header.Set("Authorization", "q-sign-algorithm=sha1&q-ak=AKIDsluice"+times+"&"+c.auth)
		q := parseQuery(r.URL.RawQuery)
		s, err := parseSignature(r, q)
		if err != nil {
			t.Fatal(err)
		}
		format := s.format(r, q, r.Host)
		if got, _ := s.sign("sluice-secret-key", format); got != s.given || format != c.format {
			t.Errorf("%s: signs %s over %q", name, got, format)
		}
	}
}

func TestSignaturesInTheQueryAndOfOtherHosts(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/", "")
	g.ok(t, "app", "PUT", "/k", "text")
	sign := func(r *http.Request, who, host string) string {
		s := &signature{time: "1700000000;1700003600", keyTime: "1700000000;1700003600", headers: []string{"host"}}
		sig, _ := s.sign(who, s.format(r, parseQuery(r.URL.RawQuery), host))
		return "q-sign-algorithm=sha1&q-ak=" + who + "&q-sign-time=1700000000;1700003600&q-key-time=1700000000;1700003600&q-header-list=host&q-url-param-list=&q-signature=" + sig
	}
	for name, form := range map[string]func(auth string) string{
		"pairs as they are": func(auth string) string { return auth },
		"pairs escaped":     func(auth string) string { return strings.ReplaceAll(auth, ";", "%3B") },
		"one parameter":     func(auth string) string { return "sign=" + url.QueryEscape(auth) },
	} {
		r := httptest.NewRequest("GET", "/k", nil)
		r.Host = host
		r = httptest.NewRequest("GET", "/k?"+form(sign(r, "app", host))+"&response-content-type=text%2Fx", nil)
		r.Host = host
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/x" || !g.Claims(r) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("GET", "/k", nil)
	r.Host = host + ":8080"
	r.Header.Set("Authorization", sign(r, "app", host)) // Python leaves the port out
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("host without port: %d %s", w.Code, w.Body)
	}
	r.Header.Set("Authorization", sign(r, "app", "other."+host))
	w = httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if got := code(w); got != "403 SignatureDoesNotMatch" || !strings.Contains(w.Body.String(), "<FormatString>") {
		t.Error(w.Body)
	}
	for who, want := range map[string]string{"nobody": "403 InvalidAccessKeyId", "other": "403 AccessDenied", "": "403 AccessDenied"} {
		if got := code(g.do(t, who, "GET", "/k", "")); got != want {
			t.Errorf("%q: %s, want %s", who, got, want)
		}
	}
	g.now = g.now.Add(2 * time.Hour)
	if w := g.do(t, "app", "GET", "/k", ""); !strings.Contains(w.Body.String(), "<Message>Request has expired</Message>") || !strings.Contains(w.Body.String(), "<ServerTime>") {
		t.Error(w.Body)
	}
}

func TestHosts(t *testing.T) {
	g := newRig(t)
	for in, want := range map[string]place{
		host:                               {"chat-1250000000", "ap-guangzhou", false, true},
		"b-1.cos.ap-x.tencentcos.cn:443":   {"b-1", "ap-x", false, true},
		"b-1.cos-internal.x.tencentcos.cn": {"b-1", "x", false, true},
		"b-1.cos.accelerate.myqcloud.com":  {"b-1", "accelerate", false, true},
		"b-1.cn-south.myqcloud.com":        {"b-1", "cn-south", false, true},
		"service.cos.myqcloud.com":         {"", "", false, true},
		"cos.ap-x.myqcloud.com":            {"", "ap-x", false, true},
		"b-1.cos.localhost:9100":           {"b-1", "", false, true},
		site:                               {"chat-1250000000", "ap-guangzhou", true, true},
		"b-1.web.localhost":                {"b-1", "", true, false},
		"files.example.org:80":             {"chat-1250000000", "", false, true},
		"scf.tencentcloudapi.com":          {},
		"app.localhost":                    {},
	} {
		if got := g.parse(in); got != want {
			t.Errorf("%s is %+v, want %+v", in, got, want)
		}
	}
}

func TestAnswersAreSaidAsCOSSaysThem(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/", "")
	w := g.ok(t, "app", "PUT", "/dir/k", "websocket", "x-cos-meta-who: ann", "Cache-Control: ")
	for name, want := range map[string]string{"x-cos-hash-crc64ecma": "18410209663207647565", "ETag": `"bf56d570e62cdb573c86b18526296117"`, "Server": "tencent-cos"} {
		if got := w.Header()[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	w = g.ok(t, "app", "GET", "/dir/k", "")
	if w.Body.String() != "websocket" || w.Header()["x-cos-meta-who"][0] != "ann" || w.Header().Get("Content-Type") != "application/octet-stream" || w.Header()["x-cos-request-id"][0] == "" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	w = g.do(t, "app", "GET", "/none", "")
	id, trace := w.Header()["x-cos-request-id"][0], w.Header()["x-cos-trace-id"][0]
	want := "<Error>\n  <Code>NoSuchKey</Code>\n  <Message>The specified key does not exist.</Message>\n  <Resource>" + host + "/none</Resource>\n  <RequestId>" +
		id + "</RequestId>\n  <TraceId>" + trace + "</TraceId>\n  <Key>none</Key>\n</Error>\n"
	if w.Code != 404 || !strings.HasSuffix(w.Body.String(), want) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	list := g.ok(t, "app", "GET", "/?prefix=dir%2F&encoding-type=url", "").Body.String()
	if !strings.Contains(list, "<Key>dir/k</Key>") || strings.Contains(list, "xmlns") || strings.Contains(list, "<NextMarker>") {
		t.Error(list)
	}
	if empty := g.ok(t, "app", "GET", "/?prefix=x", "").Body.String(); strings.Contains(empty, "Contents") {
		t.Error(empty)
	}
	for _, c := range [][4]string{
		{"PUT", "/", "", "409 BucketAlreadyOwnedByYou"},
		{"DELETE", "/", "", "409 BucketNotEmpty"},
		{"GET", "/?website", "", "404 NoSuchWebsiteConfiguration"},
		{"GET", "/?policy", "", "404 NoSuchBucketPolicy"},
		{"PUT", "/?policy", "x", "400 MalformedPolicy"},
		{"POST", "/k", "", "405 MethodNotAllowed"},
		{"PUT", "/?inventory", "", "501 NotImplemented"},
		{"PUT", "/" + strings.Repeat("k", 851), "", "400 KeyTooLong"},
		{"POST", "/dir/k?append&position=0", "x", "409 ObjectNotAppendable"},
		{"GET", "/none?uploadId=x", "", "404 NoSuchUpload"},
	} {
		if got := code(g.do(t, "app", c[0], c[1], c[2])); got != c[3] {
			t.Errorf("%s %.30s: %s, want %s", c[0], c[1], got, c[3])
		}
	}
	w = g.ok(t, "app", "POST", "/log?append&position=0", "one")
	if w.Header()["x-cos-next-append-position"][0] != "3" {
		t.Error(w.Header())
	}
	g.ok(t, "app", "PUT", "/copy", "", "x-cos-copy-source: "+host+"/dir/k")
	if w := g.ok(t, "app", "GET", "/copy", ""); w.Body.String() != "websocket" {
		t.Error(w.Body)
	}
	buckets := g.ok(t, "app", "GET", "/", "", "Host: service.cos.myqcloud.com").Body.String()
	if !strings.Contains(buckets, "<Name>chat-1250000000</Name>") || !strings.Contains(buckets, "<Location>ap-guangzhou</Location>") {
		t.Error(buckets)
	}
	if w := g.ok(t, "app", "GET", "/chat-1250000000/copy", "", "Host: cos.ap-guangzhou.myqcloud.com"); w.Body.String() != "websocket" {
		t.Error(w.Body)
	}
}

func TestWebsite(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/", "", "x-cos-acl: public-read")
	for key, text := range map[string]string{"/index.html": "home", "/docs/index.html": "docs", "/a.html": "page", "/error.html": "lost"} {
		g.ok(t, "app", "PUT", key, text, "Content-Type: text/html")
	}
	const doc = `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><AutoAddressing><Status>Enabled</Status></AutoAddressing>` +
		`<ErrorDocument><Key>error.html</Key><OriginalHttpStatus>Disabled</OriginalHttpStatus></ErrorDocument>` +
		`<RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect><Protocol/><ReplaceKeyPrefixWith>docs/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>`
	g.ok(t, "app", "PUT", "/?website", doc)
	for path, want := range map[string][2]string{
		"/": {"200", "home"}, "/docs": {"302", "/docs/"}, "/docs/": {"200", "docs"}, "/a": {"200", "page"}, "/none": {"200", "lost"}, "/old/x": {"301", "http://" + site + "/docs/x"},
	} {
		w := g.do(t, "", "GET", path, "", "Host: "+site)
		got := w.Body.String() + w.Header().Get("Location")
		if fmt.Sprint(w.Code) != want[0] || got != want[1] {
			t.Errorf("%s: %d %s, want %v", path, w.Code, got, want)
		}
	}
	if got := g.ok(t, "app", "GET", "/?website", "").Body.String(); !strings.Contains(got, "<OriginalHttpStatus>Disabled<") || !strings.Contains(got, "<ReplaceKeyPrefixWith>docs/<") {
		t.Error(got)
	}
	g.ok(t, "app", "PUT", "/?website", strings.ReplaceAll(doc, "Disabled", "Enabled"))
	if w := g.do(t, "", "GET", "/none", "", "Host: "+site); w.Code != 404 || w.Body.String() != "lost" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := g.do(t, "", "POST", "/", "", "Host: "+site); w.Code != 405 || !strings.Contains(w.Body.String(), "<html>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("q-sign-algorithm=sha1&q-ak=a&q-sign-time=1;2&q-key-time=1;2&q-header-list=host&q-url-param-list=&q-signature=x", "a=b;c&d")
	f.Fuzz(func(t *testing.T, auth, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", auth)
		q := parseQuery(query)
		if s, err := parseSignature(r, q); s != nil && err == nil {
			s.format(r, q, "h")
			s.checkTime(time.Unix(0, 0))
		}
	})
}

package apigateway

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// The vector of section 1.9, computed with the npm client of API Gateway.
func vector() *call {
	r := with(httptest.NewRequest("POST", "/api/x?b=2&a=1&c=", strings.NewReader("{}")),
		"Accept", "application/json", "Content-Type", "application/json", "Content-Md5", "mZFLkyvTelC5g8XnyQrpOw==",
		"X-Ca-Key", "1234", "X-Ca-Nonce", "n-1", "X-Ca-Stage", "RELEASE", "X-Ca-Timestamp", "1767225600000",
		"X-Ca-Signature-Headers", "x-ca-timestamp,x-ca-key,x-ca-nonce,x-ca-stage",
		"X-Ca-Signature", "l+jwOVt2Ij5vrwJmkolLRenImtMFLYSI9KIjIZLzNK8=")
	return &call{r: r, body: []byte("{}"), proto: protoHTTP}
}

func TestPublishedSignature(t *testing.T) {
	c := vector()
	want := "POST\napplication/json\nmZFLkyvTelC5g8XnyQrpOw==\napplication/json\n\nx-ca-key:1234\nx-ca-nonce:n-1\nx-ca-stage:RELEASE\nx-ca-timestamp:1767225600000\n/api/x?a=1&b=2&c"
	if got := stringToSign(c, "/api/x"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := verify(c, "secret"); err != nil {
		t.Error(err)
	}
	err := verify(c, "other")
	if err == nil || err.Error() != "A403IS: Invalid Signature, Server StringToSign:`"+strings.ReplaceAll(want, "\n", "#")+"`" {
		t.Error(err)
	}
}

func TestStringToSignTakesFormsAndFirstValues(t *testing.T) {
	r := with(httptest.NewRequest("POST", "/p?z=1&z=2&e=%20x", nil), "Content-Type", "application/x-www-form-urlencoded; charset=utf-8",
		"X-Ca-Signature-Headers", "Accept, X-B ,x-a,X-Ca-Signature", "X-A", "1")
	c := &call{r: r, body: []byte("name=a%26b&z=form")}
	if got, want := stringToSign(c, "/p"), "POST\n\n\napplication/x-www-form-urlencoded; charset=utf-8\n\nx-a:1\nx-b:\n/p?e= x&name=a&b&z=1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// signed signs a request the way clients do.
func signed(r *http.Request, key, secret, body string) *http.Request {
	alg := sha256.New
	if r.Header.Get("X-Ca-Signature-Method") == "HmacSHA1" {
		alg = func() hash.Hash { return sha1.New() }
	}
	r.Header.Set("X-Ca-Key", key)
	if r.Header.Get("X-Ca-Timestamp") == "" {
		r.Header.Set("X-Ca-Timestamp", strconv.FormatInt(noon.UnixMilli(), 10))
	}
	r.Header.Set("X-Ca-Signature-Headers", "x-ca-key,x-ca-timestamp,x-ca-nonce")
	mac := hmac.New(alg, []byte(secret))
	mac.Write([]byte(stringToSign(&call{r: r, body: []byte(body)}, r.URL.EscapedPath())))
	r.Header.Set("X-Ca-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r
}

func TestAppsAreAuthorized(t *testing.T) {
	f := &rooms{
		secret: func(key string) (string, bool) {
			return map[string]string{"ours": "s1", "theirs": "s2"}[key], key == "ours"
		},
		code: func(code string) bool { return code == "c0de" },
	}
	app := func(change ...func(*apigroup.API)) func(*apigroup.API) {
		return func(a *apigroup.API) {
			a.Auth = "APP"
			for _, c := range change {
				c(a)
			}
		}
	}
	g := newGroup(t, f, api("/open"), api("/app/*", app()),
		api("/off", app(func(a *apigroup.API) { a.AppCodeAuth = "DISABLE" })),
		api("/query", app(func(a *apigroup.API) { a.AppCodeAuth = "HEADER_QUERY" })),
		api("/openid", func(a *apigroup.API) { a.Auth = "OPENID" }),
		api("/nonce", app(func(a *apigroup.API) { a.ForceNonce = true })),
		api("/opennonce", func(a *apigroup.API) { a.ForceNonce = true }))
	at := func(d time.Duration) string { return strconv.FormatInt(noon.Add(d).UnixMilli(), 10) }
	for _, tc := range []struct {
		name string
		r    *http.Request
		code string
	}{
		{"nobody asks", get("/open"), ""},
		{"signed", signed(get("/app/x?b=1&a=%20"), "ours", "s1", ""), ""},
		{"signed with SHA-1", signed(with(get("/app/x"), "X-Ca-Signature-Method", "HmacSHA1"), "ours", "s1", ""), ""},
		{"signed with an encoded path", signed(get("/app/a%20b"), "ours", "s1", ""), ""},
		{"signed form", signed(with(httptest.NewRequest("POST", "/app/x", strings.NewReader("a=1")), "Content-Type", "application/x-www-form-urlencoded"), "ours", "s1", "a=1"), ""},
		{"form changed", signed(with(httptest.NewRequest("POST", "/app/x", strings.NewReader("a=2")), "Content-Type", "application/x-www-form-urlencoded"), "ours", "s1", "a=1"), "A403IS"},
		{"not signed", get("/app/x"), "A400MA"},
		{"key without signature", with(get("/app/x"), "X-Ca-Key", "ours"), "A400MA"},
		{"unknown key", signed(get("/app/x"), "nobody", "s", ""), "A400IK"},
		{"wrong secret", signed(get("/app/x"), "ours", "s2", ""), "A403IS"},
		{"another app", signed(get("/app/x"), "theirs", "s2", ""), "A403PR"},
		{"unknown method", with(signed(get("/app/x"), "ours", "s1", ""), "X-Ca-Signature-Method", "MD5"), "I400HD"},
		{"old", signed(with(get("/app/x"), "X-Ca-Timestamp", at(-16*time.Minute)), "ours", "s1", ""), "S403TE"},
		{"from the future", signed(with(get("/app/x"), "X-Ca-Timestamp", at(16*time.Minute)), "ours", "s1", ""), "S403TE"},
		{"within the skew", signed(with(get("/app/x"), "X-Ca-Timestamp", at(14*time.Minute)), "ours", "s1", ""), ""},
		{"timestamp is no number", signed(with(get("/app/x"), "X-Ca-Timestamp", "now"), "ours", "s1", ""), "S403TE"},
		{"nonce", signed(with(get("/app/x"), "X-Ca-Nonce", "n1"), "ours", "s1", ""), ""},
		{"nonce again", signed(with(get("/app/x"), "X-Ca-Nonce", "n1"), "ours", "s1", ""), "S403NU"},
		{"nonce missing", signed(get("/nonce"), "ours", "s1", ""), "I400NC"},
		{"nonce missing without a signature", get("/opennonce"), "I400NC"},
		{"code", with(get("/app/x"), "Authorization", "APPCODE c0de"), ""},
		{"code in its header", with(get("/app/x"), "X-Ca-AppCode", "c0de"), ""},
		{"wrong code", with(get("/app/x"), "Authorization", "APPCODE x"), "A400AC"},
		{"code in the query is off by default", get("/app/x?AppCode=c0de"), "A400MA"},
		{"code in the query", get("/query?appcode=c0de"), ""},
		{"code in the query, other spelling", get("/query?AppCode=c0de"), ""},
		{"codes are off", with(get("/off"), "Authorization", "APPCODE c0de"), "A400MA"},
		{"open id", get("/openid"), "A403PR"},
	} {
		res, _ := do(t, g, tc.r)
		if res.Header.Get("X-Ca-Error-Code") != tc.code {
			t.Errorf("%s: %d %s %s", tc.name, res.StatusCode, res.Header.Get("X-Ca-Error-Code"), res.Header.Get("X-Ca-Error-Message"))
		}
	}
	g.o.Apps = nil
	if res, _ := do(t, g, signed(get("/app/x"), "ours", "s1", "")); res.StatusCode != 403 {
		t.Errorf("without apps: %d", res.StatusCode)
	}
}

func TestSignedInTheSocket(t *testing.T) {
	f := &rooms{secret: func(string) (string, bool) { return "s1", true }, code: func(string) bool { return false }}
	g := newGroup(t, f, api("/x", func(a *apigroup.API) { a.Auth = "APP" }))
	r := signed(get("/x?q=1"), "ours", "s1", "")
	in := `{"path":"/x","querys":{"q":"1"},"headers":{`
	for i, name := range []string{"X-Ca-Key", "X-Ca-Timestamp", "X-Ca-Signature-Headers", "X-Ca-Signature"} {
		in += strings.Repeat(",", min(i, 1)) + fmt.Sprintf("%q:[%q]", strings.ToLower(name), r.Header.Get(name))
	}
	if a, _ := sayTo(t, g, in+`}}`); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Header)
	}
	if a, _ := sayTo(t, g, strings.Replace(in, `"q":"1"`, `"q":"2"`, 1)+`}}`); a.Status != 403 || a.head("x-ca-error-code") != "A403IS" {
		t.Errorf("%d %s", a.Status, a.Header)
	}
}

func TestNoncesAreBoundedAndForgotten(t *testing.T) {
	var n nonces
	for i := range 3 * maxNonces {
		n.take(strconv.Itoa(i), noon)
	}
	if len(n.young)+len(n.old) > 2*maxNonces {
		t.Errorf("%d nonces kept", len(n.young)+len(n.old))
	}
	n = nonces{}
	if !n.take("a", noon) || n.take("a", noon.Add(29*time.Minute)) || n.take("a", noon.Add(31*time.Minute)) {
		t.Error("a nonce is good once while its timestamp may be")
	}
	n.take("b", noon.Add(70*time.Minute))
	if !n.take("a", noon.Add(71*time.Minute)) {
		t.Error("an old nonce is forgotten")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("/x?a=1", "x-ca-key,accept,,", "application/x-www-form-urlencoded", "a=%", "c2ln")
	f.Fuzz(func(t *testing.T, target, names, kind, body, sig string) {
		r, err := http.NewRequest("POST", "http://h"+target, nil)
		if err != nil {
			return
		}
		r.Header = http.Header{"X-Ca-Signature-Headers": {names}, "Content-Type": {kind}, "X-Ca-Signature": {sig}}
		if verify(&call{r: r, body: []byte(body)}, "secret that no fuzzer knows") == nil {
			t.Error("a random signature is accepted")
		}
	})
}

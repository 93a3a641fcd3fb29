package tc3

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/access"
)

// keys are the keys of a test.
type keys struct{}

func (keys) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	switch {
	case token == "expired":
		return "", access.Principal{}, access.ErrExpired
	case token == "broken":
		return "", access.Principal{}, access.ErrBadToken
	case id == "AKIDsluice":
		return "sluice-secret-key", access.Principal{App: "app"}, nil
	case id == "down":
		return "", access.Principal{}, errors.New("store is away")
	}
	return "", access.Principal{}, access.ErrUnknownKey
}

var vectorTime = time.Unix(1700000000, 0)

const (
	vectorBody = `{"FunctionName":"ChatTrans","ClientContext":"{}"}`
	vectorAuth = "TC3-HMAC-SHA256 Credential=AKIDsluice/2023-11-14/scf/tc3_request, SignedHeaders=content-type;host, Signature=1bae281485be94ddd561cf0775972cf05eabc2ed7b16f3c5a3599bfa8fac6efb"
)

// request is the one of the vector (tencent.md 6).
func request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://scf.tencentcloudapi.com/", strings.NewReader(vectorBody))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Timestamp", "1700000000")
	r.Header.Set("Authorization", vectorAuth)
	return r
}

func verifier() *Verifier { return New(keys{}, "scf").At(func() time.Time { return vectorTime }) }

func TestTheVectorHolds(t *testing.T) {
	who, fail := verifier().Verify(request(), []byte(vectorBody))
	if fail != nil || who.App != "app" {
		t.Error(who, fail)
	}
	r := request()
	r.Header.Del("Authorization")
	Sign(r, []byte(vectorBody), access.Credentials{ID: "AKIDsluice", Secret: "sluice-secret-key"}, "scf", vectorTime)
	if got := r.Header.Get("Authorization"); got != vectorAuth {
		t.Error(got)
	}
}

func TestWhatClientsSignDifferently(t *testing.T) {
	c := access.Credentials{ID: "AKIDsluice", Secret: "sluice-secret-key"}
	// signed signs what change has made of a request, and undoes some of it afterwards.
	for _, tc := range []struct {
		name          string
		before, after func(r *http.Request)
		body          string
	}{
		{"a host with its port", func(r *http.Request) { r.Host = "127.0.0.1:4566" }, nil, "{}"},
		{"a host without the port that it is sent with", func(r *http.Request) { r.Host = "127.0.0.1" }, func(r *http.Request) { r.Host += ":4566" }, "{}"},
		{"an address in brackets", func(r *http.Request) { r.Host = "[::1]" }, func(r *http.Request) { r.Host += ":4566" }, "{}"},
		{"a host in capitals", func(r *http.Request) { r.Host = "SCF.tencentcloudapi.com" }, nil, "{}"},
		{"a payload that is not signed", func(r *http.Request) { r.Header.Set("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD") }, nil, "{}"},
		{"a query", func(r *http.Request) { r.Method = "GET"; r.URL.RawQuery = "Limit=1&Name=a%20b" }, nil, ""},
		{"a token", func(r *http.Request) { r.Header.Set("X-TC-Token", "good") }, nil, "{}"},
	} {
		r := request()
		tc.before(r)
		Sign(r, []byte(tc.body), c, "scf", vectorTime)
		if tc.after != nil {
			tc.after(r)
		}
		if _, fail := verifier().Verify(r, []byte(tc.body)); fail != nil {
			t.Errorf("%s: %v", tc.name, fail)
		}
	}

	for host, service := range map[string]string{"localhost:4566": "localhost:4566", "127.0.0.1:4566": "127"} { // as the SDK for Node names the service
		r := request()
		r.Host = host
		Sign(r, []byte("{}"), c, service, vectorTime)
		if _, fail := verifier().Verify(r, []byte("{}")); fail != nil {
			t.Errorf("%s: %v", host, fail)
		}
	}

	r := request() // more headers, with their values in lower case, and a content type as it is
	r.Header.Set("X-TC-Action", " InvokeFunction ")
	r.Header.Set("Content-Type", "multipart/form-data; boundary=aBc")
	for _, spell := range []func(string) string{strings.ToLower, strings.Clone} {
		signed := []string{"content-type", "host", "x-tc-action"}
		text := canonical(r, r.Host, signed, hash([]byte("x")), spell)
		if lower := strings.Contains(text, "x-tc-action:invokefunction\n"); lower != strings.Contains(text, "boundary=abc") {
			t.Error(text)
		}
		sig := sign(signingKey(c.Secret, "2023-11-14", "scf"), vectorTime.Unix(), "2023-11-14", "scf", text)
		r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential=AKIDsluice/2023-11-14/scf/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature="+sig)
		if _, fail := verifier().Verify(r, []byte("x")); fail != nil {
			t.Error(fail)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	edit := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			text := strings.Replace(r.Header.Get("Authorization"), old, new, 1)
			if text == r.Header.Get("Authorization") {
				t.Fatal(old)
			}
			r.Header.Set("Authorization", text)
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		code   string
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, CodeAuthorization},
		{"SKIP", set("Authorization", "SKIP"), CodeAuthorization},
		{"another algorithm", edit("TC3-HMAC-SHA256", "HmacSHA1"), CodeAuthorization},
		{"no credential", edit("Credential", "Cred"), CodeAuthorization},
		{"a short scope", edit("/scf/", "/"), CodeAuthorization},
		{"another end of the scope", edit("tc3_request", "aws4_request"), CodeAuthorization},
		{"no signed headers", edit("SignedHeaders=content-type;host", "SignedHeaders="), CodeAuthorization},
		{"a host that is not signed", edit("content-type;host", "content-type"), CodeSignature},
		{"a type that is not signed", edit("content-type;host", "host"), CodeSignature},
		{"another service", edit("/scf/", "/cvm/"), CodeSignature},
		{"another date", edit("2023-11-14", "2023-11-15"), CodeSignature},
		{"a wrong signature", edit("1bae", "1baf"), CodeSignature},
		{"another host", func(r *http.Request) { r.Host = "evil.example" }, CodeSignature},
		{"another type", set("Content-Type", "text/plain"), CodeSignature},
		{"another method", func(r *http.Request) { r.Method = "PUT" }, CodeSignature},
		{"a query that is not signed", func(r *http.Request) { r.URL.RawQuery = "a=b" }, CodeSignature},
		{"an unknown key", edit("AKIDsluice", "AKIDother"), CodeUnknownKey},
		{"keys that cannot be read", edit("AKIDsluice", "down"), CodeInternal},
		{"no time", func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }, CodeMissing},
		{"a time in words", set("X-TC-Timestamp", "now"), CodeAuthorization},
		{"an old time", set("X-TC-Timestamp", "1699999699"), CodeExpired},
		{"a time to come", set("X-TC-Timestamp", "1700000301"), CodeExpired},
		{"a token that has ended", set("X-TC-Token", "expired"), CodeToken},
		{"a token that is not ours", set("X-TC-Token", "broken"), CodeToken},
	} {
		r := request()
		tc.change(r)
		if who, fail := verifier().Verify(r, []byte(vectorBody)); fail == nil || fail.Code != tc.code || who.App != "" {
			t.Errorf("%s: %+v %v", tc.name, who, fail)
		}
	}
	if _, fail := verifier().Verify(request(), []byte(vectorBody+" ")); fail == nil || fail.Code != CodeSignature {
		t.Errorf("another body: %v", fail)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(vectorAuth, "1700000000", "scf.tencentcloudapi.com", "application/json", "", []byte(vectorBody))
	f.Add("TC3-HMAC-SHA256 Credential=///tc3_request, SignedHeaders=;, Signature=x", "1700000000", "[::1]:80", "", "t", []byte(nil))
	f.Fuzz(func(t *testing.T, auth, stamp, host, kind, token string, body []byte) {
		r := request()
		r.Host = host
		r.Header = http.Header{"Authorization": {auth}, "X-Tc-Timestamp": {stamp}, "Content-Type": {kind}, "X-Tc-Token": {token}}
		who, fail := verifier().Verify(r, body)
		if (fail == nil) != (who.App == "app") {
			t.Fatal(who, fail)
		}
		if fail == nil && string(body) != vectorBody {
			t.Fatal("a forged request")
		}
	})
}

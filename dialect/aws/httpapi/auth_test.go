package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// issuer is a server whose tokens can be verified.
func issuer(t *testing.T) (url string, sign func(claims map[string]any) string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"issuer": srv.URL, "jwks_uri": srv.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return srv.URL, func(claims map[string]any) string {
		s, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func guarded(kind string, au apispec.Authorizer, scopes ...string) apispec.Snapshot {
	s := routes("GET /in", "f")
	s.Routes[0].AuthorizationType, s.Routes[0].Authorizer, s.Routes[0].Scopes = kind, "au", scopes
	au.ID = "au"
	s.Authorizers = []apispec.Authorizer{au}
	return s
}

func TestTokensOfAnIssuer(t *testing.T) {
	url, sign := issuer(t)
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`"in"`)}}
	au := apispec.Authorizer{Type: "JWT", IdentitySource: []string{"$request.header.Authorization"}, JWT: &apispec.JWT{Issuer: url, Audience: []string{"shop"}}}
	a := newAPI(t, f, &apispec.API{Current: guarded("JWT", au, "read")})
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{"iss": url, "aud": "shop", "exp": noon.Add(time.Hour).Unix(), "scope": "read write", "n": 7}
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	for _, tc := range []struct {
		name   string
		header string
		status int
	}{
		{"good", "Bearer " + sign(claims(nil)), 200},
		{"without the word", sign(claims(nil)), 200},
		{"for a client", "bearer " + sign(claims(map[string]any{"aud": nil, "client_id": "shop"})), 200},
		{"none", "", 401},
		{"rubbish", "Bearer x.y.z", 401},
		{"old", "Bearer " + sign(claims(map[string]any{"exp": noon.Add(-time.Hour).Unix()})), 401},
		{"endless", "Bearer " + sign(claims(map[string]any{"exp": nil})), 401},
		{"for others", "Bearer " + sign(claims(map[string]any{"aud": "bank"})), 401},
		{"of others", "Bearer " + sign(claims(map[string]any{"iss": "https://evil"})), 401},
		{"without the scope", "Bearer " + sign(claims(map[string]any{"scope": "write"})), 403},
	} {
		res, body := ask(a, "GET", "/in", "", "Authorization", tc.header)
		if res.StatusCode != tc.status || tc.status != 200 && res.Header.Get("Www-Authenticate") == "" {
			t.Errorf("%s: %d %s %v", tc.name, res.StatusCode, body, res.Header)
		}
	}
	ask(a, "GET", "/in", "", "Authorization", "Bearer "+sign(claims(nil)))
	auth := f.last["requestContext"].(map[string]any)["authorizer"].(map[string]any)["jwt"].(map[string]any)
	if diff := cmp.Diff([]any{"read"}, auth["scopes"]); diff != "" {
		t.Error(diff)
	}
	if c := auth["claims"].(map[string]any); c["n"] != "7" || c["scope"] != "read write" {
		t.Error(c)
	}
}

func TestFunctionsThatAuthorize(t *testing.T) {
	policy := `"policyDocument":{"Statement":[{"Effect":"Allow"}]}`
	for _, tc := range []struct {
		name, format string
		simple       bool
		answer       func(map[string]any) (sluice.Result, error)
		status       int
		auth         map[string]any
	}{
		{"simple yes", "2.0", true, says(`{"isAuthorized":true,"context":{"a":1}}`), 200, map[string]any{"lambda": map[string]any{"a": 1.0}}},
		{"simple no", "2.0", true, says(`{"isAuthorized":false}`), 403, nil},
		{"simple, but a policy", "2.0", true, says(`{"principalId":"u",` + policy + `}`), 500, nil},
		{"policy", "1.0", false, says(`{"principalId":"u","context":{"a":1},` + policy + `}`), 200, map[string]any{"principalId": "u", "a": "1"}},
		{"policy in 2.0", "2.0", false, says(`{"principalId":"u","context":{"a":1},` + policy + `}`), 200, map[string]any{"lambda": map[string]any{"a": 1.0}}},
		{"denied", "1.0", false, says(`{"principalId":"u","policyDocument":{"Statement":[]}}`), 403, nil},
		{"nobody", "1.0", false, says(`{` + policy + `}`), 500, nil},
		{"unauthorized", "1.0", false, fails(sluice.Handled, "Unauthorized"), 401, nil},
		{"throws", "1.0", false, fails(sluice.Handled, "boom"), 500, nil},
		{"is not there", "1.0", false, nil, 500, nil},
	} {
		f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`"in"`), "auth": tc.answer}}
		if tc.answer == nil {
			delete(f.answers, "auth")
		}
		au := apispec.Authorizer{Type: "REQUEST", URI: "auth", IdentitySource: []string{"$request.header.Token"}, PayloadFormat: tc.format, Simple: tc.simple}
		a := newAPI(t, f, &apispec.API{Current: guarded("CUSTOM", au)})
		if res, body := ask(a, "GET", "/in", ""); res.StatusCode != 401 || f.calls != 0 {
			t.Errorf("%s, without a token: %d %s", tc.name, res.StatusCode, body)
		}
		res, body := ask(a, "GET", "/in", "", "Token", "t")
		if res.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, res.StatusCode, body)
		}
		if tc.auth != nil {
			got := f.last["requestContext"].(map[string]any)["authorizer"].(map[string]any)
			delete(got, "integrationLatency")
			if diff := cmp.Diff(tc.auth, got); diff != "" {
				t.Errorf("%s: %s", tc.name, diff)
			}
		}
	}
}

func TestVerdictsAreKeptForTheirTime(t *testing.T) {
	asked := 0
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`"in"`), "auth": func(map[string]any) (sluice.Result, error) {
		asked++
		return sluice.Result{Payload: []byte(`{"isAuthorized":true}`)}, nil
	}}}
	ttl := 60
	au := apispec.Authorizer{Type: "REQUEST", URI: "auth", IdentitySource: []string{"$request.header.Token"}, PayloadFormat: "2.0", Simple: true, TTL: &ttl}
	a := newAPI(t, f, &apispec.API{Current: guarded("CUSTOM", au)})
	for _, token := range []string{"a", "a", "b", "a"} {
		ask(a, "GET", "/in", "", "Token", token)
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	a.cache.now = func() time.Time { return noon.Add(time.Hour) }
	if ask(a, "GET", "/in", "", "Token", "a"); asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

func TestPoliciesAreAskedForEachPath(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":200}`), "auth": func(e map[string]any) (sluice.Result, error) {
		effect := "Allow"
		if strings.HasSuffix(e["methodArn"].(string), "/private") {
			effect = "Deny"
		}
		return sluice.Result{Payload: []byte(`{"principalId":"p","policyDocument":{"Effect":"` + effect + `"}}`)}, nil
	}}}
	s := routes("ANY /{proxy+}", "f")
	s.Routes[0].AuthorizationType, s.Routes[0].Authorizer = "CUSTOM", "au"
	ttl := 60
	s.Authorizers = []apispec.Authorizer{{ID: "au", Type: "REQUEST", URI: "auth", IdentitySource: []string{"$request.header.Token"}, PayloadFormat: "1.0", TTL: &ttl}}
	a := newAPI(t, f, &apispec.API{Current: s})
	for _, tc := range []struct {
		path   string
		status int
	}{{"/open", 200}, {"/private", 403}, {"/open", 200}} {
		if res, body := ask(a, "GET", tc.path, "", "Token", "a"); res.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.path, res.StatusCode, body)
		}
	}
}

type oneKey struct{}

func (oneKey) Lookup(_ context.Context, id, _ string) (string, access.Principal, error) {
	if id != "AKID" {
		return "", access.Principal{}, access.ErrUnknownKey
	}
	return "secret", access.Principal{}, nil
}

func TestFunctionURLs(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":201,"body":"made"}`), "throws": fails(sluice.Handled, "x"),
		"busy": func(map[string]any) (sluice.Result, error) {
			return sluice.Result{}, sluice.Errorf(sluice.Throttled, "x")
		}}}
	o := Options{App: "shop", Functions: f, Verify: sigv4.New(oneKey{}, "lambda"), Region: "us-east-1"}
	for name, want := range map[string]string{"f": "201 made", "throws": "502 Internal Server Error", "busy": "429 Too Many Requests", "gone": "502 Internal Server Error"} {
		res, body := ask(NewURL(o, URLSettings{ID: "u1", Function: name}), "POST", "http://u1.lambda-url.us-east-1.on.aws/a?b=1", "x")
		if got := res.Status[:3] + " " + body; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	ctx := f.last["requestContext"].(map[string]any)
	if f.last["routeKey"] != "$default" || ctx["apiId"] != "u1" || ctx["stage"] != "$default" || ctx["domainPrefix"] != "u1" {
		t.Error(f.last)
	}
	u := NewURL(o, URLSettings{ID: "u1", Function: "f", IAM: true})
	if res, body := ask(u, "GET", "http://u1.lambda-url.us-east-1.on.aws/", ""); res.StatusCode != 403 || body != `{"Message":"Forbidden"}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	r := httptest.NewRequest("GET", "http://u1.lambda-url.us-east-1.on.aws/", strings.NewReader(""))
	sigv4.Sign(r, nil, access.Credentials{ID: "AKID", Secret: "secret"}, "us-east-1", "lambda", time.Now())
	w := httptest.NewRecorder()
	if u.ServeHTTP(w, r); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

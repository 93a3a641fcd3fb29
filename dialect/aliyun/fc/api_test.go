package fc

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/function"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// functions fakes the function room.
type functions struct {
	invoke func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
	all    []function.Version
}

func (f *functions) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return f.invoke(ctx, inv)
}

func (f *functions) List(app sluice.AppName) []function.Status {
	var out []function.Status
	for _, v := range f.all {
		if app == "" || v.App == app {
			out = append(out, function.Status{App: v.App, Name: v.Spec.Name, Group: v.Spec.Group})
		}
	}
	return out
}

func (f *functions) Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool) {
	for i := range f.all {
		if f.all[i].App == app && f.all[i].Spec.Name == name {
			return &f.all[i], true
		}
	}
	return nil, false
}

func deployed(app sluice.AppName, group, name, runtime string, http *sluice.HTTPTrigger) function.Version {
	return function.Version{App: app, Spec: sluice.Function{Name: sluice.FunctionName(name), Group: group, Runtime: runtime, HTTP: http}}
}

var open = &sluice.HTTPTrigger{Name: "http", Auth: "anonymous"}

func newAPI(invoke func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)) (*API, *functions) {
	f := &functions{invoke: invoke, all: []function.Version{
		deployed("app", "svc", "f", "nodejs20", nil),
		deployed("app", "svc", "web", "nodejs20", open),
		deployed("app", "svc", "go", "custom", open),
		deployed("app", "", "three", "custom", open),
		deployed("app", "svc", "locked", "custom", &sluice.HTTPTrigger{Auth: "function", Methods: []string{"GET"}}),
		deployed("other", "svc2", "theirs", "custom", nil),
	}}
	return New(Options{Functions: f, Keys: fakeKeys{}, Now: func() time.Time { return now }}), f
}

// fcSign signs a request as the SDKs of 2016-08-15 do.
func fcSign(r *http.Request, id, secret string) *http.Request {
	if r.Header.Get("Date") == "" {
		r.Header.Set("Date", now.Format(http.TimeFormat))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stringToSign(r, r.Header.Get("Date"))))
	r.Header.Set("Authorization", "FC "+id+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r
}

func post(path, body string, pairs ...string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	return r
}

func do(t testing.TB, h http.Handler, r *http.Request) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(b)
}

func echo(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return sluice.Result{Payload: []byte(string(inv.App) + "/" + string(inv.Function) + ":" + string(inv.Payload)), Took: 2960 * time.Microsecond,
		MemoryMB: 10, Instance: "c-1", LogTail: []byte("the tail")}, nil
}

// The vector of the Go SDK's own test (section 3.11).
func TestPublishedSignature(t *testing.T) {
	u := &url.URL{Path: "/2016-08-15/proxy/service.LATEST/func/abc 123", RawQuery: url.Values{
		"x": {"xyz", "456"}, "a": {"123 45"}, "x-fc-expires": {"1583221068"}, "x-fc-access-key-id": {"akID"}, "x-fc-security-token": {"stsToken"},
		"x-fc-signature": {"QFdNhz0Dl+onUM/MvpX940WFH3H8OHayZHbby1c01aI="},
	}.Encode()}
	r := httptest.NewRequest("GET", u.String(), nil)
	r.Header.Set("X-Fc-Trace-Id", "trace-id")
	r.Header.Set("Content-Type", "text/json")
	r.Header.Set("Content-Md5", "ef5b43a0fe1d5b401b62c3ba33a7a3d6")
	who, err := authenticate(t.Context(), fakeKeys{}, r, nil, time.Unix(1583221000, 0))
	if err != nil || who.App != "app" {
		t.Errorf("%v %v", who, err)
	}
	if _, err := authenticate(t.Context(), fakeKeys{}, r, nil, time.Unix(1583221069, 0)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

// acs3Sign signs a request with the third method, written apart from the code that verifies it.
func acs3Sign(r *http.Request, id, secret, body string) *http.Request {
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	if r.Header.Get("X-Acs-Date") == "" {
		r.Header.Set("X-Acs-Date", now.Format(time.RFC3339))
	}
	r.Header.Set("X-Acs-Content-Sha256", hash)
	signed := map[string]string{"host": r.Host, "x-acs-date": r.Header.Get("X-Acs-Date"), "x-acs-content-sha256": hash}
	text := r.Method + "\n" + r.URL.EscapedPath() + "\n"
	q := r.URL.Query()
	for i, k := range slices.Sorted(maps.Keys(q)) {
		text += strings.Repeat("&", min(i, 1)) + url.PathEscape(k) + "=" + url.PathEscape(q.Get(k))
	}
	text += "\n"
	names := slices.Sorted(maps.Keys(signed))
	for _, n := range names {
		text += n + ":" + signed[n] + "\n"
	}
	text += "\n" + strings.Join(names, ";") + "\n" + hash
	h := sha256.Sum256([]byte(text))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(h[:])))
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+id+",SignedHeaders="+strings.Join(names, ";")+",Signature="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

func TestInvokeFunction(t *testing.T) {
	a, _ := newAPI(echo)
	const v2, v3 = "/2016-08-15/services/svc/functions/f/invocations", "/2023-03-30/functions/f/invocations"
	for name, r := range map[string]*http.Request{
		"2016":            fcSign(post(v2, "x"), "mine", "my secret"),
		"with qualifier":  fcSign(post(strings.Replace(v2, "svc", "svc.LATEST", 1), "x"), "mine", "my secret"),
		"2023":            acs3Sign(post(v3+"?qualifier=LATEST", "x"), "mine", "my secret", "x"),
		"2023 with FC":    fcSign(post(v3, "x"), "mine", "my secret"),
		"by the operator": fcSign(post(v2, "x"), "admin", "admin's"),
		"migrated name":   acs3Sign(post("/2023-03-30/functions/svc$f/invocations", "x"), "mine", "my secret", "x"),
	} {
		res, body := do(t, a, r)
		if res.StatusCode != 200 || body != "app/f:x" {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
		want := map[string]string{"Content-Type": "application/octet-stream", "X-Fc-Invocation-Duration": "2", "X-Fc-Max-Memory-Usage": "10.00",
			"X-Fc-Invocation-Service-Version": "LATEST", "X-Fc-Invocation-Code-Version": "LATEST", "X-Fc-Instance-Id": "c-1", "X-Fc-Log-Result": "", "X-Fc-Error-Type": "",
			"Access-Control-Expose-Headers": exposed}
		for k, v := range want {
			if res.Header.Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", name, k, res.Header.Get(k), v)
			}
		}
		if res.Header.Get("X-Fc-Request-Id") == "" {
			t.Errorf("%s: no request id", name)
		}
	}
	res, _ := do(t, a, fcSign(post(v2, "x", "X-Fc-Log-Type", "Tail"), "mine", "my secret"))
	if got, _ := base64.StdEncoding.DecodeString(res.Header.Get("X-Fc-Log-Result")); string(got) != "the tail" {
		t.Errorf("tail %q", got)
	}
}

func TestFailuresOfInvokedFunctions(t *testing.T) {
	var failure sluice.Failure
	a, _ := newAPI(func(context.Context, sluice.Invocation) (sluice.Result, error) {
		return sluice.Result{Failure: &failure}, nil
	})
	for _, tc := range []struct {
		failure    sluice.Failure
		kind, body string
	}{
		{sluice.Failure{Kind: sluice.Handled, Type: "TypeError", Message: "boom", Stack: []string{"at a"}}, "HandledInvocationError", `{"errorMessage":"boom","errorType":"TypeError","stackTrace":["at a"]}`},
		{sluice.Failure{Kind: sluice.Handled, Thrown: true, Message: "boom"}, "UnhandledInvocationError", `{"errorMessage":"boom"}`},
		{sluice.Failure{Kind: sluice.Handled, Message: "boom"}, "HandledInvocationError", `{"errorMessage":"boom"}`},
		{sluice.Failure{Kind: sluice.Handled, Message: "boom", Body: []byte(`{"own":1}`)}, "HandledInvocationError", `{"own":1}`},
		{sluice.Failure{Kind: sluice.TimedOut, Message: "late"}, "UnhandledInvocationError", `{"errorMessage":"late"}`},
		{sluice.Failure{Kind: sluice.Crashed, Type: "CAExited", Message: "gone"}, "UnhandledInvocationError", `{"ErrorCode":"CAExited","ErrorMessage":"gone"}`},
		{sluice.Failure{Kind: sluice.Crashed, Type: "FunctionNotStarted", Message: "deaf"}, "UnhandledInvocationError", `{"ErrorCode":"FunctionNotStarted","ErrorMessage":"deaf"}`},
	} {
		failure = tc.failure
		res, body := do(t, a, fcSign(post("/2016-08-15/services/svc/functions/f/invocations", ""), "mine", "my secret"))
		if res.StatusCode != 200 || res.Header.Get("X-Fc-Error-Type") != tc.kind || body != tc.body || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v: %d %v %s", tc.failure, res.StatusCode, res.Header, body)
		}
		// The same failure through an HTTP trigger.
		res, body = do(t, a, post("/2016-08-15/proxy/svc/web/", ""))
		if res.StatusCode != 502 || res.Header.Get("X-Fc-Error-Type") != tc.kind || body != tc.body {
			t.Errorf("trigger %+v: %d %v %s", tc.failure, res.StatusCode, res.Header, body)
		}
	}
}

func TestPlatformErrors(t *testing.T) {
	var err error
	a, _ := newAPI(func(context.Context, sluice.Invocation) (sluice.Result, error) { return sluice.Result{}, err })
	const v2, v3 = "/2016-08-15/services/svc/functions/f/invocations", "/2023-03-30/functions/f/invocations"
	sign := func(r *http.Request) *http.Request { return fcSign(r, "mine", "my secret") }
	for _, tc := range []struct {
		name   string
		r      *http.Request
		err    error
		status int
		code   string
	}{
		{"no such service", sign(post("/2016-08-15/services/none/functions/f/invocations", "")), nil, 404, "ServiceNotFound"},
		{"no such function", sign(post("/2016-08-15/services/svc/functions/none/invocations", "")), nil, 404, "FunctionNotFound"},
		{"no such function in 3.0", sign(post("/2023-03-30/functions/none/invocations", "")), nil, 404, "FunctionNotFound"},
		{"another app's function", sign(post("/2016-08-15/services/svc2/functions/theirs/invocations", "")), nil, 404, "ServiceNotFound"},
		{"no such alias", sign(post("/2016-08-15/services/svc.prod/functions/f/invocations", "")), nil, 404, "AliasNotFound"},
		{"no such alias in 3.0", sign(post(v3+"?qualifier=2", "")), nil, 404, "AliasNotFound"},
		{"unknown path", sign(post("/2016-08-15/mystery", "")), nil, 404, "PathNotSupported"},
		{"wrong method", sign(httptest.NewRequest("GET", v2, nil)), nil, 405, "MethodNotSupported"},
		{"unknown kind of call", sign(post(v2, "", "X-Fc-Invocation-Type", "Later")), nil, 400, "InvalidArgument"},
		{"too large", sign(post(v2, strings.Repeat("x", maxPayload+1))), nil, 400, "InvalidArgument"},
		{"nobody signed", post(v2, ""), nil, 403, "AccessDenied"},
		{"unknown key", fcSign(post(v2, ""), "nobody", "s"), nil, 403, "AccessDenied"},
		{"wrong secret", fcSign(post(v2, ""), "mine", "s"), nil, 403, "SignatureNotMatch"},
		{"expired token", fcSign(post(v2, "", "X-Fc-Security-Token", "expired"), "STS.x", "s"), nil, 403, "AccessDenied"},
		{"broken token", fcSign(post(v2, "", "X-Fc-Security-Token", "broken"), "STS.x", "s"), nil, 403, "AccessDenied"},
		{"store is away", fcSign(post(v2, ""), "down", "s"), nil, 500, "InternalServerError"},
		{"old", fcSign(post(v2, "", "Date", now.Add(-16*time.Minute).Format(http.TimeFormat)), "mine", "my secret"), nil, 403, "AccessDenied"},
		{"date is none", fcSign(post(v2, "", "Date", "today"), "mine", "my secret"), nil, 403, "AccessDenied"},
		{"throttled", sign(post(v2, "")), sluice.Errorf(sluice.Throttled, "busy"), 429, "ResourceExhausted"},
		{"removed meanwhile", sign(post(v2, "")), sluice.Errorf(sluice.Missing, "gone"), 404, "FunctionNotFound"},
		{"cannot run", sign(post(v2, "")), sluice.Errorf(sluice.Unavailable, "no java"), 503, "ServiceUnavailable"},
		{"our own trouble", sign(post(v2, "")), errors.New("disk on fire"), 500, "InternalServerError"},
		{"2023 with a wrong body", acs3Sign(post(v3, "y"), "mine", "my secret", "x"), nil, 403, "SignatureNotMatch"},
		{"2023 with a wrong secret", acs3Sign(post(v3, "x"), "mine", "s", "x"), nil, 403, "SignatureNotMatch"},
		{"2023 with nothing signed", post(v3, "x", "Authorization", "ACS3-HMAC-SHA256 Credential=mine,SignedHeaders=,Signature="), nil, 403, "SignatureNotMatch"},
		{"2023 old", acs3Sign(post(v3, "x", "X-Acs-Date", now.Add(-time.Hour).Format(time.RFC3339)), "mine", "my secret", "x"), nil, 403, "AccessDenied"},
		{"no trigger", post("/2016-08-15/proxy/svc/f/", ""), nil, 404, "TriggerNotFound"},
		{"no function", post("/2016-08-15/proxy/svc/none/", ""), nil, 404, "FunctionNotFound"},
		{"locked trigger", post("/2016-08-15/proxy/svc/locked/", ""), nil, 403, "AccessDenied"},
		{"method of a trigger", sign(post("/2016-08-15/proxy/svc/locked/", "")), nil, 405, "MethodNotSupported"},
		{"long path", post("/2016-08-15/proxy/svc/web/"+strings.Repeat("x", maxURL), ""), nil, 400, "InvalidArgument"},
	} {
		err = tc.err
		res, body := do(t, a, tc.r)
		var said struct{ ErrorCode, ErrorMessage, Code, Message, RequestId string }
		json.Unmarshal([]byte(body), &said)
		code, msg := said.ErrorCode, said.ErrorMessage
		if strings.HasPrefix(tc.r.URL.Path, v2023) {
			if code, msg = said.Code, said.Message; said.RequestId != res.Header.Get("X-Fc-Request-Id") {
				t.Errorf("%s: request id %q", tc.name, said.RequestId)
			}
		}
		if res.StatusCode != tc.status || code != tc.code || msg == "" || strings.Contains(msg, "fire") || res.Header.Get("X-Fc-Request-Id") == "" {
			t.Errorf("%s: %d %s", tc.name, res.StatusCode, body)
		}
	}
}

func TestProxyPaths(t *testing.T) {
	var inv sluice.Invocation
	a, f := newAPI(func(_ context.Context, i sluice.Invocation) (sluice.Result, error) {
		inv = i
		return sluice.Result{Payload: []byte("out"), HTTP: &sluice.HTTPResponse{Status: 201, Header: http.Header{"X-Own": {"1"}, "X-Fc-Inner": {"1"}}}}, nil
	})
	for in, want := range map[string]string{
		"/2016-08-15/proxy/svc/web/a%2Fb?x=1":       "/a%2Fb",
		"/2016-08-15/proxy/svc.LATEST/web":          "/",
		"/2016-08-15/proxy/svc/go/send":             "/2016-08-15/proxy/svc/go/send",
		"/2016-08-15/proxy/-/three/send":            "/send",
		"/2016-08-15/proxy/svc/locked/x y?q=1&q=2&": "/2016-08-15/proxy/svc/locked/x%20y",
	} {
		r := httptest.NewRequest("GET", strings.ReplaceAll(in, " ", "%20"), nil)
		if strings.Contains(in, "locked") {
			r = fcSign(r, "mine", "my secret")
		}
		res, body := do(t, a, r)
		if res.StatusCode != 201 || body != "out" || res.Header.Get("X-Own") != "1" || res.Header.Get("X-Fc-Inner") != "" || inv.HTTP.Path != want || inv.Kind != sluice.InvokeHTTP {
			t.Errorf("%s: %d %s %+v", in, res.StatusCode, body, inv.HTTP)
		}
	}
	tr := NewTrigger(a.o, "app", &f.all[2].Spec)
	for in, want := range map[string]string{"/send": "/send", "/2016-08-15/proxy/svc/go/send": "/2016-08-15/proxy/svc/go/send"} {
		w := httptest.NewRecorder()
		if s, n, ok := Proxied(httptest.NewRequest("GET", in, nil)); ok {
			if s != "svc" || n != "go" {
				t.Errorf("%s names %s/%s", in, s, n)
			}
			tr.ServeProxy(w, httptest.NewRequest("GET", in, nil))
		} else {
			tr.ServeHTTP(w, httptest.NewRequest("GET", in, nil))
		}
		if inv.HTTP.Path != want || inv.HTTP.Header.Get("X-Forwarded-For") != "192.0.2.1" || w.Code != 201 {
			t.Errorf("%s: %+v", in, inv.HTTP)
		}
	}
	locked := NewTrigger(a.o, "app", &f.all[4].Spec)
	for _, tc := range []struct {
		r    *http.Request
		want int
	}{
		{httptest.NewRequest("GET", "/x", nil), 403},
		{fcSign(httptest.NewRequest("GET", "/x", nil), "mine", "my secret"), 201},
		{fcSign(httptest.NewRequest("GET", "/x", nil), "admin", "admin's"), 201},
		{fcSign(httptest.NewRequest("GET", "/x", nil), "other", "other's"), 403},
	} {
		if res, body := do(t, locked, tc.r); res.StatusCode != tc.want {
			t.Errorf("locked trigger: %d %s, want %d", res.StatusCode, body, tc.want)
		}
	}
}

func TestEventsOfFunctionCompute3(t *testing.T) {
	var inv sluice.Invocation
	answer := ""
	fn := sluice.Function{Name: "f", Runtime: "nodejs20", HTTP: open}
	fs := &functions{invoke: func(_ context.Context, i sluice.Invocation) (sluice.Result, error) {
		inv = i
		return sluice.Result{Payload: []byte(answer)}, nil
	}}
	tr := NewTrigger(Options{Functions: fs, Keys: fakeKeys{}, Now: func() time.Time { return now }}, "app", &fn)
	answer = `{"statusCode":200}`
	r := post("/example?p=v1&p=v2", "Hello", "User-Agent", "me", "Accept", "a")
	r.Header.Add("Accept", "b")
	r.Host = "f.cn-hangzhou.fcapp.localhost:8080"
	res, _ := do(t, tr, r)
	want := `{"version":"v1","rawPath":"/example","body":"Hello","isBase64Encoded":false,"headers":{"Accept":"a,b","User-Agent":"me"},"queryParameters":{"p":"v1,v2"},` +
		`"requestContext":{"accountId":"1000000000000001","triggerId":"http","domainName":"f.cn-hangzhou.fcapp.localhost","domainPrefix":"f","requestId":"` + res.Header.Get("X-Fc-Request-Id") + `",` +
		`"time":"2026-01-01T00:00:00Z","timeEpoch":"1767225600000","http":{"method":"POST","path":"/example","protocol":"HTTP/1.1","sourceIp":"192.0.2.1","userAgent":"me"}}}`
	if diff := cmp.Diff(want, string(inv.Payload)); diff != "" || inv.Kind != sluice.InvokeEvent {
		t.Error(diff)
	}
	for _, tc := range []struct {
		answer string
		status int
		kind   string
		body   string
	}{
		{`{"statusCode":201,"headers":{"Content-Type":"text/x"},"body":"b"}`, 201, "text/x", "b"},
		{`{"statusCode":"404","body":"b"}`, 404, "", "b"},
		{`{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}`, 200, "", "hi"},
		{`{"statusCode":200,"body":{"a":1}}`, 200, "", `{"a":1}`},
		{`{"statusCode":7,"body":"b"}`, 200, "", "b"},
		{`{"a":1}`, 200, "application/json", `{"a":1}`},
		{`"text"`, 200, "application/json", `"text"`},
		{`hello`, 200, "text/plain; charset=utf-8", "hello"},
	} {
		answer = tc.answer
		res, body := do(t, tr, post("/", ""))
		if res.StatusCode != tc.status || body != tc.body || tc.kind != "" && res.Header.Get("Content-Type") != tc.kind {
			t.Errorf("%s: %d %v %s", tc.answer, res.StatusCode, res.Header, body)
		}
	}
	do(t, tr, post("/", "\xff"))
	if !strings.Contains(string(inv.Payload), `"body":"/w==","isBase64Encoded":true`) {
		t.Errorf("%s", inv.Payload)
	}
}

func TestClaims(t *testing.T) {
	for path, want := range map[string]bool{"/2016-08-15/services": true, "/2023-03-30/functions": true, "/2015-03-31/functions": false, "/": false} {
		if Claims(httptest.NewRequest("GET", path, nil)) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := Environment(fakeKeys{}, &sluice.App{Name: "app"}, &sluice.Function{Name: "f", Group: "svc", Runtime: "custom", MemoryMB: 128, Timeout: time.Minute, Initializer: "i.init", Code: "/src"})
	for name, want := range map[string]string{
		"FC_FUNCTION_NAME": "f", "FC_SERVICE_NAME": "svc", "FC_MEMORY_SIZE": "128", "FC_TIMEOUT": "60", "FC_REGION": "cn-hangzhou", "FC_ACCOUNT_ID": Account, "FC_QUALIFIER": "LATEST",
		"FC_INITIALIZER": "i.init", "FC_INITIALIZATION_TIMEOUT": "3", "FC_HANDLER": "index.handler", "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.f", "FC_SECURITY_TOKEN": "token of app",
	} {
		if env[name] != want {
			t.Errorf("%s=%q, want %q", name, env[name], want)
		}
	}
}

func TestEnvironmentNamesTheFoldersOfCodeAndLayers(t *testing.T) {
	code := filepath.Join(t.TempDir(), "code")
	opt := deploy.Opt(code)
	for _, dir := range []string{code, opt + "/nodejs/node_modules", opt + "/nodejs/node20/node_modules", opt + "/python", opt + "/lib", opt + "/bin"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", "/usr/bin")
	for _, tc := range []struct {
		runtime   string
		env, want map[string]string
	}{
		{"nodejs20", nil, map[string]string{"NODE_PATH": opt + "/nodejs/node_modules:" + opt + "/nodejs/node20/node_modules", "PYTHONPATH": "",
			"LD_LIBRARY_PATH": code + ":" + code + "/lib:/usr/local/lib:" + opt + "/lib", "PATH": opt + "/bin:/usr/bin", "FC_FUNC_CODE_PATH": code + "/"}},
		{"nodejs20", map[string]string{"NODE_PATH": "/own:/opt/nodejs", "PATH": "/mine"}, map[string]string{"PATH": "/mine:" + opt + "/bin",
			"NODE_PATH": "/own:" + opt + "/nodejs:" + opt + "/nodejs/node_modules:" + opt + "/nodejs/node20/node_modules"}},
		{"python3.10", nil, map[string]string{"PYTHONPATH": code + "/python:" + opt + "/python", "NODE_PATH": "", "PYTHONUSERBASE": code + "/.s/python"}},
		{"custom", map[string]string{"X": "/code"}, map[string]string{"X": code, "FC_SERVER_PORT": "9001", "FC_CUSTOM_LISTEN_PORT": "9001", "local": "true", "PYTHONPATH": ""}},
	} {
		env := Environment(fakeKeys{}, &sluice.App{Name: "app"}, &sluice.Function{Runtime: tc.runtime, Code: code, Env: tc.env, Port: 9001})
		for name, want := range tc.want {
			if env[name] != want {
				t.Errorf("%s: %s=%q, want %q", tc.runtime, name, env[name], want)
			}
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	f.Add("FC mine:x", "/2016-08-15/proxy/a.b/c?x=1&y", "today")
	f.Add("ACS3-HMAC-SHA256 Credential=mine,SignedHeaders=host;x-acs-date,Signature=00", "/", "2026-01-01T00:00:00Z")
	f.Add("", "/?x-fc-signature=a&x-fc-access-key-id=mine&x-fc-expires="+strconv.FormatInt(now.Unix(), 10), "")
	f.Fuzz(func(t *testing.T, auth, target, date string) {
		r, err := http.NewRequest("GET", "http://h"+target, nil)
		if err != nil {
			return
		}
		r.Header = http.Header{"Authorization": {auth}, "Date": {date}, "X-Acs-Date": {date}}
		if _, err := authenticate(t.Context(), fakeKeys{}, r, nil, now); err == nil {
			t.Error("a random signature is accepted")
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":1},"isBase64Encoded":true,"body":"aGk="}`))
	f.Add([]byte(`{"statusCode":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, h, _ := decodeAnswer(b); h == nil {
			t.Error("no header")
		}
	})
}

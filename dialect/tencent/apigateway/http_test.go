package apigateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// site is an app with HTTP APIs.
func site(t *testing.T, f *functions, backend string) *App {
	t.Helper()
	fn := apispec.Function{Name: "http"}
	whole := apispec.Function{Name: "http", Integrated: true}
	api := func(method, path string, f apispec.Function, change ...func(*apispec.API)) apispec.API {
		a := apispec.API{ID: apispec.APIID(method, path), Path: path, Method: method, Protocol: apispec.HTTP, Type: apispec.SCF, Timeout: 1, Function: f}
		for _, c := range change {
			c(&a)
		}
		return a
	}
	spec := specOf("service-f94sy04v",
		api("POST", "/test/{path}", fn, func(a *apispec.API) {
			a.Params = []apispec.Param{{Name: "foo", Position: "QUERY"}, {Name: "Refer", Position: "HEADER"}}
		}),
		api("ANY", "/plain", fn),
		api("GET", "/whole", whole, func(a *apispec.API) { a.CORS = true }),
		api("GET", "=/exact", fn),
		api("POST", "/image", fn, func(a *apispec.API) {
			a.Triggers = []apispec.Base64Rule{{Name: "Content-Type", Values: []string{"image/png"}}}
		}),
		api("POST", "/base64", fn, func(a *apispec.API) { a.Base64 = true }),
		api("GET", "/mock", apispec.Function{}, func(a *apispec.API) { a.Type, a.Mock = apispec.Mock, "mocked" }),
		api("ANY", "/proxy/{id}", apispec.Function{}, func(a *apispec.API) {
			a.Type, a.Backend = apispec.Server, apispec.Backend{URL: backend, Path: "/items/{id}"}
		}),
		apispec.API{ID: "api-socket00", Path: "/ws", Method: "GET", Protocol: apispec.WebSocket, Roles: apispec.Roles{Transport: fn}, Timeout: 15},
	)
	spec.Domains = []apispec.Domain{{Name: "api.example.com", Base: "/v1"}, {Name: "kept.example.com", Keep: true}}
	x, err := New(Options{Functions: f, IDs: ids(t)}).App(appOf("site", spec))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func ask(x http.Handler, method, url, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.RemoteAddr = "10.0.2.14:99"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	x.ServeHTTP(w, r)
	return w
}

func TestTheEventOfARequest(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	w := ask(site(t, f, ""), "POST", "http://site.localhost/release/test/value?foo=bar&bob=a&bob=b&bare&empty=&%E4%B8%AD=%2B+", `{"test":"body"}`,
		"Refer", "10.0.2.14", "X-Twice", "1", "X-Twice", "2")
	c := <-f.calls
	if w.Code != 200 || c.RequestID == "" || w.Header().Get("X-Api-RequestId") != c.RequestID {
		t.Fatal(w.Code, w.Header(), c.RequestID)
	}
	golden(t, "request", []byte(strings.Replace(string(c.Payload), c.RequestID, "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", 1)))
}

// What functions return, and what clients get of it (section 2.7).
func TestTheAnswersOfFunctions(t *testing.T) {
	t.Parallel()
	const invalid = `{"errno":403,"error":"Invalid scf response format. please check your scf response format."}`
	const failed = `{"errorCode":-1,"errorMessage":"user code exception caught","statusCode":430}`
	for _, c := range []struct {
		name, path string
		out        scf.Outcome
		status     int
		header     http.Header
		body       string
	}{
		{name: "passed through", path: "plain", out: ok(`{"a":1}`), status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: `{"a":1}`},
		{name: "a failure passed through", path: "plain", out: scf.Outcome{Status: 430, Payload: []byte(failed)}, status: 200, body: failed},
		{name: "an integrated answer", path: "whole", out: ok(`{"isBase64Encoded":false,"statusCode":201,"headers":{"Content-Type":"text/html","X-Many":["a","b"],"X-Number":5},"body":"<b>"}`),
			status: 201, header: http.Header{"Content-Type": {"text/html"}, "X-Many": {"a", "b"}, "X-Number": {"5"}}, body: "<b>"},
		{name: "bytes", path: "whole", out: ok(`{"isBase64Encoded":true,"statusCode":200,"headers":{},"body":"AP8="}`), status: 200, body: "\x00\xff"},
		{name: "lengths are not the function's", path: "whole", out: ok(`{"statusCode":200,"headers":{"Content-Length":"999","Transfer-Encoding":"chunked"},"body":"x"}`), status: 200, body: "x"},
		{name: "without a status", path: "whole", out: ok(`{"body":"x"}`), status: 403, body: invalid},
		{name: "a text", path: "whole", out: ok(`"hello"`), status: 403, body: invalid},
		{name: "null", path: "whole", out: ok(`null`), status: 403, body: invalid},
		{name: "a body that is an object", path: "whole", out: ok(`{"statusCode":200,"body":{}}`), status: 403, body: invalid},
		{name: "headers that are a list", path: "whole", out: ok(`{"statusCode":200,"headers":[]}`), status: 403, body: invalid},
		{name: "a header that is an object", path: "whole", out: ok(`{"statusCode":200,"headers":{"a":{}}}`), status: 403, body: invalid},
		{name: "an impossible status", path: "whole", out: ok(`{"statusCode":99}`), status: 403, body: invalid},
		{name: "bad base64", path: "whole", out: ok(`{"statusCode":200,"isBase64Encoded":true,"body":"%"}`), status: 403, body: invalid},
		{name: "an integrated failure", path: "whole", out: scf.Outcome{Status: 430, Payload: []byte(failed)}, status: 403, body: invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFunctions()
			f.replies(map[string]scf.Outcome{"http": c.out})
			w := ask(site(t, f, ""), "GET", "http://site.localhost/release/"+c.path, "")
			if w.Code != c.status || w.Body.String() != c.body {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			for name, want := range c.header {
				if d := cmp.Diff(want, w.Header()[name]); d != "" {
					t.Error(name, d)
				}
			}
		})
	}
}

func TestAFunctionThatIsTooSlowForItsAPI(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.answers(func(ctx context.Context, _ scf.Call) (scf.Outcome, error) {
		<-ctx.Done()
		return scf.Outcome{}, ctx.Err()
	})
	if w := ask(site(t, f, ""), "GET", "http://site.localhost/release/plain", ""); w.Code != 504 {
		t.Fatal(w.Code, w.Body)
	}
}

func TestBodiesThatFunctionsGetAsBase64(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	x := site(t, f, "")
	for _, c := range []struct{ path, kind, want string }{
		{"base64", "text/plain", `"isBase64Encoded":true`},
		{"image", "image/png; q=1", `"body":"AP8=",`},
		{"image", "text/plain", `"isBase64Encoded":false`},
		{"plain", "image/png", `"isBase64Encoded":false`},
	} {
		ask(x, "POST", "http://site.localhost/release/"+c.path, "\x00\xff", "Content-Type", c.kind)
		if p := string((<-f.calls).Payload); !strings.Contains(p, c.want) {
			t.Errorf("%s %s: %s", c.path, c.kind, p)
		}
	}
}

func TestRequestsFindTheirAPI(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Method+" "+r.URL.String())
	}))
	defer backend.Close()
	x := site(t, f, backend.URL+"/base")
	const none = `{"message":"There is no api match current request"}`
	for _, c := range []struct {
		method, url string
		status      int
		body        string
	}{
		{"GET", "http://site.localhost/release/mock", 200, "mocked"},
		{"GET", "http://site.localhost/release/mock/", 200, "mocked"},
		{"GET", "http://site.localhost/release/mock/more", 200, "mocked"},
		{"GET", "http://site.localhost/mock", 200, "mocked"},
		{"HEAD", "http://site.localhost/release/mock", 200, "mocked"},
		{"POST", "http://site.localhost/release/mock", 404, none},
		{"GET", "http://site.localhost/release/exact/more", 404, none},
		{"GET", "http://site.localhost/release/nothing", 404, none},
		{"GET", "http://site.localhost/test/mock", 404, none},
		{"GET", "http://site.localhost/_tencent/service-f94sy04v/release/mock", 200, "mocked"},
		{"GET", "http://site.localhost/_tencent/service-f94sy04v/mock", 404, none},
		{"POST", "http://site.localhost/_tencent/push/api-socket00", 404, none},
		{"GET", "http://service-f94sy04v-1250000000.gz.apigw.tencentcs.com/release/mock", 200, "mocked"},
		{"GET", "http://api.example.com/v1/mock", 200, "mocked"},
		{"GET", "http://api.example.com/release/mock", 404, none},
		{"GET", "http://api.example.com/v1x/mock", 404, none},
		{"GET", "http://kept.example.com/release/mock", 200, "mocked"},
		{"PUT", "http://site.localhost/release/proxy/7?a=b", 200, "PUT /base/items/7?a=b"},
		{"GET", "http://site.localhost/release/ws", 426, `{"message":"This is a WebSocket API: send an upgrade"}`},
	} {
		if w := ask(x, c.method, c.url, ""); w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s %s: %d %s", c.method, c.url, w.Code, w.Body)
		}
	}
}

func TestOtherOriginsMayCallWhereTheAPISaysSo(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.replies(map[string]scf.Outcome{"http": ok(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://me.example"}}`)})
	x := site(t, f, "")
	w := ask(x, "OPTIONS", "http://site.localhost/release/whole", "", "Origin", "https://a.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-a")
	if h := w.Header(); w.Code != 200 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "x-a" || len(f.calls) != 0 {
		t.Fatal(w.Code, h)
	}
	if w := ask(x, "GET", "http://site.localhost/release/whole", ""); w.Header().Get("Access-Control-Allow-Origin") != "https://me.example" {
		t.Fatal(w.Header())
	}
	if w := ask(x, "OPTIONS", "http://site.localhost/release/mock", "", "Access-Control-Request-Method", "GET"); w.Code != 404 {
		t.Fatal(w.Code)
	}
}

func TestWebFunctionsGetRequestsAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newFunctions()
	f.answers(func(_ context.Context, c scf.Call) (scf.Outcome, error) {
		if c.HTTP == nil {
			return ok(`"event"`), nil
		}
		return scf.Outcome{Status: scf.StatusOK, HTTP: &sluice.HTTPResponse{Status: 201, Header: http.Header{"X-Path": {c.HTTP.Path + "?" + c.HTTP.RawQuery}}}, Payload: c.Payload}, nil
	})
	app := appOf("web", specOf("service-f94sy04v", apispec.API{ID: "api-00000000", Path: "/", Method: "ANY", Protocol: apispec.HTTP, Type: apispec.SCF, Timeout: 1, Function: apispec.Function{Name: "http"}}))
	app.Functions[3].Runtime = scf.WebRuntime("Nodejs12.16")
	x, err := New(Options{Functions: f, IDs: ids(t)}).App(app)
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(x, "POST", "http://web.localhost/release/a/b?c=d", "body"); w.Code != 201 || w.Body.String() != "body" || w.Header().Get("X-Path") != "/a/b?c=d" {
		t.Fatal(w.Code, w.Body, w.Header())
	}
	f.replies(map[string]scf.Outcome{"http": {Status: 446, Payload: []byte(`{"statusCode":446}`)}})
	if w := ask(x, "GET", "http://web.localhost/release/", ""); w.Code != 446 {
		t.Fatal(w.Code, w.Body)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	got := queryOf("a&a=1&b=&=x&c=%zz&d=1&d&&e")
	want := map[string]any{"a": []string{"", "1"}, "b": "", "c": "%zz", "d": []string{"1", ""}, "e": true}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"isBase64Encoded":true,"statusCode":200,"headers":{"a":["b",1]},"body":"AP8="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := readAnswer(b); ok && (a.status < 200 || a.status > 599) {
			t.Fatal(a.status)
		}
	})
}

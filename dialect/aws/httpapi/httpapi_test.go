package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// functions answers calls by the name of the function, and keeps the last event.
type functions struct {
	answers map[string]func(event map[string]any) (sluice.Result, error)
	streams map[string]func(context.Context, sluice.Stream) (sluice.Result, error)
	last    map[string]any
	calls   int
}

func (f *functions) Invoke(_ context.Context, _ sluice.AppName, arn string, payload []byte, _ sluice.ConnID) (sluice.Result, error) {
	f.calls++
	f.last = map[string]any{}
	if err := json.Unmarshal(payload, &f.last); err != nil {
		return sluice.Result{}, err
	}
	a := f.answers[arn]
	if a == nil {
		return sluice.Result{}, sluice.Errorf(sluice.Missing, "no function %s", arn)
	}
	return a(f.last)
}

func (f *functions) Stream(ctx context.Context, app sluice.AppName, arn string, payload []byte, to sluice.Stream) (sluice.Result, error) {
	if f.streams[arn] == nil {
		return f.Invoke(ctx, app, arn, payload, sluice.ConnID{})
	}
	return f.streams[arn](ctx, to)
}

func says(payload string) func(map[string]any) (sluice.Result, error) {
	return func(map[string]any) (sluice.Result, error) { return sluice.Result{Payload: []byte(payload)}, nil }
}

func fails(kind sluice.FailureKind, message string) func(map[string]any) (sluice.Result, error) {
	return func(map[string]any) (sluice.Result, error) {
		return sluice.Result{Failure: &sluice.Failure{Kind: kind, Type: "Error", Message: message}}, nil
	}
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func newAPI(t *testing.T, f *functions, spec *apispec.API) *API {
	t.Helper()
	spec.ID = "abcd123456"
	if spec.Stages == nil {
		spec.Stages = []apispec.Stage{{Name: "$default"}}
	}
	a, err := New(Options{App: "shop", Region: "us-east-1", Functions: f, Now: func() time.Time { return noon },
		Allows: func(policy json.RawMessage, _, _ string) (bool, error) {
			return strings.Contains(string(policy), "Allow"), nil
		}}, spec)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// routes makes an API of AWS_PROXY routes: key and function.
func routes(pairs ...string) apispec.Snapshot {
	var s apispec.Snapshot
	for i := 0; i < len(pairs); i += 2 {
		s.Routes = append(s.Routes, apispec.Route{ID: "r" + pairs[i], Key: pairs[i], Integration: pairs[i+1]})
		s.Integrations = append(s.Integrations, apispec.Integration{ID: pairs[i+1], Type: "AWS_PROXY", URI: pairs[i+1]})
	}
	return s
}

func ask(h http.Handler, method, url, body string, header ...string) (*http.Response, string) {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(b)
}

func TestTheMostSpecificRouteWins(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){}}
	keys := []string{"GET /items", "GET /items/{id}", "GET /items/new", "ANY /items/{id}", "GET /items/{id}/parts", "ANY /{proxy+}", "POST /up/{rest+}", "$default", "GET /"}
	var pairs []string
	for _, k := range keys {
		pairs = append(pairs, k, k)
		f.answers[k] = says(`"` + k + `"`)
	}
	a := newAPI(t, f, &apispec.API{Current: routes(pairs...)})
	for _, tc := range []struct {
		method, path, want string
		params             map[string]any
	}{
		{"GET", "/", "GET /", nil},
		{"GET", "/items", "GET /items", nil},
		{"GET", "/items/", "GET /items", nil},
		{"GET", "/items/new", "GET /items/new", nil},
		{"GET", "/items/7", "GET /items/{id}", map[string]any{"id": "7"}},
		{"PUT", "/items/7", "ANY /items/{id}", map[string]any{"id": "7"}},
		{"GET", "/items/7/parts", "GET /items/{id}/parts", map[string]any{"id": "7"}},
		{"GET", "/items/7/other", "ANY /{proxy+}", map[string]any{"proxy": "items/7/other"}},
		{"POST", "/up/a/b", "POST /up/{rest+}", map[string]any{"rest": "a/b"}},
		{"POST", "/", "$default", nil},
	} {
		_, body := ask(a, tc.method, tc.path, "")
		if body != tc.want {
			t.Errorf("%s %s went to %q, want %q", tc.method, tc.path, body, tc.want)
		}
		got, _ := f.last["pathParameters"].(map[string]any)
		if diff := cmp.Diff(tc.params, got); diff != "" {
			t.Errorf("%s %s: %s", tc.method, tc.path, diff)
		}
	}
}

func TestStagesAndDomains(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": func(e map[string]any) (sluice.Result, error) {
		ctx := e["requestContext"].(map[string]any)
		b, _ := json.Marshal(ctx["stage"].(string) + " " + e["rawPath"].(string) + " " + ctx["domainName"].(string))
		return sluice.Result{Payload: b}, nil
	}}}
	a := newAPI(t, f, &apispec.API{
		Stages:   []apispec.Stage{{Name: "$default"}, {Name: "v1", Variables: map[string]string{"x": "1"}}},
		Mappings: []apispec.Mapping{{Domain: "api.example.com", Path: "shop", Stage: "v1"}, {Domain: "api.example.com", Stage: "$default"}, {Domain: "gone.example.com", Stage: "v9"}},
		Current:  routes("GET /a", "f"),
	})
	for url, want := range map[string]string{
		"http://abcd123456.execute-api.us-east-1.amazonaws.com/a":    "$default /a abcd123456.execute-api.us-east-1.amazonaws.com",
		"http://abcd123456.execute-api.us-east-1.amazonaws.com/v1/a": "v1 /v1/a abcd123456.execute-api.us-east-1.amazonaws.com",
		"http://api.example.com:8080/shop/a":                         "v1 /shop/a api.example.com",
		"http://api.example.com/a":                                   "$default /a api.example.com",
		"http://shop.localhost:8080/a":                               "$default /a abcd123456.execute-api.us-east-1.amazonaws.com",
		"http://gone.example.com/a":                                  `{"message":"Not Found"}`,
		"http://x/v2/a":                                              `{"message":"Not Found"}`,
	} {
		if _, body := ask(a, "GET", url, ""); body != want {
			t.Errorf("%s: %q, want %q", url, body, want)
		}
	}
}

func TestPayload2(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{}`)}}
	a := newAPI(t, f, &apispec.API{Current: routes("POST /items/{id}", "f")})
	ask(a, "POST", "http://abcd123456.execute-api.us-east-1.amazonaws.com/items/1?a=1&a=2&b=%20", `{"x":1}`,
		"Content-Type", "application/json", "Cookie", "c=1; d=2", "User-Agent", "x", "X-Two", "y")
	ctx := f.last["requestContext"].(map[string]any)
	if id := ctx["requestId"].(string); len(id) != 16 {
		t.Errorf("request id %q", id)
	}
	ctx["requestId"] = "…"
	want := map[string]any{
		"version": "2.0", "routeKey": "POST /items/{id}", "rawPath": "/items/1", "rawQueryString": "a=1&a=2&b=%20",
		"cookies": []any{"c=1", "d=2"}, "queryStringParameters": map[string]any{"a": "1,2", "b": " "},
		"headers": map[string]any{"host": "abcd123456.execute-api.us-east-1.amazonaws.com", "content-type": "application/json", "content-length": "7",
			"user-agent": "x", "x-two": "y", "x-forwarded-for": "192.0.2.1", "x-forwarded-port": "80", "x-forwarded-proto": "http"},
		"requestContext": map[string]any{"accountId": "000000000000", "apiId": "abcd123456", "domainName": "abcd123456.execute-api.us-east-1.amazonaws.com",
			"domainPrefix": "abcd123456", "http": map[string]any{"method": "POST", "path": "/items/1", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x"},
			"requestId": "…", "routeKey": "POST /items/{id}", "stage": "$default", "time": "31/Jan/2026:12:00:00 +0000", "timeEpoch": float64(noon.UnixMilli())},
		"body": `{"x":1}`, "pathParameters": map[string]any{"id": "1"}, "isBase64Encoded": false,
	}
	if diff := cmp.Diff(want, f.last); diff != "" {
		t.Error(diff)
	}
	for kind, encoded := range map[string]bool{"text/plain": false, "": false, "application/vnd.x+json": false, "image/png": true, "application/x-www-form-urlencoded": true, "odd;;": true} {
		ask(a, "POST", "/items/1", "hi", "Content-Type", kind)
		if f.last["isBase64Encoded"] != encoded || (f.last["body"] == "aGk=") != encoded {
			t.Errorf("%q: %v %v", kind, f.last["isBase64Encoded"], f.last["body"])
		}
	}
}

func TestPayload1HasNullsAndAllValues(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":200}`)}}
	a := newAPI(t, f, &apispec.API{REST: true, Stages: []apispec.Stage{{Name: "Prod"}}, Current: routes("ANY /items/{id}", "f")})
	res, body := ask(a, "GET", "http://x/Prod/items/1?a=1&a=2", "", "X-A", "b")
	if res.StatusCode != 200 || body != "" {
		t.Fatalf("%d %q", res.StatusCode, body)
	}
	for name, want := range map[string]any{
		"resource": "/items/{id}", "path": "/items/1", "httpMethod": "GET", "body": nil, "stageVariables": nil,
		"queryStringParameters":           map[string]any{"a": "2"},
		"multiValueQueryStringParameters": map[string]any{"a": []any{"1", "2"}}, "pathParameters": map[string]any{"id": "1"},
	} {
		if diff := cmp.Diff(want, f.last[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, ok := f.last["version"]; ok {
		t.Error("REST events have no version")
	}
	ctx := f.last["requestContext"].(map[string]any)
	if ctx["path"] != "/Prod/items/1" || ctx["resourcePath"] != "/items/{id}" || ctx["stage"] != "Prod" {
		t.Error(ctx)
	}
	if res, body := ask(a, "GET", "http://x/Prod/nothing", ""); res.StatusCode != 403 || body != `{"message":"Missing Authentication Token"}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestAnswersOfFunctions(t *testing.T) {
	for _, tc := range []struct {
		name, payload, v1  string
		status             int
		kind, body, header string
	}{
		{"an object with a status", `{"statusCode":201,"headers":{"X-A":"b","X-N":3,"Content-Length":"9"},"cookies":["a=b"],"body":"hi"}`, "", 201, "text/plain;charset=UTF-8", "hi", "b"},
		{"a status as text", `{"statusCode":"404"}`, "", 404, "", "", ""},
		{"bytes", `{"statusCode":200,"headers":{"content-type":"image/png"},"body":"aGk=","isBase64Encoded":true}`, "", 200, "image/png", "hi", ""},
		{"a body that is an object", `{"statusCode":200,"body":{"a":1}}`, "", 200, "text/plain;charset=UTF-8", `{"a":1}`, ""},
		{"any JSON", `{"a":1}`, "", 200, "application/json", `{"a":1}`, ""},
		{"a text", `"hi"`, "", 200, "application/json", "hi", ""},
		{"nothing", ``, "", 200, "application/json", "null", ""},
		{"no JSON", `hi`, "", 500, "application/json", `{"message":"Internal Server Error"}`, ""},
		{"no status that there is", `{"statusCode":42}`, "", 500, "application/json", `{"message":"Internal Server Error"}`, ""},
		{"not base64", `{"statusCode":200,"body":"%","isBase64Encoded":true}`, "", 500, "application/json", `{"message":"Internal Server Error"}`, ""},
		{"1.0 needs the object", `{"a":1}`, "1.0", 500, "application/json", `{"message":"Internal Server Error"}`, ""},
		{"1.0 with several values", `{"statusCode":200,"multiValueHeaders":{"X-A":["b","c"]},"body":"{}"}`, "1.0", 200, "application/json", "{}", "b"},
	} {
		f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(tc.payload)}}
		spec := routes("$default", "f")
		spec.Integrations[0].PayloadFormat = tc.v1
		res, body := ask(newAPI(t, f, &apispec.API{Current: spec}), "GET", "/", "")
		if res.StatusCode != tc.status || body != tc.body || res.Header.Get("Content-Type") != tc.kind || res.Header.Get("X-A") != tc.header {
			t.Errorf("%s: %d %v %q", tc.name, res.StatusCode, res.Header, body)
		}
	}
}

func TestFailuresOfFunctions(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){
		"throws": fails(sluice.Handled, "boom"), "sleeps": fails(sluice.TimedOut, "late"),
	}}
	for _, rest := range []bool{false, true} {
		stage := map[bool]string{false: "$default", true: "p"}[rest]
		a := newAPI(t, f, &apispec.API{REST: rest, Stages: []apispec.Stage{{Name: stage}}, Current: routes("GET /throws", "throws", "GET /sleeps", "sleeps", "GET /gone", "gone")})
		base := map[bool]string{false: "", true: "/p"}[rest]
		want := map[string]string{"/throws": `500 {"message":"Internal Server Error"}`, "/sleeps": `503 {"message":"Service Unavailable"}`, "/gone": `500 {"message":"Internal Server Error"}`}
		if rest {
			want = map[string]string{"/throws": `502 {"message":"Internal server error"}`, "/sleeps": `502 {"message":"Internal server error"}`, "/gone": `502 {"message":"Internal server error"}`}
		}
		for path, w := range want {
			res, body := ask(a, "GET", base+path, "")
			if got := res.Status[:3] + " " + body; got != w {
				t.Errorf("rest %v %s: %s, want %s", rest, path, got, w)
			}
		}
	}
	a := newAPI(t, f, &apispec.API{Current: routes("$default", "throws")})
	if res, body := ask(a, "POST", "/", strings.Repeat("x", maxBody+1)); res.StatusCode != 413 || body != `{"message":"Request Entity Too Large"}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"nobody"},"body":"x"}`)}}
	age := 60
	a := newAPI(t, f, &apispec.API{CORS: &apispec.CORS{Origins: []string{"https://*.no", "https://ok.example"}, Methods: []string{"GET", "PUT"}, Headers: []string{"x-a"}, Expose: []string{"x-b"}, Credentials: true, MaxAge: &age},
		Current: routes("GET /", "f")})
	res, _ := ask(a, "OPTIONS", "/", "", "Origin", "https://ok.example", "Access-Control-Request-Method", "PUT")
	h := res.Header
	if res.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://ok.example" || h.Get("Access-Control-Allow-Methods") != "GET,PUT" ||
		h.Get("Access-Control-Allow-Headers") != "x-a" || h.Get("Access-Control-Max-Age") != "60" || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%d %v", res.StatusCode, h)
	}
	if res, _ = ask(a, "GET", "/", "", "Origin", "https://ok.example"); res.Header.Get("Access-Control-Allow-Origin") != "https://ok.example" || res.Header.Get("Access-Control-Expose-Headers") != "x-b" {
		t.Error(res.Header)
	}
	if res, _ = ask(a, "GET", "/", "", "Origin", "https://evil.example"); res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error(res.Header)
	}
	if res, body := ask(a, "GET", "/", ""); res.Header.Get("Access-Control-Allow-Origin") != "nobody" || body != "x" {
		t.Error(res.Header)
	}
}

func TestServersBehindAnAPI(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-From", "backend")
		if r.URL.Path == "/x/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.Method+" "+r.URL.String()+" "+string(b)+" "+r.Header.Get("X-A"))
	}))
	defer backend.Close()
	s := apispec.Snapshot{
		Routes:       []apispec.Route{{Key: "ANY /p/{proxy+}", Integration: "i"}, {Key: "GET /down", Integration: "d"}},
		Integrations: []apispec.Integration{{ID: "i", Type: "HTTP_PROXY", URI: "${stageVariables.to}/x/{proxy}", Method: "ANY"}, {ID: "d", Type: "HTTP_PROXY", URI: "http://127.0.0.1:1/"}},
	}
	a := newAPI(t, &functions{}, &apispec.API{Stages: []apispec.Stage{{Name: "$default", Variables: map[string]string{"to": backend.URL}}}, Current: s})
	res, body := ask(a, "PUT", "/p/a%20b/c?q=1", "body", "X-A", "y")
	if res.StatusCode != 418 || res.Header.Get("X-From") != "backend" || body != "PUT /x/a%20b/c?q=1 body y" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if res, _ := ask(a, "GET", "/p/away", ""); res.StatusCode != 302 || res.Header.Get("Location") != "/elsewhere" {
		t.Errorf("a redirection is the client's to follow: %d", res.StatusCode)
	}
	if res, body := ask(a, "GET", "/down", ""); res.StatusCode != 500 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// Integrations change requests on their way to functions and servers, and answers on their way back.
func TestParametersAreMapped(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Old", "old")
		w.Header().Set("X-Kept", "kept")
		w.WriteHeader(http.StatusTeapot)
		json.NewEncoder(w).Encode(map[string]any{"uri": r.URL.String(), "a": strings.Join(r.Header["X-A"], "+"), "new": r.Header.Get("X-New"), "gone": r.Header.Get("X-Gone"), "list": []any{"zero", "one"}})
	}))
	defer backend.Close()
	params := map[string]string{"append:header.X-A": "$request.querystring.q", "overwrite:header.x-new": "v-${context.stage}-${stageVariables.v}-${request.path.id}", "remove:header.X-Gone": "''",
		"append:querystring.from": "$request.body.a.b", "append:header.X-A2": "$request.header.missing", "overwrite:header.Host": "evil"}
	back := map[string]map[string]string{"418": {"overwrite:statuscode": "200", "append:header.X-Old": "$response.body.list[1]", "overwrite:header.X-Uri": "$response.body.uri", "remove:header.X-Kept": "''"},
		"201": {"overwrite:header.X-Made": "static", "overwrite:header.Content-Length": "1"}}
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":201,"body":"made"}`)}}
	whole := map[string]string{"overwrite:path": "/whole/$"}
	maps.Copy(whole, params)
	s := apispec.Snapshot{
		Routes: []apispec.Route{{Key: "POST /f/{id}", Integration: "f"}, {Key: "POST /s/{id}", Integration: "s"}},
		Integrations: []apispec.Integration{{ID: "f", Type: "AWS_PROXY", URI: "f", RequestParameters: whole, ResponseParameters: back},
			{ID: "s", Type: "HTTP_PROXY", URI: backend.URL + "/x/{id}", RequestParameters: params, ResponseParameters: back}},
	}
	a := newAPI(t, f, &apispec.API{Stages: []apispec.Stage{{Name: "$default", Variables: map[string]string{"v": "var"}}}, Current: s})
	res, body := ask(a, "POST", "/s/7?q=1", `{"a":{"b":"deep"}}`, "X-A", "y", "X-Gone", "z")
	if want := `{"a":"y+1","gone":"","list":["zero","one"],"new":"v-$default-var-7","uri":"/x/7?from=deep\u0026q=1"}`; res.StatusCode != 200 || strings.TrimSpace(body) != want {
		t.Errorf("%d %s, want %s", res.StatusCode, body, want)
	}
	if h := res.Header; strings.Join(h["X-Old"], "+") != "old+one" || h.Get("X-Uri") != "/x/7?from=deep&q=1" || h.Get("X-Kept") != "" || h.Get("Apigw-Requestid") == "" {
		t.Error(h)
	}
	res, body = ask(a, "POST", "/f/7?q=1", `{"a":{"b":"deep"}}`, "X-A", "y", "X-Gone", "z")
	if res.StatusCode != 201 || body != "made" || res.Header.Get("X-Made") != "static" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	h, _ := f.last["headers"].(map[string]any)
	if h["x-a"] != "y,1" || h["x-new"] != "v-$default-var-7" || h["x-gone"] != nil || f.last["rawPath"] != "/whole/$" || f.last["rawQueryString"] != "from=deep&q=1" {
		t.Errorf("%v", f.last)
	}

	rest := apispec.Snapshot{Routes: []apispec.Route{{Key: "GET /r/{id}", Integration: "r"}}, Integrations: []apispec.Integration{{ID: "r", Type: "HTTP_PROXY", URI: backend.URL + "/x/{other}",
		RequestParameters: map[string]string{"integration.request.path.other": "method.request.path.id", "integration.request.header.X-New": "'fixed'", "integration.request.querystring.who": "context.identity.sourceIp"}}}}
	a = newAPI(t, f, &apispec.API{REST: true, Stages: []apispec.Stage{{Name: "$default"}}, Current: rest})
	if _, body := ask(a, "GET", "/r/9", ""); !strings.Contains(body, `"new":"fixed","uri":"/x/9?who=192.0.2.1"`) {
		t.Error(body)
	}
}

func TestBodiesOfRESTAPIsAreTextUnlessTheyAreCalledBinary(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":200}`)}}
	for _, tc := range []struct {
		rest       bool
		binary     []string
		kind, want string
	}{
		{true, nil, "application/x-www-form-urlencoded", "a=b"},
		{true, nil, "image/png", "a=b"},
		{true, []string{"image/png"}, "image/png; x=y", "YT1i"},
		{true, []string{"image/*"}, "image/png", "YT1i"},
		{true, []string{"*/*"}, "", "YT1i"},
		{true, []string{"image/*"}, "text/plain", "a=b"},
		{false, nil, "application/x-www-form-urlencoded", "YT1i"},
		{false, nil, "application/json", "a=b"},
	} {
		a := newAPI(t, f, &apispec.API{REST: tc.rest, Binary: tc.binary, Current: routes("$default", "f")})
		ask(a, "POST", "/", "a=b", "Content-Type", tc.kind)
		if f.last["body"] != tc.want || f.last["isBase64Encoded"] != (tc.want == "YT1i") {
			t.Errorf("%+v: %v %v", tc, f.last["body"], f.last["isBase64Encoded"])
		}
	}
}

func TestIdsOfRequests(t *testing.T) {
	f := &functions{answers: map[string]func(map[string]any) (sluice.Result, error){"f": says(`{"statusCode":200}`)}}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	context := func() map[string]any { return f.last["requestContext"].(map[string]any) }
	res, _ := ask(newAPI(t, f, &apispec.API{Current: routes("$default", "f")}), "GET", "/", "")
	if id := res.Header.Get("Apigw-Requestid"); len(id) != 16 || context()["requestId"] != id {
		t.Errorf("HTTP API: %q %v", id, context())
	}
	res, _ = ask(newAPI(t, f, &apispec.API{REST: true, Current: routes("$default", "f")}), "GET", "/", "")
	if id := res.Header.Get("X-Amzn-Requestid"); !uuid.MatchString(id) || context()["requestId"] != id || context()["extendedRequestId"] != res.Header.Get("X-Amz-Apigw-Id") {
		t.Errorf("REST API: %q %v", id, context())
	}
	res, _ = ask(NewURL(Options{App: "shop", Functions: f}, URLSettings{ID: "u1", Function: "f"}), "GET", "/", "")
	if id := res.Header.Get("X-Amzn-Requestid"); !uuid.MatchString(id) || context()["requestId"] != id || context()["accountId"] != "anonymous" {
		t.Errorf("URL: %q %v", id, context())
	}
}

package apigateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/gateway"
)

// newBackend starts an HTTP server and returns its address.
func newBackend(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func backed(path string, b apigroup.Backend) apigroup.API {
	if b.Timeout == 0 {
		b.Timeout = time.Minute
	}
	return api(path, func(a *apigroup.API) { a.Backend = b })
}

func TestServicePaths(t *testing.T) {
	for _, tc := range []struct{ route, service, request, want string }{
		{"/player/*", "/player/*", "/player/a/b.js", "/player/a/b.js"},
		{"/player/*", "/player/*", "/player/", "/player/"},
		{"/player/*", "/player/*", "/player", "/player/"},
		{"/player/*", "/player/", "/player/a", "/player/a"},
		{"/*", "/screen/", "/index.html", "/screen/index.html"},
		{"/*", "/screen/", "/", "/screen/"},
		{"/*", "/screen", "/x/", "/screen/x/"},
		{"/api/*", "/", "/api/send", "/send"},
		{"/api/*", "/", "/api", "/"},
		{"/api/*", "/v/*", "/api//a//b/", "/v/a/b/"},
		{"/u/[id]", "/user/[id]/card", "/u/a%20b", "/user/a%20b/card"},
		{"/u/[id]/*", "/[id]/*", "/u/7/x%2Fy", "/7/x%2Fy"},
		{"/fixed", "/other", "/fixed", "/other"},
		{"/fixed", "", "/fixed", "/"},
	} {
		a := api(tc.route)
		var n node
		if _, err := n.add("", &a); err != nil {
			t.Fatal(err)
		}
		got := ""
		n.walk(tc.request, nil, func(m match) bool { got = servicePath(tc.service, m, m.params()); return false })
		if got != tc.want {
			t.Errorf("%s by %s to %s: %q, want %q", tc.request, tc.route, tc.service, got, tc.want)
		}
	}
}

func TestHTTPBackend(t *testing.T) {
	srv := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/folder") {
			w.Header().Set("Location", "/s/folder/?x=1")
			w.WriteHeader(302)
			return
		}
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Own", "1")
		w.Header().Set("Server", "mine")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(418)
		json.NewEncoder(w).Encode(map[string]string{
			"url": r.URL.String(), "method": r.Method, "body": string(b), "for": r.Header.Get("X-Forwarded-For"),
			"proto": r.Header.Get("X-Forwarded-Proto"), "id": r.Header.Get("X-Ca-Request-Id"), "type": r.Header.Get("Content-Type"), "hop": r.Header.Get("X-Hop"),
		})
	})
	g := newGroup(t, &rooms{},
		backed("/p/*", apigroup.Backend{Type: apigroup.HTTP, Address: srv, Path: "/s/*"}),
		backed("/put", apigroup.Backend{Type: apigroup.HTTP, Address: srv, Path: "/x", Method: "PUT", ContentType: "application/json"}))
	r := with(httptest.NewRequest("POST", "/p/a?b=c", strings.NewReader("hi")), "X-Forwarded-For", "9.9.9.9", "Connection", "X-Hop", "X-Hop", "1", "Content-Type", "text/x")
	res, body := do(t, g, r)
	id := res.Header.Get("X-Ca-Request-Id")
	var got map[string]string
	json.Unmarshal([]byte(body), &got)
	want := map[string]string{"url": "/s/a?b=c", "method": "POST", "body": "hi", "for": "9.9.9.9, 192.0.2.1", "proto": "http", "id": id, "type": "text/x", "hop": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if res.StatusCode != 418 || res.Header.Get("X-Own") != "1" || res.Header.Get("Server") != "mine" || len(res.Header.Values("Set-Cookie")) != 2 ||
		len(id) != 36 || strings.ToUpper(id) != id || res.Header.Get("X-Ca-Error-Code") != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res, _ := do(t, g, get("/p/folder")); res.StatusCode != 302 || res.Header.Get("Location") != "/p/folder/?x=1" {
		t.Errorf("redirect to %q", res.Header.Get("Location"))
	}
	_, body = do(t, g, get("/put"))
	json.Unmarshal([]byte(body), &got)
	if got["method"] != "PUT" || got["type"] != "application/json" || got["url"] != "/x" {
		t.Errorf("%v", got)
	}
}

func TestRedirectsElsewhereStay(t *testing.T) {
	m := match{route: &route{api: &apigroup.API{Backend: apigroup.Backend{Path: "/s/*"}}, prefix: "/p", tail: true}}
	for in, want := range map[string]string{
		"/s/x":                  "/p/x",
		"http://own:1/s/x?y#z":  "/p/x?y",
		"http://other/s/x":      "http://other/s/x",
		"/elsewhere":            "/elsewhere",
		"x/y":                   "x/y",
		"https://own:1/other/x": "https://own:1/other/x",
		"%":                     "%",
	} {
		if got := relocate(in, "own:1", backendPrefix(m), m); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestBackendsThatDoNotAnswer(t *testing.T) {
	silent := newBackend(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	hangup := newBackend(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	const nobody = "http://127.0.0.1:1"
	g := newGroup(t, &rooms{},
		backed("/silent", apigroup.Backend{Type: apigroup.HTTP, Address: silent, Timeout: 50 * time.Millisecond}),
		backed("/hangup", apigroup.Backend{Type: apigroup.HTTP, Address: hangup}),
		backed("/nobody", apigroup.Backend{Type: apigroup.HTTP, Address: nobody}),
		backed("/bad", apigroup.Backend{Type: apigroup.HTTP, Address: "http://%zz"}),
		backed("/foreign", apigroup.Backend{Type: apigroup.FCHTTP, BaseURL: nobody + "/base"}),
		backed("/noaddress", apigroup.Backend{Type: apigroup.FCHTTP, BaseURL: ""}),
		backed("/unknown", apigroup.Backend{Type: "EventBridge"}))
	for path, code := range map[string]string{
		"/silent": "D504TO", "/hangup": "D504RE", "/nobody": "D504CO", "/bad": "D504RE", "/foreign": "D504CO", "/noaddress": "D504CO", "/unknown": "X500ER",
	} {
		res, body := do(t, g, get(path))
		if res.Header.Get("X-Ca-Error-Code") != code || Code(code).status() != res.StatusCode || body != "" || res.Header.Get("X-Ca-Request-Id") == "" {
			t.Errorf("%s: %d %v %q", path, res.StatusCode, res.Header, body)
		}
	}
}

func TestSites(t *testing.T) {
	type asked struct{ Path, Bucket, Key string }
	var got []asked
	f := &rooms{site: func(w http.ResponseWriter, r *http.Request, bucket, key string) {
		got = append(got, asked{r.URL.Path, bucket, key})
		io.WriteString(w, "page")
	}}
	g := newGroup(t, f,
		backed("/*", apigroup.Backend{Type: apigroup.HTTP, Bucket: "b", Path: "/screen/"}),
		backed("/player/*", apigroup.Backend{Type: apigroup.HTTP, Bucket: "b", Path: "/player/*", Prefix: "www/"}),
		backed("/logo", apigroup.Backend{Type: apigroup.OSS, Bucket: "b", Key: "img/logo.png"}),
		backed("/o/*", apigroup.Backend{Type: apigroup.OSS, Bucket: "b"}))
	for _, p := range []string{"/", "/static/a%20b.js", "/player/x", "/player/", "/logo", "/o/k"} {
		if res, body := do(t, g, get(p)); res.StatusCode != 200 || body != "page" {
			t.Errorf("%s: %d %q", p, res.StatusCode, body)
		}
	}
	want := []asked{{"/", "b", "screen/"}, {"/static/a b.js", "b", "screen/static/a b.js"}, {"/player/x", "b", "www/player/x"},
		{"/player/", "b", "www/player/"}, {"/logo", "b", "img/logo.png"}, {"/o/k", "b", "o/k"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, verb := range []string{"GET", "HEAD"} {
		res, _ := do(t, g, httptest.NewRequest(verb, "/player?x=1", nil))
		if res.StatusCode != 302 || res.Header.Get("Location") != "/player/?x=1" {
			t.Errorf("bare prefix by %s: %d to %q", verb, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

func TestMock(t *testing.T) {
	g := newGroup(t, &rooms{}, backed("/m", apigroup.Backend{Type: apigroup.Mock, MockBody: "sorry", MockStatus: 503, MockHeaders: []apigroup.Header{{Name: "X-A", Value: "1"}}}))
	if res, body := do(t, g, get("/m")); res.StatusCode != 503 || body != "sorry" || res.Header.Get("X-A") != "1" || res.Header.Get("X-Ca-Error-Code") != "" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
	}
}

func TestEventOfAnHTTPRequest(t *testing.T) {
	var inv sluice.Invocation
	f := &rooms{invoke: func(_ context.Context, i sluice.Invocation) (sluice.Result, error) {
		inv = i
		return answered(`{"statusCode":200}`)
	}}
	g := newGroup(t, f, eventAPI("/u/[id]/*", apigroup.Common, "f"))
	r := with(httptest.NewRequest("POST", "/u/a%20b/x?q=1&q=2&e=", strings.NewReader("k=v")), "Content-Type", "application/x-www-form-urlencoded", "X-Two", "1", "X-Two", "2", "x-ca-deviceid", "forged")
	res, _ := do(t, g, r)
	id := res.Header.Get("X-Ca-Request-Id")
	want := `{"path":"/u/a b/x","httpMethod":"POST","headers":{"Content-Type":"application/x-www-form-urlencoded","Via":"` + id + `","X-Ca-Api-Gateway":"` + id + `","X-Ca-Request-Id":"` + id +
		`","X-Forwarded-For":"192.0.2.1","X-Forwarded-Proto":"http","X-Two":"1,2","x-ca-deviceid":"forged"},"queryParameters":{"e":"","q":"1,2"},"pathParameters":{"id":"a b"},"body":"k=v","isBase64Encoded":false}`
	if diff := cmp.Diff(want, string(inv.Payload)); diff != "" {
		t.Error(diff)
	}
	if inv.App != "barrage" || inv.Function != "f" || inv.RequestID != id || inv.Kind != sluice.InvokeEvent {
		t.Errorf("%+v", inv)
	}
	for _, tc := range []struct {
		kind, body string
		base64     bool
	}{
		{"application/json", `{"a":"é"}`, false}, {"text/html; charset=utf-8", "x", false}, {"application/xml", "x", false}, {"application/javascript", "x", false},
		{"", "x", false}, {"image/png", "x", true}, {"application/octet-stream", "x", true}, {"text/plain", "\xff", true},
	} {
		var ev event
		r := httptest.NewRequest("POST", "/u/1/2", strings.NewReader(tc.body))
		if tc.kind != "" {
			r.Header.Set("Content-Type", tc.kind)
		}
		do(t, g, r)
		if json.Unmarshal(inv.Payload, &ev); ev.IsBase64Encoded != tc.base64 {
			t.Errorf("%s %q: base64 is %v", tc.kind, tc.body, ev.IsBase64Encoded)
		}
	}
}

func TestAnswersOfEventFunctions(t *testing.T) {
	f := &rooms{}
	g := newGroup(t, f, eventAPI("/e", apigroup.Common, "f"))
	for _, tc := range []struct {
		name, answer string
		status       int
		body         string
		header       map[string]string
	}{
		{"as documented", `{"isBase64Encoded":false,"statusCode":200,"headers":{"k":"v"},"body":"x"}`, 200, "x", map[string]string{"K": "v", "Content-Type": "application/json; charset=utf-8"}},
		{"barrage", `{"isBase64Encoded":"false","statusCode":"200","body":{"deviceId":"d","res":{}}}`, 200, `{"deviceId":"d","res":{}}`, nil},
		{"status as text", `{"statusCode":"404","body":null}`, 404, "", nil},
		{"body array", `{"statusCode":200,"body":[1,"a"]}`, 200, `[1,"a"]`, nil},
		{"body number", `{"statusCode":200,"body":12.50}`, 200, `12.50`, nil},
		{"body boolean", `{"statusCode":200,"body":false}`, 200, `false`, nil},
		{"body missing", `{"statusCode":204}`, 204, "", nil},
		{"base64", `{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}`, 200, "hi", nil},
		{"base64 as text", `{"statusCode":200,"isBase64Encoded":"true","body":"aGk="}`, 200, "hi", nil},
		{"header values", `{"statusCode":200,"headers":{"n":5,"b":true,"a":["1","2"],"Content-Type":"text/plain"},"body":""}`, 200, "", map[string]string{"N": "5", "B": "true", "A": "1", "Content-Type": "text/plain"}},
		{"no status", `{"body":"x"}`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"status is no number", `{"statusCode":"ok"}`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"status out of range", `{"statusCode":99}`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"not an object", `"hello"`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"not JSON", `hello`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"bad base64", `{"statusCode":200,"isBase64Encoded":true,"body":"%"}`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"header splitting", `{"statusCode":200,"headers":{"a":"b\r\nc: d"}}`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
		{"too large", `{"statusCode":200,"body":"` + strings.Repeat("x", maxAnswer) + `"}`, 502, "", map[string]string{"X-Ca-Error-Code": "D502FC"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.invoke = func(context.Context, sluice.Invocation) (sluice.Result, error) { return answered(tc.answer) }
			res, body := do(t, g, get("/e"))
			if res.StatusCode != tc.status || body != tc.body {
				t.Errorf("%d %q", res.StatusCode, body)
			}
			for k, v := range tc.header {
				if res.Header.Get(k) != v {
					t.Errorf("%s: %q, want %q", k, res.Header.Get(k), v)
				}
			}
		})
	}
}

func TestFunctionsThatFail(t *testing.T) {
	f := &rooms{}
	g := newGroup(t, f, eventAPI("/e", apigroup.Common, "f"), backed("/h", apigroup.Backend{Type: apigroup.FCHTTP, Function: "f", Path: "/"}),
		backed("/slow", apigroup.Backend{Type: apigroup.FCEvent, Function: "f", Timeout: time.Millisecond}))
	fail := func(err error) func(context.Context, sluice.Invocation) (sluice.Result, error) {
		return func(context.Context, sluice.Invocation) (sluice.Result, error) { return sluice.Result{}, err }
	}
	for _, tc := range []struct {
		name, path string
		invoke     func(context.Context, sluice.Invocation) (sluice.Result, error)
		code       string
		message    string
	}{
		{"threw", "/e", func(context.Context, sluice.Invocation) (sluice.Result, error) {
			return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "boom\nat x" + strings.Repeat("y", 600)}}, nil
		}, "D502FC", "boom at x"},
		{"threw over HTTP", "/h", func(context.Context, sluice.Invocation) (sluice.Result, error) {
			return sluice.Result{Failure: &sluice.Failure{Message: "boom"}}, nil
		}, "D502FC", "boom"},
		{"is not there", "/e", fail(sluice.Errorf(sluice.Missing, "no f")), "D502FC", "no f"},
		{"throttled", "/e", fail(sluice.Errorf(sluice.Throttled, "x")), "X503BZ", ""},
		{"out of time", "/e", fail(sluice.Errorf(sluice.Timeout, "x")), "D504TO", ""},
		{"unavailable", "/e", fail(sluice.Errorf(sluice.Unavailable, "x")), "D504CO", ""},
		{"our own trouble", "/e", fail(errors.New("disk on fire")), "X500ER", "Service Internal Error"},
		{"slower than the API allows", "/slow", func(ctx context.Context, _ sluice.Invocation) (sluice.Result, error) {
			<-ctx.Done()
			return sluice.Result{}, ctx.Err()
		}, "D504TO", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.invoke = tc.invoke
			res, body := do(t, g, get(tc.path))
			msg := res.Header.Get("X-Ca-Error-Message")
			if res.Header.Get("X-Ca-Error-Code") != tc.code || res.StatusCode != Code(tc.code).status() || body != "" ||
				!strings.Contains(msg, tc.message) || strings.Contains(msg, "fire") || len(msg) > maxFaultMessage {
				t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
			}
		})
	}
}

func TestHTTPFunctions(t *testing.T) {
	var inv sluice.Invocation
	f := &rooms{invoke: func(_ context.Context, i sluice.Invocation) (sluice.Result, error) {
		inv = i
		return sluice.Result{Payload: []byte("out"), HTTP: &sluice.HTTPResponse{Status: 201, Header: http.Header{"X-F": {"1"}, "Connection": {"close"}}}}, nil
	}}
	bare, full := apigroup.Backend{Type: apigroup.FCHTTP, Service: "s", Function: "node", Path: "/"}, apigroup.Backend{Type: apigroup.FCHTTP, Service: "s", Function: "go", Path: "/"}
	only := full
	only.OnlyBusinessPath = true
	g := newGroup(t, f, backed("/api/*", bare), backed("/go/*", full), backed("/only/*", only))
	g.o.Custom = func(n sluice.FunctionName) bool { return n == "go" }
	for in, want := range map[string]string{"/api/send": "/send", "/api": "/", "/go/send": "/2016-08-15/proxy/s/go/send", "/only/send": "/send", "/api/a%2Fb": "/a%2Fb"} {
		res, body := do(t, g, httptest.NewRequest("POST", in+"?x=1", strings.NewReader("in")))
		if inv.HTTP == nil || inv.HTTP.Path != want || inv.HTTP.RawQuery != "x=1" || inv.HTTP.Method != "POST" || string(inv.Payload) != "in" || inv.HTTP.Remote != "192.0.2.1" || inv.Kind != sluice.InvokeHTTP {
			t.Errorf("%s: %+v", in, inv.HTTP)
		}
		if res.StatusCode != 201 || body != "out" || res.Header.Get("X-F") != "1" || res.Header.Get("Connection") != "" {
			t.Errorf("%s: %d %v %q", in, res.StatusCode, res.Header, body)
		}
	}
}

func TestStatusesThatAreNone(t *testing.T) {
	odd := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n")
		conn.Close()
	})
	f := &rooms{invoke: func(context.Context, sluice.Invocation) (sluice.Result, error) {
		return sluice.Result{HTTP: &sluice.HTTPResponse{Status: 9999}}, nil
	}}
	g := newGroup(t, f, backed("/f/*", apigroup.Backend{Type: apigroup.FCHTTP, Service: "s", Function: "node", Path: "/"}),
		backed("/p/*", apigroup.Backend{Type: apigroup.HTTP, Address: odd}))
	for path, code := range map[string]string{"/f/x": "D502FC", "/p/x": "D504RE"} {
		if res, body := do(t, g, get(path)); res.Header.Get("X-Ca-Error-Code") != code || body != "" {
			t.Errorf("%s: %d %v %q", path, res.StatusCode, res.Header, body)
		}
	}
}

func TestForeignTriggerIsProxied(t *testing.T) {
	srv := newBackend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.String()) })
	g := newGroup(t, &rooms{}, backed("/f/*", apigroup.Backend{Type: apigroup.FCHTTP, BaseURL: srv + "/2016-08-15/proxy/s/f/", Path: "/"}))
	if _, body := do(t, g, get("/f/x?y=1")); body != "/2016-08-15/proxy/s/f/x?y=1" {
		t.Error(body)
	}
}

func TestProtocolsAndMethods(t *testing.T) {
	only := func(p ...string) func(*apigroup.API) { return func(a *apigroup.API) { a.Protocols = p } }
	g := newGroup(t, &rooms{}, api("/ws", only("WS")), api("/https", only("HTTPS")), api("/http", only("HTTP")),
		api("/post", func(a *apigroup.API) { a.Method = "POST" }),
		api("/reg", func(a *apigroup.API) { a.WebSocketType, a.Protocols = apigroup.Register, []string{"WS"} }),
		api("/reghttp", func(a *apigroup.API) { a.WebSocketType = apigroup.Register }))
	secure := func(path string) *http.Request { r := get(path); r.TLS = &tls.ConnectionState{}; return r }
	for _, tc := range []struct {
		r    *http.Request
		code string
	}{
		{get("/ws"), "I403PT"}, {get("/https"), ""}, {secure("/https"), ""}, {secure("/http"), "I403PT"}, {get("/http"), ""},
		{get("/post"), "I405UM"}, {get("/reg"), "I404NF"}, {get("/reghttp"), ""}, {get("/none"), "I404NF"},
	} {
		if res, _ := do(t, g, tc.r); res.Header.Get("X-Ca-Error-Code") != tc.code {
			t.Errorf("%s: %d %s", tc.r.URL, res.StatusCode, res.Header.Get("X-Ca-Error-Code"))
		}
	}
	if a, _ := sayTo(t, g, `{"path":"/http"}`); a.head("x-ca-error-code") != "I403PT" || a.Status != 403 {
		t.Errorf("an API for HTTP in the socket: %d %s", a.Status, a.Header)
	}
	g.o.TLS = true
	if res, _ := do(t, g, get("/https")); res.Header.Get("X-Ca-Error-Code") != "I403PT" {
		t.Error("with TLS of our own, HTTPS means HTTPS")
	}
}

func TestLimits(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*"))
	for _, tc := range []struct {
		r    *http.Request
		code string
	}{
		{httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", maxBody+1))), "I413RL"},
		{get("/?" + strings.Repeat("x", maxURL+1)), "I413UL"},
		{httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("x"), brokenReader{})), "I400BD"},
		{get("/a/..%2Fb"), ""},
		{get("/a/%2e%2e/b"), "I400PA"},
		{with(httptest.NewRequest("POST", "/", strings.NewReader("x")), "Content-Md5", "x"), "I400I5"},
		{with(httptest.NewRequest("POST", "/", strings.NewReader("{}")), "Content-Md5", "mZFLkyvTelC5g8XnyQrpOw=="), ""},
		{with(get("/"), "X-Ca-Stage", "release"), ""},
		{with(get("/"), "X-Ca-Stage", "TEST"), "I404NF"},
		{with(get("/"), "X-Ca-Stage", "x"), "I400SG"},
	} {
		res, _ := do(t, g, tc.r)
		if res.Header.Get("X-Ca-Error-Code") != tc.code || tc.code != "" && res.StatusCode != Code(tc.code).status() {
			t.Errorf("%.40s: %d %v", tc.r.URL, res.StatusCode, res.Header)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func notifyAPI() apigroup.API {
	return api("/notify", func(a *apigroup.API) {
		a.WebSocketType, a.Mode = apigroup.Notify, apigroup.Mapping
		a.Backend = apigroup.Backend{Type: apigroup.HTTP, Address: "http://www.aliyun.com", Path: "/", Timeout: time.Second}
	})
}

func TestBodyThatNeverComes(t *testing.T) {
	g := newGroup(t, &rooms{}, backed("/*", apigroup.Backend{Type: apigroup.Mock}))
	g.o.BodyWait = 20 * time.Millisecond
	srv := newBackend(t, g.ServeHTTP)
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na")
	got, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(got), "I400BD") {
		t.Errorf("%v: %q", err, got)
	}
}

func TestNotify(t *testing.T) {
	type push struct{ To, Text string }
	var pushed []push
	f := &rooms{
		pushAlias: func(a sluice.Alias, fr sluice.Frame) (int, sluice.Outcome) {
			if a.Scope != "barrage/gateway" || fr.Binary {
				t.Errorf("pushed to %v, binary %v", a, fr.Binary)
			}
			switch a.Name {
			case "away":
				return 0, sluice.NotFound
			case "gone":
				return 0, sluice.Gone
			case "slow":
				return 0, sluice.Overflow
			case "big":
				return 0, sluice.TooLarge
			}
			pushed = append(pushed, push{a.Name, string(fr.Data)})
			if a.Name == "twice" {
				return 2, sluice.Queued
			}
			return 1, sluice.Queued
		},
		pushGroup: func(grp gateway.Group, fr sluice.Frame) int {
			pushed = append(pushed, push{"@" + grp.Name, string(fr.Data)})
			return 7
		},
	}
	g := newGroup(t, f, notifyAPI(), api("/*"))
	const text = `{"from":"devs-1","message":"嗨#=&%"}`
	send := func(body string, pairs ...string) (*http.Response, string) {
		return do(t, g, with(httptest.NewRequest("POST", "/notify", strings.NewReader(body)), append(pairs, "Content-Type", "application/x-www-form-urlencoded")...))
	}
	res, body := send(text, "x-ca-deviceid", "a1b2")
	if res.StatusCode != 200 || body != "" || res.Header.Get("Content-Length") != "0" || res.Header.Get("X-Ca-Request-Id") == "" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
	}
	if res, body = send(text, "x-ca-deviceid", "a, away ,twice,,a,slow"); res.StatusCode != 200 || body != `{"delivered":3,"failed":["away","slow"]}` {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if f.pushes != 2 {
		t.Errorf("%d pushes for two calls: a message to many is built once", f.pushes)
	}
	if _, body = send(text, "x-ca-deviceid", "a", "x-ca-deviceid", `q"t`); body != `{"delivered":2,"failed":[]}` {
		t.Errorf("repeated header: %q", body)
	}
	if _, body = send(text, "x-ca-group", "screens"); body != `{"delivered":7,"failed":[]}` {
		t.Errorf("group: %q", body)
	}
	want := []push{{"a1b2", "NF#" + text}, {"a", "NF#" + text}, {"twice", "NF#" + text}, {"a", "NF#" + text}, {`q"t`, "NF#" + text}, {"@gateway/screens", "NF#" + text}}
	if diff := cmp.Diff(want, pushed); diff != "" {
		t.Error(diff)
	}
	for _, tc := range []struct{ header, value, body, code, message string }{
		{"x-ca-deviceid", "away", "x", "I404DD", "Device id `away` not found"},
		{"x-ca-deviceid", "gone", "x", "I404DD", "Device id `gone` not found"},
		{"x-ca-deviceid", "slow", "x", "X504TO", "Service timeout"},
		{"x-ca-deviceid", "big", "x", "I413RL", "Request body too Large"},
		{"x-ca-deviceid", "a", strings.Repeat("x", maxMessage+1), "I413RL", "Request body too Large"},
		{"x-ca-group", "g", strings.Repeat("x", maxMessage+1), "I413RL", "Request body too Large"},
		{"x-other", "", "x", "I400MH", "Header `x-ca-deviceid` is Required"},
	} {
		res, body := send(tc.body, tc.header, tc.value)
		if res.Header.Get("X-Ca-Error-Code") != tc.code || res.Header.Get("X-Ca-Error-Message") != tc.message || res.StatusCode != Code(tc.code).status() || body != "" {
			t.Errorf("%s %s: %d %v", tc.header, tc.value, res.StatusCode, res.Header)
		}
	}
}

func FuzzAnswerOfFunction(f *testing.F) {
	for _, s := range []string{`{"statusCode":"200","body":{},"isBase64Encoded":"false","headers":{"a":[1,"b"]}}`, `[]`, `{"statusCode":1e2}`, `{"statusCode":[200]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAnswer(data)
		if err == nil && (a.status < 200 || a.status > 599) {
			t.Errorf("status %d", a.status)
		}
	})
}

package apigateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// documented are the codes of section 2.9 with their statuses.
var documented = map[Code]int{
	"I400HD": 400, "I400MH": 400, "I400BD": 400, "I400PA": 400, "I405UM": 405, "I400RU": 400, "I403PT": 403, "I413RL": 413, "I413UL": 413,
	"I400CT": 400, "I404DO": 404, "I410GG": 410, "I400SG": 400, "I404NF": 404, "X400PM": 400, "I400MP": 400, "I400I5": 400, "I400NC": 400,
	"S403NU": 403, "S403TE": 403, "A400IK": 400, "A400AC": 400, "A400MA": 400, "A403IS": 403, "A403EP": 403, "A403PR": 403,
	"T429GR": 429, "T429PA": 429, "T429IN": 429, "I404DD": 404, "D502FC": 502, "A403FC": 403, "D504CO": 504, "D504RE": 504, "D504TO": 504,
	"D503CB": 503, "X500ER": 500, "X503BZ": 503, "X504TO": 504,
}

// unreachable are those that cannot arise here, and why.
var unreachable = map[Code]string{
	"I410GG": "a group is on no instance that could be released: instanceId is ignored (2.1), and a removed app's connections end",
	"X400PM": "there are no plug-ins whose meta could be invalid",
	"A403EP": "what an app may call is its own APIs, for ever: an authorization has no end",
	"D503CB": "the circuit breaker is not emulated (2.9)",
}

func TestErrorCodes(t *testing.T) {
	silent := newBackend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	hangup := newBackend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })

	f := &rooms{
		invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
			switch inv.Function {
			case "odd":
				return answered(`[]`)
			case "denied":
				return sluice.Result{}, sluice.Errorf(sluice.Denied, "not its caller")
			case "busy":
				return sluice.Result{}, sluice.Errorf(sluice.Throttled, "too many")
			}
			return sluice.Result{}, errors.New("broken")
		},
		pushAlias: func(a sluice.Alias, _ sluice.Frame) (int, sluice.Outcome) {
			if a.Name == "slow" {
				return 0, sluice.Overflow
			}
			return 0, sluice.NotFound
		},
		secret: func(key string) (string, bool) {
			return map[string]string{"ours": "s", "theirs": "s"}[key], key == "ours"
		},
		code: func(string) bool { return false },
	}
	function := func(path, name string) apigroup.API { return eventAPI(path, apigroup.Common, name) }
	apis := []apigroup.API{
		api("/open"), notifyAPI(), function("/odd", "odd"), function("/denied", "denied"), function("/busy", "busy"), function("/broken", "broken"),
		api("/ws", func(a *apigroup.API) { a.Protocols = []string{"WS"} }),
		api("/post", func(a *apigroup.API) { a.Method = "POST" }),
		api("/nonce", func(a *apigroup.API) { a.ForceNonce = true }),
		api("/app", func(a *apigroup.API) { a.Auth = "APP" }),
		api("/form", func(a *apigroup.API) {
			a.Mode, a.BodyFormat = apigroup.Mapping, "FORM"
			a.RequestParams = []apigroup.RequestParam{{Name: "p", In: apigroup.InBody, Type: "String", Required: true}}
		}),
		backed("/silent", apigroup.Backend{Type: apigroup.HTTP, Address: silent, Timeout: 50 * time.Millisecond}),
		backed("/hangup", apigroup.Backend{Type: apigroup.HTTP, Address: hangup}),
		backed("/nobody", apigroup.Backend{Type: apigroup.HTTP, Address: "http://127.0.0.1:1"}),
	}
	g := newGroup(t, f, apis...)
	throttled := func(limits apigroup.Throttle) http.Handler {
		g := newGroup(t, f, api("/open"))
		g.o.Group.Settings.Throttle = limits
		do(t, g, get("/open"))
		return g
	}
	post := func(path, body string, pairs ...string) *http.Request {
		return with(httptest.NewRequest("POST", path, strings.NewReader(body)), pairs...)
	}
	odd := get("/open")
	odd.URL.Path = "open"
	again := func() *http.Request { return signed(with(get("/app"), "X-Ca-Nonce", "n"), "ours", "s", "") }
	do(t, g, again())

	reached := map[Code]bool{}
	for _, tc := range []struct {
		code Code
		r    *http.Request
		h    http.Handler // g when nil
		text string       // begins the message
	}{
		{"I400HD", signed(with(get("/app"), "X-Ca-Signature-Method", "MD5"), "ours", "s", ""), nil, "Invalid Header `X-Ca-Signature-Method`"},
		{"I400MH", post("/notify", "x"), nil, "Header `x-ca-deviceid` is Required"},
		{"I400BD", httptest.NewRequest("POST", "/open", io.MultiReader(strings.NewReader("x"), brokenReader{})), nil, "Invalid Body: "},
		{"I400PA", get("/open/%2e%2e"), nil, "Invalid Request Path "},
		{"I405UM", get("/post"), nil, "Unsupported Method"},
		{"I400RU", odd, nil, "Invalid Request Uri"},
		{"I403PT", get("/ws"), nil, "Invalid protocol HTTP unsupported"},
		{"I413RL", post("/open", strings.Repeat("x", maxBody+1)), nil, "Request body too Large"},
		{"I413UL", get("/open?" + strings.Repeat("x", maxURL+1)), nil, "Request URL too Large"},
		{"I400CT", post("/form", `{"p":"1"}`, "Content-Type", "application/json"), nil, "Invalid Content-Type"},
		{"I404DO", get("http://nobody.example/"), Groups{g, newGroup(t, f)}, "Invalid Domain `nobody.example`"},
		{"I400SG", with(get("/open"), "X-Ca-Stage", "x"), nil, "Invalid Stage"},
		{"I404NF", get("/none"), nil, "API not found "},
		{"I400MP", post("/form", "q=1", "Content-Type", "application/x-www-form-urlencoded"), nil, "Parameter `p` is required"},
		{"I400I5", post("/open", "x", "Content-Md5", "x"), nil, "Invalid Content-MD5"},
		{"I400NC", get("/nonce"), nil, "X-Ca-Nonce is required"},
		{"S403NU", again(), nil, "Nonce Used"},
		{"S403TE", signed(with(get("/app"), "X-Ca-Timestamp", "1"), "ours", "s", ""), nil, "X-Ca-Timestamp is expired"},
		{"A400IK", signed(get("/app"), "nobody", "s", ""), nil, "Invalid AppKey"},
		{"A400AC", with(get("/app"), "Authorization", "APPCODE x"), nil, "Invalid AppCode"},
		{"A400MA", get("/app"), nil, "Need authorization, "},
		{"A403IS", signed(get("/app"), "ours", "other", ""), nil, "Invalid Signature, Server StringToSign:`GET#"},
		{"A403PR", signed(get("/app"), "theirs", "s", ""), nil, "App `theirs` is not authorized"},
		{"T429GR", get("/open"), throttled(apigroup.Throttle{Group: 1, API: 9, Instance: 9}), "Throttled by GROUP flow control"},
		{"T429PA", get("/open"), throttled(apigroup.Throttle{API: 1}), "Throttled by API flow control"},
		{"T429IN", get("/open"), throttled(apigroup.Throttle{Instance: 1}), "Throttled by INSTANCE flow control"},
		{"I404DD", post("/notify", "x", "x-ca-deviceid", "d"), nil, "Device id `d` not found"},
		{"D502FC", get("/odd"), nil, "FunctionCompute response invalid: "},
		{"A403FC", get("/denied"), nil, "FunctionCompute AssumeRole failed: "},
		{"D504CO", get("/nobody"), nil, "Backend service connect failed"},
		{"D504RE", get("/hangup"), nil, "Backend service request failed"},
		{"D504TO", get("/silent"), nil, "Backend service request timeout"},
		{"X500ER", get("/broken"), nil, "Service Internal Error"},
		{"X503BZ", get("/busy"), nil, "Service Busy"},
		{"X504TO", post("/notify", "x", "x-ca-deviceid", "slow"), nil, "Service timeout"},
	} {
		if tc.h == nil {
			tc.h = g
		}
		res, body := do(t, tc.h, tc.r)
		code, text := Code(res.Header.Get("X-Ca-Error-Code")), res.Header.Get("X-Ca-Error-Message")
		if code != tc.code || res.StatusCode != documented[tc.code] || !strings.HasPrefix(text, tc.text) || body != "" ||
			res.Header.Get("Content-Length") != "0" || res.Header.Get("X-Ca-Request-Id") == "" {
			t.Errorf("%s: %d %v %q", tc.code, res.StatusCode, res.Header, body)
		}
		reached[code] = true
	}
	for code := range documented {
		if reached[code] == (unreachable[code] != "") {
			t.Errorf("%s: reached %v, and unreachable because %q", code, reached[code], unreachable[code])
		}
	}
}

func TestThrottlesCountBySecondAndByWhatTheyAreOf(t *testing.T) {
	now, instance := noon, &Meter{}
	group := func(limits apigroup.Throttle) *Group {
		g, err := New(Options{App: "a", Endpoint: "e", Instance: instance, Now: func() time.Time { return now },
			Group: apigroup.Group{Stage: "RELEASE", APIs: []apigroup.API{api("/a"), api("/b")}, Settings: apigroup.Settings{Throttle: limits}}})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	want := func(g *Group, path, code string) {
		t.Helper()
		if res, _ := do(t, g, get(path)); res.Header.Get("X-Ca-Error-Code") != code {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
	}
	g := group(apigroup.Throttle{API: 2, Group: 3})
	want(g, "/a", "")
	want(g, "/a", "")
	want(g, "/a", "T429PA")
	want(g, "/b", "T429GR")
	now = now.Add(time.Second)
	want(g, "/b", "")
	if a, _ := sayTo(t, g, `{"path":"/b"}`); a.Status != 200 {
		t.Errorf("in the socket: %d", a.Status)
	}
	if a, _ := sayTo(t, g, `{"path":"/b"}`); a.Status != 429 || a.head("x-ca-error-code") != "T429PA" {
		t.Errorf("one too many in the socket: %d %v", a.Status, a.Header)
	}
	one, other := group(apigroup.Throttle{Instance: 2}), group(apigroup.Throttle{Instance: 2})
	want(one, "/a", "")
	want(other, "/a", "")
	want(one, "/a", "T429IN")
	for range 100 {
		want(group(apigroup.Throttle{}), "/a", "")
	}
}

func TestStatusOfAnswersThatAreNone(t *testing.T) {
	f := &rooms{invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		if inv.Function == "fails" {
			return sluice.Result{Failure: &sluice.Failure{Message: "boom"}}, nil
		}
		return answered(`[]`)
	}}
	g := newGroup(t, f, eventAPI("/odd", apigroup.Common, "odd"), eventAPI("/fails", apigroup.Common, "fails"))
	for status, want := range map[int]int{0: 502, 503: 503} {
		g.o.Group.Settings.FormatStatus = status
		if res, _ := do(t, g, get("/odd")); res.StatusCode != want || res.Header.Get("X-Ca-Error-Code") != "D502FC" {
			t.Errorf("%d: %d %v", status, res.StatusCode, res.Header)
		}
		if a, _ := sayTo(t, g, `{"path":"/odd"}`); a.Status != want {
			t.Errorf("%d in the socket: %d", status, a.Status)
		}
		if res, _ := do(t, g, get("/fails")); res.StatusCode != 502 {
			t.Errorf("%d, of a function that fails: %d", status, res.StatusCode)
		}
	}
}

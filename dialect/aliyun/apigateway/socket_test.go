package apigateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/gateway"
)

// echo answers with the event that it gets.
func echo(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
	b, _ := json.Marshal(map[string]any{"statusCode": 200, "body": string(inv.Payload)})
	return sluice.Result{Payload: b}, nil
}

func TestEnvelopesOfRealClients(t *testing.T) {
	type got struct {
		Path            string
		HTTPMethod      string
		QueryParameters map[string]string
		Body            string
	}
	g := newGroup(t, &rooms{invoke: echo}, eventAPI("/*", apigroup.Common, "f"))
	for _, tc := range []struct {
		name, in string
		want     got
	}{
		{"java sdk", `{"method":"POST","host":"h.example.com","path":"/http2test/test","querys":{"param1":"test"},"headers":{"x-ca-seq":["0"],"content-type":["application/x-www-form-urlencoded; charset=utf-8"]},"isBase64":0,"body":"username=x&password=1"}`,
			got{"/http2test/test", "POST", map[string]string{"param1": "test"}, "username=x&password=1"}},
		{"nothing but braces", `{}`, got{"/", "GET", map[string]string{}, ""}},
		{"nulls", `{"method":null,"path":null,"querys":null,"headers":null,"isBase64":null,"body":null}`, got{"/", "GET", map[string]string{}, ""}},
		{"plain header strings", `{"path":"/a","headers":{"Content-Type":"text/plain","n":5},"body":"x"}`, got{"/a", "GET", map[string]string{}, "x"}},
		{"query in the path", `{"path":"/a?x=1&y=2","querys":{"z":"3"}}`, got{"/a", "GET", map[string]string{"x": "1", "y": "2", "z": "3"}, ""}},
		{"query arrays and numbers", `{"path":"/a","querys":{"x":["1","2"],"n":5,"b":true}}`, got{"/a", "GET", map[string]string{"x": "1,2", "n": "5", "b": "true"}, ""}},
		{"lower-case method", `{"method":"put","path":"/a"}`, got{"/a", "PUT", map[string]string{}, ""}},
		{"body object", `{"path":"/a","body":{"k":[1,2]}}`, got{"/a", "GET", map[string]string{}, `{"k":[1,2]}`}},
		{"base64 as a flag", `{"path":"/a","isBase64":true,"body":"aGk="}`, got{"/a", "GET", map[string]string{}, "hi"}},
		{"base64 as text", `{"path":"/a","isBase64":"1","body":"aGk="}`, got{"/a", "GET", map[string]string{}, "hi"}},
		{"base64 off as text", `{"path":"/a","isBase64":"0","body":"aGk="}`, got{"/a", "GET", map[string]string{}, "aGk="}},
		{"encoded path", `{"path":"/a%20b"}`, got{"/a b", "GET", map[string]string{}, ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := sayTo(t, g, tc.in)
			var ev got
			if err := json.Unmarshal([]byte(a.Body), &ev); err != nil {
				t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
			}
			if diff := cmp.Diff(tc.want, ev); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnvelopesThatAreRefused(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/x"))
	for _, tc := range []struct {
		in, code string
		status   int
	}{
		{`{"method":`, "I400BD", 400},
		{`{} {}`, "I400BD", 400},
		{`{"headers":[]}`, "I400BD", 400},
		{`{"path":"/x","isBase64":1,"body":"%%%"}`, "I400BD", 400},
		{`{"path":"x"}`, "I400RU", 400},
		{`{"path":"http://other/x"}`, "I400RU", 400},
		{`{"path":"//other/x"}`, "I400RU", 400},
		{`{"path":"/x%"}`, "I400RU", 400},
		{`{"path":"/a/../x"}`, "I400PA", 400},
		{`{"path":"/%2e%2e/x"}`, "I400PA", 400},
		{`{"path":"/x\\y"}`, "I400PA", 400},
		{`{"path":"/x","headers":{"a b":"c"}}`, "I400HD", 400},
		{`{"path":"/x","headers":{"a":"c\nd"}}`, "I400HD", 400},
		{`{"path":"/x","headers":{"a":"` + strings.Repeat("x", maxHeaders) + `"}}`, "I400HD", 400},
		{`{"path":"/` + strings.Repeat("x", maxURL) + `"}`, "I413UL", 413},
		{`{"path":"/x","querys":{"q":"` + strings.Repeat("x", maxURL) + `"}}`, "I413UL", 413},
		{`{"path":"/nowhere"}`, "I404NF", 404},
		{`{"path":"/x","headers":{"x-ca-stage":"PRE"}}`, "I404NF", 404},
		{`{"path":"/x","headers":{"x-ca-stage":"MINE"}}`, "I400SG", 400},
		{`{"path":"/x","headers":{"content-md5":"AAAA"},"body":"b"}`, "I400I5", 400},
	} {
		a, _ := sayTo(t, g, tc.in)
		if a.Status != tc.status || a.head("x-ca-error-code") != tc.code || a.head("x-ca-error-message") == "" || a.Body != "" {
			t.Errorf("%.60s: %d %s %s", tc.in, a.Status, a.Header, a.Body)
		}
	}
}

func TestAnswersAreExact(t *testing.T) {
	f := &rooms{}
	g := newGroup(t, f, eventAPI("/e", apigroup.Common, "f"))
	for _, tc := range []struct{ name, seq, function, want string }{
		{"as documented", `["0"]`, `{"statusCode":200,"headers":{"content-type":"application/json; charset=UTF-8"},"body":"{\"a\":1}"}`,
			`{"status":200,"header":{"x-ca-seq":"0","x-ca-request-id":"REQ-1","content-type":"application/json; charset=UTF-8"},"body":"{\"a\":1}"}`},
		{"sequence as a number", `7`, `{"statusCode":204}`,
			`{"status":204,"header":{"x-ca-seq":"7","x-ca-request-id":"REQ-1"},"body":""}`},
		{"without a sequence", ``, `{"statusCode":200,"body":"<&>\u2028\u0001\n\"\\"}`,
			"{\"status\":200,\"header\":{\"x-ca-request-id\":\"REQ-1\",\"content-type\":\"application/json; charset=utf-8\"},\"body\":\"<&>\u2028\\u0001\\n\\\"\\\\\"}"},
		{"repeated headers", `["1","2"]`, `{"statusCode":200,"headers":{"Set-Cookie":["a=1","b=2"],"Content-Type":"text/plain"},"body":"x"}`,
			`{"status":200,"header":{"x-ca-seq":"1","x-ca-request-id":"REQ-1","content-type":"text/plain","set-cookie":["a=1","b=2"]},"body":"x"}`},
		{"bytes that are no text", `"s"`, `{"statusCode":200,"headers":{"Content-Type":"image/png"},"isBase64Encoded":true,"body":"` + base64.StdEncoding.EncodeToString([]byte{0xff, 0}) + `"}`,
			`{"status":200,"header":{"x-ca-seq":"s","x-ca-request-id":"REQ-1","content-type":"image/png","x-ca-body-base64":"1"},"body":"/wA="}`},
		{"a failure", `"s"`, `nonsense`,
			`{"status":502,"header":{"x-ca-seq":"s","x-ca-request-id":"REQ-1","x-ca-error-code":"D502FC","x-ca-error-message":"FunctionCompute response invalid: it is not an object with statusCode, headers and body"},"body":""}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.invoke = func(context.Context, sluice.Invocation) (sluice.Result, error) { return answered(tc.function) }
			in := `{"path":"/e","headers":{}}`
			if tc.seq != "" {
				in = `{"path":"/e","headers":{"X-Ca-Seq":` + tc.seq + `}}`
			}
			_, reply := sayTo(t, g, in)
			if diff := cmp.Diff(tc.want, string(reply.Send[0].Data)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswerTooLargeForTheSocket(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*", func(a *apigroup.API) { a.Backend.MockBody = strings.Repeat("x", maxMessage+1) }))
	if a, _ := sayTo(t, g, `{"headers":{"x-ca-seq":"5"}}`); a.head("x-ca-error-code") != "D504RE" || a.head("x-ca-seq") != "5" || a.Body != "" {
		t.Errorf("%d %s", a.Status, a.Header)
	}
}

func TestRequestBeforeBindIsRefused(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*"))
	reply := g.Handle(t.Context(), &sluice.Event{Kind: sluice.Message, ID: "R", Frame: sluice.Frame{Data: []byte(`{"headers":{"x-ca-seq":["9"]}}`)}})
	want := `{"status":400,"header":{"x-ca-seq":"9","x-ca-request-id":"R","x-ca-error-code":"I400MH","x-ca-error-message":"Device not registered"},"body":""}`
	if diff := cmp.Diff(want, string(reply.Send[0].Data)); diff != "" {
		t.Error(diff)
	}
}

// The request of the barrage pages, and the answer of its register function (section 6.4).
func TestBarrageRegisters(t *testing.T) {
	var ev event
	f := &rooms{invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		if err := json.Unmarshal(inv.Payload, &ev); err != nil {
			t.Error(err)
		}
		return answered(`{"isBase64Encoded":"false","statusCode":"200","body":{"deviceId":"a1b2c3d4","docId":"devs"}}`)
	}}
	g := newGroup(t, f, eventAPI("/r/*", apigroup.Register, "register"), api("/*"))
	a, reply := sayTo(t, g, `{"method":"GET","host":"wall.example:8080","querys":{"docId":"devs","type":"screen","userId":"a1b2c3d4"},
		"headers":{"x-ca-websocket_api_type":["REGISTER"],"x-ca-seq":["0"],"x-ca-nonce":["n"],"date":["d"],"x-ca-timestamp":["1"],"CA_VERSION":["1"],"x-ca-deviceid":["forged"]},"path":"/r","body":""}`)
	if a.Status != 200 || a.Body != `{"deviceId":"a1b2c3d4","docId":"devs"}` || a.head("x-ca-seq") != "0" {
		t.Errorf("%d %s %s", a.Status, a.Header, a.Body)
	}
	if ev.Path != "/r" || ev.HTTPMethod != "GET" || ev.Headers["x-ca-deviceid"] != "a1b2c3d4" || ev.Headers["CA_VERSION"] != "1" ||
		ev.QueryParameters["docId"] != "devs" || ev.Body != "" || ev.IsBase64Encoded {
		t.Errorf("event %+v", ev)
	}
	if reply.Duty != sluice.KeepDuty {
		t.Error("without an UNREGISTER API nothing is owed")
	}
}

func TestRegisterOwesItsEnd(t *testing.T) {
	status := "200"
	f := &rooms{invoke: func(context.Context, sluice.Invocation) (sluice.Result, error) {
		return answered(`{"statusCode":` + status + `}`)
	}}
	g := newGroup(t, f, eventAPI("/r", apigroup.Register, "f"), eventAPI("/u", apigroup.Unregister, "f"), api("/*"))
	const register, unregister = `{"path":"/r","headers":{"x-ca-websocket_api_type":"REGISTER"}}`, `{"path":"/u","headers":{"x-ca-websocket_api_type":"UNREGISTER"}}`
	for _, tc := range []struct {
		name, status, in string
		duty             sluice.Duty
	}{
		{"registered", "200", register, sluice.OweClose},
		{"refused", "403", register, sluice.KeepDuty},
		{"created is not registered", "201", register, sluice.KeepDuty},
		{"by the API's own type", "200", `{"path":"/r"}`, sluice.OweClose},
		{"by type where the path leads nowhere", "200", `{"path":"/elsewhere","headers":{"x-ca-websocket_api_type":["register"]}}`, sluice.OweClose},
		{"unregistered", "200", unregister, sluice.NoClose},
		{"unregistered whatever the status", "500", unregister, sluice.NoClose},
		{"an ordinary request", "200", `{"path":"/x"}`, sluice.KeepDuty},
	} {
		status = tc.status
		if _, reply := sayTo(t, g, tc.in); reply.Duty != tc.duty {
			t.Errorf("%s: duty %d, want %d", tc.name, reply.Duty, tc.duty)
		}
	}
}

func TestTypedRequestsFindTypedAPIsOnly(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*"), api("/n", func(a *apigroup.API) { a.WebSocketType = apigroup.Notify }))
	if a, _ := sayTo(t, g, `{"path":"/x","headers":{"x-ca-websocket_api_type":"REGISTER"}}`); a.head("x-ca-error-code") != "I404NF" {
		t.Errorf("REGISTER without such an API: %d %s", a.Status, a.Header)
	}
	if a, _ := sayTo(t, g, `{"path":"/n"}`); a.Body != "/*" {
		t.Errorf("a device must not reach NOTIFY: %d %s %s", a.Status, a.Header, a.Body)
	}
}

func TestRegisterAnswerChoosesGroups(t *testing.T) {
	var joined []string
	f := &rooms{
		invoke: func(context.Context, sluice.Invocation) (sluice.Result, error) {
			return answered(`{"statusCode":200,"headers":{"x-ca-group":"screens, wall"}}`)
		},
		join: func(id sluice.ConnID, grp gateway.Group) sluice.Outcome {
			joined = append(joined, string(grp.App)+" "+grp.Name)
			return sluice.Queued
		},
	}
	g := newGroup(t, f, eventAPI("/r", apigroup.Register, "f"), eventAPI("/x", apigroup.Common, "f"))
	sayTo(t, g, `{"path":"/r"}`)
	sayTo(t, g, `{"path":"/x"}`)
	if diff := cmp.Diff([]string{"barrage gateway/screens", "barrage gateway/wall"}, joined); diff != "" {
		t.Error(diff)
	}
}

func closed(cause sluice.Cause) *sluice.Event {
	return &sluice.Event{Kind: sluice.Close, ID: "BYE", Cause: cause, Conn: sluice.Conn{Alias: &sluice.Alias{Scope: "barrage/gateway", Name: "dev"}}}
}

func TestLostDeviceIsUnregistered(t *testing.T) {
	for cause, reason := range map[sluice.Cause]string{
		sluice.ClientClose: "client-close", sluice.Idle: "timeout", sluice.MaxLife: "timeout", sluice.PeerLost: "error",
		sluice.Violation: "error", sluice.Drain: "server-shutdown",
	} {
		var ev event
		n := 0
		f := &rooms{invoke: func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
			n++
			json.Unmarshal(inv.Payload, &ev)
			return answered(`{"statusCode":404}`)
		}}
		g := newGroup(t, f, eventAPI("/u/*", apigroup.Unregister, "f"))
		g.Handle(t.Context(), closed(cause))
		want := event{Path: "/u", HTTPMethod: "POST", Body: "", Headers: ev.Headers, QueryParameters: map[string]string{}, PathParameters: map[string]string{}}
		if diff := cmp.Diff(want, ev); diff != "" || n != 1 {
			t.Errorf("%v: %d calls, %s", cause, n, diff)
		}
		if ev.Headers["x-ca-deviceid"] != "dev" || ev.Headers["x-ca-websocket_api_type"] != "UNREGISTER" || ev.Headers["x-ca-unregister-reason"] != reason {
			t.Errorf("%v: %v", cause, ev.Headers)
		}
	}
}

func TestUnregisterIsTriedThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		f := &rooms{invoke: func(context.Context, sluice.Invocation) (sluice.Result, error) {
			at = append(at, time.Since(began))
			if len(at) == 1 {
				return sluice.Result{}, sluice.Errorf(sluice.Unavailable, "away")
			}
			return answered(`{"statusCode":503}`)
		}}
		g := newGroup(t, f, eventAPI("/u", apigroup.Unregister, "f"))
		g.Handle(t.Context(), closed(sluice.PeerLost))
		if diff := cmp.Diff([]time.Duration{0, time.Second, 6 * time.Second}, at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUnregisterEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := &rooms{invoke: func(context.Context, sluice.Invocation) (sluice.Result, error) {
			n++
			return answered(`{"statusCode":503}`)
		}}
		g := newGroup(t, f, eventAPI("/u", apigroup.Unregister, "f"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		g.Handle(ctx, closed(sluice.PeerLost))
		if n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

func TestCloseWithoutUnregisterCallsNobody(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*")) // a call of a nil function would panic
	if r := g.Handle(t.Context(), closed(sluice.Idle)); len(r.Send) != 0 {
		t.Error("a Close has no answer")
	}
	g = newGroup(t, &rooms{}, eventAPI("/u", apigroup.Unregister, "f"))
	g.Handle(t.Context(), &sluice.Event{Kind: sluice.Close}) // never bound
}

func TestSocketReachesHTTPBackends(t *testing.T) {
	var seen *http.Request
	srv := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		io.Copy(w, r.Body)
	})
	g := newGroup(t, &rooms{}, api("/*", func(a *apigroup.API) {
		a.Backend = apigroup.Backend{Type: apigroup.HTTP, Address: srv, Path: "/in/*", Timeout: time.Minute}
	}))
	a, _ := sayTo(t, g, `{"method":"POST","path":"/x?q=1","headers":{"x-ca-key":"k","x-ca-signature":"s","x-ca-signature-headers":"h","ca_version":"1"},"body":"hi"}`)
	if a.Status != 200 || a.Body != "hi" {
		t.Fatalf("%d %s %s", a.Status, a.Header, a.Body)
	}
	if seen.URL.String() != "/in/x?q=1" || seen.Method != "POST" || seen.Header.Get("X-Ca-Deviceid") != "a1b2c3d4" || seen.Header.Get("X-Ca-Key") != "k" ||
		seen.Header.Get("X-Ca-Signature") != "" || seen.Header.Get("X-Ca-Request-Id") != "REQ-1" || seen.Header.Get("Ca_version") != "1" {
		t.Errorf("%s %v", seen.URL, seen.Header)
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{`{}`, `{"path":"/a?b=c","headers":{"x-ca-seq":["0"]},"querys":{"a":1},"isBase64":1,"body":"aGk="}`, `{"headers":{"a":{}}}`, `{"body":[1]}`} {
		f.Add([]byte(s))
	}
	g := newGroup(f, &rooms{invoke: echo}, eventAPI("/*", apigroup.Common, "f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reply := g.Handle(t.Context(), &sluice.Event{Kind: sluice.Message, Conn: sluice.Conn{Alias: &sluice.Alias{Name: "d"}}, Frame: sluice.Frame{Data: data}})
		var a struct {
			Status int            `json:"status"`
			Header map[string]any `json:"header"`
			Body   *string        `json:"body"`
		}
		if len(reply.Send) != 1 || json.Unmarshal(reply.Send[0].Data, &a) != nil || a.Status < 200 || a.Body == nil || a.Header["x-ca-request-id"] == nil {
			t.Errorf("%v", reply.Send)
		}
	})
}

func FuzzEncodeAnswer(f *testing.F) {
	f.Add("0", "Set-Cookie", "a", "body")
	f.Add("\x00", "X", "\xff", "\xff\xfe")
	f.Fuzz(func(t *testing.T, seq, name, value, body string) {
		b := encodeAnswer([]string{seq}, 200, http.Header{name: {value}}, []byte(body))
		var a wsAnswer
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		got := []byte(a.Body)
		if a.head("x-ca-body-base64") == "1" && name != "X-Ca-Body-Base64" {
			got, _ = base64.StdEncoding.DecodeString(a.Body)
		}
		if string(got) != body && !strings.EqualFold(name, "X-Ca-Body-Base64") {
			t.Errorf("body %q came out as %q", body, got)
		}
	})
}

package lambda

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function"
)

const invocations = "/2015-03-31/functions/stack-f-1/invocations"

// withFunction is a world with a function of a template.
func withFunction(t *testing.T, change ...func(*sluice.Function)) *world {
	w := newWorld(t)
	f := sluice.Function{Name: "F", Physical: "stack-f-1"}
	for _, c := range change {
		c(&f)
	}
	w.deploy("chat", f)
	return w
}

func TestInvoke(t *testing.T) {
	w := withFunction(t, func(f *sluice.Function) {
		f.Extra = (&Extra{Aliases: []Alias{{Name: "live", Version: "3"}}, Versions: []Version{{Number: 3}}}).Marshal()
	})
	for name, path := range map[string]string{
		"name": invocations, "qualified": strings.Replace(invocations, "f-1/", "f-1%3Alive/", 1), "ARN": "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Astack-f-1/invocations",
		"partial ARN": "/2015-03-31/functions/000000000000:function:stack-f-1/invocations", "qualifier": invocations + "?Qualifier=live", "logical name": "/2015-03-31/functions/F/invocations",
	} {
		res, body := w.call("POST", path, `{"do":"echo"}`, "Content-Type", "application/json")
		if res.StatusCode != 200 || body != `{"do":"echo"}` || len(res.Header.Get("X-Amzn-RequestId")) != 36 || !strings.HasPrefix(res.Header.Get("X-Amzn-Trace-Id"), "Root=1-") {
			t.Errorf("%s: %d %v %s", name, res.StatusCode, res.Header, body)
		}
		want := "$LATEST"
		if strings.Contains(path, "live") {
			want = "3"
		}
		if got := res.Header.Get("X-Amz-Executed-Version"); got != want {
			t.Errorf("%s: version %s, want %s", name, got, want)
		}
	}
	if res, body := w.call("POST", invocations, `{"do":"nothing"}`); body != "null" || res.Header.Get("X-Amz-Function-Error") != "" {
		t.Errorf("nothing: %s", body)
	}
	var h http.Header
	_, body := w.call("POST", invocations+"?Qualifier=live", `{"do":"headers"}`, "X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(`{"custom":{"a":1}}`)), "X-Amzn-Trace-Id", "Root=9")
	json.Unmarshal([]byte(body), &h)
	for name, want := range map[string]string{"Lambda-Runtime-Client-Context": `{"custom":{"a":1}}`, "Lambda-Runtime-Trace-Id": "Root=9",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:stack-f-1:live"} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
}

func TestFailedFunctionsAnswer200(t *testing.T) {
	w := withFunction(t, func(f *sluice.Function) { f.Timeout = time.Minute })
	w.deploy("chat", sluice.Function{Name: "brief", Timeout: time.Second})
	for call, want := range map[string]string{
		`{"do":"fail"}`:            `{"errorMessage":"it failed","errorType":"Custom","stackTrace":["x"]}`,
		`{"do":"exit"}`:            `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: {id} Error: Runtime exited without providing a reason"}`,
		`{"do":"sleep","n":60000}`: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {id} Error: Task timed out after 1.00 seconds"}`,
		`{"do":"big","n":6291557}`: `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`,
	} {
		path := invocations
		if strings.Contains(call, "sleep") {
			path = "/2015-03-31/functions/brief/invocations"
		}
		res, body := w.call("POST", path, call)
		if res.StatusCode != 200 || res.Header.Get("X-Amz-Function-Error") != "Unhandled" || body != strings.ReplaceAll(want, "{id}", res.Header.Get("X-Amzn-RequestId")) {
			t.Errorf("%s: %d %s", call, res.StatusCode, body)
		}
	}
}

func TestTailIsTheEndOfTheLog(t *testing.T) {
	w := withFunction(t)
	res, _ := w.call("POST", invocations, `{"do":"print","text":"said"}`, "X-Amz-Log-Type", "Tail")
	tail, err := base64.StdEncoding.DecodeString(res.Header.Get("X-Amz-Log-Result"))
	id := res.Header.Get("X-Amzn-RequestId")
	want := regexp.MustCompile(`^START RequestId: ` + id + ` Version: \$LATEST\nsaid\nEND RequestId: ` + id + `\nREPORT RequestId: ` + id +
		`\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: [\d.]+ ms\n$`)
	if err != nil || !want.Match(tail) {
		t.Errorf("%v\n%s", err, tail)
	}
	if log := w.logs.text(id); !strings.HasPrefix(log, "START RequestId: "+id) || !strings.Contains(log, "REPORT RequestId: "+id) {
		t.Errorf("log:\n%s", log)
	}
	res, _ = w.call("POST", invocations, `{}`)
	if res.Header.Get("X-Amz-Log-Result") != "" {
		t.Error("nobody asked for the log")
	}
}

func TestRefusedCalls(t *testing.T) {
	w := withFunction(t)
	none := 0
	w.deploy("chat", sluice.Function{Name: "blocked", Extra: (&Extra{Reserved: &none}).Marshal()})
	for name, tc := range map[string]struct {
		path, body string
		header     []string
		status     int
		kind, says string
	}{
		"no function":  {"/2015-03-31/functions/nope/invocations", "{}", nil, 404, "ResourceNotFoundException", `{"Type":"User","message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope"}`},
		"no version":   {invocations + "?Qualifier=7", "{}", nil, 404, "ResourceNotFoundException", `{"Type":"User","message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:stack-f-1:7"}`},
		"no name":      {"/2015-03-31/functions/a.b/invocations", "{}", nil, 404, "ResourceNotFoundException", "Function not found"},
		"throttled":    {"/2015-03-31/functions/blocked/invocations", "{}", nil, 429, "TooManyRequestsException", `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`},
		"no JSON":      {invocations, "hi", nil, 400, "InvalidRequestContentException", "Could not parse request body into json"},
		"too large":    {invocations, `"` + strings.Repeat("x", 6291456) + `"`, nil, 413, "RequestTooLargeException", "6291456"},
		"async large":  {invocations, `"` + strings.Repeat("x", 1<<20) + `"`, []string{"X-Amz-Invocation-Type", "Event"}, 413, "RequestTooLargeException", "1048576"},
		"bad type":     {invocations, "{}", []string{"X-Amz-Invocation-Type", "Maybe"}, 400, "InvalidParameterValueException", "invocationType"},
		"bad context":  {invocations, "{}", []string{"X-Amz-Client-Context", "%"}, 400, "InvalidRequestContentException", "Client context"},
		"long context": {invocations, "{}", []string{"X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(`"` + strings.Repeat("x", 3583) + `"`))}, 400, "InvalidRequestContentException", "Client context"},
		"dry":          {"/2015-03-31/functions/nope/invocations", "{}", []string{"X-Amz-Invocation-Type", "DryRun"}, 404, "ResourceNotFoundException", "nope"},
		"operation":    {"/2015-03-31/functions/nope/magic", "{}", nil, 404, "UnknownOperationException", "magic"},
	} {
		res, body := w.call("POST", tc.path, tc.body, tc.header...)
		if res.StatusCode != tc.status || res.Header.Get("X-Amzn-ErrorType") != tc.kind || !strings.Contains(body, tc.says) {
			t.Errorf("%s: %d %s %s", name, res.StatusCode, res.Header.Get("X-Amzn-ErrorType"), body)
		}
	}
	if res, body := w.call("POST", invocations, "{}", "X-Amz-Invocation-Type", "DryRun"); res.StatusCode != 204 || body != "" {
		t.Errorf("dry run: %d %s", res.StatusCode, body)
	}
}

func TestConcurrencyIsLimited(t *testing.T) {
	one, enough := 1, make(chan struct{})
	url, _ := heard(t, func(string) (int, string) {
		select {
		case <-enough:
		case <-t.Context().Done():
		}
		return 200, `"slept"`
	})
	w := withFunction(t, func(f *sluice.Function) {
		f.Env, f.Extra = map[string]string{"EAR": url}, (&Extra{Reserved: &one}).Marshal()
	})
	done := make(chan string)
	go func() {
		_, body := w.call("POST", invocations, `{"Records":[]}`)
		done <- body
	}()
	w.until("a call runs", func() bool { w.lambda.busy.Lock(); defer w.lambda.busy.Unlock(); return len(w.lambda.running) == 1 })
	if res, _ := w.call("POST", invocations, `{}`); res.StatusCode != 429 {
		t.Errorf("the second call at once: %d", res.StatusCode)
	}
	if err := w.lambda.Refuse("", "F"); err != errReserved {
		t.Errorf("whether it would be refused: %v", err)
	}
	close(enough)
	if got := <-done; got != `"slept"` {
		t.Error(got)
	}
	if res, _ := w.call("POST", invocations, `{}`); res.StatusCode != 200 {
		t.Errorf("after it: %d", res.StatusCode)
	}
	if err := w.lambda.Refuse("", "F"); err != nil {
		t.Error(err)
	}
}

func TestSignaturesAreChecked(t *testing.T) {
	w := withFunction(t)
	unsigned := httptest.NewRequest("POST", "http://lambda.us-east-1.amazonaws.com"+invocations, strings.NewReader("{}"))
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, unsigned)
	if rec.Code != 403 || rec.Header().Get("X-Amzn-ErrorType") != "MissingAuthenticationTokenException" {
		t.Errorf("unsigned: %d %v", rec.Code, rec.Header())
	}
	wrong := w.operator
	wrong.Secret += "x"
	for kind, c := range map[string]access.Credentials{"InvalidSignatureException": wrong, "UnrecognizedClientException": {ID: "SLAKNONE", Secret: "x"},
		"ExpiredTokenException": w.keys.Temporary("ASIA", access.Principal{App: "chat"}, -time.Hour)} {
		res, body := w.signed(c, "POST", invocations, "{}")
		if res.StatusCode != 403 || res.Header.Get("X-Amzn-ErrorType") != kind {
			t.Errorf("%s: %d %s %s", kind, res.StatusCode, res.Header.Get("X-Amzn-ErrorType"), body)
		}
	}
	if res, body := w.signed(w.keys.Temporary("ASIA", access.Principal{App: "chat", Function: "F"}, time.Hour), "POST", "/2015-03-31/functions/F/invocations", "{}"); res.StatusCode != 200 {
		t.Errorf("a function's own key: %d %s", res.StatusCode, body)
	}
	altered := httptest.NewRequest("POST", "http://lambda.us-east-1.amazonaws.com"+invocations, strings.NewReader(`{"a":1}`))
	sigv4.Sign(altered, []byte("{}"), w.operator, "us-east-1", "lambda", time.Now())
	rec = httptest.NewRecorder()
	w.api.ServeHTTP(rec, altered)
	if rec.Code != 403 {
		t.Errorf("another body than was signed: %d", rec.Code)
	}
}

func TestClaims(t *testing.T) {
	for _, tc := range []struct {
		host, path, auth string
		want             bool
	}{
		{"lambda.eu-west-1.amazonaws.com", "/", "", true},
		{"localhost:4566", "/2015-03-31/functions/", "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/lambda/aws4_request", true},
		{"localhost:4566", "/2017-03-31/tags/arn", "Credential=A/20260101/us-east-1/lambda/aws4_request", true},
		{"localhost:4566", "/2015-03-31/functions/", "Credential=A/20260101/us-east-1/s3/aws4_request", false},
		{"localhost:4566", "/bucket/key", "Credential=A/20260101/us-east-1/lambda/aws4_request", false},
		{"localhost:4566", codePath + "x.zip", "", true},
	} {
		r := httptest.NewRequest("GET", "http://"+tc.host+tc.path, nil)
		r.Header.Set("Authorization", tc.auth)
		if Claims(r) != tc.want {
			t.Errorf("%+v", tc)
		}
	}
}

// heard is a server that functions of these tests tell, and which answers for them.
func heard(t *testing.T, answer func(body string) (int, string)) (url string, all chan string) {
	t.Helper()
	all = make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		status, out := 200, "null"
		if answer != nil {
			status, out = answer(string(b))
		}
		all <- string(b)
		w.WriteHeader(status)
		io.WriteString(w, out)
	}))
	t.Cleanup(s.Close)
	return s.URL, all
}

func TestEventsAreCalledLater(t *testing.T) {
	url, all := heard(t, nil)
	w := withFunction(t, func(f *sluice.Function) { f.Env = map[string]string{"EAR": url} })
	if res, body := w.call("POST", invocations, `{"Records":1}`, "X-Amz-Invocation-Type", "Event"); res.StatusCode != 202 || body != "" {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if res, body := w.call("POST", "/2014-11-13/functions/stack-f-1/invoke-async", `{"Records":2}`); res.StatusCode != 202 || body != "" {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	got := map[string]bool{<-all: true, <-all: true}
	if diff := cmp.Diff(map[string]bool{`{"Records":1}`: true, `{"Records":2}`: true}, got); diff != "" {
		t.Error(diff)
	}
	if res, _ := w.call("POST", "/2015-03-31/functions/nope/invocations", `{}`, "X-Amz-Invocation-Type", "Event"); res.StatusCode != 404 {
		t.Errorf("a function that is not there: %d", res.StatusCode)
	}
}

func TestFailedEventsAreTriedAgainAndTold(t *testing.T) {
	for _, tc := range []struct {
		name  string
		async *sluice.AsyncCalls
		fails bool
		tries int
		told  bool
	}{
		{"by default", nil, true, 3, false},
		{"as configured", &sluice.AsyncCalls{Retries: 1, OnFailure: "arn:aws:lambda:us-east-1:000000000000:function:told"}, true, 2, true},
		{"not at all", &sluice.AsyncCalls{Retries: 0, OnFailure: "told", OnSuccess: "nobody"}, true, 1, true},
		{"success", &sluice.AsyncCalls{Retries: 0, OnFailure: "nobody", OnSuccess: "told"}, false, 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, all := heard(t, func(string) (int, string) {
				if tc.fails {
					return 500, ""
				}
				return 200, `{"well":"done"}`
			})
			w := withFunction(t, func(f *sluice.Function) { f.Env, f.Async = map[string]string{"EAR": url}, tc.async })
			w.deploy("chat", sluice.Function{Name: "told"})
			w.call("POST", invocations, `{"Records":1}`, "X-Amz-Invocation-Type", "Event")
			for range tc.tries {
				<-all
			}
			if !tc.told {
				return
			}
			w.until("the destination is told", func() bool {
				s, _ := w.functions.Status("chat", "told")
				return s.Stats.Invocations == 1
			})
		})
	}
}

func TestDestinationRecords(t *testing.T) {
	w := withFunction(t, func(f *sluice.Function) {
		f.Async = &sluice.AsyncCalls{OnFailure: "F", OnSuccess: "F"}
	})
	v, _ := w.functions.Version("chat", "F")
	for name, tc := range map[string]struct {
		failure *sluice.Failure
		gaveUp  string
		want    string
	}{
		"success": {nil, "", `{"version":"1.0","requestContext":{"requestId":"R","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:stack-f-1:$LATEST","condition":"Success","approximateInvokeCount":1},"requestPayload":{"a":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":"ok"}`},
		"failure": {&sluice.Failure{Kind: sluice.Handled, Type: "E", Message: "m"}, "RetriesExhausted", `{"version":"1.0","requestContext":{"requestId":"R","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:stack-f-1:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":1},"requestPayload":{"a":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorType":"E","errorMessage":"m"}}`},
	} {
		calls := w.lambda.destinations(try(v, tc.failure), tc.gaveUp)
		if len(calls) != 1 || calls[0].Function != "F" {
			t.Fatalf("%s: %+v", name, calls)
		}
		var got, want map[string]any
		json.Unmarshal(calls[0].Payload, &got)
		json.Unmarshal([]byte(tc.want), &want)
		if at, err := time.Parse("2006-01-02T15:04:05.000Z", got["timestamp"].(string)); err != nil || time.Since(at) > time.Minute {
			t.Errorf("%s: %v %v", name, at, err)
		}
		delete(got, "timestamp")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func try(v *function.Version, failed *sluice.Failure) *function.Try {
	return &function.Try{Call: sluice.Invocation{RequestID: "R", Payload: []byte(`{"a":1}`)}, Version: v, Tries: 1, Result: sluice.Result{Payload: []byte(`"ok"`), Failure: failed}}
}

// readEvents takes a response stream apart.
func readEvents(t *testing.T, b []byte) (events [][2]string) {
	t.Helper()
	for len(b) > 0 {
		n, h := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if crc32.ChecksumIEEE(b[:8]) != binary.BigEndian.Uint32(b[8:]) || crc32.ChecksumIEEE(b[:n-4]) != binary.BigEndian.Uint32(b[n-4:]) {
			t.Fatal("a checksum is wrong")
		}
		headers := map[string]string{}
		for head := b[12 : 12+h]; len(head) > 0; {
			name := string(head[1 : 1+head[0]])
			head = head[1+head[0]:]
			size := binary.BigEndian.Uint16(head[1:])
			headers[name] = string(head[3 : 3+size])
			head = head[3+size:]
		}
		if headers[":message-type"] != "event" {
			t.Errorf("%v", headers)
		}
		events = append(events, [2]string{headers[":event-type"], string(b[12+h : n-4])})
		b = b[n:]
	}
	return events
}

func TestResponseStreams(t *testing.T) {
	w := withFunction(t)
	const path = "/2021-11-15/functions/stack-f-1/response-streaming-invocations"
	for call, want := range map[string][][2]string{
		`{"do":"stream","text":"a|b"}`: {{"PayloadChunk", "ab"}, {"InvokeComplete", "{}"}},
		`{"do":"head","text":"hi"}`:    {{"PayloadChunk", `{"statusCode":201,"headers":{"a":"b"}}` + strings.Repeat("\x00", 8) + "hi"}, {"InvokeComplete", "{}"}},
		`{"do":"broken"}`:              {{"PayloadChunk", "some"}, {"InvokeComplete", `{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorMessage\":\"late\"}"}`}},
		`{"do":"fail"}`:                {{"InvokeComplete", `{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorMessage\":\"it failed\",\"errorType\":\"Custom\",\"stackTrace\":[\"x\"]}"}`}},
		`{"do":"nothing"}`:             {{"PayloadChunk", "null"}, {"InvokeComplete", "{}"}},
	} {
		res, body := w.call("POST", path, call)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" || res.Header.Get("X-Amz-Executed-Version") != "$LATEST" {
			t.Errorf("%s: %d %v", call, res.StatusCode, res.Header)
		}
		got := readEvents(t, []byte(body))
		for len(got) > 2 { // it may come in pieces
			got[1][1] = got[0][1] + got[1][1]
			got = got[1:]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", call, diff)
		}
	}
	_, body := w.call("POST", path, `{"do":"big","n":150000}`, "X-Amz-Log-Type", "Tail")
	events := readEvents(t, []byte(body))
	if len(events) != 4 || len(events[0][1])+len(events[1][1])+len(events[2][1]) != 150000 || !strings.Contains(events[3][1], `"LogResult":"`) {
		t.Errorf("%d events", len(events))
	}
	if res, _ := w.call("POST", path, `{}`, "X-Amz-Invocation-Type", "DryRun"); res.StatusCode != 204 {
		t.Errorf("dry: %d", res.StatusCode)
	}
	if res, _ := w.call("POST", path, `no`); res.StatusCode != 400 {
		t.Errorf("no JSON: %d", res.StatusCode)
	}
}

func TestParseName(t *testing.T) {
	for text, want := range map[string][2]string{
		"f": {"f", ""}, "f:live": {"f", "live"}, "f:$LATEST": {"f", "$LATEST"}, "000000000000:function:f": {"f", ""}, "000000000000:function:f:2": {"f", "2"},
		"arn:aws:lambda:us-east-1:000000000000:function:f": {"f", ""}, "arn:aws-cn:lambda:cn-north-1:000000000000:function:f:a_b": {"f", "a_b"}, "function:f": {"f", ""},
		"": {}, "a.b": {}, "f:": {}, "f:a:b": {}, "arn:aws:s3:::b": {}, "f:$OLDEST": {},
	} {
		name, qualifier, ok := ParseName(text)
		if [2]string{name, qualifier} != want || ok != (want != [2]string{}) {
			t.Errorf("%q: %q %q %v", text, name, qualifier, ok)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST")
	f.Fuzz(func(t *testing.T, text string) {
		name, qualifier, ok := ParseName(text)
		if !ok {
			return
		}
		again := "000000000000:function:" + name
		if qualifier != "" {
			again += ":" + qualifier
		}
		if n, q, ok := ParseName(again); !ok || n != name || q != qualifier {
			t.Errorf("%q: %q %q", text, n, q)
		}
	})
}

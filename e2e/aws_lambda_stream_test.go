package e2e

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// streamingCode says one thing, and the other when somebody has opened the gate that its event names.
const streamingCode = `
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  const gate = event.gate || event.queryStringParameters.gate
  out = awslambda.HttpResponseStream.from(out, { statusCode: 202, headers: { 'X-Made-By': 'hand', 'Content-Type': 'text/event-stream' }, cookies: ['a=b; Secure', 'c=d'] })
  out.write('data: one\n\n')
  await fetch(process.env.GATES + '/wait/' + gate)
  if (event.fail) throw new RangeError('told to')
  out.write('data: two\n\n')
  out.end()
})
`

// newGates serves /wait/{gate}, which is answered when somebody has asked for /open/{gate}.
func newGates(t *testing.T) string {
	var mu sync.Mutex
	gates := map[string]chan struct{}{}
	gate := func(r *http.Request) chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		name := r.PathValue("gate")
		if gates[name] == nil {
			gates[name] = make(chan struct{})
		}
		return gates[name]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/wait/{gate}", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate(r):
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/open/{gate}", func(_ http.ResponseWriter, r *http.Request) { close(gate(r)) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// streams makes a function that streams, with an address, for all clients; its host is returned, and where
// its gates are.
func streams(t *testing.T, c *lambda.Client) (host, gates string) {
	t.Helper()
	ctx, name := t.Context(), aws.String("streams")
	gates = newGates(t)
	_, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: aws.String(lambdaRole), Runtime: types.RuntimeNodejs20x, Handler: aws.String("index.handler"),
		Code: &types.FunctionCode{ZipFile: zipped(t, map[string]string{"index.js": streamingCode})}, Timeout: aws.Int32(60), Environment: &types.Environment{Variables: map[string]string{"GATES": gates}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(c, func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = time.Millisecond }).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	address, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: name, AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: types.InvokeModeResponseStream})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(*address.FunctionUrl, "https://"), "/"), gates
}

// streamsGo reads answers of that function while they are made, through the SDK and at its address.
func streamsGo(t *testing.T, c *lambda.Client, public, host, gates string) {
	open := func(gate string) {
		t.Helper()
		res, err := http.Get(gates + "/open/" + gate)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	for _, tc := range []struct{ gate, event, text, code string }{
		{"go", `{"gate":"go"}`, "data: one\n\ndata: two\n\n", ""},
		{"go-fail", `{"gate":"go-fail","fail":true}`, "data: one\n\n", "Unhandled"},
	} {
		out, err := c.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("streams"), Payload: []byte(tc.event), LogType: types.LogTypeTail})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		var end types.InvokeWithResponseStreamCompleteEvent
		opened := false
		for e := range out.GetStream().Events() {
			switch e := e.(type) {
			case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
				text.Write(e.Value.Payload)
				if !opened && strings.Contains(text.String(), "one\n\n") {
					opened = true
					open(tc.gate)
				}
			case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
				end = e.Value
			}
		}
		head, body, _ := strings.Cut(text.String(), strings.Repeat("\x00", 8))
		if err := out.GetStream().Err(); err != nil || body != tc.text || !strings.HasPrefix(head, `{"statusCode":202,`) || aws.ToString(end.ErrorCode) != tc.code || aws.ToString(end.LogResult) == "" || *out.ExecutedVersion != "$LATEST" {
			t.Errorf("%s: %q %q %+v, %v", tc.gate, head, body, end, err)
		}
		if tc.code != "" && !strings.Contains(aws.ToString(end.ErrorDetails), `"errorType":"RangeError"`) {
			t.Error(aws.ToString(end.ErrorDetails))
		}
	}

	req, err := http.NewRequestWithContext(t.Context(), "GET", public+"/?gate=go-url", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 202 || res.Header.Get("X-Made-By") != "hand" || res.Header.Get("Content-Type") != "text/event-stream" || strings.Join(res.Header["Set-Cookie"], "|") != "a=b; Secure|c=d" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	body := bufio.NewReader(res.Body)
	if line, err := body.ReadString('\n'); line != "data: one\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	open("go-url")
	if rest, err := io.ReadAll(body); string(rest) != "\ndata: two\n\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

package websocket

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// withIntegration puts an integration behind a route.
func withIntegration(key string, twoWay bool, in apispec.Integration) func(*apispec.API) {
	return onRoute(key, func(r *apispec.Route, a *apispec.API) {
		in.ID = "in" + key
		a.Current.Integrations = append(a.Current.Integrations, in)
		r.Integration = in.ID
		if twoWay {
			r.Responses = []string{"$default"}
		}
	})
}

func dynamoURI(action string) string {
	return "arn:aws:apigateway:us-east-1:dynamodb:action/" + action
}

func TestATableKeepsConnectionsWithoutAFunction(t *testing.T) {
	var got []string
	f := &rooms{call: func(service, action string, body []byte) (int, []byte, error) {
		got = append(got, service+":"+action+" "+string(body))
		return 200, []byte(`{}`), nil
	}}
	s := deploy(t, f, Options{}, chat(
		withIntegration("$connect", false, apispec.Integration{Type: "AWS", URI: dynamoURI("PutItem"), TemplateSelection: `\$default`, RequestTemplates: map[string]string{
			"$default": "#set($ttl = $context.requestTimeEpoch + 86400)\n{\"TableName\":\"$stageVariables.table\",\"Item\":{\"id\":{\"S\":\"$context.connectionId\"},\"ip\":{\"S\":\"$context.identity.sourceIp\"},\"who\":{\"S\":\"$util.urlEncode($input.params('user'))\"},\"ua\":{\"S\":\"$input.params().header.get('User-Agent')\"},\"ttl\":{\"N\":\"$ttl\"}}}",
		}, Responses: []apispec.IntegrationResponse{{Key: "/200/"}}}),
		withIntegration("$disconnect", false, apispec.Integration{Type: "AWS", URI: dynamoURI("DeleteItem"), RequestTemplates: map[string]string{
			`\$default`: `{"TableName":"t","Key":{"id":{"S":"$context.connectionId"}},"why":"$context.disconnectStatusCode $context.eventType"}`,
		}, TemplateSelection: `\$default`}),
		func(a *apispec.API) { a.Stages[0].Variables = map[string]string{"table": "conns"} },
	))
	h := handshake()
	h.RawQuery = "user=a%26b"
	if r := s.connect(h); r.Refuse != nil {
		t.Error(shown(r.Refuse))
	}
	ev := s.event(sluice.Close)
	ev.Cause, ev.Code = sluice.ClientClose, 1001
	s.stage().Handle(t.Context(), ev)
	want := []string{
		`dynamodb:PutItem {"TableName":"conns","Item":{"id":{"S":"RYGzEQEAAAAAAAA="},"ip":{"S":"192.0.2.1"},"who":{"S":"a%26b"},"ua":{"S":"Mozilla/5.0"},"ttl":{"N":"1707502389820"}}}`,
		`dynamodb:DeleteItem {"TableName":"t","Key":{"id":{"S":"RYGzEQEAAAAAAAA="}},"why":"1001 DISCONNECT"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestServicesThatRefuse(t *testing.T) {
	refuses := func(string, string, []byte) (int, []byte, error) {
		return 400, []byte(`{"__type":"x#ConditionalCheckFailedException","message":"The conditional request failed"}`), nil
	}
	broken := func(string, string, []byte) (int, []byte, error) { return 0, nil, errors.New("no table room") }
	responses := []apispec.IntegrationResponse{
		{Key: `/2\d\d/`, Templates: map[string]string{"$default": "done"}},
		{Key: `/4\d\d/`, Templates: map[string]string{"$default": `{"failed":"$input.path('$.message')","of":"$context.routeKey"}`}, TemplateSelection: `\$default`},
	}
	for _, tc := range []struct {
		name      string
		call      func(string, string, []byte) (int, []byte, error)
		responses []apispec.IntegrationResponse
		twoWay    bool
		say       string
		connect   int
	}{
		{"translated", refuses, responses, true, `{"failed":"The conditional request failed","of":"put"}`, 400},
		{"translated for nobody", refuses, responses, false, "", 400},
		{"not translated", refuses, nil, true, "Internal server error", 400},
		{"not translated for anybody", refuses, nil, false, "Internal server error", 400},
		{"no answer", broken, responses, true, "Internal server error", 500},
	} {
		in := apispec.Integration{Type: "AWS", URI: dynamoURI("PutItem"), Responses: tc.responses}
		s := deploy(t, &rooms{call: tc.call}, Options{}, chat(withIntegration("put", tc.twoWay, in), withIntegration("$connect", false, in)))
		if got := s.say(`{"action":"put"}`); got != tc.say && (tc.say != "Internal server error" || !strings.Contains(got, tc.say)) {
			t.Errorf("%s: %q", tc.name, got)
		}
		if r := s.connect(handshake()); r.Refuse == nil || r.Refuse.Status != tc.connect {
			t.Errorf("%s: %s", tc.name, shown(r.Refuse))
		}
	}
}

func TestFunctionsBehindTemplates(t *testing.T) {
	var got string
	result := func(string, []byte) (sluice.Result, error) { return answers(`{"sum":[1,2.50]}`)("", nil) }
	f := &rooms{invoke: func(arn string, payload []byte) (sluice.Result, error) {
		got = string(payload)
		return result(arn, payload)
	}}
	s := deploy(t, f, Options{}, chat(withIntegration("add", true, apispec.Integration{
		Type: "AWS", URI: lambdaURI("fn"), TemplateSelection: "$request.body.kind",
		RequestTemplates: map[string]string{
			"json":     `{"from":$input.json('$.from'),"all":$input.json('$'),"no":$input.json('$.no')}`,
			"$default": `{"text":"$util.escapeJavaScript($input.body).replaceAll("\\'","'")"}`,
		},
		Responses: []apispec.IntegrationResponse{
			{Key: "$default", Templates: map[string]string{"200": `{"r":$input.json('$.sum[1]'),"c":"$context.connectionId"}`}, TemplateSelection: "${integration.response.statuscode}"},
			{Key: ".*not found.*", Templates: map[string]string{"$default": `$input.path('$.errorMessage')!`}},
		},
	})))
	if out := s.say(`{"action":"add","kind":"json","from":{"b":1,"a":[true]}}`); out != `{"r":2.50,"c":"RYGzEQEAAAAAAAA="}` || got != `{"from":{"b":1,"a":[true]},"all":{"action":"add","kind":"json","from":{"b":1,"a":[true]}},"no":""}` {
		t.Errorf("%s: %s", got, out)
	}
	if s.say(`{"action":"add","it":"'s"}`); got != `{"text":"{\"action\":\"add\",\"it\":\"'s\"}"}` {
		t.Errorf("default: %s", got)
	}
	result = fails("item not found")
	if out := s.say(`{"action":"add"}`); out != "item not found!" {
		t.Errorf("failure: %s", out)
	}
	result = fails("other")
	if out := s.say(`{"action":"add"}`); out != `{"errorMessage":"other","errorType":"Error"}` {
		t.Errorf("another failure goes to $default: %s", out)
	}
}

// A function is called as an event when a parameter asks for that, and nobody waits for it.
func TestFunctionsThatAreCalledLater(t *testing.T) {
	add := func(parameter string) func(*apispec.API) {
		return withIntegration("add", false, apispec.Integration{Type: "AWS", URI: lambdaURI("fn"), RequestTemplates: map[string]string{"$default": `{"id":"$context.connectionId"}`},
			TemplateSelection: `\$default`, RequestParameters: map[string]string{"integration.request.header.X-Amz-Invocation-Type": parameter}})
	}
	called := 0
	f := &rooms{later: []string{}, invoke: func(string, []byte) (sluice.Result, error) { called++; return ok("", nil) }}
	for _, tc := range []struct {
		parameter     string
		called, later int
	}{{"'Event'", 0, 1}, {"'RequestResponse'", 1, 1}, {"route.request.body.how", 1, 2}} {
		if out := deploy(t, f, Options{}, chat(add(tc.parameter))).say(`{"action":"add","how":"Event"}`); out != "" || called != tc.called || len(f.later) != tc.later {
			t.Errorf("%s: %q, called %d times, later %q", tc.parameter, out, called, f.later)
		}
	}
	if f.later[0] != `{"id":"RYGzEQEAAAAAAAA="}` {
		t.Error(f.later)
	}
	s := deploy(t, &rooms{}, Options{}, chat(add("'Event'")))
	if out := s.say(`{"action":"add"}`); !strings.Contains(out, "Internal server error") {
		t.Errorf("without a queue: %q", out)
	}
}

func TestPassthrough(t *testing.T) {
	for _, tc := range []struct {
		behaviour string
		templates map[string]string
		passes    bool
	}{
		{"", nil, true}, {"WHEN_NO_MATCH", map[string]string{"x": "t"}, true}, {"WHEN_NO_TEMPLATES", nil, true},
		{"WHEN_NO_TEMPLATES", map[string]string{"x": "t"}, false}, {"NEVER", nil, false}, {"NEVER", map[string]string{"x": "t"}, false},
	} {
		got := ""
		s := deploy(t, &rooms{invoke: func(_ string, p []byte) (sluice.Result, error) { got = string(p); return sluice.Result{}, nil }}, Options{},
			chat(withIntegration("add", false, apispec.Integration{Type: "AWS", URI: lambdaURI("fn"), PassthroughBehaviour: tc.behaviour, RequestTemplates: tc.templates, TemplateSelection: "none"})))
		out := s.say(`{"action":"add"}`)
		if (got == `{"action":"add"}`) != tc.passes || strings.Contains(out, "Internal server error") == tc.passes {
			t.Errorf("%+v: %q %q", tc, got, out)
		}
	}
}

func TestMock(t *testing.T) {
	s := deploy(t, &rooms{}, Options{}, chat(
		withIntegration("$connect", false, apispec.Integration{Type: "MOCK"}),
		withIntegration("ping", true, apispec.Integration{Type: "MOCK", TemplateSelection: "200", RequestTemplates: map[string]string{"200": `{"statusCode": 201}`},
			Responses: []apispec.IntegrationResponse{
				{Key: "$default", Templates: map[string]string{"$default": "no"}},
				{Key: "/201/", Templates: map[string]string{"$default": `pong $context.connectionId`}},
			}}),
		withIntegration("broken", true, apispec.Integration{Type: "MOCK", RequestTemplates: map[string]string{"$default": `no JSON`}}),
	))
	if r := s.connect(handshake()); r.Refuse != nil {
		t.Error(shown(r.Refuse))
	}
	if got := s.say(`{"action":"ping"}`); got != "pong RYGzEQEAAAAAAAA=" {
		t.Error(got)
	}
	if got := s.say(`{"action":"broken"}`); !strings.Contains(got, "Internal server error") {
		t.Error(got)
	}
	refuses := deploy(t, &rooms{}, Options{}, chat(withIntegration("$connect", false, apispec.Integration{Type: "MOCK", RequestTemplates: map[string]string{"$default": `{"statusCode":403}`}})))
	if r := refuses.connect(handshake()); r.Refuse == nil || r.Refuse.Status != 403 {
		t.Error(shown(r.Refuse))
	}
}

func TestHTTPBackends(t *testing.T) {
	var got []string
	status, answer := 200, "pong"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.String()+" "+r.Header.Get("Connectionid")+" "+r.Header.Get("X-All")+" "+r.Header.Get("Content-Type")+" "+string(b))
		w.Header().Set("X-Proto", "v2")
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	base := apispec.Integration{URI: "${stageVariables.backend}/say/{who}?fixed=1", Method: "POST", RequestParameters: map[string]string{
		"integration.request.header.connectionId": "context.connectionId",
		"integration.request.header.X-All":        "'static'",
		"integration.request.querystring.room":    "route.request.body.room",
		"integration.request.path.who":            "stageVariables.who",
		"integration.request.querystring.nope":    "route.request.body.nope",
	}}
	proxy, custom, hello := base, base, base
	proxy.Type, custom.Type, hello.Type = "HTTP_PROXY", "HTTP", "HTTP_PROXY"
	custom.RequestTemplates = map[string]string{"$default": `{"said":$input.json('$.text')}`}
	custom.Responses = []apispec.IntegrationResponse{{Key: `/5\d\d/`, Templates: map[string]string{"$default": "sorry"}}, {Key: "$default"}}
	hello.Method = "GET"
	hello.RequestParameters = map[string]string{"integration.request.header.X-All": "route.request.multivalueheader.x-many", "integration.request.querystring.q": "route.request.querystring.q", "integration.request.path.who": "'a b'"}
	hello.Responses = []apispec.IntegrationResponse{{Key: "$default", Parameters: map[string]string{"route.response.header.Sec-WebSocket-Protocol": "integration.response.header.X-Proto"}}}
	s := deploy(t, &rooms{}, Options{}, chat(
		withIntegration("proxy", true, proxy), withIntegration("custom", true, custom), withIntegration("$connect", false, hello),
		func(a *apispec.API) { a.Stages[0].Variables = map[string]string{"backend": srv.URL, "who": "ann"} },
	))
	if out := s.say(`{"action":"proxy","room":"r 1"}`); out != "pong" {
		t.Error(out)
	}
	if out := s.say(`{"action":"custom","text":"hi"}`); out != "pong" {
		t.Error(out)
	}
	status = 503
	if out := s.say(`{"action":"custom"}`); out != "sorry" {
		t.Error(out)
	}
	if out := s.say(`{"action":"proxy"}`); out != "pong" {
		t.Error("an answer of HTTP_PROXY goes out as it is: " + out)
	}
	h := handshake("X-Many", "1", "X-Many", "2")
	h.RawQuery = "q=7"
	if r := s.connect(h); r.Refuse == nil || r.Refuse.Status != 503 {
		t.Error(shown(r.Refuse))
	}
	status = 204
	if r := s.connect(h); r.Refuse != nil || r.Subprotocol != "v2" {
		t.Errorf("%s %+v", shown(r.Refuse), r)
	}
	want := []string{
		`POST /say/ann?fixed=1&room=r+1 RYGzEQEAAAAAAAA= static application/json {"action":"proxy","room":"r 1"}`,
		`POST /say/ann?fixed=1 RYGzEQEAAAAAAAA= static application/json {"said":"hi"}`,
		`POST /say/ann?fixed=1 RYGzEQEAAAAAAAA= static application/json {"said":""}`,
		`POST /say/ann?fixed=1 RYGzEQEAAAAAAAA= static application/json {"action":"proxy"}`,
		`GET /say/a%20b?fixed=1&q=7  1 application/json `,
		`GET /say/a%20b?fixed=1&q=7  1 application/json `,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	srv.Close()
	if out := s.say(`{"action":"proxy"}`); !strings.Contains(out, "Internal server error") {
		t.Error(out)
	}
}

func TestIntegrationsThatCannotBe(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		in         apispec.Integration
	}{
		{"a queue", "not supported", apispec.Integration{Type: "AWS", URI: "arn:aws:apigateway:us-east-1:sqs:path/000000000000/q"}},
		{"a topic", "not supported", apispec.Integration{Type: "AWS", URI: "arn:aws:apigateway:us-east-1:sns:action/Publish"}},
		{"no address", "HTTP address", apispec.Integration{Type: "HTTP_PROXY", URI: "ftp://x"}},
		{"a table by proxy", "functions only", apispec.Integration{Type: "AWS_PROXY", URI: dynamoURI("PutItem")}},
		{"no URI", "without a URI", apispec.Integration{Type: "AWS_PROXY"}},
		{"a type", "unknown", apispec.Integration{Type: "GRPC"}},
		{"a template", "template, line 2", apispec.Integration{Type: "MOCK", RequestTemplates: map[string]string{"$default": "{\n#if($x)"}}},
		{"a parameter", "cannot be set", apispec.Integration{Type: "MOCK", RequestParameters: map[string]string{"integration.request.cookie.x": "'y'"}}},
		{"a parameter's source", "is unknown", apispec.Integration{Type: "MOCK", RequestParameters: map[string]string{"integration.request.header.x": "method.request.x"}}},
		{"a response", "integration response", apispec.Integration{Type: "MOCK", Responses: []apispec.IntegrationResponse{{Key: "/(/"}}}},
		{"an expression", "closing brace", apispec.Integration{Type: "MOCK", TemplateSelection: "${x"}},
	} {
		a := New(Options{Functions: &rooms{}, Services: &rooms{}, Sockets: &rooms{}})
		_, err := a.App(appOf(t, "chat", chat(withIntegration("x", false, tc.in))))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "API Chat: route x: ") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestModels(t *testing.T) {
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(withModel))
	for text, good := range map[string]bool{
		`{"action":"sendmessage","data":"hello"}`: true,
		`{"action":"sendmessage","data":"h"}`:     false,
		`{"action":"sendmessage","data":7}`:       false,
		`{"action":"sendmessage"}`:                false,
	} {
		if got := s.say(text); (got == "") != good {
			t.Errorf("%s: %s", text, got)
		}
	}
	off := deploy(t, &rooms{invoke: ok}, Options{}, chat(withModel, func(a *apispec.API) { a.DisableSchemaValidation = true }))
	if got := off.say(`{"action":"sendmessage"}`); got != "" {
		t.Error(got)
	}
}

func TestThrottlesOfRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := deploy(t, &rooms{invoke: ok}, Options{Now: time.Now}, chat(func(a *apispec.API) {
			a.Stages[0].Default = &apispec.RouteSettings{Rate: 2, Burst: 3}
			a.Stages[0].Settings = map[string]apispec.RouteSettings{"ask": {Rate: 1000, Burst: 1000}}
		}))
		count := func(text string) (through int) {
			for range 10 {
				if !strings.Contains(s.say(text), "Too Many Requests") {
					through++
				}
			}
			return through
		}
		if n := count(`{"action":"sendmessage"}`); n != 3 {
			t.Errorf("burst of 3: %d", n)
		}
		time.Sleep(time.Second)
		if n := count(`{"action":"sendmessage"}`); n != 2 {
			t.Errorf("2 a second: %d", n)
		}
		if n := count(`{"action":"ask"}`); n != 10 {
			t.Errorf("its own settings: %d", n)
		}
	})
}

// passthroughTemplate is the one that AWS's console offers, in short.
const passthroughTemplate = `#set($allParams = $input.params())
{
"body-json" : $input.json('$'),
"params" : {
#foreach($type in $allParams.keySet())
    #set($params = $allParams.get($type))
"$type" : {
    #foreach($paramName in $params.keySet())
    "$paramName" : "$util.escapeJavaScript($params.get($paramName))"
        #if($foreach.hasNext),#end
    #end
}
    #if($foreach.hasNext),#end
#end
},
"stage-variables" : {
#foreach($key in $stageVariables.keySet())
"$key" : "$util.escapeJavaScript($stageVariables.get($key))"
    #if($foreach.hasNext),#end
#end
},
"context" : {
    "account-id" : "$context.identity.accountId",
    "principal" : "$context.authorizer.principalId",
    "stage" : "$context.stage",
    "variable" : "$stageVariables['a']",
    "source-ip" : "$context.identity.sourceIp"
    }
}
`

func TestTheConsolesTemplate(t *testing.T) {
	got := ""
	f := &rooms{invoke: func(_ string, p []byte) (sluice.Result, error) { got = string(p); return sluice.Result{}, nil }}
	s := deploy(t, f, Options{}, chat(
		withIntegration("x", false, apispec.Integration{Type: "AWS", URI: lambdaURI("fn"), RequestTemplates: map[string]string{"$default": passthroughTemplate}}),
		func(a *apispec.API) { a.Stages[0].Variables = map[string]string{"a": "it's /x"} },
	))
	if out := s.say(`{"action":"x"}`); out != "" {
		t.Fatal(out)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, []byte(strings.ReplaceAll(got, `\'`, "'"))); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	const want = `{"body-json":{"action":"x"},"params":{"path":{},"querystring":{},"header":{}},"stage-variables":{"a":"it's \/x"},"context":{"account-id":"","principal":"","stage":"prod","variable":"it's /x","source-ip":"192.0.2.1"}}`
	if diff := cmp.Diff(want, flat.String()); diff != "" {
		t.Error(diff)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"statusCode":"200","headers":{"Sec-WebSocket-Protocol":7},"multiValueHeaders":{"sec-websocket-protocol":[]},"body":"aGk=","isBase64Encoded":true}`))
	f.Add([]byte(verdictOf("Allow", "*", `,"context":{"a":1,"b":null,"c":"x"},"usageIdentifierKey":"k"`)))
	for _, s := range []string{`{"StatusCode":200,"BODY":"a\u00e9\n"}`, `{"statusCode":200,"body":7}`, `{"statusCode":200,"isBase64Encoded":"true"}`, `{"statusCode":200,"headers":"x"}`, `{"statusCode":200} x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := proxyAnswer(b)
		if err == nil && a.binary && len(a.body) == 0 {
			t.Fatal("bytes, but none")
		}
		var slow struct { // the same, read by encoding/json
			StatusCode      json.RawMessage
			Headers         map[string]json.RawMessage
			MultiHeader     map[string][]string `json:"multiValueHeaders"`
			Body            *string
			IsBase64Encoded bool
		}
		bad := json.Unmarshal(b, &slow)
		status, none := strconv.Atoi(strings.Trim(string(slow.StatusCode), `"`))
		body := ""
		if slow.Body != nil {
			body = *slow.Body
		}
		if bad == nil && none == nil && !slow.IsBase64Encoded && (err != nil || a.status != status || string(a.body) != body) {
			t.Errorf("%s: %d %q %v, want %d %q", b, a.status, a.body, err, status, body)
		}
		if v, err := readVerdict(b); err == nil && !json.Valid([]byte(v.context(7))) {
			t.Fatal(v.context(7))
		}
	})
}

func FuzzPlaces(f *testing.F) {
	s := deploy(f, &rooms{}, Options{}, chat(func(a *apispec.API) {
		a.Mappings = []apispec.Mapping{{Domain: "ws.example.com", Path: "a/b", Stage: "prod"}, {Domain: "ws.example.com", Stage: "gone"}}
	}))
	f.Add("abcd123456.execute-api.localhost:80", "/prod/@connections/x")
	f.Add("ws.example.com", "/a//b/")
	f.Add("[::1]:8080", "/_aws/ws/abcd123456")
	f.Fuzz(func(t *testing.T, host, path string) {
		got := s.find(host, strings.Split(path, "/"))
		if got.stage != nil && got.stage.api != got.api {
			t.Fatal("a stage of another API")
		}
	})
}

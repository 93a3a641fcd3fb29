package websocket

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// ok is a function that accepts everything and answers "pong".
var ok = answers(`{"statusCode":200,"body":"pong"}`)

func limited(rate float64, burst int) func(*apispec.API) {
	return func(a *apispec.API) { a.Stages[0].Default = &apispec.RouteSettings{Rate: rate, Burst: burst} }
}

func TestErrorFramesAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const to = `{"action":"sendmessage"}`
		const ask = `{"action":"ask"}`
		names := []string{}
		got := map[string]string{}
		add := func(name string, f *rooms, say string, change ...func(*apispec.API)) {
			s := deploy(t, f, Options{Now: time.Now}, chat(change...))
			if strings.Contains(name, "second") {
				s.say(say)
			}
			names = append(names, name)
			got[name] = s.say(say)
		}
		add("no route", &rooms{invoke: ok}, `{"action":"nope"}`)
		add("not JSON", &rooms{invoke: ok}, `hello`)
		add("JSON with garbage", &rooms{invoke: ok}, to+"x")
		add("nothing", &rooms{invoke: ok}, ``)
		add("a route of the gateway's own", &rooms{invoke: ok}, `{"action":"$connect"}`)
		add("function failed", &rooms{invoke: fails("boom")}, to)
		add("function failed, two-way", &rooms{invoke: fails("boom")}, ask)
		add("function not reached", &rooms{invoke: unreachable}, to)
		add("malformed answer, two-way", &rooms{invoke: answers(`"text"`)}, ask)
		add("no statusCode, two-way", &rooms{invoke: answers(`{"body":"x"}`)}, ask)
		add("body that is no text, two-way", &rooms{invoke: answers(`{"statusCode":200,"body":{"a":1}}`)}, ask)
		add("answer too long, two-way", &rooms{invoke: answers(`{"statusCode":200,"body":"` + strings.Repeat("x", DefaultMaxMessage+1) + `"}`)}, ask)
		add("timeout", &rooms{invoke: ok, slow: 30 * time.Second}, to)
		add("timeout of its own", &rooms{invoke: ok, slow: time.Second}, to, func(a *apispec.API) { a.Current.Integrations[0].TimeoutMS = 50 })
		add("throttled, the second message", &rooms{invoke: ok}, to, limited(0.1, 1))
		add("not what the model says", &rooms{invoke: ok}, to, withModel)
		put := apispec.Integration{Type: "AWS", URI: dynamoURI("PutItem")}
		wrote := func(string, string, []byte) (int, []byte, error) { return 200, []byte(`{}`), nil }
		refused := func(string, string, []byte) (int, []byte, error) { return 400, []byte(`{}`), nil }
		add("no integration response, one-way", &rooms{call: wrote}, to, withIntegration("sendmessage", false, put))
		add("no integration response, two-way", &rooms{call: wrote}, to, withIntegration("sendmessage", true, put))
		add("no integration response, one-way, refused", &rooms{call: refused}, to, withIntegration("sendmessage", false, put))
		never := put
		never.PassthroughBehaviour = "NEVER"
		add("no request template", &rooms{call: wrote}, to, withIntegration("sendmessage", false, never))
		add("a route without integration", &rooms{invoke: ok}, to, onRoute("sendmessage", func(r *apispec.Route, _ *apispec.API) { r.Integration = "" }))
		golden(t, "frames.txtar", names, got)
	})
}

// withModel asks for data in messages.
func withModel(a *apispec.API) {
	r := a.Current.Route("sendmessage")
	r.ModelSelectionExpression = `\$default`
	r.RequestModels = map[string]string{"$default": "m"}
	a.Current.Models = []apispec.Model{
		{Name: "m", Schema: `{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","required":["data"],"properties":{"data":{"$ref":"https://apigateway.amazonaws.com/restapis/abcd123456/models/text"}}}`},
		{Name: "text", Schema: `{"type":"string","minLength":2}`},
	}
}

func TestOneWayRoutesSayNothing(t *testing.T) {
	for _, payload := range []string{`{"statusCode":200,"body":"x"}`, `{"statusCode":500,"body":"stack"}`, `{"statusCode":"404"}`} {
		s := deploy(t, &rooms{invoke: answers(payload)}, Options{}, chat())
		if got := s.say(`{"action":"sendmessage"}`); got != "" {
			t.Errorf("%s: %q", payload, got)
		}
	}
}

func TestTwoWayRoutesSendTheBody(t *testing.T) {
	for _, tc := range []struct{ payload, want string }{
		{`{"statusCode":200,"body":"pong"}`, "pong"},
		{`{"statusCode":500,"body":"sorry"}`, "sorry"},
		{`{"statusCode":"200","headers":{"a":1},"multiValueHeaders":{"b":["c"]},"body":"x"}`, "x"},
		{`{"statusCode":200,"body":""}`, ""},
		{`{"statusCode":200,"body":null}`, ""},
		{`{"statusCode":200}`, ""},
		{`{"statusCode":200,"body":"aMOp","isBase64Encoded":true}`, "hé"},
	} {
		s := deploy(t, &rooms{invoke: answers(tc.payload)}, Options{}, chat())
		if got := s.say(`{"action":"ask"}`); got != tc.want {
			t.Errorf("%s: %q", tc.payload, got)
		}
	}
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(onRoute("sendmessage", func(r *apispec.Route, _ *apispec.API) { r.ResponseSelection = "$default" })))
	if got := s.say(`{"action":"sendmessage"}`); got != "pong" {
		t.Errorf("a selection expression without a route response: %q", got)
	}
}

func TestAnswersThatAreMalformed(t *testing.T) {
	for _, payload := range []string{
		``, `null`, `7`, `"text"`, `[]`, `{}`, `{"statusCode":null}`, `{"statusCode":"x"}`, `{"statusCode":200.5}`, `{"statusCode":200}x`, `{"statusCode":200,}`,
		`{"statusCode":200,"body":7}`, `{"statusCode":200,"body":{"a":1}}`, `{"statusCode":200,"isBase64Encoded":"true"}`, `{"statusCode":200,"isBase64Encoded":true,"body":"%"}`,
		`{"statusCode":200,"headers":"x"}`, `{"statusCode":200,"headers":[]}`, `{"statusCode":200,"multiValueHeaders":{"a":"b"}}`,
	} {
		if a, err := proxyAnswer([]byte(payload)); err == nil {
			t.Errorf("%s: %+v", payload, a)
		}
	}
	for payload, want := range map[string]string{
		`{"statuscode":200,"Body":"a\"\u00e9"}`: `a"é`, `{"statusCode":200,"headers":null,"multiValueHeaders":null,"isBase64Encoded":null,"body":"x"}`: "x",
	} {
		if a, err := proxyAnswer([]byte(payload)); err != nil || a.status != 200 || string(a.body) != want {
			t.Errorf("%s: %+v %v", payload, a, err)
		}
	}
}

func TestHandshakesThatFailAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{}
		got := map[string]string{}
		add := func(name string, f *rooms, o Options, change ...func(*apispec.API)) {
			o.Now = time.Now
			s := deploy(t, f, o, chat(change...))
			if strings.Contains(name, "second") {
				s.connect(handshake())
			}
			names = append(names, name)
			got[name] = shown(s.connect(handshake()).Refuse)
		}
		add("accepted", &rooms{invoke: ok}, Options{})
		add("no $connect route", &rooms{invoke: fails("boom")}, Options{}, func(a *apispec.API) { a.Current.Routes = a.Current.Routes[1:] })
		add("$connect without a target", &rooms{invoke: fails("boom")}, Options{}, onRoute("$connect", func(r *apispec.Route, _ *apispec.API) { r.Integration = "" }))
		add("statusCode 400", &rooms{invoke: answers(`{"statusCode":400,"body":"no"}`)}, Options{})
		add("statusCode 302", &rooms{invoke: answers(`{"statusCode":302}`)}, Options{})
		add("statusCode 100", &rooms{invoke: answers(`{"statusCode":100}`)}, Options{})
		add("statusCode 999", &rooms{invoke: answers(`{"statusCode":999}`)}, Options{})
		add("function failed", &rooms{invoke: fails("boom")}, Options{})
		add("function not reached", &rooms{invoke: unreachable}, Options{})
		add("malformed answer", &rooms{invoke: answers(`null`)}, Options{})
		add("timeout", &rooms{invoke: ok, slow: time.Minute}, Options{})
		put := apispec.Integration{Type: "AWS", URI: dynamoURI("PutItem")}
		wrote := func(string, string, []byte) (int, []byte, error) { return 200, []byte(`{}`), nil }
		add("no integration response", &rooms{call: wrote}, Options{}, withIntegration("$connect", false, put))
		put.PassthroughBehaviour = "NEVER"
		add("no request template", &rooms{call: wrote}, Options{}, withIntegration("$connect", false, put))
		add("route throttled, the second time", &rooms{invoke: ok}, Options{}, limited(0.1, 1))
		add("account throttled, the second time", &rooms{invoke: ok}, Options{Settings: Settings{ConnectRate: 0.1}})
		add("no API key", &rooms{invoke: ok}, Options{}, onRoute("$connect", func(r *apispec.Route, _ *apispec.API) { r.APIKeyRequired = true }))
		add("no signature", &rooms{invoke: ok}, Options{}, onRoute("$connect", func(r *apispec.Route, _ *apispec.API) { r.AuthorizationType = "AWS_IAM" }))
		add("required parameters", &rooms{invoke: ok}, Options{}, onRoute("$connect", func(r *apispec.Route, _ *apispec.API) {
			r.RequestParameters = map[string]apispec.Parameter{"route.request.querystring.token": {Required: true}, "route.request.header.X-B": {Required: true}, "route.request.header.X-C": {}}
		}))
		golden(t, "handshakes.txtar", names, got)
	})
}

func TestSubprotocolComesFromTheFunction(t *testing.T) {
	for _, tc := range []struct{ payload, want string }{
		{`{"statusCode":200}`, ""},
		{`{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"v2"}}`, "v2"},
		{`{"statusCode":200,"headers":{"sec-websocket-protocol":"v2","x":1}}`, "v2"},
		{`{"statusCode":200,"multiValueHeaders":{"SEC-WEBSOCKET-PROTOCOL":["v2"]}}`, "v2"},
	} {
		s := deploy(t, &rooms{invoke: answers(tc.payload)}, Options{}, chat())
		r := s.connect(handshake("Sec-WebSocket-Protocol", "v1, v2"))
		if r.Refuse != nil || r.Subprotocol != tc.want || r.Header != nil {
			t.Errorf("%s: %+v", tc.payload, r)
		}
	}
}

func TestEndsAreOwedWhenSomebodyWantsToKnow(t *testing.T) {
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat())
	if r := s.connect(handshake()); r.Duty != sluice.OweClose {
		t.Errorf("%+v", r)
	}
	without := deploy(t, &rooms{invoke: ok}, Options{}, chat(func(a *apispec.API) { a.Current.Routes = a.Current.Routes[:1] }))
	if r := without.connect(handshake()); r.Duty != sluice.KeepDuty {
		t.Errorf("%+v", r)
	}
}

func TestDisconnectIsTriedAgainUntilAFunctionIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		f := &rooms{invoke: func(string, []byte) (sluice.Result, error) {
			if calls++; calls < 3 {
				return unreachable("", nil)
			}
			return fails("its own fault")("", nil)
		}}
		s := deploy(t, f, Options{Now: time.Now}, chat())
		ev := s.event(sluice.Close)
		ev.Cause, ev.Code = sluice.PeerLost, 1006
		s.stage().Handle(context.Background(), ev)
		if calls != 3 {
			t.Errorf("%d calls", calls)
		}
	})
}

// withIAM asks for a signature of handshakes.
var withIAM = onRoute("$connect", func(r *apispec.Route, _ *apispec.API) { r.AuthorizationType = "AWS_IAM" })

// signed is a handshake with a signature in its headers.
func signed(t *testing.T, key, token string) *sluice.Handshake {
	t.Helper()
	h := handshake()
	r, err := http.NewRequest("GET", "wss://"+h.Host+h.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Sign(r, nil, credentials(key, token), "us-east-1", "execute-api", noon)
	for k, v := range r.Header {
		h.Header[k] = v
	}
	return h
}

func TestIAMLetsTheAppAndTheOperatorIn(t *testing.T) {
	var seen string
	f := &rooms{invoke: func(_ string, payload []byte) (sluice.Result, error) {
		seen = string(payload)
		return sluice.Result{Payload: []byte(`{"statusCode":200}`)}, nil
	}}
	s := deploy(t, f, Options{}, chat(withIAM))
	try := func(id, token string) sluice.Reply { return s.connect(signed(t, id, token)) }
	for _, tc := range []struct{ id, token, arn string }{
		{"CHAT", "", "arn:aws:iam::000000000000:user/chat"},
		{"CHAT", "tok", "arn:aws:sts::000000000000:assumed-role/chat/fn"},
		{"OPERATOR", "", "arn:aws:iam::000000000000:root"},
	} {
		r := try(tc.id, tc.token)
		if r.Refuse != nil || !strings.Contains(seen, `"userArn":"`+tc.arn+`"`) || !strings.Contains(seen, `"accessKey":"`+tc.id+`"`) {
			t.Errorf("%v: %s %s", tc, shown(r.Refuse), seen)
		}
	}
	if r := try("OTHER", ""); r.Refuse == nil || r.Refuse.Status != 403 {
		t.Errorf("another app: %s", shown(r.Refuse))
	}
	if r := try("NOBODY", ""); r.Refuse == nil || r.Refuse.Status != 403 || r.Refuse.Header["x-amzn-ErrorType"][0] != "UnrecognizedClientException" {
		t.Errorf("unknown key: %s", shown(r.Refuse))
	}
}

// presigned is the query of a signed address, as browsers open it.
func presigned(host, path, key, secret, expires string) string {
	const stamp, scope = "20240209T181143Z", "/20240209/us-east-1/execute-api/aws4_request"
	query := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + url.QueryEscape(key+scope) + "&X-Amz-Date=" + stamp + "&X-Amz-Expires=" + expires + "&X-Amz-SignedHeaders=host"
	hash := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	sign := func(key []byte, s string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	k := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope[1:], "/") {
		k = sign(k, part)
	}
	canonical := "GET\n" + path + "\n" + query + "\nhost:" + host + "\n\nhost\n" + hash("")
	return query + fmt.Sprintf("&X-Amz-Signature=%x", sign(k, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope[1:]+"\n"+hash(canonical)))
}

func TestBrowsersSignInTheQuery(t *testing.T) {
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(withIAM))
	for _, tc := range []struct {
		secret, expires, kind string
	}{{"secret", "60", ""}, {"wrong", "60", "InvalidSignatureException"}} {
		h := handshake()
		h.RawQuery = presigned(h.Host, h.Path, "CHAT", tc.secret, tc.expires)
		r := s.connect(h)
		if (r.Refuse == nil) != (tc.kind == "") || tc.kind != "" && (r.Refuse.Status != 403 || r.Refuse.Header["x-amzn-ErrorType"][0] != tc.kind) {
			t.Errorf("%+v: %s", tc, shown(r.Refuse))
		}
	}
}

func TestAPIKeys(t *testing.T) {
	withKey := onRoute("$connect", func(r *apispec.Route, a *apispec.API) {
		r.APIKeyRequired = true
		a.Keys = []apispec.Key{{ID: "k1", Value: "secret-key"}}
	})
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(withKey))
	for _, tc := range []struct {
		key string
		in  bool
	}{{"secret-key", true}, {"other", false}, {"", false}} {
		if r := s.connect(handshake("x-api-key", tc.key)); (r.Refuse == nil) != tc.in {
			t.Errorf("%q: %s", tc.key, shown(r.Refuse))
		}
	}
	usage := func(key string) func(string, []byte) (sluice.Result, error) {
		return func(arn string, _ []byte) (sluice.Result, error) {
			if strings.HasSuffix(arn, ":auth") {
				return answers(`{"principalId":"p","policyDocument":{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}},"usageIdentifierKey":"`+key+`"}`)("", nil)
			}
			return ok("", nil)
		}
	}
	for key, in := range map[string]bool{"secret-key": true, "other": false} {
		s := deploy(t, &rooms{invoke: usage(key)}, Options{}, chat(withKey, withAuthorizer("auth"), func(a *apispec.API) {
			a.APIKeySelectionExpression = "$context.authorizer.usageIdentifierKey"
		}))
		if r := s.connect(handshake("x-api-key", "secret-key")); (r.Refuse == nil) != in {
			t.Errorf("key %q of the authorizer: %s", key, shown(r.Refuse))
		}
	}
}

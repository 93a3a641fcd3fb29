package websocket

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

// verdictOf is an authorizer's answer.
func verdictOf(effect, resource, more string) string {
	return `{"principalId":"user","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"` + effect + `","Resource":"` + resource + `"}]}` + more + `}`
}

// guarded deploys an API whose authorizer is a function, and whose $connect function says what it saw.
func guarded(t *testing.T, auth func(string, []byte) (sluice.Result, error), slow time.Duration, sources ...string) (s *served, calls *int, context *string) {
	t.Helper()
	calls, context = new(int), new(string)
	f := &rooms{slow: slow, invoke: func(arn string, payload []byte) (sluice.Result, error) {
		if arn == "arn:aws:lambda:us-east-1:000000000000:function:auth" {
			*calls++
			return auth(arn, payload)
		}
		var ev struct {
			RequestContext struct{ Authorizer json.RawMessage }
		}
		json.Unmarshal(payload, &ev)
		*context = string(ev.RequestContext.Authorizer)
		return ok(arn, payload)
	}}
	return deploy(t, f, Options{Now: time.Now}, chat(withAuthorizer("auth", sources...))), calls, context
}

func TestAuthorizerOutcomes(t *testing.T) {
	const arn = "arn:aws:execute-api:us-east-1:000000000000:abcd123456/prod/$connect"
	synctest.Test(t, func(t *testing.T) {
		names := []string{}
		got := map[string]string{}
		for _, tc := range []struct {
			name string
			auth func(string, []byte) (sluice.Result, error)
			slow time.Duration
		}{
			{"allow of the method", answers(verdictOf("Allow", arn, "")), 0},
			{"allow of a pattern", answers(verdictOf("Allow", "arn:aws:execute-api:*:*:abcd123456/pro?/*", "")), 0},
			{"slow, but in time", answers(verdictOf("Allow", "*", "")), 9 * time.Second},
			{"explicit deny", answers(verdictOf("Deny", "*", "")), 0},
			{"nothing allows", answers(verdictOf("Allow", "arn:aws:execute-api:*:*:other/*", "")), 0},
			{"Unauthorized", fails("Unauthorized"), 0},
			{"another failure", fails("Unauthorized: token expired"), 0},
			{"not reached", unreachable, 0},
			{"too slow", answers(verdictOf("Allow", "*", "")), 11 * time.Second},
			{"no answer", answers(`null`), 0},
			{"not JSON", answers(`x`), 0},
			{"no principalId", answers(`{"policyDocument":{"Statement":[{"Action":"*","Effect":"Allow","Resource":"*"}]}}`), 0},
			{"principalId that is no text", answers(`{"principalId":7,"policyDocument":{"Statement":[{"Action":"*","Effect":"Allow","Resource":"*"}]}}`), 0},
			{"no policy", answers(`{"principalId":"u"}`), 0},
			{"simple answer of HTTP APIs", answers(`{"isAuthorized":true}`), 0},
			{"invalid policy", answers(verdictOf("Perhaps", "*", "")), 0},
			{"object in the context", answers(verdictOf("Allow", "*", `,"context":{"a":{"b":1}}`)), 0},
			{"context that is no object", answers(verdictOf("Allow", "*", `,"context":[1]`)), 0},
			{"more than 8 KB", answers(verdictOf("Allow", "*", `,"context":{"a":"`+strings.Repeat("x", 8<<10)+`"}`)), 0},
			{"more than 10 KB as text", answers(verdictOf("Allow", "*", `,"context":{"a":"`+strings.Repeat("\u2028", 2<<10)+`"}`)), 0},
			{"nearly 8 KB", answers(verdictOf("Allow", "*", `,"context":{"a":"`+strings.Repeat("x", 7<<10)+`"}`)), 0},
		} {
			s, _, _ := guarded(t, tc.auth, tc.slow)
			names = append(names, tc.name)
			got[tc.name] = shown(s.connect(handshake()).Refuse)
		}
		golden(t, "authorizers.txtar", names, got)
	})
}

func TestIdentitySourcesComeFirst(t *testing.T) {
	allow := answers(verdictOf("Allow", "*", ""))
	for _, tc := range []struct {
		name    string
		sources []string
		query   string
		headers []string
		in      bool
	}{
		{"none", nil, "", nil, true},
		{"a parameter", []string{"route.request.querystring.token"}, "token=x", nil, true},
		{"no parameter", []string{"route.request.querystring.token"}, "Token=x", nil, false},
		{"an empty parameter", []string{"route.request.querystring.token"}, "token=", nil, false},
		{"a header, whatever its case", []string{"route.request.header.AUTHorization"}, "", []string{"authorization", "x"}, true},
		{"no header", []string{"route.request.header.Authorization"}, "", nil, false},
		{"one of two", []string{"route.request.header.Authorization", "route.request.querystring.token"}, "token=x", nil, false},
		{"context", []string{"context.identity.sourceIp"}, "", nil, true},
		{"a stage variable", []string{"stageVariables.nope"}, "", nil, false},
	} {
		s, calls, _ := guarded(t, allow, 0, tc.sources...)
		h := handshake(tc.headers...)
		h.RawQuery = tc.query
		r := s.connect(h)
		if (r.Refuse == nil) != tc.in || (*calls == 1) != tc.in {
			t.Errorf("%s: %s after %d calls", tc.name, shown(r.Refuse), *calls)
		}
		if !tc.in && (r.Refuse.Status != 401 || string(r.Refuse.Body) != `{"message":"Unauthorized"}`) {
			t.Errorf("%s: %s", tc.name, shown(r.Refuse))
		}
	}
}

func TestWhatAnAuthorizerSaysReachesFunctions(t *testing.T) {
	s, _, context := guarded(t, answers(verdictOf("Allow", "*", `,"context":{"s":"x","n":1,"f":1.50,"b":true,"no":null,"principalId":"forged"}`)), 0)
	r := s.connect(handshake())
	want := `{"principalId":"user","integrationLatency":0,"s":"x","n":"1","f":"1.50","b":"true"}`
	if diff := cmp.Diff(want, *context); r.Refuse != nil || diff != "" {
		t.Errorf("%s %s", shown(r.Refuse), diff)
	}
	if diff := cmp.Diff(map[string]string{"agent": "Mozilla/5.0", "authorizer": want}, r.Attrs); diff != "" {
		t.Error(diff)
	}
}

func TestTheClientsAddressDecides(t *testing.T) {
	for network, in := range map[string]bool{"192.0.2.0/24": true, "10.0.0.0/8": false} {
		s, _, _ := guarded(t, answers(`{"principalId":"u","policyDocument":{"Statement":[{"Action":"*","Effect":"Allow","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["`+network+`"]}}}]}}`), 0)
		if r := s.connect(handshake()); (r.Refuse == nil) != in {
			t.Errorf("%s: %s", network, shown(r.Refuse))
		}
	}
}

func TestAllows(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"Statement":{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"arn:x/*"}}`: true,
		`{"Statement":{"Action":"execute-api:Invoke","Effect":"Deny","Resource":"arn:x/*"}}`:  false,
	} {
		if got, err := Allows(json.RawMessage(doc), "arn:x/GET/a", "192.0.2.1"); got != want || err != nil {
			t.Errorf("%s: %t %v", doc, got, err)
		}
	}
	if _, err := Allows(json.RawMessage(`{}`), "arn:x", ""); err == nil {
		t.Error("a policy without statements is taken")
	}
}

func TestAttributesFitTheGateway(t *testing.T) {
	s, _, _ := guarded(t, answers(verdictOf("Allow", "*", `,"context":{"a":"`+strings.Repeat("x", 7900)+`"}`)), 0)
	h := handshake()
	h.Header.Set("User-Agent", strings.Repeat("ü", 10_000))
	n := 0
	for k, v := range s.connect(h).Attrs {
		n += len(k) + len(v)
	}
	if n < 8000 || n > 12<<10 {
		t.Errorf("%d bytes", n)
	}
}

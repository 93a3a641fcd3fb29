package websocket

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// slowly counts the calls of a function that takes its time.
type slowly struct {
	*rooms
	calls int
}

func (f *slowly) Invoke(ctx context.Context, _ sluice.AppName, _ string, _ []byte, _ sluice.ConnID) (sluice.Result, error) {
	f.calls++
	<-ctx.Done()
	return sluice.Result{}, &sluice.Error{Code: sluice.Timeout, Msg: "the caller's time is over", Err: ctx.Err()}
}

func TestASlowDisconnectIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &slowly{rooms: &rooms{}}
		s := deploy(t, f.rooms, Options{Now: time.Now, Functions: f}, chat(func(a *apispec.API) { a.Current.Integrations[0].TimeoutMS = 1000 }))
		s.stage().Handle(t.Context(), s.event(sluice.Close))
		if f.calls != 1 { // it was reached, and still runs
			t.Errorf("%d calls", f.calls)
		}
	})
}

func TestAMessageIsTriedOnce(t *testing.T) {
	for name, answer := range map[string]func(string, []byte) (sluice.Result, error){"failed": fails("boom"), "not reached": unreachable} {
		calls := 0
		s := deploy(t, &rooms{invoke: func(arn string, p []byte) (sluice.Result, error) { calls++; return answer(arn, p) }}, Options{}, chat())
		if got := s.say(`{"action":"sendmessage"}`); calls != 1 || !strings.Contains(got, "Internal server error") {
			t.Errorf("%s: %d calls, %s", name, calls, got)
		}
	}
}

func TestRouteResponsesOfTheGatewaysRoutesMeanNothing(t *testing.T) {
	respond := func(r *apispec.Route, _ *apispec.API) {
		r.ResponseSelection, r.Responses = "$default", []string{"$default"}
	}
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(onRoute("$connect", respond), onRoute("$disconnect", respond)))
	if r := s.connect(handshake()); r.Refuse != nil || r.Send != nil {
		t.Errorf("%+v", r)
	}
	if r := s.stage().Handle(t.Context(), s.event(sluice.Close)); r.Send != nil {
		t.Errorf("%+v", r)
	}
}

func TestEveryHandshakeIsAuthorizedAnew(t *testing.T) {
	asked := 0
	f := &rooms{invoke: func(arn string, p []byte) (sluice.Result, error) {
		if strings.HasSuffix(arn, ":auth") {
			asked++
			return answers(`{"principalId":"p","policyDocument":{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}}`)(arn, p)
		}
		return ok(arn, p)
	}}
	ttl := 300
	s := deploy(t, f, Options{Settings: Settings{ConnectRate: 2}}, chat(withAuthorizer("auth"), func(a *apispec.API) { a.Current.Authorizers[0].TTL = &ttl }))
	var statuses []int
	for range 3 {
		r := s.connect(handshake())
		if r.Refuse != nil {
			statuses = append(statuses, r.Refuse.Status)
		}
	}
	// The rate comes first: who is too fast is not even asked about.
	if diff := cmp.Diff([]int{429}, statuses); diff != "" || asked != 2 {
		t.Errorf("asked %d times: %s", asked, diff)
	}
}

// The parts of a handshake are there while it is answered, and nowhere else (aws.md 1.9).
func TestWhatTemplatesAndParametersSeeOfAHandshake(t *testing.T) {
	var got []string
	f := &rooms{call: func(_, _ string, body []byte) (int, []byte, error) {
		got = append(got, string(body))
		return 200, []byte(`{}`), nil
	}}
	in := apispec.Integration{Type: "AWS", URI: dynamoURI("PutItem"), TemplateSelection: `\$default`, RequestTemplates: map[string]string{
		"$default": `$stageVariables['a-b'] $stageVariables.c [$input.params('q')] [$input.params().get('header').get('X-Own')] [$input.params().querystring.get('q')] $context.connectedAt $context.eventType [$context.messageId] [$context.authorizer.principalId] $util.base64Decode($util.base64Encode("x y")) $util.urlDecode("a%20b")`,
	}}
	s := deploy(t, f, Options{}, chat(
		withIntegration("$connect", false, in), withIntegration("put", false, in),
		func(a *apispec.API) { a.Stages[0].Variables = map[string]string{"a-b": "1", "c": "2"} },
	))
	h := handshake("X-Own", "own")
	h.RawQuery = "q=1&q=2"
	s.connect(h)
	s.say(`{"action":"put"}`)
	want := []string{
		"1 2 [2] [own] [2] 1707502303419 CONNECT [] [] x y a b",
		"1 2 [] [] [] 1707502303419 MESSAGE [WuPcV9v9RHfdUs4=] [] x y a b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMockNamesTheSubprotocol(t *testing.T) {
	s := deploy(t, &rooms{}, Options{}, chat(withIntegration("$connect", false, apispec.Integration{Type: "MOCK", Responses: []apispec.IntegrationResponse{
		{Key: "$default", Parameters: map[string]string{"route.response.header.Sec-WebSocket-Protocol": "'v3'"}},
	}})))
	if r := s.connect(handshake("Sec-WebSocket-Protocol", "v3")); r.Refuse != nil || r.Subprotocol != "v3" {
		t.Errorf("%s %+v", shown(r.Refuse), r)
	}
}

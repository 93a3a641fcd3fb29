package websocket

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// lines are an access log.
type lines []sluice.LogLine

func (l *lines) Log(one sluice.LogLine) { *l = append(*l, one) }

// logging gives a stage an access log.
func logging(format string) func(*apispec.API) {
	return func(a *apispec.API) {
		a.Stages[0].Access = &apispec.AccessLog{Destination: "arn:aws:logs:us-east-1:000000000000:log-group:chat-access:*", Format: format}
	}
}

func TestEventsAreInTheAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ids = "RYGzEQEAAAAAAAA= 3OlOyjM0lD6bKiU="
		var log lines
		run := func(f *rooms, do func(s *served), change ...func(*apispec.API)) {
			do(deploy(t, f, Options{Now: time.Now, Logs: &log}, chat(append(change, logging(
				`$context.eventType $context.routeKey $context.status $context.connectionId $context.requestId $context.integrationLatency [$context.error.responseType: $context.error.message]`+"\n"))...)))
		}
		connect := func(s *served) { s.connect(handshake()) }
		say := func(text string) func(s *served) { return func(s *served) { s.say(text) } }
		const to = `{"action":"sendmessage"}`
		run(&rooms{invoke: ok, slow: 7 * time.Millisecond}, connect)
		run(&rooms{invoke: answers(`{"statusCode":401}`)}, connect)
		run(&rooms{invoke: fails("boom")}, connect)
		run(&rooms{invoke: ok}, connect, onRoute("$connect", func(r *apispec.Route, a *apispec.API) { r.AuthorizationType = "AWS_IAM" }))
		run(&rooms{invoke: ok}, say(to))
		run(&rooms{invoke: answers(`{"statusCode":500,"body":"told to nobody"}`)}, say(to))
		run(&rooms{invoke: ok}, say(`{"action":"nope"}`))
		run(&rooms{invoke: unreachable}, say(to))
		run(&rooms{invoke: ok, slow: time.Minute}, say(to))
		run(&rooms{invoke: ok}, func(s *served) { s.say(to); s.say(to) }, limited(0.1, 1))
		run(&rooms{invoke: ok}, say(to), withModel)
		run(&rooms{invoke: ok}, func(s *served) { s.stage().Handle(t.Context(), s.event(sluice.Close)) })
		run(&rooms{invoke: unreachable}, func(s *served) { s.stage().Handle(t.Context(), s.event(sluice.Close)) })

		want := []string{
			"CONNECT $connect 200 " + ids + " 7 [-: -]",
			"CONNECT $connect 401 " + ids + " 0 [UNAUTHORIZED: -]",
			"CONNECT $connect 502 " + ids + " 0 [INTEGRATION_FAILURE: Internal server error]",
			"CONNECT $connect 403 " + ids + " - [MISSING_AUTHENTICATION_TOKEN: Missing Authentication Token]",
			"MESSAGE sendmessage 200 " + ids + " 0 [-: -]",
			"MESSAGE sendmessage 500 " + ids + " 0 [-: -]",
			"MESSAGE - 403 " + ids + " - [DEFAULT_4XX: Forbidden]",
			"MESSAGE sendmessage 502 " + ids + " 0 [INTEGRATION_FAILURE: Internal server error]",
			"MESSAGE sendmessage 504 " + ids + " 29000 [INTEGRATION_TIMEOUT: Endpoint request timed out]",
			"MESSAGE sendmessage 200 " + ids + " 0 [-: -]",
			"MESSAGE sendmessage 429 " + ids + " - [THROTTLED: Too Many Requests]",
			"MESSAGE sendmessage 400 " + ids + " - [BAD_REQUEST_BODY: Bad request body]",
			"DISCONNECT $disconnect 200 " + ids + " 0 [-: -]",
			"DISCONNECT $disconnect 502 " + ids + " 0 [INTEGRATION_FAILURE: Internal server error]",
		}
		var got []string
		for _, l := range log {
			got = append(got, l.Text)
			if l.App != "chat" || l.Function != "chat-access" || l.Request != "3OlOyjM0lD6bKiU=" || l.Time.IsZero() {
				t.Errorf("%+v", l)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What an authorizer says, quotes and reasons of refusals are there for formats, too; what clients send makes
// no lines.
func TestVariablesOfAccessLogs(t *testing.T) {
	for _, tc := range []struct {
		name, format, say, want string
	}{
		{"an authorizer's", `{"who":"$context.authorizer.principalId","room":"$context.authorizer.room","none":"$context.authorizer.nobody"}`, `{"action":"ask"}`, `{"who":"ann","room":"r1  r2","none":"-"}`},
		{"the message", `$context.messageId $context.messageDirection $context.apiId/$context.stage`, `{"action":"ask"}`, "WuPcV9v9RHfdUs4= IN abcd123456/prod"},
		{"an error", `{"message":$context.error.messageString}`, `{"action":"nope"}`, `{"message":"Forbidden"}`},
		{"what the model says", `$context.error.validationErrorString`, `{"action":"sendmessage"}`, "missing propert"},
		{"the client", `$context.identity.sourceIp "$context.identity.userAgent" $context.identity.caller [$context.requestTime] $context.requestTimeEpoch`, `{"action":"ask"}`,
			`192.0.2.1 "Mozilla/5.0" - [09/Feb/2024:18:11:43 +0000] 1707502303420`},
		{"none", "fixed", `{"action":"ask"}`, "fixed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log lines
			s := deploy(t, &rooms{invoke: ok}, Options{Logs: &log}, chat(logging(tc.format), withModel))
			ev := s.event(sluice.Message)
			ev.Frame.Data = []byte(tc.say)
			ev.Conn.Attrs = map[string]string{attrAgent: "Mozilla/5.0", attrAuthorizer: `{"principalId":"ann","room":"r1\n\rr2"}`}
			s.stage().Handle(t.Context(), ev)
			if len(log) != 1 || !strings.Contains(log[0].Text, tc.want) || strings.Contains(log[0].Text, "\n") {
				t.Errorf("%+v, want %s", log, tc.want)
			}
		})
	}
}

func TestWhereAccessLogsGo(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:logs:us-east-1:000000000000:log-group:/aws/chat:*":             "/aws/chat",
		"arn:aws:logs:us-east-1:000000000000:log-group:/aws/chat":               "/aws/chat",
		"arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigw-x": "amazon-apigw-x",
		"a name": "a name",
	} {
		if got := logGroup(arn); got != want {
			t.Errorf("%s: %s, want %s", arn, got, want)
		}
	}
	// Half of a setting is none, and a broken format is the template's fault.
	var log lines
	s := deploy(t, &rooms{invoke: ok}, Options{Logs: &log}, chat(func(a *apispec.API) { a.Stages[0].Access = &apispec.AccessLog{Format: "x"} }))
	s.say("x")
	if log != nil {
		t.Error(log)
	}
	if _, err := s.apis.App(appOf(t, "chat", chat(logging("${context.requestId")))); err == nil || !strings.Contains(err.Error(), "access log") {
		t.Error(err)
	}
}

// An identity source of $context is looked at before there is an authorizer's answer, and does not hide it.
func TestWhatAnAuthorizerSaysIsInTemplatesOfConnect(t *testing.T) {
	var bodies []string
	f := &rooms{invoke: func(arn string, payload []byte) (sluice.Result, error) {
		if strings.HasSuffix(arn, ":guard") {
			return sluice.Result{Payload: []byte(`{"principalId":"ann","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}}`)}, nil
		}
		bodies = append(bodies, string(payload))
		return sluice.Result{Payload: []byte("{}")}, nil
	}}
	s := deploy(t, f, Options{}, chat(onRoute("$connect", func(r *apispec.Route, a *apispec.API) {
		r.AuthorizationType, r.Authorizer, r.Integration = "CUSTOM", "z", "plain"
		a.Current.Authorizers = []apispec.Authorizer{{ID: "z", Type: "REQUEST", URI: lambdaURI("guard"), IdentitySource: []string{"context.identity.sourceIp"}}}
		a.Current.Integrations = append(a.Current.Integrations, apispec.Integration{ID: "plain", Type: "AWS", URI: lambdaURI("fn"), TemplateSelection: `\$default`,
			RequestTemplates: map[string]string{"$default": "$context.authorizer.principalId"}})
	})))
	if r := s.connect(handshake()); r.Refuse != nil || !slices.Equal(bodies, []string{"ann"}) {
		t.Errorf("%s %v", shown(r.Refuse), bodies)
	}
}

package websocket

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// pretty lays JSON out without changing the order of its members.
func pretty(t *testing.T, b []byte) string {
	t.Helper()
	if _, err := document.Parse(b); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEventsAreExact(t *testing.T) {
	var seen, asked []byte
	f := &rooms{invoke: func(arn string, payload []byte) (sluice.Result, error) {
		if strings.HasSuffix(arn, ":auth") {
			asked = payload
			return sluice.Result{Payload: []byte(`{"principalId":"ann","policyDocument":{"Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"}]},"context":{"room":"r1","level":7,"admin":true}}`)}, nil
		}
		seen = payload
		return sluice.Result{Payload: []byte(`{"statusCode":200}`)}, nil
	}}
	plain := deploy(t, f, Options{}, chat())
	vars := deploy(t, f, Options{}, chat(func(a *apispec.API) { a.Stages[0].Variables = map[string]string{"table": "t", "fn": "x"} }))
	mapped := deploy(t, f, Options{}, chat(func(a *apispec.API) {
		a.Mappings = []apispec.Mapping{{Domain: "ws.example.com", Stage: "prod"}}
	}))
	binary := deploy(t, f, Options{Settings: Settings{AcceptBinary: true}}, chat(func(a *apispec.API) {
		a.Current.Routes = append(a.Current.Routes, apispec.Route{ID: "d", Key: "$default", Integration: "fn"})
	}))
	keyed := deploy(t, f, Options{}, chat(onRoute("$connect", func(r *apispec.Route, a *apispec.API) {
		r.APIKeyRequired = true
		a.Keys = []apispec.Key{{ID: "k1", Value: "secret-key"}}
	})))
	authorized := deploy(t, f, Options{}, chat(withAuthorizer("auth")))

	var names []string
	got := map[string]string{}
	add := func(name string, do func()) {
		seen = nil
		do()
		names = append(names, name)
		got[name] = pretty(t, seen)
	}
	browser := func(query string, pairs ...string) *sluice.Handshake {
		h := handshake(pairs...)
		h.RawQuery = query
		return h
	}
	add("connect.json", func() { plain.connect(browser("token=t")) })
	add("connect without query and agent.json", func() {
		h := handshake()
		h.Header.Del("User-Agent")
		plain.connect(h)
	})
	add("connect with repeats.json", func() {
		h := browser("a=1&a=2&b=%20x+y&c&%zz=1", "x-token", "1", "x-token", "2", "cookie", "c=1", "Sec-WebSocket-Protocol", "v1, v2", "X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "gopher")
		h.Host = "127.0.0.1:8080"
		plain.connect(h)
	})
	add("connect with variables.json", func() { vars.connect(browser("")) })
	add("connect by a domain.json", func() {
		h := browser("")
		h.Host = "WS.example.com:8080"
		mapped.connect(h)
	})
	add("connect with an API key.json", func() { keyed.connect(browser("", "x-api-key", "secret-key")) })
	signedIn := deploy(t, f, Options{}, chat(withIAM))
	var caller sluice.Reply
	add("connect with a signature.json", func() { caller = signedIn.connect(signed(t, "CHAT", "tok")) })
	add("authorizer.json", func() { authorized.connect(browser("token=t")); seen = asked })
	add("authorizer without query.json", func() { authorized.connect(browser("", "token", "t")); seen = asked })
	var reply sluice.Reply
	add("connect authorized.json", func() { reply = authorized.connect(browser("token=t")) })
	message := func(s *served, attrs map[string]string, text string, binary bool) func() {
		return func() {
			ev := s.event(sluice.Message)
			ev.Conn.Attrs = attrs
			ev.Frame = sluice.Frame{Data: []byte(text), Binary: binary}
			s.stage().Handle(context.Background(), ev)
		}
	}
	agent := map[string]string{"agent": "Mozilla/5.0"}
	add("message.json", message(plain, agent, `{"action":"sendmessage", "data":"<hello> \u00e9 & é"}`, false))
	add("message authorized.json", message(authorized, reply.Attrs, `{"action":"sendmessage"}`, false))
	add("message with variables.json", message(vars, nil, `{"action":"sendmessage"}`, false))
	add("message of bytes.json", message(binary, agent, "\x00\xff", true))
	end := func(s *served, attrs map[string]string, cause sluice.Cause, code int, reason string) func() {
		return func() {
			ev := s.event(sluice.Close)
			ev.Conn.Attrs = attrs
			ev.At = noon.Add(4 * time.Second)
			ev.Cause, ev.Code, ev.Reason = cause, code, reason
			s.stage().Handle(context.Background(), ev)
		}
	}
	add("disconnect without a code.json", end(plain, nil, sluice.ClientClose, 1005, ""))
	add("disconnect with a code.json", end(plain, agent, sluice.ClientClose, 1001, "bye"))
	add("disconnect with a code alone.json", end(plain, nil, sluice.ClientClose, 4000, ""))
	add("disconnect by DELETE.json", end(plain, nil, sluice.ServerClose, 1000, ""))
	add("disconnect of an idle client.json", end(plain, agent, sluice.Idle, 1001, "Going away"))
	add("disconnect at the end of its life.json", end(plain, nil, sluice.MaxLife, 1001, "Going away"))
	add("disconnect of a lost client.json", end(plain, nil, sluice.PeerLost, 1006, ""))
	add("disconnect for a message too long.json", end(plain, nil, sluice.Violation, 1009, "message too big"))
	add("disconnect for bytes.json", end(plain, nil, sluice.Violation, 1003, "binary message"))
	add("disconnect of a stopping server.json", end(plain, nil, sluice.Drain, 1001, "Going away"))
	add("disconnect signed.json", end(signedIn, caller.Attrs, sluice.ClientClose, 1005, ""))
	add("disconnect authorized.json", end(authorized, reply.Attrs, sluice.ClientClose, 1005, ""))
	golden(t, "events.txtar", names, got)
}

// withAuthorizer puts an authorizer before $connect.
func withAuthorizer(function string, sources ...string) func(*apispec.API) {
	return onRoute("$connect", func(r *apispec.Route, a *apispec.API) {
		r.AuthorizationType, r.Authorizer = "CUSTOM", "au"
		a.Current.Authorizers = []apispec.Authorizer{{ID: "au", Name: "auth", Type: "REQUEST", URI: lambdaURI(function), IdentitySource: sources}}
	})
}

func TestConvertedMessagesReachFunctionsAsBytes(t *testing.T) {
	var seen string
	f := &rooms{invoke: func(_ string, payload []byte) (sluice.Result, error) {
		seen = string(payload)
		return sluice.Result{Payload: []byte(`{"statusCode":200}`)}, nil
	}}
	s := deploy(t, f, Options{}, chat(func(a *apispec.API) {
		a.Current.Integrations[0].ContentHandling = "CONVERT_TO_BINARY"
		a.Current.Routes = append(a.Current.Routes, apispec.Route{ID: "d", Key: "$default", Integration: "fn"})
	}))
	if got := s.say("AP8="); got != "" || !strings.Contains(seen, `"body":"AP8=","isBase64Encoded":true`) {
		t.Errorf("%s %s", got, seen)
	}
	if got := s.say("no base64"); !strings.Contains(got, "Internal server error") {
		t.Errorf("not base64: %s", got)
	}
}

func BenchmarkConnect(b *testing.B) {
	h := handshake("Accept-Encoding", "gzip, deflate, br", "Accept-Language", "en-US,en;q=0.9", "Cache-Control", "no-cache", "Origin", "https://example.com",
		"Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version", "13")
	h.RawQuery = "room=1&name=ann"
	for name, s := range map[string]*served{
		"plain":      deploy(b, &rooms{invoke: answers(`{"statusCode":200}`)}, Options{}, chat()),
		"authorized": deploy(b, &rooms{invoke: answers(`{"statusCode":200,"principalId":"p","policyDocument":{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}},"context":{"a":"12"}}`)}, Options{}, chat(withAuthorizer("auth"))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := s.connect(h); r.Refuse != nil {
					b.Fatal(shown(r.Refuse))
				}
			}
		})
	}
}

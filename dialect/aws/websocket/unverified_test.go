package websocket

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// The tests here hold what unverified.go believes, beside TestARedeployRoutesLiveConnectionsAnewUnverified
// and TestTextOfNullAndObjectsUnverified of package document. One that disagrees with AWS is to be changed.

func TestTextsOfFramesUnverified(t *testing.T) {
	slow := chat(func(a *apispec.API) { a.Current.Integrations[0].TimeoutMS = 50 })
	if got := deploy(t, &rooms{invoke: ok, slow: time.Minute}, Options{}, slow).say(`{"action":"ask"}`); !strings.HasPrefix(got, `{"message": "Endpoint request timed out", `) {
		t.Error(got)
	}
	s := deploy(t, &rooms{invoke: ok}, Options{Settings: Settings{RequestRate: 0.001, RequestBurst: 1}}, chat())
	s.say(`{"action":"ask"}`)
	if got := s.say(`{"action":"ask"}`); !strings.HasPrefix(got, `{"message": "Too Many Requests", `) {
		t.Error(got)
	}
}

func TestAMalformedAnswerOnAOneWayRouteIsSilentUnverified(t *testing.T) {
	for _, payload := range []string{`null`, `"x"`, `{}`, `{"body":"x"}`, ``} {
		if got := deploy(t, &rooms{invoke: answers(payload)}, Options{}, chat()).say(`{"action":"sendmessage"}`); got != "" {
			t.Errorf("%s: %s", payload, got)
		}
	}
}

func TestARefusalTakesOnlyTheStatusUnverified(t *testing.T) {
	r := deploy(t, &rooms{invoke: answers(`{"statusCode":401,"headers":{"X-A":"b"},"body":"why"}`)}, Options{}, chat()).connect(handshake())
	if r.Refuse == nil || r.Refuse.Status != 401 || len(r.Refuse.Body) != 0 || r.Refuse.Header.Get("X-A") != "" {
		t.Error(shown(r.Refuse))
	}
	r = deploy(t, &rooms{invoke: answers(`{"statusCode":200,"headers":{"X-A":"b"}}`)}, Options{}, chat()).connect(handshake())
	if r.Refuse != nil || r.Header != nil {
		t.Errorf("%+v", r)
	}
}

func TestReasonsOfEndsUnverified(t *testing.T) {
	for _, tc := range []struct {
		cause  sluice.Cause
		code   int
		reason string
		want   int
		says   string
	}{
		{sluice.Idle, 1001, "idle timeout", 1001, "Going away"},
		{sluice.MaxLife, 1001, "x", 1001, "Going away"},
		{sluice.Drain, 1012, "restart", 1001, "Going away"},
		{sluice.PeerLost, 1006, "", 1006, ""},
		{sluice.Violation, 1009, "frame too big", 1009, ""},
		{sluice.Violation, 1003, "no binary", 1003, ""},
		{sluice.Violation, 1007, "not UTF-8", 1007, ""},
		{sluice.ServerClose, 1008, "x", 1008, ""},
	} {
		if code, reason := farewell(&sluice.Event{Cause: tc.cause, Code: tc.code, Reason: tc.reason}); code != tc.want || reason != tc.says {
			t.Errorf("%v %d %q: %d %q", tc.cause, tc.code, tc.reason, code, reason)
		}
	}
}

func TestPingsOfClientsKeepConnectionsAliveUnverified(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Second
	l := goLive(t, newBackend(), Options{Settings: Settings{Idle: idle, Ping: -1}}, nil)
	b, _ := l.dial(t)
	for began, last := time.Now(), time.Now(); time.Since(began) < idle+idle/2; {
		time.Sleep(idle / 5) // what is tested is time
		b.send(ws.OpPing, "")
		f := b.frame()
		switch slept := time.Since(last); {
		case slept > idle/2: // on a machine that was busy with others: once more
			b, _ = l.dial(t)
			began = time.Now()
		case f.Header.OpCode != ws.OpPong:
			t.Fatalf("%v %q after %v", f.Header.OpCode, f.Payload, slept)
		}
		last = time.Now()
	}
	if code, _ := b.closed(); code != 1001 {
		t.Error(code)
	}
}

func TestOneFrameForLongPushesUnverified(t *testing.T) {
	f := newBackend()
	l := goLive(t, f, Options{}, nil)
	b, _ := l.dial(t)
	f.next(t, "CONNECT")
	l.manage(t, "POST", "/prod/@connections/"+f.id(t, l), strings.Repeat("y", DefaultMaxMessage))
	if fr := b.frame(); !fr.Header.Fin || len(fr.Payload) != DefaultMaxMessage {
		t.Errorf("a frame of %d bytes", len(fr.Payload))
	}
}

func TestPlainRequestsAndUnknownCallsUnverified(t *testing.T) {
	s := managed(t, Options{})
	res, body := do(s, request("GET", apiHostName+"/prod", "", "-"))
	if res.StatusCode != http.StatusUpgradeRequired || body != `{"message":"Upgrade Required"}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res, body = do(s, request("PUT", apiHostName+"/prod/@connections/"+connID(1).String(), "", ""))
	if res.StatusCode != 403 || body != `{"message":"Missing Authentication Token"}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestStageVariablesAreShownWhenThereAreSomeUnverified(t *testing.T) {
	seen := ""
	f := &rooms{invoke: func(_ string, p []byte) (sluice.Result, error) { seen = string(p); return ok("", nil) }}
	deploy(t, f, Options{}, chat()).connect(handshake())
	if strings.Contains(seen, "stageVariables") {
		t.Error(seen)
	}
	deploy(t, f, Options{}, chat(func(a *apispec.API) { a.Stages[0].Variables = map[string]string{"a": "b"} })).connect(handshake())
	if !strings.Contains(seen, `"stageVariables":{"a":"b"}`) {
		t.Error(seen)
	}
}

func TestRequiredParametersUnverified(t *testing.T) {
	s := deploy(t, &rooms{invoke: ok}, Options{}, chat(onRoute("$connect", func(r *apispec.Route, _ *apispec.API) {
		r.RequestParameters = map[string]apispec.Parameter{"route.request.header.X-A": {Required: true}}
	})))
	if r := s.connect(handshake()); r.Refuse == nil || r.Refuse.Status != 400 {
		t.Error(shown(r.Refuse))
	}
	if r := s.connect(handshake("x-a", "1")); r.Refuse != nil {
		t.Error(shown(r.Refuse))
	}
}

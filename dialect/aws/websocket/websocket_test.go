package websocket

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/gateway"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares what a test made, by names, with a file of testdata.
func golden(t *testing.T, file string, names []string, got map[string]string) {
	t.Helper()
	path := "testdata/" + file
	a := &txtar.Archive{}
	for _, name := range names {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name] + "\n")})
	}
	text := txtar.Format(a)
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// rooms fakes what the APIs hang on.
type rooms struct {
	invoke func(arn string, payload []byte) (sluice.Result, error)
	refuse error         // of calls that are made now
	slow   time.Duration // before invoke, unless the caller has no time
	later  []string      // payloads of calls that nobody waits for; nil: there is no queue
	call   func(service, action string, body []byte) (int, []byte, error)

	conns  map[sluice.ConnID]sluice.Conn
	push   func(id sluice.ConnID, f sluice.Frame) sluice.Outcome
	pushed []string
	closed []sluice.CloseSpec
	groups map[gateway.Group][]sluice.ConnID
}

func (f *rooms) Invoke(ctx context.Context, app sluice.AppName, arn string, payload []byte, _ sluice.ConnID) (sluice.Result, error) {
	if f.slow > 0 {
		select {
		case <-ctx.Done():
			return sluice.Result{}, ctx.Err()
		case <-time.After(f.slow):
		}
	}
	if f.refuse != nil {
		return sluice.Result{}, f.refuse
	}
	return f.invoke(arn, payload)
}

func (f *rooms) Refuse(sluice.AppName, string) error { return f.refuse }

func (f *rooms) Later(_ context.Context, _ sluice.AppName, arn string, payload []byte, _ sluice.ConnID) error {
	if f.later == nil {
		return errors.New("there is no queue")
	}
	f.later = append(f.later, string(payload))
	return nil
}

func (f *rooms) Call(_ context.Context, _ sluice.AppName, service, action string, body []byte) (int, []byte, error) {
	return f.call(service, action, body)
}

func (f *rooms) Push(_ context.Context, id sluice.ConnID, fr sluice.Frame) sluice.Outcome {
	if f.push != nil {
		return f.push(id, fr)
	}
	f.pushed = append(f.pushed, id.String()+" "+string(fr.Data))
	return sluice.Queued
}

func (f *rooms) PushMany(ctx context.Context, ids []sluice.ConnID, fr sluice.Frame) []sluice.Outcome {
	var outs []sluice.Outcome
	for _, id := range ids {
		outs = append(outs, f.Push(ctx, id, fr))
	}
	return outs
}

func (f *rooms) Get(_ context.Context, id sluice.ConnID) (sluice.Conn, sluice.Outcome) {
	c, ok := f.conns[id]
	if !ok {
		return c, sluice.Gone
	}
	return c, sluice.Queued
}

func (f *rooms) Owner(ctx context.Context, id sluice.ConnID) (sluice.AppName, string, sluice.Outcome) {
	c, o := f.Get(ctx, id)
	return c.App, c.Endpoint, o
}

func (f *rooms) Close(_ context.Context, _ sluice.ConnID, spec sluice.CloseSpec) sluice.Outcome {
	f.closed = append(f.closed, spec)
	return sluice.Queued
}

func (f *rooms) Join(_ context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome {
	f.groups[grp] = append(f.groups[grp], id)
	return sluice.Queued
}

func (f *rooms) Leave(_ context.Context, _ sluice.ConnID, grp gateway.Group) sluice.Outcome {
	delete(f.groups, grp)
	return sluice.Queued
}

func (f *rooms) PushGroup(ctx context.Context, grp gateway.Group, fr sluice.Frame, except ...sluice.ConnID) int {
	n := 0
	for _, id := range f.groups[grp] {
		if len(except) > 0 && except[0] == id {
			continue
		}
		f.Push(ctx, id, fr)
		n++
	}
	return n
}

func (f *rooms) GroupSize(_ context.Context, grp gateway.Group) int { return len(f.groups[grp]) }

// Lookup knows one key of each app: its id is the app's name in capitals.
func (f *rooms) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	if id == "OPERATOR" {
		return "secret", access.Principal{}, nil
	}
	if id != "CHAT" && id != "OTHER" {
		return "", access.Principal{}, access.ErrUnknownKey
	}
	p := access.Principal{App: sluice.AppName(strings.ToLower(id))}
	if token != "" {
		p.Function = "fn"
	}
	return "secret", p, nil
}

// noon is when the tests happen: 1707502303420 as the events of aws.md 1.7.
var noon = time.UnixMilli(1707502303420)

// lambdaURI is an integration URI of a function.
func lambdaURI(name string) string {
	return "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:" + name + "/invocations"
}

// chat is an API as the flagship has it, and some more.
func chat(change ...func(*apispec.API)) *apispec.API {
	a := &apispec.API{
		ID: "abcd123456", Logical: "Chat", Name: "chat", Protocol: apispec.WebSocket,
		RouteSelectionExpression: "$request.body.action",
		Stages:                   []apispec.Stage{{Name: "prod"}},
		Current: apispec.Snapshot{
			Integrations: []apispec.Integration{{ID: "fn", Type: "AWS_PROXY", URI: lambdaURI("fn")}},
			Routes: []apispec.Route{
				{ID: "r1", Key: "$connect", Integration: "fn"},
				{ID: "r2", Key: "$disconnect", Integration: "fn"},
				{ID: "r3", Key: "sendmessage", Integration: "fn"},
				{ID: "r4", Key: "ask", Integration: "fn", Responses: []string{"$default"}},
			},
		},
	}
	for _, c := range change {
		c(a)
	}
	return a
}

// onRoute changes a route of an API.
func onRoute(key string, change func(r *apispec.Route, a *apispec.API)) func(*apispec.API) {
	return func(a *apispec.API) {
		r := a.Current.Route(key)
		if r == nil {
			a.Current.Routes = append(a.Current.Routes, apispec.Route{ID: "x" + key, Key: key})
			r = a.Current.Route(key)
		}
		change(r, a)
	}
}

// served is an app that is deployed on fakes.
type served struct {
	*App
	t     testing.TB
	apis  *APIs
	rooms *rooms
	opts  Options
}

func deploy(t testing.TB, f *rooms, o Options, specs ...*apispec.API) *served {
	t.Helper()
	if f.groups == nil {
		f.groups = map[gateway.Group][]sluice.ConnID{}
	}
	if o.Functions == nil {
		o.Functions = f
	}
	if o.Sockets == nil {
		o.Sockets = f
	}
	o.Services = f
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	o.Verifier = sigv4.New(f, "execute-api").At(o.Now)
	apis := New(o)
	x, err := apis.App(appOf(t, "chat", specs...))
	if err != nil {
		t.Fatal(err)
	}
	return &served{x, t, apis, f, o}
}

func appOf(t testing.TB, name sluice.AppName, specs ...*apispec.API) *sluice.App {
	t.Helper()
	app := &sluice.App{Name: name}
	for _, spec := range specs {
		b, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		app.Endpoints = append(app.Endpoints, sluice.Endpoint{Name: spec.Name, Spec: b})
	}
	return app
}

// stage is the only stage.
func (s *served) stage() *Stage { return s.list[0].stages[0] }

// connID is a well-formed id.
func connID(n byte) sluice.ConnID { return sluice.ConnID{0x45, 0x81, 0xb3, 0x11, n} }

// handshake is what a browser sends.
func handshake(pairs ...string) *sluice.Handshake {
	h := &sluice.Handshake{
		Method: "GET", Path: "/prod", Host: "abcd123456.execute-api.us-east-1.amazonaws.com",
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"http://localhost:3000"}, "User-Agent": {"Mozilla/5.0"},
			"Sec-Websocket-Key": {"x3JJHMbDL1EzLkh9GBhXDw=="}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"},
		},
		Spelling: map[string]string{"Sec-Websocket-Key": "Sec-WebSocket-Key", "Sec-Websocket-Version": "Sec-WebSocket-Version", "Sec-Websocket-Extensions": "Sec-WebSocket-Extensions"},
		Remote:   netip.MustParseAddrPort("192.0.2.1:5000"),
	}
	for i := 0; i < len(pairs); i += 2 {
		k := http.CanonicalHeaderKey(pairs[i])
		h.Header[k] = append(h.Header[k], pairs[i+1])
		if k != pairs[i] {
			h.Spelling[k] = pairs[i]
		}
	}
	return h
}

// event is one of a kind on the connection 1.
func (s *served) event(kind sluice.EventKind) *sluice.Event {
	return &sluice.Event{
		Kind: kind, ID: "5f0c3a52-9a0e-4b52-8f4b-3c1f0f3f6c11", At: noon,
		Conn: sluice.Conn{ID: connID(1), App: "chat", Endpoint: "abcd123456/prod", Remote: netip.MustParseAddrPort("192.0.2.1:5000"), ConnectedAt: noon.Add(-time.Millisecond)},
	}
}

func (s *served) connect(h *sluice.Handshake) sluice.Reply {
	ev := s.event(sluice.Open)
	ev.Conn.Handshake = h
	return s.stage().Handle(context.Background(), ev)
}

// say sends a message, and returns what comes back: "" is nothing.
func (s *served) say(text string) string {
	s.t.Helper()
	ev := s.event(sluice.Message)
	ev.Frame.Data = []byte(text)
	r := s.stage().Handle(context.Background(), ev)
	switch {
	case len(r.Send) == 0:
		return ""
	case len(r.Send) > 1, r.Close != nil:
		s.t.Fatalf("reply %+v", r)
	}
	return string(r.Send[0].Data)
}

// answers makes a function that returns a payload.
func answers(payload string) func(string, []byte) (sluice.Result, error) {
	return func(string, []byte) (sluice.Result, error) { return sluice.Result{Payload: []byte(payload)}, nil }
}

// fails makes a function that fails with a message.
func fails(message string) func(string, []byte) (sluice.Result, error) {
	return func(string, []byte) (sluice.Result, error) {
		return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Type: "Error", Message: message}}, nil
	}
}

func unreachable(string, []byte) (sluice.Result, error) {
	return sluice.Result{}, errors.New("no such function")
}

// shown is a refusal as bytes on the wire, but for its length.
func shown(r *sluice.Refusal) string {
	if r == nil {
		return "accepted"
	}
	out := fmt.Sprintf("HTTP/1.1 %d %s\n", r.Status, http.StatusText(r.Status))
	for _, name := range []string{"Content-Type", "x-amzn-RequestId", "x-amz-apigw-id", "x-amzn-ErrorType"} {
		if v := r.Header[name]; v != nil {
			out += name + ": " + v[0] + "\n"
		}
	}
	return out + "\n" + string(r.Body)
}

func credentials(id, token string) access.Credentials {
	return access.Credentials{ID: id, Secret: "secret", Token: token}
}

package apigateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
)

// sockets are connections whose pushes come out as the test says.
type sockets struct {
	outs   map[sluice.ConnID]sluice.Outcome
	owners map[sluice.ConnID]sluice.AppName
	frames []string // what was done, in order
}

func (s *sockets) Push(_ context.Context, id sluice.ConnID, f sluice.Frame) sluice.Outcome {
	s.frames = append(s.frames, fmt.Sprintf("push %d %q %v", id[0], f.Data, f.Binary))
	return s.outs[id]
}

func (s *sockets) PushMany(ctx context.Context, ids []sluice.ConnID, f sluice.Frame) []sluice.Outcome {
	var outs []sluice.Outcome
	for _, id := range ids {
		outs = append(outs, s.Push(ctx, id, f))
	}
	return outs
}

func (s *sockets) Owner(_ context.Context, id sluice.ConnID) (sluice.AppName, string, sluice.Outcome) {
	if o, ok := s.owners[id]; ok {
		return o, "", sluice.Queued
	}
	return "", "", sluice.Gone
}

func (s *sockets) Close(_ context.Context, id sluice.ConnID, spec sluice.CloseSpec) sluice.Outcome {
	s.frames = append(s.frames, fmt.Sprintf("close %d %d", id[0], spec.Code))
	return s.outs[id]
}

// pushing is an app with connections 1 to 7, one for each outcome, and connection 9, which is another's.
func pushing(t *testing.T) (*APIs, *sockets, func(byte) string) {
	t.Helper()
	s := &sockets{outs: map[sluice.ConnID]sluice.Outcome{}, owners: map[sluice.ConnID]sluice.AppName{}}
	for i, o := range []sluice.Outcome{sluice.Queued, sluice.Gone, sluice.NotFound, sluice.Pending, sluice.Overflow, sluice.TooLarge, 0, sluice.Queued, sluice.Queued} {
		s.outs[sluice.ConnID{byte(i + 1)}] = o
		s.owners[sluice.ConnID{byte(i + 1)}] = "chat"
	}
	s.owners[sluice.ConnID{9}] = "other"
	a := New(Options{Functions: newFunctions(), Sockets: s, IDs: ids(t)})
	for _, app := range []*sluice.App{chat(), appOf("other", specOf("service-other000", apispec.API{ID: "api-other000", Path: "/", Protocol: apispec.WebSocket}))} {
		if _, err := a.App(app); err != nil {
			t.Fatal(err)
		}
	}
	return a, s, func(n byte) string { return ids(t).String(sluice.ConnID{n}) }
}

// The table of section 1.7.
func TestPushesAreAnswered(t *testing.T) {
	t.Parallel()
	_, _, id := pushing(t)
	send := func(n byte, rest string) string {
		return `{"websocket":{"action":"data send","secConnectionID":"` + id(n) + `"` + rest + `}}`
	}
	const fine = `{"errNo":0,"errMsg":"ok"}`
	const gone = `{"errNo":10004,"errMsg":"connection not found"}`
	for _, c := range []struct {
		name, method, url, host, from, body string
		status                              int // 0 is 200
		want, done                          string
	}{
		{name: "text", body: send(1, `,"dataType":"text","data":"a\nb"`), want: fine, done: `push 1 "a\nb" false`},
		{name: "binary", body: send(1, `,"dataType":"binary","data":"AP8B"`), want: fine, done: `push 1 "\x00\xff\x01" true`},
		{name: "without a type", body: send(1, `,"data":"x"`), want: fine, done: `push 1 "x" false`},
		{name: "with an empty type", body: send(1, `,"dataType":"","data":"x"`), want: fine, done: `push 1 "x" false`},
		{name: "without data", body: send(1, ``), want: fine, done: `push 1 "" false`},
		{name: "an object as data", body: send(1, `,"data": {"b": [1, 2.50], "a":"<"}`), want: fine, done: `push 1 "{\"a\":\"<\",\"b\":[1,2.50]}" false`},
		{name: "a number as data", body: send(1, `,"data":17`), want: fine, done: `push 1 "17" false`},
		{name: "the event's own action", body: strings.Replace(send(1, `,"data":"x"`), "data send", "data recv", 1), want: fine, done: `push 1 "x" false`},
		{name: "closing", body: `{"websocket":{"action":"closing","secConnectionID":"` + id(1) + `"}}`, want: fine, done: "close 1 1000"},
		{name: "closing with a Go struct's fields", body: `{"websocket":{"action":"closing","secConnectionID":"` + id(1) + `","dataType":"text","data":""}}`, want: fine, done: "close 1 1000"},
		{name: "closing one that is gone", body: `{"websocket":{"action":"closing","secConnectionID":"` + id(2) + `"}}`, want: gone, done: "close 2 1000"},
		{name: "gone", body: send(2, ``), want: gone, done: `push 2 "" false`},
		{name: "never there", body: send(3, ``), want: gone, done: `push 3 "" false`},
		{name: "not yet", body: send(4, ``), want: gone, done: `push 4 "" false`},
		{name: "too slow", body: send(5, ``), want: `{"errNo":10005,"errMsg":"connection write queue full"}`, done: `push 5 "" false`},
		{name: "too large", body: send(6, ``), want: `{"errNo":10006,"errMsg":"message too large"}`, done: `push 6 "" false`},
		{name: "much too large", body: send(1, `,"data":"`+strings.Repeat("x", maxPushBody)+`"`), want: `{"errNo":10006,"errMsg":"message too large"}`},
		{name: "on a node that cannot be asked", body: send(7, ``), status: 503, want: `{"errNo":10007,"errMsg":"connection cannot be reached now"}`, done: `push 7 "" false`},
		{name: "an id that nobody has made", body: `{"websocket":{"action":"data send","secConnectionID":"xawexasdfewezdfsdfeasdfffa=="}}`, want: gone},
		{name: "another app's connection", body: send(9, ``), want: gone},
		{name: "another app's API", url: "/_tencent/push/api-other000", body: send(1, ``), want: gone},
		{name: "a stale API", url: "/_tencent/push/api-stale000", body: send(1, ``), want: fine, done: `push 1 "" false`},
		{name: "the cloud's host", url: "/api-etj7lhtw", host: "set-gwm9thyc.cb-guangzhou.apigateway.tencentyun.com", body: send(1, ``), want: fine, done: `push 1 "" false`},
		{name: "the cloud's host with a port", url: "/api-etj7lhtw/", host: "set-hk_adaptor_set1.cb-hongkong.apigateway.tencentyun.com:80", body: send(1, ``), want: fine, done: `push 1 "" false`},
		{name: "an unknown action", body: `{"websocket":{"action":"shout","secConnectionID":"` + id(1) + `"}}`, status: 400, want: `{"errNo":10002,"errMsg":"unknown action shout"}`},
		{name: "no action", body: `{"websocket":{"secConnectionID":"` + id(1) + `"}}`, status: 400, want: `{"errNo":10002,"errMsg":"action is missing"}`},
		{name: "no id", body: `{"websocket":{"action":"data send"}}`, status: 400, want: `{"errNo":10002,"errMsg":"secConnectionID is missing"}`},
		{name: "an id that is a number", body: `{"websocket":{"action":"data send","secConnectionID":7}}`, status: 400, want: `{"errNo":10002,"errMsg":"secConnectionID is missing"}`},
		{name: "an id that is null", body: `{"websocket":{"action":"data send","secConnectionID":null}}`, status: 400, want: `{"errNo":10002,"errMsg":"secConnectionID is missing"}`},
		{name: "bad base64", body: send(1, `,"dataType":"binary","data":"A"`), status: 400, want: `{"errNo":10002,"errMsg":"data is not base64"}`},
		{name: "a bad type", body: send(1, `,"dataType":"blob","data":"A"`), status: 400, want: `{"errNo":10002,"errMsg":"dataType is neither text nor binary"}`},
		{name: "no websocket", body: `{}`, status: 400, want: `{"errNo":10002,"errMsg":"websocket is not an object"}`},
		{name: "a list", body: `[]`, status: 400, want: `{"errNo":10002,"errMsg":"websocket is not an object"}`},
		{name: "not JSON", body: `websocket`, status: 400, want: `{"errNo":10001,"errMsg":"invalid json"}`},
		{name: "nothing", status: 400, want: `{"errNo":10001,"errMsg":"invalid json"}`},
		{name: "GET", method: "GET", status: 405, want: `{"errNo":10003,"errMsg":"method not allowed"}`},
		{name: "from elsewhere", from: "192.0.2.1:1000", body: send(1, ``), status: 403, want: `{"errNo":10008,"errMsg":"pushes are taken from functions on this machine only"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, s, _ := pushing(t)
			or := func(v, or string) string {
				if v == "" {
					return or
				}
				return v
			}
			r := httptest.NewRequest(or(c.method, "POST"), or(c.url, "/_tencent/push/api-etj7lhtw"), strings.NewReader(c.body))
			r.Host, r.RemoteAddr = or(c.host, "127.0.0.1:4566"), or(c.from, "127.0.0.1:1000")
			if !a.Claims(r) {
				t.Fatal("it is not taken for a push")
			}
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if c.status == 0 {
				c.status = http.StatusOK
			}
			if w.Code != c.status || w.Body.String() != c.want || strings.Join(s.frames, ";") != c.done {
				t.Fatalf("%d %s, did %q; want %d %s, %q", w.Code, w.Body, s.frames, c.status, c.want, c.done)
			}
		})
	}
}

func TestOnePushReachesMany(t *testing.T) {
	t.Parallel()
	a, s, id := pushing(t)
	send := func(action string, ids ...string) string {
		r := httptest.NewRequest("POST", "/_tencent/push/api-etj7lhtw", strings.NewReader(
			`{"websocket":{"action":"`+action+`","secConnectionID":["`+strings.Join(ids, `","`)+`"],"data":"x"}}`))
		r.RemoteAddr = "[::1]:1000"
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w.Body.String()
	}
	got := send("data send", id(1), id(2), "nobody", id(5), id(6), id(8), id(9))
	want := `{"errNo":0,"errMsg":"ok","sent":2,"gone":["nobody","` + id(9) + `","` + id(2) + `"],"failed":[{"secConnectionID":"` + id(5) +
		`","errNo":10005,"errMsg":"connection write queue full"},{"secConnectionID":"` + id(6) + `","errNo":10006,"errMsg":"message too large"}]}`
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	s.frames = nil
	if got := send("closing", id(1), id(8)); got != `{"errNo":0,"errMsg":"ok","sent":2,"gone":[],"failed":[]}` || strings.Join(s.frames, ";") != "close 1 1000;close 8 1000" {
		t.Fatalf("%s %q", got, s.frames)
	}
	many := make([]string, maxPushIDs+1)
	if got := send("data send", many...); got != `{"errNo":10002,"errMsg":"more than 10000 secConnectionID"}` {
		t.Fatal(got)
	}
}

func FuzzPush(f *testing.F) {
	for _, s := range []string{`{"websocket":{"action":"data send","secConnectionID":"x","dataType":"binary","data":"AP8B"}}`, `{"websocket":{"action":"closing","secConnectionID":["x"]}}`, `{"websocket":{"action":"data recv","secConnectionID":"x","data":{"a":1e9999}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, e := readPush(b)
		if (p == nil) == (e == nil) {
			t.Fatal("neither a push nor an error")
		}
	})
}

package websocket

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// managed is an app with two stages and connections 1 (of prod) and 2 (of dev).
func managed(t testing.TB, o Options) *served {
	t.Helper()
	at := func(stage string) sluice.Conn {
		return sluice.Conn{
			App: "chat", Endpoint: "abcd123456/" + stage, Remote: netip.MustParseAddrPort("192.0.2.1:5000"),
			ConnectedAt: time.UnixMilli(1742085982306), LastActive: time.UnixMilli(1742085982400), Attrs: map[string]string{"agent": "x"},
		}
	}
	f := &rooms{conns: map[sluice.ConnID]sluice.Conn{}}
	for n, stage := range map[byte]string{1: "prod", 2: "dev", 4: "prod"} {
		c := at(stage)
		c.ID = connID(n)
		f.conns[c.ID] = c
	}
	foreign := at("prod")
	foreign.ID, foreign.App = connID(3), "other"
	f.conns[foreign.ID] = foreign
	return deploy(t, f, o, chat(func(a *apispec.API) {
		a.Stages = []apispec.Stage{{Name: "prod"}, {Name: "dev"}}
		a.Mappings = []apispec.Mapping{{Domain: "ws.example.com", Path: "v2", Stage: "prod"}}
	}))
}

const apiHostName = "https://abcd123456.execute-api.us-east-1.amazonaws.com"

// request is a signed call by the app, unless key says who else signs; "-" signs not at all.
func request(method, url, body, key string, pairs ...string) *http.Request {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	if key == "" {
		key = "CHAT"
	}
	if key != "-" {
		sigv4.Sign(r, []byte(body), credentials(key, ""), "us-east-1", "execute-api", noon)
	}
	return r
}

func do(h http.Handler, r *http.Request) (*http.Response, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	b, _ := io.ReadAll(res.Body)
	return res, string(b)
}

func TestOneConnection(t *testing.T) {
	s := managed(t, Options{})
	one := connID(1).String()
	path := "/prod/@connections/" + strings.ReplaceAll(one, "=", "%3D")
	for _, tc := range []struct {
		name, method, url string
		h                 http.Handler
		status            int
		body              string
	}{
		{"post", "POST", apiHostName + path, s, 200, ""},
		{"post with an escaped @", "POST", apiHostName + strings.ReplaceAll(path, "@", "%40"), s, 200, ""},
		{"post with a bare =", "POST", apiHostName + "/prod/@connections/" + one, s, 200, ""},
		{"post with a doubled slash", "POST", apiHostName + "/prod//@connections/" + one, s, 200, ""},
		{"post by a domain", "POST", "https://ws.example.com/v2/@connections/" + one, s, 200, ""},
		{"post by path", "POST", "http://127.0.0.1:4566/_aws/execute-api/abcd123456" + path, s, 200, ""},
		{"post at home", "POST", "http://chat.localhost:8080" + path, s, 200, ""},
		{"post to all, by name", "POST", apiHostName + path, s.apis, 200, ""},
		{"post to all, by path", "POST", "http://127.0.0.1:4566/_aws/execute-api/abcd123456" + path, s.apis, 200, ""},
		{"post to all, by stage", "POST", "http://127.0.0.1:4566" + path, s.apis, 200, ""},
		{"post to all, by id alone", "POST", "http://127.0.0.1:4566/@connections/" + one, s.apis, 200, ""},
		{"get", "GET", apiHostName + path, s, 200, `{"connectedAt":"2025-03-16T00:46:22.306Z","identity":{"sourceIp":"192.0.2.1","userAgent":"x"},"lastActiveAt":"2025-03-16T00:46:22.400Z"}`},
		{"delete", "DELETE", apiHostName + path, s, 204, ""},
		{"get of all", "GET", "http://127.0.0.1:4566" + path, s.apis, 200, `{"connectedAt":"2025-03-16T00:46:22.306Z","identity":{"sourceIp":"192.0.2.1","userAgent":"x"},"lastActiveAt":"2025-03-16T00:46:22.400Z"}`},
	} {
		res, body := do(tc.h, request(tc.method, tc.url, map[string]string{"POST": "hello"}[tc.method], ""))
		if res.StatusCode != tc.status || body != tc.body || res.Header["x-amzn-RequestId"] == nil && res.Header.Get("X-Amzn-Requestid") == "" || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %s", tc.name, res.StatusCode, res.Header, body)
		}
	}
	for i, p := range s.rooms.pushed {
		if p != one+" hello" {
			t.Errorf("push %d: %s", i, p)
		}
	}
	if len(s.rooms.pushed) != 11 {
		t.Errorf("%d pushes", len(s.rooms.pushed))
	}
	if diff := cmp.Diff([]sluice.CloseSpec{{Code: 1000}}, s.rooms.closed); diff != "" {
		t.Error(diff)
	}
}

func TestManagementErrorsAreExact(t *testing.T) {
	s := managed(t, Options{})
	strict := managed(t, Options{Settings: Settings{RequestRate: 0.001, RequestBurst: 1}})
	post := func(id string) *http.Request { return request("POST", apiHostName+"/prod/@connections/"+id, "x", "") }
	one := connID(1).String()
	result := func(o sluice.Outcome) *served {
		s := managed(t, Options{})
		s.rooms.push = func(sluice.ConnID, sluice.Frame) sluice.Outcome { return o }
		return s
	}
	do(strict, post(one))
	tampered := post(one)
	tampered.Header.Set("Authorization", strings.ReplaceAll(tampered.Header.Get("Authorization"), "Signature=", "Signature=0"))
	var names []string
	got := map[string]string{}
	for _, tc := range []struct {
		name string
		h    http.Handler
		r    *http.Request
	}{
		{"a connection that is closed", s, post(connID(9).String())},
		{"a connection of another stage", s, post(connID(2).String())},
		{"a connection of another app", s, post(connID(3).String())},
		{"a connection of another app, at the listener of all", s.apis, request("POST", "http://127.0.0.1:4566/@connections/"+connID(3).String(), "x", "")},
		{"a connection of another stage, at the listener of all", s.apis, request("POST", "http://127.0.0.1:4566/prod/@connections/"+connID(2).String(), "x", "")},
		{"get of a closed one", s, request("GET", apiHostName+"/prod/@connections/"+connID(9).String(), "", "")},
		{"delete of a closed one", s, request("DELETE", apiHostName+"/prod/@connections/"+connID(9).String(), "", "")},
		{"a handshake that is not complete", result(sluice.Pending), post(one)},
		{"an id that is none", s, post("abc")},
		{"an id that is none either", s, post("not%20an%20id%2Fat%20all")},
		{"a full queue", result(sluice.Overflow), post(one)},
		{"a node that does not answer", result(0), post(one)},
		{"too fast", strict, post(one)},
		{"too long", s, request("POST", apiHostName+"/prod/@connections/"+one, strings.Repeat("x", 131_073), "")},
		{"an unknown stage", s, request("POST", apiHostName+"/nope/@connections/"+one, "x", "")},
		{"an unknown stage, at the listener of all", s.apis, request("POST", "http://127.0.0.1:4566/Prod/@connections/"+one, "x", "")},
		{"an unknown API", s.apis, request("POST", "https://nobody1234.execute-api.us-east-1.amazonaws.com/prod/@connections/"+one, "x", "")},
		{"another app's key", s, request("POST", apiHostName+"/prod/@connections/"+one, "x", "OTHER")},
		{"an unknown key", s, request("POST", apiHostName+"/prod/@connections/"+one, "x", "NOBODY")},
		{"no signature", s, request("POST", apiHostName+"/prod/@connections/"+one, "x", "-")},
		{"a wrong signature", s, tampered},
		{"a method that is none", s, request("PATCH", apiHostName+"/prod/@connections/"+one, "x", "")},
		{"a path that is none", s, request("POST", apiHostName+"/prod/@connections/"+one+"/more", "x", "")},
		{"no upgrade", s, request("GET", apiHostName+"/prod", "", "-")},
		{"no upgrade anywhere", s, request("GET", apiHostName+"/x/y", "", "-")},
	} {
		w := httptest.NewRecorder()
		tc.h.ServeHTTP(w, tc.r)
		id := w.Header()["x-amzn-RequestId"][0]
		text := fmt.Sprintf("HTTP/1.1 %d\n", w.Code)
		for _, name := range []string{"Content-Type", "x-amzn-ErrorType"} {
			if v := w.Header()[name]; v != nil {
				text += name + ": " + v[0] + "\n"
			}
		}
		text += "\n" + strings.ReplaceAll(w.Body.String(), gatewayID(strings.ToUpper(id), ""), "{requestId}")
		names = append(names, tc.name)
		got[tc.name] = text
	}
	golden(t, "management.txtar", names, got)
	if len(s.rooms.pushed) != 0 {
		t.Error("something was pushed", s.rooms.pushed)
	}
}

func TestTheLongestMessageFits(t *testing.T) {
	s := managed(t, Options{})
	res, body := do(s, request("POST", apiHostName+"/prod/@connections/"+connID(1).String(), strings.Repeat("x", 131_072), ""))
	if res.StatusCode != 200 || len(s.rooms.pushed) != 1 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestManyConnections(t *testing.T) {
	s := managed(t, Options{})
	ids := func(list ...string) string { return `"` + strings.Join(list, `","`) + `"` }
	one, two, four, gone := connID(1).String(), connID(2).String(), connID(4).String(), connID(9).String()
	for _, tc := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"text", `{"connectionIds":[` + ids(one, two, gone, four, one, "bad") + `],"data":"hé"}`, 200,
			`{"sent":2,"gone":["` + two + `","` + gone + `"],"failed":[{"connectionId":"bad","code":"BadRequestException"}]}`},
		{"bytes", `{"connectionIds":[` + ids(one) + `],"dataBase64":"aGk="}`, 200, `{"sent":1,"gone":[],"failed":[]}`},
		{"empty text", `{"connectionIds":[` + ids(one) + `],"data":""}`, 200, `{"sent":1,"gone":[],"failed":[]}`},
		{"no ids", `{"connectionIds":[],"data":"x"}`, 400, `{"message":"connectionIds is empty"}`},
		{"no data", `{"connectionIds":[` + ids(one) + `]}`, 400, `{"message":"The body needs either data or dataBase64"}`},
		{"two data", `{"connectionIds":[` + ids(one) + `],"data":"x","dataBase64":"eA=="}`, 400, `{"message":"The body needs either data or dataBase64"}`},
		{"not base64", `{"connectionIds":[` + ids(one) + `],"dataBase64":"%"}`, 400, `{"message":"dataBase64 is not base64"}`},
		{"not JSON", `x`, 400, `{"message":"The body is not JSON with connectionIds and data or dataBase64"}`},
		{"too many", `{"connectionIds":[` + strings.TrimSuffix(strings.Repeat(`"`+one+`",`, 10_001), ",") + `],"data":"x"}`, 400, `{"message":"connectionIds has more than 10000 ids"}`},
	} {
		res, body := do(s, request("POST", apiHostName+"/prod/@connections", tc.body, ""))
		if res.StatusCode != tc.status || body != tc.want {
			t.Errorf("%s: %d %s", tc.name, res.StatusCode, body)
		}
	}
	want := []string{one + " hé", four + " hé", one + " hi", one + " "}
	if diff := cmp.Diff(want, s.rooms.pushed); diff != "" {
		t.Error(diff)
	}
	long := `{"connectionIds":["` + one + `"],"dataBase64":"` + base64.StdEncoding.EncodeToString(make([]byte, 131_073)) + `"}`
	if res, body := do(s, request("POST", apiHostName+"/prod/@connections", long, "")); res.StatusCode != 413 {
		t.Errorf("too long: %d %s", res.StatusCode, body)
	}
	if res, _ := do(s, request("POST", apiHostName+"/prod/@connections", `{"connectionIds":["`+one+`"],"data":"x"}`, "-")); res.StatusCode != 403 {
		t.Errorf("unsigned: %d", res.StatusCode)
	}
	// Where no API is named, the caller's only one with such a stage is meant.
	if res, body := do(s.apis, request("POST", "http://127.0.0.1:4566/prod/@connections", `{"connectionIds":["`+one+`"],"data":"x"}`, "")); res.StatusCode != 200 {
		t.Errorf("at the listener of all: %d %s", res.StatusCode, body)
	}
	if res, body := do(s.apis, request("POST", "http://127.0.0.1:4566/@connections", `{"connectionIds":["`+one+`"],"data":"x"}`, "")); res.StatusCode != 403 {
		t.Errorf("two stages could be meant: %d %s", res.StatusCode, body)
	}
}

func TestGroups(t *testing.T) {
	s := managed(t, Options{})
	one, two, four := connID(1).String(), connID(2).String(), connID(4).String()
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"join", "PUT", "/prod/@groups/room%201/" + one, "", nil, 204, ""},
		{"another joins", "PUT", "/prod/@groups/room%201/" + four, "", nil, 204, ""},
		{"one of another stage", "PUT", "/prod/@groups/room%201/" + two, "", nil, 410, ""},
		{"no id", "PUT", "/prod/@groups/room%201/x", "", nil, 400, ""},
		{"count", "GET", "/prod/@groups/room%201", "", nil, 200, `{"size":2}`},
		{"the same group of another stage", "GET", "/dev/@groups/room%201", "", nil, 200, `{"size":0}`},
		{"push", "POST", "/prod/@groups/room%201", "hello", nil, 200, `{"sent":2}`},
		{"push to others", "POST", "/prod/@groups/room%201", "again", []string{"X-Sluice-Except", one + ", " + two}, 200, `{"sent":1}`},
		{"except nobody", "POST", "/prod/@groups/room%201", "x", []string{"X-Sluice-Except", "bad"}, 400, `{"message":"X-Sluice-Except has an id that is none"}`},
		{"leave", "DELETE", "/prod/@groups/room%201/" + one, "", nil, 204, ""},
		{"a name that is too long", "GET", "/prod/@groups/" + strings.Repeat("x", 257), "", nil, 400, `{"message":"The name of a group has 1 to 256 bytes"}`},
		{"no such call", "PUT", "/prod/@groups/g", "", nil, 403, `{"message":"Missing Authentication Token"}`},
		{"nor such", "POST", "/prod/@groups/g/" + one, "", nil, 403, `{"message":"Missing Authentication Token"}`},
		{"nor such one", "GET", "/prod/@groups", "", nil, 403, `{"message":"Missing Authentication Token"}`},
	} {
		res, body := do(s, request(tc.method, apiHostName+tc.path, tc.body, "", tc.headers...))
		if res.StatusCode != tc.status || tc.want != "" && body != tc.want || tc.status < 300 && body != tc.want {
			t.Errorf("%s: %d %s", tc.name, res.StatusCode, body)
		}
	}
	want := []string{one + " hello", four + " hello", four + " again"}
	if diff := cmp.Diff(want, s.rooms.pushed); diff != "" {
		t.Error(diff)
	}
	if res, body := do(s.apis, request("GET", "http://127.0.0.1:4566/prod/@groups/g", "", "OPERATOR")); res.StatusCode != 200 {
		t.Errorf("at the listener of all: %d %s", res.StatusCode, body)
	}
}

// nobody reads an answer.
type nobody struct{ h http.Header }

func (n nobody) Header() http.Header       { return n.h }
func (nobody) Write(b []byte) (int, error) { return len(b), nil }
func (nobody) WriteHeader(int)             {}

func BenchmarkPost(b *testing.B) {
	const body = `{"from":"ann","text":"a message of about one hundred bytes, as people write them in a chat, most days"}`
	s := managed(b, Options{})
	s.rooms.push = func(sluice.ConnID, sluice.Frame) sluice.Outcome { return sluice.Queued }
	r := request("POST", "http://127.0.0.1:8080/_aws/ws/abcd123456/prod/@connections/"+connID(1).String(), body, "")
	in := strings.NewReader(body)
	r.Body = io.NopCloser(in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(body)
		if s.Claims(r) {
			s.ServeHTTP(nobody{http.Header{}}, r)
		}
	}
}

func BenchmarkPostToMany(b *testing.B) {
	const n = 1000
	s := managed(b, Options{})
	var ids []string
	for i := range n {
		id := sluice.ConnID{0x45, 0x81, 1, byte(i), byte(i >> 8)}
		s.rooms.conns[id] = s.rooms.conns[connID(1)]
		ids = append(ids, id.String())
	}
	body := `{"connectionIds":["` + strings.Join(ids, `","`) + `"],"data":"{\"text\":\"as people write them in a chat, most days\"}"}`
	s.rooms.push = func(sluice.ConnID, sluice.Frame) sluice.Outcome { return sluice.Queued }
	r := request("POST", "http://127.0.0.1:8080/_aws/ws/abcd123456/prod/@connections", body, "")
	in := strings.NewReader(body)
	r.Body = io.NopCloser(in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(body)
		s.ServeHTTP(nobody{http.Header{}}, r)
	}
}

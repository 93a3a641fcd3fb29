package websocket

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

func TestShardsServeThePostsThatSucceed(t *testing.T) {
	s := managed(t, Options{})
	one := connID(1).String()
	path := "/prod/@connections/" + strings.ReplaceAll(one, "=", "%3D")
	for _, url := range []string{
		apiHostName + path, apiHostName + strings.ReplaceAll(path, "@", "%40"), apiHostName + "/prod//@connections/" + one,
		"https://ws.example.com/v2/@connections/" + one, "http://127.0.0.1:4566/_aws/execute-api/abcd123456" + path, "http://chat.localhost:8080" + path,
	} {
		p, ok := s.Post(request("POST", url, "hello", ""), []byte("hello"))
		if !ok || p.To != connID(1) || p.App != "chat" || p.Endpoint != "abcd123456/prod" || string(p.Frame.Data) != "hello" || p.Frame.Binary || len(p.Header) != 3 {
			t.Errorf("%s: %v %+v", url, ok, p)
		}
	}
	for _, tc := range []struct{ url, body, key string }{
		{apiHostName + path, "hallo", ""}, // not what was signed
		{apiHostName + path, "hello", "-"},
		{apiHostName + path, "hello", "OTHER"},
		{apiHostName + "/prod/@connections/x", "hello", ""},
		{apiHostName + "/prod/@connections", "hello", ""},
		{apiHostName + "/prod/@groups/" + one, "hello", ""},
		{apiHostName + "/none/@connections/" + one, "hello", ""},
		{apiHostName + "/prod/@connections/" + one + "/more", "hello", ""},
		{"https://ws.example.com/@connections/" + one, "hello", ""},
		{apiHostName + path, strings.Repeat("x", DefaultMaxMessage+1), ""},
	} {
		if p, ok := s.Post(request("POST", tc.url, tc.body, tc.key), []byte(strings.Replace(tc.body, "a", "e", 1))); ok {
			t.Errorf("%s: %+v", tc.url, p)
		}
	}
	strict := managed(t, Options{Settings: Settings{RequestRate: 0.001, RequestBurst: 1}})
	for i, want := range []bool{true, false} {
		if _, ok := strict.Post(request("POST", apiHostName+path, "x", ""), []byte("x")); ok != want {
			t.Errorf("call %d: %v", i, ok)
		}
	}
	hidden := deploy(t, s.rooms, Options{}, chat(func(a *apispec.API) {
		a.Stages, a.DisableExecuteAPI = []apispec.Stage{{Name: "prod"}}, true
	}))
	if _, ok := hidden.Post(request("POST", apiHostName+path, "x", ""), []byte("x")); ok {
		t.Error("an API that does not answer at its own name did")
	}
}

func BenchmarkShardPost(b *testing.B) {
	const body = `{"from":"ann","text":"a message of about one hundred bytes, as people write them in a chat, most days"}`
	s := managed(b, Options{})
	r := request("POST", "http://127.0.0.1:8080/_aws/ws/abcd123456/prod/@connections/"+strings.ReplaceAll(connID(1).String(), "=", "%3D"), body, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Post(r, []byte(body)); !ok {
			b.Fatal("refused")
		}
	}
}

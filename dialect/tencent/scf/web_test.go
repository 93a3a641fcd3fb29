package scf

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/internal/ports"
)

func writeFile(path string, mode os.FileMode) error { return os.WriteFile(path, nil, mode) }

// seen is what the server of the tests has got.
type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func httpCall(t *testing.T, in interface {
	Invoke(context.Context, *sluice.Invocation) (sluice.Result, error)
}, h *sluice.HTTPRequest, body string) (sluice.Result, seen) {
	t.Helper()
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Kind: sluice.InvokeHTTP, Payload: []byte(body), HTTP: h})
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	if res.HTTP != nil {
		if err := json.Unmarshal(res.Payload, &got); err != nil {
			t.Fatal(err)
		}
	}
	return res, got
}

func TestRequestsPassThroughToWebFunctions(t *testing.T) {
	t.Parallel()
	s, v := programs(t)["web"]()
	in, _ := start(t, s, v)
	res, got := httpCall(t, in, &sluice.HTTPRequest{
		Method: "PUT", Path: "/a%2Fb/c%20d", RawQuery: "x=1&y", Host: "chat.example", Header: http.Header{
			"X-Mine": {"1", "2"}, "X-Scf-Name": {"forged"}, "X-Scf-Forged": {"1"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Content-Length": {"999"}},
	}, "body")
	if got.Method != "PUT" || got.URI != "/a%2Fb/c%20d?x=1&y" || got.Host != "chat.example" || got.Body != "body" {
		t.Errorf("%+v", got)
	}
	if h := got.Header; len(h.Values("X-Mine")) != 2 || h.Get("X-Scf-Name") != "f" || h.Get("X-Scf-Forged") != "" || h.Get("X-Hop") != "" || h.Get("X-Scf-Request-Id") != "R1" {
		t.Errorf("%v", h)
	}
	if res.HTTP.Status != 202 || res.HTTP.Header.Get("X-Own") != "1" || res.HTTP.Header.Get("X-Scf-Secret") != "" {
		t.Errorf("%+v", res.HTTP)
	}
	if _, got := httpCall(t, in, &sluice.HTTPRequest{Method: "GET", Path: "//evil/x"}, ""); got.URI != "/evil/x" && got.URI != "//evil/x" {
		t.Errorf("%+v", got)
	}
	if res, _ := httpCall(t, in, &sluice.HTTPRequest{Method: "POST", Path: "/do"}, "exit"); told(res.Failure) != "439 User process exit when running|exit status 5" {
		t.Errorf("%+v", res)
	}
}

func TestServersThatFindTheirPortInPORT(t *testing.T) {
	t.Parallel()
	s, v := programs(t)["web"](mode("port"))
	in, _ := start(t, s, v)
	if _, got := httpCall(t, in, &sluice.HTTPRequest{Method: "GET", Path: "/"}, ""); got.URI != "/" {
		t.Errorf("%+v", got)
	}
}

func TestAServerOnTheCloudsPortIsFound(t *testing.T) {
	if ports.Accepts(t.Context(), webPort) {
		t.Skip("somebody has port 9000")
	}
	s, v := programs(t)["web"](mode("stray"))
	in, _ := start(t, s, v)
	if _, got := httpCall(t, in, &sluice.HTTPRequest{Method: "GET", Path: "/"}, ""); got.URI != "/" {
		t.Errorf("%+v", got)
	}
}

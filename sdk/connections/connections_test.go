package connections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

func TestTheEnvironmentIsEnough(t *testing.T) {
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	if _, err := New("https://x/prod"); err == nil {
		t.Error("no keys, but no error")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "K")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "S")
	if _, err := New(""); err == nil {
		t.Error("no endpoint, but no error")
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/")
	t.Setenv("AWS_SESSION_TOKEN", "T")
	t.Setenv("AWS_REGION", "eu-west-1")
	c, err := New("")
	if err != nil || *c != (Client{Endpoint: "http://127.0.0.1:4566", Region: "eu-west-1", KeyID: "K", Secret: "S", Token: "T"}) {
		t.Errorf("%+v %v", c, err)
	}
}

// keys knows one key.
type keys struct{}

func (keys) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	if id != "K" || token != "T" {
		return "", access.Principal{}, access.ErrUnknownKey
	}
	return "S", access.Principal{App: "chat"}, nil
}

func TestSignaturesHold(t *testing.T) {
	v := sigv4.New(keys{}, "execute-api")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, err := v.Verify(r, body); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
		}
		io.WriteString(w, "{}")
	}))
	t.Cleanup(srv.Close)
	c := &Client{Endpoint: srv.URL + "/Prod", KeyID: "K", Secret: "S", Token: "T", Region: "eu-west-1"}
	if err := errors.Join(
		c.Send(t.Context(), "L0SM9cOFvHcCIhw=", []byte("hello")),
		c.Close(t.Context(), "L0SM9cOFvHcCIhw="),
		c.Join(t.Context(), "a room/ü'*~.", "L0SM9cOFvHcCIhw="),
	); err != nil {
		t.Error(err)
	}
}

func TestManyConnectionsGoInParts(t *testing.T) {
	var sizes []int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ConnectionIDs []string
			DataBase64    string
		}
		json.NewDecoder(r.Body).Decode(&in)
		sizes = append(sizes, len(in.ConnectionIDs))
		if in.DataBase64 != "/w==" {
			t.Error(in.DataBase64)
		}
		if len(sizes) == 3 {
			w.Header().Set("X-Amzn-Errortype", "LimitExceededException")
			w.WriteHeader(429)
			io.WriteString(w, `{"message": "Too Many Requests"}`)
			return
		}
		fmt.Fprintf(w, `{"sent":%d,"gone":["g"],"failed":[{"connectionId":"f","code":"LimitExceededException"}]}`, len(in.ConnectionIDs)-2)
	}))
	t.Cleanup(srv.Close)
	c := &Client{Endpoint: srv.URL, KeyID: "K", Secret: "S"}
	res, err := c.SendMany(t.Context(), make([]string, 2*maxIDs+5), []byte{0xff})
	var e *Error
	if !errors.As(err, &e) || e.Status != 429 || e.Code != "LimitExceededException" || e.Message != "Too Many Requests" || IsGone(err) {
		t.Error(err)
	}
	if fmt.Sprint(sizes) != "[10000 10000 5]" || res.Sent != 2*maxIDs-4 || len(res.Gone) != 2 || len(res.Failed) != 2 {
		t.Errorf("%v %+v", sizes, res)
	}
}

package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// streamer serves the address of a function that streams.
func streamer(t *testing.T, f func(context.Context, sluice.Stream) (sluice.Result, error)) string {
	t.Helper()
	u := NewURL(Options{App: "shop", Functions: &functions{streams: map[string]func(context.Context, sluice.Stream) (sluice.Result, error){"f": f}}, Region: "us-east-1"},
		URLSettings{ID: "u1", Function: "f", Stream: true, CORS: &apispec.CORS{Origins: []string{"*"}}})
	s := httptest.NewServer(u)
	t.Cleanup(s.Close)
	return s.URL
}

func TestFunctionURLsStream(t *testing.T) {
	next := make(chan string)
	url := streamer(t, func(ctx context.Context, to sluice.Stream) (sluice.Result, error) {
		to.Begin(Head(207, map[string]any{"X-A": []any{"1", 2}, "Content-Length": "9", "content-type": "text/x"}, []string{"a=b", "c=d"}))
		for part := range next {
			if err := to.Write(ctx, []byte(part)); err != nil {
				t.Error(err)
			}
		}
		return sluice.Result{}, nil
	})
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Origin", "https://a.example")
	go func() { next <- "one\n" }()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	h := res.Header
	if res.StatusCode != 207 || strings.Join(h["X-A"], ",") != "1,2" || strings.Join(h["Set-Cookie"], ",") != "a=b,c=d" || h.Get("Content-Type") != "text/x" || h.Get("Access-Control-Allow-Origin") != "*" || res.ContentLength != -1 {
		t.Errorf("%d %v", res.StatusCode, h)
	}
	body := bufio.NewReader(res.Body)
	for _, part := range []string{"one\n", "two\n", "three\n"} {
		if part != "one\n" {
			next <- part // which is sent only when the one before has come
		}
		if got, err := body.ReadString('\n'); got != part || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	close(next)
	if rest, err := io.ReadAll(body); len(rest) != 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestStreamsOfFunctionURLsThatFail(t *testing.T) {
	failed := sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "x"}}
	url := streamer(t, func(ctx context.Context, to sluice.Stream) (sluice.Result, error) {
		to.Begin(nil)
		to.Write(ctx, []byte("some"))
		return failed, nil
	})
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "some" || err == nil || res.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("an answer that broke off: %q, %v", b, err)
	}
	url = streamer(t, func(context.Context, sluice.Stream) (sluice.Result, error) { return failed, nil })
	if res, err = http.Get(url); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 502 {
		t.Error(res.Status)
	}
}

func TestAStreamToAClientThatReadsNothingIsLeft(t *testing.T) {
	left := make(chan error, 1)
	url := streamer(t, func(ctx context.Context, to sluice.Stream) (sluice.Result, error) {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond) // the function's
		defer cancel()
		to.Begin(nil)
		for {
			if err := to.Write(ctx, make([]byte, 1<<20)); err != nil {
				left <- err
				return sluice.Result{Failure: &sluice.Failure{Kind: sluice.TimedOut}}, nil
			}
		}
	})
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-left
}

func TestStreamsHaveALimit(t *testing.T) {
	l := Live{W: httptest.NewRecorder(), sent: maxStream - 1}
	if err := l.Send(t.Context(), []byte("a")); err != nil {
		t.Error(err)
	}
	if err := l.Send(t.Context(), []byte("a")); sluice.KindOf(err) != sluice.TooMuch {
		t.Error(err)
	}
}

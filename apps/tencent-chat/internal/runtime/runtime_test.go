package runtime

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

func TestCallsAreServedOneAfterTheOther(t *testing.T) {
	events := []string{`"hi"`, `"fail"`, `"panic"`, `"deadline"`}
	var said []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost {
			said = append(said, r.URL.Path+" "+string(b))
			return
		}
		if len(events) == 0 {
			w.WriteHeader(http.StatusGone)
			return
		}
		w.Header()["time_limit_in_ms"] = []string{"3000"}
		io.WriteString(w, events[0])
		events = events[1:]
	}))
	defer srv.Close()
	err := serve(t.Context(), srv.URL+"/runtime/", func(ctx context.Context, event []byte) (any, error) {
		switch string(event) {
		case `"fail"`:
			return nil, errors.New("no")
		case `"panic"`:
			panic("oh")
		case `"deadline"`:
			end, _ := ctx.Deadline()
			return time.Until(end) <= 3*time.Second, nil // without the header it is a minute
		}
		return map[string]string{"heard": string(event)}, nil
	})
	if err == nil {
		t.Error("the API has ended, and nobody says so")
	}
	want := []string{"/runtime/init/ready ", `/runtime/invocation/response {"heard":"\"hi\""}`, "/runtime/invocation/error no",
		"/runtime/invocation/error panic: oh", `/runtime/invocation/response true`}
	if !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
}

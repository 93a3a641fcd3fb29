package lambda

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// echo is a room with one function, which answers with its payload.
type echo struct {
	v    *function.Version
	last sluice.Invocation
}

func newEcho() *echo {
	return &echo{v: &function.Version{App: "chat", Dialect: dialect, Env: map[string]string{"AWS_REGION": "us-east-1"},
		Spec: sluice.Function{Name: "Echo", Runtime: "nodejs22.x", MemoryMB: 128, Timeout: 10 * time.Second}}}
}

func (e *echo) Invoke(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
	e.last = inv
	return sluice.Result{Payload: inv.Payload, Took: 1234 * time.Microsecond, MemoryMB: 64, LogTail: []byte("said")}, nil
}

func (e *echo) Refuse(sluice.AppName, sluice.FunctionName) error { return nil }

func (e *echo) List(sluice.AppName) []function.Status { return nil }

func (e *echo) Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool) {
	return e.v, app == e.v.App && name == e.v.Spec.Name
}

func TestCallsAreNamedAndTraced(t *testing.T) {
	room := newEcho()
	l := NewLambda(room, nil, nil)
	for i := range 2 { // the second time by what is remembered
		for _, tc := range []struct{ name, qualifier, arn string }{
			{"Echo", "", "arn:aws:lambda:us-east-1:000000000000:function:Echo"},
			{"Echo:$LATEST", "$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:Echo:$LATEST"},
			{"arn:aws:lambda:us-east-1:000000000000:function:Echo", "", "arn:aws:lambda:us-east-1:000000000000:function:Echo"},
		} {
			if _, _, err := l.Invoke(t.Context(), Call{App: "chat", Name: tc.name}); err != nil {
				t.Fatal(err)
			}
			if room.last.Qualifier != tc.qualifier || room.last.Attrs["arn"] != tc.arn {
				t.Errorf("%s, call %d: %q %v", tc.name, i, room.last.Qualifier, room.last.Attrs)
			}
			if trace := room.last.Attrs["trace"]; !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(trace) {
				t.Errorf("trace %s", trace)
			}
			if id := room.last.RequestID; !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("request %s", id)
			}
		}
		if _, _, err := l.Invoke(t.Context(), Call{App: "chat", Name: "Echo:7"}); sluice.KindOf(err) != sluice.Missing {
			t.Errorf("a version that is none: %v", err)
		}
	}
	old := room.v
	next := *old
	next.Revision, room.v = "2", &next
	if f, _, err := l.Invoke(t.Context(), Call{App: "chat", Name: "Echo"}); err != nil || f.Version != room.v {
		t.Errorf("after a deploy: %v %v", f, err)
	}
}

func BenchmarkInvoke(b *testing.B) {
	l := NewLambda(newEcho(), nobody{}, nil)
	payload := []byte(`{"requestContext":{"routeKey":"echo"},"body":"hello"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := l.Invoke(b.Context(), Call{App: "chat", Name: "arn:aws:lambda:us-east-1:000000000000:function:Echo", Payload: payload}); err != nil {
			b.Fatal(err)
		}
	}
}

// nobody keeps no log.
type nobody struct{}

func (nobody) Log(function.LogLine) {}

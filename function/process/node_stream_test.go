//go:build unix

package process

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// heard is a stream that hands its parts to the test.
type heard struct {
	head  *sluice.HTTPResponse
	begun int
	parts chan string
}

func (h *heard) Begin(head *sluice.HTTPResponse) { h.head, h.begun = head, h.begun+1 }

func (h *heard) Write(ctx context.Context, p []byte) error {
	select {
	case h.parts <- string(p):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type streamed struct {
	res sluice.Result
	err error
}

// listen calls a function that streams.
func (w *world) listen(ctx context.Context, code string, timeout time.Duration) (*heard, chan streamed) {
	w.deploy("s", code, func(v *function.Version) { v.Dialect, v.Spec.Timeout = "aws", timeout })
	for s, _ := w.f.Status("app", "s"); s.Stats.Idle == 0; s, _ = w.f.Status("app", "s") {
		time.Sleep(time.Millisecond) // so that a short timeout is not the start's
	}
	h := &heard{parts: make(chan string)}
	done := make(chan streamed, 1)
	go func() {
		res, err := w.f.Invoke(ctx, sluice.Invocation{App: "app", Function: "s", Payload: []byte(`{}`), Stream: h})
		done <- streamed{res, err}
	}()
	return h, done
}

func TestPartsOfAnAnswerPassWhileItIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	h, done := w.listen(t.Context(), `
exports.handler = awslambda.streamifyResponse(async (e, out) => {
  out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { 'X-A': 1, b: ['c', 'd'] }, cookies: ['e=f'] })
  out.write('one')
  await new Promise((ok) => setTimeout(ok, 5))
  out.write('x'.repeat(3 << 20))
  out.end('end')
})`, time.Minute)
	if got := <-h.parts; got != "one" {
		t.Errorf("first %q", got)
	}
	select {
	case r := <-done:
		t.Fatalf("it has returned: %+v", r)
	default:
	}
	rest := ""
	for !strings.HasSuffix(rest, "end") {
		rest += <-h.parts
	}
	if len(rest) != 3<<20+3 {
		t.Errorf("%d bytes", len(rest))
	}
	r := <-done
	if r.err != nil || r.res.Failure != nil || len(r.res.Payload) != 0 || r.res.Took <= 0 || h.begun != 1 {
		t.Errorf("%+v, begun %d times", r, h.begun)
	}
	want := &sluice.HTTPResponse{Status: 201, Header: http.Header{"x-a": {"1"}, "b": {"c", "d"}, "set-cookie": {"e=f"}}}
	if diff := cmp.Diff(want, h.head); diff != "" {
		t.Error(diff)
	}
}

func TestStreamsEndInEachWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, tc := range []struct {
		name, code string
		begun      int
		head       *sluice.HTTPResponse
		text       string // of the stream
		payload    string // when it is none
		fails      sluice.FailureKind
	}{
		{"bare", `awslambda.streamifyResponse(async (e, out) => { out.write('a'); out.end() })`, 1, nil, "a", "", 0},
		{"with a type", `awslambda.streamifyResponse(async (e, out) => { out.setContentType('text/x'); out.write('a'); out.end() })`, 1, &sluice.HTTPResponse{Header: http.Header{"content-type": {"text/x"}}}, "a", "", 0},
		{"empty", `awslambda.streamifyResponse(async (e, out) => { awslambda.HttpResponseStream.from(out, { statusCode: 204 }).end() })`, 1, &sluice.HTTPResponse{Status: 204, Header: http.Header{}}, "", "", 0},
		{"that fails in its midst", `awslambda.streamifyResponse(async (e, out) => { out.write('a'); await null; throw new RangeError('r') })`, 1, nil, "a", "", sluice.Handled},
		{"that fails before", `awslambda.streamifyResponse(async (e, out) => { throw new RangeError('r') })`, 0, nil, "", "", sluice.Handled},
		{"that exits", `awslambda.streamifyResponse(async (e, out) => { out.write('a'); process.exit(3) })`, 1, nil, "a", "", sluice.Crashed},
		{"that is none", `async () => 'whole'`, 0, nil, "", `"whole"`, 0},
	} {
		h, done := w.listen(t.Context(), "exports.handler = "+tc.code, time.Minute)
		var text string
		var r streamed
		for over := false; !over; {
			select {
			case p := <-h.parts:
				text += p
			case r = <-done:
				over = true
			}
		}
		if r.err != nil || text != tc.text || string(r.res.Payload) != tc.payload || h.begun != tc.begun || !cmp.Equal(h.head, tc.head) {
			t.Errorf("a stream %s: %q, %+v, begun %d, head %+v", tc.name, text, r, h.begun, h.head)
		}
		if f := r.res.Failure; tc.fails == 0 && f != nil || tc.fails != 0 && (f == nil || f.Kind != tc.fails) {
			t.Errorf("a stream %s: %+v", tc.name, f)
		}
	}
}

const endless = `exports.handler = awslambda.streamifyResponse(async (e, out) => { for (;;) { out.write('x'); await new Promise((ok) => setTimeout(ok, 1)) } })`

func TestAStreamThatNobodyReadsEndsInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	h, done := w.listen(t.Context(), endless, 3*time.Second)
	<-h.parts
	if r := <-done; r.err != nil || r.res.Failure == nil || r.res.Failure.Kind != sluice.TimedOut {
		t.Errorf("%+v", r)
	}
}

func TestACallerWhoLeavesAStreamHearsNoMoreOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	h, done := w.listen(ctx, endless, 3*time.Second)
	<-h.parts
	cancel()
	if r := <-done; r.err == nil || errors.Is(r.err, function.ErrInstanceGone) {
		t.Errorf("%+v", r)
	}
	close(h.parts) // a part would panic now
	for s, _ := w.f.Status("app", "s"); s.Stats.InFlight > 0; s, _ = w.f.Status("app", "s") {
		time.Sleep(time.Millisecond)
	}
}

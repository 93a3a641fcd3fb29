package lambda

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
)

// How asynchronous calls are made again (section 3.1).
const (
	asyncRetries = 2             // after a function's own failure
	asyncAge     = 6 * time.Hour // then a call is given up
	asyncPause   = time.Minute   // before the first retry; the second waits for two
	busyPause    = time.Second   // after a throttle; doubles each time
	busyLongest  = 5 * time.Minute
)

// calls are the room's functions as a queue calls them: framed in their logs.
type calls struct{ l *Lambda }

// Invoke runs one queued call.
func (c calls) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	v, ok := c.l.functions.Version(inv.App, inv.Function)
	if !ok {
		return sluice.Result{}, sluice.Errorf(sluice.Missing, "function %q is gone", inv.Function)
	}
	f := describe(v)
	if inv.Attrs["arn"] == "" { // a schedule's
		inv.Attrs = map[string]string{"arn": f.ARN, "trace": newTrace()}
	}
	return c.l.run(ctx, f, inv)
}

// Version is what a function is now.
func (c calls) Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool) {
	return c.l.functions.Version(app, name)
}

// NewQueue makes the queue of asynchronous calls. pause is the time before the first retry of a failed
// call; 0 is a minute.
func NewQueue(store kv.Store, l *Lambda, pause time.Duration, log *slog.Logger) *function.Queue {
	if pause == 0 {
		pause = asyncPause
	}
	return function.NewQueue(function.QueueOptions{Store: store, Functions: calls{l}, Space: "lambda", Log: log,
		Failed: func(t *function.Try) (time.Duration, string) { return retry(t, pause) },
		Ended:  l.destinations,
	})
}

// retry says what becomes of a call that failed; why it is given up is the condition that its
// destination is told.
func retry(t *function.Try, pause time.Duration) (time.Duration, string) {
	retries, age := asyncRetries, asyncAge
	if t.Version != nil && t.Version.Spec.Async != nil {
		retries = t.Version.Spec.Async.Retries
		if t.Version.Spec.Async.MaxAge > 0 {
			age = t.Version.Spec.Async.MaxAge
		}
	}
	if t.Version == nil {
		return 0, "FunctionNotFound"
	}
	again := min(busyPause<<min(t.Tries-1, 20), busyLongest)
	if t.Err == nil {
		if t.Failures > retries {
			return 0, "RetriesExhausted"
		}
		again = pause * time.Duration(t.Failures)
	}
	if time.Since(t.Since)+again > age {
		return 0, "EventAgeExceeded"
	}
	return again, ""
}

// record is what a destination is told of a call.
type record struct {
	Version  string          `json:"version"`
	Time     string          `json:"timestamp"`
	Context  recordContext   `json:"requestContext"`
	Request  json.RawMessage `json:"requestPayload"`
	Answered *recordAnswer   `json:"responseContext,omitempty"`
	Response json.RawMessage `json:"responsePayload,omitempty"`
}

type recordContext struct {
	Request   string `json:"requestId"`
	Function  string `json:"functionArn"`
	Condition string `json:"condition"`
	Count     int    `json:"approximateInvokeCount"`
}

type recordAnswer struct {
	Status  int    `json:"statusCode"`
	Version string `json:"executedVersion"`
	Failure string `json:"functionError,omitempty"`
}

// destinations are the calls that tell of a call that has ended. Destinations are functions; others are
// refused when a template is read.
func (l *Lambda) destinations(t *function.Try, gaveUp string) []sluice.Invocation {
	if t.Version == nil {
		return nil
	}
	f := describe(t.Version)
	r := record{Version: "1.0", Time: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), Request: raw(t.Call.Payload),
		Context: recordContext{t.Call.RequestID, f.ARN + ":" + Latest, "Success", t.Tries}}
	if gaveUp != "" {
		r.Context.Condition = gaveUp
	}
	if t.Err == nil {
		r.Answered, r.Response = &recordAnswer{Status: http.StatusOK, Version: Latest}, raw(t.Result.Payload)
		if t.Result.Failure != nil {
			r.Answered.Failure, r.Response = "Unhandled", raw(FailureBody(t.Result.Failure, t.Call.RequestID, f.Spec.Timeout))
		}
	}
	to := ""
	if a := f.Spec.Async; a != nil && gaveUp == "" {
		to = a.OnSuccess
	} else if a != nil {
		to = a.OnFailure
	}
	if to == "" {
		return nil
	}
	body, _ := json.Marshal(r) // raw checks what is not ours
	_, inv, err := l.invocation(Call{App: f.App, Name: to, Payload: body})
	if err != nil {
		l.log.Error("the destination of a call cannot be told", "app", f.App, "function", f.Spec.Name, "destination", to, "err", err)
		return nil
	}
	return []sluice.Invocation{inv}
}

// raw is JSON as it is, and anything else as a JSON text.
func raw(b []byte) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("null")
	}
	if json.Valid(b) {
		return b
	}
	text, _ := json.Marshal(string(b)) // texts always marshal
	return text
}

// Later queues a call whose result nobody waits for; a nil queue takes none.
func (l *Lambda) Later(ctx context.Context, q *function.Queue, c Call) error {
	switch {
	case q == nil:
		return faultf(http.StatusServiceUnavailable, "ServiceException", "this server keeps no queue for asynchronous calls")
	case len(c.Payload) > maxAsync:
		return faultf(http.StatusRequestEntityTooLarge, "RequestTooLargeException", "%d byte payload is too large for the Event invocation type (limit %d bytes)", len(c.Payload), maxAsync)
	}
	_, inv, err := l.invocation(c)
	if err != nil {
		return err
	}
	return q.Put(ctx, inv)
}

// later answers a call whose result nobody waits for.
func (a *API) later(w http.ResponseWriter, r *http.Request, c Call) error {
	if err := a.o.Lambda.Later(r.Context(), a.o.Later, c); err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

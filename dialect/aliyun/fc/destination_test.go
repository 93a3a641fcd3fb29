package fc

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
)

// village is an app with functions that answer as a test says.
type village struct {
	functions map[sluice.FunctionName]*function.Version
	answer    func(inv sluice.Invocation) (sluice.Result, error)
	calls     []sluice.Invocation
}

func (v *village) Invoke(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
	v.calls = append(v.calls, inv)
	return v.answer(inv)
}

func (v *village) List(sluice.AppName) []function.Status {
	var out []function.Status
	for _, f := range v.functions {
		out = append(out, function.Status{App: f.App, Name: f.Spec.Name, Group: f.Spec.Group})
	}
	return out
}

func (v *village) Version(_ sluice.AppName, name sluice.FunctionName) (*function.Version, bool) {
	f, ok := v.functions[name]
	return f, ok
}

func settler(async *sluice.AsyncCalls) *village {
	v := &village{functions: map[sluice.FunctionName]*function.Version{}}
	for name, group := range map[sluice.FunctionName]string{"work": "svc", "good": "svc", "bad": ""} {
		v.functions[name] = &function.Version{App: "app", Env: map[string]string{"FC_REGION": "cn-x"}, Spec: sluice.Function{Name: name, Group: group}}
	}
	v.functions["work"].Spec.Async = async
	return v
}

// run makes a call of work, and lets the queue run for a while.
func (v *village) run(t *testing.T, d time.Duration, inv sluice.Invocation) {
	t.Helper()
	store := memory.New()
	q := NewQueue(store, v, nil)
	inv.App, inv.Function, inv.RequestID = "app", "work", "R1"
	if err := q.Put(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	q.Run(ctx)
	if n := left(t, store); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

// made are the names of the functions that were called.
func (v *village) made() string {
	var names []string
	for _, c := range v.calls {
		names = append(names, string(c.Function))
	}
	return strings.Join(names, " ")
}

func TestDestinationsAreTold(t *testing.T) {
	async := &sluice.AsyncCalls{Retries: 1, OnSuccess: "acs:fc:::services/svc.LATEST/functions/good", OnFailure: "acs:fc:cn-x:1:functions/bad/LATEST"}
	const date = "2000-01-01T00:00:00.000Z"
	for _, tc := range []struct {
		name   string
		answer sluice.Result
		made   string
		told   result
	}{
		{"of a result", sluice.Result{Payload: []byte("<done>")}, "work good", result{
			Timestamp: date, RequestPayload: "in",
			RequestContext:  requestContext{RequestID: "R1", FunctionArn: "acs:fc:cn-x:" + Account + ":services/svc.LATEST/functions/work", Invocations: 1},
			ResponseContext: responseContext{StatusCode: 200}, ResponsePayload: "<done>",
		}},
		{"of a failure", sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Type: "E", Message: "boom"}}, "work work bad", result{
			Timestamp: "2000-01-01T00:00:00.500Z", RequestPayload: "in",
			RequestContext: requestContext{RequestID: "R1", FunctionArn: "acs:fc:cn-x:" + Account + ":services/svc.LATEST/functions/work",
				Condition: "RetriesExhausted", Invocations: 2},
			ResponseContext: responseContext{StatusCode: 200, FunctionError: "HandledInvocationError"}, ResponsePayload: `{"errorMessage":"boom","errorType":"E"}`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := settler(async)
				v.answer = func(inv sluice.Invocation) (sluice.Result, error) {
					if inv.Function == "work" {
						return tc.answer, nil
					}
					return sluice.Result{}, nil
				}
				v.run(t, time.Minute, sluice.Invocation{Payload: []byte("in")})
				if v.made() != tc.made {
					t.Fatalf("called: %s", v.made())
				}
				var told result
				last := v.calls[len(v.calls)-1]
				if err := json.Unmarshal(last.Payload, &told); err != nil || last.RequestID == "R1" {
					t.Fatalf("%s %v", last.Payload, err)
				}
				if diff := cmp.Diff(tc.told, told); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestDestinationsThatCannotBeTold(t *testing.T) {
	for name, tc := range map[string]struct {
		to  string
		say []byte
	}{
		"no function":        {"acs:mns:cn-x:1:/queues/q/messages", nil},
		"one of another app": {"acs:fc:cn-x:1:functions/stranger", nil},
		"too much to tell":   {"acs:fc:cn-x:1:functions/bad", bytes.Repeat([]byte("x"), maxAsync)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := settler(&sluice.AsyncCalls{OnSuccess: tc.to})
				v.answer = func(sluice.Invocation) (sluice.Result, error) { return sluice.Result{Payload: tc.say}, nil }
				v.run(t, time.Minute, sluice.Invocation{})
				if v.made() != "work" {
					t.Errorf("called: %s", v.made())
				}
			})
		})
	}
}

func TestCallsGetTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := settler(&sluice.AsyncCalls{Retries: 8, MaxAge: 2 * time.Second, OnFailure: "acs:fc:cn-x:1:functions/bad"})
		v.answer = func(inv sluice.Invocation) (sluice.Result, error) {
			if inv.Function == "work" {
				return sluice.Result{}, sluice.Errorf(sluice.Throttled, "busy")
			}
			return sluice.Result{}, nil
		}
		v.run(t, time.Minute, sluice.Invocation{})
		if v.made() != "work work work bad" || !strings.Contains(string(v.calls[3].Payload), "EventAgeExceeded") {
			t.Errorf("called: %s, %s", v.made(), v.calls[len(v.calls)-1].Payload)
		}
	})
}

func TestParseARN(t *testing.T) {
	for text, want := range map[string]string{
		"acs:fc:cn-x:1:services/s.LATEST/functions/f": "s/f",
		"acs:fc:::services/s/functions/f":             "s/f",
		"acs:fc:cn-x:1:functions/f":                   "/f",
		"acs:fc:cn-x:1:functions/f/LATEST":            "/f",
		"acs:fc:cn-x:1:functions/":                    "",
		"acs:fc:cn-x:1:services/s":                    "",
		"acs:mns:cn-x:1:/queues/q/messages":           "",
		"functions/f":                                 "",
	} {
		service, name, ok := ParseARN(text)
		if ok != (want != "") || ok && service+"/"+name != want {
			t.Errorf("%s: %q %q %v", text, service, name, ok)
		}
	}
}

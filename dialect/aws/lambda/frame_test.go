package lambda

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// framed is what a log tells of a call, with times as T.
func framed(runtime, config string, res sluice.Result) string {
	e := &Extra{Settings: map[string]json.RawMessage{"LoggingConfig": json.RawMessage(config)}}
	f := describe(&function.Version{Spec: sluice.Function{Runtime: runtime, MemoryMB: 128, Timeout: 3 * time.Second, Extra: e.Marshal()}})
	res.Took, res.MemoryMB = 1500*time.Microsecond, 40
	text := string(tail(f.start("R"), nil, f.end("R", &res)))
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(text, "T")
}

func TestLinesThatFrameACall(t *testing.T) {
	const report = "REPORT RequestId: R\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB"
	const open, end = "START RequestId: R Version: $LATEST", "END RequestId: R"
	const jsonOpen = `{"time":"T","type":"platform.start","record":{"requestId":"R","version":"$LATEST"}}`
	jsonEnd := func(rest string) string {
		return `{"time":"T","type":"platform.report","record":{` + strings.ReplaceAll(rest, "METRICS", `"metrics":{"billedDurationMs":2,"durationMs":1.5,"maxMemoryUsedMB":40,"memorySizeMB":128}`) + `}}`
	}
	thrown := &sluice.Failure{Kind: sluice.Handled, Type: "RangeError", Message: "r", Stack: []string{"RangeError: r", "    at x"}, Body: []byte("{}")}
	raised := &sluice.Failure{Kind: sluice.Handled, Type: "ValueError", Message: "v", Stack: []string{"  File \"a.py\", line 1, in f\n    raise\n"}, Body: []byte("{}")}
	rejected := &sluice.Failure{Kind: sluice.Crashed, Type: "Runtime.UnhandledPromiseRejection", Message: "Error: x", Body: []byte("{}")}
	late := &sluice.Failure{Kind: sluice.TimedOut}
	exited := &sluice.Failure{Kind: sluice.Crashed, Message: "exit status 1"}
	for name, tc := range map[string]struct {
		runtime, config string
		res             sluice.Result
		want            []string
	}{
		"warm":         {"nodejs22.x", "", sluice.Result{}, []string{open, end, report}},
		"cold":         {"nodejs22.x", "", sluice.Result{Cold: true, Init: 100 * time.Millisecond}, []string{open, end, report + "\tInit Duration: 100.00 ms"}},
		"late":         {"provided.al2023", "", sluice.Result{Failure: late}, []string{open, "T R Task timed out after 3.00 seconds", end, report + "\tStatus: timeout"}},
		"exited":       {"provided.al2023", "", sluice.Result{Failure: exited}, []string{open, "RequestId: R Error: Runtime exited with error: exit status 1", "Runtime.ExitError", end, report + "\tStatus: error\tError Type: Runtime.ExitError"}},
		"thrown":       {"nodejs22.x", "", sluice.Result{Failure: thrown}, []string{open, "T\tR\tERROR\tInvoke Error \t" + `{"errorType":"RangeError","errorMessage":"r","stack":["RangeError: r","    at x"]}`, end, report}},
		"rejected":     {"nodejs22.x", "", sluice.Result{Failure: rejected}, []string{open, "T\tR\tERROR\tUnhandled Promise Rejection \t" + `{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: x"}`, end, report + "\tStatus: error\tError Type: Runtime.UnhandledPromiseRejection"}},
		"raised":       {"python3.12", "", sluice.Result{Failure: raised}, []string{open, "[ERROR] ValueError: v", "Traceback (most recent call last):", "  File \"a.py\", line 1, in f", "    raise", end, report}},
		"a program's":  {"provided.al2023", "", sluice.Result{Failure: thrown}, []string{open, end, report}},
		"JSON":         {"nodejs22.x", `{"LogFormat":"JSON"}`, sluice.Result{}, []string{jsonOpen, jsonEnd(`METRICS,"requestId":"R","status":"success"`)}},
		"JSON, late":   {"nodejs22.x", `{"LogFormat":"JSON"}`, sluice.Result{Failure: late}, []string{jsonOpen, jsonEnd(`METRICS,"requestId":"R","status":"timeout"`)}},
		"JSON, exited": {"nodejs22.x", `{"LogFormat":"JSON","SystemLogLevel":"WARN"}`, sluice.Result{Failure: exited}, []string{jsonEnd(`"errorType":"Runtime.ExitError",METRICS,"requestId":"R","status":"error"`)}},
		"JSON, thrown": {"nodejs22.x", `{"LogFormat":"JSON","SystemLogLevel":"WARN"}`, sluice.Result{Failure: thrown}, []string{`{"timestamp":"T","level":"ERROR","requestId":"R","message":{"errorType":"RangeError","errorMessage":"r","stackTrace":["RangeError: r","    at x"]}}`}},
		"JSON, raised": {"python3.12", `{"LogFormat":"JSON","SystemLogLevel":"WARN"}`, sluice.Result{Failure: raised}, []string{`{"timestamp":"T","log_level":"ERROR","requestId":"R","errorType":"ValueError","errorMessage":"v","stackTrace":["  File \"a.py\", line 1, in f\n    raise\n"]}`}},
	} {
		if diff := cmp.Diff(tc.want, strings.Split(strings.TrimSuffix(framed(tc.runtime, tc.config, tc.res), "\n"), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestJSONLogsAreInTheEnvironment(t *testing.T) {
	for config, want := range map[string][2]string{`{"LogFormat":"Text"}`: {}, `{"LogFormat":"JSON"}`: {"JSON", "INFO"}, `{"LogFormat":"JSON","ApplicationLogLevel":"WARN"}`: {"JSON", "WARN"}} {
		w := newWorld(t)
		e := &Extra{Settings: map[string]json.RawMessage{"LoggingConfig": json.RawMessage(config)}}
		env := Environment(w.keys, &sluice.App{Name: "a"}, &sluice.Function{Name: "f", Extra: e.Marshal()})
		if got := [2]string{env["AWS_LAMBDA_LOG_FORMAT"], env["AWS_LAMBDA_LOG_LEVEL"]}; got != want {
			t.Errorf("%s: %v", config, got)
		}
	}
}

func TestBodiesOfFailuresOfTheirOwn(t *testing.T) {
	for want, f := range map[string]sluice.Failure{
		`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: R Error: Runtime exited with error: exit status 3"}`:                             {Kind: sluice.InitFail, Type: exitError, Message: "exit status 3"},
		`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: R Error: Runtime exited with error: signal: killed"}`:                            {Kind: sluice.Crashed, Type: "OutOfMemory", Message: "out of memory: more than 128 MB"},
		`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: R Error: Couldn't find valid bootstrap(s): [a b]"}`:                      {Kind: sluice.BadEntry, Type: "Runtime.InvalidEntrypoint", Message: "RequestId: unknown Error: Couldn't find valid bootstrap(s): [a b]"},
		`{"errorType":"Runtime.Unknown","errorMessage":"the initializer took longer than 3s"}`:                                                        {Kind: sluice.InitFail, Message: "the initializer took longer than 3s"},
		`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: R Error: Task timed out after 3.00 seconds"}`:                                     {Kind: sluice.TimedOut},
		`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`: {Kind: sluice.TooBig},
		`{"said":1}`: {Kind: sluice.InitFail, Body: []byte(`{"said":1}`)},
	} {
		if got := string(FailureBody(&f, "R", 3*time.Second)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

package scf

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// functions fakes the function room.
type functions struct {
	invoke func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
	all    []*function.Version
}

func (f *functions) Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return f.invoke(ctx, inv)
}

func (f *functions) List(app sluice.AppName) []function.Status {
	var out []function.Status
	for _, v := range f.all {
		if app == "" || v.App == app {
			out = append(out, function.Status{App: v.App, Name: v.Spec.Name})
		}
	}
	return out
}

func (f *functions) Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool) {
	for _, v := range f.all {
		if v.App == app && v.Spec.Name == name {
			return v, true
		}
	}
	return nil, false
}

func deployed(app sluice.AppName, spec sluice.Function) *function.Version {
	spec.MemoryMB, spec.Timeout = 128, 3*time.Second
	return &function.Version{App: app, Dialect: dialect, Env: map[string]string{}, Spec: spec}
}

// room is a fake room with functions of two apps.
func room(invoke func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)) *functions {
	aws := deployed("app", sluice.Function{Name: "lambda"})
	aws.Dialect = "aws"
	return &functions{invoke, []*function.Version{
		aws,
		deployed("other", sluice.Function{Name: "Mine"}),
		deployed("other", sluice.Function{Name: "theirs", Physical: "Theirs"}),
		deployed("app", sluice.Function{Name: "Mine", Runtime: "Python3.6", Handler: "index.main_handler", Env: map[string]string{"B": "2", "A": "<1>"}, Description: "says hello",
			Timers:  []sluice.Timer{{Name: "daily", Schedule: "0 0 1 * * * *", Payload: "x"}, {Name: "off", Schedule: "0 0 2 * * * *", Disabled: true}},
			Objects: []sluice.ObjectEvents{{Bucket: "box-1250000000", Events: []string{"cos:ObjectCreated:*"}, Suffix: ".jpg"}},
			Extra:   (&Extra{Aliases: []string{"live"}, Role: "r", Modified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}).Marshal()}),
		deployed("app", sluice.Function{Name: "mine-ns", Physical: "Mine", Group: "ns", Runtime: WebRuntime("Nodejs16.13")}),
	}}
}

func echo(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
	return sluice.Result{Payload: []byte(`"` + string(inv.App) + "/" + string(inv.Function) + `"`), Took: 2960 * time.Microsecond, MemoryMB: 10, LogTail: []byte("said\n")}, nil
}

func TestFunctionsAreFoundByTheirNamesOnTheCloud(t *testing.T) {
	s := NewSCF(room(echo), nil, nil)
	for _, c := range []struct {
		app             sluice.AppName
		namespace, name string
		want            string
	}{
		{"app", "", "Mine", "app/Mine"},
		{"app", "default", "Mine", "app/Mine"},
		{"app", "ns", "Mine", "app/mine-ns"},
		{"other", "", "Mine", "other/Mine"},
		{"app", "", "Theirs", "other/theirs"},
		{"", "ns", "Mine", "app/mine-ns"},
		{"other", "", "theirs", ""}, // that is its template's name for it
		{"app", "", "lambda", ""},
		{"app", "nowhere", "Mine", ""},
	} {
		out, err := s.Invoke(t.Context(), Call{App: c.app, Namespace: c.namespace, Name: c.name})
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" && out.Status != StatusNoFunction || c.want != "" && string(out.Payload) != `"`+c.want+`"` {
			t.Errorf("%+v: %d %s", c, out.Status, out.Payload)
		}
	}
	f := room(echo)
	s = NewSCF(f, nil, nil)
	for range 2 { // the second time it is known
		if v, err := s.Find("app", "ns", "Mine"); err != nil || v != f.all[4] {
			t.Errorf("%+v %v", v, err)
		}
	}
	again := *f.all[4]
	f.all[4] = &again // deployed anew
	if v, err := s.Find("app", "ns", "Mine"); err != nil || v != &again {
		t.Errorf("%+v %v", v, err)
	}
	if v, err := s.Find("app", "", "Theirs"); err != nil || v.App != "other" {
		t.Errorf("%+v %v", v, err)
	}
	f.all = append(f.all, deployed("app", sluice.Function{Name: "Theirs"}))
	if v, err := s.Find("app", "", "Theirs"); err != nil || v.App != "app" {
		t.Errorf("its own go first: %+v %v", v, err)
	}
	f.all = f.all[:4]
	if v, err := s.Find("app", "ns", "Mine"); err == nil {
		t.Errorf("what is gone: %+v", v)
	}

	for q, want := range map[string]int{"": 200, "$LATEST": 200, "$DEFAULT": 200, "live": 200, "dead": StatusNoQualifier} {
		if out, err := s.Invoke(t.Context(), Call{App: "app", Name: "Mine", Qualifier: q}); err != nil || out.Status != want {
			t.Errorf("%s: %+v %v", q, out, err)
		}
	}
}

func TestOutcomes(t *testing.T) {
	var res sluice.Result
	var fail error
	s := NewSCF(room(func(context.Context, sluice.Invocation) (sluice.Result, error) { return res, fail }), nil, nil)
	for _, c := range []struct {
		name    string
		failure *sluice.Failure
		err     error
		status  int
		body    string
		errMsg  string
	}{
		{"nothing", nil, nil, 200, `null`, ""},
		{"a raise", &sluice.Failure{Kind: sluice.Handled, Type: "Exception", Message: "err msg", Stack: []string{"Traceback (most recent call last):", `  File "/var/user/index.py", line 4, in main_handler`, `    raise Exception("err msg")`, "Exception: err msg"}}, nil, 430,
			`{"errorCode":-1,"errorMessage":"user code exception caught","requestId":"R1","stackTrace":"Traceback (most recent call last):\n  File \"/var/user/index.py\", line 4, in main_handler\n    raise Exception(\"err msg\")\nException: err msg","statusCode":430}`,
			"Traceback (most recent call last):\n  File \"/var/user/index.py\", line 4, in main_handler\n    raise Exception(\"err msg\")\nException: err msg"},
		{"a timeout", &sluice.Failure{Kind: sluice.TimedOut}, nil, 433, `{"errorCode":-1,"errorMessage":"Invoking task timed out after 3 seconds","requestId":"R1","statusCode":433}`, "Invoking task timed out after 3 seconds"},
		{"memory", &sluice.Failure{Kind: sluice.Crashed, Type: "OutOfMemory", Message: "out of memory"}, nil, 434, `{"errorCode":-1,"errorMessage":"Invoking task failed: memory limit exceeded","requestId":"R1","stackTrace":"out of memory","statusCode":434}`, "out of memory"},
		{"an exit", &sluice.Failure{Kind: sluice.Crashed, Message: "signal: killed"}, nil, 439, `{"errorCode":-1,"errorMessage":"User process exit when running","requestId":"R1","stackTrace":"signal: killed","statusCode":439}`, "signal: killed"},
		{"too much", &sluice.Failure{Kind: sluice.TooBig, Message: "x"}, nil, 407, `{"errorCode":-1,"errorMessage":"body size is too long","requestId":"R1","statusCode":407}`, "body size is too long"},
		{"no handler", &sluice.Failure{Kind: sluice.BadEntry, Type: "HandlerNotFound", Message: "no <h>"}, nil, 437, `{"errorCode":-1,"errorMessage":"handler not found","requestId":"R1","stackTrace":"no <h>","statusCode":437}`, "no <h>"},
		{"syntax", &sluice.Failure{Kind: sluice.BadEntry, Type: "SyntaxError", Message: "m"}, nil, 443, `{"errorCode":-1,"errorMessage":"user code error","requestId":"R1","stackTrace":"m","statusCode":443}`, "m"},
		{"a module that throws", &sluice.Failure{Kind: sluice.InitFail, Type: "Error", Message: "m"}, nil, 443, `{"errorCode":-1,"errorMessage":"user code error","requestId":"R1","stackTrace":"m","statusCode":443}`, "m"},
		{"a queue that is full", nil, sluice.Errorf(sluice.Throttled, "full"), 432, `{"errorCode":-1,"errorMessage":"full","requestId":"R1","statusCode":432}`, "full"},
		{"a runtime that nobody has", nil, sluice.Errorf(sluice.Unavailable, "no php"), 500, `{"errorCode":-1,"errorMessage":"no php","requestId":"R1","statusCode":500}`, "no php"},
	} {
		res, fail = sluice.Result{Failure: c.failure}, c.err
		out, err := s.Invoke(t.Context(), Call{App: "app", Name: "Mine", RequestID: "R1"})
		if err != nil || out.Status != c.status || string(out.Payload) != c.body || out.ErrMsg != c.errMsg || out.OK() != (c.status == 200) || out.RequestID != "R1" {
			t.Errorf("%s: %d %s %q %v", c.name, out.Status, out.Payload, out.ErrMsg, err)
		}
	}
	if out, err := s.Invoke(t.Context(), Call{App: "app", Name: "Mine", Payload: make([]byte, maxSync+1)}); err != nil || out.Status != StatusEventLarge {
		t.Errorf("%+v %v", out, err)
	}
	fail = errors.New("broken")
	if _, err := s.Invoke(t.Context(), Call{App: "app", Name: "Mine"}); err != fail {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fail = sluice.Errorf(sluice.Unavailable, "the caller has left")
	if _, err := s.Invoke(ctx, Call{App: "app", Name: "Mine"}); err != fail {
		t.Error(err)
	}
}

func TestCallsAreFramedInTheLog(t *testing.T) {
	log := &memoryLog{}
	res := sluice.Result{Took: 1500 * time.Microsecond, MemoryMB: 27, LogTail: []byte("said")}
	var fail error
	s := NewSCF(room(func(context.Context, sluice.Invocation) (sluice.Result, error) { return res, fail }), log, nil)
	out, err := s.Invoke(t.Context(), Call{App: "app", Name: "Mine", RequestID: "R1"})
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "START RequestId: R1\nEvent RequestId: R1\n", "END RequestId: R1\nReport RequestId: R1 Duration:1ms Memory:128MB MaxMemoryUsed:27.0000MB\n"
	if got := log.text("R1"); got != begin+end {
		t.Error(got)
	}
	if diff := cmp.Diff(begin+"said\n"+end, string(out.Log)); diff != "" {
		t.Error(diff)
	}
	if slices.ContainsFunc(log.lines, func(l function.LogLine) bool {
		return l.Level != sluice.LevelPlatform || l.App != "app" || l.Function != "Mine"
	}) {
		t.Errorf("%+v", log.lines)
	}
	res.Failure = &sluice.Failure{Kind: sluice.TimedOut}
	if out, err = s.Invoke(t.Context(), Call{App: "app", Name: "Mine", RequestID: "R2"}); err != nil || !strings.Contains(string(out.Log), "said\nERROR RequestId: R2 Result: {\"errorCode\":-1,\"errorMessage\":\"Invoking task timed out after 3 seconds\"") {
		t.Errorf("%s %v", out.Log, err)
	}
	res.LogTail = make([]byte, 4<<10)
	if out, err = s.Invoke(t.Context(), Call{App: "app", Name: "Mine"}); err != nil || len(out.Log) != 4<<10 {
		t.Errorf("%d bytes %v", len(out.Log), err)
	}
	fail = sluice.Errorf(sluice.Throttled, "full")
	s.Invoke(t.Context(), Call{App: "app", Name: "Mine", RequestID: "R3"})
	if got := log.text("R3"); got != "START RequestId: R3\nEvent RequestId: R3\nEND RequestId: R3 (full)\n" {
		t.Error(got)
	}
}

func TestEnvironment(t *testing.T) {
	app := &sluice.App{Name: "app", Region: "ap-shanghai"}
	f := &sluice.Function{Name: "f", Physical: "F", Group: "ns", Runtime: "Go1", Code: "/srv/code", MemoryMB: 64,
		Env: map[string]string{"MINE": "<1>", "DATA": "/var/user/data", "PYTHONPATH": "/own:/var/user/lib"}}
	got := Environment(fakeKeys{}, app, f)
	want := map[string]string{
		"TENCENTCLOUD_RUNENV": "SCF", "SCF_RUNTIME": "Go1", "SCF_FUNCTIONNAME": "F", "SCF_FUNCTIONVERSION": "$LATEST", "SCF_NAMESPACE": "ns",
		"TENCENTCLOUD_REGION": "ap-shanghai", "TENCENTCLOUD_APPID": "1250000000", "TENCENTCLOUD_UIN": "100000000001", "TENCENTCLOUD_TZ": "UTC", "TZ": "UTC",
		"TENCENTCLOUD_SECRETID": "AKIDf", "TENCENTCLOUD_SECRETKEY": "temporary", "TENCENTCLOUD_SESSIONTOKEN": "token of app",
		"USER_CODE_ROOT": "/srv/code/", "_SCF_SERVER_PORT": "28902", "PYTHONDONTWRITEBYTECODE": "x", "PWD": "/srv/code", "USER": "qcloud", "LOGNAME": "qcloud", "LANG": "en_US.UTF8",
		"FUNCTION_NAME": "F", "FUNCTION_MEMORY_SIZE": "64", "FUNCTION_VERSION": "$LATEST",
		"PYTHONPATH": "/own:/srv/code/lib:/srv/code", "NODE_PATH": "/srv/code:/srv/code/node_modules", "LD_LIBRARY_PATH": "/srv/code:/srv/code/lib", "DATA": "/srv/code/data",
		"SLUICE_SCF_ENVIRONMENT": `{"DATA":"/var/user/data","MINE":"<1>","PYTHONPATH":"/own:/var/user/lib","SCF_NAMESPACE":"ns"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = Environment(fakeKeys{}, &sluice.App{Name: "app"}, &sluice.Function{Name: "f", Runtime: WebRuntime("Nodejs12.16"), Env: map[string]string{"TZ": "Asia/Shanghai"}})
	if got["SCF_RUNTIME"] != "Nodejs12.16" || got["TENCENTCLOUD_REGION"] != "ap-guangzhou" || got["SCF_NAMESPACE"] != "default" || got["TZ"] != "" || got["FUNCTION_NAME"] != "" {
		t.Errorf("%v", got)
	}
}

func TestModulesOfRuntimes(t *testing.T) {
	m := NewModules(t.TempDir(), nil)
	for runtime, want := range map[string]string{"Python3.6": "PYTHONPATH", "Nodejs12.16": "NODE_PATH", "Go1": "", "CustomRuntime": "", WebRuntime("Nodejs12.16"): "NODE_PATH"} {
		if set, variable := m.Of(runtime); variable != want || (set != nil) != (want != "") {
			t.Errorf("%s: %s %v", runtime, variable, set)
		}
	}
}

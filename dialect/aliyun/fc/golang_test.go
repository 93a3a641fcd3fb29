package fc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func goVersion(t *testing.T, change ...func(*function.Version)) *function.Version {
	return version(t, append([]func(*function.Version){func(v *function.Version) {
		v.Spec.Runtime, v.Spec.Handler = "go1", "main"
	}}, change...)...)
}

// startGo starts an instance that the test's end stops.
func startGo(t *testing.T, change ...func(*function.Version)) (function.Instance, *memoryLog) {
	t.Helper()
	log := &memoryLog{}
	in, err := (&Go{Keys: fakeKeys{}}).Start(t.Context(), goVersion(t, change...), spawner(t), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Stop(context.Background()) })
	return in, log
}

func TestGoRuns(t *testing.T) {
	g := &Go{}
	if !g.Runs("aliyun", "go1") || g.Runs("aws", "go1") || g.Runs("aliyun", "custom") {
		t.Error("it is for go1 of Alibaba")
	}
}

func TestGoProgramsFetchTheirCalls(t *testing.T) {
	in, log := startGo(t)
	res := call1(t, in, "echo hi")
	if string(res.Payload) != "hi" || res.Failure != nil || res.Instance != in.ID() || res.Took <= 0 || res.HTTP != nil {
		t.Errorf("%+v", res)
	}
	log.await(t, "R1", "Memory Size: 256 MB, Max Memory Used: ")
	log.await(t, "R1", "FC Invoke Start RequestId: R1")
	if n := strings.Count(strings.Join(log.text("R1"), "\n"), "FC Invoke Start"); n != 1 {
		t.Errorf("%d lines say that the call begins: the program prints it itself", n)
	}
	if res := call1(t, in, "echo"); len(res.Payload) != 0 || res.Failure != nil {
		t.Errorf("an empty answer: %+v", res)
	}
	if got := string(call1(t, in, "env FC_RUNTIME_API").Payload); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("FC_RUNTIME_API=%q", got)
	}
	if got := string(call1(t, in, "wrong").Payload); got != "404 404" {
		t.Errorf("answers for calls that nobody made: %s", got)
	}
}

func TestHeadersOfGoCalls(t *testing.T) {
	in, _ := startGo(t)
	var h http.Header
	began := time.Now()
	if err := json.Unmarshal(call1(t, in, "headers").Payload, &h); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-Fc-Request-Id": "R1", "X-Fc-Function-Type": "0", "X-Fc-Function-Timeout": "10", "X-Fc-Function-Name": "f", "X-Fc-Function-Handler": "main",
		"X-Fc-Function-Memory": "256", "X-Fc-Access-Key-Id": "STS.f", "X-Fc-Access-Key-Secret": "temporary", "X-Fc-Security-Token": "token of app",
		"X-Fc-Service-Name": "svc", "X-Fc-Region": "cn-hangzhou", "X-Fc-Account-Id": Account, "X-Fc-Qualifier": "LATEST", "X-Fc-Retry-Count": "0",
		"Content-Type": "application/octet-stream",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	ms, err := strconv.ParseInt(h.Get("X-Fc-Function-Deadline"), 10, 64)
	if d := time.UnixMilli(ms).Sub(began); err != nil || d < 9*time.Second || d > time.Minute {
		t.Errorf("deadline %q is in %v", h.Get("X-Fc-Function-Deadline"), d)
	}
}

func TestGoProgramsFail(t *testing.T) {
	in, _ := startGo(t)
	f := call1(t, in, "fail").Failure
	if f == nil || f.Kind != sluice.Handled || f.Message != "boom" || f.Type != "errorString" {
		t.Errorf("%+v", f)
	}
	f = call1(t, in, "panic").Failure
	if f == nil || f.Message != "boom" || !strings.Contains(string(failureBody(f)), `"stackTrace":[{"path":"main.go","line":7`) {
		t.Errorf("%+v", f)
	}
	if string(call1(t, in, "echo still here").Payload) != "still here" {
		t.Error("a failed call does not end the instance")
	}
	if f = call1(t, in, "big").Failure; f == nil || f.Kind != sluice.TooBig {
		t.Errorf("%+v", f)
	}
	f = call1(t, in, "exit").Failure
	if f == nil || f.Kind != sluice.Crashed || !strings.HasPrefix(f.Message, "Process exited unexpectedly before completing request (duration: ") {
		t.Errorf("%+v", f)
	}
	<-in.Done()
	if _, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R2"}); !errors.Is(err, function.ErrInstanceGone) {
		t.Errorf("a call of an instance that has gone: %v", err)
	}
}

func TestGoProgramsRunOutOfTime(t *testing.T) {
	in, _ := startGo(t, func(v *function.Version) { v.Spec.Timeout = 200 * time.Millisecond })
	f := call1(t, in, "hang").Failure
	if f == nil || f.Kind != sluice.TimedOut {
		t.Fatalf("%+v", f)
	}
	<-in.Done()
}

func TestGoProgramsServeCallsAtTheSameTime(t *testing.T) {
	in, _ := startGo(t, func(v *function.Version) { v.Spec.Concurrency = 5 })
	var g sync.WaitGroup
	for i := range 5 {
		g.Go(func() {
			res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: strconv.Itoa(i), Payload: []byte("together 5")})
			if err != nil || string(res.Payload) != "5" {
				t.Errorf("%s %v", res.Payload, err)
			}
		})
	}
	g.Wait()
}

func TestHTTPFunctionsOfGo(t *testing.T) {
	in, _ := startGo(t)
	invoke := func(path string) sluice.Result {
		res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Kind: sluice.InvokeHTTP, Payload: []byte("body"), HTTP: &sluice.HTTPRequest{
			Method: "PUT", Path: path, RawQuery: "x=1&x=2&y", Host: "wall.example", Remote: "10.0.0.1", URI: "/outside" + path + "?x=1&x=2&y",
			Header: http.Header{"X-Mine": {"1", "2"}, "X-Fc-Forged": {"1"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := invoke("/a%20b")
	want := `{"path":"/a b","method":"PUT","requestURI":"/outside/a%20b?x=1\u0026x=2\u0026y","clientIP":"10.0.0.1","host":"wall.example",` +
		`"queriesMap":{"x":["1","2"],"y":[""]},"headersMap":{"X-Mine":["1","2"]}}body`
	if diff := cmp.Diff(want, string(res.Payload)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&sluice.HTTPResponse{Status: 201, Header: http.Header{"X-Two": {"a", "b"}, "Content-Type": {"text/plain"}}}, res.HTTP); diff != "" {
		t.Error(diff)
	}
	if res = invoke("/silent"); res.Failure != nil || res.HTTP.Status != 200 || len(res.Payload) != 0 {
		t.Errorf("%+v", res)
	}
	if res = invoke("/fail"); res.Failure == nil || res.Failure.Message != "boom" {
		t.Errorf("%+v", res)
	}
}

func TestLifeOfAGoInstance(t *testing.T) {
	log := &memoryLog{}
	v := goVersion(t, func(v *function.Version) {
		v.Spec.Initializer, v.Spec.PreFreeze, v.Spec.PreStop = "main.init", "main.freeze", "main.stop"
	})
	in, err := (&Go{Keys: fakeKeys{}}).Start(t.Context(), v, spawner(t), log)
	if err != nil {
		t.Fatal(err)
	}
	call1(t, in, "echo")
	log.await(t, "any", "hook of type 3")
	in.Stop(context.Background())
	log.await(t, "any", "hook of type 2")
	select {
	case <-in.Done():
	default:
		t.Error("a stopped instance takes calls")
	}
}

func TestGoProgramsThatDoNotStart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*function.Version)
		kind   sluice.FailureKind
		says   string
	}{
		{"exits", func(v *function.Version) { v.Env["MODE"] = "exit" }, sluice.Crashed, "cannot find my settings"},
		{"never asks", func(v *function.Version) { v.Env["MODE"] = "deaf" }, sluice.Crashed, "has not asked for a call"},
		{"is not there", func(v *function.Version) { v.Spec.Handler = "nothing" }, sluice.BadEntry, "cannot be started"},
		{"initializer fails", func(v *function.Version) { v.Spec.Initializer, v.Env["INIT"] = "i", "fail" }, sluice.InitFail, "no database"},
		{"initializer hangs", func(v *function.Version) {
			v.Spec.Initializer, v.Spec.InitTimeout, v.Env["INIT"] = "i", 100*time.Millisecond, "hang"
		}, sluice.InitFail, "timed out"},
		{"initializer exits", func(v *function.Version) { v.Spec.Initializer, v.Env["INIT"] = "i", "exit" }, sluice.InitFail, "bye from the initializer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := goVersion(t, func(v *function.Version) { v.Env = map[string]string{} }, tc.change)
			_, err := (&Go{Keys: fakeKeys{}, Ready: 3 * time.Second}).Start(t.Context(), v, spawner(t), &memoryLog{})
			var s *function.StartError
			if !errors.As(err, &s) || s.Failure.Kind != tc.kind || !strings.Contains(s.Failure.Message, tc.says) {
				t.Errorf("%v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Go{Keys: fakeKeys{}}).Start(ctx, goVersion(t), spawner(t), &memoryLog{}); err == nil || os.IsNotExist(err) {
		t.Errorf("a start that nobody waits for: %v", err)
	}
}

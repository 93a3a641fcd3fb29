package lambda

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
)

func TestRuns(t *testing.T) {
	p := &Provided{}
	for runtime, want := range map[string]bool{"provided": true, "provided.al2": true, "provided.al2023": true, "go1.x": true, "providedx": false, "nodejs20.x": false} {
		if p.Runs("aws", runtime) != want {
			t.Errorf("%s: %v", runtime, !want)
		}
	}
	if p.Runs("aliyun", "provided") {
		t.Error("another cloud's runtime")
	}
}

func testVersion(change ...func(*function.Version)) *function.Version {
	v := &function.Version{App: "app", Dialect: dialect, Root: program, Env: map[string]string{"AWS_REGION": "eu-west-1", "PATH": os.Getenv("PATH")},
		Spec: sluice.Function{Name: "f", Physical: "stack-f-1", Runtime: "provided.al2023", Handler: "h", MemoryMB: 256, Timeout: 10 * time.Second}}
	for _, f := range change {
		f(v)
	}
	return v
}

func start(t *testing.T, p *Provided, change ...func(*function.Version)) (function.Instance, *memoryLog, error) {
	t.Helper()
	s := process.NewSpawner(process.Options{})
	t.Cleanup(s.Close)
	log := &memoryLog{}
	in, err := p.Start(t.Context(), testVersion(change...), s, log)
	if err == nil {
		t.Cleanup(func() { in.Stop(context.Background()) })
	}
	return in, log, err
}

func started(t *testing.T, change ...func(*function.Version)) (function.Instance, *memoryLog) {
	t.Helper()
	in, log, err := start(t, &Provided{}, change...)
	if err != nil {
		t.Fatal(err)
	}
	return in, log
}

func invoke(t *testing.T, in function.Instance, payload string) sluice.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // which the deadline is told by
	defer cancel()
	res, err := in.Invoke(ctx, &sluice.Invocation{RequestID: "11111111-2222-4333-8444-555555555555", Payload: []byte(payload),
		Attrs: map[string]string{"arn": "arn:f:live", "trace": "Root=1", "client": `{"custom":{}}`}})
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return res
}

func TestProgramsFetchTheirCalls(t *testing.T) {
	in, log := started(t)
	if res := invoke(t, in, `{"do":"echo"}`); string(res.Payload) != `{"do":"echo"}` || res.Failure != nil || res.Instance != in.ID() || res.Took <= 0 {
		t.Errorf("%+v", res)
	}
	if res := invoke(t, in, ""); string(res.Payload) != "{}" {
		t.Errorf("a call without a payload: %s", res.Payload)
	}
	if res := invoke(t, in, `{"do":"nothing"}`); len(res.Payload) != 0 || res.Failure != nil {
		t.Errorf("an empty answer: %+v", res)
	}
	invoke(t, in, `{"do":"print","text":"a line"}`)
	for log.text("11111111-2222-4333-8444-555555555555") != "a line" {
		time.Sleep(time.Millisecond)
	}
	var h http.Header
	began := time.Now()
	if err := json.Unmarshal(invoke(t, in, `{"do":"headers"}`).Payload, &h); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Lambda-Runtime-Aws-Request-Id": "11111111-2222-4333-8444-555555555555",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:f:live", "Lambda-Runtime-Trace-Id": "Root=1", "Lambda-Runtime-Client-Context": `{"custom":{}}`} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	ms, err := strconv.ParseInt(h.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if left := time.UnixMilli(ms).Sub(began); err != nil || left < 9*time.Second || left > time.Minute {
		t.Errorf("deadline in %v, %v", left, err)
	}
}

func TestAnswersForOtherCallsAreRefused(t *testing.T) {
	in, _ := started(t)
	var got []string
	json.Unmarshal(invoke(t, in, `{"do":"wrong"}`).Payload, &got)
	want := []string{`400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`, `400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`,
		`400 {"errorMessage":"Invalid function response mode: sideways","errorType":"InvalidFunctionResponseMode"}`, "200 pong",
		`403 {"errorMessage":"State transition from Ready to Restoring failed for runtime. Error: SnapStart is not enabled","errorType":"InvalidStateTransition"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if res := invoke(t, in, `{"do":"twice"}`); string(res.Payload) != `"once"` {
		t.Errorf("%s", res.Payload)
	}
	if got := string(invoke(t, in, `{"do":"last"}`).Payload); !strings.HasPrefix(got, `"403 {`) || !strings.Contains(got, "InvalidStateTransition") {
		t.Errorf("a second answer: %s", got)
	}
}

func TestExtensionsIdle(t *testing.T) {
	in, _ := started(t)
	var got []string
	json.Unmarshal(invoke(t, in, `{"do":"extension"}`).Payload, &got)
	if diff := cmp.Diff([]string{"200", "36", `{"functionName":"stack-f-1","functionVersion":"$LATEST","handler":"h"}` + "\n"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	invoke(t, in, `{}`)
}

func TestStreamedResponsesAreCollected(t *testing.T) {
	in, _ := started(t)
	if got := string(invoke(t, in, `{"do":"stream","text":"a|b|c"}`).Payload); got != "abc" {
		t.Error(got)
	}
	var o map[string]any
	json.Unmarshal(invoke(t, in, `{"do":"head","text":"body"}`).Payload, &o)
	if diff := cmp.Diff(map[string]any{"statusCode": 201.0, "headers": map[string]any{"a": "b"}, "body": "Ym9keQ==", "isBase64Encoded": true}, o); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	res := invoke(t, in, `{"do":"broken"}`)
	if f := res.Failure; f == nil || f.Type != "Function.Late" || string(f.Body) != `{"errorMessage":"late"}` {
		t.Errorf("a stream that fails: %+v", res.Failure)
	}
}

func TestTheLimitOfResponses(t *testing.T) {
	in, _ := started(t)
	if res := invoke(t, in, `{"do":"big","n":6291556}`); len(res.Payload) != 6291556 {
		t.Errorf("%d bytes, %+v", len(res.Payload), res.Failure)
	}
	res := invoke(t, in, `{"do":"big","n":6291557}`)
	if res.Failure == nil || res.Failure.Kind != sluice.TooBig {
		t.Fatalf("%+v", res.Failure)
	}
	if got := string(FailureBody(res.Failure, "", 0)); got != `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}` {
		t.Error(got)
	}
	invoke(t, in, `{}`) // it goes on
}

func TestFailuresOfCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		call string
		kind sluice.FailureKind
		body string
		dies bool
	}{
		"reported": {`{"do":"fail"}`, sluice.Handled, `{"errorMessage":"it failed","errorType":"Custom","stackTrace":["x"]}`, false},
		"exit 0":   {`{"do":"exit"}`, sluice.Crashed, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: R Error: Runtime exited without providing a reason"}`, true},
		"exit 4":   {`{"do":"exit","n":4}`, sluice.Crashed, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: R Error: Runtime exited with error: exit status 4"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			in, _ := started(t)
			res := invoke(t, in, tc.call)
			if res.Failure == nil || res.Failure.Kind != tc.kind {
				t.Fatalf("%+v", res.Failure)
			}
			if got := string(FailureBody(res.Failure, "R", 0)); got != tc.body {
				t.Error(got)
			}
			if !tc.dies {
				invoke(t, in, `{}`)
				return
			}
			<-in.Done()
			if _, err := in.Invoke(t.Context(), &sluice.Invocation{}); !errors.Is(err, function.ErrInstanceGone) {
				t.Error(err)
			}
		})
	}
}

func TestCallsThatAreLateTakeTheProgramWithThem(t *testing.T) {
	in, _ := started(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	res, err := in.Invoke(ctx, &sluice.Invocation{RequestID: "R", Payload: []byte(`{"do":"sleep","n":60000}`)})
	if err != nil || res.Failure == nil || res.Failure.Kind != sluice.TimedOut {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := string(FailureBody(res.Failure, "R", 3*time.Second)); got != `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: R Error: Task timed out after 3.00 seconds"}` {
		t.Error(got)
	}
	<-in.Done()
}

func TestProgramsThatDoNotStart(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	os.MkdirAll(plain, 0o755)
	os.WriteFile(filepath.Join(plain, "bootstrap"), []byte("#!/bin/sh\n"), 0o644)
	for name, tc := range map[string]struct {
		change func(*function.Version)
		init   time.Duration
		kind   sluice.FailureKind
		typ    string
		says   string
	}{
		"it says why":    {func(v *function.Version) { v.Env["BOOT"] = "error" }, 0, sluice.InitFail, "Function.NoDB", "no database"},
		"it exits":       {func(v *function.Version) { v.Env["BOOT"] = "exit" }, 0, sluice.InitFail, "Runtime.ExitError", "exit status 3"},
		"it hangs":       {func(v *function.Version) { v.Env["BOOT"] = "hang" }, 300 * time.Millisecond, sluice.InitFail, "Sandbox.Timedout", "has not asked"},
		"no program":     {func(v *function.Version) { v.Root = filepath.Dir(plain) }, 0, sluice.BadEntry, "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s)"},
		"not executable": {func(v *function.Version) { v.Root = plain }, 0, sluice.BadEntry, "Runtime.InvalidEntrypoint", "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := start(t, &Provided{Init: tc.init}, tc.change)
			var s *function.StartError
			if !errors.As(err, &s) || s.Failure.Kind != tc.kind || s.Failure.Type != tc.typ || !strings.Contains(s.Failure.Message, tc.says) {
				t.Errorf("%+v", err)
			}
			if name == "it exits" && !cmp.Equal(s.Failure.Stack, []string{"cannot go on"}) {
				t.Errorf("its last words: %q", s.Failure.Stack)
			}
		})
	}
}

func TestProgramsOfLayersAndOfGo1(t *testing.T) {
	opt := t.TempDir()
	b, err := os.ReadFile(filepath.Join(program, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(opt, "bootstrap"), filepath.Join(opt, "main")} {
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in, _ := started(t, func(v *function.Version) { v.Root, v.Env["SLUICE_LAYERS"] = t.TempDir(), opt })
	invoke(t, in, `{}`)
	in, _ = started(t, func(v *function.Version) { v.Root, v.Spec.Runtime, v.Spec.Handler = opt, "go1.x", "main" })
	invoke(t, in, `{}`)
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":["b",1]},"cookies":["a"]}` + "\x00\x00\x00\x00\x00\x00\x00\x00body"))
	f.Add([]byte("{}\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(b), 4<<10)
		head := readHead(r)
		rest, err := io.ReadAll(r)
		if err != nil || head == nil && !bytes.Equal(rest, b) || head != nil && !bytes.HasSuffix(b, rest) {
			t.Errorf("%q, %v: %+v", rest, err, head)
		}
	})
}

func FuzzUnstream(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"cookies":["a"]}` + "\x00\x00\x00\x00\x00\x00\x00\x00body"))
	f.Add([]byte("null\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out := unstream(b); string(out) != string(b) && !json.Valid(out) {
			t.Errorf("%q", out)
		}
	})
}

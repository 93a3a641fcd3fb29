package scf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestGoProgramsLearnOfTheirCall(t *testing.T) {
	t.Parallel()
	s, v := programs(t)["go"](func(v *function.Version) {
		v.Env[environmentVariable], v.Env["TENCENTCLOUD_APPID"], v.Env["TENCENTCLOUD_UIN"] = `{"GIVEN":"2"}`, AppID, UIN
		v.Spec.Group = "ns"
	})
	in, _ := start(t, s, v)
	began := time.Now()
	var got map[string]any
	if err := json.Unmarshal(call1(t, in, "request").Payload, &got); err != nil {
		t.Fatal(err)
	}
	end := got["Deadline"].(map[string]any)["Seconds"].(float64)
	if d := time.Unix(int64(end), 0).Sub(began); d < 8*time.Second || d > time.Minute {
		t.Errorf("the deadline is in %v", d)
	}
	delete(got, "Deadline")
	want := map[string]any{
		"Payload": "InJlcXVlc3Qi", "RequestId": "R1", "TraceId": "", "InvokedFunctionUnique": "", "ClientContext": nil, "Namespace": "ns", "FunctionName": "f",
		"FunctionVersion": "$LATEST", "MemoryLimitInMb": 256.0, "TimeLimitInMs": 10000.0, "Environment": `{"GIVEN":"2"}`,
		"TencentcloudRegion": "ap-guangzhou", "TencentcloudAppID": AppID, "TencentcloudUin": UIN, "FunctionTrace": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := string(call1(t, in, "env GIVEN").Payload); got != `"2"` {
		t.Errorf("the environment of a call: %s", got)
	}
	if got := string(call1(t, in, "nothing").Payload); got != "null" {
		t.Error(got)
	}
	if got := told(call1(t, in, "rpc").Failure); got != "430 user code exception caught|no such thing" {
		t.Error(got)
	}
}

func TestAPanicEndsTheInstance(t *testing.T) {
	t.Parallel()
	s, v := programs(t)["go"]()
	in, _ := start(t, s, v)
	f := call1(t, in, "panic").Failure
	if got := told(f); f.Kind != sluice.Handled || got != "430 user code exception caught|panic: boom\n    at handle (main.go:7)" {
		t.Error(got)
	}
	<-in.Done()
}

func TestAProgramThatIsNoServerOfCalls(t *testing.T) {
	t.Parallel()
	// It takes connections, and speaks HTTP.
	root := code(t, "server", "main", "#!/bin/sh\nexec ./server $_LAMBDA_SERVER_PORT\n")
	f := startFailure(t, Go1{}, version(root, "Go1", func(v *function.Version) { v.Spec.InitTimeout = 2 * time.Second }))
	if !strings.HasPrefix(told(&f), "450 the program does not answer on its port") {
		t.Error(told(&f))
	}
}

func TestAFileThatMayNotBeRun(t *testing.T) {
	root := code(t, "")
	if err := writeFile(root+"/main", 0o644); err != nil {
		t.Fatal(err)
	}
	f := startFailure(t, Go1{}, version(root, "Go1"))
	if got := told(&f); got != "437 handler not found|main is not executable: chmod +x main" {
		t.Error(got)
	}
}

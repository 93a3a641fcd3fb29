package lambda

import (
	"context"
	"net"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
)

func TestProgramsOfTheLibraryServeRPC(t *testing.T) {
	deps := []*debug.Module{{Path: "example.org/x"}, {Path: rpcModule, Version: "v1.55.1"}}
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want bool
	}{
		"built with it":     {debug.BuildInfo{Deps: deps}, true},
		"built without rpc": {debug.BuildInfo{Deps: deps, Settings: []debug.BuildSetting{{Key: "-tags", Value: "netgo,lambda.norpc"}}}, false},
		"another tag":       {debug.BuildInfo{Deps: deps, Settings: []debug.BuildSetting{{Key: "-tags", Value: "lambda.norpcx"}}}, true},
		"another library":   {debug.BuildInfo{Deps: deps[:1]}, false},
	} {
		if got := honours(&c.info); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if v := testVersion(); servesRPC(v, filepath.Join(program, "bootstrap")) || servesRPC(v, "/bin/sh") {
		t.Error("programs without the library")
	}
}

// startServed starts the program so that it serves its calls.
func startServed(t *testing.T) (*served, *memoryLog) {
	t.Helper()
	s := process.NewSpawner(process.Options{})
	t.Cleanup(s.Close)
	log := &memoryLog{}
	in, err := (&Provided{}).startServed(t.Context(), testVersion(), s, log, filepath.Join(program, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Stop(context.Background()) })
	return in.(*served), log
}

func TestServedCalls(t *testing.T) {
	const id = "11111111-2222-4333-8444-555555555555"
	in, log := startServed(t)
	if res := invoke(t, in, `{"do":"echo"}`); string(res.Payload) != `{"do":"echo"}` || res.Failure != nil || res.Instance != in.ID() || res.Took <= 0 || res.MemoryMB <= 0 {
		t.Errorf("%+v", res)
	}
	if res := invoke(t, in, ""); string(res.Payload) != "{}" {
		t.Errorf("a call without a payload: %s", res.Payload)
	}
	if got := string(invoke(t, in, `{"do":"request"}`).Payload); got != id+` Root=1 arn:f:live {"custom":{}}` {
		t.Error(got)
	}
	invoke(t, in, `{"do":"print","text":"a line"}`)
	for log.text(id) != "a line" {
		time.Sleep(time.Millisecond)
	}
	if f := invoke(t, in, `{"do":"fail"}`).Failure; f == nil || f.Kind != sluice.Handled || f.Type != "errorString" || string(f.Body) != `{"errorMessage":"no","errorType":"errorString"}` {
		t.Errorf("%+v", f)
	}
	if !strings.HasSuffix(log.text(id), ` {"errorMessage":"no","errorType":"errorString"}`) {
		t.Errorf("the log says nothing of a failure: %s", log.text(id))
	}
	if f := invoke(t, in, `{"do":"refuse"}`).Failure; f == nil || f.Message != "refused" {
		t.Errorf("%+v", f)
	}
	if f := invoke(t, in, `{"do":"large","n":6300000}`).Failure; f == nil || f.Kind != sluice.TooBig {
		t.Errorf("%+v", f)
	}
	if res := invoke(t, in, `{}`); res.Failure != nil {
		t.Errorf("after failures: %+v", res.Failure)
	}
}

func TestAServedProgramThatPanicsAnswersAndGoes(t *testing.T) {
	in, _ := startServed(t)
	f := invoke(t, in, `{"do":"panic"}`).Failure
	if f == nil {
		t.Fatal("no failure")
	}
	want := `{"errorMessage":"oh","errorType":"string","stackTrace":[{"path":"main.go","line":7,"label":"main.f"}]}`
	if diff := cmp.Diff(want, string(f.Body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	<-in.Done()
	if _, err := in.Invoke(t.Context(), &sluice.Invocation{}); err != function.ErrInstanceGone {
		t.Error(err)
	}
}

func TestAServedProgramThatEndsFailsItsCall(t *testing.T) {
	in, _ := startServed(t)
	if f := invoke(t, in, `{"do":"exit"}`).Failure; f == nil || f.Kind != sluice.Crashed || f.Type != "Runtime.ExitError" || f.Message != "exit status 3" {
		t.Errorf("%+v", f)
	}
	<-in.Done()
}

func TestAServedCallThatIsLateTakesTheProgramWithIt(t *testing.T) {
	in, _ := startServed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	res, err := in.Invoke(ctx, &sluice.Invocation{RequestID: "r", Payload: []byte(`{"do":"sleep"}`)})
	if err != nil || res.Failure == nil || res.Failure.Kind != sluice.TimedOut {
		t.Errorf("%+v, %v", res.Failure, err)
	}
	<-in.Done()
}

func TestAPortThatIsTakenIsTold(t *testing.T) {
	s := process.NewSpawner(process.Options{})
	t.Cleanup(s.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	_, err = (&Provided{}).start(t.Context(), testVersion(), s, &memoryLog{}, filepath.Join(program, "bootstrap"), port)
	if !function.PortTaken(t.Context(), err, port) {
		t.Errorf("while somebody serves it: %v", err)
	}
	ln.Close()
	if !function.PortTaken(t.Context(), err, port) {
		t.Errorf("by the program's last words: %v", err)
	}
}

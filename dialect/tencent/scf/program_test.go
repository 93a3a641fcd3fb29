package scf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
)

// fakeKeys are the keys of a test: one long-lived key of each app, and temporary ones.
type fakeKeys struct{}

func (fakeKeys) Temporary(prefix string, p access.Principal, ttl time.Duration) access.Credentials {
	return access.Credentials{ID: prefix + string(p.Function), Secret: "temporary", Token: "token of " + string(p.App), Expires: time.Now().Add(ttl)}
}

func (fakeKeys) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	switch id {
	case "admin":
		return "admin's", access.Principal{}, nil
	case "mine":
		return "my secret", access.Principal{App: "app"}, nil
	case "down":
		return "", access.Principal{}, errors.New("store is away")
	}
	return "", access.Principal{}, access.ErrUnknownKey
}

// memoryLog keeps what functions print.
type memoryLog struct {
	mu    sync.Mutex
	lines []function.LogLine
	more  chan struct{} // closed by the next line; nil when nobody waits
}

func (l *memoryLog) Log(line function.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// text are the lines of one request.
func (l *memoryLog) text(request string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines {
		if line.Request == request {
			b.WriteString(line.Text + "\n")
		}
	}
	return b.String()
}

// await waits until a request has a line.
func (l *memoryLog) await(t *testing.T, request, part string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		l.mu.Lock()
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if strings.Contains(l.text(request), part) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("no line with %q for request %q: %q", part, request, l.text(request))
		}
	}
}

var build struct {
	once sync.Once
	file string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if build.file != "" {
		os.RemoveAll(filepath.Dir(build.file))
	}
	os.Exit(code)
}

// code is a folder with files, and with the program of testdata under a name; "" is without it.
func code(t *testing.T, program string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if program == "" {
		return dir
	}
	build.once.Do(func() {
		var tmp string
		if tmp, build.err = os.MkdirTemp("", "scf-code"); build.err != nil {
			return
		}
		build.file = filepath.Join(tmp, "fn")
		if out, err := exec.Command("go", "build", "-o", build.file, "./testdata/fn").CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%v: %s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	if err := os.Link(build.file, filepath.Join(dir, program)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// version is a function of a runtime whose code is in root.
func version(root, runtime string, change ...func(*function.Version)) *function.Version {
	v := &function.Version{App: "app", Dialect: dialect, Root: root, Env: map[string]string{"PATH": os.Getenv("PATH"), "TENCENTCLOUD_REGION": "ap-guangzhou", "HOME": os.Getenv("HOME")},
		Spec: sluice.Function{Name: "f", Runtime: runtime, Handler: "main", MemoryMB: 256, Timeout: 10 * time.Second, InitTimeout: time.Minute}}
	for _, c := range change {
		c(v)
	}
	return v
}

func mode(m string) func(*function.Version) {
	return func(v *function.Version) { v.Env["MODE"] = m }
}

func spawner(t *testing.T) *process.Spawner {
	t.Helper()
	s := process.NewSpawner(process.Options{})
	t.Cleanup(s.Close)
	return s
}

// start starts an instance that the test's end stops.
func start(t *testing.T, s function.Starter, v *function.Version) (function.Instance, *memoryLog) {
	t.Helper()
	if !s.Runs(v.Dialect, v.Spec.Runtime) {
		t.Fatalf("%T does not run %s", s, v.Spec.Runtime)
	}
	log := &memoryLog{}
	in, err := s.Start(t.Context(), v, spawner(t), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Stop(context.Background()) })
	return in, log
}

// call1 makes one call, whose event is a JSON text.
func call1(t *testing.T, in function.Instance, event string) sluice.Result {
	t.Helper()
	b, _ := json.Marshal(event)
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Payload: b})
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return res
}

// startFailure is why a start fails.
func startFailure(t *testing.T, s function.Starter, v *function.Version) sluice.Failure {
	t.Helper()
	in, err := s.Start(t.Context(), v, spawner(t), &memoryLog{})
	var failed *function.StartError
	if !errors.As(err, &failed) {
		if err == nil {
			in.Stop(context.Background())
		}
		t.Fatalf("start: %v", err)
	}
	return failed.Failure
}

// told is a failure as callers see it.
func told(f *sluice.Failure) string {
	if f == nil {
		return ""
	}
	status, text, stack := failed(f, &function.Version{Spec: sluice.Function{Timeout: 3 * time.Second}})
	return fmt.Sprintf("%d %s|%s", status, text, stack)
}

// programs are the runtimes with what all of them do.
func programs(t *testing.T) map[string]func(change ...func(*function.Version)) (function.Starter, *function.Version) {
	return map[string]func(change ...func(*function.Version)) (function.Starter, *function.Version){
		"custom": func(change ...func(*function.Version)) (function.Starter, *function.Version) {
			return CustomRuntime{}, version(code(t, "bootstrap"), "CustomRuntime", change...)
		},
		"go": func(change ...func(*function.Version)) (function.Starter, *function.Version) {
			return Go1{}, version(code(t, "main"), "Go1", change...)
		},
		"web": func(change ...func(*function.Version)) (function.Starter, *function.Version) {
			return &Web{}, version(code(t, "server", "scf_bootstrap", "#!/bin/sh\nexec /var/user/server 9000\n"), WebRuntime("Go1"), change...)
		},
	}
}

func TestProgramsServeCalls(t *testing.T) {
	for name, of := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := of(func(v *function.Version) { v.Env["MINE"], v.Env[environmentVariable] = "one", `{"GIVEN":"2"}` })
			in, log := start(t, s, v)
			for event, want := range map[string]string{"echo hi": `"hi"`, "env MINE": `"one"`, "env " + environmentVariable: `""`, "echo": `""`} {
				res := call1(t, in, event)
				if string(res.Payload) != want || res.Failure != nil || res.Instance != in.ID() || res.Took <= 0 || res.MemoryMB <= 0 {
					t.Errorf("%s: %+v %s", event, res, res.Payload)
				}
			}
			call1(t, in, "print heard")
			log.await(t, "R1", "heard\n")
			if said := log.text("") + log.text("R1"); !strings.HasPrefix(said, "hello from the start\n") {
				t.Errorf("%q", said)
			}
		})
	}
}

func TestProgramsFail(t *testing.T) {
	for name, of := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := of()
			in, _ := start(t, s, v)
			if got := told(call1(t, in, "fail").Failure); !strings.HasPrefix(got, "430 user code exception caught|boom") {
				t.Error(got)
			}
			if got := told(call1(t, in, "big").Failure); got != "407 body size is too long|" {
				t.Error(got)
			}
			if res := call1(t, in, "echo still here"); string(res.Payload) != `"still here"` {
				t.Errorf("a failed call does not end the instance: %+v", res)
			}
			if got := told(call1(t, in, "exit").Failure); got != "439 User process exit when running|exit status 5" {
				t.Error(got)
			}
			<-in.Done()
			if _, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R2"}); !errors.Is(err, function.ErrInstanceGone) {
				t.Errorf("a call of an instance that has gone: %v", err)
			}
		})
	}
}

func TestProgramsRunOutOfTime(t *testing.T) {
	for name, of := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := of()
			in, _ := start(t, s, v)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			res, err := in.Invoke(ctx, &sluice.Invocation{RequestID: "R1", Payload: []byte(`"hang"`)})
			if err != nil || told(res.Failure) != "433 Invoking task timed out after 3 seconds|" {
				t.Errorf("%+v %v", res, err)
			}
			<-in.Done()
		})
	}
}

func TestProgramsDoNotStart(t *testing.T) {
	for name, of := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := of(mode("exit"))
			f := startFailure(t, s, v)
			if got := told(&f); got != "445 the program has ended before it was ready (exit status 3)|the program has ended before it was ready (exit status 3)\nhello from the start\ncannot find my settings" {
				t.Error(got)
			}
			s, v = of(mode("deaf"), func(v *function.Version) { v.Spec.InitTimeout = 5 * time.Second }) // to say hello
			f = startFailure(t, s, v)
			status, want := told(&f)[:3], map[string]string{"custom": "450", "go": "450", "web": "446"}[name]
			if status != want || !strings.HasSuffix(told(&f), "hello from the start") {
				t.Error(told(&f))
			}
			s, v = of()
			v.Root = code(t, "", "index.js", "")
			f = startFailure(t, s, v)
			if !strings.HasPrefix(told(&f), "437 handler not found|there is no ") {
				t.Error(told(&f))
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			s, v = of(mode("deaf"))
			if _, err := s.Start(ctx, v, spawner(t), &memoryLog{}); !errors.Is(err, context.Canceled) {
				t.Errorf("a start that nobody waits for: %v", err)
			}
		})
	}
}

func TestProgramsStopAtOnce(t *testing.T) {
	for name, of := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := of()
			in, _ := start(t, s, v)
			results := make(chan sluice.Result, 1)
			go func() {
				res, _ := in.Invoke(context.Background(), &sluice.Invocation{RequestID: "R1", Payload: []byte(`"hang"`)})
				results <- res
			}()
			in.Stop(t.Context())
			if res := <-results; res.Failure == nil && len(res.Payload) > 0 {
				t.Errorf("%+v", res)
			}
			in.Stop(t.Context())
		})
	}
}

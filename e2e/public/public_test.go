// Package public runs applications that others have published, as they are, on the real binary. They
// are not ours to ship: the tests run when PUBLIC_APPS names a folder of checkouts, each called like
// its repository of github.com/devsapp. docs/compatibility.md says which commits were tried.
package public

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// step is one request, or, without a method, one event for the only function.
type step struct {
	method, path, body string
	want               string // part of the answer
}

// apps are what was found to work. A folder is that of the template within the checkouts.
var apps = []struct {
	folder string
	steps  []step
	flags  []string // of sluice dev
}{
	{folder: "start-fc/fc-node/hello-world", steps: []step{{"", "", "{}", "hello world"}}},
	{folder: "start-fc/fc-node/hello-world-es", steps: []step{{"", "", "{}", "Hello World!"}}},
	{folder: "start-fc/fc-node/json-event", steps: []step{{"", "", `{"key":"some value"}`, "some value"}}},
	{folder: "start-fc/fc-node/exec-command", steps: []step{{"", "", "{}", "index.js"}}},
	{folder: "start-fc/fc-node/simple-http", steps: []step{{"POST", "/any/path", "some words", "some words"}}},
	{folder: "start-fc/fc-custom-domain", steps: []step{{"GET", "/a", "", `"rawPath":"/a"`}}},
	{folder: "start-fc/fc-python/hello-world", steps: []step{{"", "", "some event", "some event"}}},
	{folder: "start-fc/fc-python/simple-http", steps: []step{{"POST", "/", "some words", "some words"}}},
	{folder: "start-fc/fc-golang/hello-world", steps: []step{{"", "", "{}", "hello world!"}}},
	{folder: "start-fc/fc-golang/simple-http", steps: []step{{"POST", "/", "some words", "some words"}}},
	{folder: "start-fc/custom/nodejs", steps: []step{{"", "", "{}", "hello world!"}}},
	{folder: "start-fc/custom/python", steps: []step{{"", "", "{}", "hello world!"}}},
	{folder: "start-fc/custom/golang", steps: []step{{"", "", `{"some":"event"}`, `{"some":"event"}`}}},
	{folder: "start-fc/custom/java", steps: []step{{"", "", "{}", "hello world!"}}},
	{folder: "start-web-framework/web-framework/nodejs/express", steps: []step{{"GET", "/some/path", "", `"path":"/some/path"`}}},
	{folder: "start-web-framework/web-framework/nodejs/fastify", steps: []step{{"GET", "/some/path", "", `"path":"/some/path"`}}},
	{folder: "start-web-framework/web-framework/nodejs/koa", steps: []step{{"GET", "/", "", "Koa"}}},
	// Its hook downloads a Node.js; there is one already.
	{folder: "start-web-framework/web-framework/nodejs/hapi", steps: []step{{"GET", "/", "", "Hapi"}}, flags: []string{"--ignore-hook-errors"}},
	{folder: "start-web-framework/web-framework/nodejs/thinkjs", steps: []step{{"GET", "/", "", "Thinkjs"}}},
	{folder: "start-web-framework/web-framework/python/fastapi", steps: []step{{"GET", "/", "", "Serverless Devs"}}},
	{folder: "start-web-framework/web-framework/python/tornado", steps: []step{{"GET", "/", "", "Serverless Devs"}}},
	{folder: "start-web-framework/web-framework/python/webpy", steps: []step{{"GET", "/", "", "Serverless Devs"}}},
	{folder: "start-web-framework/web-framework/python/django", steps: []step{{"GET", "/", "", "Serverless Devs"}}},
	{folder: "start-web-framework/web-framework/go/gin", steps: []step{{"GET", "/", "", `{"message":"hello world"}`}}},
	{folder: "start-web-framework/web-framework/go/beego", steps: []step{{"GET", "/", "", "Beego"}}},
	{folder: "dk-example/dk-http", steps: []step{{"GET", "/", "", "Hello World!"}, {"GET", "/http", "", "Hello Http!"}}},
	{folder: "dk-example/dk-serverless", steps: []step{{"GET", "/", "", "Hello World!"}, {"GET", "/koa", "", "Hello Koa!"}}},
	{folder: "dk-example/dk-tablestore", steps: []step{
		{"GET", "/", "", "dk-tablestore"},
		{"POST", "/table", `{"tableName":"people"}`, `"success":true`},
		{"GET", "/table", "", `["people"]`},
		{"POST", "/table/people", `{"name":"Ada","age":36}`, `"Ada"`},
		{"GET", "/table/people", "", `"columnValue":36`},
		{"DELETE", "/table/people", "", `"success":true`},
		{"GET", "/table", "", "{}"},
	}},
	{folder: "modern-web-application", steps: []step{{"GET", "/", "", "<!doctype html>"}, {"GET", "/asset-manifest.json", "", "main.js"}, {"GET", "/api/", "", "Hello ServerlessDevs"}}},
}

func TestPublishedApplicationsAnswer(t *testing.T) {
	binary, checkouts := built(t)
	for _, app := range apps {
		t.Run(app.folder, func(t *testing.T) {
			from := filepath.Join(checkouts, app.folder)
			if _, err := os.Stat(from); err != nil {
				t.Skip("not among the checkouts")
			}
			s := start(t, binary, copied(t, from), app.flags...)
			for _, step := range app.steps {
				if got := s.do(step); !strings.Contains(got, step.want) {
					t.Fatalf("%s %s %s: got %.500s, want %s", step.method, step.path, step.body, got, step.want)
				}
			}
		})
	}
}

// Most published servers have a port of their own: no second instance can start, and calls that come
// together wait for the first.
func TestServersWithAPortOfTheirOwnAnswerCallsThatComeTogether(t *testing.T) {
	binary, checkouts := built(t)
	s := start(t, binary, copied(t, filepath.Join(checkouts, "start-web-framework/web-framework/nodejs/koa")))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got := s.do(step{method: "GET", path: "/"}); !strings.Contains(got, "Koa") {
				t.Errorf("got %.500s", got)
			}
		})
	}
	wg.Wait()
}

// built is the binary, and the folder of checkouts; without one the test is skipped.
func built(t *testing.T) (binary, checkouts string) {
	t.Helper()
	checkouts = os.Getenv("PUBLIC_APPS")
	if checkouts == "" {
		t.Skip("PUBLIC_APPS names no folder with checkouts of repositories of github.com/devsapp")
	}
	binary = filepath.Join(t.TempDir(), "sluice")
	build := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, out)
	}
	return binary, checkouts
}

// copied is a copy of an application that its own actions may write to.
func copied(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.Base(from))
	// cp keeps links, which some of them have.
	if out, err := exec.Command("cp", "-R", from, dir).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
	return dir
}

// server is the binary that runs one application.
type server struct {
	t      *testing.T
	binary string
	data   string
	Public []string
	Admin  string
	App    struct{ Functions []struct{ Name string } }
}

// start runs sluice dev on an application until the test ends, and waits until it is ready.
func start(t *testing.T, binary, app string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, binary: binary, data: t.TempDir()}
	cmd := exec.Command(binary, append([]string{"dev", app, "--json", "--no-reload", "--data", s.data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, flags...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan []byte, 1)
	drained := make(chan struct{})
	go func() { // ends with the process
		defer close(drained)
		defer close(ready)
		sc := bufio.NewScanner(stdout)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if bytes.Contains(sc.Bytes(), []byte(`"ready"`)) {
				select {
				case ready <- bytes.Clone(sc.Bytes()):
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
		if t.Failed() {
			t.Logf("server said:\n%s", &said)
		}
	})
	select {
	case line := <-ready:
		if json.Unmarshal(line, s) != nil || len(s.Public) == 0 {
			t.Fatal("server ended before it was ready")
		}
	case <-time.After(5 * time.Minute): // npm, pip and go install
		t.Fatal("server was not ready in time")
	}
	return s
}

// do is the answer to a step.
func (s *server) do(c step) string {
	if c.method == "" {
		if len(s.App.Functions) != 1 {
			return fmt.Sprintf("%d functions", len(s.App.Functions))
		}
		out, err := exec.Command(s.binary, "invoke", s.App.Functions[0].Name, "--data-text", c.body,
			"--admin", s.Admin, "--data", s.data).Output()
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	req, err := http.NewRequest(c.method, s.Public[0]+c.path, strings.NewReader(c.body))
	if err != nil {
		return err.Error()
	}
	if strings.HasPrefix(c.body, "{") {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("%s: %s", resp.Status, b)
	}
	return string(b)
}

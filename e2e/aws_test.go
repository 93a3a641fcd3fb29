package e2e

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// awsServer is a real server with the variables that point AWS's tools at it.
func awsServer(t *testing.T) (env map[string]string, public string) {
	t.Helper()
	binary, admin, public := serve(t)
	return awsEnvironment(t, binary, admin), public
}

// awsEnvironment is what "sluice env" says of AWS.
func awsEnvironment(t *testing.T, binary, admin string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "env", "--admin", admin).Output()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, v, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if strings.HasPrefix(name, "AWS_") {
			env[name] = strings.Trim(v, `'"`)
		}
	}
	return env
}

// environ is a child's environment: ours, with some variables over it.
func environ(env map[string]string, more ...string) []string {
	out := os.Environ()
	for name, v := range env {
		out = append(out, name+"="+v)
	}
	return append(out, more...)
}

// zipped is a zip of texts by their names.
func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ear is a server that functions tell things.
type ear struct {
	t     *testing.T
	url   string
	heard chan string
}

func newEar(t *testing.T) *ear {
	e := &ear{t: t, heard: make(chan string, 100)}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		e.heard <- string(b)
	}))
	t.Cleanup(s.Close)
	e.url = s.URL
	return e
}

// next is what comes next.
func (e *ear) next() string {
	e.t.Helper()
	select {
	case s := <-e.heard:
		return s
	case <-time.After(time.Minute):
		e.t.Fatal("nothing is heard")
		return ""
	}
}

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// python is the interpreter that has the packages of requirements.txt; without them the test skips.
func python(t *testing.T) string {
	t.Helper()
	want, err := os.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	has, err := os.ReadFile(".venv/requirements.txt")
	if err != nil || !bytes.Equal(want, has) {
		t.Skip("the Python packages are not installed: run .ci/python, which \"make test\" does, where a package registry is reached")
	}
	path, err := filepath.Abs(".venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// runPython runs the tests of testdata/python/module.py with those variables in their environment.
func runPython(t *testing.T, module string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python(t), "-m", "unittest", module)
	cmd.WaitDelay = 10 * time.Second // a process that it left behind may hold its output
	cmd.Dir = "testdata/python"
	cmd.Env = append(os.Environ(), append(env, "PYTHONDONTWRITEBYTECODE=1")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
}

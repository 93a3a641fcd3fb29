package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": func() { os.Exit(run()) }, "s": func() { os.Exit(run()) }})
}

// TestCommandLine runs the scripts of testdata: the command line as users type it.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GOCACHE", goEnv("GOCACHE"))
			env.Setenv("GOMODCACHE", goEnv("GOMODCACHE"))
			env.Setenv("GOFLAGS", "-mod=mod")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": waitReady, "await": await},
	})
}

func goEnv(name string) string {
	out, _ := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out))
}

// waitReady is the script command "ready DATA": it waits until a server that runs in the background on the data
// folder says where it is, and sets SLUICE_ADMIN, PUBLIC and WS from it.
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DATA")
	}
	path := ts.MkAbs(args[0]) + "/" + client.StateFile
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(path)
		var r client.Ready
		if err != nil || json.Unmarshal(b, &r) != nil {
			continue
		}
		ts.Setenv("SLUICE_ADMIN", r.Admin)
		ts.Setenv("PUBLIC", r.Public[0])
		ts.Setenv("WS", "ws"+strings.TrimPrefix(r.Public[0], "http"))
		return
	}
	ts.Fatalf("no server became ready on %s", args[0])
}

// await is the script command "await FILE TEXT": it waits until a file, which something in the background writes,
// holds the text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && bytes.Contains(b, []byte(args[1])) {
			return
		}
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}

func TestErrorsAreOneLineWithAHint(t *testing.T) {
	var b bytes.Buffer
	printError(&b, errors.Join(&sluice.Error{Msg: "a is wrong", At: sluice.Place{File: "s.yaml", Line: 3}, Hint: "try b"}, errors.New("c is wrong")))
	want := "sluice: error: s.yaml:3: a is wrong\nsluice: hint: try b\nsluice: error: c is wrong\n"
	if b.String() != want {
		t.Fatalf("got\n%swant\n%s", b.String(), want)
	}
}

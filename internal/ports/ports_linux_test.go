package ports

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes a process that a test starts a server, which says which port it listens on.
func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) == "" {
		os.Exit(m.Run())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin) // until the other ends
}

const asDaemon = "PORTS_TEST_DAEMON"

// run starts a program in a process group of its own, which ends with the test.
func run(t *testing.T, words ...string) (pid int, out io.Reader) {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), asDaemon+"=1")
	_, err := cmd.StdinPipe()
	if err == nil {
		out, err = cmd.StdoutPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid, out
}

func TestWhoServesIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port, us := ln.Addr().(*net.TCPAddr).Port, syscall.Getpgrp()
	time.Sleep(20 * time.Millisecond) // a process's age is told in ticks of 10 ms
	other, _ := run(t, "sleep", "60")
	_, out := run(t, os.Args[0])
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	daemons, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	// However slow this machine is, now is not long ago.
	them, now, long := other, time.Now().Add(time.Hour), time.Now().Add(-StrayAfter-time.Second)
	check := func(what string, want, serves, strays bool) {
		t.Helper()
		if serves != want || strays != want {
			t.Errorf("%s: serves %t, strays %t", what, serves, strays)
		}
	}
	ctx := t.Context()
	check("our own group", true, Serves(ctx, us, port, now), Strays(ctx, us, port, now))
	check("a group beside ours", false, Serves(ctx, them, port, now), Strays(ctx, them, port, now))
	check("a group beside ours, after a while", false, Serves(ctx, them, port, long), Strays(ctx, them, port, long))
	check("a group that is not there", false, Serves(ctx, 1<<30, port, now), Strays(ctx, 1<<30, port, now))
	if Ours(them, port, now) {
		t.Error("it is known to be ours")
	}
	check("one who began later", false, Serves(ctx, them, daemons, now), Strays(ctx, them, daemons, now))
	check("one who began later, after a while", true, Serves(ctx, them, daemons, long), Strays(ctx, them, daemons, long))
	ln.Close()
	check("nobody any more", false, Serves(ctx, us, port, long), Strays(ctx, us, port, long))
	if !Ours(them, port, now) {
		t.Error("whose it is cannot be told")
	}
}

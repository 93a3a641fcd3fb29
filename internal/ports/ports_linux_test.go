package ports

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestWhoServesIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port, us := ln.Addr().(*net.TCPAddr).Port, syscall.Getpgrp()
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	// However slow this machine is, now is not long ago.
	them, now, long := other.Process.Pid, time.Now().Add(time.Hour), time.Now().Add(-StrayAfter-time.Second)
	check := func(what string, want, serves, strays bool) {
		t.Helper()
		if serves != want || strays != want {
			t.Errorf("%s: serves %t, strays %t", what, serves, strays)
		}
	}
	ctx := t.Context()
	check("our own group", true, Serves(ctx, us, port, now), Strays(ctx, us, port, now))
	check("a group beside ours", false, Serves(ctx, them, port, now), Strays(ctx, them, port, now))
	check("a group beside ours, after a while", true, Serves(ctx, them, port, long), Strays(ctx, them, port, long))
	check("a group that is not there", false, Serves(ctx, 1<<30, port, now), Strays(ctx, 1<<30, port, now))
	if Ours(them, port, now) {
		t.Error("it is known to be ours")
	}
	ln.Close()
	check("nobody any more", false, Serves(ctx, us, port, long), Strays(ctx, us, port, long))
	if !Ours(them, port, now) {
		t.Error("whose it is cannot be told")
	}
}

package ports

import (
	"net"
	"syscall"
	"testing"
)

func TestWhoListensIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if !Listens(syscall.Getpgrp(), port) {
		t.Error("our own group listens")
	}
	if Listens(1<<30, port) {
		t.Error("a group that is not there does not")
	}
	ln.Close()
	if Listens(syscall.Getpgrp(), port) {
		t.Error("nobody listens any more")
	}
}

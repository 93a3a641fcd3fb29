// Package ports deals with TCP ports of this machine: which one is free, whether one is served, and where the
// system says so, by whom.
package ports

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Free is a port of this machine that nobody has, for now: somebody may be quicker.
func Free() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Address is where a port of this machine is connected to.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Accepts reports whether something accepts connections on a port of this machine.
func Accepts(ctx context.Context, port int) bool {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", Address(port))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// StrayAfter is when a server is taken for a process group's although another group listens there, as one that
// has made itself a daemon does, and where the system does not tell. A process that is older than the group's first
// is never taken for it.
const StrayAfter = 2 * time.Second

// Serves reports whether a process group that began at a time serves the port it was given: connections are
// accepted, and not by somebody who was quicker to take the port.
func Serves(ctx context.Context, group, port int, began time.Time) bool {
	return Accepts(ctx, port) && Ours(group, port, began)
}

// Ours reports whether who accepts connections on a port is of a process group that began at a time, as far as
// that can be told.
func Ours(group, port int, began time.Time) bool {
	ours, known := owner(group, port)
	return ours || !known || time.Since(began) > StrayAfter && daemon(group, port)
}

// Strays reports whether a process group that began at a time serves a port it was not given, one that was
// free before.
func Strays(ctx context.Context, group, port int, began time.Time) bool {
	ours, known := owner(group, port)
	return (ours || time.Since(began) > StrayAfter && (!known || daemon(group, port))) && Accepts(ctx, port)
}

// Taken reports whether a program's output says that its port was in use, as the common runtimes do.
func Taken(output string) bool {
	output = strings.ToLower(output)
	return strings.Contains(output, "address already in use") || strings.Contains(output, "eaddrinuse") ||
		strings.Contains(output, "address in use") || strings.Contains(output, "connection in use") // musl's, gunicorn's
}

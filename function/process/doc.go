// Package process runs instances of functions as operating system processes.
//
// Spawner starts a process in its own group that cannot outlive us; Node speaks our frames over an
// inherited socket pair (fd 3) with a small shim inside the user's real node. The frame core of the
// shim (shim.cjs) knows no cloud: what a handler's arguments look like is in one file per dialect.
//
// Goroutines: a Spawner has one locked thread that forks, one memory watchdog while a limited
// process lives, and two per process (exit, output). A Node instance has two: one reads when no
// call does, one waits for the process's end.
package process

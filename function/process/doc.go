// Package process runs instances of functions as operating system processes.
//
// Spawner starts a process in its own group that cannot outlive us; Node speaks our frames over an
// inherited socket pair (fd 3) with a small shim inside the user's real node, and Python with one inside
// the user's python. The frame cores of the shims (shim.cjs, shim.py) know no cloud: what a handler's
// arguments look like is in one file per dialect. A Python instance is a fork of a zygote, a booted
// interpreter without user code that lives as long as we do.
//
// Goroutines: a Spawner has one locked thread that forks, one memory watchdog while a limited
// process lives, and two per process (exit, output). An instance has two: one reads when no call does,
// one waits for the process's end. A zygote has one that reads what it says.
//
// Lock order: Python.mu or zygote.mu, then Spawner.mu, then child.mu.
package process

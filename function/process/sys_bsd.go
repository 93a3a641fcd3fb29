//go:build unix && !linux

package process

import (
	"os"
	"syscall"
	"time"
)

// processAttr puts a child into its own group. There is no parent-death signal here: our shims exit
// when fd 3 ends.
func processAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// limit does nothing: another process's limits cannot be set here.
func limit(int, uint64, uint64) {}

func outputPipe() (r, w *os.File, err error) { return os.Pipe() }

// awaitExit waits for the process and reaps it.
func awaitExit(p *os.Process) (*os.ProcessState, error) { return p.Wait() }

// residentMB is unknown here.
func residentMB(int) int { return 0 }

// wanted is unknown here.
func wanted(int) time.Duration { return 0 }

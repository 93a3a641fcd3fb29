package process

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

const exeSuffix = ".exe"

func executable(os.FileInfo) bool { return true }

func processAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func killGroup(p *os.Process)      { p.Kill() }
func terminateGroup(p *os.Process) { p.Kill() }

func limit(int, uint64, uint64) {}

func outputPipe() (r, w *os.File, err error) { return os.Pipe() }

func awaitExit(p *os.Process) (*os.ProcessState, error) { return p.Wait() }

func residentMB(int) int { return 0 }

// wanted is unknown here.
func wanted(int) time.Duration { return 0 }

// socketPair fails: Windows cannot hand a socket to a child by number.
func socketPair() (ours, theirs *os.File, err error) {
	return nil, nil, errors.New("instances over a socket pair need Linux or macOS (use WSL)")
}

func newSocketReader(sock *os.File) io.Reader { return sock }

// writeNow is never called: there is no socketPair.
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

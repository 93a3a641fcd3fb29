package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processAttr puts a child into its own group and lets it die with the thread that forked it.
func processAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limit sets resource limits of a child that has just been started: some microseconds into its life,
// long before a runtime has read any code. What the machine refuses stays as it is.
func limit(pid int, files, size uint64) {
	for res, n := range map[int]uint64{unix.RLIMIT_NOFILE: files, unix.RLIMIT_FSIZE: size, unix.RLIMIT_CORE: 0} {
		unix.Prlimit(pid, res, &unix.Rlimit{Cur: n, Max: n}, nil)
	}
}

// outputPipe makes the pipe of stdout and stderr, roomy because runtimes write to it synchronously.
func outputPipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err == nil {
		if c, err := w.SyscallConn(); err == nil {
			c.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
		}
	}
	return r, w, err
}

// awaitExit returns when the process is a zombie, without reaping it: until then its number, and its
// group's, cannot be used again.
func awaitExit(p *os.Process) (*os.ProcessState, error) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return nil, err
		}
	}
}

// residentMB reads the resident size of a process; 0 when it is gone.
func residentMB(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(string(f[1]))
	return pages * os.Getpagesize() >> 20
}

// wanted reads the processor time that a process's first thread has used, and that it waited for one.
func wanted(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0
	}
	used, _ := strconv.ParseInt(string(f[0]), 10, 64)
	waited, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return time.Duration(used + waited)
}

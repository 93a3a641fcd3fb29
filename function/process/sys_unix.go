//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const exeSuffix = ""

func executable(st os.FileInfo) bool { return st.Mode()&0o111 != 0 }

func killGroup(p *os.Process)      { unix.Kill(-p.Pid, unix.SIGKILL) }
func terminateGroup(p *os.Process) { unix.Kill(-p.Pid, unix.SIGTERM) }

// socketPair returns two connected stream sockets. Ours never blocks a thread.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20) // as far as allowed
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, os.NewSyscallError("setnonblock", err)
	}
	return os.NewFile(uintptr(fds[0]), "instance"), os.NewFile(uintptr(fds[1]), "supervisor"), nil
}

// writeNow writes as much as the socket takes without waiting.
func writeNow(c syscall.RawConn, b []byte) (n int, err error) {
	cerr := c.Write(func(fd uintptr) bool {
		for n < len(b) {
			var k int
			if k, err = unix.Write(int(fd), b[n:]); k > 0 {
				n += k
			}
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				break
			}
		}
		return true
	})
	if err == unix.EAGAIN {
		err = nil
	}
	if cerr != nil {
		err = cerr
	}
	return n, err
}

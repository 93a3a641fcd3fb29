//go:build unix

package process

import (
	"cmp"
	"io"
	"os"
	"syscall"
	"unsafe"

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

// writeNow writes as much as the socket takes without waiting. As the calls never block, the scheduler need
// not hear of them: telling it costs as much as the call when the process has just been idle.
func writeNow(c syscall.RawConn, b []byte) (n int, err error) {
	cerr := c.Write(func(fd uintptr) bool {
		for n < len(b) {
			k, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
			switch errno {
			case 0:
				n += int(k)
			case unix.EINTR:
			case unix.EAGAIN:
				return true
			default:
				err = os.NewSyscallError("write", errno)
				return true
			}
		}
		return true
	})
	return n, cmp.Or(cerr, err)
}

// socketReader reads an instance's socket, without telling the scheduler of calls that do not block.
type socketReader struct {
	raw syscall.RawConn
	ask func(fd uintptr) bool // made once, so that reading allocates nothing
	buf []byte                // for ask,
	n   int                   // which fills it,
	err error                 // or fails
}

func newSocketReader(sock *os.File) io.Reader {
	r := &socketReader{}
	r.raw, _ = sock.SyscallConn() // fails only for a nil file
	r.ask = func(fd uintptr) bool {
		for {
			k, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&r.buf[0])), uintptr(len(r.buf)))
			switch errno {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false
			case 0:
				if r.n = int(k); k == 0 {
					r.err = io.EOF
				}
			default:
				r.n, r.err = 0, os.NewSyscallError("read", errno)
			}
			return true
		}
	}
	return r
}

// Read is of io.Reader.
func (r *socketReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.buf, r.n, r.err = b, 0, nil
	err := r.raw.Read(r.ask)
	r.buf = nil
	return r.n, cmp.Or(err, r.err)
}

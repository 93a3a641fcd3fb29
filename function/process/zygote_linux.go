package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/function"
)

const canFork = true

// zygote is a fork server (zygote.py says what is spoken): a booted interpreter whose forks are
// instances. It dies with us, and its forks with it. A fork is a child of the Spawner's as any other:
// limited, watched and killed by group; only who reaps it is the zygote, when we tell it to.
type zygote struct {
	s    *Spawner
	proc function.Process
	conn *net.UnixConn
	gone chan struct{} // closed when it forks no more

	mu      sync.Mutex // guards the fields below
	last    int
	asked   map[int]*fork       // forks not answered yet
	live    map[int]chan string // by pid: gets how a child has ended
	retired bool                // ends with its last child
	lost    bool
	over    sync.WaitGroup // of the children
}

// fork is a request for one instance.
type fork struct {
	memory int
	out    *os.File // our end of its output
	c      *function.Command
	got    chan *child // gets nil when there is none
}

// forkTime is far more than a fork takes: a server that needs longer is broken.
const forkTime = 5 * time.Second

var errZygote = errors.New("the fork server has failed")

// newZygote boots a fork server and returns the path of its interpreter. Its owner calls run.
func newZygote(ctx context.Context, s *Spawner, c function.Command) (*zygote, string, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, "", os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "zygote"), os.NewFile(uintptr(fds[1]), "supervisor")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, "", err
	}
	z := &zygote{s: s, conn: conn.(*net.UnixConn), gone: make(chan struct{}), asked: map[int]*fork{}, live: map[int]chan string{}}
	c.Files = []*os.File{theirs}
	if z.proc, err = s.Spawn(ctx, c); err != nil {
		conn.Close()
		return nil, "", err
	}
	theirs.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	buf := make([]byte, 4<<10)
	n, err := conn.Read(buf)
	exec, ok := strings.CutPrefix(string(buf[:n]), "ready ")
	if !stop() || err != nil || !ok {
		z.proc.Kill()
		<-z.proc.Exited()
		conn.Close()
		return nil, "", fmt.Errorf("boot python fork server: %w", errors.Join(err, errors.New(z.proc.ExitText())))
	}
	return z, exec, nil
}

// run takes what the server says until it has ended, and returns when all its children have.
func (z *zygote) run() {
	buf := make([]byte, 4<<10)
	for {
		n, err := z.conn.Read(buf)
		if err != nil {
			break
		}
		z.handle(strings.Fields(string(buf[:n])))
	}
	z.proc.Kill()
	<-z.proc.Exited() // now its children have been sent SIGKILL
	z.mu.Lock()
	z.lost = true
	asked, live := z.asked, z.live
	z.asked, z.live = nil, nil
	z.mu.Unlock()
	close(z.gone)
	for _, f := range asked {
		f.got <- nil
	}
	for pid, ended := range live {
		killed(pid)
		ended <- "signal: killed"
	}
	z.over.Wait()
	z.conn.Close()
}

// killed makes sure that an orphan of the server's has ended.
func killed(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	unix.Kill(-pid, unix.SIGKILL)
	if err == nil {
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Second/time.Millisecond))
		unix.Close(fd)
	}
}

func (z *zygote) handle(words []string) {
	at := func(i int) int {
		if i >= len(words) {
			return 0
		}
		n, _ := strconv.Atoi(words[i])
		return n
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	switch f := z.asked[at(1)]; {
	case len(words) == 0:
	case words[0] == "forked" && f != nil && at(2) > 1:
		delete(z.asked, at(1))
		f.got <- z.adopt(at(2), f)
	case words[0] == "failed" && f != nil:
		delete(z.asked, at(1))
		f.got <- nil
	case words[0] == "ended" && len(words) == 4:
		ended := z.live[at(1)]
		if ended == nil {
			return
		}
		delete(z.live, at(1))
		if words[2] == "exited" {
			ended <- "exit status " + words[3]
		} else {
			ended <- "signal: " + syscall.Signal(at(3)).String()
		}
	}
}

// adopt makes a fork a child of the Spawner's; mu is held.
func (z *zygote) adopt(pid int, f *fork) *child {
	ch := &child{proc: &os.Process{Pid: pid}, pid: pid, exited: make(chan struct{})}
	ended := make(chan string, 1)
	z.live[pid] = ended
	z.over.Add(1)
	z.s.keep(ch, f.memory, func() {
		defer z.over.Done()
		ch.wait(f.out, f.c.Out, func() func() string {
			text := <-ended
			return func() string {
				z.tell("reap "+strconv.Itoa(pid), nil)
				return text
			}
		})
		z.mu.Lock()
		defer z.mu.Unlock()
		z.endIfIdle()
	})
	return ch
}

// spawn forks an instance with the one file and the output of c.
func (z *zygote) spawn(c *function.Command) (function.Process, error) {
	out, w, err := outputPipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	f := &fork{memory: c.Memory, out: out, c: c, got: make(chan *child, 1)}
	z.mu.Lock()
	if z.lost || z.retired {
		z.mu.Unlock()
		out.Close()
		return nil, errZygote
	}
	z.last++
	n := z.last
	z.asked[n] = f
	z.mu.Unlock()
	rights := unix.UnixRights(int(c.Files[0].Fd()), int(w.Fd())) // Fd also makes them block, as a child's must
	if err := z.tell("fork "+strconv.Itoa(n), rights); err != nil {
		z.proc.Kill() // then it is answered
	}
	t := time.NewTimer(forkTime)
	defer t.Stop()
	var ch *child
	select {
	case ch = <-f.got:
	case <-t.C:
		z.proc.Kill()
		ch = <-f.got
	}
	if ch == nil {
		out.Close()
		return nil, errZygote
	}
	return ch, nil
}

// tell sends one message.
func (z *zygote) tell(what string, rights []byte) error {
	z.conn.SetWriteDeadline(time.Now().Add(forkTime))
	_, _, err := z.conn.WriteMsgUnix([]byte(what), rights, nil)
	return err
}

// retire lets the server end with its last child.
func (z *zygote) retire() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.retired = true
	z.endIfIdle()
}

// endIfIdle ends a retired server without children; mu is held.
func (z *zygote) endIfIdle() {
	if z.retired && len(z.live) == 0 && len(z.asked) == 0 {
		z.proc.Kill()
	}
}

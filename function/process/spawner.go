package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/function"
)

// Options set up a Spawner. The zero value is right.
type Options struct {
	// Isolate may change what is started and how (namespaces, user, a wrapper command) before it is;
	// nil starts it plainly. An error refuses the start.
	Isolate func(c *function.Command, attr *os.ProcAttr) error
	// OpenFiles limits the open files of a process; default 4096: functions that make a client for each call
	// leave its sockets behind for a while.
	OpenFiles uint64
	// FileSize limits the size of a file that a process writes, in bytes; default 512 MiB.
	FileSize uint64
	// Log gets what happens to processes; default slog.Default().
	Log *slog.Logger
}

// Spawner starts processes that die with us: each in its own group, forked from one locked thread,
// because the kernel sends the parent-death signal when the forking thread ends. A process that
// exceeds its memory (limit × 1.1 + 64 MB resident, looked at every 250 ms) is killed.
type Spawner struct {
	o    Options
	fork chan func()
	quit chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex // guards the fields below; never held while waiting
	live     map[*child]struct{}
	watching bool // the memory watchdog runs
	closed   bool
	started  bool // the forking thread runs
}

var _ function.Spawner = (*Spawner)(nil)

// ErrClosed is what Spawn returns after Close.
var ErrClosed = errors.New("spawner is closed")

// watchEvery is how often resident memory is compared with its limit.
const watchEvery = 250 * time.Millisecond

// NewSpawner returns a Spawner; Close ends it.
func NewSpawner(o Options) *Spawner {
	if o.OpenFiles == 0 {
		o.OpenFiles = 4096
	}
	if o.FileSize == 0 {
		o.FileSize = 512 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Spawner{o: o, fork: make(chan func()), quit: make(chan struct{}), live: map[*child]struct{}{}}
}

// Spawn starts c. ctx bounds only the start; the process lives until it exits or is killed.
func (s *Spawner) Spawn(ctx context.Context, c function.Command) (function.Process, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	if !s.started {
		s.started = true
		s.wg.Go(s.forker)
	}
	s.mu.Unlock()

	var ch *child
	var err error
	done := make(chan struct{})
	job := func() { ch, err = s.start(&c); close(done) }
	select {
	case s.fork <- job:
		<-done
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", c.Path, err)
		}
		return ch, nil
	case <-s.quit:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close kills every process that is left, waits until all are gone, and ends the forking thread.
func (s *Spawner) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return
	}
	s.closed = true
	left := make([]*child, 0, len(s.live))
	for c := range s.live {
		left = append(left, c)
	}
	s.mu.Unlock()
	for _, c := range left {
		c.Kill()
	}
	for _, c := range left {
		<-c.exited
	}
	close(s.quit)
	s.wg.Wait()
}

// forker owns the thread that all processes are forked from. It never unlocks it, so that the
// thread ends with the goroutine and is not used for anything else.
func (s *Spawner) forker() {
	runtime.LockOSThread()
	for {
		select {
		case job := <-s.fork:
			job()
		case <-s.quit:
			return
		}
	}
}

// start runs on the forking thread.
func (s *Spawner) start(c *function.Command) (*child, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out, w := (*os.File)(nil), null
	if c.Out != nil {
		if out, w, err = outputPipe(); err != nil {
			return nil, err
		}
		defer w.Close()
	}
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: append([]*os.File{null, w, w}, c.Files...), Sys: processAttr()}
	if attr.Env == nil {
		attr.Env = []string{} // nil would inherit ours
	}
	if s.o.Isolate != nil {
		err = s.o.Isolate(c, attr)
	}
	var path string
	if err == nil {
		path, err = lookPath(c.Path, c.Dir, c.Env)
	}
	var p *os.Process
	if err == nil {
		p, err = os.StartProcess(path, append([]string{path}, c.Args...), attr)
	}
	if err != nil {
		if out != nil {
			out.Close()
		}
		return nil, err
	}
	limit(p.Pid, s.o.OpenFiles, s.o.FileSize)
	ch := &child{proc: p, pid: p.Pid, exited: make(chan struct{})}
	s.keep(ch, c.Memory, func() { ch.wait(out, c.Out, ch.ended) })
	return ch, nil
}

// keep watches over a child until wait returns.
func (s *Spawner) keep(ch *child, memory int, wait func()) {
	if memory > 0 {
		ch.limitMB = memory + memory/10 + 64
	}
	s.mu.Lock()
	s.live[ch] = struct{}{}
	closed := s.closed
	if ch.limitMB > 0 && !s.watching {
		s.watching = true
		s.wg.Go(s.watch)
	}
	s.wg.Go(func() {
		wait()
		s.mu.Lock()
		delete(s.live, ch)
		s.mu.Unlock()
	})
	s.mu.Unlock()
	if closed { // Close did not see it
		ch.Kill()
	}
}

// watch kills processes over their memory limit, for as long as a limited process lives.
func (s *Spawner) watch() {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.quit:
			return
		}
		s.mu.Lock()
		var limited []*child
		for c := range s.live {
			if c.limitMB > 0 {
				limited = append(limited, c)
			}
		}
		if len(limited) == 0 {
			s.watching = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, c := range limited {
			if mb := c.MemoryMB(); mb > c.limitMB {
				s.o.Log.Warn("process exceeds its memory and is killed", "pid", c.pid, "memoryMB", mb, "limitMB", c.limitMB)
				c.starved.Store(true)
				c.Kill()
			}
		}
	}
}

// child is one process group.
type child struct {
	proc    *os.Process
	pid     int
	limitMB int
	exited  chan struct{}
	text    string       // set before exited is closed
	peakMB  atomic.Int64 // highest resident size seen
	starved atomic.Bool  // killed for its memory

	mu     sync.Mutex // guards reaped; held while signalling, so that a pid is never used after its reuse
	reaped bool
}

// ended returns when the process is a zombie; reap takes it away and says how it ended.
func (c *child) ended() (reap func() string) {
	state, err := awaitExit(c.proc)
	return func() string {
		if state == nil && err == nil {
			state, err = c.proc.Wait()
		}
		if err != nil {
			return err.Error()
		}
		return state.String()
	}
}

// wait sees the process out: output first, then whatever is left of its group, then its status.
func (c *child) wait(out *os.File, to io.Writer, ended func() (reap func() string)) {
	copied := make(chan struct{})
	if out == nil {
		close(copied)
	} else {
		go func() {
			defer close(copied)
			buf := make([]byte, 32<<10)
			for {
				n, err := out.Read(buf)
				if n > 0 {
					to.Write(buf[:n])
				}
				if err != nil {
					return
				}
			}
		}()
	}
	reap := ended()
	c.mu.Lock()
	killGroup(c.proc) // what the leader left behind
	c.text = reap()
	c.reaped = true
	c.mu.Unlock()
	if c.starved.Load() {
		c.text = "out of memory: " + c.text
	}
	if out != nil {
		// The group is gone, so the pipe ends, unless a descendant that left the group holds it.
		select {
		case <-copied:
		case <-time.After(time.Second):
			out.SetReadDeadline(time.Now())
			<-copied
		}
		out.Close()
	}
	close(c.exited)
}

func (c *child) Pid() int                { return c.pid }
func (c *child) Exited() <-chan struct{} { return c.exited }
func (c *child) ExitText() string        { return c.text }

func (c *child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		killGroup(c.proc)
	}
}

func (c *child) Terminate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		terminateGroup(c.proc)
	}
}

func (c *child) MemoryMB() int {
	mb := residentMB(c.pid)
	for old := c.peakMB.Load(); int64(mb) > old && !c.peakMB.CompareAndSwap(old, int64(mb)); old = c.peakMB.Load() {
	}
	return mb
}

// PeakMB is the highest resident size that MemoryMB or the watchdog saw; it looks when neither has yet.
func (c *child) PeakMB() int {
	if mb := c.peakMB.Load(); mb > 0 {
		return int(mb)
	}
	return c.MemoryMB()
}

// Wanted is the processor time that its first thread has used or waited for.
func (c *child) Wanted() time.Duration { return wanted(c.pid) }

// lookPath finds a program as the child's shell would.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) && dir != "" {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	path := os.Getenv("PATH")
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	for _, d := range filepath.SplitList(path) {
		p := filepath.Join(d, name+exeSuffix)
		if st, err := os.Stat(p); err == nil && !st.IsDir() && executable(st) {
			return p, nil
		}
	}
	return "", &os.PathError{Op: "look up", Path: name, Err: os.ErrNotExist}
}

package scf

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

const (
	defaultInit = 65 * time.Second       // for a program to get ready
	stopGrace   = 500 * time.Millisecond // between SIGTERM and SIGKILL
	exitGrace   = 200 * time.Millisecond // between the end of a program's connection and its own
	pollEvery   = 5 * time.Millisecond
	earlyMax    = 2 << 10 // bytes of output kept for the message of a start that fails
	portTries   = 3       // when another process took the port that was free
)

// program is the process of an instance whose runtime is not one of our shims.
type program struct {
	id    string
	v     *function.Version
	logs  function.LogSink
	proc  function.Process
	lines function.LineWriter
	done  chan struct{}
	wg    sync.WaitGroup // the goroutines that wait for its end

	mu     sync.Mutex // guards the fields below
	dead   bool
	newest string // request, to which output belongs
	early  []byte // the last output before the first call
}

// spawn starts a version's program, and a goroutine that waits for its end. own is the part of its
// environment that is this instance's alone.
func spawn(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, path string, args []string, own map[string]string) (*program, error) {
	p := &program{id: NewRequestID(), v: v, logs: logs, done: make(chan struct{})}
	p.lines.Line = p.line
	env := maps.Clone(v.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, own)
	delete(env, environmentVariable)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	var err error
	p.proc, err = s.Spawn(ctx, function.Command{Path: path, Args: args, Dir: v.Root, Env: list, Memory: v.Spec.MemoryMB, Out: &p.lines})
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, startError(typeStart, fmt.Sprintf("%s cannot be started: %v", path, err))
	}
	p.wg.Go(func() {
		<-p.proc.Exited()
		p.lines.Flush()
		p.spoil()
	})
	return p, nil
}

// startError is a start that failed by the function's own fault.
func startError(kind, text string) error {
	return &function.StartError{Failure: sluice.Failure{Kind: sluice.InitFail, Type: kind, Message: text}}
}

// ID names the instance.
func (p *program) ID() string { return p.id }

// Done is closed when the instance can take no more calls.
func (p *program) Done() <-chan struct{} { return p.done }

// spoil lets the instance take no more calls.
func (p *program) spoil() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.dead = true
		close(p.done)
	}
}

// kill ends the process and waits until nothing of the instance runs any more.
func (p *program) kill() {
	p.spoil()
	p.proc.Kill()
	<-p.proc.Exited()
	p.wg.Wait()
}

// Stop ends the process: SIGTERM, a short grace, SIGKILL.
func (p *program) Stop(ctx context.Context) {
	p.spoil()
	p.proc.Terminate()
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-p.proc.Exited():
	case <-t.C:
	case <-ctx.Done():
	}
	p.kill()
}

// line is one line of the process's output.
func (p *program) line(b []byte) {
	p.mu.Lock()
	request := p.newest
	if request == "" {
		p.early = append(append(p.early, b[:min(len(b), earlyMax)]...), '\n')
		p.early = p.early[max(0, len(p.early)-earlyMax):]
	}
	p.mu.Unlock()
	p.logs.Log(function.LogLine{Time: time.Now(), App: p.v.App, Function: p.v.Spec.Name, Request: request, Instance: p.id, Text: string(b)})
}

// begin makes output the call's; false when the instance takes no call.
func (p *program) begin(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.newest = id
	}
	return !p.dead
}

// finish adds to a result what we know of the process.
func (p *program) finish(res sluice.Result, began time.Time) sluice.Result {
	res.MemoryMB = p.proc.PeakMB()
	res.Instance, res.Took = p.id, time.Since(began)
	return res
}

// exit is the failure of a call whose program has ended.
func (p *program) exit() *sluice.Failure {
	f := &sluice.Failure{Kind: sluice.Crashed, Message: p.proc.ExitText()}
	if strings.HasPrefix(f.Message, "out of memory") {
		f.Type = typeMemory
	}
	return f
}

// late is the failure of a call whose time is over; the process goes with it.
func (p *program) late() *sluice.Failure {
	p.kill()
	return &sluice.Failure{Kind: sluice.TimedOut}
}

// exitedSoon reports whether the process ends within a moment after its connection broke.
func (p *program) exitedSoon() bool {
	t := time.NewTimer(exitGrace)
	defer t.Stop()
	select {
	case <-p.proc.Exited():
		return true
	case <-t.C:
		return false
	}
}

// notReady tells why a program did not get ready, with the last that it printed.
func (p *program) notReady(kind, what string) error {
	p.mu.Lock()
	said := strings.TrimSpace(string(p.early))
	p.mu.Unlock()
	err := startError(kind, what)
	if said != "" {
		err.(*function.StartError).Failure.Stack = append([]string{what}, strings.Split(said, "\n")...)
	}
	return err
}

// await returns when ready says that the program is, asking every few milliseconds. kind and what are the
// failure of one that never is.
func (p *program) await(ctx context.Context, kind, what string, ready func() bool) error {
	limit := time.NewTimer(initTimeout(&p.v.Spec))
	defer limit.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-p.proc.Exited():
			p.wg.Wait() // its last words are there, too
			return p.notReady(typeStart, "the program has ended before it was ready ("+p.proc.ExitText()+")")
		case <-limit.C:
			return p.notReady(kind, fmt.Sprintf("%s after %v", what, initTimeout(&p.v.Spec)))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func initTimeout(f *sluice.Function) time.Duration { return cmp.Or(f.InitTimeout, defaultInit) }

// freePort is a port of this machine that nobody has.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

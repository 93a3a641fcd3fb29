package function

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
)

const (
	termGrace = 500 * time.Millisecond // between SIGTERM and SIGKILL
	exitGrace = 250 * time.Millisecond // between the end of a program's connection and its own
	settleMax = 20 * time.Millisecond  // for the last lines of a call's log
	earlyMax  = 2 << 10                // bytes of output kept for the message of a start that fails
)

// Program is a process that brings its own client of its cloud's protocol: what the instances of all such
// runtimes have in common. Dialects embed it, and add how calls get there.
type Program struct {
	Version *Version
	Process Process
	Env     []string // the process's

	id    string
	logs  LogSink
	lines LineWriter
	done  chan struct{}
	tasks sync.WaitGroup

	mu     sync.Mutex     // guards the fields below
	dead   bool           // takes no more calls; done is closed
	calls  map[string]int // in flight, by request id
	busy   int            // their sum
	newest string         // request, to which late output belongs
	early  []byte         // the last output before the first call
	wrote  time.Time
}

// RunProgram starts a version's program as instance id, in the version's folder and within its memory. The
// program takes no more calls once its process has ended.
func RunProgram(ctx context.Context, s Spawner, v *Version, logs LogSink, id, path string, args, env []string) (*Program, error) {
	p := &Program{Version: v, Env: env, id: id, logs: logs, done: make(chan struct{}), calls: map[string]int{}}
	p.lines.Line = p.Line
	var err error
	p.Process, err = s.Spawn(ctx, Command{Path: path, Args: args, Dir: v.Root, Env: env, Memory: v.Spec.MemoryMB, Out: &p.lines})
	if err != nil {
		return nil, err
	}
	p.tasks.Go(func() {
		<-p.Process.Exited()
		p.lines.Flush()
		p.Spoil()
	})
	return p, nil
}

// ID names the instance.
func (p *Program) ID() string { return p.id }

// Done is closed when the instance can take no more calls.
func (p *Program) Done() <-chan struct{} { return p.done }

// Go runs f, which has to end when the process does: it counts as part of the instance. False, and nothing is
// run, when the instance takes no more calls.
func (p *Program) Go(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.tasks.Go(f)
	}
	return !p.dead
}

// Serve answers the program's requests on ln until its process has ended and the last of them are done. Its
// starter calls it, before anything may wait for the end.
func (p *Program) Serve(ln net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	p.tasks.Go(func() { server.Serve(ln) })
	p.tasks.Go(func() {
		<-p.Process.Exited()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx) // the connections have ended with the process, and with them what waits for a call
		server.Close()
	})
}

// Wait waits for the process's end, for its last words, and for all that Go and Serve run.
func (p *Program) Wait() { p.tasks.Wait() }

// Spoil lets the instance take no more calls.
func (p *Program) Spoil() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.dead = true
		close(p.done)
	}
}

// Kill ends the process and waits until nothing of the instance runs any more.
func (p *Program) Kill() {
	p.Spoil()
	p.Process.Kill()
	p.Wait()
}

// Stop ends the process: SIGTERM, a short grace, SIGKILL.
func (p *Program) Stop(ctx context.Context) {
	p.Spoil()
	p.Process.Terminate()
	t := time.NewTimer(termGrace)
	defer t.Stop()
	select {
	case <-p.Process.Exited():
	case <-t.C:
	case <-ctx.Done():
	}
	p.Kill()
}

// Begin counts a call in, to which output belongs from now on; false when the instance takes none.
func (p *Program) Begin(request string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return false
	}
	p.calls[request]++
	p.busy++
	p.newest = request
	return true
}

// End counts a call out, and tells how many are left. Output belongs to it until there is another.
func (p *Program) End(request string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[request]--; p.calls[request] == 0 {
		delete(p.calls, request)
	}
	p.busy--
	if len(p.calls) == 1 {
		for p.newest = range p.calls {
		}
	}
	return p.busy
}

// Busy is how many calls are in flight.
func (p *Program) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

// Line logs one line of the process's output. With several calls in flight it is the one's whose id is in it.
func (p *Program) Line(b []byte) {
	p.mu.Lock()
	p.wrote = time.Now()
	request := p.newest
	if len(p.calls) > 1 {
		request = ""
		for id := range p.calls {
			if bytes.Contains(b, []byte(id)) {
				request = id
				break
			}
		}
	}
	if p.newest == "" {
		p.early = append(append(p.early, b[:min(len(b), earlyMax)]...), '\n')
		p.early = p.early[max(0, len(p.early)-earlyMax):]
	}
	p.mu.Unlock()
	p.Log(request, "", string(b))
}

// Log writes a line of a level to the function's log; request may be "".
func (p *Program) Log(request, level, text string) {
	p.logs.Log(LogLine{Time: time.Now(), App: p.Version.App, Function: p.Version.Spec.Name, Request: request, Instance: p.id, Level: level, Text: text})
}

// Said is the last that the program printed before its first call, 2 KB at most.
func (p *Program) Said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimSpace(string(p.early))
}

// Settle waits, 20 ms at most, until the process has printed nothing for a moment. A moment in which this process was
// stopped, too, as on a machine that is busy with others, does not count: what was printed has not been read.
func (p *Program) Settle(ctx context.Context) {
	const moment = settleMax / 8
	for range settleMax / moment {
		began := time.Now()
		select {
		case <-time.After(moment):
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		quiet := time.Since(p.wrote) >= moment && time.Since(began) < 2*moment
		p.mu.Unlock()
		if quiet {
			return
		}
	}
}

// ExitsSoon reports whether the process ends within a moment after its connection broke. Its last words are
// logged then.
func (p *Program) ExitsSoon() bool {
	t := time.NewTimer(exitGrace)
	defer t.Stop()
	select {
	case <-p.Process.Exited():
		return true
	case <-t.C:
		return false
	}
}

// Finish adds to a result what is known of the process.
func (p *Program) Finish(res sluice.Result, began time.Time) sluice.Result {
	res.Instance, res.Took, res.MemoryMB = p.id, time.Since(began), p.Process.PeakMB()
	return res
}

// Environ is a version's environment with what belongs to one instance alone laid over it, as a Command has it.
func (v *Version) Environ(own map[string]string) []string {
	env := make(map[string]string, len(v.Env)+len(own))
	maps.Copy(env, v.Env)
	maps.Copy(env, own)
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

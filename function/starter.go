package function

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/sluicehq/sluice"
)

// Version is one deployed state of one function: what an instance is started from. It is never
// changed; a deploy makes a new one.
type Version struct {
	App      sluice.AppName
	Dialect  string
	Revision string // changes with every change of code or settings
	Spec     sluice.Function
	Root     string            // folder with the runnable code, absolute
	Env      map[string]string // everything: the template's, the dialect's, the egress settings
}

// Starter starts instances of one family of runtimes. Dialects bring those of the protocols that
// their users' code speaks (FC custom runtime, Lambda Runtime API …); the frames over fd 3 of our own
// Node and Python shims are function/process's.
type Starter interface {
	// Runs reports whether this starter serves a runtime name as the version's dialect spells it.
	Runs(dialect, runtime string) bool
	// Start starts one instance and returns when it can take invocations, its initializer done. An
	// error that is a *StartError carries the function's own failure.
	Start(ctx context.Context, v *Version, s Spawner, logs LogSink) (Instance, error)
}

// Instance is one running copy of a function. Invoke may be called as many times at once as the
// version's Concurrency says.
type Instance interface {
	ID() string
	// Invoke runs one call to its end, or until ctx ends: then the call's work must really be stopped,
	// if need be with the whole process. An instance that cannot be used again closes Done.
	// A crash answers every call in flight with a Failure, exactly once.
	Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error)
	// Done is closed when the instance can take no more calls.
	Done() <-chan struct{}
	// Stop ends it: pre-stop hook, a short grace, then SIGKILL for the whole process group. It
	// returns when nothing of it runs any more.
	Stop(ctx context.Context)
}

// StartError says that an instance could not be started through the function's own fault.
type StartError struct{ Failure sluice.Failure }

// Error is the failure's message.
func (e *StartError) Error() string { return e.Failure.Message }

// Spawner starts operating system processes in their own process group, with what isolation the
// machine offers; the child dies with us. function/process is the one.
type Spawner interface {
	Spawn(ctx context.Context, c Command) (Process, error)
}

// Command is a process to start.
type Command struct {
	Path   string   // looked up in PATH of Env when it has no slash
	Args   []string // without Path
	Dir    string
	Env    []string   // everything; nothing is inherited
	Files  []*os.File // become fd 3, 4 …
	Memory int        // MB, a limit as far as the machine can enforce one; 0 is none
	Out    io.Writer  // gets stdout and stderr; may be called until Wait has returned
}

// Process is a running process group.
type Process interface {
	Pid() int
	Kill()      // SIGKILL to the group; idempotent
	Terminate() // SIGTERM to the group
	Exited() <-chan struct{}
	ExitText() string // "exit status 1", "signal: killed"; valid after Exited
	MemoryMB() int    // resident now
	PeakMB() int      // the highest that was seen so far; cheaper, as not every call looks
}

// LogSink takes log lines as they come.
type LogSink interface {
	Log(l LogLine)
}

// LogLine is one line of a function's log.
type LogLine = sluice.LogLine

// wanter is an Instance that can tell how much processor time it has used or waited for since its start;
// 0 when it cannot.
type wanter interface{ Wanted() time.Duration }

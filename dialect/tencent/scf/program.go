package scf

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

const (
	defaultInit = 65 * time.Second // for a program to get ready
	pollEvery   = 5 * time.Millisecond
)

// program is an instance whose runtime is not one of our shims.
type program struct{ *function.Program }

// run starts a version's program. own is the part of its environment that is this instance's alone.
func run(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, path string, args []string, own map[string]string) (*program, error) {
	env := slices.DeleteFunc(v.Environ(own), func(e string) bool { return strings.HasPrefix(e, environmentVariable+"=") })
	p, err := function.RunProgram(ctx, s, v, logs, NewRequestID(), path, args, env)
	switch {
	case err == nil:
		return &program{p}, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, startError(typeStart, fmt.Sprintf("%s cannot be started: %v", path, err))
}

// startError is a start that failed by the function's own fault.
func startError(kind, text string) error {
	return &function.StartError{Failure: sluice.Failure{Kind: sluice.InitFail, Type: kind, Message: text}}
}

// exit is the failure of a call whose program has ended.
func (p *program) exit() *sluice.Failure {
	f := &sluice.Failure{Kind: sluice.Crashed, Message: p.Process.ExitText()}
	if strings.HasPrefix(f.Message, "out of memory") {
		f.Type = typeMemory
	}
	return f
}

// late is the failure of a call whose time is over; the process goes with it.
func (p *program) late() *sluice.Failure {
	p.Kill()
	return &sluice.Failure{Kind: sluice.TimedOut}
}

// notReady tells why a program did not get ready, with the last that it printed.
func (p *program) notReady(kind, what string) error {
	err := startError(kind, what)
	if said := p.Said(); said != "" {
		err.(*function.StartError).Failure.Stack = append([]string{what}, strings.Split(said, "\n")...)
	}
	return err
}

// await returns when ready says that the program is, asking every few milliseconds. kind and what are the
// failure of one that never is.
func (p *program) await(ctx context.Context, kind, what string, ready func() bool) error {
	limit := time.NewTimer(initTimeout(&p.Version.Spec))
	defer limit.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-p.Process.Exited():
			p.Wait() // its last words are there, too
			return p.notReady(typeStart, "the program has ended before it was ready ("+p.Process.ExitText()+")")
		case <-limit.C:
			return p.notReady(kind, fmt.Sprintf("%s after %v", what, initTimeout(&p.Version.Spec)))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func initTimeout(f *sluice.Function) time.Duration { return cmp.Or(f.InitTimeout, defaultInit) }

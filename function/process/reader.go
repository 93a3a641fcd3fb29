package process

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/until"
)

// Who waits for an answer reads it: handing it from one goroutine to another costs more than all else
// that we do for a call. The right to read is a token, turn. When no call has come for a moment, the
// instance's own goroutine, keep, takes it, so that logs and the process's end are seen at once.

// linger is how often the keeper looks whether calls have ceased to come, and for as long leaves the reading
// to the next one.
const linger = 5 * time.Millisecond

// drain is how long we read on from a process that has ended: a descendant may hold the socket open.
const drain = time.Second

// limit sets when reading is interrupted, zero is never; the caller holds the turn.
func (i *instance) limit(at time.Time) {
	i.until = at
	i.sock.SetReadDeadline(at)
	select {
	case <-i.proc.Exited(): // whose own limit may have been set just before
		i.sock.SetReadDeadline(time.Now().Add(drain))
	default:
	}
}

// pump reads and handles frames until enough says so, which it is asked at a moment besides; the caller holds the
// turn.
func (i *instance) pump(at time.Time, enough func() bool) error {
	for {
		f, err := i.in.next()
		if err == nil {
			i.handle(f)
			if i.in.r.Buffered() == 0 && enough() {
				return nil
			}
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		// Somebody's time is over: maybe ours, maybe that of a reader before us.
		select {
		case <-i.proc.Exited():
			return err // and what holds the socket open is no part of it
		default:
		}
		i.limit(at)
		if enough() {
			return nil
		}
	}
}

// readFor reads until c is answered, or a context ends, or there is nothing more to read; the goroutine
// holds the turn, which ends here.
func (i *instance) readFor(ctx, caller context.Context, c *call) {
	room, at := until.Split(ctx)
	leaves, by := until.Split(caller)
	if at.IsZero() || !by.IsZero() && by.Before(at) {
		at = by
	}
	i.watch(room)
	if i.until.IsZero() || at.Before(i.until) { // else it is set anew when that one has passed
		i.limit(at)
	}
	enough := func() bool { return len(c.done) > 0 || ctx.Err() != nil || caller.Err() != nil }
	var err error
	if !enough() {
		stop := func() bool { return true }
		if leaves.Done() != nil {
			stop = context.AfterFunc(leaves, i.wake)
		}
		err = i.pump(at, enough)
		stop()
	}
	<-i.turn
	if err != nil {
		i.lost()
	}
}

// watch has the end of ctx wake who reads, from now on: nearly all calls come from one room, whose context it is. The
// caller holds the turn.
func (i *instance) watch(ctx context.Context) {
	if done := ctx.Done(); done != i.watched {
		i.unwatch()
		i.watched, i.unwatch = done, context.AfterFunc(ctx, i.wake)
	}
}

// keep reads when nobody waits, from the instance's birth until everything of it is over.
func (i *instance) keep(lines *function.LineWriter) {
	defer close(i.dead)
	exit := make(chan struct{})
	go func() {
		defer close(exit)
		<-i.proc.Exited()
		i.sock.SetReadDeadline(time.Now().Add(drain))
	}()
	look := time.NewTimer(0)
	for seen, reading := uint64(0), true; reading; {
		select {
		case <-look.C:
		case <-i.broken:
			reading = false
			continue
		}
		select {
		case i.turn <- struct{}{}: // after the call that reads
		case <-i.broken:
			reading = false
			continue
		}
		if i.answers == seen { // no call has come meanwhile
			if i.pump(time.Time{}, func() bool { return i.answers != seen }) != nil {
				i.lost()
			}
		}
		seen = i.answers
		<-i.turn
		look.Reset(linger)
	}
	look.Stop()
	i.proc.Kill() // who closes fd 3 is of no use any more
	<-exit
	i.sock.Close()
	i.turn <- struct{}{} // for ever
	i.unwatch()
	i.w.wait()
	lines.Flush()
	i.mu.Lock()
	i.retire()
	left := i.calls
	i.calls = nil
	i.mu.Unlock()
	kind := "" // of the exit
	if strings.HasPrefix(i.proc.ExitText(), "out of memory") {
		kind = "OutOfMemory"
	}
	for _, c := range left {
		c.done <- sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Type: kind, Message: i.proc.ExitText()}}
	}
}

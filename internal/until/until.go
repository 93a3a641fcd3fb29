// Package until makes contexts with a deadline that cost next to nothing as long as nobody waits for their end:
// most are asked for their deadline and whether it has passed, and are done with long before.
package until

import (
	"context"
	"sync"
	"time"
)

// Context ends at a moment, or with its base. It has no timer before the first Done.
type Context struct {
	context.Context // its base, which is no Context itself
	at              time.Time

	mu      sync.Mutex // guards the fields below
	timed   context.Context
	release context.CancelFunc
}

// New returns a context that ends at a moment, or with parent: at its deadline when that is sooner. Release must be
// called when it is not needed any more; it does not end it, nor do parent's.
func New(parent context.Context, at time.Time) *Context {
	if d, ok := parent.Deadline(); ok && d.Before(at) {
		at = d
	}
	base, _ := Split(parent)
	return &Context{Context: base, at: at}
}

// Split returns what ends ctx besides its deadline, and the deadline, for who can wait for both more cheaply than by
// Done. Of another's context it is ctx itself, and no time.
func Split(ctx context.Context) (base context.Context, at time.Time) {
	if c, ok := ctx.(*Context); ok {
		return c.Context, c.at
	}
	return ctx, time.Time{}
}

// Deadline is when it ends.
func (c *Context) Deadline() (time.Time, bool) { return c.at, true }

// Err is why it has ended; nil before that.
func (c *Context) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	if time.Now().Before(c.at) {
		return nil
	}
	return context.DeadlineExceeded
}

// Done is closed at the end.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.release = context.WithDeadline(c.Context, c.at)
	}
	return c.timed.Done()
}

// Value is base's.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key) // by which contexts made from this one find it without a goroutine
	}
	return c.Context.Value(key)
}

// Release gives back what Done took.
func (c *Context) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.release != nil {
		c.release()
	}
}

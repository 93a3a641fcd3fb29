// Package objecttest is the contract of object's engines, as a test suite that each of them passes
// ([Engine]), the room's own behaviour on an engine ([Room]), and an engine in memory that can be told
// to fail ([Bodies]).
package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/sluicehq/sluice/object"
)

var _ object.Body = (*Bodies)(nil)

// Bodies is an engine in memory. The zero value is ready.
type Bodies struct {
	// Fail, when not nil, is asked before each step ("create", "write", "commit", "open", "remove",
	// "walk"); its error fails the step. For a commit, ErrAfter fails it when the body is stored.
	Fail func(step string) error
	// Now is when bodies are written; nil is time.Now.
	Now func() time.Time

	mu     sync.Mutex // guards the fields below
	bodies map[string]body
	next   int
}

type body struct {
	data    []byte
	written time.Time
}

// ErrAfter fails a commit after its work is done, as a crash between a body and its row does.
var ErrAfter = errors.New("objecttest: failed after the commit")

func (b *Bodies) fail(step string) error {
	if b.Fail == nil {
		return nil
	}
	return b.Fail(step)
}

// Len is how many bodies are stored.
func (b *Bodies) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.bodies)
}

// Create begins a body.
func (b *Bodies) Create(ctx context.Context) (object.Writer, error) {
	if err := b.fail("create"); err != nil {
		return nil, err
	}
	return &writer{b: b}, nil
}

type writer struct {
	b   *Bodies
	buf bytes.Buffer
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.b.fail("write"); err != nil {
		return 0, err
	}
	return w.buf.Write(p)
}

func (w *writer) Commit() (string, error) {
	err := w.b.fail("commit")
	if err != nil && !errors.Is(err, ErrAfter) {
		return "", err
	}
	now := time.Now
	if w.b.Now != nil {
		now = w.b.Now
	}
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	if w.b.bodies == nil {
		w.b.bodies = map[string]body{}
	}
	w.b.next++
	id := fmt.Sprintf("body%06d", w.b.next)
	w.b.bodies[id] = body{w.buf.Bytes(), now()}
	return id, err
}

func (w *writer) Abort() {}

// Open reads a body.
func (b *Bodies) Open(ctx context.Context, id string, offset, length int64) (io.ReadCloser, error) {
	if err := b.fail("open"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.bodies[id]
	if !ok {
		return nil, fmt.Errorf("body %s: %w", id, fs.ErrNotExist)
	}
	data := v.data[min(offset, int64(len(v.data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Remove deletes a body.
func (b *Bodies) Remove(ctx context.Context, id string) error {
	if err := b.fail("remove"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.bodies, id)
	return nil
}

// Walk names every body.
func (b *Bodies) Walk(ctx context.Context, fn func(id string, written time.Time) error) error {
	if err := b.fail("walk"); err != nil {
		return err
	}
	b.mu.Lock()
	all := make(map[string]time.Time, len(b.bodies))
	for id, v := range b.bodies {
		all[id] = v.written
	}
	b.mu.Unlock()
	for id, t := range all {
		if err := fn(id, t); err != nil {
			return err
		}
	}
	return nil
}

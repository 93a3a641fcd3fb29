package function

import (
	"context"
	"errors"
	"sync"

	"github.com/sluicehq/sluice"
)

// errCut is what a function's bytes meet that come too late.
var errCut = errors.New("nobody reads the stream")

// tap passes an answer on while its caller waits for it, however the call itself goes on and whatever
// the instance does.
type tap struct {
	caller context.Context

	mu    sync.Mutex // guards the fields below; held while something passes
	to    sluice.Stream
	begun bool
}

// Begin passes a head on.
func (t *tap) Begin(head *sluice.HTTPResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin(head)
}

func (t *tap) begin(head *sluice.HTTPResponse) {
	if t.to != nil && !t.begun {
		t.begun = true
		t.to.Begin(head)
	}
}

// Write passes bytes on until ctx or the caller's own ends. After an error none pass any more.
func (t *tap) Write(ctx context.Context, p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		return errCut
	}
	t.begin(nil)
	if len(p) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.caller, cancel)()
	err := t.to.Write(ctx, p)
	if err != nil {
		t.to = nil
	}
	return err
}

// shut ends it: the caller returns.
func (t *tap) shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to = nil
}

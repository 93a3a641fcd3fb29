package websocket

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
)

// A function that is asked for more than it can do turns calls away, and each that comes as far as the function costs
// several times what its refusal takes. So once a call has been turned away, messages for the same integration are
// answered where they were read, with the same words, for as long as Refuse says that the function would.

// refusable reports whether a message for r can be answered without an event: where its refusal is all that would come
// of it, told to nobody else, and it waits for no other.
func (st *Stage) refusable(r *route) bool {
	in := r.integration
	return in != nil && in.spec.Type == "AWS_PROXY" && in.spec.ContentHandling == "" && r.model == nil && r.bucket == nil &&
		st.apis.requests == nil && st.access == nil && !st.apis.o.Ordered
}

// refusals are an integration's calls that its function turned away.
type refusals struct {
	soon bool        // may be made before there is an event
	full atomic.Bool // the last call was refused, so the next is looked at then

	mu   sync.Mutex // guards the rest
	n    int        // since the log was told
	last error
}

// tellEvery is how long refusals are counted before the log is told.
const tellEvery = time.Second

// unreached is the fault of a call for which no function was reached.
func (in *integration) unreached(c *call, status int, err error) *fault {
	f := failed(status, errors.Join(errUnreached, err))
	if c.ev.Kind == sluice.Message && sluice.KindOf(err) == sluice.Throttled {
		f.counted = true
		in.refused(err)
		if in.refusals.soon && in.refusals.full.CompareAndSwap(false, true) {
			in.st.full.Add(1)
		}
	}
	return f
}

// refused counts a refusal. A line of the log tells of all of a second.
func (in *integration) refused(err error) {
	r := &in.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n++; r.n == 1 {
		time.AfterFunc(tellEvery, in.tell)
	}
	r.last = err
}

func (in *integration) tell() {
	r := &in.refusals
	r.mu.Lock()
	n, err := r.n, r.last
	r.n, r.last = 0, nil
	r.mu.Unlock()
	in.st.log.Warn("messages were refused", "function", in.function, "refused", n, "status", statusFailed, "err", err)
}

// Control refuses a message whose function would; all others are a route's.
func (st *Stage) Control(conn gateway.ControlConn, data []byte, binary bool) gateway.Control {
	if st.full.Load() == 0 || binary || !utf8.Valid(data) || st.log.Enabled(context.Background(), slog.LevelDebug) { // then each has its line
		return gateway.Control{}
	}
	ev := &sluice.Event{Kind: sluice.Message, ID: sluice.NewRequestID(), Conn: sluice.Conn{ID: conn.ID}, Frame: sluice.Frame{Data: data}}
	r := st.choose(&call{st: st, ev: ev, data: data})
	if r == nil || r.integration == nil || !r.integration.refusals.full.Load() {
		return gateway.Control{}
	}
	in := r.integration
	err := st.apis.o.Functions.Refuse(st.api.app.name, in.function)
	if err == nil {
		if in.refusals.full.CompareAndSwap(true, false) {
			st.full.Add(-1)
		}
		return gateway.Control{}
	}
	in.refused(err)
	return gateway.Control{Consumed: true, Send: []sluice.Frame{{Data: failed(statusFailed, err).frame(ev)}}}
}

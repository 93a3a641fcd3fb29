package fc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

const (
	maxAsync     = 128 << 10 // bytes of an asynchronous event (section 3.2)
	asyncAtOnce  = 64        // asynchronous calls that run at the same time
	asyncRetries = 3         // after a function's own failure (section 3.11)
	asyncAge     = 5 * time.Hour
	asyncPause   = 500 * time.Millisecond // before the first retry; doubles each time
	asyncLongest = 5 * time.Minute        // pause
)

// asyncSpace begins the keys of waiting calls: then come the moment when they are due, in unix
// milliseconds, and eight random bytes.
var asyncSpace = []byte("Q/fc/")

// Queue keeps asynchronous calls until they have been made: at least once each, also when the process
// dies between. Put may be called before Run and while it runs.
type Queue struct {
	store     kv.Store
	functions Invoker
	log       *slog.Logger
	wake      chan struct{} // holds one token when there is something new to do

	mu      sync.Mutex // guards running
	running map[string]bool
}

// waiting is one call as the store has it.
type waiting struct {
	App      sluice.AppName      `json:"app"`
	Function sluice.FunctionName `json:"fn"`
	Request  string              `json:"request"`
	Payload  []byte              `json:"payload,omitempty"`
	Since    int64               `json:"since"` // unix ms
	Tries    int                 `json:"tries,omitempty"`
	Failures int                 `json:"failures,omitempty"` // of the function itself
}

// NewQueue makes a queue in a store. log may be nil.
func NewQueue(store kv.Store, f Invoker, log *slog.Logger) *Queue {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Queue{store: store, functions: f, log: log, wake: make(chan struct{}, 1), running: map[string]bool{}}
}

// Put makes a call that will be made. It is durable when Put returns.
func (q *Queue) Put(ctx context.Context, inv sluice.Invocation) error {
	now := time.Now()
	w := waiting{App: inv.App, Function: inv.Function, Request: inv.RequestID, Payload: inv.Payload, Since: now.UnixMilli()}
	if err := q.replace(ctx, nil, &w, now); err != nil {
		return fmt.Errorf("queue a call of function %q: %w", inv.Function, err)
	}
	q.nudge()
	return nil
}

func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// replace takes the row at old away and puts w for due; a nil old or w is none.
func (q *Queue) replace(ctx context.Context, old []byte, w *waiting, due time.Time) error {
	var key, val []byte
	var locks kv.Locks
	if old != nil {
		locks.Keys = append(locks.Keys, old)
	}
	if w != nil {
		key = binary.BigEndian.AppendUint64(bytes.Clone(asyncSpace), uint64(due.UnixMilli()))
		var tail [8]byte
		rand.Read(tail[:])
		key = append(key, tail[:]...)
		val, _ = json.Marshal(w) // texts, numbers and bytes always marshal
		locks.Keys = append(locks.Keys, key)
	}
	return q.store.Update(ctx, locks, func(tx kv.Txn) error {
		if old != nil {
			tx.Delete(old)
		}
		if w != nil {
			tx.Put(key, val)
		}
		return nil
	})
}

// Run makes the calls that are due until ctx ends, and then waits for those under way.
func (q *Queue) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		next, err := q.begin(ctx, &wg)
		if err != nil && ctx.Err() == nil {
			q.log.Error("read the queue of asynchronous calls", "err", err)
			next = time.Second
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-q.wake:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// begin starts what is due, and says when to look again.
func (q *Queue) begin(ctx context.Context, wg *sync.WaitGroup) (time.Duration, error) {
	next := time.Hour
	// What was running before the view began may have been done since, and still be in the view.
	q.mu.Lock()
	busy := maps.Clone(q.running)
	q.mu.Unlock()
	err := q.store.View(ctx, func(r kv.Reader) error {
		next = time.Hour
		// Calls under way stay in the store, so a page holds them and as many others.
		it := r.Scan(asyncSpace, kv.PrefixEnd(asyncSpace), kv.ScanOpts{Limit: 2 * asyncAtOnce})
		defer it.Close()
		for it.Next() {
			key := bytes.Clone(it.Key())
			if len(key) != len(asyncSpace)+16 {
				continue // not ours
			}
			at := time.UnixMilli(int64(binary.BigEndian.Uint64(key[len(asyncSpace):])))
			if d := time.Until(at); d > 0 {
				next = d
				break
			}
			if busy[string(key)] || !q.claim(string(key)) {
				continue
			}
			val := bytes.Clone(it.Value())
			wg.Go(func() {
				q.serve(ctx, key, val)
				q.release(string(key))
			})
		}
		return it.Err()
	})
	return next, err
}

// claim reserves a row for this process; false when it is being served or enough others are. Only
// begin calls it.
func (q *Queue) claim(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[key] || len(q.running) >= asyncAtOnce {
		return false
	}
	q.running[key] = true
	return true
}

func (q *Queue) release(key string) {
	q.mu.Lock()
	delete(q.running, key)
	q.mu.Unlock()
	q.nudge()
}

// serve makes one call, and takes it out of the store or puts it off.
func (q *Queue) serve(ctx context.Context, key, val []byte) {
	var w waiting
	if err := json.Unmarshal(val, &w); err != nil {
		q.log.Error("drop an unreadable asynchronous call", "err", err)
		q.settle(ctx, key, nil, 0)
		return
	}
	log := q.log.With("app", w.App, "function", w.Function, "request", w.Request)
	res, err := q.functions.Invoke(ctx, sluice.Invocation{App: w.App, Function: w.Function, RequestID: w.Request, Payload: w.Payload})
	if ctx.Err() != nil {
		return // it is made again after the next start
	}
	w.Tries++
	pause := min(asyncPause<<min(w.Tries-1, 20), asyncLongest)
	switch {
	case err == nil && res.Failure == nil:
		q.settle(ctx, key, nil, 0)
		return
	case err == nil:
		if w.Failures++; w.Failures > asyncRetries {
			log.Warn("drop an asynchronous call that keeps failing", "err", res.Failure.Message, "tries", w.Tries)
			q.settle(ctx, key, nil, 0)
			return
		}
	case sluice.KindOf(err) == sluice.Missing || time.Since(time.UnixMilli(w.Since)) > asyncAge:
		log.Warn("drop an asynchronous call that cannot be made", "err", err, "tries", w.Tries)
		q.settle(ctx, key, nil, 0)
		return
	}
	q.settle(ctx, key, &w, pause)
}

// settle records what became of a call. When it cannot, the call is made again: at least once.
func (q *Queue) settle(ctx context.Context, key []byte, w *waiting, pause time.Duration) {
	if err := q.replace(ctx, key, w, time.Now().Add(pause)); err != nil && ctx.Err() == nil {
		q.log.Error("record an asynchronous call", "err", err)
	}
}

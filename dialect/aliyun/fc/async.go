package fc

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
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
	functions Functions
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
	HTTP     *sluice.HTTPRequest `json:"http,omitempty"`
	Payload  []byte              `json:"payload,omitempty"`
	Since    int64               `json:"since"` // unix ms
	Tries    int                 `json:"tries,omitempty"`
	Failures int                 `json:"failures,omitempty"` // of the function itself
}

// NewQueue makes a queue in a store. log may be nil.
func NewQueue(store kv.Store, f Functions, log *slog.Logger) *Queue {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Queue{store: store, functions: f, log: log, wake: make(chan struct{}, 1), running: map[string]bool{}}
}

// Put makes a call that will be made. It is durable when Put returns.
func (q *Queue) Put(ctx context.Context, inv sluice.Invocation) error {
	return q.PutWith(ctx, inv, nil, nil)
}

// PutWith is Put in one transaction with also, which decides on key; when also fails there is no call,
// and its error comes back.
func (q *Queue) PutWith(ctx context.Context, inv sluice.Invocation, key []byte, also func(tx kv.Txn) error) error {
	now := time.Now()
	w := &waiting{App: inv.App, Function: inv.Function, Request: inv.RequestID, Payload: inv.Payload, Since: now.UnixMilli()}
	if inv.Kind == sluice.InvokeHTTP {
		w.HTTP = inv.HTTP
	}
	c := change{also: also, add: []*waiting{w}, due: now}
	if key != nil {
		c.locks = [][]byte{key}
	}
	if err := q.commit(ctx, c); err != nil {
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

// change is what one transaction does to the queue.
type change struct {
	done  []byte     // key of a call that is taken away; nil is none
	add   []*waiting // calls that are due
	due   time.Time
	locks [][]byte // the keys that also decides on
	also  func(tx kv.Txn) error
}

func (q *Queue) commit(ctx context.Context, c change) error {
	keys, vals := make([][]byte, len(c.add)), make([][]byte, len(c.add))
	for i, w := range c.add {
		keys[i] = binary.BigEndian.AppendUint64(bytes.Clone(asyncSpace), uint64(c.due.UnixMilli()))
		var tail [8]byte
		rand.Read(tail[:])
		keys[i] = append(keys[i], tail[:]...)
		vals[i], _ = json.Marshal(w) // texts, numbers and bytes always marshal
	}
	locks := kv.Locks{Keys: slices.Concat(c.locks, keys)}
	if c.done != nil {
		locks.Keys = append(locks.Keys, c.done)
	}
	return q.store.Update(ctx, locks, func(tx kv.Txn) error {
		if c.also != nil {
			if err := c.also(tx); err != nil {
				return err
			}
		}
		if c.done != nil {
			tx.Delete(c.done)
		}
		for i := range keys {
			tx.Put(keys[i], vals[i])
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
		q.settle(ctx, change{done: key})
		return
	}
	log := q.log.With("app", w.App, "function", w.Function, "request", w.Request)
	inv := sluice.Invocation{App: w.App, Function: w.Function, RequestID: w.Request, Payload: w.Payload}
	if w.HTTP != nil {
		inv.Kind, inv.HTTP = sluice.InvokeHTTP, w.HTTP
	}
	res, err := q.functions.Invoke(ctx, inv)
	if ctx.Err() != nil {
		return // it is made again after the next start
	}
	w.Tries++
	v, _ := q.functions.Version(w.App, w.Function)
	rules := asyncRules(v)
	pause := min(asyncPause<<min(w.Tries-1, 20), asyncLongest)
	c := change{done: key, due: time.Now()}
	old := c.due.Add(pause).Sub(time.UnixMilli(w.Since)) > rules.MaxAge
	switch {
	case err == nil && res.Failure == nil:
		c.add = q.tell(log, v, rules.OnSuccess, outcome(v, &w, res, ""))
	case err == nil:
		if w.Failures++; w.Failures <= rules.Retries && !old {
			c.add, c.due = []*waiting{&w}, c.due.Add(pause)
			break
		}
		log.Warn("give up an asynchronous call that keeps failing", "err", res.Failure.Message, "tries", w.Tries)
		why := "RetriesExhausted"
		if old {
			why = "EventAgeExceeded"
		}
		c.add = q.tell(log, v, rules.OnFailure, outcome(v, &w, res, why))
	case sluice.KindOf(err) == sluice.Missing || old:
		log.Warn("give up an asynchronous call that cannot be made", "err", err, "tries", w.Tries)
		c.add = q.tell(log, v, rules.OnFailure, outcome(v, &w, res, "EventAgeExceeded"))
	default:
		c.add, c.due = []*waiting{&w}, c.due.Add(pause)
	}
	q.settle(ctx, c)
}

// settle records what became of a call. When it cannot, the call is made again: at least once.
func (q *Queue) settle(ctx context.Context, c change) {
	if err := q.commit(ctx, c); err != nil && ctx.Err() == nil {
		q.log.Error("record an asynchronous call", "err", err)
	}
}

// asyncRules are those of a function, or of one that says nothing.
func asyncRules(v *function.Version) sluice.AsyncCalls {
	r := sluice.AsyncCalls{Retries: asyncRetries}
	if v != nil && v.Spec.Async != nil {
		r = *v.Spec.Async
	}
	r.MaxAge = cmp.Or(r.MaxAge, asyncAge)
	return r
}

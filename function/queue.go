package function

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

const (
	leaseLife  = 15 * time.Second // so long a call waits whose node has died
	leaseRenew = leaseLife / 3
	queueLook  = 5 * time.Second // how late a call may begin that another node has put or left
	queueWait  = time.Second     // after the store has failed
	queuePage  = 512             // keys read at once
	settleTime = 5 * time.Second // to record a call when the queue stops
)

// Calls is what a queue needs of the room.
type Calls interface {
	Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
	Version(app sluice.AppName, name sluice.FunctionName) (*Version, bool)
}

// QueueOptions set up the queue of one dialect. Store, Functions, Space and Failed are required.
type QueueOptions struct {
	Store     kv.Store
	Functions Calls
	Space     string // the dialect's own: keys begin with Q/{Space}/
	AtOnce    int    // calls that run at the same time in this process; default 64
	// Failed says what becomes of a call after an attempt that failed (Err, or the function's Failure): it
	// is made again after a pause, or given up, which needs a reason that is not "".
	Failed func(t *Try) (pause time.Duration, giveUp string)
	// Ended is asked when a call has succeeded (gaveUp is "") or is given up, for the calls that tell of
	// it: they are queued in the transaction that ends this one. It may run more than once. nil tells
	// nobody.
	Ended func(t *Try, gaveUp string) []sluice.Invocation
	Log   *slog.Logger // nil is slog.Default()
}

// Try is one attempt at a call.
type Try struct {
	Call     sluice.Invocation
	Version  *Version      // that the function has now; nil when it is gone
	Result   sluice.Result // when Err is nil
	Err      error         // the function was not reached: Missing, Throttled, Unavailable …
	Since    time.Time     // when the call was queued
	Tries    int           // attempts, this one included
	Failures int           // those of them in which the function itself failed
}

// Queue keeps calls whose results nobody waits for until they have been made: at least once each, also
// when the process dies between. Several processes may run the queue of one store: each call has a lease
// while one of them makes it. Put and PutWith may be called before Run and while it runs.
type Queue struct {
	o     QueueOptions
	space []byte
	owner [8]byte       // of leases; another one in each process
	wake  chan struct{} // holds one token when there is something new to do

	mu      sync.Mutex // guards running
	running map[string]bool
}

// queued is one call as the store has it. Its key is the queue's space, the moment when it is due (unix
// ms, 8 bytes) and 8 random bytes; a lease is a key of its own, "L" and that key.
type queued struct {
	App       sluice.AppName      `json:"app"`
	Function  sluice.FunctionName `json:"fn"`
	Qualifier string              `json:"qualifier,omitempty"`
	Request   string              `json:"request"`
	Conn      string              `json:"conn,omitempty"`
	Attrs     map[string]string   `json:"attrs,omitempty"`
	HTTP      *sluice.HTTPRequest `json:"http,omitempty"`
	Payload   []byte              `json:"payload,omitempty"`
	Since     int64               `json:"since"` // unix ms
	Tries     int                 `json:"tries,omitempty"`
	Failures  int                 `json:"failures,omitempty"`
}

// errLeaseLost says that another process has taken a call over.
var errLeaseLost = errors.New("another process has taken the call over")

// NewQueue makes a queue.
func NewQueue(o QueueOptions) *Queue {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.AtOnce = cmp.Or(o.AtOnce, 64)
	q := &Queue{o: o, space: []byte("Q/" + o.Space + "/"), wake: make(chan struct{}, 1), running: map[string]bool{}}
	rand.Read(q.owner[:])
	return q
}

// Put makes calls that will be made, all or none of them. They are durable when Put returns.
func (q *Queue) Put(ctx context.Context, calls ...sluice.Invocation) error {
	err := q.o.Store.Update(ctx, kv.Locks{}, func(tx kv.Txn) error {
		for _, inv := range calls {
			q.PutWith(tx, inv)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue a call: %w", err)
	}
	q.Wake()
	return nil
}

// PutWith makes a call that will be made when tx is committed. Wake, after that, makes it at once; else
// it may be some seconds late.
func (q *Queue) PutWith(tx kv.Txn, inv sluice.Invocation) {
	now := time.Now()
	c := queued{
		App: inv.App, Function: inv.Function, Qualifier: inv.Qualifier, Request: cmp.Or(inv.RequestID, sluice.NewRequestID()),
		Attrs: inv.Attrs, Payload: inv.Payload, Since: now.UnixMilli(),
	}
	if inv.Kind == sluice.InvokeHTTP {
		c.HTTP = inv.HTTP
	}
	if !inv.Conn.IsZero() {
		c.Conn = inv.Conn.String()
	}
	q.put(tx, &c, now)
}

func (q *Queue) put(tx kv.Txn, c *queued, due time.Time) {
	key := binary.BigEndian.AppendUint64(bytes.Clone(q.space), uint64(due.UnixMilli()))
	var tail [8]byte
	rand.Read(tail[:])
	val, _ := json.Marshal(c) // texts, numbers and bytes always marshal
	tx.Put(append(key, tail[:]...), val)
}

// Wake makes Run look for calls that are due.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run makes the calls that are due until ctx ends, and then waits for those under way. What they have
// not come to is made after the next start, or by another process.
func (q *Queue) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	renew := time.NewTicker(leaseRenew)
	defer renew.Stop()
	for {
		next, err := q.begin(ctx, &wg)
		if err != nil && ctx.Err() == nil {
			q.o.Log.Error("read the queue of asynchronous calls", "err", err)
			next = queueWait
		}
		look := time.NewTimer(next)
		select {
		case <-look.C:
		case <-q.wake:
		case <-renew.C:
			if err := q.lease(ctx, leaseLife); err != nil && ctx.Err() == nil {
				q.o.Log.Error("renew the leases of asynchronous calls", "err", err)
			}
		case <-ctx.Done():
			look.Stop()
			wg.Wait()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
			defer cancel()
			if err := q.lease(ctx, 0); err != nil {
				q.o.Log.Warn("give the leases of asynchronous calls back: they wait for the leases' end", "err", err)
			}
			return nil
		}
		look.Stop()
	}
}

// begin starts what is due, and says when to look again.
func (q *Queue) begin(ctx context.Context, wg *sync.WaitGroup) (time.Duration, error) {
	due, next, err := q.due(ctx)
	if err != nil || len(due) == 0 {
		return next, err
	}
	claimed, err := q.claim(ctx, due)
	if err != nil {
		return 0, err
	}
	for key, val := range claimed {
		wg.Go(func() {
			if q.serve(ctx, []byte(key), val) {
				q.mu.Lock()
				delete(q.running, key)
				q.mu.Unlock()
				q.Wake()
			}
		})
	}
	if len(claimed) < len(due) {
		next = min(next, queueWait) // others were faster
	}
	return next, nil
}

// due lists the calls to make now, as many as there is room for, and says when to look again.
func (q *Queue) due(ctx context.Context) (due [][]byte, next time.Duration, err error) {
	q.mu.Lock()
	running := make(map[string]bool, len(q.running))
	for key := range q.running {
		running[key] = true
	}
	q.mu.Unlock()
	room := q.o.AtOnce - len(running)
	if room <= 0 {
		return nil, queueLook, nil
	}
	err = q.o.Store.View(ctx, func(r kv.Reader) error {
		due, next = nil, queueLook
		for lo := q.space; lo != nil; {
			if lo, err = q.page(r, lo, running, room, &due, &next); err != nil {
				return err
			}
		}
		return nil
	})
	return due, next, err
}

// page reads some keys from lo on, and returns where to go on; nil when that is enough.
func (q *Queue) page(r kv.Reader, lo []byte, running map[string]bool, room int, due *[][]byte, next *time.Duration) ([]byte, error) {
	it := r.Scan(lo, kv.PrefixEnd(q.space), kv.ScanOpts{Limit: queuePage, KeysOnly: true})
	defer it.Close()
	lo = nil
	now := time.Now()
	for it.Next() {
		key := bytes.Clone(it.Key())
		lo = append(bytes.Clone(key), 0)
		if len(key) != len(q.space)+16 {
			continue // not ours
		}
		if d := time.UnixMilli(int64(binary.BigEndian.Uint64(key[len(q.space):]))).Sub(now); d > 0 {
			*next = min(*next, d)
			return nil, it.Err()
		}
		if running[string(key)] {
			continue
		}
		lease, ok, err := r.Get(leaseKey(key))
		if err != nil {
			return nil, err
		}
		if d := leaseEnd(lease).Sub(now); ok && d > 0 {
			*next = min(*next, d)
			continue
		}
		if *due = append(*due, key); len(*due) == room {
			return nil, it.Err()
		}
	}
	return lo, it.Err()
}

// claim takes the leases of calls, and returns the calls whose leases were free.
func (q *Queue) claim(ctx context.Context, keys [][]byte) (map[string][]byte, error) {
	locks := kv.Locks{Keys: slices.Clone(keys)}
	for _, key := range keys {
		locks.Keys = append(locks.Keys, leaseKey(key))
	}
	var claimed map[string][]byte
	err := q.o.Store.Update(ctx, locks, func(tx kv.Txn) error {
		claimed = map[string][]byte{}
		for _, key := range keys {
			val, ok, err := tx.Get(key)
			if err != nil {
				return err
			}
			if !ok {
				continue // made and done
			}
			lease, ok, err := tx.Get(leaseKey(key))
			if err != nil {
				return err
			}
			if ok && leaseEnd(lease).UnixMilli() > tx.Now() {
				continue
			}
			tx.Put(leaseKey(key), q.leaseUntil(tx, leaseLife))
			claimed[string(key)] = bytes.Clone(val)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for key := range claimed {
		q.running[key] = true
	}
	return claimed, nil
}

// lease renews the leases of the calls that run; 0 gives them back.
func (q *Queue) lease(ctx context.Context, life time.Duration) error {
	var locks kv.Locks
	q.mu.Lock()
	for key := range q.running {
		locks.Keys = append(locks.Keys, leaseKey([]byte(key)))
	}
	q.mu.Unlock()
	if len(locks.Keys) == 0 {
		return nil
	}
	return q.o.Store.Update(ctx, locks, func(tx kv.Txn) error {
		for _, key := range locks.Keys {
			switch mine, err := q.holds(tx, key); {
			case err != nil:
				return err
			case mine && life == 0:
				tx.Delete(key)
			case mine:
				tx.Put(key, q.leaseUntil(tx, life))
			}
		}
		return nil
	})
}

func leaseKey(key []byte) []byte { return append([]byte("L"), key...) }

// leaseUntil is a lease of ours: its end in unix ms, and its owner.
func (q *Queue) leaseUntil(tx kv.Txn, life time.Duration) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(tx.Now()+life.Milliseconds())), q.owner[:]...)
}

func leaseEnd(lease []byte) time.Time {
	if len(lease) < 8 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(lease)))
}

// holds reports whether a lease is ours.
func (q *Queue) holds(tx kv.Txn, leaseKey []byte) (bool, error) {
	lease, _, err := tx.Get(leaseKey)
	return len(lease) == 16 && bytes.Equal(lease[8:], q.owner[:]), err
}

// serve makes one call, and takes it out of the store or puts it off; false when it must be made anew
// after a start.
func (q *Queue) serve(ctx context.Context, key, val []byte) bool {
	var c queued
	if err := json.Unmarshal(val, &c); err != nil {
		q.o.Log.Error("drop an unreadable asynchronous call", "err", err)
		q.settle(ctx, key, nil, 0, nil)
		return true
	}
	log := q.o.Log.With("app", c.App, "function", c.Function, "request", c.Request)
	t := Try{Call: c.invocation(), Since: time.UnixMilli(c.Since)}
	t.Result, t.Err = q.o.Functions.Invoke(ctx, t.Call)
	if t.Err != nil && ctx.Err() != nil {
		return false
	}
	t.Version, _ = q.o.Functions.Version(c.App, c.Function)
	c.Tries++
	failed := t.Err != nil
	if t.Result.Failure != nil && !failed {
		c.Failures++
		failed = true
	}
	t.Tries, t.Failures = c.Tries, c.Failures
	var giveUp string
	if failed {
		var pause time.Duration
		if pause, giveUp = q.o.Failed(&t); giveUp == "" {
			q.settle(ctx, key, &c, pause, nil)
			return true
		}
		log.Warn("give up an asynchronous call", "reason", giveUp, "err", t.problem(), "tries", t.Tries)
	}
	var more []sluice.Invocation
	if q.o.Ended != nil {
		more = q.o.Ended(&t, giveUp)
	}
	q.settle(ctx, key, nil, 0, more)
	return true
}

// problem is what went wrong.
func (t *Try) problem() string {
	if t.Err != nil {
		return t.Err.Error()
	}
	return t.Result.Failure.Message
}

func (c *queued) invocation() sluice.Invocation {
	inv := sluice.Invocation{App: c.App, Function: c.Function, Qualifier: c.Qualifier, RequestID: c.Request, Attrs: c.Attrs, Payload: c.Payload}
	if c.HTTP != nil {
		inv.Kind, inv.HTTP = sluice.InvokeHTTP, c.HTTP
	}
	inv.Conn, _ = sluice.ParseConnID(c.Conn) // "" is none
	return inv
}

// settle records what became of a call: it is done, or made again after a pause, and more calls follow
// from it. When that cannot be recorded the call is made again after its lease: at least once.
func (q *Queue) settle(ctx context.Context, key []byte, again *queued, pause time.Duration, more []sluice.Invocation) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	err := q.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{key, leaseKey(key)}}, func(tx kv.Txn) error {
		if mine, err := q.holds(tx, leaseKey(key)); err != nil {
			return err
		} else if !mine {
			return errLeaseLost
		}
		tx.Delete(key)
		tx.Delete(leaseKey(key))
		if again != nil {
			q.put(tx, again, time.Now().Add(pause))
		}
		for _, inv := range more {
			q.PutWith(tx, inv)
		}
		return nil
	})
	if err != nil {
		q.o.Log.Error("record an asynchronous call", "err", err)
	}
}

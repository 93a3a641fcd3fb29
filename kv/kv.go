// Package kv is the ground: one ordered, transactional store of byte strings.
//
// Every durable thing of sluice is in it: rows, indexes, streams, object metadata, apps, keys, the
// connection journal, queues, leases. Engines (kv/pebble, kv/memory, later kv/pgwire) pass the suite
// in kv/kvtest. Nothing above an engine may know SQL, an isolation level, an engine's iterator, or
// data that is not durable yet.
//
// Key spaces, by first byte: M meta, R rows, I index, F search postings, S streams, C counters,
// T expiry, L leases, K idempotency, O objects, A apps and revisions, J connection journal,
// Q queues, P access keys.
package kv

import (
	"context"
	"errors"
	"time"
)

// Errors that stores return. Everything else is the error that fn returned.
var (
	ErrTooLong     = errors.New("kv: view took too long")
	ErrConflict    = errors.New("kv: conflict, retries used up")
	ErrUnavailable = errors.New("kv: store unavailable")
	ErrCorrupt     = errors.New("kv: store corrupt")
	ErrTooLarge    = errors.New("kv: key, value or transaction too large")
	ErrClosed      = errors.New("kv: store closed")
	ErrKey         = errors.New("kv: key is empty or begins with a zero byte") // those are the engines' own
)

// Store is an ordered map of byte strings with atomic batches. All keys order by bytes.Compare.
// It is safe for concurrent use.
type Store interface {
	// View runs fn on one consistent, durable read point. fn must end within Limits.MaxView or may be
	// cut off with ErrTooLong. The Reader is dead when fn has returned.
	View(ctx context.Context, fn func(r Reader) error) error
	// Update runs fn atomically, strictly serializable with every other Update. fn may run more than
	// once and beside other operations of the same batch: it must be free of side effects and leave
	// its results in variables that it assigns anew on each run. Update returns after the commit is
	// durable. When fn returns an error nothing of it is written and that error comes back; so with a
	// panic in fn, as an error.
	// When ctx ends while waiting, the outcome is unknown and ctx's error comes back.
	Update(ctx context.Context, locks Locks, fn func(tx Txn) error) error
	Limits() Limits
	Close() error
}

// Locks are the keys that an operation decides on, known up front. They choose the executor and are
// locked by engines that lock; reads and writes outside them are allowed.
type Locks struct{ Keys [][]byte }

// Limits are what an engine can take.
type Limits struct {
	MaxKey      int           // bytes
	MaxValue    int           // bytes
	MaxTxnBytes int           // bytes of all keys and values written by one Update
	MaxTxnKeys  int           // keys written by one Update
	MaxView     time.Duration // how long a View may last
}

// Reader reads one consistent state.
type Reader interface {
	// Get returns the value of key. val is valid until fn returns and must not be changed.
	Get(key []byte) (val []byte, ok bool, err error)
	// GetMany returns one value a key, nil for an absent one.
	GetMany(keys [][]byte) ([][]byte, error)
	// Scan walks [lo,hi). A nil hi is the end of the store.
	Scan(lo, hi []byte, o ScanOpts) Iter
}

// ScanOpts bound a scan; Limit and MaxBytes must not both be 0, for that is how pages are made.
// The scan ends after Limit keys, or after the key with which MaxBytes of keys and values are reached.
type ScanOpts struct {
	Reverse  bool
	Limit    int
	MaxBytes int
	KeysOnly bool
}

// Iter walks keys in order. Key and Value are valid until the next call of Next.
type Iter interface {
	Next() bool
	Key() []byte
	Value() []byte
	Err() error
	Close() error
}

// Txn is a Reader that sees its own writes; a Scan shows those made before it began. Put and Delete
// copy what they are given. What they may not do (ErrKey, ErrTooLarge) fails the whole Update.
type Txn interface {
	Reader
	Put(key, val []byte)
	Delete(key []byte)
	// Seq takes n consecutive numbers from a counter, the first ever being 1. counter must be in
	// Locks: numbers are gap-free as readers see them.
	Seq(counter []byte, n uint64) (first uint64, err error)
	// Now is unix milliseconds, never decreasing within a store, fixed within one Update.
	Now() int64
}

// PrefixEnd returns the first key after all keys that begin with p; nil when there is none.
func PrefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := append([]byte(nil), p[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

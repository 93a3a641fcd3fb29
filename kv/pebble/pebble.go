// Package pebble is the embedded kv.Store: one folder, one process, on the Pebble storage engine.
//
// One goroutine, the executor, does all writes. It takes the operations that wait (at most 128, or
// 1 MiB of writes), runs each on an overlay above the newest state and begins to write what they left as
// one batch. Another goroutine waits until that is on the disk, publishes the snapshot and answers them
// all, while the executor runs those that come for the next batch, so that batches grow with the load.
// Every write sees all writes before it; the order of commits is total; nobody is ever told what a crash
// could take back: Pebble shows a batch before it is synced, but readers only ever get published
// snapshots, and writes, refused ones too, get their answers in order.
//
// Lock order: Store.mu, then nothing. Store.closing is held for reading while an operation is
// handed over, and for writing by Close alone.
package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// Options are the settings of Open. Log is needed, the rest has defaults.
type Options struct {
	Log      *slog.Logger
	Cache    int64 // bytes of cached blocks and memory tables; 0 is 16 MiB
	MemTable int   // bytes that one memory table grows to (from 256 KiB); 0 is 4 MiB
	Recent   int   // bytes of single values that are remembered beside blocks; 0 is 8 MiB
	// Reserve is how many bytes of the disk writes leave free, and fail with kv.ErrUnavailable before
	// they take them: Pebble ends the process when a disk fills under it. 0 is 16 MiB.
	Reserve uint64

	files vfs.FS // nil is the disk; tests slow it down
}

// limits: a key must hold the longest key of an index with every byte escaped.
var limits = kv.Limits{MaxKey: 32 << 10, MaxValue: 16 << 20, MaxTxnBytes: 64 << 20, MaxTxnKeys: 100_000, MaxView: 5 * time.Second}

// format is pinned, so that a new version of Pebble does not change files without our doing.
const format = pebble.FormatValueSeparation

// clockKey keeps the last Now, so that a system clock set back over a restart does not show. Keys
// that begin with zero are hidden from users.
var clockKey = []byte("\x00now")

// firstKey is where users' keys begin.
var firstKey = []byte{1}

// Store is the store; make it with Open.
type Store struct {
	db   *pebble.DB
	lock *pebble.Lock
	log  *slog.Logger
	dir  string

	reserve uint64
	full    bool // the executor's own: the disk was full at the last write

	ops     chan *op
	idle    sync.Pool     // of ops that nobody has any more
	commits chan *commit  // from the executor to settle
	settled chan struct{} // that the last one is durable or lost, from settle to the executor
	lost    error         // settle's own while a commit is on its way: why one is not durable, and none is after it
	stopped chan struct{} // closed when both have ended
	now     int64         // the executor's own
	own     writes        // the executor's own: of the operation that runs
	newest  *snapshot     // the executor's own: with all commits, durable or not
	recent  *recent

	mu   sync.Mutex // guards last and the counts of its users
	last *snapshot  // durable

	closing sync.RWMutex
	closed  bool           // guarded by closing
	views   sync.WaitGroup // running Views and Backups
}

var _ kv.Store = (*Store)(nil)

// Open opens the store in a folder, which it makes when it is not there. One process can have it open
// at a time; for another one the error is a sluice.Error of kind Unavailable.
func Open(dir string, o Options) (*Store, error) {
	if o.Cache <= 0 {
		o.Cache = 16 << 20
	}
	if o.Recent <= 0 {
		o.Recent = 8 << 20
	}
	if o.MemTable <= 0 {
		o.MemTable = 4 << 20
	}
	if o.Reserve == 0 {
		o.Reserve = 16 << 20
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		if inUse(err) {
			return nil, &sluice.Error{Code: sluice.Unavailable, Msg: "folder " + dir + " is in use by another process",
				Hint: "stop the other sluice, or give this one another data folder"}
		}
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	s := &Store{lock: lock, log: o.Log, dir: dir, reserve: o.Reserve, ops: make(chan *op, maxOps), recent: newRecent(o.Recent), commits: make(chan *commit), settled: make(chan struct{}, 1), stopped: make(chan struct{})}
	if s.db, err = pebble.Open(dir, settings(o, lock)); err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", dir, err), lock.Close())
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", dir, err), s.db.Close(), lock.Close())
	}
	return s, nil
}

// inUse tells a lock that is held from one that cannot be taken at all.
func inUse(err error) bool {
	return lockHeld(err) || strings.Contains(err.Error(), "held by current process")
}

func settings(o Options, lock *pebble.Lock) *pebble.Options {
	log := quiet{o.Log}
	opts := &pebble.Options{
		FS:                          o.files,
		FormatMajorVersion:          format,
		CacheSize:                   o.Cache,
		MemTableSize:                uint64(o.MemTable),
		MemTableStopWritesThreshold: 4,
		Lock:                        lock,
		Logger:                      log,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { log.Errorf("store: %v", err) },
			DataCorruption:  func(i pebble.DataCorruptionInfo) { log.Errorf("store: %v", i) },
			DiskSlow:        func(i pebble.DiskSlowInfo) { o.Log.Warn("store: the disk is slow", "took", i.Duration) },
			WriteStallBegin: func(i pebble.WriteStallBeginInfo) { o.Log.Warn("store: writes wait", "why", i.Reason) },
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].IndexBlockSize = 64 << 10 // one block indexes some 4 MiB: a look-up needs no index of indexes
	}
	return opts
}

// start reads the clock, publishes the first snapshot and starts the executor.
func (s *Store) start() error {
	val, closer, err := s.db.Get(clockKey)
	switch {
	case err == nil:
		if len(val) == 8 {
			s.now = int64(binary.BigEndian.Uint64(val))
		}
		if err := closer.Close(); err != nil {
			return err
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return err
	}
	s.last = &snapshot{snap: s.db.NewSnapshot()}
	s.last.users.Store(2)
	s.newest = s.last
	go s.execute() // Close waits for both
	go s.settle()
	return nil
}

// Limits says what the store takes.
func (s *Store) Limits() kv.Limits { return limits }

// Close does what was handed over, waits for running Views and Backups, and gives the folder free.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		<-s.stopped
		return nil
	}
	s.closed = true
	close(s.ops)
	s.closing.Unlock()
	<-s.stopped
	s.views.Wait()
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	last.release(s)
	s.newest.release(s)
	return errors.Join(s.db.Close(), s.lock.Close())
}

// enter registers a View or Backup; views.Done ends it.
func (s *Store) enter(ctx context.Context) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return kv.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.views.Add(1)
	return nil
}

// View runs fn on the last durable state. Reads fail with ErrTooLong when fn takes longer than
// Limits.MaxView, and with ctx's error when that has ended.
func (s *Store) View(ctx context.Context, fn func(r kv.Reader) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.views.Done()
	snap := s.acquire()
	defer snap.release(s)
	r := &reader{snapshot: snap, recent: s.recent, ctx: ctx, end: time.Now().Add(limits.MaxView)}
	defer r.close()
	return fn(r)
}

// Backup writes a copy of the store as it is now into dir, which must not be there yet. It shares
// files with the store where the file system can (hard links), so that it takes moments. The copy is
// opened like any store.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.views.Done()
	if err := s.db.Checkpoint(dir); err != nil {
		return fmt.Errorf("back up store to %s: %w", dir, err)
	}
	return nil
}

// snapshot is one durable read point, counted by who uses it.
type snapshot struct {
	snap   *pebble.Snapshot
	commit uint64       // how many there have been since the store was opened
	users  atomic.Int64 // Store itself is one while the snapshot is the last
}

func (s *Store) acquire() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.users.Add(1)
	return s.last
}

func (n *snapshot) release(s *Store) {
	if n.users.Add(-1) == 0 {
		if err := n.snap.Close(); err != nil {
			s.log.Error("store: close a snapshot", "err", err)
		}
	}
}

// follow is the state of the database with a batch that has been applied.
func (s *Store) follow(b *writes) *snapshot {
	next := &snapshot{snap: s.db.NewSnapshot(), commit: s.newest.commit + 1}
	next.users.Store(2) // as the newest, and as the last one
	s.recent.follow(b, next.commit)
	s.newest.release(s)
	return next
}

// publish makes a state that is durable what readers see.
func (s *Store) publish(next *snapshot) {
	s.mu.Lock()
	old := s.last
	s.last = next
	s.mu.Unlock()
	old.release(s)
}

// quiet is Pebble's logger: its chatter is for debugging, its errors are ours.
type quiet struct{ log *slog.Logger }

func (q quiet) Infof(format string, args ...any) {
	if q.log.Enabled(context.Background(), slog.LevelDebug) {
		q.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (q quiet) Errorf(format string, args ...any) {
	q.log.Error(fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble calls it when it cannot go on without risking data, a failing
// disk most often. What was acknowledged is on the disk.
func (q quiet) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	q.log.Error("store: cannot go on", "err", msg)
	panic("store: cannot go on: " + msg)
}

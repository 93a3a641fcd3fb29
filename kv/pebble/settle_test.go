package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/kv"
)

// heldFS is a disk that asks before it syncs a file.
type heldFS struct {
	vfs.FS
	ask func() error
}

type heldFile struct {
	vfs.File
	fs heldFS
}

func (f heldFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return heldFile{file, f}, err
}

func (f heldFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(from, to, c)
	return heldFile{file, f}, err
}

func (f heldFile) SyncData() error {
	if err := f.fs.ask(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f heldFile) Sync() error { return f.SyncData() }

// errTaken refuses a claim.
var errTaken = errors.New("taken")

// claims are two that write the same key if it is not there. The second is decided while the first is on its way to the disk.
func claims(t *testing.T, s *Store) (first, second <-chan error) {
	claim := func() <-chan error {
		ran, answer := make(chan struct{}), make(chan error, 1)
		go func() {
			answer <- s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
				defer close(ran)
				if _, ok, err := tx.Get([]byte("k")); ok || err != nil {
					return errors.Join(errTaken, err)
				}
				tx.Put([]byte("k"), []byte("v"))
				return nil
			})
		}()
		<-ran
		return answer
	}
	return claim(), claim()
}

// has says whether readers see a key.
func has(t *testing.T, s *Store, key string) (ok bool) {
	t.Helper()
	if err := s.View(t.Context(), func(r kv.Reader) (err error) { _, ok, err = r.Get([]byte(key)); return err }); err != nil {
		t.Error(err)
	}
	return ok
}

func TestNobodyIsToldWhatIsNotOnTheDisk(t *testing.T) {
	t.Parallel()
	for _, lost := range []error{nil, errors.New("the disk is broken")} {
		var hold sync.Mutex
		var broken atomic.Bool
		disk := heldFS{vfs.Default, func() error {
			hold.Lock()
			defer hold.Unlock()
			if broken.Load() {
				return lost
			}
			return nil
		}}
		s, err := Open(t.TempDir(), Options{Log: slog.New(slog.DiscardHandler), files: disk})
		if err != nil {
			t.Fatal(err)
		}
		hold.Lock()
		broken.Store(true)
		first, second := claims(t, s)
		if has(t, s, "k") {
			t.Error("a reader saw what is not on the disk")
		}
		select {
		case err := <-first:
			t.Errorf("a write was answered (%v) that is not on the disk", err)
		case err := <-second:
			t.Errorf("a write was refused (%v) by what is not on the disk", err)
		default:
		}
		hold.Unlock()
		if lost == nil {
			if err := <-first; err != nil {
				t.Error(err)
			}
			if err := <-second; !errors.Is(err, errTaken) {
				t.Errorf("the second claim: %v", err)
			}
		} else {
			for _, answer := range []<-chan error{first, second} {
				if err := <-answer; !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, errTaken) {
					t.Errorf("a claim was answered %v, though its commit is lost", err)
				}
			}
		}
		if ok := has(t, s, "k"); ok != (lost == nil) {
			t.Errorf("readers see the key: %v, with a disk that says %v", ok, lost)
		}
		broken.Store(false)
		if err := s.Close(); err != nil && lost == nil {
			t.Error(err)
		}
	}
}

func TestAfterALostCommitNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		dir := t.TempDir()
		mem := vfs.NewCrashableMem()
		var left atomic.Int64 // syncs until one fails; the disk is well again after it
		left.Store(1 << 40)
		disk := heldFS{mem, func() error {
			if left.Add(-1) == 0 {
				return errors.New("the disk is broken")
			}
			return nil
		}}
		s, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler), files: disk})
		if err != nil {
			t.Fatal(err)
		}
		left.Store(int64(10 + round))
		var mu sync.Mutex
		told := map[string]bool{} // keys whose write was acknowledged, or that were read
		tell := func(key string) {
			mu.Lock()
			told[key] = true
			mu.Unlock()
		}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for n, lost := 0, 0; lost < 20 && !t.Failed(); n++ {
					key := fmt.Sprint("k", w, "/", n)
					err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
						tx.Put([]byte(key), []byte("v"))
						return nil
					})
					switch {
					case err == nil && lost > 0:
						t.Errorf("%s was acknowledged after a lost commit", key)
					case err != nil && !errors.Is(err, kv.ErrUnavailable):
						t.Error(err)
					case err != nil:
						lost++
					default:
						tell(key)
					}
					if has(t, s, key) {
						tell(key)
					}
				}
			})
		}
		wg.Wait()
		after := mem.CrashClone(vfs.CrashCloneCfg{})
		_ = s.Close() // it may complain of the disk
		again, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler), files: after})
		if err != nil {
			t.Fatal(err)
		}
		for key := range told {
			if !has(t, again, key) {
				t.Errorf("round %d: %s is lost", round, key)
			}
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

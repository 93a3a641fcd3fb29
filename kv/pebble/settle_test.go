package pebble

import (
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/kv"
)

// heldFS is the disk, on which nothing is synced while hold is locked.
type heldFS struct {
	vfs.FS
	hold *sync.Mutex
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
	f.fs.hold.Lock()
	defer f.fs.hold.Unlock()
	return f.File.SyncData()
}

func (f heldFile) Sync() error { return f.SyncData() }

func TestNobodyIsToldWhatIsNotOnTheDisk(t *testing.T) {
	t.Parallel()
	disk := heldFS{vfs.Default, new(sync.Mutex)}
	s, err := Open(t.TempDir(), Options{Log: slog.New(slog.DiscardHandler), files: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	taken := errors.New("taken")
	claim := func(ran chan<- struct{}, answer chan<- error) {
		answer <- s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
			defer close(ran)
			if _, ok, err := tx.Get([]byte("k")); ok || err != nil {
				return errors.Join(taken, err)
			}
			tx.Put([]byte("k"), []byte("v"))
			return nil
		})
	}
	there := func() (ok bool) {
		t.Helper()
		if err := s.View(t.Context(), func(r kv.Reader) (err error) { _, ok, err = r.Get([]byte("k")); return err }); err != nil {
			t.Fatal(err)
		}
		return ok
	}
	disk.hold.Lock()
	first, second := make(chan error, 1), make(chan error, 1)
	ran := make(chan struct{})
	go claim(ran, first)
	<-ran
	ran = make(chan struct{})
	go claim(ran, second) // it is decided while the first is not on the disk
	<-ran
	if there() {
		t.Error("a reader saw what is not on the disk")
	}
	select {
	case err := <-first:
		t.Errorf("a write was answered (%v) that is not on the disk", err)
	case err := <-second:
		t.Errorf("a write was refused (%v) by what is not on the disk", err)
	default:
	}
	disk.hold.Unlock()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-second; !errors.Is(err, taken) {
		t.Errorf("the second claim: %v", err)
	}
	if !there() {
		t.Error("what was acknowledged is not there")
	}
}

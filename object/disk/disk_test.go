package disk_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
	"github.com/sluicehq/sluice/object/objecttest"
)

func open(t *testing.T) object.Body {
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestEngine(t *testing.T) { objecttest.Engine(t, open) }

// The two embedded engines together, as the server runs them.
func TestRoomOnDisk(t *testing.T) {
	objecttest.Room(t, func(t *testing.T) (kv.Store, object.Body) {
		store, err := pebble.Open(t.TempDir(), pebble.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return store, open(t)
	})
}

func TestOpenRemovesWhatACrashLeftUnfinished(t *testing.T) {
	dir := t.TempDir()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("half a bo"))
	whole, err := b.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := whole.Commit()
	if err != nil {
		t.Fatal(err)
	}
	b.Close() // as a crash does, without Abort

	b, err = disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	left, err := os.ReadDir(filepath.Join(dir, "new"))
	if err != nil || len(left) != 0 {
		t.Errorf("%d unfinished bodies are left, %v", len(left), err)
	}
	if _, err := os.Stat(filepath.Join(dir, id[:2], id[2:4], id)); err != nil {
		t.Errorf("a committed body is gone: %v", err)
	}
}

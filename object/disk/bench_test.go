package disk_test

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// One object put and one got, inline and as a file, on the embedded engines.
func BenchmarkObjects(b *testing.B) {
	store, err := pebble.Open(b.TempDir(), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	bodies, err := disk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer bodies.Close()
	s, err := object.Open(b.Context(), store, bodies, object.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateBucket(b.Context(), object.Bucket{Name: "box"}); err != nil {
		b.Fatal(err)
	}
	for name, size := range map[string]int{"4KiB": 4 << 10, "1MiB": 1 << 20} {
		data := make([]byte, size)
		put := func(b *testing.B) {
			_, err := s.Put(b.Context(), "box", object.PutInput{Key: name, Body: bytes.NewReader(data), Size: int64(size)})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.Run("put/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				put(b)
			}
		})
		b.Run("get/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				c, err := s.Get(b.Context(), "box", name)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, c); err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

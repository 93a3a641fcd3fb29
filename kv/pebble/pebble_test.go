package pebble_test

import (
	"log/slog"
	"testing"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/kvtest"
	"github.com/sluicehq/sluice/kv/pebble"
)

func open(t testing.TB, dir string) *pebble.Store {
	t.Helper()
	s, err := pebble.Open(dir, pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) (kv.Store, func() kv.Store) {
		dir := t.TempDir()
		s := open(t, dir)
		return s, func() kv.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			return s
		}
	})
}

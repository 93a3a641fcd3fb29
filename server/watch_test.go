package server

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestWatchSeesTheAppAndNotOurData(t *testing.T) {
	app := t.TempDir()
	data := filepath.Join(app, "data")
	run(t, data, func(ctx context.Context, s *Server) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		seen := make(chan []string)
		ended := make(chan error, 1)
		go func() {
			ended <- s.Watch(ctx, app, func(names []string) {
				select {
				case seen <- names:
				case <-ctx.Done():
				}
			})
		}()
		for saved := false; !saved; { // again until the watch has begun
			for _, name := range []string{filepath.Join(data, "kv", "x"), filepath.Join(data, "x"), filepath.Join(app, "index.js")} {
				if err := os.WriteFile(name, []byte(time.Now().String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case names := <-seen:
				if !slices.Equal(names, []string{"index.js"}) {
					t.Errorf("saw %q", names)
				}
				saved = true
			case <-time.After(10 * settle):
			case <-ctx.Done():
				t.Fatal("saw nothing")
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

package objecttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/object"
)

// Engine checks what object expects of an engine. open makes an empty one.
func Engine(t *testing.T, open func(t *testing.T) object.Body) {
	t.Run("what is committed is read back whole and in part", func(t *testing.T) {
		b, data := open(t), noise(t, 3<<20+7)
		id := put(t, b, data)
		size := int64(len(data))
		for _, c := range []struct{ offset, length, n int64 }{
			{0, -1, size}, {0, 0, 0}, {0, 1, 1}, {size - 1, -1, 1}, {size - 1, 1, 1}, {size, -1, 0}, {1000, 4096, 4096},
			{size - 10, 100, 10}, {1 << 20, 1 << 20, 1 << 20},
		} {
			got := read(t, b, id, c.offset, c.length)
			if want := data[c.offset : c.offset+c.n]; !bytes.Equal(got, want) {
				t.Errorf("Open(%d, %d) read %d bytes, not the %d expected", c.offset, c.length, len(got), len(want))
			}
		}
	})
	t.Run("an empty body is a body", func(t *testing.T) {
		b := open(t)
		if got := read(t, b, put(t, b, nil), 0, -1); len(got) != 0 {
			t.Errorf("read %d bytes", len(got))
		}
	})
	t.Run("what is aborted is not there", func(t *testing.T) {
		b := open(t)
		w, err := b.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("gone"))
		w.Abort()
		if ids := walk(t, b); len(ids) != 0 {
			t.Errorf("Walk names %v", ids)
		}
	})
	t.Run("removing twice is no error, reading what is removed is one", func(t *testing.T) {
		b := open(t)
		id := put(t, b, []byte("x"))
		for range 2 {
			if err := b.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := b.Open(t.Context(), id, 0, -1); err == nil {
			r.Close()
			t.Error("a removed body opens")
		}
	})
	t.Run("a body that is being read survives its removal", func(t *testing.T) {
		b, data := open(t), noise(t, 1<<20)
		id := put(t, b, data)
		r, err := b.Open(t.Context(), id, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := b.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
	t.Run("Walk names every committed body once, with its time, and stops when told", func(t *testing.T) {
		b := open(t)
		want := map[string]bool{}
		for i := range 20 {
			want[put(t, b, fmt.Appendf(nil, "body %d", i))] = true
		}
		w, err := b.Create(t.Context()) // unfinished: not named
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		ids := walk(t, b)
		if len(ids) != len(want) {
			t.Errorf("Walk names %d bodies, want %d", len(ids), len(want))
		}
		for id, at := range ids {
			if !want[id] {
				t.Errorf("Walk names %s, which was not committed", id)
			}
			if d := time.Since(at); d < -time.Minute || d > time.Hour {
				t.Errorf("%s was written %v ago", id, d)
			}
		}
		stop, n := errors.New("stop"), 0
		err = b.Walk(t.Context(), func(string, time.Time) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("Walk returned %v after %d", err, n)
		}
	})
	t.Run("ids that were never given are refused", func(t *testing.T) {
		b := open(t)
		for _, id := range []string{"", "..", "../../etc/passwd", "/etc/passwd", "00000000000000000000000000000000", "a/b", "new"} {
			if r, err := b.Open(t.Context(), id, 0, -1); err == nil {
				r.Close()
				t.Errorf("Open(%q) succeeds", id)
			}
		}
	})
	t.Run("many write at once", func(t *testing.T) {
		b := open(t)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				data := bytes.Repeat([]byte{byte(i)}, 100_000+i)
				w, err := b.Create(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				w.Write(data)
				id, err := w.Commit()
				if err != nil {
					t.Error(err)
					return
				}
				if got := read(t, b, id, 0, -1); !bytes.Equal(got, data) {
					t.Errorf("body %d reads otherwise", i)
				}
			})
		}
		wg.Wait()
	})
}

func noise(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func put(t *testing.T, b object.Body, data []byte) string {
	t.Helper()
	w, err := b.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 100_000)])
		if err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	id, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func read(t *testing.T, b object.Body, id string, offset, length int64) []byte {
	t.Helper()
	r, err := b.Open(context.Background(), id, offset, length)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return data
}

func walk(t *testing.T, b object.Body) map[string]time.Time {
	t.Helper()
	ids := map[string]time.Time{}
	err := b.Walk(t.Context(), func(id string, at time.Time) error {
		if _, ok := ids[id]; ok {
			t.Errorf("Walk names %s twice", id)
		}
		ids[id] = at
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

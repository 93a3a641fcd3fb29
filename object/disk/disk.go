// Package disk keeps the bodies of objects as files.
//
// A body is written to new/, made durable, and renamed to xx/yy/{id}, where id is 32 random hex digits
// and xx and yy its first four. What a crash leaves in new/ is removed by the next Open; a body that was
// renamed and never named by a row is an orphan, which package object sweeps.
package disk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
)

var _ object.Body = (*Bodies)(nil)

// Bodies is the engine. It is safe for concurrent use by one process.
type Bodies struct{ root *os.Root }

const fresh = "new"

// Open makes the folder if need be, and removes what unfinished writes left there.
func Open(dir string) (*Bodies, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open bodies: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bodies: %w", err)
	}
	b := &Bodies{root: root}
	err = errors.Join(root.RemoveAll(fresh), root.Mkdir(fresh, 0o750), b.syncDir("."))
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("open bodies: %w", err)
	}
	return b, nil
}

// Close releases the folder.
func (b *Bodies) Close() error { return b.root.Close() }

func file(id string) (string, error) {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", fmt.Errorf("malformed body id %q", id)
	}
	return path.Join(id[:2], id[2:4], id), nil
}

// Create begins a body.
func (b *Bodies) Create(ctx context.Context) (object.Writer, error) {
	raw := make([]byte, 16)
	rand.Read(raw)
	id := hex.EncodeToString(raw)
	f, err := b.root.OpenFile(path.Join(fresh, id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return &writer{File: f, b: b, id: id}, nil
}

type writer struct {
	*os.File
	b  *Bodies
	id string
}

// Commit makes the bytes and then their name durable.
func (w *writer) Commit() (string, error) {
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		w.remove()
		return "", err
	}
	name, _ := file(w.id)
	if err := w.b.rename(path.Join(fresh, w.id), name); err != nil {
		w.remove()
		return "", err
	}
	return w.id, nil
}

// Abort drops the bytes.
func (w *writer) Abort() {
	w.Close()
	w.remove()
}

// remove is best effort: the next Open removes what stays.
func (w *writer) remove() { w.b.root.Remove(path.Join(fresh, w.id)) }

func (b *Bodies) rename(from, to string) error {
	dir := path.Dir(to)
	err := b.root.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err = b.root.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		if err = errors.Join(b.syncDir("."), b.syncDir(path.Dir(dir))); err != nil {
			return err
		}
		err = b.root.Rename(from, to)
	}
	if err != nil {
		return err
	}
	return b.syncDir(dir)
}

// syncDir makes the names in a folder durable.
func (b *Bodies) syncDir(dir string) error {
	f, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Open reads a body. The bytes stay readable when it is removed meanwhile.
func (b *Bodies) Open(ctx context.Context, id string, offset, length int64) (io.ReadCloser, error) {
	name, err := file(id)
	if err != nil {
		return nil, err
	}
	f, err := b.root.Open(name)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			f.Close()
			return nil, err
		}
	}
	if length < 0 {
		return f, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, length), f}, nil
}

// Remove deletes a body. One that is not there is no error.
func (b *Bodies) Remove(ctx context.Context, id string) error {
	name, err := file(id)
	if err != nil {
		return err
	}
	if err := b.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Walk names every body, in the order of ids.
func (b *Bodies) Walk(ctx context.Context, fn func(id string, written time.Time) error) error {
	return fs.WalkDir(b.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // removed since the folder was read
			return nil
		case err != nil:
			return err
		case d.IsDir() && name == fresh:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if want, err := file(d.Name()); err != nil || want != name {
			return nil // not ours
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(d.Name(), info.ModTime())
	})
}

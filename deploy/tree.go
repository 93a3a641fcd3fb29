package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// Limits of a code folder: beyond them it is surely not what was meant.
const (
	maxFiles = 200_000
	maxDepth = 64
)

// file is one file, link or empty folder of a tree.
type file struct {
	rel  string // with slashes
	src  string // where its bytes are
	sum  string // of the content, or the link's target
	mode fs.FileMode
	size int64
	time time.Time
}

// tree is the content of a folder, sorted by rel.
type tree []file

// hash is the tree's digest; times do not count. An absent tree has none.
func (t tree) hash() string {
	if t == nil {
		return ""
	}
	h := sha256.New()
	for _, f := range t {
		fmt.Fprintf(h, "%s\x00%o\x00%s\n", f.rel, f.mode&(fs.ModeType|0o111), f.sum)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// tree reads a folder, a single file, or the list of a folder's files without those that patterns
// leave out. Links that stay within the folder are kept as links, others are followed.
func (d *Deployer) tree(ctx context.Context, root string, patterns []string) (tree, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	t := tree{}
	if !info.IsDir() {
		f := file{rel: filepath.Base(root), src: root, mode: info.Mode(), size: info.Size(), time: info.ModTime()}
		if f.sum, err = d.sums.of(root, info); err != nil {
			return nil, err
		}
		return tree{f}, nil
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	w := &walk{d: d, root: real, ignore: newIgnore(patterns), out: &t}
	if err := w.dir(ctx, real, "", 0); err != nil {
		return nil, err
	}
	slices.SortFunc(t, func(a, b file) int { return strings.Compare(a.rel, b.rel) })
	return t, nil
}

type walk struct {
	d      *Deployer
	root   string
	ignore ignore
	out    *tree
}

func (w *walk) dir(ctx context.Context, dir, rel string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: folders deeper than %d", dir, maxDepth)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.d.own(dir) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		sub := path.Join(rel, e.Name())
		full := filepath.Join(dir, e.Name())
		if w.ignore.skip(sub, e.IsDir()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // went away while we looked
		}
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, inside := w.link(full)
			if inside {
				if err := w.add(file{rel: sub, src: full, sum: target, mode: fs.ModeSymlink}); err != nil {
					return err
				}
				continue
			}
			if full, err = filepath.EvalSymlinks(full); err != nil {
				return err
			}
			if within(full, dir) {
				return fmt.Errorf("link %s leads in a circle", sub)
			}
			if info, err = os.Stat(full); err != nil {
				return err
			}
			if w.ignore.skip(sub, info.IsDir()) {
				continue
			}
		}
		switch {
		case info.IsDir():
			if err := w.dir(ctx, full, sub, depth+1); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			sum, err := w.d.sums.of(full, info)
			if err != nil {
				return err
			}
			if err := w.add(file{rel: sub, src: full, sum: sum, mode: info.Mode(), size: info.Size(), time: info.ModTime()}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) add(f file) error {
	if len(*w.out) >= maxFiles {
		return fmt.Errorf("%s has more than %d files", w.root, maxFiles)
	}
	*w.out = append(*w.out, f)
	return nil
}

// link returns a link's target when the link can be copied as it is: relative, and within the root
// or leading nowhere.
func (w *walk) link(full string) (target string, inside bool) {
	target, err := os.Readlink(full)
	if err != nil || filepath.IsAbs(target) {
		return target, false
	}
	if _, err := os.Stat(full); err != nil {
		return target, true
	}
	if real, err := filepath.EvalSymlinks(full); err == nil && within(w.root, real) {
		return target, within(w.root, filepath.Join(filepath.Dir(full), target))
	}
	return target, false
}

func within(root, p string) bool {
	rel, err := filepath.Rel(root, p)
	return err == nil && filepath.IsLocal(rel)
}

// copyTo writes t under root. Files that like has with the same content are hard-linked from there.
// Copies are read-only, as on the clouds, so that a function cannot change an older revision.
func (t tree) copyTo(root string, like tree) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	old := make(map[string]*file, len(like))
	for i := range like {
		old[like[i].rel] = &like[i]
	}
	made := map[string]bool{root: true}
	for _, f := range t {
		dst := filepath.Join(root, filepath.FromSlash(f.rel))
		if dir := filepath.Dir(dst); !made[dir] {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			made[dir] = true
		}
		if f.mode&fs.ModeSymlink != 0 {
			if err := os.Symlink(f.sum, dst); err != nil {
				return err
			}
			continue
		}
		if o := old[f.rel]; o != nil && o.sum == f.sum && o.mode == f.copyMode() && os.Link(o.src, dst) == nil {
			continue
		}
		if err := copyFile(dst, f.src, f.copyMode(), f.time); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) copyMode() fs.FileMode {
	if f.mode&0o111 != 0 {
		return 0o555
	}
	return 0o444
}

func copyFile(dst, src string, mode fs.FileMode, at time.Time) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Chmod(mode); err != nil {
		return err
	}
	return os.Chtimes(dst, at, at)
}

// touched is a quick digest of a folder by names, sizes and times.
func (d *Deployer) touched(ctx context.Context, root string) (string, error) {
	h := sha256.New()
	n := 0
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p != root && (always[e.Name()] || d.own(p)) {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return ctx.Err()
		}
		if n++; n > maxFiles {
			return fmt.Errorf("%s has more than %d files", root, maxFiles)
		}
		info, err := e.Info()
		if err != nil {
			return nil // went away while we looked
		}
		fmt.Fprintf(h, "%s\x00%d\x00%d\n", p, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// folderError says that the files of a resource cannot be read.
func folderError(err error, kind, name, dir string, at sluice.Place) error {
	e := &sluice.Error{Code: sluice.Invalid, At: at, Err: err,
		Msg: fmt.Sprintf("%s %q: cannot read %s: %v", kind, name, dir, err)}
	if missing(err) {
		e.Msg = fmt.Sprintf("%s %q: %s does not exist", kind, name, dir)
		e.Hint = "check the path, or whether the action that should make it did"
	}
	return e
}

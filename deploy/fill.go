package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/sluicehq/sluice"
)

// optSuffix ends the folder beside a function's code that has the content of its layers.
const optSuffix = ".opt"

// Opt is the folder with the content of the layers of the function whose code is in root, for /opt. It is
// there when the function has layers (sluice.Function.Opt).
func Opt(root string) string { return root + optSuffix }

// looks remembers the folders that one deploy has looked at: many functions may share their code.
type looks struct {
	d     *Deployer
	mu    sync.Mutex
	trees map[string]*look
}

type look struct {
	once sync.Once
	tree tree
	hash string
	err  error
}

// tree is the content of a folder as it was when it was first asked for, with its hash.
func (l *looks) tree(ctx context.Context, root string, patterns []string) (tree, string, error) {
	k := l.at(hashOf("tree", root, patterns))
	k.once.Do(func() {
		if root == "" {
			k.tree = tree{}
		} else if k.tree, k.err = l.d.tree(ctx, root, patterns); k.err != nil {
			return
		}
		k.hash = k.tree.hash()
	})
	return k.tree, k.hash, k.err
}

// sources is the digest of a Go build's sources. Programs of one module have the same.
func (l *looks) sources(ctx context.Context, b *sluice.Build) (string, error) {
	roots, err := goRoots(b.Dir)
	if err != nil {
		return "", err
	}
	k := l.at(hashOf("go", roots))
	k.once.Do(func() { k.hash, k.err = l.d.goHash(ctx, b) })
	return k.hash, k.err
}

func (l *looks) at(key string) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trees == nil {
		l.trees = map[string]*look{}
	}
	if l.trees[key] == nil {
		l.trees[key] = &look{}
	}
	return l.trees[key]
}

// codeHash is the digest of what a function's code is made from: its files, the sources of its build, and
// its layers. also are the files outside the code that its last build read.
func (l *looks) codeHash(ctx context.Context, f *sluice.Function, also string) (string, error) {
	_, hash, err := l.tree(ctx, f.Code, f.Ignore)
	if err != nil && !(missing(err) && f.Build != nil && f.Build.Kind == "go") {
		return "", err
	}
	if f.Build != nil && f.Build.Kind == "go" {
		src, err := l.sources(ctx, f.Build)
		if hash = hashOf(hash, src); err != nil {
			return hash, err
		}
	}
	if also != "" {
		hash = hashOf(hash, l.d.alsoHash(also))
	}
	for _, layer := range f.Opt {
		_, h, err := l.tree(ctx, layer.Code, nil)
		if err != nil {
			return "", err
		}
		hash = layerHash(hash, &layer, h)
	}
	return hash, nil
}

// layerHash adds a layer, whose content has the hash h, to the hash of a function's code.
func layerHash(hash string, l *sluice.Layer, h string) string {
	if l.Build != nil {
		h = hashOf(h, l.Build.Kind, l.Build.Package, l.Build.Output, l.Build.Command)
	}
	return hashOf(hash, l.Under, h)
}

// sharing is the same for functions whose code is the same, so that one copy is enough for them.
func sharing(f *sluice.Function) string {
	kind := "" // packages depend on the runtime
	if f.Build != nil || len(f.Opt) > 0 {
		kind = f.Runtime
	}
	return hashOf(f.Code, f.Ignore, f.Files, f.Build, f.Opt, kind)
}

// copyCode makes root the runnable code of f, with its layers beside it, and returns the code's hash.
// like is the root of its former revision, or "". also are files outside the code that a build read.
func (a *apply) copyCode(ctx context.Context, f *sluice.Function, root, like string) (files, also string, err error) {
	files, also, err = a.fill(ctx, f, f.Code, f.Ignore, f.Build, root, like)
	if err != nil {
		return files, also, err
	}
	if err := writeOver(root, f.Files); err != nil {
		return files, also, placed(err, fmt.Sprintf("function %q", f.Name), f.At)
	}
	for i, layer := range f.Opt {
		part := fmt.Sprintf("%s-%d", Opt(root), i)
		h, _, err := a.fill(ctx, f, layer.Code, nil, layer.Build, part, "")
		if err != nil {
			return files, also, err
		}
		t, err := a.d.tree(ctx, part, nil)
		if err == nil {
			err = t.over(filepath.Join(Opt(root), filepath.FromSlash(layer.Under)))
		}
		if err = errors.Join(err, os.RemoveAll(part)); err != nil {
			return files, also, placed(err, fmt.Sprintf("layer %q", layer.Name), layer.At)
		}
		files = layerHash(files, &layer, h)
	}
	return files, also, nil
}

// fill makes root the runnable form of the code of f, or of one of its layers. Builds that write all of
// it themselves get no copy.
func (a *apply) fill(ctx context.Context, f *sluice.Function, code string, ignore []string, b *sluice.Build, root, like string) (files, also string, err error) {
	var t tree
	kind := ""
	if b != nil {
		kind = b.Kind
	}
	err = a.step("copy", "function", string(f.Name), func(func(string)) error {
		t, files, err = a.looks.tree(ctx, code, ignore)
		if err != nil && !(missing(err) && kind == "go") {
			return folderError(err, "function", string(f.Name), code, f.At)
		}
		switch {
		case kind == "esbuild" || kind == "make":
			return os.MkdirAll(root, 0o755)
		case len(t) == 1 && t[0].src == code && filepath.Ext(code) == ".zip":
			return placed(unzip(root, code), fmt.Sprintf("function %q", f.Name), f.At)
		}
		return placed(t.copyTo(root, a.like(ctx, like)), fmt.Sprintf("copy function %q", f.Name), f.At)
	})
	if err != nil || b == nil {
		return files, "", err
	}
	switch kind {
	case "npm":
		err = a.npm(ctx, f, b, t, root)
	case "pip":
		err = a.pip(ctx, f, b, t, root)
	case "make":
		err = a.makefile(ctx, f, b, t, root)
	case "esbuild":
		files, also, err = a.bundle(ctx, f, b, ignore, root)
	default:
		var src string
		if src, err = a.build(ctx, f, root); kind == "go" {
			files = hashOf(files, src)
		}
	}
	return files, also, err
}

// writeOver writes files, path → text, over those of root.
func writeOver(root string, files map[string]string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("file %q is not within the code", name)
		}
		dst := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := os.Remove(dst); err != nil && !missing(err) {
			return err
		}
		if err := os.WriteFile(dst, []byte(files[name]), 0o444); err != nil {
			return err
		}
	}
	return nil
}

// over links the files of t, which are ours and read-only, over those of root.
func (t tree) over(root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for _, f := range t {
		dst := filepath.Join(root, filepath.FromSlash(f.rel))
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := os.Remove(dst); err != nil && !missing(err) {
			return err
		}
		if f.mode&fs.ModeSymlink != 0 {
			if err := os.Symlink(f.sum, dst); err != nil {
				return err
			}
			continue
		}
		if os.Link(f.src, dst) == nil {
			continue
		}
		if err := copyFile(dst, f.src, f.copyMode(), f.time); err != nil {
			return err
		}
	}
	return nil
}

package console

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice"
)

// unpack writes a gzipped tar into dir. Nothing leaves dir: paths go through os.Root, and a symbolic
// link that points outside is refused.
func unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	zr, err := gzip.NewReader(r)
	if err != nil {
		return sluice.Errorf(sluice.Invalid, "upload is not a gzipped tar: %w", err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return sluice.Errorf(sluice.Invalid, "read upload: %w", err)
		}
		name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
		if !filepath.IsLocal(name) {
			return sluice.Errorf(sluice.Invalid, "upload: path %q leaves the folder", h.Name)
		}
		if parent := filepath.Dir(name); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return sluice.Errorf(sluice.Invalid, "upload: %w", err)
			}
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeReg:
			err = writeFile(root, name, tr, fs.FileMode(h.Mode).Perm())
		case tar.TypeSymlink:
			if !filepath.IsLocal(filepath.Join(filepath.Dir(name), filepath.FromSlash(h.Linkname))) || filepath.IsAbs(h.Linkname) {
				return sluice.Errorf(sluice.Invalid, "upload: link %q points outside the folder", h.Name)
			}
			err = root.Symlink(h.Linkname, name)
		default:
			continue
		}
		if err != nil {
			return sluice.Errorf(sluice.Invalid, "upload: write %q: %w", h.Name, err)
		}
	}
}

func writeFile(root *os.Root, name string, r io.Reader, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

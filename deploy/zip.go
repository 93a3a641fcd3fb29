package deploy

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const maxUnzip = 4 << 30 // bytes that an archive may unpack to

// unzip writes a zip archive under dir. Nothing is written outside, whatever its names and links say.
func unzip(dir, archive string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("read %s: %w", archive, err)
	}
	defer r.Close()
	if len(r.File) > maxFiles {
		return fmt.Errorf("%s has more than %d files", archive, maxFiles)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(maxUnzip)
	for _, f := range r.File {
		name := strings.TrimSuffix(strings.ReplaceAll(f.Name, `\`, "/"), "/")
		if err := unzipOne(root, name, f, &left); err != nil {
			return fmt.Errorf("%s: entry %q: %w", archive, f.Name, err)
		}
	}
	return nil
}

func unzipOne(root *os.Root, name string, f *zip.File, left *int64) error {
	if f.Mode().IsDir() {
		return root.MkdirAll(name, 0o755)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	switch mode := f.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return err
		}
		if path.IsAbs(string(target)) {
			return errors.New("link leads outside")
		}
		return root.Symlink(string(target), name)
	case !mode.IsRegular():
		return nil
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, (&file{mode: f.Mode()}).copyMode())
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, *left+1))
	if *left -= n; *left < 0 {
		err = fmt.Errorf("archive unpacks to more than %d bytes", int64(maxUnzip))
	}
	return errors.Join(err, out.Close())
}

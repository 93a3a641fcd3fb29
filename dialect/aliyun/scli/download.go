package scli

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Limits of a download, which is an archive of code or of a runtime.
const (
	maxDownload = 1 << 30 // bytes, packed
	maxUnpacked = 4 << 30 // bytes
)

// download is the hooks' downloadRequest: words are the address and the folder to put it into; with
// --extract the archive (zip, tar, tar.gz) is unpacked there, less --strip of each path's first folders.
func (t *Tool) download(ctx context.Context, words []string, flags map[string]string) int {
	if len(words) != 2 {
		fmt.Fprintln(t.Err, "s: download wants an address and a folder")
		return exitUnknown
	}
	strip, err := strconv.Atoi(cmp.Or(flags["strip"], "0"))
	if err == nil {
		err = fetch(ctx, words[0], words[1], flags["filename"], flags["extract"] != "", strip)
	}
	if err != nil {
		fmt.Fprintf(t.Err, "s: download %s: %v\n", words[0], err)
		return exitFailed
	}
	fmt.Fprintf(t.Out, "%s is in %s\n", words[0], words[1])
	return 0
}

func fetch(ctx context.Context, address, dir, name string, extract bool, strip int) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if name == "" {
		name = path.Base(u.Path)
	}
	if !extract {
		return put(root, name, 0o644, resp.Body, maxDownload)
	}
	packed, err := os.CreateTemp("", "sluice-download-*")
	if err != nil {
		return err
	}
	defer os.Remove(packed.Name())
	defer packed.Close()
	n, err := io.Copy(packed, io.LimitReader(resp.Body, maxDownload+1))
	if err == nil && n > maxDownload {
		err = fmt.Errorf("more than %d bytes", maxDownload)
	}
	if err != nil {
		return err
	}
	left := int64(maxUnpacked)
	write := func(name string, mode fs.FileMode, r io.Reader, size int64) error {
		parts := strings.Split(strings.Trim(path.Clean("/"+filepath.ToSlash(name)), "/"), "/")
		if len(parts) <= strip {
			return nil
		}
		if left -= size; left < 0 {
			return fmt.Errorf("unpacks to more than %d bytes", int64(maxUnpacked))
		}
		return put(root, path.Join(parts[strip:]...), mode, r, size)
	}
	if z, err := zip.NewReader(packed, n); err == nil {
		return unzip(z, write)
	}
	return untar(packed, write)
}

func unzip(z *zip.Reader, write func(string, fs.FileMode, io.Reader, int64) error) error {
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		err = write(f.Name, f.Mode(), r, int64(f.UncompressedSize64))
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}

func untar(packed io.ReadSeeker, write func(string, fs.FileMode, io.Reader, int64) error) error {
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var r io.Reader = packed
	if gz, err := gzip.NewReader(packed); err == nil {
		r = gz
	} else if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("is no zip and no tar: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := write(h.Name, h.FileInfo().Mode(), tr, h.Size); err != nil {
			return err
		}
	}
}

// put writes one file below a root, at most size bytes of it.
func put(root *os.Root, name string, mode fs.FileMode, r io.Reader, size int64) (err error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644|mode.Perm()&0o111)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(r, size+1))
	if err == nil && n > size {
		err = fmt.Errorf("%s is bigger than it says", name)
	}
	return err
}

package measure

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Unpacked fetches packages of Debian's registry once and unpacks them into a folder, which it returns with their
// versions. Nothing is installed; packages that they need have to be named, too.
func (w *Workshop) Unpacked(ctx context.Context, packages ...string) (dir string, versions map[string]string, err error) {
	dir, versions = filepath.Join(w.Cache, "debian"), map[string]string{}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, p := range packages {
		note := filepath.Join(dir, p+".version")
		version, err := os.ReadFile(note)
		if err != nil {
			if version, err = unpack(ctx, dir, p); err != nil {
				return "", nil, fmt.Errorf("%s cannot be had: %w", p, err)
			}
			if err := os.WriteFile(note, version, 0o644); err != nil {
				return "", nil, err
			}
		}
		versions[p] = string(version)
	}
	return dir, versions, nil
}

// unpack fetches one package and unpacks it; it returns its version.
func unpack(ctx context.Context, dir, name string) (version []byte, err error) {
	tmp, err := os.MkdirTemp("", "sluice-bench-deb-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	run := func(command string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, command, args...)
		cmd.Dir = tmp
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%s: %w", command, err)
		}
		return out, err
	}
	if _, err := run("apt-get", "download", name); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("apt-get brought %d files", len(files))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := run("dpkg", "-x", files[0], dir); err != nil {
		return nil, err
	}
	out, err := run("dpkg-deb", "-f", files[0], "Version")
	return []byte(strings.TrimSpace(string(out))), err
}

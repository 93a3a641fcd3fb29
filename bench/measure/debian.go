package measure

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Needed is packages of Debian's registry with what they depend on and this machine lacks.
func Needed(ctx context.Context, packages ...string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", append([]string{"install", "--simulate", "-qq", "--no-install-recommends"}, packages...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be had: apt-get: %w", strings.Join(packages, ", "), err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Inst" && !slices.Contains(packages, f[1]) {
			packages = append(packages, f[1])
		}
	}
	return packages, nil
}

// Unpacked fetches packages of Debian's registry once and unpacks them into a folder, which it returns with their
// versions. Nothing is installed; packages that they need have to be named, too (see Needed).
func (w *Workshop) Unpacked(ctx context.Context, packages ...string) (dir string, versions map[string]string, err error) {
	dir, versions = filepath.Join(w.Cache, "debian"), map[string]string{}
	note := func(name string) string { return filepath.Join(dir, name+".version") }
	var missing []string
	for _, p := range packages {
		version, err := os.ReadFile(note(p))
		if err != nil {
			missing = append(missing, p)
			continue
		}
		versions[p] = string(version)
	}
	if missing == nil {
		return dir, versions, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	fresh, err := unpack(ctx, dir, missing)
	if err != nil {
		return "", nil, fmt.Errorf("%s cannot be had: %w", strings.Join(missing, ", "), err)
	}
	for name, version := range fresh {
		if err := os.WriteFile(note(name), []byte(version), 0o644); err != nil {
			return "", nil, err
		}
		versions[name] = version
	}
	return dir, versions, nil
}

// unpack fetches packages and unpacks them; it returns their versions.
func unpack(ctx context.Context, dir string, names []string) (map[string]string, error) {
	tmp, err := os.MkdirTemp("", "sluice-bench-deb-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	run := func(command string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, command, args...)
		cmd.Dir = tmp
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%s: %w", command, err)
		}
		return strings.TrimSpace(string(out)), err
	}
	if _, err := run("apt-get", append([]string{"download"}, names...)...); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(files) != len(names) {
		return nil, fmt.Errorf("apt-get brought %d files", len(files))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for _, file := range files {
		if _, err := run("dpkg", "-x", file, dir); err != nil {
			return nil, err
		}
		out, err := run("dpkg-deb", "-W", "--showformat=${Package} ${Version}", file)
		if err != nil {
			return nil, err
		}
		name, version, _ := strings.Cut(out, " ")
		versions[name] = version
	}
	return versions, nil
}

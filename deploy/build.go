package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// keepBuilds is how many executables and folders of packages stay in the cache.
const keepBuilds = 256

// goHash is the digest of the sources of a Go build: the Go files of its module with go.mod and
// go.sum, and whatever lies beside files that embed. Modules that it replaces by folders, and those
// of its workspace, count too.
func (d *Deployer) goHash(ctx context.Context, b *sluice.Build) (string, error) {
	roots, err := goRoots(b.Dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, root := range roots {
		embedding := map[string]bool{}
		err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() {
				if _, err := os.Stat(filepath.Join(p, "go.mod")); p != root && (always[e.Name()] || e.Name() == "node_modules" || d.own(p) || err == nil) {
					return filepath.SkipDir // the last: a module of its own
				}
				return ctx.Err()
			}
			switch filepath.Ext(p) {
			case ".go", ".s", ".mod", ".sum", ".work":
			default:
				return nil
			}
			info, err := os.Stat(p)
			if err != nil || !info.Mode().IsRegular() {
				return nil // a broken link, which go ignores too
			}
			sum, err := d.sums.of(p, info)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s\x00%s\n", strings.TrimPrefix(p, root), sum)
			if code, err := os.ReadFile(p); err == nil && bytes.Contains(code, []byte("//go:embed")) {
				embedding[filepath.Dir(p)] = true
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		for _, dir := range slices.Sorted(maps.Keys(embedding)) {
			t, err := d.tree(ctx, dir, []string{"node_modules/"})
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s\x00%s\n", strings.TrimPrefix(dir, root), t.hash())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// goRoots are the folders whose sources a build in dir may use: its module, and what go.mod and
// go.work name by path. Without a module it is dir itself.
func goRoots(dir string) ([]string, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	module := above(dir, "go.mod")
	if module == "" {
		return []string{dir}, nil
	}
	roots := []string{module}
	add := func(file string) error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var words []string
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "//") // "// indirect" names no folder
			words = append(words, strings.Fields(line)...)
		}
		for _, word := range words {
			p := strings.Trim(word, `"`)
			if p == "." || strings.HasPrefix(p, "./") || strings.HasPrefix(p, "../") || filepath.IsAbs(p) {
				if !filepath.IsAbs(p) {
					p = filepath.Join(filepath.Dir(file), p)
				}
				if info, err := os.Stat(p); err == nil && info.IsDir() && !slices.Contains(roots, p) {
					roots = append(roots, p)
				}
			}
		}
		return nil
	}
	if err := add(filepath.Join(module, "go.mod")); err != nil {
		return nil, err
	}
	if work := above(dir, "go.work"); work != "" {
		if err := add(filepath.Join(work, "go.work")); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// above is the nearest folder, from dir upwards, that has a file called name; "" when none has.
func above(dir, name string) string {
	for {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// build makes a function's code in root, a fresh copy of it, runnable. Of a Go build it returns the
// hash of the sources.
func (a *apply) build(ctx context.Context, f *sluice.Function, root string) (src string, err error) {
	switch f.Build.Kind {
	case "go":
		return a.buildGo(ctx, f, root)
	case "shell":
		return "", a.step("build", "function", string(f.Name), func(log func(string)) error {
			if len(f.Build.Command) == 0 {
				return unbuilt(f, nil, "its build has no command")
			}
			cmd := command(ctx, root, log, f.Build.Command[0], f.Build.Command[1:]...)
			if err := cmd.run(); err != nil {
				e := unbuilt(f, err, "%s: %v", strings.Join(f.Build.Command, " "), err)
				e.Hint = cmd.last
				return e
			}
			return nil
		})
	}
	return "", unbuilt(f, nil, "unknown kind of build %q", f.Build.Kind)
}

// unbuilt says why a function's code cannot be made runnable.
func unbuilt(f *sluice.Function, err error, format string, args ...any) *sluice.Error {
	return &sluice.Error{Code: sluice.Invalid, At: f.At, Err: err,
		Msg: fmt.Sprintf("function %q: ", f.Name) + fmt.Sprintf(format, args...)}
}

// buildGo puts an executable into root, from the cache when its sources were compiled before.
func (a *apply) buildGo(ctx context.Context, f *sluice.Function, root string) (src string, err error) {
	b := f.Build
	if !filepath.IsLocal(filepath.FromSlash(b.Output)) {
		return "", unbuilt(f, nil, "build output %q is not within its code", b.Output)
	}
	version, err := a.d.version(ctx, "go", "version")
	if err != nil {
		e := unbuilt(f, err, "cannot run go: %v", err)
		e.Hint = `install Go, or build it yourself and leave the executable "` + b.Output + `" in the code's folder`
		return "", e
	}
	var cached string
	for try := 0; ; try++ {
		if src, err = a.d.goHash(ctx, b); err != nil {
			return "", unbuilt(f, err, "read Go sources: %v", err)
		}
		cached = filepath.Join(a.d.o.Dir, "_builds", hashOf(src, version, b.Dir, b.Package))
		if _, err := os.Stat(cached); err == nil {
			if try == 0 {
				a.say(Progress{Step: "build", Kind: "function", Name: string(f.Name), Status: Skipped, Text: "sources unchanged"})
			}
			break
		}
		if try == 3 {
			return "", unbuilt(f, nil, "its sources change while they are built")
		}
		if err := a.step("build", "function", string(f.Name), func(log func(string)) error {
			return a.compile(ctx, f, src, cached, log)
		}); err != nil {
			return "", err
		}
	}
	now := a.d.o.Now()
	os.Chtimes(cached, now, now) // used; an older one goes first
	out := filepath.Join(root, filepath.FromSlash(b.Output))
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	if err := os.Remove(out); err != nil && !missing(err) { // one that was built before and copied along
		return "", err
	}
	if os.Link(cached, out) == nil {
		return src, nil
	}
	return src, copyFile(out, cached, 0o555, now)
}

// compile runs go build into the file cached, unless the sources, whose hash was src, change
// meanwhile: then nobody knows what was compiled and it makes nothing.
func (a *apply) compile(ctx context.Context, f *sluice.Function, src, cached string, log func(string)) error {
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(cached), halfBuild)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var said []string
	out := filepath.Join(tmp, "out")
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, strings.Fields(f.Build.Package)...)
	cmd := command(ctx, f.Build.Dir, func(line string) {
		log(line)
		if line != "" && !strings.HasPrefix(line, "# ") && len(said) < 20 {
			said = append(said, line)
		}
	}, "go", args...)
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if err := cmd.run(); err != nil {
		if len(said) == 0 {
			said = []string{err.Error()}
		}
		return unbuilt(f, err, "go build in %s:\n\t%s", f.Build.Dir, strings.Join(said, "\n\t"))
	}
	info, err := os.Stat(out)
	if err != nil || info.IsDir() {
		return unbuilt(f, err, "package %s in %s is not a program", f.Build.Package, f.Build.Dir)
	}
	if now, err := a.d.goHash(ctx, f.Build); err != nil || now != src {
		return err
	}
	if err := os.Chmod(out, 0o555); err != nil {
		return err
	}
	return os.Rename(out, cached)
}

// version is what a program tells of its version, asked once.
func (d *Deployer) version(ctx context.Context, program, arg string) (string, error) {
	d.mu.Lock()
	v := d.versions[program]
	d.mu.Unlock()
	if v != "" {
		return v, nil
	}
	out, err := exec.CommandContext(ctx, program, arg).Output()
	if err != nil {
		return "", err
	}
	v = strings.TrimSpace(string(out))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.versions == nil {
		d.versions = map[string]string{}
	}
	d.versions[program] = v
	return v, nil
}

// halfBuild is how the folders of builds that are under way begin.
const halfBuild = "tmp-"

// dropHalfBuilds removes what a process left that died while it built.
func (d *Deployer) dropHalfBuilds() error {
	left, err := filepath.Glob(filepath.Join(d.o.Dir, "_builds", halfBuild+"*"))
	if err != nil {
		return nil // the folder's own name is a pattern: what is left there stays
	}
	var errs []error
	for _, dir := range left {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// pruneBuilds drops the builds that were not used for longest.
func (d *Deployer) pruneBuilds() error {
	dir := filepath.Join(d.o.Dir, "_builds")
	entries, err := os.ReadDir(dir)
	if missing(err) || len(entries) <= keepBuilds {
		return nil
	}
	if err != nil {
		return err
	}
	type used struct {
		name string
		at   time.Time
	}
	var list []used
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), halfBuild) {
			list = append(list, used{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b used) int { return b.at.Compare(a.at) })
	var errs []error
	for _, u := range list[min(keepBuilds, len(list)):] {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, u.name)))
	}
	return errors.Join(errs...)
}

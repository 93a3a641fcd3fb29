package deploy

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/sluicehq/sluice"
)

// npmFiles and pipFiles are what tells which packages a folder needs.
var (
	npmFiles = regexp.MustCompile(`^(package\.json|package-lock\.json|npm-shrinkwrap\.json|\.npmrc)$`)
	pipFiles = regexp.MustCompile(`^[^/]*\.(txt|in|toml|cfg)$`)
	// ownScripts are in a package.json whose packages depend on the folder's other files, too.
	ownScripts = regexp.MustCompile(`"(preinstall|install|postinstall|prepare)"\s*:|"(file|link|workspace):`)
)

// manifest is the hash of the files of t that match; false when there are none.
func (t tree) manifest(re *regexp.Regexp) (string, bool) {
	var some tree
	for _, f := range t {
		if re.MatchString(f.rel) {
			some = append(some, f)
		}
	}
	return some.hash(), len(some) > 0
}

// npm puts the packages that a package.json names into node_modules of root.
func (a *apply) npm(ctx context.Context, f *sluice.Function, b *sluice.Build, t tree, root string) error {
	dir, err := a.modules(ctx, f, b, t)
	if err != nil || dir == "" {
		return err
	}
	return a.lay(ctx, f, filepath.Join(dir, "node_modules"), filepath.Join(root, "node_modules"))
}

// modules is the folder of the cache with the node_modules for the package.json of t; "" when it has none.
func (a *apply) modules(ctx context.Context, f *sluice.Function, b *sluice.Build, t tree) (string, error) {
	sum, ok := t.manifest(npmFiles)
	if !ok {
		return "", nil
	}
	if text, err := os.ReadFile(filepath.Join(b.Dir, "package.json")); err == nil && ownScripts.Match(text) {
		sum = t.hash()
	}
	locked, _ := t.manifest(regexp.MustCompile(`^(package-lock|npm-shrinkwrap)\.json$`))
	node, _ := a.d.version(ctx, "node", "--version") // compiled modules fit one only
	return a.cached(ctx, f, hashOf("npm", sum, node, runtime.GOOS, runtime.GOARCH), func(dir string, log func(string)) error {
		if err := scratch(t, dir); err != nil {
			return err
		}
		args := []string{"install", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock"}
		if locked != (tree)(nil).hash() {
			args = []string{"ci", "--omit=dev", "--no-audit", "--no-fund"}
		}
		if err := a.tool(ctx, f, log, dir, nil, "npm", args...); err != nil {
			return err
		}
		return keepOnly(dir, "node_modules")
	})
}

// pip puts the packages that requirements.txt names into a folder of root.
func (a *apply) pip(ctx context.Context, f *sluice.Function, b *sluice.Build, t tree, root string) error {
	sum, _ := t.manifest(pipFiles)
	python, _ := a.d.version(ctx, "python3", "--version")
	dir, err := a.cached(ctx, f, hashOf("pip", sum, f.Runtime, python, runtime.GOOS, runtime.GOARCH), func(dir string, log func(string)) error {
		src := filepath.Join(dir, "src")
		if err := scratch(t, src); err != nil {
			return err
		}
		if err := a.tool(ctx, f, log, src, nil, "python3", "-m", "pip", "install", "-r", "requirements.txt", "-t", filepath.Join(dir, "packages"),
			"--no-input", "--disable-pip-version-check", "--no-warn-script-location"); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, "packages"), 0o755); err != nil {
			return err
		}
		return keepOnly(dir, "packages")
	})
	if err != nil {
		return err
	}
	return a.lay(ctx, f, filepath.Join(dir, "packages"), filepath.Join(root, filepath.FromSlash(b.Output)))
}

// makefile has the Makefile of the code make root.
func (a *apply) makefile(ctx context.Context, f *sluice.Function, b *sluice.Build, t tree, root string) error {
	if len(b.Command) != 1 {
		return unbuilt(f, nil, "its build has no target")
	}
	dir, err := a.cached(ctx, f, hashOf("make", t.hash(), b.Command, runtime.GOOS, runtime.GOARCH), func(dir string, log func(string)) error {
		src, out := filepath.Join(dir, "src"), filepath.Join(dir, "out")
		if err := scratch(t, src); err != nil {
			return err
		}
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		if err := a.tool(ctx, f, log, src, []string{"ARTIFACTS_DIR=" + out}, "make", b.Command[0], "ARTIFACTS_DIR="+out); err != nil {
			return err
		}
		return keepOnly(dir, "out")
	})
	if err != nil {
		return err
	}
	return a.lay(ctx, f, filepath.Join(dir, "out"), root)
}

// tool runs a program of a build. Its error tells the last lines that it said.
func (a *apply) tool(ctx context.Context, f *sluice.Function, log func(string), dir string, env []string, name string, args ...string) error {
	var said []string
	cmd := command(ctx, dir, func(line string) {
		log(line)
		if strings.TrimSpace(line) != "" {
			if said = append(said, line); len(said) > 8 {
				said = said[1:]
			}
		}
	}, name, args...)
	cmd.Env = append(cmd.Env, env...)
	err := cmd.run()
	if err == nil {
		return nil
	}
	text := name + " " + args[0] + ": " + err.Error()
	if len(said) > 0 {
		text += "\n\t" + strings.Join(said, "\n\t")
	}
	e := unbuilt(f, err, "%s", text)
	e.Hint = "do it by hand and leave what it makes in the code's folder, or deploy with --no-build"
	return e
}

// cached is a folder of the cache, made by make when it is not there. What it holds becomes read-only.
func (a *apply) cached(ctx context.Context, f *sluice.Function, key string, make func(dir string, log func(string)) error) (string, error) {
	lock := a.key(key)
	lock.Lock()
	defer lock.Unlock()
	dir := filepath.Join(a.d.o.Dir, "_builds", key)
	now := a.d.o.Now()
	if _, err := os.Stat(dir); err == nil {
		a.say(Progress{Step: "build", Kind: "function", Name: string(f.Name), Status: Skipped, Text: "sources unchanged"})
		return dir, os.Chtimes(dir, now, now) // used; an older one goes first
	}
	return dir, a.step("build", "function", string(f.Name), func(log func(string)) error {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		tmp, err := os.MkdirTemp(filepath.Dir(dir), halfBuild)
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		if err := make(tmp, log); err != nil {
			return err
		}
		if err := chmod(tmp, func(m fs.FileMode) fs.FileMode { return (&file{mode: m}).copyMode() }); err != nil {
			return err
		}
		if err := os.Chmod(tmp, 0o755); err != nil {
			return err
		}
		return os.Rename(tmp, dir)
	})
}

// key is the lock of one build, so that functions that share it do not make it twice.
func (a *apply) key(key string) *sync.Mutex {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.locks == nil {
		a.locks = map[string]*sync.Mutex{}
	}
	if a.locks[key] == nil {
		a.locks[key] = &sync.Mutex{}
	}
	return a.locks[key]
}

// lay links what a build has made over the files of root.
func (a *apply) lay(ctx context.Context, f *sluice.Function, from, root string) error {
	t, _, err := a.looks.tree(ctx, from, nil)
	if missing(err) {
		return nil // it made nothing, for there was nothing to make
	}
	if err == nil {
		err = t.over(root)
	}
	return placed(err, "function "+string(f.Name), f.At)
}

// scratch is a copy of t that a build may write to.
func scratch(t tree, dir string) error {
	if err := t.copyTo(dir, nil); err != nil {
		return err
	}
	return chmod(dir, func(m fs.FileMode) fs.FileMode { return m | 0o600 })
}

// chmod changes the modes of the files below dir.
func chmod(dir string, to func(fs.FileMode) fs.FileMode) error {
	return filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return os.Chmod(p, to(info.Mode().Perm()))
	})
}

// keepOnly removes everything in dir but one entry.
func keepOnly(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != name {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

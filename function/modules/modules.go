// Package modules provides what a cloud's runtimes carry besides a function's own code: the vendor's SDK
// for Node and Python. It is not in our binary: npm or pip fetches it when a function first needs it.
package modules

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/sluicehq/sluice"
)

// maxSource is the size in bytes above which a file is no code that someone wrote.
const maxSource = 1 << 20

// Language is how modules are named, looked for and fetched.
type Language struct {
	files    []string       // endings of source files
	required *regexp.Regexp // finds the names of modules in a source, with commas between them
	within   string         // between a module's name and the path to a part of it
	folder   string         // of the modules, within the folder that the tool fills
	own      string         // of a function's own modules, within its code
	tool     string
	install  func(dir string, packages []string) []string // the tool's arguments
	hint     string
}

// Node is fetched by npm.
var Node = Language{
	files:    []string{".js", ".cjs", ".mjs"},
	required: regexp.MustCompile(`(?:\brequire\s*\(|\bimport\s*\(|\bfrom|\bimport)\s*["']([^"'./][^"',]*)["']`),
	within:   "/",
	folder:   "node_modules",
	own:      "node_modules",
	tool:     "npm",
	install: func(dir string, packages []string) []string {
		return append([]string{"install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--loglevel=error"}, packages...)
	},
	hint: "install npm (it comes with Node.js) or add them to the function's package.json",
}

// Python is fetched by pip.
var Python = Language{
	files:    []string{".py"},
	required: regexp.MustCompile(`(?m)^[ \t]*(?:import|from)[ \t]+([A-Za-z_][\w. \t,]*)`),
	within:   ".",
	folder:   "site",
	own:      "",
	tool:     "python3",
	install: func(dir string, packages []string) []string {
		return append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--target", filepath.Join(dir, "site")}, packages...)
	},
	hint: "install pip (Debian: python3-pip) or bring them with the function's code",
}

// Set is what one family of runtimes carries. It is safe for concurrent use; its fields are not changed.
type Set struct {
	Language
	// Dir gets a folder for each combination of modules that was asked for.
	Dir string
	// Base are the packages that are fetched together when a function needs one of them, as the tool is
	// asked for them: "tablestore@5", "boto3". Their names are what comes before the @.
	Base []string
	// More is how the tool is asked for a module that the runtimes carry besides Base, "" when they do not;
	// it is fetched beside those when a function needs it. nil is none.
	More func(name string) string
	Log  *slog.Logger

	mu sync.Mutex // one fetch at a time
}

// Path is the folder of modules for a function whose code is in dir; "" when the code brings all that
// it asks for, or asks for nothing that is in the Set.
func (s *Set) Path(ctx context.Context, f sluice.FunctionName, dir string) (string, error) {
	missing, err := s.lacks(dir)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	packages := slices.Clone(s.Base)
	for _, name := range missing {
		if !slices.ContainsFunc(s.Base, func(b string) bool { return nameOf(b) == name }) {
			packages = append(packages, s.More(name))
		}
	}
	at, err := s.fetch(ctx, packages)
	if err != nil {
		list := strings.Join(missing, ", ")
		return "", &sluice.Error{Code: sluice.Unavailable, Err: err,
			Msg:  fmt.Sprintf("function %q needs %s, which its code does not bring; %s could not fetch the modules of the cloud's runtime: %v", f, list, s.tool, err),
			Hint: s.hint + ", and deploy again"}
	}
	return at, nil
}

// fetch fills a folder unless it is full. It shows up whole or not at all.
func (s *Set) fetch(ctx context.Context, packages []string) (string, error) {
	slices.Sort(packages[len(s.Base):])
	sum := sha256.Sum256([]byte(strings.Join(packages, " ")))
	dir := filepath.Join(s.Dir, hex.EncodeToString(sum[:6]))
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(dir, s.folder), err
	}
	s.Log.Info("fetch the modules that the cloud's runtimes carry", "modules", strings.Join(packages, " "))
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(s.Dir, "fetch-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, s.tool, s.install(tmp, packages)...)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		last := bytes.TrimSpace(out)
		return "", fmt.Errorf("%w %s", err, last[bytes.LastIndexByte(last, '\n')+1:])
	}
	return filepath.Join(dir, s.folder), os.Rename(tmp, dir)
}

// nameOf is a package's name without its version.
func nameOf(pkg string) string {
	if i := strings.LastIndexByte(pkg, '@'); i > 0 {
		return pkg[:i]
	}
	return pkg
}

// carries is the name of the module of the Set that a requirement is for; "" when it is for none.
func (s *Set) carries(required string) string {
	for _, b := range s.Base {
		if name := nameOf(b); required == name || strings.HasPrefix(required, name+s.within) {
			return name
		}
	}
	if s.More == nil {
		return ""
	}
	parts := strings.SplitN(required, s.within, 3) // of a path into a module, only the module counts
	if n := min(len(parts), 2); strings.HasPrefix(required, "@") {
		required = strings.Join(parts[:n], s.within)
	} else {
		required = parts[0]
	}
	if s.More(required) != "" {
		return required
	}
	return ""
}

// lacks lists the modules of the Set that the code in a folder asks for and does not have.
func (s *Set) lacks(dir string) ([]string, error) {
	var missing []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "site-packages") {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() || !slices.Contains(s.files, filepath.Ext(path)) {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > maxSource {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range s.required.FindAllSubmatch(text, -1) {
			for part := range strings.SplitSeq(string(found[1]), ",") {
				part, _, _ = strings.Cut(strings.TrimSpace(part), " ") // "boto3 as b", "boto3 import x"
				name := s.carries(part)
				if name == "" || slices.Contains(missing, name) {
					continue
				}
				if _, err := os.Stat(filepath.Join(dir, s.own, filepath.FromSlash(name))); err != nil {
					missing = append(missing, name)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for required modules: %w", err)
	}
	return missing, nil
}

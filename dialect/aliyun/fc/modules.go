package fc

import (
	"bytes"
	"context"
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

// bundled are the modules that the cloud's node images carry besides a function's own, as npm is asked
// for them (section 3.4).
var bundled = []string{"tablestore@5", "ali-oss@6", "co", "raw-body", "body", "@alicloud/fc2"}

// maxSource is the size in bytes above which a file is no code that someone wrote.
const maxSource = 1 << 20

// Modules is the folder of the modules that node functions find without bringing them. It is filled by
// npm when a function first needs one. It is safe for concurrent use.
type Modules struct {
	Dir string // gets node_modules
	Log *slog.Logger

	mu sync.Mutex // one installation at a time
}

// Path is the folder that belongs at the end of NODE_PATH of a function whose code is in dir; "" when
// the code brings all that it requires.
func (m *Modules) Path(ctx context.Context, f sluice.FunctionName, dir string) (string, error) {
	missing, err := lacks(dir)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	if err := m.install(ctx); err != nil {
		return "", &sluice.Error{Code: sluice.Unavailable, Err: err,
			Msg:  fmt.Sprintf("function %q requires %s, which its code does not bring; npm could not install the modules of the cloud's runtime: %v", f, strings.Join(missing, ", "), err),
			Hint: "install npm (it comes with Node.js) or add " + strings.Join(missing, ", ") + " to the function's package.json, and deploy again"}
	}
	return filepath.Join(m.Dir, "node_modules"), nil
}

// install fills the folder unless it is full. It shows up whole or not at all.
func (m *Modules) install(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := os.Stat(m.Dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.Log.Info("install the modules that the cloud's node runtimes carry", "modules", strings.Join(bundled, " "))
	if err := os.MkdirAll(filepath.Dir(m.Dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(m.Dir), "install-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	args := append([]string{"install", "--prefix", tmp, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--loglevel=error"}, bundled...)
	cmd := exec.CommandContext(ctx, "npm", args...)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		last := bytes.TrimSpace(out)
		last = last[bytes.LastIndexByte(last, '\n')+1:]
		return fmt.Errorf("%w %s", err, last)
	}
	return os.Rename(tmp, m.Dir)
}

// required finds the names of modules in a source: require("x"), import … from "x", import("x").
var required = regexp.MustCompile(`(?:\brequire\s*\(|\bimport\s*\(|\bfrom|\bimport)\s*["']([^"'./][^"']*)["']`)

// lacks lists the bundled modules that the code in a folder requires and does not have.
func lacks(dir string) ([]string, error) {
	var missing []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); !d.Type().IsRegular() || ext != ".js" && ext != ".cjs" && ext != ".mjs" {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > maxSource {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range required.FindAllSubmatch(text, -1) {
			for _, b := range bundled {
				name := b
				if i := strings.LastIndexByte(b, '@'); i > 0 {
					name = b[:i]
				}
				if req := string(found[1]); req != name && !strings.HasPrefix(req, name+"/") || slices.Contains(missing, name) {
					continue
				}
				if _, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(name))); err != nil {
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

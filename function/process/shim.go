package process

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/function"
)

// bootTries is how often a boot that dies is tried: it is not the function's doing.
const bootTries = 3

// embedded are the files of a shim, name → text.
func embedded(fsys embed.FS) map[string]string {
	files := map[string]string{}
	names, _ := fs.Glob(fsys, "*")
	for _, name := range names {
		b, _ := fsys.ReadFile(name) // embedded: it is there
		files[name] = string(b)
	}
	return files
}

// install writes a shim's files into a folder within dir that is named by their hash, and returns it.
func install(dir string, files map[string]string) (string, error) {
	h := sha256.New()
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		fmt.Fprintf(h, "%s %d\n%s", name, len(files[name]), files[name])
	}
	dir, err := filepath.Abs(filepath.Join(dir, hex.EncodeToString(h.Sum(nil)[:8])))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	for _, name := range names {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o644)
		}
	}
	if err != nil {
		return "", fmt.Errorf("write shim: %w", err)
	}
	return dir, nil
}

// bootEnvironment is what of a version's environment must be there before a process boots, in order.
// LD_LIBRARY_PATH names the folder of each revision of each function, and few have libraries: only folders
// that do count, so that a process that was booted before will do.
func bootEnvironment(v *function.Version, needed func(name string) bool) []string {
	var env []string
	for name, val := range v.Env {
		if !needed(name) {
			continue
		}
		if name == "LD_LIBRARY_PATH" {
			if val = withLibraries(val); val == "" {
				continue
			}
		}
		env = append(env, name+"="+val)
	}
	slices.Sort(env)
	return env
}

// withLibraries are the folders of a path list that hold shared libraries.
func withLibraries(list string) string {
	return strings.Join(slices.DeleteFunc(filepath.SplitList(list), func(dir string) bool {
		found, _ := filepath.Glob(filepath.Join(dir, "lib*.so*"))
		return len(found) == 0
	}), string(filepath.ListSeparator))
}

// hello waits until a process that was just started says HELLO, and returns the program that it is, which
// the one in PATH may only lead to. A process that does not is killed.
func (i *instance) hello(ctx context.Context, language string) (exec string, err error) {
	f, err := i.control(ctx)
	if err == nil && f.kind != frameHello {
		err = errFrame
	}
	if err != nil {
		text := i.kill()
		if errors.Is(err, errDead) {
			err = fmt.Errorf("%w at its start: %s%s", errDead, text, i.lastWords())
		}
		return "", fmt.Errorf("boot %s: %w", language, err)
	}
	var meta struct{ Exec string }
	json.Unmarshal(f.meta, &meta) // "" does as well
	return meta.Exec, nil
}

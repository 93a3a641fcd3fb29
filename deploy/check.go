package deploy

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

var (
	//go:embed check.cjs
	checkNode string
	//go:embed check.py
	checkPython string
)

// checkTime bounds one look at a function's files, which takes a tenth of a second.
const checkTime = 20 * time.Second

// maxChecked bounds how many codes without a fault are remembered; beyond it they are looked at again.
const maxChecked = 10_000

// check refuses the code of a function in root, whose hash is files, when the files that its handlers
// begin with have syntax errors, or the function's own files that those load: a start would fail, and
// the former revision would not serve any more. What cannot be told here shows when it is called.
//
// Only code of a template's folder is checked. Code that came by a cloud's API is taken as it is, for
// the clouds take it, too.
func (a *apply) check(ctx context.Context, app *sluice.App, f *sluice.Function, root, files string) error {
	var program string
	var args []string
	var entries []string
	switch rt := strings.ToLower(f.Runtime); {
	case app.Template == "":
		return nil
	case strings.HasPrefix(rt, "nodejs"):
		program, args = "node", []string{"--no-warnings", "--experimental-vm-modules", "-e", checkNode, "--"}
		entries = entryFiles(f, root, ".js", ".mjs", ".cjs", "/index.js")
	case strings.HasPrefix(rt, "python3"):
		program, args = "python3", []string{"-I", "-W", "ignore", "-c", checkPython}
		entries = entryFiles(f, root, ".py", "/__init__.py")
	}
	if len(entries) == 0 {
		return nil
	}
	key := hashOf(files, program, entries, f.Files, f.Build)
	if a.d.checked(key, false) {
		return nil
	}
	err := a.step("check", "function", string(f.Name), func(log func(string)) error {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, append(append(args, root), entries...)...)
		cmd.Dir, cmd.WaitDelay = root, time.Second
		killGroup(cmd)
		out, err := cmd.Output()
		var errs []error
		for line := range bytes.Lines(out) {
			var fault struct {
				File string
				Line int
				Text string
			}
			if json.Unmarshal(line, &fault) == nil && fault.File != "" {
				errs = append(errs, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: written(app, f, fault.File), Line: fault.Line},
					Msg: fault.Text, Hint: "function \"" + string(f.Name) + "\" would not start; what was deployed before goes on serving"})
			}
		}
		if err != nil && len(errs) == 0 {
			log("cannot be checked: " + err.Error()) // no such program, or too old: the start will tell
		}
		return errors.Join(errs...)
	})
	if err == nil && ctx.Err() == nil {
		a.d.checked(key, true)
	}
	return err
}

// entryFiles are the files in root, relative to it, that the function's handlers begin with. A handler
// is file.name; clouds and runtimes differ in whether more dots are the file's, the name's or folders.
func entryFiles(f *sluice.Function, root string, endings ...string) []string {
	var found []string
	for _, h := range []string{f.Handler, f.Initializer, f.PreStop, f.PreFreeze} {
		dir, base := filepath.Split(h)
		last, first := strings.LastIndexByte(base, '.'), strings.IndexByte(base, '.')
		if last <= 0 {
			continue
		}
	search:
		for _, stem := range []string{dir + base[:last], dir + strings.ReplaceAll(base[:last], ".", "/"), dir + base[:first]} {
			for _, ending := range endings {
				rel := filepath.FromSlash(stem + ending)
				if info, err := os.Stat(filepath.Join(root, rel)); err == nil && info.Mode().IsRegular() && filepath.IsLocal(rel) {
					found = append(found, rel)
					break search
				}
			}
		}
	}
	return found
}

// written is a file of a function's code as its developer would name it: relative to the template.
func written(app *sluice.App, f *sluice.Function, rel string) string {
	source := filepath.Join(f.Code, rel)
	if _, err := os.Stat(source); err != nil {
		return filepath.ToSlash(rel) // a build has made it
	}
	if back, err := filepath.Rel(app.Dir, source); err == nil && filepath.IsLocal(back) {
		return filepath.ToSlash(back)
	}
	return source
}

// checked reports whether code was found without a fault before, or notes that it was.
func (d *Deployer) checked(key string, note bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if note {
		if d.clean == nil || len(d.clean) >= maxChecked {
			d.clean = map[string]bool{}
		}
		d.clean[key] = true
	}
	return d.clean[key]
}

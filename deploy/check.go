package deploy

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
)

var (
	//go:embed check.cjs
	checkNode string
	//go:embed check.py
	checkPython string
)

// checkTime bounds one program's look at the files of checkedAtOnce functions. A start of the program
// takes a tenth of a second, and a function hardly anything: so it stays for checkIdle, for the next file
// that somebody saves.
const (
	checkTime     = time.Minute
	checkedAtOnce = 50
	checkIdle     = 10 * time.Minute
)

// maxChecked bounds how many codes without a fault are remembered; beyond it they are looked at again.
const maxChecked = 10_000

// suspect is a function whose code may have syntax errors.
type suspect struct {
	f       *sluice.Function
	Root    string   `json:"root"`
	Entries []string `json:"entries"` // files in Root that its handlers begin with
	key     string   // of what is remembered
}

// checker is a program that looks for syntax errors. It runs from its first use on, until none has come for
// checkIdle or its Deployer is closed.
type checker struct {
	program string
	args    []string

	mu   sync.Mutex // held while it looks; guards the fields below
	kill func()     // ends the process; nil when none runs
	cmd  *exec.Cmd
	in   io.Writer
	out  *bufio.Reader
	idle *time.Timer
}

func newCheckers() (node, python *checker) {
	return &checker{program: "node", args: []string{"--no-warnings", "--experimental-vm-modules", "-e", checkNode}},
		&checker{program: "python3", args: []string{"-I", "-W", "ignore", "-c", checkPython}}
}

// check refuses functions whose code, in the roots and with the hashes that next has for it, has syntax
// errors in the files that their handlers begin with or in the functions' own files that those load: a
// start would fail, and the former revision would not serve any more. What cannot be told here shows when
// it is called.
//
// Only code of a template's folder is checked. Code that came by a cloud's API is taken as it is, for
// the clouds take it, too.
func (a *apply) check(ctx context.Context, next *Revision, functions []*sluice.Function) error {
	if next.App.Template == "" {
		return nil
	}
	node, python := a.d.node, a.d.python
	todo := map[*checker][]suspect{}
	for _, f := range functions {
		by, endings := node, []string{".js", ".mjs", ".cjs", "/index.js"}
		switch rt := strings.ToLower(f.Runtime); {
		case strings.HasPrefix(rt, "nodejs"):
		case strings.HasPrefix(rt, "python3"):
			by, endings = python, []string{".py", "/__init__.py"}
		default:
			continue
		}
		s := suspect{f: f, Root: a.d.abs(next.Code[f.Name].Root)}
		if s.Entries = entryFiles(f, s.Root, endings...); len(s.Entries) == 0 {
			continue
		}
		s.key = hashOf(next.Prints["function/"+string(f.Name)].Files, by.program, s.Entries, f.Files, f.Build)
		if !a.d.checked(s.key, false) {
			todo[by] = append(todo[by], s)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	return a.step("check", "app", string(next.App.Name), func(log func(string)) error {
		var errs []error
		for _, by := range []*checker{node, python} {
			for some := range slices.Chunk(todo[by], checkedAtOnce) {
				found, err := by.look(ctx, next.App, some)
				if err != nil && len(found) == 0 {
					log("cannot be checked: " + err.Error()) // no such program, or too old: the start will tell
				}
				if len(found) == 0 && ctx.Err() == nil {
					for _, s := range some {
						a.d.checked(s.key, true)
					}
				}
				errs = append(errs, found...)
			}
		}
		return errors.Join(errs...)
	})
}

// look returns the faults of functions' code; err is why there may be more.
func (c *checker) look(ctx context.Context, app *sluice.App, functions []suspect) (faults []error, err error) {
	todo, err := json.Marshal(functions)
	if err != nil {
		return nil, err
	}
	lines, err := c.ask(ctx, todo)
	for _, line := range lines {
		fault := struct {
			Function int
			File     string
			Line     int
			Text     string
		}{Function: -1}
		if json.Unmarshal(line, &fault) == nil && fault.Function >= 0 && fault.Function < len(functions) {
			f := functions[fault.Function].f
			faults = append(faults, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: written(app, f, fault.File), Line: fault.Line},
				Msg: fault.Text, Hint: "function \"" + string(f.Name) + "\" would not start; what was deployed before goes on serving"})
		}
	}
	return faults, err
}

// ask hands the program one line and returns those that it says to it. Whatever goes wrong ends it; a
// process that was there before may have died meanwhile, and another one is asked then.
func (c *checker) ask(ctx context.Context, line []byte) (said [][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		fresh := c.kill == nil
		if fresh {
			if err := c.start(); err != nil {
				return nil, err
			}
		}
		said, err = c.exchange(ctx, line)
		if err == nil {
			c.idle.Reset(checkIdle)
			return said, nil
		}
		if ended := c.end(); ended != nil && errors.Is(err, io.EOF) {
			err = ended
		}
		if fresh || len(said) > 0 || ctx.Err() != nil {
			return said, err
		}
	}
}

// exchange is one question and its answers; mu is held.
func (c *checker) exchange(ctx context.Context, line []byte) (said [][]byte, err error) {
	defer context.AfterFunc(ctx, c.kill)()
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	for {
		text, err := c.out.ReadBytes('\n')
		if err != nil || string(bytes.TrimSpace(text)) == "{}" {
			return said, err
		}
		said = append(said, text)
	}
}

// start starts the program; mu is held.
func (c *checker) start() error {
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, c.program, c.args...)
	cmd.WaitDelay = time.Second
	killGroup(cmd)
	in, err := cmd.StdinPipe()
	if err == nil {
		c.in = in
		var out io.Reader
		out, err = cmd.StdoutPipe()
		c.out = bufio.NewReader(out)
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		kill()
		return err
	}
	c.cmd, c.kill, c.idle = cmd, kill, time.AfterFunc(checkIdle, c.close)
	return nil
}

// end ends the program, if it runs, and says how it has; mu is held.
func (c *checker) end() error {
	if c.kill == nil {
		return nil
	}
	c.idle.Stop()
	c.kill()
	c.kill = nil
	return c.cmd.Wait()
}

// close ends the program.
func (c *checker) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
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

package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/sluicehq/sluice"
)

// Status says where a piece of work is.
type Status string

// The statuses. Log carries one line of output of work that started.
const (
	Started Status = "start"
	Done    Status = "done"
	Failed  Status = "fail"
	Skipped Status = "skip"
	Log     Status = "log"
)

// Progress is one thing that happened during Apply.
type Progress struct {
	Step   string        `json:"step"` // run, build, copy, check, upload, mount, or a Verb
	Kind   string        `json:"kind"` // as in Step.Kind
	Name   string        `json:"name"`
	Status Status        `json:"status"`
	Took   time.Duration `json:"took,omitempty"` // of Done and Failed
	Text   string        `json:"text,omitempty"` // why skipped, how it failed, or the line of a Log
}

// installers are commands that look at the manifests of packages and at nothing else: npm and its like,
// and pip with a file of requirements.
var installers = regexp.MustCompile(`^\s*(npm (i|install|ci)|yarn( install)?|pnpm (i|install))(\s+--?[\w=:/.-]+)*\s*$|` +
	`^\s*(python[\d.]* -m )?pip[\d.]* install(\s+(-[rtic]|--(requirement|target|index-url|trusted-host|constraint))[ =]?[\w=:/.-]+|\s+--?[\w=:/.-]+)*\s*$`)

// Where pip finds its requirements, and the folder that it installs into.
var (
	pipReads = regexp.MustCompile(`\s(?:-r|-c|--requirement|--constraint)[ =]?([\w/.-]+)`)
	pipMakes = regexp.MustCompile(`\s(?:-t|--target)[ =]?([\w/.-]+)`)
)

// manifests are what they look at, and what they make.
var manifests = []string{"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "yarn.lock", "pnpm-lock.yaml"}

// stamp is a digest by which to tell whether an action has to run again. It changes when any file of
// its folder was touched; with Given when one's content changed, for that is how a thing is done once,
// though each deploy may come from a folder of its own; with an installer only when a manifest was, so that saving a source file
// during development does not install everything anew.
func (d *Deployer) stamp(ctx context.Context, act *sluice.Action) (string, error) {
	if act.Given != "" {
		t, err := d.tree(ctx, act.Dir, nil)
		return t.hash(), err
	}
	if !installers.MatchString(act.Run) {
		return d.touched(ctx, act.Dir)
	}
	if _, err := os.Stat(act.Dir); err != nil {
		return "", err
	}
	files, made := slices.Clone(manifests), "node_modules"
	for _, m := range pipReads.FindAllStringSubmatch(act.Run, -1) {
		files = append(files, m[1])
	}
	if m := pipMakes.FindStringSubmatch(act.Run); m != nil {
		made = m[1]
	}
	var sums []string
	for _, name := range files {
		path := filepath.Join(act.Dir, name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		sum, err := d.sums.of(path, info)
		if err != nil {
			return "", err
		}
		sums = append(sums, name, sum)
	}
	_, err := os.Stat(filepath.Join(act.Dir, made))
	return hashOf(sums, err == nil), nil
}

// settings is a digest of what an action says, but for its files.
func settings(act *sluice.Action) string {
	if act.Given == "" {
		return hashOf(act.When, act.Run)
	}
	return hashOf(act.When, act.Run, act.Given)
}

// run runs a template's command and streams its output as Log.
func (a *apply) run(ctx context.Context, app *sluice.App, act *sluice.Action) error {
	return a.step("run", "action", act.Run, func(log func(string)) error {
		cmd := command(ctx, act.Dir, log, "sh", "-c", act.Run)
		files, err := writeFiles(act.Files)
		if err != nil {
			return fmt.Errorf("write files of action %q: %w", act.Run, err)
		}
		if files != "" {
			defer os.RemoveAll(files)
			cmd.Env = append(cmd.Env, "SLUICE_FILES="+files)
		}
		if a.d.o.Environment != nil {
			env, err := a.d.o.Environment(ctx, app)
			if err != nil {
				return err
			}
			cmd.Env = append(cmd.Env, env...)
		}
		err = cmd.run()
		if err == nil && files != "" && a.answered != nil {
			return placed(a.answered(files), fmt.Sprintf("action %q", act.Run), act.At)
		}
		if err == nil {
			return nil
		}
		e := &sluice.Error{Code: sluice.Invalid, At: act.At, Err: err, Msg: fmt.Sprintf("action %q: %v", act.Run, err)}
		if cmd.last != "" {
			e.Msg += ": " + cmd.last
		}
		e.Hint = "it ran in " + act.Dir + "; run it there by hand to see more"
		if missing(err) {
			e.Hint = ""
		}
		return e
	})
}

// writeFiles writes an action's files to a folder of their own, "" when there are none.
func writeFiles(files map[string]string) (string, error) {
	if len(files) == 0 {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "sluice-action-*")
	if err != nil {
		return "", err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// process is a command whose output goes to log line by line.
type process struct {
	*exec.Cmd
	lines
	last string // the last line that was not empty
}

// command prepares a command. When ctx ends it is killed with its children.
func command(ctx context.Context, dir string, log func(string), name string, args ...string) *process {
	p := &process{Cmd: exec.CommandContext(ctx, name, args...)}
	p.lines.emit = func(line string) {
		if line != "" {
			p.last = line
		}
		log(line)
	}
	p.Dir, p.Stdout, p.Stderr = dir, &p.lines, &p.lines
	p.Env = append(os.Environ(), "PWD="+dir)
	p.WaitDelay = 2 * time.Second
	killGroup(p.Cmd)
	return p
}

func (p *process) run() error {
	err := p.Run()
	p.lines.flush()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it left something behind that holds its output; it itself succeeded
	}
	return err
}

// lines cuts what is written to it into lines. os/exec writes from one goroutine, for both outputs
// are the same Writer.
type lines struct {
	buf  []byte
	emit func(string)
}

const maxLine = 16 << 10 // bytes; longer lines are cut in pieces

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		i := bytes.IndexByte(l.buf, '\n')
		if i < 0 && len(l.buf) >= maxLine {
			i = maxLine - 1
		}
		if i < 0 {
			return len(p), nil
		}
		l.emit(string(bytes.TrimRight(l.buf[:i+1], "\r\n")))
		l.buf = l.buf[i+1:]
	}
}

func (l *lines) flush() {
	if len(l.buf) > 0 {
		l.emit(string(l.buf))
		l.buf = nil
	}
}

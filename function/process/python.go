package process

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

//go:embed *.py
var pythonShims embed.FS

// PythonOptions set up a Python starter. The zero value of each field but Dir is right.
type PythonOptions struct {
	// Dir gets the shim's files, in a folder named by their hash, and the compiled form of applications'
	// modules, which is thrown away at the next start.
	Dir string
	// Path is the python program; default "python3", found in the function's PATH.
	Path string
	// NoFork starts every instance as a process of its own, as happens anyway where the machine has no
	// fork servers (Linux only) or the Spawner isolates.
	NoFork bool
	// Spares is how many instances without user code are kept per kind at the least; default 1, negative is
	// none. More are kept while functions start often.
	Spares int
	// MaxResult is the largest answer of a function in bytes; default 64 MiB.
	MaxResult int
	// Log gets what goes wrong in the background; default slog.Default().
	Log *slog.Logger
}

// Python starts instances of the python3* runtimes: the user's real python with our shim. An instance
// is a fork of an interpreter that has booted already, one per app and program, for a boot costs ten
// times what a fork and loading a small module do; and where one fits, a start takes a fork made before.
type Python struct {
	o      PythonOptions
	setup  sync.Once
	dir    string // with the shim's files
	err    error  // of setup
	spares *spares[pythonKind]

	base context.Context // of fork servers
	halt context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	closed  bool
	real    map[string]string // the binary behind a python found in PATH, which may be a slow script
	servers map[serverKind]*server
}

// pythonKind is what must be fixed before an instance boots.
type pythonKind struct {
	serverKind
	memoryMB int
}

// serverKind is what the forks of one server have in common.
type serverKind struct {
	app     sluice.AppName
	dialect string
	python  string
	env     string // "NAME=value" lines that are read at boot
	spawner *Spawner
}

// server is a fork server that boots, runs or has failed.
type server struct {
	ready chan struct{} // closed when z or err is set
	z     *zygote
	err   error
	made  time.Time
	used  time.Time // guarded by Python.mu
}

var _ function.Starter = (*Python)(nil)

const (
	maxServers  = 8           // fork servers at a time; the one used longest ago goes
	serverRetry = time.Minute // from a fork server's failure to the next try
)

// NewPython returns a starter for Python 3; Close ends it.
func NewPython(o PythonOptions) *Python {
	o.MaxResult = cmp.Or(o.MaxResult, 64<<20)
	o.Path = cmp.Or(o.Path, "python3")
	if o.Log == nil {
		o.Log = slog.Default()
	}
	p := &Python{o: o, real: map[string]string{}, servers: map[serverKind]*server{}}
	p.base, p.halt = context.WithCancel(context.Background())
	p.spares = newSpares(o.Spares, p.boot, o.Log)
	return p
}

// Runs is true for python3* (in any case) of a dialect whose conventions are known. Tencent's functions
// for Python 2 are tried, too: many run as they are.
func (p *Python) Runs(dialect, runtime string) bool {
	runtime = strings.ToLower(runtime)
	if !strings.HasPrefix(runtime, "python3") && !(dialect == "tencent" && strings.HasPrefix(runtime, "python2")) {
		return false
	}
	_, err := fs.Stat(pythonShims, "shim_"+dialect+".py")
	return err == nil
}

// Start returns an instance whose module is loaded and whose initializer is done.
func (p *Python) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	if p.setup.Do(p.install); p.err != nil {
		return nil, p.err
	}
	server, err := p.kindOf(v)
	if err != nil {
		return nil, err
	}
	k := pythonKind{server, v.Spec.MemoryMB}
	return p.spares.start(ctx, k, s, v, logs, p.o.MaxResult)
}

// Close ends the fork servers, and with them the instances that are left.
func (p *Python) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.halt()
	p.spares.close()
	p.wg.Wait()
}

// install writes the shim's files, and forgets what former instances compiled.
func (p *Python) install() {
	if p.dir, p.err = install(p.o.Dir, embedded(pythonShims)); p.err == nil {
		p.err = os.RemoveAll(filepath.Join(p.dir, "pycache"))
	}
}

// kindOf finds the python of a version and what must be in its environment before it boots.
func (p *Python) kindOf(v *function.Version) (serverKind, error) {
	env := bootEnvironment(v, func(name string) bool {
		return name == "PATH" || name == "HOME" || name == "LANG" ||
			strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "OPENSSL_")
	})
	path, err := lookPath(p.o.Path, "", env)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return serverKind{}, &sluice.Error{Code: sluice.Unavailable, Err: err,
			Msg:  fmt.Sprintf("function %q needs Python, and there is no program %q", v.Spec.Name, p.o.Path),
			Hint: "install Python 3.8 or later (https://www.python.org) so that python3 is in PATH, and deploy again"}
	}
	return serverKind{app: v.App, dialect: v.Dialect, python: path, env: strings.Join(env, "\n")}, nil
}

// command starts our shim.
func (p *Python) command(k serverKind, args ...string) function.Command {
	p.mu.Lock()
	path := cmp.Or(p.real[k.python], k.python)
	p.mu.Unlock()
	return function.Command{
		Path: path, Dir: p.dir, Env: strings.Split(k.env, "\n"),
		Args: append([]string{"-E", "-s", "-X", "utf8", filepath.Join(p.dir, "shim.py"), "shim_" + k.dialect + ".py"}, args...),
	}
}

// boot makes an instance without user code and waits for its HELLO.
func (p *Python) boot(ctx context.Context, k pythonKind, s function.Spawner) (*instance, error) {
	if z := p.server(ctx, k.serverKind, s); z != nil {
		s = orPlain{z, s}
	}
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	c := p.command(k.serverKind)
	c.Memory = k.memoryMB
	i, err := newInstance(ctx, s, c)
	if err != nil {
		return nil, err
	}
	exec, err := i.hello(ctx, "python")
	if err != nil {
		return nil, err
	}
	if exec != "" {
		p.mu.Lock()
		p.real[k.python] = exec
		p.mu.Unlock()
	}
	return i, nil
}

// orPlain forks, or starts a process of its own when the fork server does not.
type orPlain struct {
	z     *zygote
	plain function.Spawner
}

// Spawn starts c.
func (s orPlain) Spawn(ctx context.Context, c function.Command) (function.Process, error) {
	proc, err := s.z.spawn(&c)
	if err != nil {
		return s.plain.Spawn(ctx, c)
	}
	return proc, nil
}

// server returns the fork server of a kind, started if need be; nil when there is none to be had.
func (p *Python) server(ctx context.Context, k serverKind, s function.Spawner) *zygote {
	own, ok := s.(*Spawner)
	if !ok || p.o.NoFork || !canFork || own.o.Isolate != nil {
		return nil
	}
	k.spawner = own
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	e := p.servers[k]
	if e != nil && e.over() {
		delete(p.servers, k)
		e = nil
	}
	if e == nil {
		e = p.start(k)
	}
	e.used = time.Now()
	p.mu.Unlock()
	select {
	case <-e.ready:
		return e.z
	case <-ctx.Done():
		return nil
	}
}

// over reports whether a server is of no use any more.
func (e *server) over() bool {
	select {
	case <-e.ready:
	default:
		return false
	}
	if e.err != nil {
		return time.Since(e.made) > serverRetry
	}
	select {
	case <-e.z.gone:
		return true
	default:
		return false
	}
}

// start boots a fork server in the background, for whoever waits for it may leave; mu is held.
func (p *Python) start(k serverKind) *server {
	if len(p.servers) >= maxServers {
		p.dropOldest()
	}
	e := &server{ready: make(chan struct{}), made: time.Now()}
	p.servers[k] = e
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.base, bootTime)
		c := p.command(k, "--fork")
		said := &function.LineWriter{Line: func(line []byte) { p.o.Log.Warn("python fork server", "app", k.app, "said", string(line)) }}
		c.Out = said
		z, exec, err := newZygote(ctx, k.spawner, c)
		cancel()
		if err != nil {
			if e.err = err; p.base.Err() == nil {
				p.o.Log.Warn("python fork server does not start; functions start slower", "app", k.app, "err", err)
			}
			close(e.ready)
			return
		}
		p.mu.Lock()
		p.real[k.python] = exec
		p.mu.Unlock()
		e.z = z
		close(e.ready)
		stop := context.AfterFunc(p.base, z.proc.Kill)
		z.run()
		stop()
		said.Flush()
	})
	return e
}

// dropOldest lets the server used longest ago end with its last instance; mu is held.
func (p *Python) dropOldest() {
	var oldest serverKind
	var found *server
	for k, e := range p.servers {
		if found == nil || e.used.Before(found.used) {
			oldest, found = k, e
		}
	}
	delete(p.servers, oldest)
	p.wg.Go(func() {
		if <-found.ready; found.z != nil {
			found.z.retire()
		}
	})
}

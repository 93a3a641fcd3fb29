package fc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/ports"
)

const (
	pollEvery   = 10 * time.Millisecond
	strayAfter  = 2 * time.Second // when a server is looked for on the port that clouds give it, when nobody can tell who listens
	defaultPort = 9000
	portTries   = 3 // when another process took the port that was free
)

// Custom starts functions of the custom runtimes (section 3.8): programs that serve HTTP on the port
// in FC_SERVER_PORT.
type Custom struct {
	Keys Keys
	Log  *slog.Logger // nil discards
	// Ready is how long a server may take to accept its first connection, and then to be well when it has
	// a health check; 0 is 120 s, as on the cloud.
	Ready time.Duration
}

var _ function.Starter = (*Custom)(nil)

// Runs reports whether it is Alibaba's custom family.
func (c *Custom) Runs(dialect, runtime string) bool { return dialect == "aliyun" && IsCustom(runtime) }

// Start starts the function's server, waits until it accepts connections, and runs its initializer.
func (c *Custom) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	for try := 1; ; try++ {
		in, err := c.start(ctx, v, s, logs)
		var late *lateError
		if errors.As(err, &late) && late.portTaken && try < portTries && ctx.Err() == nil {
			continue
		}
		if err != nil {
			if late != nil {
				err = &function.StartError{Failure: late.failure}
			}
			return nil, err
		}
		return in, nil
	}
}

// lateError is the end of a process that did not get ready.
type lateError struct {
	failure   sluice.Failure
	portTaken bool
}

// Error is the failure's message.
func (e *lateError) Error() string { return e.failure.Message }

func (c *Custom) start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (*instance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	fixed := cmp.Or(v.Spec.Port, defaultPort)
	if accepts(ctx, fixed) {
		fixed = 0 // somebody else is there: what answers would not be ours
	}
	in := newInstance(v, c.Keys, logs)
	in.client = newLines()
	path, args := command(v)
	given := strconv.Itoa(port)
	if err := in.spawn(ctx, s, path, args, map[string]string{"FC_SERVER_PORT": given, "FC_CUSTOM_LISTEN_PORT": given, "PORT": given}); err != nil {
		return nil, err
	}
	if err := c.await(ctx, in, port, fixed); err != nil {
		in.kill()
		return nil, err
	}
	check := v.Spec.Health != nil
	if check {
		if err := in.awaitWell(ctx, c.ready()); err != nil {
			in.kill()
			return nil, err
		}
	}
	if err := in.initialize(ctx, in.initCommand(s)); err != nil {
		in.kill()
		return nil, err
	}
	if check {
		in.wg.Go(in.watch)
	}
	return in, nil
}

func (c *Custom) ready() time.Duration { return cmp.Or(c.Ready, 120*time.Second) }

// initCommand runs the command that a function has in place of an initializer of its server; nil when it
// has none.
func (in *instance) initCommand(s function.Spawner) func(ctx context.Context) *sluice.Failure {
	words := in.v.Spec.InitCommand
	if len(words) == 0 {
		return nil
	}
	return func(ctx context.Context) *sluice.Failure {
		path, args := program(in.v, words)
		failed := func(what string) *sluice.Failure {
			f := in.startFailure("FunctionUnhandledError", "has an initializer that "+what)
			return &f
		}
		lines := function.LineWriter{Line: in.line}
		p, err := s.Spawn(ctx, function.Command{Path: path, Args: args, Dir: in.v.Root, Env: in.env, Memory: in.v.Spec.MemoryMB, Out: &lines})
		if err != nil {
			return failed("cannot be started: " + err.Error())
		}
		stop := context.AfterFunc(ctx, p.Kill)
		<-p.Exited()
		stop()
		lines.Flush()
		if how := p.ExitText(); how != "exit status 0" || ctx.Err() != nil {
			return failed("failed (" + how + ")")
		}
		return nil
	}
}

// await returns when the server accepts connections.
func (c *Custom) await(ctx context.Context, in *instance, port, fixed int) error {
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if accepts(ctx, port) {
			in.address = address(port)
			return nil
		}
		if fixed != 0 && (ports.Listens(in.proc.Pid(), fixed) || time.Since(began) > strayAfter) && accepts(ctx, fixed) {
			if c.Log != nil {
				c.Log.Warn("function does not listen on FC_SERVER_PORT; only one instance of it can run",
					"app", in.v.App, "function", in.v.Spec.Name, "port", fixed)
			}
			in.address = address(fixed)
			return nil
		}
		if limit := c.ready(); time.Since(began) > limit {
			return &lateError{failure: in.startFailure("FunctionNotStarted", fmt.Sprintf("does not listen on port %d (FC_SERVER_PORT) after %v", port, limit))}
		}
		select {
		case <-in.proc.Exited():
			f := in.startFailure("CAExited", "exited before it served ("+in.proc.ExitText()+")")
			return &lateError{failure: f, portTaken: strings.Contains(strings.ToLower(f.Message), "address already in use") || strings.Contains(f.Message, "EADDRINUSE")}
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// newInstance makes an instance whose process is not there yet.
func newInstance(v *function.Version, keys Keys, logs function.LogSink) *instance {
	in := &instance{
		v: v, keys: keys, logs: logs, constant: constant(v),
		id:    "c-" + strings.ToLower(sluice.NewRequestID()),
		calls: map[string]int{},
		done:  make(chan struct{}),
	}
	in.lines.Line = in.line
	return in
}

// spawn starts the process, and a goroutine that waits for its end. own is the part of its environment
// that is this instance's alone.
func (in *instance) spawn(ctx context.Context, s function.Spawner, path string, args []string, own map[string]string) error {
	var err error
	in.env = in.environment(own)
	in.proc, err = s.Spawn(ctx, function.Command{
		Path: path, Args: args, Dir: in.v.Root, Env: in.env, Memory: in.v.Spec.MemoryMB, Out: &in.lines,
	})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &function.StartError{Failure: sluice.Failure{
			Kind: sluice.BadEntry, Type: "FunctionNotStarted",
			Message: fmt.Sprintf("function %q cannot be started: %v", in.v.Spec.Name, err),
		}}
	}
	in.wg.Go(func() {
		<-in.proc.Exited()
		in.lines.Flush()
		in.spoil()
	})
	return nil
}

// startFailure tells why a server is not there, with the last lines that it printed.
func (in *instance) startFailure(kind, what string) sluice.Failure {
	in.mu.Lock()
	said := string(bytes.TrimSpace(in.early))
	in.mu.Unlock()
	f := sluice.Failure{Kind: sluice.Crashed, Type: kind, Message: fmt.Sprintf("function %q %s", in.v.Spec.Name, what)}
	if said != "" {
		f.Message += ": " + said
	}
	return f
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// accepts reports whether something accepts connections on a port of this machine.
func accepts(ctx context.Context, port int) bool {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", address(port))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// command is the program of a version.
func command(v *function.Version) (path string, args []string) {
	if len(v.Spec.Command) == 0 {
		return program(v, []string{"/code/bootstrap"})
	}
	return program(v, v.Spec.Command)
}

// program finds a command of a version. The cloud keeps the code in /code, and layers in /opt.
func program(v *function.Version, words []string) (path string, args []string) {
	words = slices.Clone(words)
	for i, w := range words {
		if words[i] = placed(w, v.Root); words[i] == w && strings.HasPrefix(w, "/code/") { // so that the error tells where it is not
			words[i] = filepath.Join(v.Root, w[len("/code/"):])
		}
	}
	path = words[0]
	if !filepath.IsAbs(path) {
		here := filepath.Join(v.Root, path)
		if info, err := os.Stat(here); strings.Contains(path, "/") || err == nil && info.Mode().IsRegular() {
			path = here
		}
	}
	return path, words[1:]
}

// environment is the version's with what belongs to this instance alone.
func (in *instance) environment(own map[string]string) []string {
	env := maps.Clone(in.v.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, own)
	env["FC_INSTANCE_ID"] = in.id
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// credentials are those that come with a call, renewed long before they end.
func (in *instance) credentials() access.Credentials {
	in.mu.Lock()
	defer in.mu.Unlock()
	if time.Until(in.creds.Expires) < callLife/2 {
		in.creds = in.keys.Temporary(tokenPrefix, access.Principal{App: in.v.App, Function: in.v.Spec.Name}, callLife)
	}
	return in.creds
}

func initTimeout(f *sluice.Function) time.Duration { return cmp.Or(f.InitTimeout, 3*time.Second) }

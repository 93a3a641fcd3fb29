package fc

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/direct"
	"github.com/sluicehq/sluice/internal/ports"
)

const (
	pollEvery   = 10 * time.Millisecond
	defaultPort = 9000
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
	in, err := function.OnFreePort(ctx, func(port int) (*instance, error) { return c.start(ctx, v, s, logs, port) })
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (c *Custom) start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, port int) (*instance, error) {
	fixed := cmp.Or(v.Spec.Port, defaultPort)
	if ports.Accepts(ctx, fixed) {
		fixed = 0 // somebody else is there: what answers would not be ours
	}
	in := &instance{keys: c.Keys, client: direct.New(&http.Transport{MaxIdleConnsPerHost: 256})}
	path, args := command(v)
	given := strconv.Itoa(port)
	if err := in.run(ctx, v, s, logs, path, args, map[string]string{"FC_SERVER_PORT": given, "FC_CUSTOM_LISTEN_PORT": given, "PORT": given}); err != nil {
		return nil, err
	}
	if err := c.await(ctx, in, port, fixed); err != nil {
		in.Kill()
		return nil, err
	}
	check := v.Spec.Health != nil
	if check {
		if err := in.awaitWell(ctx, c.ready()); err != nil {
			in.Kill()
			return nil, err
		}
	}
	if err := in.initialize(ctx, in.initCommand(s)); err != nil {
		in.Kill()
		return nil, err
	}
	if check {
		in.Go(in.watch)
	}
	return in, nil
}

func (c *Custom) ready() time.Duration { return cmp.Or(c.Ready, 120*time.Second) }

// initCommand runs the command that a function has in place of an initializer of its server; nil when it
// has none.
func (in *instance) initCommand(s function.Spawner) func(ctx context.Context) *sluice.Failure {
	words := in.Version.Spec.InitCommand
	if len(words) == 0 {
		return nil
	}
	return func(ctx context.Context) *sluice.Failure {
		path, args := program(in.Version, words)
		failed := func(what string) *sluice.Failure {
			f := in.startFailure("FunctionUnhandledError", "has an initializer that "+what)
			return &f
		}
		lines := function.LineWriter{Line: in.Line}
		p, err := s.Spawn(ctx, function.Command{Path: path, Args: args, Dir: in.Version.Root, Env: in.Env, Memory: in.Version.Spec.MemoryMB, Out: &lines})
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
		if ports.Serves(ctx, in.Process.Pid(), port, began) {
			in.address = ports.Address(port)
			return nil
		}
		if fixed != 0 && ports.Strays(ctx, in.Process.Pid(), fixed, began) {
			if c.Log != nil {
				c.Log.Warn("function does not listen on FC_SERVER_PORT; only one instance of it can run",
					"app", in.Version.App, "function", in.Version.Spec.Name, "port", fixed)
			}
			in.address = ports.Address(fixed)
			return nil
		}
		if limit := c.ready(); time.Since(began) > limit {
			return &function.StartError{Failure: in.startFailure("FunctionNotStarted", fmt.Sprintf("does not listen on port %d (FC_SERVER_PORT) after %v", port, limit))}
		}
		select {
		case <-in.Process.Exited():
			in.Wait() // its last words are there, too
			return &function.StartError{Failure: in.startFailure("CAExited", "exited before it served ("+in.Process.ExitText()+")")}
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// run starts the process of an instance. own is the part of its environment that is this instance's alone.
func (in *instance) run(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, path string, args []string, own map[string]string) error {
	id := "c-" + strings.ToLower(sluice.NewRequestID())
	own["FC_INSTANCE_ID"] = id
	var err error
	in.constant = constant(v)
	in.Program, err = function.RunProgram(ctx, s, v, logs, id, path, args, v.Environ(own))
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &function.StartError{Failure: sluice.Failure{
		Kind: sluice.BadEntry, Type: "FunctionNotStarted",
		Message: fmt.Sprintf("function %q cannot be started: %v", v.Spec.Name, err),
	}}
}

// startFailure tells why a server is not there, with the last lines that it printed.
func (in *instance) startFailure(kind, what string) sluice.Failure {
	f := sluice.Failure{Kind: sluice.Crashed, Type: kind, Message: fmt.Sprintf("function %q %s", in.Version.Spec.Name, what)}
	if said := in.Said(); said != "" {
		f.Message += ": " + said
	}
	return f
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

// credentials are those that come with a call, renewed long before they end.
func (in *instance) credentials() access.Credentials {
	in.mu.Lock()
	defer in.mu.Unlock()
	if time.Until(in.creds.Expires) < callLife/2 {
		in.creds = in.keys.Temporary(tokenPrefix, access.Principal{App: in.Version.App, Function: in.Version.Spec.Name}, callLife)
	}
	return in.creds
}

func initTimeout(f *sluice.Function) time.Duration { return cmp.Or(f.InitTimeout, 3*time.Second) }

package process

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

//go:embed *.cjs
var shims embed.FS

// NodeOptions set up a Node starter. The zero value of each field but Dir is right.
type NodeOptions struct {
	// Dir gets the shim's files, in a folder named by their hash.
	Dir string
	// Path is the node program; default "node", found in the function's PATH.
	Path string
	// Shims are further dialects' conventions: the text of a CommonJS module by dialect name. "aws" and
	// "aliyun" are built in.
	Shims map[string]string
	// Spares is how many booted instances without user code are kept per kind at the least; default 1,
	// negative is none. More are kept while functions start often.
	Spares int
	// MaxResult is the largest answer of a function in bytes; default 64 MiB.
	MaxResult int
	// Log gets what goes wrong in the background; default slog.Default().
	Log *slog.Logger
}

// Node starts instances of the nodejs* runtimes: the user's real node with our shim. A start is taken
// from a pool of booted instances where one fits, for a boot costs fifty times what loading a small
// module does.
type Node struct {
	o     NodeOptions
	setup sync.Once
	dir   string // with the shim's files
	err   error  // of setup

	spares *spares[kind]

	mu   sync.Mutex        // guards real
	real map[string]string // the binary behind a node found in PATH, which may be a slow script
}

// kind is what must be fixed before a node process boots.
type kind struct {
	dialect  string
	node     string
	memoryMB int
	env      string // "NAME=value" lines that node reads at boot
}

var _ function.Starter = (*Node)(nil)

const (
	bootTime    = 10 * time.Second // from exec to HELLO
	loadTime    = 20 * time.Second // for the user's module, without its initializer; or that one's time when it is longer
	initDefault = 3 * time.Second
)

// NewNode returns a starter for Node.js; Close ends it.
func NewNode(o NodeOptions) *Node {
	o.MaxResult = cmp.Or(o.MaxResult, 64<<20)
	o.Path = cmp.Or(o.Path, "node")
	if o.Log == nil {
		o.Log = slog.Default()
	}
	n := &Node{o: o, real: map[string]string{}}
	n.spares = newSpares(o.Spares, n.boot, o.Log)
	return n
}

// Runs is true for nodejs* (in any case) of a dialect whose conventions are known.
func (n *Node) Runs(dialect, runtime string) bool {
	if !strings.HasPrefix(strings.ToLower(runtime), "nodejs") {
		return false
	}
	_, ok := n.o.Shims[dialect]
	if !ok {
		_, err := fs.Stat(shims, "shim-"+dialect+".cjs")
		ok = err == nil
	}
	return ok
}

// Start returns an instance whose module is loaded and whose initializer is done.
func (n *Node) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	if n.setup.Do(n.install); n.err != nil {
		return nil, n.err
	}
	k, err := n.kindOf(v)
	if err != nil {
		return nil, err
	}
	return n.spares.start(ctx, k, s, v, logs, n.o.MaxResult)
}

// Close stops the booted instances that nobody has taken. Instances that were handed out are their
// pools' to stop.
func (n *Node) Close() { n.spares.close() }

// install writes the shim's files.
func (n *Node) install() {
	files := embedded(shims)
	for d, text := range n.o.Shims {
		files["shim-"+d+".cjs"] = text
	}
	n.dir, n.err = install(n.o.Dir, files)
}

// bootVariables are those that node, its libraries or the loader read before any of our code runs.
func bootVariable(name string) bool {
	switch name {
	case "NODE_ENV", "NODE_PATH", "NODE_TLS_REJECT_UNAUTHORIZED":
		return false // read when used
	case "PATH", "HOME", "LANG", "LC_ALL", "LANGUAGE", "SSL_CERT_FILE", "SSL_CERT_DIR":
		return true
	}
	return strings.HasPrefix(name, "NODE_") || strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "UV_") || strings.HasPrefix(name, "OPENSSL_")
}

func (n *Node) kindOf(v *function.Version) (kind, error) {
	var hook struct{ CA string }
	json.Unmarshal([]byte(v.Env[egressVariable]), &hook) // "" does as well
	env := bootEnvironment(v, func(name string) bool {
		return bootVariable(name) && (name != "NODE_EXTRA_CA_CERTS" || v.Env[name] != hook.CA) // egress.cjs trusts that one
	})
	path, err := lookPath(n.o.Path, "", env)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return kind{}, &sluice.Error{Code: sluice.Unavailable, Err: err,
			Msg:  fmt.Sprintf("function %q needs Node.js, and there is no program %q", v.Spec.Name, n.o.Path),
			Hint: "install Node.js 18 or later (https://nodejs.org) so that node is in PATH, and deploy again"}
	}
	return kind{dialect: v.Dialect, node: path, memoryMB: v.Spec.MemoryMB, env: strings.Join(env, "\n")}, nil
}

// boot starts a node process and waits for its HELLO.
func (n *Node) boot(ctx context.Context, k kind, s function.Spawner) (*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	var args []string
	if k.memoryMB > 0 {
		args = append(args, "--max-old-space-size="+strconv.Itoa(max(k.memoryMB*8/10, 32)))
	}
	args = append(args, filepath.Join(n.dir, "shim.cjs"), filepath.Join(n.dir, "shim-"+k.dialect+".cjs"))
	n.mu.Lock()
	path := cmp.Or(n.real[k.node], k.node)
	n.mu.Unlock()
	i, err := newInstance(ctx, s, function.Command{
		Path: path, Args: args, Dir: n.dir, Env: append(strings.Split(k.env, "\n"), "SLUICE_FD=3"), Memory: k.memoryMB,
	})
	if err != nil {
		return nil, err
	}
	exec, err := i.hello(ctx, "node")
	if err != nil {
		return nil, err
	}
	if exec != "" && exec != k.node {
		n.mu.Lock()
		n.real[k.node] = exec
		n.mu.Unlock()
	}
	return i, nil
}

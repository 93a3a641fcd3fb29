package functions

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/post"
)

// client is AWS's own client of Lambda's Runtime API for Node, a program that gets a handler's name. It is
// built where it is installed, in a folder of its own, as that needs more than Node.
func client(ctx context.Context, w *measure.Workshop) (program string, version map[string]string, err error) {
	for _, tool := range []string{"cmake", "autoreconf", "libtoolize"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", nil, fmt.Errorf("aws-lambda-ric is built with cmake, autoconf and libtool, and %s is not installed", tool)
		}
	}
	own := &measure.Workshop{Cache: filepath.Join(w.Cache, "lambda-client")}
	npm, err := own.Installed(ctx, "aws-lambda-ric@3")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(npm, "node_modules/aws-lambda-ric/bin/index.mjs"), measure.NpmVersions(npm, "aws-lambda-ric"), nil
}

// emulator is Lambda's runtime interface emulator, which AWS's command line for SAM brings along.
func emulator(ctx context.Context, w *measure.Workshop) (program, version string, err error) {
	dir := filepath.Join(w.Cache, "aws-lambda-rie")
	program, note := filepath.Join(dir, "aws-lambda-rie"), filepath.Join(dir, "version")
	if b, err := os.ReadFile(note); err == nil {
		return program, string(b), nil
	}
	arch, ok := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	if !ok || runtime.GOOS != "linux" {
		return "", "", fmt.Errorf("Lambda's emulator is for Linux on x86_64 and arm64")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", dir, "aws-sam-cli").CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("pip has no aws-sam-cli for us: %w: %s", err, bytes.TrimSpace(out[max(0, len(out)-200):]))
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", "", fmt.Errorf("pip brought %d files", len(wheels))
	}
	defer os.Remove(wheels[0])
	wheel, err := zip.OpenReader(wheels[0])
	if err != nil {
		return "", "", err
	}
	defer wheel.Close()
	f, err := wheel.Open("samcli/local/rapid/aws-lambda-rie-" + arch)
	if err != nil {
		return "", "", fmt.Errorf("aws-sam-cli has no emulator: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err == nil {
		err = os.WriteFile(program, b, 0o755)
	}
	if err != nil {
		return "", "", err
	}
	version = strings.Split(filepath.Base(wheels[0]), "-")[1]
	return program, version, os.WriteFile(note, []byte(version), 0o644)
}

// emulated is a handler behind the emulator.
func emulated(name, emulator, dir, want string, command ...string) *front {
	f := &front{name: name}
	api, err := measure.FreePort()
	if err != nil {
		f.err = err
		return f
	}
	return f.run(invocations("function"), want, func(port int) *exec.Cmd {
		cmd := exec.Command(emulator, append([]string{"--runtime-interface-emulator-address", fmt.Sprintf("127.0.0.1:%d", port),
			"--runtime-api-address", fmt.Sprintf("127.0.0.1:%d", api)}, command...)...)
		cmd.Dir = dir
		return cmd
	})
}

// webJS is a handler behind node's own HTTP server.
const webJS = `const { handler } = require('./index.js');
const server = require('http').createServer((req, res) => {
  const parts = [];
  req.on('data', (b) => parts.push(b));
  req.on('end', async () => {
    const answer = JSON.stringify(await handler(JSON.parse(Buffer.concat(parts))));
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer) });
    res.end(answer);
  });
});
server.keepAliveTimeout = 0;
server.listen(process.env.WEB_PORT, '127.0.0.1');
`

// watched is a Node handler behind OpenFaaS's of-watchdog, which no registry has: it is found in PATH or not at all.
func watched(dir string) *front {
	f := &front{name: "of-watchdog"}
	program, err := exec.LookPath("of-watchdog")
	if err != nil {
		f.err = fmt.Errorf("no registry has of-watchdog, nor is it in PATH")
		return f
	}
	web, err := measure.FreePort()
	if err != nil {
		f.err = err
		return f
	}
	return f.run("/", jsonAnswer, func(port int) *exec.Cmd {
		cmd := exec.Command(program)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "mode=http", "fprocess=node web.js", fmt.Sprint("WEB_PORT=", web),
			fmt.Sprint("upstream_url=http://127.0.0.1:", web), fmt.Sprint("port=", port), "suppress_lock=true"}
		return cmd
	})
}

// run starts a peer and waits until it answers what the handler does.
func (f *front) run(path, want string, command func(port int) *exec.Cmd) *front {
	port, err := measure.FreePort()
	if err != nil {
		f.err = err
		return f
	}
	p, err := measure.Start(command(port), true)
	if err != nil {
		f.err = err
		return f
	}
	f.stop = p.Kill
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	server, request := post.To(addr, 1), post.Request(path, string(event), "Content-Type", "application/json")
	f.ask = func() error { return server.Ask(request, says(want)) }
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if f.err = f.ask(); f.err == nil || time.Now().After(end) {
			break
		}
	}
	if f.err != nil {
		f.err = fmt.Errorf("%s: %w: %s", f.name, f.err, p.Said())
	}
	return f
}

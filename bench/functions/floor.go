package functions

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

const (
	echoJS = `const s = new (require('net').Socket)({ fd: 3, readable: true, writable: true });
s.on('data', (b) => s.write(b)); s.on('end', () => process.exit(0));`
	echoPython = `import os
while True:
    b = os.read(3, 65536)
    if not b: break
    os.write(3, b)`

	// longPoll is AWS's Runtime API as its official clients speak it, without their other work: ask for a
	// call, answer it, one at a time, over one kept connection.
	longPoll = `#!/usr/bin/env node
const http = require('http'), agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':'), base = '/2018-06-01/runtime/invocation/';
const ask = (method, path, body) => new Promise((done, fail) => {
  const r = http.request({ host, port, method, path, agent, headers: body ? { 'Content-Length': Buffer.byteLength(body) } : {} }, (res) => {
    const parts = []; res.on('data', (b) => parts.push(b)); res.on('end', () => done([res.headers, Buffer.concat(parts)]));
  });
  r.on('error', fail); r.end(body);
});
(async () => { for (;;) {
  const [headers, body] = await ask('GET', base + 'next');
  await ask('POST', base + headers['lambda-runtime-aws-request-id'] + '/response', JSON.stringify(JSON.parse(body)));
} })();`

	// overHTTP is a handler as Function Compute's custom runtimes are called: each call is a request to its server.
	overHTTP = `#!/usr/bin/env node
const server = require('http').createServer((req, res) => {
  const parts = []; req.on('data', (b) => parts.push(b)); req.on('end', () => res.end(JSON.stringify(JSON.parse(Buffer.concat(parts)))));
});
server.keepAliveTimeout = 0;
server.listen(process.env.FC_SERVER_PORT, '127.0.0.1');`

	longPollPython = `
import http.client, json, os
server, base = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API']), '/2018-06-01/runtime/invocation/'
def ask(method, path, body=None):
    server.request(method, path, body)
    said = server.getresponse()
    return said.headers, said.read()
while True:
    headers, body = ask('GET', base + 'next')
    ask('POST', base + headers['lambda-runtime-aws-request-id'] + '/response', json.dumps(json.loads(body)))
`
)

// floor is the same bytes through the same runtime and back, over a bare socket.
type floor struct {
	name string
	sock *os.File
	cmd  *exec.Cmd
}

func newFloor(temp, program, file, code string) (*floor, error) {
	path := filepath.Join(temp, file)
	if err := os.WriteFile(path, []byte(code), 0o644); err != nil {
		return nil, err
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	f := &floor{filepath.Base(program) + " echo", ours, exec.Command(program, path)}
	f.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	f.cmd.ExtraFiles = []*os.File{theirs}
	return f, f.cmd.Start()
}

func (f *floor) close() {
	f.sock.Close()
	f.cmd.Process.Kill()
	f.cmd.Wait()
}

func (f *floor) side() measure.Side { return measure.Side{Name: f.name} }

// echo sends the event there and back.
func (f *floor) echo() error {
	if _, err := f.sock.Write(event); err != nil {
		return err
	}
	_, err := io.ReadFull(f.sock, make([]byte, len(event)))
	return err
}

// pair is a socket with two ends, of which Go watches ours.
func pair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	syscall.SetNonblock(fds[0], true)
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// starts is the median time in ms until a program has said one byte over a socket, on which one waits for it.
func starts(name string, env []string, program string, args ...string) measure.Side {
	return measure.Side{Name: name, Take: func() (float64, error) {
		var took []float64
		for range 5 {
			ms, err := start(env, program, args)
			if err != nil {
				return 0, fmt.Errorf("%s says nothing: %w", program, err)
			}
			took = append(took, ms)
		}
		return measure.Median(took), nil
	}}
}

func start(env []string, program string, args []string) (ms float64, err error) {
	ours, theirs, err := pair()
	if err != nil {
		return 0, err
	}
	defer ours.Close()
	cmd := exec.Command(program, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...) // as functions get
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if _, err := ours.Write([]byte("x")); err != nil {
		return 0, errors.Join(err, theirs.Close())
	}
	t := time.Now()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, err
	}
	_, err = io.ReadFull(ours, make([]byte, 1))
	ms = time.Since(t).Seconds() * 1e3
	cmd.Process.Kill()
	cmd.Wait()
	return ms, err
}

package functions

import (
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
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	syscall.SetNonblock(fds[0], true)
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	defer theirs.Close()
	f := &floor{filepath.Base(program) + " echo", os.NewFile(uintptr(fds[0]), "ours"), exec.Command(program, path)}
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

// starts is the median time in ms until a program that says one byte has said it.
func starts(name string, env []string, program string, args ...string) measure.Side {
	return measure.Side{Name: name, Take: func() (float64, error) {
		var took []float64
		for range 5 {
			cmd := exec.Command(program, args...)
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...) // as functions get
			out, err := cmd.StdoutPipe()
			if err != nil {
				return 0, err
			}
			t := time.Now()
			if err := cmd.Start(); err != nil {
				return 0, err
			}
			_, err = io.ReadFull(out, make([]byte, 1))
			took = append(took, time.Since(t).Seconds()*1e3)
			cmd.Process.Kill()
			cmd.Wait()
			if err != nil {
				return 0, fmt.Errorf("%s says nothing: %w", program, err)
			}
		}
		return measure.Median(took), nil
	}}
}

package scf

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/process"
	"github.com/sluicehq/sluice/internal/ports"
)

// cloud is a function room with every runtime, and SCF over it.
type cloud struct {
	*SCF
	t    *testing.T
	room *function.Functions
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	node, python := process.NewNode(process.NodeOptions{Dir: t.TempDir(), Spares: -1}), process.NewPython(process.PythonOptions{Dir: t.TempDir(), NoFork: true, Spares: -1})
	room := function.New(function.Options{Starters: []function.Starter{CustomRuntime{}, Go1{}, &Web{Dir: t.TempDir()}, node, python}, Spawner: spawner(t), NoPrewarm: true, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		room.Stop(ctx)
		node.Close()
		python.Close()
	})
	return &cloud{NewSCF(room, nil, nil), t, room}
}

// deploy deploys a function as a template would.
func (c *cloud) deploy(runtime, handler, root string, env map[string]string) {
	c.t.Helper()
	app := &sluice.App{Name: "app", Region: "ap-guangzhou"}
	f := sluice.Function{Name: "f", Runtime: runtime, Handler: handler, Code: root, MemoryMB: 256, Timeout: time.Minute, Env: env}
	all := map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")}
	for _, from := range []map[string]string{env, Environment(fakeKeys{}, app, &f)} {
		for name, v := range from {
			all[name] = v
		}
	}
	if err := c.room.Deploy(c.t.Context(), &function.Version{App: "app", Dialect: dialect, Revision: root, Root: root, Env: all, Spec: f}); err != nil {
		c.t.Fatal(err)
	}
}

// call makes a call, and returns its status and payload without ids and folders.
func (c *cloud) call(root, event string) (int, string) {
	c.t.Helper()
	out, err := c.Invoke(c.t.Context(), Call{App: "app", Name: "f", Payload: []byte(event)})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.Status, uuids.ReplaceAllString(strings.ReplaceAll(string(out.Payload), root, "/var/user"), "ID")
}

func TestHandlersOfTheCloudsRuntimes(t *testing.T) {
	for _, program := range []string{"node", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no " + program)
		}
	}
	t.Parallel()
	c := newCloud(t)
	const python = `# -*- coding: utf8 -*-
import json, os
calls = 0
def main_handler(event, context):
    if event.get("fail"):
        raise Exception("err msg")
    if "exit" in event:
        os._exit(3)
    if "big" in event:
        return "x" * (6 << 20)
    global calls
    calls += 1
    return {"n": calls, "own": json.loads(context["environment"])["url"], "id": os.environ["TENCENTCLOUD_SECRETID"], "cwd": os.getcwd(), "name": context["function_name"]}
`
	const node = `let calls = 0;
exports.main_handler = (event, context, callback) => {
  if (event.fail) return callback(new Error('err msg'));
  if ('exit' in event) process.exit(3);
  if ('big' in event) return callback(null, 'x'.repeat(6 << 20));
  callback(null, { n: ++calls, own: JSON.parse(context.environment).url, id: process.env.TENCENTCLOUD_SECRETID, cwd: process.cwd(), name: context.function_name });
};
`
	for _, r := range []struct{ runtime, file, code, fail string }{
		{"Python3.6", "index.py", python, `Traceback (most recent call last):\n  File \"/var/user/index.py\", line 6, in main_handler\n    raise Exception(\"err msg\")\nException: err msg`},
		{"Nodejs12.16", "index.js", node, `Error: err msg\n    at exports.main_handler (/var/user/index.js:3:`},
	} {
		root := code(t, "", r.file, r.code)
		c.deploy(r.runtime, "index.main_handler", root, map[string]string{"url": "http://x"})
		for _, n := range []string{"1", "2"} {
			status, got := c.call(root, `{}`)
			if want := `{"n":` + n + `,"own":"http://x","id":"AKIDf","cwd":"/var/user","name":"f"}`; status != 200 || strings.ReplaceAll(got, `, "`, `,"`) != want && strings.ReplaceAll(strings.ReplaceAll(got, `, "`, `,"`), `": `, `":`) != want {
				t.Errorf("%s: %d %s", r.runtime, status, got)
			}
		}
		status, got := c.call(root, `{"fail":true}`)
		if status != 430 || !strings.HasPrefix(got, `{"errorCode":-1,"errorMessage":"user code exception caught","requestId":"ID","stackTrace":"`+r.fail) || !strings.HasSuffix(got, `","statusCode":430}`) {
			t.Errorf("%s: %d %s", r.runtime, status, got)
		}
		if status, got := c.call(root, `{"big":1}`); status != 407 || !strings.Contains(got, `"errorMessage":"body size is too long"`) {
			t.Errorf("%s: %d %s", r.runtime, status, got)
		}
		if status, got := c.call(root, `{"exit":1}`); status != 439 {
			t.Errorf("%s: %d %s", r.runtime, status, got)
		}
		if status, _ := c.call(root, `{}`); status != 200 {
			t.Errorf("%s: %d after an exit", r.runtime, status)
		}
	}
	root := code(t, "", "index.py", "def other(): pass")
	c.deploy("Python3.6", "index.main_handler", root, nil)
	if status, got := c.call(root, `{}`); status != 437 || !strings.Contains(got, `"errorMessage":"handler not found"`) {
		t.Errorf("%d %s", status, got)
	}
	root = code(t, "", "index.js", "throw new Error('no')")
	c.deploy("Nodejs16.13", "index.main_handler", root, nil)
	if status, got := c.call(root, `{}`); status != 443 || !strings.Contains(got, `Error: no`) {
		t.Errorf("%d %s", status, got)
	}
	c.deploy("Php7", "index.main_handler", root, nil)
	if status, got := c.call(root, `{}`); status != 500 {
		t.Errorf("%d %s", status, got)
	}
}

func TestServersOnTheCloudsPortHaveTheirOwn(t *testing.T) {
	t.Parallel()
	const python = `#!/bin/sh
/var/lang/python3/bin/python3 -u app.py
`
	for name, files := range map[string][]string{
		"node":         {"scf_bootstrap", "#!/bin/sh\n/var/lang/node16/bin/node app.js", "app.js", "require('http').createServer((q, r) => r.end('hi')).listen(9000, '0.0.0.0')"},
		"node options": {"scf_bootstrap", "#!/bin/sh\nnode app.mjs", "app.mjs", "import http from 'http'; http.createServer((q, r) => r.end('hi')).listen({ port: '9000' })"},
		"python":       {"scf_bootstrap", python, "app.py", "import http.server as h\nclass H(h.BaseHTTPRequestHandler):\n  def do_GET(self):\n    self.send_response(200)\n    self.end_headers()\n    self.wfile.write(b'hi')\nh.HTTPServer(('0.0.0.0', 9000), H).serve_forever()"},
		"asyncio": {"scf_bootstrap", python, "app.py", "import asyncio, os\nasync def serve(r, w):\n  await r.readuntil(b'\\r\\n\\r\\n')\n  w.write(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + (b'hi' if os.environ.get('MINE') else b'no'))\n  w.close()\n" +
			"async def main():\n  s = await asyncio.start_server(serve, '0.0.0.0', 9000)\n  await s.serve_forever()\nasyncio.run(main())", "sitecustomize.py", "import os\nos.environ['MINE'] = '1'"},
	} {
		program := strings.Fields(name)[0]
		if program != "node" {
			program = "python3"
		}
		if _, err := exec.LookPath(program); err != nil {
			continue
		}
		w := &Web{Dir: t.TempDir()}
		root := code(t, "", files...)
		v := version(root, WebRuntime("Any"), func(v *function.Version) {
			v.Env["PYTHONPATH"], v.Env["NODE_OPTIONS"] = root, "--no-warnings"
		})
		for range 2 { // beside each other
			in, _ := start(t, w, v)
			res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Kind: sluice.InvokeHTTP, HTTP: &sluice.HTTPRequest{Method: "GET", Path: "/"}})
			if err != nil || string(res.Payload) != "hi" || in.(*web).address == ports.Address(webPort) {
				t.Errorf("%s: %+v %s %v", name, res, res.Payload, err)
			}
		}
	}
}

func TestServersInNodeAreWebFunctions(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node")
	}
	t.Parallel()
	c := newCloud(t)
	root := code(t, "", "scf_bootstrap", "#!/bin/bash\nexport PORT=9000\n/var/lang/node12/bin/node app.js\n", "app.js", `
require('http').createServer((req, res) => {
  if (req.headers['x-exit']) process.exit(1);
  res.setHeader('x-from', req.headers['x-scf-name']);
  res.end(req.method + ' ' + req.url);
}).listen(process.env.PORT, '0.0.0.0');`)
	c.deploy(WebRuntime("Nodejs12.16"), "", root, nil)
	out, err := c.Invoke(t.Context(), Call{App: "app", Name: "f", HTTP: &sluice.HTTPRequest{Method: "GET", Path: "/a", RawQuery: "b"}})
	if err != nil || out.Status != 200 || string(out.Payload) != "GET /a?b" || out.HTTP.Status != 200 || out.HTTP.Header.Get("X-From") != "f" {
		t.Errorf("%+v %s %v", out, out.Payload, err)
	}
	if status, got := c.call(root, `{}`); status != 200 || got != `"POST /event-invoke"` {
		t.Errorf("%d %s", status, got)
	}
	out, err = c.Invoke(t.Context(), Call{App: "app", Name: "f", HTTP: &sluice.HTTPRequest{Method: "GET", Path: "/", Header: map[string][]string{"X-Exit": {"1"}}}})
	if err != nil || out.Status != StatusProcessExit || out.HTTP != nil {
		t.Errorf("%+v %s %v", out, out.Payload, err)
	}
}

// Package functions compares calls of functions with the least that the same runtimes can do: a bare socket
// echo for a warm call, the program's own start for a first one.
package functions

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/function"
)

// Area is the functions'.
var Area = measure.Area{Name: "functions", Open: open}

// event is a WebSocket event as AWS's functions get it, 790 bytes.
var event = []byte(`{"requestContext":{"connectionId":"AbCdEfGhIjKlMn0="},"pad":"` + strings.Repeat("x", 790-62) + `"}`)

const (
	echoHandler = `exports.handler = (event, context, cb) => cb(null, event)`
	jsonHandler = `exports.handler = async (event) => ({ statusCode: 200, body: 'ok:' + event.requestContext.connectionId })`
	sdkHandler  = `const { DynamoDBClient } = require('@aws-sdk/client-dynamodb'), { DynamoDBDocumentClient } = require('@aws-sdk/lib-dynamodb');
const { ApiGatewayManagementApiClient } = require('@aws-sdk/client-apigatewaymanagementapi');
const table = DynamoDBDocumentClient.from(new DynamoDBClient({ region: 'us-east-1' }));
const sockets = new ApiGatewayManagementApiClient({ region: 'us-east-1', endpoint: 'https://abc.execute-api.us-east-1.amazonaws.com/Prod' });
` + jsonHandler
	jsonAnswer    = `{"statusCode":200,"body":"ok:AbCdEfGhIjKlMn0="}`
	answersJS     = `require(process.argv[2]).handler({ requestContext: { connectionId: 'x' } }).then(() => require('fs').writeSync(1, 'x'))`
	pythonHandler = "def handler(event, context): return {'statusCode': 200, 'body': 'ok:' + event['requestContext']['connectionId']}"
)

// crowd is how many first answers G10 asks for at once.
const crowd = 16

var sdks = []string{"@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb", "@aws-sdk/client-apigatewaymanagementapi"}

func open(ctx context.Context, w *measure.Workshop) (b *measure.Bench, err error) {
	var closers []func()
	closeAll := func() {
		for _, c := range closers {
			c()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	fail := func(e error) {
		if err == nil {
			err = e
		}
	}
	python := measure.Version("python3", "-c", "import sys; print(sys.executable)") // python3 may be a slow script
	bootstrap, program, err := handler(w, "handler")
	if err != nil {
		return nil, err
	}
	_, polling, err := handler(w, "polling", "-tags", "lambda.norpc") // as sam build makes it
	if err != nil {
		return nil, err
	}

	sdk, sdkErr := w.Installed(ctx, sdks...)
	skipSDK := ""
	if sdkErr != nil {
		skipSDK = sdkErr.Error()
	}

	pool, warm := newRoom(ctx, w.Temp, 1, false), newRoom(ctx, w.Temp, 1, true)
	cold, ample := newRoom(ctx, w.Temp, -1, false), newRoom(ctx, w.Temp, crowd, false)
	for _, r := range []*room{pool, warm, cold, ample} {
		closers = append(closers, r.stop)
	}
	in := func(r *room, name, dialect, runtime, file, code string, concurrency int) *function.Version {
		v, e := r.function(name, dialect, runtime, file, code, concurrency)
		if e == nil {
			e = r.Deploy(ctx, v)
		}
		fail(e)
		return v
	}
	echo := in(pool, "echo", "aliyun", "nodejs20", "index.js", echoHandler, 1)
	answer := in(pool, "answer", "aws", "nodejs20.x", "index.js", jsonHandler, 1)
	many := in(pool, "many", "aws", "nodejs20.x", "index.js", jsonHandler, 16)
	pyRaw := in(pool, "pyraw", "aliyun", "python3.10", "index.py", "def handler(event, context): return event", 1)
	py := in(pool, "py", "aws", "python3.12", "index.py", pythonHandler, 1)
	poll := in(pool, "poll", "aws", "provided.al2023", "bootstrap", longPoll, 1)
	web := in(pool, "web", "aliyun", "custom.debian10", "bootstrap", overHTTP, 16)
	pyPoll := in(pool, "pypoll", "aws", "provided.al2023", "bootstrap", "#!"+python+longPollPython, 1)
	goes := in(pool, "goes", "aws", "provided.al2023", "bootstrap", program, 1)
	polls := in(pool, "polls", "aws", "provided.al2023", "bootstrap", polling, 1)
	hang := in(pool, "hang", "aws", "nodejs20.x", "index.js", hangJS, 1)
	first := in(pool, "first", "aws", "nodejs20.x", "index.js", jsonHandler, 1)
	firstPy := in(pool, "firstpy", "aws", "python3.12", "index.py", pythonHandler, 1)
	firstGo := in(pool, "firstgo", "aws", "provided.al2023", "bootstrap", program, 1)
	fresh := in(cold, "fresh", "aws", "nodejs20.x", "index.js", jsonHandler, 1)
	loads := in(pool, "loads", "aws", "nodejs20.x", "index.js", sdkHandler, 1)
	loaded := in(warm, "loaded", "aws", "nodejs20.x", "index.js", sdkHandler, 1)
	for _, v := range []*function.Version{loads, loaded} {
		if err == nil && sdkErr == nil {
			err = os.Symlink(filepath.Join(sdk, "node_modules"), filepath.Join(v.Root, "node_modules"))
		}
	}
	ric, versions, ricErr := client(ctx, w)
	if versions == nil {
		versions = map[string]string{}
	}
	skipRIC := ""
	var official *function.Version
	if ricErr != nil {
		skipRIC = ricErr.Error()
	} else {
		official = in(pool, "official", "aws", "provided.al2023", "bootstrap", "#!/bin/sh\nexec node "+ric+" index.handler\n", 1)
		if err == nil {
			err = os.WriteFile(filepath.Join(official.Root, "index.js"), []byte(jsonHandler), 0o644)
		}
	}
	hurried, crowded := crowdOf(cold, fail), crowdOf(ample, fail)
	if err != nil {
		return nil, err
	}
	js, err := newFloor(w.Temp, "node", "echo.js", echoJS)
	if err != nil {
		return nil, err
	}
	closers = append(closers, js.close)
	pyEcho, err := newFloor(w.Temp, python, "echo.py", echoPython)
	if err != nil {
		return nil, err
	}
	closers = append(closers, pyEcho.close)
	for _, v := range []*function.Version{echo, answer, many, pyRaw, py, poll, pyPoll, web, goes, polls, official} { // let JITs do their work
		for i := 0; i < 2000 && v != nil; i++ {
			if err := pool.call(v, event); err != nil {
				return nil, err
			}
		}
	}
	node, inGo, stop, err := fronts(w, program)
	if err != nil {
		return nil, err
	}
	closers = append(closers, stop)
	rieNode, rieGo := &front{name: "Lambda's emulator", err: ricErr}, &front{name: "Lambda's emulator"}
	if rie, version, err := emulator(ctx, w); err != nil {
		rieNode.err, rieGo.err = err, err
	} else {
		versions["aws-sam-cli"] = version
		rieGo = emulated(rieGo.name, rie, w.Temp, string(event), bootstrap)
		if ricErr == nil {
			rieNode = emulated(rieNode.name, rie, filepath.Join(w.Temp, "fronts/node"), jsonAnswer, "node", ric, "index.handler")
		}
	}
	if err := os.WriteFile(filepath.Join(w.Temp, "fronts/node/web.js"), []byte(webJS), 0o644); err != nil {
		return nil, err
	}
	watchdog := watched(filepath.Join(w.Temp, "fronts/node"))
	for _, f := range []*front{node, inGo, rieNode, rieGo, watchdog} {
		if f.stop != nil {
			closers = append(closers, f.stop)
		}
		for i := 0; i < 1000 && f.err == nil; i++ {
			f.err = f.ask()
		}
	}
	for _, f := range []*front{node, inGo} {
		if f.err != nil {
			return nil, f.err
		}
	}
	versions["node"], versions["python"], versions["aws-lambda-go"] = measure.Version("node", "-v"), measure.Version(python, "-V"), libraryOf(bootstrap)
	answers := filepath.Join(w.Temp, "answers.js")
	if err := os.WriteFile(answers, []byte(answersJS), 0o644); err != nil {
		return nil, err
	}
	idleJS := filepath.Join(w.Temp, "idle.js")
	if err := os.WriteFile(idleJS, []byte(idleJSMod), 0o644); err != nil {
		return nil, err
	}
	say := filepath.Join(w.Temp, "say.js")
	if err := os.WriteFile(say, []byte(`require('fs').writeSync(1, 'x')`), 0o644); err != nil {
		return nil, err
	}
	bareNode := starts("node says x", nil, "node", say)
	sdkNode := starts("node loads it and answers", nil, "node", answers, loads.Root)
	barePython := starts("python3 says x", nil, python, "-c", "import os; os.write(1, b'x')")
	bareGo := starts("the binary answers a byte", []string{"FLOOR=1"}, bootstrap)
	calling := func(r *room, v *function.Version) func() error { return func() error { return r.call(v, event) } }
	named := func(s measure.Side, name string) measure.Side { s.Name = name; return s }
	const pause, gone = 500 * time.Millisecond, 100 * time.Millisecond // for a pool to fill; for the instance before to end
	return &measure.Bench{
		Close:    closeAll,
		Versions: versions,
		Cases: []measure.Case{
			inTurns(measure.Case{Name: "Node, warm, returns its event (G1)", Goal: 1.25, Reference: js.side()}, calling(pool, echo), js.echo),
			inTurns(measure.Case{Name: "Node, warm, reads and writes JSON (G1)", Goal: 1.25, Reference: js.side()}, calling(pool, answer), js.echo),
			{Name: "Node, warm, beside AWS's own client (G2)", Unit: "µs", Cost: true, Goal: 0.22, Ours: pool.warm(answer, event), Reference: named(pool.warm(official, event), "aws-lambda-ric"), Skip: skipRIC},
			{Name: "Node, warm, beside a long poll", Unit: "µs", Cost: true, Goal: 0.22, Ours: pool.warm(answer, event), Reference: named(pool.warm(poll, event), "Runtime API in Node")},
			{Name: "Node, 16 callers, one instance (G3)", Unit: "calls/s", Goal: 12, Ours: pool.rate(many, event, 16), Reference: named(pool.rate(poll, event, 16), "Runtime API in Node")},
			{Name: "Node, 16 callers, one instance, beside HTTP (G3)", Unit: "calls/s", Goal: 3, Ours: pool.rate(many, event, 16), Reference: named(pool.rate(web, event, 16), "HTTP server in Node")},
			inTurns(measure.Case{Name: "Python, warm, returns its event (G4)", Goal: 1.5, Reference: pyEcho.side()}, calling(pool, pyRaw), pyEcho.echo),
			inTurns(measure.Case{Name: "Python, warm, reads and writes JSON (G4)", Goal: 1.5, Reference: pyEcho.side()}, calling(pool, py), pyEcho.echo),
			{Name: "Python, warm, beside a long poll (G4)", Unit: "µs", Cost: true, Goal: 0.2, Ours: pool.warm(py, event), Reference: named(pool.warm(pyPoll, event), "Runtime API in Python")},
			inTurns(measure.Case{Name: "Go, warm, beside the Runtime API (G5)", Goal: 1 / 2.4, Reference: measure.Side{Name: "built with lambda.norpc"}}, calling(pool, goes), calling(pool, polls)),
			{Name: "Go, warm, beside Node's warm call", Unit: "µs", Cost: true, Ours: pool.warm(goes, event), Reference: named(pool.warm(answer, event), "our Node"), Rounds: 15},
			{Name: "Node, first answer without a pool (G6)", Unit: "ms", Cost: true, Goal: 1.05, Ours: cold.fromZero(fresh, event, gone), Reference: bareNode},
			{Name: "Node, first answer from the pool (G7)", Unit: "ms", Cost: true, Goal: 2, Ours: pool.fromZero(first, event, pause)},
			{Name: "Node, first answer from the pool, beside node's start (G7)", Unit: "ms", Cost: true, Goal: 1.0 / 25, Ours: pool.fromZero(first, event, pause), Reference: bareNode},
			{Name: "Node with AWS's SDK, first answer, prewarmed (G8)", Unit: "ms", Cost: true, Goal: 0.02, Ours: warm.fromZero(loaded, event, pause), Reference: sdkNode, Skip: skipSDK},
			{Name: "Node with AWS's SDK, first answer from the pool (G8)", Unit: "ms", Cost: true, Goal: 0.45, Ours: pool.fromZero(loads, event, pause), Reference: sdkNode, Skip: skipSDK},
			{Name: "Python, first answer (G9)", Unit: "ms", Cost: true, Goal: 0.1, Ours: pool.fromZero(firstPy, event, gone), Reference: barePython},
			{Name: "16 first answers at once, from a pool of 16 (G10)", Unit: "ms", Cost: true, Goal: 1.0 / 30, Ours: ample.burst(crowded, 3*time.Second), Reference: named(cold.burst(hurried, 0), "16 boots"), Rounds: 5},
			{Name: "Go, first answer (G11)", Unit: "ms", Cost: true, Goal: 1.7, Ours: pool.fromZero(firstGo, event, gone), Reference: bareGo},
			node.beside(rieNode, "Node behind HTTP, beside Lambda's emulator (G14)", 1.0/4),
			inGo.beside(rieGo, "Go behind HTTP, beside Lambda's emulator (G14)", 1.0/4),
			node.beside(watchdog, "Node behind HTTP, beside of-watchdog (G14)", 1/2.2),
			{Name: "full isolation of an instance, per start (G15)", Unit: "ms", Cost: true, Goal: 2, Skip: "sluice isolates nothing by itself: process.Options.Isolate is for who does"},
			{Name: "Node, an idle instance alone (G16)", Unit: "MB", Cost: true, Goal: 1.05, Ours: pool.density("idle", "nodejs20.x", "index.js", pidJS), Reference: bareDensity(w.Temp, "index.js", pidJS, "node", idleJS), Rounds: 2},
			{Name: "Python, an idle instance alone (G17)", Unit: "MB", Cost: true, Goal: 0.25, Ours: pool.density("idlepy", "python3.12", "index.py", pidPython), Reference: bareDensity(w.Temp, "index.py", pidPython, python, "-c", idlePyMod), Rounds: 2},
			{Name: "a file saved, until the new code answers (G18)", Unit: "ms", Cost: true, Goal: 30, Ours: saved(ctx, w), Rounds: 1},
			{Name: "an instance killed, until its caller knows (G19)", Unit: "ms", Cost: true, Goal: 5, Ours: pool.killed(hang), Rounds: 3},
		},
		Curves: []measure.Curve{
			{Name: "one call, functions deployed", Of: "functions", Unit: "µs", At: []int{1, 10, 100}, Take: func(n int) (float64, error) { return amongMany(ctx, w.Temp, n) }},
			{Name: "the last of a queue", Of: "waiting calls", Unit: "ms", At: []int{8, 32, 128}, Take: func(n int) (float64, error) { return queued(pool, answer, n) }},
		},
	}, nil
}

// libraryOf is the version of AWS's library that a program is built with.
func libraryOf(path string) string {
	if info, err := buildinfo.ReadFile(path); err == nil {
		for _, m := range info.Deps {
			if m.Path == "github.com/aws/aws-lambda-go" {
				return m.Version
			}
		}
	}
	return "?"
}

// handler builds the function in Go and reads its program.
func handler(w *measure.Workshop, name string, flags ...string) (path, program string, err error) {
	path = filepath.Join(w.Temp, name)
	args := append([]string{"build", "-ldflags", "-s -w", "-o", path}, flags...)
	build := exec.Command("go", append(args, "./functions/handler")...)
	build.Dir, build.Env = filepath.Join(w.Source, "bench"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build the handler: %w: %s", err, out)
	}
	b, err := os.ReadFile(path)
	return path, string(b), err
}

// amongMany is a warm call's time where n functions are deployed and the first calls in turn.
func amongMany(ctx context.Context, temp string, n int) (float64, error) {
	r := newRoom(ctx, temp, 1, false)
	defer r.stop()
	var first *function.Version
	for i := range n {
		v, err := r.function(fmt.Sprintf("f%d", i), "aws", "nodejs20.x", "index.js", jsonHandler, 1)
		if err != nil {
			return 0, err
		}
		if err := r.Deploy(ctx, v); err != nil {
			return 0, err
		}
		if first == nil {
			first = v
		}
	}
	return typical(2000, time.Second, func() error { return r.call(first, event) })
}

// queued is how long n calls at once of one instance take.
func queued(r *room, v *function.Version, n int) (float64, error) {
	if err := r.call(v, event); err != nil {
		return 0, err
	}
	var took []float64
	for range 9 {
		ms, err := atOnce(n, func(int) error { return r.call(v, event) })
		if err != nil {
			return 0, err
		}
		took = append(took, ms)
	}
	return measure.Median(took), nil
}

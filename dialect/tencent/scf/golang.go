package scf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/gorpc"
	"github.com/sluicehq/sluice/internal/ports"
)

// Go1 starts functions of runtime Go1 (section 2.5): programs that serve calls by net/rpc on a port of
// this machine.
type Go1 struct{}

var _ function.Starter = Go1{}

// Runs reports whether it is Tencent's runtime for Go.
func (Go1) Runs(d, runtime string) bool { return d == dialect && strings.EqualFold(runtime, "Go1") }

// What goes over the wire; gob matches fields by their names, so these are the protocol's.
type (
	pingRequest   struct{}
	pingResponse  struct{}
	invokeRequest struct {
		Payload               []byte
		RequestId             string
		TraceId               string
		Deadline              deadline
		InvokedFunctionUnique string
		ClientContext         []byte
		Namespace             string
		FunctionName          string
		FunctionVersion       string
		MemoryLimitInMb       int32
		TimeLimitInMs         int32
		Environment           string
		TencentcloudRegion    string
		TencentcloudAppID     string
		TencentcloudUin       string
		FunctionTrace         string
	}
	deadline       struct{ Seconds, Nanos int64 }
	invokeResponse struct {
		Payload []byte
		Error   *invokeError
	}
	invokeError struct {
		Message    string
		Type       string
		StackTrace []*stackFrame
		ShouldExit bool
	}
	stackFrame struct {
		Path  string
		Line  int32
		Label string
	}
)

// Start starts the function's program and returns when it answers a ping.
func (Go1) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	name := path.Base(cmp.Or(v.Spec.Handler, "main"))
	if err := executable(at(v, name), name); err != nil {
		return nil, err
	}
	g, err := function.OnFreePort(ctx, func(port int) (*golang, error) { return startGo(ctx, v, s, logs, at(v, name), port) })
	if err != nil {
		return nil, err
	}
	return g, nil
}

func startGo(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink, file string, port int) (_ *golang, err error) {
	g := &golang{}
	if g.program, err = run(ctx, v, s, logs, file, nil, map[string]string{"_LAMBDA_SERVER_PORT": strconv.Itoa(port)}); err != nil {
		return nil, err
	}
	dialer, began := net.Dialer{Timeout: time.Second}, time.Now()
	err = g.await(ctx, typeStartLate, "the program does not answer on its port (_LAMBDA_SERVER_PORT)", func() bool {
		if g.client == nil {
			conn, err := dialer.DialContext(ctx, "tcp", ports.Address(port))
			if err != nil {
				return false
			}
			g.client = gorpc.NewClient(conn)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second) // whoever says nothing is not the program
		defer cancel()
		err := g.client.Call(ctx, "Function.Ping", &pingRequest{}, &pingResponse{})
		if err != nil {
			g.client.Close()
			g.client = nil
			return false
		}
		return ports.Ours(g.Process.Pid(), port, began)
	})
	if err != nil {
		g.close()
		g.Kill()
		return nil, err
	}
	if !g.Go(func() {
		<-g.Process.Exited()
		g.client.Close()
	}) {
		g.client.Close()
	}
	return g, nil
}

// golang is an instance whose program serves net/rpc. It takes one call at a time.
type golang struct {
	*program
	client *gorpc.Client
}

func (g *golang) close() {
	if g.client != nil {
		g.client.Close()
	}
}

// Invoke runs one call.
func (g *golang) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if !g.Begin(inv.RequestID) {
		return sluice.Result{}, function.ErrInstanceGone
	}
	defer g.End(inv.RequestID)
	began := time.Now()
	var out invokeResponse
	err := g.client.Call(ctx, "Function.Invoke", g.request(ctx, inv), &out)
	var said rpc.ServerError
	switch {
	case errors.Is(err, gorpc.ErrNotSent): // the connection had ended before
		g.Kill()
		return sluice.Result{}, function.ErrInstanceGone
	case errors.As(err, &said):
		return g.Finish(sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: said.Error()}}, began), nil
	case err != nil && ctx.Err() != nil:
		return g.Finish(g.over(ctx), began), nil
	case err != nil:
		if !g.ExitsSoon() {
			g.Kill() // what it says is no use any more
			return g.Finish(sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Message: "the connection to the program broke: " + err.Error()}}, began), nil
		}
		g.Wait()
		return g.Finish(sluice.Result{Failure: g.exit()}, began), nil
	case out.Error != nil:
		res := g.Finish(sluice.Result{Failure: out.Error.failure()}, began)
		if out.Error.ShouldExit {
			g.Kill()
		}
		return res, nil
	case len(out.Payload) > maxSync:
		return g.Finish(tooBig(), began), nil
	}
	return g.Finish(sluice.Result{Payload: out.Payload}, began), nil
}

func (g *golang) request(ctx context.Context, inv *sluice.Invocation) *invokeRequest {
	spec, env := &g.Version.Spec, g.Version.Env
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(spec.Timeout)
	}
	return &invokeRequest{
		Payload:            event(inv),
		RequestId:          inv.RequestID,
		Deadline:           deadline{end.Unix(), int64(end.Nanosecond())},
		Namespace:          Namespace(spec),
		FunctionName:       Name(spec),
		FunctionVersion:    Latest,
		MemoryLimitInMb:    int32(spec.MemoryMB),
		TimeLimitInMs:      int32(spec.Timeout.Milliseconds()),
		Environment:        env[environmentVariable],
		TencentcloudRegion: env["TENCENTCLOUD_REGION"],
		TencentcloudAppID:  env["TENCENTCLOUD_APPID"],
		TencentcloudUin:    env["TENCENTCLOUD_UIN"],
	}
}

// failure is what the program says of itself.
func (e *invokeError) failure() *sluice.Failure {
	f := &sluice.Failure{Kind: sluice.Handled, Thrown: e.ShouldExit, Type: e.Type, Message: e.Message, Stack: []string{e.Message}}
	if e.ShouldExit {
		f.Stack[0] = "panic: " + e.Message
	}
	for _, s := range e.StackTrace {
		f.Stack = append(f.Stack, fmt.Sprintf("    at %s (%s:%d)", s.Label, s.Path, s.Line))
	}
	return f
}

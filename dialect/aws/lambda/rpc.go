package lambda

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"net"
	"net/rpc"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/gorpc"
	"github.com/sluicehq/sluice/internal/ports"
)

// A program built with AWS's library for Go can also serve calls by net/rpc, as it does in the runtime
// go1.x: a call takes a fraction of the time that two requests of the runtime API do. The library takes
// that way when it finds a port in rpcPort, unless it was built without.

const (
	rpcPort    = "_LAMBDA_SERVER_PORT"
	rpcModule  = "github.com/aws/aws-lambda-go"
	rpcWithout = "lambda.norpc" // the build tag
)

// servesRPC reports whether a program serves net/rpc, and whether that does for the function: an answer
// that callers get as it is made has to come by the runtime API.
func servesRPC(v *function.Version, path string) bool {
	if extraOf(&v.Spec).invokeMode() != "BUFFERED" {
		return false
	}
	info, err := buildinfo.ReadFile(path)
	return err == nil && honours(info)
}

func honours(info *debug.BuildInfo) bool {
	for _, s := range info.Settings {
		if s.Key == "-tags" && slices.Contains(strings.Split(s.Value, ","), rpcWithout) {
			return false
		}
	}
	return slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == rpcModule })
}

// What goes over the wire; gob matches fields by their names, so these are the protocol's.
type (
	rpcPing    struct{}
	rpcPong    struct{}
	rpcRequest struct {
		Payload            []byte
		RequestId          string
		XAmznTraceId       string
		Deadline           rpcDeadline
		InvokedFunctionArn string
		ClientContext      []byte
	}
	rpcDeadline struct{ Seconds, Nanos int64 }
	rpcResponse struct {
		Payload []byte
		Error   *rpcError
	}
	rpcError struct {
		Message    string     `json:"errorMessage"`
		Type       string     `json:"errorType"`
		StackTrace []rpcFrame `json:"stackTrace,omitempty"`
		ShouldExit bool       `json:"-"`
	}
	rpcFrame struct {
		Path  string `json:"path"`
		Line  int32  `json:"line"`
		Label string `json:"label"`
	}
)

// dial waits until the program serves calls on its port. nil when it has ended, or asks for calls.
func (e *environment) dial(port int) *gorpc.Client {
	began := time.Now()
	for {
		if conn, err := net.DialTimeout("tcp", ports.Address(port), time.Second); err == nil {
			c := gorpc.NewClient(conn)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err := c.Call(ctx, "Function.Ping", &rpcPing{}, &rpcPong{})
			cancel()
			if err == nil && ports.Ours(e.Process.Pid(), port, began) {
				return c
			}
			c.Close()
		}
		select {
		case <-time.After(max(300*time.Microsecond, min(time.Since(began)/8, 10*time.Millisecond))):
		case <-e.Done():
			return nil
		case <-e.asked:
			return nil
		}
	}
}

// served is a program that serves its calls by net/rpc.
type served struct {
	*environment
	client *gorpc.Client
}

// Invoke runs one call. A call whose time is over takes the program with it (section 3.3).
func (s *served) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if !s.Begin(inv.RequestID) {
		return sluice.Result{}, function.ErrInstanceGone
	}
	defer s.End(inv.RequestID)
	started := time.Now()
	var out rpcResponse
	var said rpc.ServerError
	err := s.client.Call(ctx, "Function.Invoke", s.ask(ctx, inv), &out)
	switch {
	case errors.Is(err, gorpc.ErrNotSent):
		s.Kill()
		return sluice.Result{}, function.ErrInstanceGone
	case errors.As(err, &said):
		out.Error = &rpcError{Message: said.Error(), Type: "ServerError"}
	case err != nil && ctx.Err() != nil:
		return s.finish(sluice.Result{Failure: s.late()}, started, inv), nil
	case err != nil:
		return s.finish(sluice.Result{Failure: s.broken()}, started, inv), nil
	case len(out.Payload) > maxResponse:
		return s.finish(sluice.Result{Failure: hugeResponse()}, started, inv), nil
	}
	if out.Error == nil {
		return s.finish(sluice.Result{Payload: unstream(out.Payload)}, started, inv), nil
	}
	body, err := json.Marshal(out.Error)
	if err != nil {
		body = nil
	}
	s.say(string(body))
	res := s.finish(sluice.Result{Failure: failureOf(sluice.Handled, out.Error.Type, body)}, started, inv)
	if out.Error.ShouldExit {
		s.say("calling the handler function resulted in a panic, the process should exit")
		s.Kill()
	}
	return res, nil
}

func (s *served) ask(ctx context.Context, inv *sluice.Invocation) *rpcRequest {
	end := deadline(ctx)
	r := &rpcRequest{Payload: inv.Payload, RequestId: inv.RequestID, XAmznTraceId: inv.Attrs["trace"], InvokedFunctionArn: s.arn(inv),
		Deadline: rpcDeadline{end.Unix(), int64(end.Nanosecond())}, ClientContext: []byte(inv.Attrs["client"])}
	if len(r.Payload) == 0 {
		r.Payload = []byte("{}")
	}
	return r
}

// say logs what the library says of a failure when it speaks with the runtime API.
func (s *served) say(text string) {
	s.Line([]byte(time.Now().UTC().Format("2006/01/02 15:04:05 ") + text))
}

// broken is the failure of a call whose connection has ended: the program has, or is of no more use.
func (s *served) broken() *sluice.Failure {
	s.ExitsSoon()
	s.Kill()
	f := s.exit()
	return &f
}

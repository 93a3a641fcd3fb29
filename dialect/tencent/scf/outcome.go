package scf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// The function status codes (section 2.6).
const (
	StatusOK          = 200
	StatusExited      = 405 // the container has exited
	StatusEventLarge  = 406
	StatusAnswerLarge = 407
	StatusException   = 430 // the user's code has thrown
	StatusBusy        = 432 // too many calls at once
	StatusTimeout     = 433
	StatusMemory      = 434
	StatusNoFunction  = 435
	StatusNoHandler   = 437
	StatusProcessExit = 439
	StatusNoQualifier = 442
	StatusUserCode    = 443 // the user's code cannot be loaded
	StatusStart       = 445 // the instance does not start
	StatusNoPort      = 446 // a web function's server does not listen
	StatusStartLate   = 450
	StatusSocketIdle  = 455
	StatusSocketLost  = 456
	StatusCancelled   = 499
	StatusInternal    = 500
)

// Types of failures that our starters tell apart.
const (
	typeMemory    = "OutOfMemory"     // as function/process has it
	typeNoPort    = "PortBindFailed"  // a web function's server does not listen
	typeStartLate = "StartTimeout"    // a program is not ready in time
	typeStart     = "StartFailed"     // a program has ended before it was ready
	typeCode      = "UserCodeError"   // the module cannot be loaded
	typeHandler   = "HandlerNotFound" // it can, and has no such handler

	// Of the connections that web functions hold.
	typeSocketIdle   = "WebSocketIdle"   // nothing was said for too long
	typeSocketLost   = "WebSocketLost"   // the client has gone, with a code that tells of an error or none
	typeSocketServer = "WebSocketBroken" // so has the function's server
)

// outcomeOf tells a result, or that there is none, as the cloud does. v is nil when err says that there is
// no such function.
func outcomeOf(id string, v *function.Version, res sluice.Result, err error) Outcome {
	o := Outcome{Status: StatusOK, Payload: res.Payload, HTTP: res.HTTP, RequestID: id, Took: res.Took, MemoryMB: res.MemoryMB, Log: res.LogTail}
	var stack string
	switch {
	case err != nil:
		o.Status, o.ErrMsg = refused(err)
	case res.Failure != nil:
		o.Status, o.ErrMsg, stack = failed(res.Failure, v)
	case len(o.Payload) == 0 && o.HTTP == nil:
		o.Payload = []byte("null")
		return o
	default:
		return o
	}
	o.Payload = errorBody(id, o.Status, o.ErrMsg, stack)
	if stack != "" {
		o.ErrMsg = stack
	}
	return o
}

// refused is the status and message of a call that no instance has got.
func refused(err error) (int, string) {
	var q *qualifierError
	if errors.As(err, &q) {
		return StatusNoQualifier, err.Error()
	}
	switch sluice.KindOf(err) {
	case sluice.Missing:
		return StatusNoFunction, err.Error()
	case sluice.Throttled, sluice.Timeout:
		return StatusBusy, err.Error()
	case sluice.TooMuch:
		return StatusEventLarge, err.Error()
	}
	return StatusInternal, err.Error()
}

// failed is the status, message and stack of a function's own failure.
func failed(f *sluice.Failure, v *function.Version) (status int, text, stack string) {
	switch f.Kind {
	case sluice.TimedOut:
		var limit time.Duration
		if v != nil {
			limit = v.Spec.Timeout
		}
		return StatusTimeout, fmt.Sprintf("Invoking task timed out after %d seconds", int(limit.Seconds())), ""
	case sluice.Crashed:
		if f.Type == typeMemory {
			return StatusMemory, "Invoking task failed: memory limit exceeded", f.Message
		}
		return StatusProcessExit, "User process exit when running", trace(f)
	case sluice.TooBig:
		return StatusAnswerLarge, "body size is too long", ""
	case sluice.BadEntry:
		if f.Type == typeHandler {
			return StatusNoHandler, "handler not found", trace(f)
		}
		return StatusUserCode, "user code error", trace(f)
	case sluice.InitFail:
		switch f.Type {
		case typeNoPort:
			return StatusNoPort, f.Message, trace(f)
		case typeStartLate:
			return StatusStartLate, f.Message, trace(f)
		case typeStart:
			return StatusStart, f.Message, trace(f)
		}
		return StatusUserCode, "user code error", trace(f)
	case sluice.Handled:
		switch f.Type {
		case typeSocketIdle:
			return StatusSocketIdle, f.Message, ""
		case typeSocketLost:
			return StatusSocketLost, f.Message, ""
		case typeSocketServer:
			return StatusProcessExit, f.Message, ""
		}
	}
	return StatusException, "user code exception caught", trace(f)
}

// trace is what a failure's runtime printed of it.
func trace(f *sluice.Failure) string {
	if len(f.Stack) > 0 {
		return strings.Join(f.Stack, "\n")
	}
	return f.Message
}

// errorBody is the result of a call that failed (section 2.6).
func errorBody(id string, status int, text, stack string) []byte {
	return plain(struct {
		Code    int    `json:"errorCode"`
		Message string `json:"errorMessage"`
		Request string `json:"requestId"`
		Stack   string `json:"stackTrace,omitempty"`
		Status  int    `json:"statusCode"`
	}{-1, text, id, stack, status})
}

// plain is v as the cloud writes JSON: with <, > and & as they are. v always marshals.
func plain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

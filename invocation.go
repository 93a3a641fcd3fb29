package sluice

import (
	"context"
	"io"
	"net/http"
	"time"
)

// InvokeKind tells in which form a function is called.
type InvokeKind uint8

// The forms of a call.
const (
	InvokeEvent InvokeKind = iota // Payload is the event
	InvokeHTTP                    // HTTP is the request, Payload its body
)

// Invocation is one call of one function.
type Invocation struct {
	App       AppName
	Function  FunctionName
	Qualifier string // version or alias; "" is the newest
	Kind      InvokeKind
	RequestID string
	Payload   []byte
	HTTP      *HTTPRequest      // InvokeHTTP only
	Conn      ConnID            // the connection that caused it, for logs and traces; may be zero
	Attrs     map[string]string // what a dialect hands its own Starter (trace header, client context …)
	// Stream takes the answer of a function that streams it, if its runtime can: the Result has no Payload
	// and no HTTP then. nil has it collected.
	Stream Stream
}

// Stream takes an answer while a function makes it. Its methods are called by one goroutine at a time, and
// none any more when the invocation has returned.
type Stream interface {
	// Begin comes once, before all bytes. head is nil when the function tells nothing of its answer; its
	// Status is 0 when the function has named headers only.
	Begin(head *HTTPResponse)
	// Write takes the next bytes, and keeps none of them. The function may have to wait for it, but it must
	// return when ctx ends; after an error nobody listens to the function, which runs on.
	Write(ctx context.Context, p []byte) error
}

// HTTPRequest is the head of an HTTP call to a function.
type HTTPRequest struct {
	Method   string
	Path     string // the path that the function sees
	RawQuery string
	Host     string
	Header   http.Header
	Remote   string // the client's address without port
	URI      string // the full request URI as the client sent it

	// Upgrade takes the client's connection over when the function's server has answered 101 (Switching
	// Protocols), and gives the client that answer; nil: it cannot be taken. The call lasts as long as the
	// connection, which whoever took it closes. A read that fails with os.ErrDeadlineExceeded means that
	// this server stops.
	Upgrade func(answer *HTTPResponse) (io.ReadWriteCloser, error) `json:"-"`
}

// HTTPResponse is the head of a function's HTTP answer; its body is Result.Payload.
type HTTPResponse struct {
	Status int
	Header http.Header
}

// Result is what came of an invocation that reached a function. An invocation that did not (no such
// function, throttled, could not start) is an error instead.
type Result struct {
	Payload  []byte
	HTTP     *HTTPResponse
	Failure  *Failure // the function failed; nil when it did not
	Instance string   // which instance served it
	Cold     bool     // the instance was started for this call
	Init     time.Duration
	Took     time.Duration // in the function
	MemoryMB int           // peak, 0 when unknown
	LogTail  []byte        // the last 4 KB of this invocation's log
}

// FailureKind tells how a function failed.
type FailureKind uint8

// The ways to fail.
const (
	Handled  FailureKind = iota + 1 // the function said so itself
	Crashed                         // threw outside its handler, exited or was killed
	TimedOut                        // ran past its timeout and was stopped
	BadEntry                        // the handler or its module is not there
	InitFail                        // the initializer failed
	TooBig                          // the answer exceeds the limit
)

// Failure is a function's own failure, in words that every dialect can write its own way.
type Failure struct {
	Kind    FailureKind
	Thrown  bool     // Handled: it was thrown, where the runtime has another way to say it
	Type    string   // "TypeError"
	Message string   // one line
	Stack   []string // innermost first, as the runtime prints it
	Body    []byte   // the runtime's own error body when it made one, else nil
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"time"
)

// serve serves calls by net/rpc, as AWS's library for Go does where a port says so.
func serve(port string) {
	ln, err := net.Listen("tcp", "localhost:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	rpc.Register(&Function{})
	rpc.Accept(ln)
}

// Function is the service.
type Function struct{}

// Request is a call; gob matches its fields by name.
type Request struct {
	Payload            []byte
	RequestId          string
	XAmznTraceId       string
	Deadline           struct{ Seconds, Nanos int64 }
	InvokedFunctionArn string
	ClientContext      []byte
}

// Response is its answer.
type Response struct {
	Payload []byte
	Error   *Failure
}

// Failure is why there is none.
type Failure struct {
	Message, Type string
	StackTrace    []*Frame
	ShouldExit    bool
}

// Frame is a line of a stack.
type Frame struct {
	Path  string
	Line  int32
	Label string
}

// Ping says that the program is ready.
func (f *Function) Ping(*struct{}, *struct{}) error { return nil }

// Invoke does what a call says.
func (f *Function) Invoke(in *Request, out *Response) error {
	var c call
	json.Unmarshal(in.Payload, &c)
	out.Payload = in.Payload
	switch c.Do {
	case "request":
		out.Payload = fmt.Appendf(nil, "%s %s %s %s", in.RequestId, in.XAmznTraceId, in.InvokedFunctionArn, in.ClientContext)
	case "print":
		fmt.Println(c.Text)
	case "fail":
		out.Error = &Failure{Message: "no", Type: "errorString"}
	case "panic":
		out.Error = &Failure{Message: "oh", Type: "string", StackTrace: []*Frame{{"main.go", 7, "main.f"}}, ShouldExit: true}
	case "refuse":
		return errors.New("refused")
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Hour)
	case "large":
		out.Payload = make([]byte, c.N)
	}
	return nil
}

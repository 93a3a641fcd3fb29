package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strings"
)

// The protocol of Go1 as its library has it, in types of our own.
type (
	Nothing struct{}
	Request struct {
		Payload                                           []byte
		RequestId, TraceId                                string
		Deadline                                          Moment
		InvokedFunctionUnique                             string
		ClientContext                                     []byte
		Namespace, FunctionName, FunctionVersion          string
		MemoryLimitInMb, TimeLimitInMs                    int32
		Environment                                       string
		TencentcloudRegion                                string
		TencentcloudAppID, TencentcloudUin, FunctionTrace string
	}
	Moment   struct{ Seconds, Nanos int64 }
	Response struct {
		Payload []byte
		Error   *Failure
	}
	Failure struct {
		Message, Type string
		StackTrace    []*Frame
		ShouldExit    bool
	}
	Frame struct {
		Path  string
		Line  int32
		Label string
	}
)

// Function is what the platform calls.
type Function struct{}

// Ping says that the program is there.
func (*Function) Ping(*Nothing, *Nothing) error { return nil }

// Invoke does one call.
func (*Function) Invoke(in *Request, out *Response) error {
	env := map[string]string{}
	if in.Environment != "" {
		json.Unmarshal([]byte(in.Environment), &env)
	}
	for k, v := range env {
		os.Setenv(k, v)
	}
	switch event := text(in.Payload); event {
	case "request":
		out.Payload, _ = json.Marshal(in)
	case "panic":
		out.Error = &Failure{Message: "boom", Type: "string", ShouldExit: true, StackTrace: []*Frame{{"main.go", 7, "handle"}}}
	case "rpc":
		return errors.New("no such thing")
	case "nothing":
		out.Payload = []byte("null")
	default:
		text, err := obey(event)
		if err != nil {
			out.Error = &Failure{Message: strings.Split(err.Error(), "\n")[0], Type: "errorString"}
			return nil
		}
		out.Payload, _ = json.Marshal(text)
	}
	return nil
}

func serveCalls() {
	rpc.Register(&Function{})
	l, err := net.Listen("tcp", "0.0.0.0:"+os.Getenv("_LAMBDA_SERVER_PORT"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	rpc.Accept(l)
}

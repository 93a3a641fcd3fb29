package gorpc

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"strings"
	"testing"
)

// Echo is a service.
type Echo struct{ held, hold chan struct{} }

// In is its question, Out its answer.
type (
	In  struct{ Text string }
	Out struct{ Text string }
)

// Say answers with what it was told.
func (e *Echo) Say(in *In, out *Out) error {
	switch in.Text {
	case "wrong":
		return errors.New("this is wrong")
	case "hold":
		close(e.held)
		<-e.hold
	}
	out.Text = in.Text
	return nil
}

func open(t *testing.T) (*Client, net.Conn, *Echo) {
	t.Helper()
	server := rpc.NewServer()
	e := &Echo{held: make(chan struct{}), hold: make(chan struct{})}
	if err := server.Register(e); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeConn(theirs) }()
	c := NewClient(conn)
	t.Cleanup(func() { close(e.hold); c.Close(); <-done })
	return c, theirs, e
}

func TestCallsFollowEachOther(t *testing.T) {
	c, _, _ := open(t)
	for _, text := range []string{"a", "", strings.Repeat("long", 50_000), "b"} {
		var out Out
		if err := c.Call(t.Context(), "Echo.Say", &In{text}, &out); err != nil || out.Text != text {
			t.Errorf("%.10q: %.10q, %v", text, out.Text, err)
		}
	}
	var said rpc.ServerError
	if err := c.Call(t.Context(), "Echo.Say", &In{"wrong"}, &Out{}); !errors.As(err, &said) || said.Error() != "this is wrong" {
		t.Error(err)
	}
	if err := c.Call(t.Context(), "Echo.Nothing", &In{}, &Out{}); !errors.As(err, &said) {
		t.Error(err)
	}
	var out Out
	if err := c.Call(t.Context(), "Echo.Say", &In{"after errors"}, &out); err != nil || out.Text != "after errors" {
		t.Error(out, err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	c, _, e := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-e.held; cancel() }()
	if err := c.Call(ctx, "Echo.Say", &In{"hold"}, &Out{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestACallThatIsNotSentSaysSo(t *testing.T) {
	c, theirs, _ := open(t)
	if err := c.Call(t.Context(), "Echo.Say", &In{"a"}, &Out{}); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if err := c.Call(t.Context(), "Echo.Say", &In{"b"}, &Out{}); err == nil {
		t.Error("nobody is there")
	}
	c.Close()
	if err := c.Call(t.Context(), "Echo.Say", &In{"c"}, &Out{}); !errors.Is(err, ErrNotSent) {
		t.Error(err)
	}
}

package scf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice"
)

const (
	defaultSocketIdle = 15 * time.Second // WSParams.IdleTimeOut
	closeGrace        = 5 * time.Second  // between the end of one side and the other's
	tellGrace         = time.Second      // for who sends too much to hear that it has
)

// TakesSockets reports whether a function's server takes WebSockets itself (section 1.10).
func TakesSockets(f *sluice.Function) bool { return IsWeb(f) && extraOf(f).Sockets }

// socket passes a connection through to the server, which has accepted it, until it ends. What it returns
// says why when that was not in order.
func (in *web) socket(ctx context.Context, inv *sluice.Invocation, res *http.Response) *sluice.Failure {
	server, ok := res.Body.(io.ReadWriteCloser)
	if !ok || inv.HTTP == nil || inv.HTTP.Upgrade == nil {
		res.Body.Close()
		return &sluice.Failure{Kind: sluice.Handled, Message: "the server has answered 101 to a request that is no handshake"}
	}
	client, err := inv.HTTP.Upgrade(&sluice.HTTPResponse{Status: res.StatusCode, Header: res.Header})
	if err != nil {
		server.Close()
		return lost(codeNone, err)
	}
	idle := extraOf(&in.Version.Spec).SocketIdle
	if idle == 0 {
		idle = defaultSocketIdle
	}
	return newTunnel(client, server, idle).run(ctx)
}

// lost and broken are the failures of connections that the client or the server has ended.
func lost(code int, err error) *sluice.Failure { return ended(typeSocketLost, "client", code, err) }

func broken(code int, err error) *sluice.Failure {
	return ended(typeSocketServer, "function's server", code, err)
}

func ended(kind, who string, code int, err error) *sluice.Failure {
	text := fmt.Sprintf("the %s has closed the WebSocket with code %d", who, code)
	if code == codeNone {
		text = "the " + who + " has left the WebSocket without closing it"
		if err != nil && !errors.Is(err, io.EOF) {
			text += ": " + err.Error()
		}
	}
	return &sluice.Failure{Kind: sluice.Handled, Type: kind, Message: text}
}

// tunnel is one connection between a client and a function's server, passed through as it is. Only run, and
// the two flows that it waits for, touch it.
type tunnel struct {
	up, down flow // from the client, from the server
	ends     chan end
	idle     *time.Timer // fires after quiet without a byte
	quiet    time.Duration
	closed   atomic.Pointer[closing] // by the first closing frame
}

// flow is one direction of a tunnel.
type flow struct {
	t      *tunnel
	from   io.ReadWriteCloser
	to     io.ReadWriteCloser
	client bool // it comes from the client

	mu     sync.Mutex // held while writing to to; guards frames
	frames frames
}

// end says that a flow is over.
type end struct {
	of  *flow
	err error
}

// closing is a closing frame.
type closing struct {
	code     int
	byClient bool
}

func newTunnel(client, server io.ReadWriteCloser, quiet time.Duration) *tunnel {
	t := &tunnel{ends: make(chan end, 2), idle: time.NewTimer(quiet), quiet: quiet}
	t.up = flow{t: t, from: client, to: server, client: true}
	t.down = flow{t: t, from: server, to: client}
	return t
}

// run passes everything through until the connection ends, and closes both sides.
func (t *tunnel) run(ctx context.Context) *sluice.Failure {
	var flows sync.WaitGroup
	flows.Go(t.up.run)
	flows.Go(t.down.run)
	defer flows.Wait()
	defer t.up.to.Close()
	defer t.down.to.Close()
	defer t.idle.Stop()
	var first end
	select {
	case <-ctx.Done():
		t.say(codeGoingAway)
		return &sluice.Failure{Kind: sluice.TimedOut}
	case <-t.idle.C:
		t.say(codeGoingAway)
		return &sluice.Failure{Kind: sluice.Handled, Type: typeSocketIdle, Message: fmt.Sprintf("nothing was said on the WebSocket for %v", t.quiet)}
	case first = <-t.ends:
	}
	c := t.closed.Load()
	switch {
	case errors.Is(first.err, os.ErrDeadlineExceeded): // this server stops
		t.say(codeGoingAway)
		return nil
	case errors.Is(first.err, errPacket):
		t.say(codeTooBig)
		select { // else what is still to come would reset the connection, and with it our word
		case <-time.After(tellGrace):
		case <-ctx.Done():
		}
		c = &closing{codeTooBig, first.of.client}
	case c == nil && first.of.client:
		return lost(codeNone, first.err)
	case c == nil:
		t.down.say(codeInternal) // as gateways do when their server is gone
		return broken(codeNone, first.err)
	case first.of.client == c.byClient: // the other one may still answer
		select {
		case <-t.ends:
		case <-time.After(closeGrace):
		case <-ctx.Done():
		}
	}
	switch {
	case c.code == codeNormal, c.code == codeNone, c.code == codeExtension && c.byClient, c.code == codeInternal && !c.byClient:
		return nil
	case c.byClient:
		return lost(c.code, nil)
	}
	return broken(c.code, nil)
}

// say closes both sides with a code.
func (t *tunnel) say(code int) {
	t.down.say(code)
	t.up.say(code)
}

// say sends a closing frame where that is possible: between two frames.
func (f *flow) say(code int) {
	if !f.mu.TryLock() { // it is writing to somebody who does not read
		return
	}
	defer f.mu.Unlock()
	if f.frames.rests() && !f.frames.closed {
		f.frames.closed = true
		f.to.Write(closeFrame(code, f.client))
	}
}

// run passes on what comes until there is no more.
func (f *flow) run() {
	b := make([]byte, 16<<10)
	for {
		n, err := f.from.Read(b)
		if n > 0 {
			f.t.idle.Reset(f.t.quiet)
			if failed := f.pass(b[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			f.t.ends <- end{f, err}
			if errors.Is(err, errPacket) {
				io.Copy(io.Discard, f.from)
			}
			return
		}
	}
}

func (f *flow) pass(b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frames.closed {
		return nil
	}
	if err := f.frames.scan(b); err != nil {
		f.frames.left = 0 // nothing of the frame has gone on: another may
		return err
	}
	if f.frames.closed {
		f.t.closed.CompareAndSwap(nil, &closing{f.frames.code, f.client})
	}
	_, err := f.to.Write(b)
	return err
}

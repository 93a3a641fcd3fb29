// Package gorpc calls a server of net/rpc, one call at a time. The goroutine that asks writes the question
// and reads the answer itself: net/rpc's own client hands both from one goroutine to another, which costs
// more than the rest of a small call.
package gorpc

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"net"
	"net/rpc"
	"reflect"
	"time"
)

// Client is a connection to a server that speaks gob. Its calls must follow each other.
type Client struct {
	conn *counted
	w    *bufio.Writer
	enc  *gob.Encoder
	dec  *gob.Decoder
	seq  uint64
}

// counted is a connection that knows how much has been sent.
type counted struct {
	net.Conn
	sent int
}

// Write sends b.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent += n
	return n, err
}

// ErrNotSent is the error of a call of which the server has got nothing.
var ErrNotSent = errors.New("the call was not sent")

// NewClient returns a client that has the connection from now on.
func NewClient(conn net.Conn) *Client {
	c := &counted{Conn: conn}
	w := bufio.NewWriter(c)
	return &Client{conn: c, w: w, enc: gob.NewEncoder(w), dec: gob.NewDecoder(bufio.NewReader(conn))}
}

// Call calls a method ("Service.Method") and reads its answer into out, a pointer. What the server says is
// wrong is an rpc.ServerError; ErrNotSent is in the error when it cannot have heard of the call. After any
// other error, the end of ctx included, the connection is of no more use.
func (c *Client) Call(ctx context.Context, method string, in, out any) error {
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.seq++
	before := c.conn.sent
	err := c.enc.Encode(&rpc.Request{ServiceMethod: method, Seq: c.seq})
	if err == nil {
		err = c.enc.Encode(in)
	}
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil && c.conn.sent == before {
		return errors.Join(ErrNotSent, err)
	}
	var head rpc.Response
	if err == nil {
		err = c.dec.Decode(&head)
	}
	if err == nil && head.Seq != c.seq {
		err = errors.New("the answer is to another call")
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case head.Error != "":
		if err := c.dec.DecodeValue(reflect.Value{}); err != nil { // it is left out
			return err
		}
		return rpc.ServerError(head.Error)
	}
	if err := c.dec.Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// Close ends the connection, and with it a call that waits.
func (c *Client) Close() error { return c.conn.Close() }

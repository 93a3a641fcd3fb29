package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// inCentrifugo begins the address of a server that is spoken to in Centrifugo's protocol.
const inCentrifugo = "centrifugo:"

// centrifugoConf lets everybody in and asks a function behind HTTP what an RPC answers. Its arguments are a port and
// the function's address.
const centrifugoConf = `{
  "http_server": {"address": "127.0.0.1", "port": %d},
  "log": {"level": "error"},
  "client": {"insecure": true, "allowed_origins": ["*"]},
  "http_api": {"insecure": true},
  "rpc": {"proxy": {"endpoint": "http://%s/rpc"}, "without_namespace": {"proxy_enabled": true}}
}`

// centrifugo says how to start the Centrifugo that is in PATH, since no registry has it.
func centrifugo(w *measure.Workshop) (start func(function string) (*measure.Process, error), err error) {
	program, err := exec.LookPath("centrifugo")
	if err != nil {
		return nil, errors.New("there is no centrifugo in PATH, and no registry has it")
	}
	return func(function string) (*measure.Process, error) {
		port, err := measure.FreePort()
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp(w.Temp, "centrifugo-*")
		if err != nil {
			return nil, err
		}
		conf := filepath.Join(dir, "config.json")
		if err := os.WriteFile(conf, fmt.Appendf(nil, centrifugoConf, port, function), 0o644); err != nil {
			return nil, err
		}
		p, err := measure.Start(exec.Command(program, "-c", conf), true)
		if err != nil {
			return nil, err
		}
		p.Addr = fmt.Sprintf("%s127.0.0.1:%d/connection/websocket", inCentrifugo, port)
		return p, untilOpen(p)
	}, nil
}

// untilOpen waits until a server takes connections; one that does not is ended.
func untilOpen(p *measure.Process) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := dial(p.Addr, 1)
		hangUp(c)
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			p.Kill()
			return fmt.Errorf("it does not start: %w: %s", err, strings.TrimSpace(p.Said()))
		}
	}
}

// subscribe makes a connection a client of Centrifugo's that hears what is for all.
func subscribe(c net.Conn) error {
	const answer = `{"id":2,"subscribe":{}}`
	if _, err := c.Write(masked([]byte(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"all"}}`))); err != nil {
		return err
	}
	var got []byte
	for buf := make([]byte, 512); !bytes.HasSuffix(got, []byte(answer)); {
		n, err := c.Read(buf)
		if err != nil {
			return fmt.Errorf("it says %q: %w", got, err)
		}
		got = append(got, buf[:n]...)
	}
	return nil
}

// publisher is a connection to Centrifugo's own API.
func publisher(addr string) (net.Conn, error) {
	host, _, _ := strings.Cut(strings.TrimPrefix(addr, inCentrifugo), "/")
	c, err := net.Dial("tcp", host)
	if err == nil {
		go io.Copy(io.Discard, c) // ends with the connection
	}
	return c, err
}

// publication has Centrifugo send a text to all who subscribed.
func publication() []byte {
	body := fmt.Sprintf(`{"channel":"all","data":"%s"}`, letters('P'))
	return fmt.Appendf(nil, "POST /api/publish HTTP/1.1\r\nHost: centrifugo\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// publications counts the texts in what one connection is sent: in a frame there may be several, and answers.
func publications() func([]byte) int {
	var rest []byte
	return func(b []byte) (n int) {
		rest = append(rest, b...)
		for len(rest) >= 4 {
			from, size := 2, int(rest[1])
			if size == 126 {
				from, size = 4, int(binary.BigEndian.Uint16(rest[2:]))
			}
			if len(rest) < from+size {
				break
			}
			n += bytes.Count(rest[from:from+size], []byte(`"pub":`))
			rest = rest[from+size:]
		}
		return n
	}
}

// remote is an RPC of Centrifugo's, and what comes back of it.
func remote() (ask, answer []byte) {
	data := letters('E')
	return masked(fmt.Appendf(nil, `{"id":3,"rpc":{"method":"echo","data":"%s"}}`, data)), unmasked(fmt.Appendf(nil, `{"id":3,"rpc":{"data":"%s"}}`, data))
}

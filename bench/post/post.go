// Package post asks HTTP servers with requests that are made before the clock runs, over sockets that are
// kept: on two processors a client that makes its requests, as net/http's does, is slower than the servers.
package post

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Request is one POST as it goes over a socket; headers are names and values in turn.
func Request(path, body string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", path, len(body))
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// Server is who is asked.
type Server struct {
	Addr string
	free chan *line // connections that nobody uses now
}

// To is a server to which up to so many connections are kept.
func To(addr string, connections int) *Server {
	return &Server{Addr: addr, free: make(chan *line, connections)}
}

// Ask sends a request over a connection that is free, or a new one. An answer other than 200 is an error; the
// body of a good one, which is the connection's, is shown to check unless that is nil.
func (s *Server) Ask(req []byte, check func(body []byte) error) error {
	for {
		l, err := s.line()
		if err != nil {
			return err
		}
		answered, err := l.ask(req)
		if err == nil && check != nil {
			err = check(l.body)
		}
		if err != nil {
			l.conn.Close()
			if l.used && !answered {
				continue // Node ends connections that have been idle for 5 s
			}
			return err
		}
		l.used = true
		if l.over {
			return l.conn.Close()
		}
		select {
		case s.free <- l:
		default:
			l.conn.Close()
		}
		return nil
	}
}

func (s *Server) line() (*line, error) {
	select {
	case l := <-s.free:
		return l, nil
	default:
	}
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	return &line{conn: c, r: bufio.NewReaderSize(c, 8<<10)}, nil
}

// line is a connection to a server that is used again and again.
type line struct {
	conn net.Conn
	r    *bufio.Reader
	body []byte // of the last answer
	used bool   // it has had an answer
	over bool   // and that was the last one
}

// ask sends a request and reads its answer to the end; answered says that there was one.
func (l *line) ask(req []byte) (answered bool, err error) {
	if err := l.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return false, err
	}
	if _, err := l.conn.Write(req); err != nil {
		return false, err
	}
	status, err := l.r.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200"))
	said := string(status[:min(len(status), 12)])
	length := -1 // chunks
	for {
		h, err := l.r.ReadSlice('\n')
		if err != nil {
			return true, err
		}
		if h = bytes.TrimSpace(h); len(h) == 0 {
			break
		}
		l.over = l.over || bytes.EqualFold(h, []byte("connection: close"))
		const name = "content-length:"
		if len(h) > len(name) && bytes.EqualFold(h[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(h[len(name):]))); err != nil {
				return true, err
			}
		}
	}
	if !ok {
		body, _ := l.r.Peek(max(0, min(length, 200)))
		return true, fmt.Errorf("answered %s: %s", said, body)
	}
	l.body = l.body[:0]
	for length < 0 {
		size, err := l.r.ReadSlice('\n')
		if err != nil {
			return true, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 32)
		if err != nil {
			return true, err
		}
		if err := l.read(int(n)); err != nil {
			return true, err
		}
		if _, err := l.r.Discard(2); err != nil || n == 0 {
			return true, err
		}
	}
	return true, l.read(length)
}

// read adds so many bytes to the body.
func (l *line) read(n int) error {
	at := len(l.body)
	if cap(l.body) < at+n {
		l.body = append(make([]byte, 0, 2*(at+n)), l.body...)
	}
	l.body = l.body[:at+n]
	_, err := io.ReadFull(l.r, l.body[at:])
	return err
}

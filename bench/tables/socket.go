package tables

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// request is one HTTP request as it goes over a socket, made before the clock runs: on two processors a
// client that makes its requests, as net/http's does, is slower than the servers.
func request(path, body string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", path, len(body))
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// line is a connection to a server that is used again and again.
type line struct {
	conn net.Conn
	r    *bufio.Reader
	used bool // it has had an answer
	over bool // and that was the last one
}

func dial(addr string) (*line, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &line{conn: c, r: bufio.NewReaderSize(c, 8<<10)}, nil
}

// ask sends a request and reads its answer to the end; one that is not 200 is an error, and answered says
// that there was one.
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
	for length < 0 {
		size, err := l.r.ReadSlice('\n')
		if err != nil {
			return true, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 32)
		if err != nil {
			return true, err
		}
		if _, err := l.r.Discard(int(n) + 2); err != nil || n == 0 {
			return true, err
		}
	}
	_, err = io.CopyN(io.Discard, l.r, int64(length))
	return true, err
}

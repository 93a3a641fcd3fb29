package wire

import (
	"bytes"
	"net/http"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// MaxPost is how many bytes the body of a request may have for ParsePost.
const MaxPost = 32 << 10

// ParsePost reads a POST that is all there is in b, and in the plainest form that clients send: HTTP/1.1 with
// a length, on a connection that stays. Anything else, right or wrong, is nil, and net/http's. The Request is
// as net/http would make it, but has no body, context or address; body is part of b.
func ParsePost(b []byte) (r *http.Request, body []byte) {
	if !bytes.HasPrefix(b, []byte("POST /")) {
		return nil, nil
	}
	end := bytes.Index(b, []byte(endOfHead))
	if end < 0 || end > MaxHeader {
		return nil, nil
	}
	h, ok := readHead(b[:end+2], len(http.MethodPost))
	if !ok || h.minor != 1 || h.host == "" || !httpguts.ValidHostHeader(h.host) {
		return nil, nil
	}
	for _, name := range []string{"Transfer-Encoding", "Expect", "Upgrade", "Connection", "Trailer", "Pragma"} {
		if values, ok := h.header[name]; ok && (name != "Connection" || len(values) != 1 || !keepAlive(values[0])) {
			return nil, nil
		}
	}
	length := h.header["Content-Length"]
	if len(length) != 1 || length[0] == "" || len(length[0]) > 5 {
		return nil, nil
	}
	n, err := strconv.ParseUint(length[0], 10, 16)
	if body = b[end+4:]; err != nil || n > MaxPost || int(n) != len(body) {
		return nil, nil
	}
	return &http.Request{
		Method: http.MethodPost, URL: h.url, RequestURI: h.target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header, Host: h.host, ContentLength: int64(n), Body: http.NoBody,
	}, body
}

// keepAlive reports whether the value of a Connection header asks for nothing but what HTTP/1.1 does anyway.
func keepAlive(value string) bool { return value == "keep-alive" || value == "Keep-Alive" }

// AppendAnswer appends the answer to a request that went well: 200 and no body. The connection stays.
func AppendAnswer(dst []byte, header http.Header, date []byte) []byte {
	dst = append(dst, "HTTP/1.1 200 OK\r\n"...)
	dst = appendExtra(dst, header)
	dst = append(append(dst, "Date: "...), date...)
	return append(dst, "\r\nContent-Length: 0\r\n\r\n"...)
}

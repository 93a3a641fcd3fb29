package wire

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Verdict says what the first bytes of a connection are.
type Verdict uint8

// The verdicts.
const (
	Incomplete Verdict = iota // more bytes are needed
	Plain                     // not an upgrade to WebSocket (or not HTTP at all): net/http answers it
	Upgrade                   // a correct handshake
	Bad                       // meant as a handshake, but wrong: Request.Status says how
)

// MaxHeader is the most bytes that the head of a request may have. Beyond it, net/http refuses.
const MaxHeader = 32 << 10

// Request is a client's handshake.
type Request struct {
	Method       string
	Path         string // decoded, as in url.URL
	RawQuery     string
	Host         string
	Header       http.Header // without Host
	Key          string      // Sec-WebSocket-Key
	Subprotocols []string
	Spelling     map[string]string // names of headers where the client did not write them as Header does; only the last spelling of each
	Deflate      bool              // the client offers permessage-deflate in a form that we can accept
	Size         int               // bytes that the head took of the input
	Status       int               // Bad only: the HTTP status to refuse with
}

var (
	endOfHead = []byte("\r\n\r\n")
	endOfLine = []byte("\r\n")
)

// ParseRequest reads the head of a request from the first bytes of a connection. The Request is nil
// when the verdict is Incomplete or Plain; it keeps nothing of b.
func ParseRequest(b []byte) (*Request, Verdict) {
	// Only GET can upgrade; anything else need not wait for the end of its head.
	if !bytes.HasPrefix(b, []byte("GET ")[:min(len(b), 4)]) {
		return nil, Plain
	}
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		if len(b) >= MaxHeader {
			return nil, Plain
		}
		return nil, Incomplete
	}
	if end > MaxHeader {
		return nil, Plain
	}
	line, rest, _ := bytes.Cut(b[:end+2], endOfLine)
	target, proto, ok := strings.Cut(string(line[4:]), " ")
	major, minor, known := http.ParseHTTPVersion(proto)
	if !ok || !known || major != 1 {
		return nil, Plain
	}
	header := make(http.Header, 16)
	var spelling map[string]string
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, endOfLine)
		name, value, ok := bytes.Cut(line, []byte{':'})
		text := string(bytes.Trim(value, " \t"))
		if !ok || !httpguts.ValidHeaderFieldName(string(name)) || !httpguts.ValidHeaderFieldValue(text) {
			return nil, Plain
		}
		k := textproto.CanonicalMIMEHeaderKey(string(name))
		header[k] = append(header[k], text)
		if k != string(name) {
			if spelling == nil {
				spelling = map[string]string{}
			}
			spelling[k] = string(name)
		}
	}
	hosts := header["Host"]
	u, err := url.ParseRequestURI(target)
	if err != nil || len(hosts) > 1 {
		return nil, Plain
	}
	delete(header, "Host")
	r := &Request{Method: http.MethodGet, Path: u.Path, RawQuery: u.RawQuery, Host: u.Host, Header: header, Spelling: spelling, Size: end + 4}
	if r.Host == "" && len(hosts) == 1 {
		r.Host = hosts[0]
	}
	if verdict := r.check(minor); verdict != Plain {
		return r, verdict
	}
	return nil, Plain
}

// FromHTTP reads the handshake out of a request that net/http has parsed: a later request of a
// connection that was kept alive. The verdict is never Incomplete.
func FromHTTP(h *http.Request) (*Request, Verdict) {
	if h.Method != http.MethodGet || h.ProtoMajor != 1 {
		return nil, Plain
	}
	r := &Request{Method: h.Method, Path: h.URL.Path, RawQuery: h.URL.RawQuery, Host: h.Host, Header: h.Header}
	if h.ContentLength != 0 || len(h.TransferEncoding) > 0 {
		r.Header = h.Header.Clone()
		r.Header.Set("Content-Length", "1") // net/http took these out; any body is wrong here
	}
	return r, r.check(h.ProtoMinor)
}

// check judges the head as RFC 6455 section 4.2.1 asks.
func (r *Request) check(minor int) Verdict {
	if !httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket") {
		return Plain
	}
	r.Key = r.Header.Get("Sec-Websocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(r.Key)
	switch {
	case minor < 1, !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade"), r.Host == "",
		err != nil, len(nonce) != 16, len(r.Header["Sec-Websocket-Key"]) != 1,
		r.Header["Transfer-Encoding"] != nil,
		r.Header["Content-Length"] != nil && r.Header.Get("Content-Length") != "0":
		r.Status = http.StatusBadRequest
		return Bad
	case r.Header.Get("Sec-Websocket-Version") != "13":
		r.Status = http.StatusUpgradeRequired
		return Bad
	}
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" {
				r.Subprotocols = append(r.Subprotocols, p)
			}
		}
	}
	r.Deflate = offersDeflate(r.Header["Sec-Websocket-Extensions"])
	return Upgrade
}

// acceptGUID is the constant of RFC 6455 section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AppendAccept appends the 101 answer to a handshake. Headers that the handshake itself needs are
// left out of extra, and so are names and values that HTTP does not allow.
func AppendAccept(dst []byte, key, subprotocol string, deflate bool, extra http.Header) []byte {
	sum := sha1.Sum([]byte(key + acceptGUID))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	dst = append(dst, endOfLine...)
	if subprotocol != "" {
		dst = appendHeader(dst, "Sec-WebSocket-Protocol", subprotocol)
	}
	if deflate {
		dst = appendHeader(dst, "Sec-WebSocket-Extensions", deflateAnswer)
	}
	dst = appendExtra(dst, extra)
	return append(dst, endOfLine...)
}

// AppendRefusal appends an HTTP answer to a handshake that is not accepted, after which the
// connection is closed. A status out of range becomes 500.
func AppendRefusal(dst []byte, status int, header http.Header, body []byte) []byte {
	if status < 200 || status > 999 {
		status = http.StatusInternalServerError
	}
	text := http.StatusText(status)
	if text == "" {
		text = "Status"
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(append(dst, ' '), text...), endOfLine...)
	if status == http.StatusUpgradeRequired {
		dst = appendHeader(dst, "Sec-WebSocket-Version", "13")
	}
	dst = appendExtra(dst, header)
	dst = appendHeader(dst, "Content-Length", strconv.Itoa(len(body)))
	dst = appendHeader(dst, "Connection", "close")
	return append(append(dst, endOfLine...), body...)
}

// appendExtra appends a dialect's headers, without those that belong to the answer itself.
func appendExtra(dst []byte, h http.Header) []byte {
	for name, values := range h {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Connection", "Upgrade", "Content-Length", "Transfer-Encoding",
			"Sec-Websocket-Accept", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Sec-Websocket-Version":
			continue
		}
		for _, v := range values {
			if httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(v) {
				dst = appendHeader(dst, name, v)
			}
		}
	}
	return dst
}

func appendHeader(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, name...), ": "...), value...)
	return append(dst, endOfLine...)
}

package wire

import (
	"bytes"
	"cmp"
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
	Names        []string // of the headers, as the client wrote them; nil when net/http has read them
	Deflate      bool     // the client offers permessage-deflate in a form that we can accept
	Size         int      // bytes that the head took of the input
	Status       int      // Bad only: the HTTP status to refuse with
}

const (
	endOfHead = "\r\n\r\n"
	endOfLine = "\r\n"
)

// ParseRequest reads the head of a request from the first bytes of a connection. The Request is nil
// when the verdict is Incomplete or Plain; it keeps nothing of b.
func ParseRequest(b []byte) (*Request, Verdict) {
	// Only GET can upgrade; anything else need not wait for the end of its head.
	if !bytes.HasPrefix(b, []byte("GET ")[:min(len(b), 4)]) {
		return nil, Plain
	}
	end := bytes.Index(b, []byte(endOfHead))
	if end < 0 {
		if len(b) >= MaxHeader {
			return nil, Plain
		}
		return nil, Incomplete
	}
	if end > MaxHeader {
		return nil, Plain
	}
	h, ok := readHead(b[:end+2], len(http.MethodGet))
	if !ok {
		return nil, Plain
	}
	r := &Request{Method: http.MethodGet, Path: h.url.Path, RawQuery: h.url.RawQuery, Host: h.host, Header: h.header, Names: h.names, Size: end + 4}
	if verdict := r.check(h.minor); verdict != Plain {
		return r, verdict
	}
	return nil, Plain
}

// head is the head of a request.
type head struct {
	target string
	url    *url.URL
	minor  int // of HTTP/1.x
	host   string
	header http.Header // without Host
	names  []string    // as the client wrote them
}

// readHead reads a head, its last line's end included, whose method has so many letters. What it finds at
// fault, or does not know, is net/http's.
func readHead(b []byte, method int) (h head, ok bool) {
	// All texts are parts of one string, all values and names parts of one array.
	line, rest, _ := strings.Cut(string(b), endOfLine)
	target, proto, ok := strings.Cut(line[method+1:], " ")
	major, minor, known := http.ParseHTTPVersion(proto)
	if !ok || !known || major != 1 {
		return h, false
	}
	n := strings.Count(rest, endOfLine)
	texts := make([]string, 2*n)
	header, names, values := make(http.Header, n), texts[:0:n], texts[n:n]
	host, hosts := "", 0
	for len(rest) > 0 {
		line, rest, _ = strings.Cut(rest, endOfLine)
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return h, false
		}
		k := canonical(name)
		if k == "Host" {
			host, hosts = value, hosts+1
			continue
		}
		names, values = append(names, name), append(values, value)
		if before := header[k]; before != nil {
			header[k] = append(before, value)
		} else {
			header[k] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || hosts > 1 {
		return h, false
	}
	return head{target, u, minor, cmp.Or(u.Host, host), header, names}, true
}

// Spelling is how the client wrote the names of headers where that is not as Header has them; the last
// spelling of each counts.
func (r *Request) Spelling() map[string]string {
	var as map[string]string
	for _, name := range r.Names {
		if k := canonical(name); k != name {
			if as == nil {
				as = map[string]string{}
			}
			as[k] = name
		}
	}
	return as
}

// canonical is a header's name as http.Header has it. Those of handshakes are spelled otherwise by RFC 6455,
// so by everybody, and net/textproto would make a new string of each.
func canonical(name string) string {
	switch name {
	case "Sec-WebSocket-Key":
		return "Sec-Websocket-Key"
	case "Sec-WebSocket-Version":
		return "Sec-Websocket-Version"
	case "Sec-WebSocket-Extensions":
		return "Sec-Websocket-Extensions"
	case "Sec-WebSocket-Protocol":
		return "Sec-Websocket-Protocol"
	}
	return textproto.CanonicalMIMEHeaderKey(name)
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
	switch {
	case minor < 1, !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade"), r.Host == "",
		!isKey(r.Key), len(r.Header["Sec-Websocket-Key"]) != 1,
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

// isKey reports whether key is 16 bytes in base64.
func isKey(key string) bool {
	var nonce [18]byte
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], []byte(key))
	return err == nil && n == 16
}

// acceptGUID is the constant of RFC 6455 section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AppendAccept appends the 101 answer to a handshake. Headers that the handshake itself needs are
// left out of extra, and so are names and values that HTTP does not allow.
func AppendAccept(dst []byte, key, subprotocol string, deflate bool, extra http.Header) []byte {
	var text [24 + len(acceptGUID)]byte
	sum := sha1.Sum(append(append(text[:0], key...), acceptGUID...))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	dst = append(dst, endOfLine...)
	if subprotocol != "" && httpguts.ValidHeaderFieldValue(subprotocol) {
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

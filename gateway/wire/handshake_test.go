package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const good = "GET /chat/a%20b?x=1&y=%20 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Protocol:v3\r\nSec-WebSocket-Version: 13\r\nCookie: a=b\r\n\r\n"

func TestParseRequest(t *testing.T) {
	t.Parallel()
	r, verdict := ParseRequest([]byte(good + "more"))
	if verdict != Upgrade {
		t.Fatal(verdict)
	}
	if r.Path != "/chat/a b" || r.RawQuery != "x=1&y=%20" || r.Host != "server.example.com" || r.Size != len(good) || r.Header.Get("Cookie") != "a=b" || r.Deflate {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"chat", "superchat", "v3"}, r.Subprotocols); diff != "" {
		t.Error(diff)
	}
	for n := range len(good) {
		if _, v := ParseRequest([]byte(good[:n])); v != Incomplete {
			t.Fatalf("%d bytes: %v", n, v)
		}
	}
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, tc := range []struct {
		name, in string
		verdict  Verdict
		status   int
	}{
		{"lower case", strings.ReplaceAll(strings.ReplaceAll(good, "Upgrade", "upgrade"), "websocket", "WebSocket"), Upgrade, 0},
		{"absolute form", swap("/chat", "http://other.example/chat"), Upgrade, 0},
		{"no upgrade", swap("Upgrade: websocket\r\n", ""), Plain, 0},
		{"another upgrade", swap("websocket", "h2c"), Plain, 0},
		{"post", swap("GET", "POST"), Plain, 0},
		{"first byte of a post", "P", Plain, 0},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Plain, 0},
		{"TLS", "\x16\x03\x01", Plain, 0},
		{"HTTP/1.0", swap("HTTP/1.1", "HTTP/1.0"), Bad, 400},
		{"strange version", swap("HTTP/1.1", "HTTX"), Plain, 0},
		{"no key", swap("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), Bad, 400},
		{"short key", swap("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), Bad, 400},
		{"two keys", swap("Cookie: a=b", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), Bad, 400},
		{"version 8", swap("Version: 13", "Version: 8"), Bad, 426},
		{"no connection header", swap("Connection: keep-alive, Upgrade\r\n", ""), Bad, 400},
		{"no host", swap("Host: server.example.com\r\n", ""), Bad, 400},
		{"two hosts", swap("Cookie: a=b", "Host: two"), Plain, 0},
		{"a body", swap("Cookie: a=b", "Content-Length: 5"), Bad, 400},
		{"chunks", swap("Cookie: a=b", "Transfer-Encoding: chunked"), Bad, 400},
		{"an empty body", swap("Cookie: a=b", "Content-Length: 0"), Upgrade, 0},
		{"space before the colon", swap("Cookie:", "Cookie :"), Plain, 0},
		{"folded line", swap("Cookie: a=b", "Cookie: a\r\n b"), Plain, 0},
		{"control byte", swap("a=b", "a=\x01"), Plain, 0},
		{"bad target", swap("/chat", "chat"), Plain, 0},
		{"head too big", swap("a=b", strings.Repeat("x", MaxHeader)), Plain, 0},
		{"head without an end", strings.TrimSuffix(swap("a=b", strings.Repeat("x", MaxHeader)), "\r\n\r\n"), Plain, 0},
	} {
		r, verdict := ParseRequest([]byte(tc.in))
		if verdict != tc.verdict || verdict == Bad && r.Status != tc.status {
			t.Errorf("%s: verdict %v %+v", tc.name, verdict, r)
		}
	}
}

func TestDeflateOffers(t *testing.T) {
	t.Parallel()
	for offer, want := range map[string]bool{
		"permessage-deflate":                                                         true,
		"permessage-deflate; client_max_window_bits":                                 true,
		"permessage-deflate; client_max_window_bits=12":                              true,
		`permessage-deflate; client_max_window_bits="15"`:                            true,
		"permessage-deflate; client_max_window_bits=7":                               false,
		"permessage-deflate; server_max_window_bits=15":                              true,
		"permessage-deflate; server_max_window_bits=10":                              false,
		"permessage-deflate; server_max_window_bits":                                 false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          true,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate; server_no_context_takeover=1":                           false,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": false,
		"permessage-deflate; unknown":                                                false,
		"x-webkit-deflate-frame":                                                     false,
		"foo, permessage-deflate":                                                    true,
		"":                                                                           false,
	} {
		if got := offersDeflate([]string{offer}); got != want {
			t.Errorf("%q: %v", offer, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	extra := http.Header{"X-A": {"1", "2"}, "Connection": {"close"}, "Bad Name": {"x"}, "X-Split": {"a\r\nX-Evil: 1"}, "sec-websocket-accept": {"forged"}}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(AppendAccept(nil, "dGhlIHNhbXBsZSBub25jZQ==", "chat", true, extra))), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		"Sec-Websocket-Protocol": {"chat"}, "Sec-Websocket-Extensions": {deflateAnswer}, "X-A": {"1", "2"},
	}
	if diff := cmp.Diff(want, resp.Header); diff != "" || resp.StatusCode != 101 {
		t.Errorf("%d %s", resp.StatusCode, diff)
	}
	if b := AppendAccept(nil, "dGhlIHNhbXBsZSBub25jZQ==", "a\r\nX-Evil: 1", false, nil); bytes.Contains(b, []byte("Evil")) {
		t.Errorf("a subprotocol made a header: %q", b)
	}
	for status, want := range map[int]int{403: 403, 426: 426, 0: 500, 101: 500, 599: 599} {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(AppendRefusal(nil, status, http.Header{"X-A": {"1"}, "Content-Length": {"9"}}, []byte("no")))), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want || string(body) != "no" || !resp.Close || resp.Header.Get("X-A") != "1" {
			t.Errorf("status %d: %+v %q", status, resp, body)
		}
		if v := resp.Header.Get("Sec-WebSocket-Version"); (v == "13") != (status == 426) {
			t.Errorf("status %d: version %q", status, v)
		}
	}
}

func TestHandshakesAllocateLittle(t *testing.T) {
	head, answer := []byte(good), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		r, verdict := ParseRequest(head)
		if verdict != Upgrade {
			t.Fatal(verdict)
		}
		answer = AppendAccept(answer[:0], r.Key, "", false, nil)
	}); n > 12 { // three of them its subprotocols
		t.Errorf("%v allocations for a handshake", n)
	}
}

func TestFromHTTPAgreesWithParseRequest(t *testing.T) {
	t.Parallel()
	h, err := http.ReadRequest(bufio.NewReader(strings.NewReader(good)))
	if err != nil {
		t.Fatal(err)
	}
	a, v := FromHTTP(h)
	b, _ := ParseRequest([]byte(good))
	if as := b.Spelling(); as["Sec-Websocket-Key"] != "Sec-WebSocket-Key" || as["Host"] != "" {
		t.Error("spelling", as)
	}
	b.Size, b.Names = 0, nil // net/http does not keep how names were written
	if diff := cmp.Diff(b, a); diff != "" || v != Upgrade {
		t.Error(v, diff)
	}
	h.Header.Del("Sec-Websocket-Version")
	if r, v := FromHTTP(h); v != Bad || r.Status != 426 {
		t.Error(v)
	}
	h.ContentLength = 3
	if r, v := FromHTTP(h); v != Bad || r.Status != 400 {
		t.Error(v)
	}
	h.Method = "POST"
	if _, v := FromHTTP(h); v != Plain {
		t.Error(v)
	}
}

// What we take for an upgrade, net/http takes for the same request.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, "/chat", "http://other.example/chat", 1)))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, verdict := ParseRequest(b)
		if verdict != Upgrade {
			return
		}
		h, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		if h.URL.Path != r.Path || h.Host != r.Host || h.URL.RawQuery != r.RawQuery || h.Method != r.Method {
			t.Errorf("%+v is %+v to net/http", r, h)
		}
		if bytes.Contains(AppendAccept(nil, r.Key, "", r.Deflate, nil), []byte("\n\n")) {
			t.Error("split answer")
		}
	})
}

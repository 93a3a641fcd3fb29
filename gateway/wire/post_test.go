package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const post = "POST /prod/@connections/a%3D?x=1 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nX-Amz-Date: now \r\naccept-encoding: gzip\r\nX-Amz-Date: then\r\n\r\nhello"

func TestOnlyThePlainestPostsAreRead(t *testing.T) {
	with := func(old, new string) string { return string(bytes.Replace([]byte(post), []byte(old), []byte(new), 1)) }
	for _, b := range []string{post, with("accept-encoding", "Connection: keep-alive\r\nAccept"), with("5", "0")[:len(post)-5]} {
		if r, _ := ParsePost([]byte(b)); r == nil {
			t.Errorf("not read: %q", b)
		}
	}
	for _, b := range []string{
		"", "POST", "POST /", post[:len(post)-6], post[:len(post)-1], post + "P", with("POST", "PUT"), with("POST", "post"), with("1.1", "1.0"), with("1.1", "2.0"),
		with("Host: h:80\r\n", ""), with("Host", "Host: g\r\nHost"), with("h:80", "h 80"), with("/prod", "http://h/prod"), with("/prod", "*"),
		with("5", "05a"), with("5", "+5"), with("5", "-5"), with("Content-Length: 5\r\n", ""), with("X-", "Content-Length: 5\r\nX-"),
		with("X-", "Transfer-Encoding: chunked\r\nX-"), with("X-", "Expect: 100-continue\r\nX-"), with("X-", "Connection: close\r\nX-"), with("X-", "Upgrade: h2c\r\nX-"),
		with("X-Amz", " X-Amz"), with("X-Amz-Date:", "X-Amz-Date :"), with("now", "no\nw"), with("now", "no\x00w"), with(" HTTP", "  HTTP"),
	} {
		if r, _ := ParsePost([]byte(b)); r != nil {
			t.Errorf("read: %q", b)
		}
	}
}

// What ParsePost reads, net/http reads alike.
func FuzzParsePost(f *testing.F) {
	f.Add([]byte(post))
	f.Add([]byte("POST //a/../b HTTP/1.1\r\nHost: [::1]\r\ncontent-length:0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, body := ParsePost(b)
		if r == nil {
			return
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("net/http does not read %q: %v", b, err)
		}
		all, err := io.ReadAll(want.Body)
		if err != nil || !bytes.Equal(all, body) {
			t.Fatalf("body %q, net/http has %q (%v)", body, all, err)
		}
		want.Header.Del("Content-Length")
		r.Header.Del("Content-Length")
		type seen struct {
			Method, URI, Path, Query, Host, Proto string
			Length                                int64
			Close                                 bool
			Header                                http.Header
		}
		see := func(r *http.Request) seen {
			return seen{r.Method, r.RequestURI, r.URL.EscapedPath(), r.URL.RawQuery, r.Host, r.Proto, r.ContentLength, r.Close, r.Header}
		}
		if diff := cmp.Diff(see(want), see(r)); diff != "" {
			t.Fatalf("%q: %s", b, diff)
		}
	})
}

package aliyun

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
)

// socketFix lets pages that open ws://{location.host}:8080, the gateway's port on the cloud, come to
// the port that served them (aliyun.md 6.7): with a port in location.host that is no address at all.
const socketFix = `<script>(function(W){window.WebSocket=new Proxy(W,{construct:function(t,a,n){` +
	`a[0]=String(a[0]).replace(/^(wss?:\/\/[^\/:]+):\d+:8080/,"$1:"+location.port);return Reflect.construct(t,a,n)}})})(WebSocket)</script>`

// fixSockets puts socketFix into the pages of h that are asked for at a port that browsers show.
func fixSockets(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, port, err := net.SplitHostPort(r.Host)
		if r.Method == http.MethodGet && err == nil && port != "80" && port != "443" {
			w = &pageWriter{ResponseWriter: w}
		}
		h.ServeHTTP(w, r)
	})
}

// pageWriter puts socketFix into a whole HTML page that goes through it, and leaves all else alone.
type pageWriter struct {
	http.ResponseWriter
	began bool
	page  bool // a page whose head has not been seen yet
}

// Unwrap lets http.ResponseController reach the connection.
func (w *pageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends on what answers in pieces have so far.
func (w *pageWriter) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

// ReadFrom keeps the short way from file to socket open to what is no page.
func (w *pageWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.began && !w.page {
		return io.Copy(w.ResponseWriter, r)
	}
	return io.Copy(struct{ io.Writer }{w}, r)
}

// WriteHeader finds out whether a page begins.
func (w *pageWriter) WriteHeader(status int) {
	if head := w.Header(); !w.began && status >= 200 {
		w.began = true
		if status == http.StatusOK && strings.HasPrefix(head.Get("Content-Type"), "text/html") && head.Get("Content-Encoding") == "" {
			w.page = true
			head.Del("Content-Length")
			head.Del("Content-Md5")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// top is what of a page comes before its first script.
var top = regexp.MustCompile(`(?i)^(?:\x{feff}|\s)*(?:<!doctype[^>]*>\s*)?(?:<html(?:\s[^>]*)?>\s*)?(?:<head(?:\s[^>]*)?>)?`)

// Write puts the script after the page's top, which the first piece of a page holds.
func (w *pageWriter) Write(b []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	if !w.page || len(b) == 0 {
		return w.ResponseWriter.Write(b)
	}
	w.page = false
	at := len(top.Find(b))
	whole := append(append(append(make([]byte, 0, len(b)+len(socketFix)), b[:at]...), socketFix...), b[at:]...)
	n, err := w.ResponseWriter.Write(whole)
	if n -= len(socketFix); n < 0 {
		n = 0
	}
	return min(n, len(b)), err
}

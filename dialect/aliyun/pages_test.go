package aliyun

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPagesOnAnotherPortFindTheirSocket(t *testing.T) {
	const html = "text/html; charset=utf-8"
	for name, c := range map[string]struct {
		host, kind, body, want string
		status                 int
		header                 [2]string
	}{
		"a page":             {"wall.localhost:8080", html, "<!doctype html><html lang=en><head><title>x", "<!doctype html><html lang=en><head>" + socketFix + "<title>x", 200, [2]string{}},
		"attributes":         {"h:9", html, "\n<!DOCTYPE html>\n<HTML>\n<head id=a>x", "\n<!DOCTYPE html>\n<HTML>\n<head id=a>" + socketFix + "x", 200, [2]string{}},
		"no head":            {"h:9", html, "<p>x", socketFix + "<p>x", 200, [2]string{}},
		"a header tag":       {"h:9", html, "<!doctype html><header>x", "<!doctype html>" + socketFix + "<header>x", 200, [2]string{}},
		"the web's own port": {"wall.example", html, "<head>", "<head>", 200, [2]string{}},
		"port 80":            {"wall.example:80", html, "<head>", "<head>", 200, [2]string{}},
		"another type":       {"h:9", "text/plain", "<head>", "<head>", 200, [2]string{}},
		"an error":           {"h:9", html, "<head>", "<head>", 404, [2]string{}},
		"compressed":         {"h:9", html, "<head>", "<head>", 200, [2]string{"Content-Encoding", "gzip"}},
		"empty":              {"h:9", html, "", "", 200, [2]string{}},
	} {
		h := fixSockets(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			if c.header[0] != "" {
				w.Header().Set(c.header[0], c.header[1])
			}
			w.WriteHeader(c.status)
			n, err := io.Copy(w, strings.NewReader(c.body))
			if err != nil || n != int64(len(c.body)) {
				t.Errorf("%s: wrote %d of %d, %v", name, n, len(c.body), err)
			}
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); got != c.want || w.Code != c.status {
			t.Errorf("%s: %d %q, want %q", name, w.Code, got, c.want)
		}
	}
}

func TestPageOfKnownLengthStaysWhole(t *testing.T) {
	s := httptest.NewServer(fixSockets(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "13")
		io.WriteString(w, "<head>")
		io.WriteString(w, "</head>")
	})))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "<head>"+socketFix+"</head>" {
		t.Errorf("%q, %v", b, err)
	}
	head, err := http.Head(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
}

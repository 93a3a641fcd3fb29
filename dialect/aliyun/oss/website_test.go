package oss

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

// site makes a public bucket whose folders are two websites.
func site(t *testing.T) *rig {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "", "x-oss-acl: public-read")
	_, err := g.Objects.AlterBucket(t.Context(), "box", func(b *object.Bucket) error {
		b.Website = &sluice.Website{Index: "index.html"}
		b.Folders = map[string]*sluice.Website{
			"www-player/": {SubDir: true, Error: "404.html"},
			"spa/":        {SubDir: true, SubType: object.SubIndex, Error: "index.html", ErrorStatus: 200},
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{
		"index.html": "root", "www-player/index.html": "player", "www-player/sub/index.html": "sub", "www-player/404.html": "player's 404",
		"www-player/main.js": "js", "spa/index.html": "spa", "spa/a/index.html": "spa a",
	} {
		g.ok(t, "app", "PUT", "/box/"+key, text)
	}
	g.ok(t, "app", "PUT", "/box/hidden.html", "secret", "x-oss-object-acl: private")
	return g
}

func TestWebsite(t *testing.T) {
	g := site(t)
	for _, c := range []struct {
		path   string
		status int
		body   string // the Location of a redirect
	}{
		{"/", 200, "root"},
		{"/index.html", 200, "root"},
		{"/none", 404, "NoSuchKey"},
		{"/none/", 200, "root"},
		{"/hidden.html", 403, "AccessDenied"},
		{"/www-player", 302, "/www-player/"},
		{"/www-player/", 200, "player"},
		{"/www-player/main.js", 200, "js"},
		{"/www-player/sub", 302, "/www-player/sub/"},
		{"/www-player/sub?a=b", 302, "/www-player/sub/?a=b"},
		{"/www-player/sub/", 200, "sub"},
		{"/www-player/none", 404, "player's 404"},
		{"/spa/a", 200, "spa a"},
		{"/spa/some/route", 200, "spa"},
	} {
		w := g.do(t, "anonymous", "GET", c.path, "", "Host: box.oss.localhost")
		got := w.Body.String()
		switch {
		case w.Code == 302:
			got = w.Header().Get("Location")
		case code(w) != "":
			got = code(w)
		}
		if w.Code != c.status || got != c.body {
			t.Errorf("%s is %d %q, want %d %q", c.path, w.Code, got, c.status, c.body)
		}
		h := g.do(t, "anonymous", "HEAD", c.path, "", "Host: box.oss.localhost")
		if h.Code != c.status || h.Body.Len() != 0 {
			t.Errorf("HEAD %s is %d with %d bytes", c.path, h.Code, h.Body.Len())
		}
	}
	if w := g.do(t, "app", "GET", "/", "", "Host: box.oss.localhost"); !strings.Contains(w.Body.String(), "<ListBucketResult>") {
		t.Errorf("signed, the root is the listing, not %s", w.Body)
	}
	if w := g.do(t, "anonymous", "GET", "/?acl", "", "Host: box.oss.localhost"); code(w) != "AccessDenied" {
		t.Errorf("settings are no page: %d", w.Code)
	}
}

func TestServeSite(t *testing.T) {
	g := site(t)
	g.ok(t, "app", "PUT", "/closed", "")
	g.ok(t, "app", "PUT", "/closed/k", "secret")
	serve := func(method, url, bucket, key string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, url, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		g.ServeSite(w, r, bucket, key)
		return w
	}
	w := serve("GET", "/player/", "box", "www-player/")
	if w.Code != 200 || w.Body.String() != "player" || w.Header()["Content-Type"][0] != "text/html; charset=utf-8" {
		t.Errorf("page: %d %q %v", w.Code, w.Body, w.Header())
	}
	tag := w.Header()["ETag"][0]
	if w := serve("GET", "/player/", "box", "www-player/", "If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("same ETag: %d %q", w.Code, w.Body)
	}
	if w := serve("GET", "/player/", "box", "www-player/", "Range", "bytes=1-3"); w.Code != 206 || w.Body.String() != "lay" {
		t.Errorf("range: %d %q", w.Code, w.Body)
	}
	if w := serve("HEAD", "/player/", "box", "www-player/"); w.Code != 200 || w.Body.Len() != 0 || w.Header()["Content-Length"][0] != "6" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	if w := serve("GET", "/player/sub", "box", "www-player/sub"); w.Code != 302 || w.Header().Get("Location") != "/player/sub/" {
		t.Errorf("redirect: %d %q, want one within the gateway's own path", w.Code, w.Header().Get("Location"))
	}
	if w := serve("GET", "//evil.example/sub", "box", "www-player/sub"); w.Header().Get("Location") != "/evil.example/sub/" {
		t.Errorf("redirect to %q", w.Header().Get("Location"))
	}
	for want, w := range map[string]*httptest.ResponseRecorder{
		"MethodNotAllowed": serve("POST", "/player/", "box", "www-player/"),
		"NoSuchBucket":     serve("GET", "/", "none", ""),
		"NoSuchKey":        serve("GET", "/", "box", "none"),
		"AccessDenied":     serve("GET", "/", "closed", "k"),
	} {
		if got := code(w); got != want {
			t.Errorf("%d %s, want %s", w.Code, got, want)
		}
	}
	if w := serve("GET", "/", "closed", "none"); code(w) != "AccessDenied" {
		t.Errorf("a closed bucket tells what is not there: %s", code(w))
	}
}

func TestCORS(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "", "x-oss-acl: public-read")
	g.ok(t, "app", "PUT", "/box/k", "x")
	ask := func(origin, method, headers string) *httptest.ResponseRecorder {
		return g.do(t, "anonymous", "OPTIONS", "/box/k", "", "Origin: "+origin, "Access-Control-Request-Method: "+method,
			"Access-Control-Request-Headers: "+headers)
	}
	g.ok(t, "app", "PUT", "/box?cors", `<CORSConfiguration>
		<CORSRule><AllowedOrigin>http://*.a.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>X-One</AllowedHeader></CORSRule>
		<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT</AllowedMethod></CORSRule>
		<ResponseVary>true</ResponseVary></CORSConfiguration>`)
	for _, c := range []struct {
		origin, method, headers, allowed string
	}{
		{"http://www.a.com", "GET", "", "http://www.a.com"},
		{"http://www.a.com", "GET", "x-one", "http://www.a.com"},
		{"http://www.a.com", "GET", "x-one, x-two", ""},
		{"http://a.com", "GET", "", ""},
		{"http://b.com", "PUT", "", "*"},
		{"http://b.com", "PUT", "x-one", ""},
		{"http://www.a.com", "DELETE", "", ""},
	} {
		w := ask(c.origin, c.method, c.headers)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.allowed || (w.Code == 200) != (c.allowed != "") {
			t.Errorf("%s %s %q: %d %q", c.origin, c.method, c.headers, w.Code, got)
		}
	}
	w := g.ok(t, "anonymous", "GET", "/box/k", "", "Origin: http://www.a.com")
	if w.Header().Get("Access-Control-Allow-Origin") != "http://www.a.com" || w.Header().Get("Vary") != "Origin" {
		t.Errorf("answer: %v", w.Header())
	}
	w = g.ok(t, "anonymous", "GET", "/box/k", "", "Origin: http://b.com")
	if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Vary") != "Origin" {
		t.Errorf("answer to another origin: %v", w.Header())
	}
	if w := g.do(t, "anonymous", "OPTIONS", "/none/k", "", "Origin: http://b.com", "Access-Control-Request-Method: GET"); code(w) != "NoSuchBucket" {
		t.Errorf("preflight of no bucket: %d", w.Code)
	}
}

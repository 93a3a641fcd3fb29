package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// poster pushes to the connection that a path names; paths with /no/ are not for it.
type poster struct{}

func (poster) Post(r *http.Request, body []byte) (Post, bool) {
	id, err := sluice.ParseConnID(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	app, endpoint := sluice.AppName("app"), strings.Split(r.URL.Path, "/")[1]
	return Post{id, app, endpoint, sluice.Frame{Data: body}, http.Header{"x-id": {"7"}}}, err == nil && endpoint != "no"
}

func posts(o *Options) { o.Poster = poster{}; tells(o) }

func TestPostsToConnectionsAreServedByShards(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true, MaxPush: 20}, &handler{}, posts)
		ws := s.dial()
		id := s.conns(1)[0]
		path := "/ws/" + id.String()
		request := func(path, body string) []byte {
			return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
		}
		c := s.connect()
		shard := func(c *client, text string) {
			t.Helper()
			resp := c.response()
			if at, err := http.ParseTime(resp.Header.Get("Date")); resp.StatusCode != 200 || resp.Header.Get("X-Id") != "7" || resp.ContentLength != 0 || err != nil || time.Since(at) > patience {
				t.Fatalf("%s: %v", text, resp)
			}
			ws.want(text)
		}
		plain := func(c *client, want string) {
			t.Helper()
			resp := c.response()
			if got, _ := io.ReadAll(resp.Body); string(got) != want {
				t.Fatalf("net/http answered %q, want %q", got, want)
			}
		}
		for i := range 3 { // on one connection
			text := fmt.Sprint("text ", i)
			c.write(request(path, text))
			shard(c, text)
		}
		if out := s.Push(t.Context(), id, sluice.Frame{Data: []byte("before")}); out != sluice.Queued {
			t.Fatal(out)
		}
		c.write(request(path, "behind"))
		ws.want("before")
		shard(c, "behind")

		// Two at once, and what follows them, go to net/http, which serves them in order.
		c.write(append(request(path, "one"), request(path, "two")...))
		plain(c, "POST "+path+" h tls=false HTTP/1.1 3")
		plain(c, "POST "+path+" h tls=false HTTP/1.1 3")

		for _, tc := range []struct{ path, body string }{
			{"/no/" + id.String(), "not for the poster"},
			{"/other/" + id.String(), "another endpoint"},
			{"/ws/" + (sluice.ConnID{}).String(), "no such id"},
			{path, "a message that is longer than the endpoint takes"},
		} {
			c := s.connect()
			c.write(request(path, "first"))
			shard(c, "first")
			c.write(request(tc.path, tc.body))
			plain(c, fmt.Sprintf("POST %s h tls=false HTTP/1.1 %d", tc.path, len(tc.body)))
		}

		up := s.connect()
		up.write(request(path, "then an upgrade"))
		shard(up, "then an upgrade")
		if resp := up.greet(); resp.StatusCode != 101 {
			t.Error(resp.Status)
		}

		ws.Close()
		for s.Count(t.Context(), "app") > 1 {
			time.Sleep(time.Millisecond)
		}
		c = s.connect()
		c.write(request(path, "to nobody"))
		plain(c, "POST "+path+" h tls=false HTTP/1.1 9")
	})
}

package tencent

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/live"
)

// Components of one app, each in a folder: a socket by the websocket component, whose functions call on(),
// a function with an API, and a website that shows pages without their extension, also to another site's.
func TestAFolderOfComponents(t *testing.T) {
	s := live.Launch(t, "", "dev", "../testdata/tencent-tree", "--no-reload")
	get := func(path, want string, status int) string {
		t.Helper()
		res, err := http.Get(s.URL(path))
		must(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || !strings.HasPrefix(string(b), want) {
			t.Fatalf("%s: %s %s %v", path, res.Status, b, err)
		}
		return string(b)
	}
	_, url, _ := strings.Cut(get("/release/hello/ann", "hello ann, talk at ws://tree.localhost:", 201), " talk at ")
	get("/release/raw?a=1&b", `{"query":{"a":"1","b":true}}`, 200)
	get("/release/nothing", "lost", 404) // no API: it is the page's
	get("/", "home", 200)
	get("/about", "about", 200)
	get("/none", "lost", 404)
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL("/about"), nil)
	must(t, err)
	req.Header.Set("Origin", "https://other.example")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	res.Body.Close()
	if got := res.Header.Get("Access-Control-Allow-Origin"); got != "https://other.example" {
		t.Errorf("another site may read what %q may", got)
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")

	ann, err := open(s, "/"+path)
	must(t, err)
	defer ann.conn.Close()
	bob, err := open(s, "/"+path+"?name=bob")
	must(t, err)
	defer bob.conn.Close()
	must(t, ann.say("hi"))
	must(t, ann.hears("welcome from tree: hi"))
	must(t, bob.say(`{}`))
	text, err := bob.hear()
	must(t, err)
	var who struct{ ID string }
	must(t, json.Unmarshal([]byte(text), &who))
	must(t, ann.say(`{"to":"`+who.ID+`","n":1}`))
	must(t, bob.hears(`{"to":"`+who.ID+`","n":1}`))
	if c, err := open(s, "/"+path+"?name=nobody"); err == nil || !strings.Contains(err.Error(), "502") {
		t.Fatalf("%v %v", c, err)
	}
}

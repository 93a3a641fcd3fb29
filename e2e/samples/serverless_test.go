package samples

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/live"
)

// address is that of a stage on this machine, whose names under localhost need no resolver.
func address(t *testing.T, s *live.Server, stage string) string {
	t.Helper()
	for _, o := range s.App.Outputs {
		if id, ok := strings.CutPrefix(o.Value, "ws://"); ok && strings.HasSuffix(o.Value, "/"+stage) {
			id, _, _ = strings.Cut(id, ".")
			return "ws" + strings.TrimPrefix(s.Public[0], "http") + "/_aws/ws/" + id + "/" + stage
		}
	}
	t.Fatalf("no address: %+v", s.App)
	return ""
}

// A room of the Serverless Framework: TypeScript, an authorizer, a table's stream and an HTTP API.
func TestServiceOfTheServerlessFramework(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "room")
	if err := os.CopyFS(dir, os.DirFS("../testdata/aws-serverless")); err != nil {
		t.Fatal(err)
	}
	s := live.Launch(t, "", "dev", dir, "--no-reload", "--param", "stage=test")
	room := address(t, s, "test")
	ann := wscat(t, room+"?name=ann")
	connected(t, s, 1)
	ann.say("hello")
	ann.hears("say what?")
	bob := wscat(t, room+"?name=bob")
	ann.hears("ding: bob")
	connected(t, s, 2)
	bob.say(`{"do":"say","text":"hello"}`)
	ann.hears("hello")
	bob.skips("ding: ") // the table's stream takes its time
	bob.hears("hello")
	mallory := wscat(t, room+"?name=mallory")
	mallory.refused()
	res, err := http.Get(s.URL("/who"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "ann,bob" {
		t.Errorf("%s %v", body, err)
	}
	ann.leave()
	bob.leave()
}

// connected waits for so many connections: what wscat is told before it has one is lost.
func connected(t *testing.T, s *live.Server, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); len(s.Conns()) != n; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections, want %d", len(s.Conns()), n)
		}
	}
}

// refused waits until the program ends without having heard anything.
func (p *person) refused() {
	p.t.Helper()
	for text := range p.heard {
		if !strings.Contains(text, "error") {
			p.t.Errorf("heard %q", text)
		}
	}
}

package wall

import (
	"context"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestRemovedAppHearsOfItsConnectionsFirst(t *testing.T) {
	s := start(t, "")
	s.admin()
	for _, id := range []string{"one", "two"} {
		connect(t, s, id, "screen")
	}
	if got := devices(t, s); !got["one"] || !got["two"] {
		t.Fatalf("registered devices: %v", got)
	}
	if _, err := s.Sluice("remove", s.App.Name); err != nil {
		t.Fatal(err)
	}
	if got := devices(t, s); len(got) > 0 {
		t.Errorf("the app was removed without UNREGISTER of %v", got)
	}
}

func TestCtrlCIsQuickThoughClientsDoNotAnswer(t *testing.T) {
	s := start(t, "")
	conn, _, _, err := ws.Dial(context.Background(), s.WS()) // and never reads a close frame
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Stop()
	if want := `"stopping: clients"`; !strings.Contains(s.Said(), want) { // it goes before the client's time for an answer is over
		t.Errorf("no %s is said:\n%s", want, s.Said())
	}
}

package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestBadInputToAWebSocketAPI is what clients and functions do wrong, on a real server, and what AWS answers.
// What is wrong with calls of @connections is in TestConnectionsClients.
func TestBadInputToAWebSocketAPI(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	gate := h.gate + ".execute-api.localhost"
	in := func(t *testing.T) *guest {
		t.Helper()
		g, err := h.dial(t.Context(), gate, "/gate?how=allows")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.conn.Close() })
		g.t = t
		return g
	}

	t.Run("handshakes", func(t *testing.T) {
		t.Parallel()
		const ids = `, "connectionId":"[A-Za-z0-9_-]{15}=", "requestId":"[A-Za-z0-9_-]{15}="}`
		for _, c := range []struct {
			name, host, path string
			status           int
			kind, body       string
		}{
			{"an authorizer that throws", gate, "/gate?how=throws", 500, "AuthorizerConfigurationException", `{"message":null}`},
			{"a slow authorizer", gate, "/gate?how=slow", 500, "AuthorizerConfigurationException", `{"message":null}`},
			{"an authorizer that says Unauthorized", gate, "/gate?how=unauthorized", 401, "UnauthorizedException", `{"message":"Unauthorized"}`},
			{"an authorizer that denies", gate, "/gate?how=denies", 403, "AccessDeniedException", `{"Message":"User is not authorized to access this resource with an explicit deny"}`},
			{"no identity", gate, "/gate", 401, "UnauthorizedException", `{"message":"Unauthorized"}`},
			{"a function that runs out of its own time", gate, "/gate?how=sleeps", 502, "", `{"message": "Internal server error"` + ids},
			{"a function that outlasts its integration", h.late + ".execute-api.localhost", "/late?how=slow", 504, "", `{"message": "Endpoint request timed out"` + ids},
			{"an unknown stage", gate, "/Gate?how=allows", 403, "ForbiddenException", `{"message":"Forbidden"}`},
			{"more than a stage", gate, "/gate/more?how=allows", 403, "ForbiddenException", `{"message":"Forbidden"}`},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				req, err := http.NewRequestWithContext(t.Context(), "GET", h.public+c.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = c.host
				req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x3JJHMbDL1EzLkh9GBhXDw=="}}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(c.body), regexp.QuoteMeta(ids), ids) + "$")
				if err != nil || res.StatusCode != c.status || res.Header.Get("x-amzn-errortype") != c.kind || res.Header.Get("x-amz-apigw-id") == "" || !want.Match(body) {
					t.Errorf("%d %v %s, %v", res.StatusCode, res.Header, body, err)
				}
			})
		}
	})

	// The connection stays, and what comes next is answered.
	t.Run("messages", func(t *testing.T) {
		t.Parallel()
		g := in(t)
		forbidden := regexp.MustCompile(`^{"message": "Forbidden", "connectionId":"([A-Za-z0-9_-]{15}=)", "requestId":"[A-Za-z0-9_-]{15}="}$`)
		for _, text := range []string{"hello", "", "[1,2]", `["ask"]`, `"ask"`, "7", "null", "{}", `{"other":"ask"}`, `{"action":null}`, `{"action":{"action":"ask"}}`, `{"action":["ask"]}`, `{"action":"ASK"}`,
			`{"action":"$connect"}`, `{"action":"$disconnect"}`, `{"action":"ask"} and more`, "{'action':'ask'}", "\ufeff" + `{"action":"ask"}`, strings.Repeat("[", 20000), strings.Repeat(`{"action":`, 3000)} {
			ask := func(message string) string {
				t.Helper()
				if err := wsutil.WriteClientText(g.conn, []byte(message)); err != nil {
					t.Fatal(err)
				}
				return g.next() // messages run at once: the next one waits for this answer
			}
			refused, answered := ask(text), ask(`{"action":"ask"}`)
			if m := forbidden.FindStringSubmatch(refused); m == nil || m[1] != answered {
				t.Errorf("%.40q: %s, then %s", text, refused, answered)
			}
		}
	})
	for _, c := range []struct {
		name string
		do   func(w io.Writer) error
		code ws.StatusCode
	}{
		{"bytes", func(w io.Writer) error { return wsutil.WriteClientBinary(w, []byte(`{"action":"ask"}`)) }, 1003},
		{"32 KB and a byte in a frame", func(w io.Writer) error { return wsutil.WriteClientText(w, bytes.Repeat([]byte("x"), 32<<10+1)) }, 1009},
		{"128 KB and a byte in a message", func(w io.Writer) error {
			for i := range 5 {
				op, n := ws.OpContinuation, 32<<10
				if i == 0 {
					op = ws.OpText
				}
				if i == 4 {
					n = 1
				}
				if err := ws.WriteFrame(w, ws.MaskFrame(ws.NewFrame(op, i == 4, bytes.Repeat([]byte("x"), n)))); err != nil {
					return err
				}
			}
			return nil
		}, 1009},
		{"no UTF-8", func(w io.Writer) error { return wsutil.WriteClientText(w, []byte("\xff")) }, 1007},
		{"no mask", func(w io.Writer) error { return wsutil.WriteServerText(w, []byte("x")) }, 1002},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := in(t)
			if err := c.do(g.conn); err != nil {
				t.Fatal(err)
			}
			g.dead.SetReadDeadline(time.Now().Add(time.Minute))
			_, err := wsutil.ReadServerText(g.conn)
			if closed := (wsutil.ClosedError{}); !errors.As(err, &closed) || closed.Code != c.code {
				t.Errorf("%v, want %d", err, c.code)
			}
		})
	}
}

// TestAccessLogsAreAmongTheLogs: a stage's access log stands under the name of its group.
func TestAccessLogsAreAmongTheLogs(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	g, err := h.dial(t.Context(), h.gate+".execute-api.localhost", "/gate?how=allows")
	if err != nil {
		t.Fatal(err)
	}
	defer g.conn.Close()
	g.t = t
	if err := wsutil.WriteClientText(g.conn, []byte(`{"action":"ask"}`)); err != nil {
		t.Fatal(err)
	}
	id := g.next()
	out, err := exec.CommandContext(t.Context(), h.binary, "logs", "--json", "--app", "hall", "--admin", h.admin).CombinedOutput()
	for _, want := range []string{`"text":"CONNECT 200 ` + id + `"`, `"text":"MESSAGE 200 ` + id + `"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("no %s, %v:\n%s", want, err, out)
		}
	}
}

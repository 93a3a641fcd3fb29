package samples

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice/e2e/live"
)

// The patterns of github.com/aws-samples/serverless-patterns that run as they are published. They are not
// ours to ship: SERVERLESS_PATTERNS names a checkout. docs/compatibility.md says which commit was tried.
var patterns = []struct {
	folder string
	path   string            // of the socket
	header map[string]string // of the handshake
	say    string
	hear   string // how the answer begins; "" is not waited for
	refuse int    // the handshake's status without the header
}{
	{folder: "apigw-websocket-ack-connect-route", path: "/prod", hear: "Hello "},
	{folder: "apigw-websocket-api-connection-dynamodb", path: "/api", say: `{"action":"x"}`, hear: `{"requestContext":{`},
	{folder: "apigw-websocket-api-lambda", path: "/prod", say: `{"action":"post","data":"hi"}`, hear: "hi"},
	{folder: "apigw-websocket-mapping-template-authorizer", path: "/stage", header: map[string]string{"token": "hello"},
		say: `{"action":"sendmessage"}`, hear: "good job", refuse: 401},
}

func TestPublishedPatternsAnswer(t *testing.T) {
	checkout := os.Getenv("SERVERLESS_PATTERNS")
	if checkout == "" {
		t.Skip("SERVERLESS_PATTERNS names no checkout of github.com/aws-samples/serverless-patterns")
	}
	for _, p := range patterns {
		t.Run(p.folder, func(t *testing.T) {
			s := live.Launch(t, "", "dev", filepath.Join(checkout, p.folder), "--no-reload")
			address := "ws" + strings.TrimPrefix(s.Public[0], "http") + p.path
			if p.refuse != 0 {
				_, _, _, err := ws.Dialer{}.Dial(t.Context(), address)
				if status, ok := err.(ws.StatusError); !ok || int(status) != p.refuse {
					t.Errorf("without its header: %v, want %d", err, p.refuse)
				}
			}
			header := http.Header{}
			for name, v := range p.header {
				header[name] = []string{v} // as it is spelled here: functions see that
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			conn, early, _, err := ws.Dialer{Header: ws.HandshakeHeaderHTTP(header)}.Dial(ctx, address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			if p.say != "" {
				if err := wsutil.WriteClientText(conn, []byte(p.say)); err != nil {
					t.Fatal(err)
				}
			}
			var from io.ReadWriter = conn
			if early != nil { // a frame may have come with the handshake's answer
				from = struct {
					io.Reader
					io.Writer
				}{early, conn}
			}
			got, _, err := wsutil.ReadServerData(from)
			if err != nil || !strings.HasPrefix(string(got), p.hear) {
				t.Fatalf("heard %q, %v; want %q", got, err, p.hear)
			}
		})
	}
}

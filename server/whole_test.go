package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function/egress"
)

// TestRequestsThatComeWholeAreAnsweredAsThoseInPieces asks the admin listener, and the egress by a vendor's name.
func TestRequestsThatComeWholeAreAnsweredAsThoseInPieces(t *testing.T) {
	run(t, t.TempDir(), func(ctx context.Context, s *Server) {
		if err := deploySockets(ctx, t, s); err != nil {
			t.Fatal(err)
		}
		keys, err := s.keys.AppKey(ctx, "quiet")
		if err != nil {
			t.Fatal(err)
		}
		var hook egress.Hook
		if err := json.Unmarshal([]byte(s.egressEnv()["SLUICE_EGRESS"]), &hook); err != nil {
			t.Fatal(err)
		}
		ask := func(addr, host, service, target, path, body, signed string, pieces bool) (string, int) {
			r, _ := http.NewRequestWithContext(ctx, "POST", "http://"+host+path, nil)
			if target != "" {
				r.Header.Set("X-Amz-Target", target)
			}
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			sigv4.Sign(r, []byte(signed), keys, "us-east-1", service, time.Now())
			var b strings.Builder
			fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", path, host, len(body))
			r.Header.Write(&b)
			b.WriteString("\r\n" + body)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Minute))
			text := b.String()
			if pieces {
				io.WriteString(c, text[:9])
				time.Sleep(20 * time.Millisecond) // a read of its own
				text = text[9:]
			}
			io.WriteString(c, text)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			for name, v := range res.Header {
				if name == "Date" || strings.Contains(strings.ToLower(name), "requestid") {
					v[0] = "some"
				}
			}
			return fmt.Sprint(res.Status, res.Header, string(got)), res.StatusCode
		}
		for _, c := range []struct {
			service, target, path, body, signed string
			status                              int
		}{
			{"dynamodb", "DynamoDB_20120810.CreateTable", "/", `{"TableName":"t","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`, "", 400},
			{"dynamodb", "DynamoDB_20120810.ListTables", "/", "{}", "{}", 200},
			{"dynamodb", "DynamoDB_20120810.DescribeTable", "/", `{"TableName":"none"}`, `{"TableName":"none"}`, 400},
			{"lambda", "", "/2015-03-31/functions/none/invocations", "{}", "{}", 404},
			{"lambda", "", "/2015-03-31/functions/none/invocations", "{}", "x", 403},
		} {
			for name, addr := range map[string]string{"admin": s.admin.Addr().String(), "egress": hook.Clear} {
				host := c.service + ".us-east-1.amazonaws.com"
				want, _ := ask(addr, host, c.service, c.target, c.path, c.body, c.signed, true)
				got, status := ask(addr, host, c.service, c.target, c.path, c.body, c.signed, false)
				if diff := cmp.Diff(want, got); diff != "" || status != c.status {
					t.Errorf("%s, %s%s: %d, want %d:\n%s", name, c.target, c.path, status, c.status, diff)
				}
			}
		}
	})
}

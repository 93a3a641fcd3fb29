package websocket

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/sdk/connections"
)

// withClients is a stage with two open clients, whose ids come along.
func withClients(t *testing.T) (l *live, clients []*browser, ids []string) {
	t.Helper()
	f := newBackend()
	l = goLive(t, f, Options{}, nil)
	for range 2 {
		b, _ := l.dial(t)
		clients, ids = append(clients, b), append(ids, f.next(t, "CONNECT").Context.ConnectionID)
	}
	return l, clients, ids
}

func TestTheGoClient(t *testing.T) {
	l, clients, ids := withClients(t)
	c := &connections.Client{Endpoint: "http://" + l.at + "/_aws/execute-api/abcd123456/prod", KeyID: "CHAT", Secret: "secret"}
	ctx, gone := t.Context(), connID(9).String()
	if err := c.Send(ctx, ids[0], []byte("one")); err != nil || clients[0].read() != "one" {
		t.Error(err)
	}
	if err := c.Send(ctx, gone, nil); !connections.IsGone(err) {
		t.Error(err)
	}
	res, err := c.SendMany(ctx, append([]string{gone, "bad"}, ids...), []byte("héllo"))
	want := connections.Result{Sent: 2, Gone: []string{gone}, Failed: []connections.Failure{{ConnectionID: "bad", Code: "BadRequestException"}}}
	if diff := cmp.Diff(want, res); err != nil || diff != "" || clients[0].read() != "héllo" || clients[1].read() != "héllo" {
		t.Error(err, diff)
	}
	for _, id := range ids {
		if err := c.Join(ctx, "room 1/ü", id); err != nil {
			t.Error(err)
		}
	}
	if n, err := c.GroupSize(ctx, "room 1/ü"); n != 2 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.SendGroup(ctx, "room 1/ü", []byte("all")); n != 2 || err != nil || clients[0].read() != "all" || clients[1].read() != "all" {
		t.Error(n, err)
	}
	if n, err := c.SendGroup(ctx, "room 1/ü", []byte("some"), ids[0]); n != 1 || err != nil || clients[1].read() != "some" {
		t.Error(n, err)
	}
	if err := c.Leave(ctx, "room 1/ü", ids[0]); err != nil {
		t.Error(err)
	}
	if err := c.Close(ctx, ids[1]); err != nil {
		t.Error(err)
	}
	if code, _ := clients[1].closed(); code != 1000 {
		t.Error(code)
	}
	c.Secret = "wrong"
	if err := c.Send(ctx, ids[0], nil); err == nil {
		t.Error("a wrong secret signs")
	}
}

func TestTheNodeClient(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	module, err := filepath.Abs("../../../sdk/js/connections/index.mjs")
	if err != nil {
		t.Fatal(err)
	}
	l, clients, ids := withClients(t)
	gone := connID(9).String()
	cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "-e", `
import { Connections, ConnectionsError } from 'file://`+module+`';
const [a, b, gone] = `+string(encode(append(ids, gone)))+`;
const c = new Connections();
const out = [];
await c.send(a, 'one');
try { await c.send(gone, 'x'); } catch (e) { out.push([e instanceof ConnectionsError, e.status, e.name]); }
out.push(await c.sendMany(new Set([gone, 'bad', a, b]), new TextEncoder().encode('héllo')));
await c.join("room 1/ü'", a); await c.join("room 1/ü'", b);
out.push(await c.groupSize("room 1/ü'"), await c.sendGroup("room 1/ü'", 'all'), await c.sendGroup("room 1/ü'", 'some', { except: [a] }));
await c.leave("room 1/ü'", a);
out.push(await c.groupSize("room 1/ü'"));
await c.close(b);
try { await new Connections({ credentials: { accessKeyId: 'CHAT', secretAccessKey: 'wrong' } }).send(a, ''); } catch (e) { out.push(e.name); }
console.log(JSON.stringify(out));
`)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL=http://"+l.at+"/_aws/execute-api/abcd123456/prod/", "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI=",
		"AWS_ACCESS_KEY_ID=CHAT", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=", "AWS_REGION=eu-west-1", "NODE_OPTIONS=")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	json.Unmarshal([]byte(`[[true,410,"GoneException"],{"sent":2,"gone":["`+gone+`"],"failed":[{"connectionId":"bad","code":"BadRequestException"}]},2,2,1,1,"InvalidSignatureException"]`), &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, list := range [][]string{{"one", "héllo", "all"}, {"héllo", "all", "some"}} {
		for _, m := range list {
			if got := clients[i].read(); got != m {
				t.Errorf("client %d: %q, want %q", i, got, m)
			}
		}
	}
	if code, _ := clients[1].closed(); code != 1000 {
		t.Error(code)
	}
}

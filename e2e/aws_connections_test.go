package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/sdk/connections"
)

const connectionsDir = "testdata/aws_connections"

// longest is the longest message of a WebSocket API, in bytes.
const longest = 128 << 10

// hall is the API of testdata/aws_connections on a real server, which runs another app as well.
type hall struct {
	env           map[string]string
	binary        string
	admin, public string
	api           string // its id
	gate, late    string // the ids of two other APIs
}

func newHall(t *testing.T) *hall {
	t.Helper()
	binary, admin, public := serve(t)
	h := &hall{binary: binary, admin: admin, public: public, env: awsEnvironment(t, binary, admin)}
	var out []byte
	for _, name := range []string{"neighbour", "hall"} {
		var err error
		out, err = exec.CommandContext(t.Context(), binary, "deploy", "--json", "--admin", admin, "--name", name, filepath.Join(connectionsDir, "app")).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for line := range strings.Lines(string(out)) {
		var said struct {
			App struct {
				Outputs []struct{ Name, Value string }
			}
		}
		json.Unmarshal([]byte(line), &said)
		for _, o := range said.App.Outputs {
			id, _, _ := strings.Cut(strings.TrimPrefix(o.Value, "ws://"), ".")
			switch o.Name {
			case "websocket Prod":
				h.api = id
			case "websocket gate":
				h.gate = id
			case "websocket late":
				h.late = id
			}
		}
	}
	if h.api == "" || h.gate == "" || h.late == "" {
		t.Fatalf("no address is told:\n%s", out)
	}
	return h
}

// endpoints are the addresses of the management API that need no name to be resolved.
func (h *hall) endpoints() map[string]string {
	path := "/_aws/execute-api/" + h.api + "/Prod"
	return map[string]string{"public": h.public + path, "admin": h.admin + path, "by stage alone": h.admin + "/Prod"}
}

// guest is a client of the hall.
type guest struct {
	t    *testing.T
	id   string
	conn io.ReadWriteCloser
	dead interface{ SetReadDeadline(time.Time) error }
}

// dial comes to the API by its path at our address, or by its name when host is given.
func (h *hall) dial(ctx context.Context, host, path string) (*guest, error) {
	d := ws.Dialer{Host: host, Header: ws.HandshakeHeaderHTTP{"User-Agent": {"test"}}}
	if host == "" {
		path = "/_aws/ws/" + h.api + path
	}
	conn, _, _, err := d.Dial(ctx, "ws"+strings.TrimPrefix(h.public, "http")+path)
	return &guest{conn: conn, dead: conn}, err
}

// enter is a guest who is in, and knows his id.
func (h *hall) enter(t *testing.T) *guest {
	t.Helper()
	g, err := h.dial(t.Context(), h.api+".execute-api.localhost", "/Prod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.conn.Close() })
	g.t = t
	if err := wsutil.WriteClientText(g.conn, []byte("who am I?")); err != nil {
		t.Fatal(err)
	}
	g.id = g.next()
	return g
}

// leave says goodbye, and waits until that is answered: then his connection is no more.
func (g *guest) leave() {
	g.t.Helper()
	if err := wsutil.WriteClientMessage(g.conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")); err != nil {
		g.t.Fatal(err)
	}
	if got, want := g.next(), (wsutil.ClosedError{Code: 1000}).Error(); got != want {
		g.t.Fatalf("%s, want %s", got, want)
	}
}

// next is what the guest is told next, or why he has to go.
func (g *guest) next() string {
	g.t.Helper()
	g.dead.SetReadDeadline(time.Now().Add(time.Minute))
	b, err := wsutil.ReadServerText(g.conn)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// hears expects messages, and that he has to go.
func (g *guest) hears(messages ...string) {
	g.t.Helper()
	for _, want := range append(messages, wsutil.ClosedError{Code: 1000}.Error()) {
		if got := g.next(); got != want {
			g.t.Errorf("heard %.40q (%d bytes), want %.40q (%d bytes)", got, len(got), want, len(want))
		}
	}
}

// party is whom a client of the management API meets: a guest who is in, and the ids of one who has left, one
// who waits at the door, and one whom nobody has ever seen.
type party struct {
	in                       *guest
	closed, pending, unknown string
	open                     func() *guest // lets the one at the door in
}

func (h *hall) party(t *testing.T) *party {
	t.Helper()
	p := &party{in: h.enter(t)}
	left := h.enter(t)
	left.leave()
	p.closed = left.id
	flip := map[bool]byte{true: 'Q', false: 'A'}
	p.unknown = p.in.id[:14] + string(flip[p.in.id[14] == 'A']) + "="

	at, in := make(chan string, 1), make(chan struct{})
	door := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := io.ReadAll(r.Body)
		at <- string(id)
		<-in
	}))
	type entered struct {
		g   *guest
		err error
	}
	waits := make(chan entered, 1)
	go func() {
		g, err := h.dial(context.WithoutCancel(t.Context()), "", "/Prod?waits="+url.QueryEscape(door.URL))
		waits <- entered{g, err}
	}()
	select {
	case p.pending = <-at:
	case e := <-waits:
		t.Fatalf("nobody waits: %v", e.err)
	}
	var came *entered
	open := func() {
		if came == nil {
			close(in)
			e := <-waits
			came = &e
			door.Close()
		}
	}
	p.open = func() *guest {
		if open(); came.err != nil {
			t.Fatal(came.err)
		}
		came.g.t, came.g.id = t, p.pending
		return came.g
	}
	t.Cleanup(func() { // AWS gives those who wait 29 s, which may be over
		if open(); came.err == nil {
			came.g.conn.Close()
		}
	})
	return p
}

// environ are the variables of a client that is a process.
func (p *party) environ(h *hall, endpoint string) []string {
	return environ(h.env, "ENDPOINT="+endpoint, "OPEN="+p.in.id, "CLOSED="+p.closed, "PENDING="+p.pending, "UNKNOWN="+p.unknown,
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "PYTHONDONTWRITEBYTECODE=1")
}

// TestConnectionsClients speaks to one connection with all of AWS's clients, which meet the same answers and
// the same refusals.
func TestConnectionsClients(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	big := strings.Repeat("x", longest)
	for name, endpoint := range h.endpoints() {
		t.Run("Go, "+name, func(t *testing.T) {
			t.Parallel()
			p := h.party(t)
			connectionsGo(t, h, p, endpoint)
			p.in.hears("héllo", big)
		})
		t.Run("boto3, "+name, func(t *testing.T) {
			t.Parallel()
			tool := python(t)
			p := h.party(t)
			cmd := exec.CommandContext(t.Context(), tool, "-m", "unittest", "connections")
			cmd.Dir, cmd.Env = connectionsDir, p.environ(h, endpoint)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
			}
			p.in.hears("héllo", big)
		})
		t.Run("JavaScript, "+name, func(t *testing.T) {
			t.Parallel()
			connectionsInstalled(t)
			p := h.party(t)
			cmd := exec.CommandContext(t.Context(), "node", "--test", "connections.test.js")
			cmd.Dir, cmd.Env = connectionsDir, p.environ(h, endpoint)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
			}
			p.in.hears("héllo", big)
		})
	}
	t.Run("command line", func(t *testing.T) {
		t.Parallel()
		connectionsCommands(t, h)
	})
}

func connectionsInstalled(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(connectionsDir, "node_modules/typescript")); err != nil {
		t.Fatal("the Node SDK and TypeScript are not installed: run \"make test\", or npm ci in e2e/" + connectionsDir)
	}
}

// connectionsGo calls with the signer of AWS's SDK for Go.
func connectionsGo(t *testing.T, h *hall, p *party, endpoint string) {
	t.Helper()
	own := aws.Credentials{AccessKeyID: h.env["AWS_ACCESS_KEY_ID"], SecretAccessKey: h.env["AWS_SECRET_ACCESS_KEY"]}
	call := func(cred aws.Credentials, method, endpoint, id string, body []byte) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, endpoint+"/@connections/"+url.QueryEscape(id), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		if cred.AccessKeyID != "" {
			err = v4.NewSigner().SignHTTP(t.Context(), cred, req, hex.EncodeToString(sum[:]), "execute-api", "eu-west-1", time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.Header.Get("x-amzn-requestid") == "" || res.Header.Get("x-amz-apigw-id") == "" || res.Header.Get("content-type") != "application/json" {
			t.Errorf("%s: %v", method, res.Header)
		}
		return res, string(b)
	}
	// says expects an answer to all three methods; {id} and {request} stand for what they are.
	says := func(cred aws.Credentials, endpoint, id string, status int, kind, body string) {
		t.Helper()
		for _, method := range []string{"POST", "GET", "DELETE"} {
			res, got := call(cred, method, endpoint, id, nil)
			want := strings.NewReplacer("{id}", id, "{request}", res.Header.Get("x-amz-apigw-id")).Replace(body)
			if res.StatusCode != status || res.Header.Get("x-amzn-errortype") != kind || got != want {
				t.Errorf("%s of %s: %d %s %s, want %d %s %s", method, id, res.StatusCode, res.Header.Get("x-amzn-errortype"), got, status, kind, want)
			}
		}
	}
	for _, id := range []string{p.pending, p.closed, p.unknown} {
		says(own, endpoint, id, 410, "GoneException", "")
	}
	for _, id := range []string{"abc", p.in.id + "A", "not-an-id"} {
		says(own, endpoint, id, 400, "BadRequestException", `{"message": "Invalid connectionId: {id}", "connectionId":"{id}", "requestId":"{request}"}`)
	}
	if res, body := call(own, "POST", endpoint, p.in.id, []byte("héllo")); res.StatusCode != 200 || body != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, body := call(own, "POST", endpoint, p.in.id, bytes.Repeat([]byte{'x'}, longest)); res.StatusCode != 200 || body != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res, body := call(own, "POST", endpoint, p.in.id, bytes.Repeat([]byte{'x'}, longest+1))
	if res.StatusCode != 413 || res.Header.Get("x-amzn-errortype") != "PayloadTooLargeException" || !strings.HasPrefix(body, `{"message": "Message too long"`) {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	var got struct {
		ConnectedAt, LastActiveAt time.Time
		Identity                  struct{ SourceIP, UserAgent string }
	}
	res, body = call(own, "GET", endpoint, p.in.id, nil)
	if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || got.Identity.SourceIP != "127.0.0.1" || got.Identity.UserAgent != "test" ||
		time.Since(got.ConnectedAt) > 5*time.Minute || got.LastActiveAt.Before(got.ConnectedAt) || got.LastActiveAt.After(time.Now()) {
		t.Errorf("%d %s, %v", res.StatusCode, body, err)
	}

	says(own, strings.Replace(endpoint, "/Prod", "/Other", 1), p.in.id, 410, "GoneException", "")
	says(own, strings.Replace(endpoint, "/Prod", "/prod", 1), p.in.id, 403, "ForbiddenException", `{"message": "Forbidden", "connectionId":"{id}", "requestId":"{request}"}`)
	wrong := own
	wrong.SecretAccessKey = "wrong"
	says(wrong, endpoint, p.in.id, 403, "InvalidSignatureException", `{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}`)
	says(aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "any"}, endpoint, p.in.id, 403, "UnrecognizedClientException", `{"message":"The security token included in the request is invalid."}`)
	says(aws.Credentials{}, endpoint, p.in.id, 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`)

	if res, body := call(own, "DELETE", endpoint, p.in.id, nil); res.StatusCode != 204 || body != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	says(own, endpoint, p.in.id, 410, "GoneException", "")

	late := p.open()
	if res, body := call(own, "POST", endpoint, late.id, []byte("welcome")); res.StatusCode != 200 || late.next() != "welcome" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// connectionsCommands does the same with the aws tool.
func connectionsCommands(t *testing.T, h *hall) {
	tool := filepath.Join(filepath.Dir(python(t)), "aws")
	p := h.party(t)
	dir := t.TempDir()
	for name, n := range map[string]int{"longest": longest, "longer": longest + 1} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{'x'}, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(env []string, refusal, op, id string, more ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, append([]string{"apigatewaymanagementapi", op, "--connection-id", id, "--endpoint-url", h.endpoints()["public"], "--output", "json"}, more...)...)
		cmd.Dir, cmd.Env = dir, append(p.environ(h, ""), env...)
		out, err := cmd.CombinedOutput()
		switch {
		case refusal == "" && err != nil:
			t.Errorf("%s: %v\n%s", op, err, out)
		case refusal != "" && (err == nil || !strings.Contains(string(out), "An error occurred ("+refusal+") when calling")):
			t.Errorf("%s: %v\n%s\nwant %s", op, err, out, refusal)
		}
		return string(out)
	}
	const post, get, remove = "post-to-connection", "get-connection", "delete-connection"
	run(nil, "GoneException", post, p.pending, "--data", "x")
	run(nil, "GoneException", get, p.closed)
	run(nil, "GoneException", remove, p.unknown)
	if out := run(nil, "BadRequestException", post, "abc", "--data", "x"); !strings.Contains(out, "Invalid connectionId: abc") {
		t.Error(out)
	}
	run(nil, "", post, p.in.id, "--data", "héllo")
	run(nil, "", post, p.in.id, "--data", "fileb://longest")
	run(nil, "PayloadTooLargeException", post, p.in.id, "--data", "fileb://longer")
	if out := run(nil, "", get, p.in.id); !strings.Contains(out, `"SourceIp": "127.0.0.1"`) || !strings.Contains(out, `"ConnectedAt": "20`) {
		t.Error(out)
	}
	run([]string{"AWS_SECRET_ACCESS_KEY=wrong"}, "InvalidSignatureException", post, p.in.id, "--data", "x")
	run([]string{"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE"}, "UnrecognizedClientException", remove, p.in.id)
	run(nil, "", remove, p.in.id)
	p.in.hears("héllo", strings.Repeat("x", longest))
}

// TestConnectionsExtensions sends to many connections and to groups with our own clients.
func TestConnectionsExtensions(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	endpoint := h.endpoints()["public"]
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		a, b, p := h.enter(t), h.enter(t), h.party(t)
		c := &connections.Client{Endpoint: endpoint, KeyID: h.env["AWS_ACCESS_KEY_ID"], Secret: h.env["AWS_SECRET_ACCESS_KEY"]}
		ctx := t.Context()
		res, err := c.SendMany(ctx, []string{a.id, p.closed, "bad", b.id, a.id, p.pending}, []byte("many"))
		slices.Sort(res.Gone)
		gone := []string{p.closed, p.pending}
		slices.Sort(gone)
		if diff := gocmp.Diff(connections.Result{Sent: 2, Gone: gone, Failed: []connections.Failure{{ConnectionID: "bad", Code: "BadRequestException"}}}, res); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if err := errors.Join(c.Join(ctx, "room", a.id), c.Join(ctx, "room", b.id), c.Join(ctx, "room", p.in.id)); err != nil {
			t.Error(err)
		}
		if err := c.Join(ctx, "room", p.closed); !connections.IsGone(err) {
			t.Error(err)
		}
		if n, err := c.SendGroup(ctx, "room", []byte("some"), b.id); n != 2 || err != nil {
			t.Error(n, err)
		}
		if err := c.Leave(ctx, "room", a.id); err != nil {
			t.Error(err)
		}
		if n, err := c.GroupSize(ctx, "room"); n != 2 || err != nil {
			t.Error(n, err)
		}
		if n, err := c.SendGroup(ctx, "room", []byte("the rest")); n != 2 || err != nil {
			t.Error(n, err)
		}
		if _, err := c.SendMany(ctx, []string{a.id}, make([]byte, longest+1)); err == nil {
			t.Error("a message that is too long is sent")
		}
		for _, g := range []*guest{a, b, p.in} {
			if err := c.Close(ctx, g.id); err != nil {
				t.Error(err)
			}
		}
		a.hears("many", "some")
		b.hears("many", "the rest")
		p.in.hears("some", "the rest")
	})
	t.Run("TypeScript", func(t *testing.T) {
		t.Parallel()
		connectionsInstalled(t)
		a, b, gone := h.enter(t), h.enter(t), h.enter(t)
		gone.leave()
		// The compiled file stands beside node_modules, where it finds what it imports.
		out, err := os.MkdirTemp(connectionsDir, "out-*")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(out)
		run := func(env []string, args ...string) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), "node", args...)
			cmd.Dir, cmd.Env = connectionsDir, env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
			}
		}
		out = filepath.Base(out)
		run(nil, "node_modules/typescript/lib/tsc.js", "--outDir", out)
		run(environ(h.env, "ENDPOINT="+endpoint, "IDS="+a.id+","+b.id+","+gone.id), "--test", filepath.Join(out, "extension.mjs"))
		b.hears("héllo", "all")
		for _, want := range []string{"héllo", "all", "some", "one"} {
			if got := a.next(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

// The module that people install is what its source says.
func TestTheTypeScriptClientIsBuilt(t *testing.T) {
	t.Parallel()
	connectionsInstalled(t)
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "node", "node_modules/typescript/lib/tsc.js", "-p", "../../../sdk/js/connections", "--typeRoots", "node_modules/@types", "--outDir", out)
	cmd.Dir = connectionsDir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range []string{"index.mjs", "index.d.mts"} {
		want, err1 := os.ReadFile(filepath.Join(out, name))
		got, err2 := os.ReadFile(filepath.Join("../sdk/js/connections", name))
		if err := cmp.Or(err1, err2); err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s is not made from index.mts: run npm run build in sdk/js/connections (%v)", name, err)
		}
	}
}

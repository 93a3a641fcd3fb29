package wall

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice/e2e/browser"
)

const badApp = "testdata/bad"

// get asks an address as one who sees what is wrong: status, the gateway's error code, body.
func (s *server) get(t *testing.T, host, path string) (status int, code, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return 0, "", ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return res.StatusCode, res.Header.Get("X-Ca-Error-Code"), string(b)
}

func TestFunctionsThatMisbehave(t *testing.T) {
	s := launch(t, "", "dev", badApp, "--no-reload")
	for function, wants := range map[string]map[string]string{ // what it does → the gateway's code, "" for an answer
		"node": {"throws": "D502FC", "hangs": "D502FC", "spins": "D502FC", "exits": "D502FC", "prints": "", "answers-10MB": "D502FC", "answers-garbage": "D502FC",
			"answers-nothing": "D502FC", "answers-itself": "D502FC", "bad-status": "D502FC", "bad-header": "D502FC", "throws-later": ""},
		"web":    {"throws": "D502FC", "hangs": "D502FC", "exits": "D502FC", "prints": "", "answers-10MB": "D502FC", "bad-status": "D502FC"},
		"custom": {"throws": "D502FC", "hangs": "D502FC", "exits": "D502FC", "prints": "", "answers-10MB": "D502FC", "answers-garbage": "D502FC", "answers-half": "D502FC", "bad-status": "D502FC"},
	} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			for _, does := range slices.Sorted(maps.Keys(wants)) {
				want := wants[does]
				status, code, body := s.get(t, "", "/"+function+"/"+does)
				if code != want || (want == "") != (status == 200) || want != "" && (status != 502 || body != "") {
					t.Errorf("%s: %d %s %.80q", does, status, code, body)
				}
				// The next call is none the worse for it.
				browser.Eventually(t, patience, "an answer after "+does, func() bool {
					status, _, body := s.get(t, "", "/"+function+"/well")
					return status == 200 && body == "first"
				})
			}
		})
	}
}

func TestInvokeTellsHowAFunctionFailed(t *testing.T) {
	s := launch(t, "", "dev", badApp, "--no-reload")
	for does, want := range map[string]string{"throws": "Error: boom", "hangs": "failed: timed out", "exits": "failed: exit status 3", "answers-itself": "circular"} {
		if _, err := s.Sluice("invoke", "node", "--data-text", `{"mode":"`+does+`"}`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", does, err)
		}
	}
	if out, err := s.Sluice("invoke", "node", "--data-text", `{"mode":"well"}`); err != nil || !strings.Contains(out, "first") {
		t.Errorf("%q, %v", out, err)
	}
}

// open makes a WebSocket to a host of the server and tells the gateway its device.
func (s *server) open(t *testing.T, host, device string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, _, err := ws.Dialer{Host: host}.Dial(ctx, s.WS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if err := wsutil.WriteClientText(conn, []byte("RG#"+device)); err != nil {
		t.Fatal(err)
	}
	if b, err := wsutil.ReadServerText(conn); err != nil || !strings.HasPrefix(string(b), "RO#") {
		t.Fatalf("RG answered %q, %v", b, err)
	}
	return conn
}

func TestClientsThatMisbehave(t *testing.T) {
	s := launch(t, "", "dev", badApp, "--no-reload")
	well := s.open(t, "", "well")
	before := s.descriptors()

	key := ws.NewMask()
	masked := func(f ws.Frame) []byte { return must(ws.CompileFrame(ws.MaskFrameWith(f, key))) }
	endless := func(n int) []byte {
		var b bytes.Buffer
		h := ws.Header{OpCode: ws.OpText, Length: int64(n) + 1, Masked: true}
		if err := ws.WriteHeader(&b, h); err != nil {
			t.Fatal(err)
		}
		return append(b.Bytes(), bytes.Repeat([]byte("a"), n)...)
	}
	for name, tc := range map[string]struct {
		sent []byte
		code ws.StatusCode
	}{
		"unmasked frame":            {must(ws.CompileFrame(ws.NewTextFrame([]byte("RG#x")))), 1002},
		"reserved bit":              {masked(ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpText, Rsv: 4, Length: 1}, Payload: []byte("x")}), 1002},
		"reserved opcode":           {masked(ws.NewFrame(3, true, []byte("x"))), 1002},
		"continuation of nothing":   {masked(ws.NewFrame(ws.OpContinuation, true, []byte("x"))), 1002},
		"ping of 126 bytes":         {masked(ws.NewFrame(ws.OpPing, true, make([]byte, 126))), 1002},
		"ping in parts":             {masked(ws.NewFrame(ws.OpPing, false, nil)), 1002},
		"text that is no UTF-8":     {masked(ws.NewTextFrame([]byte{0xff, 0xfe})), 1007},
		"close code that is none":   {masked(ws.NewFrame(ws.OpClose, true, []byte{0x03, 0xed})), 1002},
		"a petabyte announced":      {[]byte{0x81, 0xff, 0, 4, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
		"1 MB without a frame end":  {endless(1 << 20), 1009},
		"1 MB in parts without end": {append(masked(ws.NewFrame(ws.OpText, false, make([]byte, 20_000))), bytes.Repeat(masked(ws.NewFrame(ws.OpContinuation, false, make([]byte, 20_000))), 50)...), 1009},
	} {
		conn, _, _, err := ws.Dial(t.Context(), s.WS())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(tc.sent) // may break when the server has hung up
		f, err := ws.ReadFrame(conn)
		if code, _ := ws.ParseCloseFrameData(f.Payload); err == nil && (f.Header.OpCode != ws.OpClose || code != tc.code) {
			t.Errorf("%s: answered by opcode %d, code %d", name, f.Header.OpCode, code)
		} else if err != nil && !isReset(err) { // a reset overtakes the close frame when much is unread
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}

	// Handshakes that never end, and requests that are two at once, hold nobody up.
	var halfOpen []net.Conn
	for i := range 200 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(""), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		halfOpen = append(halfOpen, conn)
		io.WriteString(conn, []string{"", "G", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n", "POST /node/well HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"}[i%4])
	}
	for _, head := range []string{
		"GET /node/well HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20),
		"POST /node/well HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"POST /node/well HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST /node/well HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\na",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(""), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, head)
		if b, err := io.ReadAll(conn); err != nil && !isReset(err) || len(b) > 9 && (b[9] != '4' && b[9] != '5') {
			t.Errorf("%.60q: %.60q, %v", head, b, err)
		}
		conn.Close()
	}

	// One who never reads is cut off; pushes to others go on.
	deaf := s.open(t, "", "deaf")
	deaf.(*net.TCPConn).SetReadBuffer(4096)
	var id string
	for line := range strings.Lines(s.must(t, "conns", "ls", "--json")) {
		var c struct{ ID, Alias string }
		if json.Unmarshal([]byte(line), &c); c.Alias == "deaf" {
			id = c.ID
		}
	}
	cut := 0
	for range 2000 {
		res, err := http.Post(s.Admin+"/_sluice/api/conns/"+id, "text/plain", strings.NewReader(strings.Repeat("m", 30_000)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if cut = res.StatusCode; cut != 204 {
			break
		}
	}
	if cut == 204 {
		t.Error("60 MB were taken for a connection that never reads")
	}

	well.SetDeadline(time.Now().Add(patience))
	if err := wsutil.WriteClientText(well, []byte(`{"method":"GET","path":"/node/well","headers":{"x-ca-seq":["1"]}}`)); err != nil {
		t.Fatal(err)
	}
	if b, err := wsutil.ReadServerText(well); err != nil || !strings.Contains(string(b), `"status":200`) {
		t.Errorf("a client that behaves: %s, %v", b, err)
	}
	// Comings and goings leave nothing behind.
	for _, conn := range halfOpen {
		conn.Close()
	}
	for range 500 {
		conn, _, _, err := ws.Dial(t.Context(), s.WS())
		if err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	browser.Eventually(t, patience, "one connection left", func() bool { return len(s.Conns()) == 1 })
	if runtime.GOOS == "linux" {
		browser.Eventually(t, patience, "as many descriptors as before", func() bool { return s.descriptors() < before+20 })
	}
}

func TestSavingReloadsAndKeepsSockets(t *testing.T) {
	app := t.TempDir()
	if err := os.CopyFS(app, os.DirFS(badApp)); err != nil {
		t.Fatal(err)
	}
	edit := func(file, old, new string) {
		t.Helper()
		name := filepath.Join(app, file)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.Replace(b, []byte(old), []byte(new), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := launch(t, "", "dev", app)
	var conns []net.Conn
	for i := range 50 {
		conns = append(conns, s.open(t, "", fmt.Sprint("device-", i)))
	}
	says := func(path, want string) func() bool {
		return func() bool {
			_, _, body := s.get(t, "", path)
			return body == want
		}
	}
	edit("node/index.js", "'first'", "'second'")
	edit("custom/main.go", `(w, "first")`, `(w, "second")`)
	browser.Eventually(t, patience, "the new Node code", says("/node/well", "second"))
	browser.Eventually(t, patience, "the new Go code", says("/custom/well", "second"))

	browser.Eventually(t, patience, "a line that tells the reload", func() bool { return strings.Contains(s.Said(), `"event":"done"`) })

	// What does not compile, and a template that is none, change nothing.
	edit("custom/main.go", "func main() {", "func main() { oops")
	browser.Eventually(t, patience, "an error that names the line", func() bool { return strings.Contains(s.Said(), "main.go:13") })
	if !says("/custom/well", "second")() {
		t.Error("broken code took the place of what ran")
	}
	edit("custom/main.go", "func main() { oops", "func main() {")
	edit("s.yaml", "component: fc\n", "component: fcc\n")
	browser.Eventually(t, patience, "an error that names the component", func() bool { return strings.Contains(s.Said(), "fcc") })
	if !says("/node/well", "second")() {
		t.Error("a broken template took the place of what ran")
	}
	edit("s.yaml", "component: fcc\n", "component: fc\n")
	edit("node/index.js", "'second'", "'third'")
	browser.Eventually(t, patience, "code saved after the mistakes", says("/node/well", "third"))

	for i, conn := range conns {
		conn.SetDeadline(time.Now().Add(patience))
		if err := wsutil.WriteClientText(conn, []byte("H1")); err != nil {
			t.Fatalf("socket %d: %v", i, err)
		}
		if b, err := wsutil.ReadServerText(conn); err != nil || !strings.HasPrefix(string(b), "HO#") {
			t.Errorf("socket %d after the reloads: %q, %v", i, b, err)
		}
	}
}

func TestTwoAppsShareAServerByHost(t *testing.T) {
	s := launch(t, "", "serve")
	for _, name := range []string{"one", "two"} {
		app := t.TempDir()
		if err := os.MkdirAll(filepath.Join(app, "src"), 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{
			"s.yaml": "edition: 1.0.0\nname: " + name + "\nservices:\n  f:\n    component: fc\n    props:\n      region: cn-hangzhou\n      service: {name: " + name + "}\n" +
				"      function: {name: f, runtime: nodejs18, handler: index.handler, codeUri: ./src}\n" +
				"  gateway:\n    component: apigateway\n    props:\n      regionId: cn-hangzhou\n      groupName: " + name + "\n      customerDomain: " + name + ".example.com\n      apis:\n" +
				"        - apiName: f\n          requestConfig: {requestPath: \"/*\", requestHttpMethod: ANY}\n" +
				"          serviceConfig: {serviceProtocol: FunctionCompute, functionComputeConfig: {fcType: FCEvent, fcRegionId: cn-hangzhou, serviceName: " + name + ", functionName: f}}\n",
			"src/index.js": "exports.handler = async () => ({ isBase64Encoded: false, statusCode: 200, headers: {}, body: 'I am " + name + "' })\n",
		} {
			if err := os.WriteFile(filepath.Join(app, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s.must(t, "deploy", app)
	}
	for host, want := range map[string]string{"one.localhost": "I am one", "two.localhost": "I am two", "TWO.localhost": "I am two", "two.example.com": "I am two"} {
		if status, _, body := s.get(t, host, "/"); status != 200 || body != want {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	if status, _, body := s.get(t, "three.localhost", "/"); status != 404 || !strings.Contains(body, "three.localhost") {
		t.Errorf("nobody's host: %d %q", status, body)
	}
	one, two := s.open(t, "one.localhost", "same"), s.open(t, "two.localhost", "same") // a device id is an app's own
	if n := len(s.Conns()); n != 2 {
		t.Errorf("%d connections", n)
	}
	for name, conn := range map[string]net.Conn{"one": one, "two": two} {
		wsutil.WriteClientText(conn, []byte(`{"method":"GET","path":"/x","headers":{"x-ca-seq":["1"]}}`))
		if b, err := wsutil.ReadServerText(conn); err != nil || !strings.Contains(string(b), "I am "+name) {
			t.Errorf("socket of %s: %s, %v", name, b, err)
		}
	}
	s.must(t, "remove", "one")
	one.SetDeadline(time.Now().Add(patience))
	if f, err := ws.ReadFrame(one); err != nil || f.Header.OpCode != ws.OpClose {
		t.Errorf("a socket of an app that is removed gets %v, %v", f.Header.OpCode, err)
	}
	if status, _, body := s.get(t, "two.localhost", "/"); status != 200 || body != "I am two" {
		t.Errorf("after the other was removed: %d %q", status, body)
	}
}

func TestKillLeavesNoProcess(t *testing.T) {
	s := launch(t, "", "dev", badApp, "--no-reload")
	var pids []int
	for _, path := range []string{"/node/pid", "/custom/pid"} {
		_, _, body := s.get(t, "", path)
		var pid int
		if _, err := fmt.Sscan(body, &pid); err != nil {
			t.Fatalf("%s answered %q", path, body)
		}
		pids = append(pids, pid)
	}
	s.Kill()
	for _, pid := range pids {
		browser.Eventually(t, patience, fmt.Sprintf("end of process %d", pid), func() bool {
			if runtime.GOOS == "linux" { // one that nobody has waited for is dead, too
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				return err != nil || len(b) == 0
			}
			return syscall.Kill(pid, 0) != nil
		})
	}
	launch(t, s.Data, "dev", badApp, "--no-reload").Stop()
}

func TestBadTablestoreRequests(t *testing.T) {
	s := launch(t, "", "dev", badApp, "--no-reload")
	var env map[string]string
	if err := json.Unmarshal([]byte(s.must(t, "env", "--dialect", "aliyun", "--json")), &env); err != nil {
		t.Fatal(err)
	}
	const table = "\x0a\x0a\x0a\x01t\x12\x05\x0a\x01k\x10\x02" + "\x12\x06\x0a\x04\x08\x00\x10\x00" + "\x1a\x0d\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01"
	for _, tc := range []struct {
		op, secret, body string
		status           int
		code             string
	}{
		{"CreateTable", "wrong", table, 403, "OTSAuthFailed"},
		{"CreateTable", "", table, 200, ""},
		{"CreateTable", "", table, 409, "OTSObjectAlreadyExist"},
		{"PutRow", "", "no protobuf", 400, "OTSParameterInvalid"},
		{"PutRow", "", "\x0a\x01t\x12\x04junk\x1a\x02\x08\x00", 400, "OTSParameterInvalid"}, // no PlainBuffer
		{"PutRow", "", strings.Repeat("x", 8<<20), 413, "OTSRequestBodyTooLarge"},
		{"Fly", "", "", 400, "OTSParameterInvalid"},
	} {
		sum := md5.Sum([]byte(tc.body))
		head := map[string]string{
			"x-ots-accesskeyid": env["ALIBABA_CLOUD_ACCESS_KEY_ID"], "x-ots-apiversion": "2015-12-31", "x-ots-contentmd5": base64.StdEncoding.EncodeToString(sum[:]),
			"x-ots-date": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "x-ots-instancename": "any",
		}
		if tc.secret == "" {
			tc.secret = env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
		}
		mac := hmac.New(sha1.New, []byte(tc.secret))
		fmt.Fprintf(mac, "/%s\nPOST\n\n", tc.op)
		req, err := http.NewRequest("POST", s.Admin+"/"+tc.op, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range slices.Sorted(maps.Keys(head)) {
			fmt.Fprintf(mac, "%s:%s\n", k, head[k])
			req.Header.Set(k, head[k])
		}
		req.Header.Set("x-ots-signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tc.status || !strings.Contains(string(b), tc.code) {
			t.Errorf("%s %.20q: %d %q", tc.op, tc.body, res.StatusCode, b)
		}
	}
}

// must runs a client command that has to succeed.
func (s *server) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.Sluice(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// descriptors is how many files and sockets the server holds; 0 where that cannot be seen.
func (s *server) descriptors() int {
	names, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Cmd.Process.Pid))
	return len(names)
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a proxy, a handler for vendor hosts, a public listener and a host that is not ours.
type world struct {
	e     *Egress
	addr  string
	clear string // where TLS is left out
	dir   string
	away  *httptest.Server // not ours
	asked atomic.Int64     // how often Whole was
}

func say(what string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s%s tls=%v %s", what, r.Method, r.Host, r.RequestURI, r.TLS != nil, body)
	})
}

func newWorld(t *testing.T) *world {
	t.Helper()
	public := httptest.NewServer(say("public"))
	away := httptest.NewServer(say("away"))
	w := &world{dir: filepath.Join(t.TempDir(), "ca"), away: away}
	var err error
	w.e, err = Open(Options{
		Dir: w.dir, Vendors: []string{"*.vendor.test", "exact.test"}, Handler: say("vendor"),
		App: func(host string) bool { return host == "shop.test" }, Apps: say("app"), Public: public.Listener.Addr().String(),
		Whole: func(dst, request []byte, _ string) ([]byte, bool) {
			w.asked.Add(1)
			_, text, ok := bytes.Cut(request, []byte("push "))
			return fmt.Appendf(dst, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text), ok
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.addr, w.clear = w.e.Addr(), w.e.plain.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.e.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		public.Close()
		away.Close()
	})
	return w
}

// client trusts our authority; with proxy it asks the proxy, without it believes that we are every host.
func (w *world) client(t *testing.T, proxy bool) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(w.e.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	if proxy {
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr})
	} else {
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.addr)
		}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestHostsFindTheirWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	awayHost := w.away.Listener.Addr().String()
	_, awayPort, _ := net.SplitHostPort(awayHost)
	for _, c := range []struct {
		proxy     bool
		url, want string
	}{
		{true, "http://a.b.vendor.test/x?y=1", "vendor POST a.b.vendor.test/x?y=1 tls=false hello"},
		{true, "https://a.vendor.test/x?y=1", "vendor POST a.vendor.test/x?y=1 tls=true hello"},
		{true, "https://EXACT.test/", "vendor POST EXACT.test/ tls=true hello"},
		{true, "http://chat.localhost/notify", "app POST chat.localhost/notify tls=false hello"},
		{true, "https://chat.localhost/notify", "app POST chat.localhost/notify tls=false hello"},
		{true, "http://shop.test/a%20b", "app POST shop.test/a%20b tls=false hello"},
		{true, "http://" + awayHost + "/z?q", "away POST " + awayHost + "/z?q tls=false hello"},
		{true, "http://inst.ots.localhost:" + awayPort + "/t", "away POST inst.ots.localhost:" + awayPort + "/t tls=false hello"},
		{true, "http://shop.test:8080/x", "app POST shop.test:8080/x tls=false hello"},
		{false, "https://a.vendor.test/x", "vendor POST a.vendor.test/x tls=true hello"},
		{false, "http://a.vendor.test/x", "vendor POST a.vendor.test/x tls=false hello"},
		{false, "http://shop.test/x", "app POST shop.test/x tls=false hello"},
		{false, "https://shop.test/x", "app POST shop.test/x tls=false hello"},
		{false, "http://other.test/x", "sluice: other.test is no host of ours\n"},
		{true, "http://127.0.0.1:1/", "sluice: 127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused\n"},
	} {
		res, err := w.client(t, c.proxy).Post(c.url, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != c.want {
			t.Errorf("%s (proxy %v): %q, want %q", c.url, c.proxy, body, c.want)
		}
	}
}

func TestWhoLeavesTLSOutIsTakenForOneWhoDoesNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", w.clear)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	for url, want := range map[string]string{
		"http://a.vendor.test/x?y": "vendor GET a.vendor.test/x?y tls=true ",
		"http://shop.test/x":       "app GET shop.test/x tls=false ", // as before the public listener, which has none
		"http://chat.localhost/x":  "app GET chat.localhost/x tls=false ",
		"http://other.test/x":      "sluice: other.test is no host of ours\n",
	} {
		res, err := (&http.Client{Transport: tr}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != want {
			t.Errorf("%s: %q, want %q", url, body, want)
		}
	}
}

// TestPushesAreServedBeforeAllElse: with the first request that is none, or has not come whole, the connection is
// net/http's.
func TestPushesAreServedBeforeAllElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pem, err := os.ReadFile(w.e.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "a.vendor.test"}
	for name, dial := range map[string]func() (net.Conn, error){
		"plain":       func() (net.Conn, error) { return net.Dial("tcp", w.addr) },
		"TLS":         func() (net.Conn, error) { return tls.Dial("tcp", w.addr, config) },
		"without TLS": func() (net.Conn, error) { return net.Dial("tcp", w.clear) },
		"tunnel": func() (net.Conn, error) {
			c, err := net.Dial("tcp", w.addr)
			if err == nil {
				fmt.Fprint(c, "CONNECT a.vendor.test:443 HTTP/1.1\r\nHost: a.vendor.test\r\n\r\n")
				_, err = c.Read(make([]byte, 100))
			}
			return tls.Client(c, config), err
		},
	} {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := bufio.NewReader(c)
		says := func(parts []string, want string) {
			t.Helper()
			before := w.asked.Load()
			for _, part := range parts {
				io.WriteString(c, part)
				for w.asked.Load() == before && len(parts) > 1 { // so that the first comes alone
					time.Sleep(time.Millisecond)
				}
			}
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if body, _ := io.ReadAll(res.Body); string(body) != want {
				t.Errorf("%s: %q, want %q", name, body, want)
			}
		}
		const head, length = "POST /x HTTP/1.1\r\nHost: a.vendor.test\r\n", "Content-Length: 8\r\n\r\n"
		usual := fmt.Sprintf("vendor POST a.vendor.test/x tls=%v push ", name != "plain")
		says([]string{head + length + "push one"}, "one")
		says([]string{head + length + "push two"}, "two")
		says([]string{head, length, "pus", "h pcs"}, usual+"pcs")
		says([]string{head + length + "push all"}, usual+"all")
	}
}

// TestUpgradesGoOnToThePublicListener: the handler of requests cannot have them, and a connection that has been
// upgraded is the listener's as long as it lasts.
func TestUpgradesGoOnToThePublicListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ addr, host, want string }{
		{w.addr, "chat.localhost", "public GET chat.localhost/ws tls=false "}, {w.clear, "chat.localhost", "public GET chat.localhost/ws tls=false "},
		{w.clear, "shop.test", "public GET shop.test/ws tls=false "}, {w.clear, "a.vendor.test", "vendor GET a.vendor.test/ws tls=true "},
	} {
		req := httptest.NewRequest(http.MethodGet, "http://"+c.host+"/ws", nil)
		req.RequestURI, req.URL.Host = "", c.addr
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		tr := &http.Transport{DisableKeepAlives: true}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != c.want {
			t.Errorf("%s at %s: %q, want %q", c.host, c.addr, body, c.want)
		}
	}
}

func TestOtherTunnelsAreUntouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { // answers when the client has said all
		c, err := far.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %q", b)
	})
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", far.Addr())
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	fmt.Fprint(c, "\x16\x03 not for us")
	c.(*net.TCPConn).CloseWrite()
	if b, _ := io.ReadAll(r); string(b) != `got "\x16\x03 not for us"` {
		t.Errorf("%q", b)
	}
}

func TestStopClosesOpenTunnels(t *testing.T) {
	t.Parallel()
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	var silent, tunnel net.Conn
	t.Run("open", func(t *testing.T) {
		w := newWorld(t) // ends with this subtest
		silent, _ = net.Dial("tcp", w.addr)
		tunnel, _ = net.Dial("tcp", w.addr)
		fmt.Fprintf(tunnel, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", far.Addr())
		if _, err := tunnel.Read(make([]byte, 100)); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []net.Conn{silent, tunnel} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("still open")
		}
		c.Close()
	}
}

func TestTheAuthorityIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := openAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !a.cert.Equal(b.cert) {
		t.Error("made again")
	}
	if st, _ := os.Stat(filepath.Join(dir, "ca.key")); st.Mode().Perm() != 0o600 {
		t.Errorf("key mode %v", st.Mode())
	}
	c1, _ := a.certificate("X.test.")
	c2, _ := a.certificate("x.test")
	if c1 != c2 || c1.Leaf.VerifyHostname("x.test") != nil {
		t.Error("leaf is not kept")
	}
	ip, _ := a.certificate("127.0.0.1")
	if ip.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Error("address is not in the leaf")
	}
	for n := range maxLeafs + 10 {
		a.leafs[fmt.Sprint(n)] = c1
	}
	a.certificate("one-more.test")
	if len(a.leafs) > maxLeafs {
		t.Errorf("%d leafs", len(a.leafs))
	}
	os.WriteFile(filepath.Join(dir, "ca.key"), []byte("damaged"), 0o600)
	if _, err := openAuthority(dir); err == nil {
		t.Error("a damaged key is no error")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"*.a.test", "x.a.test", true}, {"*.a.test", "x.y.A.test.", true}, {"*.a.test", "a.test", false},
		{"*.a.test", ".a.test", false}, {"a.test", "A.test", true}, {"a.test", "b.a.test", false}, {"*.a.test", "xa.test", false},
	} {
		if got := Match(c.pattern, c.host); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.host, got)
		}
	}
}

func TestEnvironmentLeadsToUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	env := w.e.Environment([]string{"shop.test"}, false)
	if _, ok := env["HTTP_PROXY"]; ok {
		t.Error("proxy without being asked")
	}
	if want := fmt.Sprintf(`{"hosts":["*.localhost","*.vendor.test","exact.test","shop.test"],"addr":%q,"clear":%q,"ca":%q}`, w.addr, w.clear, w.e.CAFile()); env["SLUICE_EGRESS"] != want {
		t.Errorf("hook %s", env["SLUICE_EGRESS"])
	}
	env = w.e.Environment(nil, true)
	if env["HTTPS_PROXY"] != "http://"+w.addr || env["NO_PROXY"] == "" {
		t.Errorf("%v", env)
	}
	bundle, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	ours, _ := os.ReadFile(env["NODE_EXTRA_CA_CERTS"])
	if !strings.HasSuffix(string(bundle), string(ours)) || env["AWS_CA_BUNDLE"] != env["REQUESTS_CA_BUNDLE"] {
		t.Error("bundle lacks our certificate")
	}
}

func TestNodeThroughTheProxyTrustsUs(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	w := newWorld(t)
	cmd := exec.Command(node, "-e", `
const http = require('http'), https = require('https');
const at = new URL(process.env.HTTPS_PROXY);
http.request({ host: at.hostname, port: at.port, method: 'CONNECT', path: 'a.vendor.test:443' }).on('connect', (res, socket) => {
  https.get('https://a.vendor.test/x', { socket, agent: false }, (r) => r.pipe(process.stdout));
}).end();`)
	for k, v := range w.e.Environment(nil, true) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if string(out) != "vendor GET a.vendor.test/x tls=true " {
		t.Errorf("%q %v", out, err)
	}
}

//go:build unix

package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/egress"
)

// sayHow answers with how a request came: its host, whether the handler takes it for one over TLS, and whether
// there was any.
func sayHow(what string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		how := "http"
		if r.TLS != nil {
			if how = "https"; r.TLS.CipherSuite == 0 {
				how = "https without TLS"
			}
		}
		fmt.Fprintf(w, "%s %s %s %s", what, r.Host, how, b)
	})
}

// outside is what functions reach: a proxy, and a host that is not ours.
type outside struct {
	e     *egress.Egress
	other *httptest.Server
	stop  func()
}

// newOutside has *.vendor.test, which handler answers, and the app shop.test.
func newOutside(t *testing.T, vendor http.Handler) *outside {
	t.Helper()
	public := httptest.NewServer(echoing(sayHow("public")))
	t.Cleanup(public.Close)
	o := &outside{other: httptest.NewServer(sayHow("other"))}
	t.Cleanup(o.other.Close)
	var err error
	o.e, err = egress.Open(egress.Options{Dir: t.TempDir(), Vendors: []string{"*.vendor.test"}, Handler: vendor,
		App: func(h string) bool { return h == "shop.test" }, Apps: sayHow("app"), Public: public.Listener.Addr().String(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { o.e.Serve(ctx) })
	o.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(o.stop)
	return o
}

// echoing answers upgrades with what comes after.
func echoing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			h.ServeHTTP(w, r)
			return
		}
		c, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, buf)
	})
}

// environment leads a function to it.
func (o *outside) environment(v *function.Version, proxy bool) {
	maps.Copy(v.Env, o.e.Environment([]string{"shop.test"}, proxy))
}

// ask runs code in a function that has it, and compares what it says.
func (o *outside) ask(t *testing.T, payload, code string, want []string) {
	t.Helper()
	w := newWorld(t, nil)
	w.deploy("f", code, func(v *function.Version) { o.environment(v, false) })
	res := w.invoke("f", payload)
	if res.Failure != nil {
		t.Fatalf("%+v", res.Failure)
	}
	var got []string
	if err := json.Unmarshal(res.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestUnmodifiedCodeReachesUs runs code that calls vendor and app hosts by every client that node has.
func TestUnmodifiedCodeReachesUs(t *testing.T) {
	t.Parallel()
	o := newOutside(t, sayHow("vendor"))
	port := o.other.Listener.Addr().(*net.TCPAddr).Port
	o.ask(t, fmt.Sprint(port), `
const http = require('http'), https = require('https'), net = require('net'), tls = require('tls');
const get = (mod, url) => new Promise((ok, no) => mod.get(url, (r) => { let s = ''; r.on('data', (c) => s += c).on('end', () => ok(s)); }).on('error', no));
const post = (url) => new Promise((ok, no) => https.request(url, { method: 'POST', agent: new https.Agent({ keepAlive: true, maxSockets: 1 }) }, (r) => { let s = ''; r.on('data', (c) => s += c).on('end', () => ok(s)); }).on('error', no).end('body'));
const raw = (s) => new Promise((ok, no) => { let b = ''; s.on('data', (c) => b += c).on('end', () => ok(b.split('\r\n\r\n')[1])).on('error', no); s.write('GET / HTTP/1.0\r\nHost: raw.vendor.test\r\n\r\n'); });
exports.handler = async (event) => {
  const port = Number(event.toString());
  return [
    await get(https, 'https://a.vendor.test/x'),
    await get(http, 'http://b.vendor.test/x'),
    await post('https://c.vendor.test:443/x'),
    await (await fetch('https://d.vendor.test/x')).text(),
    await (await fetch('http://shop.test/notify')).text(),
    await (await fetch('https://shop.test/notify')).text(),
    await get(http, 'http://chat.localhost/notify'),
    await get(https, 'https://chat.localhost/notify'),
    await get(http, 'http://chat.localhost:' + port + '/'),
    await get(http, { host: '127.0.0.1', port }),
    await raw(net.connect(80, 'raw.vendor.test')),
    await raw(net.connect({ port: 80, host: 'RAW.vendor.test' }, () => {})),
    await raw(tls.connect(443, 'raw.vendor.test', { servername: 'raw.vendor.test' })),
    await raw(tls.connect({ port: 443, host: 'raw.vendor.test' }, () => {})),
    await raw(tls.connect({ socket: net.connect(443, 'raw.vendor.test'), servername: 'raw.vendor.test' })),
  ];
};`, []string{
		"vendor a.vendor.test https without TLS ", "vendor b.vendor.test http ", "vendor c.vendor.test https without TLS body", "vendor d.vendor.test https without TLS ",
		"app shop.test http ", "app shop.test http ", "app chat.localhost http ", "app chat.localhost http ",
		fmt.Sprintf("other chat.localhost:%d http ", port), fmt.Sprintf("other 127.0.0.1:%d http ", port),
		"vendor raw.vendor.test http ", "vendor raw.vendor.test http ", "vendor raw.vendor.test https ", "vendor raw.vendor.test https without TLS ", "vendor raw.vendor.test https ",
	})
}

// TestWhoBringsSettingsOfHisOwnGetsTLS: also where they make the connection fail.
func TestWhoBringsSettingsOfHisOwnGetsTLS(t *testing.T) {
	t.Parallel()
	o := newOutside(t, sayHow("vendor"))
	foreign := httptest.NewTLSServer(sayHow("foreign"))
	t.Cleanup(foreign.Close)
	o.ask(t, foreign.Listener.Addr().String(), `
const https = require('https'), http2 = require('http2'), tls = require('tls');
const wrong = (e) => (/^(EPROTO|ERR_SSL)/.test(e.code) ? 'no such protocol' : e.code || e.message);
const said = (o) => new Promise((ok) => https.get({ host: 'a.vendor.test', agent: false, ...o }, (r) => { let s = '', p = r.socket.alpnProtocol; r.on('data', (c) => s += c).on('end', () => ok(s + 'protocol=' + p)); }).on('error', (e) => ok(wrong(e))));
const h2 = (url) => new Promise((ok) => { const s = http2.connect(url); s.on('connect', () => { s.close(); ok('connected'); }).on('error', (e) => ok(wrong(e))); });
exports.handler = async (event) => [
  await said({ rejectUnauthorized: false }),
  await said({ ca: tls.rootCertificates }),
  await said({ agent: new https.Agent({ ca: tls.rootCertificates }) }),
  await said({ checkServerIdentity: () => new Error('not you') }),
  await said({ checkServerIdentity: () => undefined }),
  await said({ minVersion: 'TLSv1.3' }),
  await said({ ALPNProtocols: ['h2', 'http/1.1'] }),
  await said({ ALPNProtocols: ['http/1.0'] }),
  await h2('https://a.vendor.test'),
  await said({ host: '127.0.0.1', port: event.toString().split(':')[1] }),
  await said({ host: '127.0.0.1', port: event.toString().split(':')[1], rejectUnauthorized: false }),
];`, []string{
		"vendor a.vendor.test https without TLS protocol=false", "SELF_SIGNED_CERT_IN_CHAIN", "SELF_SIGNED_CERT_IN_CHAIN", "not you",
		"vendor a.vendor.test https protocol=false", "vendor a.vendor.test https protocol=false",
		"vendor a.vendor.test https without TLS protocol=http/1.1", "no such protocol", "no such protocol",
		"DEPTH_ZERO_SELF_SIGNED_CERT", "foreign " + foreign.Listener.Addr().String() + " https protocol=false",
	})
}

// TestNodeTrustsUsWhereverTLSComesFrom: node has not read our authority at boot.
func TestNodeTrustsUsWhereverTLSComesFrom(t *testing.T) {
	t.Parallel()
	o := newOutside(t, sayHow("vendor"))
	o.ask(t, o.e.Addr(), `
const head = 'GET / HTTP/1.0\r\nHost: a.vendor.test\r\n\r\n';
const said = (s) => new Promise((ok) => { let b = ''; s.on('data', (c) => b += c).on('end', () => ok(b.split('\r\n\r\n')[1])).on('error', (e) => ok(e.code)); s.write(head); });
const to = { host: 'a.vendor.test', port: 443, servername: 'a.vendor.test' };
const through = (proxy) => new Promise((ok, no) => {
  const [host, port] = proxy.split(':');
  const s = require('net').connect(Number(port), host, () => s.write('CONNECT a.vendor.test:443 HTTP/1.1\r\nHost: a.vendor.test:443\r\n\r\n'));
  s.on('error', no).once('data', () => ok(s));
});
const inThread = (code, more) => new Promise((ok, no) => {
  const { Worker } = require('worker_threads');
  new Worker(code, { eval: true, ...more }).on('message', ok).on('error', no);
});
const thread = "require('https').get({ host: 'a.vendor.test', minVersion: 'TLSv1.2' }, (r) => { let s = ''; r.on('data', (c) => s += c).on('end', () => require('worker_threads').parentPort.postMessage(s)); })";
exports.handler = async (event) => [
  await said(require('tls').connect({ ...to, minVersion: 'TLSv1.2' })),
  await said((await import('tls')).connect({ ...to, minVersion: 'TLSv1.2' })),
  await said(require('tls').connect({ ...to, secureContext: require('tls').createSecureContext() })),
  await said(require('tls').connect({ ...to, ca: require('tls').rootCertificates })),
  await said(require('tls').connect({ servername: to.servername, socket: await through(event.toString()) })),
  await inThread(thread),
  await inThread(thread, { execArgv: ['--no-warnings'] }),
  String(require('fs').readFileSync(process.env.NODE_EXTRA_CA_CERTS).includes('CERTIFICATE')),
];`, []string{
		"vendor a.vendor.test https ", "vendor a.vendor.test https ", "vendor a.vendor.test https ", "SELF_SIGNED_CERT_IN_CHAIN",
		"vendor a.vendor.test https ", "vendor a.vendor.test https ", "vendor a.vendor.test https ", "true",
	})
}

// TestAConnectionWithoutTLSLooksLikeOneWithIt shows what libraries look at, as it is of real TLS.
func TestAConnectionWithoutTLSLooksLikeOneWithIt(t *testing.T) {
	t.Parallel()
	o := newOutside(t, sayHow("vendor"))
	code := `
const https = require('https'), tls = require('tls');
const look = (own) => new Promise((ok, no) => {
  const said = [];
  const s = tls.connect({ host: 'a.vendor.test', port: 443, servername: 'a.vendor.test', ALPNProtocols: ['http/1.1'], timeout: 9000, ...own }, () => said.push('called back'));
  const show = (when) => said.push([when, s.authorized, s.authorizationError, s.secureConnecting, s.alpnProtocol, s.servername, s.encrypted].join(' '));
  show('before');
  for (const e of ['connect', 'ready', 'secure', 'secureConnect', 'end', 'close']) s.on(e, () => show(e));
  s.on('error', no);
  s.on('secureConnect', () => {
    const cert = s.getPeerCertificate();
    said.push(s instanceof tls.TLSSocket, s.constructor.name, s.timeout, s.connecting, s.getProtocol(), typeof s.getCipher().name, cert.subject.CN, cert.subjectaltname, String(tls.checkServerIdentity('a.vendor.test', cert)));
    said.push(s.isSessionReused(), s.setMaxSendFragment(1024), JSON.stringify(s.getCertificate()), Array.isArray(s.getSharedSigalgs()), typeof s.getEphemeralKeyInfo(), String(s.getX509Certificate()));
    s.disableRenegotiation(); s.getSession(); s.getTLSTicket(); s.getFinished(); s.getPeerFinished();
    said.push(s.remoteAddress, s.remoteFamily, s.readyState, s.setNoDelay() === s, s.setKeepAlive(true) === s);
    s.write('GET / HTTP/1.1\r\nHost: a.vendor.test\r\nConnection: close\r\n\r\n');
  });
  s.resume().on('close', (failed) => ok([...said, s.destroyed, failed].map(String)));
});
exports.handler = async (event) => look(event.toString() === 'real' ? { minVersion: 'TLSv1.2' } : {});`
	w := newWorld(t, nil)
	w.deploy("f", code, func(v *function.Version) { o.environment(v, false) })
	var said [2][]string
	for i, way := range []string{"real", "plain"} {
		res := w.invoke("f", way)
		if res.Failure != nil {
			t.Fatalf("%s: %+v", way, res.Failure)
		}
		if err := json.Unmarshal(res.Payload, &said[i]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(said[0], said[1]); diff != "" {
		t.Error(diff)
	}
}

// TestConnectionsWithoutTLSCarryWhatOthersDo: agents that keep them, large bodies, upgrades, timeouts, ends and refusals.
func TestConnectionsWithoutTLSCarryWhatOthersDo(t *testing.T) {
	t.Parallel()
	var o *outside
	release := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	t.Cleanup(free)
	o = newOutside(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			io.Copy(w, r.Body)
		case "/slow":
			<-release
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/stop":
			go o.stop()
			<-r.Context().Done()
		}
	}))
	o.ask(t, "", `
const https = require('https'), crypto = require('crypto');
const kept = new https.Agent({ keepAlive: true, maxSockets: 1 });
const ask = (o, body) => new Promise((ok, no) => {
  const req = https.request({ host: 'a.vendor.test', agent: kept, path: '/echo', method: 'POST', ...o }, (r) => { const l = []; r.on('data', (c) => l.push(c)).on('end', () => ok([req, Buffer.concat(l), r])).on('error', no); });
  req.on('error', no).on('timeout', () => req.destroy(new Error('timeout'))).end(body);
});
const fails = (p) => p.then(() => 'no error', (e) => e.code || e.message);
exports.handler = async () => {
  const said = [], big = crypto.randomBytes(5 << 20);
  const [first] = await ask({}, 'x');
  const [second, back] = await ask({}, big);
  said.push(first.reusedSocket + ' ' + second.reusedSocket + ' ' + (first.socket === second.socket) + ' ' + back.equals(big));
  said.push(String(Buffer.from(await (await fetch('https://b.vendor.test/echo', { method: 'POST', body: big })).arrayBuffer()).equals(big)));
  said.push((await ask({}, ''))[2].headers['keep-alive']);
  const burst = await Promise.all(Array.from({ length: 30 }, (_, i) => ask({ agent: new https.Agent({ maxSockets: 50 }) }, 'n' + i)));
  said.push(String(burst.every(([, b], i) => b.toString() === 'n' + i)));
  said.push(await new Promise((ok, no) => {
    https.request({ host: 'chat.localhost', headers: { Connection: 'Upgrade', Upgrade: 'echo' } }).on('upgrade', (res, s) => { s.on('data', (d) => { s.end(); ok(res.statusCode + ' ' + d); }).write('hello'); }).on('error', no).end();
  }));
  const events = [];
  await new Promise((ok) => {
    const req = https.get('https://c.vendor.test/echo', (r) => r.resume().on('end', ok));
    req.on('socket', (s) => { events.push('socket', s.connecting); s.on('connect', () => events.push('connect')).on('secureConnect', () => events.push('secureConnect', s.authorized)); });
  });
  said.push(events.join(' '));
  said.push(await fails(ask({ path: '/slow', timeout: 30 })));
  said.push(await fails(ask({ path: '/slow', signal: AbortSignal.timeout(30) })));
  said.push(await fails(fetch('https://b.vendor.test/slow', { signal: AbortSignal.timeout(30) }).catch((e) => { throw { code: e.name }; })));
  said.push(await fails(ask({ path: '/cut' })));
  said.push(await fails(ask({ path: '/stop', agent: undefined })));
  said.push(await fails(ask({ agent: undefined })));
  said.push(await fails(fetch('https://z.vendor.test').catch((e) => { throw e.cause; })));
  return said;
};`, []string{
		"false true true true", "true", "timeout=5", "true", "101 hello", "socket true connect secureConnect true",
		"timeout", "ABORT_ERR", "TimeoutError", "ECONNRESET", "ECONNRESET", "ECONNREFUSED", "ECONNREFUSED",
	})
}

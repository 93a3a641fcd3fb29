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

// TestUnmodifiedCodeReachesUs runs code that calls vendor and app hosts by every client that node has.
func TestUnmodifiedCodeReachesUs(t *testing.T) {
	t.Parallel()
	say := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s tls=%v %s", what, r.Host, r.TLS != nil, b)
		})
	}
	public := httptest.NewServer(say("public"))
	defer public.Close()
	other := httptest.NewServer(say("other"))
	defer other.Close()
	e, err := egress.Open(egress.Options{Dir: t.TempDir(), Vendors: []string{"*.vendor.test"}, Handler: say("vendor"),
		App: func(h string) bool { return h == "shop.test" }, Public: public.Listener.Addr().String(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { e.Serve(ctx, ln) })
	defer wg.Wait()
	defer cancel()

	w := newWorld(t, nil)
	w.deploy("f", `
const http = require('http'), https = require('https'), net = require('net'), tls = require('tls');
const get = (mod, url) => new Promise((ok, no) => mod.get(url, (r) => { let s = ''; r.on('data', (c) => s += c).on('end', () => ok(s)); }).on('error', no));
const post = (url) => new Promise((ok, no) => https.request(url, { method: 'POST', agent: new https.Agent({ keepAlive: true, maxSockets: 1 }) }, (r) => { let s = ''; r.on('data', (c) => s += c).on('end', () => ok(s)); }).on('error', no).end('body'));
const raw = (s) => new Promise((ok, no) => { let b = ''; s.on('data', (c) => b += c).on('end', () => ok(b.split('\r\n\r\n')[1])).on('error', no); s.write('GET / HTTP/1.0\r\nHost: raw.vendor.test\r\n\r\n'); });
// A second connection to a host, by another agent, takes up the first one's session; a third brings its own trust.
const resumed = async () => {
  const said = [];
  for (const o of [{}, {}, { ca: tls.rootCertificates }]) {
    said.push(await new Promise((ok) => {
      const req = https.get({ host: 'e.vendor.test', agent: new https.Agent(), ...o }, (r) => r.resume().on('end', () => ok('resumed=' + req.socket.isSessionReused() + ' trusted=' + req.socket.authorized)));
      req.on('error', (e) => ok(e.code));
    }));
  }
  return said;
};
exports.handler = async (event) => {
  const port = Number(event.toString());
  return [
    await get(https, 'https://a.vendor.test/x'),
    await get(http, 'http://b.vendor.test/x'),
    await post('https://c.vendor.test:443/x'),
    await (await fetch('https://d.vendor.test/x')).text(),
    await (await fetch('http://shop.test/notify')).text(),
    await get(http, 'http://chat.localhost/notify'),
    await get(http, 'http://chat.localhost:' + port + '/'),
    await get(http, { host: '127.0.0.1', port }),
    await raw(net.connect(80, 'raw.vendor.test')),
    await raw(net.connect({ port: 80, host: 'RAW.vendor.test' }, () => {})),
    await raw(tls.connect(443, 'raw.vendor.test', { servername: 'raw.vendor.test' })),
    ...await resumed(),
  ];
};`, func(v *function.Version) {
		maps.Copy(v.Env, e.Environment(ln.Addr().String(), []string{"shop.test"}, false))
	})
	port := other.Listener.Addr().(*net.TCPAddr).Port
	res := w.invoke("f", fmt.Sprint(port))
	if res.Failure != nil {
		t.Fatalf("%+v", res.Failure)
	}
	var got []string
	if err := json.Unmarshal(res.Payload, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"vendor a.vendor.test tls=true ", "vendor b.vendor.test tls=false ", "vendor c.vendor.test tls=true body", "vendor d.vendor.test tls=true ",
		"public shop.test tls=false ", "public chat.localhost tls=false ",
		fmt.Sprintf("other chat.localhost:%d tls=false ", port), fmt.Sprintf("other 127.0.0.1:%d tls=false ", port),
		"vendor raw.vendor.test tls=false ", "vendor raw.vendor.test tls=false ", "vendor raw.vendor.test tls=true ",
		"resumed=false trusted=true", "resumed=true trusted=true", "SELF_SIGNED_CERT_IN_CHAIN",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

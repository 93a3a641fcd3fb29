//go:build unix

package process

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/egress"
)

func TestUnmodifiedPythonReachesUs(t *testing.T) {
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
	foreign := httptest.NewTLSServer(nil)
	defer foreign.Close()
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
	code := `
import asyncio, http.client, json, os, socket, ssl, urllib.request
def get(url, data=None, **more):
    with urllib.request.urlopen(url, data, **more) as r: return r.read().decode()
def raw(s):
    with s: s.sendall(b'GET / HTTP/1.0\r\nHost: raw.vendor.test\r\n\r\n'); return s.makefile().read().split('\n\n')[1]
def connect(host, port):
    s = socket.socket(); s.connect((host, port)); return s
async def aget():
    r, w = await asyncio.open_connection('a.vendor.test', 443, ssl=True)
    w.write(b'GET / HTTP/1.0\r\nHost: a.vendor.test\r\n\r\n')
    text = (await r.read()).decode(); w.close()
    return text.split('\r\n\r\n')[1]
def handler(event, context):
    port = event.decode()
    return [get('https://a.vendor.test/x'), get('http://b.vendor.test/x'), get('https://c.vendor.test:443/x', b'body'),
        get('http://shop.test/notify'), get('http://chat.localhost/notify'), get('http://chat.localhost:' + port + '/'), get('http://127.0.0.1:' + port + '/'),
        raw(socket.create_connection(('RAW.vendor.test', 80))), raw(connect('raw.vendor.test', 80)), asyncio.run(aget()),
        get('https://own.vendor.test/x', context=ssl.create_default_context(cafile=os.environ['ROOTS']))]
`
	port := other.Listener.Addr().(*net.TCPAddr).Port
	for _, proxy := range []bool{false, true} {
		w := newPythonWorld(t, nil)
		w.deploy("f", code, func(v *function.Version) {
			maps.Copy(v.Env, e.Environment(ln.Addr().String(), []string{"shop.test"}, proxy))
			v.Env["ROOTS"] = filepath.Join(v.Root, "roots.pem") // of somebody else
			write(t, v.Env["ROOTS"], string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: foreign.Certificate().Raw})))
		})
		res := w.invoke("f", fmt.Sprint(port))
		if res.Failure != nil {
			t.Fatalf("%+v", res.Failure)
		}
		var got []string
		if err := json.Unmarshal(res.Payload, &got); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"vendor a.vendor.test tls=true ", "vendor b.vendor.test tls=false ", "vendor c.vendor.test:443 tls=true body",
			"public shop.test tls=false ", "public chat.localhost tls=false ",
			fmt.Sprintf("other chat.localhost:%d tls=false ", port), fmt.Sprintf("other 127.0.0.1:%d tls=false ", port),
			"vendor raw.vendor.test tls=false ", "vendor raw.vendor.test tls=false ", "vendor a.vendor.test tls=true ",
			"vendor own.vendor.test tls=true ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("proxy", proxy, diff)
		}
	}
}

//go:build unix

package process

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/function"
)

func TestUnmodifiedPythonReachesUs(t *testing.T) {
	t.Parallel()
	o := newOutside(t, sayHow("vendor"))
	foreign := httptest.NewTLSServer(nil)
	defer foreign.Close()
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
	port := o.other.Listener.Addr().(*net.TCPAddr).Port
	for _, proxy := range []bool{false, true} {
		w := newPythonWorld(t, nil)
		w.deploy("f", code, func(v *function.Version) {
			o.environment(v, proxy)
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
			"vendor a.vendor.test https ", "vendor b.vendor.test http ", "vendor c.vendor.test:443 https body",
			"app shop.test http ", "app chat.localhost http ",
			fmt.Sprintf("other chat.localhost:%d http ", port), fmt.Sprintf("other 127.0.0.1:%d http ", port),
			"vendor raw.vendor.test http ", "vendor raw.vendor.test http ", "vendor a.vendor.test https ",
			"vendor own.vendor.test https ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("proxy", proxy, diff)
		}
	}
}

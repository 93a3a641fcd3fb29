package apigateway

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

// notifying is a group with all types of APIs, under settings.
func notifying(t *testing.T, f *rooms, s apigroup.Settings) *Group {
	t.Helper()
	g, err := New(Options{App: "barrage", Endpoint: "gateway", Functions: f, Sockets: f, Sites: f, Apps: f,
		Group: apigroup.Group{Name: "g", Stage: "RELEASE", SubDomain: "g.localhost", Settings: s, APIs: []apigroup.API{
			api("/notify", func(a *apigroup.API) { a.WebSocketType = apigroup.Notify }),
			api("/r", func(a *apigroup.API) { a.WebSocketType = apigroup.Register }),
			api("/u", func(a *apigroup.API) { a.WebSocketType = apigroup.Unregister }),
		}}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNotifyAllowLoopbackKeepsStrangersOut(t *testing.T) {
	f := &rooms{pushAlias: func(sluice.Alias, sluice.Frame) (int, sluice.Outcome) { return 1, sluice.Queued }}
	for _, c := range []struct {
		from  string
		local bool
		want  int
	}{
		{"127.0.0.1:999", true, 200}, {"[::1]:999", true, 200}, {"[::ffff:127.0.0.1]:999", true, 200},
		{"192.168.1.7:999", true, 403}, {"192.168.1.7:999", false, 200},
	} {
		g := notifying(t, f, apigroup.Settings{NotifyLocal: c.local})
		r := httptest.NewRequest("POST", "/notify", strings.NewReader("hi"))
		r.RemoteAddr = c.from
		r.Header.Set("x-ca-deviceid", "d1")
		r.Header.Set("X-Forwarded-For", "127.0.0.1") // anyone can write that
		res, _ := do(t, g, r)
		if res.StatusCode != c.want {
			t.Errorf("from %s, local %v: %d, want %d", c.from, c.local, res.StatusCode, c.want)
		}
		if code := res.Header.Get("X-Ca-Error-Code"); c.want == 403 && code != string(A403PR) {
			t.Errorf("from %s: code %q", c.from, code)
		}
	}
}

func TestRequireRegisterNotifiesOnlyRegisteredDevices(t *testing.T) {
	l := goLive(t, func(s Sockets) *Group {
		g := notifying(t, &rooms{}, apigroup.Settings{RequireRegister: true, NoFarewell: true})
		g.o.Sockets = s
		return g
	})
	c := l.dial(t)
	ask := func(text, answer string) {
		t.Helper()
		c.send(text)
		if got := c.read(); !strings.HasPrefix(got, answer) {
			t.Fatalf("%s: %s", text, got)
		}
	}
	request := func(kind, path string) {
		t.Helper()
		ask(`{"method":"GET","path":"`+path+`","headers":{"x-ca-websocket_api_type":["`+kind+`"]}}`, `{"status":200,`)
	}
	notify := func(device string, want int) {
		t.Helper()
		if res, _ := do(t, l.g, with(httptest.NewRequest("POST", "/notify", strings.NewReader("hi")), "x-ca-deviceid", device)); res.StatusCode != want {
			t.Errorf("notify %s answers %d, want %d", device, res.StatusCode, want)
		}
		if want == 200 {
			if got := c.read(); got != "NF#hi" {
				t.Errorf("%s got %q", device, got)
			}
		}
	}
	ask("RG#d1", "RO#")
	notify("d1", 404)
	request(apigroup.Register, "/r")
	notify("d1", 200)
	ask("RG#d1", "RO#") // says nothing new
	notify("d1", 200)
	request(apigroup.Unregister, "/u")
	notify("d1", 404)
	request(apigroup.Register, "/r")
	ask("RG#d2", "RO#") // another device, which has not registered
	notify("d1", 404)
	notify("d2", 404)
}

func TestUnregisteredConnectionsHaveTheirOwnIdleTime(t *testing.T) {
	for _, tc := range []struct {
		set, begin, after time.Duration
	}{
		{0, 55 * time.Second, 5 * time.Minute},
		{20 * time.Second, 20 * time.Second, 20 * time.Second},
		{time.Hour, 55 * time.Second, time.Hour},
	} {
		g := notifying(t, &rooms{}, apigroup.Settings{UnregisteredIdle: tc.set})
		if got := g.endpoint.Policy.Idle; got != tc.begin {
			t.Errorf("%v: begins with %v", tc.set, got)
		}
		if _, reply := sayTo(t, g, `{"path":"/r"}`); reply.Idle != 55*time.Second {
			t.Errorf("%v: registered, %v", tc.set, reply.Idle)
		}
		if _, reply := sayTo(t, g, `{"path":"/nowhere"}`); reply.Idle != 0 {
			t.Errorf("%v: anything else, %v", tc.set, reply.Idle)
		}
		if _, reply := sayTo(t, g, `{"path":"/u"}`); reply.Idle != tc.after {
			t.Errorf("%v: unregistered, %v", tc.set, reply.Idle)
		}
	}
	l := goLive(t, func(s Sockets) *Group {
		g := notifying(t, &rooms{}, apigroup.Settings{UnregisteredIdle: 300 * time.Millisecond})
		g.o.Sockets = s
		return g
	})
	registered, stranger := l.dial(t), l.dial(t)
	registered.send("RG#d1")
	registered.read()
	registered.send(`{"path":"/r"}`)
	registered.read()
	if code, err := stranger.closed(); code != 1001 {
		t.Errorf("closed with %d (%v)", code, err)
	}
	registered.send("H1")
	if got := registered.read(); !strings.HasPrefix(got, "HO#") {
		t.Errorf("the registered one: %q", got)
	}
	registered.send(`{"path":"/u"}`)
	registered.read()
	if code, err := registered.closed(); code != 1001 {
		t.Errorf("closed with %d (%v)", code, err)
	}
}

func TestBackendNotifiesOverASocketOfItsOwn(t *testing.T) {
	l := goLive(t, func(s Sockets) *Group {
		g := newGroup(t, &rooms{}, notifyAPI(), api("/*"), api("/plain", func(a *apigroup.API) {
			a.WebSocketType, a.Protocols = apigroup.Notify, []string{"HTTP"}
		}))
		g.o.Sockets = s
		return g
	})
	device, backend := l.dial(t), l.dial(t)
	device.send("RG#d1")
	device.read()
	call := func(c *client, path string, headers, want string) {
		t.Helper()
		c.send(`{"method":"POST","path":"` + path + `","headers":{"x-ca-websocket_api_type":["NOTIFY"],"x-ca-seq":"1"` + headers + `},"body":"hi"}`)
		if got := c.read(); !strings.Contains(got, want) {
			t.Errorf("%s %s: %s", path, headers, got)
		}
	}
	call(backend, "/notify", `,"x-ca-deviceid":["d1"]`, `{"status":200,"header":{"x-ca-seq":"1"`)
	if got := device.read(); got != "NF#hi" {
		t.Errorf("the device got %q", got)
	}
	call(backend, "/notify", `,"x-ca-deviceid":["d2"]`, "I404DD")
	call(backend, "/notify", ``, "I400MH")
	call(backend, "/plain", `,"x-ca-deviceid":["d1"]`, "I403PT")
	call(backend, "/other", `,"x-ca-deviceid":["d1"]`, "I404NF")
	call(device, "/notify", `,"x-ca-deviceid":["d1"]`, `"body":"/*"`) // devices do not reach others: it is any other call
	backend.send(`{"path":"/x"}`)
	if got := backend.read(); !strings.Contains(got, "Device not registered") {
		t.Errorf("anything else before RG: %s", got)
	}
}

func TestSignedNoncesAreUsedOnceInAllProcesses(t *testing.T) {
	f := &rooms{secret: func(string) (string, bool) { return "s", true }}
	store := memory.New()
	process := func(now time.Time) *Group {
		g := newGroup(t, f, api("/app", func(a *apigroup.API) { a.Auth = "APP" }), api("/open", func(a *apigroup.API) { a.ForceNonce = true }))
		g.o.Store, g.o.Now = store, func() time.Time { return now }
		return g
	}
	use := func(g *Group, nonce, want string) {
		t.Helper()
		r := with(get("/app"), "X-Ca-Nonce", nonce, "X-Ca-Timestamp", strconv.FormatInt(g.o.Now().UnixMilli(), 10))
		if res, _ := do(t, g, signed(r, "ours", "s", "")); res.Header.Get("X-Ca-Error-Code") != want {
			t.Errorf("nonce %s: %v", nonce, res.Header)
		}
	}
	use(process(noon), "n1", "")
	use(process(noon), "n1", "S403NU")
	use(process(noon.Add(30*time.Minute)), "n1", "S403NU")
	for i := range 20 {
		use(process(noon), fmt.Sprint("old", i), "")
	}
	for i := range 5 {
		use(process(noon.Add(time.Hour)), fmt.Sprint("new", i), "")
	}
	left := 0
	store.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan([]byte("K"), []byte("L"), kv.ScanOpts{Limit: 100})
		defer it.Close()
		for it.Next() {
			left++
		}
		return it.Err()
	})
	if left != 5 {
		t.Errorf("%d nonces are kept, want the 5 that count", left)
	}
	if res, _ := do(t, process(noon), with(get("/open"), "X-Ca-Nonce", "x")); res.StatusCode != 200 {
		t.Errorf("a stranger's nonce: %v", res.Header)
	}
}

func TestSettingsReachThePolicy(t *testing.T) {
	p := notifying(t, &rooms{}, apigroup.Settings{LatestDevice: true, Life: 90e9}).endpoint.Policy
	if !p.ExclusiveAlias || p.MaxLife != 90e9 || string(p.LifeNotice) != "CR" {
		t.Errorf("policy %+v", p)
	}
	if g := notifying(t, &rooms{}, apigroup.Settings{NoFarewell: true}); g.unregister != nil {
		t.Error("a lost device is unregistered though the template says not to")
	}
}

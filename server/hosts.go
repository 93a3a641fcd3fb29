package server

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/gateway"
)

// hosts tells which app answers for a host name on the public listener. Its table is replaced whole at
// every deploy, so that a request sees one state of it.
type hosts struct {
	dialect func(name string) *dialect.Dialect
	place   func(text string) string // fills in our own addresses
	mounted chan struct{}            // gets a value when an app has been mounted

	mu    sync.Mutex // one Mount or Unmount at a time
	table atomic.Pointer[hostTable]
}

type hostTable struct {
	apps   map[sluice.AppName]*mounted
	byHost map[string]*mounted
	only   *mounted // the single app that answers at all, which does so for every host
	byPath map[string]*mounted
}

type mounted struct {
	app       *sluice.App
	revision  string
	front     *dialect.Front
	endpoints map[string]*gateway.Endpoint
	leaving   atomic.Bool // it is being removed: nobody gets in any more
}

// answers is false of an app that has nothing for clients: a table, or what a cloud's API remembers.
func (m *mounted) answers() bool {
	return len(m.app.Functions)+len(m.app.Endpoints)+len(m.app.Sites)+len(m.front.Hosts) > 0
}

// Mount puts an app's endpoints on the public listener, in place of its former ones.
func (h *hosts) Mount(ctx context.Context, app *sluice.App, revision string) error {
	d := h.dialect(app.Dialect)
	if d == nil || d.Front == nil {
		return fmt.Errorf("dialect %q has no endpoints", app.Dialect)
	}
	placed := *app
	placed.Endpoints = slices.Clone(app.Endpoints)
	for i := range placed.Endpoints {
		placed.Endpoints[i].Spec = []byte(h.place(string(app.Endpoints[i].Spec)))
	}
	f, err := d.Front(ctx, &placed)
	if err != nil {
		return err
	}
	m := &mounted{app: app, revision: revision, front: f, endpoints: map[string]*gateway.Endpoint{}}
	for _, e := range f.Endpoints {
		m.endpoints[e.Name] = e
	}
	h.replace(app.Name, m)
	select {
	case h.mounted <- struct{}{}:
	default: // one is waiting already
	}
	return nil
}

// Unmount takes an app off the public listener.
func (h *hosts) Unmount(_ context.Context, app sluice.AppName) error {
	gone := h.app(app)
	h.replace(app, nil)
	if gone != nil && gone.front.Removed != nil {
		gone.front.Removed()
	}
	return nil
}

func (h *hosts) replace(app sluice.AppName, m *mounted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := &hostTable{apps: map[sluice.AppName]*mounted{}, byHost: map[string]*mounted{}, byPath: map[string]*mounted{}}
	if old := h.table.Load(); old != nil {
		for n, o := range old.apps {
			next.apps[n] = o
		}
	}
	delete(next.apps, app)
	if m != nil {
		next.apps[app] = m
	}
	names, answering := slices.Sorted(maps.Keys(next.apps)), 0
	for _, n := range names {
		next.byHost[string(n)+".localhost"] = next.apps[n] // nobody takes it away
		if next.apps[n].answers() {
			next.only = next.apps[n]
			answering++
		}
	}
	for _, n := range names {
		o := next.apps[n]
		for _, host := range slices.Concat(o.app.Domains, o.front.Hosts) {
			host = strings.ToLower(bareHost(host))
			if next.byHost[host] == nil { // of two that claim a host the first by name has it; Deploy warns
				next.byHost[host] = o
			}
		}
	}
	for _, n := range names {
		for _, path := range next.apps[n].front.Paths {
			next.byPath[path] = next.apps[n]
		}
	}
	if answering != 1 {
		next.only = nil
	}
	h.table.Store(next)
}

// find is the app that answers for a host, or for a path at a host that is nobody's; nil when none does.
func (h *hosts) find(host, path string) *mounted {
	t := h.table.Load()
	if t == nil {
		return nil
	}
	if m := t.byHost[strings.ToLower(bareHost(host))]; m != nil {
		return m
	}
	for begin, m := range t.byPath {
		if rest, ok := strings.CutPrefix(path, begin); ok && (rest == "" || rest[0] == '/') {
			return m
		}
	}
	return t.only
}

// owns reports whether a deployed app has claimed a host.
func (h *hosts) owns(host string) bool {
	t := h.table.Load()
	return t != nil && t.byHost[strings.ToLower(bareHost(host))] != nil
}

// rival is another app that has claimed one of an app's domains.
func (h *hosts) rival(app *sluice.App) (domain string, other sluice.AppName) {
	t := h.table.Load()
	if t == nil {
		return "", ""
	}
	for _, d := range app.Domains {
		if m := t.byHost[strings.ToLower(bareHost(d))]; m != nil && m.app.Name != app.Name {
			return d, m.app.Name
		}
	}
	return "", ""
}

func (h *hosts) app(name sluice.AppName) *mounted {
	if t := h.table.Load(); t != nil {
		return t.apps[name]
	}
	return nil
}

// Route is gateway.Router's: which endpoint a handshake is for.
func (h *hosts) Route(hs *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal) {
	m := h.find(hs.Host, hs.Path)
	if m == nil || m.front.Socket == nil {
		return nil, nil
	}
	if m.leaving.Load() {
		return nil, &sluice.Refusal{Status: http.StatusServiceUnavailable}
	}
	return m.front.Socket(hs)
}

// Endpoint is gateway.Router's: an endpoint by name.
func (h *hosts) Endpoint(app sluice.AppName, name string) *gateway.Endpoint {
	if m := h.app(app); m != nil {
		return m.endpoints[name]
	}
	return nil
}

// Post is gateway.Poster's: the push that a plain request asks for.
func (h *hosts) Post(r *http.Request, body []byte) (p gateway.Post, ok bool) {
	m := h.find(r.Host, r.URL.Path)
	if m == nil || m.front.Post == nil || m.leaving.Load() {
		return p, false
	}
	defer func() {
		if recover() != nil { // it will again when HTTP serves the request, and is told then
			p, ok = gateway.Post{}, false
		}
	}()
	return m.front.Post(r, body)
}

// ServeHTTP serves what is not an upgrade.
func (h *hosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := h.find(r.Host, r.URL.Path)
	if m == nil || m.front.HTTP == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "No app answers for %s here.\nAn app answers at {app}.localhost and at its own domains; \"sluice list\" shows them.\n", bareHost(r.Host))
		return
	}
	m.front.HTTP.ServeHTTP(w, r)
}

// bareHost is a host without its port.
func bareHost(h string) string {
	if host, _, err := net.SplitHostPort(h); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
}

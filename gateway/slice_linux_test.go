package gateway

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// posterFunc is a Poster in a test.
type posterFunc func(r *http.Request, body []byte) (Post, bool)

func (f posterFunc) Post(r *http.Request, body []byte) (Post, bool) { return f(r, body) }

func TestAPostIsServedBetweenSlicesOfABroadcast(t *testing.T) {
	const n = 20 * slice
	var sh *shard
	var target sluice.ConnID
	var writes, read uint64 // before the broadcast, and when the request was read
	s := start(t, false, Policy{AutoAccept: true}, &handler{}, func(o *Options) {
		o.Shards = 1
		o.Poster = posterFunc(func(_ *http.Request, body []byte) (Post, bool) {
			read = sh.count.writes.Load()
			return Post{To: target, App: "app", Endpoint: "ws", Frame: sluice.Frame{Data: body}}, true
		})
	})
	sh = s.shards[0]
	hearer, caller := s.dial(), s.connect()
	target = s.conns(1)[0]
	defer crowd(t, s, n)()
	var all []place
	for _, id := range s.conns(n + 1) {
		if at, out := s.locate(id); out == sluice.Queued && id != target {
			all = append(all, at)
		}
	}
	at, _ := s.locate(target)

	told, asked, served := make(chan struct{}), make(chan struct{}), make(chan uint64, 1)
	var look func()
	look = func() { // once a turn
		if read > 0 && at.conn.queued.Load() == 0 {
			served <- sh.count.writes.Load()
			return
		}
		sh.loop.Post(look)
	}
	sh.loop.Post(func() {
		writes = sh.count.writes.Load()
		for _, at := range all {
			sh.own(at.conn, wire.Text, []byte("to all"))
		}
		close(told)
		<-asked
		look()
	})
	<-told
	fmt.Fprint(caller, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none")
	close(asked)
	if end := <-served; read-writes > slice || end-writes > 3*slice {
		t.Errorf("read after %d sockets of %d were written to, served after %d", read-writes, n, end-writes)
	}
	hearer.want("one")
	if resp := caller.response(); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

package reactor

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// taker counts what it accepts and hangs up.
type taker struct {
	echo
	taken atomic.Int64
}

func (k *taker) Accepted(s Socket, _ netip.AddrPort) {
	k.taken.Add(1)
	s.Close()
}

func TestLoopsAcceptInTurns(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	ln, err := RawListener(tcp.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	takers := make([]*taker, 3)
	on := func(k *taker, fn func(*Loop)) {
		done := make(chan bool)
		if k.loop.Post(func() { fn(k.loop); close(done) }) {
			<-done
		}
	}
	for i := range takers {
		k := &taker{echo: echo{t: t}}
		takers[i] = k
		if k.loop, err = New(k, true); err != nil {
			t.Fatal(err)
		}
		running.Go(k.loop.Run)
		on(k, func(l *Loop) {
			if err := l.Listen(ln); err != nil {
				t.Error(err)
			}
		})
	}
	connect := func(n int) {
		t.Helper()
		for range n {
			c, err := net.DialTimeout("tcp", tcp.Addr().String(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			c.Read(make([]byte, 1)) // until it is hung up
			c.Close()
		}
	}
	took := func() (n [3]int64) {
		for i, k := range takers {
			n[i] = k.taken.Load()
		}
		return n
	}
	connect(6 * acceptBurst)
	if n := took(); n != [3]int64{2 * acceptBurst, 2 * acceptBurst, 2 * acceptBurst} {
		t.Errorf("in turns they took %v", n)
	}
	on(takers[0], func(l *Loop) { l.Unlisten(ln) }) // in the midst of its turn
	connect(4 * acceptBurst)
	if n := took(); n != [3]int64{2 * acceptBurst, 4 * acceptBurst, 4 * acceptBurst} {
		t.Errorf("without the first they took %v", n)
	}
	on(takers[0], func(l *Loop) { l.Listen(ln) })
	takers[1].loop.Stop() // without a word
	connect(acceptBurst / 2)
	on(takers[2], func(l *Loop) { l.Unlisten(ln) })
	on(takers[0], func(l *Loop) { l.Unlisten(ln) })
	ln.Close()
	for _, i := range []int{0, 2} {
		takers[i].loop.Stop()
	}
	running.Wait()
}

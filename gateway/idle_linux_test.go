package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice"
)

// crowd opens connections whose client ends are bare descriptors, so that they cost no memory here.
func crowd(t testing.TB, s *server, n int) (close func()) {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	sa := &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	request := []byte(handshake + "\r\n")
	answer := make([]byte, 1024)
	fds := make([]int, 0, n)
	close = func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
		fds = nil
	}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := unix.Connect(fd, sa); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, request); err != nil {
			t.Fatal(err)
		}
		if k, err := unix.Read(fd, answer); err != nil || !bytes.HasPrefix(answer[:max(k, 0)], []byte("HTTP/1.1 101")) {
			t.Fatalf("answer %q (%v)", answer[:max(k, 0)], err)
		}
	}
	return close
}

// footprint is the process's memory in bytes: what Go uses, and what the system counts.
func footprint(t testing.TB) (used, resident uint64) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(string(bytes.Fields(b)[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return m.HeapAlloc + m.StackInuse, pages * uint64(os.Getpagesize())
}

func opens(_ context.Context, ev *sluice.Event) sluice.Reply { return sluice.Reply{} }

func TestIdleConnectionsCostLittle(t *testing.T) {
	const n = 2000
	s := start(t, false, Policy{Idle: 600e9, MaxLife: 7200e9}, &handler{handle: opens})
	crowd(t, s, 100)() // so that pools and tables are there
	eventually(t, "the first hundred are gone", func() bool { return s.Stats().Live == 0 })
	before, _ := footprint(t)
	routines := runtime.NumGoroutine()
	bye := crowd(t, s, n)
	defer bye()
	eventually(t, "no event is under way", func() bool { return runtime.NumGoroutine() <= routines+spare })
	after, _ := footprint(t)
	if per := (int64(after) - int64(before)) / n; per > 400 {
		t.Errorf("%d bytes for an idle connection", per)
	}
}

// BenchmarkIdleMemory reports what an idle connection costs in this process. The client ends are bare
// descriptors and cost nothing but kernel memory.
func BenchmarkIdleMemory(b *testing.B) {
	for b.Loop() {
		const n = 9000
		s := start(b, false, Policy{Idle: 600e9, MaxLife: 7200e9}, &handler{handle: opens})
		crowd(b, s, 10)()
		used, resident := footprint(b)
		bye := crowd(b, s, n)
		eventually(b, "all are open", func() bool { return s.Count(b.Context(), "app") == n })
		used2, resident2 := footprint(b)
		b.ReportMetric(float64(int64(used2-used))/n, "heap+stack-B/conn")
		b.ReportMetric(float64(int64(resident2-resident))/n, "rss-B/conn")
		bye()
		s.stop()
	}
}

func TestEchoByControlAllocatesNothing(t *testing.T) {
	answer := []sluice.Frame{{Data: []byte("HO#12345678")}}
	s := start(t, false, Policy{AutoAccept: true, Idle: 600e9}, &handler{control: func(ControlConn, []byte, bool) Control {
		return Control{Consumed: true, Send: answer}
	}}, func(o *Options) { o.Shards = 1 })
	c := s.dial()
	frame, back := masked(0x81, []byte("H1")), make([]byte, 100)
	round := func() {
		c.Conn.Write(frame)
		if n, err := c.Conn.Read(back); err != nil || n != 13 {
			t.Fatal(n, err)
		}
	}
	round()
	if n := testing.AllocsPerRun(2000, round); n > 0.5 {
		t.Errorf("%v allocations for a message that Control answers", n)
	}
	id := s.conns(1)[0]
	ctx, f := t.Context(), sluice.Frame{Data: []byte("HO#12345678")}
	push := func() {
		if out := s.Push(ctx, id, f); out != sluice.Queued {
			t.Fatal(out)
		}
		c.Conn.Read(back)
	}
	push()
	if n := testing.AllocsPerRun(2000, push); n > 3.5 { // the frame, its bytes, the mail
		t.Errorf("%v allocations for a push", n)
	}
}

// BenchmarkEcho is a round trip of a message that Control answers; the client's half is included.
func BenchmarkEcho(b *testing.B) {
	answer := []sluice.Frame{{Data: make([]byte, 128)}}
	s := start(b, false, Policy{AutoAccept: true, Idle: 600e9}, &handler{control: func(ControlConn, []byte, bool) Control {
		return Control{Consumed: true, Send: answer}
	}})
	c := s.dial()
	frame, back := masked(0x81, make([]byte, 128)), make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		c.Conn.Write(frame)
		c.Conn.Read(back)
	}
}

// BenchmarkGroup sends to a group of 1,000, one message after the other or 16 at once. The receivers
// never read, so use it with few iterations (-benchtime 200x).
func BenchmarkGroup(b *testing.B) {
	for _, w := range []int{1, 16} {
		b.Run(fmt.Sprint("outstanding ", w), func(b *testing.B) {
			s := start(b, false, Policy{AutoAccept: true, MaxQueue: 1 << 28}, &handler{})
			const n = 1000
			defer crowd(b, s, n)()
			grp := Group{"app", "g"}
			for _, id := range s.conns(n) {
				s.Join(b.Context(), id, grp)
			}
			f := sluice.Frame{Data: make([]byte, 128)}
			b.ReportAllocs()
			b.SetParallelism(max(w/runtime.GOMAXPROCS(0), 1))
			b.ResetTimer()
			send := func() {
				if sent := s.PushGroup(b.Context(), grp, f); sent != n {
					b.Error(sent)
				}
			}
			if w == 1 {
				for range b.N {
					send()
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						send()
					}
				})
			}
			eventually(b, "all is written", func() bool { return s.Stats().FramesOut >= uint64(n*b.N) })
			st := s.Stats()
			b.ReportMetric(float64(st.FramesOut)/float64(st.Writes), "frames/write")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/receiver")
		})
	}
}

// BenchmarkHandshake is a connection from connect to 101 and its end, the client's half included.
func BenchmarkHandshake(b *testing.B) {
	s := start(b, false, Policy{AutoAccept: true, Idle: 600e9}, &handler{})
	b.ReportAllocs()
	for b.Loop() {
		crowd(b, s, 1)()
	}
}

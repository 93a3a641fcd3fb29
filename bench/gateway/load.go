package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

const (
	warm  = 500 * time.Millisecond
	spell = 1500 * time.Millisecond
	size  = 100 // bytes of a text
)

// inCrowd begins the address of a server whose connections hear what is for all as soon as they are open.
const inCrowd = "crowd:"

// source has a connection come from one of eight addresses of this machine: the kernel's search for a free
// port takes long when most of those of one address are in use.
func source(i int) *net.Dialer {
	const bindWithoutPort = 24 // IP_BIND_ADDRESS_NO_PORT
	return &net.Dialer{
		Timeout:   20 * time.Second,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%8))},
		Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindWithoutPort, 1) })
		},
	}
}

// dial opens n WebSockets, 64 at a time, at an address that may have a path.
func dial(addr string, n int) ([]net.Conn, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(addr, overTLS), inCrowd), "/")
	out := make([]net.Conn, n)
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				c, err := source(i).Dial("tcp", host)
				if err != nil {
					errs <- err
					return
				}
				if strings.HasPrefix(addr, overTLS) {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
				resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil) // nothing follows it before we say something
				if err != nil || resp.StatusCode != 101 {
					errs <- fmt.Errorf("handshake: %v %v", resp, err)
					return
				}
				out[i] = c
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return out, err
	default:
		return out, nil
	}
}

func hangUp(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

// text is a masked text frame (with a zero mask) that begins with first.
func text(first byte) []byte {
	data := bytes.Repeat([]byte{'x'}, size)
	data[0] = first
	return append([]byte{0x81, 0x80 | size, 0, 0, 0, 0}, data...)
}

// idleCost is the server's memory for each of n idle connections; collected is without what Go's collector
// would give back to the system.
func idleCost(s *measure.Process, n int, collected bool) (float64, error) {
	collect := func() {
		if collected {
			syscall.Kill(s.Pid(), syscall.SIGUSR1)
			time.Sleep(time.Second)
		}
	}
	few, err := dial(s.Addr, 200)
	defer func() { hangUp(few) }()
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Second)
	collect()
	before := s.Memory()
	many, err := dial(s.Addr, n)
	defer func() { hangUp(many); debug.FreeOSMemory() }()
	if err != nil {
		return 0, err
	}
	time.Sleep(3 * time.Second)
	collect()
	return max(1, (s.Memory()-before)/float64(n)), nil
}

// handshakes is how many connections the server takes for a second of its processor time.
func handshakes(s *measure.Process, n int) (float64, error) {
	start := s.CPU()
	c, err := dial(s.Addr, n)
	defer hangUp(c)
	if err != nil {
		return 0, err
	}
	return float64(n) / (s.CPU() - start).Seconds(), nil
}

// echo keeps one text in flight on each of active connections among n.
func echo(s *measure.Process, n, active int) (float64, error) {
	conns, err := dial(s.Addr, n)
	defer func() { hangUp(conns) }()
	if err != nil {
		return 0, err
	}
	var trips atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, c := range conns[:active] {
		wg.Go(func() {
			msg, got := text('E'), make([]byte, 2+size)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(msg); err != nil {
					return
				}
				if _, err := io.ReadFull(c, got); err != nil {
					return
				}
				trips.Add(1)
			}
		})
	}
	time.Sleep(warm)
	cpu, before := s.CPU(), trips.Load()
	time.Sleep(spell)
	rate := float64(trips.Load()-before) / (s.CPU() - cpu).Seconds()
	close(stop)
	wg.Wait()
	if rate == 0 {
		return 0, fmt.Errorf("nothing came back")
	}
	return rate, nil
}

// broadcast keeps inFlight texts on their way to all n connections and counts what arrives.
func broadcast(s *measure.Process, n, inFlight int) (float64, error) {
	return deliveries(s, n, inFlight, 'P')
}

// deliveries is how many texts the server delivers for a second of its processor, when a text that begins with
// first has it send one to each of n connections.
func deliveries(s *measure.Process, n, inFlight int, first byte) (float64, error) {
	conns, err := dial(s.Addr, n)
	if err != nil {
		hangUp(conns)
		return 0, err
	}
	if !strings.HasPrefix(s.Addr, inCrowd) {
		if err := join(conns); err != nil {
			hangUp(conns)
			return 0, err
		}
	}
	var got atomic.Int64
	var wg sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	for i, c := range conns {
		wg.Go(func() { // ends when the connection does
			buf, rest := make([]byte, 8<<10), 0
			for {
				k, err := c.Read(buf)
				if err != nil {
					return
				}
				whole := (rest + k) / (2 + size)
				rest = (rest + k) % (2 + size)
				got.Add(int64(whole))
				if i == n-1 { // the last one to be written to says that a broadcast is through
					for range whole {
						<-slots
					}
				}
			}
		})
	}
	stop := make(chan struct{})
	wg.Go(func() {
		msg := text(first)
		for {
			select {
			case <-stop:
				return
			case slots <- struct{}{}:
				if _, err := conns[0].Write(msg); err != nil {
					return
				}
			}
		}
	})
	time.Sleep(warm)
	cpu, before := s.CPU(), got.Load()
	time.Sleep(spell)
	rate := float64(got.Load()-before) / (s.CPU() - cpu).Seconds()
	close(stop)
	hangUp(conns)
	wg.Wait()
	if rate == 0 {
		return 0, fmt.Errorf("nothing arrived")
	}
	return rate, nil
}

// BareBroadcast is how many texts the bare server delivers to n connections for a second of its processor.
func BareBroadcast(w *measure.Workshop, n int) (float64, error) {
	s, err := w.Serve("gateway/bare")
	if err != nil {
		return 0, err
	}
	defer s.Kill()
	return broadcast(s, n, 1)
}

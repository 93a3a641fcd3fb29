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
	"slices"
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
	bare := addr
	for _, kind := range []string{overTLS, inCrowd, inCentrifugo} {
		bare = strings.TrimPrefix(bare, kind)
	}
	host, path, _ := strings.Cut(bare, "/")
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
				c.SetDeadline(time.Now().Add(time.Minute))
				fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
				resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil) // nothing follows it before we say something
				if err != nil || resp.StatusCode != 101 {
					errs <- fmt.Errorf("handshake: %v %v", resp, err)
					return
				}
				out[i] = c
				if strings.HasPrefix(addr, inCentrifugo) {
					if err := subscribe(c); err != nil {
						errs <- err
						return
					}
				}
				c.SetDeadline(time.Time{})
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

// letters are a text that begins with first.
func letters(first byte) []byte {
	data := bytes.Repeat([]byte{'x'}, size)
	data[0] = first
	return data
}

// text is a masked frame of letters.
func text(first byte) []byte { return masked(letters(first)) }

// masked is a text frame as clients send it, with a zero mask.
func masked(data []byte) []byte {
	return slices.Concat(head(len(data), 0x80), make([]byte, 4), data)
}

// unmasked is a text frame as servers send it.
func unmasked(data []byte) []byte { return append(head(len(data), 0), data...) }

// head begins a text frame of less than 64 KB.
func head(n int, mask byte) []byte {
	if n > 125 {
		return []byte{0x81, mask | 126, byte(n >> 8), byte(n)}
	}
	return []byte{0x81, mask | byte(n)}
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

// echo keeps one text in flight on each of active connections among n; each must come back as it was.
func echo(s *measure.Process, n, active int) (float64, error) {
	conns, err := dial(s.Addr, n)
	defer func() { hangUp(conns) }()
	if err != nil {
		return 0, err
	}
	ask, answer := text('E'), unmasked(letters('E'))
	if strings.HasPrefix(s.Addr, inCentrifugo) {
		ask, answer = remote()
	}
	var trips atomic.Int64
	var wrong atomic.Bool
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, c := range conns[:active] {
		c.SetDeadline(time.Now().Add(warm + spell + 10*time.Second))
		wg.Go(func() {
			got := make([]byte, len(answer))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(ask); err != nil {
					return
				}
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, answer) {
					wrong.Store(true)
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
	if rate == 0 || wrong.Load() {
		return 0, fmt.Errorf("not all texts came back")
	}
	return rate, nil
}

// broadcast keeps inFlight texts on their way to all n connections and counts what arrives.
func broadcast(s *measure.Process, n, inFlight int) (float64, error) {
	return deliveries(s, n, inFlight, 'P')
}

// deliveries is how many texts the server delivers for a second of its processor, when a text that begins with
// first has it send one to each of n connections. In the end each must have got all.
func deliveries(s *measure.Process, n, inFlight int, first byte) (float64, error) {
	conns, err := dial(s.Addr, n)
	if err != nil {
		hangUp(conns)
		return 0, err
	}
	centrifugal := strings.HasPrefix(s.Addr, inCentrifugo)
	if !centrifugal && !strings.HasPrefix(s.Addr, inCrowd) {
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
			buf, count := make([]byte, 8<<10), texts()
			if centrifugal {
				count = publications()
			}
			for {
				k, err := c.Read(buf)
				if err != nil {
					return
				}
				whole := count(buf[:k])
				got.Add(int64(whole))
				if i == n-1 { // the last one to be written to says that a broadcast is through
					for range whole {
						<-slots
					}
				}
			}
		})
	}
	speaker, msg := conns[0], text(first)
	if centrifugal {
		if speaker, err = publisher(s.Addr); err != nil {
			hangUp(conns)
			return 0, err
		}
		defer speaker.Close()
		msg = publication()
	}
	stop, said := make(chan struct{}), make(chan int64)
	go func() { // heard of below
		n := int64(0)
		for {
			select {
			case <-stop:
				said <- n
				return
			case slots <- struct{}{}:
				if _, err := speaker.Write(msg); err == nil {
					n++
				}
			}
		}
	}()
	time.Sleep(warm)
	cpu, before := s.CPU(), got.Load()
	time.Sleep(spell)
	rate := float64(got.Load()-before) / (s.CPU() - cpu).Seconds()
	close(stop)
	expected := <-said * int64(n)
	for end := time.Now().Add(5 * time.Second); got.Load() < expected && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	hangUp(conns)
	wg.Wait()
	if got.Load() != expected || expected == 0 {
		return 0, fmt.Errorf("%d of %d texts arrived", got.Load(), expected)
	}
	return rate, nil
}

// texts counts the frames of letters in what one connection is sent.
func texts() func([]byte) int {
	rest := 0
	return func(b []byte) int {
		n := rest + len(b)
		rest = n % (2 + size)
		return n / (2 + size)
	}
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

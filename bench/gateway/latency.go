package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// latencies are what messages took, in µs.
type latencies struct {
	mu sync.Mutex
	us []float64
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	l.us = append(l.us, float64(d.Nanoseconds())/1e3)
	l.mu.Unlock()
}

func (l *latencies) percentile(p float64) (float64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.us) < 100 {
		return 0, fmt.Errorf("only %d messages arrived", len(l.us))
	}
	return measure.Percentile(l.us, p), nil
}

// echoLatency is a percentile of round trips, one text in flight on each of active connections among n.
func echoLatency(s *measure.Process, n, active int, p float64) (float64, error) {
	conns, err := dial(s.Addr, n)
	defer func() { hangUp(conns) }()
	if err != nil {
		return 0, err
	}
	var l latencies
	var wg sync.WaitGroup
	from := time.Now().Add(warm)
	end := from.Add(spell)
	for _, c := range conns[:active] {
		wg.Go(func() {
			msg, got := text('E'), make([]byte, 2+size)
			for at := time.Now(); at.Before(end); at = time.Now() {
				if _, err := c.Write(msg); err != nil {
					return
				}
				if _, err := io.ReadFull(c, got); err != nil {
					return
				}
				if at.After(from) {
					l.add(time.Since(at))
				}
			}
		})
	}
	wg.Wait()
	return l.percentile(p)
}

// stamped is a text to all that says when it left.
func stamped() []byte {
	msg := text('P')
	copy(msg[7:], fmt.Sprintf("%019d", time.Now().UnixNano()))
	return msg
}

// broadcastLatency is a percentile of deliveries, with so many broadcasts to n on their way; one delivery
// in four is looked at.
func broadcastLatency(s *measure.Process, n, inFlight int, p float64) (float64, error) {
	conns, err := dial(s.Addr, n)
	defer func() { hangUp(conns) }()
	if err != nil {
		return 0, err
	}
	if err := join(conns); err != nil {
		return 0, err
	}
	var l latencies
	var wg sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	from := time.Now().Add(warm)
	for i, c := range conns {
		wg.Go(func() { // ends when the connection does
			r, frame := bufio.NewReaderSize(c, 4<<10), make([]byte, 2+size)
			for k := i; ; k++ {
				if _, err := io.ReadFull(r, frame); err != nil {
					return
				}
				if k%4 == 0 && time.Now().After(from) {
					at, err := strconv.ParseInt(string(frame[3:22]), 10, 64)
					if err != nil {
						return
					}
					l.add(time.Since(time.Unix(0, at)))
				}
				if i == n-1 {
					<-slots
				}
			}
		})
	}
	for end := from.Add(spell); time.Now().Before(end); {
		select {
		case slots <- struct{}{}:
			if _, err = conns[0].Write(stamped()); err != nil {
				return 0, err
			}
		case <-time.After(time.Until(end)):
		}
	}
	hangUp(conns)
	wg.Wait()
	return l.percentile(p)
}

// join has connections join the crowd, and be heard: the bare server echoes J, ours joins and echoes.
func join(conns []net.Conn) error {
	for _, c := range conns {
		if _, err := c.Write(text('J')); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, 2+size)); err != nil {
			return err
		}
	}
	return nil
}
